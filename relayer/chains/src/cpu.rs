//! The verification threads, as the adapters see them.

use std::fmt;
use std::sync::Arc;

/// Work of the verification threads.
pub type Job = Box<dyn FnOnce() + Send>;

/// Hands a job to a thread that may compute for milliseconds: the shell's verification pool.
///
/// A job that is dropped unrun makes the verification that needed it fail as unavailable.
#[derive(Clone)]
pub struct Cpu(Arc<dyn Fn(Job) + Send + Sync>);

impl Cpu {
    /// Through this function. It is called on I/O threads and must not block for long.
    pub fn new(run: impl Fn(Job) + Send + Sync + 'static) -> Self {
        Self(Arc::new(run))
    }
    /// On the caller's own thread: for tools that do one thing at a time.
    pub fn inline() -> Self {
        Self::new(|job| job())
    }
    /// Runs `work` there; `None` when the pool is gone.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (answer, result) = tokio::sync::oneshot::channel();
        (self.0)(Box::new(move || {
            // Nobody waits any more when this fails: the caller's future was dropped.
            drop(answer.send(work()));
        }));
        result.await.ok()
    }
}

impl fmt::Debug for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cpu")
    }
}
