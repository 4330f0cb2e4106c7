//! The words of the mailbox.

use message::address::Address;
use message::keys::AuthorKey;
use message::{Identity, KeyId, Role};

use crate::{MailUid, Origin};

/// What was found about one seal when the message was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealNote {
    /// Who set it, an address or a domain.
    pub issuer: String,
    /// In what capacity.
    pub role: Role,
    /// Whether its signature was verified with the issuer's key.
    pub verified: bool,
    /// What the seal calls the key: the selector of a domain's key, or the short name of an author's own; at most 126
    /// octets. Empty where it was not kept.
    pub key_name: String,
    /// The key by which it was verified.
    pub key: Option<KeyId>,
    /// Of a seal of the author: what was found of the key.
    pub author_key: Option<AuthorKey>,
}

/// One message in one mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxEntry {
    /// Its number.
    pub uid: MailUid,
    /// Which message.
    pub identity: Identity,
    /// The address that led here; the first, where several did.
    pub recipient: Address,
    /// When it was put here, in Unix milliseconds.
    pub received_at_ms: u64,
    /// Who handed it in.
    pub origin: Origin,
    /// What was found about its seals.
    pub seals: Vec<SealNote>,
    /// Whether the user has seen it.
    pub seen: bool,
}
