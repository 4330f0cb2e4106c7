//! Return paths that nobody else can make.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use message::address::{Address, Domain};
use subtle::ConstantTimeEq;

/// How the local part of a tagged return path begins.
const PREFIX: &str = "wx-";
/// Octets of the number of a record.
const NUMBER_OCTETS: usize = 8;
/// Octets of the proof: 80 bits, which nobody guesses over SMTP, and short enough for a local part.
const PROOF_OCTETS: usize = 10;
/// What the proof is made over begins so.
const CONTEXT: &[u8] = b"waxwing return path 1";

/// The key with which tags are made; 32 random octets that only this node has.
#[derive(Clone)]
pub struct TagKey([u8; 32]);

/// The local part of a return path: the number of a record, and a proof that we have given it out. keeps: GW-62
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    record: u64,
    proof: [u8; PROOF_OCTETS],
}

impl TagKey {
    /// A key of octets that were drawn at random.
    #[must_use]
    pub fn new(octets: [u8; 32]) -> TagKey {
        TagKey(octets)
    }

    fn proof(&self, record: u64) -> [u8; PROOF_OCTETS] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(CONTEXT);
        hasher.update(&record.to_be_bytes());
        let mut proof = [0; PROOF_OCTETS];
        hasher.finalize_xof().fill(&mut proof);
        proof
    }
}

impl fmt::Debug for TagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TagKey(not shown)")
    }
}

impl Tag {
    /// The tag for a record.
    #[must_use]
    pub fn new(key: &TagKey, record: u64) -> Tag {
        Tag { record, proof: key.proof(record) }
    }

    /// Whether a local part looks like a tag, so that it is no mailbox whatever it says.
    #[must_use]
    pub fn is_one(local: &str) -> bool {
        local.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
    }

    /// Reads a tag from a local part, in whatever case it comes back; none where we have not given it out. keeps: GW-62
    #[must_use]
    pub fn read(key: &TagKey, local: &str) -> Option<Tag> {
        let text = local.get(PREFIX.len()..).filter(|_| Tag::is_one(local))?;
        let octets = BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok()?;
        let (number, proof) = octets.split_at_checked(NUMBER_OCTETS)?;
        let record = u64::from_be_bytes(number.try_into().ok()?);
        let proof: [u8; PROOF_OCTETS] = proof.try_into().ok()?;
        let good: bool = key.proof(record).ct_eq(&proof).into();
        good.then_some(Tag { record, proof })
    }

    /// The number of the record.
    #[must_use]
    pub fn record(&self) -> u64 {
        self.record
    }

    /// The return path at a domain; none where the domain leaves no room.
    #[must_use]
    pub fn at(&self, domain: &Domain) -> Option<Address> {
        Address::from_wire(&format!("{self}@{domain}")).ok()
    }
}

/// The local part.
impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = [&self.record.to_be_bytes()[..], &self.proof].concat();
        write!(f, "{PREFIX}{}", BASE32_NOPAD.encode(&octets).to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proves: GW-62
    #[test]
    fn only_tags_of_our_own_are_read() {
        let (key, other) = (TagKey::new([7; 32]), TagKey::new([8; 32]));
        for record in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX] {
            let text = Tag::new(&key, record).to_string();
            assert!(text.len() <= 64 && Tag::is_one(&text), "{text}");
            assert_eq!(Tag::read(&key, &text).map(|tag| tag.record()), Some(record));
            assert_eq!(Tag::read(&key, &text.to_uppercase()).map(|tag| tag.record()), Some(record));
            assert_eq!(Tag::read(&other, &text), None);
            let domain = Domain::parse("north.test").unwrap();
            assert_eq!(Tag::new(&key, record).at(&domain).unwrap().local().as_str(), text);
            // Whatever single character is another one, it is none.
            for place in PREFIX.len()..text.len() {
                let mut forged = text.clone().into_bytes();
                forged[place] = if forged[place] == b'a' { b'b' } else { b'a' };
                assert_eq!(Tag::read(&key, std::str::from_utf8(&forged).unwrap()), None, "{place}");
            }
        }
        for text in
            ["", "wx-", "wx-a", "bob", "wx", "wx-äöü", "wx-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
        {
            assert_eq!(Tag::read(&key, text), None, "{text}");
        }
    }
}
