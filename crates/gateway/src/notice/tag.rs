//! Return paths that nobody else can make.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use subtle::ConstantTimeEq;

/// How the local part of a tagged return path begins.
const PREFIX: &str = "wx-";
/// Octets of the number of a record.
const NUMBER_OCTETS: usize = 8;
/// Octets of the proof: 80 bits, which nobody guesses over SMTP, and short enough for a local part.
const PROOF_OCTETS: usize = 10;
/// Characters of a local part: the prefix and 18 octets in base 32.
const LOCAL_CHARACTERS: usize = PREFIX.len() + 29;
/// What the proof is made over begins so.
const CONTEXT: &[u8] = b"waxwing return path 1";

/// Makes and knows the local parts of return paths, `wx-` and a tag: the number of a record, and a proof that we have given
/// it out. keeps: GW-62
#[derive(Clone)]
pub struct Tags([u8; 32]);

impl Tags {
    /// With a key of 32 octets that only this node has.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Tags {
        Tags(key)
    }

    /// The local part for the number of a record: 32 characters.
    #[must_use]
    pub fn local_part(&self, number: [u8; 8]) -> String {
        let octets = [&number[..], &self.proof(number)].concat();
        format!("{PREFIX}{}", BASE32_NOPAD.encode(&octets).to_ascii_lowercase())
    }

    /// Whether a local part has the form of a tag, so that it is no mailbox whatever it proves.
    #[must_use]
    pub fn has_form(local: &str) -> bool {
        let text = local.split_at_checked(PREFIX.len());
        local.len() == LOCAL_CHARACTERS
            && text.is_some_and(|(start, rest)| {
                start.eq_ignore_ascii_case(PREFIX) && rest.bytes().all(|octet| octet.is_ascii_alphanumeric())
            })
    }

    /// The number in a local part, in whatever case it comes back; none where we have not given it out. The proof is compared
    /// in constant time. keeps: GW-62
    #[must_use]
    pub fn number(&self, local: &str) -> Option<[u8; 8]> {
        let text = local.get(PREFIX.len()..).filter(|_| Tags::has_form(local))?;
        let octets = BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok()?;
        let (number, proof) = octets.split_at_checked(NUMBER_OCTETS)?;
        let number: [u8; NUMBER_OCTETS] = number.try_into().ok()?;
        let good: bool = self.proof(number).as_slice().ct_eq(proof).into();
        good.then_some(number)
    }

    fn proof(&self, number: [u8; 8]) -> [u8; PROOF_OCTETS] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(CONTEXT);
        hasher.update(&number);
        let mut proof = [0; PROOF_OCTETS];
        hasher.finalize_xof().fill(&mut proof);
        proof
    }
}

impl fmt::Debug for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tags(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use message::address::Address;

    use super::*;

    /// proves: GW-62
    #[test]
    fn only_tags_of_our_own_are_read() {
        let (tags, other) = (Tags::new([7; 32]), Tags::new([8; 32]));
        for number in [[0; 8], [255; 8], [1, 2, 3, 4, 5, 6, 7, 8]] {
            let text = tags.local_part(number);
            assert!(
                Address::from_wire(&format!("{text}@north.test")).is_ok() && Tags::has_form(&text),
                "{text}"
            );
            assert_eq!(tags.number(&text), Some(number));
            assert_eq!(tags.number(&text.to_uppercase()), Some(number));
            assert_eq!(other.number(&text), None);
            // Whatever single character is another one, it is none.
            for place in PREFIX.len()..text.len() {
                let mut forged = text.clone().into_bytes();
                forged[place] = if forged[place] == b'a' { b'b' } else { b'a' };
                assert_eq!(tags.number(std::str::from_utf8(&forged).unwrap()), None, "{place}");
            }
        }
        let long = format!("wx-{}", "a".repeat(30));
        for text in ["", "wx-", "wx-bob", "bob", "wx", "wx-äöüäöüäöüäöüäö!", long.as_str()] {
            assert_eq!((tags.number(text), Tags::has_form(text)), (None, false), "{text}");
        }
    }
}
