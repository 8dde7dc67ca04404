//! What a breaker counts: a ring of buckets over its statistic interval, with the running sums.

use core::time::Duration;

use crate::Time;
use crate::limits::BREAKER_BUCKETS;
use crate::time::span_nanos;

/// Completed calls of one interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub calls: u32,
    /// Those whose caller reported the endpoint's failure.
    pub errors: u32,
    /// Those slower than the rule allows.
    pub slow: u32,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.errors = self.errors.saturating_add(other.errors);
        self.slow = self.slow.saturating_add(other.slow);
    }
    fn take(&mut self, other: Self) {
        self.calls = self.calls.saturating_sub(other.calls);
        self.errors = self.errors.saturating_sub(other.errors);
        self.slow = self.slow.saturating_sub(other.slow);
    }
}

/// The ring. Buckets start at multiples of their length since the clock's origin.
#[derive(Debug, Clone)]
pub(crate) struct Stats {
    ring: [Counts; BREAKER_BUCKETS],
    sum: Counts,
    buckets: u64,
    bucket_ns: u64,
    /// Number of the newest bucket, counted from the clock's origin.
    head: u64,
}

impl Stats {
    /// B14: a count of 0, one that does not divide the interval, or one above [`BREAKER_BUCKETS`] is one bucket.
    pub(crate) fn new(interval: Duration, buckets: u32) -> Self {
        let interval = span_nanos(interval).max(1);
        let fits = u64::from(buckets) <= BREAKER_BUCKETS as u64 && interval.checked_rem(u64::from(buckets)) == Some(0);
        let buckets = if fits { u64::from(buckets) } else { 1 };
        let bucket_ns = interval.checked_div(buckets).unwrap_or(interval).max(1);
        Self { ring: [Counts::default(); BREAKER_BUCKETS], sum: Counts::default(), buckets, bucket_ns, head: 0 }
    }

    pub(crate) fn clear(&mut self) {
        self.ring = [Counts::default(); BREAKER_BUCKETS];
        self.sum = Counts::default();
    }

    pub(crate) fn sums(&self) -> Counts {
        self.sum
    }

    /// Counts one completed call; a clock that went back counts into the newest bucket.
    pub(crate) fn count(&mut self, now: Time, one: Counts) -> Counts {
        let number = now.as_nanos().checked_div(self.bucket_ns).unwrap_or(0);
        if number.saturating_sub(self.head) >= self.buckets {
            self.clear();
            self.head = number;
        }
        while self.head < number {
            self.head = self.head.saturating_add(1);
            if let Some(expired) = slot(&mut self.ring, self.head, self.buckets) {
                self.sum.take(*expired);
                *expired = Counts::default();
            }
        }
        if let Some(bucket) = slot(&mut self.ring, self.head, self.buckets) {
            bucket.add(one);
        }
        self.sum.add(one);
        self.sum
    }
}

fn slot(ring: &mut [Counts; BREAKER_BUCKETS], number: u64, buckets: u64) -> Option<&mut Counts> {
    let index = usize::try_from(number.checked_rem(buckets)?).ok()?;
    ring.get_mut(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Counts = Counts { calls: 1, errors: 0, slow: 0 };

    #[test]
    fn no_buckets_too_many_or_a_count_that_does_not_divide_is_one_bucket() {
        for (buckets, used) in [(0, 1), (3, 1), (21, 1), (20, 20), (4, 4)] {
            assert_eq!(Stats::new(Duration::from_millis(1_000), buckets).buckets, used, "{buckets}");
        }
    }

    #[test]
    fn a_count_is_forgotten_after_the_interval_and_a_clock_that_goes_back_loses_none() {
        let mut stats = Stats::new(Duration::from_nanos(100), 10);
        stats.count(Time::from_nanos(5), ONE);
        stats.count(Time::from_nanos(95), ONE);
        assert_eq!(stats.count(Time::from_nanos(50), ONE).calls, 3);
        assert_eq!(stats.count(Time::from_nanos(100), ONE).calls, 3); // the first one's bucket went
        assert_eq!(stats.count(Time::from_nanos(195), ONE).calls, 2);
        assert_eq!(stats.count(Time::from_nanos(1_000), ONE).calls, 1);
    }
}
