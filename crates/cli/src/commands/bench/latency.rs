//! How long answers take: counts in classes that are 1/32 apart, so that any number of them fits into a few KiB.

use std::time::Duration;

/// Classes for each doubling.
const STEPS: u64 = 32;
/// Doublings: up to 2^40 microseconds, twelve days.
const DOUBLINGS: u64 = 40;

/// Durations, counted.
#[derive(Debug, Clone)]
pub(super) struct Latency {
    counts: Vec<u64>,
    total: u64,
    longest: Duration,
}

impl Latency {
    pub(super) fn new() -> Latency {
        Latency { counts: vec![0; (DOUBLINGS * STEPS) as usize], total: 0, longest: Duration::ZERO }
    }

    pub(super) fn count(&mut self, took: Duration) {
        let class = class_of(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        let last = self.counts.len() - 1;
        self.counts[class.min(last)] += 1;
        self.total += 1;
        self.longest = self.longest.max(took);
    }

    pub(super) fn add(&mut self, other: &Latency) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.longest = self.longest.max(other.longest);
    }

    /// Microseconds that this share of all did not exceed, at most 1/32 too much.
    pub(super) fn percentile_us(&self, share: f64) -> u64 {
        let wanted = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (class, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return end_of(class as u64).min(self.longest_us());
            }
        }
        self.longest_us()
    }

    pub(super) fn longest_us(&self) -> u64 {
        u64::try_from(self.longest.as_micros()).unwrap_or(u64::MAX)
    }
}

/// The class of a number: itself below [`STEPS`], then 32 for each doubling.
fn class_of(value: u64) -> usize {
    let doublings = (value / STEPS).checked_ilog2().map_or(0, |log| u64::from(log) + 1);
    let class = match doublings {
        0 => value,
        _ => doublings * STEPS + (value >> (doublings - 1)) - STEPS,
    };
    class as usize
}

/// The largest number of a class.
fn end_of(class: u64) -> u64 {
    match class / STEPS {
        0 => class,
        doublings => ((class % STEPS + STEPS + 1) << (doublings - 1)) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_ends_at_most_a_thirty_second_above_its_numbers() {
        for value in (0..5000).chain((0..39).map(|log| (1_u64 << log) + 1)) {
            let end = end_of(class_of(value) as u64);
            assert!(end >= value && end - value <= value / STEPS, "{value}: {end}");
        }
    }

    #[test]
    fn percentiles_are_those_of_what_was_counted() {
        let mut latency = Latency::new();
        assert_eq!(latency.percentile_us(0.5), 0);
        for milliseconds in 1..=100 {
            latency.count(Duration::from_millis(milliseconds));
        }
        let check = |share, near: u64| {
            let found = latency.percentile_us(share);
            assert!(found >= near && found - near <= near / 32, "{share}: {found}");
        };
        check(0.5, 50_000);
        check(0.99, 99_000);
        check(1.0, 100_000);
        let mut both = latency.clone();
        both.add(&latency);
        assert_eq!((both.total, both.longest_us()), (200, 100_000));
    }
}
