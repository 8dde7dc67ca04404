//! Limits shared with other relayers: `[limits.redis]`.
//!
//! The relayer is a member from its start to its end. A Redis that is away stops nothing: within 50 ms the local share decides, the log
//! and `limiter_store_degraded` say so, and what is decided there again when it is back. Commands that do one thing and end are no
//! members. Spec: *Distributed budget* of the limiter page.

use std::sync::Arc;

use relayer_chains::rpc::RpcSettings;
use relayer_config::settings::Settings;
use tokio::task::JoinSet;

use crate::telemetry::metrics::Metrics;

#[cfg(feature = "redis")]
use self::redis::start;

/// What this relayer shares. Clones are the same member.
#[derive(Debug, Clone, Default)]
pub struct SharedLimits {
    #[cfg(feature = "redis")]
    rates: Option<relayer_chains::rpc::SharedRates>,
}

impl SharedLimits {
    /// Becomes a member if the configuration says so. The tasks are to be kept as long as calls are made.
    pub fn start(settings: &Settings, metrics: &Arc<Metrics>) -> miette::Result<(Self, JoinSet<()>)> {
        match &settings.shared {
            Some(shared) => start(shared, metrics.clone()),
            None => Ok((Self::default(), JoinSet::new())),
        }
    }

    /// A chain's endpoints are called within what is shared.
    pub fn hold(&self, rpc: &mut RpcSettings) {
        #[cfg(feature = "redis")]
        rpc.shared.clone_from(&self.rates);
        let _ = rpc;
    }
}

#[cfg(not(feature = "redis"))]
fn start(_: &relayer_config::settings::SharedLimits, _: Arc<Metrics>) -> miette::Result<(SharedLimits, JoinSet<()>)> {
    Err(miette::miette!(
        help = "build it with the feature `redis`, which it has by default, or remove the table",
        "`[limits.redis]` is configured, and this build has no Redis"
    ))
}

#[cfg(feature = "redis")]
mod redis {
    use std::sync::Arc;
    use std::time::Duration;

    use limiter::store::{Settings, SharedBudgets, Target};
    use miette::{IntoDiagnostic, WrapErr};
    use relayer_chains::rpc::SharedRates;
    use relayer_config::settings::{RedisKind, SharedLimits as Configured};
    use secrecy::{ExposeSecret, SecretString};
    use tokio::task::JoinSet;

    use super::SharedLimits;
    use crate::keys;
    use crate::telemetry::metrics::Metrics;

    /// How often the metrics are brought up to date.
    const LOOK: Duration = Duration::from_secs(1);

    pub(super) fn start(shared: &Configured, metrics: Arc<Metrics>) -> miette::Result<(SharedLimits, JoinSet<()>)> {
        let mut addresses: Vec<String> = shared.addresses.iter().map(|e| e.url().to_string()).collect();
        let target = match &shared.kind {
            RedisKind::Standalone => Target::Standalone(addresses.pop().unwrap_or_default()),
            RedisKind::Cluster => Target::Cluster(addresses),
            RedisKind::Sentinel { service, login_env } => {
                let login = login_env.as_ref().map(|variable| keys::from_env(variable.as_str())).transpose();
                let login = login.into_diagnostic().wrap_err("limits.redis.login_env")?;
                Target::Sentinel { addresses, service: service.clone(), login: login.as_ref().map(user_and_password) }
            }
        };
        // For rediss://. Fails when another part of the process chose a provider already, which is as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        let member = shared.member.clone().unwrap_or_else(|| format!("relayer-{}", uuid::Uuid::now_v7().simple()));
        let ca = shared.ca.as_ref().map(std::fs::read).transpose();
        let ca = ca.into_diagnostic().wrap_err_with(|| format!("limits.redis.ca: {:?}", shared.ca))?;
        let settings = Settings { redis_cell: shared.redis_cell, ca, ..Settings::new(target, &shared.domain, &member) };
        let (budgets, worker) = SharedBudgets::new(settings).into_diagnostic().wrap_err("limits.redis")?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { worker.run().await });
        tasks.spawn(log(budgets.clone()));
        tasks.spawn(look(budgets.clone(), metrics));
        Ok((SharedLimits { rates: Some(SharedRates::new(budgets, shared.leased)) }, tasks))
    }

    /// `password`, or `user:password`.
    fn user_and_password(login: &SecretString) -> (String, String) {
        let (user, password) = login.expose_secret().split_once(':').unwrap_or(("", login.expose_secret()));
        (user.to_owned(), password.to_owned())
    }

    async fn log(budgets: SharedBudgets) {
        let mut told = budgets.watch();
        // Not connected yet is no loss.
        let mut known = None;
        while told.changed().await.is_ok() {
            let status = told.borrow_and_update().clone();
            let new = (status.degraded, status.engine);
            if known.replace(new) == Some(new) {
                continue;
            }
            if status.degraded {
                let why = status.reason.unwrap_or_default();
                tracing::warn!(members = status.members, "Redis is away, the local share limits calls: {why}");
            } else {
                tracing::info!(
                    members = status.members,
                    counts = status.engine.label(),
                    "limits are shared over Redis"
                );
            }
        }
    }

    async fn look(budgets: SharedBudgets, metrics: Arc<Metrics>) {
        loop {
            let status = budgets.status();
            metrics.store(status.degraded, status.members, status.last_latency);
            tokio::time::sleep(LOOK).await;
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_login_is_a_password_or_a_user_and_one() {
            for (login, user, password) in
                [("s3cret", "", "s3cret"), ("relayer:s3:cret", "relayer", "s3:cret"), (":s3cret", "", "s3cret")]
            {
                let known = (user.to_owned(), password.to_owned());
                assert_eq!(user_and_password(&SecretString::from(login)), known);
            }
        }
    }
}
