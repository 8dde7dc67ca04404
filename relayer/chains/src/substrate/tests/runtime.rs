//! The runtime that is made up for the tests.

use crate::substrate::runtime::Runtime;
use crate::substrate::wire::RuntimeVersion;

pub(super) use super::metadata::*;

pub(super) const VERSION: RuntimeVersion = RuntimeVersion { spec_version: 100, transaction_version: 1 };

pub(super) fn runtime() -> Runtime {
    Runtime::new(VERSION, [7; 32], &metadata()).unwrap()
}

/// As a node tells it that gives `deliver` other arguments than the chain does.
pub(super) fn misshapen_runtime() -> Runtime {
    Runtime::new(VERSION, [7; 32], &misshapen()).unwrap()
}
