//! Where rules come from: a watched file, an HTTP endpoint, etcd. Each feeds one [`Rules`].
//!
//! A set that is refused, a source that is away: the set in force stays, [`Health`] says so, the source is asked again with a
//! growing pause. A set that was ahead of this machine's clock is taken once the clock is right. The relayer's own file needs no source: [`RuleSet::from_toml`](super::RuleSet::from_toml).
//! A [`Feed`]'s `run` never ends by itself; its owner drops it.

mod etcd;
mod file;
mod http;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use thiserror::Error;
use tokio::sync::watch;

pub use etcd::Etcd;
pub use file::File;
pub use http::Http;

use super::check::RuleSet;
use super::error::RulesError;
use super::limits::{RETRY, RETRY_MAX};
use super::publish::{Applied, Changes, Rules};

/// A source.
#[derive(Debug)]
pub enum Source {
    /// A watched file.
    File(File),
    /// An HTTP endpoint.
    Http(Http),
    /// A key of an etcd.
    Etcd(Etcd),
}

/// How a source does, for metrics and logs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// Sets put in force.
    pub applied: u64,
    /// Sets that came again, or an older one.
    pub unchanged: u64,
    /// Sets refused.
    pub refused: u64,
    /// Times that the source could not be asked.
    pub failed: u64,
    /// The last trouble; gone with the next good answer.
    pub trouble: Option<String>,
    /// What the last set in force changed.
    pub changes: Changes,
}

/// Why a source gave no set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SourceError {
    /// Not readable, not reachable.
    #[error("{what}: {why}")]
    Away {
        /// Of what.
        what: &'static str,
        /// What was said, without secrets.
        why: String,
    },
    /// The server refuses.
    #[error("HTTP status {0}: check the address and its login")]
    Status(u16),
    /// More than is read.
    #[error("an answer of more than {0} bytes: split the rules")]
    TooLarge(usize),
    /// No such key or file.
    #[error("no rules there: {0}")]
    Missing(&'static str),
    /// Not what such a server says.
    #[error("not an answer of etcd: {0}")]
    Garbage(&'static str),
    /// The set itself.
    #[error(transparent)]
    Rules(#[from] RulesError),
}

/// Feeds one source's sets into the rules.
#[derive(Debug)]
pub struct Feed {
    source: Source,
    out: Out,
}

/// Where sets and troubles go.
#[derive(Debug)]
struct Out {
    rules: Rules,
    health: watch::Sender<Health>,
    /// The last set, if it is ahead of the clock: its source need not send it again.
    early: Mutex<Option<RuleSet>>,
    /// Milliseconds since 1970.
    wall: fn() -> u64,
    /// Quotas may be those of all members.
    sharing: bool,
}

impl Feed {
    /// For these rules; the receiver tells of each set and each trouble.
    pub fn new(source: Source, rules: Rules) -> (Self, watch::Receiver<Health>) {
        let (health, watched) = watch::channel(Health::default());
        (Self { source, out: Out { rules, health, early: Mutex::default(), wall: wall_ms, sharing: false } }, watched)
    }

    /// There is a store: sets may have quotas that are shared over it. Without, they are refused.
    #[must_use]
    pub fn sharing(mut self) -> Self {
        self.out.sharing = true;
        self
    }

    /// Until dropped.
    pub async fn run(self) {
        let Self { source, out } = self;
        let asked = async {
            match source {
                Source::File(file) => file.run(&out).await,
                Source::Http(http) => http.run(&out).await,
                Source::Etcd(etcd) => etcd.run(&out).await,
            }
        };
        tokio::select! {
            () = asked => {}
            () = out.look_again() => {}
        }
    }
}

impl Out {
    /// Reads and applies a text.
    fn take(&self, text: &[u8]) {
        // Whatever came of it, the source has no other set now.
        *self.early() = None;
        let kept = |set: RuleSet| if self.sharing { Ok(set) } else { set.alone().map(|()| set) };
        match RuleSet::from_text(text).and_then(kept) {
            Ok(set) => self.put(set),
            Err(error) => self.trouble(&error.into()),
        }
    }

    fn put(&self, set: RuleSet) {
        if let Err(error) = set.believable((self.wall)()) {
            *self.early() = Some(set);
            return self.trouble(&error.into());
        }
        let applied = self.rules.apply(set);
        self.health.send_modify(|health| {
            health.trouble = None;
            match applied {
                Applied::Changed(changes) => {
                    health.applied = health.applied.saturating_add(1);
                    health.changes = changes;
                }
                Applied::Same => health.unchanged = health.unchanged.saturating_add(1),
                Applied::Older => {
                    health.unchanged = health.unchanged.saturating_add(1);
                    health.trouble = Some("an older set than the one in force was not taken".into());
                }
            }
        });
    }

    /// Applies the set that was ahead of the clock, if it no longer is.
    fn due(&self) {
        let now = (self.wall)();
        let due = self.early().take_if(|set| set.believable(now).is_ok());
        if let Some(set) = due {
            self.put(set);
        }
    }

    async fn look_again(&self) {
        loop {
            tokio::time::sleep(RETRY_MAX).await;
            self.due();
        }
    }

    fn early(&self) -> MutexGuard<'_, Option<RuleSet>> {
        self.early.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self, error: &SourceError) {
        self.health.send_modify(|health| {
            let count = if matches!(error, SourceError::Rules(_)) { &mut health.refused } else { &mut health.failed };
            *count = count.saturating_add(1);
            health.trouble = Some(error.to_string());
        });
    }
}

/// Milliseconds since 1970.
fn wall_ms() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Pauses that double.
struct Pause(Duration);

impl Pause {
    fn new() -> Self {
        Self(RETRY)
    }
    fn reset(&mut self) {
        self.0 = RETRY;
    }
    async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = self.0.saturating_mul(2).min(RETRY_MAX);
    }
}

/// The root of an HTTP fault, without the address, which may hold a login.
fn why(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut root: &dyn std::error::Error = &error;
    while let Some(next) = root.source() {
        root = next;
    }
    root.to_string().chars().take(200).collect()
}

#[cfg(test)]
mod tests;
