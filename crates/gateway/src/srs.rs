//! Return paths of others, rewritten by a forwarder that has no other way (the Sender Rewriting Scheme, as Mail::SRS
//! writes it).
//!
//! The form is that of the Perl module with its "guarded" scheme, so that mail can go back and forth between forwarders of
//! both kinds: HMAC-SHA1, cut to some characters of base64, over lower case. Its strength is that of a stamp against
//! backscatter, no more; [`crate::notice::Tags`] are the ones for mail of our own. When which of both is used stands in
//! `spec/22-forwarding.md`.

use aws_lc_rs::hmac;
use data_encoding::BASE64;
use message::address::{Address, Domain};
use subtle::ConstantTimeEq;

/// Characters of the hash in the usual settings.
const HASH_LENGTH: usize = 4;
/// Days for which an address may be used, in the usual settings.
const DAYS_MAX: u32 = 49;
/// Days are counted modulo this: two characters of base 32.
const DAYS: u64 = 1 << 10;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Octets of an address that is rewritten or read: the bound of a path (RFC 5321 section 4.5.3.1.3).
const ADDRESS_OCTETS_MAX: usize = 256;

/// Rewrites return paths, and finds out what was rewritten.
#[derive(Clone)]
pub struct Srs {
    key: hmac::Key,
    separator: char,
    hash_length: usize,
    days_max: u32,
}

/// Why an address cannot be rewritten or read. It is always the fault of whoever gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SrsError {
    /// It has no local part or no domain, or is too long.
    #[error("this is no address that can be rewritten")]
    NoAddress,
    /// It was not rewritten.
    #[error("this address was not rewritten")]
    NotRewritten,
    /// It was rewritten, but not by us, or was changed.
    #[error("this address was not rewritten here")]
    Forged,
    /// It was rewritten too long ago.
    #[error("this address is no longer in use")]
    Expired,
}

impl Srs {
    /// With this secret and the usual settings.
    #[must_use]
    pub fn new(secret: &[u8]) -> Srs {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
        Srs { key, separator: '=', hash_length: HASH_LENGTH, days_max: DAYS_MAX }
    }

    /// With another separator behind the tag, one of `=`, `+` and `-`; others are taken as `=`.
    #[must_use]
    pub fn with_separator(mut self, separator: char) -> Srs {
        self.separator = if is_separator(separator) { separator } else { '=' };
        self
    }

    /// With a hash of so many characters, 4 to 20.
    #[must_use]
    pub fn with_hash_length(mut self, characters: usize) -> Srs {
        self.hash_length = characters.clamp(4, 20);
        self
    }

    /// Rewrites a return path into one at `alias`, the domain that forwards. One that is at that domain stays as it is.
    /// keeps: GW-70
    ///
    /// # Errors
    /// [`SrsError::NoAddress`].
    pub fn forward(&self, sender: &str, alias: &str, now_seconds: u64) -> Result<String, SrsError> {
        let (user, host) = parts(sender)?;
        if host.eq_ignore_ascii_case(alias) {
            return Ok(sender.to_owned());
        }
        let separator = self.separator;
        let local = match (after_tag(user, "SRS1"), after_tag(user, "SRS0")) {
            (Some(rest), _) => {
                // The first forwarder stays the one to which it goes back; ours is the hash.
                let mut fields = rest.get(1..).unwrap_or_default().splitn(3, '=');
                let (_, first, behind) = (fields.next(), fields.next(), fields.next());
                let (first, behind) = first.zip(behind).ok_or(SrsError::NoAddress)?;
                format!("SRS1{separator}{}={first}={behind}", self.hash(&[first, behind]))
            }
            (None, Some(rest)) => format!("SRS1{separator}{}={host}={rest}", self.hash(&[host, rest])),
            (None, None) => {
                let day = stamp(now_seconds);
                format!("SRS0{separator}{}={day}={host}={user}", self.hash(&[&day, host, user]))
            }
        };
        Ok(format!("{local}@{alias}"))
    }

