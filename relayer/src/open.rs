//! From a chain's settings to its adapter: endpoints, limits, trust, key.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use miette::{Diagnostic, IntoDiagnostic, WrapErr, miette};
use relayer_chains::cosmos::tx::{Key, Price, PriceSource, WalletSettings};
use relayer_chains::cosmos::{CosmosChain, CosmosConfig};
use relayer_chains::rpc::{EndpointSettings, EndpointUrl, RpcSettings, RuleGate};
use relayer_chains::substrate::{self, SubstrateChain, SubstrateConfig};
use relayer_chains::{AnyChain, Cpu, Trust};
use relayer_config::settings::{Chain, Cosmos, Endpoint, Family, Settings, Substrate};
use relayer_core::id::ChainId;
use secrecy::SecretString;
use thiserror::Error;

use crate::journal::Journal;
use crate::keys::{self, Keystore};
use crate::limits;
use crate::shared::SharedLimits;
use crate::telemetry::metrics::Metrics;
use crate::verify::Pool;

/// Why a chain can't be opened.
#[derive(Debug, Error, Diagnostic)]
pub enum OpenError {
    /// No such chain.
    #[error("chain `{0}` is not configured")]
    #[diagnostic(help("add a [[chains]] entry with `id = \"{0}\"`, or correct the id"))]
    Unknown(ChainId),
    /// Its key.
    #[error("chain {chain}: the key `{key}` can't be used")]
    #[diagnostic(help("{help}"))]
    Key {
        /// Chain.
        chain: ChainId,
        /// Key name.
        key: String,
        /// What to do.
        help: String,
        /// Why.
        #[source]
        why: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Opens adapters; what they share comes from the program.
pub struct Opener {
    journal: Option<Journal>,
    metrics: Option<Arc<Metrics>>,
    pool: Option<Pool>,
    rules: Option<RuleGate>,
    shared: SharedLimits,
}

impl Opener {
    /// For the running relayer: trust from the journal, calls counted, verification on the pool.
    pub fn new(journal: Journal, metrics: Arc<Metrics>, pool: Pool) -> Self {
        Self {
            journal: Some(journal),
            metrics: Some(metrics),
            pool: Some(pool),
            rules: None,
            shared: SharedLimits::default(),
        }
    }

    /// With rules that change while it runs.
    #[must_use]
    pub fn with_rules(self, rules: RuleGate) -> Self {
        Self { rules: Some(rules), ..self }
    }

    /// With limits that other relayers share.
    #[must_use]
    pub fn with_shared(self, shared: SharedLimits) -> Self {
        Self { shared, ..self }
    }

    /// For commands that do one thing and end.
    pub fn plain() -> Self {
        Self { journal: None, metrics: None, pool: None, rules: None, shared: SharedLimits::default() }
    }

    /// A chain with its wallet.
    pub async fn open(&self, settings: &Settings, id: &ChainId) -> miette::Result<Arc<AnyChain>> {
        let chain = settings.chain(id).ok_or_else(|| OpenError::Unknown(id.clone()))?;
        let secret = load_secret(settings, chain)?;
        self.with_secret(settings, chain, Some(&secret)).await
    }

    /// A chain to read from only: no key is needed.
    pub async fn open_without_key(&self, settings: &Settings, id: &ChainId) -> miette::Result<Arc<AnyChain>> {
        let chain = settings.chain(id).ok_or_else(|| OpenError::Unknown(id.clone()))?;
        self.with_secret(settings, chain, None).await
    }

    /// A chain with another key than the configured one.
    pub async fn open_with_key(
        &self,
        settings: &Settings,
        id: &ChainId,
        secret: &SecretString,
    ) -> miette::Result<Arc<AnyChain>> {
        let chain = settings.chain(id).ok_or_else(|| OpenError::Unknown(id.clone()))?;
        self.with_secret(settings, chain, Some(secret)).await
    }

    async fn with_secret(
        &self,
        settings: &Settings,
        chain: &Chain,
        secret: Option<&SecretString>,
    ) -> miette::Result<Arc<AnyChain>> {
        let rpc = self.rpc(settings, chain)?;
        let stream = EndpointUrl::try_from(chain.ws.url().clone());
        let stream = stream.map_err(|why| miette!("chain {}: `{}`: {why}", chain.id, chain.ws))?;
        let trust = self.trust(chain).await;
        let opened = match &chain.family {
            Family::Cosmos(cosmos) => {
                let mut config = CosmosConfig::new(chain.id.clone(), cosmos.account_prefix.as_str(), rpc);
                config.store_prefix = chain.store_prefix.as_str().as_bytes().to_vec();
                config.stream = Some(stream);
                config.trust = trust;
                config.trust_threshold = (cosmos.trust_threshold.numerator, cosmos.trust_threshold.denominator);
                config.trusting_period = chain.client.trusting_period;
                config.clock_drift = chain.client.max_clock_drift;
                let key = secret.map(|secret| Key::from_secret(secret, cosmos.coin_type, 0)).transpose();
                let wallet = key.map_err(|why| broken_key(chain, why.into()))?.map(|key| (key, wallet(chain, cosmos)));
                CosmosChain::new(config, wallet, self.cpu(chain, "tendermint")).map(AnyChain::from).into_diagnostic()
            }
            Family::Substrate(own) => {
                let mut config = SubstrateConfig::new(chain.id.clone(), own.ss58_prefix, rpc);
                config.store_prefix = chain.store_prefix.as_str().as_bytes().to_vec();
                config.stream = Some(stream);
                config.trust = trust;
                config.trusting_period = chain.client.trusting_period.unwrap_or(config.trusting_period);
                config.clock_drift = whole_seconds(chain.client.max_clock_drift);
                config.checksum = own.checksum;
                let key = secret.map(substrate::tx::Key::from_secret).transpose();
                let wallet = key.map_err(|why| broken_key(chain, why.into()))?.map(|key| (key, purse(chain, own)));
                SubstrateChain::new(config, wallet, self.cpu(chain, "grandpa")).map(AnyChain::from).into_diagnostic()
            }
        };
        Ok(Arc::new(opened.wrap_err_with(|| format!("chain {}", chain.id))?))
    }

    /// The verification pool, for headers of one chain.
    fn cpu(&self, chain: &Chain, protocol: &'static str) -> Cpu {
        let Some(pool) = self.pool.clone() else { return Cpu::inline() };
        let client: Arc<str> = chain.id.as_str().into();
        Cpu::new(move |job| {
            let (pool, client) = (pool.clone(), client.clone());
            tokio::spawn(async move {
                if let Err(error) = pool.run(protocol, 1_000, &client, job).await {
                    tracing::debug!("verification: {error}");
                }
            });
        })
    }

    fn rpc(&self, program: &Settings, chain: &Chain) -> miette::Result<RpcSettings> {
        let endpoint = |e: &Endpoint, archive| -> miette::Result<EndpointSettings> {
            let url =
                EndpointUrl::try_from(e.url().clone()).map_err(|why| miette!("chain {}: `{e}`: {why}", chain.id))?;
            let mut settings = EndpointSettings::new(url);
            settings.archive = archive;
            settings.limiter.rate_per_second = u64::from(chain.limits.requests_per_second);
            settings.limiter.burst = u64::from(chain.limits.burst);
            settings.limiter.in_flight = chain.limits.in_flight;
            if let Some(own) = chain.narrow.endpoints.iter().find(|own| own.rpc == *e) {
                settings.limiter.rate_per_second = u64::from(own.rate.requests_per_second);
                settings.limiter.burst = u64::from(own.rate.burst);
                settings.limiter.in_flight = own.in_flight;
            }
            // The only node of a chain is asked again soon: nothing else could take its place meanwhile.
            if chain.rpc.len() == 1 {
                settings.limiter.breaker.open_max = limits::ONLY_NODE_OPEN;
            }
            Ok(settings)
        };
        let mut endpoints = Vec::new();
        for e in &chain.rpc {
            endpoints.push(endpoint(e, false)?);
        }
        if let Some(e) = &chain.archive_rpc {
            endpoints.push(endpoint(e, true)?);
        }
        let mut rpc = RpcSettings::new(chain.id.as_str(), endpoints);
        rpc.rules = Some(match &self.rules {
            Some(rules) => rules.clone(),
            None => crate::rules::gate(program)?,
        });
        self.shared.hold(&mut rpc);
        let dear = chain.narrow.methods.iter().filter(|limit| limit.weight > 1);
        rpc.weights = dear.map(|limit| (limit.method.as_str().into(), limit.weight)).collect();
        rpc.timeout = chain.limits.request_timeout;
        rpc.attempts = usize::try_from(chain.limits.retry_attempts).unwrap_or(0).saturating_add(1);
        rpc.body_bytes = chain.limits.max_response_bytes;
        rpc.observer = self.metrics.clone().map(|metrics| -> relayer_chains::rpc::Observer {
            Arc::new(move |r| {
                metrics.rpc_request(&r.chain, r.method, &r.endpoint, r.status, r.calls);
                // The loss of an event stream is reported as a request without calls, which waits for nothing.
                if r.calls > 0 {
                    metrics.limiter_waited(&r.chain, &r.endpoint, r.waited);
                }
            })
        });
        Ok(rpc)
    }

    /// The operator's word first, then what an earlier run verified (also when the operator's header has grown too old), then the first
    /// header met.
    async fn trust(&self, chain: &Chain) -> Trust {
        let stored = match &self.journal {
            Some(journal) => journal.trust(&chain.id).await.unwrap_or_else(|error| {
                tracing::warn!(chain = %chain.id, "trusted header not read: {error}");
                None
            }),
            None => None,
        };
        match (stored, chain.trusted) {
            (later, Some(t)) => Trust::Configured { height: t.height, hash: t.hash, later },
            (Some(state), None) => Trust::Stored(state),
            (None, None) => Trust::FirstUse,
        }
    }
}

fn load_secret(settings: &Settings, chain: &Chain) -> miette::Result<SecretString> {
    let keystore = Keystore::new(settings.store.keys());
    let ask = |name: &str| {
        if !io::stdin().is_terminal() {
            return Err(io::Error::other("no terminal to ask for the passphrase; set `passphrase_env`"));
        }
        rpassword::prompt_password(format!("Passphrase of key {}/{name}: ", chain.id)).map(SecretString::from)
    };
    let secret = keys::secret(&keystore, &chain.id, chain.key.name.as_str(), &chain.key.source, ask);
    Ok(secret.map_err(|why| broken_key(chain, why.into()))?)
}

fn broken_key(chain: &Chain, why: Box<dyn std::error::Error + Send + Sync>) -> OpenError {
    let help = format!(
        "`relayer keys add {0}` stores a key; `key = {{ name = \"...\", source = \"env\", env = \"VARIABLE\" }}` takes it from a variable",
        chain.id
    );
    OpenError::Key { chain: chain.id.clone(), key: chain.key.name.as_str().to_owned(), help, why }
}

/// Clients on chain count drift in seconds; a fraction of one more is one more.
fn whole_seconds(span: Duration) -> Duration {
    Duration::from_secs(span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0)))
}

