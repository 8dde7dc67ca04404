//! The parts of a validator and how they hang together: database and runtime, pool, import, network, RPC, block production, finality.

use std::sync::Arc;
use std::time::Duration;

use sc_basic_authorship::ProposerFactory;
use sc_consensus::import_queue::BasicQueue;
use sc_consensus::{BoxJustificationImport, LongestChain};
use sc_consensus_aura::{ImportQueueParams, SlotProportion, StartAuraParams};
use sc_consensus_grandpa::{FinalityProofProvider, GrandpaParams, SharedVoterState};
use sc_executor::WasmExecutor;
use sc_network::Litep2pNetworkBackend;
use sc_network::config::FullNetworkConfiguration;
use sc_network::service::NotificationMetrics;
use sc_service::{
    BuildNetworkParams, Configuration, Error, SpawnTasksParams, TFullBackend, TFullClient, TaskManager, build_network,
    new_full_parts, spawn_tasks,
};
use sc_transaction_pool::TransactionPoolHandle;
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_blockchain::HeaderBackend;
use sp_consensus_aura::SlotDuration;
use sp_consensus_aura::inherents::InherentDataProvider as Slot;
use sp_consensus_aura::sr25519::AuthorityPair;
use sp_io::SubstrateHostFunctions;
use sp_timestamp::InherentDataProvider as Timestamp;
use test_runtime::RuntimeApi;
pub(crate) use test_runtime::opaque::Block;
pub(crate) use test_runtime::{BlockNumber as Number, Hash};

use crate::keys;
use crate::rpc::Sources;

pub(crate) type Backend = TFullBackend<Block>;
pub(crate) type Executor = WasmExecutor<SubstrateHostFunctions>;
pub(crate) type Client = TFullClient<Block, RuntimeApi, Executor>;
pub(crate) type Pool = TransactionPoolHandle<Block, Client>;
type Select = LongestChain<Backend, Block>;
type Import = sc_consensus_grandpa::GrandpaBlockImport<Backend, Block, Client, Select>;
type Link = sc_consensus_grandpa::LinkHalf<Block, Client, Select>;
type Network = Litep2pNetworkBackend;

/// How long votes may take from validator to validator: a GRANDPA round is at least four times as long. All are on one machine.
const GOSSIP: Duration = Duration::from_millis(150);
/// Blocks between two justifications that are stored and announced: each finalized block has one.
const JUSTIFICATIONS: u32 = 1;
/// How much of its slot a block may take.
const SLOT_PART: f32 = 2.0 / 3.0;

