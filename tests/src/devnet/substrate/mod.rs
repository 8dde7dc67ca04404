//! A real Substrate chain for tests: validators of `tests/chains/substrate` on loopback, aura and GRANDPA between them.
//!
//! A [`SubstrateSpec`] describes a chain, a [`SubstrateChain`] is one running, a [`SubstrateNode`] looks at one validator of it, and a
//! [`SubstrateUser`] acts on it.
//! Heights are block numbers; a block comes each second and is final within another. Keys come from public seeds:
//! `//Validator//0` and so on, and the accounts `//Alice` (root) to `//Ferdie`, each with 2^60 of the native token.
//!
//! Bounds: [`crate::limits`]. Errors: [`crate::DevnetError`], which shows the end of a validator's log where that helps.
//!
//! ```no_run
//! # async fn run() -> Result<(), relayer_tests::DevnetError> {
//! use relayer_tests::devnet::substrate::{SubstrateChain, SubstrateSpec};
//! let mut chain = SubstrateChain::start(SubstrateSpec::validators(4)).await?;
//! chain.kill(3).await?;
//! let now = chain.node(0)?.finalized().await?;
//! chain.node(0)?.wait_for_finalized(now + 2).await?;
//! chain.start_again(3).await?;
//! # Ok(())
//! # }
//! ```

mod build;
mod chain;
mod node;
mod spec;
mod user;
mod validator;
mod voter;

pub use build::SubstrateBuild;
pub use chain::SubstrateChain;
pub use node::{Health, SubstrateNode};
pub use spec::SubstrateSpec;
pub use user::SubstrateUser;
pub use voter::voter;
