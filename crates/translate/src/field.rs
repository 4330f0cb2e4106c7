//! Header fields: what kind of value each has, and the value from the legacy form to the native one and back.

use std::borrow::Cow;

use crate::charset::decode_header;
use crate::limits::{LINE_OCTETS_MAX, LINE_OCTETS_WANTED};
use crate::outcome::{NoteKind, Notes, Reason, Refusal};
use crate::parameter::Parameterised;
use crate::phrase::{Way, rewrite};
use crate::word::{decode_words, encode_words};

/// The name of the field that keeps what cannot stand in a header block under its own name.
pub const LEGACY_FIELD: &str = "Legacy-Field";

/// The kind of a field: where in its value text may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Text for people: encoded words anywhere.
    Text,
    /// Addresses: encoded words in names and comments.
    Addresses,
    /// A word and parameters.
    Parameters,
    /// For programs: nothing in it is decoded unless all of it is encoded.
    Opaque,
}

const ADDRESS_FIELDS: &[&str] = &[
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "bcc",
    "resent-from",
    "resent-sender",
    "resent-reply-to",
    "resent-to",
    "resent-cc",
    "resent-bcc",
    "mail-followup-to",
    "mail-reply-to",
    "errors-to",
    "apparently-to",
    "return-receipt-to",
    "disposition-notification-to",
];

const OPAQUE_FIELDS: &[&str] = &[
    "message-id",
    "in-reply-to",
    "references",
    "content-id",
    "content-location",
    "content-base",
    "content-md5",
    "content-language",
    "resent-message-id",
    "date",
    "resent-date",
    "received",
    "return-path",
    "delivered-to",
    "dkim-signature",
    "domainkey-signature",
    "authentication-results",
    "received-spf",
    "arc-seal",
    "arc-message-signature",
    "arc-authentication-results",
    "list-archive",
    "list-help",
    "list-owner",
    "list-post",
    "list-subscribe",
    "list-unsubscribe",
    "list-unsubscribe-post",
];

impl Kind {
    fn of(name: &str) -> Kind {
        let among = |list: &[&str]| list.iter().any(|known| name.eq_ignore_ascii_case(known));
        if among(ADDRESS_FIELDS) {
            Kind::Addresses
        } else if among(OPAQUE_FIELDS) {
            Kind::Opaque
        } else if among(&["content-type", "content-disposition"]) {
            Kind::Parameters
        } else {
            Kind::Text
        }
    }
}

/// The native value of a legacy field. `octets` is the value without its line breaks; `stated` is the charset of the
/// content, the best guess for octets that are not UTF-8.
///
/// keeps: TRL-4, TRL-5, TRL-6, TRL-7, TRL-8, TRL-9
pub(crate) fn import_value(
    name: &str,
    octets: &[u8],
    stated: Option<&str>,
    part: usize,
    notes: &mut Notes,
) -> String {
    let (text, guessed) = decode_header(octets, stated);
    if guessed {
        notes.add(part, NoteKind::HeaderCharsetGuessed, &format!("{name}: {text}"));
    }
    let text = printable(text.trim_matches([' ', '\t']), name, part, notes);
    let value = match Kind::of(name) {
        Kind::Text => decode_noted(&text, part, notes),
        Kind::Addresses => rewrite(&text, Way::Import),
        Kind::Opaque if is_all_encoded(&text) => decode_noted(&text, part, notes),
        Kind::Opaque => Cow::Borrowed(text.as_ref()),
        Kind::Parameters => {
            let read = Parameterised::read_legacy(&text);
            for dropped in &read.dropped {
                notes.add(part, NoteKind::ParameterDropped, dropped);
            }
            Cow::Owned(format!("{}{}", read.head, read.native_parameters()))
        }
    };
    printable(&value, name, part, notes).into_owned()
}

/// The legacy lines of a native field, CRLF at the end included. Whatever is written is read back first: a value for
/// which there is no legacy form is refused, never changed.
///
/// keeps: TRL-15, TRL-16
pub(crate) fn export_field(name: &str, value: &str, utf8: bool) -> Result<String, Refusal> {
    let reads_back =
        |written: &str| import_value(name, written.as_bytes(), None, 0, &mut Notes::default()) == value;
    let mut candidates = vec![Cow::Borrowed(value)];
    match Kind::of(name) {
        Kind::Text | Kind::Opaque => candidates.push(Cow::Owned(encode_words(value))),
        Kind::Addresses => candidates.push(rewrite(value, Way::Export)),
        Kind::Parameters => {
            let read = Parameterised::read_native(value);
            candidates.push(Cow::Owned(format!("{}{}", read.head, read.legacy_parameters())));
        }
    }
    for candidate in &candidates {
        if (utf8 || candidate.is_ascii())
            && let Some(lines) = fold(name, candidate)
            && reads_back(candidate)
        {
            return Ok(lines);
        }
    }
    let reason = match candidates.iter().any(|candidate| candidate.is_ascii()) {
        false if !utf8 => Reason::NeedsUtf8Headers,
        _ => Reason::FieldNotExpressible,
    };
    Err(Refusal::new(reason, format!("the field {name} has no legacy form")))
}

/// The legacy lines of those fields of a header block that have such a form: in 7 bits, or where an address outside ASCII
/// needs it in UTF-8. What has none is left out.
pub fn header_lines(block: &message::HeaderBlock) -> String {
    let lines = |field: message::Field<'_>| {
        let (name, value) = (field.name, field.value());
        export_field(name, &value, false).or_else(|_| export_field(name, &value, true)).ok()
    };
    block.fields().filter(|field| !field.name.eq_ignore_ascii_case(LEGACY_FIELD)).filter_map(lines).collect()
}

