//! Limits per value of a parameter: one hot channel, one hot account.
//!
//! Clause: limiter page, *Hot parameters*; B20. A value is a number (an interned id, or a hash of the value). Each value has its own
//! bucket and cap on calls in flight; some have limits of their own. At most `capacity` values are kept, the least recently used goes
//! first, never one with calls in flight.
//!
//! A value that is forgotten must not come back with a full bucket, or a caller could rotate values past the limit of each: new values start
//! owing what the most indebted forgotten one still owed. Known values allocate nothing; a new one may. Bound: [`crate::limits::HOT_VALUES`].

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::Time;
use crate::cell::{Cell, Mark, Short, Speed};
use crate::limits::{HOT_SCAN, HOT_VALUES};

/// What one value may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Rate and burst.
    pub speed: Speed,
    /// Calls in flight; `None` does not limit.
    pub in_flight: Option<u32>,
}

/// Why a value is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Its bucket is short.
    Rate(Short),
    /// Too many calls of it in flight.
    InFlight,
    /// All values kept have calls in flight.
    Full,
}

#[derive(Debug, Clone)]
struct Entry {
    value: u64,
    cell: Cell,
    in_flight: u32,
    max_in_flight: u32,
    newer: u32,
    older: u32,
}

const NONE: u32 = u32::MAX;

/// The values. See the module's text.
#[derive(Debug, Clone)]
pub struct HotParams {
    limit: Limit,
    overrides: BTreeMap<u64, Limit>,
    index: BTreeMap<u64, u32>,
    entries: Vec<Entry>,
    capacity: usize,
    newest: u32,
    oldest: u32,
    owed_until: Time,
}

impl HotParams {
    /// At most `capacity` values, clamped to 1..=[`HOT_VALUES`].
    pub fn new(limit: Limit, capacity: usize, overrides: impl IntoIterator<Item = (u64, Limit)>) -> Self {
        let capacity = capacity.clamp(1, HOT_VALUES);
        Self {
            limit,
            overrides: overrides.into_iter().take(HOT_VALUES).collect(),
            index: BTreeMap::new(),
            entries: Vec::with_capacity(capacity),
            capacity,
            newest: NONE,
            oldest: NONE,
            owed_until: Time::ZERO,
        }
    }

    /// May `n` calls of `value` go? On yes the entry, and its backlog, for [`Self::take`].
    pub fn check(&mut self, now: Time, value: u64, n: u32) -> Result<(u32, u64), Refused> {
        let at = match self.index.get(&value) {
            Some(at) => *at,
            None => self.learn(now, value)?,
        };
        self.touch(at);
        let Some(entry) = self.entry(at) else { return Err(Refused::Full) };
        if entry.in_flight >= entry.max_in_flight {
            return Err(Refused::InFlight);
        }
        let drained = entry.cell.drained(now);
        match entry.cell.fits(drained, n) {
            true => Ok((at, drained)),
            false => Err(Refused::Rate(entry.cell.shortfall(drained, n))),
        }
    }

    /// Takes what [`Self::check`] found.
    pub fn take(&mut self, now: Time, (at, drained): (u32, u64), n: u32) -> Mark {
        let Some(entry) = self.entry_mut(at) else { return Mark::default() };
        entry.in_flight = entry.in_flight.saturating_add(1);
        entry.cell.take(now, drained, n)
    }

    /// A call is over: its place is free; with a mark, its tokens are given back, too.
    pub fn release(&mut self, at: u32, refund: Option<(Time, Mark)>) {
        let Some(entry) = self.entry_mut(at) else { return };
        entry.in_flight = entry.in_flight.saturating_sub(1);
        if let Some((then, mark)) = refund {
            entry.cell.refund(then, mark);
        }
    }

    /// The threshold of a value, thousandths of a call a second.
    pub fn threshold_milli(&self, value: u64) -> u64 {
        self.limit_of(value).speed.per_second_milli()
    }

    /// Values kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
    /// Is none kept?
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn limit_of(&self, value: u64) -> Limit {
        self.overrides.get(&value).copied().unwrap_or(self.limit)
    }
    fn entry(&self, at: u32) -> Option<&Entry> {
        self.entries.get(usize::try_from(at).ok()?)
    }
    fn entry_mut(&mut self, at: u32) -> Option<&mut Entry> {
        self.entries.get_mut(usize::try_from(at).ok()?)
    }

    #[cold]
    fn learn(&mut self, now: Time, value: u64) -> Result<u32, Refused> {
        let limit = self.limit_of(value);
        if self.entries.len() < self.capacity {
            let at = u32::try_from(self.entries.len()).map_err(|_| Refused::Full)?;
            self.entries.push(self.fresh(now, value, limit));
            self.index.insert(value, at);
            return Ok(at);
        }
        let mut at = self.oldest;
        for _ in 0..HOT_SCAN {
            let Some(entry) = self.entry(at) else { break };
            if entry.in_flight == 0 {
                let (forgotten, empty_at) = (entry.value, entry.cell.empty_at());
                self.index.remove(&forgotten);
                self.owed_until = self.owed_until.max(empty_at);
                self.unlink(at);
                let fresh = self.fresh(now, value, limit);
                if let Some(entry) = self.entry_mut(at) {
                    *entry = fresh;
                }
                self.index.insert(value, at);
                return Ok(at);
            }
            at = entry.newer;
        }
        Err(Refused::Full)
    }

