//! The frames, as the house knows them. How they are written stands in `encode`, how they are read in `decode`.

use message::address::{Address, Domain};
use message::keys::AuthorKey;
use message::{Code, Cookie, Disposition, Envelope, Identity, Selection};

use crate::held::{Decide, HeldEntry, HeldPlace};
use crate::keys::{KeyPins, KeyPublish, KeyQuery, KeyReply};

/// Everything one party can say to the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// What a server allows; the only frame of the server's first stream.
    Settings(Settings),
    /// A message is offered.
    Offer(Box<Offer>),
    /// Octets of content follow the frame.
    Content(ContentHead),
    /// Content is wanted.
    Want(Selection),
    /// One disposition per recipient.
    Outcome(Outcome),
    /// The status of cookies is asked for.
    Poll(Vec<Cookie>),
    /// The status of cookies, in the order of the poll.
    Answers(Vec<CookieAnswer>),
    /// Cookies that have settled.
    Settled(Vec<Cookie>),
    /// The sender has stopped caring.
    GiveUp(Vec<Cookie>),
    /// It was done.
    Done,
    /// It was not done.
    Failure(Failure),
    /// The device whose key the connection shows is enrolled for an account.
    Enrol(Enrol),
    /// Status records are asked for.
    Status(StatusQuery),
    /// Status records.
    StatusList(Vec<StatusRecord>),
    /// Mail after this number is listed.
    Mailbox {
        /// The number of the last entry already known; 0 for all.
        after: u64,
        /// How many entries at the most.
        limit: u64,
    },
    /// Entries of the mailbox.
    MailboxList(Vec<MailboxEntry>),
    /// Content of a message in the mailbox is fetched.
    Fetch {
        /// The message.
        identity: Identity,
        /// What of it.
        selection: Selection,
    },
    /// The devices that are enrolled for the account are listed.
    Devices,
    /// The devices that are enrolled for the account.
    DeviceList(Vec<Device>),
    /// The device with this public key is removed from the account.
    RemoveDevice([u8; 32]),
    /// What is held for the account is listed.
    Held {
        /// The place of the last entry already known.
        after: Option<HeldPlace>,
        /// How many entries at the most.
        limit: u64,
    },
    /// What is held for the account.
    HeldList(Vec<HeldEntry>),
    /// The user has decided about what is held.
    Decide(Decide),
    /// The device asks that mail for its account is redirected to it, at the address it is seen from.
    Doorstep {
        /// The UDP port at which it listens.
        port: u16,
    },
    /// For how long that is done, and by what the device knows the tickets.
    DoorstepLease(DoorstepLease),
    /// What the device has taken, so that the node does not take it as well; 1 to 100.
    DoorstepTook(Vec<Taken>),
    /// Mail is not redirected to this device any more.
    DoorstepEnd,
    /// The keys of an address are asked for, by another node or by the user whose they are.
    Key(KeyQuery),
    /// What the domain has of them.
    KeyAnswer(Box<KeyReply>),
    /// A user states a key.
    KeyPublish(KeyPublish),
    /// What is pinned of the keys of a correspondent is asked for.
    KeyPinned {
        /// Whose keys.
        address: Address,
        /// Whether it is to be forgotten: the user knows by other ways that it is not good any more.
        forget: bool,
    },
    /// What is pinned now.
    KeyPins(KeyPins),
}

/// For how long a node redirects to a device.
#[derive(Clone, PartialEq, Eq)]
pub struct DoorstepLease {
    /// For so many seconds from now.
    pub seconds: u32,
    /// The address to which it redirects, IPv4 or IPv6, in text form.
    pub address: String,
    /// The key of the tickets that the node writes for this device.
    pub ticket_key: [u8; 32],
}

/// Without the key. keeps: SEC-4
impl std::fmt::Debug for DoorstepLease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DoorstepLease {{ seconds: {}, address: {:?} }}", self.seconds, self.address)
    }
}

/// One message that a doorstep has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Which.
    pub identity: Identity,
    /// For whom.
    pub recipient: Address,
    /// From which peer.
    pub by: Domain,
}

/// A device that is enrolled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its Ed25519 public key.
    pub public_key: [u8; 32],
    /// The name that it was given, for people.
    pub name: String,
    /// When it was enrolled, in Unix milliseconds.
    pub enrolled_at_ms: u64,
}

/// What a server allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Octets of content that may come unasked with an offer.
    pub eager_octets: u64,
    /// Octets of one part.
    pub part_octets_max: u64,
    /// Recipients of one offer.
    pub recipients_max: u64,
}

impl Settings {
    /// The same for an offer with which nothing goes unasked, as one that was asked for again. keeps: EXC-3
    #[must_use]
    pub fn asking_first(self) -> Settings {
        Settings { eager_octets: 0, ..self }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            eager_octets: crate::limits::EAGER_OCTETS_DEFAULT,
            part_octets_max: message::limits::PART_OCTETS_DEFAULT,
            recipients_max: message::limits::RECIPIENTS_MAX as u64,
        }
    }
}

/// An offer of one message to some recipients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Which message for whom.
    pub envelope: Envelope,
    /// What follows unasked.
    pub eager: Eager,
    /// What a user asks of its node; only in submission.
    pub submission: Option<SubmissionOptions>,
    /// How the offer stands to a redirect.
    pub way: Way,
}

