//! The application of an embedded chain: accounts, coins, transactions and IBC, over one [`Store`] per height.
//!
//! What the Cosmos SDK 0.53 with ibc-go v10 does, as far as a relayer sees it: [`tx`] the ante handler and messages, [`ibc`] ibc-rs'
//! handlers, [`state`] accounts and coins, [`query`] gRPC and store queries.
//!
//! **Bounds.** [`limits::EMBEDDED_HEIGHTS`] states are kept; they share what did not change. Own consensus states as many.
//!
//! **Errors.** As the SDK's: codes and texts in results and answers. Not like it: in CheckTx no proof is verified.

mod failure;
mod ibc;
mod query;
mod state;
#[cfg(test)]
mod tests;
mod tx;

use std::collections::BTreeMap;

use ibc_client_tendermint::consensus_state::ConsensusState;
use ibc_client_tendermint::types::ConsensusState as TendermintState;
use ibc_core::commitment_types::commitment::CommitmentRoot;
use tendermint::Time;

use self::ibc::{Host, Work};
use self::tx::Mode;
use super::node::Application;
use super::store::Store;
use super::{BlockContext, EmbeddedSpec, Event, Executed, QueryAnswer, TxResult};
use crate::limits;

/// What does not change with a transaction.
struct Chain {
    host: Host,
    fee_denom: String,
    min_gas_price_millionths: u128,
    block_gas: u64,
}

/// See the module.
pub(crate) struct App {
    chain: Chain,
    state: Store,
    /// Of the transactions that wait.
    check: Store,
    states: BTreeMap<u64, Store>,
}

impl App {
    /// The state before the first block. Accounts whose addresses are none of this chain are left out.
    pub(crate) fn genesis(spec: &EmbeddedSpec) -> Self {
        let mut store = Store::default();
        // A store without a key proves no absence.
        for name in [state::ACCOUNTS, state::BANK, ibc::IBC, ibc::TRANSFER] {
            store.set(name, b"genesis".to_vec(), vec![1]);
        }
        for (address, coins) in &spec.accounts {
            let Ok(address) = state::address(&spec.account_prefix, address) else { continue };
            for (denom, amount) in coins {
                // Refused only beyond 2^128 coins.
                state::mint(&mut store, &spec.account_prefix, &address, *amount, denom).ok();
            }
        }
        let host = Host {
            chain_id: spec.id.clone(),
            revision: spec.revision(),
            account_prefix: spec.account_prefix.clone(),
            unbonding: spec.unbonding,
            height: 0,
            time: Time::unix_epoch(),
            own: BTreeMap::new(),
        };
        let chain = Chain {
            host,
            fee_denom: spec.fee_denom().to_owned(),
            min_gas_price_millionths: spec.min_gas_price_millionths,
            block_gas: spec.block_gas,
        };
        Self { chain, check: store.clone(), state: store, states: BTreeMap::new() }
    }

    /// CheckTx.
    pub(crate) fn check(&mut self, tx: &[u8]) -> TxResult {
        let mut work = Work { store: self.check.clone(), events: Vec::new() };
        let result = tx::run(&self.chain, &mut work, tx, Mode::Check);
        if result.code == 0 {
            self.check = work.store;
        }
        result
    }

    /// Executes and commits a block.
    pub(crate) fn execute(&mut self, block: &BlockContext, txs: &[Vec<u8>]) -> Executed {
        let host = &mut self.chain.host;
        (host.height, host.time) = (block.height, block.time);
        let root = CommitmentRoot::from_bytes(&block.app_hash);
        let own = TendermintState::new(root, block.time, block.next_validators_hash);
        host.own.insert(block.height, ConsensusState::from(own));
        let results: Vec<TxResult> = txs.iter().map(|tx| self.deliver(tx)).collect();
        let app_hash = self.state.commit();
        self.check = self.state.clone();
        self.states.insert(block.height, self.state.clone());
        while self.states.len() > limits::EMBEDDED_HEIGHTS {
            self.states.pop_first();
            self.chain.host.own.pop_first();
        }
        Executed { results, events: Vec::<Event>::new(), app_hash }
    }

    fn deliver(&mut self, tx: &[u8]) -> TxResult {
        let mut work = Work { store: self.state.clone(), events: Vec::new() };
        let result = tx::run(&self.chain, &mut work, tx, Mode::Deliver);
        self.state = work.store;
        result
    }

    /// `abci_query`; height 0 for the newest state.
    pub(crate) fn query(&self, path: &str, data: &[u8], height: u64, prove: bool) -> QueryAnswer {
        query::answer(self, path, data, height, prove)
    }
}

impl Application for App {
    fn check(&mut self, tx: &[u8]) -> TxResult {
        App::check(self, tx)
    }
    fn execute(&mut self, block: &BlockContext, txs: &[Vec<u8>]) -> Executed {
        App::execute(self, block, txs)
    }
    fn query(&self, path: &str, data: &[u8], height: u64, prove: bool) -> QueryAnswer {
        App::query(self, path, data, height, prove)
    }
}
