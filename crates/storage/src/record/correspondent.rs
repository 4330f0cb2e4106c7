//! Records of correspondents.

use ciborium::Value;
use message::cbor::{text, uint};

use super::{Fields, Record};
use crate::{CorrespondentRecord, Regard};

impl Record for CorrespondentRecord {
    fn fields(&self) -> Vec<(i64, Option<Value>)> {
        vec![
            (1, Some(text(&self.account))),
            (2, Some(text(&self.who))),
            (3, Some(text(self.regard.word()))),
            (4, Some(uint(self.since_ms))),
            (5, Some(text(&self.note))),
        ]
    }

    fn read(fields: &Fields) -> Option<Self> {
        Some(CorrespondentRecord {
            account: fields.text(1)?.to_owned(),
            who: fields.text(2)?.to_owned(),
            regard: Regard::from_word(fields.text(3)?)?,
            since_ms: fields.uint(4)?,
            note: fields.text(5)?.to_owned(),
        })
    }
}
