//! How much gas a batch will use, learned from simulations and blocks.
//!
//! A transaction costs its bytes, a base, and something for each message; what a message costs depends on its kind and on how many
//! of it come together (a receive: 87,000 in batches of 5, 76,000 in batches of 30), so there is one figure for each kind and octave
//! of the count (1, 2..3, 4..7, ...). A batch is predicted once each of its figures has [`GAS_SAMPLES`] samples of about
//! its size in bytes; before that, and after an out-of-gas, it is simulated.
//!
//! ```text
//! estimate = 10 × bytes + base + Σ kinds  max over octaves o up to that of n:  min(n, 2^(o+1) - 1) × figure(kind, o)
//! ```
//!
//! The maximum makes the estimate grow with every message. A sample is shared out in proportion to what was estimated; figures rise
//! at once and fall by an eighth of the difference, so they stay near the upper edge of what was seen. Blocks that show far less
//! than estimated did part of their work in vain (a rival was faster) and hardly count. All numbers are integers.

use std::collections::BTreeMap;

use ibc_proto::google::protobuf::Any;
use relayer_core::message::Message;

use super::limits::{ENVELOPE_BYTES, GAS_BASE, GAS_KINDS, GAS_PER_BYTE, GAS_SAMPLES};

const OCTAVES: usize = 8;
const BASE: &str = "base";

/// What the gas of a batch depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    parts: BTreeMap<String, Part>,
    bytes: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Part {
    count: u64,
    bytes: u64,
}

impl Shape {
    /// Of messages and their encoded form, in the same order.
    pub(crate) fn of(messages: &[Message], encoded: &[Any]) -> Self {
        let mut shape = Self { parts: BTreeMap::new(), bytes: ENVELOPE_BYTES };
        for (message, any) in messages.iter().zip(encoded) {
            let kind = match message {
                Message::Other(any) => any.type_url.chars().take(128).collect(),
                other => other.kind().to_owned(),
            };
            let bytes = (any.value.len() as u64).saturating_add(any.type_url.len() as u64).saturating_add(8);
            shape.add(kind, bytes);
        }
        shape
    }

    fn add(&mut self, kind: String, bytes: u64) {
        let part = self.parts.entry(kind).or_default();
        part.count = part.count.saturating_add(1);
        part.bytes = part.bytes.saturating_add(bytes);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// One figure: gas a message of a kind in an octave.
#[derive(Debug, Clone, Copy, Default)]
struct Figure {
    gas: u64,
    samples: u32,
    /// Samples that come from blocks.
    confirmed: u32,
    /// Most bytes a message had.
    bytes: u64,
    /// The chain ran out of gas with it: a node's simulation is not believed alone.
    suspect: bool,
}

/// What is known about a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Estimate {
    /// Gas it will use, as far as known.
    pub(crate) gas: u64,
    /// Good enough to sign with.
    pub(crate) known: bool,
    /// An estimate that simulations must not undercut.
    pub(crate) floor: bool,
}

/// The learned figures.
#[derive(Debug, Clone)]
pub(crate) struct GasModel {
    figures: BTreeMap<String, [Figure; OCTAVES]>,
    base: u64,
    per_message: u64,
}

impl GasModel {
    /// `per_message`: gas of a message of which nothing is known.
    pub(crate) fn new(per_message: u64) -> Self {
        Self { figures: BTreeMap::new(), base: GAS_BASE, per_message: per_message.max(1) }
    }

    pub(crate) fn estimate(&self, shape: &Shape) -> Estimate {
        let gas = self.shares(shape).iter().map(|(_, share)| *share).fold(bytes_gas(shape), u64::saturating_add);
        let figures = || shape.parts.iter().map(|(kind, part)| (self.figure(kind, part.count), part));
        let known = figures().all(|(figure, part)| {
            // Far more bytes than ever seen is another thing: an update of a larger validator set, a packet that makes calls.
            figure.samples >= GAS_SAMPLES
                && !figure.suspect
                && part.bytes / part.count.max(1) <= figure.bytes.saturating_mul(2).saturating_add(512)
        });
        Estimate { gas, known, floor: figures().any(|(figure, _)| figure.suspect) }
    }

    /// A node's simulation.
    pub(crate) fn simulated(&mut self, shape: &Shape, gas: u64) {
        self.sample(shape, gas, |figure, target| {
            // Blocks know better, and a simulation on top of the same packets in the mempool finds nothing to do.
            if figure.confirmed == 0 && !figure.suspect {
                figure.gas = if figure.samples == 0 { target } else { figure.gas.max(target) };
            }
            figure.samples = figure.samples.saturating_add(1);
        });
    }

