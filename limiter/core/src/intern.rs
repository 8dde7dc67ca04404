//! Small numbers for limit keys, given back when nobody used the key for a while.
//!
//! Clause: limiter page, *Three-level quota* (keys), *Figures* (idle keys expire); A1. Text is compared once, at the edge; decisions use the
//! number, which stays a key's own until the key expires and is then given to another one. A hit allocates nothing.
//!
//! What hangs on a number (a bucket that still owes, a call in flight) must not be forgotten, or a key could be rotated past its
//! limit: [`Interner::expire`] asks before each. Bound: [`crate::limits::KEYS`]; past it a new key is refused ([`Full`]) until others expire.
//!
//! ```
//! use core::time::Duration;
//! use limiter_core::{Time, intern::Interner};
//! let mut keys = Interner::new(10, Duration::from_secs(60));
//! let id = keys.intern(Time::ZERO, "relay:a:status:-").unwrap();
//! assert_eq!(keys.intern(Time::ZERO, "relay:a:status:-"), Ok(id));
//! assert_eq!(keys.expire(Time::from_nanos(60_000_000_000), 10, |gone| gone == id), 1);
//! assert!(keys.is_empty());
//! ```

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use thiserror::Error;

use crate::Time;
use crate::limits::KEYS;
use crate::time::span_nanos;

/// The number of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(u32);

impl KeyId {
    /// An index: smaller than the most keys there ever were at once.
    pub fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// As many keys as allowed, none of them idle: expire some, or ask for less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{keys} keys are in use, which is all there may be")]
pub struct Full {
    /// Keys kept.
    pub keys: usize,
}

#[derive(Debug)]
struct Slot {
    /// `None`: free; `newer` is then the next free one.
    key: Option<Arc<str>>,
    used: u64,
    newer: u32,
    older: u32,
}

const NONE: u32 = u32::MAX;

/// The keys. See the module's text.
#[derive(Debug)]
pub struct Interner {
    index: BTreeMap<Arc<str>, u32>,
    slots: Vec<Slot>,
    capacity: usize,
    idle_ns: u64,
    free: u32,
    newest: u32,
    oldest: u32,
}

impl Interner {
    /// At most `capacity` keys, clamped to 1..=[`KEYS`]; one that was not used for `idle` may expire.
    pub fn new(capacity: usize, idle: Duration) -> Self {
        let capacity = capacity.clamp(1, KEYS);
        Self {
            index: BTreeMap::new(),
            slots: Vec::new(),
            capacity,
            idle_ns: span_nanos(idle),
            free: NONE,
            newest: NONE,
            oldest: NONE,
        }
    }

    /// The number of `key`, which is used now.
    pub fn intern(&mut self, now: Time, key: &str) -> Result<KeyId, Full> {
        let at = match self.index.get(key) {
            Some(at) => *at,
            None => self.learn(key)?,
        };
        self.touch(at, now.as_nanos());
        Ok(KeyId(at))
    }

    /// The text of a number.
    pub fn key(&self, id: KeyId) -> Option<&str> {
        self.slots.get(id.index())?.key.as_deref()
    }

    /// Forgets idle keys, the longest unused first, and looks at no more than `most`. `may_go` is told each before it goes; one that may not
    /// counts as used now. Returns how many went.
    pub fn expire(&mut self, now: Time, most: usize, mut may_go: impl FnMut(KeyId) -> bool) -> usize {
        let mut gone = 0usize;
        for _ in 0..most {
            let at = self.oldest;
            let Some(slot) = self.slot(at) else { break };
            if now.as_nanos().saturating_sub(slot.used) < self.idle_ns {
                break;
            }
            if may_go(KeyId(at)) {
                self.forget(at);
                gone = gone.saturating_add(1);
            } else {
                self.touch(at, now.as_nanos());
            }
        }
        gone
    }

    /// Keys kept.
    pub fn len(&self) -> usize {
        self.index.len()
    }
    /// Is none kept?
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    fn slot(&mut self, at: u32) -> Option<&mut Slot> {
        self.slots.get_mut(KeyId(at).index())
    }

    #[cold]
    fn learn(&mut self, key: &str) -> Result<u32, Full> {
        let full = Full { keys: self.index.len() };
        if self.index.len() >= self.capacity {
            return Err(full);
        }
        let key: Arc<str> = Arc::from(key);
        let free = self.free;
        let at = if let Some(slot) = self.slot(free) {
            let next = core::mem::replace(&mut slot.newer, NONE);
            slot.key = Some(key.clone());
            self.free = next;
            free
        } else {
            if self.slots.len() == self.slots.capacity() {
                // By an eighth: doubled, half of what 100,000 keys take would lie idle.
                self.slots.reserve_exact((self.slots.len() >> 3).saturating_add(16));
            }
            let at = u32::try_from(self.slots.len()).map_err(|_| full)?;
            self.slots.push(Slot { key: Some(key.clone()), used: 0, newer: NONE, older: NONE });
            at
        };
        self.index.insert(key, at);
        self.append(at);
        Ok(at)
    }

