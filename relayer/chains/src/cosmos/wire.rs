//! JSON as CometBFT 0.34 to 1.0 writes it: the fields we read, and nothing else.
//!
//! Shapes: 64-bit numbers as strings or numbers; a missing list as `null`; bytes as base64, hashes as upper hex; event lists under
//! `begin_block_events` / `end_block_events` (0.34, 0.37) or `finalize_block_events` (0.38 on). Events are kept as text until their
//! type says that they are ours, so a block full of foreign events costs no memory. Bounds: the body is capped by the RPC stack.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A text, or what stands in its place: `null` is empty, a number or flag is its digits, a list or object is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Text::default())
            }
            fn visit_bool<E: Error>(self, flag: bool) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(flag.to_string())))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Text::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Text::default())
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A number written as a string or as a number; absent, `null` and empty are 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Number(pub(crate) u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?.0;
        if text.is_empty() {
            return Ok(Self(0));
        }
        text.parse().map(Self).map_err(|_| D::Error::custom("expected a number of 64 bits that is not negative"))
    }
}

/// `/status`.
#[derive(Deserialize)]
pub(crate) struct Status {
    pub(crate) node_info: NodeInfo,
    pub(crate) sync_info: SyncInfo,
}
#[derive(Deserialize)]
pub(crate) struct NodeInfo {
    pub(crate) network: String,
    #[serde(default)]
    pub(crate) version: String,
}
#[derive(Deserialize)]
pub(crate) struct SyncInfo {
    pub(crate) latest_block_height: Number,
    pub(crate) latest_block_time: String,
    #[serde(default)]
    pub(crate) earliest_block_height: Number,
    #[serde(default)]
    pub(crate) catching_up: bool,
}

/// `/abci_info`.
#[derive(Deserialize)]
pub(crate) struct AbciInfo {
    pub(crate) response: AbciInfoResponse,
}
#[derive(Deserialize)]
pub(crate) struct AbciInfoResponse {
    #[serde(default)]
    pub(crate) last_block_height: Number,
}

/// `/block`.
#[derive(Deserialize)]
pub(crate) struct BlockAnswer<'a> {
    #[serde(borrow)]
    pub(crate) block: Block<'a>,
}
#[derive(Deserialize)]
pub(crate) struct Block<'a> {
    pub(crate) header: HeaderSummary,
    #[serde(borrow, default)]
    pub(crate) data: BlockData<'a>,
}
#[derive(Deserialize)]
pub(crate) struct HeaderSummary {
    pub(crate) chain_id: String,
    pub(crate) height: Number,
    pub(crate) time: String,
}
#[derive(Deserialize, Default)]
pub(crate) struct BlockData<'a> {
    #[serde(borrow, default)]
    pub(crate) txs: Option<Vec<Text<'a>>>,
}

/// `/block_results`.
#[derive(Deserialize)]
pub(crate) struct BlockResults<'a> {
    pub(crate) height: Number,
    #[serde(borrow, default)]
    pub(crate) txs_results: Option<Vec<TxResult<'a>>>,
    #[serde(borrow, default)]
    pub(crate) begin_block_events: Option<Vec<Event<'a>>>,
    #[serde(borrow, default)]
    pub(crate) end_block_events: Option<Vec<Event<'a>>>,
    #[serde(borrow, default)]
    pub(crate) finalize_block_events: Option<Vec<Event<'a>>>,
}
#[derive(Deserialize)]
pub(crate) struct TxResult<'a> {
    #[serde(default)]
    pub(crate) code: Number,
    #[serde(borrow, default)]
    pub(crate) codespace: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) log: Text<'a>,
    #[serde(default)]
    pub(crate) gas_wanted: Number,
    #[serde(default)]
    pub(crate) gas_used: Number,
    #[serde(borrow, default)]
    pub(crate) events: Option<Vec<Event<'a>>>,
}
#[derive(Deserialize)]
pub(crate) struct Event<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(crate) kind: Text<'a>,
    /// Undecoded until the type is one of ours.
    #[serde(borrow, default)]
    pub(crate) attributes: Option<&'a RawValue>,
}
#[derive(Deserialize)]
pub(crate) struct Attribute<'a> {
    #[serde(borrow, default)]
    pub(crate) key: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) value: Text<'a>,
}

/// `/abci_query`.
#[derive(Deserialize)]
pub(crate) struct AbciQueryAnswer<'a> {
    #[serde(borrow)]
    pub(crate) response: AbciResponse<'a>,
}
#[derive(Deserialize)]
pub(crate) struct AbciResponse<'a> {
    #[serde(default)]
    pub(crate) code: Number,
    #[serde(borrow, default)]
    pub(crate) log: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) key: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) value: Text<'a>,
    #[serde(default)]
    pub(crate) height: Number,
    #[serde(borrow, default, rename = "proofOps", alias = "proof_ops")]
    pub(crate) proof_ops: Option<ProofOps<'a>>,
}
#[derive(Deserialize)]
pub(crate) struct ProofOps<'a> {
    #[serde(borrow, default)]
    pub(crate) ops: Option<Vec<ProofOp<'a>>>,
}
#[derive(Deserialize)]
pub(crate) struct ProofOp<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(crate) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) data: Text<'a>,
}

