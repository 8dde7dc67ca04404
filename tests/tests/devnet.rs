//! The test chains themselves: they start, make blocks, carry transactions, and come back after a stop.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, Instant};

use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::core::channel::v1::{
    Channel, Counterparty, MsgChannelOpenAck, MsgChannelOpenConfirm, MsgChannelOpenInit, MsgChannelOpenTry,
};
use ibc_proto::ibc::core::client::v1::Height;
use prost::Message;
use relayer_tests::DevnetError;
use relayer_tests::devnet::{ChainSpec, ConfigOptions, Devnet, End, STAKE, SimdChain, Transfer, User, Wallet, Wallets};
use serde_json::json;

async fn chain(change: impl Fn(ChainSpec) -> ChainSpec) -> (SimdChain, Wallets) {
    let wallets = Wallets::usual().unwrap();
    let spec = ChainSpec::new("sim-a-1")
        .wallet(wallets.user_a.clone(), &[(STAKE, 1_000_000_000), ("coin", 7)])
        .wallet(wallets.user_b.clone(), &[(STAKE, 1_000)]);
    (SimdChain::start(change(spec)).await.unwrap(), wallets)
}

/// Opens a channel from the chain to itself over its built-in localhost connection: packets without a relayer.
async fn open_loopback_channel(user: &User) {
    let step = |name: &str, message: Vec<u8>| Any { type_url: format!("/ibc.core.channel.v1.{name}"), value: message };
    let port_id = || "transfer".to_owned();
    let signer = || user.address().to_owned();
    let version = || "ics20-1".to_owned();
    let end = |state: i32, counterparty: &str| Channel {
        state,
        ordering: 1,
        counterparty: Some(Counterparty { port_id: port_id(), channel_id: counterparty.to_owned() }),
        connection_hops: vec!["connection-localhost".to_owned()],
        version: version(),
        ..Channel::default()
    };
    let (proof, height) = (vec![1], Some(Height { revision_number: 1, revision_height: 1 }));
    let init = MsgChannelOpenInit { port_id: port_id(), channel: Some(end(1, "")), signer: signer() };
    #[allow(deprecated)]
    let open_try = MsgChannelOpenTry {
        port_id: port_id(),
        previous_channel_id: String::new(),
        channel: Some(end(2, "channel-0")),
        counterparty_version: version(),
        proof_init: proof.clone(),
        proof_height: height,
        signer: signer(),
    };
    let ack = MsgChannelOpenAck {
        port_id: port_id(),
        channel_id: "channel-0".to_owned(),
        counterparty_channel_id: "channel-1".to_owned(),
        counterparty_version: version(),
        proof_try: proof.clone(),
        proof_height: height,
        signer: signer(),
    };
    let confirm = MsgChannelOpenConfirm {
        port_id: port_id(),
        channel_id: "channel-1".to_owned(),
        proof_ack: proof,
        proof_height: height,
        signer: signer(),
    };
    let steps = vec![
        step("MsgChannelOpenInit", init.encode_to_vec()),
        step("MsgChannelOpenTry", open_try.encode_to_vec()),
        step("MsgChannelOpenAck", ack.encode_to_vec()),
        step("MsgChannelOpenConfirm", confirm.encode_to_vec()),
    ];
    user.execute(steps).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_chains_start_and_make_blocks_at_the_set_pace() {
    relayer_tests::devnet::Simd::build_or_find().unwrap();
    let since = Instant::now();
    let net = Devnet::two_chains().await.unwrap();
    println!("two chains at height 2 after {:.1} s", since.elapsed().as_secs_f64());

    let (since, from) = (Instant::now(), net.a.height().await.unwrap());
    net.a.node().wait_for_height(from + 5, Duration::from_secs(60)).await.unwrap();
    println!("a block every {:.2} s", since.elapsed().as_secs_f64() / 5.0);
    assert!(net.b.height().await.unwrap() > 2);
    assert!(net.a.cpu_time().unwrap() > Duration::ZERO);

    let status = |answer: serde_json::Value| answer["node_info"]["network"].as_str().unwrap().to_owned();
    assert_eq!(status(net.a.node().call("status", json!({})).await.unwrap()), "sim-a-1");
    assert_eq!(status(net.b.node().call("status", json!({})).await.unwrap()), "sim-b-1");
    for wallet in net.wallets.all() {
        let expected = if wallet.name() == "empty" { 0 } else { 1_000_000_000_000 };
        assert_eq!(net.a.balance(wallet.address(), STAKE).await.unwrap(), expected, "{}", wallet.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn coins_move_and_a_wallet_without_coins_is_refused() {
    let (chain, wallets) = chain(|spec| spec).await;
    let user = chain.user(&wallets.user_a);
    user.send(wallets.empty.address(), 3, "coin").await.unwrap();
    assert_eq!(chain.balance(wallets.empty.address(), "coin").await.unwrap(), 3);
    assert_eq!(
        chain.node().balances(wallets.user_a.address()).await.unwrap(),
        [("coin".to_owned(), 4), (STAKE.to_owned(), 1_000_000_000)]
    );
    let refused = user.send(wallets.empty.address(), 5, "coin").await;
    assert!(matches!(refused, Err(DevnetError::Tx { code: 5, .. })), "{refused:?}");
    // The account goes on after a failure.
    user.send(wallets.empty.address(), 4, "coin").await.unwrap();
    let stranger = chain.user(&Wallet::named("stranger").unwrap());
    assert!(matches!(stranger.send(user.address(), 1, "coin").await, Err(DevnetError::Query { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_a_thousand_transfers_leaves_a_thousand_commitments() {
    let (chain, wallets) = chain(|spec| spec.timeout_commit_ms(200)).await;
    let user = chain.user(&wallets.user_a);
    open_loopback_channel(&user).await;
    assert_eq!(chain.node().channels().await.unwrap().len(), 2);
    let transfer = Transfer::new("channel-0", 1, STAKE, wallets.user_b.address());
    let mut transfers = vec![transfer.clone(); 998];
    transfers.push(transfer.clone().memo(&"m".repeat(1_000)));
    transfers.push(transfer.clone().timeout_height(1, 1_000_000));

    let since = Instant::now();
    let committed = user.burst(&transfers).await.unwrap();
    let gas: u64 = committed.iter().map(|tx| tx.gas_used).sum();
    println!("1,000 transfers committed in {:.1} s, {} gas each", since.elapsed().as_secs_f64(), gas / 1_000);
    let sequences: Vec<u64> = committed.iter().flat_map(|tx| tx.packet_sequences()).collect();
    let expected: Vec<u64> = (1..=1_000).collect();
    assert_eq!(sequences, expected);
    assert_eq!(chain.node().packet_commitments("transfer", "channel-0").await.unwrap(), expected);
    assert_eq!(chain.node().unreceived("transfer", "channel-1", vec![1, 1_000]).await.unwrap(), [1, 1_000]);
    assert!(chain.node().packet_acknowledgements("transfer", "channel-1").await.unwrap().is_empty());
    let passed = user.transfer(&transfer.timeout_height(1, 1)).await;
    assert!(matches!(passed, Err(DevnetError::Tx { .. })), "a timeout that has passed is refused: {passed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_asks_fees_takes_them_and_refuses_less() {
    let (chain, wallets) = chain(|spec| spec.min_gas_prices("0.01stake")).await;
    chain.user(&wallets.user_a).send(wallets.user_b.address(), 1, "coin").await.unwrap();
    let left = chain.balance(wallets.user_a.address(), STAKE).await.unwrap();
    assert!(left < 1_000_000_000, "{left}");
    let miser = User::new(chain.node().clone(), chain.id(), wallets.user_a.clone(), "0.001stake");
    let refused = miser.send(wallets.user_b.address(), 1, "coin").await;
    assert!(matches!(refused, Err(DevnetError::Tx { code: 13, .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_crashed_or_paused_chain_goes_on_where_it_was() {
    let (mut chain, wallets) = chain(|spec| spec).await;
    chain.user(&wallets.user_a).send(wallets.user_b.address(), 5, "coin").await.unwrap();
    let url = chain.rpc_url().to_owned();
    for graceful in [true, false] {
        let before = chain.height().await.unwrap();
        if graceful {
            chain.stop().await.unwrap();
        } else {
            chain.crash().await.unwrap();
        }
        assert!(chain.height().await.is_err());
        assert!(chain.cpu_time().is_err());
        chain.start_again().await.unwrap();
        assert!(chain.height().await.unwrap() > before);
        assert_eq!(chain.rpc_url(), url);
        assert_eq!(chain.balance(wallets.user_b.address(), "coin").await.unwrap(), 5);
    }
    chain.pause().unwrap();
    let silent = tokio::time::timeout(Duration::from_secs(2), chain.height()).await;
    assert!(silent.is_err(), "a paused node answered");
    chain.resume().unwrap();
    chain.wait_blocks(1).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn genesis_and_node_settings_take_effect_and_misspelt_ones_are_refused() {
    let (chain, _) = chain(|spec| spec.unbonding_seconds(90).max_request_batch_size(3).timeout_commit_ms(100)).await;
    let params: ibc_proto::cosmos::staking::v1beta1::QueryParamsResponse = chain
        .node()
        .query("/cosmos.staking.v1beta1.Query/Params", &ibc_proto::cosmos::staking::v1beta1::QueryParamsRequest {})
        .await
        .unwrap();
    assert_eq!(params.params.unwrap().unbonding_time.unwrap().seconds, 90);
    let calls = |n| vec![("health", json!({})); n];
    assert_eq!(chain.node().batch(&calls(3)).await.unwrap().as_array().unwrap().len(), 3);
    let lone = chain.node().batch(&calls(1)).await.unwrap();
    assert_eq!(lone.as_array().map(Vec::len), Some(1), "{lone}");
    let refused = chain.node().batch(&calls(4)).await.unwrap();
    assert!(refused.to_string().contains("exceeds maximum"), "{refused}");

    let misspelt = SimdChain::start(ChainSpec::new("x-1").node_setting("rpc.max_bodies", 1)).await;
    assert!(matches!(misspelt, Err(DevnetError::Template { .. })), "{misspelt:?}");
    let misplaced = SimdChain::start(ChainSpec::new("x-1").genesis("/app_state/nothing", json!(1))).await;
    assert!(matches!(misplaced, Err(DevnetError::Template { .. })), "{misplaced:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_cannot_start_shows_its_log() {
    let failed = SimdChain::start(ChainSpec::new("x-1").min_gas_prices("not a price")).await;
    let Err(DevnetError::Start { log, .. }) = &failed else { panic!("{failed:?}") };
    assert!(log.contains("minimum gas prices") || log.contains("not a price"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_for_the_chains_names_them_and_no_secret() {
    let net = Devnet::two_chains().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let b = End { account_prefix: Some("osmo".to_owned()), key: Some("user-b".to_owned()), ..End::default() };
    let options = ConfigOptions { b, channels: 2, ..ConfigOptions::default() };
    let written = net.write_config(dir.path(), &options).unwrap();
    let text = std::fs::read_to_string(written.file).unwrap();
    let doc: toml_edit::DocumentMut = text.parse().unwrap();
    assert_eq!(doc["global"]["admin"].as_str().unwrap(), written.admin);
    assert_eq!(doc["store"]["dir"].as_str().unwrap(), written.store.to_str().unwrap());
    assert_eq!(doc["chains"][0]["rpc"][0].as_str().unwrap(), net.a.rpc_url());
    assert_eq!(doc["chains"][1]["account_prefix"].as_str().unwrap(), "osmo");
    assert_eq!(doc["paths"][0]["channels"].as_array_of_tables().unwrap().len(), 2);
    let variable = doc["chains"][1]["key"]["env"].as_str().unwrap();
    let environment = net.environment();
    let (_, words) = environment.iter().find(|(name, _)| name == variable).unwrap();
    assert_eq!(words, net.wallets.user_b.mnemonic());
    assert!(!text.contains(words.as_str()));
    let settings = relayer_config::parse(&text, "relayer.toml").unwrap();
    assert_eq!((settings.chains.len(), settings.paths.len()), (2, 1));
}
