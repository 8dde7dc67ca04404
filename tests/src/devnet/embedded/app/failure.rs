//! Why a transaction or a query is refused, in the words of the SDK and ibc-go: codespace, code and log.

use ibc_core::handler::types::error::HandlerError;

use crate::devnet::embedded::{QueryAnswer, TxResult};

/// A refusal. Its log ends with the registered description of its code, as the SDK wraps errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) codespace: &'static str,
    pub(super) code: u32,
    pub(super) log: String,
}

impl Failure {
    fn sdk(code: u32, log: String) -> Self {
        Self { codespace: "sdk", code, log }
    }

    pub(super) fn undecodable(what: &str, reason: impl std::fmt::Display) -> Self {
        Self::sdk(2, format!("{what}: {reason}: tx parse error"))
    }

    pub(super) fn unauthorized(why: impl std::fmt::Display) -> Self {
        Self::sdk(4, format!("{why}: unauthorized"))
    }

    pub(super) fn insufficient_funds(why: impl std::fmt::Display) -> Self {
        Self::sdk(5, format!("{why}: insufficient funds"))
    }

    pub(super) fn unknown_request(why: impl std::fmt::Display) -> Self {
        Self::sdk(6, format!("{why}: unknown request"))
    }

    pub(super) fn invalid_address(why: impl std::fmt::Display) -> Self {
        Self::sdk(7, format!("{why}: invalid address"))
    }

    pub(super) fn invalid_pubkey(why: impl std::fmt::Display) -> Self {
        Self::sdk(8, format!("{why}: invalid pubkey"))
    }

    pub(super) fn unknown_address(why: impl std::fmt::Display) -> Self {
        Self::sdk(9, format!("{why}: unknown address"))
    }

    pub(super) fn out_of_gas(location: &str, wanted: u64, used: u64) -> Self {
        Self::sdk(11, format!("out of gas in location: {location}; gasWanted: {wanted}, gasUsed: {used}: out of gas"))
    }

    pub(super) fn long_memo(most: usize, length: usize) -> Self {
        Self::sdk(
            12,
            format!("maximum number of characters is {most} but received {length} characters: memo too large"),
        )
    }

    pub(super) fn insufficient_fee(got: &str, required: &str) -> Self {
        Self::sdk(13, format!("insufficient fees; got: {got} required: {required}: insufficient fee"))
    }

    pub(super) fn invalid_request(why: impl std::fmt::Display) -> Self {
        Self::sdk(18, format!("{why}: invalid request"))
    }

    pub(super) fn not_found(why: impl std::fmt::Display) -> Self {
        Self::sdk(22, format!("rpc error: code = NotFound desc = {why}: key not found"))
    }

    pub(super) fn future_height() -> Self {
        Self::sdk(
            26,
            "cannot query with height in the future; please provide a valid height: invalid height".to_owned(),
        )
    }

    pub(super) fn expired(height: u64, timeout: u64) -> Self {
        Self::sdk(30, format!("block height: {height}, timeout height: {timeout}: tx timeout height"))
    }

    pub(super) fn sequence(expected: u64, got: u64) -> Self {
        Self::sdk(32, format!("account sequence mismatch, expected {expected}, got {got}: incorrect account sequence"))
    }

    pub(super) fn gas_limit(limit: u64, most: u64) -> Self {
        Self::sdk(41, format!("tx gas limit {limit} exceeds block max gas {most}: invalid gas limit"))
    }

    pub(super) fn redundant() -> Self {
        Self { codespace: "channel", code: 22, log: "packet messages are redundant".to_owned() }
    }

    /// What ibc-rs refuses, under ICS-26's codespace. A proof beyond the client's height is worded as ibc-go words it: a relayer has to
    /// tell it from a wrong proof.
    pub(super) fn ibc(error: &HandlerError) -> Self {
        let text = error.to_string();
        let behind = text.contains("proof height");
        match behind {
            true => Self {
                codespace: "ibc",
                code: 9,
                log: format!(
                    "client state height < proof height, please ensure the client has been updated: {text}: invalid height"
                ),
            },
            false => Self { codespace: "ibc", code: 8, log: text },
        }
    }

    /// The same, of one of a transaction's messages.
    pub(super) fn of_message(self, index: usize) -> Self {
        Self { log: format!("failed to execute message; message index: {index}: {}", self.log), ..self }
    }

    pub(super) fn tx(self) -> TxResult {
        TxResult { code: self.code, codespace: self.codespace.to_owned(), log: self.log, ..TxResult::default() }
    }

    pub(super) fn query(self, height: u64) -> QueryAnswer {
        let codespace = self.codespace.to_owned();
        QueryAnswer { code: self.code, codespace, log: self.log, height, ..QueryAnswer::default() }
    }
}
