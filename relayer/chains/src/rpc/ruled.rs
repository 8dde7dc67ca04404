//! Rules beyond an endpoint's own limits, asked for each request: by chain, channel, method and endpoint.
//!
//! Callers of one method on one channel stand in one line at an endpoint; the first waits until the rules agree, then joins the
//! endpoint's line, and takes what the rules give when it may leave. The first ones of all lines that one rule holds back take turns.
//! So what a rule holds back holds nobody else up, and channels go on alike however many packets one of them has. Requests that no rule names stand in no such line. A replaced set is felt
//! within [`RULE_LOOK`]. Clause: *Rules*, *fairness between channels* of the limiter page. Bounds: [`RULE_LINES`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
#[cfg(feature = "redis")]
use std::time::Duration;

use limiter::Time;
#[cfg(feature = "redis")]
use limiter::rules::enforce::SharedCharge;
use limiter::rules::enforce::{Ask, ComeBack, Enforcer, Part, Pass, Refusal, RuleView};
use limiter::rules::{RuleSet, Rules};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::client::Call;
use super::error::{RpcErrorKind, ThrottledBy};
use super::limited::Clock;
use super::limits::{RULE_LINES, RULE_LOOK, RULE_POLL};

/// The rules of all chains of a program. Clones share them.
#[derive(Debug, Clone)]
pub struct RuleGate {
    enforcer: Enforcer,
    clock: Clock,
}

impl RuleGate {
    /// Of these rules, and of those that are put into `rules` while calls are made.
    pub fn new(own: RuleSet, rules: Rules) -> Self {
        Self { enforcer: Enforcer::new(own, rules), clock: Clock::start() }
    }
    /// The set that may be replaced.
    pub fn rules(&self) -> &Rules {
        self.enforcer.rules()
    }
    /// The rules that calls have met, with their counters.
    pub fn view(&self) -> Vec<RuleView> {
        self.enforcer.view(self.clock.now())
    }
    /// Whether a rule needs [`Self::sample`].
    pub fn wants_samples(&self) -> bool {
        self.enforcer.wants_samples()
    }
    /// This machine now: load average and CPU use in thousandths, bytes of memory in use.
    pub fn sample(&self, load_milli: Option<u64>, cpu_milli: Option<u64>, memory: Option<u64>) {
        self.enforcer.sample(self.clock.now(), limiter::rules::enforce::Sample { load_milli, cpu_milli }, memory);
    }
}

/// The lines before the rules, of one chain.
#[derive(Debug, Default)]
pub(crate) struct Lines(Mutex<HashMap<Line, Arc<Semaphore>>>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Line {
    /// Of one method on one channel at an endpoint.
    Path(usize, &'static str, Option<Arc<str>>),
    /// Of those that a rule holds back, one of each path.
    Rule(Arc<str>),
}

/// The first of those that a rule holds back.
#[derive(Debug)]
pub(crate) struct Turn {
    rule: Arc<str>,
    _place: OwnedSemaphorePermit,
}

impl Lines {
    fn of(&self, line: Line) -> Arc<Semaphore> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= RULE_LINES {
            lines.retain(|_, line| Arc::strong_count(line) > 1);
        }
        lines.entry(line).or_insert_with(|| Arc::new(Semaphore::new(1))).clone()
    }
}

/// One request before the rules.
pub(crate) struct Ruled<'a> {
    pub(crate) gate: &'a RuleGate,
    pub(crate) lines: &'a Lines,
    pub(crate) chain: &'a str,
    pub(crate) endpoint: &'a str,
    pub(crate) index: usize,
    pub(crate) broadcast: bool,
    pub(crate) calls: &'a [&'a Call],
}

