//! Budgets that several relayer processes share through Redis (or Valkey).
//!
//! What it is: two relayers that use one API key have one budget. Each decision of the strong mode is taken in the store, for
//! broadcasts; the leased mode takes blocks of tokens from it and spends them here, for reads. Clause: *Distributed budget*.
//!
//! How it decides: GCRA in one atomic script ([`Budget`]: tokens per period, burst), all levels of a decision or none, by the
//! *store's* clock, because members' clocks differ and a fast one would take what is not its. Concurrent decisions share a script
//! call, so strong mode costs less than a round trip each. A refusal that the store gave is remembered until its time. Where the members
//! agree on it ([`Settings::redis_cell`]), redis-cell counts instead ([`Engine`]).
//!
//! When the store is away, slow or wiped: within [`limits::DECISION_TIMEOUT`] the local share (budget / members, starting empty)
//! decides, [`Status::degraded`] says so, and on return the buckets count as empty. That keeps `burst + rate * W` over both seams
//! when all members lose the store. Those that are back wait for each other on their shares, up to [`limits::MEMBER_LIFETIME`] for one that is not
//! heard, and then return within [`limits::GATHER`]. A member that alone is cut off adds its share, and so does one that comes back later than that.
//!
//! Units: microseconds in the store, exact below 2^53. Bounds: [`limits`]. Errors: [`StoreError`], never of a decision.
//!
//! ```no_run
//! # async fn example() -> Result<(), limiter::store::StoreError> {
//! use std::time::Duration;
//! use limiter::store::{Budget, Charge, Settings, SharedBudgets, Target, Verdict};
//! let settings = Settings::new(Target::Standalone("redis://127.0.0.1:6379".into()), "provider", "relayer-1");
//! let (budgets, worker) = SharedBudgets::new(settings)?;
//! let worker = tokio::spawn(worker.run()); // ends when the last handle is dropped
//! let global = Budget::strong("global", 1_000, Duration::from_secs(1), 200)?;
//! match budgets.acquire(&[Charge { budget: &global, n: 1 }]).await {
//!     Verdict::Now(pass) => pass.sent(),
//!     Verdict::Wait(refusal) => println!("not before {:?}", refusal.after),
//!     Verdict::Never(why) => println!("{why}"),
//! }
//! # drop(budgets); worker.await.ok(); Ok(()) }
//! ```

pub mod hlc;
pub mod limits;

#[cfg(feature = "rules")]
mod budget;
#[cfg(feature = "redis")]
mod engine;
#[cfg(feature = "rules")]
mod error;
#[cfg(feature = "redis")]
mod lease;
#[cfg(feature = "redis")]
mod link;
#[cfg(feature = "redis")]
mod local;
#[cfg(feature = "redis")]
mod portion;
#[cfg(feature = "redis")]
mod shared;
#[cfg(feature = "redis")]
mod status;
#[cfg(feature = "redis")]
mod wire;
#[cfg(feature = "redis")]
mod worker;

#[cfg(feature = "rules")]
pub use budget::{Budget, Charge};
#[cfg(feature = "redis")]
pub use engine::Engine;
#[cfg(feature = "rules")]
pub use error::{Remedy, StoreError};
#[cfg(feature = "redis")]
pub use lease::Leased;
#[cfg(feature = "redis")]
pub use link::Target;
#[cfg(feature = "redis")]
pub use shared::{By, Pass, Refusal, Settings, SharedBudgets, Verdict, Write};
#[cfg(feature = "redis")]
pub use status::Status;
#[cfg(feature = "redis")]
pub use worker::Worker;
