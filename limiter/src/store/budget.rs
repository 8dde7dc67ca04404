//! A budget that several processes share, and what one decision takes from it.
//!
//! Clause: *Distributed budget*. A budget is `tokens` per `period_us`, with room for `burst`; its key is one level of one decision
//! (global, endpoint, chain, channel, method). All keys of a domain (one API key of one provider) carry the hash tag `{domain}`
//! and live in one cluster slot, so that the five levels of a decision are taken by one script, all or nothing; other domains
//! live in other slots. Bounds: [`super::limits`]; numbers outside are refused with field and range, see [`StoreError::Budget`].

use std::sync::Arc;
use std::time::Duration;

use super::error::StoreError;
use super::limits::{BURST_PERIOD, KEY_CHARS, LEASE_TTL_MAX, NAME_CHARS, PERIOD_US};

/// One shared budget. Every process must define a key alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    pub(super) key: Arc<str>,
    pub(super) tokens: u64,
    pub(super) period_us: u64,
    pub(super) burst: u64,
    /// What is left of the burst for admissions once leases may be spent late.
    pub(super) room: u64,
    pub(super) lease_ttl: Option<Duration>,
    /// Tokens that a usual call takes.
    pub(super) unit: u64,
}

impl Budget {
    /// `tokens` per `period` with room for `burst`; each decision is shared (strong).
    pub fn strong(key: &str, tokens: u64, period: Duration, burst: u64) -> Result<Self, StoreError> {
        let key = name("key", key, KEY_CHARS)?;
        let period_us = u64::try_from(period.as_micros()).unwrap_or(u64::MAX);
        let check = |field, value, min, max| {
            if (min..=max).contains(&value) {
                Ok(())
            } else {
                Err(StoreError::Budget { key: key.to_string(), field, value, min, max })
            }
        };
        check("period in microseconds", period_us, 1, PERIOD_US)?;
        // One token may not take longer than the longest period, nor the rate more than one script number holds.
        check("tokens", tokens, 1, BURST_PERIOD / 4_096)?;
        check("burst", burst, 1, BURST_PERIOD.checked_div(period_us).unwrap_or(1))?;
        Ok(Self { key, tokens, period_us, burst, room: burst, lease_ttl: None, unit: 1 })
    }

    /// The same, and tokens may be leased in blocks.
    ///
    /// A leased token is spent up to a lease's life after it was taken, so a window of length W may hold what was taken in
    /// W + life. Admissions of every kind therefore leave `rate * life` of the burst free: life is half the time the burst takes
    /// to refill, a second at most.
    pub fn leased(key: &str, tokens: u64, period: Duration, burst: u64) -> Result<Self, StoreError> {
        let mut budget = Self::strong(key, tokens, period, burst)?;
        let units = budget.burst.saturating_mul(budget.period_us); // below 2^51, as checked
        let ttl_us = units.checked_div(budget.tokens.saturating_mul(2)).unwrap_or(0).min(micros(LEASE_TTL_MAX));
        let spent_late =
            u128::from(ttl_us).saturating_mul(u128::from(budget.tokens)).div_ceil(u128::from(budget.period_us.max(1)));
        let room = budget.burst.saturating_sub(u64::try_from(spent_late).unwrap_or(u64::MAX));
        // A burst of one leaves no room: such a budget can't be leased, only shared call by call.
        if room > 0 && ttl_us > 0 {
            budget.room = room;
            budget.lease_ttl = Some(Duration::from_micros(ttl_us));
        }
        Ok(budget)
    }

    /// A usual call takes so many tokens, not one: blocks are as many times larger.
    pub fn in_units(self, unit: u64) -> Self {
        Self { unit: unit.max(1), ..self }
    }

    /// Its key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Most tokens that one decision can take.
    pub fn room(&self) -> u64 {
        self.room
    }
}

/// So many tokens of one budget.
#[derive(Debug, Clone, Copy)]
pub struct Charge<'a> {
    /// From where.
    pub budget: &'a Budget,
    /// How many.
    pub n: u64,
}

/// Checks a name that becomes part of a key: no braces, which would move it to another slot.
pub(super) fn name(what: &'static str, name: &str, max: usize) -> Result<Arc<str>, StoreError> {
    let good = |c: char| c.is_ascii_alphanumeric() || "_-.:/*~%".contains(c);
    if name.is_empty() || name.len() > max || !name.chars().all(good) {
        let name = name.chars().take(NAME_CHARS).collect();
        return Err(StoreError::Name { what, name, max });
    }
    Ok(Arc::from(name))
}

pub(super) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn numbers_that_a_script_could_not_keep_exactly_are_refused_with_their_range() {
        let of = |tokens, period, burst| Budget::strong("k", tokens, period, burst).map_err(|e| e.to_string());
        assert!(of(0, SECOND, 1).is_err_and(|e| e.contains("tokens is 0")));
        assert!(of(1, SECOND, 0).is_err_and(|e| e.contains("burst is 0")));
        assert!(of(1, Duration::ZERO, 1).is_err_and(|e| e.contains("period in microseconds is 0")));
        assert!(of(1, Duration::from_secs(86_400), 1 << 20).is_err_and(|e| e.contains("burst is 1048576")));
        assert!(of(1_000_000, SECOND, 1_000_000).is_ok());
    }

    #[test]
    fn a_key_can_not_leave_its_domain_s_slot() {
        let error = Budget::strong("a}{b", 1, SECOND, 1).map(|_| ()).map_err(|e| e.to_string());
        assert!(error.is_err_and(|e| e.contains("a}{b")));
    }

    #[test]
    fn a_leased_budget_leaves_room_for_tokens_spent_late() -> Result<(), StoreError> {
        let budget = Budget::leased("k", 1_000, SECOND, 400)?;
        assert_eq!((budget.room, budget.lease_ttl), (200, Some(Duration::from_millis(200))));
        let single = Budget::leased("k", 1_000, SECOND, 1)?;
        assert_eq!((single.room, single.lease_ttl), (1, None));
        Ok(())
    }
}
