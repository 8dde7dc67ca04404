//! The settings of a node: everything on loopback, every state kept, no keys on disk, no telemetry, no discovery.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use sc_executor::{WasmExecutionMethod, WasmExecutor, WasmtimeInstantiationStrategy};
use sc_network::Multiaddr;
use sc_network::config::{MultiaddrWithPeerId, NetworkConfiguration, NonReservedPeerMode, SetConfig, TransportConfig};
use sc_service::config::{
    ExecutorConfiguration, KeystoreConfig, OffchainWorkerConfig, RpcBatchRequestConfig, RpcConfiguration, RpcEndpoint,
};
use sc_service::{BasePath, BlocksPruning, Configuration, DatabaseSource, PruningMode, Role};
use sp_io::SubstrateHostFunctions;
use tokio::runtime::Handle;

use crate::args::Args;
use crate::error::NodeError;
use crate::{genesis, keys};

/// Bytes of states kept in memory: a test's whole state is smaller.
const STATE_CACHE_BYTES: usize = 16 << 20;
/// Requests and answers in MiB, as by default.
const RPC_MIB: u32 = 15;
/// Connections of tests and relayers to one node.
const RPC_CONNECTIONS: u32 = 100;
/// Subscriptions of one connection, as by default.
const RPC_SUBSCRIPTIONS: u32 = 1024;
/// Notifications that wait for a slow reader, as by default.
const RPC_WAITING: u32 = 64;
/// Instances of the runtime at work at a time: block production, import, the pool and a query or two.
const INSTANCES: usize = 8;
/// Versions of the runtime kept compiled: the chain has one.
const RUNTIMES: u8 = 2;

/// The node's settings by its arguments.
pub(crate) fn configuration(args: &Args, tokio: Handle) -> Result<Configuration, NodeError> {
    let chain_spec = genesis::chain_spec(args)?;
    Ok(Configuration {
        impl_name: env!("CARGO_PKG_NAME").to_owned(),
        impl_version: env!("CARGO_PKG_VERSION").to_owned(),
        role: Role::Authority,
        tokio_handle: tokio,
        transaction_pool: Default::default(),
        network: network(args)?,
        keystore: KeystoreConfig::InMemory,
        database: DatabaseSource::ParityDb { path: args.data.join("db") },
        trie_cache_maximum_size: Some(STATE_CACHE_BYTES),
        warm_up_trie_cache: None,
        state_pruning: Some(PruningMode::ArchiveAll),
        blocks_pruning: BlocksPruning::KeepAll,
        chain_spec,
        executor: execution(),
        wasm_runtime_overrides: None,
        rpc: rpc(args.rpc_port),
        prometheus_config: None,
        telemetry_endpoints: None,
        offchain_worker: OffchainWorkerConfig { enabled: false, indexing_enabled: false },
        // A chain of which one validator is left makes blocks, too.
        force_authoring: true,
        disable_grandpa: false,
        dev_key_seed: None,
        tracing_targets: None,
        tracing_receiver: Default::default(),
        announce_block: true,
        data_path: args.data.clone(),
        base_path: BasePath::new(PathBuf::from(&args.data)),
    })
}

/// Each validator knows the others' addresses and keys: nobody needs to be found.
fn network(args: &Args) -> Result<NetworkConfiguration, NodeError> {
    let own = args.peers.get(args.index);
    let own = own
        .ok_or_else(|| NodeError::Settings(format!("--index {}: there are {} peers", args.index, args.peers.len())))?;
    let name = format!("validator-{}", args.index);
    let mut network = NetworkConfiguration::new(name, "test/1", keys::network(args.index)?, None);
    network.listen_addresses = vec![address(*own)?];
    network.public_addresses = network.listen_addresses.clone();
    network.transport = TransportConfig::Normal { enable_mdns: false, allow_private_ip: true };
    network.allow_non_globals_in_dht = true;
    network.enable_dht_random_walk = false;
    let others = args.peers.iter().enumerate().filter(|(index, _)| *index != args.index);
    let others = others.map(|(index, port)| peer(index, *port)).collect::<Result<Vec<_>, _>>()?;
    network.boot_nodes.clone_from(&others);
    network.default_peers_set =
        SetConfig { reserved_nodes: others, non_reserved_mode: NonReservedPeerMode::Deny, ..network.default_peers_set };
    Ok(network)
}

fn peer(index: usize, port: u16) -> Result<MultiaddrWithPeerId, NodeError> {
    let pair = keys::network(index)?.into_keypair().map_err(NodeError::Io)?;
    Ok(MultiaddrWithPeerId { multiaddr: address(port)?, peer_id: pair.public().to_peer_id() })
}

fn address(port: u16) -> Result<Multiaddr, NodeError> {
    let text = format!("/ip4/127.0.0.1/tcp/{port}");
    text.parse().map_err(|e| NodeError::Settings(format!("{text}: {e}")))
}

/// What runs the runtime. The service's own has no place to keep what it compiled.
pub(crate) fn executor(args: &Args) -> WasmExecutor<SubstrateHostFunctions> {
    let execution = execution();
    let executor = WasmExecutor::builder()
        .with_execution_method(execution.wasm_method)
        .with_max_runtime_instances(execution.max_runtime_instances)
        .with_runtime_cache_size(execution.runtime_cache_size);
    match &args.compiled {
        Some(folder) => executor.with_cache_path(folder).build(),
        None => executor.build(),
    }
}

fn execution() -> ExecutorConfiguration {
    let instantiation_strategy = WasmtimeInstantiationStrategy::PoolingCopyOnWrite;
    ExecutorConfiguration {
        wasm_method: WasmExecutionMethod::Compiled { instantiation_strategy },
        max_runtime_instances: INSTANCES,
        default_heap_pages: None,
        runtime_cache_size: RUNTIMES,
    }
}

/// One address, and no other port if it is taken: a test must learn of it.
fn rpc(port: u16) -> RpcConfiguration {
    let endpoint = RpcEndpoint {
        listen_addr: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        batch_config: RpcBatchRequestConfig::Unlimited,
        max_connections: RPC_CONNECTIONS,
        max_payload_in_mb: RPC_MIB,
        max_payload_out_mb: RPC_MIB,
        max_subscriptions_per_connection: RPC_SUBSCRIPTIONS,
        max_buffer_capacity_per_connection: RPC_WAITING,
        rate_limit: None,
        rate_limit_trust_proxy_headers: false,
        rate_limit_whitelisted_ips: Vec::new(),
        cors: None,
        rpc_methods: sc_service::config::RpcMethods::Unsafe,
        is_optional: false,
        retry_random_port: false,
    };
    RpcConfiguration {
        addr: Some(vec![endpoint]),
        max_connections: RPC_CONNECTIONS,
        cors: None,
        methods: sc_service::RpcMethods::Unsafe,
        max_request_size: RPC_MIB,
        max_response_size: RPC_MIB,
        id_provider: None,
        max_subs_per_conn: RPC_SUBSCRIPTIONS,
        port,
        message_buffer_capacity: RPC_WAITING,
        batch_config: RpcBatchRequestConfig::Unlimited,
        rate_limit: None,
        rate_limit_whitelisted_ips: Vec::new(),
        rate_limit_trust_proxy_headers: false,
        request_logger_limit: 1024,
    }
}
