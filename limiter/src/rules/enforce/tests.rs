use super::*;

const URL: &str = "http://127.0.0.1:26657";

fn at(ms: u64) -> Time {
    Time::from_nanos(ms * 1_000_000)
}
fn set(text: &str) -> RuleSet {
    RuleSet::from_toml(text).unwrap()
}
fn enforcer(text: &str) -> Enforcer {
    Enforcer::new(RuleSet::default(), Rules::new(set(text)))
}

/// A request of `n` calls of a method of `a-1`, perhaps on a channel.
fn request(rules: &Enforcer, now: Time, method: &str, channel: &str, n: u32) -> Result<Pass, Refusal> {
    let parts = [Part { method, channel, n }];
    rules.ask(now, &Ask { chain: "a-1", endpoint: URL, broadcast: method.starts_with("broadcast"), parts: &parts })
}
/// How many single calls leave in a second of asking each millisecond.
fn in_a_second(rules: &Enforcer, from: u64, method: &str, channel: &str) -> usize {
    (from..from + 1_000)
        .filter(|ms| request(rules, at(*ms), method, channel, 1).map(|mut pass| pass.sent()).is_ok())
        .count()
}
fn who(refused: Result<Pass, Refusal>) -> String {
    refused.unwrap_err().rule.to_string()
}

