//! The connection to the store: one server, whom a Sentinel names master, or a cluster.
//!
//! One connection is enough: commands of all tasks are pipelined on it, and decisions travel in batches. A connection that fails is
//! dropped and made anew (a pool of many would only hide that). Redirects of a cluster are followed by the client library; a
//! Sentinel's word is taken again at each reconnect and every 30 s.

use std::fmt;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelNodeConnectionInfo, SentinelServerType};
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, IntoConnectionInfo, RedisConnectionInfo, RedisError};
use redis::{Script, ServerErrorKind, TlsCertificates, TlsMode, Value};

use super::error::StoreError;
use super::limits::{CONNECT_TIMEOUT, RESPONSE_TIMEOUT};

/// Where the store is. Addresses are `redis://[user:password@]host:port[/db]`; `Debug` shows none. With `rediss://` all connections are TLS,
/// also those to servers that Sentinels or a cluster name; the program installs rustls' crypto provider.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// One server.
    Standalone(String),
    /// The server that Sentinels call the master of `service`.
    Sentinel {
        /// The Sentinels.
        addresses: Vec<String>,
        /// The name they know it by.
        service: String,
        /// User (empty: none, as before Redis 6) and password of the servers; the Sentinels' own stand in their addresses.
        login: Option<(String, String)>,
    },
    /// Some nodes of a cluster; it names the others.
    Cluster(Vec<String>),
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Standalone(_) => "Standalone",
            Self::Sentinel { .. } => "Sentinel",
            Self::Cluster(_) => "Cluster",
        })
    }
}

impl Target {
    /// Are the addresses ones at all, and the certificates?
    pub(super) fn check(&self, ca: Option<&[u8]>) -> Result<(), StoreError> {
        let addresses = match self {
            Self::Standalone(address) => std::slice::from_ref(address),
            Self::Sentinel { addresses, .. } | Self::Cluster(addresses) => addresses.as_slice(),
        };
        if addresses.is_empty() {
            return Err(StoreError::NoAddress);
        }
        if addresses.iter().any(|address| is_tls(address)) && !addresses.iter().all(|address| is_tls(address)) {
            return Err(StoreError::Address { reason: "some with TLS (rediss://) and some without".to_owned() });
        }
        for address in addresses {
            address.as_str().into_connection_info().map_err(|error| address_error(&error))?;
        }
        match (ca, addresses.first()) {
            (Some(_), Some(address)) if !is_tls(address) => {
                Err(StoreError::Ca { reason: "the address has no TLS: it begins with redis://".to_owned() })
            }
            // A file without a certificate would have every server refused.
            (Some(pem), _) if !pem.windows(PEM_BEGIN.len()).any(|text| text == PEM_BEGIN) => {
                Err(StoreError::Ca { reason: "no certificate in it".to_owned() })
            }
            (Some(pem), Some(address)) => match client(address, Some(pem)) {
                Ok(_) => Ok(()),
                Err(error) => Err(StoreError::Ca { reason: error.to_string().chars().take(200).collect() }),
            },
            _ => Ok(()),
        }
    }

    /// Opens a connection. For a Sentinel's service, also the master's address, to notice when it moves.
    pub(super) async fn open(&self, ca: Option<&[u8]>) -> Result<Link, StoreError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        match self {
            Self::Standalone(address) => {
                let client = client(address, ca).map_err(|error| address_error(&error))?;
                let connection = client.get_multiplexed_async_connection_with_config(&config).await.map_err(away)?;
                Ok(Link::One(connection, None))
            }
            Self::Sentinel { .. } => {
                let client = self.master(ca).await?;
                let address = client.get_connection_info().addr().to_string();
                let connection = client.get_multiplexed_async_connection_with_config(&config).await.map_err(away)?;
                Ok(Link::One(connection, Some(address)))
            }
            Self::Cluster(addresses) => {
                let mut builder = ClusterClientBuilder::new(addresses.iter().map(String::as_str));
                if let Some(pem) = ca {
                    builder = builder.certs(trusting(pem));
                }
                let client = builder
                    .connection_timeout(CONNECT_TIMEOUT)
                    .response_timeout(RESPONSE_TIMEOUT)
                    .retries(2)
                    .build()
                    .map_err(|error| address_error(&error))?;
                Ok(Link::Cluster(client.get_async_connection().await.map_err(away)?))
            }
        }
    }

    /// Does `link` still lead where a new one would? A cluster's map is read anew by a new link.
    pub(super) async fn moved(&self, link: &Link, ca: Option<&[u8]>) -> Result<bool, StoreError> {
        match (self, link) {
            (Self::Standalone(_), _) => Ok(false),
            (Self::Cluster(_), _) => Ok(true),
            (Self::Sentinel { .. }, Link::One(_, was)) => {
                Ok(Some(self.master(ca).await?.get_connection_info().addr().to_string()) != *was)
            }
            (Self::Sentinel { .. }, Link::Cluster(_)) => Ok(true),
        }
    }

    async fn master(&self, ca: Option<&[u8]>) -> Result<Client, StoreError> {
        let Self::Sentinel { addresses, service, login } = self else { return Err(StoreError::NoAddress) };
        if let Some(pem) = ca {
            let mut client = trusting_sentinels(addresses, service, login.as_ref(), pem);
            let client = client.as_mut().map_err(|error| address_error(error))?;
            return client.async_get_client().await.map_err(away);
        }
        let mut node = SentinelNodeConnectionInfo::default();
        // Sentinels that are asked over TLS name servers that are, too: a password must not leave in the clear.
        if addresses.iter().any(|address| is_tls(address)) {
            node = node.set_tls_mode(TlsMode::Secure);
        }
        if let Some((user, password)) = login {
            let mut server = RedisConnectionInfo::default().set_password(password.as_str());
            if !user.is_empty() {
                server = server.set_username(user.as_str());
            }
            node = node.set_redis_connection_info(server);
        }
        let addresses = addresses.iter().map(String::as_str).collect();
        let mut client = SentinelClient::build(addresses, service.clone(), Some(node), SentinelServerType::Master)
            .map_err(|error| address_error(&error))?;
        client.async_get_client().await.map_err(away)
    }
}

