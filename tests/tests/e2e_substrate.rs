//! A real Cosmos chain and a real Substrate chain: the path between them, and what is relayed over it.

use std::time::Duration;

use relayer_tests::devnet::{STAKE, Transfer};
use relayer_tests::relay::{Across, escrow_address};

const WAIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn coins_cross_between_the_families_and_vouchers_come_home() {
    let mut line = Across::start(4).await.unwrap();
    line.relayer.start().await.unwrap();
    let (simd, channel) = (line.on_simd.node.clone(), line.on_simd.channel.clone());
    let has = async |denom: &str| simd.balance(line.alice.address(), denom).await;
    let funds = has(STAKE).await.unwrap();
    let escrow = escrow_address(&channel).unwrap();

    line.alice.transfer(&Transfer::new(&channel, 1_000, STAKE, line.bob.address())).await.unwrap();
    line.settled(WAIT).await.unwrap();
    assert_eq!(simd.balance(&escrow, STAKE).await.unwrap(), 1_000);
    assert_eq!(line.bob_has(STAKE).await.unwrap(), 1_000);

    // What came over goes home.
    let (back, alice) = (line.on_substrate.channel.clone(), line.alice.address());
    let coin = line.voucher_on_substrate(STAKE);
    line.bob.transfer(&Transfer::new(&back, 400, &coin, alice)).await.unwrap();
    line.settled(WAIT).await.unwrap();
    assert_eq!((has(STAKE).await.unwrap(), line.bob_has(STAKE).await.unwrap()), (funds - 600, 600));
    assert_eq!(simd.balance(&escrow, STAKE).await.unwrap(), 600);

    // And the other chain's own coin, there and back, several in one block.
    let unit = line.voucher_on_simd("unit");
    let many: Vec<Transfer> = (1..=7).map(|n| Transfer::new(&back, n * 100, "unit", alice)).collect();
    line.bob.burst(&many).await.unwrap();
    line.settled(WAIT).await.unwrap();
    assert_eq!(has(&unit).await.unwrap(), 2_800);
    let before = line.on_substrate.node.balance(&line.bob.account()).await.unwrap();
    line.alice.transfer(&Transfer::new(&channel, 300, &unit, line.bob.address())).await.unwrap();
    line.settled(WAIT).await.unwrap();
    assert_eq!(has(&unit).await.unwrap(), 2_500);
    assert_eq!(line.on_substrate.node.balance(&line.bob.account()).await.unwrap(), before + 300);

    // Nobody can receive this: it is refunded.
    line.alice.transfer(&Transfer::new(&channel, 50, STAKE, "nobody")).await.unwrap();
    line.settled(WAIT).await.unwrap();
    assert_eq!(has(STAKE).await.unwrap(), funds - 600);
    assert!(line.relayer.runs() && !line.relayer.log().contains("panicked"));
}
