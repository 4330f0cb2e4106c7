//! How old what waits is: counts by the minute in which legs were made, one for each lane. They hold no truth and are
//! counted anew when the store is opened, without reading every leg: legs are numbered in the order in which they were
//! made, so where two legs were made in the same minute, all between them were.

use std::collections::BTreeMap;

use crate::engine::View;
use crate::record::Record;
use crate::{Error, LegId, LegRecord, key};

const MINUTE_MS: u64 = 60_000;

/// The legs of one lane, counted by minutes.
#[derive(Debug, Default, Clone)]
pub(crate) struct Ages(BTreeMap<u64, u64>);

impl Ages {
    /// Counts a leg.
    pub(crate) fn add(&mut self, created_at_ms: u64) {
        self.add_minute(created_at_ms / MINUTE_MS);
    }

    fn add_minute(&mut self, minute: u64) {
        *self.0.entry(minute).or_default() += 1;
    }

    /// Counts a leg no more. One that was counted in another minute, because a clock has jumped while the store was
    /// closed, is taken from the nearest one before or after.
    pub(crate) fn remove(&mut self, created_at_ms: u64) {
        let minute = created_at_ms / MINUTE_MS;
        let near = self.0.range(..=minute).next_back().or_else(|| self.0.range(minute..).next());
        let Some((&found, _)) = near else { return };
        if let Some(count) = self.0.get_mut(&found) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.0.remove(&found);
            }
        }
    }

    /// How many are younger than each of these bounds and no younger than the one before; what is older comes last.
    pub(crate) fn below(&self, now_ms: u64, bounds_ms: &[u64]) -> Vec<u64> {
        let mut counts = vec![0; bounds_ms.len() + 1];
        for (minute, count) in &self.0 {
            let age_ms = now_ms.saturating_sub(minute * MINUTE_MS);
            let place = bounds_ms.iter().position(|bound| age_ms < *bound).unwrap_or(bounds_ms.len());
            if let Some(one) = counts.get_mut(place) {
                *one += count;
            }
        }
        counts
    }
}

/// Counts legs, given by their numbers in order, each with the place of its lane in `lanes`.
pub(crate) fn count(view: &dyn View, legs: &[(LegId, usize)], lanes: &mut [Ages]) -> Result<(), Error> {
    let Some(last) = legs.len().checked_sub(1) else { return Ok(()) };
    let mut ranges = vec![(0, minute(view, legs, 0)?, last, minute(view, legs, last)?)];
    while let Some((first, first_minute, last, last_minute)) = ranges.pop() {
        if first_minute == last_minute || last - first <= 1 {
            for (place, (_, lane)) in legs.iter().enumerate().take(last + 1).skip(first) {
                let minute = if place == last { last_minute } else { first_minute };
                if let Some(ages) = lanes.get_mut(*lane) {
                    ages.add_minute(minute);
                }
            }
        } else {
            let middle = first + (last - first) / 2;
            let middle_minute = minute(view, legs, middle)?;
            let next = middle + 1;
            ranges.push((first, first_minute, middle, middle_minute));
            ranges.push((next, minute(view, legs, next)?, last, last_minute));
        }
    }
    Ok(())
}

/// The minute in which a leg was made. Of one that cannot be read, which the check reports, it is the first of all.
fn minute(view: &dyn View, legs: &[(LegId, usize)], place: usize) -> Result<u64, Error> {
    let Some((leg, _)) = legs.get(place) else { return Ok(0) };
    let key = key::leg(*leg);
    let record = view.value(&key)?.and_then(|octets| LegRecord::decode(&octets, &key).ok());
    Ok(record.map_or(0, |record| record.created_at_ms / MINUTE_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legs_are_counted_by_their_age() {
        let mut ages = Ages::default();
        let now_ms = 100 * MINUTE_MS;
        for minutes in [0, 1, 4, 5, 29, 30, 99] {
            ages.add(now_ms - minutes * MINUTE_MS);
        }
        let below = |ages: &Ages| ages.below(now_ms, &[5 * MINUTE_MS, 30 * MINUTE_MS]);
        assert_eq!(below(&ages), [3, 2, 2]);
        ages.remove(now_ms - 29 * MINUTE_MS);
        // Nothing was counted in this minute: the nearest before it is taken.
        ages.remove(now_ms - 3 * MINUTE_MS);
        assert_eq!(below(&ages), [2, 1, 2]);
        for _ in 0..9 {
            ages.remove(now_ms);
        }
        assert_eq!(below(&ages), [0, 0, 0]);
    }
}
