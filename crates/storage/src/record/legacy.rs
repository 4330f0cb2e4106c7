//! Records of the gateway, and of notices that are due.

use ciborium::Value;
use message::cbor::{bytes, text, uint};

use super::word::{address, disposition, identity, read_address, read_disposition, read_identity, read_text};
use super::{Fields, Record};
use crate::{EnvelopeId, NoticeDue};

/// What stands under the key of a record of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LegacyValue {
    pub(crate) value: Vec<u8>,
    pub(crate) expires_at_ms: u64,
}

impl Record for LegacyValue {
    fn fields(&self) -> Vec<(i64, Option<Value>)> {
        vec![(1, Some(bytes(&self.value))), (2, Some(uint(self.expires_at_ms)))]
    }

    fn read(fields: &Fields) -> Option<Self> {
        Some(LegacyValue { value: fields.octets(1)?.to_vec(), expires_at_ms: fields.uint(2)? })
    }
}

impl Record for NoticeDue {
    fn fields(&self) -> Vec<(i64, Option<Value>)> {
        vec![
            (1, Some(uint(self.id))),
            (2, Some(uint(self.envelope.0))),
            (3, Some(identity(self.identity))),
            (4, Some(address(&self.recipient))),
            (5, Some(address(&self.return_path))),
            (6, Some(disposition(&self.disposition))),
            (7, Some(uint(self.received_at_ms))),
            (8, Some(bytes(&self.header))),
            (9, self.original.as_deref().map(text)),
            (10, self.envelope_id.as_deref().map(text)),
            (11, self.account.as_deref().map(text)),
        ]
    }

    fn read(fields: &Fields) -> Option<Self> {
        Some(NoticeDue {
            id: fields.uint(1)?,
            envelope: EnvelopeId(fields.uint(2)?),
            identity: read_identity(fields.value(3)?)?,
            recipient: read_address(fields.value(4)?)?,
            return_path: read_address(fields.value(5)?)?,
            disposition: read_disposition(fields.value(6)?)?,
            received_at_ms: fields.uint(7)?,
            header: fields.octets(8)?.to_vec(),
            original: fields.optional(9, read_text)?,
            envelope_id: fields.optional(10, read_text)?,
            account: fields.optional(11, read_text)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The octets are written out by hand after RFC 8949 and `spec/12-storage.md`.
    ///
    /// proves: STO-4
    #[test]
    fn a_record_of_the_gateway_is_its_value_and_its_time() {
        let record = LegacyValue { value: b"ab".to_vec(), expires_at_ms: 256 };
        assert_eq!(record.encode(), [0xa3, 0x00, 0x01, 0x01, 0x42, b'a', b'b', 0x02, 0x19, 0x01, 0x00]);
        assert_eq!(LegacyValue::decode(&record.encode(), b"k"), Ok(record));
    }
}
