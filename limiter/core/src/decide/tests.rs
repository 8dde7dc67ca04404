#![allow(clippy::arithmetic_side_effects)]

use proptest::prelude::*;

use super::*;
use crate::hot::Limit;
use crate::system::Settings as SystemSettings;
use crate::throttle::Settings as Spacing;
use crate::warm_up::{Settings as WarmSettings, WarmUp};

const MS: u64 = 1_000_000;

fn at(ns: u64) -> Time {
    Time::from_nanos(ns)
}
fn fixed(rule: u32, per_second: u64, burst: u64) -> LevelRule {
    LevelRule::fixed(RuleId(rule), Speed::per_second(per_second, burst))
}
fn free(_: u32) -> Result<u32, Refusal> {
    Ok(0)
}

/// A chain with bursts of chain, endpoint, channel and method; one token a second each.
fn chain(bursts: [u64; 4], in_flight: u32) -> (Chain, Ask) {
    let [of_chain, of_endpoint, of_channel, of_method] = bursts;
    let mut chain = Chain::new(fixed(1, 1, of_chain));
    let endpoint = chain
        .add_endpoint(EndpointRule {
            rate: fixed(2, 1, of_endpoint),
            breaker: BreakerSettings::default(),
            breaker_rule: RuleId(20),
            in_flight,
            in_flight_rule: RuleId(21),
        })
        .unwrap();
    let channel = chain.add_channel(fixed(3, 1, of_channel)).unwrap();
    let path = chain.add_path(channel, fixed(4, 1, of_method), None).unwrap();
    (chain, Ask { path, endpoint, cost: 1, hot: None })
}

#[test]
fn each_level_refuses_with_its_name_rule_threshold_and_time() {
    let levels = [Level::Chain, Level::Endpoint, Level::Channel, Level::Method];
    for (place, level) in levels.into_iter().enumerate() {
        let mut bursts = [9; 4];
        bursts[place] = 1;
        let (mut chain, ask) = chain(bursts, 9);
        let grant = chain.decide(at(0), &ask, free).unwrap();
        let rule = RuleId(u32::try_from(place).unwrap() + 1);
        let come_back = ComeBack::At(at(1_000 * MS));
        let refusal = Refusal { level, rule, threshold_milli: 1_000, come_back };
        assert_eq!(chain.decide(at(0), &ask, free), Err(refusal));
        assert!(chain.decide(at(1_000 * MS), &ask, free).is_ok());
        let too_much = Ask { cost: 2, ..ask };
        assert_eq!(chain.decide(at(0), &too_much, free).unwrap_err().come_back, ComeBack::Never);
        chain.finish(at(0), grant, End::Unsent);
    }
}

#[test]
fn a_refusal_takes_nothing_from_any_level_and_an_unsent_call_gives_all_back() {
    let (mut chain, ask) = chain([5, 4, 3, 1], 9);
    let there = |chain: &Chain| chain.available(at(0), ask.path, ask.endpoint).unwrap();
    let grant = chain.decide(at(0), &ask, free).unwrap();
    assert_eq!(there(&chain), [4, 3, 2, 0]);
    assert!(chain.decide(at(0), &ask, free).is_err());
    assert_eq!(there(&chain), [4, 3, 2, 0]);
    chain.finish(at(0), grant, End::Unsent);
    assert_eq!((there(&chain), chain.in_flight()), ([5, 4, 3, 1], 0));
    let grant = chain.decide(at(0), &ask, free).unwrap();
    chain.finish(at(0), grant, End::Lost);
    assert_eq!((there(&chain), chain.in_flight()), ([4, 3, 2, 0], 0));
}

