//! A new limit in three stages: 5 %, 30 %, then all of the keys.
//!
//! Which keys is a stable hash of the key, salted by the rule: a key that has the new limit keeps it in later stages, and it is
//! not always the same keys that go first. A stage lasts `stage_for` of sound checks. A check fails (A49) at 5 % with more than
//! 0.8 % errors or a pause above 200 ms, at 30 % with more than 15 slow calls a second or more than 8 callers blocked; the clock
//! of the stage starts again then. Three failed checks in a row, or more than 50 endpoint faults (5xx) since the start, roll
//! back: nothing has the new limit, until a new roll-out. Units: shares in millionths, `Time` in ns. Errors: none.
//!
//! ```
//! use core::time::Duration;
//! use limiter_core::{Time, roll_out::RollOut};
//! let roll_out = RollOut::new(Time::ZERO, 7, Duration::from_secs(600));
//! let first = (0..1_000u32).filter(|key| roll_out.applies(&key.to_be_bytes())).count();
//! assert!((30..70).contains(&first));
//! ```

use core::time::Duration;

use crate::Time;
use crate::health::share;
use crate::limits::ROLL_OUT_FAULTS;

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// 5 %.
    Canary,
    /// 30 %.
    Third,
    /// All keys, for good.
    All,
    /// None: it failed.
    RolledBack,
}

impl Stage {
    /// Share of the keys, percent.
    pub const fn percent(self) -> u64 {
        match self {
            Self::Canary => 5,
            Self::Third => 30,
            Self::All => 100,
            Self::RolledBack => 0,
        }
    }
}

/// What one check saw of the calls under the new limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Check {
    /// Completed calls.
    pub calls: u64,
    /// Failed ones.
    pub errors: u64,
    /// Faults of an endpoint (5xx).
    pub faults: u64,
    /// The longest time the process stood still.
    pub pause: Duration,
    /// Slow calls a second.
    pub slow_per_second: u64,
    /// Callers that wait for the limiter.
    pub blocked: u64,
}

/// One roll-out.
#[derive(Debug, Clone)]
pub struct RollOut {
    stage: Stage,
    salt: u64,
    stage_for: Duration,
    since: Time,
    failures: u32,
    faults: u64,
}

impl RollOut {
    /// At 5 %, from `now`; `salt` is the rule's id.
    pub fn new(now: Time, salt: u64, stage_for: Duration) -> Self {
        Self { stage: Stage::Canary, salt, stage_for, since: now, failures: 0, faults: 0 }
    }
    /// How far it is.
    pub fn stage(&self) -> Stage {
        self.stage
    }
    /// Does this key have the new limit?
    pub fn applies(&self, key: &[u8]) -> bool {
        (hash(self.salt, key) >> 32).saturating_mul(100) >> 32 < self.stage.percent()
    }

    /// A check is done; answers with the stage from now on.
    pub fn check(&mut self, now: Time, seen: Check) -> Stage {
        if matches!(self.stage, Stage::All | Stage::RolledBack) {
            return self.stage;
        }
        self.faults = self.faults.saturating_add(seen.faults);
        self.failures = if self.sound(&seen) { 0 } else { self.failures.saturating_add(1) };
        if self.failures >= 3 || self.faults > ROLL_OUT_FAULTS {
            self.stage = Stage::RolledBack;
        } else if self.failures > 0 {
            self.since = now;
        } else if now >= self.since.after(self.stage_for) {
            self.since = now;
            self.stage = if self.stage == Stage::Canary { Stage::Third } else { Stage::All };
        }
        self.stage
    }

    fn sound(&self, seen: &Check) -> bool {
        let canary = share(seen.errors, seen.calls) <= 8_000 && seen.pause <= Duration::from_millis(200);
        let third = seen.slow_per_second <= 15 && seen.blocked <= 8;
        canary && (third || self.stage == Stage::Canary)
    }
}

/// Whether a rule that is in force for `percent` of the keys is in force for this one. A key that has it keeps it as the share grows.
pub fn reaches(percent: u64, rule: &[u8], key: &[u8]) -> bool {
    (hash(hash(0, rule), key) >> 32).saturating_mul(100) >> 32 < percent
}

