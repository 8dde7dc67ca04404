//! The newest finalized block: asked once, told to all who wait.
//!
//! CometBFT finalizes every block, so the head is what `/status` says, once the application has executed it (`/abci_info`): its
//! results and state can be queried. One owned task follows it: woken by the event stream, by polling while that is silent, and by a
//! slow poll beside it as the watchdog of a stream that stalls. The published head never goes back, unless it is refuted. Errors are told to those who
//! were waiting when they happened. Where there are several endpoints, the others are asked now and then, too: one that lags behind its
//! peers is left alone for a while. A height that is told is not believed for that, it only chooses who is asked next.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use relayer_core::error::{ChainError, ChainErrorKind};
use relayer_core::fact::Head;
use relayer_core::id::{Height, Timestamp};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::limits::{COMPARE_POLLS, POLL_WATCHDOG};
use super::node::{Node, Said};
use super::wire::{AbciInfo, BlockchainAnswer, Status, nanos};
use crate::rpc::{Call, EndpointId, EndpointUrl, Route, RpcClient, Wake, WakeSettings, wake_stream};

#[derive(Debug, Clone, Default)]
struct News {
    head: Option<Head>,
    /// Who told it.
    by: Option<EndpointId>,
    /// Counts failures, so that a waiter knows one of its own time.
    failures: u64,
    error: Option<ChainError>,
}

/// The head of one chain, shared.
#[derive(Debug)]
pub(crate) struct Heads {
    node: Node,
    poll: Duration,
    stream: Option<EndpointUrl>,
    news: watch::Sender<News>,
    task: Mutex<Option<JoinHandle<()>>>,
    stop: CancellationToken,
}

impl Heads {
    pub(crate) fn new(node: Node, poll: Duration, stream: Option<EndpointUrl>) -> Self {
        let news = watch::Sender::new(News::default());
        Self { node, poll, stream, news, task: Mutex::new(None), stop: CancellationToken::new() }
    }

    /// The highest head seen, without asking.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.news.borrow().head.map(|head| head.height.number)
    }

    /// Asks now.
    pub(crate) async fn head(&self) -> Result<Head, ChainError> {
        let said = ask(&self.node).await?;
        let head = said.value;
        publish(&self.news, said);
        Ok(head)
    }

    /// Forgets a head that turned out not to exist; who told it.
    pub(crate) fn refute(&self, height: Height) -> Option<EndpointId> {
        let mut liar = None;
        self.news.send_if_modified(|news| {
            let is_it = news.head.is_some_and(|head| head.height >= height);
            if is_it {
                news.head = None;
                liar = news.by.take();
            }
            is_it
        });
        liar
    }

    /// Waits for a head above `after`; fails when asking fails meanwhile.
    pub(crate) async fn next(&self, after: Height) -> Result<Head, ChainError> {
        let mut news = self.news.subscribe();
        let failures = news.borrow_and_update().failures;
        self.follow();
        loop {
            {
                let now = news.borrow_and_update();
                if let Some(head) = now.head.filter(|head| head.height > after) {
                    return Ok(head);
                }
                if let Some(error) = now.error.as_ref().filter(|_| now.failures != failures) {
                    return Err(error.clone());
                }
            }
            if news.changed().await.is_err() {
                return Err(self.node.error(ChainErrorKind::Unavailable, "the chain's adapter is gone"));
            }
        }
    }

    /// Starts the task that follows the head, once; it ends with this value.
    fn follow(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let span = tracing::info_span!("heads", chain = %self.node.chain());
        let (node, news, poll) = (self.node.clone(), self.news.clone(), self.poll);
        let (stream, stop) = (self.stream.clone(), self.stop.clone());
        let comparing = compare(node.clone(), news.clone(), poll * COMPARE_POLLS);
        let following = async move {
            match stream.and_then(|url| subscribe(url, poll, node.rpc(), &stop)) {
                Some((socket, wakes)) => {
                    tokio::select! {
                        () = socket => {}
                        () = run(node.clone(), news.clone(), poll, Some(wakes)) => {}
                        () = stop.cancelled() => return,
                    }
                    // The socket's task only ends when it can't go on: polling can.
                    stop.run_until_cancelled(run_polling(node, news, poll)).await.unwrap_or_default();
                }
                None => stop.run_until_cancelled(run_polling(node, news, poll)).await.unwrap_or_default(),
            }
        };
        let run = async move {
            tokio::select! {
                () = following => {}
                () = comparing => {}
            }
        };
        *task = Some(tokio::spawn(run.instrument(span)));
    }
}