impl Ruled<'_> {
    fn now(&self) -> Time {
        self.gate.clock.now()
    }

    fn asking<T>(&self, f: impl FnOnce(&Ask<'_>) -> T) -> T {
        let mut parts: Vec<Part<'_>> = Vec::new();
        for call in self.calls {
            let channel = call.channel.as_deref().unwrap_or_default();
            match parts.iter_mut().find(|part| part.method == call.method && part.channel == channel) {
                Some(part) => part.n = part.n.saturating_add(call.weight),
                None => parts.push(Part { method: call.method, channel, n: call.weight }),
            }
        }
        f(&Ask { chain: self.chain, endpoint: self.endpoint, broadcast: self.broadcast, parts: &parts })
    }

    /// Does any rule name this request?
    pub(crate) fn is_named(&self) -> bool {
        self.asking(|ask| self.gate.enforcer.names(self.now(), ask))
    }

    /// The request's place in its line, at its front.
    pub(crate) async fn front(&self, patience: Instant) -> Result<Option<OwnedSemaphorePermit>, RpcErrorKind> {
        // A request of several methods, or channels, has a line of its own kind.
        let method = super::retry::method(self.calls);
        let channel = self.calls.first().and_then(|call| call.channel.clone());
        let channel = channel.filter(|channel| self.calls.iter().all(|call| call.channel.as_ref() == Some(channel)));
        let line = self.lines.of(Line::Path(self.index, method, channel));
        match timeout_at(patience, line.acquire_owned()).await {
            Ok(place) => Ok(place.ok()),
            Err(_) => match self.asking(|ask| self.gate.enforcer.peek(self.now(), ask)) {
                Some(refusal) => Err(self.refused(&refusal)),
                // The line was long, and the rules have nothing against its last: ask at once.
                None => Ok(None),
            },
        }
    }

    /// Waits until the rules have nothing against this request, not past `patience`. Those that one rule holds back take turns, one of
    /// each line at a time: what comes back is the turn, to be kept until the rules have given. A rule may end the wait that began at
    /// `since` earlier.
    pub(crate) async fn ready(&self, since: Instant, patience: Instant) -> Result<Option<Turn>, RpcErrorKind> {
        let mut turn: Option<Turn> = None;
        loop {
            let now = self.now();
            let Some(refusal) = self.asking(|ask| self.gate.enforcer.peek(now, ask)) else { return Ok(turn) };
            let wait = match refusal.come_back {
                ComeBack::At(at) => at.since(now),
                ComeBack::WhenOneEnds | ComeBack::WhenSampled => RULE_POLL,
                ComeBack::Never => return Err(self.refused(&refusal)),
            };
            if turn.is_none() {
                self.asking(|ask| self.gate.enforcer.held(now, ask));
            }
            let patience = refusal.longest_wait.map_or(patience, |longest| patience.min(since + longest));
            if Instant::now() + wait > patience {
                return Err(self.refused(&refusal));
            }
            if turn.as_ref().is_none_or(|turn| turn.rule != refusal.rule) {
                // One turn at a time: two that wait for each other's would wait for ever.
                drop(turn.take());
                let line = self.lines.of(Line::Rule(refusal.rule.clone()));
                match timeout_at(patience, line.acquire_owned()).await {
                    Ok(Ok(place)) => turn = Some(Turn { rule: refusal.rule, _place: place }),
                    _ => return Err(self.refused(&refusal)),
                }
                continue;
            }
            // The set may be replaced meanwhile.
            sleep_until(Instant::now() + wait.min(RULE_LOOK)).await;
        }
    }

    /// Takes what the rules give; `None`: others were quicker.
    pub(crate) fn take(&self) -> Option<Pass> {
        self.asking(|ask| self.gate.enforcer.ask(self.now(), ask)).ok()
    }

    /// The store refused what this quota of all members wants: its calls wait as for any rule.
    #[cfg(feature = "redis")]
    pub(crate) fn hold(&self, quota: &SharedCharge, after: Duration) {
        self.gate.enforcer.refused(quota, self.now().after(after));
    }

    pub(crate) fn finish(&self, pass: Pass, sound: bool) {
        pass.finish(self.now(), sound);
    }

    fn refused(&self, refusal: &Refusal) -> RpcErrorKind {
        let by =
            ThrottledBy::Rule { rule: refusal.rule.clone(), kind: refusal.kind, limit_milli: refusal.threshold_milli };
        let retry_after = match refusal.come_back {
            ComeBack::At(at) => Some(at.since(self.now())),
            ComeBack::WhenOneEnds | ComeBack::WhenSampled => Some(RULE_POLL),
            ComeBack::Never => None,
        };
        RpcErrorKind::Throttled { by, retry_after }
    }
}

/// The most calls of this method that the rules ever let into one request.
pub(crate) fn most(gate: &RuleGate, chain: &str, endpoint: &str, broadcast: bool, call: &Call) -> u64 {
    let part = Part { method: call.method, channel: call.channel.as_deref().unwrap_or_default(), n: 1 };
    gate.enforcer.most(gate.clock.now(), chain, endpoint, broadcast, &part)
}
