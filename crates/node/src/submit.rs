//! Submit: what a node does to a message of its own user before anybody else sees it.

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use message::address::{Address, Domain};
use message::{Claims, Code, HeaderBuilder, Headers, Manifest, Role, Seal};

use crate::Node;
use crate::accept::Failure;
use crate::account::fold;

/// A message that is ready to be sent: its header complete, sealed by its domain.
pub(crate) struct Ready {
    pub(crate) manifest: Manifest,
    pub(crate) headers: Headers,
    pub(crate) seals: Vec<Seal>,
}

impl Node {
    /// Checks that the account may use the From address, adds Date and Message-Id where they are missing, and seals.
    ///
    /// keeps: SUB-6, SUB-7, SUB-8
    pub(crate) fn prepare(
        &self,
        account: &str,
        manifest: &Manifest,
        headers: &Headers,
        seals: &[Seal],
    ) -> Result<Ready, Failure> {
        let from = self.check_from(account, headers)?;
        let authored = seals.iter().any(|seal| seal.claims().role == Role::Author);
        let missing = missing_fields(headers);
        if authored && !missing.is_empty() {
            let text = format!("the author has sealed a message without {}", missing.join(" and "));
            return Err((Code::CONTENT_MALFORMED, text));
        }
        let (headers, manifest) = if missing.is_empty() {
            (headers.clone(), manifest.clone())
        } else {
            self.complete(manifest, headers, &missing, from.domain())?
        };
        // Seals over another header block are of no use to anybody.
        let mut kept: Vec<Seal> = if missing.is_empty() { seals.to_vec() } else { Vec::new() };
        if kept.len() >= message::limits::SEALS_MAX {
            return Err((Code::CONTENT_MALFORMED, "no room for another seal".to_owned()));
        }
        kept.push(self.seal(&manifest, from.domain(), Role::Submission, |claims| {
            claims.submitter = Some(from.to_string());
        })?);
        Ok(Ready { manifest, headers, seals: kept })
    }

    /// Seals a manifest with the key of a domain of ours.
    pub(crate) fn seal(
        &self,
        manifest: &Manifest,
        domain: &Domain,
        role: Role,
        say_more: impl FnOnce(&mut Claims),
    ) -> Result<Seal, Failure> {
        let key = self
            .settings()
            .domains
            .get(domain)
            .ok_or((Code::NOT_AUTHORIZED, "that domain is not served here".to_owned()))?;
        let mut claims = Claims {
            issuer: domain.as_str().to_owned(),
            issued_at: self.now_ms() / 1000,
            expires_at: None,
            role,
            submitter: None,
            recipient: None,
            authorization: None,
            checks: Vec::new(),
        };
        say_more(&mut claims);
        Ok(Seal::sign(manifest.octets(), claims, key.selector.as_bytes(), &key.key))
    }

    /// The From address, which must be one that the account may use.
    pub(crate) fn check_from(&self, account: &str, headers: &Headers) -> Result<Address, Failure> {
        let address = from_address(headers)?;
        let sender = headers.message().first("Sender");
        let sender = match sender {
            None => None,
            Some(_) => Some(headers.message().only("Sender").as_deref().and_then(mailbox_address).ok_or(
                (Code::CONTENT_MALFORMED, "the Sender field is not one mailbox address".to_owned()),
            )?),
        };
        let account = self
            .store()
            .account(account)
            .map_err(crate::accept::trouble)?
            .ok_or((Code::AUTHENTICATION_FAILED, "the account is not known".to_owned()))?;
        let may_use = |address: &Address| {
            self.settings().is_local(address.domain()) && account.addresses.contains(&fold(address))
        };
        let foreign = sender.iter().chain([&address]).find(|used| !may_use(used)).cloned();
        match foreign {
            None => Ok(address),
            Some(other) => Err((Code::NOT_AUTHORIZED, format!("you may not send as {other}"))),
        }
    }

