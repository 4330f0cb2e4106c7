//! The words of forwarding: the records of a forwarder, and the grants of a target (`spec/22-forwarding.md`).

use message::address::{Address, Domain};

use crate::{Error, Wait};

/// Where a forwarder stands with a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardState {
    /// The target was asked and has not granted it: what comes waits.
    Waiting,
    /// The target has granted it: what comes goes on as it came.
    Granted,
    /// It goes on without a grant, under a sender that is rewritten.
    Rewriting,
    /// The final recipient or the operator has ended it: what comes is refused.
    Deleted,
}

impl ForwardState {
    /// The word for people, which is what is stored.
    pub fn word(self) -> &'static str {
        match self {
            ForwardState::Waiting => "waiting",
            ForwardState::Granted => "granted",
            ForwardState::Rewriting => "rewriting",
            ForwardState::Deleted => "deleted",
        }
    }

    /// What this word means.
    pub fn from_word(word: &str) -> Option<ForwardState> {
        [ForwardState::Waiting, ForwardState::Granted, ForwardState::Rewriting, ForwardState::Deleted]
            .into_iter()
            .find(|state| state.word() == word)
    }
}

/// One way from an address of ours, the alias, to a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardRecord {
    /// The address of ours, folded.
    pub alias: Address,
    /// Where it leads.
    pub target: Address,
    /// How it stands.
    pub state: ForwardState,
    /// Since when it stands so, in Unix milliseconds.
    pub since_ms: u64,
    /// When it was made, in Unix milliseconds.
    pub made_at_ms: u64,
    /// What stands for the question to the target; only the target learns it.
    pub ask: [u8; 32],
    /// What lets the final recipient see, change and end this record.
    pub credential: [u8; 32],
    /// Whether the target's address is kept from senders.
    pub conceal: bool,
    /// Whether it goes on with a rewritten sender where the target grants nothing.
    pub rewrite: bool,
    /// Whether what comes over SMTP goes on over SMTP under the sender that it came with, where the target has granted it.
    pub keep_sender: bool,
    /// The number under which the target has granted it.
    pub authorization: Option<String>,
    /// When the target was asked last, in Unix milliseconds.
    pub asked_at_ms: Option<u64>,
    /// When it is asked next, in Unix milliseconds; `None` where there is nothing to ask.
    pub ask_again_at_ms: Option<u64>,
    /// What came of asking last, for people; at most [`crate::limits::TEXT_OCTETS_MAX`] octets.
    pub note: String,
    /// Reports of abuse that have come for it.
    pub complaints: u64,
}

/// Where a target stands with a forwarder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantState {
    /// Pre-authorized: the forwarder has asked, and somebody is to decide.
    Asked,
    /// Granted in full.
    Granted,
    /// Not granted, or not any more.
    Refused,
}

impl GrantState {
    /// The word for people, which is what is stored.
    pub fn word(self) -> &'static str {
        match self {
            GrantState::Asked => "asked",
            GrantState::Granted => "granted",
            GrantState::Refused => "refused",
        }
    }

    /// What this word means.
    pub fn from_word(word: &str) -> Option<GrantState> {
        [GrantState::Asked, GrantState::Granted, GrantState::Refused]
            .into_iter()
            .find(|state| state.word() == word)
    }
}

/// What a target has to do with one forwarder and one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRecord {
    /// The number of the authorization; 0 is given a new one when it is written.
    pub number: u64,
    /// The envelope recipient here, folded.
    pub recipient: Address,
    /// Who forwards.
    pub forwarder: Domain,
    /// How it stands.
    pub state: GrantState,
    /// Since when it stands so, in Unix milliseconds.
    pub since_ms: u64,
    /// Whether nobody had to be asked.
    pub automatic: bool,
    /// Who has decided: the name of an account, `operator`, or the rule.
    pub by: String,
    /// What the forwarder's question stands for.
    pub ask: Option<[u8; 32]>,
    /// The address from which it forwards, where it says so.
    pub alias: Option<String>,
    /// The page of the forwarder's record, with the credential of the final recipient.
    pub page: Option<String>,
    /// Whether the forwarder wants reports of abuse, and where they go.
    pub complaints_to: Option<String>,
    /// Whether reports of abuse are sent.
    pub complain: bool,
}

/// The verbs of forwarding.
pub trait ForwardingStore {
    /// Writes a way from an alias to a target, in place of what was.
    ///
    /// # Errors
    /// [`Error::Bound`] where the alias has [`crate::limits::FORWARDS_PER_ALIAS_MAX`] targets already, or a text is too
    /// long; [`Error::Taken`] where an account has the alias, or another record one of the two secrets.
    fn put_forward(&self, record: ForwardRecord) -> Wait<'_, ()>;

    /// The way from this alias to this target.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn forward(&self, alias: &Address, target: &Address) -> Result<Option<ForwardRecord>, Error>;

    /// All ways from an alias, those that have ended among them.
    ///
    /// # Errors
    /// Where they cannot be read: nobody may take an alias for another address than it is.
    fn forwards_of(&self, alias: &Address) -> Result<Vec<ForwardRecord>, Error>;

    /// The record with this question or this credential: one look by the digest of the secret.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn forward_by_secret(&self, secret: &[u8; 32]) -> Result<Option<ForwardRecord>, Error>;

    /// Ways in the order of aliases and targets, after the given one.
    ///
    /// # Errors
    /// Where the store cannot be read.
    fn forwards(
        &self,
        after: Option<(&Address, &Address)>,
        limit: usize,
    ) -> Result<Vec<ForwardRecord>, Error>;

    /// Forgets a way altogether.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none.
    fn remove_forward(&self, alias: &Address, target: &Address) -> Wait<'_, ()>;

    /// Writes what a target has to do with a forwarder, and returns the number of the authorization.
    ///
    /// # Errors
    /// [`Error::Bound`] where the recipient has [`crate::limits::GRANTS_PER_RECIPIENT_MAX`] about which somebody has
    /// decided. The oldest of those that were only asked for make room.
    fn put_grant(&self, record: GrantRecord) -> Wait<'_, u64>;

    /// What this recipient has to do with this forwarder: one look.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn grant(&self, recipient: &Address, forwarder: &Domain) -> Result<Option<GrantRecord>, Error>;

    /// Grants in the order of recipients and forwarders, of one recipient or of all, after the given one.
    ///
    /// # Errors
    /// Where the store cannot be read.
    fn grants(
        &self,
        recipient: Option<&Address>,
        after: Option<(&Address, &Domain)>,
        limit: usize,
    ) -> Result<Vec<GrantRecord>, Error>;

    /// Forgets what a recipient has to do with a forwarder: it may ask anew.
    ///
    /// # Errors
    /// [`Error::NotFound`] where nothing is written.
    fn remove_grant(&self, recipient: &Address, forwarder: &Domain) -> Wait<'_, ()>;
}
