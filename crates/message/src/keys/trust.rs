//! Trust: which key is the author's own, by what was seen of it before.

use super::answer::Chain;
use super::statement::{Link, Statement};
use crate::limits::{PINNED_KEYS_MAX, SEAL_CLOCK_SKEW_SECONDS};
use crate::{Digest, PublicKey, Seal};

/// What was found about an author's seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthorKey {
    /// The key could not be had, or the seal is from the future: nobody knows.
    Unchecked,
    /// It is the author's own, and the first of this author's that the reader has seen.
    First,
    /// It is the author's own, as before.
    Known,
    /// It is the author's own, and new: the key before has signed that it takes its place.
    Rotated,
    /// Another key than before, of which the key before says nothing.
    Broken,
    /// The author has revoked the key.
    Revoked,
    /// The domain has shown two histories of its keys that do not fit together.
    Split,
    /// It does not hold: not by a key that the domain states for the author, or not at that time.
    Wrong,
}

impl AuthorKey {
    /// The number in the registry.
    pub fn number(self) -> u64 {
        match self {
            AuthorKey::Unchecked => 0,
            AuthorKey::First => 1,
            AuthorKey::Known => 2,
            AuthorKey::Rotated => 3,
            AuthorKey::Broken => 4,
            AuthorKey::Revoked => 5,
            AuthorKey::Split => 6,
            AuthorKey::Wrong => 7,
        }
    }

    /// What this number means; `None` where it is not known.
    pub fn from_number(number: u64) -> Option<AuthorKey> {
        AuthorKey::ALL.into_iter().find(|found| found.number() == number)
    }

    /// All of them.
    pub const ALL: [AuthorKey; 8] = [
        AuthorKey::Unchecked,
        AuthorKey::First,
        AuthorKey::Known,
        AuthorKey::Rotated,
        AuthorKey::Broken,
        AuthorKey::Revoked,
        AuthorKey::Split,
        AuthorKey::Wrong,
    ];

    /// The word for programs and for the configuration.
    pub fn word(self) -> &'static str {
        match self {
            AuthorKey::Unchecked => "unchecked",
            AuthorKey::First => "first",
            AuthorKey::Known => "known",
            AuthorKey::Rotated => "rotated",
            AuthorKey::Broken => "broken",
            AuthorKey::Revoked => "revoked",
            AuthorKey::Split => "split",
            AuthorKey::Wrong => "wrong",
        }
    }

    /// What this word means.
    pub fn from_word(word: &str) -> Option<AuthorKey> {
        AuthorKey::ALL.into_iter().find(|found| found.word() == word)
    }

    /// Whether the author's own key has sealed.
    pub fn is_own(self) -> bool {
        matches!(self, AuthorKey::First | AuthorKey::Known | AuthorKey::Rotated)
    }

    /// Whether readers are to be warned.
    pub fn is_warning(self) -> bool {
        matches!(self, AuthorKey::Broken | AuthorKey::Revoked | AuthorKey::Split | AuthorKey::Wrong)
    }

    /// What readers are told about the seal of this author.
    pub fn sentence(self, author: &str) -> String {
        match self {
            AuthorKey::Unchecked => format!("sealed by {author}; that could not be checked"),
            AuthorKey::First => format!("sealed by {author} herself; the first time that you see this key"),
            AuthorKey::Known => format!("sealed by {author} herself"),
            AuthorKey::Rotated => {
                format!("sealed by {author} herself, with a new key that the old one has signed")
            }
            AuthorKey::Broken => format!(
                "sealed with a new key of {author} that the key you know has not signed; ask {author} in another way"
            ),
            AuthorKey::Revoked => {
                format!("sealed with a key that {author} has revoked: do not trust it")
            }
            AuthorKey::Split => format!(
                "the domain of {author} shows another history of keys than before: this seal proves nothing"
            ),
            AuthorKey::Wrong => {
                format!("the seal in the name of {author} does not hold: do not trust it")
            }
        }
    }
}

/// One key that a reader has come to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedKey {
    /// The key.
    pub key: PublicKey,
    /// The digest of the last statement about it.
    pub statement: Digest,
    /// From when it is good, in seconds since 1970.
    pub not_before: u64,
    /// Until when, in seconds since 1970.
    pub not_after: u64,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// The keys of one author that a reader has come to trust, the newest last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pin {
    /// At most [`PINNED_KEYS_MAX`].
    pub keys: Vec<PinnedKey>,
    /// A newer key that none of them has signed.
    pub broken_by: Option<PublicKey>,
}

/// What a node has come to know of an author, from the author's domain.
#[derive(Debug, Clone, Copy)]
pub enum Known<'a> {
    /// Nothing: the domain could not be asked, or has not answered as it must.
    Nothing,
    /// All statements.
    Chain(&'a Chain),
    /// The domain shows another log than before.
    Split,
}

