//! Records of messages, mailboxes and accounts.

use bytes::Bytes;
use ciborium::Value;
use message::cbor::{as_bytes, as_uint, bytes, map, text, uint};
use message::{Headers, Manifest, Seal};

use super::word::{
    address, identity, origin, read_address, read_identity, read_origin, read_seal_note, read_text, seal_note,
};
use super::{Fields, Record, flag, list, read_list};
use crate::{AccountRecord, DeviceRecord, MailUid, MailboxEntry, ScramKeys};

/// A message as it is kept, its bodies apart.
#[derive(Debug, Clone)]
pub(crate) struct MessageRecord {
    pub(crate) manifest: Manifest,
    pub(crate) headers: Option<Headers>,
    pub(crate) seals: Vec<Seal>,
    /// The numbers of the leaves that are here.
    pub(crate) here: Vec<u32>,
}

impl Record for MessageRecord {
    fn fields(&self) -> Vec<(i64, Option<Value>)> {
        vec![
            (1, Some(bytes(self.manifest.octets()))),
            (2, self.headers.as_ref().map(|headers| bytes(&headers.octets()))),
            (3, Some(list(&self.seals, |seal| bytes(seal.octets())))),
            (4, Some(list(&self.here, |part| uint((*part).into())))),
        ]
    }

    fn read(fields: &Fields) -> Option<Self> {
        let manifest = Manifest::decode(fields.octets(1)?).ok()?;
        let headers = fields
            .optional(2, |value| Headers::verify(&manifest, Bytes::copy_from_slice(as_bytes(value)?)).ok())?;
        Some(MessageRecord {
            headers,
            seals: read_list(fields.list(3)?, |value| {
                Seal::parse(Bytes::copy_from_slice(as_bytes(value)?)).ok()
            })?,
            here: read_list(fields.list(4)?, |value| {
                as_uint(value).and_then(|part| u32::try_from(part).ok())
            })?,
            manifest,
        })
    }
}

impl Record for MailboxEntry {
    fn fields(&self) -> Vec<(i64, Option<Value>)> {
        vec![
            (1, Some(uint(self.uid.0))),
            (2, Some(identity(self.identity))),
            (3, Some(address(&self.recipient))),
            (4, Some(uint(self.received_at_ms))),
            (5, Some(origin(&self.origin))),
            (6, Some(list(&self.seals, seal_note))),
            (7, Some(flag(self.seen))),
        ]
    }

    fn read(fields: &Fields) -> Option<Self> {
        Some(MailboxEntry {
            uid: MailUid(fields.uint(1)?),
            identity: read_identity(fields.value(2)?)?,
            recipient: read_address(fields.value(3)?)?,
            received_at_ms: fields.uint(4)?,
            origin: read_origin(fields.value(5)?)?,
            seals: read_list(fields.list(6)?, read_seal_note)?,
            seen: fields.flag(7)?,
        })
    }
}

impl Record for AccountRecord {
    fn fields(&self) -> Vec<(i64, Option<Value>)> {
        vec![
            (1, Some(text(&self.name))),
            (2, Some(list(&self.addresses, address))),
            (3, self.password_hash.as_deref().map(text)),
            (4, Some(list(&self.devices, device))),
            (5, Some(flag(self.disabled))),
            (6, self.scram.as_ref().map(scram)),
            (7, self.notices.then(|| flag(true))),
        ]
    }

    fn read(fields: &Fields) -> Option<Self> {
        Some(AccountRecord {
            name: fields.text(1)?.to_owned(),
            addresses: read_list(fields.list(2)?, read_address)?,
            password_hash: fields.optional(3, read_text)?,
            devices: read_list(fields.list(4)?, read_device)?,
            disabled: fields.flag(5)?,
            scram: fields.optional(6, read_scram)?,
            notices: fields.optional(7, Value::as_bool)?.unwrap_or(false),
        })
    }
}

fn scram(keys: &ScramKeys) -> Value {
    map([
        (1, Some(bytes(&keys.salt))),
        (2, Some(uint(keys.iterations.into()))),
        (3, Some(bytes(&keys.stored_key))),
        (4, Some(bytes(&keys.server_key))),
    ])
}

fn read_scram(value: &Value) -> Option<ScramKeys> {
    let fields = Fields::of(value)?;
    Some(ScramKeys {
        salt: fields.octets(1)?.to_vec(),
        iterations: fields.small(2)?,
        stored_key: fields.octets(3)?.try_into().ok()?,
        server_key: fields.octets(4)?.try_into().ok()?,
    })
}

fn device(device: &DeviceRecord) -> Value {
    map([
        (1, Some(bytes(&device.public_key))),
        (2, Some(text(&device.name))),
        (3, Some(uint(device.enrolled_at_ms))),
    ])
}

fn read_device(value: &Value) -> Option<DeviceRecord> {
    let fields = Fields::of(value)?;
    Some(DeviceRecord {
        public_key: fields.octets(1)?.try_into().ok()?,
        name: fields.text(2)?.to_owned(),
        enrolled_at_ms: fields.uint(3)?,
    })
}
