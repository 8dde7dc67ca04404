//! Calls that are out: what their ends need, kept here so that a [`super::Grant`] is a word and nothing is copied about.
//!
//! Places are reserved when endpoints are added, as many as may be in flight, and used again last in, first out: the place of a call is
//! in the cache still. Bound: [`crate::limits::IN_FLIGHT_MAX`] places are reserved for a chain; past them a place more may allocate.

use alloc::vec::Vec;

use super::refusal::Refusal;
use crate::Time;
use crate::breaker::Ticket;
use crate::cell::Mark;
use crate::limits::IN_FLIGHT_MAX;

#[derive(Debug)]
pub(super) struct Out {
    /// Of chain, endpoint, channel and method.
    pub(super) marks: [Mark; 4],
    pub(super) at: Time,
    /// `None`: nobody is out here.
    pub(super) ticket: Option<Ticket>,
    pub(super) path: u32,
    pub(super) cost: u32,
    pub(super) endpoint: u16,
    pub(super) leased: bool,
    pub(super) hot: Option<(u32, Mark)>,
    pub(super) wait_ns: u64,
    pub(super) would_refuse: Option<Refusal>,
    /// The next free place.
    next: u32,
}

const EMPTY: Out = Out {
    marks: [Mark::NOTHING; 4],
    at: Time::ZERO,
    ticket: None,
    path: 0,
    cost: 0,
    endpoint: 0,
    leased: false,
    hot: None,
    wait_ns: 0,
    would_refuse: None,
    next: NONE,
};
const NONE: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Calls {
    places: Vec<Out>,
    free: u32,
}

impl Calls {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new(), free: NONE }
    }

    /// Room for so many more at once.
    pub(super) fn reserve(&mut self, more: u32) {
        let most = usize::try_from(IN_FLIGHT_MAX).unwrap_or(0);
        let room = self.places.capacity().saturating_add(usize::try_from(more).unwrap_or(most)).min(most);
        self.places.reserve_exact(room.saturating_sub(self.places.len()));
    }

    /// A place, with what the last call left there. `None` with 2^32 calls out.
    #[inline(always)]
    pub(super) fn open(&mut self) -> Option<(u32, &mut Out)> {
        if self.free == NONE {
            self.add()?;
        }
        let at = self.free;
        let out = self.places.get_mut(index(at))?;
        self.free = out.next;
        Some((at, out))
    }

    #[cold]
    fn add(&mut self) -> Option<()> {
        let at = u32::try_from(self.places.len()).ok().filter(|at| *at < NONE)?;
        self.places.push(EMPTY);
        self.free = at;
        Some(())
    }

    /// The call of this place is over: what was noted, and its ticket.
    #[inline]
    pub(super) fn close(&mut self, at: u32) -> Option<(&mut Out, Ticket)> {
        let out = self.places.get_mut(index(at))?;
        let ticket = out.ticket.take()?;
        out.next = self.free;
        self.free = at;
        Some((out, ticket))
    }

    /// Is a call of this path out?
    pub(super) fn any_on(&self, path: u32) -> bool {
        self.places.iter().any(|out| out.ticket.is_some() && out.path == path)
    }

    pub(super) fn get(&self, at: u32) -> Option<&Out> {
        self.places.get(index(at)).filter(|out| out.ticket.is_some())
    }
}

fn index(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}
