//! What the whole program shares: journal, metrics, traces, verification threads.

use std::path::Path;
use std::sync::Arc;

use miette::{IntoDiagnostic, WrapErr};
use relayer_config::settings::Settings;

use crate::journal::Journal;
use crate::telemetry::metrics::Metrics;
use crate::verify::Pool;

/// See the module.
#[derive(Clone)]
pub struct Program {
    /// Journal.
    pub journal: Journal,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Verification threads.
    pub pool: Pool,
}

impl Program {
    /// Opens the journal (one relayer per store) and starts the threads.
    pub fn open(settings: &Settings) -> miette::Result<Self> {
        let metrics = Arc::new(Metrics::new().into_diagnostic()?);
        let opened = Journal::open(Path::new(&settings.store.dir)).into_diagnostic()?;
        if opened.recovered {
            tracing::warn!("the journal was damaged and has been set aside; open packets are read from the chains");
        }
        let cpus = std::thread::available_parallelism().map_or(2, usize::from);
        let workers = settings.global.workers(cpus);
        let pool = Pool::new(workers, metrics.clone()).into_diagnostic().wrap_err("verification threads")?;
        Ok(Self { journal: opened.journal, metrics, pool })
    }

    /// Ends the threads and the journal.
    pub async fn close(self) {
        self.pool.close().await;
        self.journal.close().await;
    }
}
