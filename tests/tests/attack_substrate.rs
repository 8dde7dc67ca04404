//! A Substrate chain's node that forges finality or proofs of state: nothing is broadcast, the reason is counted, and when the node is honest
//! again the packet arrives, once.
//!
//! The verifier's own tests of these rows forge every field (light-clients/tests); here the whole relayer stands behind a lying node.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use relayer_tests::devnet::substrate::{SubstrateSpec, voter};
use relayer_tests::devnet::{STAKE, Transfer};
use relayer_tests::proxy::{Proxy, WebSocketMode, When, grandpa};
use relayer_tests::relay::{Across, Action, Families, Metrics, SUBSTRATE, relayed, until};

const WAIT: Duration = Duration::from_secs(60);
/// What is sent each time, in the Substrate chain's own coin.
const AMOUNT: u128 = 3;
/// Where a chain keeps the time of its block: `Timestamp::Now`.
const NOW: &str = "f0c365c3cf59d671eb72da0e7a4113c49f1f0515f462cdcf84e0f1d6045dfcbb";
/// All validators have a vote of the same weight, three of four decide.
const VALIDATORS: u64 = 4;

/// A running relayer that knows the chains by proxies only.
struct Siege {
    line: Across,
    substrate: Proxy,
    simd: Proxy,
    /// Packets sent to the Cosmos chain so far.
    sent: u128,
    counted: Metrics,
}

/// What the relayer has paid so far, on both chains.
#[derive(Debug, PartialEq)]
struct Paid {
    broadcasts: usize,
    sequences: (u64, u64),
    balances: (u128, u128),
}

impl Siege {
    /// The proxy stands before the first validator; so many of the others are known to the relayer by their own addresses.
    async fn begin(honest: usize) -> Self {
        let chains = Families::start(SubstrateSpec::validators(4)).await.unwrap();
        let substrate = Proxy::start(chains.substrate.node(0).unwrap().url()).await.unwrap();
        let simd = Proxy::start(chains.simd.rpc_url()).await.unwrap();
        let mut options = chains.options();
        options.simd_rpc = vec![simd.rpc_url()];
        options.substrate_rpc.truncate(1 + honest);
        options.substrate_rpc[0] = substrate.rpc_url();
        let mut line = Across::open(chains, &options).await.unwrap();
        line.relayer.start().await.unwrap();
        let counted = line.relayer.admin.metrics().await.unwrap();
        let mut siege = Self { line, substrate, simd, sent: 0, counted };
        siege.send().await;
        siege.arrives("peace").await;
        siege
    }

    async fn send(&mut self) {
        let to = self.line.alice.address();
        self.line.bob.transfer(&Transfer::new(&self.line.on_substrate.channel, AMOUNT, "unit", to)).await.unwrap();
        self.sent += 1;
    }

    /// All that was sent has been received once, and is acknowledged.
    async fn arrives(&self, name: &str) {
        let unit = self.line.voucher_on_simd("unit");
        let has = async || self.line.on_simd.node.balance(self.line.alice.address(), &unit).await;
        until(&format!("{name}: the packet"), WAIT, async || Ok((has().await? >= AMOUNT * self.sent).then_some(())))
            .await
            .unwrap();
        self.line.settled(WAIT).await.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(has().await.unwrap(), AMOUNT * self.sent, "{name}");
        let received = relayed(&self.simd).unwrap().into_iter().filter(|one| one.action == Action::Receive);
        let mut sequences: Vec<u64> = received.map(|one| one.packet.sequence).collect();
        let all = sequences.len();
        sequences.dedup();
        assert_eq!(sequences.len(), all, "{name}: received twice");
    }

    async fn paid(&self) -> Paid {
        let (simd, substrate) = (&self.line.on_simd.node, &self.line.on_substrate.node);
        let (address, account) = (self.line.chains.relayer_address(), &self.line.relayer_account);
        let sequences = (simd.account(address).await.unwrap().1, substrate.nonce(account).await.unwrap());
        let balances = (simd.balance(address, STAKE).await.unwrap(), substrate.balance(account).await.unwrap());
        let broadcasts = self.simd.broadcasts().len() + self.substrate.broadcasts().len();
        Paid { broadcasts, sequences, balances }
    }

