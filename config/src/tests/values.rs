use super::*;
use crate::settings::{CallRate, Fraction, KeySource, MethodLimit, Order, RedisKind, RuleSource};
use crate::values::Variable;
use crate::{Kind, template};
use proptest::prelude::*;
use relayer_core::id::{ChannelId, PortId};
use std::num::NonZeroUsize;
use std::time::Duration;

#[test]
fn defaults_are_filled_in() {
    let settings = good(MINIMAL);
    let (chain, path) = (&settings.chains[0], &settings.paths[0]);
    assert_eq!(settings.global.admin, "127.0.0.1:3030".parse().unwrap());
    assert!(settings.store.journal().ends_with(".relayer/journal.sqlite") && settings.store.dir.is_absolute());
    assert_eq!((chain.limits.requests_per_second, chain.limits.burst, chain.limits.in_flight), (50, 100, 32));
    assert_eq!(chain.cosmos().unwrap().trust_threshold, Fraction { numerator: 1, denominator: 3 });
    assert_eq!(chain.key.source, KeySource::Keystore { passphrase_env: None });
    assert_eq!(path.channels[0].order, Order::Unordered);
    assert_eq!(path.channels[0].version, "ics20-1");
    assert_eq!(path.clear.interval, Some(Duration::from_secs(300)));
    assert_eq!((path.batch.messages, path.batch.bytes), (30, 162_000));
}

#[test]
fn a_chain_overrides_the_common_limits_key_by_key() {
    let text =
        format!("[limits]\nburst = 7\nin_flight = 9\n{}", with("gas = {", "limits = { in_flight = 2 }\ngas = {"));
    let settings = good(&text);
    assert_eq!((settings.chains[0].limits.burst, settings.chains[0].limits.in_flight), (7, 2));
    assert_eq!(settings.chains[1].limits, settings.limits);
}

#[test]
fn narrow_limits_are_read_and_a_chain_s_own_come_first() {
    let text = format!(
        "[[limits.methods]]\nmethod = \"block*\"\nrequests_per_second = 5\n\n[[limits.methods]]\nmethod = \"tx\"\nweight = 3\n{}",
        with(
            "gas = {",
            "limits = { methods = [{ method = \"tx\", requests_per_second = 2, burst = 9 }], \
             endpoints = [{ rpc = \"http://127.0.0.1:27657\", burst = 4 }], \
             channels = [{ channel = \"channel-3\", requests_per_second = 1 }] }\ngas = {"
        )
    );
    let settings = good(&text);
    let narrow = &settings.chains[0].narrow;
    let rate = |requests_per_second, burst| CallRate { requests_per_second, burst };
    let method = |method: &str, rate, weight| MethodLimit { method: method.to_owned(), rate, weight };
    assert_eq!(narrow.methods, [method("tx", Some(rate(2, 9)), 1), method("block*", Some(rate(5, 5)), 1)]);
    assert_eq!((narrow.endpoints[0].rate, narrow.endpoints[0].in_flight), (rate(50, 4), 32));
    assert_eq!((narrow.channels[0].channel.as_str(), narrow.channels[0].rate), ("channel-3", rate(1, 1)));
    assert_eq!(settings.chains[1].narrow.methods, [method("block*", Some(rate(5, 5)), 1), method("tx", None, 3)]);
}

