//! Records of peers.

use ciborium::Value;
use message::address::Domain;
use message::cbor::{text, uint};

use super::{Fields, Record};
use crate::PeerRecord;

impl Record for PeerRecord {
    fn fields(&self) -> Vec<(i64, Option<Value>)> {
        vec![
            (1, Some(text(self.domain.as_str()))),
            (2, Some(uint(self.first_seen_ms))),
            (3, Some(uint(self.last_seen_ms))),
            (4, Some(uint(self.counted_at_ms))),
            (5, Some(uint(self.accepted))),
            (6, Some(uint(self.refused))),
            (7, Some(uint(self.held))),
            (8, Some(uint(self.declined))),
            (9, Some(uint(self.complaints))),
        ]
    }

    fn read(fields: &Fields) -> Option<Self> {
        Some(PeerRecord {
            domain: Domain::from_wire(fields.text(1)?).ok()?,
            first_seen_ms: fields.uint(2)?,
            last_seen_ms: fields.uint(3)?,
            counted_at_ms: fields.uint(4)?,
            accepted: fields.uint(5)?,
            refused: fields.uint(6)?,
            held: fields.uint(7)?,
            declined: fields.uint(8)?,
            complaints: fields.uint(9)?,
        })
    }
}
