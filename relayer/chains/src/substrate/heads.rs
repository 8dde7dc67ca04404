//! The newest block that clients can be brought to: the head, for all that is based on it.
//!
//! A finalized block without a justification proves nothing to a client, so the head is the newest block that is justified
//! ([`super::finality`]). One owned task follows it: the stream of justifications hands them over as rounds end; a poll beside it, slow
//! while the stream speaks, asks for the node's proof of the finalized head and is the watchdog of a stream that stalls. For most blocks the
//! stream is the only source, so it moves on to the next endpoint when one's breaks, stays behind what is final elsewhere, or lies. What it says is
//! not believed: whatever is based on a head verifies its justification first. The published head never goes back, unless it is refuted.
//! Errors are told to those who were waiting when they happened. Where there are several endpoints, the others' heights are compared now and then.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use relayer_core::error::{ChainError, ChainErrorKind};
use relayer_core::fact::Head;
use relayer_core::id::Height;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::finality::{self, Justified, Shown};
use super::limits::{COMPARE_POLLS, POLL_WATCHDOG, QUARANTINE_CATCHING_UP, STREAM_BEHIND, STREAM_BYTES};
use super::node::{Node, Said};
use super::streams::{Stream, Streams};
use super::wire::{self, Header, Health};
use crate::rpc::{EndpointId, SetupError, Wake, WakeSettings, wake_stream};

/// What nodes keep no proof of can be handed over only while it happens.
const NO_PROOF: &str = "no node proves a finalized block: before the first change of authorities they hand justifications over by WebSocket only, as \
                        blocks become final; see that it is reachable, and that the chain finalizes";

#[derive(Debug, Clone, Default)]
struct News {
    head: Option<Head>,
    /// Who showed it.
    by: Option<EndpointId>,
    /// Counts failures, so that a waiter knows one of its own time.
    failures: u64,
    error: Option<ChainError>,
}

/// The head of one chain, shared.
#[derive(Debug)]
pub(crate) struct Heads {
    node: Node,
    justified: Arc<Justified>,
    poll: Duration,
    streams: Streams,
    news: watch::Sender<News>,
    task: Mutex<Option<JoinHandle<()>>>,
    stop: CancellationToken,
}

/// What the task works on.
#[derive(Clone)]
struct Following {
    node: Node,
    justified: Arc<Justified>,
    news: watch::Sender<News>,
    poll: Duration,
}

impl Heads {
    pub(crate) fn new(node: Node, justified: Arc<Justified>, poll: Duration, streams: Streams) -> Self {
        let news = watch::Sender::new(News::default());
        Self { node, justified, poll, streams, news, task: Mutex::new(None), stop: CancellationToken::new() }
    }

