//! What is accepted: a message, where it comes from, and what is to happen for each recipient, in one transaction.

use message::address::{Address, Domain};
use message::{Code, Disposition, Headers, Hop, Identity, Manifest, Seal, Selection};

use crate::{EnvelopeId, EnvelopeRecord, HeldRecord, Lane, LegacyOrigin, SealMark, SealNote, StagedPart};

/// Who handed a message in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A user of this node.
    Submission {
        /// The name of the account.
        account: String,
    },
    /// Another node, authenticated as this domain.
    Peer {
        /// The domain.
        domain: Domain,
    },
    /// A server or a client of the old world, over SMTP.
    Legacy(Box<LegacyOrigin>),
}

impl Origin {
    /// The holder of the cookies that this origin is given, and the owner of what it stages: the peer's domain,
    /// `account:` and the name, or what [`LegacyOrigin::holder`] says.
    pub fn holder(&self) -> String {
        match self {
            Origin::Submission { account } => format!("account:{account}"),
            Origin::Peer { domain } => domain.as_str().to_owned(),
            Origin::Legacy(legacy) => legacy.holder(),
        }
    }
}

impl Origin {
    /// Whether anything speaks against taking From at its word: over SMTP everybody can write any name there, and counts
    /// as its owner only where the author's domain is proved. What came natively is held against its seals.
    pub fn bears_out(&self, author: &Address) -> bool {
        match self {
            Origin::Submission { .. } | Origin::Peer { .. } => true,
            Origin::Legacy(legacy) => {
                legacy.author.as_ref().is_some_and(|proved| proved.holds(author.domain()))
            }
        }
    }
}

/// A message as it came, whole or in part.
#[derive(Debug)]
pub struct NewMessage {
    /// What it consists of.
    pub manifest: Manifest,
    /// Its header blocks, already verified against the manifest; `None` where only the seals were asked for.
    pub headers: Option<Headers>,
    /// Its seals, at most [`message::limits::SEALS_MAX`].
    pub seals: Vec<Seal>,
    /// The leaves that are here, by part number. A leaf of no octets may be left out.
    pub parts: Vec<(usize, StagedPart)>,
}

/// Where the content of an acceptance is.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one lives for each acceptance, and nearly all are the large variant"
)]
pub enum Content {
    /// It came with this acceptance. Where the store holds the message already, what was missing is added.
    New(NewMessage),
    /// The store holds it.
    Stored(Identity),
    /// Nothing came but the offer: only for recipients that are pended, refused or served elsewhere.
    Offered {
        /// Which message.
        identity: Identity,
    },
}

impl Content {
    /// Which message.
    pub fn identity(&self) -> Identity {
        match self {
            Content::New(message) => message.manifest.identity(),
            Content::Stored(identity) | Content::Offered { identity } => *identity,
        }
    }
}

/// What is to happen for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Into the mailbox of a local account; the message must be complete. Final: `Accepted`.
    Mailbox {
        /// The name of the account.
        account: String,
        /// What was found about the seals, to be shown with the entry.
        seals: Vec<SealNote>,
    },
    /// Into the queue; the message must be complete.
    Queue {
        /// Along which lane.
        lane: Lane,
    },
    /// Into the queue for another address, to which an alias is forwarded; the message must be complete.
    Forward {
        /// Along which lane.
        lane: Lane,
        /// By which record.
        forwarded: Forwarded,
    },
    /// Kept until someone decides, or until the sender offers it again; the answer must be `Pending`.
    Pend(Pend),
    /// Recorded as accepted: a daemon of the recipient's own has taken it, and nothing of it is kept here. Final.
    Elsewhere,
    /// Recorded as refused, so that the same offer gets the same answer. Final.
    Refuse {
        /// Why, for programs.
        code: Code,
        /// Why, for people.
        text: String,
    },
}

