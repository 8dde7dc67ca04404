//! The decoders of what a node says of accounts and transactions as the fuzz targets call them; built with `--cfg fuzzing` only.

use ibc_proto::google::protobuf::Any;
use relayer_core::chain::Outcome;
use relayer_core::error::{ChainError, TxFailure};
use relayer_core::id::{ChainId, TxHash};

use super::{account, broadcast, failure, wallet};
use crate::cosmos::fuzz::{answer, node};

/// `/broadcast_tx_sync`.
pub fn accepted(text: &str) -> Option<Result<(), TxFailure>> {
    Some(broadcast::accepted(node()?, Ok(answer(text)?)))
}

/// `/tx` of a hash.
pub fn committed(hash: TxHash, text: &str) -> Option<Result<Outcome, ChainError>> {
    Some(broadcast::committed(node()?, hash, &answer(text)?))
}

/// A simulation's `/abci_query`.
pub fn simulated(text: &str) -> Option<Result<u64, TxFailure>> {
    Some(wallet::simulated(node()?, &answer(text)?))
}

/// Why a transaction failed, by CheckTx or a block.
pub fn verdict(chain: &ChainId, code: u32, codespace: &str, log: &str, gas: Option<(u64, u64)>) -> Option<TxFailure> {
    failure::verdict(chain, failure::Verdict { code, codespace, log, gas })
}

/// Why a simulation failed.
pub fn simulation(chain: &ChainId, code: u32, codespace: &str, log: &str) -> TxFailure {
    failure::simulation(chain, code, codespace, log)
}

/// The address, number and sequence of an account.
pub fn account(account: &Any) -> Option<(String, u64, u64)> {
    let base = account::base_account(account).ok()??;
    Some((base.address, base.account_number, base.sequence))
}