impl Drop for Heads {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn subscribe(
    url: EndpointUrl,
    poll: Duration,
    rpc: &RpcClient,
    stop: &CancellationToken,
) -> Option<(impl Future<Output = ()> + Send + 'static, mpsc::Receiver<Wake>)> {
    // Slow chains make a block every 10 to 20 s: a stream silent for longer is reopened, the watchdog polls meanwhile.
    let silence = (poll * 60).max(Duration::from_secs(30));
    let settings = WakeSettings { paced_by: Some(rpc.clone()), ..WakeSettings::new_block_headers(url, silence) };
    match wake_stream(settings, stop.clone()) {
        Ok(stream) => Some(stream),
        Err(error) => {
            tracing::warn!(%error, "no event stream: the head is polled");
            None
        }
    }
}

async fn run_polling(node: Node, news: watch::Sender<News>, poll: Duration) {
    run(node, news, poll, None).await;
}

async fn run(node: Node, news: watch::Sender<News>, poll: Duration, mut wakes: Option<mpsc::Receiver<Wake>>) {
    let mut live = false;
    loop {
        match ask(&node).await {
            Ok(said) => publish(&news, said),
            Err(error) => {
                tracing::debug!(%error, "the head could not be read");
                news.send_modify(|news| {
                    news.failures = news.failures.wrapping_add(1);
                    news.error = Some(error);
                });
            }
        }
        let pause = tokio::time::sleep(if live { POLL_WATCHDOG.max(poll) } else { poll });
        let wake = async {
            match &mut wakes {
                Some(wakes) => wakes.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = pause => {}
            wake = wake => match wake {
                Some(Wake::Block(_) | Wake::Reconnected) => live = true,
                Some(Wake::Suspect(why)) => {
                    live = false;
                    if let Some(first) = node.rpc().endpoints().first() {
                        node.rpc().stream_lost(first, why);
                    }
                }
                None => return,
            },
        }
    }
}

/// Asks the endpoints that do not tell the head what their height is, for ever.
async fn compare(node: Node, news: watch::Sender<News>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let asked = news.borrow().by.clone();
        let peers = node.rpc().health().into_iter().filter(|e| !e.archive && e.quarantine.is_none());
        for peer in peers.map(|e| e.id).filter(|id| Some(id) != asked.as_ref()) {
            let deadline = tokio::time::Instant::now() + every;
            let rpc = node.rpc().with_route(Route::Only(peer)).with_deadline(deadline);
            let Ok(answer) = rpc.call("status", json!({})).await else { continue };
            let Ok(said) = node.decode::<Status>(&answer, "status") else { continue };
            if node.check_status(&said).is_ok() {
                node.rpc().saw_height(&said.endpoint, said.value.sync_info.latest_block_height.0);
            }
        }
    }
}

fn publish(news: &watch::Sender<News>, said: Said<Head>) {
    let Said { value: head, endpoint } = said;
    news.send_if_modified(|news| {
        let newer = news.head.is_none_or(|known| known.height < head.height);
        if newer {
            news.head = Some(head);
            news.by = Some(endpoint);
        }
        newer
    });
}

/// One request: the newest block that is executed.
async fn ask(node: &Node) -> Result<Said<Head>, ChainError> {
    let calls = [Call::read("status", json!({})), Call::read("abci_info", json!({}))];
    let calls =
        calls.into_iter().collect::<Result<Vec<_>, _>>().map_err(|e| super::node::chain_error(node.chain(), e))?;
    let mut answers = node.batch(calls).await?.into_iter();
    let missing = || Err(node.error(ChainErrorKind::Malformed, "status"));
    let status: Said<Status> = node.decode(&answers.next().unwrap_or_else(missing)?, "status")?;
    node.check_status(&status)?;
    let info: Said<AbciInfo> = node.decode(&answers.next().unwrap_or_else(missing)?, "abci_info")?;
    let (stored, executed) = (status.value.sync_info.latest_block_height.0, info.value.response.last_block_height.0);
    node.rpc().saw_height(&status.endpoint, stored);
    if stored == 0 {
        return Err(node.error(ChainErrorKind::NotYet(node.height(1)), "no block yet"));
    }
    let time = if executed == 0 || executed >= stored {
        nanos(&status.value.sync_info.latest_block_time)
    } else {
        // The newest block is stored but not executed yet: the one before is the head.
        let params = json!({ "minHeight": executed.to_string(), "maxHeight": executed.to_string() });
        let metas: Said<BlockchainAnswer> = node.call("blockchain", params).await?;
        let header = metas.value.block_metas.unwrap_or_default().into_iter().next().map(|meta| meta.header);
        let header = header.filter(|header| header.height.value() == executed);
        header.and_then(|header| u64::try_from(header.time.unix_timestamp_nanos()).ok())
    };
    let time = time.ok_or_else(|| node.malformed(&status.endpoint, "time of the head"))?;
    let number = if executed == 0 { stored } else { executed.min(stored) };
    let value = Head { height: node.height(number), time: Timestamp(time) };
    Ok(Said { value, endpoint: status.endpoint })
}

#[cfg(test)]
mod tests {
    use axum::Json;
    use axum::routing::post;
    use relayer_core::id::ChainId;
    use serde_json::Value;

    use super::*;
    use crate::rpc::{EndpointSettings, RpcClient, RpcSettings};

    /// A node that stands at this height for ever.
    async fn standing(height: u64) -> EndpointSettings {
        let answer = move |call: &Value| {
            let result = match call["method"].as_str().unwrap() {
                "status" => json!({
                    "node_info": {"network": "made-1"},
                    "sync_info": {"latest_block_height": height.to_string(), "latest_block_time": "2026-01-01T00:00:00Z"},
                }),
                _ => json!({"response": {"last_block_height": height.to_string()}}),
            };
            json!({"jsonrpc": "2.0", "id": call["id"], "result": result})
        };
        let handler = move |Json(request): Json<Value>| async move {
            Json(match &request {
                Value::Array(calls) => calls.iter().map(answer).collect(),
                call => answer(call),
            })
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let app = axum::Router::new().route("/", post(handler));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        EndpointSettings::new(url)
    }

    #[tokio::test]
    async fn the_head_is_asked_of_another_endpoint_when_the_first_one_lags_behind() {
        let chain = ChainId::new("made-1").unwrap();
        let settings = RpcSettings::new("made-1", vec![standing(40).await, standing(100).await]);
        let node = Node::new(RpcClient::new(settings).unwrap(), chain);
        let heads = Heads::new(node.clone(), Duration::from_millis(20), None);
        assert_eq!(heads.next(node.height(0)).await.unwrap().height, node.height(40));
        assert_eq!(heads.next(node.height(40)).await.unwrap().height, node.height(100));
        assert_eq!(node.rpc().health()[0].quarantine.unwrap().0, "lags behind its peers");
    }
}
