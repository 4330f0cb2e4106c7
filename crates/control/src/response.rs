//! What can be answered.

use serde::{Deserialize, Serialize};

use crate::{
    AccountView, AlertView, DeviceView, DomainView, EnvelopeView, FindingView, FlowView, HeldDetailView,
    HeldView, LaneAgesView, LaneView, LegView, MailDetailView, MailView, PeerView, SentView, StatusView,
};

/// The answer to one [`crate::Request`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Response {
    /// How the node is.
    Status(Box<StatusView>),
    /// A page of accounts.
    Accounts {
        /// The accounts, by their names.
        accounts: Vec<AccountView>,
    },
    /// The devices of an account.
    Devices {
        /// The devices, in the order in which they were enrolled.
        devices: Vec<DeviceView>,
    },
    /// A page of legs.
    Legs {
        /// The legs, by their numbers; without attempts.
        legs: Vec<LegView>,
    },
    /// The lanes that hold something.
    Lanes {
        /// The lanes, the fullest first.
        lanes: Vec<LaneView>,
    },
    /// One leg.
    Leg(Box<LegView>),
    /// How many legs an order has changed.
    Changed {
        /// The number; legs that were so already are not counted.
        count: u64,
    },
    /// The envelopes of a message, the oldest first.
    Envelopes {
        /// The envelopes.
        envelopes: Vec<EnvelopeView>,
        /// Offers of it that were refused, and left no envelope.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        refusals: Vec<crate::RefusalView>,
    },
    /// What is held.
    HeldList {
        /// For each message and recipient, the oldest first.
        held: Vec<HeldView>,
    },
    /// One held message.
    Held(Box<HeldDetailView>),
    /// A decision was carried out.
    HeldDecided {
        /// What the recipient's disposition is now: `accepted`, `refused`, or `pending` where the rest is to be fetched.
        disposition: String,
        /// Octets that are still to be fetched.
        octets_missing: u64,
    },
    /// What is remembered of peers.
    PeerRecords {
        /// The peers, in the order of their names.
        peers: Vec<crate::PeerRecordView>,
    },
    /// All that is known of one peer.
    PeerRecord(Box<crate::PeerDetailView>),
    /// The rules of the node.
    Policy(Box<crate::PolicyView>),
    /// What would be decided, and why.
    Explanation(Box<crate::ExplanationView>),
    /// Whom an account knows.
    Correspondents {
        /// In the order of their names.
        correspondents: Vec<crate::CorrespondentView>,
    },
    /// What the mailbox server has not taken.
    Handovers {
        /// What waits first, then what has ended.
        handovers: Vec<crate::HandoverView>,
    },
    /// Aliases and where they lead.
    Forwards {
        /// In the order of aliases and targets.
        forwards: Vec<crate::ForwardView>,
    },
    /// Who forwards to us.
    Grants {
        /// In the order of recipients and forwarders.
        grants: Vec<crate::GrantView>,
    },
    /// A chain of forwarders.
    Chain {
        /// From the last one back.
        hops: Vec<crate::ChainHopView>,
    },
    /// What is wrong with the store.
    Findings {
        /// The findings; none where it is sound.
        findings: Vec<FindingView>,
        /// Whether there are more than are listed.
        more: bool,
    },
    /// The store was compacted.
    Compacted {
        /// Octets on the disk before.
        octets_before: u64,
        /// Octets on the disk after.
        octets_after: u64,
    },
    /// The connections that are open.
    Peers {
        /// The connections.
        peers: Vec<PeerView>,
    },
    /// The password is that of this account.
    LoggedIn {
        /// Its name.
        account: String,
        /// Its addresses, its own first.
        addresses: Vec<String>,
        /// How it stands, as in [`Response::Standing`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        standing: Option<String>,
    },
    /// How an account stands.
    Standing {
        /// A word that changes with its password and says nothing of it; absent where there is no such account, it is
        /// closed, or it has no password.
        standing: Option<String>,
    },
    /// A page of a mailbox.
    Mails {
        /// The messages, the newest first.
        mails: Vec<MailView>,
    },
    /// One message.
    Mail(Box<MailDetailView>),
    /// Some octets of a part.
    Piece {
        /// Octets of the whole part.
        octets: u64,
        /// The octets from where they were asked for, at most [`crate::limits::PIECE_OCTETS_MAX`]; none at the end. In
        /// base64 (RFC 4648 section 4).
        base64: String,
    },
    /// A page of what an account has sent.
    Sent {
        /// The messages, the newest first.
        sent: Vec<SentView>,
    },
    /// What waits, by lane and age.
    Ages {
        /// The lanes, the fullest first.
        lanes: Vec<LaneAgesView>,
        /// Lanes beyond those, whatever waits for them.
        lanes_more: u64,
    },
    /// The domains that are served.
    Domains {
        /// The domains.
        domains: Vec<DomainView>,
        /// The name of the host.
        host: String,
        /// The digest of the host's key, by which others pin it.
        pin: String,
        /// What to publish for the host.
        records: Vec<String>,
    },
    /// What needs somebody to act, the urgent first.
    Alerts {
        /// The alerts.
        alerts: Vec<AlertView>,
    },
    /// What has happened.
    Flow {
        /// The events, the oldest first.
        events: Vec<FlowView>,
        /// The number to ask after next.
        last: u64,
    },
    /// A link into the console.
    Link {
        /// The link. It is a secret until it was used.
        url: String,
        /// Seconds for which it is good.
        seconds: u64,
    },
    /// It was done, and there is nothing to tell.
    Done,
    /// It was not done.
    Failure(Failure),
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// For programs.
    pub kind: FailureKind,
    /// For the operator: what is wrong.
    pub text: String,
    /// For the operator: what to do next, where that is known.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(kind: FailureKind, text: impl Into<String>) -> Failure {
        Failure { kind, text: text.into(), hint: None }
    }

    /// The same failure with what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }
}

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The request is not one, or a value in it is not what it must be.
    Invalid,
    /// There is no such account, leg or message.
    NotFound,
    /// It exists already, or it is in use.
    Conflict,
    /// Not at present: the store is full or the node is ending.
    Unavailable,
    /// A fault of the node.
    Internal,
}
