//! What a domain answers about an address, and what of it holds.

use std::collections::BTreeSet;

use super::head::TreeHead;
use super::statement::{KeyRecord, Link};
use super::tree::{self, Hash};
use crate::address::Address;
use crate::limits::{KEY_SELECTORS_MAX, SEAL_CLOCK_SKEW_SECONDS, TREE_HEAD_SECONDS_MAX};
use crate::{Error, PublicKey};

/// One record and the way from it to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// The record.
    pub record: KeyRecord,
    /// Its place in the log.
    pub leaf: u64,
    /// The way to the root.
    pub way: Vec<Hash>,
}

/// The answer about one address, read and not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAnswer {
    /// The head of the log.
    pub head: TreeHead,
    /// Every record of the address, the oldest first; none where it has no keys, or there is no such address.
    pub records: Vec<Proved>,
    /// What shows that the log began as the one that the asker has seen.
    pub consistency: Vec<Hash>,
}

/// The head of a log that was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenHead {
    /// How many statements were in it.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

/// All statements of an address, each in the log of its domain. Only [`KeyAnswer::check`] makes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    records: Vec<KeyRecord>,
    /// How each stands to those before it. Signatures are verified for that, so it is done once, and not for each reader.
    links: Vec<Link>,
}

impl Chain {
    pub(super) fn of(records: Vec<KeyRecord>) -> Chain {
        let links = (0..records.len()).map(|place| link(&records[..=place])).collect();
        Chain { records, links }
    }

    /// With links that were found before, whatever they are.
    #[cfg(test)]
    pub(super) fn linked(records: Vec<KeyRecord>, links: Vec<Link>) -> Chain {
        Chain { records, links }
    }

    /// The records, the oldest first.
    pub fn records(&self) -> &[KeyRecord] {
        &self.records
    }

    /// How each of them stands to those before it.
    pub(crate) fn links(&self) -> &[Link] {
        &self.links
    }

    /// Whether one of the statements revokes this key, which only the key itself can have signed.
    ///
    /// keeps: KEY-19
    pub(crate) fn revokes(&self, key: &PublicKey) -> bool {
        let mut claims = self.records.iter().map(|record| record.statement().claims());
        claims.any(|one| one.revoked && one.key == *key)
    }
}

/// How the last of these statements stands to those before it: the first follows nothing, and a key that another has
/// replaced does not come back.
///
/// keeps: KEY-5
fn link(records: &[KeyRecord]) -> Link {
    let [earlier @ .., before, record] = records else { return Link::Broken };
    let key = |record: &KeyRecord| record.statement().claims().key;
    let comes_back = key(before) != key(record) && earlier.iter().any(|one| key(one) == key(record));
    if comes_back { Link::Broken } else { record.link(before.statement()) }
}

/// Why an answer does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotProved {
    /// It is not what an answer must be. It counts as none.
    Wrong(Error),
    /// A domain has signed two logs of which one is not the beginning of the other.
    Split,
}

impl KeyAnswer {
    /// The selectors of all keys of the domain that have signed in it, at most [`KEY_SELECTORS_MAX`]; that of the head is
    /// among them.
    pub fn selectors(&self) -> BTreeSet<&str> {
        let of_records = self.records.iter().rev().filter_map(|one| one.record.selector());
        let mut selectors = BTreeSet::new();
        for selector in self.head.selector().into_iter().chain(of_records) {
            if selectors.len() < KEY_SELECTORS_MAX {
                selectors.insert(selector);
            }
        }
        selectors
    }

    /// Checks everything: the head by a key of the domain and against the one that was seen; each record by its
    /// countersignature, where that key can be had, and by its way to the root; that the records are about the address and
    /// name one another. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// [`NotProved`].
    ///
    /// keeps: KEY-13, KEY-14, KEY-15
    pub fn check(
        self,
        address: &Address,
        seen: Option<&SeenHead>,
        key_of: impl Fn(&str) -> Option<PublicKey>,
        now: u64,
    ) -> Result<(SeenHead, Chain), NotProved> {
        let wrong = |reason| Err(NotProved::Wrong(Error::Key(reason)));
        let head = &self.head;
        if head.domain != *address.domain() {
            return wrong("the head of another domain's log");
        }
        let key = head.selector().and_then(&key_of);
        if !key.is_some_and(|key| head.is_signed_by(&key)) {
            return Err(NotProved::Wrong(Error::KeySignature));
        }
        let (latest, oldest) = (now + SEAL_CLOCK_SKEW_SECONDS, now.saturating_sub(TREE_HEAD_SECONDS_MAX));
        if head.at > latest || head.at < oldest {
            return wrong("the head is of another time");
        }
        let mut before: Option<&KeyRecord> = None;
        for one in &self.records {
            let claims = one.record.statement().claims();
            if claims.address != *address {
                return wrong("a statement about another address");
            }
            let digest = before.map(|record| record.statement().digest());
            if claims.previous != digest {
                return wrong("the statements do not name one another");
            }
            let key = one.record.selector().and_then(&key_of);
            if key.is_some_and(|key| !one.record.is_countersigned_by(&key)) {
                return Err(NotProved::Wrong(Error::KeySignature));
            }
            if !tree::is_included(&one.record.leaf(), one.leaf, head.size, &one.way, &head.root) {
                return wrong("a statement is not in the log");
            }
            before = Some(&one.record);
        }
        // Only what the domain itself has signed is held against it.
        if let Some(seen) = seen {
            let now_seen = (head.size, &head.root);
            if !tree::is_consistent((seen.size, &seen.root), now_seen, &self.consistency) {
                return Err(NotProved::Split);
            }
        }
        let found = SeenHead { size: head.size, root: head.root };
        Ok((found, Chain::of(self.records.into_iter().map(|one| one.record).collect())))
    }
}
