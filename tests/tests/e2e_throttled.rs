//! A provider that answers 429 above a rate nobody told us: all packets arrive, and few requests are refused once the rate is known.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, Instant};

use relayer_tests::devnet::embedded::{EmbeddedChain, EmbeddedNet};
use relayer_tests::devnet::{ConfigOptions, STAKE, Transfer, User};
use relayer_tests::relay::{Action, End, Line, Link};

const WAIT: Duration = Duration::from_secs(240);
/// Of both chains: to follow them alone takes five requests a second.
const INTERVAL: Duration = Duration::from_millis(500);
/// Requests a second of either provider, and a second's worth at once: less than the relayer asks for while it relays, which is told
/// 2,000, and twice what following takes.
const PROVIDER: u32 = 10;
/// Packets each way, and how many a user sends at once.
const PACKETS: usize = 200;
const AT_ONCE: usize = 10;
/// The providers' rate is learned in this time.
const LEARNING: Duration = Duration::from_secs(5);
/// Of the requests after it, refused at most: the goal at steady state is a hundredth, and a relayer's demand is nothing steady; each
/// probe for a higher rate may cost the requests in flight.
const SHARE: f64 = 0.05;

/// A port of a chain without its faults, so that only the relayer's requests are counted.
fn user(chain: &EmbeddedChain, wallet: &relayer_tests::devnet::Wallet) -> User {
    User::new(chain.observer().clone(), chain.id(), wallet.clone(), "0.000000stake")
}

fn observed(line: &Line<EmbeddedNet>) -> Link {
    let link = line.link(0).unwrap();
    let end = |chain: &EmbeddedChain, channel: String| End { node: chain.observer().clone(), channel };
    Link { a: end(&line.net.a, link.a.channel), b: end(&line.net.b, link.b.channel) }
}

fn counted(line: &Line<EmbeddedNet>) -> [(u64, u64); 2] {
    [&line.net.a, &line.net.b].map(|chain| (chain.faults().injected("throttled"), chain.faults().requests()))
}

async fn all_arrive_and_few_requests_are_refused(retry_after_s: Option<u64>) {
    let net = EmbeddedNet::with(|spec| spec.block_interval(INTERVAL)).await.unwrap();
    let mut line = Line::open(net, &ConfigOptions::default()).await.unwrap();
    let link = observed(&line);
    let (alice, bob) = (user(&line.net.a, &line.net.wallets.user_a), user(&line.net.b, &line.net.wallets.user_b));
    for chain in [&line.net.a, &line.net.b] {
        chain.faults().throttle_above(PROVIDER, retry_after_s);
    }
    let before = counted(&line);
    line.relayer.start().await.unwrap();
    let since = Instant::now();
    let mut learned = None;
    for _ in 0..PACKETS / AT_ONCE {
        let there = vec![Transfer::new(&link.a.channel, 1, STAKE, bob.address()); AT_ONCE];
        let back = vec![Transfer::new(&link.b.channel, 1, STAKE, alice.address()); AT_ONCE];
        let (there, back) = tokio::join!(alice.burst(&there), bob.burst(&back));
        there.unwrap();
        back.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        if since.elapsed() >= LEARNING && learned.is_none() {
            learned = Some(counted(&line));
        }
    }
    link.b.has_received(PACKETS, WAIT).await.unwrap();
    link.a.has_received(PACKETS, WAIT).await.unwrap();
    link.settled(WAIT).await.unwrap();
    let settled = since.elapsed();
    let (learned, end) = (learned.unwrap(), counted(&line));
    let (mut refused, mut asked) = (0, 0);
    for ((before, learned), end) in before.iter().zip(learned).zip(end) {
        println!("{} of {} refused while learning", learned.0 - before.0, learned.1 - before.1);
        refused += end.0 - learned.0;
        asked += end.1 - learned.1;
    }
    let share = refused as f64 / asked as f64;
    println!("{refused} of {asked} refused then; all settled after {settled:.1?}");
    println!(
        "{{\"figure\":\"throttled_share\",\"value\":{share:.4},\"unit\":\"share\",\"goal\":{SHARE},\"met\":{},\"retry_after_s\":{}}}",
        share <= SHARE,
        retry_after_s.map_or("null".to_owned(), |s| s.to_string())
    );
    assert!(asked >= 200, "{asked} requests show nothing");
    assert!(end.iter().all(|(throttled, _)| *throttled > 0), "the providers refused nothing: {end:?}");
    assert!(share <= SHARE, "{refused} of {asked}");

    let ours = line.net.wallets.relayer.address();
    let (a, b) = (link.a.history().await.unwrap(), link.b.history().await.unwrap());
    assert_eq!(b.effects_of(Action::Receive, &link.a.channel).unwrap(), PACKETS);
    assert_eq!(a.effects_of(Action::Receive, &link.b.channel).unwrap(), PACKETS);
    assert_eq!((a.repeated_by(ours), b.repeated_by(ours)), (Vec::new(), Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_that_nobody_told_is_learned_from_its_refusals() {
    all_arrive_and_few_requests_are_refused(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_says_when_to_come_back_is_learned_too() {
    all_arrive_and_few_requests_are_refused(Some(1)).await;
}