#[test]
fn a_narrow_limit_that_can_not_hold_is_refused_with_its_place_and_a_remedy() {
    let limits = |more: &str| with("gas = {", &format!("limits = {{ {more} }}\ngas = {{"));
    for (more, said) in [
        ("methods = [{ requests_per_second = 5 }]", "`method` is missing in `chains.limits.methods`"),
        ("methods = [{ method = \"a b\", weight = 2 }]", "an RPC method like"),
        ("methods = [{ method = \"tx\", requests_per_second = 0 }]", "must be between 1 and 100000"),
        ("methods = [{ method = \"tx\", requests_per_second = -1 }]", "must be between 1 and 100000"),
        ("methods = [{ method = \"tx\", weight = 101 }]", "more than the chain's `burst` (100)"),
        ("methods = [{ method = \"tx\" }]", "limits nothing"),
        ("methods = [{ method = \"tx\", weight = 2, burst = 3 }]", "means nothing without `requests_per_second`"),
        ("methods = [{ method = \"tx\", weight = 2 }, { method = \"tx\", weight = 3 }]", "a second time"),
        ("methods = [{ method = \"tx\", rate = 2 }]", "unknown key `rate`"),
        ("endpoints = [{ rpc = \"http://127.0.0.1:1\", burst = 4 }]", "no address of this chain"),
        ("channels = [{ channel = \"channel-0\" }]", "`requests_per_second` is missing"),
        ("channels = [{ channel = \"x\", requests_per_second = 1 }]", "a channel id like"),
    ] {
        let told = told(&limits(more));
        assert!(told.contains(said) && told.contains("relayer.toml:"), "{more}\n{told}");
    }
}

#[test]
fn rules_come_from_one_source() {
    let rules = |table: &str| format!("[limits.rules]\n{table}\n{MINIMAL}");
    let source = |table: &str| good(&rules(table)).rules.unwrap();
    let ms = Duration::from_millis;
    assert_eq!(source("file = \"r.toml\""), RuleSource::File { path: "r.toml".into(), interval: ms(500) });
    assert!(
        matches!(source("http = \"http://127.0.0.1:1/r\""), RuleSource::Http { interval, .. } if interval == ms(5_000))
    );
    assert!(
        matches!(source("etcd = \"http://127.0.0.1:2379\"\nkey = \"r\""), RuleSource::Etcd { key, .. } if key == "r")
    );
    assert_eq!(good(MINIMAL).rules, None);
    for (table, said) in [
        ("", "names 0 sources"),
        ("file = \"a\"\nhttp = \"http://127.0.0.1/b\"", "names 2 sources"),
        ("file = \"a\"\nkey = \"b\"", "belongs to `etcd`"),
        ("etcd = \"http://127.0.0.1:2379\"", "`key` is missing"),
        ("file = \"a\"\ninterval_ms = 1", "between 100 and 3600000"),
        ("http = \"http://me:secret@127.0.0.1/b\"", "secrets never stand in the file"),
    ] {
        let told = told(&rules(table));
        assert!(told.contains(said) && !told.contains("me:secret"), "{table}\n{told}");
    }
}

