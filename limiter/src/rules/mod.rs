//! Rules: what is limited how, as data from elsewhere, checked, swapped in at once.
//!
//! Clause: *Rule chain and rules*. A [`RuleSet`] is read from TOML or JSON of one form ([`form`]), checked as a whole
//! ([`RulesError`] names rule, field and reason; an invalid set changes nothing) and published by [`Rules`], one `Arc` swap.
//! [`Changes`] says, by rule id, what was kept; [`enforce`] asks the rules for each call and keeps the state of those that stay. Sources ([`source`]): the relayer's
//! file, a watched file, an HTTP endpoint, etcd. A set with a hybrid-logical-clock `version` never replaces a newer one.
//!
//! ```
//! use limiter::rules::{Applied, RuleSet, Rules};
//! let set = RuleSet::from_toml(r#"
//!     [[flow]]
//!     id = "hub-queries"
//!     on = { chain = "cosmoshub-4", method = "abci_query" }
//!     threshold = 100
//! "#).map_err(|e| e.to_string())?;
//! let rules = Rules::new(RuleSet::default());
//! assert!(matches!(rules.apply(set.clone()), Applied::Changed(changes) if changes.added.len() == 1));
//! assert!(matches!(rules.apply(set), Applied::Same));
//! # Ok::<(), String>(())
//! ```

mod check;
pub mod enforce;
mod error;
pub mod form;
pub mod limits;
mod plan;
mod publish;
pub mod source;

pub use check::RuleSet;
pub use error::RulesError;
pub use publish::{Applied, Changes, Rules};
