//! Charsets: octets to UTF-8, never with loss.

use std::borrow::Cow;

use encoding_rs::{Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use mail_parser::decoders::charsets::map::charset_decoder;

use crate::limits::CHARSET_NAME_OCTETS_MAX;

/// Decodes octets that are said to be in this charset; `None` where the charset is not known or where the octets are
/// not text in it.
///
/// keeps: TRL-13
pub(crate) fn decode<'a>(charset: &str, octets: &'a [u8]) -> Option<Cow<'a, str>> {
    let label = charset.trim().to_ascii_lowercase();
    if label.len() > CHARSET_NAME_OCTETS_MAX {
        return None;
    }
    if is_ascii_name(&label) {
        return if octets.is_ascii() { std::str::from_utf8(octets).ok().map(Cow::Borrowed) } else { None };
    }
    match Encoding::for_label_no_replacement(label.as_bytes()).or_else(|| by_other_name(&label)) {
        Some(encoding) if encoding == UTF_8 => std::str::from_utf8(octets).ok().map(Cow::Borrowed),
        Some(encoding) if encoding == UTF_16BE || encoding == UTF_16LE => utf16(&label, octets),
        Some(encoding) => encoding.decode_without_bom_handling_and_without_replacement(octets),
        None => by_mail_parser(&label, octets),
    }
}

/// Whether the charset says that every octet is ASCII.
pub(crate) fn is_ascii_name(charset: &str) -> bool {
    ["us-ascii", "ascii", "ansi_x3.4-1968", "iso646-us"].iter().any(|name| charset.eq_ignore_ascii_case(name))
}

/// A header value in UTF-8, or else in the charset that the content states, or else in windows-1252, in which every
/// octet is a character. The flag says that it was not UTF-8.
///
/// keeps: TRL-6
pub(crate) fn decode_header<'a>(octets: &'a [u8], stated: Option<&str>) -> (Cow<'a, str>, bool) {
    match std::str::from_utf8(octets) {
        Ok(text) => (Cow::Borrowed(text), false),
        Err(_) => match stated.and_then(|charset| decode(charset, octets)) {
            Some(text) => (text, true),
            None => (WINDOWS_1252.decode_without_bom_handling(octets).0, true),
        },
    }
}

/// UTF-16: a byte order mark at the start decides, then the name, then big-endian (RFC 2781 section 4.3).
fn utf16<'a>(label: &str, octets: &'a [u8]) -> Option<Cow<'a, str>> {
    let (encoding, rest) = match octets {
        [0xfe, 0xff, rest @ ..] => (UTF_16BE, rest),
        [0xff, 0xfe, rest @ ..] => (UTF_16LE, rest),
        _ if label.ends_with("le") => (UTF_16LE, octets),
        _ => (UTF_16BE, octets),
    };
    encoding.decode_without_bom_handling_and_without_replacement(rest)
}

/// Names that occur in mail and that the label list of the WHATWG, made for the web, does not have.
fn by_other_name(label: &str) -> Option<&'static Encoding> {
    let name: String = label.chars().map(|c| if c == '_' { '-' } else { c }).collect();
    let known = match name.as_str() {
        "iso-8859-1:1987" | "cp819" => "iso-8859-1",
        "cp932" | "ms932" => "shift_jis",
        "cp936" | "ms936" | "gb-2312" => "gbk",
        "cp949" | "ks-c-5601" | "uhc" => "euc-kr",
        "cp950" => "big5",
        "utf8" => "utf-8",
        other => other.strip_prefix("x-").unwrap_or(other),
    };
    Encoding::for_label_no_replacement(known.as_bytes())
}

/// Code pages that only the mail parser has, such as IBM850. Its UTF-7 decoder loses characters and is not used.
fn by_mail_parser<'a>(label: &str, octets: &[u8]) -> Option<Cow<'a, str>> {
    let replaced = Encoding::for_label(label.as_bytes()) == Some(REPLACEMENT);
    if replaced || label.is_empty() || label.contains("utf") {
        return None;
    }
    let text = charset_decoder(label.as_bytes())?(octets);
    if text.contains('\u{fffd}') { None } else { Some(Cow::Owned(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(charset: &str, octets: &[u8], expected: Option<&str>) {
        assert_eq!(decode(charset, octets).as_deref(), expected, "{charset}");
    }

    /// proves: TRL-13
    #[test]
    fn text_is_decoded_or_left_alone() {
        check("US-ASCII", b"abc", Some("abc"));
        check("us-ascii", b"a\xe4", None);
        check("utf-8", "ä".as_bytes(), Some("ä"));
        check("utf-8", b"\xe4", None);
        check("iso-8859-1", b"\xe4", Some("ä"));
        check("ISO_8859-1:1987", b"\xe4", Some("ä"));
        check("iso-8859-8-i", b"\xf9\xec\xe5\xed", Some("שלום"));
        check("iso-2022-jp", b"\x1b$B%O%m!<\x1b(B", Some("ハロー"));
        check("euc-kr", b"\xbe\xc8", Some("안"));
        check("euc-kr", b"\xbe", None);
        check("gb2312", b"\xc4\xe3", Some("你"));
        check("ibm850", b"\x9b", Some("ø"));
        check("utf-16", b"\xff\xfe\xe1\x00", Some("á"));
        check("utf-16", b"\x00\xe1", Some("á"));
        check("utf-16le", b"\xe1\x00", Some("á"));
        check("utf-7", b"+AOQ-", None);
        check("iso-2022-kr", b"\x1b$)Cabcd", None);
        check("x-unknown", b"abc", None);
        check("unknown-8bit", b"\xe4", None);
        check("", b"abc", None);
        check(&"x".repeat(500), b"abc", None);
    }
}
