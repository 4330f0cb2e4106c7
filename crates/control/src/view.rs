//! What an operator sees. Times are milliseconds since 1970 in UTC, sizes are octets; identities and digests are
//! hexadecimal digits in lower case. Texts that came from a peer are as they came: whoever shows them cleans them.

use serde::{Deserialize, Serialize};

/// How the node is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StatusView {
    /// The version of the program.
    pub version: String,
    /// Milliseconds since it started.
    pub uptime_ms: u64,
    /// The domains whose mail it keeps.
    pub domains: Vec<String>,
    /// Where it listens.
    pub listeners: Vec<ListenerView>,
    /// What waits.
    pub queue: QueueView,
    /// What is kept.
    pub store: StoreView,
    /// Connections that are open.
    pub connections: u64,
}

/// One place where a node listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerView {
    /// Address and port.
    pub address: String,
    /// What is spoken there: `exchange`, `submission`, `smtp` and so on, comma separated where several.
    pub service: String,
}

/// What waits, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QueueView {
    /// Legs in the queue, whatever they wait for.
    pub waiting: u64,
    /// Legs on their way at this moment.
    pub active: u64,
    /// Next hops that have legs.
    pub lanes: u64,
    /// Legs whose records cannot be read; they are left alone until the store is mended.
    pub quarantined: u64,
    /// When the next one is due.
    pub next_due_ms: Option<u64>,
}

/// The store in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StoreView {
    /// The name of the engine.
    pub engine: String,
    /// Commits since it was opened.
    pub commits: u64,
    /// Transactions in those commits.
    pub operations: u64,
    /// Free octets on its disk.
    pub free_octets: Option<u64>,
    /// Why the store takes no more mail; absent where it does.
    pub read_only: Option<String>,
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountView {
    /// Its name.
    pub name: String,
    /// Its addresses, its own first.
    pub addresses: Vec<String>,
    /// Whether it has a password.
    pub password: bool,
    /// Its devices.
    pub devices: Vec<DeviceView>,
    /// Whether it is closed.
    pub disabled: bool,
    /// Whether failures of what it submits are told in its own mailbox, too.
    #[serde(default)]
    pub notices: bool,
}

/// One device of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceView {
    /// What the user calls it.
    pub name: String,
    /// Its public key, 64 hexadecimal digits.
    pub public_key: String,
    /// When it was enrolled.
    pub enrolled_at_ms: u64,
}

/// One leg of the queue: recipients of one envelope that go the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegView {
    /// Its number.
    pub number: u64,
    /// Where it goes.
    pub lane: String,
    /// The number of its envelope.
    pub envelope: u64,
    /// The identity of the message.
    pub identity: String,
    /// Octets of the message.
    pub octets: u64,
    /// Who it is from: an account or a peer, as `account:NAME` or `peer:DOMAIN`.
    pub origin: String,
    /// `waiting`, `due`, `active` or `held`.
    pub state: String,
    /// When it is due.
    pub due_at_ms: u64,
    /// When it was accepted.
    pub accepted_at_ms: u64,
    /// When it is given up.
    pub expires_at_ms: u64,
    /// How often it was tried.
    pub tries: u32,
    /// Its recipients.
    pub recipients: Vec<RecipientView>,
    /// What was tried, oldest first; only where one leg was asked for.
    pub attempts: Vec<AttemptView>,
}

/// What waits for one lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneView {
    /// Where it goes.
    pub lane: String,
    /// How many legs wait.
    pub count: u64,
    /// Whether there may be more than counted.
    pub at_least: bool,
    /// How many of them an operator holds.
    pub held: u64,
    /// When the oldest was accepted.
    pub oldest_at_ms: Option<u64>,
    /// When the next is due.
    pub next_due_ms: Option<u64>,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// One envelope: a message on its way to some recipients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeView {
    /// Its number.
    pub number: u64,
    /// The identity of the message.
    pub identity: String,
    /// Octets of the message.
    pub octets: u64,
    /// Who it is from: an account or a peer, as `account:NAME` or `peer:DOMAIN`.
    pub origin: String,
    /// When it was accepted.
    pub accepted_at_ms: u64,
    /// When every recipient had a final disposition.
    pub closed_at_ms: Option<u64>,
    /// The way it came, the oldest hop first.
    pub trace: Vec<String>,
    /// Its recipients.
    pub recipients: Vec<RecipientView>,
    /// What was tried, oldest first.
    pub attempts: Vec<AttemptView>,
}

/// An offer that was refused for one recipient: it has left no envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalView {
    /// When.
    pub at_ms: u64,
    /// The identity of the message.
    pub identity: String,
    /// Who offered it: an account, a peer or a client of the old world.
    pub origin: String,
    /// For whom.
    pub recipient: String,
    /// The enhanced status code (RFC 3463) that was answered.
    pub code: String,
    /// What was answered, for people.
    pub text: String,
    /// By which rule, and on what evidence: whoever offered it is not told.
    pub why: String,
}

/// One recipient of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientView {
    /// The address.
    pub address: String,
    /// What became of it: `accepted`, `refused`, `pending`, `deferred`, `redirected`, `withdrawn`, `expired` or
    /// `relayed`.
    pub disposition: String,
    /// The enhanced status code (RFC 3463), where there is one.
    pub code: Option<String>,
    /// What was said of it, for people.
    pub text: Option<String>,
    /// By which rule of this node it was decided when it came in, and on what evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What a recipient that is `pending` waits for, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
}

/// One attempt to deliver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptView {
    /// When.
    pub at_ms: u64,
    /// The host it was tried at.
    pub host: String,
    /// The recipient it is about; absent where it is about all.
    pub recipient: Option<String>,
    /// How far it came.
    pub step: String,
    /// The enhanced status code (RFC 3463), where there is one.
    pub code: Option<String>,
    /// What was answered, or what went wrong.
    pub text: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// Something wrong in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingView {
    /// A word for programs, such as `damaged-record` or `orphan-part`.
    pub kind: String,
    /// What it is about: a key, a file or a message.
    pub subject: String,
    /// What is wrong with it, for people.
    pub text: String,
    /// Whether mail is lost by it; otherwise it is only room.
    pub harmful: bool,
}

/// One open connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerView {
    /// Who it is: a domain, an account as `account:NAME`, or `unknown` for a device that is not enrolled.
    pub name: String,
    /// Address and port.
    pub address: String,
    /// What is spoken: `exchange` or `submission`.
    pub protocol: String,
    /// Whether it was opened by the peer.
    pub inbound: bool,
    /// When it was opened; of one that this node has opened, when it was used first.
    pub since_ms: u64,
    /// The present estimate of the round trip time, in microseconds.
    pub round_trip_us: u64,
    /// Octets sent in UDP datagrams.
    pub octets_sent: u64,
    /// Octets received in UDP datagrams.
    pub octets_received: u64,
    /// Packets that were sent and are taken for lost.
    pub packets_lost: u64,
}
