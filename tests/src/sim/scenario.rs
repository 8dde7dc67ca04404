//! What one seed does: its traffic, its policy, and which faults strike how often.

use relayer_core::engine::Policy;
use relayer_core::filter::Filter;
use relayer_core::id::Sequence;
use relayer_core::packet::Side;

use super::chain::end;
use super::rng::Rng;

/// A second of virtual time, ns.
pub const SECOND: u64 = 1_000_000_000;

/// How often faults strike, in thousandths; 0 = never. All stop at [`Scenario::calm_from`].
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// A broadcast that does not reach the node, without an answer.
    pub lost_request: u64,
    /// A broadcast that reaches the node, possibly late, whose answer is lost.
    pub lost_answer: u64,
    /// A broadcast that fails and is known not to have been sent.
    pub not_sent: u64,
    /// A transaction that the mempool forgets.
    pub forgotten: u64,
    /// A block that takes a part of the mempool only.
    pub partial_block: u64,
    /// A transaction that runs out of gas in its block.
    pub out_of_gas: u64,
    /// A full mempool.
    pub mempool_full: u64,
    /// A block that can't be read any more.
    pub missing_block: u64,
    /// A block delivered to the engine again.
    pub duplicate_block: u64,
    /// Facts of a block in another order.
    pub shuffled: u64,
    /// A feeder or a node that does not answer for some seconds.
    pub stall: u64,
    /// Proof requests that fail.
    pub proof_away: u64,
    /// Proofs that do not verify.
    pub proof_forged: u64,
    /// Sends in a block that the chain has never seen.
    pub phantom: u64,
    /// Headers for a client update that can't be had.
    pub header_away: u64,
    /// Scans, histories and account queries that fail.
    pub query_away: u64,
    /// Blocks in which a rival relays what it finds.
    pub rival: u64,
    /// A chain that stands still for some seconds.
    pub halt: u64,
    /// Packets whose receive always fails in its block.
    pub poison: u64,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// Channels of the path.
    pub channels: usize,
    /// Block intervals of A and B, ns.
    pub interval_ns: [u64; 2],
    /// Shortest and longest answer of a node, ns.
    pub latency_ns: (u64, u64),
    /// Blocks with sends, in thousandths.
    pub traffic: u64,
    /// Sends in such a block at most.
    pub burst: u64,
    /// Packets with a timeout of a few blocks, in thousandths.
    pub near_timeouts: u64,
    /// Packets that a filter refuses, in thousandths.
    pub filtered: u64,
    /// Packets sent before the relayer starts.
    pub backlog: u64,
    /// The client's trusting period, ns.
    pub trusting_ns: u64,
    /// Blocks for which a transaction is valid.
    pub tx_blocks: u64,
    /// Interval of scans, ns.
    pub scan_ns: u64,
    /// The chain names the message at fault.
    pub names_fault: bool,
    /// The policy.
    pub policy: Policy,
    /// The faults.
    pub faults: Faults,
    /// Crashes: at these steps of the relayer.
    pub crashes: Vec<u64>,
    /// Sends stop.
    pub sends_until: u64,
    /// Faults stop.
    pub calm_from: u64,
}