    async fn start_counting(&mut self) -> Paid {
        self.substrate.reset_record();
        self.simd.reset_record();
        self.counted = self.line.relayer.admin.metrics().await.unwrap();
        self.paid().await
    }

    /// Waits until something the node said is refused for one of these reasons.
    async fn refused(&self, name: &str, reasons: &[&str]) {
        let sum = |metrics: &Metrics, reason: &&str| {
            metrics.sum("relay_verification_failures_total", &[("chain", SUBSTRATE), ("reason", reason)])
        };
        let what = format!("{name}: a refusal for {reasons:?}");
        let seen = until(&what, WAIT, async || {
            let now = self.line.relayer.admin.metrics().await?;
            let named = reasons.iter().find(|reason| sum(&now, reason) > sum(&self.counted, reason));
            let all = now.lines_of("relay_verification_failures_total");
            named
                .map(|reason| Some(*reason))
                .ok_or_else(|| relayer_tests::DevnetError::Decode { what: "refusals".into(), reason: all })
        });
        println!("{name}: refused for {}", seen.await.unwrap_or_else(|e| panic!("{name}: {e}")));
    }

    /// A packet is sent while the node lies: the lie is named and nothing paid. The packet arrives once the node is honest.
    async fn lie(&mut self, name: &str, tell: impl FnOnce(&Proxy), reasons: &[&str]) {
        let before = self.start_counting().await;
        tell(&self.substrate);
        self.send().await;
        self.refused(name, reasons).await;
        self.waits_in_vain(name, &before).await;
        self.substrate.heal();
        self.arrives(name).await;
    }

    /// Some blocks later nothing has been paid.
    async fn waits_in_vain(&mut self, name: &str, before: &Paid) {
        self.line.chains.simd.wait_blocks(6).await.unwrap();
        assert!(self.substrate.tampered() > 0, "{name}: the node did not lie");
        assert_eq!(self.paid().await, *before, "{name}: something was paid for");
        self.unharmed(name).await;
    }

    async fn unharmed(&mut self, name: &str) {
        assert!(self.line.relayer.runs(), "{name}");
        assert!(!self.line.relayer.log().contains("panicked"), "{name}");
        let metrics = self.line.relayer.admin.metrics().await.unwrap();
        assert_eq!(metrics.sum("relay_verifier_panics_total", &[]), 0.0, "{name}");
        assert_eq!(metrics.sum("relay_packets_total", &[("outcome", "failed")]), 0.0, "{name}");
    }

    /// Finality is handed over to the same validators.
    async fn hand_over(&self) {
        let node = &self.line.on_substrate.node;
        let next: Vec<_> =
            node.authorities().await.unwrap().into_iter().map(|(key, weight)| (key, weight + 1)).collect();
        let set = node.set_id().await.unwrap();
        self.line.root.schedule_authorities(&next, 1).await.unwrap();
        until("the next set", WAIT, async || Ok((node.set_id().await? > set).then_some(()))).await.unwrap();
    }

    /// What the relayer says of the lying node.
    async fn liar(&self) -> String {
        let status = self.line.relayer.admin.status().await.unwrap();
        let chains = status["chains"].as_array().unwrap();
        let endpoints = &chains.iter().find(|chain| chain["id"] == SUBSTRATE).unwrap()["endpoints"];
        let port = self.substrate.rpc_url();
        let of = |endpoint: &&serde_json::Value| endpoint.to_string().contains(port.trim_start_matches("http://"));
        endpoints.as_array().unwrap().iter().find(of).unwrap().to_string()
    }
}