/// How an offer stands to a redirect to the recipient's own daemon.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Way {
    /// Not at all.
    #[default]
    Plain,
    /// The sender was redirected and has not got through: it is not redirected again.
    RedirectFailed,
    /// The sender was redirected to here, with this ticket.
    Ticket(Vec<u8>),
}

/// What content comes unasked with an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eager {
    /// Nothing.
    Nothing,
    /// The manifest, the seals and the header blocks.
    Headers,
    /// Everything.
    All,
}

/// What a user asks of its node beside sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SubmissionOptions {
    /// Seal the message and give it back; send nothing.
    pub sign_only: bool,
    /// Keep the message for this many seconds, in which it can be withdrawn, before it is sent.
    pub release_after_seconds: u64,
    /// What the user's program has drawn at random for this submission: offered again with the same token, it is the
    /// same submission and not a second one.
    pub token: Option<[u8; 16]>,
}

/// What a content frame carries. Its octets follow the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentHead {
    /// Which piece.
    pub piece: Piece,
    /// How many octets follow.
    pub octets: u64,
    /// Whether this is the last of what was wanted, or of what comes unasked.
    pub last: bool,
}

/// A piece of the content of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// The manifest.
    Manifest,
    /// The seals.
    Seals,
    /// All header blocks.
    Headers,
    /// The body of a leaf, from an octet to its end.
    Body {
        /// The number of the part.
        part: usize,
        /// The first octet.
        from: u64,
    },
    /// A range of a leaf with its proof.
    Slice {
        /// The number of the part.
        part: usize,
        /// The first octet of the range.
        from: u64,
    },
}

/// The answer to an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// One for each recipient, in the order of the offer.
    pub dispositions: Vec<Disposition>,
    /// In submission: the message as it was sealed.
    pub sealed: Option<Sealed>,
}

/// A message as its node has sealed it: the parts are those that the user sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The identity that the message has now.
    pub identity: Identity,
    /// The header block of the message, with what the node has added; empty where it was not changed or not asked for.
    pub header: Vec<u8>,
    /// The seals; none where they were not asked for.
    pub seals: Vec<Vec<u8>>,
}

/// What became of a cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CookieAnswer {
    /// It has settled.
    Final(Disposition),
    /// Not yet: ask again within these bounds.
    Pending {
        /// No sooner than this many seconds from now.
        min_seconds: u32,
        /// No later than this many seconds from now.
        max_seconds: u32,
        /// When waiting ends, in seconds since 1970.
        until: u64,
    },
    /// The message is to be offered again, with this content.
    Want(Selection),
    /// No such cookie, or not yours, or too old: these cannot be told apart.
    Unknown,
}

/// Why something was not done. What the peer reads is short and generic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// For programs.
    pub code: Code,
    /// For people.
    pub text: String,
}

/// A device key is enrolled with account and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Enrol {
    /// The account.
    pub account: String,
    /// Its password.
    pub password: String,
    /// What the user calls the device.
    pub device: String,
}

/// Without the password. keeps: SEC-4
impl std::fmt::Debug for Enrol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Enrol {{ account: {:?}, device: {:?} }}", self.account, self.device)
    }
}

/// Which status records are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusQuery {
    /// The latest, before this number; 0 for the newest.
    Latest {
        /// The number before which to begin.
        before: u64,
        /// How many at the most.
        limit: u64,
    },
    /// Those of one message.
    Of(Identity),
}

/// What is known of one submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRecord {
    /// The number of the submission at this node.
    pub number: u64,
    /// The message.
    pub identity: Identity,
    /// When it was accepted, in milliseconds since 1970.
    pub at_ms: u64,
    /// Until when it can be withdrawn before anything is sent; 0 where that time has passed.
    pub release_at_ms: u64,
    /// What became of it, for each recipient.
    pub recipients: Vec<StatusRecipient>,
    /// What was tried, oldest first.
    pub attempts: Vec<StatusAttempt>,
}

/// What became of a submission for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRecipient {
    /// The recipient.
    pub address: Address,
    /// What is known: the user's own cookie stands in a pending one.
    pub disposition: Disposition,
}

/// One attempt to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusAttempt {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The host it was tried at.
    pub host: String,
    /// How far it came.
    pub step: String,
    /// What was answered.
    pub code: Option<Code>,
    /// What was answered, for people.
    pub text: String,
}

/// One message in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxEntry {
    /// Its number, which only grows.
    pub number: u64,
    /// The message.
    pub identity: Identity,
    /// The address it came for.
    pub recipient: Address,
    /// When it was accepted, in milliseconds since 1970.
    pub at_ms: u64,
    /// The peer or account it came from.
    pub origin: String,
    /// Whether it was read.
    pub seen: bool,
    /// What was found of its seals.
    pub seals: Vec<SealWords>,
    /// What was found of the key by which its author has sealed; `None` where the author has not.
    pub author_key: Option<AuthorKey>,
}

/// What was found of one seal when the message came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealWords {
    /// Who sealed.
    pub issuer: String,
    /// In what role.
    pub role: String,
    /// Whether it was verified.
    pub verified: bool,
}