#[test]
fn limits_are_shared_over_one_redis() {
    let redis = |table: &str| format!("[limits.redis]\n{table}\n{MINIMAL}");
    let shared = good(&redis("url = \"redis://127.0.0.1:6379\"")).shared.unwrap();
    assert_eq!((shared.addresses.len(), shared.kind, shared.domain.as_str()), (1, RedisKind::Standalone, "relayers"));
    assert!(shared.leased && shared.redis_cell && shared.member.is_none());
    let never = "url = \"redis://127.0.0.1:6379\"\nredis_cell = \"never\"";
    assert!(!good(&redis(never)).shared.unwrap().redis_cell);
    let private = good(&redis("url = \"rediss://127.0.0.1:6379\"\nca = \"ca.pem\"")).shared.unwrap();
    assert_eq!(private.ca.unwrap(), std::path::Path::new("ca.pem"));
    let sentinel = "url = [\"redis://127.0.0.1:1\", \"redis://127.0.0.1:2\"]\nkind = \"sentinel\"\nservice = \"m\"\nmode = \"strong\"";
    let shared = good(&redis(sentinel)).shared.unwrap();
    let login = |name: Option<&str>| RedisKind::Sentinel {
        service: "m".into(),
        login_env: name.map(|name| Variable::new(name).unwrap()),
    };
    assert_eq!((shared.kind, shared.leased), (login(None), false));
    let shared = good(&redis(&format!("{sentinel}\nlogin_env = \"REDIS_LOGIN\""))).shared.unwrap();
    assert_eq!(shared.kind, login(Some("REDIS_LOGIN")));
    for (table, said) in [
        ("", "`url` is missing"),
        ("url = \"http://127.0.0.1:1\"", "redis://127.0.0.1:6379"),
        ("url = \"redis://:secret@127.0.0.1:1\"", "secrets never stand in the file"),
        ("url = [\"redis://127.0.0.1:1\", \"redis://127.0.0.1:2\"]", "has one address"),
        ("url = \"redis://127.0.0.1:1\"\nservice = \"m\"", "means nothing here"),
        ("url = \"redis://127.0.0.1:1\"\nlogin_env = \"LOGIN\"", "`login_env` means nothing here"),
        ("url = \"redis://127.0.0.1:1\"\nkind = \"sentinel\"", "`service` is missing"),
        ("url = \"redis://127.0.0.1:1\"\nmode = \"loose\"", "must be \"leased\" or \"strong\""),
        ("url = \"redis://127.0.0.1:1\"\nredis_cell = \"always\"", "must be \"auto\" or \"never\""),
        ("url = \"redis://127.0.0.1:1\"\nca = \"ca.pem\"", "`ca` means nothing"),
        ("url = \"rediss://127.0.0.1:1\"\nca = \"\"", "the name of a file"),
        ("url = \"redis://127.0.0.1:1\"\ndomain = \"a}b\"", "letters, digits"),
    ] {
        let told = told(&redis(table));
        assert!(told.contains(said) && !told.contains(":secret"), "{table}\n{told}");
    }
}

#[test]
fn worker_threads_follow_the_machine() {
    let mut global = good(MINIMAL).global;
    assert_eq!([1, 2, 8, 64].map(|cpus| global.workers(cpus)), [2, 4, 16, 16]);
    global.verify_workers = NonZeroUsize::new(32);
    assert_eq!([2, 64].map(|cpus| global.workers(cpus)), [4, 32]);
}

#[test]
fn the_admin_port_is_loopback_unless_a_token_is_named() {
    let open = "[global]\nadmin = \"0.0.0.0:3030\"\n";
    assert_eq!(bad(&format!("{open}{MINIMAL}")).problems().len(), 1);
    good(&format!("{open}admin_token_env = \"TOKEN\"\n{MINIMAL}"));
}

#[test]
fn a_key_says_where_its_secret_is_and_nothing_else() {
    let key = |key: &str| with("gas = {", &format!("key = {key}\ngas = {{"));
    let source = |text: &str| good(&key(text)).chains[0].key.source.clone();
    assert!(
        matches!(source("{ source = \"env\", env = \"M\" }"), KeySource::Env { variable } if variable.as_str() == "M")
    );
    assert_eq!(source("{ source = \"keyring\" }"), KeySource::Keyring);
    for (text, kind) in [
        ("{ source = \"env\" }", Kind::Missing),
        ("{ source = \"keyring\", passphrase_env = \"P\" }", Kind::Invalid),
        ("{ env = \"M\" }", Kind::Invalid),
        ("{ source = \"env\", env = \"abandon abandon about\" }", Kind::Invalid),
        ("{ name = \"../relayer\" }", Kind::Invalid),
        ("{ source = \"file\" }", Kind::Invalid),
    ] {
        assert_eq!(bad(&key(text)).problems()[0].kind, kind, "{text}");
    }
}

