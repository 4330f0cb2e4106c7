//! Records of the queue and of status: envelopes, legs, attempts, cookies, held recipients, what was offered once.

use ciborium::Value;
use message::cbor::{as_bytes, as_uint, bytes, map, text, uint};
use message::{Cookie, Disposition, Selection};

use super::word::{
    address, code, disposition, hop, identity, origin, read_address, read_code, read_disposition, read_hop,
    read_identity, read_origin, read_seal_note, read_selection, read_text, seal_note, selection,
};
use super::{Fields, Record, flag, list, read_list};
use crate::{
    Attempt, EnvelopeId, EnvelopeRecord, Forwarded, Lane, LegId, LegRecord, RecipientRecord, SealMark,
    SealNote, Stage,
};

fn small(value: &Value) -> Option<u32> {
    as_uint(value).and_then(|number| u32::try_from(number).ok())
}

impl Record for EnvelopeRecord {
    fn fields(&self) -> Vec<(i64, Option<Value>)> {
        vec![
            (1, Some(uint(self.id.0))),
            (2, Some(identity(self.identity))),
            (3, Some(uint(self.octets))),
            (4, Some(origin(&self.origin))),
            (5, Some(list(&self.trace, hop))),
            (6, Some(uint(self.received_at_ms))),
            (7, Some(uint(self.expires_at_ms))),
            (8, self.release_at_ms.map(uint)),
            (9, self.closed_at_ms.map(uint)),
            (10, Some(uint(self.attempts.into()))),
            (11, Some(list(&self.recipients, recipient))),
            (12, (self.offered_as != self.identity).then(|| identity(self.offered_as))),
            (13, (!self.seals.is_empty()).then(|| list(&self.seals, |mark| bytes(&mark.0)))),
            (14, self.subject.as_deref().map(text)),
        ]
    }

    fn read(fields: &Fields) -> Option<Self> {
        Some(EnvelopeRecord {
            id: EnvelopeId(fields.uint(1)?),
            identity: read_identity(fields.value(2)?)?,
            offered_as: match fields.optional(12, read_identity)? {
                Some(offered_as) => offered_as,
                None => read_identity(fields.value(2)?)?,
            },
            octets: fields.uint(3)?,
            origin: read_origin(fields.value(4)?)?,
            trace: read_list(fields.list(5)?, read_hop)?,
            received_at_ms: fields.uint(6)?,
            expires_at_ms: fields.uint(7)?,
            release_at_ms: fields.optional(8, as_uint)?,
            closed_at_ms: fields.optional(9, as_uint)?,
            attempts: fields.small(10)?,
            recipients: read_list(fields.list(11)?, read_recipient)?,
            seals: fields.optional(13, |value| read_list(value.as_array()?, read_mark))?.unwrap_or_default(),
            subject: fields.optional(14, read_text)?,
        })
    }
}

fn read_mark(value: &Value) -> Option<SealMark> {
    as_bytes(value)?.try_into().ok().map(SealMark)
}

fn recipient(recipient: &RecipientRecord) -> Value {
    map([
        (1, Some(address(&recipient.address))),
        (2, Some(disposition(&recipient.told))),
        (3, recipient.outcome.as_ref().map(disposition)),
        (4, recipient.leg.map(|leg| uint(leg.0))),
        (5, recipient.next_hop.as_ref().map(disposition)),
        (6, recipient.held.then(|| flag(true))),
        (7, recipient.forwarded.as_ref().map(forwarded)),
        (8, recipient.why.as_deref().map(text)),
    ])
}

fn read_recipient(value: &Value) -> Option<RecipientRecord> {
    let fields = Fields::of(value)?;
    Some(RecipientRecord {
        address: read_address(fields.value(1)?)?,
        told: read_disposition(fields.value(2)?)?,
        outcome: fields.optional(3, read_disposition)?,
        leg: fields.optional(4, as_uint)?.map(LegId),
        next_hop: fields.optional(5, read_disposition)?,
        held: fields.optional(6, Value::as_bool)?.unwrap_or(false),
        forwarded: fields.optional(7, read_forwarded)?,
        why: fields.optional(8, read_text)?,
    })
}

