//! What a user is shown of dispositions, status and messages: for programs and for people.

use anstyle::Style;
use message::address::Address;
use message::{Disposition, Headers, Manifest, Part, Seal};
use protocol::{SealWords, StatusRecipient, StatusRecord};
use serde::Serialize;
use translate::file_name;

use crate::Error;
use crate::output::{BAD, FAINT, GOOD, Output, STRONG, WAITING, clean, paint, size, time};

/// What became of a message for one recipient.
#[derive(Serialize)]
pub(super) struct RecipientObject {
    address: String,
    disposition: &'static str,
    #[serde(rename = "final")]
    is_final: bool,
    code: Option<String>,
    text: Option<String>,
    /// Of a pending one: when waiting ends.
    until_ms: Option<u64>,
}

impl RecipientObject {
    pub(super) fn new(address: &Address, disposition: &Disposition) -> RecipientObject {
        let (code, text) = match disposition {
            Disposition::Refused { code, text } => (Some(code.to_string()), Some(text.clone())),
            Disposition::Deferred { code, .. } => (Some(code.to_string()), None),
            _ => (None, None),
        };
        let until_ms = match disposition {
            Disposition::Pending { until, .. } => Some(until.saturating_mul(1000)),
            _ => None,
        };
        RecipientObject {
            address: address.to_string(),
            disposition: disposition.word(),
            is_final: disposition.is_final(),
            code,
            text,
            until_ms,
        }
    }
}

/// One status record.
#[derive(Serialize)]
pub(super) struct StatusObject {
    number: u64,
    id: String,
    at_ms: u64,
    release_at_ms: Option<u64>,
    #[serde(rename = "final")]
    is_final: bool,
    recipients: Vec<RecipientObject>,
    attempts: Vec<AttemptObject>,
}

#[derive(Serialize)]
struct AttemptObject {
    at_ms: u64,
    host: String,
    step: String,
    code: Option<String>,
    text: String,
}

impl StatusObject {
    pub(super) fn new(record: &StatusRecord) -> StatusObject {
        let recipients = record.recipients.iter();
        let attempts = record.attempts.iter().map(|attempt| AttemptObject {
            at_ms: attempt.at_ms,
            host: attempt.host.clone(),
            step: attempt.step.clone(),
            code: attempt.code.map(|code| code.to_string()),
            text: attempt.text.clone(),
        });
        StatusObject {
            number: record.number,
            id: record.identity.to_string(),
            at_ms: record.at_ms,
            release_at_ms: Some(record.release_at_ms).filter(|at| *at != 0),
            is_final: is_final(record),
            recipients: recipients.map(|one| RecipientObject::new(&one.address, &one.disposition)).collect(),
            attempts: attempts.collect(),
        }
    }
}

/// What is waited for, where something is pending and all recipients are at one domain: an attempt does not say for whom it
/// was made.
pub(super) fn waits(record: &StatusRecord) -> Option<String> {
    let pending = |one: &StatusRecipient| matches!(one.disposition, Disposition::Pending { .. });
    let first = record.recipients.iter().find(|one| pending(one))?;
    if record.recipients.iter().any(|one| one.address.domain() != first.address.domain()) {
        return None;
    }
    let last = record.attempts.last()?;
    Some(match last.code {
        Some(code) => format!("not delivered yet: {} ({code})", clean(&last.text)),
        None => "the recipient's node has it, and waits for a decision there".to_owned(),
    })
}

/// Whether nothing more will change.
pub(super) fn is_final(record: &StatusRecord) -> bool {
    record.recipients.iter().all(|one| one.disposition.is_final())
}

/// Whether the message did not arrive, and will not without the user's doing.
pub(super) fn is_bad(disposition: &Disposition) -> bool {
    match disposition {
        Disposition::Accepted | Disposition::Relayed => false,
        Disposition::Pending { .. } | Disposition::Redirected(_) => false,
        Disposition::Refused { .. } | Disposition::Deferred { .. } => true,
        Disposition::Withdrawn | Disposition::Expired => true,
    }
}

/// A recipient on one line.
pub(super) fn recipient_line(address: &Address, disposition: &Disposition) -> String {
    let word = format!("{:<9}", disposition.word());
    let line = format!("{} {}", paint(style(disposition), &word), clean(&address.to_unicode()));
    match details(disposition) {
        details if details.is_empty() => line,
        details => format!("{line}  {details}"),
    }
}

/// What there is to say of a disposition beside its word.
pub(super) fn details(disposition: &Disposition) -> String {
    match disposition {
        Disposition::Refused { code, text } => format!("{} ({code})", clean(text)),
        Disposition::Pending { until, .. } => format!("tried until {}", time(until.saturating_mul(1000))),
        Disposition::Deferred { code, after_seconds } => {
            format!("nothing was kept ({code}); send again in {after_seconds} s or later")
        }
        Disposition::Relayed => "handed to a legacy server; no more is known".to_owned(),
        _ => String::new(),
    }
}

fn style(disposition: &Disposition) -> Style {
    match disposition {
        Disposition::Accepted => GOOD,
        other if is_bad(other) => BAD,
        _ => WAITING,
    }
}

/// The tree of parts, one line for each.
pub(super) fn tree(manifest: &Manifest, headers: Option<&Headers>) -> Vec<String> {
    let mut lines = Vec::new();
    walk(manifest.root(), 0, &mut 0, &mut |number, depth, part| {
        let name = headers.and_then(|headers| headers.parts().get(number)).and_then(file_name);
        let what = match part.leaf() {
            Some(_) => size(part.octets),
            None => format!("{} parts", part.children().len()),
        };
        let name = name.map(|name| format!("  {}", clean(&name))).unwrap_or_default();
        let kind = clean(&part.media_type);
        lines.push(format!("{:indent$}{number}  {kind}  {what}{name}", "", indent = 2 + 2 * depth));
    });
    lines
}