/// `/tx_search`: only where the found transactions are.
#[derive(Deserialize)]
pub(crate) struct TxSearch {
    #[serde(default)]
    pub(crate) txs: Option<Vec<FoundTx>>,
}
#[derive(Deserialize)]
pub(crate) struct FoundTx {
    pub(crate) height: Number,
}
impl TxSearch {
    /// The first one's height.
    pub(crate) fn first(&self) -> Option<u64> {
        self.txs.as_ref()?.first().map(|tx| tx.height.0)
    }
}
/// `/block_search`: only where the found blocks are.
#[derive(Deserialize)]
pub(crate) struct BlockSearch {
    #[serde(default)]
    pub(crate) blocks: Option<Vec<FoundBlock>>,
}
#[derive(Deserialize)]
pub(crate) struct FoundBlock {
    pub(crate) block: FoundBlockBody,
}
#[derive(Deserialize)]
pub(crate) struct FoundBlockBody {
    pub(crate) header: FoundTx,
}
impl BlockSearch {
    /// The first one's height.
    pub(crate) fn first(&self) -> Option<u64> {
        self.blocks.as_ref()?.first().map(|found| found.block.header.height.0)
    }
}

/// `/commit`.
#[derive(Deserialize)]
pub(crate) struct CommitAnswer {
    #[serde(deserialize_with = "foreign")]
    pub(crate) signed_header: tendermint::block::signed_header::SignedHeader,
}
/// `/validators`.
#[derive(Deserialize)]
pub(crate) struct ValidatorsAnswer {
    pub(crate) block_height: Number,
    #[serde(default, deserialize_with = "foreign")]
    pub(crate) validators: Option<Vec<tendermint::validator::Info>>,
    #[serde(default)]
    pub(crate) total: Number,
}
/// `/blockchain`.
#[derive(Deserialize)]
pub(crate) struct BlockchainAnswer {
    #[serde(default, deserialize_with = "foreign")]
    pub(crate) block_metas: Option<Vec<BlockMeta>>,
}
#[derive(Deserialize)]
pub(crate) struct BlockMeta {
    pub(crate) header: tendermint::block::Header,
}

/// A value of tendermint's own types. Their base64 decoder panics on padding in the wrong place, so such a text never gets there.
fn foreign<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    let text = Box::<RawValue>::deserialize(deserializer)?;
    if !padding_is_at_the_end(text.get()) {
        return Err(D::Error::custom("expected base64"));
    }
    serde_json::from_str(text.get()).map_err(D::Error::custom)
}

/// Whether each string with a `=` in it is as long as base64 is, with one or two of them at its end. CometBFT escapes nothing in these
/// answers; an escaped `=` would be seen by the decoder only.
fn padding_is_at_the_end(json: &str) -> bool {
    let padded = |text: &str| {
        let bare = text.trim_end_matches('=');
        text.len().is_multiple_of(4) && text.len() - bare.len() <= 2 && !bare.contains('=')
    };
    !json.contains('\\') && json.split('"').filter(|text| text.contains('=')).all(padded)
}

/// RFC 3339 as Go writes it, in nanoseconds since 1970; `None` outside 1970..2554.
pub(crate) fn nanos(text: &str) -> Option<u64> {
    use time::format_description::well_known::Rfc3339;
    if text.len() > 64 {
        return None;
    }
    let time = time::OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(time.unix_timestamp_nanos()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by fuzzing: a key one character too long, or of padding alone, ended the process.
    #[test]
    fn attack_42_base64_with_padding_in_the_wrong_place_is_malformed_and_no_panic() {
        let validators = |key: &str| {
            let key = format!(r#"{{"type":"tendermint/PubKeyEd25519","value":"{key}"}}"#);
            let address = "174A9B8CEF0DE31E44BFECB85B4FEAB30C47A450";
            let validator = format!(r#"{{"address":"{address}","voting_power":"5","name":null,"pub_key":{key}}}"#);
            serde_json::from_str::<ValidatorsAnswer>(&format!(
                r#"{{"block_height":"4","validators":[{validator}],"total":"1"}}"#
            ))
        };
        let good = "2UGsLLxgUghpZyBRa/WydfNJPi/DQbkckvsmRn776+8=";
        assert_eq!(validators(good).unwrap().validators.unwrap().len(), 1);
        let escaped = format!("A{}", good.replace('=', "\\u003d"));
        for bad in [&format!("A{good}"), "====", "AAAA========", "AA=A", "=AAA", "A===", &escaped] {
            assert!(validators(bad).is_err(), "{bad}");
        }
        assert_eq!(
            serde_json::from_str::<ValidatorsAnswer>(r#"{"block_height":1,"validators":null}"#).unwrap().validators,
            None
        );
    }
}