fn forwarded(forwarded: &Forwarded) -> Value {
    let through = forwarded.through.iter().map(address);
    Value::Array([address(&forwarded.alias), address(&forwarded.to)].into_iter().chain(through).collect())
}

fn read_forwarded(value: &Value) -> Option<Forwarded> {
    let [alias, to, through @ ..] = value.as_array()?.as_slice() else { return None };
    Some(Forwarded {
        alias: read_address(alias)?,
        through: read_list(through, read_address)?,
        to: read_address(to)?,
    })
}

impl Record for LegRecord {
    fn fields(&self) -> Vec<(i64, Option<Value>)> {
        vec![
            (1, Some(uint(self.id.0))),
            (2, Some(uint(self.envelope.0))),
            (3, Some(text(self.lane.as_str()))),
            (4, Some(list(&self.recipients, |place| uint((*place).into())))),
            (5, Some(uint(self.created_at_ms))),
            (6, Some(uint(self.due_ms))),
            (7, Some(uint(self.attempts.into()))),
            (8, Some(uint(self.backoff.into()))),
            (9, Some(flag(self.held))),
            (10, self.last_error.as_deref().map(text)),
            (11, self.unreached.then(|| flag(true))),
            (12, (self.ahead_ms > 0).then(|| uint(self.ahead_ms))),
        ]
    }

    fn read(fields: &Fields) -> Option<Self> {
        Some(LegRecord {
            id: LegId(fields.uint(1)?),
            envelope: EnvelopeId(fields.uint(2)?),
            lane: Lane::new(fields.text(3)?).ok()?,
            recipients: read_list(fields.list(4)?, small)?,
            created_at_ms: fields.uint(5)?,
            due_ms: fields.uint(6)?,
            attempts: fields.small(7)?,
            backoff: fields.small(8)?,
            held: fields.flag(9)?,
            unreached: fields.optional(11, Value::as_bool)?.unwrap_or(false),
            ahead_ms: fields.optional(12, as_uint)?.unwrap_or(0),
            last_error: fields.optional(10, read_text)?,
        })
    }
}

impl Record for Attempt {
    fn fields(&self) -> Vec<(i64, Option<Value>)> {
        vec![
            (1, Some(uint(self.at_ms))),
            (2, Some(text(self.lane.as_str()))),
            (3, Some(text(&self.host))),
            (4, self.recipient.map(|place| uint(place.into()))),
            (5, Some(text(&self.step))),
            (6, self.code.map(code)),
            (7, Some(text(&self.text))),
            (8, Some(uint(self.took_ms))),
            (9, Some(text(&self.outcome))),
        ]
    }

    fn read(fields: &Fields) -> Option<Self> {
        Some(Attempt {
            at_ms: fields.uint(1)?,
            lane: Lane::new(fields.text(2)?).ok()?,
            host: fields.text(3)?.to_owned(),
            recipient: fields.optional(4, small)?,
            step: fields.text(5)?.to_owned(),
            code: fields.optional(6, read_code)?,
            text: fields.text(7)?.to_owned(),
            took_ms: fields.uint(8)?,
            outcome: fields.text(9)?.to_owned(),
        })
    }
}

/// A cookie that we issued. It says all that a poll needs, so that every poll is one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CookieRecord {
    pub(crate) cookie: Cookie,
    pub(crate) holder: String,
    pub(crate) envelope: EnvelopeId,
    pub(crate) recipient: u32,
    pub(crate) min_seconds: u32,
    pub(crate) max_seconds: u32,
    /// In Unix seconds.
    pub(crate) until: u64,
    pub(crate) outcome: Option<Disposition>,
    pub(crate) wanted: Option<Selection>,
    /// From when on it is wanted, in Unix milliseconds.
    pub(crate) wanted_at_ms: u64,
    /// When it becomes unknown, in Unix milliseconds: set when it is settled.
    pub(crate) forgotten_at_ms: Option<u64>,
    pub(crate) polled_at_ms: Option<u64>,
}

