//! The relayer under test, run as an operator runs it, and what the chains say about its work.
//!
//! [`Relayer`] is the real program with its configuration, log and admin port; [`Line`] is a Devnet with an open path
//! and a relayer for it, [`Across`] the same between
//! the families; [`Link`] is one channel seen from both chains; [`History`] is every packet message that stands
//! in a chain's blocks, so that a test counts deliveries where they happened. Nothing here reads log text to decide:
//! a log is only shown when a test fails.
//!
//! Times are durations, amounts are in a denomination's smallest unit. Bounds: [`crate::limits`]. Errors:
//! [`crate::DevnetError`]. A relayer dropped by a failing test shows the end of its log.
//!
//! ```no_run
//! # async fn run() -> Result<(), relayer_tests::DevnetError> {
//! use relayer_tests::devnet::{ConfigOptions, Devnet, STAKE, Transfer};
//! use relayer_tests::relay::Line;
//! let mut line = Line::open(Devnet::two_chains().await?, &ConfigOptions::default()).await?;
//! line.relayer.start().await?;
//! let link = line.link(0)?;
//! let (alice, bob) = (line.net.a.user(&line.net.wallets.user_a), line.net.wallets.user_b.address());
//! alice.transfer(&Transfer::new(&link.a.channel, 5, STAKE, bob)).await?;
//! link.settled(std::time::Duration::from_secs(60)).await?;
//! assert_eq!(link.b.node.balance(bob, &link.voucher_on_b(STAKE)).await?, 5);
//! # Ok(())
//! # }
//! ```

mod across;
mod admin;
mod config;
mod denom;
mod history;
mod line;
mod link;
mod program;
mod siege;
mod wait;

pub use across::{Across, AcrossOptions, FUNDS, Families, SUBSTRATE, SubstrateEnd};
pub use admin::{Admin, Health, Metrics};
pub use config::{PathIds, add_chain, add_path, channels};
pub use denom::{escrow_address, voucher};
pub use history::{Action, Delivery, History};
pub use line::Line;
pub use link::{End, Link};
pub use program::{Ran, Relayer};
pub use siege::{Paid, Relayed, Siege, relayed};
pub use wait::until;
