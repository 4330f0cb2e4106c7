//! The words of accounts.

use std::fmt;

use message::address::Address;

/// A user of this node. Printing it for debugging does not show the hash of the password.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountRecord {
    /// The name, unique in the store.
    pub name: String,
    /// Its addresses in folded form (the caller folds): each leads to one account only.
    pub addresses: Vec<Address>,
    /// The hash of the password in PHC form, where the account has one.
    pub password_hash: Option<String>,
    /// The keys for SCRAM-SHA-256 of the same password; an account whose password is older than these has none.
    pub scram: Option<ScramKeys>,
    /// Its devices.
    pub devices: Vec<DeviceRecord>,
    /// Whether it may not be used.
    pub disabled: bool,
    /// Whether failures of what it has submitted are told in its own mailbox, too.
    pub notices: bool,
}

impl fmt::Debug for AccountRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountRecord")
            .field("name", &self.name)
            .field("addresses", &self.addresses)
            .field("password_hash", &self.password_hash.as_ref().map(|_| "not shown"))
            .field("scram", &self.scram.as_ref().map(|_| "not shown"))
            .field("devices", &self.devices)
            .field("disabled", &self.disabled)
            .field("notices", &self.notices)
            .finish()
    }
}

/// What is kept of a password for SCRAM-SHA-256 (RFC 5802 section 3, RFC 7677). Who has it can try passwords against it, and
/// can pretend to be this node; it does not log in by itself. Not shown for debugging.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// The salt, at most [`crate::limits::SCRAM_SALT_OCTETS_MAX`] octets.
    pub salt: Vec<u8>,
    /// How many rounds.
    pub iterations: u32,
    /// StoredKey.
    pub stored_key: [u8; 32],
    /// ServerKey.
    pub server_key: [u8; 32],
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramKeys(not shown)")
    }
}

/// A device that may act for an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRecord {
    /// Its raw Ed25519 public key.
    pub public_key: [u8; 32],
    /// Its name, for people.
    pub name: String,
    /// When it was enrolled, in Unix milliseconds.
    pub enrolled_at_ms: u64,
}
