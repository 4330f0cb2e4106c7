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
    /// What its reader has to do with its author; absent where nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<AuthorView>,
}

/// What the reader of a message has to do with its author, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AuthorView {
    /// `known`, `trusted` or `blocked`; absent for a stranger.
    pub regard: Option<String>,
    /// The address or domain that this is said of.
    pub regard_of: Option<String>,
    /// Since when, in Unix milliseconds.
    pub since_ms: Option<u64>,
    /// Whether the reader has had letters of the author before.
    pub earlier: EarlierLetters,
    /// What a reader should look at twice, one sentence each.
    pub warnings: Vec<String>,
}

/// Whether there were letters of an author before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EarlierLetters {
    /// Nobody looked, or its author is not known for sure.
    #[default]
    Unknown,
    /// There were.
    Some,
    /// There was none: this is the first.
    None,
    /// There was none among so many of the last letters; those before them were not looked through.
    NoneAmong(u32),
}

/// What was found of one seal when a message came.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SealView {
    /// Who set it: an address or a domain.
    pub issuer: String,
    /// In what capacity: `author`, `submission`, `forwarder`, `list`, `gateway`, `vouch` or `unknown`.
    pub role: String,
    /// Whether it was verified with the issuer's key.
    pub verified: bool,
    /// What it calls its key: the selector of a domain's key, or the short name of an author's own. Empty where that is
    /// not known here.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key_name: String,
    /// Of a seal of the author: what was found of the key, such as `first`, `known`, `broken`; absent of other seals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author_key: Option<String>,
    /// The same as its reader is told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// The key by which it was verified: the first 16 octets of its BLAKE3 digest, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
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
    /// The Subject field, as far as it is kept.
    pub subject: Option<String>,
    /// When it goes out, where that is still to come.
    pub release_at_ms: Option<u64>,
}