#[test]
fn trust_is_checked() {
    let chain = |more: &str| with("gas = {", &format!("{more}\ngas = {{"));
    let hash = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855";
    let settings = good(&chain(&format!("trusted = {{ height = 5, hash = \"{hash}\" }}")));
    let trusted = settings.chains[0].trusted.unwrap();
    assert_eq!((trusted.height, trusted.hash[0]), (5, 0xe3));
    for text in [
        "trusted = { height = 5 }",
        "trusted = { hash = \"E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855\" }",
        "trusted = { height = 0, hash = \"E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855\" }",
        "trusted = { height = 5, hash = \"E3B0\" }",
        "client = { trust_threshold = \"1/4\" }",
        "client = { trust_threshold = \"4/3\" }",
        "client = { trust_threshold = \"1/0\" }",
        "client = { refresh_fraction = \"1/1\" }",
        "client = { refresh_fraction = \"0/3\" }",
        "client = { trusting_period_s = 0 }",
    ] {
        assert_eq!(bad(&chain(text)).problems().len(), 1, "{text}");
    }
    good(&chain("client = { trust_threshold = \"2/3\", trusting_period_s = 100 }"));
}

#[test]
fn gas_settings_agree_with_each_other() {
    let gas =
        |more: &str| with("gas = { price = \"0.025stake\" }", &format!("gas = {{ price = \"0.025stake\", {more} }}"));
    good(&gas(
        "max_fee = \"10stake\", fee_granter = \"cosmos1qypqxpq9qcrsszg2pvxq6rs0zqg3yyc5lzv7xu\", multiplier = 2",
    ));
    for more in [
        "max_fee = \"10uatom\"",
        "max_fee = \"1.5stake\"",
        "fee_granter = \"osmo1qypqxpq9qcrsszg2pvxq6rs0zqg3yyc5lzv7xu\"",
        "multiplier = 0.9",
        "multiplier = nan",
        "max_per_tx = 200000, default_per_message = 200001",
        "memo_prefix = \"\\u001b[2J\"",
    ] {
        assert_eq!(bad(&gas(more)).problems().len(), 1, "{more}");
    }
}

#[test]
fn ids_stand_on_each_other_and_no_channel_is_relayed_twice() {
    let ended = |a: &str, channel: &str| {
        with("a = { chain = \"sim-a-1\" }", &format!("a = {{ chain = \"sim-a-1\"{a} }}")).replacen(
            "a = { port = \"transfer\" }",
            &format!("a = {{ port = \"transfer\"{channel} }}"),
            1,
        )
    };
    let full = ", client = \"07-tendermint-0\", connection = \"connection-0\"";
    let text = ended(full, ", channel = \"channel-0\"");
    good(&text);
    assert_eq!(bad(&ended(", connection = \"connection-0\"", "")).problems()[0].kind, Kind::Missing);
    assert_eq!(bad(&ended("", ", channel = \"channel-0\"")).problems()[0].kind, Kind::Missing);
    let twice = format!("{text}\n[[paths.channels]]\na = {{ channel = \"channel-0\" }}\n");
    assert_eq!(bad(&twice).problems()[0].kind, Kind::Duplicate);
}

#[test]
fn other_ports_need_a_version() {
    let text = with("a = { port = \"transfer\" }\n", "a = { port = \"oracle\" }\n");
    assert_eq!(bad(&text).problems()[0].kind, Kind::Missing);
    good(&text.replace("a = { port = \"oracle\" }", "a = { port = \"oracle\" }\nversion = \"v1\""));
}

#[test]
fn filters_are_per_direction_and_common_lists_hold_for_both() {
    let text =
        format!("{MINIMAL}\n[paths.filter]\ndeny = [\"ica*/*\"]\na_to_b = {{ allow = [\"transfer/channel-0\"] }}\n");
    let filter = &good(&text).paths[0].filter;
    let end = |port: &str, channel: &str| (PortId::new(port).unwrap(), ChannelId::new(channel).unwrap());
    let (port, channel) = end("transfer", "channel-1");
    assert!(!filter.a_to_b.passes(&port, &channel) && filter.b_to_a.passes(&port, &channel));
    let (port, channel) = end("icahost", "channel-1");
    assert!(!filter.b_to_a.passes(&port, &channel));
}

