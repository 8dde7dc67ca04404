//! What a node says about an extrinsic, as a [`TxFailure`]. The only place of the paying half that reads a node's text.
//!
//! The pool's errors have codes of their own (`sc-rpc-api`: 1010 to 1018); what makes an extrinsic invalid stands in `data` in words,
//! which are those of `InvalidTransaction`. Since an extrinsic that the pool can't place yet waits there, a nonce that is ahead is no error.

use relayer_core::error::{ChainError, ChainErrorKind, TxFailure};

use crate::rpc::{Malformed, Rejected, RpcError, RpcErrorKind};
use crate::substrate::node::Node;

const INVALID: i64 = 1010;
const BANNED: i64 = 1012;
const ALREADY_IMPORTED: i64 = 1013;
const TOO_LOW_PRIORITY: i64 = 1014;
const DROPPED: i64 = 1016;

/// Why a submission was refused, or got no verdict. Whatever may have reached the node is [`ChainErrorKind::Timeout`]: only the
/// blocks can tell then.
pub(crate) fn submission(node: &Node, error: RpcError) -> TxFailure {
    match &error.kind {
        RpcErrorKind::MempoolFull => TxFailure::MempoolFull,
        RpcErrorKind::Rejected(no) => refused(node, no).unwrap_or_else(|| node.rpc_error(error).into()),
        RpcErrorKind::Invalid(crate::rpc::InvalidCall::TooLarge { .. }) => TxFailure::TooLarge,
        RpcErrorKind::Malformed(Malformed::MissingAnswers(_)) => timeout(node, &error),
        kind if kind.never_executed() => node.rpc_error(error).into(),
        _ => timeout(node, &error),
    }
}

fn timeout(node: &Node, error: &RpcError) -> TxFailure {
    node.error(ChainErrorKind::Timeout, error.to_string()).into()
}

fn refused(node: &Node, no: &Rejected) -> Option<TxFailure> {
    Some(match no.code {
        INVALID => return invalid(node, no),
        // The pool has it, or had it a moment ago.
        ALREADY_IMPORTED => TxFailure::AlreadyKnown,
        BANNED => node.error(ChainErrorKind::Throttled { after_ms: 5_000 }, &no.message).into(),
        // Another one with this nonce is there.
        TOO_LOW_PRIORITY => TxFailure::SequenceMismatch { expected: None },
        DROPPED => TxFailure::MempoolFull,
        _ => return None,
    })
}

/// The words of `InvalidTransaction`.
fn invalid(node: &Node, no: &Rejected) -> Option<TxFailure> {
    let says = |words: &str| no.data.contains(words) || no.message.contains(words);
    Some(if says("outdated") {
        TxFailure::SequenceMismatch { expected: None }
    } else if says("Inability to pay") {
        TxFailure::InsufficientFunds
    } else if says("ancient birth block") {
        TxFailure::Expired
    } else if says("exhaust the block limits") {
        TxFailure::TooLarge
    } else if says("bad signature") {
        // Signed for another runtime, or for a block that is no more.
        TxFailure::Expired
    } else if says("will be valid in the future") {
        TxFailure::SequenceMismatch { expected: None }
    } else {
        let what = ChainErrorKind::Setup("the chain does not take the wallet's extrinsics");
        ChainError { kind: what, ..node.error(ChainErrorKind::Malformed, format!("{} {}", no.message, no.data)) }.into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::substrate::node::tests::uncalled;

    #[test]
    fn the_pools_words_become_failures() {
        let node = uncalled();
        let label = |code: i64, data: &str| {
            let no = Rejected { code, message: "Invalid Transaction".into(), data: data.into() };
            refused(&node, &no).map(|failure| failure.label())
        };
        for (code, data, want) in [
            (1010, "Transaction is outdated", "sequence_mismatch"),
            (1010, "Inability to pay some fees (e.g. account balance too low)", "insufficient_funds"),
            (1010, "Transaction has an ancient birth block", "tx_expired"),
            (1010, "Transaction would exhaust the block limits", "tx_too_large"),
            (1010, "Transaction has a bad signature", "tx_expired"),
            (1010, "Custom error: 7", "setup"),
            (1012, "", "throttled"),
            (1013, "", "already_known"),
            (1014, "The transaction has too low priority to replace another", "sequence_mismatch"),
            (1016, "", "mempool_full"),
        ] {
            assert_eq!(label(code, data), Some(want), "{code} {data}");
        }
        assert_eq!(label(-32602, "Invalid params"), None);
    }
}
