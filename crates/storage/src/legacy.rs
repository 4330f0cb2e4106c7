//! The words of the old world: who brought a message over SMTP, small records of the gateway, notices that are due.

use std::net::IpAddr;

use message::Identity;
use message::address::{Address, Domain};

use crate::{EnvelopeId, Passage};

/// Who brought a message over SMTP, and what stands beside it. Nothing of it is in the message: its octets are as they
/// came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyOrigin {
    /// From where.
    pub client: IpAddr,
    /// The address in MAIL FROM; `None` for `<>`.
    pub return_path: Option<Address>,
    /// Whether the return path is proved, so that a notice may be sent there.
    pub verified: bool,
    /// The author's domain, where it is proved.
    pub author: Option<Domain>,
    /// The Received field that our gateway wrote, whole, with its CRLF; at most
    /// [`crate::limits::LEGACY_TRACE_OCTETS_MAX`] octets.
    pub received: String,
    /// The value of an Authentication-Results field (RFC 8601); the same bound.
    pub authentication_results: String,
    /// What may go on with it, and what its client wants to be told.
    pub passage: Passage,
}

impl LegacyOrigin {
    /// `smtp:` and the domain of the return path where that is proved, else `smtp:[`, the address and `]`.
    pub fn holder(&self) -> String {
        let path = self.return_path.as_ref().filter(|_| self.verified);
        LegacyOrigin::holder_of(self.client, path.map(Address::domain))
    }

    /// The same of a client and the domain of its return path where that is proved.
    pub fn holder_of(client: IpAddr, proved: Option<&Domain>) -> String {
        proved.map_or_else(|| format!("smtp:[{client}]"), |domain| format!("smtp:{domain}"))
    }

    /// The fields that belong before the message where it leaves for a mailbox of the old world: Return-Path (RFC 5321
    /// section 4.4), Authentication-Results (RFC 8601 section 4) and Received, each ended with CRLF. keeps: STA-20
    pub fn trace(&self) -> String {
        let path = self.return_path.as_ref().map(Address::to_string).unwrap_or_default();
        let mut trace = format!("Return-Path: <{path}>\r\n");
        if !self.authentication_results.trim().is_empty() {
            trace.push_str(&field(&format!("Authentication-Results: {}", self.authentication_results)));
        }
        if self.received.starts_with("Received:") {
            trace.push_str(&field(&self.received));
        }
        trace
    }

    /// Where a notice of failure may be sent: to a return path that is proved, and nowhere else. keeps: STA-13
    pub fn notice_to(&self) -> Option<&Address> {
        self.return_path.as_ref().filter(|_| self.verified)
    }
}

/// One field, folded where its text is: no line of it can be read as another field.
fn field(text: &str) -> String {
    let lines: Vec<&str> = text.split(['\r', '\n']).map(str::trim).filter(|line| !line.is_empty()).collect();
    format!("{}\r\n", lines.join("\r\n\t"))
}

/// A small record of the gateway, which alone knows what it means. Kind 0 is the node's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyRecord {
    /// What it is about.
    pub kind: u8,
    /// Its key within its kind, 1 to [`crate::limits::LEGACY_KEY_OCTETS_MAX`] octets.
    pub key: Vec<u8>,
    /// What it says, at most [`crate::limits::LEGACY_VALUE_OCTETS_MAX`] octets.
    pub value: Vec<u8>,
    /// When it goes, in Unix milliseconds; [`u64::MAX`] for never. Until it is swept it is still read: who reads looks
    /// at this.
    pub expires_at_ms: u64,
}

/// One change of those records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LegacyChange {
    /// Writes a record, in place of what was.
    Put(LegacyRecord),
    /// Removes one; none is none.
    Remove {
        /// What it is about.
        kind: u8,
        /// Its key.
        key: Vec<u8>,
    },
}

/// A failure of which a legacy sender is to be told: responsibility had been taken for the recipient, and it was refused
/// or expired later. It is written in the transaction that settled the recipient, and stays until it is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeDue {
    /// Its number, never given out twice.
    pub id: u64,
    /// The envelope.
    pub envelope: EnvelopeId,
    /// Which message.
    pub identity: Identity,
    /// For whom it was.
    pub recipient: Address,
    /// To whom the notice goes.
    pub return_path: Address,
    /// What became of it: refused with code and text, or expired; accepted or relayed where the sender wanted to hear of that.
    pub disposition: message::Disposition,
    /// When the message was accepted, in Unix milliseconds.
    pub received_at_ms: u64,
    /// The first octets of the header block of the message, whole lines, at most
    /// [`crate::limits::NOTICE_HEADER_OCTETS_MAX`]: the message itself may be gone.
    pub header: Vec<u8>,
    /// The recipient as the sender named it: the type, a semicolon and the address (RFC 3461 section 4.2).
    pub original: Option<String>,
    /// The identifier that the sender gave the transaction (RFC 3461 section 4.4).
    pub envelope_id: Option<String>,
    /// The account in whose mailbox it is put, where it is about what that account has submitted: then it is sent nowhere.
    pub account: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Passage;

    /// proves: STA-20
    #[test]
    fn the_trace_is_three_fields_and_no_more() {
        let check = |return_path: Option<&str>, results: &str, received: &str, expected: &str| {
            let origin = LegacyOrigin {
                client: IpAddr::from([192, 0, 2, 1]),
                return_path: return_path.map(|text| Address::from_wire(text).unwrap()),
                verified: false,
                author: None,
                received: received.to_owned(),
                authentication_results: results.to_owned(),
                passage: Passage::default(),
            };
            assert_eq!(origin.trace(), expected);
        };
        check(None, "", "", "Return-Path: <>\r\n");
        check(
            Some("bob@old.test"),
            "here.test; spf=pass",
            "Received: from old.test\r\n\tby here.test\r\n",
            "Return-Path: <bob@old.test>\r\nAuthentication-Results: here.test; spf=pass\r\n\
             Received: from old.test\r\n\tby here.test\r\n",
        );
        // Whatever a client has got into them, nothing becomes a field of its own.
        check(
            None,
            "here.test;\nSubject: evil\r\n\r\nbody",
            "X: y",
            "Return-Path: <>\r\nAuthentication-Results: here.test;\r\n\tSubject: evil\r\n\tbody\r\n",
        );
    }
}
