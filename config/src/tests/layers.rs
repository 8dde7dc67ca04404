use super::*;
use crate::settings::LogFormat;
use crate::{Overrides, layered, variable_name};
use insta::assert_snapshot;
use std::time::Duration;

fn layer(variables: &[(&str, &str)], overrides: &Overrides) -> Result<Settings, ConfigError> {
    layered(MINIMAL, "relayer.toml", variables.iter().map(|(n, v)| (n.to_string(), v.to_string())), overrides)
}

fn env(variables: &[(&str, &str)]) -> Settings {
    layer(variables, &Overrides::default()).unwrap_or_else(|e| panic!("{e}\n{}", e.remedy()))
}

fn env_error(name: &str, value: &str) -> String {
    let error = layer(&[(name, value)], &Overrides::default()).unwrap_err();
    format!("{error}\n{}", error.remedy())
}

#[test]
fn the_environment_beats_the_file_and_flags_beat_both() {
    let file = format!("[global]\nlog_level = \"error\"\n{MINIMAL}");
    let variable = [("RELAYER__GLOBAL__LOG_LEVEL".to_owned(), "debug".to_owned())];
    let flags = Overrides { log_level: Some("trace".to_owned()), ..Overrides::default() };
    let level = |variables: &[(String, String)], flags: &Overrides| {
        layered(&file, "f", variables.iter().cloned(), flags).unwrap().global.log_level.to_string()
    };
    assert_eq!(level(&[], &Overrides::default()), "error");
    assert_eq!(level(&variable, &Overrides::default()), "debug");
    assert_eq!(level(&variable, &flags), "trace");
}

#[test]
fn variables_reach_entries_by_id_and_name() {
    let settings = env(&[
        ("RELAYER__CHAINS__SIM_A_1__RPC", "http://127.0.0.1:1"),
        ("RELAYER__CHAINS__SIM_B_1__RPC", "[\"http://127.0.0.1:2\", \"http://127.0.0.1:3\"]"),
        ("RELAYER__CHAINS__SIM_A_1__GAS__PRICE", "7uatom"),
        ("RELAYER__CHAINS__SIM_A_1__LIMITS__BURST", "3"),
        ("RELAYER__PATHS__A_B__BATCH__MESSAGES", "11"),
        ("RELAYER__PATHS__A_B__ENABLED", "false"),
        ("RELAYER__LIMITS__REQUEST_TIMEOUT_MS", "1234"),
        ("RELAYER__TELEMETRY__SAMPLE_RATIO", "0.5"),
    ]);
    assert_eq!(settings.chains[0].rpc[0].url().port(), Some(1));
    assert_eq!(settings.chains[0].ws.url().port(), Some(1));
    assert_eq!(settings.chains[1].rpc.len(), 2);
    assert_eq!(settings.chains[0].cosmos().unwrap().gas.price.to_string(), "7uatom");
    assert_eq!((settings.chains[0].limits.burst, settings.chains[1].limits.burst), (3, 100));
    assert_eq!(settings.paths[0].batch.messages, 11);
    assert!(!settings.paths[0].enabled);
    assert_eq!(settings.chains[1].limits.request_timeout, Duration::from_millis(1234));
    assert_eq!(settings.telemetry.sample_ratio, 0.5);
}

#[test]
fn a_text_that_looks_like_a_number_is_text_where_text_is_wanted() {
    let settings = env(&[("RELAYER__CHAINS__SIM_A_1__GAS__MEMO_PREFIX", "42"), ("RELAYER__STORE__DIR", "true")]);
    assert_eq!(settings.chains[0].cosmos().unwrap().gas.memo_prefix, "42");
    assert_eq!(settings.store.dir.to_str(), Some("true"));
}

#[test]
fn other_variables_are_nobodys_business() {
    assert_eq!(env(&[("RELAYER_LOG_LEVEL", "nonsense"), ("PATH", "/bin")]), good(MINIMAL));
}

#[test]
fn flags_set_what_they_name() {
    let flags = Overrides {
        log_level: Some("warn".to_owned()),
        admin: Some("[::1]:9".parse().unwrap()),
        log_json: true,
        store_dir: Some("/tmp/x \"y\"".into()),
    };
    let settings = layer(&[], &flags).unwrap();
    assert_eq!(settings.global.log_level.as_str(), "warn");
    assert_eq!(settings.global.admin, "[::1]:9".parse().unwrap());
    assert_eq!(settings.global.log_format, LogFormat::Json);
    assert_eq!(settings.store.dir.to_str(), Some("/tmp/x \"y\""));
}

