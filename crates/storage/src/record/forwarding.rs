//! Records of forwarders and of grants.

use ciborium::Value;
use message::address::Domain;
use message::cbor::{as_bytes, as_uint, bytes, text, uint};

use super::word::{address, read_address, read_text};
use super::{Fields, Record, flag};
use crate::{ForwardRecord, ForwardState, GrantRecord, GrantState};

fn secret(value: &Value) -> Option<[u8; 32]> {
    as_bytes(value)?.try_into().ok()
}

impl Record for ForwardRecord {
    fn fields(&self) -> Vec<(i64, Option<Value>)> {
        vec![
            (1, Some(address(&self.alias))),
            (2, Some(address(&self.target))),
            (3, Some(text(self.state.word()))),
            (4, Some(uint(self.since_ms))),
            (5, Some(uint(self.made_at_ms))),
            (6, Some(bytes(&self.ask))),
            (7, Some(bytes(&self.credential))),
            (8, self.conceal.then(|| flag(true))),
            (9, self.rewrite.then(|| flag(true))),
            (10, self.authorization.as_deref().map(text)),
            (11, self.asked_at_ms.map(uint)),
            (12, self.ask_again_at_ms.map(uint)),
            (13, Some(text(&self.note))),
            (14, Some(uint(self.complaints))),
            (15, self.keep_sender.then(|| flag(true))),
        ]
    }

    fn read(fields: &Fields) -> Option<Self> {
        Some(ForwardRecord {
            alias: read_address(fields.value(1)?)?,
            target: read_address(fields.value(2)?)?,
            state: ForwardState::from_word(fields.text(3)?)?,
            since_ms: fields.uint(4)?,
            made_at_ms: fields.uint(5)?,
            ask: secret(fields.value(6)?)?,
            credential: secret(fields.value(7)?)?,
            conceal: fields.optional(8, Value::as_bool)?.unwrap_or(false),
            rewrite: fields.optional(9, Value::as_bool)?.unwrap_or(false),
            authorization: fields.optional(10, read_text)?,
            asked_at_ms: fields.optional(11, as_uint)?,
            ask_again_at_ms: fields.optional(12, as_uint)?,
            note: fields.text(13)?.to_owned(),
            complaints: fields.uint(14)?,
            keep_sender: fields.optional(15, Value::as_bool)?.unwrap_or(false),
        })
    }
}

impl Record for GrantRecord {
    fn fields(&self) -> Vec<(i64, Option<Value>)> {
        vec![
            (1, Some(uint(self.number))),
            (2, Some(address(&self.recipient))),
            (3, Some(text(self.forwarder.as_str()))),
            (4, Some(text(self.state.word()))),
            (5, Some(uint(self.since_ms))),
            (6, Some(flag(self.automatic))),
            (7, Some(text(&self.by))),
            (8, self.ask.as_ref().map(|ask| bytes(ask))),
            (9, self.alias.as_deref().map(text)),
            (10, self.page.as_deref().map(text)),
            (11, self.complaints_to.as_deref().map(text)),
            (12, self.complain.then(|| flag(true))),
        ]
    }

    fn read(fields: &Fields) -> Option<Self> {
        Some(GrantRecord {
            number: fields.uint(1)?,
            recipient: read_address(fields.value(2)?)?,
            forwarder: Domain::from_wire(fields.text(3)?).ok()?,
            state: GrantState::from_word(fields.text(4)?)?,
            since_ms: fields.uint(5)?,
            automatic: fields.flag(6)?,
            by: fields.text(7)?.to_owned(),
            ask: fields.optional(8, secret)?,
            alias: fields.optional(9, read_text)?,
            page: fields.optional(10, read_text)?,
            complaints_to: fields.optional(11, read_text)?,
            complain: fields.optional(12, Value::as_bool)?.unwrap_or(false),
        })
    }
}
