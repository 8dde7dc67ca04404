//! Many calls as few requests: split by what the node takes, by bytes and by the limiter's burst; several in flight.

use std::collections::VecDeque;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use limiter::CallKind;
use tokio::time::Instant;

use super::classify;
use super::client::{Answer, Call, Scope};
use super::error::{RpcError, RpcErrorKind};
use super::limits::REQUEST_BYTES;
use super::retry::{Answers, Stack, kind, method};
use super::ruled;

/// Bytes of a call's envelope beside method and parameters.
const ENVELOPE_BYTES: usize = 64;

/// Runs all calls; the answers are in their order. A request that fails fails all its calls, not the others.
pub(crate) async fn batch(
    stack: &Stack,
    calls: &[Call],
    scope: &Scope,
    deadline: Instant,
) -> Vec<Result<Answer, RpcError>> {
    let mut answers: Vec<Option<Result<Answer, RpcError>>> = calls.iter().map(|_| None).collect();
    let mut waiting: VecDeque<Vec<usize>> = chunks(stack, calls, &(0..calls.len()).collect::<Vec<_>>(), scope).into();
    let mut running = FuturesUnordered::new();
    loop {
        while running.len() < stack.settings.batches_in_flight.max(1) {
            let Some(chunk) = waiting.pop_front() else { break };
            running.push(async move {
                let members: Vec<&Call> = chunk.iter().filter_map(|i| calls.get(*i)).collect();
                let result = stack.request(&members, scope, deadline).await;
                (chunk, result)
            });
        }
        let Some((chunk, result)) = running.next().await else {
            break;
        };
        match result {
            Err(error) if chunk.len() > 1 && matches!(error.kind, RpcErrorKind::BatchTooLarge { .. }) => {
                // The endpoint has learned; a node that goes on refusing ends at single calls.
                let mut smaller = chunks(stack, calls, &chunk, scope);
                if smaller.len() == 1 {
                    smaller = chunk.chunks(chunk.len().div_ceil(2)).map(<[usize]>::to_vec).collect();
                }
                waiting.extend(smaller);
            }
            Err(error) => {
                for slot in chunk {
                    if let (Some(answer), Some(call)) = (answers.get_mut(slot), calls.get(slot)) {
                        *answer = Some(Err(RpcError { method: call.method, ..error.clone() }));
                    }
                }
            }
            Ok(Answers { replies, endpoint }) => {
                for (slot, reply) in chunk.into_iter().zip(replies) {
                    if let (Some(answer), Some(call)) = (answers.get_mut(slot), calls.get(slot)) {
                        *answer = Some(match reply {
                            Ok(result) => Ok(Answer { result, endpoint: endpoint.clone() }),
                            Err(no) => Err(RpcError::new(classify::one(no, call.kind), call.method, Some(&endpoint))),
                        });
                    }
                }
            }
        }
    }
    answers.into_iter().flatten().collect()
}

/// Packs the calls, in order, into requests that the best endpoint takes.
fn chunks(stack: &Stack, calls: &[Call], slots: &[usize], scope: &Scope) -> Vec<Vec<usize>> {
    let members: Vec<&Call> = slots.iter().filter_map(|i| calls.get(*i)).collect();
    let order = stack.endpoints.order(&scope.route, kind(&members));
    let (most, burst) = order.first().map_or((1, 1), |best| (u64::from(best.batch_calls()), best.limited.burst()));
    let broadcast = kind(&members) == CallKind::Broadcast;
    let (settings, best) = (&stack.settings, order.first().map(|best| best.id.label()));
    let ruled = |call: &Call| match (&settings.rules, best) {
        (Some(gate), Some(best)) => ruled::most(gate, &settings.chain, best, broadcast, call),
        _ => u64::MAX,
    };
    // What one request may hold of all its methods is what the narrowest of them admits.
    let most = members.iter().map(|call| ruled(call)).fold(most, u64::min).max(1);
    tracing::trace!(method = method(&members), calls = slots.len(), most, "splitting");
    let mut chunks: Vec<Vec<usize>> = Vec::new();
    let (mut bytes, mut weight) = (0usize, 0u64);
    for (slot, call) in slots.iter().zip(members) {
        let more = call.method.len().saturating_add(call.params.get().len()).saturating_add(ENVELOPE_BYTES);
        bytes = bytes.saturating_add(more);
        weight = weight.saturating_add(stack.weight(call));
        match chunks.last_mut() {
            Some(chunk) if (chunk.len() as u64) < most && bytes <= REQUEST_BYTES && weight <= burst => {
                chunk.push(*slot)
            }
            _ => {
                chunks.push(vec![*slot]);
                (bytes, weight) = (more, stack.weight(call));
            }
        }
    }
    chunks
}
