//! The stored form of everything: CBOR maps with integer keys, key 0 the version, by hand and apart from the types
//! that the house works with. What cannot be read is damage of that record alone, never a panic.
//!
//! keeps: STO-4, STO-5

mod correspondent;
mod envelope;
mod forwarding;
mod keys;
mod legacy;
mod local;
mod peer;
mod word;

use ciborium::Value;
use message::cbor::{self, as_uint, find, uint};

use crate::limits::VALUE_OCTETS_MAX;
use crate::{Error, key};

pub(crate) use envelope::{CookieRecord, Held, OnceRecord};
pub(crate) use legacy::LegacyValue;
pub(crate) use local::MessageRecord;

/// The version of the records that this crate writes. It reads this one only: there is no older.
const VERSION: u64 = 1;
/// Octets of a record of several chunks that are decoded at most.
const RECORD_OCTETS_MAX: usize = 8 * VALUE_OCTETS_MAX;

/// Something that is kept as a record.
pub(crate) trait Record: Sized {
    /// The fields, keys ascending and from 1 on.
    fn fields(&self) -> Vec<(i64, Option<Value>)>;
    /// Reads them; `None` where one is not there or is not what it must be.
    fn read(fields: &Fields) -> Option<Self>;

    /// The octets of the record.
    fn encode(&self) -> Vec<u8> {
        let version = (0, Some(uint(VERSION)));
        cbor::encode(&cbor::map(std::iter::once(version).chain(self.fields())))
    }

    /// Reads a record; `key` names it where it is damaged.
    fn decode(octets: &[u8], key: &[u8]) -> Result<Self, Error> {
        let damaged = || Error::Damaged { key: key::readable(key) };
        if octets.len() > RECORD_OCTETS_MAX {
            return Err(damaged());
        }
        let Ok(Value::Map(entries)) = cbor::decode(octets) else { return Err(damaged()) };
        let fields = Fields(entries);
        if fields.uint(0) != Some(VERSION) {
            return Err(damaged());
        }
        Self::read(&fields).ok_or_else(damaged)
    }
}

/// The fields of a record or of a map within one.
pub(crate) struct Fields(Vec<(Value, Value)>);

impl Fields {
    fn of(value: &Value) -> Option<Fields> {
        value.as_map().map(|entries| Fields(entries.clone()))
    }

    fn value(&self, key: i64) -> Option<&Value> {
        find(&self.0, key)
    }

    fn uint(&self, key: i64) -> Option<u64> {
        self.value(key).and_then(as_uint)
    }

    fn small(&self, key: i64) -> Option<u32> {
        self.uint(key).and_then(|number| u32::try_from(number).ok())
    }

    fn text(&self, key: i64) -> Option<&str> {
        self.value(key).and_then(Value::as_text)
    }

    fn flag(&self, key: i64) -> Option<bool> {
        self.value(key).and_then(Value::as_bool)
    }

    fn octets(&self, key: i64) -> Option<&[u8]> {
        self.value(key).and_then(cbor::as_bytes)
    }

    fn list(&self, key: i64) -> Option<&[Value]> {
        self.value(key).and_then(Value::as_array).map(Vec::as_slice)
    }

    /// An entry that may be left out: `Some(None)` where it is, `None` where it is there and wrong.
    fn optional<T>(&self, key: i64, read: impl FnOnce(&Value) -> Option<T>) -> Option<Option<T>> {
        match self.value(key) {
            Some(value) => read(value).map(Some),
            None => Some(None),
        }
    }
}

fn list<T>(items: &[T], write: impl Fn(&T) -> Value) -> Value {
    Value::Array(items.iter().map(write).collect())
}

fn read_list<T>(items: &[Value], read: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    items.iter().map(read).collect()
}

fn flag(value: bool) -> Value {
    Value::Bool(value)
}
