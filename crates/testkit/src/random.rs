//! Numbers that look random and come again with the same seed.

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Numbers of this seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn next_number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `from` to `to`, both included.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next_number() % (to - from + 1)
    }

    /// A place in a list of so many, which must not be empty.
    pub fn place(&mut self, count: usize) -> usize {
        (self.next_number() % count as u64) as usize
    }

    /// Whether something happens that does so in so many of a hundred cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.next_number() % 100 < percent
    }

    /// So many octets.
    pub fn octets(&mut self, count: usize) -> Vec<u8> {
        let mut octets = vec![0; count];
        self.fill(&mut octets);
        octets
    }

    /// Fills octets.
    pub fn fill(&mut self, octets: &mut [u8]) {
        for some in octets.chunks_mut(8) {
            some.copy_from_slice(&self.next_number().to_le_bytes()[..some.len()]);
        }
    }

    /// Numbers of their own for somebody, so that what others draw does not change them.
    pub fn branch(&mut self) -> Random {
        Random(self.next_number())
    }
}
