//! Pacing of calls: limiter-core behind shared state, one [`Limiter`] for each endpoint of a chain.
//!
//! A caller asks [`Limiter::check`] and is told *now* (a [`Permit`]), *not before t*, *busy* (all places taken) or *never*. All
//! levels are asked before anything is taken: breaker of the call's kind, hold-offs, concurrency, learned rate, tokens and their
//! reserve. Each outcome teaches: throttles the rate, latency the calls in flight, errors and p95 the health. Time is the caller's
//! ([`Time`]); the lock is never held across an await because nothing here is async. Bounds: [`limits`]. A refusal is a [`Refusal`], as data.
//!
//! ```
//! use limiter::{Admission, Call, Limiter, Outcome, Settings, Time};
//! let limiter = Limiter::new(Settings { rate_per_second: 10, burst: 1, ..Settings::default() });
//! let Admission::Now(permit) = limiter.check(Time::ZERO, &Call::read(1)) else { panic!("a full bucket refused") };
//! assert!(matches!(limiter.check(Time::ZERO, &Call::read(1)), Admission::NotBefore { .. }));
//! permit.outcome(Time::ZERO, Outcome::Answered);
//! ```
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::float_arithmetic)]

mod admission;
mod clock;
pub mod gate;
mod learned;
pub mod limits;
mod permit;
#[cfg(feature = "rules")]
pub mod rules;
mod state;
#[cfg(feature = "rules")]
pub mod store;

pub use admission::{Admission, Call, CallKind, Changes, Level, Outcome, Refusal, Refusals, Snapshot};
pub use clock::{CachedClock, Clock};
pub use limiter_core::breaker::{Settings as BreakerSettings, State as BreakerState};
pub use limiter_core::bucket::Never;
pub use limiter_core::priority::Class as Urgency;
pub use limiter_core::{Time, hedge, outlier, percentile, priority, retry};
pub use permit::Permit;
pub use state::{Limiter, Settings};