/// By which record of a forwarder something goes to another address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarded {
    /// The address of ours.
    pub alias: Address,
    /// Further aliases of ours that it leads through, in order; at most [`crate::limits::FORWARD_THROUGH_MAX`].
    pub through: Vec<Address>,
    /// Where it goes.
    pub to: Address,
}

impl Forwarded {
    /// The alias whose record leads away from here.
    pub fn last_alias(&self) -> &Address {
        self.through.last().unwrap_or(&self.alias)
    }

    /// Each alias on the way, and where its record leads.
    pub fn links(&self) -> impl Iterator<Item = (&Address, &Address)> {
        let ends = self.through.iter().chain([&self.to]);
        std::iter::once(&self.alias).chain(&self.through).zip(ends)
    }
}

/// Why and how long a recipient is pending here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pend {
    /// The local account that decides, where it is a user's decision.
    pub account: Option<String>,
    /// What it waits for.
    pub stage: Stage,
    /// What is asked of the sender at the next poll, where something is.
    pub wanted: Option<Selection>,
    /// Why it is held, for people.
    pub reason: String,
    /// What was found about the seals when it was held; at most [`crate::limits::SEAL_NOTES_MAX`].
    pub seals: Vec<SealNote>,
}

/// What a pending recipient waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Somebody is to decide.
    Undecided,
    /// It was accepted, and waits for the rest of the message.
    Accepted,
    /// Nobody decides: it is judged anew when it is offered again, which the sender is asked for from this time on.
    Later {
        /// In Unix milliseconds.
        at_ms: u64,
    },
}

/// A recipient that was pending and is judged anew, because its sender has offered the message again as it was asked to.
///
/// keeps: STA-7
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    /// The envelope in which it is pending.
    pub envelope: EnvelopeId,
    /// The place of the recipient in it.
    pub recipient: u32,
    /// What happens now. What it is pending under stays the same cookie until it is settled.
    pub effect: Effect,
    /// As [`Intended::why`].
    pub why: Option<String>,
}

/// One recipient of an acceptance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intended {
    /// For whom, as it stood in the offer.
    pub address: Address,
    /// What is to happen.
    pub effect: Effect,
    /// What the offerer is told. For [`Effect::Mailbox`] and [`Effect::Elsewhere`] it must be `Accepted`, for [`Effect::Refuse`] `Refused`; for
    /// [`Effect::Pend`] `Pending` with a fresh cookie; for [`Effect::Queue`] and [`Effect::Forward`] `Pending` with a fresh cookie or `Accepted`.
    /// The cookie is recorded for the holder [`Origin::holder`].
    pub answer: Disposition,
    /// By which rule and on what evidence, for the operator; cut at [`crate::limits::TEXT_OCTETS_MAX`].
    pub why: Option<String>,
}

/// One acceptance: everything in it becomes durable together or not at all.
#[derive(Debug)]
pub struct Acceptance {
    /// The message.
    pub content: Content,
    /// The identity under which its origin offers it, and by which the same offer is known when it comes again: for a
    /// peer that of the message, for a user one that stands for this one submission.
    pub offered_as: Identity,
    /// Octets of the message in its octet form.
    pub octets: u64,
    /// Who handed it in.
    pub origin: Origin,
    /// The way so far, oldest first, our own hop included; at most [`message::limits::HOPS_MAX`].
    pub trace: Vec<Hop>,
    /// Now, in Unix milliseconds.
    pub now_ms: u64,
    /// When the queue gives up, in Unix milliseconds.
    pub expires_at_ms: u64,
    /// Not sent before this time, in Unix milliseconds: sending later, and the window for undo.
    pub release_at_ms: Option<u64>,
    /// For whom, each once, at most [`message::limits::RECIPIENTS_MAX`]; may be empty only where `again` is not.
    pub recipients: Vec<Intended>,
    /// Those to whom lists among the recipients lead. Nobody is answered about them, and with the recipients they fit into an
    /// envelope; one whom the same origin has reached with this message before is left out.
    pub members: Vec<Intended>,
    /// Those that were pending. One that is not pending any more is left as it is.
    pub again: Vec<Again>,
    /// How much may wait; without it as much as comes.
    pub room: Option<Room>,
}

