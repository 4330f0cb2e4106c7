//! The words of the old world: who brought a message over SMTP, small records of the gateway, notices that are due.

use std::net::IpAddr;

use message::Identity;
use message::address::{Address, Domain};

use crate::EnvelopeId;

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
}

impl LegacyOrigin {
    /// `smtp:` and the domain of the return path where that is proved, else `smtp:[`, the address and `]`.
    pub fn holder(&self) -> String {
        match &self.return_path {
            Some(return_path) if self.verified => format!("smtp:{}", return_path.domain()),
            _ => format!("smtp:[{}]", self.client),
        }
    }

    /// Where a notice of failure may be sent: to a return path that is proved, and nowhere else. keeps: STA-13
    pub fn notice_to(&self) -> Option<&Address> {
        self.return_path.as_ref().filter(|_| self.verified)
    }
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
    /// What became of it: refused with code and text, or expired.
    pub disposition: message::Disposition,
    /// When the message was accepted, in Unix milliseconds.
    pub received_at_ms: u64,
    /// The first octets of the header block of the message, whole lines, at most
    /// [`crate::limits::NOTICE_HEADER_OCTETS_MAX`]: the message itself may be gone.
    pub header: Vec<u8>,
}