    fn complete(
        &self,
        manifest: &Manifest,
        headers: &Headers,
        missing: &[&'static str],
        domain: &Domain,
    ) -> Result<(Headers, Manifest), Failure> {
        let malformed = |error: message::Error| (error.code(), error.to_string());
        let mut builder = HeaderBuilder::new();
        for field in headers.message().fields() {
            builder.push(field.name, field.raw_value).map_err(malformed)?;
        }
        for name in missing {
            let value = match *name {
                "Date" => self.date(),
                _ => self.message_id(domain),
            };
            builder.push(name, &value).map_err(malformed)?;
        }
        headers.with_message_header(manifest, builder.finish().map_err(malformed)?).map_err(malformed)
    }

    fn date(&self) -> String {
        let now_ms = i64::try_from(self.now_ms()).unwrap_or_default();
        let now = Timestamp::from_millisecond(now_ms).unwrap_or(Timestamp::UNIX_EPOCH);
        rfc2822::DateTimePrinter::new().timestamp_to_string(&now).unwrap_or_default()
    }

    fn message_id(&self, domain: &Domain) -> String {
        let random: String =
            self.fresh_cookie().as_bytes()[..12].iter().map(|octet| format!("{octet:02x}")).collect();
        format!("<{random}@{domain}>")
    }
}

fn missing_fields(headers: &Headers) -> Vec<&'static str> {
    ["Date", "Message-Id"].into_iter().filter(|name| headers.message().first(name).is_none()).collect()
}

/// The author of a message: the one address in its one From field; `None` where it does not say one for sure.
pub fn author(headers: &Headers) -> Option<Address> {
    from_address(headers).ok()
}

/// The one author's address of a message.
pub(crate) fn from_address(headers: &Headers) -> Result<Address, Failure> {
    let from = headers
        .message()
        .only("From")
        .ok_or((Code::CONTENT_MALFORMED, "a message has just one From field".to_owned()))?;
    mailbox_address(&from)
        .ok_or((Code::CONTENT_MALFORMED, "the From field is not one mailbox address".to_owned()))
}

/// The address in `Name <local@domain>` or `local@domain`, `None` where there may be another one: native addresses need
/// no quoting, so outside a quoted name nothing may look like a second address, a list, a group or a comment.
pub(crate) fn mailbox_address(text: &str) -> Option<Address> {
    let text = text.trim();
    let inner = match text.strip_suffix('>') {
        Some(front) => {
            let (name, inner) = front.rsplit_once('<')?;
            if unquoted(name)?.contains(['@', '<', '>', ',', ';', ':', '(', ')']) {
                return None;
            }
            inner
        }
        None => text,
    };
    Address::from_wire(inner).or_else(|_| Address::parse(inner)).ok()
}

/// The text with its quoted strings (RFC 5322 section 3.2.4) left out; `None` where one does not end.
fn unquoted(text: &str) -> Option<String> {
    let (mut outside, mut quoted, mut escaped) = (String::new(), false, false);
    for c in text.chars() {
        match (quoted, c) {
            (true, _) if escaped => escaped = false,
            (true, '\\') => escaped = true,
            (_, '"') => quoted = !quoted,
            (true, _) => {}
            (false, c) => outside.push(c),
        }
    }
    (!quoted).then_some(outside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_mailbox_is_found() {
        let check = |text: &str, address: Option<&str>| {
            assert_eq!(
                mailbox_address(text).map(|found| found.to_string()),
                address.map(str::to_owned),
                "{text}"
            );
        };
        check("alice@north.test", Some("alice@north.test"));
        check("Alice <alice@north.test>", Some("alice@north.test"));
        check("\"eve@evil.test\" <alice@north.test>", Some("alice@north.test"));
        check("<alice@north.test> <eve@evil.test>", None);
        check("\"Smith, \\\"A\\\"\" <alice@north.test>", Some("alice@north.test"));
        check("\"open <alice@north.test>", None);
        check("eve@evil.test <alice@north.test>", None);
        check("friends: Alice <alice@north.test>", None);
        check("(eve@evil.test) <alice@north.test>", None);
        check("Eve <eve@evil.test>, Alice <alice@north.test>", None);
        check("alice@north.test, eve@evil.test", None);
        check("Alice <alice@north.test>, Eve <eve@evil.test>", None);
        check("nobody", None);
        check("", None);
    }
}
