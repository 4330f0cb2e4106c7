//! CBOR as the house writes it: definite lengths, shortest integers, integer keys in ascending order (RFC 8949
//! section 4.2.1). The reader takes just that form where a digest or a signature stands over the octets.

use ciborium::Value;
use ciborium::value::Integer;

use crate::Error;
use crate::limits::CBOR_DEPTH_MAX;

/// Encodes a value. Maps are written in the order given: the caller keeps the keys ascending.
pub fn encode(value: &Value) -> Vec<u8> {
    let mut octets = Vec::with_capacity(256);
    // Writing to a Vec cannot fail, and a Value holds nothing that CBOR cannot say.
    let written = ciborium::into_writer(value, &mut octets);
    debug_assert!(written.is_ok());
    octets
}

/// Decodes one value that fills the octets; nested no deeper than [`CBOR_DEPTH_MAX`], and without bignums, which the
/// decoder would give as the integers that they are not. keeps: FRM-11
///
/// # Errors
/// [`Error::Cbor`].
pub fn decode(octets: &[u8]) -> Result<Value, Error> {
    let mut rest = octets;
    let value = ciborium::de::from_reader_with_recursion_limit(&mut rest, CBOR_DEPTH_MAX)
        .map_err(|_| Error::Cbor("not a well-formed item, or nested too deeply"))?;
    if !rest.is_empty() {
        return Err(Error::Cbor("octets follow the item"));
    }
    if has_bignum(octets) { Err(Error::Cbor("a bignum")) } else { Ok(value) }
}

/// Whether the tags 2 or 3 (RFC 8949 section 3.4.3) stand anywhere in well-formed octets. Heads follow one another
/// whatever the nesting; only strings have octets of their own between them.
fn has_bignum(octets: &[u8]) -> bool {
    let mut rest = octets;
    while let [first, tail @ ..] = rest {
        let (major, short) = (first >> 5, first & 0x1f);
        let size = if (24..28).contains(&short) { 1_usize << (short - 24) } else { 0 };
        let Some((long, tail)) = tail.split_at_checked(size) else { return false };
        let number = match size {
            0 => u64::from(short),
            _ => long.iter().fold(0, |number, octet| (number << 8) | u64::from(*octet)),
        };
        match major {
            6 if number == 2 || number == 3 => return true,
            // The octets of a string; one of indefinite length consists of others.
            2 | 3 if short < 28 => {
                let Ok(skip) = usize::try_from(number) else { return false };
                let Some(behind) = tail.get(skip..) else { return false };
                rest = behind;
            }
            _ => rest = tail,
        }
    }
    false
}

/// Decodes one value whose octets are its deterministic encoding, and refuses any other.
pub fn decode_deterministic(octets: &[u8]) -> Result<Value, Error> {
    let value = decode(octets)?;
    if !keys_ascend(&value) {
        return Err(Error::Cbor("map keys are doubled or out of order"));
    }
    if encode(&value) == octets { Ok(value) } else { Err(Error::Cbor("not the deterministic encoding")) }
}

/// An unsigned integer as a value.
pub fn uint(number: u64) -> Value {
    Value::Integer(Integer::from(number))
}

/// Octets as a value.
pub fn bytes(octets: &[u8]) -> Value {
    Value::Bytes(octets.to_vec())
}

/// Text as a value.
pub fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// A map with integer keys; `None` values are left out. Keys must be given in ascending order.
pub fn map(entries: impl IntoIterator<Item = (i64, Option<Value>)>) -> Value {
    Value::Map(
        entries
            .into_iter()
            .filter_map(|(key, value)| value.map(|value| (Value::Integer(Integer::from(key)), value)))
            .collect(),
    )
}

/// The value as an unsigned integer.
pub fn as_uint(value: &Value) -> Option<u64> {
    value.as_integer().and_then(|integer| u64::try_from(integer).ok())
}

/// The value as octets.
pub fn as_bytes(value: &Value) -> Option<&[u8]> {
    value.as_bytes().map(Vec::as_slice)
}