/// Follows the statements of an author from where a reader has seen them last; without a pin, from the last statement that
/// nothing before it speaks for. Keys after a break are not taken over; a revocation counts wherever it stands.
///
/// keeps: KEY-17, KEY-18, KEY-19
pub fn follow(pin: Option<&Pin>, chain: &Chain) -> Pin {
    let mut followed = follow_links(pin, chain);
    for one in &mut followed.keys {
        one.revoked |= chain.revokes(&one.key);
    }
    followed
}

fn follow_links(pin: Option<&Pin>, chain: &Chain) -> Pin {
    let (records, links) = (chain.records(), chain.links());
    let mut followed = pin.cloned().unwrap_or_default();
    let last = followed.keys.last().map(|last| last.statement);
    let start = match last {
        None => links.iter().rposition(|link| *link == Link::Broken),
        Some(digest) => records.iter().position(|record| record.statement().digest() == digest),
    };
    let Some(start) = start else {
        // What was seen before is not among the statements any more, or there are none.
        followed.broken_by = records.last().map(|record| record.statement().claims().key);
        return followed;
    };
    followed.broken_by = None;
    if last.is_none() {
        followed.keys.push(pinned(records[start].statement()));
    }
    for (record, link) in records.iter().zip(links).skip(start + 1) {
        let statement = record.statement();
        match link {
            Link::Same => {
                followed.keys.pop();
                followed.keys.push(pinned(statement));
            }
            Link::Rotated => followed.keys.push(pinned(statement)),
            Link::Broken => {
                followed.broken_by = records.last().map(|record| record.statement().claims().key);
                break;
            }
        }
    }
    let excess = followed.keys.len().saturating_sub(PINNED_KEYS_MAX);
    followed.keys.drain(..excess);
    followed
}

fn pinned(statement: &Statement) -> PinnedKey {
    let claims = statement.claims();
    PinnedKey {
        key: claims.key,
        statement: statement.digest(),
        not_before: claims.not_before,
        not_after: claims.not_after,
        revoked: claims.revoked,
    }
}

/// What is to be said of an author's seal, and what a reader keeps of the author's keys from now on; `None` where that stays
/// as it is.
///
/// keeps: KEY-16, KEY-17, KEY-18, KEY-19
pub fn judge(
    seal: &Seal,
    manifest: &[u8],
    pin: Option<&Pin>,
    known: Known<'_>,
    now: u64,
) -> (AuthorKey, Option<PublicKey>, Option<Pin>) {
    let by = |key: &PublicKey| key.id().0 == seal.key_name() && seal.verify(manifest, key, now).is_ok();
    let names = |key: &PublicKey| key.id().0 == seal.key_name();
    let followed = match known {
        Known::Split => return (AuthorKey::Split, None, None),
        Known::Nothing => pin.cloned().unwrap_or_default(),
        Known::Chain(chain) => follow(pin, chain),
    };
    let changed = |found: AuthorKey| {
        // Who was never seen is pinned by a seal that holds, and by nothing else.
        let seen = pin.is_some() || found.is_own();
        (seen && pin != Some(&followed) && !followed.keys.is_empty()).then(|| followed.clone())
    };
    let trusted = followed.keys.iter().position(|one| names(&one.key));
    let Some(place) = trusted else {
        let after_break = match known {
            Known::Chain(chain) if followed.broken_by.is_some() => {
                chain.records().iter().map(|record| record.statement().claims().key).find(|key| names(key))
            }
            _ => followed.broken_by.filter(|key| names(key)),
        };
        let found = match (after_break, known) {
            (Some(key), _) if by(&key) => AuthorKey::Broken,
            (None, Known::Nothing) => AuthorKey::Unchecked,
            _ => AuthorKey::Wrong,
        };
        return (found, None, changed(found));
    };
    let own = &followed.keys[place];
    let (issued, skew) = (seal.claims().issued_at, SEAL_CLOCK_SKEW_SECONDS);
    let successor = followed.keys.get(place + 1);
    let in_time = issued.saturating_add(skew) >= own.not_before
        && issued < own.not_after
        && successor.is_none_or(|next| issued < next.not_before.saturating_add(skew));
    let was_pinned = |key: &PublicKey| pin.is_some_and(|pin| pin.keys.iter().any(|one| one.key == *key));
    let found = match () {
        () if own.revoked => AuthorKey::Revoked,
        // One of two clocks is wrong, and that is nothing against the author.
        () if issued > now.saturating_add(skew) => AuthorKey::Unchecked,
        () if !in_time || !by(&own.key) => AuthorKey::Wrong,
        () if pin.is_none() => AuthorKey::First,
        () if was_pinned(&own.key) => AuthorKey::Known,
        () => AuthorKey::Rotated,
    };
    (found, found.is_own().then_some(own.key), changed(found))
}
