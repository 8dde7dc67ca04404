//! XCM in memos of transfers: told in log, metrics and `packets pending`, denied by instruction and where it can't be decoded; packets
//! beside them flow, and what was denied flows once the settings allow it.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::time::Duration;

use relayer_tests::devnet::embedded::EmbeddedNet;
use relayer_tests::devnet::{ConfigOptions, STAKE, Transfer};
use relayer_tests::relay::{Line, until};
use serde_json::Value;

const WAIT: Duration = Duration::from_secs(120);

/// Version 4: ClearOrigin, ClearTopic.
const ALLOWED: &str = r#"{"xcm": "0x04080a2d"}"#;
/// Version 5: SetAppendix of a program with one Transact.
const DENIED: &str = r#"{"xcm": "0x050416040600000c010203"}"#;
/// Version 4: ClearOrigin, and an instruction that there is not.
const UNDECODABLE: &str = "0x04080aff";

#[tokio::test(flavor = "multi_thread")]
async fn messages_in_memos_are_told_and_denied_as_the_settings_say() {
    let net = EmbeddedNet::two_chains().await.unwrap();
    let mut line = Line::open(net, &ConfigOptions::default()).await.unwrap();
    let link = line.link(0).unwrap();
    let file = line.relayer.config.file.clone();
    let rules = "\n[paths.filter]\ndeny_xcm = [\"Transact\"]\ndeny_undecodable_xcm = true\n";
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + rules).unwrap();
    line.relayer.start().await.unwrap();

    let wallets = &line.net.wallets;
    let transfer = Transfer::new(&link.a.channel, 1, STAKE, wallets.user_b.address());
    let sent = [ALLOWED, DENIED, UNDECODABLE, "for lunch"].map(|memo| transfer.clone().memo(memo));
    line.net.a.user(&wallets.user_a).burst(&sent).await.unwrap();
    link.b.has_received(2, WAIT).await.unwrap();
    until("two packets that stay open", WAIT, async || Ok((link.a.open().await? == [2, 3]).then_some(())))
        .await
        .unwrap();
    assert_eq!(link.b.received().await.unwrap(), BTreeSet::from([1, 4]));

    // Metrics: each instruction once, under its version, those inside with the others.
    let metrics = line.relayer.admin.metrics().await.unwrap();
    let counted = |version, instruction| {
        let labels = [("chain", "emb-a-1"), ("place", "memo"), ("version", version), ("instruction", instruction)];
        metrics.sum("relay_xcm_instructions_total", &labels)
    };
    let found = [("v4", "ClearOrigin"), ("v4", "ClearTopic"), ("v5", "SetAppendix"), ("v5", "Transact")];
    assert_eq!(found.map(|(version, name)| counted(version, name)), [1.0; 4]);
    assert_eq!(metrics.sum("relay_xcm_instructions_total", &[]), 4.0);
    let labels = [("chain", "emb-a-1"), ("place", "memo"), ("reason", "unknown_variant")];
    assert_eq!(metrics.sum("relay_xcm_undecodable_total", &labels), 1.0);
    for reason in ["xcm_instruction", "xcm_undecodable"] {
        assert_eq!(metrics.sum("relay_packets_total", &[("outcome", "failed"), ("reason", reason)]), 1.0, "{reason}");
    }

    // The log: one line a message.
    let log = line.relayer.log();
    for words in [
        "packet carries XCM: v4 2 [ClearOrigin, ClearTopic]",
        "packet carries XCM: v5 2 [SetAppendix [Transact(3 bytes 0x010203 as Native)]]",
        "packet carries XCM that can't be decoded: byte 3: 255 is no kind of instruction",
    ] {
        assert_eq!(log.matches(words).count(), 1, "{words} in\n{log}");
    }

    // What is open, with what it carries and why it is not relayed.
    let denied = "XCM in 2: v5 2 [SetAppendix [Transact(3 bytes 0x010203 as Native)]] (not relayed: xcm_instruction)";
    let bad = "XCM in 3: can't be decoded: byte 3: 255 is no kind of instruction (not relayed: xcm_undecodable)";
    let shown = until("messages of open packets", WAIT, async || {
        let text = line.relayer.succeed(&["packets", "pending"]).await?;
        Ok((text.contains(denied) && text.contains(bad)).then_some(text))
    });
    println!("{}", shown.await.unwrap());
    let json: Value =
        serde_json::from_str(&line.relayer.succeed(&["packets", "pending", "--json"]).await.unwrap()).unwrap();
    let directions = json["directions"].as_array().unwrap();
    let messages: Vec<&Value> = directions.iter().flat_map(|d| d["xcm"].as_array().unwrap()).collect();
    assert_eq!(messages.iter().map(|m| &m["sequence"]).collect::<Vec<_>>(), [2, 3], "{json}");
    assert_eq!((&messages[0]["version"], &messages[0]["instructions"]), (&"v5".into(), &2.into()), "{json}");
    assert_eq!((&messages[1]["version"], &messages[1]["refused"]), (&Value::Null, &"xcm_undecodable".into()), "{json}");

    // Allowed again, they are found in the chain's state and relayed.
    assert_eq!(line.relayer.stop().await.unwrap().0.code(), Some(0));
    line.rewrite(&ConfigOptions::default()).unwrap();
    line.relayer.start().await.unwrap();
    link.settled(WAIT).await.unwrap();
    assert_eq!(link.b.received().await.unwrap(), (1..=4).collect());
}
