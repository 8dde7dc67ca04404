//! A panic anywhere ends the program with its reason: a follower, feeder or submitter that died alone would leave its path silent for ever.
//!
//! Verification threads are the exception: a job that panics there is that job's error ([`crate::verify`]).

use std::panic::PanicHookInfo;
use std::sync::{Arc, OnceLock};

use relayer_core::error::Detail;
use tokio::sync::watch;

/// Where and why something panicked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panicked {
    /// Place in the source.
    pub place: String,
    /// The panic's text.
    pub why: Detail,
}

static SEEN: OnceLock<Arc<watch::Sender<Option<Panicked>>>> = OnceLock::new();

/// Watches for panics of the whole process from the first call on; `None` until there is one. The message goes to standard error as ever.
pub fn watch() -> watch::Receiver<Option<Panicked>> {
    let seen = SEEN.get_or_init(|| {
        let seen = Arc::new(watch::Sender::new(None));
        let (told, before) = (seen.clone(), std::panic::take_hook());
        std::panic::set_hook(Box::new(move |info| {
            before(info);
            let verifying = std::thread::current().name().is_some_and(|name| name.starts_with(crate::verify::THREADS));
            if !verifying {
                told.send_if_modified(|first| {
                    let new = first.is_none();
                    if new {
                        *first = Some(read(info));
                    }
                    new
                });
            }
        }));
        seen
    });
    seen.subscribe()
}

fn read(info: &PanicHookInfo<'_>) -> Panicked {
    let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    Panicked { place, why: Detail::new(info.payload_as_str().unwrap_or("no message")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_alone_is_seen_with_its_place() {
        let mut seen = watch();
        let task = tokio::spawn(async { panic!("out of luck") });
        let first = seen.wait_for(Option::is_some).await.unwrap().clone().unwrap();
        assert!(task.await.is_err());
        // Other tests of this process may panic on purpose before.
        assert!(first.place.contains(".rs:"), "{first:?}");
        assert!(!first.why.as_str().is_empty());
    }
}