impl Record for CookieRecord {
    fn fields(&self) -> Vec<(i64, Option<Value>)> {
        vec![
            (1, Some(bytes(self.cookie.as_bytes()))),
            (2, Some(text(&self.holder))),
            (3, Some(uint(self.envelope.0))),
            (4, Some(uint(self.recipient.into()))),
            (5, Some(uint(self.min_seconds.into()))),
            (6, Some(uint(self.max_seconds.into()))),
            (7, Some(uint(self.until))),
            (8, self.outcome.as_ref().map(disposition)),
            (9, self.wanted.as_ref().map(selection)),
            (10, self.forgotten_at_ms.map(uint)),
            (11, self.polled_at_ms.map(uint)),
            (12, (self.wanted_at_ms > 0).then(|| uint(self.wanted_at_ms))),
        ]
    }

    fn read(fields: &Fields) -> Option<Self> {
        Some(CookieRecord {
            cookie: Cookie::from_bytes(fields.octets(1)?.try_into().ok()?),
            holder: fields.text(2)?.to_owned(),
            envelope: EnvelopeId(fields.uint(3)?),
            recipient: fields.small(4)?,
            min_seconds: fields.small(5)?,
            max_seconds: fields.small(6)?,
            until: fields.uint(7)?,
            outcome: fields.optional(8, read_disposition)?,
            wanted: fields.optional(9, read_selection)?,
            forgotten_at_ms: fields.optional(10, as_uint)?,
            polled_at_ms: fields.optional(11, as_uint)?,
            wanted_at_ms: fields.optional(12, as_uint)?.unwrap_or(0),
        })
    }
}

/// What is known of a held recipient beside its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) account: Option<String>,
    pub(crate) reason: String,
    pub(crate) wanted: Option<Selection>,
    pub(crate) since_ms: u64,
    pub(crate) until_ms: u64,
    pub(crate) stage: Stage,
    pub(crate) seals: Vec<SealNote>,
    /// The leaves that came with this delivery; `None` where not even the manifest did.
    pub(crate) here: Option<Vec<u32>>,
}

impl Held {
    /// Whether the sender is asked now to offer it again.
    pub(crate) fn is_wanted(&self, now_ms: u64) -> bool {
        self.wanted.is_some() && self.wanted_at_ms() <= now_ms && !self.is_over(now_ms)
    }

    /// Whether its time is over. keeps: STA-18
    pub(crate) fn is_over(&self, now_ms: u64) -> bool {
        self.until_ms <= now_ms
    }

    /// From when on the sender is asked for what is wanted.
    pub(crate) fn wanted_at_ms(&self) -> u64 {
        match self.stage {
            Stage::Later { at_ms } => at_ms,
            Stage::Undecided | Stage::Accepted => 0,
        }
    }
}

impl Record for Held {
    fn fields(&self) -> Vec<(i64, Option<Value>)> {
        vec![
            (1, self.account.as_deref().map(text)),
            (2, Some(text(&self.reason))),
            (3, self.wanted.as_ref().map(selection)),
            (4, Some(uint(self.since_ms))),
            (5, Some(uint(self.until_ms))),
            (6, stage(self.stage)),
            (7, (!self.seals.is_empty()).then(|| list(&self.seals, seal_note))),
            (8, self.here.as_ref().map(|here| list(here, |part| uint((*part).into())))),
        ]
    }

    fn read(fields: &Fields) -> Option<Self> {
        Some(Held {
            account: fields.optional(1, read_text)?,
            reason: fields.text(2)?.to_owned(),
            wanted: fields.optional(3, read_selection)?,
            since_ms: fields.uint(4)?,
            until_ms: fields.uint(5)?,
            stage: fields.optional(6, read_stage)?.unwrap_or(Stage::Undecided),
            seals: fields
                .optional(7, |value| read_list(value.as_array()?, read_seal_note))?
                .unwrap_or_default(),
            here: fields.optional(8, |value| read_list(value.as_array()?, small))?,
        })
    }
}

