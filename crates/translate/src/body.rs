//! The bodies of leaves: from their transfer encoding to raw octets, from their charset to UTF-8.

use std::borrow::Cow;

use crate::charset;
use crate::field::LEGACY_FIELD;
use crate::outcome::{NoteKind, Notes};
use crate::parameter::Parameterised;
use crate::transfer::{decode_base64, decode_quoted_printable};

/// The charset of text of which only this is known, that it is not ASCII (RFC 1428 section 3).
pub(crate) const UNKNOWN_CHARSET: &str = "unknown-8bit";

/// Whether the transfer encoding is one of RFC 2045.
pub(crate) fn is_known(encoding: &str) -> bool {
    matches!(encoding, "" | "7bit" | "8bit" | "binary" | "quoted-printable" | "base64")
}

/// Undoes the transfer encoding. Octets that are not in the encoding they are said to be in stay as they are, and the
/// encoding is kept as a `Legacy-Field`.
///
/// keeps: TRL-11
pub(crate) fn decode<'a>(
    octets: &'a [u8],
    encoding: &str,
    part: usize,
    notes: &mut Notes,
    aside: &mut Vec<(String, String)>,
) -> Cow<'a, [u8]> {
    let decoded = match encoding {
        "quoted-printable" => Some(decode_quoted_printable(octets)),
        "base64" => decode_base64(octets),
        _ => return Cow::Borrowed(octets),
    };
    let Some(decoded) = decoded else {
        notes.add(part, NoteKind::EncodingBroken, encoding);
        aside.push((LEGACY_FIELD.to_owned(), format!("Content-Transfer-Encoding: {encoding}")));
        return Cow::Borrowed(octets);
    };
    if decoded.trailing > 0 {
        let trailing = &octets[octets.len() - decoded.trailing..];
        notes.add(part, NoteKind::TrailingDropped, String::from_utf8_lossy(trailing).trim());
    } else if decoded.broken {
        notes.add(part, NoteKind::EncodingBroken, encoding);
    }
    Cow::Owned(decoded.octets)
}

/// Converts a text to UTF-8 and takes the charset away, or keeps both where that cannot be done without loss.
///
/// keeps: TRL-13
pub(crate) fn to_utf8<'a>(
    octets: Cow<'a, [u8]>,
    parameters: &mut Parameterised,
    part: usize,
    notes: &mut Notes,
) -> Cow<'a, [u8]> {
    let stated = parameters.value("charset").map(str::to_owned);
    let ascii = stated.as_deref().is_none_or(charset::is_ascii_name);
    if ascii && std::str::from_utf8(&octets).is_ok() {
        if !octets.is_ascii() {
            notes.add(part, NoteKind::CharsetAssumed, "utf-8");
        }
        parameters.remove("charset");
        return octets;
    }
    let Some(stated) = stated else {
        notes.add(part, NoteKind::CharsetKept, UNKNOWN_CHARSET);
        parameters.parameters.push(("charset".to_owned(), UNKNOWN_CHARSET.to_owned()));
        return octets;
    };
    let decoded = match charset::decode(&stated, &octets) {
        Some(text) if text.as_bytes() == octets.as_ref() => None,
        Some(text) => Some(text.into_owned().into_bytes()),
        None => {
            notes.add(part, NoteKind::CharsetKept, &stated);
            return octets;
        }
    };
    parameters.remove("charset");
    decoded.map_or(octets, Cow::Owned)
}
