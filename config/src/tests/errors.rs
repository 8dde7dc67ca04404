use super::*;
use crate::settings::Family;
use crate::{Kind, Place, limits};
use insta::assert_snapshot;
use miette::Diagnostic as _;
use proptest::prelude::*;

#[test]
fn an_unknown_key_is_named_with_the_nearest_known_one() {
    assert_snapshot!(told(&with("account_prefix", "acount_prefix")), @r#"
    relayer.toml:7:1: unknown key `acount_prefix` in `chains`
    did you mean `account_prefix`?
    "#);
}

#[test]
fn an_unknown_key_like_no_other_lists_the_known_ones() {
    assert_snapshot!(told(&with("gas = {", "gas = { zzz = 1,")), @r#"
    relayer.toml:8:9: unknown key `zzz` in `chains.gas`
    the keys here are: price, multiplier, max_per_tx, default_per_message, max_fee, fee_granter, memo_prefix, tip
    "#);
}

#[test]
fn a_wrong_type_says_what_is_expected_and_shows_it() {
    assert_snapshot!(told(&format!("[limits]\nburst = \"many\"\n{MINIMAL}")), @r#"
    relayer.toml:2:9: `burst` is text where a whole number is expected
    write for example: burst = 100
    "#);
    assert_snapshot!(told(&with("gas = { price = \"0.025stake\" }", "gas = \"0.025stake\"")), @r#"
    relayer.toml:8:7: `gas` is text where a table is expected
    write for example: [chains.gas] and below it price = "0.025stake"
    "#);
    assert_snapshot!(told(&with("rpc = [\"http://127.0.0.1:27657\"]", "rpc = [1]")), @r#"
    relayer.toml:6:8: `rpc` is a whole number where text in quotes is expected
    write for example: rpc = ["http://127.0.0.1:27657"]
    "#);
}

#[test]
fn a_bad_address_says_what_is_wrong_with_it() {
    assert_snapshot!(told(&with("http://127.0.0.1:27657", "127.0.0.1:27657")), @r#"
    relayer.toml:6:8: `rpc` can't be "127.0.0.1:27657": it must be an address like http://127.0.0.1:26657 (relative URL without a base)
    write for example: rpc = ["http://127.0.0.1:27657"]
    "#);
    assert_snapshot!(told(&with("http://127.0.0.1:27657", "ftp://node.example")), @r#"
    relayer.toml:6:8: `rpc` can't be "ftp://node.example": it must be an address like http://127.0.0.1:26657: the scheme must be http or https
    write for example: rpc = ["http://127.0.0.1:27657"]
    "#);
}

#[test]
fn a_path_to_an_unknown_chain_names_the_nearest_one() {
    assert_snapshot!(told(&with("a = { chain = \"sim-a-1\" }", "a = { chain = \"sim-a\" }")), @r#"
    relayer.toml:18:15: there is no chain "sim-a"
    did you mean "sim-a-1"?
    "#);
}

#[test]
fn duplicates_name_the_line_of_the_first() {
    assert_snapshot!(told(&with("id = \"sim-b-1\"", "id = \"sim-a-1\"")), @r#"
    relayer.toml:11:6: chain "sim-a-1" stands here a second time
    relayer.toml:19:15: there is no chain "sim-b-1"
    line 11, column 6: the first stands at line 5: remove or rename one of them
    line 19, column 15: did you mean "sim-a-1"?
    "#);
    let path = MINIMAL.split("[[paths]]").nth(1).unwrap();
    assert_snapshot!(told(&format!("{MINIMAL}\n[[paths]]{path}")), @r#"
    relayer.toml:26:8: path "a-b" stands here a second time
    the first stands at line 17: remove or rename one of them
    "#);
}

#[test]
fn a_bad_price_shows_a_good_one() {
    assert_snapshot!(told(&with("0.025stake", "0.025 stake")), @r#"
    relayer.toml:8:17: `price` can't be "0.025 stake": it must be an amount and a denomination without a space, like "0.025stake"; a denomination has 3 to 128 letters, digits or any of `/:._-`, the first a letter
    write for example: price = "0.025stake"
    "#);
    assert_snapshot!(told(&with("0.025stake", "0.025")), @r#"
    relayer.toml:8:17: `price` can't be "0.025": it must be an amount and a denomination without a space, like "0.025stake": the denomination is missing
    write for example: price = "0.025stake"
    "#);
}

#[test]
fn a_number_out_of_range_says_why() {
    assert_snapshot!(told(&with("gas = {", "coin_type = -1\ngas = {")), @r#"
    relayer.toml:8:13: `coin_type` must be between 0 and 2147483647: a BIP-44 coin type has 31 bits
    write for example: coin_type = 118
    "#);
    assert_snapshot!(told(&format!("{MINIMAL}\n[paths.batch]\nmessages = 101")), @r#"
    relayer.toml:26:12: `messages` must be between 1 and 100: larger batches outgrow a block's gas
    write for example: messages = 30
    "#);
}

#[test]
fn a_missing_key_shows_how_to_write_it() {
    assert_snapshot!(told(&with("account_prefix = \"cosmos\"", "")), @r#"
    relayer.toml:4:1: `account_prefix` is missing in `chains`
    write for example: account_prefix = "cosmos"
    "#);
    assert_snapshot!(told(&with("b = { chain = \"sim-b-1\" }", "")), @r#"
    relayer.toml:16:1: `b` is missing in `paths`
    write for example: b = { chain = "sim-b-1" }
    "#);
}

const SUBSTRATE: &str = r#"
[[chains]]
id = "substrate-1"
type = "substrate"
rpc = ["http://127.0.0.1:9944"]
gas = { tip = "5unit", max_fee = "1000unit" }
client = { checksum = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855" }
"#;

#[test]
fn a_substrate_chain_has_keys_of_its_own() {
    let settings = good(SUBSTRATE);
    let chain = &settings.chains[0];
    let Family::Substrate(substrate) = &chain.family else { panic!("{:?}", chain.family) };
    assert_eq!((substrate.ss58_prefix, substrate.tip.amount, substrate.tip.denom.as_str()), (42, 5, "unit"));
    assert_eq!(substrate.checksum.map(|bytes| bytes[0]), Some(0xe3));
    assert_eq!((chain.ws.url().as_str(), chain.store_prefix.as_str()), ("ws://127.0.0.1:9944/", "ibc/"));
    assert_eq!(chain.cosmos(), None);
    assert_snapshot!(told(&SUBSTRATE.replace("5unit", "5planck")), @r#"
    relayer.toml:6:36: `max_fee` is in unit, but `tip` is in planck
    write for example: max_fee = "1000planck"
    "#);
    assert_snapshot!(told(&SUBSTRATE.replace("E3B0", "E3")), @r#"
    relayer.toml:7:23: `checksum` can't be "E3C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B8...": it must be the SHA-256 of the light client's code: 64 hexadecimal digits
    write for example: checksum = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"
    "#);
    assert_snapshot!(told(&SUBSTRATE.replace("gas = {", "ss58_prefix = 16384\ngas = {")), @r#"
    relayer.toml:6:15: `ss58_prefix` must be between 0 and 16383: an SS58 prefix has 14 bits
    write for example: ss58_prefix = 42
    "#);
    assert_snapshot!(told(&SUBSTRATE.replace("tip = \"5unit\", ", "")), @r#"
    relayer.toml:6:7: `tip` is missing in `chains.gas`
    write for example: tip = "0unit"
    "#);
}

#[test]
fn keys_of_the_other_type_of_chain_are_told() {
    assert_snapshot!(told(&SUBSTRATE.replace("gas = {", "account_prefix = \"cosmos\"\ngas = { price = \"1unit\",")), @r#"
    relayer.toml:6:18: `account_prefix` means nothing for this chain: it belongs to type = "cosmos"
    relayer.toml:7:17: `price` means nothing for this chain: it belongs to type = "cosmos"
    line 6, column 18: remove it, or write type = "cosmos"
    line 7, column 17: remove it, or write type = "cosmos"
    "#);
    assert_snapshot!(told(&with("account_prefix", "ss58_prefix = 42\naccount_prefix")), @r#"
    relayer.toml:7:15: `ss58_prefix` means nothing for this chain: it belongs to type = "substrate"
    remove it, or write type = "substrate"
    "#);
}

#[test]
fn a_type_that_is_none_is_told() {
    assert_snapshot!(told(&with("id = \"sim-a-1\"", "id = \"sim-a-1\"\ntype = \"cosmo\"")), @r#"
    relayer.toml:6:8: `type` must be "cosmos" or "substrate"
    did you mean "cosmos"?
    "#);
}

#[test]
fn both_ends_on_one_chain_are_refused() {
    assert_snapshot!(told(&with("b = { chain = \"sim-b-1\" }", "b = { chain = \"sim-a-1\" }")), @r#"
    relayer.toml:19:15: both ends of this path are on "sim-a-1"
    write another chain at one end: sim-b-1
    "#);
}

#[test]
fn text_that_is_not_toml_is_refused_with_its_place() {
    assert_snapshot!(told(&with("id = \"sim-a-1\"", "id = sim-a-1")), @r#"
    relayer.toml:5:6: string values must be quoted, expected literal string
    put the text in double quotes, like id = "sim-a-1"
    "#);
    assert_snapshot!(told("chains = [\n"), @r#"
    relayer.toml:1:11: unclosed array, expected `]`
    write key = value, text in double quotes, lists as ["a", "b"], tables as [global] or { name = "relayer" }
    "#);
}

#[test]
fn all_problems_are_reported_at_once() {
    let structure = with("account_prefix", "prefix").replace("price", "prize").replacen("rpc = [", "rpc = [true, ", 1);
    let both = structure.replacen("http:", "ftp:", 1);
    let kinds: Vec<_> = bad(&both).problems().iter().map(|p| p.kind).collect();
    assert_eq!(kinds, [Kind::WrongType, Kind::Invalid, Kind::UnknownKey, Kind::UnknownKey, Kind::UnknownKey]);

    let values = with("http://", "ftp://").replace("0.025stake", "cheap").replace("\"sim-b-1\" }", "\"sim-c-1\" }");
    let kinds: Vec<_> = bad(&values).problems().iter().map(|p| p.kind).collect();
    assert_eq!(kinds, [Kind::Invalid, Kind::Invalid, Kind::Invalid, Kind::Unresolved]);
}

#[test]
fn the_diagnostic_has_a_label_for_each_problem_and_the_source() {
    let text = with("http://", "ftp://").replace("0.025stake", "cheap");
    let error = bad(&text);
    let labels: Vec<_> = error.labels().unwrap().collect();
    assert_eq!(labels.len(), error.problems().len());
    let at = labels[0].offset();
    assert_eq!(&text[at..at + labels[0].len()], "\"ftp://127.0.0.1:27657\"");
    let Place::File { line, column, .. } = error.problems()[0].place else { panic!("not in the file") };
    assert_eq!((line, column), (6, 8));
    assert!(error.source_code().is_some());
    assert!(error.help().unwrap().to_string().contains("line 6, column 8"));
    let mut shown = String::new();
    miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::none())
        .render_report(&mut shown, &error)
        .unwrap();
    assert!(shown.contains("relayer.toml:6:8") && shown.contains("not allowed"), "{shown}");
}

#[test]
fn a_file_larger_than_any_configuration_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("big.toml");
    std::fs::write(&file, format!("{MINIMAL}\n#{}", "x".repeat(limits::FILE_BYTES))).unwrap();
    let error = crate::load(&file, &Default::default()).unwrap_err();
    assert!(matches!(error, ConfigError::TooLarge { .. }), "{error}");
    let fits = format!("{MINIMAL}\n#{}", "x".repeat(limits::FILE_BYTES - MINIMAL.len() - 2));
    std::fs::write(&file, fits).unwrap();
    assert!(crate::load(&file, &Default::default()).is_ok());
}

#[test]
fn a_file_that_is_missing_or_not_text_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let error = crate::load(folder.path().join("none.toml"), &Default::default()).unwrap_err();
    assert!(matches!(error, ConfigError::Read { .. }) && error.remedy().contains("relayer init"), "{error}");
    let file = folder.path().join("latin1.toml");
    std::fs::write(&file, b"# caf\xe9").unwrap();
    let error = crate::load(&file, &Default::default()).unwrap_err();
    assert!(matches!(error, ConfigError::NotText { at: 5, .. }), "{error}");
    assert!(matches!(crate::load(folder.path(), &Default::default()), Err(ConfigError::Read { .. })));
}

/// Everything a user could see of an error.
fn everything(error: &ConfigError) -> String {
    let mut shown = String::new();
    miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::none())
        .render_report(&mut shown, error)
        .unwrap();
    format!("{error} {error:?} {} {shown}", error.remedy())
}

#[test]
fn attack_48_no_error_shows_a_secret() {
    for text in [
        with("account_prefix", "mnemonic = \"hunter2 hunter2\"\naccount_prefix"),
        with("account_prefix", "Password = \"hunter2\"\naccount_prefix"),
        with("http://127.0.0.1:27657", "http://user:hunter2@127.0.0.1:27657"),
        with("http://127.0.0.1:27657", "ftp://node.example/hunter2?key=hunter2"),
        with("http://127.0.0.1:27657", "http://node.example/hunter2?key=hunter2#hunter2"),
        with("gas = {", "key = { source = \"env\", env = \"hunter2 hunter2\" }\ngas = {"),
        with("gas = {", "key = { source = \"env\", env = [\"hunter2 hunter2\"] }\ngas = {"),
        with("gas = {", "mnemonic = \"\"\"\nhunter2\n\"\"\"\ngas = {"),
        with("gas = {", "key = { name = \"relayer\", mnemonic = \"hunter2\" }\ngas = {"),
    ] {
        let error = bad(&text);
        assert!(!everything(&error).contains("hunter2"), "{}", everything(&error));
    }
    assert_snapshot!(told(&with("account_prefix", "mnemonic = \"hunter2\"\naccount_prefix")), @r#"
    relayer.toml:7:1: unknown key `mnemonic`, and secrets never stand in the file
    remove it: name where the secret is, like key = { name = "relayer", source = "keystore" } or key = { name = "relayer", source = "env", env = "RELAYER_MNEMONIC" }
    "#);
    assert_snapshot!(told(&with("http://127.0.0.1:27657", "http://user:hunter2@127.0.0.1:27657")), @r#"
    relayer.toml:6:8: `rpc` has a user or password in its address, and secrets never stand in the file
    set the key in the environment, like RELAYER__CHAINS__SIM_A_1__RPC
    "#);
}

#[test]
fn attack_48_settings_print_no_token_of_an_address() {
    let settings = good(&with("http://127.0.0.1:27657", "https://node.example/hunter2/?key=hunter2"));
    assert!(!format!("{settings:?}").contains("hunter2"));
    assert!(settings.chains[0].rpc[0].url().as_str().contains("hunter2"));
    assert!(settings.chains[0].ws.url().as_str().ends_with("/hunter2/websocket?key=hunter2"));
}

#[test]
fn attack_51_names_and_ids_take_no_separators_or_control_characters() {
    for name in ["../x", "a/b", "..", "a\\\\b", "a b", "\\u001b[31m", "a\\n[chains]", ""] {
        for key in ["name = \"a-b\"", "id = \"sim-b-1\""] {
            let (key, _) = key.split_once(" = ").unwrap();
            let text = if key == "name" {
                with("name = \"a-b\"", &format!("name = \"{name}\""))
            } else {
                with("id = \"sim-b-1\"", &format!("id = \"{name}\""))
            };
            let error = bad(&text);
            assert!(error.problems().iter().any(|p| p.kind == Kind::Invalid), "{name}: {error}");
            assert!(!everything(&error).contains('\u{1b}'));
        }
    }
    for id in ["07-tendermint/0", "c", "channel 0", "..\\u0000.."] {
        let text = with("a = { chain = \"sim-a-1\" }", &format!("a = {{ chain = \"sim-a-1\", client = \"{id}\" }}"));
        assert_eq!(bad(&text).problems()[0].kind, Kind::Invalid, "{id}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "(\\[\\[chains\\]\\]|id|rpc|gas|=|\\{|\\}|\\[|\\]|\"|\n|[a-z0-9]|\u{e9}|\u{0}|\\.|,| ){0,60}") {
        if let Err(error) = crate::parse(&text, "f") {
            prop_assert!(!error.problems().is_empty() && !everything(&error).is_empty());
        }
    }

    #[test]
    fn no_damage_to_a_good_file_makes_the_parser_panic(at in 0usize..9000, len in 0usize..40, new in "\\PC{0,6}") {
        let mut text = TWO_CHAINS.to_owned();
        let start = (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap();
        let end = (start + len).min(text.len());
        let end = (end..=text.len()).find(|i| text.is_char_boundary(*i)).unwrap();
        text.replace_range(start..end, &new);
        if let Err(error) = crate::parse(&text, "f") {
            prop_assert!(error.problems().iter().all(|p| !p.message.is_empty() && !p.help.is_empty()), "{}", error);
        }
    }
}
