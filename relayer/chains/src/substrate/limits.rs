//! Every bound of the Substrate adapter, each with its reason.

use std::time::Duration;

/// Longest justification taken from a node, bytes: what a light client decodes.
pub const JUSTIFICATION_BYTES: usize = light_clients::limits::MAX_JUSTIFICATION_BYTES;
/// One message of the stream of justifications: hex, and its envelope.
pub const STREAM_BYTES: usize = 2 * JUSTIFICATION_BYTES + 1024;
/// Justifications kept: an hour of rounds of a few seconds; updates of clients need those of the proofs' heights.
pub const JUSTIFICATIONS: usize = 1_024;
/// Votes and headers in all of these: 450 rounds of 1,000 authorities, 40 MB.
pub const JUSTIFICATION_PARTS: usize = 300_000;
/// Verified blocks kept: 12 hours of 6-second blocks, each about 700 bytes.
pub const LIGHT_BLOCKS: usize = 8_192;
/// Older blocks kept, those read last: packets that wait for hours, clients that nobody updated.
pub const OLD_BLOCKS: usize = 1_024;
/// Headers fetched in one request: half a megabyte of JSON.
pub const HEADERS_PER_STEP: u64 = 256;
/// Headers between a trusted block and the next justification: what one client message carries
/// ([`light_clients::limits::MAX_HEADER_CHAIN`]).
pub const HOP_HEADERS: usize = light_clients::limits::MAX_HEADER_CHAIN;
/// Headers of a hop where a justified block is that near: with 190 bytes each, half of what a transaction usually may have.
pub const HOP_USUAL: usize = 512;
/// Nodes keep a justification for every so many blocks (`justification_period`), besides those of set changes.
pub const JUSTIFICATION_PERIOD: u64 = 512;
/// Justifications looked for at those blocks when a hop is too long: four in a hop of the longest kind, twice.
pub const PERIODS_TRIED: usize = 8;
/// Hops in one update of a client: 131,000 blocks, or a session change an hour for ten days. They are in memory together: 100 kB each.
pub const UPDATE_HOPS: usize = 256;
/// Numbers of authority sets tried when the state's own count is not what votes are signed with: 40 us each; chains whose count differs make
/// their changes by hand.
pub const SET_IDS: u64 = 4_096;
/// Headers walked backwards below the lowest verified one: three days of 6-second blocks; 200 requests, and 30 MB meanwhile.
pub const BACKWARD_HEADERS: u64 = 50_000;
/// Metadata of a runtime, bytes: Polkadot's has about 500 kB.
pub const METADATA_BYTES: usize = 8 * 1024 * 1024;
/// Endpoints whose metadata are compared: two agree then, or all three differ.
pub const METADATA_TOLD: usize = 3;
/// How long each of them may take: blocks wait meanwhile, once for each version of the runtime.
pub const METADATA_WAIT: Duration = Duration::from_secs(3);
/// Runtimes kept: the current one, and those of history.
pub const RUNTIMES: usize = 4;
/// Events of one block, bytes: a full block of 5 MB writes less than that.
pub const EVENTS_BYTES: usize = 8 * 1024 * 1024;
/// Events of one block that are looked at: a thousand packets with a dozen events each, and as many others.
pub const EVENTS: u32 = 25_000;
/// Containers within containers in one event or extrinsic: XCM, the deepest in use, allows eight instructions deep programs.
pub const VALUE_DEPTH: u32 = 64;
/// Values in one event or extrinsic: a batch of 100 packets of 64 kB is passed over by the byte string.
pub const VALUES: u32 = 1_000_000;
/// Attributes of one event: IBC events have at most 14.
pub const ATTRIBUTES: usize = 64;
/// Extrinsics of one block: at 100 bytes each they fill the default block of 5 MB.
pub const EXTRINSICS: usize = 50_000;
/// Largest extrinsic decoded to find the messages in it: a quarter of the default block length.
pub const EXTRINSIC_BYTES: usize = 1280 * 1024;
/// Values read with one `query` call.
pub const PATHS_PER_QUERY: usize = 2_000;
/// So few values are proven, asked for or not: each is a call of its own.
pub const PROVEN_ALWAYS: usize = 4;
/// Largest value of the IBC store, bytes: client states of other chains are the largest, below 100 kB.
pub const VALUE_BYTES: usize = 512 * 1024;
/// Proof nodes of one read proof, of four keys at most: a state of a billion entries has eight levels, and our keys begin alike.
pub const PROOF_NODES: usize = 128;
/// Their bytes together: what a light client takes.
pub const PROOF_BYTES: usize = light_clients::limits::MAX_PROOF_BYTES;
/// Keys of one page of `state_getKeysPaged`: the node's own maximum.
pub const KEYS_PER_PAGE: u32 = 1_000;
/// Pages read at most: 250,000 open packets.
pub const PAGES: usize = 250;
/// Keys in one `state_queryStorageAt`: 100 kB of request.
pub const KEYS_PER_QUERY: usize = 500;
/// Blocks read at once while history is searched.
pub const BLOCKS_AT_ONCE: usize = 5;
/// Between polls of the finalized head while the stream of justifications is silent.
pub const POLL: Duration = Duration::from_secs(1);
/// Between polls while the stream wakes us: the watchdog of a stream that stalls.
pub const POLL_WATCHDOG: Duration = Duration::from_secs(6);
/// A stream that shows nothing while blocks become final elsewhere is opened anew, or another one, after two polls of the watchdog.
pub const STREAM_BEHIND: Duration = Duration::from_secs(12);
/// Polls of the head between two questions for the heights of the other endpoints.
pub const COMPARE_POLLS: u32 = 20;
/// How long an endpoint that lied is not asked.
pub const QUARANTINE: Duration = Duration::from_secs(300);
/// How long an endpoint that is catching up, or whose answer can't be decoded, is not asked.
pub const QUARANTINE_CATCHING_UP: Duration = Duration::from_secs(20);
/// Waits for a block that an endpoint has not got yet though another had it.
pub const NOT_YET_TRIES: usize = 20;
/// Between them.
pub const NOT_YET_WAIT: Duration = Duration::from_millis(100);
