//! A path whose client, connection or channel belongs elsewhere is refused at the start with a clear reason, and the
//! other paths go on.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use relayer_tests::devnet::{ChainSpec, ConfigOptions, STAKE, SimdChain, Wallets};
use relayer_tests::proxy::Proxy;
use relayer_tests::relay::{Siege, add_chain, add_path, relayed};

const WAIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn attack_39_a_path_over_another_chains_client_or_other_ends_is_refused_and_the_right_one_relays() {
    let wallets = Wallets::usual().unwrap();
    let spec = ChainSpec::new("sim-c-1").wallet(wallets.relayer.clone(), &[(STAKE, 1_000_000_000)]);
    let c = SimdChain::start(spec).await.unwrap();
    let before_c = Proxy::start(c.rpc_url()).await.unwrap();
    let mut siege = Siege::with(false, |options: &mut ConfigOptions| {
        let mut tables = String::new();
        add_chain(&mut tables, &c);
        options.tables = tables.replace(c.rpc_url(), &before_c.rpc_url());
        add_path(&mut options.tables, "a-c", "sim-a-1", c.id());
    })
    .await
    .unwrap();
    let (target, other) = (siege.target().unwrap(), siege.other().unwrap());
    let ids = siege.line.ids.clone();
    let text = std::fs::read_to_string(&siege.line.relayer.config.file).unwrap();

    // The path to C with the ids of the path to B: on A they exist and are open, and track B.
    let end = |chain: &str, client: &str, connection: &str| {
        format!("{{ chain = {chain:?}, client = {client:?}, connection = {connection:?} }}")
    };
    let (a_c, channel) = (
        "a = { chain = \"sim-a-1\" }\nb = { chain = \"sim-c-1\" }",
        "a = { port = \"transfer\" }\nb = { port = \"transfer\" }",
    );
    assert!(text.contains(a_c) && text.contains(channel), "{text}");
    let misrouted = text
        .replacen(
            a_c,
            &format!(
                "a = {}\nb = {}",
                end("sim-a-1", &ids.clients.0, &ids.connections.0),
                end("sim-c-1", &ids.clients.1, &ids.connections.1)
            ),
            1,
        )
        .replacen(
            channel,
            "a = { port = \"transfer\", channel = \"channel-7\" }\nb = { port = \"transfer\", channel = \"channel-7\" }",
            1,
        );
    // The path to B with its channels' far ends exchanged.
    let (near, far) = (&target.b.channel, &other.b.channel);
    let on_b = |channel: &str| format!("b = {{ port = \"transfer\", channel = {channel:?} }}");
    let crossed = text.replacen(&on_b(near), "b = ONE", 1).replacen(&on_b(far), &on_b(near), 1).replacen(
        "b = ONE",
        &on_b(far),
        1,
    );
    assert_ne!(crossed, text, "{text}");

    siege.start_counting().await.unwrap();
    std::fs::write(&siege.line.relayer.config.file, misrouted).unwrap();
    siege.line.relayer.launch().unwrap();
    let reasons = siege.line.relayer.degraded(&["a-c", &ids.clients.0, "sim-b-1", "sim-c-1"], WAIT).await.unwrap();
    println!("another chain's client: {reasons}");
    siege.flows(&target, WAIT).await.unwrap();
    siege.flows(&other, WAIT).await.unwrap();
    assert!(before_c.requests() > 0 && before_c.broadcasts().is_empty());
    assert_eq!(siege.damage().await.unwrap(), [""; 0]);
    siege.line.relayer.stop().await.unwrap();

    let before = siege.start_counting().await.unwrap();
    std::fs::write(&siege.line.relayer.config.file, crossed).unwrap();
    siege.line.relayer.launch().unwrap();
    let reasons = siege.line.relayer.degraded(&["a-b", "leads to"], WAIT).await.unwrap();
    println!("exchanged ends: {reasons}");
    assert_eq!(siege.paid().await.unwrap(), before);
    assert!(relayed(&siege.a).unwrap().is_empty());
    siege.line.relayer.stop().await.unwrap();

    std::fs::write(&siege.line.relayer.config.file, text).unwrap();
    siege.line.relayer.launch().unwrap();
    siege.flows(&target, WAIT).await.unwrap();
}
