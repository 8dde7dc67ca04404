//! A wrong account prefix, chain id or RPC address of one chain: said with what to change, while another path relays.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use relayer_tests::devnet::{ChainSpec, ConfigOptions, Devnet, STAKE, SimdChain, Transfer, Wallets};
use relayer_tests::relay::{Line, add_chain, add_path};

const WAIT: Duration = Duration::from_secs(120);

struct Wrong {
    /// What is wrong.
    what: &'static str,
    /// What stands in the file, and what shall stand there.
    change: (String, String),
    /// Words of an explanation that helps: where, what was found, what to change.
    words: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_setting_is_explained_and_stops_no_other_path() {
    let wallets = Wallets::usual().unwrap();
    let spec = ChainSpec::new("sim-c-1")
        .wallet(wallets.relayer.clone(), &[(STAKE, 1_000_000_000)])
        .wallet(wallets.user_b.clone(), &[(STAKE, 1_000_000_000)]);
    let (net, c) = tokio::join!(Devnet::two_chains(), SimdChain::start(spec));
    let (net, c) = (net.unwrap(), c.unwrap());
    let mut tables = String::new();
    add_chain(&mut tables, &c);
    add_path(&mut tables, "a-c", net.a.id(), c.id());
    let mut line = Line::open(net, &ConfigOptions { tables, ..ConfigOptions::default() }).await.unwrap();
    line.relayer.succeed(&["path", "create", "a-c"]).await.unwrap();
    let (to_b, to_c) = (line.link(0).unwrap(), line.link_to("a-c", &line.net.a, &c).unwrap());
    let (alice, carol) = (line.net.a.user(&wallets.user_a), c.user(&wallets.user_b));
    let bob = wallets.user_b.address();
    let right = std::fs::read_to_string(&line.relayer.config.file).unwrap();
    let check = line.relayer.run(&["check"]).await.unwrap();
    assert_eq!(check.code, Some(0), "{}", check.text());

    let dead = format!("http://127.0.0.1:{}", free_port());
    let text = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
    let c_entry = |key: &str, value: &str| {
        let entry = right.split("[[chains]]").find(|e| e.contains("id = \"sim-c-1\"")).unwrap();
        (entry.to_owned(), entry.replacen(key, value, 1))
    };
    let rpc = c.rpc_url().to_owned();
    let wrongs = [
        Wrong {
            what: "account prefix",
            change: c_entry("account_prefix = \"cosmos\"", "account_prefix = \"osmo\""),
            words: text(&["sim-c-1", "account_prefix", "osmo", "cosmos"]),
        },
        Wrong {
            what: "chain id: B's node",
            change: c_entry(&rpc, line.net.b.rpc_url()),
            words: text(&["sim-c-1", "sim-b-1", "rpc"]),
        },
        Wrong { what: "RPC address", change: c_entry(&rpc, &dead), words: text(&["sim-c-1", "rpc"]) },
    ];
    for Wrong { what, change, words } in wrongs {
        assert_ne!(change.0, change.1, "{what}");
        std::fs::write(&line.relayer.config.file, right.replacen(&change.0, &change.1, 1)).unwrap();
        let check = line.relayer.run(&["check"]).await.unwrap();
        println!("--- {what}\n{}", check.text());
        assert_eq!(check.code, Some(1), "{what}: {}", check.text());
        for word in &words {
            assert!(check.text().contains(word), "{what}: `check` does not say {word}: {}", check.text());
        }
        assert!(!check.text().contains("panicked"), "{}", check.text());

        // `start` says it, too; the other path relays, the wrong one pays nothing.
        let (received, balance) =
            (to_b.b.received().await.unwrap().len(), c.balance(wallets.relayer.address(), STAKE).await.unwrap());
        let sequence = c.node().account(wallets.relayer.address()).await.unwrap();
        line.relayer.launch().unwrap();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let reasons = line.relayer.degraded(&words, WAIT).await.unwrap();
        println!("--- health: {reasons}");
        alice.transfer(&Transfer::new(&to_c.a.channel, 1, STAKE, carol.address())).await.unwrap();
        alice.burst(&vec![Transfer::new(&to_b.a.channel, 1, STAKE, bob); 3]).await.unwrap();
        to_b.b.has_received(received + 3, WAIT).await.unwrap();
        to_b.settled(WAIT).await.unwrap();
        assert!(line.relayer.runs(), "{what}: it ended");
        assert_eq!(c.balance(wallets.relayer.address(), STAKE).await.unwrap(), balance);
        assert_eq!(
            c.node().account(wallets.relayer.address()).await.unwrap(),
            sequence,
            "{what}: something was paid for"
        );
        assert_eq!(line.relayer.stop().await.unwrap().0.code(), Some(0), "{what}");
        assert!(!line.relayer.log().contains("panicked"));
    }

    // An id that no node has: the file is refused nowhere, but `check` and `start` name both ids.
    let renamed = right.replace("\"sim-c-1\"", "\"sim-d-1\"");
    std::fs::write(&line.relayer.config.file, &renamed).unwrap();
    let check = line.relayer.run(&["check"]).await.unwrap();
    println!("--- chain id\n{}", check.text());
    assert_eq!(check.code, Some(1));
    assert!(check.text().contains("sim-d-1") && check.text().contains("sim-c-1"), "{}", check.text());
    let created = line.relayer.run(&["path", "create", "a-c"]).await.unwrap();
    assert_eq!(created.code, Some(1), "{}", created.text());
    assert!(created.text().contains("sim-c-1") && created.text().contains("sim-d-1"), "{}", created.text());

    // Mended: what waited is relayed.
    std::fs::write(&line.relayer.config.file, &right).unwrap();
    line.relayer.start().await.unwrap();
    to_c.b.has_received(3, WAIT).await.unwrap();
    to_c.settled(WAIT).await.unwrap();
}

fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
