//! Label values that can't multiply without end: anybody may open channels or invent denominations (attack 53).

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use crate::limits;

/// The value that all values beyond the bound share.
pub const OTHER: &str = "other";

/// The values one label may take.
#[derive(Debug)]
pub(super) struct Values {
    known: RwLock<BTreeSet<String>>,
    most: usize,
    /// Values come in by [`Values::allow`] only.
    closed: bool,
}

impl Values {
    /// The first `most` values that turn up.
    pub(super) fn first(most: usize) -> Self {
        Self { known: RwLock::default(), most, closed: false }
    }
    /// Only values that are allowed by name.
    pub(super) fn listed(most: usize) -> Self {
        Self { closed: true, ..Self::first(most) }
    }
    pub(super) fn allow(&self, value: &str) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < self.most && value.len() <= limits::LABEL_BYTES {
            known.insert(value.to_owned());
        }
    }
    /// The value itself if it may be used, else [`OTHER`].
    pub(super) fn of<'v>(&self, value: &'v str) -> &'v str {
        let is_known = || self.known.read().unwrap_or_else(PoisonError::into_inner).contains(value);
        if is_known() {
            return value;
        }
        if !self.closed {
            self.allow(value);
            if is_known() {
                return value;
            }
        }
        OTHER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_beyond_the_bound_share_one() {
        let values = Values::first(2);
        assert_eq!([values.of("a"), values.of("b"), values.of("c"), values.of("a")], ["a", "b", OTHER, "a"]);
    }

    #[test]
    fn values_nobody_listed_share_one() {
        let values = Values::listed(10);
        values.allow("channel-0");
        assert_eq!([values.of("channel-0"), values.of("channel-1")], ["channel-0", OTHER]);
    }

    #[test]
    fn an_overlong_value_is_none_of_its_own() {
        assert_eq!(Values::first(10).of(&"x".repeat(limits::LABEL_BYTES + 1)), OTHER);
    }
}
