//! The engine in a seeded loop: two model chains, one relayer, and everything that goes wrong between them, in virtual time.
//!
//! One seed is one [`Scenario`] and one run; the same seed gives the same run on every machine. [`run`] drives
//! [`relayer_core::engine::Engine`] and [`relayer_core::lane::Lane`] as the relayer's shell does (the order of submissions to a side, a client update
//! with the first batch of a height, needless messages dropped just before signing, an attempt in the journal before its broadcast) and lets
//! the faults of the scenario strike until [`Scenario::calm_from`]. Nothing here depends on a node, a runtime, a clock or a file.
//!
//! Checked at every step: no message is submitted while an earlier attempt with it may still be included under another account sequence; nothing is
//! paid for in vain without a rival or a crash; slots, batches and the lane stay within their limits; a deadline lies ahead when
//! there is nothing to do, and work that waits for nobody has one. Checked at the end: every packet is acknowledged, timed out, or refused for the
//! reason its scenario gives, within a bounded number of blocks after the faults; clients are alive; the same facts in another order
//! give the same view; a fresh packet behind a backlog of thousands is received as quickly as any.
//!
//! Left out: bytes (headers, proofs, gas, fees: see the tests of the crates that own them), ordered channels, several endpoints of one
//! chain that disagree, misbehaviour, client freezing, block capacity.

pub mod chain;
mod lane;
mod ledger;
mod relayer;
pub mod rng;
pub mod scenario;
mod verdict;
mod world;

use relayer::Relayer;
use scenario::SECOND;
pub use scenario::Scenario;
use world::{Event, World};

/// What a run that passed has seen.
#[derive(Debug, Default, Clone, Copy)]
pub struct Report {
    /// Packets sent.
    pub packets: u64,
    /// Blocks of both chains.
    pub blocks: u64,
    /// Virtual seconds.
    pub seconds: u64,
    /// Transactions of ours in blocks.
    pub transactions: u64,
    /// Messages of ours that did something.
    pub useful: u64,
    /// Messages paid for that did nothing.
    pub wasted: u64,
    /// Lives that ended in a crash.
    pub crashes: u64,
    /// Blocks from the end of the faults to the end of the last packet.
    pub settled_in: u64,
    /// Blocks from send to receive of the slowest fresh packet behind a backlog; 0 where there is none.
    pub slowest_fresh: u64,
}

/// Runs a scenario. `trace`: with a line for everything that happens. The error says what must never be.
pub fn run(scenario: Scenario, trace: bool) -> Result<Report, String> {
    let mut world = World::new(scenario, trace);
    let mut relayer: Option<Relayer> = None;
    let mut next_look = world.scenario.calm_from;
    while let Some(event) = world.next() {
        match event {
            Event::Block(side) => {
                world.block(side);
                if relayer.is_some() {
                    let (ns, height) = (world.latency(), world.chain(side).height);
                    world.after(ns, Event::Head(side, height));
                }
            }
            Event::Arrive { side, txs, answer } => world.arrive(side, txs, answer),
            Event::Start => {
                world.run += 1;
                world.crashed = false;
                relayer = Relayer::start(&mut world);
                world
                    .say(|| if relayer.is_some() { "the relayer starts".into() } else { "a client is expired".into() });
                if relayer.is_none() {
                    world.surely_after(SECOND, Event::Start);
                }
            }
            event => {
                if let Some(r) = relayer.as_mut() {
                    r.event(&mut world, event);
                }
            }
        }
        if world.crashed && relayer.is_some() {
            relayer = None;
            world.crashes += 1;
            world.run += 1;
            let ns = if world.rng.chance(500) { world.rng.within(0, SECOND) } else { world.rng.within(0, 30) * SECOND };
            world.say(|| format!("CRASH; the relayer is back in {} ms", ns / 1_000_000));
            world.surely_after(ns, Event::Start);
        }
        if let Some(what) = world.violation.take() {
            return Err(what);
        }
        if world.now >= next_look
            && let Some(r) = relayer.as_ref()
        {
            next_look = world.now + SECOND;
            let stuck = verdict::open(&world, r);
            if stuck.is_empty() {
                return verdict::end(&world, r);
            }
            verdict::in_time(&world, r, &stuck)?;
        }
    }
    Err("nothing happens any more".into())
}