#[test]
fn a_bad_variable_or_flag_is_named_and_its_value_is_not_shown() {
    assert_snapshot!(env_error("RELAYER__GLOBAL__LOG_LEVL", "hunter2"), @r#"
    environment variable RELAYER__GLOBAL__LOG_LEVL: unknown key `log_levl` in `global`
    did you mean `log_level`?
    "#);
    assert_snapshot!(env_error("RELAYER__GLOBAL__ADMIN", "hunter2"), @r#"
    environment variable RELAYER__GLOBAL__ADMIN: `admin` can't be this value: it must be an IP address and a port, like "127.0.0.1:3030"
    write for example: admin = "127.0.0.1:3030"
    "#);
    assert_snapshot!(env_error("RELAYER__LIMITS__BURST", "hunter2"), @r#"
    environment variable RELAYER__LIMITS__BURST: `burst` is text where a whole number is expected
    write for example: burst = 100
    "#);
    assert_snapshot!(env_error("RELAYER__CHAINS__SIM_A__RPC", "hunter2"), @r#"
    environment variable RELAYER__CHAINS__SIM_A__RPC: no chain of the file has this id
    did you mean RELAYER__CHAINS__SIM_A_1__...?
    "#);
    assert_snapshot!(env_error("RELAYER__CHAINS__SIM_A_1__RPC__X", "hunter2"), @r#"
    environment variable RELAYER__CHAINS__SIM_A_1__RPC__X: `rpc` holds no keys of its own
    set `rpc` as a whole, as in the file
    "#);
    assert_snapshot!(env_error("RELAYER__CHAINS__SIM_A_1__RPC", "http://u:hunter2@ /"), @r#"
    environment variable RELAYER__CHAINS__SIM_A_1__RPC: `rpc` can't be this value: it must be an address like http://127.0.0.1:26657 (invalid international domain name)
    write for example: rpc = ["http://127.0.0.1:27657"]
    "#);
    assert_snapshot!(env_error("RELAYER__", "hunter2"), @r#"
    environment variable RELAYER__: the name ends before the key
    name section and key, like RELAYER__GLOBAL__LOG_LEVEL
    "#);
    let flags = Overrides { admin: Some("0.0.0.0:3030".parse().unwrap()), ..Overrides::default() };
    assert_snapshot!(layer(&[], &flags).unwrap_err().to_string(), @"flag --admin: `admin` is open to other machines and nothing protects it");
}

#[test]
fn credentials_may_stand_in_the_environment() {
    let settings = env(&[("RELAYER__CHAINS__SIM_A_1__RPC", "https://user:hunter2@node.example")]);
    assert_eq!(settings.chains[0].rpc[0].url().password(), Some("hunter2"));
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn ids_that_look_the_same_in_capitals_must_be_set_in_the_file() {
    let text = MINIMAL.replace("sim-b-1", "sim.a.1");
    let variable = ("RELAYER__CHAINS__SIM_A_1__COIN_TYPE".to_owned(), "1".to_owned());
    let error = layered(&text, "f", [variable], &Overrides::default()).unwrap_err();
    assert!(error.to_string().contains("more than one chain is called SIM_A_1"), "{error}");
}

#[test]
fn the_longest_matching_id_is_meant() {
    let text = MINIMAL.replace("sim-b-1", "sim-a-1--x");
    let variable = (variable_name("chains", &["sim-a-1--x", "coin_type"]), "7".to_owned());
    let settings = layered(&text, "f", [variable], &Overrides::default()).unwrap();
    assert_eq!(
        (settings.chains[0].cosmos().unwrap().coin_type, settings.chains[1].cosmos().unwrap().coin_type),
        (118, 7)
    );
}

#[test]
fn load_reads_the_environment() {
    // A process's own environment can't be set safely, so the test runs itself again with a variable.
    const FILE: &str = "TEST_CONFIG_FILE";
    if let Some(file) = std::env::var_os(FILE) {
        let level = crate::load(file, &Overrides::default()).unwrap().global.log_level;
        return println!("the level is {level}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relayer.toml");
    std::fs::write(&file, MINIMAL).unwrap();
    let run = |level: &str| {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["tests::layers::load_reads_the_environment", "--exact", "--nocapture"])
            .env(FILE, &file)
            .env("RELAYER__GLOBAL__LOG_LEVEL", level)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(run("debug").contains("the level is debug"));
    assert!(run("trace").contains("the level is trace"));
}
