#![allow(clippy::arithmetic_side_effects)]

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn at(seconds: u64) -> Time {
    Time::from_nanos(seconds * SECOND)
}
fn breaker(probes: usize) -> Breaker {
    Breaker::new(Settings { probes, ..Settings::default() })
}
fn fail(breaker: &mut Breaker, now: Time) {
    let ticket = breaker.admit(now).unwrap();
    breaker.failed(now, ticket);
}
fn succeed(breaker: &mut Breaker, now: Time) {
    let ticket = breaker.admit(now).unwrap();
    breaker.succeeded(now, ticket);
}
fn opened(probes: usize) -> Breaker {
    let mut breaker = breaker(probes);
    (0..5).for_each(|_| fail(&mut breaker, at(0)));
    assert_eq!(breaker.state(at(0)), State::Open);
    breaker
}

#[test]
fn five_errors_in_a_row_open_it_and_a_success_between_does_not() {
    let mut breaker = breaker(1);
    for _ in 0..3 {
        (0..4).for_each(|_| fail(&mut breaker, at(0)));
        succeed(&mut breaker, at(0));
    }
    assert_eq!(breaker.state(at(0)), State::Closed);
    (0..5).for_each(|_| fail(&mut breaker, at(0)));
    assert_eq!(breaker.admit(at(0)), Err(at(1)));
}

#[test]
fn a_share_of_errors_opens_it_only_with_enough_requests() {
    let settings = Settings { consecutive_errors: 0, ..Settings::default() };
    let mut breaker = Breaker::new(settings);
    (0..19).for_each(|_| fail(&mut breaker, at(0)));
    assert_eq!(breaker.state(at(0)), State::Closed);
    fail(&mut breaker, at(0));
    assert_eq!(breaker.state(at(0)), State::Open);
}

#[test]
fn errors_older_than_the_interval_are_forgotten() {
    let mut breaker = Breaker::new(Settings { consecutive_errors: 0, ..Settings::default() });
    (0..19).for_each(|_| fail(&mut breaker, at(0)));
    (0..19).for_each(|_| succeed(&mut breaker, at(11)));
    fail(&mut breaker, at(11));
    assert_eq!(breaker.state(at(11)), State::Closed);
}

#[test]
fn exactly_three_of_two_hundred_pass_half_open_and_three_successes_close() {
    let mut breaker = opened(3);
    let tickets: Vec<_> = (0..200).filter_map(|_| breaker.admit(at(1)).ok()).collect();
    assert_eq!(tickets.len(), 3);
    for ticket in tickets {
        assert_eq!(breaker.state(at(1)), State::HalfOpen);
        breaker.succeeded(at(1), ticket);
    }
    assert_eq!(breaker.state(at(1)), State::Closed);
}

#[test]
fn a_failed_probe_opens_it_for_twice_as_long_up_to_the_maximum() {
    let mut breaker = opened(1);
    let (mut now, mut spans) = (at(1), Vec::new());
    for _ in 0..7 {
        fail(&mut breaker, now);
        let until = breaker.admit(now).unwrap_err();
        spans.push(until.since(now).as_secs());
        now = until;
    }
    assert_eq!(spans, [2, 4, 8, 16, 30, 30, 30]);
}

#[test]
fn a_cancelled_probe_frees_its_slot_and_a_lost_one_frees_it_by_lease() {
    let mut breaker = opened(1);
    let ticket = breaker.admit(at(1)).unwrap();
    assert_eq!(breaker.admit(at(1)), Err(at(31)));
    breaker.cancelled(ticket);
    let lost = breaker.admit(at(1)).unwrap();
    assert!(breaker.admit(at(30)).is_err());
    let second = breaker.admit(at(31)).unwrap();
    breaker.failed(at(31), lost); // too late to count
    assert_eq!(breaker.state(at(31)), State::HalfOpen);
    breaker.succeeded(at(31), second);
    assert_eq!(breaker.state(at(31)), State::Closed);
}

#[test]
fn an_answer_from_before_it_opened_counts_for_nothing() {
    let mut breaker = breaker(1);
    let old = breaker.admit(at(0)).unwrap();
    (0..5).for_each(|_| fail(&mut breaker, at(0)));
    let probe = breaker.admit(at(1)).unwrap();
    breaker.succeeded(at(1), old);
    assert_eq!(breaker.state(at(1)), State::HalfOpen);
    breaker.cancelled(probe);
}

#[test]
fn forced_open_it_refuses_and_then_recovers() {
    let mut breaker = breaker(1);
    breaker.force_open(at(60));
    assert_eq!(breaker.admit(at(59)), Err(at(60)));
    succeed(&mut breaker, at(60));
    assert_eq!(breaker.state(at(60)), State::Closed);
}

proptest! {
    /// Whatever happens to its tickets, it is never wedged: after the longest open time and lease a call passes.
    #[test]
    fn it_never_wedges(probes in 1usize..5, steps in prop::collection::vec((0u64..3, 0u8..4, 0usize..6), 1..200)) {
        let mut breaker = breaker(probes);
        let (mut now, mut out) = (0, Vec::new());
        for (wait, what, which) in steps {
            now += wait;
            if let Ok(ticket) = breaker.admit(at(now)) { out.push(ticket) }
            let probes_out = out.iter().filter(|t| t.is_probe() && t.period == breaker.period).count();
            if breaker.settings.probe_lease.as_secs() > now { prop_assert!(probes_out <= probes) }
            if which < out.len() {
                let ticket = out.swap_remove(which);
                match what {
                    0 => breaker.succeeded(at(now), ticket),
                    1 | 2 => breaker.failed(at(now), ticket),
                    _ => breaker.cancelled(ticket),
                }
            }
        }
        prop_assert!(breaker.admit(at(now + 61)).is_ok());
    }
}