/// Starts the validator with this seed's keys; it ends with the tasks.
pub(crate) fn start(config: Configuration, executor: Executor, seed: &str) -> Result<TaskManager, Error> {
    let (client, backend, keystore, mut tasks) =
        new_full_parts::<Block, RuntimeApi, _>(&config, None, executor, vec![])?;
    let client: Arc<Client> = Arc::new(client);
    keys::insert(&keystore.keystore(), seed)?;
    let pool = sc_transaction_pool::Builder::new(tasks.spawn_essential_handle(), client.clone(), true.into());
    let pool = Arc::new(pool.with_options(config.transaction_pool.clone()).build());
    let select = LongestChain::new(backend.clone());
    let (import, link) =
        sc_consensus_grandpa::block_import(client.clone(), JUSTIFICATIONS, &client, select.clone(), None)?;
    let slot = sc_consensus_aura::slot_duration(&*client)?;
    let queue = import_queue(&tasks, client.clone(), import.clone(), slot)?;

    let metrics = NotificationMetrics::new(None);
    let mut network_config = FullNetworkConfiguration::<_, _, Network>::new(&config.network, None);
    let protocol = sc_consensus_grandpa::protocol_standard_name(&client.info().genesis_hash, &config.chain_spec);
    let (votes_config, votes) = sc_consensus_grandpa::grandpa_peers_set_config::<Block, Network>(
        protocol.clone(),
        metrics.clone(),
        network_config.peer_store_handle(),
    );
    network_config.add_notification_protocol(votes_config);
    let (network, system_rpc_tx, tx_handler_controller, sync, _) = build_network(BuildNetworkParams {
        config: &config,
        net_config: network_config,
        client: client.clone(),
        transaction_pool: pool.clone(),
        spawn_handle: tasks.spawn_handle(),
        spawn_essential_handle: tasks.spawn_essential_handle(),
        import_queue: queue,
        block_announce_validator_builder: None,
        warp_sync_config: None,
        block_relay: None,
        metrics,
        gap_sync_body_policy: None,
    })?;

    let voters = SharedVoterState::empty();
    let sources = sources(&client, &backend, &pool, &link, &voters);
    let name = config.network.node_name.clone();
    let keystore = keystore.keystore();
    spawn_tasks(SpawnTasksParams {
        network: network.clone(),
        client: client.clone(),
        keystore: keystore.clone(),
        task_manager: &mut tasks,
        transaction_pool: pool.clone(),
        rpc_builder: Box::new(move |spawner| sources.methods(spawner)),
        backend,
        system_rpc_tx,
        tx_handler_controller,
        sync_service: sync.clone(),
        config,
        telemetry: None,
        tracing_execute_block: None,
    })?;

    let aura = sc_consensus_aura::start_aura::<AuthorityPair, _, _, _, _, _, _, _, _, _, _>(StartAuraParams {
        slot_duration: slot,
        client: client.clone(),
        select_chain: select,
        block_import: import,
        proposer_factory: ProposerFactory::new(tasks.spawn_handle(), client, pool.clone(), None, None),
        create_inherent_data_providers: move |_, ()| inherents(slot),
        force_authoring: true,
        backoff_authoring_blocks: None::<()>,
        keystore: keystore.clone(),
        sync_oracle: sync.clone(),
        justification_sync_link: sync.clone(),
        block_proposal_slot_portion: SlotProportion::new(SLOT_PART),
        max_block_proposal_slot_portion: None,
        telemetry: None,
        compatibility_mode: Default::default(),
    })?;
    tasks.spawn_essential_handle().spawn_blocking("aura", Some("block-authoring"), aura);

    let grandpa = sc_consensus_grandpa::run_grandpa_voter(GrandpaParams {
        config: sc_consensus_grandpa::Config {
            gossip_duration: GOSSIP,
            justification_generation_period: JUSTIFICATIONS,
            name: Some(name),
            observer_enabled: false,
            keystore: Some(keystore),
            local_role: sc_service::Role::Authority,
            telemetry: None,
            protocol_name: protocol,
        },
        link,
        network,
        sync: Arc::new(sync),
        notification_service: votes,
        // The best block is voted for, not one some blocks behind it: on one machine the validators see the same.
        voting_rule: (),
        prometheus_registry: None,
        shared_voter_state: voters,
        telemetry: None,
        offchain_tx_pool_factory: OffchainTransactionPoolFactory::new(pool),
    })?;
    tasks.spawn_essential_handle().spawn_blocking("grandpa-voter", None, grandpa);
    Ok(tasks)
}

/// What each block says of the outside: its time and its slot.
async fn inherents(slot: SlotDuration) -> Result<(Slot, Timestamp), Box<dyn std::error::Error + Send + Sync>> {
    let now = Timestamp::from_system_time();
    Ok((Slot::from_timestamp_and_slot_duration(*now, slot), now))
}

/// Checks the seals of the others' blocks.
fn import_queue(
    tasks: &TaskManager,
    client: Arc<Client>,
    import: Import,
    slot: SlotDuration,
) -> Result<BasicQueue<Block>, Error> {
    let justifications: BoxJustificationImport<Block> = Box::new(import.clone());
    Ok(sc_consensus_aura::import_queue::<AuthorityPair, _, _, _, _, _>(ImportQueueParams {
        block_import: import,
        justification_import: Some(justifications),
        client,
        create_inherent_data_providers: move |_, ()| inherents(slot),
        spawner: &tasks.spawn_essential_handle(),
        registry: None,
        check_for_equivocation: Default::default(),
        telemetry: None,
        compatibility_mode: Default::default(),
    })?)
}

fn sources(
    client: &Arc<Client>,
    backend: &Arc<Backend>,
    pool: &Arc<Pool>,
    link: &Link,
    voters: &SharedVoterState,
) -> Sources {
    let authorities = link.shared_authority_set().clone();
    Sources {
        client: client.clone(),
        pool: pool.clone(),
        proofs: FinalityProofProvider::new_for_service(backend.clone(), Some(authorities.clone())),
        authorities,
        voters: voters.clone(),
        justifications: link.justification_stream(),
    }
}
