//! A decision allocates nothing: not a permit, not a refusal, not an outcome.

use std::time::Duration;

use limiter::gate::Gate;
use limiter_core::Time;
use limiter_core::breaker::Settings as BreakerSettings;
use limiter_core::cell::Speed;
use limiter_core::decide::{Ask, Chain, End, EndpointRule, LevelRule, RuleId};
use limiter_core::hot::{HotParams, Limit};
use limiter_core::weight::Base;

#[test]
fn permits_refusals_outcomes_and_refunds_allocate_nothing() {
    let rule = |id| LevelRule::fixed(RuleId(id), Speed::per_second(1_000, 100));
    let mut chain = Chain::new(rule(1));
    let endpoint = EndpointRule {
        rate: rule(2),
        breaker: BreakerSettings::default(),
        breaker_rule: RuleId(5),
        in_flight: 8,
        in_flight_rule: RuleId(6),
    };
    let endpoint = chain.add_endpoint(endpoint).unwrap();
    let channel = chain.add_channel(rule(3)).unwrap();
    let path = chain.add_path(channel, rule(4), None).unwrap();
    let limit = Limit { speed: Speed::per_second(1_000, 1_000), in_flight: Some(4) };
    chain.set_hot(RuleId(7), HotParams::new(limit, 10, []));
    let gate = Gate::new(RuleId(9), Base::per_second(1_000_000), 4).chain(chain);
    let ask = Ask { path, endpoint, cost: 1, hot: Some(7) };
    // The value is learned; this one may allocate.
    drop(gate.decide(Time::ZERO, &ask));

    let (mut passed, mut refused) = (0u32, 0u32);
    let counted = allocation_counter::measure(|| {
        for k in 0..10_000u64 {
            let now = Time::from_nanos(k * 500_000);
            match gate.decide(now, &ask) {
                Ok(mut pass) => {
                    passed += 1;
                    if k % 7 > 0 {
                        pass.sent();
                        pass.finish(now, End::Answered(Duration::from_millis(2)));
                    }
                }
                Err(_) => refused += 1,
            }
        }
    });
    assert!(passed > 4_000 && refused > 3_000, "{passed} {refused}");
    assert_eq!(counted.count_total, 0);
}
