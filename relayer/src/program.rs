//! What the whole program shares: journal, metrics, traces, verification threads.

use std::path::Path;
use std::sync::Arc;

use miette::{IntoDiagnostic, WrapErr};
use relayer_config::settings::Settings;

use crate::journal::Journal;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace::{TraceSettings, Tracer};
use crate::verify::Pool;

/// See the module.
#[derive(Clone)]
pub struct Program {
    /// Journal.
    pub journal: Journal,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Traces.
    pub tracer: Tracer,
    /// Verification threads.
    pub pool: Pool,
}

impl Program {
    /// Opens the journal (one relayer per store) and starts the threads.
    pub fn open(settings: &Settings) -> miette::Result<Self> {
        let metrics = Arc::new(Metrics::new().into_diagnostic()?);
        metrics.started(crate::path::unix_ns() as f64 / 1e9);
        let opened = Journal::open(Path::new(&settings.store.dir)).into_diagnostic()?;
        if opened.recovered {
            tracing::warn!("the journal was damaged and has been set aside; open packets are read from the chains");
        }
        let cpus = std::thread::available_parallelism().map_or(2, usize::from);
        let workers = settings.global.workers(cpus);
        let pool = Pool::new(workers, metrics.clone()).into_diagnostic().wrap_err("verification threads")?;
        let tracer = match &settings.telemetry.otlp_endpoint {
            None => Tracer::off(),
            Some(endpoint) => {
                let settings = TraceSettings {
                    endpoint: endpoint.url().clone(),
                    sample_ratio: settings.telemetry.sample_ratio,
                    service_name: settings.telemetry.service_name.clone(),
                };
                Tracer::start(&settings, metrics.clone()).into_diagnostic()?
            }
        };
        Ok(Self { journal: opened.journal, metrics, tracer, pool })
    }

    /// Ends the threads and the journal.
    pub async fn close(self) {
        self.tracer.close().await;
        self.pool.close().await;
        self.journal.close().await;
    }
}