#[test]
fn calls_in_flight_wait_for_one_that_ends() {
    let (mut chain, ask) = chain([9; 4], 1);
    let grant = chain.decide(at(0), &ask, free).unwrap();
    let refusal = chain.decide(at(0), &ask, free).unwrap_err();
    assert_eq!((refusal.level, refusal.rule, refusal.threshold_milli), (Level::Isolation, RuleId(21), 1_000));
    assert_eq!(refusal.come_back, ComeBack::WhenOneEnds);
    chain.finish(at(0), grant, End::Answered(Duration::from_millis(3)));
    assert!(chain.decide(at(0), &ask, free).is_ok());
    let counts = chain.ring().read(at(0), Duration::from_secs(1));
    assert_eq!((counts.pass, counts.block, counts.complete, counts.max_concurrency), (2, 1, 1, 1));
}

#[test]
fn failures_open_the_breaker_and_an_unsent_probe_frees_its_slot() {
    let (mut chain, ask) = chain([99; 4], 9);
    for _ in 0..5 {
        let grant = chain.decide(at(0), &ask, free).unwrap();
        chain.finish(at(0), grant, End::Failed(Duration::ZERO));
    }
    let refusal = chain.decide(at(0), &ask, free).unwrap_err();
    assert_eq!((refusal.level, refusal.rule), (Level::Breaker, RuleId(20)));
    let ComeBack::At(open_until) = refusal.come_back else { panic!("{refusal:?}") };
    let probe = chain.decide(open_until, &ask, free).unwrap();
    assert_eq!(chain.decide(open_until, &ask, free).unwrap_err().come_back, ComeBack::WhenOneEnds);
    chain.finish(open_until, probe, End::Unsent);
    assert!(chain.decide(open_until, &ask, free).is_ok());
}

#[test]
fn a_hold_off_only_grows_and_an_ejected_endpoint_says_until_when() {
    let (mut chain, ask) = chain([9; 4], 9);
    chain.hold_off(ask.endpoint, at(50));
    chain.hold_off(ask.endpoint, at(20));
    let refusal = chain.decide(at(49), &ask, free).unwrap_err();
    assert_eq!((refusal.level, refusal.come_back), (Level::HoldOff, ComeBack::At(at(50))));
    chain.eject(ask.endpoint, at(90));
    assert_eq!(chain.decide(at(50), &ask, free).unwrap_err().level, Level::Ejected);
    assert!(chain.decide(at(90), &ask, free).is_ok());
}

#[test]
fn a_shadow_level_reports_and_lets_pass() {
    let (mut chain, ask) = chain([9, 9, 9, 9], 9);
    chain.replace_path(at(0), ask.path, LevelRule { shadow: true, ..fixed(40, 1, 1) });
    let fits = chain.decide(at(0), &ask, free).unwrap();
    assert_eq!((fits.is_shadowed(), chain.would_refuse(&fits)), (false, None));
    let grant = chain.decide(at(0), &ask, free).unwrap();
    let would = chain.would_refuse(&grant).unwrap();
    assert!(grant.is_shadowed());
    assert_eq!((would.level, would.rule, would.come_back), (Level::Method, RuleId(40), ComeBack::At(at(1_000 * MS))));
    assert_eq!(chain.tally(ask.path), Some(Tally { passed: 2, blocked: 1 }));
    // What it would have refused is not charged to it: its report stays that of an enforced rule.
    assert!(!chain.decide(at(1_000 * MS), &ask, free).unwrap().is_shadowed());
}

#[test]
fn queries_yield_while_broadcasts_are_busy() {
    let (mut chain, query) = chain([99; 4], 99);
    let channel = ChannelId(0);
    let broadcast = chain.add_path(channel, fixed(5, 99, 99), None).unwrap();
    let associated = Associated { rule: RuleId(50), to: broadcast, speed: Speed::per_second(10, 2) };
    chain.associate(query.path, associated).unwrap();
    assert!(chain.decide(at(0), &query, free).is_ok());
    let busy = Ask { path: broadcast, ..query };
    (0..5).for_each(|_| drop(chain.decide(at(0), &busy, free).unwrap()));
    let refusal = chain.decide(at(0), &query, free).unwrap_err();
    assert_eq!((refusal.level, refusal.rule, refusal.threshold_milli), (Level::Associated, RuleId(50), 10_000));
    assert_eq!(refusal.come_back, ComeBack::At(at(100 * MS)));
    assert!(chain.decide(at(100 * MS), &query, free).is_ok());
    let back = Associated { to: query.path, ..associated };
    assert_eq!(chain.associate(broadcast, back), None);
    assert_eq!(chain.associate(query.path, back), None);
}

