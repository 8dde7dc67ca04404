//! Authority sets: who votes, and what a vote weighs.

use super::{Fault, Hash, blake2_256};
use crate::limits::{MAX_AUTHORITIES, MAX_AUTHORITIES_BYTES};
use crate::wire::within;
use crate::{Part, Reason};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use parity_scale_codec::{Decode, DecodeAll, Encode};

/// An authority: its ed25519 key and what its vote weighs. In SCALE as Substrate's `(AuthorityId, AuthorityWeight)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Authority {
    /// Its ed25519 key.
    pub key: [u8; 32],
    /// What its vote weighs.
    pub weight: u64,
}

/// The authorities of one set id, checked: some, none twice, each with a weight, and a sum that fits 64 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthoritySet {
    id: u64,
    weights: BTreeMap<[u8; 32], u64>,
    total: u64,
}

impl AuthoritySet {
    /// Checks the list of a set.
    pub fn new(id: u64, authorities: &[Authority]) -> Result<Self, Reason> {
        within(authorities.len(), MAX_AUTHORITIES, Part::Authorities)?;
        if authorities.is_empty() {
            return Err(Fault::EmptySet.into());
        }
        let mut weights = BTreeMap::new();
        let mut total = 0_u64;
        for (index, authority) in (0..).zip(authorities) {
            if authority.weight == 0 {
                return Err(Fault::ZeroWeight { index }.into());
            }
            if weights.insert(authority.key, authority.weight).is_some() {
                return Err(Fault::DuplicateAuthority { index }.into());
            }
            total = total.checked_add(authority.weight).ok_or(Fault::WeightOverflow)?;
        }
        Ok(Self { id, weights, total })
    }

    /// Decodes a SCALE list as `GrandpaApi_grandpa_authorities` answers with and checks it.
    pub fn decode(id: u64, bytes: &[u8]) -> Result<Self, Reason> {
        within(bytes.len(), MAX_AUTHORITIES_BYTES, Part::Authorities)?;
        let authorities = Vec::<Authority>::decode_all(&mut { bytes });
        Self::new(id, &authorities.map_err(|_| Reason::Undecodable { part: Part::Authorities })?)
    }

    /// Number of the set; each change counts one up.
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// How many authorities there are.
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// Never true: an empty set is refused.
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// Sum of all weights.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Weight that finalizes: more than two thirds, as GRANDPA counts them (all that need not be faulty, where less than
    /// a third may be).
    pub fn threshold(&self) -> u64 {
        self.total.saturating_sub(self.total.saturating_sub(1) / 3)
    }

    /// What a key's vote weighs, if it is an authority.
    pub fn weight(&self, key: &[u8; 32]) -> Option<u64> {
        self.weights.get(key).copied()
    }
}

/// What a trusted state keeps of a set: the hash of its SCALE list, in the chain's order.
pub fn authorities_hash(authorities: &[Authority]) -> Hash {
    blake2_256(&authorities.encode())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(weights: &[u64]) -> Result<AuthoritySet, Reason> {
        let authority = |(seed, weight): (u16, &u64)| {
            let mut key = [0; 32];
            key[..2].copy_from_slice(&seed.to_be_bytes());
            Authority { key, weight: *weight }
        };
        AuthoritySet::new(7, &(0..).zip(weights).map(authority).collect::<Vec<_>>())
    }

    #[test]
    fn threshold_is_more_than_two_thirds_of_the_weight() {
        for (weights, threshold) in
            [(vec![1], 1), (vec![1; 3], 3), (vec![1; 4], 3), (vec![1; 297], 199), (vec![5, 5], 7)]
        {
            assert_eq!(set(&weights).unwrap().threshold(), threshold, "{weights:?}");
        }
        assert_eq!(set(&[u64::MAX]).unwrap().threshold(), u64::MAX - (u64::MAX - 1) / 3);
    }
}
