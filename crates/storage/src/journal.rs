//! What is known of the fate of a message: envelopes, their recipients, attempts, cookies, and decisions.

use message::address::Address;
use message::{Code, Cookie, Digest, Disposition, Hop, Identity, Seal, Selection};

use crate::{EnvelopeId, Forwarded, Lane, LegId, NewMessage, Origin, SealNote, Stage};

/// One acceptance and what has become of it. It outlives the message by the time of retention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeRecord {
    /// Its number.
    pub id: EnvelopeId,
    /// Which message.
    pub identity: Identity,
    /// The identity under which it was offered: see [`crate::Acceptance::offered_as`].
    pub offered_as: Identity,
    /// Octets of the message in its octet form.
    pub octets: u64,
    /// Who handed it in.
    pub origin: Origin,
    /// The way so far, our own hop included.
    pub trace: Vec<Hop>,
    /// When it was accepted, in Unix milliseconds.
    pub received_at_ms: u64,
    /// When the queue gives up, in Unix milliseconds.
    pub expires_at_ms: u64,
    /// Not sent before this time, in Unix milliseconds.
    pub release_at_ms: Option<u64>,
    /// When its last recipient became final, in Unix milliseconds.
    pub closed_at_ms: Option<u64>,
    /// How many attempts were made, more than the journal keeps.
    pub attempts: u32,
    /// For whom.
    pub recipients: Vec<RecipientRecord>,
    /// Which of the seals that are kept of the message came with it; none where it brought no content.
    pub seals: Vec<SealMark>,
    /// What a user's submission says in its Subject field, cut at [`crate::limits::SUBJECT_OCTETS_MAX`]: the message goes
    /// when it is settled, and its user still looks at what became of it.
    pub subject: Option<String>,
}

/// By what a seal is known among those that are kept of one message: the first 8 octets of its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealMark(pub [u8; 8]);

impl SealMark {
    /// Of a seal.
    pub fn of(seal: &Seal) -> SealMark {
        let mut mark = [0; 8];
        mark.copy_from_slice(&Digest::of(seal.octets()).as_bytes()[..8]);
        SealMark(mark)
    }
}

/// One recipient of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientRecord {
    /// For whom.
    pub address: Address,
    /// The record by which it goes to another address, where it is forwarded.
    pub forwarded: Option<Forwarded>,
    /// What the offerer was told at first.
    pub told: Disposition,
    /// The final disposition, once there is one.
    pub outcome: Option<Disposition>,
    /// The leg that it travels in, while it is queued.
    pub leg: Option<LegId>,
    /// The `Pending` of the next hop with its cookie, while one is open.
    pub next_hop: Option<Disposition>,
    /// Whether someone has to decide about it: see [`crate::Store::held`].
    pub held: bool,
    /// By which rule it was decided what to do when it came in, and on what evidence, for the operator.
    pub why: Option<String>,
}

impl RecipientRecord {
    /// The address for which it is offered to the next hop.
    pub fn goes_to(&self) -> &Address {
        self.forwarded.as_ref().map_or(&self.address, |forwarded| &forwarded.to)
    }

    /// Whether it was not named in the offer, but is on the list that a recipient of the offer leads to.
    pub fn is_of_list(&self) -> bool {
        self.forwarded.as_ref().is_some_and(|forwarded| forwarded.alias != self.address)
    }

    /// The truth now: the final disposition, or what was told at first.
    pub fn current(&self) -> &Disposition {
        self.outcome.as_ref().unwrap_or(&self.told)
    }

    /// What the offerer is answered now. What it was told as final at first stays so, whatever came after it.
    pub fn answer(&self) -> &Disposition {
        if self.told.is_final() { &self.told } else { self.current() }
    }
}