#[test]
fn spaced_calls_are_told_how_long_to_wait() {
    let (mut chain, ask) = chain([99; 4], 99);
    let settings = Spacing { threshold: 5, interval: Duration::from_secs(1), max_queueing: Duration::from_millis(200) };
    let path = chain.add_path(ChannelId(0), fixed(6, 99, 99), Some((RuleId(60), Throttle::new(settings)))).unwrap();
    let ask = Ask { path, ..ask };
    assert!(!chain.decide(at(0), &ask, free).unwrap().waits());
    let queued = chain.decide(at(0), &ask, free).unwrap();
    assert_eq!(chain.wait(&queued), Duration::from_millis(200));
    let refusal = chain.decide(at(0), &ask, free).unwrap_err();
    assert_eq!((refusal.level, refusal.threshold_milli), (Level::Throttle, 5_000));
    assert_eq!(refusal.come_back, ComeBack::At(at(200 * MS)));
    chain.finish(at(0), queued, End::Unsent);
    let again = chain.decide(at(0), &ask, free).unwrap();
    assert_eq!((again.waits(), chain.wait(&again)), (true, Duration::from_millis(200)));
}

#[test]
fn a_hot_value_is_limited_and_others_are_not() {
    let (mut chain, ask) = chain([99; 4], 99);
    let limit = Limit { speed: Speed::per_second(1, 1), in_flight: None };
    chain.set_hot(RuleId(70), HotParams::new(limit, 10, []));
    let hot = Ask { hot: Some(7), ..ask };
    let grant = chain.decide(at(0), &hot, free).unwrap();
    assert_eq!(chain.decide(at(0), &hot, free).unwrap_err().level, Level::HotParameter);
    assert!(chain.decide(at(0), &Ask { hot: Some(8), ..ask }, free).is_ok());
    chain.finish(at(0), grant, End::Unsent);
    assert!(chain.decide(at(0), &hot, free).is_ok());
}

#[test]
fn the_machine_is_asked_first_and_warm_up_and_memory_move_thresholds() {
    let (mut chain, ask) = chain([99; 4], 99);
    chain.set_system(RuleId(80), SystemSettings { in_flight: Some(1), ..SystemSettings::default() });
    let grant = chain.decide(at(0), &ask, free).unwrap();
    assert_eq!(chain.decide(at(0), &ask, free).unwrap_err().level, Level::System);
    chain.finish(at(0), grant, End::Lost);

    let settings = WarmSettings { threshold: 90, burst: 1, period: Duration::from_secs(10), cold_factor: 3 };
    chain.replace_chain(at(0), LevelRule::warm_up(RuleId(81), WarmUp::new(settings)));
    let first = chain.decide(at(1_000 * MS), &ask, free).unwrap();
    chain.finish(at(1_000 * MS), first, End::Lost);
    assert_eq!(chain.decide(at(1_000 * MS), &ask, free).unwrap_err().threshold_milli, 30_000);

    let line = crate::memory::Settings { roomy: 50, tight: 10, low_mark: 100, high_mark: 200 };
    let memory = Tuner::Memory(crate::memory::MemoryAdaptive::new(line).unwrap(), 1);
    chain.replace_chain(at(0), LevelRule { tuner: Some(memory), ..fixed(82, 50, 1) });
    chain.sample(at(1_000 * MS), Sample::default(), Some(150));
    assert_eq!(chain.decide(at(1_000 * MS), &ask, free).unwrap_err().threshold_milli, 30_000);
}

