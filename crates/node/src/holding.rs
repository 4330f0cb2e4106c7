//! Holding: the octets of offers that are still open and stand in memory, by who has brought them and in all.
//!
//! Small parts, headers, manifest and seals stay there until the offer is committed, and its sender says when that is. What is
//! counted here is given back when the admission ends, however it ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::accept::{Failure, trouble};
use crate::limits::{HOLDING_OCTETS_MAX, HOLDING_OF_ONE_OCTETS_MAX};

/// What is held, by who shares it. Whoever holds nothing has no place here, so there are no more places than octets.
#[derive(Debug, Default)]
pub(crate) struct Holding(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: u64,
    of: HashMap<String, u64>,
}

/// What one admission holds.
#[derive(Debug)]
pub(crate) struct Share {
    holding: Arc<Holding>,
    owner: String,
    octets: u64,
}

impl Share {
    /// Nothing, of this owner.
    pub(crate) fn of(holding: &Arc<Holding>, owner: String) -> Share {
        Share { holding: Arc::clone(holding), owner, octets: 0 }
    }

    /// The admission holds so many octets now. Nobody may hold more than a share, nor more than stays free for others: so those
    /// who take all they can, however many, leave some.
    ///
    /// # Errors
    /// 4.3.1 where there is no room for more.
    ///
    /// keeps: SEC-5
    pub(crate) fn set(&mut self, octets: u64) -> Result<(), Failure> {
        let mut counts = self.holding.lock();
        let own = counts.of.get(&self.owner).copied().unwrap_or(0).saturating_sub(self.octets);
        let (own, all) = (own.saturating_add(octets), (counts.all - self.octets).saturating_add(octets));
        let free = HOLDING_OCTETS_MAX.saturating_sub(all);
        if octets > self.octets && own > free.min(HOLDING_OF_ONE_OCTETS_MAX) {
            return Err(trouble(storage::Error::Full));
        }
        self.octets = octets;
        counts.put(&self.owner, own, all);
        Ok(())
    }
}

impl Share {
    /// The admission holds so many octets more.
    ///
    /// # Errors
    /// 4.3.1 where there is no room for more.
    pub(crate) fn add(&mut self, octets: u64) -> Result<(), Failure> {
        self.set(self.octets.saturating_add(octets))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.holding.lock();
        let own = counts.of.get(&self.owner).copied().unwrap_or(0).saturating_sub(self.octets);
        let all = counts.all.saturating_sub(self.octets);
        counts.put(&self.owner, own, all);
    }
}

impl Counts {
    fn put(&mut self, owner: &str, own: u64, all: u64) {
        self.all = all;
        if own == 0 {
            self.of.remove(owner);
        } else if let Some(counted) = self.of.get_mut(owner) {
            *counted = own;
        } else {
            self.of.insert(owner.to_owned(), own);
        }
    }
}

impl Holding {
    /// A panic elsewhere while it was held leaves nothing half done that matters here.
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use message::Code;

    use super::*;

    const MIB: u64 = 1 << 20;

    /// The numbers are those of `limits.rs`, 16 and 64 MiB: one has its share, four have what leaves as much free as each has.
    ///
    /// proves: SEC-5
    #[test]
    fn nobody_holds_more_than_a_share_and_than_what_stays_free() {
        let holding = Arc::new(Holding::default());
        let share = |owner: &str| Share::of(&holding, owner.to_owned());
        let full = |answer: Result<(), Failure>| answer.is_err_and(|(code, _)| code == Code::SYSTEM_FULL);
        let (mut one, mut other) = (share("a.test"), share("a.test"));
        assert_eq!(one.set(10 * MIB), Ok(()));
        assert!(full(other.set(7 * MIB)), "two offers of one share");
        assert_eq!(other.set(6 * MIB), Ok(()));
        assert!(full(one.set(10 * MIB + 1)));
        // What is no more than before is let through, and what was refused is not counted.
        assert_eq!((one.set(9 * MIB), one.set(10 * MIB)), (Ok(()), Ok(())));
        let mut rest: Vec<Share> = ["b.test", "c.test"].map(share).into();
        assert!(rest.iter_mut().all(|share| share.set(16 * MIB) == Ok(())));
        let mut last = share("d.test");
        assert!(full(last.set(8 * MIB + 1)), "16 MiB are free, and half of them stay so");
        assert_eq!(last.set(8 * MIB), Ok(()));
        drop((one, other, rest, last));
        let counts = holding.lock();
        assert_eq!((counts.all, counts.of.len()), (0, 0), "all of it is given back");
    }
}
