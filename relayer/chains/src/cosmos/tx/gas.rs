//! How much gas a batch will use, learned from simulations and blocks.
//!
//! A transaction costs its bytes, a base that is taken as fixed, and something for each message; what a message costs depends on its kind and on how many
//! of it come together (a receive: 87,000 in batches of 5, 76,000 in batches of 30), so there is one figure for each kind and octave
//! of the count (1, 2..3, 4..7, ...). A batch is predicted once each of its figures has [`GAS_SAMPLES`] samples of about
//! its size in bytes; before that, and after an out-of-gas, it is simulated.
//!
//! ```text
//! estimate = 10 × bytes + 50,000 + Σ kinds  max over octaves o up to that of n:  min(n, 2^(o+1) - 1) × figure(kind, o)
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
    per_message: u64,
}

impl GasModel {
    /// `per_message`: gas of a message of which nothing is known.
    pub(crate) fn new(per_message: u64) -> Self {
        Self { figures: BTreeMap::new(), per_message: per_message.max(1) }
    }

    pub(crate) fn estimate(&self, shape: &Shape) -> Estimate {
        let gas = self.shares(shape).iter().copied().fold(fixed(shape), u64::saturating_add);
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
        let total: u128 = shares.iter().copied().map(u128::from).sum::<u128>().max(1);
        let work = u128::from(gas.saturating_sub(fixed(shape)).max(1));
        let target = |share: u64, count: u64| {
            let part = (work * u128::from(share)).div_ceil(total).div_ceil(u128::from(count.max(1)));
            u64::try_from(part).unwrap_or(u64::MAX).max(1)
        };
        for ((kind, part), share) in shape.parts.iter().zip(shares) {
            if !self.figures.contains_key(kind) && self.figures.len() >= GAS_KINDS {
                continue;
            }
            let figures = self.figures.entry(kind.clone()).or_default();
            if let Some(figure) = figures.get_mut(octave(part.count)) {
                learn(figure, target(share, part.count));
                figure.bytes = figure.bytes.max(part.bytes / part.count.max(1));
            }
        }
    }

