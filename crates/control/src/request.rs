//! What can be asked.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One question or order of an operator.
///
/// Lists are read page by page: `after` is the last name or number of the page before, `limit` is how many at the
/// most, and never more than [`crate::limits::LIST_MAX`] come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// How the node is; answered by [`crate::Response::Status`].
    Status,
    /// The accounts in the order of their names; answered by [`crate::Response::Accounts`].
    Accounts {
        /// The last name of the page before.
        after: Option<String>,
        /// How many at the most.
        limit: u32,
    },
    /// A new account; answered by [`crate::Response::Done`].
    AccountAdd {
        /// Its name.
        name: String,
        /// Its addresses; the first one is its own.
        addresses: Vec<String>,
        /// Its password; without one only enrolled devices come in.
        password: Option<Password>,
    },
    /// Another password for an account; answered by [`crate::Response::Done`].
    AccountPassword {
        /// The account.
        name: String,
        /// The new password.
        password: Password,
    },
    /// Whether failures of what an account submits are told in its own mailbox, too; answered by [`crate::Response::Done`].
    AccountNotices {
        /// The account.
        name: String,
        /// Whether they are.
        on: bool,
    },
    /// An account is removed; its mail stays in the store. Answered by [`crate::Response::Done`].
    AccountRemove {
        /// The account.
        name: String,
    },
    /// The enrolled devices of an account; answered by [`crate::Response::Devices`].
    AccountDevices {
        /// The account.
        name: String,
    },
    /// A device is removed and refused from then on, on connections that live, too; answered by
    /// [`crate::Response::Done`].
    AccountDeviceRemove {
        /// The account.
        name: String,
        /// The public key of the device, or at least [`crate::limits::IDENTITY_DIGITS_MIN`] of its first hexadecimal
        /// digits where no other device of the account begins with them.
        device: String,
    },
    /// A further address of an account; answered by [`crate::Response::Done`].
    AccountAddressAdd {
        /// The account.
        name: String,
        /// The address.
        address: String,
    },
    /// An address is taken from an account; answered by [`crate::Response::Done`].
    AccountAddressRemove {
        /// The account.
        name: String,
        /// The address.
        address: String,
    },
    /// What waits, in the order of the numbers; answered by [`crate::Response::Legs`].
    QueueList {
        /// Only what waits for this lane.
        lane: Option<String>,
        /// The last number of the page before.
        after: Option<u64>,
        /// How many at the most.
        limit: u32,
    },
    /// What waits of one message; answered by [`crate::Response::Legs`].
    QueueOf {
        /// The message, as in [`Request::Trace`].
        identity: String,
    },
    /// What waits, summed up by where it goes; answered by [`crate::Response::Lanes`].
    QueueLanes,
    /// One leg with its attempts; answered by [`crate::Response::Leg`].
    QueueShow {
        /// The number of the leg.
        leg: u64,
    },
    /// Legs become due now; answered by [`crate::Response::Changed`].
    QueueRetry {
        /// Which.
        legs: Legs,
    },
    /// Legs are not tried until they are released; answered by [`crate::Response::Changed`].
    QueueHold {
        /// Which.
        legs: Legs,
    },
    /// Held legs go on; answered by [`crate::Response::Changed`].
    QueueRelease {
        /// Which.
        legs: Legs,
    },
    /// Legs are given up: their recipients become withdrawn, which their senders see. Answered by
    /// [`crate::Response::Changed`].
    QueueRemove {
        /// Which.
        legs: Legs,
    },
    /// The envelopes of a message; answered by [`crate::Response::Envelopes`].
    Trace {
        /// The identity of the message, or at least [`crate::limits::IDENTITY_DIGITS_MIN`] of its first hexadecimal
        /// digits where no other message begins with them.
        identity: String,
    },
    /// What is held until somebody decides, oldest first; answered by [`crate::Response::HeldList`].
    HeldList {
        /// Only what is held for this account.
        account: Option<String>,
        /// The place of the last one of the page before.
        after: Option<crate::HeldPlace>,
        /// How many at the most.
        limit: u32,
    },
    /// One held message; answered by [`crate::Response::Held`].
    HeldShow {
        /// The message, as in [`Request::Trace`].
        identity: String,
        /// For which recipient; needed where it is held for several.
        recipient: Option<String>,
        /// As this account, which sees what is held for it and nothing else; the message is then named by its whole
        /// identity.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<String>,
    },
    /// Somebody has decided about a held message; answered by [`crate::Response::HeldDecided`].
    HeldDecide {
        /// The message, as in [`Request::Trace`].
        identity: String,
        /// For which recipient; needed where it is held for several.
        recipient: Option<String>,
        /// What was decided.
        decision: crate::HeldDecision,
        /// As this account, as in [`Request::HeldShow`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<String>,
    },
    /// What is remembered of peers, in the order of their names; answered by [`crate::Response::PeerRecords`].
    PeerRecords {
        /// The last domain of the page before.
        after: Option<String>,
        /// How many at the most.
        limit: u32,
    },
    /// All that is known of one peer, asked now where it is not; answered by [`crate::Response::PeerRecord`].
    PeerRecord {
        /// Its domain.
        domain: String,
    },
    /// What is remembered of a peer is forgotten; answered by [`crate::Response::Done`].
    PeerForget {
        /// Its domain.
        domain: String,
    },
    /// The rules of the node; answered by [`crate::Response::Policy`].
    PolicyShow,
    /// What the rules say about a message that is here; answered by [`crate::Response::Explanation`].
    PolicyExplain {
        /// The message, as in [`Request::Trace`].
        identity: String,
        /// For this recipient.
        to: String,
        /// As if this domain brought it; otherwise as who did.
        peer: Option<String>,
    },
    /// What the rules say about a message that need not be here; answered by [`crate::Response::Explanation`]. Its bodies
    /// are not sent: no rule reads them. All octets are in base64 (RFC 4648, section 4).
    PolicyExplainFile {
        /// Its manifest.
        manifest: String,
        /// Its header blocks, one after the other.
        headers: String,
        /// Its seals.
        seals: Vec<String>,
        /// For this recipient.
        to: String,
        /// As if this domain brought it; otherwise as its author's domain would.
        peer: Option<String>,
    },
    /// Whom an account knows, in the order of their names; answered by [`crate::Response::Correspondents`].
    Correspondents {
        /// Whose.
        account: String,
        /// After this one.
        after: Option<String>,
        /// How many at the most.
        limit: u32,
    },
    /// What an account has to do with somebody, in place of what was; answered by [`crate::Response::Done`].
    CorrespondentPut {
        /// Whose list.
        account: String,
        /// An address or a domain.
        who: String,
        /// `known`, `trusted` or `blocked`.
        regard: String,
        /// Why.
        note: String,
    },
    /// Somebody is forgotten; answered by [`crate::Response::Done`].
    CorrespondentRemove {
        /// Whose list.
        account: String,
        /// An address or a domain.
        who: String,
    },
    /// Forwarding: aliases of ours, and who forwards to us; answered as each order says.
    Forward {
        /// What is to be done.
        order: crate::ForwardOrder,
    },
    /// What the mailbox server has not taken; answered as each order says.
    Handover {
        /// What is to be done.
        order: crate::HandoverOrder,
    },
    /// The certificates for SMTP are read again; answered by [`crate::Response::Done`], or by a failure where a new pair is
    /// not good and the old one stays.
    Reload,
    /// The whole store is read and compared; answered by [`crate::Response::Findings`].
    StoreCheck,
    /// The store gives back room on the disk; answered by [`crate::Response::Compacted`].
    StoreCompact,
    /// The connections that are open; answered by [`crate::Response::Peers`].
    Peers,
    /// Whether somebody may speak for an account; answered by [`crate::Response::LoggedIn`], with the same failure after
    /// the same work for a wrong password and an account that does not exist.
    Login {
        /// The account, by its name or by one of its addresses.
        account: String,
        /// The password.
        password: Password,
        /// From where it is tried, for the count of failures.
        network: String,
    },
    /// The mailbox of an account, the newest first; answered by [`crate::Response::Mails`].
    MailList {
        /// The account.
        account: String,
        /// The last number of the page before.
        before: Option<u64>,
        /// How many at the most.
        limit: u32,
    },
    /// One message of a mailbox; answered by [`crate::Response::Mail`].
    MailShow {
        /// The account.
        account: String,
        /// Its number in the mailbox.
        number: u64,
    },
    /// Octets of one part; answered by [`crate::Response::Piece`].
    MailPart {
        /// The account.
        account: String,
        /// The number of the message in the mailbox.
        number: u64,
        /// The number of the part.
        part: u32,
        /// From this octet on.
        offset: u64,
    },
    /// How an account stands, for sessions that were opened with its password; answered by
    /// [`crate::Response::Standing`].
    AccountStanding {
        /// The account.
        name: String,
    },
    /// A message is marked as read or not; answered by [`crate::Response::Done`].
    MailSeen {
        /// The account.
        account: String,
        /// Its number in the mailbox.
        number: u64,
        /// Whether it was read.
        seen: bool,
    },
    /// A message of a mailbox is reported as abuse; answered by [`crate::Response::Done`].
    MailReport {
        /// The account.
        account: String,
        /// Its number in the mailbox.
        number: u64,
    },
    /// What an account has sent and what became of it, the newest first; answered by [`crate::Response::Sent`].
    Sent {
        /// The account.
        account: String,
        /// The last number of the page before.
        before: Option<u64>,
        /// How many at the most.
        limit: u32,
    },
    /// One message that an account has sent, with its attempts; answered by [`crate::Response::Sent`].
    SentShow {
        /// The account.
        account: String,
        /// The number of its envelope.
        envelope: u64,
    },
    /// What waits, by lane and age, the fullest lanes first; answered by [`crate::Response::Ages`].
    QueueAges {
        /// How many lanes at the most.
        limit: u32,
    },
    /// The domains that are served, with what to publish; answered by [`crate::Response::Domains`].
    Domains,
    /// What needs somebody to act; answered by [`crate::Response::Alerts`].
    Alerts,
    /// What has happened since; waits for it where nothing has. Answered by [`crate::Response::Flow`].
    Watch {
        /// Only what concerns this account.
        account: Option<String>,
        /// The last number that was seen; absent for what is remembered, without waiting.
        after: Option<u64>,
        /// Seconds to wait at the most, no more than [`crate::limits::WATCH_SECONDS_MAX`].
        seconds: u32,
    },
    /// A link by which an operator enters the console, once and soon; answered by [`crate::Response::Link`].
    ConsoleLink,
    /// The node ends in good order; answered by [`crate::Response::Done`] before it does.
    Shutdown,
}

/// Which legs an order is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Legs {
    /// These, by their numbers; at most [`crate::limits::LIST_MAX`].
    Numbers(Vec<u64>),
    /// All that wait for this lane.
    Lane(String),
    /// All of this message, named as in [`Request::Trace`].
    Message(String),
}

/// A password on its way to the node; it is never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(String);

impl Password {
    /// A password as it was typed.
    pub fn new(password: impl Into<String>) -> Password {
        Password(password.into())
    }

    /// The password itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(not shown)")
    }
}
