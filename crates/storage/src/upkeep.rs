//! The words of upkeep: findings, exports, statistics.

use message::address::Domain;

use crate::{
    AccountRecord, CorrespondentRecord, EnvelopeRecord, ForwardRecord, GrantRecord, LegRecord, LegacyRecord,
    MailboxEntry, NoticeDue, PinRecord, StatementRecord, StoredMessage,
};

/// What kind of trouble a check has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FindingKind {
    /// A record cannot be decoded, or says another key than the one it stands under.
    Damaged,
    /// The engine itself reports damage.
    Engine,
    /// A record refers to another that is not there.
    Dangling,
    /// A record or a file that nothing refers to: a crash can leave one, and the next start removes it.
    Orphan,
    /// The file of a part is not there.
    FileMissing,
    /// The file of a part does not have its digest.
    FileDamaged,
    /// A partial transfer that waits for its resumption. Not damage.
    Staging,
    /// A counter does not agree with what it counts.
    Counter,
}

/// One finding of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind.
    pub kind: FindingKind,
    /// Which record or file, in readable form.
    pub key: String,
    /// What is wrong with it, for people.
    pub detail: String,
}

/// One item of an export.
#[derive(Debug)]
pub enum Exported {
    /// An account.
    Account(AccountRecord),
    /// A message; its parts can be opened while the export runs.
    Message(Box<StoredMessage>),
    /// An entry in a mailbox.
    Mail {
        /// Whose mailbox.
        account: String,
        /// The entry.
        entry: MailboxEntry,
    },
    /// An envelope.
    Envelope(Box<EnvelopeRecord>),
    /// Somebody whom an account knows.
    Correspondent(CorrespondentRecord),
    /// A way from an alias of ours to a target.
    Forward(Box<ForwardRecord>),
    /// What a recipient has to do with a forwarder.
    Grant(Box<GrantRecord>),
    /// A statement of a user about a key.
    Statement(Box<StatementRecord>),
    /// What is pinned of the keys of somebody.
    Pin(Box<PinRecord>),
    /// The head of another domain's log.
    Head {
        /// Whose log.
        domain: Domain,
        /// How many statements were in it.
        size: u64,
        /// Its root.
        root: [u8; 32],
        /// Whether the domain has signed another one that does not fit to it.
        contradicted: bool,
    },
    /// A leg of the queue.
    Leg(LegRecord),
    /// A record of the gateway.
    Legacy(LegacyRecord),
    /// A notice that is due to a legacy sender.
    Notice(Box<NoticeDue>),
    /// A record that cannot be read and is left out.
    Skipped(Finding),
}

/// A store in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Legs in the queue.
    pub legs: u64,
    /// Lanes that have legs.
    pub lanes: u64,
    /// Legs that are claimed.
    pub claimed: u64,
    /// Legs whose records cannot be read; they are left alone until the store is mended.
    pub quarantined: u64,
    /// Commits since the store was opened.
    pub commits: u64,
    /// Operations in those commits.
    pub operations: u64,
    /// Free octets on the disk, where the store is on one.
    pub free_octets: Option<u64>,
    /// Whether the store is read-only since a commit failed.
    pub read_only: bool,
}
