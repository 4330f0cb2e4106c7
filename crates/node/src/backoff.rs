//! How long to wait between attempts.

/// The delay before the attempt after `step` failures, in milliseconds: doubling from `first_ms` to `longest_ms`, less
/// up to a fifth by `salt`, so that what failed together does not come back together.
/// keeps: EXC-18
pub fn delay_ms(step: u32, first_ms: u64, longest_ms: u64, salt: u64) -> u64 {
    let doubled = first_ms.saturating_mul(1_u64.checked_shl(step.min(40)).unwrap_or(u64::MAX));
    let full = doubled.min(longest_ms).max(1);
    full - full / 5 * spread(salt) / 1_000
}

/// The delay before the next poll, in milliseconds, between the bounds that the next hop gave: a fifth of the lower one
/// after it at the most, by `salt`, since a decision should be seen soon and not all polls at once.
///
/// keeps: STA-4
pub(crate) fn poll_ms(min_seconds: u32, max_seconds: u32, salt: u64) -> u64 {
    let longest = u64::from(max_seconds.max(1)) * 1000;
    let soonest = (u64::from(min_seconds.max(1)) * 1000).min(longest);
    let room = (soonest / 5).min(longest - soonest);
    soonest + room * spread(salt) / 1_000
}

/// A number below 1,000 that differs for salts that follow one another: a multiplicative hash (Knuth). It is jitter, not
/// a secret.
fn spread(salt: u64) -> u64 {
    (salt.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % 1_000
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

    /// proves: STA-4
    #[test]
    fn polls_stay_between_their_bounds_and_spread() {
        for (min, max) in [(0, 0), (1, 1), (60, 21_600), (60, 61), (7, 3), (u32::MAX, u32::MAX)] {
            let delays: std::collections::BTreeSet<u64> =
                (0..1_000).map(|salt| poll_ms(min, max, salt)).collect();
            let longest = u64::from(max.max(1)) * 1000;
            let soonest = (u64::from(min.max(1)) * 1000).min(longest);
            assert!(delays.iter().all(|delay| (soonest..=longest).contains(delay)), "{min} to {max}");
            assert!(max <= min || delays.len() > 100, "{min} to {max}: jitter must spread");
        }
    }
}