impl Scenario {
    /// The scenario of a seed.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed.wrapping_mul(0xd134_2543_de82_ef95) ^ 0x5eed);
        // A third of the seeds is without faults of nodes and transactions: only there "paid for nothing: 0" is exact.
        let kind = if seed.is_multiple_of(50) { 0 } else { seed % 6 };
        let faults = Self::faults(&mut rng, kind);
        let filters = filters();
        let large = seed.is_multiple_of(50);
        let policy = Policy {
            filters,
            batch_messages: rng.within(1, 30) as usize,
            batch_bytes: rng.within(2_000, 180_000) as usize,
            linger_ns: rng.within(0, 100_000_000),
            backoff_ns: (rng.within(100, 500) * 1_000_000, rng.within(1, 30) * SECOND),
            prove_in_flight: rng.within(1, 16) as usize,
            submit_in_flight: rng.within(1, 40) as usize,
            ..Policy::default()
        };
        // Thousands of old packets: as an operator would have it, and nothing else going wrong, to see what they do to fresh ones.
        let policy = if large { Policy { filters: policy.filters, ..Policy::default() } } else { policy };
        let faults = if large { Faults::default() } else { faults };
        let sends_until = rng.within(20, 60) * SECOND;
        let calm_from = sends_until + rng.within(0, 10) * SECOND;
        let expiring = kind == 2;
        let crashes = match kind {
            1 | 5 => (0..rng.within(1, 4)).map(|_| rng.within(1, 1_500)).collect(),
            _ => Vec::new(),
        };
        let backlog = match large {
            true => rng.within(1_000, 3_000),
            false if rng.chance(300) => rng.within(1, 100),
            false => 0,
        };
        let interval_ns = [rng.within(500, 2_000) * 1_000_000, rng.within(500, 2_000) * 1_000_000];
        let tx_blocks = rng.within(4, 20);
        // Two thirds of it must suffice for a few refreshes that get lost, each known to be only when its blocks have passed.
        let least = 10 * tx_blocks * interval_ns[0].max(interval_ns[1]);
        Self {
            seed,
            channels: rng.within(1, 3) as usize,
            interval_ns,
            latency_ns: (rng.within(1, 10) * 1_000_000, rng.within(10, if large { 200 } else { 600 }) * 1_000_000),
            traffic: if expiring { rng.within(0, 20) } else { rng.within(50, 600) },
            burst: if !large && rng.chance(100) { 40 } else { rng.within(1, 4) },
            near_timeouts: if rng.chance(500) { rng.within(50, 600) } else { 0 },
            filtered: if rng.chance(300) { 150 } else { 0 },
            backlog,
            trusting_ns: if expiring { least.max(rng.within(60, 240) * SECOND) } else { 3_600 * SECOND },
            tx_blocks,
            scan_ns: rng.within(5, 40) * SECOND,
            names_fault: rng.chance(500),
            policy,
            faults,
            crashes,
            sends_until: if expiring { sends_until * 6 } else { sends_until },
            calm_from: if expiring { calm_from * 6 } else { calm_from },
        }
    }

    fn faults(rng: &mut Rng, kind: u64) -> Faults {
        let mut some = |most: u64| if rng.chance(350) { rng.within(1, most) } else { 0 };
        match kind {
            // Nothing but time; time and crashes.
            0 | 1 => Faults { shuffled: some(1_000), duplicate_block: some(200), stall: some(30), ..Faults::default() },
            // An idle path whose client must not expire.
            2 => Faults { lost_request: some(200), forgotten: some(100), header_away: some(200), ..Faults::default() },
            // Everything, with and without crashes (5).
            _ => Faults {
                lost_request: some(200),
                lost_answer: some(200),
                not_sent: some(200),
                forgotten: some(200),
                partial_block: some(300),
                out_of_gas: some(200),
                mempool_full: some(200),
                missing_block: some(60),
                duplicate_block: some(200),
                shuffled: some(1_000),
                stall: some(30),
                proof_away: some(300),
                proof_forged: some(300),
                phantom: some(100),
                header_away: some(300),
                query_away: some(300),
                rival: some(700),
                halt: some(20),
                poison: some(60),
            },
        }
    }

    /// Whether one of our messages may be paid for in vain.
    pub fn may_waste(&self) -> bool {
        self.faults.rival > 0
    }
}

/// Per side: long memos; one packet by its name; one direction of channel 2.
fn filters() -> [Filter; 2] {
    let filter = Filter { max_memo_bytes: 64, max_receiver_bytes: 64, ..Filter::default() };
    let excluded = end(Side::A, 0).map(|e| (e, Sequence(3))).into_iter().collect();
    let denied = end(Side::B, 2).into_iter().collect();
    [Filter { excluded, ..filter.clone() }, Filter { denied, ..filter }]
}