    /// The same for an address as we know them; `None` where what it becomes is none, because there is no room for it, where it
    /// is at that domain already, or where it leads back to somebody who is not its domain (SRS1). keeps: FWD-37
    pub fn forward_address(&self, sender: &Address, alias: &Domain, now_seconds: u64) -> Option<Address> {
        let ours = sender.domain() == alias;
        // Where an SRS1 leads was said by the one before, and is proved by nobody.
        let unproved = parts(&sender.to_string()).is_ok_and(|(user, _)| after_tag(user, "SRS1").is_some());
        if unproved {
            return None;
        }
        let made = self.forward(&sender.to_string(), alias.as_str(), now_seconds).ok().filter(|_| !ours)?;
        Address::from_wire(&made).ok()
    }

    /// The return path from which this one was made: for SRS0 that of the author, for SRS1 that of the first forwarder.
    /// keeps: GW-70
    ///
    /// # Errors
    /// [`SrsError`].
    pub fn reverse(&self, address: &str, now_seconds: u64) -> Result<String, SrsError> {
        let (user, _) = parts(address)?;
        if let Some(rest) = after_tag(user, "SRS1") {
            let mut fields = rest.get(1..).unwrap_or_default().splitn(3, '=');
            let (Some(hash), Some(first), Some(behind)) = (fields.next(), fields.next(), fields.next())
            else {
                return Err(SrsError::Forged);
            };
            self.check(hash, &[first, behind])?;
            return Ok(format!("SRS0{behind}@{first}"));
        }
        let rest = after_tag(user, "SRS0").ok_or(SrsError::NotRewritten)?;
        let mut fields = rest.get(1..).unwrap_or_default().splitn(4, '=');
        let (Some(hash), Some(day), Some(host), Some(user)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(SrsError::Forged);
        };
        self.check(hash, &[day, host, user])?;
        let age = (now_seconds / 86_400 % DAYS + DAYS - read_stamp(day)?) % DAYS;
        if age > u64::from(self.days_max) {
            return Err(SrsError::Expired);
        }
        Ok(format!("{user}@{host}"))
    }

    fn hash(&self, parts: &[&str]) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(part.to_ascii_lowercase().as_bytes());
        }
        let mut text = BASE64.encode(context.sign().as_ref());
        text.truncate(self.hash_length);
        text
    }

    /// Compared in constant time, and without case: some servers fold it.
    fn check(&self, said: &str, parts: &[&str]) -> Result<(), SrsError> {
        let (ours, said) = (self.hash(parts).to_ascii_lowercase(), said.to_ascii_lowercase());
        let same: bool = ours.as_bytes().ct_eq(said.as_bytes()).into();
        if same { Ok(()) } else { Err(SrsError::Forged) }
    }
}

/// Whether a local part looks as if it was rewritten.
#[must_use]
pub fn is_rewritten(local: &str) -> bool {
    after_tag(local, "SRS0").is_some() || after_tag(local, "SRS1").is_some()
}

fn is_separator(character: char) -> bool {
    matches!(character, '=' | '+' | '-')
}

fn parts(address: &str) -> Result<(&str, &str), SrsError> {
    let split = address.rsplit_once('@').filter(|(user, host)| !user.is_empty() && !host.is_empty());
    split.filter(|_| address.len() <= ADDRESS_OCTETS_MAX).ok_or(SrsError::NoAddress)
}

/// What follows a tag, with its separator.
fn after_tag<'a>(user: &'a str, tag: &str) -> Option<&'a str> {
    let (start, rest) = user.split_at_checked(tag.len())?;
    (start.eq_ignore_ascii_case(tag) && rest.starts_with(is_separator)).then_some(rest)
}

fn stamp(now_seconds: u64) -> String {
    let days = now_seconds / 86_400 % DAYS;
    let characters = [days >> 5, days & 31].map(|digit| BASE32.get(digit as usize).copied().unwrap_or(b'A'));
    characters.into_iter().map(char::from).collect()
}