fn complete(breaker: &mut Breaker, now: Time, took_ms: u64, ok: bool) {
    let ticket = breaker.admit(now).unwrap();
    breaker.completed(now, ticket, Duration::from_millis(took_ms), ok);
}

#[test]
fn a_share_of_slow_calls_opens_it_and_a_slow_probe_does_not_close_it() {
    let slow_after = Duration::from_millis(100);
    let settings = Settings { slow_after, slow_percent: 50, min_requests: 4, ..Settings::default() };
    let mut breaker = Breaker::new(settings);
    for took in [100, 100, 101] {
        complete(&mut breaker, at(0), took, true);
    }
    assert_eq!(breaker.state(at(0)), State::Closed);
    complete(&mut breaker, at(0), 101, true); // 2 of 4: reaching the threshold is enough
    assert_eq!(breaker.state(at(0)), State::Open);
    complete(&mut breaker, at(1), 101, true);
    assert_eq!(breaker.admit(at(1)), Err(at(3)));
    complete(&mut breaker, at(3), 100, true);
    assert_eq!(breaker.state(at(3)), State::Closed);
}

#[test]
fn a_count_of_errors_opens_it_after_the_silent_period() {
    let rule =
        Settings { consecutive_errors: 0, error_percent: 101, error_count: 3, min_requests: 10, ..Settings::default() };
    let mut breaker = Breaker::new(rule);
    (0..9).for_each(|_| complete(&mut breaker, at(0), 0, false));
    assert_eq!(breaker.state(at(0)), State::Closed);
    complete(&mut breaker, at(0), 0, false);
    assert_eq!(breaker.take_transition().unwrap().cause, Cause::ErrorCount);
}

#[test]
fn listeners_see_each_change_with_the_state_before_and_the_counts() {
    let mut breaker = opened(1);
    succeed(&mut breaker, at(1));
    let seen: Vec<_> = std::iter::from_fn(|| breaker.take_transition()).collect();
    let path: Vec<_> = seen.iter().map(|t| (t.from, t.to, t.cause, t.at)).collect();
    assert_eq!(
        path,
        [
            (State::Closed, State::Open, Cause::ConsecutiveErrors, at(0)),
            (State::Open, State::HalfOpen, Cause::OpenTimeOver, at(1)),
            (State::HalfOpen, State::Closed, Cause::ProbesSucceeded, at(1)),
        ]
    );
    assert_eq!(seen[0].counts, Counts { calls: 5, errors: 5, slow: 0 });
    assert_eq!(seen[0].until, Some(at(1)));
    assert_eq!(breaker.counts(), Counts::default());
}

#[test]
fn unread_changes_are_bounded_and_the_newest_stay() {
    let mut breaker = breaker(1);
    (1..=10).for_each(|n| breaker.force_open(at(n)));
    let seen: Vec<_> = std::iter::from_fn(|| breaker.take_transition()).filter_map(|t| t.until).collect();
    assert_eq!(seen, (7..=10).map(at).collect::<Vec<_>>());
    assert_eq!(breaker.lost_transitions(), 6);
}

#[test]
fn a_probe_refused_by_another_rule_rolls_back_until_that_rule_lets_it_go_and_doubles_nothing() {
    let mut breaker = opened(2);
    let probe = breaker.admit(at(5)).unwrap();
    breaker.refused(at(5), probe, Some(Time::from_nanos(5 * SECOND + 7)));
    assert_eq!(breaker.admit(at(5)), Err(Time::from_nanos(5 * SECOND + 7)));
    // Without an instant, or with one too far away, the open time is renewed: it does not lie in the past.
    for not_before in [None, Some(at(1_000))] {
        let probe = breaker.admit(at(6)).unwrap();
        breaker.refused(at(6), probe, not_before);
        assert_eq!(breaker.admit(at(6)), Err(at(7)));
        breaker.force_open(at(6));
    }
    // A second probe out: only the slot is free again.
    let (one, two) = (breaker.admit(at(7)).unwrap(), breaker.admit(at(7)).unwrap());
    breaker.refused(at(7), one, None);
    assert_eq!(breaker.state(at(7)), State::HalfOpen);
    breaker.succeeded(at(7), two);
    fail(&mut breaker, at(7)); // the first failed recovery: 2 s, not 16
    assert_eq!(breaker.admit(at(7)), Err(at(9)));
}

#[test]
fn reads_may_trip_while_broadcasts_go_on() {
    let mut split = Split::new(Settings::default());
    (0..5).for_each(|_| fail(split.of_mut(Class::Read), at(0)));
    assert_eq!(split.of(Class::Read).state(at(0)), State::Open);
    succeed(split.of_mut(Class::Broadcast), at(0));
}

#[test]
fn open_cuts_the_limit_by_30_percent_and_recovery_warms_up() {
    let mut breaker = opened(1);
    assert_eq!(breaker.limit_permille(at(0)), 700);
    succeed(&mut breaker, at(1));
    let ramp: Vec<_> = [1, 2, 6, 11, 50].into_iter().map(|s| breaker.limit_permille(at(s))).collect();
    assert_eq!(ramp, [700, 730, 850, 1_000, 1_000]);
    assert_eq!(Breaker::new(Settings::default()).limit_permille(at(0)), 1_000);
}

#[test]
fn forced_closed_it_does_not_trip_until_the_given_instant() {
    let mut breaker = opened(1);
    breaker.force_closed(at(0), at(60));
    (0..50).for_each(|_| fail(&mut breaker, at(59)));
    assert_eq!(breaker.state(at(59)), State::Closed);
    assert_eq!(breaker.limit_permille(at(59)), 1_000);
    fail(&mut breaker, at(60));
    assert_eq!(breaker.state(at(60)), State::Open);
}
