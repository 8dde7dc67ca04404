//! What a node says about a transaction, as a [`TxFailure`]. The only place of the paying half that reads a node's text.
//!
//! CheckTx and block results carry code, codespace and log. A simulation's answer has lost them: the SDK wraps every error as
//! `rpc error: code = Unknown desc = <the error> [<place>] with gas used: '<n>': unknown request`, so its text is read. An error of a
//! message begins with `failed to execute message; message index: <n>`, whatever a packet makes the rest say; only what does not
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
/// What a set-up error says when the wallet's account was never funded.
pub const NO_ACCOUNT: &str = "the wallet's account does not exist; fund it first";
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
    } else if index.is_none() && says_prefix(own) {
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
        ChainErrorKind::NotFound => ChainError::new(chain, ChainErrorKind::Setup(NO_ACCOUNT), text),
        ChainErrorKind::Refused { .. } if says_prefix(text) => {
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

/// "hrp does not match bech32 prefix: expected 'cosmos' got 'osmo'", before SDK 0.50 "invalid Bech32 prefix; expected cosmos, got osmo"
fn says_prefix(text: &str) -> bool {
    text.contains("bech32 prefix") || text.contains("Bech32 prefix")
}

fn setup(chain: &ChainId, what: &'static str, log: &str) -> TxFailure {
    ChainError::new(chain, ChainErrorKind::Setup(what), log).into()
}

fn message(index: Option<usize>, code: u32, codespace: &str, log: &str) -> TxFailure {
    // ibc-go's proof verification, when the transaction that updates the client is not (or no longer) before this one.
    if log.contains("client state height < proof height") {
        return TxFailure::ClientBehind;
    }
    TxFailure::Message { index, others: Vec::new(), code, codespace: Detail::new(codespace), detail: Detail::new(log) }
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

#[cfg(test)]
mod tests {
    use relayer_core::error::Remedy;

    use super::*;
    use crate::rpc::{Rejected, Unavailable};

    fn chain() -> ChainId {
        ChainId::new("sim-a-1").unwrap()
    }
    fn label(failure: &TxFailure) -> &'static str {
        failure.label()
    }
    fn checked(code: u32, codespace: &str, log: &str) -> Option<TxFailure> {
        verdict(&chain(), Verdict { code, codespace, log, gas: None })
    }
    fn simulated(log: &str) -> TxFailure {
        simulation(&chain(), 6, "simulation", log)
    }

    // Texts recorded from ibc-go v10.7.0, SDK 0.53.4, CometBFT 0.38.17.

    #[test]
    fn a_client_without_the_proofs_height_is_no_fault_of_a_message() {
        let log = "receive packet verification failed: couldn't verify counterparty packet commitment: failed packet commitment \
                   verification for client (07-tendermint-0): client state height < proof height ({1 1042} < {1 1053}), please ensure \
                   the client has been updated: invalid height";
        assert_eq!(checked(9, "ibc", log), Some(TxFailure::ClientBehind));
        let indexed = format!(
            "rpc error: code = Unknown desc = failed to execute message; message index: 0: {log} with gas used: '7'"
        );
        assert_eq!(simulated(&indexed), TxFailure::ClientBehind);
    }

    #[test]
    fn checktx_and_block_results_become_codes() {
        let mismatch = "account sequence mismatch, expected 2, got 3: incorrect account sequence";
        assert_eq!(
            checked(32, "sdk", mismatch),
            Some(TxFailure::SequenceMismatch { expected: Some(AccountSequence(2)) })
        );
        assert_eq!(checked(32, "sdk", "else"), Some(TxFailure::SequenceMismatch { expected: None }));
        let gas = "out of gas in location: ReadPerByte; gasWanted: 1000, gasUsed: 1003: out of gas";
        assert_eq!(checked(11, "sdk", gas), Some(TxFailure::OutOfGas { wanted: 1_000, used: 1_003 }));
        for (code, codespace, log, want) in [
            (13, "sdk", "insufficient fees; got: 20stake required: 100stake: insufficient fee", "insufficient_fee"),
            (
                5,
                "sdk",
                "spendable balance 999stake is smaller than 9999stake: insufficient funds: insufficient funds",
                "insufficient_funds",
            ),
            (
                5,
                "sdk",
                "failed to execute message; message index: 0: spendable balance 1stake is smaller than 9stake: insufficient funds",
                "message_failed",
            ),
            (
                38,
                "sdk",
                "cosmos1g does not allow to pay fees for cosmos1r: fee-grant not found: not found",
                "insufficient_funds",
            ),
            (9, "sdk", "fee payer address: cosmos1r does not exist: unknown address", "no_account"),
            (19, "sdk", "tx already in mempool", "already_known"),
            (20, "sdk", "mempool is full", "mempool_full"),
            (21, "sdk", "tx too large", "tx_too_large"),
            (41, "sdk", "tx gas limit 90000000 exceeds block max gas 40000000: invalid gas limit", "tx_too_large"),
            (30, "sdk", "block height: 90, timeout height: 80: tx timeout height", "tx_expired"),
            (22, "channel", "packet messages are redundant", "redundant"),
            (
                4,
                "sdk",
                "signature verification failed; please verify account number (1) and chain-id (pay-1): (unable to verify single signer signature): unauthorized",
                "setup",
            ),
            (6, "feemarket", "anything of a module we don't know", "message_failed"),
        ] {
            assert_eq!(checked(code, codespace, log).as_ref().map(label), Some(want), "{code} {codespace} {log}");
        }
        assert_eq!(checked(0, "", ""), None);
    }

    #[test]
    fn a_failed_message_is_named() {
        let log = "failed to execute message; message index: 3: couldn't verify counterparty packet commitment: \
                   failed packet commitment verification for client (07-tendermint-0): proof height {1 9} not found: invalid proof";
        let Some(TxFailure::Message { index, code, codespace, .. }) = checked(8, "ibc", log) else { panic!("{log}") };
        assert_eq!((index, code, codespace.as_str()), (Some(3), 8, "ibc"));
        assert_eq!(checked(8, "ibc", log).map(|f| f.remedy()), Some(Remedy::Drop));
    }

    #[test]
    fn a_panic_is_an_out_of_gas_when_all_gas_is_gone() {
        let log = "recovered: runtime error: invalid memory address or nil pointer dereference\nstack:\ngoroutine 1";
        let of = |gas| verdict(&chain(), Verdict { code: 111_222, codespace: "undefined", log, gas });
        assert_eq!(of(Some((500, 501))), Some(TxFailure::OutOfGas { wanted: 500, used: 501 }));
        assert!(matches!(of(None), Some(TxFailure::OutOfGas { .. })));
        assert!(matches!(of(Some((500, 300))), Some(TxFailure::Message { code: 111_222, .. })));
    }

    #[test]
    fn a_simulation_that_meets_another_sequence_says_which() {
        let log = "rpc error: code = Unknown desc = account sequence mismatch, expected 0, got 1: incorrect account sequence \
                   [cosmos/cosmos-sdk@v0.53.4/x/auth/ante/sigverify.go:364] with gas used: '44502': unknown request";
        assert_eq!(simulated(log), TxFailure::SequenceMismatch { expected: Some(AccountSequence(0)) });
    }

    #[test]
    fn simulations_lose_their_codes_and_are_read() {
        let rpc = "rpc error: code = Unknown desc = ";
        for (log, want) in [
            (
                "spendable balance 999stake is smaller than 9999stake: insufficient funds: insufficient funds [cosmos/cosmos-sdk@v0.53.4/x/auth/ante/fee.go:137] with gas used: '9904': unknown request",
                "insufficient_funds",
            ),
            (
                "failed to execute message; message index: 0: spendable balance 999stake is smaller than 9999stake: insufficient funds [cosmos/cosmos-sdk@v0.53.4/x/bank/keeper/send.go:298] with gas used: '52874': unknown request",
                "message_failed",
            ),
            (
                "fee payer address: cosmos1x does not exist: unknown address [cosmos/cosmos-sdk@v0.53.4/x/auth/ante/fee.go:112] with gas used: '2100': unknown request",
                "no_account",
            ),
            (
                "block height: 90, timeout height: 80: tx timeout height [cosmos/x.go:1] with gas used: '1': unknown request",
                "tx_expired",
            ),
            (
                "must contain at least one message: invalid request [x.go:631] with gas used: '1174': unknown request",
                "message_failed",
            ),
            ("", "message_failed"),
        ] {
            assert_eq!(simulated(&format!("{rpc}{log}")).label(), want, "{log}");
        }
    }

    #[test]
    fn attack_46_a_packets_words_are_not_taken_for_the_accounts() {
        // A receiver or memo that looks like the node's own words stands behind the message index.
        let log = "rpc error: code = Unknown desc = failed to execute message; message index: 7: invalid receiver \
                   account sequence mismatch, expected 999, got 1: incorrect account sequence [x.go:1] with gas used: '1': unknown request";
        assert!(matches!(simulated(log), TxFailure::Message { index: Some(7), .. }));
        let check = "failed to execute message; message index: 7: account sequence mismatch, expected 999, got 1";
        assert!(matches!(checked(32, "sdk", check), Some(TxFailure::Message { index: Some(7), .. })));
    }

    #[test]
    fn account_queries_tell_a_wrong_prefix_and_an_empty_account() {
        let of = |kind, text: &str| account(&chain(), ChainError::new(&chain(), kind, text)).kind;
        for text in [
            "hrp does not match bech32 prefix: expected 'cosmos' got 'osmo': internal logic error: unknown request",
            "rpc error: code = InvalidArgument desc = invalid Bech32 prefix; expected cosmos, got osmo: invalid request",
        ] {
            assert_eq!(of(ChainErrorKind::Refused { code: 6 }, text), ChainErrorKind::Setup(WRONG_PREFIX));
        }
        let none = "rpc error: code = NotFound desc = account cosmos1x not found: key not found";
        assert_eq!(of(ChainErrorKind::NotFound, none), ChainErrorKind::Setup(NO_ACCOUNT));
        let error = ChainError::new(&chain(), ChainErrorKind::Setup(NO_ACCOUNT), none);
        assert_eq!(no_account(error), TxFailure::NoAccount);
        assert_eq!(of(ChainErrorKind::Timeout, ""), ChainErrorKind::Timeout);
    }

    #[test]
    fn numbers_beyond_64_bits_are_not_numbers() {
        let huge = format!("account sequence mismatch, expected {}9, got 3", u64::MAX);
        assert_eq!(checked(32, "sdk", &huge), Some(TxFailure::SequenceMismatch { expected: None }));
    }

    fn broadcast_of(kind: RpcErrorKind) -> TxFailure {
        broadcast(&chain(), RpcError { kind, method: "broadcast_tx_sync", endpoint: None })
    }
    fn rejected(data: &str) -> RpcErrorKind {
        RpcErrorKind::Rejected(Box::new(Rejected {
            code: -32_603,
            message: "Internal error".into(),
            data: data.into(),
        }))
    }

    #[test]
    fn what_cometbft_says_of_a_broadcast_becomes_a_code() {
        for (data, want) in [
            ("tx already exists in cache", "already_known"),
            ("mempool is full: number of txs 5000 (max: 5000), total txs bytes 1 (max: 1)", "mempool_full"),
            ("mempool is still rechecking after a new committed block, so it is considered as full", "mempool_full"),
            ("Tx too large. Max size is 1048576, but got 2097152", "tx_too_large"),
            ("broadcast confirmation not received: context deadline exceeded", "timeout"),
            ("anything else", "refused"),
        ] {
            assert_eq!(broadcast_of(rejected(data)).label(), want, "{data}");
        }
        assert_eq!(broadcast_of(RpcErrorKind::MempoolFull).label(), "mempool_full");
    }

    #[test]
    fn only_what_certainly_never_left_is_not_in_doubt() {
        let away = |why| RpcErrorKind::Unavailable { why, retry_after: None };
        let detail = || relayer_core::error::Detail::new("x");
        for (kind, want) in [
            (away(Unavailable::Connect(detail())), "unavailable"),
            (away(Unavailable::BreakerOpen), "unavailable"),
            (away(Unavailable::Broken(detail())), "timeout"),
            (away(Unavailable::Status(502)), "timeout"),
            (RpcErrorKind::Timeout { after: std::time::Duration::from_secs(1) }, "timeout"),
            (RpcErrorKind::TooLarge { limit: 1 }, "timeout"),
            (RpcErrorKind::Malformed(Malformed::MissingAnswers(1)), "timeout"),
            (RpcErrorKind::Malformed(Malformed::ResultOrError), "timeout"),
        ] {
            assert_eq!(broadcast_of(kind.clone()).label(), want, "{kind:?}");
        }
    }
}
