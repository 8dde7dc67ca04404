//! What an operator can do about a failure, in words that name the configuration's keys: for commands, `/health` and logs.

use relayer_core::error::{ChainError, ChainErrorKind, TxFailure};
use relayer_core::id::ChainId;

/// What to do when a chain gives nothing usable.
pub fn chain_remedy(error: &ChainError) -> Option<String> {
    let chain = &error.chain;
    Some(match &error.kind {
        ChainErrorKind::Unavailable | ChainErrorKind::Timeout => {
            format!(
                "start the node of {chain}, or correct `rpc` of its [[chains]] entry; several addresses may stand there"
            )
        }
        ChainErrorKind::Throttled { .. } => {
            format!("lower `requests_per_second` in `limits` of {chain}, or add a node to its `rpc`")
        }
        ChainErrorKind::WrongChain(other) => {
            format!("the node in `rpc` is of chain `{other}`: correct `id` or `rpc` of the [[chains]] entry `{chain}`")
        }
        ChainErrorKind::TooLarge => format!("raise `max_response_bytes` in `limits` of {chain}, or ask for less"),
        ChainErrorKind::Pruned(_) => format!("add `archive_rpc` to the [[chains]] entry `{chain}`"),
        ChainErrorKind::Malformed | ChainErrorKind::Lying(_) => {
            format!("use another node for {chain}: correct or extend its `rpc`")
        }
        ChainErrorKind::NotFound => format!("correct the id; `relayer query` lists what {chain} has"),
        ChainErrorKind::Setup(_) => format!("correct the [[chains]] entry `{chain}`"),
        ChainErrorKind::NotYet(_) | ChainErrorKind::Refused { .. } => return None,
    })
}

/// What to do when a transaction is refused or fails.
pub fn tx_remedy(chain: &ChainId, signer: &str, failure: &TxFailure) -> Option<String> {
    Some(match failure {
        TxFailure::InsufficientFunds | TxFailure::NoAccount => {
            format!("send coins for fees to {signer} on {chain}, or name another wallet in the chain's `key`")
        }
        TxFailure::InsufficientFee => format!("raise `price` in `gas` of {chain}"),
        TxFailure::OutOfGas { .. } => format!("raise `multiplier` or `max_per_tx` in `gas` of {chain}"),
        TxFailure::SequenceMismatch { .. } => {
            format!("another program signs with the wallet {signer}: stop it, or give one of them its own key")
        }
        TxFailure::Expired => {
            format!("the chain did not include it in time: raise `tx_timeout_blocks` or `price` in `gas` of {chain}")
        }
        TxFailure::MempoolFull => "try again when the chain is less busy".to_owned(),
        TxFailure::TooLarge => {
            format!("send fewer messages at once, or raise `max_per_tx` in `gas` and `max_tx_bytes` of {chain}")
        }
        TxFailure::Chain(error) => return chain_remedy(error),
        TxFailure::ClientBehind => "run it again: the update was not in a block yet".to_owned(),
        TxFailure::Message { .. } => "the chain itself refuses this; its words say what to correct".to_owned(),
        TxFailure::Redundant | TxFailure::AlreadyKnown => return None,
    })
}
