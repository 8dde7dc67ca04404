//! What a test asks of a chain.

/// The validators of a chain and their say in finality.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubstrateSpec {
    weights: Vec<u64>,
}

impl SubstrateSpec {
    /// So many validators of equal weight.
    #[must_use]
    pub fn validators(count: usize) -> Self {
        Self { weights: vec![1; count] }
    }

    /// One validator for each of these GRANDPA weights. All make blocks in turn, whatever they weigh.
    #[must_use]
    pub fn weighted(weights: &[u64]) -> Self {
        Self { weights: weights.to_vec() }
    }

    /// The weights in order.
    #[must_use]
    pub fn weights(&self) -> &[u64] {
        &self.weights
    }
}
