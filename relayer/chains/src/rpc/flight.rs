//! Equal reads in flight are one request whose answer all callers get.
//!
//! Equal means the same method, parameters and route. Whoever asks first starts it with its own deadline; any caller that is left
//! drives it on, so a caller that goes away takes nothing from the others. Clause: *single-flight of equal reads* of the limiter
//! page. An answer may be older than a question by what the request had been under way: that is as old as any node's answer may
//! be. Bounds: [`FLIGHTS`]; beyond them, reads go alone. Urgent reads go alone, too: their place in the line is their own.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use tokio::time::{Instant, timeout_at};

use super::client::{Call, Scope};
use super::endpoints::Route;
use super::error::{ErrorClass, RpcError};
use super::limits::FLIGHTS;
use super::retry::{Answers, Stack};

type Flight = BoxFuture<'static, Result<Answers, RpcError>>;

#[derive(PartialEq, Eq, Hash)]
struct Question {
    method: &'static str,
    params: Box<str>,
    route: Route,
}

/// The reads in flight.
#[derive(Default)]
pub(crate) struct Flights(Mutex<HashMap<Question, WeakShared<Flight>>>);

impl Flights {
    /// The answer to a read, from a request of its own or from one that is under way.
    pub(crate) async fn read(
        stack: &Arc<Stack>,
        call: &Call,
        scope: &Scope,
        deadline: Instant,
    ) -> Result<Answers, RpcError> {
        if scope.urgency.is_some() {
            return stack.request(&[call], scope, deadline).await;
        }
        let (flight, joined) = stack.flights.join(stack, call, scope, deadline);
        let Some(flight) = flight else { return stack.request(&[call], scope, deadline).await };
        if !joined {
            return flight.await;
        }
        match timeout_at(deadline, flight).await {
            // Whoever started it had less time, or its limits' patience: what is left of ours is ours.
            Ok(Err(error)) if matches!(error.class(), ErrorClass::Timeout | ErrorClass::Throttled) => {
                stack.request(&[call], scope, deadline).await
            }
            Ok(result) => result,
            Err(_) => stack.request(&[call], scope, deadline).await,
        }
    }

    fn join(
        &self,
        stack: &Arc<Stack>,
        call: &Call,
        scope: &Scope,
        deadline: Instant,
    ) -> (Option<Shared<Flight>>, bool) {
        let question = Question { method: call.method, params: call.params.get().into(), route: scope.route.clone() };
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if flights.len() >= FLIGHTS {
            flights.retain(|_, flight| flight.upgrade().is_some_and(|flight| flight.peek().is_none()));
            if flights.len() >= FLIGHTS {
                return (None, false);
            }
        }
        let start = || {
            let (stack, call, scope) = (stack.clone(), call.clone(), scope.clone());
            async move { stack.request(&[&call], &scope, deadline).await }.boxed().shared()
        };
        match flights.entry(question) {
            Entry::Occupied(mut known) => {
                // One that has ended is no longer in flight.
                if let Some(flight) = known.get().upgrade().filter(|flight| flight.peek().is_none()) {
                    return (Some(flight), true);
                }
                let flight = start();
                match flight.downgrade() {
                    Some(weak) => *known.get_mut() = weak,
                    None => drop(known.remove()),
                }
                (Some(flight), false)
            }
            Entry::Vacant(place) => {
                let flight = start();
                if let Some(weak) = flight.downgrade() {
                    place.insert(weak);
                }
                (Some(flight), false)
            }
        }
    }
}
