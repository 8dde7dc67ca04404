//! What the crate promises, seen from outside.

mod editing;
mod errors;
mod examples;
mod layers;
mod values;

use crate::{ConfigError, Settings};

pub(super) const MINIMAL: &str = include_str!("../../examples/minimal.toml");
pub(super) const TWO_CHAINS: &str = include_str!("../../examples/two-chains.toml");
pub(super) const TESTNETS: &str = include_str!("../../examples/public-testnets.toml");

pub(super) fn good(text: &str) -> Settings {
    crate::parse(text, "relayer.toml").unwrap_or_else(|e| panic!("{e}\n{}", e.remedy()))
}

pub(super) fn bad(text: &str) -> ConfigError {
    match crate::parse(text, "relayer.toml") {
        Ok(settings) => panic!("accepted: {settings:?}"),
        Err(error) => error,
    }
}

/// The minimal example with one text replaced by another.
pub(super) fn with(old: &str, new: &str) -> String {
    assert!(MINIMAL.contains(old), "{old}");
    MINIMAL.replacen(old, new, 1)
}

/// Message and remedy, as a user reads them.
pub(super) fn told(text: &str) -> String {
    let error = bad(text);
    format!("{error}\n{}", error.remedy())
}
