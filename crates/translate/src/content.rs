//! What the fields of an entity say about its content.

use bytes::Bytes;
use message::limits;

use crate::block::{Entity, RawField};
use crate::parameter::Parameterised;
use crate::transfer::split_line_end;

/// Whether a field of this name is about the content, not about the message (RFC 2045 section 3).
pub(crate) fn about_content(name: &str) -> bool {
    name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("content-"))
}

/// The charset that the content type states, before anything is decoded.
pub(crate) fn find_charset(fields: &[RawField<'_>]) -> Option<String> {
    let field = fields.iter().find(|field| field.is("Content-Type"))?;
    let read = Parameterised::read_legacy(&String::from_utf8_lossy(&field.value));
    read.value("charset").map(str::to_owned)
}

/// The name of a transfer encoding, comments and white space aside. `8-bit`, `8 bits` and the like mean `8bit`.
pub(crate) fn encoding_name(value: &[u8]) -> String {
    let read = Parameterised::read_native(&String::from_utf8_lossy(value));
    let name = read.head.trim_matches('"');
    match name.as_bytes().first() {
        Some(b'7') => "7bit".to_owned(),
        Some(b'8') => "8bit".to_owned(),
        _ => name.to_owned(),
    }
}

/// Whether this is a media type that a native part can have.
pub(crate) fn is_media_type(text: &str) -> bool {
    let name = |part: &str| {
        part.len() <= 127
            && part.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
            && part.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"!#$&-^_.+".contains(&c))
    };
    text.len() <= limits::MEDIA_TYPE_OCTETS_MAX
        && text.split_once('/').is_some_and(|(top, sub)| name(top) && name(sub))
}

/// The fields about the content and the body, octet for octet: what the signature of a `multipart/signed` needs. Where
/// no line ends in CRLF, as in files of many systems, all of them get it: signatures are over that form (RFC 1847
/// section 2.1).
///
/// keeps: TRL-12
pub(crate) fn signed_entity(entity: &Entity<'_>) -> Bytes {
    let mut octets = Vec::with_capacity(entity.body.len() + 256);
    let mut line_end: &[u8] = b"\r\n";
    for field in &entity.fields {
        let name = field.name.unwrap_or_default();
        if about_content(name) && !field.is("Content-Length") {
            octets.extend_from_slice(field.source);
            if !field.source.ends_with(b"\r\n") {
                line_end = b"\n";
            }
        }
    }
    if !octets.ends_with(b"\n") {
        octets.extend_from_slice(line_end);
    }
    octets.extend_from_slice(line_end);
    octets.extend_from_slice(entity.body);
    if octets.contains(&b'\r') {
        return Bytes::from(octets);
    }
    let mut lines = Vec::with_capacity(octets.len() + octets.len() / 32);
    for line in octets.split_inclusive(|&octet| octet == b'\n') {
        let (text, end) = split_line_end(line);
        lines.extend_from_slice(text);
        lines.extend_from_slice(if end.is_empty() { b"" } else { b"\r\n" });
    }
    Bytes::from(lines)
}
