//! What forwarder and target keep, as the gateway sees it.

use message::address::{Address, Domain};

use crate::Later;

/// Where a forwarder stands with a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The target has not granted it.
    Waiting,
    /// It has.
    Granted,
    /// It goes on without, with a rewritten sender.
    Rewriting,
    /// It has ended.
    Deleted,
}

impl State {
    /// The word for people and programs.
    pub fn word(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Granted => "granted",
            State::Rewriting => "rewriting",
            State::Deleted => "deleted",
        }
    }
}

/// A forwarder's record: from an alias to a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The address that is forwarded.
    pub alias: Address,
    /// Where to.
    pub target: Address,
    /// How it stands.
    pub state: State,
    /// Since when, in Unix milliseconds.
    pub since_ms: u64,
    /// What stands for the question to the target.
    pub ask: [u8; 32],
    /// What the final recipient has.
    pub credential: [u8; 32],
    /// Whether the target is kept from senders, and the alias from the target.
    pub conceal: bool,
    /// Whether it goes on with a rewritten sender where the target cannot be asked.
    pub rewrite: bool,
    /// The number of the grant.
    pub authorization: Option<String>,
    /// Reports of abuse that have come.
    pub complaints: u64,
    /// What came of asking last.
    pub note: String,
}

/// What a final recipient changes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The target is kept from senders.
    Conceal,
    /// It is not.
    Reveal,
    /// It ends.
    Delete,
    /// What had ended goes on, once the target has granted it anew.
    Resume,
}

impl Change {
    /// What this word means.
    pub fn from_word(word: &str) -> Option<Change> {
        match word {
            "conceal" => Some(Change::Conceal),
            "reveal" => Some(Change::Reveal),
            "delete" => Some(Change::Delete),
            "resume" => Some(Change::Resume),
            _ => None,
        }
    }
}

/// What came of asking a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// How the record stands now.
    pub state: State,
    /// The number of the grant.
    pub authorization: Option<String>,
    /// When to ask again, in Unix milliseconds; `None` where nothing is to be asked any more.
    pub again_at_ms: Option<u64>,
    /// For people.
    pub note: String,
}

/// What a target has to do with a forwarder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The number; 0 where it is new.
    pub number: u64,
    /// The recipient.
    pub recipient: Address,
    /// Who forwards.
    pub forwarder: Domain,
    /// `Waiting` where somebody is to decide, `Granted`, or `Deleted` where it was refused or taken back.
    pub state: State,
    /// Whether nobody was asked.
    pub automatic: bool,
    /// Who has decided.
    pub by: String,
    /// The question.
    pub ask: Option<[u8; 32]>,
    /// From which address it is forwarded, where that is said.
    pub alias: Option<String>,
    /// The forwarder's page of its record.
    pub page: Option<String>,
    /// Where reports of abuse go.
    pub complaints_to: Option<String>,
    /// Whether they are sent.
    pub complain: bool,
}

/// Who forwards to an alias, and where its record can be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Who forwards.
    pub forwarder: Domain,
    /// The page.
    pub page: Option<String>,
}

/// Why a record could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the records of forwarding: {0}")]
pub struct BookError(pub String);

/// Who keeps the records of forwarding. What is written is durable when it is answered.
pub trait Book: Send + Sync + 'static {
    /// The record with this question; one look, by its digest.
    ///
    /// # Errors
    /// Where it cannot be read; the same for all that follow.
    fn way_by_ask(&self, ask: &[u8; 32]) -> Result<Option<Way>, BookError>;

    /// The record with this credential; one look, by its digest.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn way_by_credential(&self, credential: &[u8; 32]) -> Result<Option<Way>, BookError>;

    /// The final recipient has changed something.
    fn change(&self, way: Way, change: Change) -> Later<'_, Result<(), BookError>>;

    /// A target was asked.
    fn decided(&self, way: Way, verdict: Verdict) -> Later<'_, Result<(), BookError>>;

    /// A report of abuse has come.
    fn complained(&self, way: Way) -> Later<'_, Result<(), BookError>>;

    /// Who forwards to this address of ours under a grant.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn upstream(&self, alias: &Address) -> Result<Vec<Upstream>, BookError>;

    /// Whether mail for this address is taken here.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn takes(&self, recipient: &Address) -> Result<bool, BookError>;

    /// Whether the recipient trusts this domain.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn trusts(&self, recipient: &Address, forwarder: &Domain) -> Result<bool, BookError>;

    /// What this recipient has to do with this forwarder.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn grant(&self, recipient: &Address, forwarder: &Domain) -> Result<Option<Grant>, BookError>;

    /// Writes a grant, and returns its number.
    fn put_grant(&self, grant: Grant) -> Later<'_, Result<u64, BookError>>;
}