/// FNV-1a with a final mix: stable across versions and machines, which the standard hasher does not promise.
fn hash(salt: u64, key: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in salt.to_be_bytes().iter().chain(key) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    const STAGE: Duration = Duration::from_secs(600);
    const SOUND: Check = Check {
        calls: 1_000,
        errors: 8,
        faults: 0,
        pause: Duration::from_millis(200),
        slow_per_second: 15,
        blocked: 8,
    };

    fn at(seconds: u64) -> Time {
        Time::ZERO.after(Duration::from_secs(seconds))
    }
    fn keys(roll_out: &RollOut) -> Vec<u32> {
        (0..10_000u32).filter(|key| roll_out.applies(&key.to_be_bytes())).collect()
    }

    #[test]
    fn sound_checks_lead_through_5_and_30_percent_to_all_and_a_key_keeps_its_limit() {
        let mut roll_out = RollOut::new(at(0), 1, STAGE);
        let canary = keys(&roll_out);
        assert_eq!(roll_out.check(at(599), SOUND), Stage::Canary);
        assert_eq!(roll_out.check(at(600), SOUND), Stage::Third);
        let third = keys(&roll_out);
        assert_eq!(roll_out.check(at(1_199), SOUND), Stage::Third);
        assert_eq!(roll_out.check(at(1_200), SOUND), Stage::All);
        assert_eq!(keys(&roll_out).len(), 10_000);
        assert!((400..600).contains(&canary.len()) && (2_800..3_200).contains(&third.len()));
        assert!(canary.iter().all(|key| third.binary_search(key).is_ok()));
        assert_ne!(canary, keys(&RollOut::new(at(0), 2, STAGE)));
    }

    #[test]
    fn a_rule_reaches_a_share_of_the_keys_that_only_grows() {
        let keys = |percent| (0..10_000u32).filter(move |key| reaches(percent, b"rule", &key.to_be_bytes()));
        assert!((400..600).contains(&keys(5).count()) && (2_800..3_200).contains(&keys(30).count()));
        assert_eq!(keys(100).count(), 10_000);
        let third: Vec<_> = keys(30).collect();
        assert!(keys(5).all(|key| third.binary_search(&key).is_ok()));
    }

    #[test]
    fn each_condition_trips_in_its_stage_and_three_in_a_row_roll_back() {
        let canary = [Check { errors: 9, ..SOUND }, Check { pause: Duration::from_millis(201), ..SOUND }];
        let third = [Check { slow_per_second: 16, ..SOUND }, Check { blocked: 9, ..SOUND }];
        for bad in canary.into_iter().chain(third) {
            for stage in [Stage::Canary, Stage::Third] {
                let mut roll_out = RollOut { stage, ..RollOut::new(at(0), 1, STAGE) };
                let trips = stage == Stage::Third || canary.contains(&bad);
                roll_out.check(at(1), bad);
                roll_out.check(at(2), SOUND);
                roll_out.check(at(3), bad);
                roll_out.check(at(4), bad);
                assert_eq!(roll_out.stage(), stage);
                let end = roll_out.check(at(5), bad);
                assert_eq!(end == Stage::RolledBack, trips, "{bad:?} in {stage:?}");
                assert_eq!(keys(&roll_out).is_empty(), trips);
            }
        }
    }

    #[test]
    fn a_failed_check_starts_the_stage_again_and_51_faults_roll_back_at_once() {
        let mut roll_out = RollOut::new(at(0), 1, STAGE);
        roll_out.check(at(599), Check { errors: 9, ..SOUND });
        assert_eq!(roll_out.check(at(1_198), SOUND), Stage::Canary);
        assert_eq!(roll_out.check(at(1_198), Check { faults: 50, ..SOUND }), Stage::Canary);
        assert_eq!(roll_out.check(at(1_198), Check { faults: 1, ..SOUND }), Stage::RolledBack);
        assert_eq!(roll_out.check(at(9_999), SOUND), Stage::RolledBack);
    }
}
