//! What must be true when a run is over.

use relayer_core::engine::{ClientRead, Engine, Input, PacketView};
use relayer_core::id::Height;
use relayer_core::packet::{At, PacketKey, Side};
use relayer_core::record::Phase;

use super::Report;
use super::chain::{self, POISON};
use super::relayer::{Relayer, pairs};
use super::rng::Rng;
use super::scenario::SECOND;
use super::world::World;

/// Packets that have not ended as they should.
pub(super) fn open(w: &World, r: &Relayer) -> Vec<String> {
    let mut stuck = Vec::new();
    for side in Side::BOTH {
        for c in &w.chain(side).channels {
            for s in c.sent.iter().filter(|s| s.gone.is_none()) {
                let key = PacketKey { from: side, source: c.end.clone(), sequence: s.packet.sequence };
                let refused = w.scenario.policy.filters[side.index()].refuses(&s.packet);
                let told = r.ends().get(&key);
                let ended = match told {
                    Some((Phase::Failed, reason)) => {
                        *reason == refused || (s.packet.data.starts_with(POISON) && *reason == Some("gave_up"))
                    }
                    _ => false,
                };
                if !ended {
                    stuck.push(format!("{key} ({told:?})"));
                }
            }
        }
    }
    stuck.extend(
        r.engine
            .packets(false, 20)
            .into_iter()
            .map(|p| format!("{} is {} for the engine ({:?})", p.key, p.phase.name(), p.stage)),
    );
    if stuck.is_empty() && r.engine.in_flight() > 0 {
        stuck.push("a submission".into());
    }
    stuck
}

/// The bound: transactions that must expire, two backoffs, two scans, and the last timeouts.
pub(super) fn in_time(w: &World, r: &Relayer, stuck: &[String]) -> Result<(), String> {
    let s = &w.scenario;
    let blocks = (3 * s.tx_blocks + 30) * s.interval_ns.iter().max().copied().unwrap_or_default();
    let (slots, fits) =
        (s.policy.submit_in_flight as u64, s.policy.batch_messages.min(s.policy.batch_bytes / 1_000) as u64);
    let work = 3 * w.ledger.sends.len() as u64 * s.interval_ns.iter().sum::<u64>() / (slots * fits).max(1);
    // A packet that fails for good is tried twelve times, and every time its neighbours wait for another block.
    let poison = if s.faults.poison > 0 { u64::from(relayer_core::limits::TRIES) * 20 * SECOND } else { 0 };
    let tries = if s.faults.poison > 0 { 4 * u64::from(relayer_core::limits::TRIES) } else { 4 };
    let most = s.calm_from + blocks + tries * s.policy.backoff_ns.1 + 3 * s.scan_ns + 60 * SECOND + work + poison;
    if w.now < most {
        return Ok(());
    }
    let views: Vec<PacketView> = r.engine.packets(false, 5);
    Err(format!(
        "{} packets have not ended {} s after the last fault: {}; the engine: {views:?}",
        stuck.len(),
        (w.now - s.calm_from) / SECOND,
        stuck.iter().take(5).cloned().collect::<Vec<_>>().join(", ")
    ))
}

/// Everything has ended.
pub(super) fn end(w: &World, r: &Relayer) -> Result<Report, String> {
    let blocks = w.chain(Side::A).height + w.chain(Side::B).height;
    let interval = w.scenario.interval_ns.iter().sum::<u64>() / 2;
    let mut report = Report {
        packets: w.ledger.sends.len() as u64,
        blocks,
        seconds: w.now / SECOND,
        transactions: w.ledger.included,
        useful: w.ledger.useful,
        wasted: w.ledger.wasted,
        crashes: w.crashes,
        settled_in: (w.now - w.scenario.calm_from) / interval.max(1),
        slowest_fresh: 0,
    };
    for side in Side::BOTH {
        let (here, there) = (w.chain(side), w.chain(side.other()));
        if !here.active(there, here.at(here.height).time.0) {
            return Err(format!("the client on {side} has expired"));
        }
    }
    if w.scenario.backlog >= 1_000 {
        report.slowest_fresh = fresh(w)?;
    }
    replay(w, r)?;
    Ok(report)
}

