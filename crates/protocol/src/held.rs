//! Held mail, as a user's program sees it and decides about it: the frames of `spec/08-status.md`.

use ciborium::Value;
use message::address::Address;
use message::cbor::{bytes, map, text, uint};
use message::keys::AuthorKey;
use message::{Code, Identity, limits as bounds};

use crate::decode::{
    Fields, Result, array, list, read_address, read_code, read_identity, read_seal_words, read_text,
    read_uint,
};
use crate::encode::seal_words_value;
use crate::keys::read_author_key;
use crate::limits::LIST_MAX;
use crate::{Error, SealWords};

/// Where an entry stands: the number of the envelope and the place of the recipient in it.
pub type HeldPlace = (u64, u64);

/// What is held for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldEntry {
    /// Where it stands in the list.
    pub place: HeldPlace,
    /// The message.
    pub identity: Identity,
    /// The recipient.
    pub recipient: Address,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// Until when, in milliseconds since 1970: then it expires.
    pub until_ms: u64,
    /// The peer or account it came from.
    pub origin: String,
    /// The rule that holds it and the evidence.
    pub reason: String,
    /// Octets of the message.
    pub octets: u64,
    /// Octets that were not fetched.
    pub octets_missing: u64,
    /// Whether it was accepted and its rest is to come.
    pub accepted: bool,
    /// What was found of its seals.
    pub seals: Vec<SealWords>,
    /// What `From` says, where it is here.
    pub from: Option<String>,
    /// What `Subject` says, where it is here.
    pub subject: Option<String>,
    /// What `Date` says, where it is here.
    pub date: Option<String>,
    /// What was found of the key by which its author has sealed; `None` where the author has not.
    pub author_key: Option<AuthorKey>,
}

/// A user's decision about what is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decide {
    /// The message.
    pub identity: Identity,
    /// The recipient, one of the user's own addresses.
    pub recipient: Address,
    /// What was decided.
    pub choice: Choice,
}

/// What can be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// It is wanted.
    Accept {
        /// Whether its author becomes a correspondent.
        trust: bool,
    },
    /// It is not wanted.
    Refuse {
        /// What the sender is told, of class 5; 5.7.1 where none is given.
        code: Option<Code>,
    },
    /// It is not wanted, nor is what else its author may send.
    Block,
}

type Entries = Vec<(i64, Option<Value>)>;

pub(crate) fn held_entries(after: Option<HeldPlace>, limit: u64) -> Entries {
    vec![(1, after.map(place_value)), (2, Some(uint(limit)))]
}

pub(crate) fn read_held(fields: &Fields<'_>) -> Result<(Option<HeldPlace>, u64)> {
    let after = fields.optional(1).map(read_place).transpose()?;
    Ok((after, fields.uint(2)?.min(LIST_MAX as u64)))
}

pub(crate) fn entry_value(entry: &HeldEntry) -> Value {
    map([
        (1, Some(place_value(entry.place))),
        (2, Some(bytes(entry.identity.as_bytes()))),
        (3, Some(text(&entry.recipient.to_string()))),
        (4, Some(uint(entry.since_ms))),
        (5, Some(uint(entry.until_ms))),
        (6, Some(text(&entry.origin))),
        (7, Some(text(&entry.reason))),
        (8, Some(uint(entry.octets))),
        (9, Some(uint(entry.octets_missing))),
        (10, entry.accepted.then_some(Value::Bool(true))),
        (11, Some(Value::Array(entry.seals.iter().map(seal_words_value).collect()))),
        (12, entry.from.as_deref().map(text)),
        (13, entry.subject.as_deref().map(text)),
        (14, entry.date.as_deref().map(text)),
        (15, entry.author_key.map(|found| uint(found.number()))),
    ])
}

pub(crate) fn read_held_entry(value: &Value) -> Result<HeldEntry> {
    let fields = Fields::of(value)?;
    let short = |value| read_text(value, bounds::REFUSAL_TEXT_OCTETS_MAX);
    Ok(HeldEntry {
        place: read_place(fields.required(1)?)?,
        identity: read_identity(fields.required(2)?)?,
        recipient: read_address(fields.required(3)?)?,
        since_ms: fields.uint(4)?,
        until_ms: fields.uint(5)?,
        origin: read_text(fields.required(6)?, 320)?,
        reason: short(fields.required(7)?)?,
        octets: fields.uint(8)?,
        octets_missing: fields.uint(9)?,
        accepted: fields.flag(10)?,
        seals: list(fields.required(11)?, bounds::SEALS_MAX, read_seal_words)?,
        from: fields.optional(12).map(short).transpose()?,
        subject: fields.optional(13).map(short).transpose()?,
        date: fields.optional(14).map(short).transpose()?,
        author_key: fields.optional(15).map(read_author_key).transpose()?,
    })
}

pub(crate) fn decide_entries(decide: &Decide) -> Entries {
    let (choice, trust, code) = match decide.choice {
        Choice::Accept { trust } => (0, trust, None),
        Choice::Refuse { code } => (1, false, code),
        Choice::Block => (2, false, None),
    };
    vec![
        (1, Some(bytes(decide.identity.as_bytes()))),
        (2, Some(text(&decide.recipient.to_string()))),
        (3, Some(uint(choice))),
        (4, trust.then_some(Value::Bool(true))),
        (5, code.map(|code| text(&code.to_string()))),
    ]
}

pub(crate) fn read_decide(fields: &Fields<'_>) -> Result<Decide> {
    let choice = match fields.uint(3)? {
        0 => Choice::Accept { trust: fields.flag(4)? },
        1 => Choice::Refuse { code: fields.optional(5).map(read_code).transpose()? },
        2 => Choice::Block,
        _ => return Err(Error::Malformed("a decision is not known")),
    };
    if matches!(choice, Choice::Refuse { code: Some(code) } if code.class != 5) {
        return Err(Error::Malformed("the code of a refusal is of class 5"));
    }
    Ok(Decide {
        identity: read_identity(fields.required(1)?)?,
        recipient: read_address(fields.required(2)?)?,
        choice,
    })
}

fn place_value((envelope, recipient): HeldPlace) -> Value {
    Value::Array(vec![uint(envelope), uint(recipient)])
}

fn read_place(value: &Value) -> Result<HeldPlace> {
    match array(value)? {
        [envelope, recipient] => Ok((read_uint(envelope)?, read_uint(recipient)?)),
        _ => Err(Error::Malformed("a place is two numbers")),
    }
}