fn read_stamp(text: &str) -> Result<u64, SrsError> {
    let value = |octet: u8| BASE32.iter().position(|&one| one == octet.to_ascii_uppercase());
    match text.as_bytes() {
        [high, low] => {
            let (high, low) = value(*high).zip(value(*low)).ok_or(SrsError::Forged)?;
            Ok((high as u64) << 5 | low as u64)
        }
        _ => Err(SrsError::Forged),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::check::spf::vectors;

    /// What Mail::SRS makes of 126 addresses. proves: GW-70
    #[test]
    fn addresses_are_rewritten_as_others_do() {
        let Some(path) = vectors("srs/srs_vectors.json") else { return };
        let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        for case in &cases {
            let text = |name: &str| case[name].as_str().unwrap();
            let srs = Srs::new(text("secret").as_bytes())
                .with_separator(text("separator").chars().next().unwrap())
                .with_hash_length(case["hashlength"].as_u64().unwrap() as usize);
            let now = case["time"].as_u64().unwrap();
            let first = srs.forward(text("sender"), text("alias"), now).unwrap();
            assert_eq!(first, text("srs0"), "{case}");
            let second = srs.forward(&first, "second.example.net", now).unwrap();
            assert_eq!(second, text("srs1"), "{case}");
            let third = srs.forward(&second, "third.example.com", now).unwrap();
            assert_eq!(third, text("srs1_again"), "{case}");
            assert_eq!(srs.reverse(&first, now).ok().as_deref(), case["rev_srs0"].as_str(), "{case}");
            assert_eq!(srs.reverse(&second, now).unwrap(), text("rev_srs1"), "{case}");
            assert_eq!(srs.reverse(&third, now).unwrap(), text("rev_srs1_again"), "{case}");
        }
        assert_eq!(cases.len(), 126);
    }

    /// proves: FWD-37
    #[test]
    fn what_has_no_room_is_not_rewritten() {
        let srs = Srs::new(b"a secret").with_hash_length(8);
        let forwarder = Domain::from_wire("f.test").unwrap();
        let of = |text: &str| srs.forward_address(&Address::from_wire(text).unwrap(), &forwarder, 0);
        let made = of("ann@a.test").unwrap();
        assert_eq!(made.domain(), &forwarder);
        assert_eq!(srs.reverse(&made.to_string(), 0), Ok("ann@a.test".to_owned()));
        assert_eq!(of("bob@f.test"), None, "it leads to this domain as it is");
        assert!(of("SRS0=aaaa=AA=v.test=x@a.test").is_some(), "it leads to its own domain, which is proved");
        assert_eq!(of("SRS1=aaaa=v.test==x@a.test"), None, "it leads to whom its domain names");
        assert_eq!(of("srs1+aaaa=v.test==x@a.test"), None);
        assert_eq!(of(&format!("{}@{}.test", "a".repeat(60), "b".repeat(60))), None);
    }

    /// proves: GW-70
    #[test]
    fn what_is_forged_or_old_is_not_read() {
        const DAY: u64 = 86_400;
        let srs = Srs::new(b"secret");
        let made = srs.forward("zoe@south.test", "north.test", 100 * DAY).unwrap();
        let check = |address: &str, days: u64, expected: Result<&str, SrsError>| {
            assert_eq!(srs.reverse(address, days * DAY), expected.map(str::to_owned), "{address} {days}");
        };
        check(&made, 100, Ok("zoe@south.test"));
        check(&made, 149, Ok("zoe@south.test"));
        check(&made, 150, Err(SrsError::Expired));
        check(&made, 99, Err(SrsError::Expired));
        check(&made.to_ascii_lowercase(), 100, Ok("zoe@south.test"));
        check(&made.replace("zoe", "bob"), 100, Err(SrsError::Forged));
        check("SRS0=aaaa=AA=south.test=zoe@north.test", 0, Err(SrsError::Forged));
        check("SRS0=aaaa@north.test", 0, Err(SrsError::Forged));
        check("SRS1=aaaa=south.test==x@north.test", 0, Err(SrsError::Forged));
        check("SRS1=aaaa@north.test", 0, Err(SrsError::Forged));
        check("zoe@north.test", 0, Err(SrsError::NotRewritten));
        check("SRS0x@north.test", 0, Err(SrsError::NotRewritten));
        check("north.test", 0, Err(SrsError::NoAddress));
        assert_eq!(srs.forward("SRS1=x@south.test", "north.test", 0), Err(SrsError::NoAddress));
        assert!(
            is_rewritten(&made) && is_rewritten("srs1+x") && !is_rewritten("srs") && !is_rewritten("zoe")
        );
    }
}
