//! Keys of users, as they are asked for and published: the frames of `spec/24-keys.md`.

use bytes::Bytes;
use ciborium::Value;
use message::address::Address;
use message::cbor::{bytes, text, uint};
use message::keys::{AuthorKey, KeyAnswer, KeyRecord, Proved, TreeHead, tree::Hash};
use message::limits as bounds;

use crate::Error;
use crate::decode::{Fields, Result, array, list, octets, read_32, read_address, read_bool, read_uint};

/// Somebody asks for the keys of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyQuery {
    /// Whose.
    pub address: Address,
    /// The size of the log that was seen last; none where none was.
    pub seen_size: Option<u64>,
}

/// The answer: octets that are read, and not checked, by [`KeyReply::read`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyReply {
    /// The signed head of the log.
    pub head: Vec<u8>,
    /// Records, the oldest first, each with its place in the log and its way to the root.
    pub records: Vec<(Vec<u8>, u64, Vec<Hash>)>,
    /// What shows that the log began as the one that was seen.
    pub consistency: Vec<Hash>,
}

impl KeyReply {
    /// Reads what stands in it. Nothing of it is believed before [`KeyAnswer::check`].
    ///
    /// # Errors
    /// Where a head or a record is none.
    pub fn read(self) -> std::result::Result<KeyAnswer, message::Error> {
        let record = |(octets, leaf, way): (Vec<u8>, u64, Vec<Hash>)| {
            Ok(Proved { record: KeyRecord::parse(Bytes::from(octets))?, leaf, way })
        };
        Ok(KeyAnswer {
            head: TreeHead::parse(Bytes::from(self.head))?,
            records: self
                .records
                .into_iter()
                .map(record)
                .collect::<std::result::Result<_, message::Error>>()?,
            consistency: self.consistency,
        })
    }
}

impl From<&KeyAnswer> for KeyReply {
    fn from(answer: &KeyAnswer) -> KeyReply {
        let record = |one: &Proved| (one.record.octets().to_vec(), one.leaf, one.way.clone());
        KeyReply {
            head: answer.head.octets().to_vec(),
            records: answer.records.iter().map(record).collect(),
            consistency: answer.consistency.clone(),
        }
    }
}

/// A user publishes a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPublish {
    /// The statement, signed by the key in it.
    pub statement: Vec<u8>,
    /// What the key before has signed of it.
    pub succession: Option<Vec<u8>>,
}

/// One key that is pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinWords {
    /// The public key.
    pub key: [u8; 32],
    /// From when it is good, in seconds since 1970.
    pub not_before: u64,
    /// Until when, in seconds since 1970.
    pub not_after: u64,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// What is pinned for the account of one correspondent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyPins {
    /// The keys, the newest last; none where nothing is pinned.
    pub keys: Vec<PinWords>,
    /// A newer key that none of them has signed.
    pub broken_by: Option<[u8; 32]>,
}

type Entries = Vec<(i64, Option<Value>)>;

pub(crate) fn query_entries(query: &KeyQuery) -> Entries {
    vec![(1, Some(text(&query.address.to_string()))), (2, query.seen_size.map(uint))]
}

pub(crate) fn read_query(fields: &Fields<'_>) -> Result<KeyQuery> {
    Ok(KeyQuery {
        address: read_address(fields.required(1)?)?,
        seen_size: fields.optional(2).map(read_uint).transpose()?,
    })
}

pub(crate) fn reply_entries(reply: &KeyReply) -> Entries {
    let record = |(octets, leaf, way): &(Vec<u8>, u64, Vec<Hash>)| {
        Value::Array(vec![bytes(octets), uint(*leaf), hashes(way)])
    };
    vec![
        (1, Some(bytes(&reply.head))),
        (2, Some(Value::Array(reply.records.iter().map(record).collect()))),
        (3, (!reply.consistency.is_empty()).then(|| hashes(&reply.consistency))),
    ]
}

/// keeps: KEY-7, KEY-13
pub(crate) fn read_reply(fields: &Fields<'_>) -> Result<KeyReply> {
    let way = |value: &Value| list(value, bounds::KEY_WAY_MAX, read_32);
    let record = |value: &Value| match array(value)? {
        [record, leaf, steps] => {
            let record = octets(record, bounds::KEY_RECORD_OCTETS_MAX)?.to_vec();
            Ok((record, read_uint(leaf)?, way(steps)?))
        }
        _ => Err(Error::Malformed("a record of a key comes with its place and its way")),
    };
    let consistency = fields.optional(3).map(way).transpose()?;
    if consistency.as_ref().is_some_and(Vec::is_empty) {
        return Err(Error::Malformed("a proof of nothing"));
    }
    Ok(KeyReply {
        head: octets(fields.required(1)?, bounds::TREE_HEAD_OCTETS_MAX)?.to_vec(),
        records: list(fields.required(2)?, bounds::KEY_CHAIN_MAX, record)?,
        consistency: consistency.unwrap_or_default(),
    })
}

pub(crate) fn publish_entries(publish: &KeyPublish) -> Entries {
    vec![(1, Some(bytes(&publish.statement))), (2, publish.succession.as_deref().map(bytes))]
}

pub(crate) fn read_publish(fields: &Fields<'_>) -> Result<KeyPublish> {
    let signed = |value| octets(value, bounds::STATEMENT_OCTETS_MAX).map(<[u8]>::to_vec);
    Ok(KeyPublish {
        statement: signed(fields.required(1)?)?,
        succession: fields.optional(2).map(signed).transpose()?,
    })
}

pub(crate) fn pins_entries(pins: &KeyPins) -> Entries {
    let words = |one: &PinWords| {
        Value::Array(vec![
            bytes(&one.key),
            uint(one.not_before),
            uint(one.not_after),
            Value::Bool(one.revoked),
        ])
    };
    vec![
        (1, Some(Value::Array(pins.keys.iter().map(words).collect()))),
        (2, pins.broken_by.as_ref().map(|key| bytes(key))),
    ]
}

pub(crate) fn read_pins(fields: &Fields<'_>) -> Result<KeyPins> {
    let words = |value: &Value| match array(value)? {
        [key, not_before, not_after, revoked] => Ok(PinWords {
            key: read_32(key)?,
            not_before: read_uint(not_before)?,
            not_after: read_uint(not_after)?,
            revoked: read_bool(revoked)?,
        }),
        _ => Err(Error::Malformed("a pinned key has four members")),
    };
    Ok(KeyPins {
        keys: list(fields.required(1)?, bounds::PINNED_KEYS_MAX, words)?,
        broken_by: fields.optional(2).map(read_32).transpose()?,
    })
}

/// What was found of the author's key, as it stands in a list.
pub(crate) fn read_author_key(value: &Value) -> Result<AuthorKey> {
    AuthorKey::from_number(read_uint(value)?).ok_or(Error::Malformed("a finding about a key is not known"))
}

fn hashes(way: &[Hash]) -> Value {
    Value::Array(way.iter().map(|hash| bytes(hash)).collect())
}