/// What a PEM file has where a certificate begins.
const PEM_BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// Only these authorities, and none of the public ones.
fn trusting(pem: &[u8]) -> TlsCertificates {
    TlsCertificates { client_tls: None, root_cert: Some(pem.to_vec()) }
}

fn client(address: &str, ca: Option<&[u8]>) -> Result<Client, RedisError> {
    match ca {
        Some(pem) => Client::build_with_tls(address, trusting(pem)),
        None => Client::open(address),
    }
}

/// Sentinels, and the servers that they name, of these authorities. The Sentinels have one login, that of the first address.
fn trusting_sentinels(
    addresses: &[String],
    service: &str,
    login: Option<&(String, String)>,
    pem: &[u8],
) -> Result<SentinelClient, RedisError> {
    let infos = addresses.iter().map(|address| address.as_str().into_connection_info());
    let infos = infos.collect::<Result<Vec<_>, _>>()?;
    let sentinels = infos.iter().map(|info| info.addr().clone());
    let mut builder = SentinelClientBuilder::new(sentinels, service, SentinelServerType::Master)?
        .set_client_to_redis_tls_mode(TlsMode::Secure)
        .set_client_to_redis_certificates(trusting(pem))
        .set_client_to_sentinel_certificates(trusting(pem));
    if let Some((user, password)) = login {
        builder = builder.set_client_to_redis_password(password);
        if !user.is_empty() {
            builder = builder.set_client_to_redis_username(user);
        }
    }
    if let Some(known) = infos.first().map(|info| info.redis_settings()) {
        if let Some(user) = known.username() {
            builder = builder.set_client_to_sentinel_username(user);
        }
        if let Some(password) = known.password() {
            builder = builder.set_client_to_sentinel_password(password);
        }
    }
    builder.build()
}

fn is_tls(address: &str) -> bool {
    address.starts_with("rediss:")
}

/// An open connection. Clones share it.
#[derive(Clone)]
pub(super) enum Link {
    One(MultiplexedConnection, Option<String>),
    Cluster(ClusterConnection),
}

impl Link {
    /// Sends one command.
    pub(super) async fn send(&mut self, cmd: &Cmd) -> Result<Value, Fault> {
        let result = match self {
            Self::One(connection, _) => connection.req_packed_command(cmd).await,
            Self::Cluster(connection) => connection.req_packed_command(cmd).await,
        };
        match result {
            Ok(Value::ServerError(error)) => Err(fault(RedisError::from(error))),
            Ok(value) => Ok(value),
            Err(error) => Err(fault(error)),
        }
    }

    /// Runs a script by its hash; a server that lost it is sent the text, once.
    pub(super) async fn run(&mut self, script: &Lua, keys: &[String], args: &[Vec<u8>]) -> Result<Value, Fault> {
        let command = |name: &str, what: &str| {
            let mut cmd = redis::cmd(name);
            cmd.arg(what).arg(keys.len()).arg(keys).arg(args);
            cmd
        };
        match self.send(&command("EVALSHA", &script.hash)).await {
            Err(Fault { no_script: true, .. }) => self.send(&command("EVAL", script.text)).await,
            other => other,
        }
    }
}

/// A script and its hash.
pub(super) struct Lua {
    text: &'static str,
    hash: String,
}

impl Lua {
    pub(super) fn new(text: &'static str) -> Self {
        Self { text, hash: Script::new(text).get_hash().to_owned() }
    }
}

/// A command that failed.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) error: StoreError,
    /// The connection is of no use any more, or leads to a server that is no master any more.
    pub(super) lost: bool,
    no_script: bool,
}

impl Fault {
    pub(super) fn late() -> Self {
        Self { error: StoreError::Unavailable("no answer in time".into()), lost: true, no_script: false }
    }
    pub(super) fn garbage(what: &'static str) -> Self {
        Self { error: StoreError::Garbage { what }, lost: false, no_script: false }
    }
}

fn fault(error: RedisError) -> Fault {
    let kind = error.kind();
    let no_script = kind == ErrorKind::Server(ServerErrorKind::NoScript);
    let answered = matches!(kind, ErrorKind::Server(ServerErrorKind::ResponseError | ServerErrorKind::BusyLoading));
    Fault { lost: !no_script && !answered && kind != ErrorKind::Extension, no_script, error: away(error) }
}

/// What the library says of a server, cut: a server's words may be long.
fn away(error: RedisError) -> StoreError {
    StoreError::Unavailable(error.to_string().chars().take(200).collect())
}

/// Category only: the address itself may hold a password.
fn address_error(error: &RedisError) -> StoreError {
    StoreError::Address { reason: error.category().to_owned() }
}
