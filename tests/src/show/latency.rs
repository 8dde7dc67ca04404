//! Quantiles of latencies.

/// The latency that this share of all doesn't exceed (nearest rank), ms; none of nothing.
pub(super) fn percentile(ms: &[u64], percent: usize) -> Option<u64> {
    let mut sorted = ms.to_vec();
    sorted.sort_unstable();
    sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_nearest_rank() {
        let hundred: Vec<u64> = (1..=100).rev().collect();
        assert_eq!([50, 95, 100].map(|p| percentile(&hundred, p)), [Some(50), Some(95), Some(100)]);
        assert_eq!([50, 95].map(|p| percentile(&[7], p)), [Some(7), Some(7)]);
        assert_eq!(percentile(&[], 50), None);
    }
}
