//! Who goes first: by what is lost when it comes too late.
//!
//! | class | what | may take the last tokens |
//! |---|---|---|
//! | evidence | misbehaviour of a client | all |
//! | client | an update of a client near its expiry | down to a tenth |
//! | packet | a packet near its timeout | down to a fifth |
//! | normal | everything else | down to three tenths |
//! | background | scans, metrics | down to half |
//!
//! Within a class the nearest deadline goes first, then the oldest. The floors are the reserve: a bucket drained by scans still
//! has tokens for evidence. Clause: *priority by deadline ... with a reserve* of the limiter page. Bounds: [`QUEUE_ITEMS`]; a
//! full queue lets go of its least urgent item. Units: `Time` in ns, floors in thousandths of the burst.
//!
//! ```
//! use limiter_core::{Time, priority::{Class, Work, class_of}};
//! let now = Time::ZERO;
//! assert_eq!(class_of(now, Work::Misbehaviour), Class::Evidence);
//! assert!(Class::Evidence < Class::Background);
//! ```

use core::time::Duration;

use alloc::collections::BTreeMap;

use crate::Time;
use crate::limits::{CLIENT_URGENT, PACKET_URGENT, QUEUE_ITEMS};

/// What waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Evidence against a client.
    Misbehaviour,
    /// An update of a client that expires then.
    ClientUpdate {
        /// When.
        expires: Time,
    },
    /// A packet that times out then.
    Packet {
        /// When; [`Time::MAX`] if never.
        times_out: Time,
    },
    /// Neither urgent nor deferrable.
    Other,
    /// May wait for everything else.
    Background,
}

/// The most urgent is the smallest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Misbehaviour.
    Evidence,
    /// A client near its expiry.
    Client,
    /// A packet near its timeout.
    Packet,
    /// Everything else.
    Normal,
    /// Scans and metrics.
    Background,
}

impl Class {
    /// How many there are.
    pub const COUNT: usize = 5;

    /// Thousandths of the burst that this class leaves to those before it.
    pub const fn floor_permille(self) -> u64 {
        match self {
            Self::Evidence => 0,
            Self::Client => 100,
            Self::Packet => 200,
            Self::Normal => 300,
            Self::Background => 500,
        }
    }

    /// May this class take `n` of the `tokens` that are there? A bucket too small for a reserve has none.
    pub fn may_take(self, tokens: u64, burst: u64, n: u64) -> bool {
        let floor = u128::from(burst).saturating_mul(u128::from(self.floor_permille())) / 1_000;
        let floor = u64::try_from(floor).unwrap_or(u64::MAX).min(burst.saturating_sub(n));
        tokens.saturating_sub(n.min(tokens)) >= floor && tokens >= n
    }
}

/// The class of a piece of work now: with its deadline near it rises.
pub fn class_of(now: Time, work: Work) -> Class {
    let near = |deadline: Time, urgent: Duration| deadline.since(now) <= urgent;
    match work {
        Work::Misbehaviour => Class::Evidence,
        Work::ClientUpdate { expires } if near(expires, CLIENT_URGENT) => Class::Client,
        Work::Packet { times_out } if near(times_out, PACKET_URGENT) && times_out > now => Class::Packet,
        Work::ClientUpdate { .. } | Work::Packet { .. } | Work::Other => Class::Normal,
        Work::Background => Class::Background,
    }
}

fn deadline(work: Work) -> Time {
    match work {
        Work::ClientUpdate { expires } => expires,
        Work::Packet { times_out } => times_out,
        Work::Misbehaviour | Work::Other | Work::Background => Time::MAX,
    }
}

/// Why an item is not in the queue.
#[derive(Debug, PartialEq, Eq)]
pub enum Pushed<T> {
    /// It is.
    Taken,
    /// It is; this less urgent one had to go.
    Displaced(T),
    /// The queue is full of more urgent ones.
    Refused(T),
}

/// A bounded queue ordered by class, deadline and age.
#[derive(Debug)]
pub struct Queue<T> {
    items: BTreeMap<(Class, Time, u64), (Work, T)>,
    bound: usize,
    next: u64,
    sorted_at: Time,
}

