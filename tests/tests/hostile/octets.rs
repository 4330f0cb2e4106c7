//! CBOR and varints by hand, right and wrong: what is sent here must not depend on the code that is tested.

/// The head of an item (RFC 8949 section 3) in its shortest form.
fn head(major: u8, number: u64) -> Vec<u8> {
    let first = major << 5;
    match number {
        0..=23 => vec![first | number as u8],
        24..=0xff => vec![first | 24, number as u8],
        0x100..=0xffff => [&[first | 25][..], &(number as u16).to_be_bytes()].concat(),
        0x1_0000..=0xffff_ffff => [&[first | 26][..], &(number as u32).to_be_bytes()].concat(),
        _ => [&[first | 27][..], &number.to_be_bytes()].concat(),
    }
}

pub(crate) fn uint(number: u64) -> Vec<u8> {
    head(0, number)
}

/// The number `-1 - number`.
pub(crate) fn negative(number: u64) -> Vec<u8> {
    head(1, number)
}

pub(crate) fn bytes(octets: &[u8]) -> Vec<u8> {
    [head(2, octets.len() as u64), octets.to_vec()].concat()
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    [head(3, text.len() as u64), text.as_bytes().to_vec()].concat()
}

pub(crate) fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [head(4, items.len() as u64), items.concat()].concat()
}

pub(crate) fn tagged(tag: u64, item: &[u8]) -> Vec<u8> {
    [head(6, tag), item.to_vec()].concat()
}

/// A map with the keys in the order given, as they are.
pub(crate) fn map(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let items: Vec<u8> = entries.iter().flat_map(|(key, value)| [&key[..], value].concat()).collect();
    [head(5, entries.len() as u64), items].concat()
}

/// A map with unsigned keys.
pub(crate) fn fields(entries: &[(u64, Vec<u8>)]) -> Vec<u8> {
    map(&entries.iter().map(|(key, value)| (uint(*key), value.clone())).collect::<Vec<_>>())
}

pub(crate) const TRUE: [u8; 1] = [0xf5];
pub(crate) const NULL: [u8; 1] = [0xf6];
/// 1.0 in half precision.
pub(crate) const FLOAT: [u8; 3] = [0xf9, 0x3c, 0x00];

/// A varint of so many octets (RFC 9000 section 16).
pub(crate) fn varint(number: u64, octets: usize) -> Vec<u8> {
    let prefix = octets.trailing_zeros() as u8;
    let mut all = number.to_be_bytes()[8 - octets..].to_vec();
    all[0] |= prefix << 6;
    all
}

/// A frame: the length, then what it holds.
pub(crate) fn frame(body: &[u8]) -> Vec<u8> {
    let size = match body.len() {
        0..=63 => 1,
        64..=16_383 => 2,
        _ => 4,
    };
    [varint(body.len() as u64, size), body.to_vec()].concat()
}
