//! The whole command line: every command has its help, its example and its `--json`.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use super::*;

/// Every command and subcommand with its words.
fn all() -> Vec<(String, clap::Command)> {
    fn below(words: &str, command: &clap::Command, into: &mut Vec<(String, clap::Command)>) {
        for sub in command.get_subcommands().filter(|c| c.get_name() != "help") {
            let words = format!("{words} {}", sub.get_name());
            into.push((words.clone(), sub.clone()));
            below(&words, sub, into);
        }
    }
    let mut root = Cli::command();
    root.build();
    let mut found = Vec::new();
    below("relayer", &root, &mut found);
    found
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_a_description_an_example_of_itself_and_json() {
    let commands = all();
    assert!(commands.len() > 25, "{}", commands.len());
    for (words, mut command) in commands {
        let help = command.render_long_help().to_string();
        let example = help.split("Example:").nth(1).unwrap_or_else(|| panic!("`{words}` has no example"));
        assert!(example.contains(&words), "the example of `{words}` shows another command:{example}");
        assert!(command.get_about().is_some(), "`{words}` has no description");
        assert!(help.contains("--json"), "`{words}` has no --json");
    }
}

#[test]
fn the_commands_of_the_specification_are_there() {
    let there: Vec<String> = all().into_iter().map(|(words, _)| words).collect();
    for words in [
        "init",
        "check",
        "start",
        "status",
        "path create",
        "path list",
        "keys add",
        "keys list",
        "keys delete",
        "keys balance",
        "packets pending",
        "packets clear",
        "client list",
        "client update",
        "tx transfer",
        "query head",
        "health",
        "limits",
        "completions",
        "version",
    ] {
        assert!(there.contains(&format!("relayer {words}")), "{words}");
    }
}

#[test]
fn the_examples_can_be_typed_as_they_stand() {
    for (words, command) in all() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let example = help.replace("Example:", "").replace("\\\n", " ");
        for line in example.lines().filter_map(|l| l.trim().split_once("relayer ").map(|(_, rest)| rest)) {
            let line = line.split(['|', '>']).next().unwrap_or_default();
            let typed = std::iter::once("relayer").chain(line.split_whitespace());
            if let Err(error) = Cli::try_parse_from(typed) {
                panic!("an example of `{words}` does not parse: {line}\n{error}");
            }
        }
    }
}

#[test]
fn unknown_commands_and_flags_are_wrong_usage() {
    for line in [
        "relayer strat",
        "relayer path create",
        "relayer check --jsno",
        "relayer keys add sim-a-1 --generate --from-env X",
    ] {
        let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[tokio::test]
async fn a_configuration_that_is_not_there_or_wrong_is_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("relayer.toml");
    for text in [None, Some("[globl]\n"), Some("not toml")] {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        for words in ["check", "path list", "path create a-b", "status", "query head x", "packets pending", "keys list"]
        {
            let line = format!("relayer --config {} {words}", file.display());
            let failure = run(Cli::try_parse_from(line.split(' ')).unwrap()).await.unwrap_err();
            assert_eq!(failure.code, 2, "{words}: {:?}", failure.report);
            assert!(failure.report.help().is_some(), "{words}: no remedy");
        }
    }
}

#[tokio::test]
async fn names_that_are_not_in_the_file_are_answered_with_those_that_are() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("relayer.toml");
    std::fs::write(&file, include_str!("../../../config/examples/minimal.toml")).unwrap();
    for (words, known) in [
        ("path create b-a", "a-b"),
        ("path list b-a", "a-b"),
        ("client update b-a", "a-b"),
        ("packets clear --path b-a", "a-b"),
        ("query head sim-c-1", "sim-a-1, sim-b-1"),
        ("keys add sim-c-1", "sim-a-1, sim-b-1"),
        ("tx transfer --path b-a --amount 1stake --to x", "a-b"),
    ] {
        let line =
            format!("relayer --config {} --store-dir {} {words}", file.display(), dir.path().join("store").display());
        let failure = run(Cli::try_parse_from(line.split(' ')).unwrap()).await.unwrap_err();
        assert_eq!(failure.code, 2, "{words}");
        assert!(failure.report.help().unwrap().to_string().contains(known), "{words}: {:?}", failure.report);
    }
}

#[tokio::test]
async fn a_relayer_that_does_not_run_is_exit_code_3() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("relayer.toml");
    std::fs::write(&file, include_str!("../../../config/examples/minimal.toml")).unwrap();
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for words in ["status", "health"] {
        let line = format!("relayer --config {} --admin {free} {words}", file.display());
        let failure = run(Cli::try_parse_from(line.split(' ')).unwrap()).await.unwrap_err();
        assert_eq!(failure.code, 3, "{words}: {:?}", failure.report);
        assert!(failure.report.to_string().contains(&free.to_string()));
    }
}

#[tokio::test]
async fn nodes_that_do_not_answer_are_problems_of_check_with_the_key_to_change() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("relayer.toml");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = include_str!("../../../config/examples/minimal.toml").replace("127.0.0.1:27657", &free.to_string());
    let text = text.replace("127.0.0.1:27757", &free.to_string());
    std::fs::write(&file, text + "\n[limits]\nretry_attempts = 0\n").unwrap();
    let line = format!("relayer --config {} --store-dir {} check", file.display(), dir.path().join("store").display());
    let failure = run(Cli::try_parse_from(line.split(' ')).unwrap()).await.unwrap_err();
    assert_eq!(failure.code, 1);
    let Some(error::CliError::Problems(n)) = failure.report.downcast_ref() else { panic!("{:?}", failure.report) };
    // Two keys, two nodes, both ends of the path.
    assert!(*n >= 4, "{n}");
}

#[test]
fn a_failure_ends_the_program_with_its_code() {
    let failure = Failure { report: miette::miette!(help = "do this", "that"), code: 3 };
    assert_eq!(format!("{:?}", fail(true, &failure)), format!("{:?}", ExitCode::from(3)));
}

#[test]
fn ids_stand_whole_in_error_texts_however_long_the_line() {
    let report = handler();
    let chain: relayer_core::id::ChainId = "a-chain-with-a-rather-long-id-beside-its-others-4".parse().unwrap();
    let error = error::CliError::EmptyWallet {
        chain,
        signer: "cosmos1r5v5srda7xfth3hn2s26txvrcrntldjumt8mhl".into(),
        denom: "stake".into(),
    };
    struct Shown<'a>(&'a miette::MietteHandler, &'a error::CliError);
    impl std::fmt::Debug for Shown<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            miette::ReportHandler::debug(self.0, self.1, f)
        }
    }
    assert_eq!(
        format!("{:?}", Shown(&report, &error)).matches("a-chain-with-a-rather-long-id-beside-its-others-4").count(),
        2
    );
}
