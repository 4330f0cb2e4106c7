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
    /// Its devices.
    pub devices: Vec<DeviceRecord>,
    /// Whether it may not be used.
    pub disabled: bool,
}

impl fmt::Debug for AccountRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountRecord")
            .field("name", &self.name)
            .field("addresses", &self.addresses)
            .field("password_hash", &self.password_hash.as_ref().map(|_| "not shown"))
            .field("devices", &self.devices)
            .field("disabled", &self.disabled)
            .finish()
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