/// Visits every part with its number and its depth, the root having depth 0.
pub(super) fn walk(
    part: &Part,
    depth: usize,
    number: &mut usize,
    visit: &mut impl FnMut(usize, usize, &Part),
) {
    visit(*number, depth, part);
    *number += 1;
    for child in part.children() {
        walk(child, depth + 1, number, visit);
    }
}

/// One seal, as it claims to be.
#[derive(Serialize)]
pub(super) struct SealObject {
    pub(super) issuer: String,
    pub(super) role: &'static str,
    pub(super) issued_at_ms: u64,
    pub(super) expires_at_ms: Option<u64>,
    pub(super) key: String,
    pub(super) submitter: Option<String>,
    /// What a gateway has checked, and what it has found.
    pub(super) checks: Vec<(String, String)>,
    /// `verified`, `failed` or `not-checked`.
    pub(super) state: &'static str,
    pub(super) reason: Option<String>,
}

impl SealObject {
    pub(super) fn new(seal: &Seal, state: &'static str, reason: Option<String>) -> SealObject {
        let claims = seal.claims();
        SealObject {
            issuer: claims.issuer.clone(),
            role: claims.role.word(),
            issued_at_ms: claims.issued_at.saturating_mul(1000),
            expires_at_ms: claims.expires_at.map(|at| at.saturating_mul(1000)),
            key: key_name(seal),
            submitter: claims.submitter.clone(),
            checks: claims.checks.clone(),
            state,
            reason,
        }
    }

    pub(super) fn line(&self) -> String {
        let style = match self.state {
            "verified" => GOOD,
            "failed" => BAD,
            _ => FAINT,
        };
        let mut line = format!(
            "  {}  {} by {} at {}",
            paint(style, self.state),
            self.role,
            clean(&self.issuer),
            time(self.issued_at_ms)
        );
        if let Some(submitter) = &self.submitter {
            line.push_str(&format!(", for {}", clean(submitter)));
        }
        if !self.checks.is_empty() {
            let words =
                self.checks.iter().map(|(method, result)| format!("{} {}", clean(method), clean(result)));
            line.push_str(&format!(", found: {}", words.collect::<Vec<_>>().join(", ")));
        }
        if let Some(reason) = &self.reason {
            line.push_str(&format!("  ({})", clean(reason)));
        }
        line
    }
}

/// The name of the key: text where it is one, else hexadecimal digits.
pub(super) fn key_name(seal: &Seal) -> String {
    match std::str::from_utf8(seal.key_name()) {
        Ok(text) if !text.is_empty() && text.bytes().all(|c| c.is_ascii_graphic()) => text.to_owned(),
        _ => data_encoding::HEXLOWER.encode(seal.key_name()),
    }
}

/// The fields that a reader looks at first.
pub(super) fn print_header(headers: &Headers, output: &mut Output) -> Result<(), Error> {
    for name in ["From", "To", "Cc", "Date", "Subject"] {
        for field in headers.message().fields().filter(|field| field.is(name)) {
            output.line(&format!("{} {}", paint(STRONG, &format!("{name}:")), clean(&field.value())))?;
        }
    }
    Ok(())
}

/// What the node found of the seals when the message came.
pub(super) fn seal_words(seals: &[SealWords]) -> String {
    let words = seals.iter().map(|seal| {
        let (style, word) = if seal.verified { (GOOD, "verified") } else { (BAD, "not verified") };
        format!("{} {} {}", clean(&seal.role), clean(&seal.issuer), paint(style, word))
    });
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use message::{Code, Cookie, Identity};
    use protocol::StatusAttempt;

    use super::*;

    /// proves: STA-22
    #[test]
    fn what_waits_is_said_in_words() {
        let pending = || Disposition::Pending {
            cookie: Cookie::from_bytes([0; 32]),
            min_seconds: 1,
            max_seconds: 2,
            until: 3,
        };
        let check =
            |to: &[(&str, Disposition)], last: Option<(Option<Code>, &str)>, expected: Option<&str>| {
                let recipient = |(address, disposition): &(&str, Disposition)| StatusRecipient {
                    address: Address::from_wire(address).unwrap(),
                    disposition: disposition.clone(),
                };
                let attempt = |(code, text): (Option<Code>, &str)| StatusAttempt {
                    at_ms: 1,
                    host: "mx.south.test".to_owned(),
                    step: "offer".to_owned(),
                    code,
                    text: text.to_owned(),
                };
                let record = StatusRecord {
                    number: 1,
                    identity: Identity::from_bytes([1; 32]),
                    at_ms: 1,
                    release_at_ms: 0,
                    recipients: to.iter().map(recipient).collect(),
                    attempts: last.into_iter().map(attempt).collect(),
                };
                assert_eq!(waits(&record).as_deref(), expected);
            };
        let bob = || ("bob@south.test", pending());
        let refused = Some((Some(Code::new(4, 4, 1)), "connection\u{202e} refused"));
        let not_yet = "not delivered yet: connection\u{fffd} refused (4.4.1)";
        check(&[bob()], refused, Some(not_yet));
        let decision = "the recipient's node has it, and waits for a decision there";
        check(&[bob()], Some((None, "answered")), Some(decision));
        check(&[bob()], None, None);
        check(&[("bob@south.test", Disposition::Accepted)], Some((None, "answered")), None);
        check(&[bob(), ("wanda@west.test", Disposition::Accepted)], refused, None);
    }
}