/// Looks a key up in the entries of a map.
pub fn find(entries: &[(Value, Value)], key: i64) -> Option<&Value> {
    let key = Value::Integer(Integer::from(key));
    entries.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
}

/// Whether no map in the value has a key twice: two readers could otherwise see two values.
pub fn keys_once(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().all(keys_once),
        Value::Map(entries) if numbers_ascend(entries) => entries.iter().all(|(_, item)| keys_once(item)),
        Value::Map(entries) => {
            let mut keys: Vec<Vec<u8>> = entries.iter().map(|(key, _)| encode(key)).collect();
            keys.sort_unstable();
            keys.windows(2).all(|pair| pair[0] != pair[1]) && entries.iter().all(|(_, item)| keys_once(item))
        }
        Value::Tag(_, inner) => keys_once(inner),
        _ => true,
    }
}

/// Whether the keys are unsigned numbers that ascend, as they do in all that is ours: then their encodings ascend, too, and
/// need not be made.
fn numbers_ascend(entries: &[(Value, Value)]) -> bool {
    let mut last = -1;
    entries.iter().all(|(key, _)| {
        let number = key.as_integer().map_or(-1, i128::from);
        std::mem::replace(&mut last, number) < number
    })
}

/// Whether the keys of every map in the value ascend in the order of their encodings, none twice.
fn keys_ascend(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().all(keys_ascend),
        Value::Map(entries) if numbers_ascend(entries) => entries.iter().all(|(_, value)| keys_ascend(value)),
        Value::Map(entries) => {
            let encoded: Vec<Vec<u8>> = entries.iter().map(|(key, _)| encode(key)).collect();
            encoded.windows(2).all(|pair| pair[0] < pair[1])
                && entries.iter().all(|(_, value)| keys_ascend(value))
        }
        Value::Tag(_, inner) => keys_ascend(inner),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_deterministic_form_is_read() {
        // RFC 8949 section 4.2.1: shortest heads, definite lengths, sorted keys.
        let check = |octets: &[u8], good: bool| {
            assert_eq!(decode_deterministic(octets).is_ok(), good, "{octets:02x?}");
        };
        check(&[0xa2, 0x00, 0x01, 0x01, 0x02], true);
        check(&[0xa2, 0x01, 0x02, 0x00, 0x01], false);
        check(&[0xa2, 0x00, 0x01, 0x00, 0x02], false);
        check(&[0x18, 0x01], false);
        check(&[0x9f, 0x01, 0xff], false);
        check(&[0x81, 0x01], true);
        check(&[0x81, 0x01, 0x00], false);
    }

    /// proves: FRM-11
    #[test]
    fn a_bignum_is_no_integer() {
        let check = |octets: &[u8], good: bool| assert_eq!(decode(octets).is_ok(), good, "{octets:02x?}");
        check(&[0xc2, 0x41, 0x05], false);
        check(&[0xc3, 0x41, 0x05], false);
        check(&[0xd8, 0x02, 0x41, 0x05], false);
        check(&[0xa1, 0x00, 0x82, 0x00, 0xc2, 0x40], false);
        check(&[0x5f, 0x41, 0x00, 0xff], true);
        check(&[0x9f, 0x5f, 0x41, 0x00, 0xff, 0xc2, 0x41, 0x01, 0xff], false);
        // Octets and text that only look like it, other tags, and floats.
        check(&[0x42, 0xc2, 0x40], true);
        check(&[0x82, 0x58, 0x01, 0xc2, 0x61, 0x63], true);
        check(&[0xc1, 0x02], true);
        check(&[0xf9, 0xc2, 0x40], true);
    }

    #[test]
    fn nesting_is_bounded() {
        let mut octets = vec![0x81; 10_000];
        octets.push(0x00);
        assert!(decode(&octets).is_err());
        // A head that promises more items than there are octets must not reserve room for them.
        assert!(decode(&[0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
    }
}