/// How a Cosmos wallet pays.
fn wallet(chain: &Chain, cosmos: &Cosmos) -> WalletSettings {
    let gas = &cosmos.gas;
    let price = Price {
        numerator: gas.price.numerator,
        denominator: gas.price.denominator,
        denom: gas.price.denom.as_str().to_owned(),
    };
    WalletSettings {
        gas_multiplier: gas.multiplier.thousandths(),
        max_gas: gas.max_per_tx,
        gas_per_message: gas.default_per_message,
        max_fee: gas.max_fee.as_ref().map(|c| c.amount),
        fee_granter: gas.fee_granter.clone(),
        memo_prefix: gas.memo_prefix.clone(),
        timeout_blocks: chain.tx_timeout_blocks,
        max_tx_bytes: chain.max_tx_bytes,
        ..WalletSettings::new(cosmos.account_prefix.as_str(), PriceSource::Static(price))
    }
}

/// How a Substrate wallet pays.
fn purse(chain: &Chain, own: &Substrate) -> substrate::tx::WalletSettings {
    substrate::tx::WalletSettings {
        tip: own.tip.amount,
        max_fee: own.max_fee.as_ref().map(|coin| coin.amount),
        timeout_blocks: chain.tx_timeout_blocks,
        max_tx_bytes: chain.max_tx_bytes,
        ..substrate::tx::WalletSettings::new(own.tip.denom.as_str())
    }
}

