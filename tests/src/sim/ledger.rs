//! What the relayer has paid for and what it may not do: kept by the world, which sees everything.

use std::collections::BTreeMap;

use relayer_core::id::TxHash;
use relayer_core::packet::{PacketKey, Side};
use relayer_core::record::Action;

use super::chain::Included;
use super::world::name;

/// One of our transactions.
#[derive(Debug, Clone)]
pub(super) struct OurTx {
    pub(super) side: Side,
    pub(super) hash: TxHash,
    pub(super) sequence: u64,
    pub(super) timeout_height: u64,
    /// Client updates before the packets.
    pub(super) updates: usize,
    pub(super) packets: Vec<(Action, PacketKey)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Nobody has refused or included it.
    Open,
    /// Refused, or never sent.
    Void,
    /// In a block.
    Included,
}

/// When a packet was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Send {
    pub(super) heights: [u64; 2],
    pub(super) live: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    txs: BTreeMap<TxHash, (OurTx, Fate)>,
    by_packet: BTreeMap<(Action, PacketKey), Vec<TxHash>>,
    pub(super) sends: BTreeMap<(Side, usize, u64), Send>,
    /// Messages paid for that did nothing.
    pub(super) wasted: u64,
    /// Transactions paid for that failed.
    pub(super) failed: u64,
    /// Transactions included.
    pub(super) included: u64,
    /// Packet messages that did something.
    pub(super) useful: u64,
}

impl Ledger {
    pub(super) fn sent(&mut self, side: Side, channel: usize, sequence: u64, now: u64, heights: [u64; 2]) {
        let live = now > 6 * super::scenario::SECOND;
        self.sends.insert((side, channel, sequence), Send { heights, live });
    }

    /// A transaction is about to be broadcast. Gives the packet that is in another one whose outcome is open.
    pub(super) fn signed(&mut self, tx: OurTx, account: u64, height: u64) -> Option<String> {
        let mut twice = None;
        for packet in &tx.packets {
            let hashes = self.by_packet.entry(packet.clone()).or_default();
            for hash in hashes.iter() {
                let Some((earlier, Fate::Open)) = self.txs.get(hash) else { continue };
                let possible = earlier.sequence >= account && earlier.timeout_height > height;
                // Of two with one account sequence a chain includes one.
                if possible && earlier.sequence != tx.sequence && earlier.side == tx.side {
                    let (s, t) = (earlier.sequence, earlier.timeout_height);
                    twice = Some(format!(
                        "{} goes to {} under account sequence {} while {} with {s} may still be included until {t}",
                        name(packet.0, &packet.1),
                        tx.side,
                        tx.sequence,
                        super::world::short(*hash)
                    ));
                }
            }
            hashes.push(tx.hash);
        }
        self.txs.insert(tx.hash, (tx, Fate::Open));
        twice
    }

    /// A node refused it.
    pub(super) fn refused(&mut self, hash: TxHash, told: bool) {
        if let Some((_, fate)) = self.txs.get_mut(&hash).filter(|_| told) {
            *fate = Fate::Void;
        }
    }

    /// It is in a block. Gives the number of messages that did nothing.
    pub(super) fn included(&mut self, tx: &Included, _height: u64) -> u64 {
        let Some((ours, fate)) = self.txs.get_mut(&tx.hash) else { return 0 };
        *fate = Fate::Included;
        self.included += 1;
        if !tx.ok {
            self.failed += 1;
            return 0;
        }
        let idle = tx.idle.len() as u64;
        self.wasted += idle;
        self.useful += ours.packets.len() as u64 - idle;
        idle
    }

    /// The messages of a transaction that did nothing.
    pub(super) fn describe(&self, tx: &Included) -> String {
        let Some((ours, _)) = self.txs.get(&tx.hash) else { return String::new() };
        let of = |n: &usize| ours.packets.get(n.checked_sub(ours.updates)?).map(|(a, k)| name(*a, k));
        tx.idle.iter().filter_map(of).collect::<Vec<_>>().join(", ")
    }
}