/// One attempt to deliver, as the journal keeps it. Texts are cut at [`crate::limits::TEXT_OCTETS_MAX`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it began, in Unix milliseconds.
    pub at_ms: u64,
    /// Along which lane.
    pub lane: Lane,
    /// With which host.
    pub host: String,
    /// For which recipient, by its place in the envelope; `None` where it concerns all of the leg.
    pub recipient: Option<u32>,
    /// How far it came: a word such as `resolve`, `connect`, `offer`.
    pub step: String,
    /// The code, where there was one.
    pub code: Option<Code>,
    /// What was said.
    pub text: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What it brought: a word such as `accepted`, `again`.
    pub outcome: String,
}

/// What the holder of a cookie is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CookieAnswer {
    /// It is over.
    Final(Disposition),
    /// Not yet: ask again within these bounds.
    Pending {
        /// Ask again no sooner than this many seconds from now.
        min_seconds: u32,
        /// Ask again no later than this many seconds from now.
        max_seconds: u32,
        /// When waiting ends, in Unix seconds.
        until: u64,
    },
    /// Not yet, and this is wanted of the message now.
    Want {
        /// Which of its content.
        selection: Selection,
        /// The envelope that the content is for, to be named in [`crate::Supply`] and [`Decision`].
        envelope: EnvelopeId,
        /// The place of the recipient in it.
        recipient: u32,
    },
    /// No such cookie for this holder: never issued, someone else's or past its time.
    Unknown,
}

/// A cookie of a next hop that can be told that we have stopped caring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextHop {
    /// The lane that leads there.
    pub lane: Lane,
    /// The next hop's cookie.
    pub cookie: Cookie,
}

/// A recipient about whom someone has to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRecord {
    /// The envelope.
    pub envelope: EnvelopeId,
    /// The place of the recipient in it.
    pub recipient: u32,
    /// Which message; what is here of it can be read with [`crate::Store::message`].
    pub identity: Identity,
    /// Octets of the message, as it was offered.
    pub octets: u64,
    /// For whom.
    pub address: Address,
    /// The local account that decides, where it is a user's decision.
    pub account: Option<String>,
    /// Who handed it in.
    pub origin: Origin,
    /// Why it is held, for people.
    pub reason: String,
    /// What it waits for.
    pub stage: Stage,
    /// What is asked of the sender at the next poll.
    pub wanted: Option<Selection>,
    /// What was found about the seals when it was held.
    pub seals: Vec<SealNote>,
    /// The leaves that came with this delivery, where the manifest and the headers did: what another sender has brought
    /// of the same message is not among them, and must not be made use of for this one.
    pub here: Option<Vec<usize>>,
    /// Since when, in Unix milliseconds.
    pub since_ms: u64,
    /// Until when, in Unix milliseconds: then it counts as expired.
    pub until_ms: u64,
}

/// A decision about one held recipient.
#[derive(Debug)]
pub struct Decision {
    /// The envelope.
    pub envelope: EnvelopeId,
    /// The place of the recipient in it.
    pub recipient: u32,
    /// What was decided.
    pub ruling: Ruling,
    /// Now, in Unix milliseconds.
    pub now_ms: u64,
}

/// What was decided.
#[derive(Debug)]
pub enum Ruling {
    /// Into the mailbox; the message must be complete with what comes here. The cookie is settled as `Accepted`.
    Deliver {
        /// The name of the account.
        account: String,
        /// What was found about the seals.
        seals: Vec<SealNote>,
        /// What of the message came just now.
        message: Option<NewMessage>,
    },
    /// Into the queue; the cookie stays open until the next hop has answered.
    Queue {
        /// Along which lane.
        lane: Lane,
        /// When the queue gives up, in Unix milliseconds.
        expires_at_ms: u64,
        /// What of the message came just now.
        message: Option<NewMessage>,
    },
    /// Accepted, and the rest is still to come: the sender is asked for it at the next poll, and what it offers then is
    /// delivered.
    Accept {
        /// What is asked for.
        wanted: Selection,
    },
    /// Still held; at the next poll the sender is asked for this. `None` takes an earlier wish back.
    Want(Option<Selection>),
    /// Refused; the cookie is settled so.
    Refuse {
        /// Why, for programs.
        code: Code,
        /// Why, for people.
        text: String,
    },
}
