//! What a node says about a transaction, as a [`TxFailure`]. The only place of the paying half that reads a node's text.
//!
//! CheckTx and block results carry code, codespace and log. A simulation's answer has lost them: the SDK wraps every error as
//! "rpc error: code = Unknown desc = <the error> [<place>] with gas used: '<n>': unknown request", so its text is read. An error of a
//! message begins with "failed to execute message; message index: <n>", whatever a packet makes the rest say; only what does not
//! begin so is read as the transaction's own. Texts are the SDK's since 0.45, ibc-go's since v3 and CometBFT's since 0.34.

use relayer_core::error::{ChainError, ChainErrorKind, Detail, TxFailure};
use relayer_core::id::{AccountSequence, ChainId};

use crate::cosmos::node::chain_error;
use crate::rpc::{Malformed, RpcError, RpcErrorKind};

/// A transaction's result, from CheckTx or from a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verdict<'a> {
    pub(crate) code: u32,
    pub(crate) codespace: &'a str,
    pub(crate) log: &'a str,
    /// Limit, and used when it ended; CheckTx by `broadcast_tx_sync` says neither.
    pub(crate) gas: Option<(u64, u64)>,
}

/// Why it failed; `None` when it did not.
pub(crate) fn verdict(chain: &ChainId, verdict: Verdict<'_>) -> Option<TxFailure> {
    let Verdict { code, codespace, log, gas } = verdict;
    if code == 0 {
        return None;
    }
    let index = message_index(log);
    Some(match (codespace, code) {
        ("sdk", 11) => out_of_gas(log, gas),
        // ibc-go and wasm turn an out-of-gas within a callback into a panic; it is one if all gas is gone, or nobody says.
        ("undefined", 111_222) if gas.is_none_or(|(wanted, used)| used >= wanted) => out_of_gas(log, gas),
        ("channel", 22) => TxFailure::Redundant,
        _ if index.is_some() => message(index, code, codespace, log),
        ("sdk", 32 | 3) => TxFailure::SequenceMismatch { expected: expected_sequence(log) },
        ("sdk", 5) => TxFailure::InsufficientFunds,
        ("sdk", 9) => TxFailure::NoAccount,
        ("sdk", 13) => TxFailure::InsufficientFee,
        ("sdk", 19) => TxFailure::AlreadyKnown,
        ("sdk", 20) => TxFailure::MempoolFull,
        // 41: the gas limit is above what a block holds; as with its bytes, fewer messages help.
        ("sdk", 21 | 41) => TxFailure::TooLarge,
        ("sdk", 30 | 42) => TxFailure::Expired,
        ("sdk", 4) => setup(chain, "the chain refuses the signature; correct `id`, or wait for the account", log),
        ("sdk", 7) => setup(chain, WRONG_PREFIX, log),
        ("sdk", 12) => setup(chain, LONG_MEMO, log),
        _ if log.contains("does not allow to pay fees") => TxFailure::InsufficientFunds,
        _ => message(None, code, codespace, log),
    })
}

const LONG_MEMO: &str = "the memo is too long; shorten `gas.memo_prefix`";
const NO_ACCOUNT: &str = "the wallet's account does not exist; fund it first";
const WRONG_PREFIX: &str = "the chain refuses the wallet's address; correct `account_prefix`";

/// Why a simulation gave no gas.
pub(crate) fn simulation(chain: &ChainId, code: u32, codespace: &str, log: &str) -> TxFailure {
    let own = log.split_once("desc = ").map_or(log, |(_, own)| own);
    let index = message_index(own);
    let begins = |words: &str| index.is_none() && own.starts_with(words);
    // The registered description stands before the place in brackets.
    let ends = |words: &str| {
        let head = own.rsplit_once(" with gas used: ").map_or(own, |(head, _)| head);
        let head = head.rsplit_once(" [").map_or(head, |(head, _)| head);
        index.is_none() && head.trim_end().ends_with(words)
    };
    if begins("account sequence mismatch") {
        TxFailure::SequenceMismatch { expected: expected_sequence(own) }
    } else if own.contains("does not allow to pay fees") && index.is_none() || ends("insufficient funds") {
        TxFailure::InsufficientFunds
    } else if ends("unknown address") || index.is_none() && own.contains("key not found") {
        TxFailure::NoAccount
    } else if ends("tx timeout height") || ends("tx timeout") {
        TxFailure::Expired
    } else if ends("out of gas") {
        out_of_gas(own, None)
    } else if ends("tx too large") || ends("invalid gas limit") {
        TxFailure::TooLarge
    } else if ends("memo too large") {
        setup(chain, LONG_MEMO, own)
    } else if index.is_none() && own.contains("Bech32 prefix") {
        setup(chain, WRONG_PREFIX, own)
    } else {
        message(index, code, codespace, own)
    }
}