/// A recipient about whom is to be decided has no field for it.
fn stage(stage: Stage) -> Option<Value> {
    match stage {
        Stage::Undecided => None,
        Stage::Accepted => Some(Value::Array(vec![uint(1)])),
        Stage::Later { at_ms } => Some(Value::Array(vec![uint(2), uint(at_ms)])),
    }
}

fn read_stage(value: &Value) -> Option<Stage> {
    match value.as_array()?.as_slice() {
        [kind] if as_uint(kind) == Some(1) => Some(Stage::Accepted),
        [kind, at] if as_uint(kind) == Some(2) => Some(Stage::Later { at_ms: as_uint(at)? }),
        _ => None,
    }
}

/// Which envelope and recipient an offer of a peer has become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OnceRecord {
    pub(crate) envelope: EnvelopeId,
    pub(crate) recipient: u32,
    /// Nobody has offered it for this recipient: it has come here by a list, and only lists look at it.
    pub(crate) member: bool,
}

impl Record for OnceRecord {
    fn fields(&self) -> Vec<(i64, Option<Value>)> {
        vec![
            (1, Some(uint(self.envelope.0))),
            (2, Some(uint(self.recipient.into()))),
            (3, self.member.then(|| flag(true))),
        ]
    }

    fn read(fields: &Fields) -> Option<Self> {
        Some(OnceRecord {
            envelope: EnvelopeId(fields.uint(1)?),
            recipient: fields.small(2)?,
            member: fields.optional(3, Value::as_bool)?.unwrap_or(false),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Record + PartialEq + std::fmt::Debug>(record: T) {
        let octets = record.encode();
        assert_eq!(T::decode(&octets, b"k").unwrap(), record);
        // Cut short or with another version it is damage, not a panic.
        for end in 0..octets.len() {
            assert!(T::decode(&octets[..end], b"k").is_err());
        }
        let mut other = octets.clone();
        other[2] = 2;
        assert_eq!(T::decode(&other, b"k"), Err(crate::Error::Damaged { key: "k".into() }));
    }

    /// The octets are written out by hand after RFC 8949 and `spec/12-storage.md`.
    ///
    /// proves: STO-4
    #[test]
    fn records_are_maps_with_a_version() {
        let record = OnceRecord { envelope: EnvelopeId(500), recipient: 2, member: false };
        assert_eq!(record.encode(), [0xa3, 0x00, 0x01, 0x01, 0x19, 0x01, 0xf4, 0x02, 0x02]);
        let with_unknown_key = [0xa4, 0x00, 0x01, 0x01, 0x19, 0x01, 0xf4, 0x02, 0x02, 0x18, 0x63, 0x61, b'x'];
        assert_eq!(OnceRecord::decode(&with_unknown_key, b"k"), Ok(record));
        let without_recipient = [0xa2, 0x00, 0x01, 0x01, 0x01];
        assert!(OnceRecord::decode(&without_recipient, b"k").is_err());
    }

    #[test]
    fn records_come_back_as_they_were() {
        check(OnceRecord { envelope: EnvelopeId(u64::MAX), recipient: 7, member: true });
        check(Held {
            account: Some("a".into()),
            reason: "first contact".into(),
            wanted: Some(Selection::Parts(vec![(1, 0), (2, 9)])),
            since_ms: 5,
            until_ms: 6,
            stage: Stage::Later { at_ms: 7 },
            seals: vec![SealNote {
                author_key: Some(message::keys::AuthorKey::Rotated),
                issuer: "a.test".into(),
                role: message::Role::Submission,
                verified: true,
                key_name: "s1".into(),
                key: Some(message::KeyId([9; 16])),
            }],
            here: Some(vec![1, 2]),
        });
        check(CookieRecord {
            cookie: Cookie::from_bytes([7; 32]),
            holder: "a.test".into(),
            envelope: EnvelopeId(1),
            recipient: 0,
            min_seconds: 60,
            max_seconds: 3600,
            until: 9,
            outcome: Some(Disposition::Expired),
            wanted: None,
            wanted_at_ms: 8,
            forgotten_at_ms: Some(1),
            polled_at_ms: None,
        });
    }
}
