//! Fairness between channels: one that is spammed, or that releases its delayed packets in one burst, can't starve the others.
//!
//! Deficit round robin over a fixed number of flows (channels, by their interned index). Each round a waiting flow earns a
//! quantum and spends it on its oldest items, so over any time two waiting flows get the same cost, but for one quantum and one
//! item. A flow holds at most its share of places: a burst is refused at its own flow's bound, never at the expense of another.
//! Clauses: *fairness between channels* of the limiter page, attack row 40. Memory is taken once, at construction. Errors: a
//! full flow gives the item back.
//!
//! ```
//! use limiter_core::fair::Fair;
//! let mut queue = Fair::new(2, 10, 1);
//! (0..5).for_each(|n| queue.push(0, 1, n).unwrap());
//! queue.push(1, 1, 100).unwrap();
//! let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, item)| item).collect();
//! assert_eq!(order, [0, 100, 1, 2, 3, 4]);
//! ```

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::limits::{FLOW_ITEMS, FLOWS};

/// Why an item was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The flow has as many items waiting as it may: the source must wait.
    #[error("flow {flow} has {waiting} items waiting, its bound")]
    Full {
        /// Which.
        flow: usize,
        /// How many.
        waiting: usize,
    },
    /// There is no such flow.
    #[error("there is no flow {flow}")]
    NoFlow {
        /// Which.
        flow: usize,
    },
}

#[derive(Debug)]
struct Flow<T> {
    items: VecDeque<(u64, T)>,
    credit: u64,
    waiting: bool,
}

/// The queue. See the module's text.
#[derive(Debug)]
pub struct Fair<T> {
    flows: Vec<Flow<T>>,
    /// Flows with items, in the order of their turns.
    turns: VecDeque<usize>,
    each: usize,
    quantum: u64,
    len: usize,
}

impl<T> Fair<T> {
    /// At most [`FLOWS`] flows of at most [`FLOW_ITEMS`] items; `quantum` is what a flow earns a round.
    pub fn new(flows: usize, each: usize, quantum: u64) -> Self {
        let (flows, each) = (flows.clamp(1, FLOWS), each.clamp(1, FLOW_ITEMS));
        Self {
            flows: (0..flows).map(|_| Flow { items: VecDeque::new(), credit: 0, waiting: false }).collect(),
            turns: VecDeque::with_capacity(flows),
            each,
            quantum: quantum.max(1),
            len: 0,
        }
    }

    /// Items waiting in all flows.
    pub fn len(&self) -> usize {
        self.len
    }
    /// Does nothing wait?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// Items of one flow.
    pub fn waiting(&self, flow: usize) -> usize {
        self.flows.get(flow).map_or(0, |flow| flow.items.len())
    }

    /// Puts an item of this cost (at least 1) behind its flow's others, or says why not and gives it back.
    pub fn push(&mut self, index: usize, cost: u64, item: T) -> Result<(), (Refused, T)> {
        let each = self.each;
        let Some(flow) = self.flows.get_mut(index) else { return Err((Refused::NoFlow { flow: index }, item)) };
        let waiting = flow.items.len();
        if waiting >= each {
            return Err((Refused::Full { flow: index, waiting }, item));
        }
        flow.items.push_back((cost.max(1), item));
        self.len = self.len.saturating_add(1);
        if !flow.waiting {
            (flow.waiting, flow.credit) = (true, self.quantum);
            self.turns.push_back(index);
        }
        Ok(())
    }

