//! Sealing as the author: the message is completed first, since nothing can be added behind the seal.

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use message::address::Address;
use message::limits::SEALS_MAX;
use message::{Claims, HeaderBuilder, Role, Seal, SecretKey};

use super::{Outgoing, addresses_in};
use crate::Error;

impl Outgoing {
    /// The same message, completed and sealed by its author, where the one address in From is this one; otherwise as it is,
    /// and so where it has a seal of the author's already or no room for one. `random` makes a Message-Id.
    ///
    /// # Errors
    /// [`Error::Content`].
    ///
    /// keeps: KEY-23
    pub fn authored(
        mut self,
        author: &Address,
        key: &SecretKey,
        now_ms: u64,
        random: [u8; 16],
    ) -> Result<Outgoing, Error> {
        let from = self.headers().message().only("From").map(|from| addresses_in(&from));
        let is_theirs = matches!(from, Some((found, 0)) if found == [author.clone()]);
        let sealed = self.seals().iter().any(|seal| seal.claims().role == Role::Author);
        if !is_theirs || sealed {
            return Ok(self);
        }
        self = self.completed(author, now_ms, random)?;
        if self.seals().len() >= SEALS_MAX {
            return Ok(self);
        }
        let claims = Claims {
            issuer: author.to_string(),
            issued_at: now_ms / 1000,
            expires_at: None,
            role: Role::Author,
            submitter: None,
            recipient: None,
            authorization: None,
            checks: Vec::new(),
        };
        let seal = Seal::sign(self.manifest().octets(), claims, &key.public().id().0, key);
        Ok(self.with_seal(seal))
    }

    /// With Date and Message-Id, where they are missing; seals over another header block are of no use to anybody.
    fn completed(self, author: &Address, now_ms: u64, random: [u8; 16]) -> Result<Outgoing, Error> {
        let mut added = Vec::new();
        if self.headers().message().first("Date").is_none() {
            let now = i64::try_from(now_ms).ok().and_then(|at_ms| Timestamp::from_millisecond(at_ms).ok());
            let date = rfc2822::DateTimePrinter::new()
                .timestamp_to_string(&now.unwrap_or(Timestamp::UNIX_EPOCH))
                .map_err(|error| Error::Local(error.to_string()))?;
            added.push(("Date", date));
        }
        if self.headers().message().first("Message-Id").is_none() {
            let local = data_encoding::HEXLOWER.encode(&random);
            added.push(("Message-Id", format!("<{local}@{}>", author.domain())));
        }
        if added.is_empty() {
            return Ok(self);
        }
        let mut builder = HeaderBuilder::new();
        for field in self.headers().message().fields() {
            builder.push(field.name, field.raw_value)?;
        }
        for (name, value) in &added {
            builder.push(name, value)?;
        }
        self.under(builder.finish()?)
    }
}

#[cfg(test)]
mod tests {
    use message::{Draft, DraftContent, DraftPart, Extent, Message};

    use super::*;

    fn letter(fields: &[(&str, &str)]) -> Outgoing {
        let mut header = HeaderBuilder::new();
        for (name, value) in fields {
            header.push(name, value).unwrap();
        }
        let root = DraftPart {
            media_type: "text/plain".to_owned(),
            parameters: String::new(),
            fields: Vec::new(),
            content: DraftContent::Body(Extent::of(b"hi")),
        };
        let draft = Draft { header: header.finish().unwrap(), root };
        let message = Message::assemble(&draft, vec![bytes::Bytes::from_static(b"hi")]).unwrap();
        Outgoing::from_message(&message, Vec::new())
    }

    /// 1,767,268,800 is 2026-01-01T12:00:00Z; `-0000` says that the zone is nobody's concern (RFC 5322 section 3.3).
    ///
    /// proves: KEY-23
    #[test]
    fn a_message_is_completed_before_its_author_seals_it() {
        let (ann, key) = (Address::parse("ann@a.test").unwrap(), SecretKey::from_seed(&[1; 32]));
        let seal = |outgoing: Outgoing| outgoing.authored(&ann, &key, 1_767_268_800_000, [0xab; 16]).unwrap();
        let sealed = seal(letter(&[("From", "Ann <ann@a.test>"), ("Subject", "x")]));
        let field = |name| sealed.headers().message().only(name);
        assert_eq!(field("Date").as_deref(), Some("Thu, 1 Jan 2026 12:00:00 -0000"));
        assert_eq!(field("Message-Id"), Some(format!("<{}@a.test>", "ab".repeat(16))));
        let [one] = sealed.seals() else { panic!("one seal") };
        assert_eq!(one.claims().issuer, "ann@a.test");
        one.verify(sealed.manifest().octets(), &key.public(), 1_767_268_800).unwrap();
        // Once is enough, and nobody else is sealed for.
        let identity = sealed.identity();
        let again = seal(sealed);
        assert_eq!((again.identity(), again.seals().len()), (identity, 1));
        for from in ["bob@a.test", "ann@a.test, bob@a.test", "nobody"] {
            assert_eq!(seal(letter(&[("From", from)])).seals().len(), 0, "{from}");
        }
    }
}
