//! The breaker under random schedules: it never wedges, and it does what a naive model does.

use std::time::Duration;

use limiter_core::Time;
use limiter_core::breaker::{Breaker, Settings, State, Ticket};

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

fn settings(random: &mut Random) -> Settings {
    Settings {
        consecutive_errors: random.below(4) as u32,
        error_percent: [50, 101][random.below(2) as usize],
        error_count: random.below(4) as u32,
        slow_after: Duration::from_nanos(5),
        slow_percent: [60, 101][random.below(2) as usize],
        min_requests: random.below(5) as u32,
        interval: Duration::from_nanos(100),
        buckets: [0, 1, 3, 10][random.below(4) as usize],
        open_for: Duration::from_nanos(10),
        open_max: Duration::from_nanos(80),
        probes: 1 + random.below(4) as usize,
        probe_lease: Duration::from_nanos(40),
        ..Settings::default()
    }
}

#[test]
fn in_a_million_random_schedules_it_never_wedges() {
    let mut random = Random(1);
    let mut wedged = 0u64;
    let mut out: Vec<Ticket> = Vec::new();
    for _ in 0..1_000_000 {
        let rule = settings(&mut random);
        let (mut breaker, mut now) = (Breaker::new(rule), 0);
        for _ in 0..6 + random.below(8) {
            now += random.below(12);
            let at = Time::from_nanos(now);
            out.extend((0..random.below(3)).filter_map(|_| breaker.admit(at).ok()));
            if out.is_empty() {
                continue;
            }
            let ticket = out.swap_remove(random.below(out.len() as u64) as usize);
            match random.below(8) {
                0 | 1 => breaker.completed(at, ticket, Duration::from_nanos(random.below(9)), true),
                2 | 3 => breaker.failed(at, ticket),
                4 => breaker.cancelled(ticket),
                5 => breaker.refused(at, ticket, Some(Time::from_nanos(now + random.below(30)))),
                6 => breaker.force_open(Time::from_nanos(now + random.below(30))),
                _ => drop(ticket), // it never returns
            }
        }
        // All that is out stays out. After the longest open time and lease the endpoint is sound: it must close.
        out.clear();
        now += 81;
        for _ in 0..rule.probes {
            if let Ok(ticket) = breaker.admit(Time::from_nanos(now)) {
                breaker.succeeded(Time::from_nanos(now), ticket);
            }
        }
        wedged += u64::from(breaker.state(Time::from_nanos(now)) != State::Closed);
    }
    println!(
        r#"{{"figure":"limiter_breaker_wedges","value":{wedged},"unit":"of 1000000 schedules","goal":"0","met":{}}}"#,
        wedged == 0
    );
    assert_eq!(wedged, 0);
}

/// What the diagram says, with lists in place of rings and leases.
struct Model {
    rule: Settings,
    state: State,
    until: u64,
    relapses: u32,
    row: u32,
    done: Vec<(u64, bool, bool)>,
    /// Ends of leases of probes out, by the call's number.
    probes: Vec<(usize, u64)>,
    passed: usize,
}

impl Model {
    fn admits(&mut self, now: u64, call: usize) -> bool {
        if self.state == State::Open && now >= self.until {
            (self.state, self.passed) = (State::HalfOpen, 0);
            self.probes.clear();
        }
        match self.state {
            State::Closed => true,
            State::Open => false,
            State::HalfOpen => {
                let live = self.probes.iter().filter(|(_, until)| *until > now).count();
                if live + self.passed >= self.rule.probes {
                    return false;
                }
                self.probes.push((call, now + self.rule.probe_lease.as_nanos() as u64));
                true
            }
        }
    }
    fn trip(&mut self, now: u64) {
        let span = (10u64 << self.relapses.min(6)).min(80);
        (self.state, self.until) = (State::Open, now + span);
        self.probes.clear();
    }
    fn completes(&mut self, now: u64, call: usize, slow: bool, ok: bool) {
        let sound = ok && !(slow && self.rule.slow_percent <= 100);
        match self.state {
            State::Open => {}
            State::HalfOpen => {
                // Too late, and it counts for nothing.
                let live = |(number, until): &(usize, u64)| *number == call && *until > now;
                let Some(at) = self.probes.iter().position(live) else { return };
                self.probes.remove(at);
                if !sound {
                    self.relapses += 1;
                    return self.trip(now);
                }
                self.passed += 1;
                if self.passed == self.rule.probes {
                    (self.state, self.relapses, self.row) = (State::Closed, 0, 0);
                    self.done.clear();
                }
            }
            State::Closed => {
                self.row = if ok { 0 } else { self.row + 1 };
                self.done.push((now, slow, ok));
                let buckets = if matches!(self.rule.buckets, 1 | 10) { u64::from(self.rule.buckets) } else { 1 };
                let bucket = 100 / buckets;
                self.done.retain(|(at, ..)| at / bucket + buckets > now / bucket);
                let calls = self.done.len() as u64;
                let errors = self.done.iter().filter(|(.., ok)| !ok).count() as u64;
                let slows = self.done.iter().filter(|(_, slow, _)| *slow).count() as u64;
                let share =
                    |part: u64, percent: u32| percent <= 100 && part > 0 && part * 100 >= calls * u64::from(percent);
                let by_row = self.rule.consecutive_errors > 0 && self.row >= self.rule.consecutive_errors;
                let by_rest = share(errors, self.rule.error_percent)
                    || self.rule.error_count > 0 && errors >= u64::from(self.rule.error_count)
                    || share(slows, self.rule.slow_percent);
                if !sound && (by_row || calls >= u64::from(self.rule.min_requests) && by_rest) {
                    self.trip(now);
                }
            }
        }
    }
}

#[test]
fn it_admits_and_refuses_as_a_naive_model_does() {
    let mut random = Random(2);
    for schedule in 0..20_000 {
        let rule = settings(&mut random);
        let mut breaker = Breaker::new(rule);
        let mut model = Model {
            rule,
            state: State::Closed,
            until: 0,
            relapses: 0,
            row: 0,
            done: Vec::new(),
            probes: Vec::new(),
            passed: 0,
        };
        // (ticket, number, the model's stay: only calls of the same stay count)
        let mut out: Vec<(Ticket, usize, u64)> = Vec::new();
        let (mut now, mut stay, mut last) = (0, 0u64, State::Closed);
        for call in 0..60 {
            now += random.below(9);
            let at = Time::from_nanos(now);
            let (real, ideal) = (breaker.admit(at), model.admits(now, call));
            assert_eq!(real.is_ok(), ideal, "schedule {schedule}, call {call} at {now}");
            stay += u64::from(model.state != last);
            last = model.state;
            out.extend(real.ok().map(|ticket| (ticket, call, stay)));
            for _ in 0..random.below(3).min(out.len() as u64) {
                let (ticket, number, of) = out.swap_remove(random.below(out.len() as u64) as usize);
                let (took, ok) = (random.below(9), random.below(3) > 0);
                if of == stay {
                    model.completes(now, number, took > 5, ok);
                }
                breaker.completed(at, ticket, Duration::from_nanos(took), ok);
                stay += u64::from(model.state != last);
                last = model.state;
            }
            let seen = if model.state == State::Open && now >= model.until { State::HalfOpen } else { model.state };
            assert_eq!(breaker.state(at), seen, "schedule {schedule}, call {call} at {now}");
        }
    }
}