/// Blocks of the slower chain that a fresh packet may take to be received while thousands of old ones are being cleared.
const FRESH_BLOCKS: u64 = 6;

fn fresh(w: &World) -> Result<u64, String> {
    let mut slowest = 0;
    for ((side, channel, sequence), send) in w.ledger.sends.iter().filter(|(_, s)| s.live) {
        let there = w.chain(side.other());
        let Some(received) = there.channels.get(*channel).and_then(|c| c.received.get(sequence)) else { continue };
        let blocks = received.at.saturating_sub(send.heights[side.other().index()]);
        let intervals = w.scenario.interval_ns;
        let blocks = (blocks * intervals[side.other().index()]).div_ceil(intervals[0].max(intervals[1]));
        if blocks > FRESH_BLOCKS {
            return Err(format!(
                "{side}:{channel}/{sequence}, fresh behind a backlog, was received after {blocks} blocks"
            ));
        }
        slowest = slowest.max(blocks);
    }
    Ok(slowest)
}

/// The chains' facts in their order, and in another with duplicates, give the same view; the live engine agrees on every end.
fn replay(w: &World, r: &Relayer) -> Result<(), String> {
    let straight = told(w, None)?;
    let mixed = told(w, Some(Rng::new(w.scenario.seed)))?;
    if let Some((a, b)) = straight.iter().zip(&mixed).find(|(a, b)| a != b) {
        return Err(format!("facts in another order give another view: {a:?} and {b:?}"));
    }
    if straight.len() != mixed.len() {
        return Err(format!("facts in another order give {} packets, not {}", mixed.len(), straight.len()));
    }
    let honest = w.scenario.faults.missing_block == 0;
    for view in &straight {
        if let Some((phase, _)) = r.ends().get(&view.key)
            && honest
            && *phase != view.phase
            && *phase != Phase::Failed
        {
            return Err(format!("{} is {} live and {} replayed", view.key, phase.name(), view.phase.name()));
        }
    }
    Ok(())
}

fn told(w: &World, mut mix: Option<Rng>) -> Result<Vec<PacketView>, String> {
    let mut engine = Engine::new(w.scenario.policy.clone(), pairs(w.scenario.channels));
    let clients = || -> Option<ClientRead> {
        Some(ClientRead {
            id: chain::client_id()?,
            latest: Height::new(1, 1),
            latest_time: w.chain(Side::A).at(1).time,
            trusting_period_ns: u64::MAX,
            frozen: false,
        })
    };
    for side in Side::BOTH {
        let client = clients().ok_or("no client id")?;
        engine.handle(0, Input::Client { side, client });
    }
    let newest = |side: Side| -> At { w.chain(side).at(w.chain(side).height) };
    match &mut mix {
        None => {
            for side in Side::BOTH {
                for block in w.chain(side).blocks.iter().skip(1) {
                    engine.handle(0, Input::Block { side, block: block.clone() });
                }
            }
        }
        Some(rng) => {
            let mut facts: Vec<(Side, At, relayer_core::fact::Fact)> = Vec::new();
            for side in Side::BOTH {
                for block in &w.chain(side).blocks {
                    facts.extend(block.facts.iter().map(|f| (side, block.at, f.clone())));
                }
            }
            rng.shuffle(&mut facts);
            let again: Vec<_> = facts.iter().take(facts.len() / 5).cloned().collect();
            for (side, at, fact) in facts.into_iter().chain(again) {
                engine.handle(0, Input::Past { side, facts: vec![(at, fact)] });
            }
            for side in Side::BOTH {
                let block = relayer_core::fact::BlockFacts {
                    at: newest(side),
                    facts: Vec::new(),
                    txs: Vec::new(),
                    xcm: Vec::new(),
                };
                engine.handle(0, Input::Block { side, block: std::sync::Arc::new(block) });
            }
        }
    }
    Ok(engine.packets(true, usize::MAX))
}