    /// A block that executed it.
    pub(crate) fn included(&mut self, shape: &Shape, gas: u64) {
        let estimated = self.estimate(shape).gas;
        let in_vain = u128::from(gas) * 10 < u128::from(estimated) * 6;
        self.sample(shape, gas, |figure, target| {
            let difference = figure.gas.saturating_sub(target);
            let down = match (in_vain, figure.confirmed) {
                _ if figure.samples == 0 => difference,
                (false, 0) => difference,
                (false, _) => difference.div_ceil(8),
                (true, 0) => difference / 2,
                (true, _) => difference / 32,
            };
            figure.gas = figure.gas.max(target).saturating_sub(down);
            if !in_vain || figure.samples == 0 {
                figure.samples = figure.samples.saturating_add(1);
                figure.confirmed = figure.confirmed.saturating_add(1);
                figure.suspect = false;
            }
        });
        // The base alone moves whether or not a figure is new.
    }

    /// It ran out of gas at `used` under the limit `wanted`: half as much more, and a simulation, next time.
    pub(crate) fn out_of_gas(&mut self, shape: &Shape, wanted: u64, used: u64) {
        let estimated = self.estimate(shape).gas;
        let needed = wanted.max(used).max(estimated);
        self.sample(shape, needed.saturating_add(needed / 2), |figure, target| {
            figure.gas = figure.gas.max(target);
            figure.suspect = true;
        });
    }

    /// Shares `gas` out in proportion to the estimate; `learn` gets a figure and what it should have been.
    fn sample(&mut self, shape: &Shape, gas: u64, learn: impl Fn(&mut Figure, u64)) {
        let shares = self.shares(shape);
        let total: u128 = shares.iter().map(|(_, share)| u128::from(*share)).sum::<u128>().max(1);
        let work = u128::from(gas.saturating_sub(bytes_gas(shape)).max(1));
        let target = |share: u64, count: u64| {
            let part = (work * u128::from(share)).div_ceil(total).div_ceil(u128::from(count.max(1)));
            u64::try_from(part).unwrap_or(u64::MAX).max(1)
        };
        for (kind, share) in shares {
            let Some(part) = shape.parts.get(&kind).copied() else {
                let base = target(share, 1);
                let down = self.base.saturating_sub(base).div_ceil(8);
                self.base = self.base.max(base).saturating_sub(down).max(1);
                continue;
            };
            if !self.figures.contains_key(&kind) && self.figures.len() >= GAS_KINDS {
                continue;
            }
            let figures = self.figures.entry(kind).or_default();
            if let Some(figure) = figures.get_mut(octave(part.count)) {
                learn(figure, target(share, part.count));
                figure.bytes = figure.bytes.max(part.bytes / part.count.max(1));
            }
        }
    }

    /// Estimated gas of the base and of each kind, without the bytes.
    fn shares(&self, shape: &Shape) -> Vec<(String, u64)> {
        let mut shares = vec![(BASE.to_owned(), self.base.max(1))];
        for (kind, part) in &shape.parts {
            let top = octave(part.count);
            let share = (0..=top)
                .map(|o| {
                    let most = if o == top { part.count } else { (1 << (o + 1)) - 1 };
                    most.min(part.count).saturating_mul(self.gas_of(kind, o))
                })
                .max();
            shares.push((kind.clone(), share.unwrap_or(1).max(1)));
        }
        shares
    }

    fn figure(&self, kind: &str, count: u64) -> Figure {
        self.figures.get(kind).and_then(|f| f.get(octave(count))).copied().unwrap_or_default()
    }

    /// The figure, or the nearest one: below, else above, else the configured guess.
    fn gas_of(&self, kind: &str, octave: usize) -> u64 {
        let Some(figures) = self.figures.get(kind) else { return self.per_message };
        let seen = |f: &&Figure| f.samples > 0 || f.suspect;
        let below = figures.iter().take(octave + 1).rev().find(seen);
        below.or_else(|| figures.iter().skip(octave + 1).find(seen)).map_or(self.per_message, |f| f.gas)
    }
}

fn bytes_gas(shape: &Shape) -> u64 {
    shape.bytes.saturating_mul(GAS_PER_BYTE)
}

fn octave(count: u64) -> usize {
    (count.max(1).ilog2() as usize).min(OCTAVES - 1)
}

/// `gas` times thousandths, rounded up.
pub(crate) fn scaled(gas: u64, thousandths: u32) -> u64 {
    u64::try_from((u128::from(gas) * u128::from(thousandths)).div_ceil(1_000)).unwrap_or(u64::MAX)
}