/// Whether a value can be written again: in 7 bits, or if the one thing in the way is an address outside ASCII, in UTF-8.
pub(crate) fn is_expressible(name: &str, value: &str) -> bool {
    let in_seven_bits = export_field(name, value, false);
    let only_utf8 = in_seven_bits.as_ref().is_err_and(|refusal| refusal.reason == Reason::NeedsUtf8Headers);
    (in_seven_bits.is_ok() || only_utf8) && export_field(name, value, true).is_ok()
}

/// Folds a field at its white space, as RFC 5322 section 2.2.3 allows; `None` where a line stays too long. A line is
/// broken only before white space that something follows, so unfolding gives just the same value.
pub(crate) fn fold(name: &str, value: &str) -> Option<String> {
    let mut lines = format!("{name}: ");
    let mut column = lines.len();
    let mut rest = value;
    let mut first = true;
    while !rest.is_empty() {
        let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let word = rest[blank..].find([' ', '\t']).unwrap_or(rest.len() - blank);
        let piece = &rest[..blank + word];
        if !first && word > 0 && column + piece.len() > LINE_OCTETS_WANTED {
            lines.push_str("\r\n");
            column = 0;
        }
        lines.push_str(piece);
        column += piece.len();
        if column > LINE_OCTETS_MAX {
            return None;
        }
        rest = &rest[piece.len()..];
        first = false;
    }
    lines.push_str("\r\n");
    Some(lines)
}

fn decode_noted<'a>(text: &'a str, part: usize, notes: &mut Notes) -> Cow<'a, str> {
    let (decoded, left_some) = decode_words(text);
    if left_some {
        notes.add(part, NoteKind::WordNotDecoded, text);
    }
    decoded
}

/// Whether the value is nothing but encoded words: what the export writes for a value that cannot stand as it is.
fn is_all_encoded(text: &str) -> bool {
    text.split(' ').all(|word| crate::word::word_length(word) == Some(word.len()))
}

/// Replaces control characters by visible signs: U+2400 and following for ASCII, U+FFFD for the others.
///
/// keeps: TRL-9
fn printable<'a>(text: &'a str, name: &str, part: usize, notes: &mut Notes) -> Cow<'a, str> {
    let bad = |c: char| c.is_control() && c != '\t';
    if !text.contains(bad) {
        return Cow::Borrowed(text);
    }
    let sign = |c: char| match u32::from(c) {
        0x7f => '\u{2421}',
        code if code < 0x20 => char::from_u32(0x2400 + code).unwrap_or('\u{fffd}'),
        _ => '\u{fffd}',
    };
    let replaced: String = text.chars().map(|c| if bad(c) { sign(c) } else { c }).collect();
    notes.add(part, NoteKind::ControlReplaced, &format!("{name}: {replaced}"));
    Cow::Owned(replaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, legacy: &[u8], native: &str) {
        let read = |octets: &[u8]| import_value(name, octets, Some("koi8-r"), 0, &mut Notes::default());
        assert_eq!(read(legacy), native, "{name}");
        let lines = export_field(name, native, false).unwrap();
        assert!(lines.is_ascii() && lines.lines().all(|line| line.len() <= 998), "{lines}");
        let value = lines.strip_prefix(name).unwrap().strip_prefix(": ").unwrap().replace("\r\n", "");
        assert_eq!(read(value.as_bytes()), native, "{lines}");
    }

    /// proves: TRL-4, TRL-6, TRL-9, TRL-15, TRL-16
    #[test]
    fn values_are_text_and_come_back() {
        check("Subject", b"  hello \t world ", "hello \t world");
        check("Subject", b"=?iso-8859-1?q?Gr=FC=DFe?= aus  Wien", "Grüße aus  Wien");
        check("Subject", b"=?utf-8?q?_x_?=", " x ");
        check("Subject", b"=?utf-8?q?a=0D=0ABcc:_b?=", "a␍␊Bcc: b");
        check("Subject", b"a\x00b\rc\x7f", "a␀b␍c␡");
        check("Subject", "Grüße".as_bytes(), "Grüße");
        check("Subject", b"\xf0\xd2\xc9", "При");
        check("Subject", "x".repeat(3000).as_bytes(), &"x".repeat(3000));
        check("Message-ID", b"<=?utf-8?q?a?=@b.test>", "<=?utf-8?q?a?=@b.test>");
        check("Received", "from größe".as_bytes(), "from größe");
        check("From", b"=?utf-8?q?=C3=A4=2C?= <a@b.test>", "\"ä,\" <a@b.test>");
        check("Content-Disposition", b"attachment; filename*=utf-8''%C3%A4", "attachment; filename=\"ä\"");
        check("X-Empty", b"", "");
    }

    /// proves: TRL-17
    #[test]
    fn what_has_no_legacy_form_is_refused() {
        let reason = |value: &str, utf8| export_field("To", value, utf8).map_err(|refusal| refusal.reason);
        assert_eq!(reason("jörg@x.test", false), Err(Reason::NeedsUtf8Headers));
        assert_eq!(reason("jörg@x.test", true), Ok("To: jörg@x.test\r\n".to_owned()));
        assert_eq!(reason(&"x".repeat(1000), true), Err(Reason::FieldNotExpressible));
    }

    #[test]
    fn folding_breaks_only_before_words() {
        let long = format!("{} {}  {}", "a".repeat(60), "b".repeat(60), "c".repeat(60));
        let lines = fold("N", &long).unwrap();
        assert_eq!(lines.lines().count(), 3);
        assert_eq!(lines.replace("\r\n", ""), format!("N: {long}"));
        assert_eq!(fold("N", &format!("{} ", "a".repeat(90))).unwrap().lines().count(), 1);
        assert_eq!(fold("N", &" ".repeat(1200)), None);
    }
}
