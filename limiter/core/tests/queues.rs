//! A channel whose delayed packets are released all at once (attack row 40): paced, and the others go on.

use limiter_core::Time;
use limiter_core::bucket::{Bucket, Decision, Rate};
use limiter_core::fair::{Fair, Refused};

#[test]
fn attack_40_a_burst_of_delayed_packets_is_paced_and_other_channels_wait_one_round_at_most() {
    let mut queue = Fair::new(3, 1_000, 1);
    let mut bucket = Bucket::new(Rate::per_second(100), 10);
    // Channel 0 releases 5,000 packets in one instant; beyond its bound its source must wait.
    let refused = (0..5_000u32).filter(|_| queue.push(0, 1, 0u64).is_err()).count();
    assert_eq!(refused, 4_000);
    assert!(matches!(queue.push(0, 1, 0), Err((Refused::Full { flow: 0, waiting: 1_000 }, _))));

    let (mut sent, mut worst) = (Vec::new(), 0);
    for ms in 0..5_000u64 {
        // Channels 1 and 2 have a packet every 100 ms.
        if ms % 100 == 0 {
            queue.push(1, 1, ms).unwrap();
            queue.push(2, 1, ms).unwrap();
        }
        let now = Time::from_nanos(ms * 1_000_000);
        while !queue.is_empty() {
            let Decision::Now(reservation) = bucket.decide(now, 1) else { break };
            reservation.commit();
            let (flow, since) = queue.pop().unwrap();
            sent.push(ms);
            if flow > 0 {
                worst = worst.max(ms - since);
            }
        }
    }
    assert!(worst <= 40, "a packet of another channel waited {worst} ms"); // its turn: at most three calls of 10 ms, and one out
    // Never more than burst + rate * W in any window, however large the burst was.
    for (i, from) in sent.iter().enumerate() {
        for (n, to) in sent[i..].iter().enumerate() {
            assert!((n as u64 + 1) * 10 <= 100 + (to - from), "{} in {} ms", n + 1, to - from);
        }
    }
    assert_eq!(sent.len(), 10 + 499, "nothing is lost at saturation");
}