#[test]
fn instructions_of_xcm_are_denied_by_the_names_of_the_format() {
    let xcm = |lines: &str| good(&format!("{MINIMAL}\n[paths.filter]\n{lines}\n")).paths[0].xcm.clone();
    assert!(xcm("").denied.is_empty() && !xcm("").deny_undecodable);
    let rules = xcm("deny_xcm = [\"Transact\", \"ExportMessage\"]\ndeny_undecodable_xcm = true");
    assert_eq!(rules.denied.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["ExportMessage", "Transact"]);
    assert!(rules.deny_undecodable);
    let wrong = bad(&format!("{MINIMAL}\n[paths.filter]\ndeny_xcm = [\"Transact\", \"transfer_asset\"]\n"));
    assert_eq!(wrong.problems().len(), 1);
    assert!(wrong.problems()[0].message.contains("TransferAsset"), "{:?}", wrong.problems()[0]);
}

#[test]
fn excluded_sequences_are_kept_by_direction() {
    let text = format!("{MINIMAL}excluded_sequences = {{ a_to_b = [3, 1, 3], b_to_a = [] }}\n");
    let excluded = good(&text).paths[0].channels[0].excluded.clone();
    assert_eq!(excluded.a_to_b.into_iter().collect::<Vec<_>>(), [1, 3]);
    assert!(excluded.b_to_a.is_empty());
    assert_eq!(bad(&text.replace("[]", "[0]")).problems().len(), 1);
}

#[test]
fn a_batch_fits_the_smaller_transaction() {
    let small = with("gas = {", "max_tx_bytes = 20000\ngas = {");
    assert_eq!(good(&small).paths[0].batch.bytes, 18_000);
    assert_eq!(bad(&format!("{small}\n[paths.batch]\nbytes = 20001")).problems().len(), 1);
}

#[test]
fn zero_means_never_for_clearing() {
    assert_eq!(good(&format!("{MINIMAL}\n[paths.clear]\ninterval_s = 0")).paths[0].clear.interval, None);
}

fn new_chain() -> impl Strategy<Value = template::NewChain> {
    ("[a-z][a-z0-9.-]{0,12}", 1u16..9999, "[a-z]{1,10}", 0u64..1_000_000, 0u32..7, "[a-z][a-z/]{2,10}").prop_map(
        |(id, port, prefix, amount, places, denom)| template::NewChain {
            id: id.parse().unwrap(),
            rpc: vec![crate::settings::Endpoint::http(&format!("http://127.0.0.1:{port}")).unwrap()],
            account_prefix: prefix.parse().unwrap(),
            gas_price: format!("{}.{amount:06}{denom}", amount >> places).parse().unwrap(),
            key: "relayer".parse().unwrap(),
        },
    )
}

proptest! {
    #[test]
    fn a_rendered_file_says_what_was_rendered(a in new_chain(), b in new_chain(), ordered: bool) {
        prop_assume!(a.id != b.id);
        let channel = template::NewChannel {
            a_port: "transfer".parse().unwrap(),
            b_port: "oracle".parse().unwrap(),
            order: if ordered { Order::Ordered } else { Order::Unordered },
            version: "{\"v\": \"1\"}".to_owned(),
        };
        let path = template::NewPath { name: "p".parse().unwrap(), a: a.id.clone(), b: b.id.clone(), channels: vec![channel.clone()] };
        let settings = good(&template::template(&[a.clone(), b.clone()], &[path]));
        for (chain, new) in settings.chains.iter().zip([&a, &b]) {
            prop_assert_eq!((&chain.id, &chain.rpc, &chain.cosmos().unwrap().account_prefix), (&new.id, &new.rpc, &new.account_prefix));
            prop_assert_eq!(chain.cosmos().unwrap().gas.price.to_string(), new.gas_price.to_string());
        }
        let made = &settings.paths[0].channels[0];
        prop_assert_eq!((&made.b.port, made.order, &made.version), (&channel.b_port, channel.order, &channel.version));
    }
}
