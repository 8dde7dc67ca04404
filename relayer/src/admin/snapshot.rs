//! What a running relayer tells about itself: the JSON of `/status` and `/health`.
//!
//! Names and units are those of the metrics; `None` is "not known yet". All text has passed
//! [`relayer_core::error::Detail`] or is an identifier; addresses of nodes are redacted labels.

use serde::{Deserialize, Serialize};

use super::limit::{ChainLimits, RuleLimits};
use crate::journal::JournalStatus;

/// The relayer at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// Version of the relayer.
    pub version: String,
    /// Unix seconds of its start.
    pub started_unix_s: u64,
    /// Unix milliseconds of this snapshot.
    pub at_unix_ms: u64,
    /// Everything needed works. Otherwise `reasons` says why not.
    pub ready: bool,
    /// Why it is not ready, each with what to do.
    pub reasons: Vec<String>,
    /// Chains.
    pub chains: Vec<ChainStatus>,
    /// Paths.
    pub paths: Vec<PathStatus>,
    /// Verification.
    pub verifier: VerifierStatus,
    /// How calls are limited, by chain.
    pub limits: Vec<ChainLimits>,
    /// Rules beyond the nodes' own limits.
    pub rules: Vec<RuleLimits>,
    /// Journal.
    pub journal: JournalHealth,
}

/// A chain.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChainStatus {
    /// Its id.
    pub id: String,
    /// Newest finalized height.
    pub height: Option<u64>,
    /// Age of that block, ms.
    pub lag_ms: Option<u64>,
    /// Its nodes.
    pub endpoints: Vec<EndpointStatus>,
    /// The wallet's address.
    pub wallet: Option<String>,
    /// Its balance, smallest unit, as text: it may be larger than JSON's numbers.
    pub balance: Option<String>,
    /// Denomination of the balance.
    pub denom: Option<String>,
    /// Transactions in flight.
    pub in_flight: u64,
    /// The last error.
    pub error: Option<String>,
}

/// A node of a chain.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointStatus {
    /// Redacted label.
    pub label: String,
    /// `ok`, `open` (breaker), `half_open`, `quarantined`, `unknown`.
    pub state: String,
    /// Newest height it told.
    pub height: Option<u64>,
    /// Why it is not `ok`.
    pub error: Option<String>,
}

/// A path.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathStatus {
    /// Its name.
    pub name: String,
    /// Its two clients.
    pub clients: Vec<ClientStatus>,
    /// Its channels, one entry a direction.
    pub channels: Vec<ChannelStatus>,
    /// Packets that have not ended.
    pub open_packets: u64,
    /// Packets in transactions without an outcome.
    pub in_flight: u64,
    /// Packets ended since the start.
    pub ended: EndedPackets,
    /// Packets that carry XCM and have not ended on their chain: the newest.
    pub xcm: Vec<XcmStatus>,
    /// Send to receive, of the last packets.
    pub receive_ms: Latency,
    /// Send to acknowledgement, of the last packets.
    pub ack_ms: Latency,
    /// The last error.
    pub error: Option<String>,
}

/// A client of a path.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientStatus {
    /// On which chain.
    pub chain: String,
    /// Its id.
    pub id: String,
    /// Newest height of the other chain it holds, like `1-42`.
    pub latest: Option<String>,
    /// Until it expires, s; negative: it has.
    pub expires_in_s: Option<i64>,
    /// Frozen by misbehaviour.
    pub frozen: bool,
}

/// One direction of a channel.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelStatus {
    /// The sending chain.
    pub source_chain: String,
    /// Port and channel there, like `transfer/channel-0`.
    pub source: String,
    /// Packets that have not ended.
    pub backlog: u64,
    /// Age of the oldest of them, ms.
    pub oldest_age_ms: Option<u64>,
}

/// A packet that carries an XCM message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct XcmStatus {
    /// The sending chain.
    pub source_chain: String,
    /// Port and channel there, like `transfer/channel-0`.
    pub source: String,
    /// Its sequence.
    pub sequence: u64,
    /// Version of the message, like `v5`.
    pub version: Option<String>,
    /// Its instructions, those of nested programs with them.
    pub instructions: Option<u64>,
    /// The message in one line.
    pub summary: Option<String>,
    /// Why it can't be decoded, with the offset.
    pub error: Option<String>,
    /// Why the packet is not relayed.
    pub refused: Option<String>,
}

/// How packets ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndedPackets {
    /// Acknowledged.
    pub acked: u64,
    /// Timed out.
    pub timed_out: u64,
    /// Refused for good.
    pub failed: u64,
}

/// Quantiles of recent latencies, ms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// How many they are of.
    pub count: u64,
    /// Half are quicker.
    pub p50: Option<u64>,
    /// 19 of 20 are quicker.
    pub p95: Option<u64>,
}

impl Latency {
    /// Quantiles (nearest rank) of some latencies, ms.
    pub fn of(mut ms: Vec<u64>) -> Self {
        ms.sort_unstable();
        let rank = |percent: usize| ms.get((ms.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Self { count: ms.len() as u64, p50: rank(50), p95: rank(95) }
    }
}

/// The verification pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VerifierStatus {
    /// Threads.
    pub workers: u64,
    /// Jobs waiting.
    pub queued: u64,
}

/// The journal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JournalHealth {
    /// Size, bytes.
    pub bytes: u64,
    /// Why it can't write.
    pub degraded: Option<String>,
}

impl From<&JournalStatus> for JournalHealth {
    fn from(status: &JournalStatus) -> Self {
        Self { bytes: status.bytes, degraded: status.degraded.as_ref().map(ToString::to_string) }
    }
}

/// The answer of `/health`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The process answers.
    pub live: bool,
    /// Everything needed works.
    pub ready: bool,
    /// Why not.
    pub reasons: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_nearest_rank() {
        assert_eq!(Latency::of(vec![]), Latency::default());
        assert_eq!(Latency::of(vec![7]), Latency { count: 1, p50: Some(7), p95: Some(7) });
        assert_eq!(Latency::of((1..=100).rev().collect()), Latency { count: 100, p50: Some(50), p95: Some(95) });
    }

    #[test]
    fn a_snapshot_of_an_older_or_newer_relayer_still_reads() {
        let s: Snapshot =
            serde_json::from_str(r#"{"version":"9","chains":[{"id":"a","new_field":1}],"more":{}}"#).unwrap();
        assert_eq!(s.chains[0].id, "a");
    }
}