#[test]
fn a_limit_is_shared_by_all_it_names_and_by_nothing_else() {
    let rules = enforcer(r#"flow = [{ id = "blocks", on = { chain = "a-*", method = "block*" }, threshold = 2 }]"#);
    request(&rules, at(0), "block", "", 1).unwrap().sent();
    request(&rules, at(0), "block_results", "", 1).unwrap().sent();
    let refused = request(&rules, at(0), "block", "", 1).unwrap_err();
    let come_back = ComeBack::At(at(500));
    let known = Refusal { rule: "blocks".into(), kind: "flow", threshold_milli: 2_000, come_back, longest_wait: None };
    assert_eq!(refused, known);
    assert!(request(&rules, at(0), "commit", "", 1).is_ok());
    assert!(request(&rules, at(499), "block", "", 1).is_err() && request(&rules, at(500), "block", "", 1).is_ok());
    let view = &rules.view(at(500))[0];
    assert_eq!((&*view.rule, view.passed, view.blocked), ("blocks", 3, 2));
}

#[test]
fn one_rule_s_no_takes_nothing_of_another_and_what_never_left_comes_back() {
    let rules = enforcer(
        r#"flow = [{ id = "all", threshold = 10 }, { id = "tx", on = { method = "broadcast*" }, threshold = 1 }]"#,
    );
    request(&rules, at(0), "broadcast_tx_sync", "", 1).unwrap().sent();
    assert_eq!(who(request(&rules, at(0), "broadcast_tx_sync", "", 1)), "tx");
    drop(request(&rules, at(0), "status", "", 9).unwrap());
    assert!(request(&rules, at(0), "status", "", 9).is_ok());
}

#[test]
fn another_threshold_keeps_what_was_taken_and_a_new_rule_begins_full() {
    let rules = enforcer(r#"flow = [{ id = "r", threshold = 10 }]"#);
    request(&rules, at(0), "status", "", 10).unwrap().sent();
    let (changed, more) = (r#"{ id = "r", threshold = 100, burst = 10 }"#, r#"{ id = "s", threshold = 3 }"#);
    rules.rules().apply(set(&format!("flow = [{changed}, {more}]")));
    assert!(request(&rules, at(0), "status", "", 1).is_err());
    assert!(request(&rules, at(10), "status", "", 1).is_ok());
    // 3 more of the new one, none of the old one's past.
    assert_eq!(who(request(&rules, at(1_000), "status", "", 4)), "s");
    rules.rules().apply(RuleSet::default());
    assert!(request(&rules, at(10), "status", "", 1_000).is_ok());
    assert!(rules.view(at(10)).is_empty());
}

#[test]
fn a_call_that_is_out_while_its_rule_goes_gives_back_to_nobody() {
    let rules = enforcer(r#"isolation = [{ id = "one", in_flight = 1 }]"#);
    let out = request(&rules, at(0), "status", "", 1).unwrap();
    rules.rules().apply(set(r#"isolation = [{ id = "one", in_flight = 2 }]"#));
    let second = request(&rules, at(0), "status", "", 1).unwrap();
    assert_eq!(request(&rules, at(0), "status", "", 1).unwrap_err().come_back, ComeBack::WhenOneEnds);
    rules.rules().apply(RuleSet::default());
    out.finish(at(1), true);
    rules.rules().apply(set(r#"isolation = [{ id = "one", in_flight = 1 }]"#));
    // Met in no set in between: the call that is still out counts.
    assert!(request(&rules, at(2), "status", "", 1).is_err());
    second.finish(at(3), true);
    assert!(request(&rules, at(3), "status", "", 1).is_ok());
}

#[test]
fn shadow_mode_reports_and_lets_pass() {
    let rules = enforcer(r#"flow = [{ id = "dark", shadow = true, threshold = 1 }]"#);
    request(&rules, at(0), "status", "", 1).unwrap().sent();
    let pass = request(&rules, at(0), "status", "", 1).unwrap();
    assert_eq!(&*pass.would_refuse().unwrap().rule, "dark");
    drop(pass);
    let view = &rules.view(at(0))[0];
    assert_eq!((view.passed, view.blocked, view.shadow), (2, 1, true));
}

#[test]
fn a_stage_is_in_force_for_its_share_of_the_names() {
    let staged = |stage: u32| {
        let rules = enforcer(&format!("isolation = [{{ id = 'r', stage = {stage}, in_flight = 1 }}]"));
        (0..1_000)
            .filter(|n| {
                let channel = format!("channel-{n}");
                let _first = request(&rules, at(0), "status", &channel, 1);
                request(&rules, at(0), "status", &channel, 1).is_err()
            })
            .count()
    };
    // One place for all of them: once it is taken, each name that the rule reaches is refused.
    assert!((20..90).contains(&staged(5)), "{}", staged(5));
    assert!((240..360).contains(&staged(30)), "{}", staged(30));
    assert_eq!(staged(100), 1_000);
}

#[test]
fn a_quota_is_base_times_weights_for_each_chain_channel_and_method() {
    let rules = enforcer(
        r#"
        quota = [{ id = "plan", base = 1000, burst = 1 }]
        weight = [
            { id = "gold", chain = "a-1", weight = 2.5 },
            { id = "paid", channel = "channel-7", weight = 1.5 },
            { id = "heavy", method = "abci_query", weight = 0.3 },
        ]"#,
    );
    request(&rules, at(0), "abci_query", "channel-7", 1).unwrap().sent();
    assert_eq!(request(&rules, at(0), "abci_query", "channel-7", 1).unwrap_err().threshold_milli, 1_125_000);
    // Its own.
    assert!(request(&rules, at(0), "abci_query", "channel-8", 1).is_ok());
}

#[test]
fn a_method_that_no_rule_weighs_is_worth_what_its_answers_show() {
    let weight = r#"weight = [{ id = "fixed", method = "status", weight = 1.0 }]"#;
    let rules = enforcer(&format!("quota = [{{ id = 'plan', base = 1000, burst = 1000 }}]\n{weight}"));
    // For two minutes the usual method answers within 100 ms, one within 300, one never soundly.
    for ms in (0..120_500).step_by(100) {
        for (method, took, sound) in [("block", 100, true), ("tx_search", 300, true), ("abci_query", 100, false)] {
            let mut pass = request(&rules, at(ms), method, "", 1).unwrap();
            pass.sent();
            pass.finish(at(ms + took), sound);
        }
        request(&rules, at(ms), "status", "", 1).unwrap().finish(at(ms + 1_000), true);
    }
    let threshold = |method: &str| request(&rules, at(121_000), method, "", 2_000_000).unwrap_err().threshold_milli;
    let [usual, slow, failing] = ["block", "tx_search", "abci_query"].map(threshold);
    assert_eq!(threshold("status"), 1_000_000);
    assert!(usual > 1_000_000 && failing < 500_000, "{usual} {slow} {failing}");
    assert!(slow < usual && slow > failing, "{usual} {slow} {failing}");
}

#[test]
fn queries_yield_to_the_calls_of_another_rule() {
    let rules = enforcer(
        r#"flow = [
            { id = "tx", on = { method = "broadcast*" }, threshold = 1000 },
            { id = "reads", on = { method = "abci*" }, threshold = 5, associated = "tx" },
        ]"#,
    );
    request(&rules, at(0), "abci_query", "", 1).unwrap().sent();
    for _ in 0..5 {
        request(&rules, at(0), "broadcast_tx_sync", "", 1).unwrap().sent();
    }
    assert_eq!(who(request(&rules, at(0), "abci_query", "", 1)), "reads");
    assert!(request(&rules, at(1_000), "abci_query", "", 1).is_ok());
}

#[test]
fn throttled_calls_leave_one_by_one_and_hot_values_have_a_limit_each() {
    let rules = enforcer(
        r#"
        flow = [{ id = "even", on = { method = "block" }, threshold = 5, control = "throttling", max_queueing_ms = 300 }]
        hot = [{ id = "channels", on = { channel = "channel-*" }, parameter = "channel", threshold = 2, overrides = { channel-9 = 1 } }]"#,
    );
    request(&rules, at(1_000), "block", "", 1).unwrap().sent();
    let refused = request(&rules, at(1_000), "block", "", 1).unwrap_err();
    assert_eq!(refused.come_back, ComeBack::At(at(1_200)));
    assert_eq!(refused.longest_wait, Some(Duration::from_millis(300)));
    assert!(request(&rules, at(1_200), "block", "", 1).is_ok());
    let counts = ["channel-1", "channel-2", "channel-9"].map(|channel| {
        (0..5).filter(|_| request(&rules, at(0), "q", channel, 1).map(|mut pass| pass.sent()).is_ok()).count()
    });
    assert_eq!(counts, [2, 2, 1]);
}

#[test]
fn a_breaker_of_broadcasts_leaves_reads_alone() {
    let rules = enforcer(
        r#"breaker = [{ id = "b", strategy = "error-count", threshold = 2, min_requests = 2, open_ms = 1000, class = "broadcast" }]"#,
    );
    for _ in 0..2 {
        let mut pass = request(&rules, at(0), "broadcast_tx_sync", "", 1).unwrap();
        pass.sent();
        pass.finish(at(1), false);
    }
    assert_eq!(who(request(&rules, at(2), "broadcast_tx_sync", "", 1)), "b");
    assert!(request(&rules, at(2), "status", "", 1).is_ok());
    // Half-open: one probe.
    let probe = request(&rules, at(2_000), "broadcast_tx_sync", "", 1).unwrap();
    assert!(request(&rules, at(2_000), "broadcast_tx_sync", "", 1).is_err());
    probe.finish(at(2_001), true);
    assert!(request(&rules, at(2_002), "broadcast_tx_sync", "", 1).is_ok());
}

#[test]
fn this_machine_s_load_and_memory_count_when_they_are_measured() {
    let rules = enforcer(
        r#"
        system = [{ id = "few", metric = "concurrency", threshold = 2 }]
        flow = [{ id = "mem", threshold = 100, strategy = "memory-adaptive", low_memory_threshold = 100, high_memory_threshold = 10, low_water_mib = 100, high_water_mib = 200 }]"#,
    );
    assert!(rules.wants_samples());
    let first = request(&rules, at(0), "status", "", 1).unwrap();
    let _second = request(&rules, at(0), "status", "", 1).unwrap();
    assert_eq!(who(request(&rules, at(0), "status", "", 1)), "few");
    drop(first);
    rules.sample(at(0), Sample::default(), Some(300 << 20));
    assert_eq!(rules.view(at(0)).iter().find(|view| &*view.rule == "mem").unwrap().threshold_milli, 10_000);
}

#[test]
fn a_batch_is_charged_for_each_call_and_its_methods_together_or_not_at_all() {
    let rules = enforcer(
        r#"flow = [{ id = "a", on = { method = "a" }, threshold = 3 }, { id = "b", on = { method = "b" }, threshold = 1 }]"#,
    );
    let parts = [Part { method: "a", channel: "", n: 2 }, Part { method: "b", channel: "", n: 2 }];
    let ask = Ask { chain: "a-1", endpoint: URL, broadcast: false, parts: &parts };
    assert_eq!(rules.ask(at(0), &ask).unwrap_err().come_back, ComeBack::Never);
    assert_eq!(rules.most(at(0), "a-1", URL, false, &parts[1]), 1);
    assert_eq!(rules.most(at(0), "a-1", URL, false, &Part { method: "c", channel: "", n: 1 }), u64::MAX);
    assert!(request(&rules, at(0), "a", "", 3).is_ok());
}

#[test]
fn the_rate_holds_over_replacements_of_the_set() {
    let text = |id: u32| {
        format!("flow = [{{ id = 'r', threshold = 100, burst = 10 }}, {{ id = 's{id}', threshold = 100000 }}]")
    };
    let rules = enforcer(&text(0));
    let mut passed = 0;
    for second in 0..5u64 {
        rules.rules().apply(set(&text(second as u32)));
        passed += in_a_second(&rules, second * 1_000, "status", "");
    }
    assert_eq!(passed, 10 + 499);
}

#[test]
fn a_rule_that_no_call_met_under_several_sets_keeps_what_was_taken() {
    let text = |more: u32| format!("flow = [{{ id = 'r', threshold = 1 }}, {{ id = 's{more}', threshold = 9 }}]");
    let rules = enforcer(&text(0));
    request(&rules, at(0), "status", "", 1).unwrap().sent();
    for n in 1..4 {
        rules.rules().apply(set(&text(n)));
        // The set is looked at, by nobody whom it names.
        assert!(rules.view(at(0)).is_empty());
    }
    assert_eq!(who(request(&rules, at(0), "status", "", 1)), "r");
}

#[test]
fn own_rules_stay_when_the_fed_ones_go() {
    let own = set(r#"flow = [{ id = "own", threshold = 1 }]"#);
    let rules = Enforcer::new(own, Rules::new(set(r#"flow = [{ id = "own", threshold = 5 }]"#)));
    request(&rules, at(0), "status", "", 1).unwrap().sent();
    rules.rules().apply(RuleSet::default());
    assert_eq!(who(request(&rules, at(0), "status", "", 1)), "own");
}
