//! What the node answers beside the methods that every Substrate node has: account nonces and finality.

use std::sync::Arc;

use jsonrpsee::RpcModule;
use sc_consensus_grandpa::{FinalityProofProvider, GrandpaJustificationStream, SharedAuthoritySet, SharedVoterState};
use sc_consensus_grandpa_rpc::{Grandpa, GrandpaApiServer};
use sc_service::Error;
use sp_core::traits::SpawnNamed;
use substrate_frame_rpc_system::{System, SystemApiServer};

use crate::service::{Backend, Block, Client, Hash, Number, Pool};

/// What the methods read.
pub(crate) struct Sources {
    pub(crate) client: Arc<Client>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) authorities: SharedAuthoritySet<Hash, Number>,
    pub(crate) voters: SharedVoterState,
    pub(crate) justifications: GrandpaJustificationStream<Block>,
    pub(crate) proofs: Arc<FinalityProofProvider<Backend, Block>>,
}

impl Sources {
    /// The methods; their subscriptions run on `spawner`.
    pub(crate) fn methods(&self, spawner: Arc<dyn SpawnNamed>) -> Result<RpcModule<()>, Error> {
        let system = System::new(self.client.clone(), self.pool.clone());
        let grandpa = Grandpa::new(
            spawner,
            self.authorities.clone(),
            self.voters.clone(),
            self.justifications.clone(),
            self.proofs.clone(),
        );
        let twice = |e: jsonrpsee::core::RegisterMethodError| Error::Other(e.to_string());
        let mut methods = RpcModule::new(());
        methods.merge(system.into_rpc()).map_err(twice)?;
        methods.merge(grandpa.into_rpc()).map_err(twice)?;
        Ok(methods)
    }
}
