//! Every bound of the test drivers, with its reason.

use std::time::Duration;

/// A chain makes its second block about 2 s after the start; a machine at load 10 needs ten times that.
pub const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Four validators compile their runtime at their start, 5 CPU-seconds each; their first block is final 2 s later. A machine at load 10 needs ten
/// times that.
pub const VALIDATORS_START_TIMEOUT: Duration = Duration::from_secs(240);

/// A Substrate block is final within a second; validators at load 10, or just back, need many times that.
pub const FINALITY_TIMEOUT: Duration = Duration::from_secs(60);

/// A graceful stop takes well under a second; after this the process is killed.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a chain is asked whether it has come as far as a test waits for.
pub const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// One request of the test client: a node that needs longer is broken.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// A transaction is in a block within two block times; a burst of ten large ones within a few.
pub const COMMIT_TIMEOUT: Duration = Duration::from_secs(60);

/// The largest answer the test client and the proxy read: the results of a block of 1,000 packets take about 8 MB.
pub const MAX_BODY_BYTES: usize = 64 << 20;

/// Messages in one transaction of a burst: 100 transfers stay far below the mempool's 1 MiB a transaction.
pub const MESSAGES_PER_TX: usize = 100;

/// Gas of a transaction with a contract's code (its bytes and their way into the store: 17 million for 400 kB) or for a contract; no
/// block of a test chain bounds its gas.
pub const CONTRACT_GAS: u64 = 100_000_000;

/// Items of one page of a listing: the SDK's own default is 100, a backlog of a test is a few thousand.
pub const PAGE_ITEMS: u64 = 5_000;

/// Starts with other ports before giving up: another process may take a port between choosing and using it.
pub const START_ATTEMPTS: usize = 3;

/// Ports are chosen below the range from which Linux serves outgoing connections (32768 and up), so that a stopped
/// chain finds its own port free when it starts again.
pub const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Bytes of a chain's log shown when it fails.
pub const LOG_TAIL_BYTES: u64 = 6_000;

/// Broadcasts whose bytes the proxy keeps; later ones are only counted.
pub const RECORDED_BROADCASTS: usize = 10_000;

/// Calls in one JSON-RPC batch: CometBFT's default limit.
pub const BATCH_CALLS: usize = 10;

/// How often a test looks at the chains while it waits for a relayer: often enough not to lengthen a test, rarely
/// enough not to load the nodes.
pub const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// The longest command is `path create` with several channels: a dozen blocks on each chain, and more at high load.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(180);

/// A relayer is ready a second or two after its start; a machine at load 10 needs ten times that.
pub const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of a relayer's log shown when a test fails.
pub const RELAYER_LOG_TAIL_BYTES: usize = 12_000;

/// Bytes of one block of an embedded chain: CometBFT's default.
pub const BLOCK_BYTES: usize = 22_020_096;

/// Bytes of one transaction in an embedded chain's mempool: CometBFT's default.
pub const TX_BYTES: usize = 1_048_576;

/// Transactions waiting in an embedded chain's mempool: CometBFT's default.
pub const MEMPOOL_TXS: usize = 5_000;

/// Hashes of transactions that an embedded chain has seen and refuses to take again: CometBFT's default.
pub const MEMPOOL_CACHE: usize = 10_000;

/// Heights whose blocks and states an embedded chain keeps: 40 minutes at four blocks a second, and a test is shorter. Their states share
/// all that did not change.
pub const EMBEDDED_HEIGHTS: usize = 10_000;

/// Injected faults that an embedded chain remembers; later ones push out the oldest, the counts go on.
pub const FAULT_HISTORY: usize = 10_000;

/// Bytes of a message that a client may send over an embedded chain's event socket: subscriptions are far shorter.
pub const SOCKET_MESSAGE_BYTES: usize = 1 << 20;