/// How much may wait here. It is counted in the transaction, the recipients of the same offer with it: what was counted before
/// may have grown meanwhile. keeps: STA-14, REP-14
#[derive(Debug, Clone)]
pub struct Room {
    /// Recipients for whom the holder may have open cookies. Users have as many as they like.
    pub pending_max: u64,
    /// What a recipient is answered who would be one more.
    pub pending_full: Disposition,
    /// Recipients that may be held for one account.
    pub held_max: usize,
    /// How many of those whoever shares the places may have brought.
    pub held_shared_max: usize,
    /// Whether two holders share the places.
    pub shared: fn(&str, &str) -> bool,
    /// What a recipient is answered who would be one more.
    pub held_full: Disposition,
}

/// What an earlier offer has left for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedBefore {
    /// The envelope in which it is.
    pub envelope: EnvelopeId,
    /// What is true of it now.
    pub answer: Disposition,
    /// What is pending of it, where its sender is asked now to offer it again.
    pub wanted: Option<HeldRecord>,
}

/// What an acceptance has become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The envelope; where every recipient had been answered or pended before, the one of the first of them.
    pub envelope: EnvelopeId,
    /// The truth for each recipient now, in the order given: for one that the same peer had offered before it is what
    /// became of that offer, and nothing was done a second time; for one without [`Room`] what that says, and nothing was kept.
    pub answers: Vec<Disposition>,
    /// What became of those that were pending, in the order given.
    pub again: Vec<Disposition>,
    /// The lanes that have new legs, each once.
    pub lanes: Vec<Lane>,
}

/// More of the content of a message that is held: what a `Want` has brought.
#[derive(Debug)]
pub struct Supply {
    /// Which envelope is waiting for it.
    pub envelope: EnvelopeId,
    /// What came.
    pub message: NewMessage,
    /// Now, in Unix milliseconds.
    pub now_ms: u64,
}

/// A message as it is kept.
#[derive(Debug, Clone)]
pub struct StoredMessage {
    /// What it consists of.
    pub manifest: Manifest,
    /// Its header blocks, where they are here.
    pub headers: Option<Headers>,
    /// Its seals, at most [`message::limits::SEALS_MAX`]: those kept first, of whichever delivery, until
    /// [`StoredMessage::brought_by`] or [`StoredMessage::noted_as`] has chosen.
    pub seals: Vec<Seal>,
    /// The numbers of the leaves that are not here.
    pub missing: Vec<usize>,
    /// All seals that are kept of it.
    pub(crate) kept: Vec<Seal>,
}

impl StoredMessage {
    /// With the seals that came with this envelope, as far as they are kept. keeps: STO-30
    #[must_use]
    pub fn brought_by(mut self, envelope: &EnvelopeRecord) -> StoredMessage {
        if !envelope.seals.is_empty() {
            self.seals = self.kept.clone();
            self.seals.retain(|seal| envelope.seals.contains(&SealMark::of(seal)));
        }
        self
    }

    /// With the seals that are noted of a copy of it before any others.
    #[must_use]
    pub fn noted_as(mut self, notes: &[SealNote]) -> StoredMessage {
        let noted = |seal: &Seal| {
            let claims = seal.claims();
            notes.iter().any(|note| note.issuer == claims.issuer && note.role == claims.role)
        };
        self.seals = self.kept.clone();
        self.seals.sort_by_key(|seal| !noted(seal));
        self.seals.truncate(message::limits::SEALS_MAX);
        self
    }

    /// Whether headers and all leaves are here.
    pub fn is_complete(&self) -> bool {
        self.headers.is_some() && self.missing.is_empty()
    }
}
