//! The right to make one call, given back by whoever holds it.

use std::fmt;
use std::mem;
use std::sync::Arc;

use limiter_core::Time;
use limiter_core::breaker::Ticket;
use limiter_core::bucket::Reservation;

use crate::admission::{Call, Outcome};
use crate::state::Shared;

/// What a permit holds until it is settled.
#[derive(Debug)]
pub(crate) enum Hold {
    /// The call has not left: everything can be given back.
    Reserved(Reservation, Ticket),
    /// The call left: its tokens are spent.
    Sent(Ticket),
    /// Nothing any more.
    Settled,
}

/// The right to make one call. Tell it [`sent`](Self::sent) when the call leaves and [`outcome`](Self::outcome) when it is over.
///
/// Dropped before `sent` it is a refund; dropped after, its tokens stay spent (the node counted them, too) while its place in
/// flight and a half-open probe's slot are free at once.
#[must_use = "a dropped permit is a refund"]
pub struct Permit {
    shared: Arc<Shared>,
    call: Call,
    /// When it was admitted.
    at: Time,
    hold: Hold,
}

impl Permit {
    pub(crate) fn new(shared: Arc<Shared>, call: Call, at: Time, reservation: Reservation, ticket: Ticket) -> Self {
        Self { shared, call, at, hold: Hold::Reserved(reservation, ticket) }
    }

    /// The call leaves now, which is when it was admitted: its latency is counted from there.
    pub fn sent(&mut self) {
        self.hold = match mem::replace(&mut self.hold, Hold::Settled) {
            Hold::Reserved(reservation, ticket) => {
                reservation.commit();
                Hold::Sent(ticket)
            }
            other => other,
        };
    }

    /// The call is over.
    pub fn outcome(mut self, now: Time, outcome: Outcome) {
        self.sent();
        if let Hold::Sent(ticket) = mem::replace(&mut self.hold, Hold::Settled) {
            self.shared.settle(now, self.at, &self.call, ticket, outcome);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !matches!(self.hold, Hold::Settled) {
            self.shared.release(self.call.kind, mem::replace(&mut self.hold, Hold::Settled));
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("call", &self.call).field("hold", &self.hold).finish_non_exhaustive()
    }
}