    /// Estimated gas of each kind, in the order of the shape's parts.
    fn shares(&self, shape: &Shape) -> Vec<u64> {
        let share = |(kind, part): (&String, &Part)| {
            let top = octave(part.count);
            let share = (0..=top)
                .map(|o| {
                    let most = if o == top { part.count } else { (1 << (o + 1)) - 1 };
                    most.min(part.count).saturating_mul(self.gas_of(kind, o))
                })
                .max();
            share.unwrap_or(1).max(1)
        };
        shape.parts.iter().map(share).collect()
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

/// What does not depend on the messages' kinds.
fn fixed(shape: &Shape) -> u64 {
    shape.bytes.saturating_mul(GAS_PER_BYTE).saturating_add(GAS_BASE)
}

fn octave(count: u64) -> usize {
    (count.max(1).ilog2() as usize).min(OCTAVES - 1)
}

/// `gas` times thousandths, rounded up.
pub(crate) fn scaled(gas: u64, thousandths: u32) -> u64 {
    u64::try_from((u128::from(gas) * u128::from(thousandths)).div_ceil(1_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shape(parts: &[(&str, u64, u64)]) -> Shape {
        let mut shape = Shape { parts: BTreeMap::new(), bytes: ENVELOPE_BYTES };
        for (kind, count, bytes) in parts {
            for _ in 0..*count {
                shape.add((*kind).to_owned(), *bytes);
            }
        }
        shape
    }
    fn batch(receives: u64) -> Shape {
        shape(&[("update_client", 1, 1_800), ("recv_packet", receives, 1_600)])
    }
    /// About what ibc-go v10 was measured to use.
    fn truth(receives: u64) -> u64 {
        let each = if receives < 8 { 70_000 } else { 59_000 };
        batch(receives).bytes * GAS_PER_BYTE + 55_000 + 110_000 + receives * each
    }
    /// What a wallet does for one batch.
    fn relay(model: &mut GasModel, receives: u64) -> (u64, bool) {
        let shape = batch(receives);
        let estimate = model.estimate(&shape);
        if !estimate.known {
            model.simulated(&shape, truth(receives));
        }
        model.included(&shape, truth(receives));
        (estimate.gas, estimate.known)
    }

    #[test]
    fn a_shape_is_simulated_once_and_predicted_after_its_block() {
        let mut model = GasModel::new(100_000);
        assert!(!relay(&mut model, 30).1);
        let (gas, known) = relay(&mut model, 30);
        assert!(known);
        assert!(gas >= truth(30) && gas - truth(30) <= 100, "{gas} {}", truth(30));
        assert!(model.estimate(&batch(25)).known, "the same octave");
        assert!(!model.estimate(&batch(1)).known, "a batch of one costs otherwise");
    }

    #[test]
    fn sizes_of_batches_have_figures_of_their_own() {
        let mut model = GasModel::new(100_000);
        for _ in 0..40 {
            for receives in [5, 30, 5, 1, 18, 30] {
                relay(&mut model, receives);
            }
        }
        for receives in [1, 5, 18, 30] {
            let (gas, known) = relay(&mut model, receives);
            assert!(known);
            let (low, high) = (truth(receives) * 93 / 100, truth(receives) * 120 / 100);
            assert!((low..=high).contains(&gas), "{receives}: {gas} is not in {low}..={high}");
        }
    }

    #[test]
    fn far_more_bytes_than_ever_seen_are_simulated() {
        let mut model = GasModel::new(100_000);
        for _ in 0..3 {
            relay(&mut model, 10);
        }
        assert!(model.estimate(&batch(10)).known);
        let memo = shape(&[("update_client", 1, 1_800), ("recv_packet", 10, 30_000)]);
        assert!(!model.estimate(&memo).known);
    }

    #[test]
    fn an_out_of_gas_raises_the_estimate_and_forces_a_simulation() {
        let mut model = GasModel::new(100_000);
        for _ in 0..3 {
            relay(&mut model, 10);
        }
        let before = model.estimate(&batch(10)).gas;
        model.out_of_gas(&batch(10), before, before + 7);
        let after = model.estimate(&batch(10));
        assert!(!after.known && after.floor && after.gas >= before + before / 3, "{before} {after:?}");
        // A node that goes on saying too little does not lower it.
        model.simulated(&batch(10), 1);
        assert!(model.estimate(&batch(10)).gas >= after.gas && model.estimate(&batch(10)).floor);
        model.included(&batch(10), truth(10));
        assert!(!model.estimate(&batch(10)).floor);
    }

    #[test]
    fn attack_45_a_lying_simulation_is_forgotten_after_blocks() {
        let mut model = GasModel::new(100_000);
        model.simulated(&batch(10), truth(10) * 50);
        let mut estimate = model.estimate(&batch(10)).gas;
        for _ in 0..20 {
            model.included(&batch(10), truth(10));
            let next = model.estimate(&batch(10)).gas;
            assert!(next <= estimate);
            estimate = next;
        }
        assert!(estimate <= truth(10) * 2, "{estimate} {}", truth(10));
        // Once blocks have spoken, another lie changes nothing.
        model.simulated(&batch(10), truth(10) * 50);
        assert_eq!(model.estimate(&batch(10)).gas, estimate);
    }

    #[test]
    fn a_batch_that_a_rival_was_faster_with_hardly_counts() {
        let mut model = GasModel::new(100_000);
        for _ in 0..10 {
            relay(&mut model, 30);
        }
        let before = model.estimate(&batch(30)).gas;
        for _ in 0..3 {
            model.included(&batch(30), truth(30) / 3);
        }
        assert!(model.estimate(&batch(30)).gas > before * 9 / 10);
    }

    #[test]
    fn kinds_are_bounded() {
        let mut model = GasModel::new(100_000);
        for n in 0..GAS_KINDS * 2 {
            let other = shape(&[(&format!("/x.Msg{n}"), 1, 10)]);
            model.simulated(&other, 100_000);
            model.included(&other, 100_000);
        }
        assert_eq!(model.figures.len(), GAS_KINDS);
    }

    proptest! {
        #[test]
        fn the_estimate_converges_on_a_constant_use(n in 1u64..100, each in 20_000u64..400_000, start in 1u64..2_000_000) {
            let mut model = GasModel::new(start);
            let shape = shape(&[("recv_packet", n, 1_000)]);
            let used = shape.bytes * GAS_PER_BYTE + 50_000 + n * each;
            for _ in 0..80 {
                model.included(&shape, used);
            }
            let gas = model.estimate(&shape).gas;
            prop_assert!(gas.abs_diff(used) <= used / 50 + 200, "{gas} {used}");
        }

        #[test]
        fn estimates_grow_with_every_message(
            history in proptest::collection::vec((1u64..100, 0u64..3_000_000, 0u8..3), 0..40),
            n in 1u64..120,
        ) {
            let mut model = GasModel::new(90_000);
            for (count, gas, how) in history {
                match how {
                    0 => model.simulated(&batch(count), gas),
                    1 => model.included(&batch(count), gas),
                    _ => model.out_of_gas(&batch(count), gas, gas),
                }
            }
            prop_assert!(model.estimate(&batch(n)).gas <= model.estimate(&batch(n + 1)).gas);
        }

        #[test]
        fn no_answer_of_a_node_overflows(
            history in proptest::collection::vec((1u64..100, any::<u64>(), 0u8..3), 0..30),
        ) {
            let mut model = GasModel::new(u64::MAX);
            for (count, gas, how) in history {
                match how {
                    0 => model.simulated(&batch(count), gas),
                    1 => model.included(&batch(count), gas),
                    _ => model.out_of_gas(&batch(count), gas, gas),
                }
                prop_assert!(model.estimate(&batch(count)).gas > 0);
            }
        }

        #[test]
        fn scaling_rounds_up(gas in 0u64..1 << 50, thousandths in 1_000u32..5_000) {
            let out = scaled(gas, thousandths);
            prop_assert!(out >= gas && u128::from(out) * 1_000 < u128::from(gas) * u128::from(thousandths) + 1_000);
        }
    }
}
