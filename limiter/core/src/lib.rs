//! Rate limiting and circuit breaking as pure functions of requests and time.
//!
//! Nothing here reads a clock or sleeps, and no decision allocates: time is an argument ([`Time`], integer nanoseconds), a refusal says when to
//! come back. Clause: the project's limiter page, *Algorithms* and *Breaker*. [`decide`] is the whole chain of rules about one call; [`bucket`]
//! and [`cell`] (tokens, exact), [`breaker`] (state machine) and [`concurrency`] (calls in flight) are its parts; bounds are in [`limits`].
//!
//! ```
//! use limiter_core::{bucket::{Bucket, Decision, Rate}, Time};
//! let mut bucket = Bucket::new(Rate::per_second(100), 2);
//! let t0 = Time::ZERO;
//! assert!(matches!(bucket.decide(t0, 2), Decision::Now(_)));
//! assert_eq!(bucket.decide(t0, 1), Decision::NotBefore(Time::from_nanos(10_000_000)));
//! ```
#![cfg_attr(not(test), no_std)]
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::float_arithmetic)]

extern crate alloc;

pub mod breaker;
pub mod bucket;
pub mod cell;
pub mod concurrency;
pub mod decide;
pub mod fair;
pub mod gradient;
pub mod health;
pub mod hedge;
pub mod hot;
pub mod intern;
pub mod key;
pub mod limits;
pub mod memory;
pub mod outlier;
pub mod pacing;
pub mod percentile;
pub mod priority;
pub mod retry;
pub mod roll_out;
pub mod system;
pub mod throttle;
mod time;
pub mod warm_up;
pub mod weight;
pub mod window;

pub use time::Time;