/// 22, 23, 24: justifications that the authorities did not give.
async fn finality(siege: &mut Siege) {
    siege.lie("23: signatures", |node| grandpa::lie(node, grandpa::flip_signatures), &["signature"]).await;
    siege.lie("22: weight", |node| grandpa::lie(node, grandpa::keep_votes(2)), &["too_few_signed"]).await;

    // The voters stay, their set doesn't: what they sign for the set before counts no more.
    siege.hand_over().await;
    siege.send().await;
    siege.arrives("the next set").await;
    let voters = || (0..VALIDATORS).map(voter).collect::<Vec<_>>();
    siege.lie("24: stale set", |node| grandpa::lie(node, grandpa::sign_for_set(voters(), 0)), &["signature"]).await;
}

/// 30, 31: proofs of values and of the time that are none.
async fn state(siege: &mut Siege) {
    let proofs = || When::method("state_getReadProof");
    let forged = |node: &Proxy| node.tamper(proofs(), grandpa::flip_read_proof());
    siege.lie("30, 31: proof", forged, &["proof_lookup", "trie_node"]).await;
    let other = |node: &Proxy| node.tamper(proofs(), grandpa::read_proof_of_another_block());
    siege.lie("30: block", other, &["wrong_height"]).await;
}

/// 31: a time that is told without a proof moves nothing, and no packet is timed out for it.
async fn time(siege: &mut Siege) {
    let key = hex::decode(NOW).unwrap();
    siege.start_counting().await;
    let future = u64::MAX / 2_000_000;
    siege.substrate.tamper(When::any(), grandpa::value(&key, &future.to_le_bytes()));
    let (channel, to) = (siege.line.on_simd.channel.clone(), siege.line.bob.address().to_owned());
    let packet = Transfer::new(&channel, 7, STAKE, &to).timeout_in(Duration::from_secs(3_600));
    siege.line.alice.transfer(&packet).await.unwrap();
    siege.send().await;
    siege.arrives("31: time").await;
    assert!(siege.substrate.tampered() > 0);
    assert_eq!(siege.line.bob_has(STAKE).await.unwrap(), 7);
    assert!(relayed(&siege.simd).unwrap().iter().all(|one| one.action != Action::TimeOut));
    siege.substrate.heal();
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_22_23_24_30_31_forged_finality_state_and_time_are_never_paid_for() {
    let mut siege = Siege::begin(0).await;
    finality(&mut siege).await;
    state(&mut siege).await;
    time(&mut siege).await;
    assert!(siege.line.relayer.admin.health().await.unwrap().ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_23_30_beside_honest_nodes_one_that_lies_or_goes_silent_holds_up_nothing() {
    let mut siege = Siege::begin(2).await;
    for (name, reason) in [("signatures", "signature"), ("proof", "trie_node"), ("weight", "too_few_signed")] {
        siege.start_counting().await;
        match name {
            "signatures" => grandpa::lie(&siege.substrate, grandpa::flip_signatures),
            "weight" => grandpa::lie(&siege.substrate, grandpa::keep_votes(1)),
            _ => siege.substrate.tamper(When::method("state_getReadProof"), grandpa::flip_read_proof()),
        }
        siege.send().await;
        siege.arrives(name).await;
        assert!(siege.substrate.tampered() > 0, "{name}: the node did not lie");
        let liar = siege.liar().await;
        assert!(liar.contains("quarantined") && liar.contains(reason), "{name}: {liar}");
        siege.refused(name, &[reason]).await;
        siege.send().await;
        siege.arrives(name).await;
        siege.unharmed(name).await;
        siege.substrate.heal();
        siege.substrate.reset_record();
        // What was found out is forgotten with the process.
        siege.line.relayer.stop().await.unwrap();
        siege.line.relayer.start().await.unwrap();
    }
    // Nodes prove finality when asked once it was handed over.
    siege.hand_over().await;
    until("a stream from the first node", WAIT, async || {
        Ok((siege.substrate.websocket_connections() > 0).then_some(()))
    })
    .await
    .unwrap();
    siege.substrate.websocket(WebSocketMode::Stalled);
    siege.send().await;
    siege.arrives("a stream that stalls").await;
}
