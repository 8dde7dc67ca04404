//! A Cosmos-style chain inside this process: ibc-rs handlers over a provable store, blocks signed by several validators, and enough of
//! CometBFT's RPC that a relayer's adapter can't tell it from a node.
//!
//! Folders by what they know: `store` keys and proofs (ICS-23), `consensus` validators and signed headers (CometBFT 0.38), `app`
//! transactions, accounts, coins and IBC (ICS-02/03/04/20/24), `rpc` JSON-RPC, the event socket and faults. Real chains
//! ([`super::SimdChain`]) stay the judge of what is right: this one only makes it cheap to ask often.

mod abci;
mod app;
mod chain;
mod consensus;
mod net;
mod node;
mod rpc;
mod spec;
mod store;

pub use abci::{BlockContext, Event, Executed, ProofOp, QueryAnswer, TxResult};
pub use chain::EmbeddedChain;
pub use net::EmbeddedNet;
pub use rpc::{Fault, Faults, Injected};
pub use spec::EmbeddedSpec;