#[test]
fn global_tokens_are_drawn_last_and_kept_up_to_the_lease() {
    let (mut chain, ask) = chain([2; 4], 9);
    chain.set_lease(1);
    let no = Refusal { level: Level::Global, rule: RuleId(90), threshold_milli: 1, come_back: ComeBack::At(at(5)) };
    assert_eq!(chain.decide(at(0), &ask, |_| Err(no)), Err(no));
    assert_eq!(chain.available(at(0), ask.path, ask.endpoint), Some([2; 4]));
    let first = chain.decide(at(0), &ask, |want| Ok(want + 1)).unwrap();
    let second = chain.decide(at(0), &ask, |_| Err(no)).unwrap(); // from the lease
    assert_eq!(chain.decide(at(0), &ask, |_| panic!("drawn for nothing")).unwrap_err().level, Level::Chain);
    assert_eq!(chain.finish(at(0), first, End::Unsent), 0);
    assert_eq!(chain.finish(at(0), second, End::Unsent), 1);
}

#[test]
fn a_path_is_forgotten_when_it_owes_nothing_and_its_number_is_given_to_another() {
    let (mut chain, ask) = chain([9, 9, 9, 9], 9);
    let grant = chain.decide(at(0), &ask, free).unwrap();
    let paid = at(1_000 * MS);
    assert!(!chain.forget_path(at(0), ask.path) && !chain.forget_path(paid, ask.path), "a call is out");
    chain.finish(at(0), grant, End::Lost);
    assert!(!chain.forget_path(at(999 * MS), ask.path), "it owes a token");
    assert!(chain.forget_path(paid, ask.path) && !chain.forget_path(paid, ask.path));
    assert_eq!(chain.decide(paid, &ask, free).unwrap_err().level, Level::Unknown);
    let next = chain.add_path(ChannelId(0), fixed(5, 1, 1), None);
    assert_eq!(next, Some(ask.path));
    assert!(chain.decide(paid, &ask, free).is_ok());
    assert_eq!(chain.decide(paid, &ask, free).unwrap_err().rule, RuleId(5));
}

#[test]
fn a_path_is_a_few_cache_lines() {
    assert!(size_of::<Path>() <= 104, "{}", size_of::<Path>());
}

#[test]
fn an_id_of_another_chain_is_refused() {
    let (mut chain, ask) = chain([2; 4], 9);
    let stranger = Ask { path: PathId(7), ..ask };
    assert_eq!(chain.decide(at(0), &stranger, free).unwrap_err().level, Level::Unknown);
}

proptest! {
    /// Random schedules with refunds: no level ever admits more than its limit in any window.
    #[test]
    fn no_level_over_admits_in_any_window(
        bursts in prop::array::uniform4(1u64..6),
        steps in prop::collection::vec((0u64..900 * MS, 1u32..4, any::<bool>(), 0usize..6), 1..120),
    ) {
        let (mut chain, ask) = chain(bursts, 99);
        let (mut now, mut kept, mut open) = (0u64, Vec::new(), Vec::new());
        for (wait, cost, unsent, which) in steps {
            now += wait;
            if let Ok(grant) = chain.decide(at(now), &Ask { cost, ..ask }, free) {
                open.push((now, u64::from(cost), grant));
            }
            if which < open.len() {
                let (then, cost, grant) = open.swap_remove(which);
                if unsent { chain.finish(at(now), grant, End::Unsent); } else {
                    kept.push((then, cost));
                    chain.finish(at(now), grant, End::Lost);
                }
            }
        }
        kept.extend(open.iter().map(|(then, cost, _)| (*then, *cost)));
        kept.sort_unstable();
        let burst = *bursts.iter().min().unwrap();
        for (i, (start, _)) in kept.iter().enumerate() {
            let mut sum = 0u64;
            for (end, n) in kept.iter().skip(i) {
                sum += n;
                prop_assert!(sum * 1_000 * MS <= burst * 1_000 * MS + (end - start));
            }
        }
    }
}
