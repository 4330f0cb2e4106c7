//! The words of users' keys: statements and their log, what is pinned of correspondents, and heads of other logs
//! (`spec/24-keys.md`).

use message::address::{Address, Domain};
use message::keys::{KeyRecord, Pin, SeenHead, TreeHead, tree::Hash};

use crate::{Error, Wait};

/// One statement of a user of ours, as its log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementRecord {
    /// The statement with its signatures, which is the leaf.
    pub record: KeyRecord,
    /// Its place in the log of its domain.
    pub leaf: u64,
    /// When it was taken, in Unix milliseconds.
    pub at_ms: u64,
}

/// What is pinned for an account of the keys of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinRecord {
    /// Whose pin: the name of the account.
    pub account: String,
    /// Of whom.
    pub address: Address,
    /// The keys.
    pub pin: Pin,
    /// Since when, in Unix milliseconds.
    pub since_ms: u64,
}

/// The head of another domain's log that was seen last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadRecord {
    /// The head, whose signature was checked.
    pub head: TreeHead,
    /// When it was seen, in Unix milliseconds.
    pub seen_at_ms: u64,
    /// A head that the same domain has signed and that does not fit to it: both together are the proof.
    pub contradicted_by: Option<TreeHead>,
}

/// The verbs of users' keys.
pub trait KeyStore {
    /// Adds a record to the log of its domain and to the statements of its address, and returns its place in the log. In all
    /// spellings that fold into this one there must be as many as were `stated`.
    ///
    /// # Errors
    /// [`Error::Taken`] where there are more or fewer; [`Error::Bound`] past [`message::limits::KEY_CHAIN_MAX`].
    fn publish_key(&self, record: KeyRecord, folded: Address, stated: usize, now_ms: u64) -> Wait<'_, u64>;

    /// When the statements of an address in folded form were taken, in whatever spelling, the oldest first.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn stated(&self, folded: &Address) -> Result<Vec<u64>, Error>;

    /// All statements of an address, the oldest first: the same look whether there are any or not.
    ///
    /// # Errors
    /// Where one of them cannot be read: a chain with a gap is none.
    fn key_statements(&self, address: &Address) -> Result<Vec<StatementRecord>, Error>;

    /// How many statements are in the log of a domain of ours.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn key_log_size(&self, domain: &Domain) -> Result<u64, Error>;

    /// The node of a full subtree of the log of a domain of ours.
    ///
    /// # Errors
    /// [`Error::NotFound`] where that is not full yet.
    fn key_log_node(&self, domain: &Domain, level: u32, place: u64) -> Result<Hash, Error>;

    /// Writes what is pinned, in place of what was. Where an account has as many as it may, what is new is left out: what is
    /// pinned never goes to make room.
    fn put_pins(&self, records: Vec<PinRecord>) -> Wait<'_, ()>;

    /// What is pinned for this account of this address.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn pin(&self, account: &str, address: &Address) -> Result<Option<PinRecord>, Error>;

    /// What is pinned for an account, after the given address, in the order of the addresses.
    ///
    /// # Errors
    /// Where the store cannot be read.
    fn pins(&self, account: &str, after: Option<&Address>, limit: usize) -> Result<Vec<PinRecord>, Error>;

    /// Forgets what is pinned.
    ///
    /// # Errors
    /// [`Error::NotFound`] where nothing is.
    fn remove_pin(&self, account: &str, address: &Address) -> Wait<'_, ()>;

    /// Writes the head of another domain's log, which was held against the one that was `seen`; `false` where another one is
    /// there meanwhile, against which it was not held. What was found against a domain stays, with the head that it stands
    /// against. Where there are too many, those seen longest ago go: apart from those, the ones with a contradiction.
    fn put_head(&self, record: HeadRecord, seen: Option<SeenHead>) -> Wait<'_, bool>;

    /// The head of this domain's log that was seen last.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn head(&self, domain: &Domain) -> Result<Option<HeadRecord>, Error>;
}
