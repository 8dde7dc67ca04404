//! Real Cosmos chains for tests: ibc-go's simd, one validator each, on loopback. [`substrate`] has the other family.
//!
//! A [`ChainSpec`] describes a chain, [`SimdChain`] is one running, [`Devnet`] is two of them with the usual wallets,
//! a [`User`] acts on one, and a [`Node`] looks at one. Heights are block heights, times are milliseconds unless a name
//! says otherwise, amounts are in a denomination's smallest unit.
//!
//! Bounds: [`crate::limits`]. Errors: [`crate::DevnetError`], which shows the end of the node's log where that helps.
//!
//! ```no_run
//! # async fn run() -> Result<(), relayer_tests::DevnetError> {
//! use relayer_tests::devnet::{Devnet, STAKE, Transfer};
//! let net = Devnet::two_chains().await?;
//! let alice = net.a.user(&net.wallets.user_a);
//! alice.send(net.wallets.user_b.address(), 5, STAKE).await?;
//! // With a channel made by a relayer:
//! alice.transfer(&Transfer::new("channel-0", 5, STAKE, net.wallets.user_b.address())).await?;
//! assert_eq!(net.a.node().packet_commitments("transfer", "channel-0").await?, [1]);
//! # Ok(())
//! # }
//! ```

pub mod embedded;
mod genesis;
mod governance;
mod home;
mod ledger;
mod network;
mod node;
mod process;
mod simd;
mod spec;
pub mod substrate;
mod tx;
mod user;
mod wallet;
mod wasm;

pub use genesis::consensus_key;
pub use network::{ConfigOptions, Devnet, End, Network, RelayerConfig, TestChain, Wallets};
pub(crate) use network::{environment, write_config};
pub(crate) use node::http_client;
pub use node::{CommittedTx, Event, Node};
pub use process::{Process, Signal, relayer_binary};
pub use simd::{Simd, SimdChain};
pub use spec::{ChainSpec, SAMOLEANS, STAKE, Setting};
pub use user::{Transfer, User};
pub use wallet::{ACCOUNT_PREFIX, Wallet};
pub use wasm::{Contract, Proof};
