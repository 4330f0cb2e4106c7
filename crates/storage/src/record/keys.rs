//! Records of users' keys.

use bytes::Bytes;
use ciborium::Value;
use message::cbor::{as_bytes, as_uint, bytes, text, uint};
use message::keys::{KeyRecord, Pin, PinnedKey, TreeHead};
use message::{Digest, PublicKey};

use super::word::{address, read_address};
use super::{Fields, Record, flag, list, read_list};
use crate::{HeadRecord, PinRecord, StatementRecord};

impl Record for StatementRecord {
    fn fields(&self) -> Vec<(i64, Option<Value>)> {
        vec![(1, Some(bytes(self.record.octets()))), (2, Some(uint(self.leaf))), (3, Some(uint(self.at_ms)))]
    }

    fn read(fields: &Fields) -> Option<Self> {
        Some(StatementRecord {
            record: KeyRecord::parse(Bytes::copy_from_slice(fields.octets(1)?)).ok()?,
            leaf: fields.uint(2)?,
            at_ms: fields.uint(3)?,
        })
    }
}

impl Record for PinRecord {
    fn fields(&self) -> Vec<(i64, Option<Value>)> {
        vec![
            (1, Some(text(&self.account))),
            (2, Some(address(&self.address))),
            (3, Some(list(&self.pin.keys, pinned))),
            (4, self.pin.broken_by.map(|key| bytes(key.as_bytes()))),
            (5, Some(uint(self.since_ms))),
        ]
    }

    fn read(fields: &Fields) -> Option<Self> {
        Some(PinRecord {
            account: fields.text(1)?.to_owned(),
            address: read_address(fields.value(2)?)?,
            pin: Pin {
                keys: read_list(fields.list(3)?, read_pinned)?,
                broken_by: fields.optional(4, read_key)?,
            },
            since_ms: fields.uint(5)?,
        })
    }
}

fn pinned(one: &PinnedKey) -> Value {
    Value::Array(vec![
        bytes(one.key.as_bytes()),
        bytes(one.statement.as_bytes()),
        uint(one.not_before),
        uint(one.not_after),
        flag(one.revoked),
    ])
}

fn read_pinned(value: &Value) -> Option<PinnedKey> {
    let [key, statement, not_before, not_after, revoked] = value.as_array()?.as_slice() else { return None };
    Some(PinnedKey {
        key: read_key(key)?,
        statement: Digest::from_slice(as_bytes(statement)?).ok()?,
        not_before: as_uint(not_before)?,
        not_after: as_uint(not_after)?,
        revoked: revoked.as_bool()?,
    })
}

fn read_key(value: &Value) -> Option<PublicKey> {
    PublicKey::from_bytes(as_bytes(value)?.try_into().ok()?).ok()
}

impl Record for HeadRecord {
    fn fields(&self) -> Vec<(i64, Option<Value>)> {
        vec![
            (1, Some(bytes(self.head.octets()))),
            (2, Some(uint(self.seen_at_ms))),
            (3, self.contradicted_by.as_ref().map(|head| bytes(head.octets()))),
        ]
    }

    fn read(fields: &Fields) -> Option<Self> {
        let head = |value: &Value| TreeHead::parse(Bytes::copy_from_slice(as_bytes(value)?)).ok();
        Some(HeadRecord {
            head: head(fields.value(1)?)?,
            seen_at_ms: fields.uint(2)?,
            contradicted_by: fields.optional(3, head)?,
        })
    }
}
