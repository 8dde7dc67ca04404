//! Timeouts between the families: by height of either kind and by time, and where an extrinsic succeeds while its message fails.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use relayer_tests::devnet::substrate::SubstrateSpec;
use relayer_tests::devnet::{STAKE, Transfer};
use relayer_tests::proxy::{Fault, Proxy, When};
use relayer_tests::relay::{Across, Families, until};

const WAIT: Duration = Duration::from_secs(120);

/// Waits until the relayer has seen so many packets end, and none fail.
async fn counted(line: &Across, timed_out: f64, acknowledged: f64) {
    until("packets counted", WAIT, async || {
        let metrics = line.relayer.admin.metrics().await?;
        let outcome = |outcome| metrics.sum("relay_packets_total", &[("outcome", outcome)]);
        let seen = [outcome("timed_out"), outcome("acked"), outcome("failed")];
        Ok((seen == [timed_out, acknowledged, 0.0]).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn late_packets_are_refunded_both_ways_and_punctual_ones_beside_them_received() {
    let mut line = Across::start(4).await.unwrap();
    let (simd, substrate) = (line.on_simd.node.clone(), line.on_substrate.node.clone());
    let (there, back) = (line.on_simd.channel.clone(), line.on_substrate.channel.clone());
    let funds = simd.balance(line.alice.address(), STAKE).await.unwrap();

    // Sent while no relayer runs, and past before one does: by height, by time, and one in time, each way. A Substrate chain's heights are block
    // numbers under revision 0.
    let transfer = Transfer::new(&there, 100, STAKE, line.bob.address());
    let by_height = transfer.clone().timeout_height(0, substrate.best().await.unwrap() + 6);
    let by_time = transfer.clone().timeout_in(Duration::from_secs(5));
    line.alice.burst(&[by_height, by_time, Transfer { amount: 7, ..transfer }]).await.unwrap();
    let transfer = Transfer::new(&back, 1_000, "unit", line.alice.address());
    let height = line.chains.simd.height().await.unwrap();
    let by_height = transfer.clone().timeout_height(line.chains.simd.revision(), height + 12);
    let by_time = transfer.clone().timeout_in(Duration::from_secs(5));
    line.bob.burst(&[by_height, by_time, Transfer { amount: 9, ..transfer }]).await.unwrap();
    assert_eq!(
        (line.on_simd.open().await.unwrap(), line.on_substrate.open().await.unwrap()),
        (vec![1, 2, 3], vec![1, 2, 3])
    );
    let sent = substrate.balance(&line.bob.account()).await.unwrap();
    let late = substrate.best().await.unwrap() + 8;
    line.chains.simd.wait_blocks(14).await.unwrap();
    substrate.wait_for_finalized(late).await.unwrap();

    line.relayer.start().await.unwrap();
    line.settled(WAIT).await.unwrap();
    assert_eq!(simd.balance(line.alice.address(), STAKE).await.unwrap(), funds - 7);
    assert_eq!(line.bob_has(STAKE).await.unwrap(), 7);
    assert_eq!(substrate.balance(&line.bob.account()).await.unwrap(), sent + 2_000);
    assert_eq!(simd.balance(line.alice.address(), &line.voucher_on_simd("unit")).await.unwrap(), 9);
    counted(&line, 4.0, 2.0).await;
}

/// The pallet runs each message for itself: the extrinsic is a success whatever became of them.
#[tokio::test(flavor = "multi_thread")]
async fn attack_47_an_extrinsic_that_succeeds_while_its_message_fails_is_no_delivery() {
    let chains = Families::start(SubstrateSpec::validators(1)).await.unwrap();
    let proxy = Proxy::start(chains.substrate.node(0).unwrap().url()).await.unwrap();
    let mut options = chains.options();
    options.substrate_rpc = vec![proxy.rpc_url()];
    let mut line = Across::open(chains, &options).await.unwrap();
    line.relayer.start().await.unwrap();
    let (simd, substrate) = (line.on_simd.node.clone(), line.on_substrate.node.clone());
    let funds = simd.balance(line.alice.address(), STAKE).await.unwrap();
    let nonce = substrate.nonce(&line.relayer_account).await.unwrap();

    // It is in time when the relayer decides, and late when its extrinsic reaches the chain.
    let delay = Duration::from_secs(7);
    proxy.fault_times(When::method("author_submitExtrinsic"), Fault::Delay(delay), 1);
    let transfer = Transfer::new(&line.on_simd.channel, 100, STAKE, line.bob.address());
    let late = transfer.clone().timeout_height(0, substrate.best().await.unwrap() + 6);
    line.alice.burst(&[late, Transfer { amount: 7, ..transfer }]).await.unwrap();
    line.settled(WAIT).await.unwrap();
    assert_eq!(line.bob_has(STAKE).await.unwrap(), 7);
    assert_eq!(simd.balance(line.alice.address(), STAKE).await.unwrap(), funds - 7);
    assert!(proxy.faults_injected() > 0 && substrate.nonce(&line.relayer_account).await.unwrap() > nonce);

    counted(&line, 1.0, 1.0).await;
    assert!(line.relayer.log().contains("message_failed"), "{}", line.relayer.log());
}
