//! The adapter against a chain made up, with real votes, real proofs and changes of authorities.

mod chain;
mod facts;
mod follow;
#[path = "."]
pub(super) mod generate {
    #![allow(dead_code, unreachable_pub, reason = "made for the light clients' tests, which use all of it")]
    #[path = "../../../../../light-clients/tests/generate/grandpa.rs"]
    pub(crate) mod grandpa;
    #[path = "../../../../../light-clients/tests/generate/grandpa_client.rs"]
    pub(crate) mod grandpa_client;
    #[path = "../../../../../light-clients/tests/generate/grandpa_trie.rs"]
    pub(crate) mod grandpa_trie;
}
mod metadata;
mod runtime;
mod sink;
