//! What a user sees of the own mail. Who asks for an account speaks for it: whoever asks on somebody's behalf has checked
//! that. Texts that came from a sender are as they came: whoever shows them cleans them.

use serde::{Deserialize, Serialize};

use crate::EnvelopeView;

/// One message of a mailbox, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MailView {
    /// Its number in the mailbox.
    pub number: u64,
    /// Its identity.
    pub identity: String,
    /// The address of the account that it came to.
    pub recipient: String,
    /// When it came.
    pub received_at_ms: u64,
    /// Who handed it in: an account or a peer, as `account:NAME` or a domain.
    pub origin: String,
    /// Whether it was read.
    pub seen: bool,
    /// Octets of the whole message.
    pub octets: u64,
    /// The From field.
    pub from: Option<String>,
    /// The Subject field.
    pub subject: Option<String>,
    /// How many parts are files rather than text to be read.
    pub attachments: u32,
    /// What was found of its seals when it came.
    pub seals: Vec<SealView>,
}

/// What was found of one seal when a message came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealView {
    /// Who set it: an address or a domain.
    pub issuer: String,
    /// In what capacity: `author`, `submission`, `forwarder`, `list`, `gateway`, `vouch` or `unknown`.
    pub role: String,
    /// Whether it was verified with the issuer's key.
    pub verified: bool,
}

/// One message as it is read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MailDetailView {
    /// What the list shows of it.
    pub mail: MailView,
    /// The fields of its header in their order, at most [`crate::limits::FIELDS_MAX`]: name and value.
    pub fields: Vec<(String, String)>,
    /// The text of its first plain text part, cut at [`crate::limits::TEXT_SHOWN_OCTETS_MAX`].
    pub text: Option<String>,
    /// Its first part of HTML as it came, not made harmless, cut at the same bound.
    pub html: Option<String>,
    /// Whether text or HTML goes on after the bound.
    pub cut: bool,
    /// Its parts that hold octets, in their order.
    pub parts: Vec<PartView>,
    /// What a reader should look at twice, one sentence each.
    pub warnings: Vec<String>,
}

/// One part that holds octets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartView {
    /// Its number in the message.
    pub number: u32,
    /// Its media type.
    pub media_type: String,
    /// Octets of it.
    pub octets: u64,
    /// The name that its sender gave it, for display alone.
    pub name: Option<String>,
    /// Whether its octets are here.
    pub here: bool,
    /// Whether it is the text or the HTML that is read.
    pub shown: bool,
}

/// A message that an account has sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentView {
    /// What has become of it; with attempts only where one message was asked for.
    pub envelope: EnvelopeView,
    /// The Subject field, as long as the message is here.
    pub subject: Option<String>,
    /// When it goes out, where that is still to come.
    pub release_at_ms: Option<u64>,
}