    /// The highest head seen, without asking.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.news.borrow().head.map(|head| head.height.number)
    }

    /// The newest one known, or the first there is.
    pub(crate) async fn head(&self) -> Result<Head, ChainError> {
        self.following().ask().await?;
        let known = self.news.borrow().head;
        match known {
            Some(head) => {
                self.follow();
                Ok(head)
            }
            None => self.next(Height::default()).await,
        }
    }

    /// Forgets a head that turned out not to exist; who showed it.
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
        if let (Some(by), Ok(number)) = (&liar, u32::try_from(height.number)) {
            self.justified.refute(number, by);
        }
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

    fn following(&self) -> Following {
        let (node, justified) = (self.node.clone(), self.justified.clone());
        Following { node, justified, news: self.news.clone(), poll: self.poll }
    }

    /// Starts the task that follows the head, once; it ends with this value.
    fn follow(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let span = tracing::info_span!("heads", chain = %self.node.chain());
        let (following, comparing) = (self.following(), self.following());
        let (streams, stop) = (self.streams.clone(), self.stop.clone());
        let run = async move {
            tokio::select! {
                () = following.follow(streams, &stop) => {}
                () = comparing.compare() => {}
                () = stop.cancelled() => {}
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

impl Following {
    /// Follows one stream after the other; polls only where there is none. Ends never.
    async fn follow(&self, mut streams: Streams, stop: &CancellationToken) {
        while let Some(stream) = streams.next(self.node.rpc()) {
            let child = stop.child_token();
            match self.subscribe(&stream, &child) {
                Ok((socket, wakes)) => tokio::select! {
                    // The socket's task only ends when it can't go on.
                    () = socket => {}
                    () = self.run(Some((&stream, wakes)), &streams) => {}
                },
                Err(error) => tracing::warn!(%error, endpoint = %stream.endpoint, "no stream of justifications"),
            }
            child.cancel();
            tokio::time::sleep(self.poll).await;
        }
        self.run(None, &streams).await;
    }

    fn subscribe(
        &self,
        stream: &Stream,
        stop: &CancellationToken,
    ) -> Result<(impl Future<Output = ()> + Send + 'static, mpsc::Receiver<Wake>), SetupError> {
        // Rounds take some block times; a stream silent for longer is opened again, the watchdog polls meanwhile.
        let silence = (self.poll * 60).max(Duration::from_secs(60));
        let settings = WakeSettings::justifications(stream.url.websocket_here(), silence, STREAM_BYTES);
        wake_stream(WakeSettings { paced_by: Some(self.node.rpc().clone()), ..settings }, stop.clone())
    }

    /// Until the stream is to be opened anew, or another one: where there are others, that is when it breaks or its endpoint rests.
    async fn run(&self, stream: Option<(&Stream, mpsc::Receiver<Wake>)>, streams: &Streams) {
        let (stream, mut wakes) = stream.unzip();
        let outdone = |stream: &Stream| streams.is_outdone(stream, self.node.rpc());
        let lost = |why| {
            if let Some(stream) = stream {
                self.node.rpc().stream_lost(&stream.endpoint, why);
            }
        };
        let (mut live, mut behind) = (false, None::<Instant>);
        loop {
            match self.ask().await {
                Ok(true) => behind = behind.or_else(|| Some(Instant::now())),
                Ok(false) => behind = None,
                Err(error) => self.told(Err(error)),
            }
            let late = behind.is_some_and(|since| since.elapsed() > STREAM_BEHIND);
            if late && self.news.borrow().head.is_none() {
                self.told(Err(self.node.error(ChainErrorKind::Unavailable, NO_PROOF)));
            }
            if let Some(stream) = stream.filter(|stream| late || outdone(stream)) {
                if late {
                    tracing::warn!(endpoint = %stream.endpoint, "the stream of justifications stays behind what is final: it is opened anew");
                    lost("behind");
                }
                return;
            }
            let pause = tokio::time::sleep(if live { POLL_WATCHDOG.max(self.poll) } else { self.poll });
            tokio::pin!(pause);
            // The stream's news are taken as they come, the poll keeps its own pace.
            loop {
                let wake = async {
                    match &mut wakes {
                        Some(wakes) => wakes.recv().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = &mut pause => break,
                    wake = wake => match (wake, stream) {
                        (Some(Wake::Block(_)), Some(stream)) if outdone(stream) => return,
                        (Some(Wake::Block(told)), Some(stream)) => {
                            live = true;
                            let before = self.justified.newest();
                            self.told(self.notified(told.get(), &stream.endpoint).await);
                            // What it said before, or of blocks that nobody has, is no news.
                            if self.justified.newest() > before {
                                behind = None;
                            }
                        }
                        (Some(Wake::Suspect(why)), _) => {
                            live = false;
                            lost(why);
                            if streams.has_others() {
                                return;
                            }
                            break;
                        }
                        (Some(Wake::Reconnected | Wake::Block(_)), _) => break,
                        (None, _) => return,
                    },
                }
            }
        }
    }

    fn told(&self, asked: Result<(), ChainError>) {
        if let Err(error) = asked {
            tracing::debug!(%error, "the head could not be read");
            self.news.send_modify(|news| {
                news.failures = news.failures.wrapping_add(1);
                news.error = Some(error);
            });
        }
    }

    /// A justification of an endpoint's stream.
    async fn notified(&self, json: &str, endpoint: &EndpointId) -> Result<(), ChainError> {
        match finality::notified(json, endpoint.clone()) {
            Some(shown) => self.publish(shown).await,
            None => Err(self.node.malformed(endpoint, "justification of the stream")),
        }
    }

    /// Asks for the finalized head and, if it is news, for its proof. True if nobody has that.
    async fn ask(&self) -> Result<bool, ChainError> {
        let finalized = finalized(&self.node).await?;
        self.node.rpc().saw_height(&finalized.endpoint, finalized.value.into());
        if self.justified.newest().is_some_and(|newest| newest >= finalized.value) {
            return Ok(false);
        }
        match finality::prove(&self.node, finalized.value).await? {
            Some(shown) => self.publish(shown).await.map(|()| false),
            None => Ok(true),
        }
    }

    async fn publish(&self, shown: Shown) -> Result<(), ChainError> {
        let height = self.node.height(shown.number);
        let by = shown.by.clone();
        let known = self.news.borrow().head.is_some_and(|known| known.height >= height);
        if known {
            self.justified.put(shown);
            return Ok(());
        }
        // What stands for a block that nobody has is not kept: it would look like the newest for ever.
        let time = match self.node.patient(|| self.node.time(&shown.hash)).await {
            Err(ChainError { kind: ChainErrorKind::NotYet(_), .. }) if self.is_unknown_to(&shown).await => {
                return Err(self.node.lying(&shown.by, "unknown_block", format!("a justification of block {height}")));
            }
            said => said?.value,
        };
        self.justified.put(shown);
        self.news.send_if_modified(|news| {
            let newer = news.head.is_none_or(|known| known.height < height);
            if newer {
                news.head = Some(Head { height, time });
                news.by = Some(by);
                news.error = None;
            }
            newer
        });
        Ok(())
    }

    /// Whether who showed it has no such block, either.
    async fn is_unknown_to(&self, shown: &Shown) -> bool {
        let asked = self.node.only(&shown.by).time(&shown.hash).await;
        matches!(asked, Err(ChainError { kind: ChainErrorKind::NotYet(_), .. }))
    }

    /// Asks the endpoints that do not show the head how far they are, for ever.
    async fn compare(&self) {
        let every = self.poll * COMPARE_POLLS;
        loop {
            tokio::time::sleep(every).await;
            let asked = self.news.borrow().by.clone();
            let peers = self.node.rpc().health().into_iter().filter(|e| !e.archive && e.quarantine.is_none());
            for peer in peers.map(|e| e.id).filter(|id| Some(id) != asked.as_ref()) {
                if let Ok(said) = finalized(&self.node.only(&peer)).await {
                    self.node.rpc().saw_height(&said.endpoint, said.value.into());
                }
            }
        }
    }
}

/// The number of the finalized head of a node that has caught up. Others rest.
async fn finalized(node: &Node) -> Result<Said<u32>, ChainError> {
    let calls = vec![node.call_of("system_health", ())?, node.call_of("chain_getFinalizedHead", ())?];
    let mut answers = node.batch(calls).await?.into_iter();
    let missing = || Err(node.error(ChainErrorKind::Malformed, "chain_getFinalizedHead"));
    let health: Said<Health> = node.decode(&answers.next().unwrap_or_else(missing)?, "system_health")?;
    if health.value.is_syncing {
        node.rpc().quarantine(&health.endpoint, "catching_up", QUARANTINE_CATCHING_UP);
        let detail = format!("{} is catching up", health.endpoint);
        return Err(node.error(ChainErrorKind::Unavailable, detail));
    }
    let hash: Said<String> = node.decode(&answers.next().unwrap_or_else(missing)?, "chain_getFinalizedHead")?;
    let same = node.only(&hash.endpoint);
    let header: Said<Header> = same.must("chain_getHeader", (&hash.value,)).await?;
    let number = wire::hash(&hash.value)
        .and_then(|hash| header.value.checked(&hash))
        .map(|(_, header)| header.number)
        .ok_or_else(|| node.malformed(&header.endpoint, "finalized head"))?;
    Ok(Said { value: number, endpoint: header.endpoint })
}
