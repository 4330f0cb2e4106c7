//! How long to wait between attempts.

/// The delay before the attempt after `step` failures, in milliseconds: doubling from `first_ms` to `longest_ms`, less
/// up to a fifth by `salt`, so that what failed together does not come back together.
/// keeps: EXC-18
pub fn delay_ms(step: u32, first_ms: u64, longest_ms: u64, salt: u64) -> u64 {
    let doubled = first_ms.saturating_mul(1_u64.checked_shl(step.min(40)).unwrap_or(u64::MAX));
    let full = doubled.min(longest_ms).max(1);
    // A multiplicative hash (Knuth) spreads consecutive salts evenly; this is jitter, not a secret.
    let spread = (salt.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % 1_000;
    full - full / 5 * spread / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_stay_within_bounds() {
        for salt in 0..1_000 {
            let mut before = 0;
            for step in 0..64 {
                let delay = delay_ms(step, 1_000, 3_600_000, salt);
                assert!(delay >= before, "step {step}: {delay} after {before}");
                assert!((800..=3_600_000).contains(&delay));
                before = delay;
            }
        }
        let spread: std::collections::BTreeSet<u64> =
            (0..100).map(|salt| delay_ms(3, 1_000, 60_000, salt)).collect();
        assert!(spread.len() > 50, "jitter must spread");
    }
}