    fn fresh(&self, now: Time, value: u64, limit: Limit) -> Entry {
        let cell = Cell::owing_until(limit.speed, now, self.owed_until);
        let max_in_flight = limit.in_flight.unwrap_or(u32::MAX);
        Entry { value, cell, in_flight: 0, max_in_flight, newer: NONE, older: NONE }
    }

    /// Makes an entry the newest.
    fn touch(&mut self, at: u32) {
        if self.newest == at {
            return;
        }
        self.unlink(at);
        let newest = self.newest;
        if let Some(entry) = self.entry_mut(at) {
            entry.older = newest;
            entry.newer = NONE;
        }
        match self.entry_mut(newest) {
            Some(entry) => entry.newer = at,
            None => self.oldest = at,
        }
        self.newest = at;
    }

    fn unlink(&mut self, at: u32) {
        let Some((newer, older)) = self.entry(at).map(|entry| (entry.newer, entry.older)) else { return };
        if self.newest == at {
            self.newest = older;
        }
        if self.oldest == at {
            self.oldest = newer;
        }
        if let Some(entry) = self.entry_mut(newer) {
            entry.older = older;
        }
        if let Some(entry) = self.entry_mut(older) {
            entry.newer = newer;
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn limit(per_second: u64, burst: u64, in_flight: Option<u32>) -> Limit {
        Limit { speed: Speed::per_second(per_second, burst), in_flight }
    }
    fn at(ns: u64) -> Time {
        Time::from_nanos(ns)
    }
    fn ask(hot: &mut HotParams, now: u64, value: u64) -> Result<u32, Refused> {
        let found = hot.check(at(now), value, 1)?;
        hot.take(at(now), found, 1);
        Ok(found.0)
    }

    #[test]
    fn each_value_has_its_own_bucket_and_some_their_own_limit() {
        let mut hot = HotParams::new(limit(1, 2, None), 10, [(7, limit(1, 3, None))]);
        for (value, burst) in [(1, 2), (2, 2), (7, 3)] {
            let passed = (0..5).filter(|_| ask(&mut hot, 0, value).is_ok()).count();
            assert_eq!(passed, burst, "{value}");
        }
        assert_eq!(ask(&mut hot, 0, 1), Err(Refused::Rate(Short::Wait(1_000_000_000))));
    }

    #[test]
    fn the_least_recently_used_goes_and_comes_back_owing() {
        let mut hot = HotParams::new(limit(1, 1, None), 2, []);
        let places: Vec<_> = [1, 2].map(|value| ask(&mut hot, 0, value).unwrap()).to_vec();
        places.into_iter().for_each(|place| hot.release(place, None));
        assert!(ask(&mut hot, 10, 3).is_err()); // took the place of 1, and owes as it did
        assert_eq!(hot.len(), 2);
        assert!(ask(&mut hot, 20, 1).is_err());
        assert!(ask(&mut hot, 1_000_000_000, 1).is_ok());
    }

    #[test]
    fn calls_in_flight_are_capped_and_never_forgotten() {
        let mut hot = HotParams::new(limit(1_000, 100, Some(1)), 1, []);
        let place = ask(&mut hot, 0, 1).unwrap();
        assert_eq!(ask(&mut hot, 0, 1), Err(Refused::InFlight));
        assert_eq!(ask(&mut hot, 0, 2), Err(Refused::Full));
        hot.release(place, None);
        assert!(ask(&mut hot, 1_000_000, 2).is_ok());
    }

    proptest! {
        /// Rotating through more values than are kept gains no value more than its limit, in any window.
        #[test]
        fn no_value_ever_exceeds_its_limit(steps in prop::collection::vec((0u64..300_000_000, 0u64..6), 1..300)) {
            let mut hot = HotParams::new(limit(3, 2, None), 3, []);
            let (mut now, mut passed) = (0u64, HashMap::<u64, Vec<u64>>::new());
            for (wait, value) in steps {
                now += wait;
                if let Ok(place) = ask(&mut hot, now, value) {
                    hot.release(place, None);
                    passed.entry(value).or_default().push(now);
                }
            }
            for times in passed.values() {
                for (i, start) in times.iter().enumerate() {
                    for (k, end) in times.iter().enumerate().skip(i) {
                        let n = u64::try_from(k - i + 1).unwrap();
                        prop_assert!(n * 1_000_000_000 <= 2 * 1_000_000_000 + (end - start) * 3);
                    }
                }
            }
        }
    }
}
