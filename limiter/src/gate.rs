//! Many chains behind one door: each decision takes one chain's lock, and now and then the global one.
//!
//! Clause: limiter page, *Three-level quota* (the five levels), *Figures* (two threads on different chains). A [`ChainGate`] owns the
//! whole state of a chain ([`limiter_core::decide::Chain`]) behind a mutex that is never held across an await. The global level would make all chains
//! meet at one lock, so a chain leases its tokens in blocks.
//!
//! What chains hold unspent could be spent at once on top of a full burst, so it is set aside: the global bucket's own burst is
//! smaller by all that leases can hold. In any window, what is spent is at most what was drawn in it plus what was held at its
//! start: `burst + rate * W`, exactly. Bounds: [`crate::limits::LEASE`], [`crate::limits::LEASE_SHARE`].

use std::fmt;
use std::mem;
use std::time::Duration;

use limiter_core::Time;
use limiter_core::cell::{Cell, Short};
use limiter_core::decide::{Ask, Chain, ComeBack, End, Grant, Level, Refusal, RuleId};
use limiter_core::weight::Base;

use self::sync::{Arc, Mutex, MutexGuard, PoisonError};
use crate::limits::{LEASE, LEASE_SHARE};

/// The locks: a model checker's own in its test, else the standard library's.
mod sync {
    #[cfg(feature = "model")]
    pub(super) use shuttle::sync::{Arc, Mutex, MutexGuard};
    #[cfg(not(feature = "model"))]
    pub(super) use std::sync::{Arc, Mutex, MutexGuard};

    pub(super) use std::sync::PoisonError;
}

#[derive(Debug)]
struct Global {
    rule: RuleId,
    cell: Mutex<Cell>,
    /// Tokens a chain may hold between two calls.
    lease: u32,
}

/// The global level, and where chains are made.
#[derive(Debug, Clone)]
pub struct Gate {
    global: Arc<Global>,
    chains_left: u32,
}

impl Gate {
    /// A global level for up to `chains` chains; those made past that number get no lease and draw each token.
    pub fn new(rule: RuleId, base: Base, chains: u32) -> Self {
        let chains = chains.max(1);
        let held = u64::from(chains).saturating_mul(LEASE_SHARE);
        let lease = base.burst.checked_div(held).unwrap_or(0).min(u64::from(LEASE));
        let reserve = lease.saturating_mul(u64::from(chains));
        let own = Base { burst: base.burst.saturating_sub(reserve), ..base };
        let lease = u32::try_from(lease).unwrap_or(0);
        let cell = Mutex::new(Cell::new(own.weighted(&[])));
        Self { global: Arc::new(Global { rule, cell, lease }), chains_left: chains }
    }

    /// A chain under this global level.
    pub fn chain(&mut self, mut chain: Chain) -> ChainGate {
        let lease = if self.chains_left > 0 { self.global.lease } else { 0 };
        self.chains_left = self.chains_left.saturating_sub(1);
        chain.set_lease(lease);
        ChainGate { state: Mutex::new(chain), global: self.global.clone(), lease }
    }

    /// Tokens of the global level that no chain has drawn.
    pub fn available(&self, now: Time) -> u64 {
        lock(&self.global.cell).available(now)
    }
}

/// One chain. See the module's text.
///
/// Two chains share no cache line, nor a pair of lines that is fetched together.
#[repr(align(128))]
pub struct ChainGate {
    state: Mutex<Chain>,
    global: Arc<Global>,
    lease: u32,
}

impl ChainGate {
    /// May this call go? Everything is taken, or nothing.
    #[inline]
    pub fn decide(&self, now: Time, ask: &Ask) -> Result<Pass<'_>, Refusal> {
        let grant = lock(&self.state).decide(now, ask, |want| self.global.draw(now, want, self.lease))?;
        Ok(Pass { gate: self, hold: Hold::Reserved(grant), at: now })
    }

    /// Changes or reads the chain: rules, samples, hold-offs, windows.
    pub fn with<T>(&self, f: impl FnOnce(&mut Chain) -> T) -> T {
        f(&mut lock(&self.state))
    }

    fn finish(&self, now: Time, at: Time, grant: Grant, end: End) {
        let surplus = lock(&self.state).finish(now, grant, end);
        if surplus > 0 {
            lock(&self.global.cell).give_back(now, at, surplus);
        }
    }
}

impl fmt::Debug for ChainGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainGate").field("lease", &self.lease).finish_non_exhaustive()
    }
}

impl Global {
    #[cold]
    fn draw(&self, now: Time, want: u32, lease: u32) -> Result<u32, Refusal> {
        let mut cell = lock(&self.cell);
        let drained = cell.drained(now);
        for n in [want.saturating_add(lease), want] {
            if cell.fits(drained, n) {
                cell.take(now, drained, n);
                return Ok(n);
            }
        }
        let come_back = match cell.shortfall(drained, want) {
            Short::Wait(ns) => ComeBack::At(now.after(Duration::from_nanos(ns))),
            Short::Never => ComeBack::Never,
        };
        let threshold_milli = cell.speed().per_second_milli();
        Err(Refusal { level: Level::Global, rule: self.rule, threshold_milli, come_back })
    }
}

/// A panic elsewhere leaves counters, not broken invariants: go on with them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
enum Hold {
    Reserved(Grant),
    Sent(Grant),
    Settled,
}

/// The right to make one call. Dropped before [`sent`](Self::sent) it is a refund; dropped after, its tokens are spent and its place free.
#[must_use = "a dropped pass is a refund"]
pub struct Pass<'a> {
    gate: &'a ChainGate,
    hold: Hold,
    at: Time,
}

impl Pass<'_> {
    /// Leave after this (zero: now).
    pub fn wait(&self) -> Duration {
        match &self.hold {
            Hold::Reserved(grant) | Hold::Sent(grant) if grant.waits() => lock(&self.gate.state).wait(grant),
            _ => Duration::ZERO,
        }
    }
    /// What a rule in shadow mode would have said.
    pub fn would_refuse(&self) -> Option<Refusal> {
        match &self.hold {
            Hold::Reserved(grant) | Hold::Sent(grant) if grant.is_shadowed() => {
                lock(&self.gate.state).would_refuse(grant)
            }
            _ => None,
        }
    }
    /// The call leaves now.
    pub fn sent(&mut self) {
        self.hold = match mem::replace(&mut self.hold, Hold::Settled) {
            Hold::Reserved(grant) => Hold::Sent(grant),
            other => other,
        };
    }
    /// The call is over.
    pub fn finish(mut self, now: Time, end: End) {
        match mem::replace(&mut self.hold, Hold::Settled) {
            Hold::Reserved(grant) | Hold::Sent(grant) => self.gate.finish(now, self.at, grant, end),
            Hold::Settled => {}
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let (grant, end) = match mem::replace(&mut self.hold, Hold::Settled) {
            Hold::Reserved(grant) => (grant, End::Unsent),
            Hold::Sent(grant) => (grant, End::Lost),
            Hold::Settled => return,
        };
        // No clock here: what comes back is reckoned from the instant of the decision.
        self.gate.finish(self.at, self.at, grant, end);
    }
}

impl fmt::Debug for Pass<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass").field("hold", &self.hold).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(not(feature = "model"))]
#[path = "gate_tests.rs"]
mod tests;
