//! The only source of chance: SplitMix64 (Steele, Lea, Flood 2014). One seed gives one run, on every machine.

/// See the module.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.bits() % (high.saturating_sub(low) + 1)
    }

    /// `true` in so many of 1,000 cases.
    pub fn chance(&mut self, permille: u64) -> bool {
        // A fault that is off takes nothing from the sequence.
        permille > 0 && self.bits() % 1_000 < permille
    }

    /// Any of a slice's places; 0 for an empty one.
    pub fn place(&mut self, len: usize) -> usize {
        (self.bits() % (len.max(1) as u64)) as usize
    }

    /// Puts a slice into random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for n in (1..items.len()).rev() {
            items.swap(n, self.place(n + 1));
        }
    }
}