    /// The next item and its flow.
    pub fn pop(&mut self) -> Option<(usize, T)> {
        loop {
            let index = *self.turns.front()?;
            let flow = self.flows.get_mut(index)?;
            let cost = flow.items.front().map(|(cost, _)| *cost);
            match cost {
                Some(cost) if cost <= flow.credit => {
                    flow.credit = flow.credit.saturating_sub(cost);
                    let (_, item) = flow.items.pop_front()?;
                    self.len = self.len.saturating_sub(1);
                    if flow.items.is_empty() {
                        // What an idle flow did not use is not saved up for a burst.
                        (flow.waiting, flow.credit) = (false, 0);
                        self.turns.pop_front();
                    }
                    return Some((index, item));
                }
                Some(cost) if self.turns.len() == 1 => flow.credit = cost, // alone: nobody to wait for
                _ => {
                    flow.credit = flow.credit.saturating_add(self.quantum);
                    self.turns.rotate_left(1);
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_spammed_channel_does_not_delay_another_by_more_than_a_round() {
        let mut queue = Fair::new(3, 1_000, 1);
        (0..1_000).for_each(|n| queue.push(0, 1, n).unwrap());
        assert_eq!(queue.push(0, 1, 7).unwrap_err().0, Refused::Full { flow: 0, waiting: 1_000 });
        (0..3).for_each(|n| queue.push(1, 1, n).unwrap());
        (0..3).for_each(|n| queue.push(2, 1, n).unwrap());
        let first: Vec<_> = (0..9).filter_map(|_| queue.pop()).map(|(flow, _)| flow).collect();
        assert_eq!(first, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn an_idle_flow_saves_nothing_up_and_an_unknown_one_is_refused() {
        let mut queue = Fair::new(2, 10, 5);
        for _ in 0..10 {
            queue.push(1, 1, 0).unwrap();
            assert_eq!(queue.pop(), Some((1, 0)));
        }
        (0..10).for_each(|n| queue.push(0, 1, n).unwrap());
        (0..10).for_each(|n| queue.push(1, 1, n).unwrap());
        let flows: Vec<_> = (0..10).filter_map(|_| queue.pop()).map(|(flow, _)| flow).collect();
        assert_eq!(flows.iter().filter(|&&flow| flow == 1).count(), 5);
        assert_eq!(queue.push(2, 1, 0), Err((Refused::NoFlow { flow: 2 }, 0)));
    }

    proptest! {
        /// While two flows wait, their served costs differ by at most a quantum and the largest item.
        #[test]
        fn waiting_flows_get_the_same_cost(
            quantum in 1u64..20,
            costs in prop::collection::vec(prop::collection::vec(1u64..30, 60), 2..6),
        ) {
            let mut queue = Fair::new(costs.len(), 100, quantum);
            for (flow, items) in costs.iter().enumerate() {
                items.iter().for_each(|&cost| queue.push(flow, cost, cost).unwrap());
            }
            let mut served = vec![0; costs.len()];
            while (0..costs.len()).all(|flow| queue.waiting(flow) > 0) {
                let (flow, cost) = queue.pop().unwrap();
                served[flow] += cost;
                let (min, max) = (served.iter().min().unwrap(), served.iter().max().unwrap());
                prop_assert!(max - min <= quantum + 30, "{served:?}");
            }
        }

        /// Everything that was taken comes out once, in its flow's order.
        #[test]
        fn nothing_is_lost_and_each_flow_keeps_its_order(pushes in prop::collection::vec((0usize..4, 0u64..9, any::<bool>()), 0..300)) {
            let mut queue = Fair::new(4, 16, 3);
            let (mut model, mut taken) = (vec![VecDeque::new(); 4], 0usize);
            for (n, (flow, cost, pop)) in pushes.into_iter().enumerate() {
                if queue.push(flow, cost, n).is_ok() { model[flow].push_back(n); taken += 1; }
                if pop && let Some((flow, item)) = queue.pop() { prop_assert_eq!(model[flow].pop_front(), Some(item)); taken -= 1; }
                prop_assert_eq!(queue.len(), taken);
            }
            while let Some((flow, item)) = queue.pop() { prop_assert_eq!(model[flow].pop_front(), Some(item)); taken -= 1; }
            prop_assert_eq!(taken, 0);
        }
    }
}