    fn forget(&mut self, at: u32) {
        self.unlink(at);
        let free = self.free;
        let Some(slot) = self.slot(at) else { return };
        slot.newer = free;
        let key = slot.key.take();
        self.free = at;
        if let Some(key) = key {
            self.index.remove(&key);
        }
    }

    fn touch(&mut self, at: u32, used: u64) {
        if self.newest != at {
            self.unlink(at);
            self.append(at);
        }
        if let Some(slot) = self.slot(at) {
            // A clock that went back makes no key older.
            slot.used = slot.used.max(used);
        }
    }

    fn unlink(&mut self, at: u32) {
        let Some(slot) = self.slot(at) else { return };
        let (older, newer) = (slot.older, slot.newer);
        match self.slot(older) {
            Some(slot) => slot.newer = newer,
            None => self.oldest = newer,
        }
        match self.slot(newer) {
            Some(slot) => slot.older = older,
            None => self.newest = older,
        }
    }

    fn append(&mut self, at: u32) {
        let newest = self.newest;
        if let Some(slot) = self.slot(at) {
            (slot.older, slot.newer) = (newest, NONE);
        }
        match self.slot(newest) {
            Some(slot) => slot.newer = at,
            None => self.oldest = at,
        }
        self.newest = at;
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Time {
        Time::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_hundred_thousand_idle_keys_expire_and_their_numbers_are_used_again() {
        let mut keys = Interner::new(KEYS, MINUTE);
        for n in 0..KEYS {
            assert_eq!(keys.intern(at(0), &format!("relay:chain:method:channel-{n}")).unwrap().index(), n);
        }
        assert_eq!(keys.intern(at(0), "one too many"), Err(Full { keys: KEYS }));
        assert_eq!(keys.expire(at(59), KEYS, |_| true), 0);
        let kept = keys.intern(at(59), "relay:chain:method:channel-7").unwrap();
        assert_eq!(keys.expire(at(60), KEYS, |_| true), KEYS - 1);
        assert_eq!((keys.len(), keys.key(kept)), (1, Some("relay:chain:method:channel-7")));
        assert!(keys.intern(at(61), "another").unwrap().index() < KEYS);
        assert_eq!(keys.slots.len(), KEYS);
    }

    #[test]
    fn a_key_that_still_owes_stays_and_is_asked_about_later() {
        let mut keys = Interner::new(4, MINUTE);
        let (owes, idle) = (keys.intern(at(0), "owes").unwrap(), keys.intern(at(0), "idle").unwrap());
        assert_eq!(keys.expire(at(60), 10, |id| id != owes), 1);
        assert_eq!((keys.key(owes), keys.key(idle)), (Some("owes"), None));
        assert_eq!(keys.expire(at(119), 10, |_| true), 0);
        assert_eq!(keys.expire(at(120), 10, |_| true), 1);
    }

    #[test]
    fn no_more_keys_are_looked_at_than_asked_for() {
        let mut keys = Interner::new(9, MINUTE);
        (0..9).for_each(|n| _ = keys.intern(at(n), &n.to_string()).unwrap());
        assert_eq!(keys.expire(at(1_000), 4, |_| true), 4);
        assert!(keys.key(KeyId(3)).is_none() && keys.key(KeyId(4)).is_some());
    }

    proptest! {
        /// As a map that remembers the last use of each key, whatever comes in which order.
        #[test]
        fn it_does_what_a_map_does(steps in prop::collection::vec((0u8..12, 0u64..20, any::<bool>()), 1..300)) {
            let (mut keys, mut model) = (Interner::new(8, Duration::from_secs(30)), HashMap::new());
            let mut now = 0;
            for (name, wait, expire) in steps {
                now += wait;
                if expire {
                    let gone = keys.expire(at(now), 100, |_| true);
                    let before = model.len();
                    model.retain(|_, (_, used)| now - *used < 30);
                    prop_assert_eq!(gone, before - model.len());
                }
                match keys.intern(at(now), &name.to_string()) {
                    Ok(id) => {
                        let known = model.entry(name).or_insert((id, now));
                        known.1 = now;
                        prop_assert_eq!(known.0, id);
                    }
                    Err(_) => prop_assert!(model.len() == 8 && !model.contains_key(&name)),
                }
                prop_assert_eq!(keys.len(), model.len());
                for (name, (id, _)) in &model {
                    prop_assert_eq!(keys.key(*id).map(str::to_owned), Some(name.to_string()));
                }
            }
        }
    }
}