/// Why a broadcast got no verdict. Whatever may have reached the node is [`ChainErrorKind::Timeout`]: only the blocks can tell then.
pub(crate) fn broadcast(chain: &ChainId, error: RpcError) -> TxFailure {
    match &error.kind {
        RpcErrorKind::MempoolFull => TxFailure::MempoolFull,
        RpcErrorKind::Rejected(no) => {
            let says = |words: &str| no.data.contains(words) || no.message.contains(words);
            if says("tx already exists in cache") {
                TxFailure::AlreadyKnown
            } else if says("mempool is full") || says("considered as full") {
                TxFailure::MempoolFull
            } else if says("Tx too large") {
                TxFailure::TooLarge
            } else if says("timed out") || says("confirmation not received") {
                ChainError::new(chain, ChainErrorKind::Timeout, error.to_string()).into()
            } else {
                chain_error(chain, error).into()
            }
        }
        RpcErrorKind::Invalid(crate::rpc::InvalidCall::TooLarge { .. }) => TxFailure::TooLarge,
        // The request was answered without this call: CometBFT does so only for what it did not run, others may not.
        RpcErrorKind::Malformed(Malformed::MissingAnswers(_)) => {
            ChainError::new(chain, ChainErrorKind::Timeout, error.to_string()).into()
        }
        kind if kind.never_executed() => chain_error(chain, error).into(),
        _ => ChainError::new(chain, ChainErrorKind::Timeout, error.to_string()).into(),
    }
}

/// An account query's refusal, where our own address is at fault.
pub(crate) fn account(chain: &ChainId, error: ChainError) -> ChainError {
    let text = error.detail.as_str();
    match error.kind {
        ChainErrorKind::NotFound => {
            ChainError::new(chain, ChainErrorKind::Setup(NO_ACCOUNT), text)
        }
        ChainErrorKind::Refused { .. } if text.contains("Bech32 prefix") => {
            ChainError::new(chain, ChainErrorKind::Setup(WRONG_PREFIX), text)
        }
        _ => error,
    }
}

/// The same while a transaction is prepared.
pub(crate) fn no_account(error: ChainError) -> TxFailure {
    match error.kind {
        ChainErrorKind::Setup(NO_ACCOUNT) => TxFailure::NoAccount,
        _ => error.into(),
    }
}

/// A node that keeps no transactions, or not this one.
pub(crate) fn tx_is_unknown(error: &RpcError) -> bool {
    match &error.kind {
        RpcErrorKind::Rejected(no) => {
            let says = |words: &str| no.data.contains(words) || no.message.contains(words);
            says("not found") || says("indexing is disabled")
        }
        _ => false,
    }
}

fn setup(chain: &ChainId, what: &'static str, log: &str) -> TxFailure {
    ChainError::new(chain, ChainErrorKind::Setup(what), log).into()
}

fn message(index: Option<usize>, code: u32, codespace: &str, log: &str) -> TxFailure {
    TxFailure::Message { index, code, codespace: Detail::new(codespace), detail: Detail::new(log) }
}

/// "failed to execute message; message index: 3: ..."
fn message_index(log: &str) -> Option<usize> {
    number_after(log, "failed to execute message; message index: ").and_then(|n| usize::try_from(n).ok())
}

/// "account sequence mismatch, expected 5, got 4: incorrect account sequence"
fn expected_sequence(log: &str) -> Option<AccountSequence> {
    number_after(log, "account sequence mismatch, expected ").map(AccountSequence)
}

/// "out of gas in location: txSize; gasWanted: 1000, gasUsed: 1830: out of gas"
fn out_of_gas(log: &str, gas: Option<(u64, u64)>) -> TxFailure {
    let (wanted, used) = gas.unwrap_or_else(|| {
        let wanted = number_after(log, "gasWanted: ").unwrap_or_default();
        (wanted, number_after(log, "gasUsed: ").unwrap_or(wanted))
    });
    TxFailure::OutOfGas { wanted, used }
}

fn number_after(text: &str, words: &str) -> Option<u64> {
    let (_, rest) = text.split_once(words)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}
