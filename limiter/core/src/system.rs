//! System protection: this machine's own limits, over all calls.
//!
//! Clause: limiter page, *System protection*; B19. Load and CPU refuse only when the calls in flight exceed what the machine has shown
//! to carry (BBR: more than one, and more than `max_complete * min_rt`); mean answer time, calls in flight and calls a second refuse at once.
//!
//! Load in thousandths, CPU in thousandths of all cores. The verdict on load, CPU and mean time is formed when a sample arrives
//! (each second) and only compared on the decision path. Calls a second are counted by a [`crate::cell::Cell`], not by windows.

use core::time::Duration;

use crate::limits::MIN_RT_UNKNOWN;
use crate::window::{Counts, Ring};

/// The limits; `None` does not limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// Load average of one minute, thousandths.
    pub load_milli: Option<u64>,
    /// CPU use, thousandths.
    pub cpu_milli: Option<u64>,
    /// Mean time of an answer.
    pub average_rt: Option<Duration>,
    /// Calls in flight.
    pub in_flight: Option<u32>,
}

/// What the shell measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sample {
    /// Load average, thousandths; `None`: not readable, which never refuses.
    pub load_milli: Option<u64>,
    /// CPU use, thousandths.
    pub cpu_milli: Option<u64>,
}

/// Which limit was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Load average, and BBR agrees.
    Load,
    /// CPU, and BBR agrees.
    Cpu,
    /// Mean time of an answer.
    AverageRt,
    /// Calls in flight.
    InFlight,
}

/// The state. See the module's text.
#[derive(Debug, Clone, Default)]
pub struct System {
    settings: Settings,
    /// In flight above this, BBR says the machine is full.
    carries: u64,
    busy: Option<Cause>,
    slow: bool,
}

impl System {
    /// Nothing measured yet, nothing refused.
    pub fn new(settings: Settings) -> Self {
        Self { settings, carries: u64::MAX, busy: None, slow: false }
    }

    /// A new sample, with what the ring counted in the last second.
    pub fn update(&mut self, sample: Sample, ring: &Ring, counts: &Counts) {
        let over = |limit: Option<u64>, value: Option<u64>| limit.zip(value).is_some_and(|(limit, is)| is > limit);
        self.busy = match () {
            () if over(self.settings.load_milli, sample.load_milli) => Some(Cause::Load),
            () if over(self.settings.cpu_milli, sample.cpu_milli) => Some(Cause::Cpu),
            () => None,
        };
        self.slow = self.settings.average_rt.is_some_and(|limit| counts.complete > 0 && counts.average_rt() > limit);
        self.carries = if counts.min_rt >= MIN_RT_UNKNOWN { u64::MAX } else { carries(ring, counts) };
    }

    /// May one more call go, with so many in flight? Otherwise which limit, and its value.
    #[inline]
    pub fn check(&self, in_flight: u32) -> Result<(), (Cause, u64)> {
        if let Some(limit) = self.settings.in_flight.filter(|limit| in_flight >= *limit) {
            return Err((Cause::InFlight, u64::from(limit)));
        }
        if self.slow {
            return Err((Cause::AverageRt, self.settings.average_rt.map_or(0, crate::time::span_nanos)));
        }
        match self.busy {
            Some(cause) if in_flight > 1 && u64::from(in_flight) > self.carries => {
                let limit = if cause == Cause::Load { self.settings.load_milli } else { self.settings.cpu_milli };
                Err((cause, limit.unwrap_or(0)))
            }
            _ => Ok(()),
        }
    }
}

/// Calls the machine carries at once by its best: answers a second * shortest time (Little's law).
fn carries(ring: &Ring, counts: &Counts) -> u64 {
    let wide = u128::from(ring.max_complete_per_second(counts)).saturating_mul(counts.min_rt.as_nanos());
    u64::try_from(wide.div_euclid(1_000_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Time;
    use crate::window::READ;

    /// 50 answers of 20 ms in half a second: 100 a second * 20 ms = 2 at once.
    fn after(settings: Settings, sample: Sample) -> System {
        let mut ring = Ring::new(READ);
        (0..50).for_each(|_| ring.complete(Time::ZERO, Duration::from_millis(20), false).unwrap());
        let counts = ring.read(Time::ZERO, READ.interval);
        let mut system = System::new(settings);
        system.update(sample, &ring, &counts);
        system
    }

    #[test]
    fn high_load_refuses_only_above_what_the_machine_has_carried() {
        let settings = Settings { load_milli: Some(2_000), cpu_milli: Some(900), ..Settings::default() };
        let system = after(settings, Sample { load_milli: Some(2_500), cpu_milli: Some(950) });
        assert_eq!(system.check(2), Ok(()));
        assert_eq!(system.check(3), Err((Cause::Load, 2_000)));
        let cpu = after(settings, Sample { load_milli: Some(2_000), cpu_milli: Some(950) });
        assert_eq!(cpu.check(3), Err((Cause::Cpu, 900)));
        assert_eq!(after(settings, Sample::default()).check(1_000), Ok(()));
    }

    #[test]
    fn before_any_answer_load_refuses_nothing() {
        let ring = Ring::new(READ);
        let mut system = System::new(Settings { load_milli: Some(1), ..Settings::default() });
        let counts = ring.read(Time::ZERO, READ.interval);
        system.update(Sample { load_milli: Some(9_000), cpu_milli: None }, &ring, &counts);
        assert_eq!(system.check(1_000), Ok(()));
    }

    #[test]
    fn slow_answers_and_too_many_in_flight_refuse_at_once() {
        let limit = Some(Duration::from_millis(10));
        let slow = after(Settings { average_rt: limit, ..Settings::default() }, Sample::default());
        assert_eq!(slow.check(0), Err((Cause::AverageRt, 10_000_000)));
        let full = after(Settings { in_flight: Some(4), ..Settings::default() }, Sample::default());
        assert_eq!((full.check(3), full.check(4)), (Ok(()), Err((Cause::InFlight, 4))));
    }
}
