//! What is known when a decision is due. It was gathered before, by those who may ask the DNS and the store.

use message::Selection;
use message::address::{Address, Domain};
use message::keys::AuthorKey;

/// What is known of the seals of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealEvidence {
    /// A seal of the peer's own domain, or of a forwarder that the peer is, was verified.
    Verified,
    /// There is no seal by which the peer answers for the message.
    Missing,
    /// A seal by which the peer would answer for the message does not verify.
    Broken,
    /// The key could not be asked for just now.
    Unknown,
}

impl SealEvidence {
    /// The word for people and for the configuration.
    pub fn word(self) -> &'static str {
        match self {
            SealEvidence::Verified => "verified",
            SealEvidence::Missing => "missing",
            SealEvidence::Broken => "broken",
            SealEvidence::Unknown => "unknown",
        }
    }
}

/// What the recipient has to do with the author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acquaintance {
    /// The recipient is not one of this node's, so there is no list to look in.
    #[default]
    NotOurs,
    /// Nothing is known: a first contact.
    Stranger,
    /// The recipient has written to the author before.
    Known,
    /// The recipient has said that the author is to be trusted.
    Trusted,
    /// The recipient wants nothing from the author.
    Blocked,
}

/// How good a peer's name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Grade {
    /// Nothing is known, or it could not be found out. It counts neither for nor against the peer.
    #[default]
    Unknown,
    /// There are reasons against it.
    Bad,
    /// It is known, and nothing speaks for or against it.
    Neutral,
    /// There are reasons for it.
    Good,
}

impl Grade {
    /// Whether this is known, and worse than the other.
    /// keeps: POL-6
    pub fn is_below(self, other: Grade) -> bool {
        self != Grade::Unknown && self.rank() < other.rank()
    }

    /// The word for people and for the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Grade::Unknown => "unknown",
            Grade::Bad => "bad",
            Grade::Neutral => "neutral",
            Grade::Good => "good",
        }
    }

    fn rank(self) -> u8 {
        match self {
            Grade::Unknown => 0,
            Grade::Bad => 1,
            Grade::Neutral => 2,
            Grade::Good => 3,
        }
    }
}

/// The standing of a peer, with its reasons.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// How good.
    pub grade: Grade,
    /// Why, for the operator: one line each, such as "an accreditor vouches for it".
    pub reasons: Vec<String>,
}

/// Whether a peer keeps within what it may bring.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Rate {
    /// It does, or nobody counts.
    #[default]
    Within,
    /// It does not.
    Over {
        /// Which limit, as it is called in the configuration, such as `messages-per-minute`.
        limit: String,
        /// What was counted, for the operator.
        words: String,
    },
}

/// What is known of whoever brings a message over SMTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Legacy {
    /// Under what it is held: `smtp:` and a domain, or an address in brackets.
    pub holder: String,
    /// Whether its return path is proved.
    pub return_path_verified: bool,
    /// The domain that is proved to be the author's.
    pub author_verified: Option<Domain>,
}

impl Legacy {
    /// Whether anything of it is proved.
    pub fn is_verified(&self) -> bool {
        self.return_path_verified || self.author_verified.is_some()
    }

    /// Whether the address is at a domain that is proved to be the author's, or below it (RFC 7489 section 3.1).
    /// keeps: POL-12
    pub fn proves(&self, author: &Address) -> bool {
        self.author_verified.as_ref().is_some_and(|proved| proved.holds(author.domain()))
    }
}

/// What manifest, headers and seals show. Until they have come, nobody knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The author: the one address in `From`; `None` where there is no such address.
    pub from: Option<Address>,
    /// What was found about the seals.
    pub seals: SealEvidence,
    /// Each seal and what was found, in words.
    pub seals_found: Vec<String>,
    /// What was found of the key by which the author has sealed, by what this recipient has seen of it before; `None` where
    /// the author has not sealed.
    pub author_key: Option<AuthorKey>,
    /// What the recipient has to do with the author.
    pub acquaintance: Acquaintance,
    /// The recipient trusts the peer to forward, and the peer has set a forwarder's seal.
    pub forwarder_authorized: bool,
    /// Every part of the message is encrypted.
    pub encrypted: bool,
    /// What in the author's address mixes scripts; `None` where nothing does.
    pub mixed_script: Option<String>,
    /// Whom the author's address can be taken for: somebody whom the recipient knows.
    pub looks_like: Option<Address>,
}

/// What is known when the decision is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// For whom.
    pub recipient: Address,
    /// The peer that offers; `None` where a user of this node submits, or it comes over SMTP.
    pub peer: Option<Domain>,
    /// Who brings it over SMTP.
    pub legacy: Option<Legacy>,
    /// Octets of the message, as offered.
    pub octets: u64,
    /// How good the peer's name is.
    pub standing: Standing,
    /// Whether the peer keeps within what it may bring.
    pub rate: Rate,
    /// Seconds since the message was first offered for this recipient and put off; `None` where it is offered first.
    pub waited_seconds: Option<u64>,
    /// What has been asked for and has come.
    pub supplied: Vec<Selection>,
    /// What manifest, headers and seals show; `None` until they have come.
    pub seen: Option<Seen>,
}

impl Evidence {
    /// Of an offer of which only the envelope is known.
    pub fn of_envelope(recipient: Address, peer: Option<Domain>, octets: u64) -> Evidence {
        Evidence {
            recipient,
            peer,
            legacy: None,
            octets,
            standing: Standing::default(),
            rate: Rate::default(),
            waited_seconds: None,
            supplied: Vec::new(),
            seen: None,
        }
    }

    /// Whether a user of this node submits it.
    pub fn is_submitted(&self) -> bool {
        self.peer.is_none() && self.legacy.is_none()
    }

    /// Whether somebody else brings the message than the domain of its author. keeps: EXC-22, POL-5
    pub fn is_forwarded(&self) -> bool {
        let author = self.seen.as_ref().and_then(|seen| seen.from.as_ref()).map(Address::domain);
        matches!((&self.peer, author), (Some(peer), Some(author)) if peer != author)
    }

    /// Whether this content is here.
    pub fn has(&self, wanted: &Selection) -> bool {
        self.supplied.iter().any(|supplied| supplied.covers(wanted))
            || (self.seen.is_some() && Selection::Headers.covers(wanted))
    }
}