/// The address of a secret on a chain.
pub(crate) fn address_of(chain: &Chain, secret: &SecretString) -> miette::Result<String> {
    match &chain.family {
        Family::Cosmos(cosmos) => {
            let key = Key::from_secret(secret, cosmos.coin_type, 0).into_diagnostic()?;
            key.address(cosmos.account_prefix.as_str()).into_diagnostic()
        }
        Family::Substrate(own) => {
            let key = substrate::tx::Key::from_secret(secret).into_diagnostic()?;
            key.address(own.ss58_prefix).into_diagnostic()
        }
    }
}

#[cfg(test)]
mod tests {
    use relayer_core::chain::Chain as _;
    use relayer_core::id::Height;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_event_stream_is_the_one_that_the_file_names() {
        let stream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let text = include_str!("../../config/examples/minimal.toml");
        let mut settings = relayer_config::parse(text, "relayer.toml").unwrap();
        let address = format!("ws://{}/websocket", stream.local_addr().unwrap());
        settings.chains[0].ws = relayer_config::settings::Endpoint::ws(&address).unwrap();
        let id = settings.chains[0].id.clone();
        let chain = Opener::plain().open_without_key(&settings, &id).await.unwrap();
        // Nobody listens at `rpc`: asking fails again and again, beside the stream.
        let asking = async {
            loop {
                chain.next_head(Height::default()).await.ok();
            }
        };
        tokio::select! {
            () = asking => {}
            connected = stream.accept() => drop(connected.unwrap()),
        }
    }
}
