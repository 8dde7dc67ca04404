//! Timeouts between the families: by height of either kind and by time.

use std::time::Duration;

use relayer_tests::devnet::{STAKE, Transfer};
use relayer_tests::relay::Across;

const WAIT: Duration = Duration::from_secs(120);

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
    let metrics = line.relayer.admin.metrics().await.unwrap();
    assert_eq!(metrics.sum("relay_packets_total", &[("outcome", "timed_out")]), 4.0);
    assert_eq!(metrics.sum("relay_packets_total", &[("outcome", "failed")]), 0.0);
}