impl<T> Queue<T> {
    /// At most `bound` items, and never more than [`QUEUE_ITEMS`].
    pub fn new(bound: usize) -> Self {
        Self { items: BTreeMap::new(), bound: bound.clamp(1, QUEUE_ITEMS), next: 0, sorted_at: Time::ZERO }
    }
    /// Items waiting.
    pub fn len(&self) -> usize {
        self.items.len()
    }
    /// Does nothing wait?
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Lines an item up by its class now.
    pub fn push(&mut self, now: Time, work: Work, item: T) -> Pushed<T> {
        let key = (class_of(now, work), deadline(work), self.next);
        let full = self.items.len() >= self.bound;
        if full && self.items.last_key_value().is_some_and(|(last, _)| *last < key) {
            return Pushed::Refused(item);
        }
        let displaced = if full { self.items.pop_last() } else { None };
        self.next = self.next.wrapping_add(1);
        self.items.insert(key, (work, item));
        displaced.map_or(Pushed::Taken, |(_, (_, item))| Pushed::Displaced(item))
    }

    /// The most urgent item and its class.
    pub fn pop(&mut self, now: Time) -> Option<(Class, T)> {
        self.promote(now);
        self.items.pop_first().map(|(key, (_, item))| (key.0, item))
    }

    /// Once a second: items whose deadline came near while they waited rise, those past it sink.
    fn promote(&mut self, now: Time) {
        if now.since(self.sorted_at) < Duration::from_secs(1) {
            return;
        }
        self.sorted_at = now;
        let items = core::mem::take(&mut self.items);
        self.items = items
            .into_iter()
            .map(|((_, deadline, age), item)| ((class_of(now, item.0), deadline, age), item))
            .collect();
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO.after(Duration::from_secs(seconds))
    }

    #[test]
    fn evidence_before_a_client_near_expiry_before_a_packet_near_timeout_before_the_rest() {
        let mut queue = Queue::new(10);
        let work = [
            Work::Background,
            Work::Other,
            Work::Packet { times_out: at(30) },
            Work::Packet { times_out: at(20) },
            Work::ClientUpdate { expires: at(60) },
            Work::Misbehaviour,
            Work::Packet { times_out: at(86_400) },
        ];
        work.into_iter().enumerate().for_each(|(n, work)| assert_eq!(queue.push(at(0), work, n), Pushed::Taken));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop(at(0))).map(|(_, n)| n).collect();
        assert_eq!(order, [5, 4, 3, 2, 6, 1, 0]);
    }

    #[test]
    fn a_packet_whose_timeout_comes_near_while_it_waits_rises_and_one_past_it_does_not() {
        let mut queue = Queue::new(10);
        let timeout = at(10_000);
        queue.push(at(0), Work::Packet { times_out: timeout }, 0);
        assert_eq!(class_of(at(0), Work::Packet { times_out: timeout }), Class::Normal);
        assert_eq!(queue.pop(at(9_990)), Some((Class::Packet, 0)));
        assert_eq!(class_of(timeout, Work::Packet { times_out: timeout }), Class::Normal);
    }

    #[test]
    fn a_full_queue_lets_go_of_its_least_urgent_item() {
        let mut queue = Queue::new(2);
        queue.push(at(0), Work::Background, 0);
        queue.push(at(0), Work::Other, 1);
        assert_eq!(queue.push(at(0), Work::Background, 2), Pushed::Refused(2));
        assert_eq!(queue.push(at(0), Work::Misbehaviour, 3), Pushed::Displaced(0));
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn scans_that_drain_the_bucket_leave_a_reserve_for_the_urgent() {
        let mut tokens = 100;
        for (class, left) in [
            (Class::Background, 50),
            (Class::Normal, 30),
            (Class::Packet, 20),
            (Class::Client, 10),
            (Class::Evidence, 0),
        ] {
            while class.may_take(tokens, 100, 1) {
                tokens -= 1;
            }
            assert_eq!(tokens, left, "{class:?}");
        }
        // A call as large as the burst is not locked out for ever, and a bucket of one token has no reserve.
        assert!(Class::Background.may_take(100, 100, 100) && Class::Background.may_take(1, 1, 1));
        assert!(!Class::Evidence.may_take(0, 1, 1));
    }

    proptest! {
        /// Any order of pushes: pops are sorted by class, then deadline, and the bound holds.
        #[test]
        fn pops_are_in_order_and_the_bound_holds(bound in 1usize..30, items in prop::collection::vec((0u8..5, 0u64..5_000), 0..80)) {
            let mut queue = Queue::new(bound);
            for (kind, due) in items {
                let work = match kind {
                    0 => Work::Misbehaviour,
                    1 => Work::ClientUpdate { expires: at(due) },
                    2 => Work::Packet { times_out: at(due) },
                    3 => Work::Other,
                    _ => Work::Background,
                };
                queue.push(at(0), work, work);
                prop_assert!(queue.len() <= bound);
            }
            let out: Vec<_> = std::iter::from_fn(|| queue.pop(at(0))).map(|(class, work)| (class, deadline(work))).collect();
            prop_assert!(out.is_sorted());
        }
    }
}
