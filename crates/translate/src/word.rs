//! Encoded words (RFC 2047), both ways.

use std::borrow::Cow;

use data_encoding::BASE64;

use crate::charset;
use crate::limits::CHARSET_NAME_OCTETS_MAX;
use crate::transfer::{decode_base64, hex};

/// Octets of the encoded text of one word: 75 for the whole word (RFC 2047 section 2) less `=?utf-8?Q?` and `?=`.
const ENCODED_TEXT_OCTETS_MAX: usize = 75 - 12;

/// One encoded word, read but not yet decoded.
struct Word<'a> {
    literal: &'a str,
    charset: &'a str,
    octets: Vec<u8>,
}

/// Decodes every encoded word that can be decoded; white space between two of them goes away. Octets of neighbours in
/// the same charset are joined first, since many programs cut characters in two. The flag says that some word could
/// not be decoded and stands as it was.
///
/// keeps: TRL-5
pub(crate) fn decode_words(text: &str) -> (Cow<'_, str>, bool) {
    if !text.contains("=?") {
        return (Cow::Borrowed(text), false);
    }
    let mut decoder = Decoder::default();
    let mut rest = text;
    while let Some(at) = rest.find("=?") {
        let (before, from) = rest.split_at(at);
        match read_word(from) {
            Some((word, after)) => {
                decoder.text(before);
                decoder.word(word);
                rest = after;
            }
            None => {
                decoder.text(&rest[..at + 2]);
                rest = &from[2..];
            }
        }
    }
    decoder.text(rest);
    decoder.flush();
    (Cow::Owned(decoder.decoded), decoder.left_some)
}

/// The length of the encoded word at the start of the text; `None` where there is none.
pub(crate) fn word_length(text: &str) -> Option<usize> {
    read_word(text).map(|(word, _)| word.literal.len())
}

/// Writes text as encoded words with a space between them; each is a text of its own as RFC 2047 section 5 demands.
///
/// keeps: TRL-16
pub(crate) fn encode_words(text: &str) -> String {
    let safe = text.bytes().filter(|&octet| octet == b' ' || is_plain(octet)).count();
    let base64 = safe + 3 * (text.len() - safe) > text.len().div_ceil(3) * 4;
    let width = |c: char| match (base64, c) {
        (true, _) => c.len_utf8(),
        (false, ' ') => 1,
        (false, c) if c.is_ascii() && is_plain(c as u8) => 1,
        (false, c) => 3 * c.len_utf8(),
    };
    let room = if base64 { ENCODED_TEXT_OCTETS_MAX / 4 * 3 } else { ENCODED_TEXT_OCTETS_MAX };
    let mut words = Vec::new();
    let (mut start, mut used) = (0, 0);
    for (at, c) in text.char_indices() {
        if used + width(c) > room {
            words.push(&text[start..at]);
            (start, used) = (at, 0);
        }
        used += width(c);
    }
    words.push(&text[start..]);
    let written: Vec<String> = words
        .into_iter()
        .map(|word| match base64 {
            true => format!("=?utf-8?B?{}?=", BASE64.encode(word.as_bytes())),
            false => format!("=?utf-8?Q?{}?=", encode_q(word)),
        })
        .collect();
    written.join(" ")
}

/// Collects text and words; words that follow each other are held back until something else comes.
#[derive(Default)]
struct Decoder<'a> {
    decoded: String,
    held: Vec<Word<'a>>,
    space: &'a str,
    left_some: bool,
}

impl<'a> Decoder<'a> {
    fn text(&mut self, text: &'a str) {
        let blank = text.bytes().all(|octet| matches!(octet, b' ' | b'\t'));
        if !self.held.is_empty() && self.space.is_empty() && blank {
            self.space = text;
        } else if !text.is_empty() {
            self.flush();
            self.decoded.push_str(text);
        }
    }

    fn word(&mut self, word: Word<'a>) {
        // What cannot be decoded is text, and the white space beside text stays.
        if charset::decode(word.charset, &word.octets).is_some() || self.may_join(&word) {
            self.held.push(word);
            self.space = "";
        } else if !knows(word.charset) {
            self.left_some = true;
            self.flush();
            self.decoded.push_str(word.literal);
        } else {
            self.held.push(word);
            self.space = "";
        }
    }

    fn may_join(&self, word: &Word<'_>) -> bool {
        self.held.last().is_some_and(|last| last.charset.eq_ignore_ascii_case(word.charset))
    }

    /// Decodes the words held back, those of one charset together where that works, else one by one.
    fn flush(&mut self) {
        let held = std::mem::take(&mut self.held);
        let mut rest = held.as_slice();
        while let Some(first) = rest.first() {
            let same =
                rest.iter().take_while(|word| word.charset.eq_ignore_ascii_case(first.charset)).count();
            let (group, after) = rest.split_at(same);
            let joined: Vec<u8> = group.iter().flat_map(|word| word.octets.iter().copied()).collect();
            match charset::decode(first.charset, &joined) {
                Some(text) => self.decoded.push_str(&text),
                None => group.iter().for_each(|word| match charset::decode(word.charset, &word.octets) {
                    Some(text) => self.decoded.push_str(&text),
                    None => {
                        self.left_some = true;
                        self.decoded.push_str(word.literal);
                    }
                }),
            }
            rest = after;
        }
        self.decoded.push_str(std::mem::take(&mut self.space));
    }
}

/// Whether the charset is known at all.
fn knows(charset: &str) -> bool {
    charset::decode(charset, b"").is_some()
}

/// Reads `=?charset*language?encoding?text?=` at the start. More lenient than RFC 2047: no white space needs to stand
/// around a word, its length does not matter, and spaces are allowed in its text, as mail readers do.
fn read_word(text: &str) -> Option<(Word<'_>, &str)> {
    let inner = text.strip_prefix("=?")?;
    let name_end = inner.bytes().take(CHARSET_NAME_OCTETS_MAX).position(|octet| octet == b'?')?;
    let (name, rest) = (&inner[..name_end], &inner[name_end + 1..]);
    let charset = name.split('*').next().unwrap_or_default();
    if charset.is_empty() || !charset.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'=') {
        return None;
    }
    let base64 = match rest.as_bytes() {
        [b'B' | b'b', b'?', ..] => true,
        [b'Q' | b'q', b'?', ..] => false,
        _ => return None,
    };
    let rest = &rest[2..];
    let end = rest.find('?')?;
    let (encoded, after) = (&rest[..end], rest[end..].strip_prefix("?=")?);
    if !encoded.bytes().all(|octet| octet.is_ascii_graphic() || octet == b' ') {
        return None;
    }
    let octets = if base64 {
        decode_base64(encoded.as_bytes()).filter(|decoded| !decoded.broken)?.octets
    } else {
        decode_q(encoded)
    };
    let literal = &text[..text.len() - after.len()];
    Some((Word { literal, charset, octets }, after))
}

fn decode_q(encoded: &str) -> Vec<u8> {
    let mut octets = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((&octet, after)) = rest.split_first() {
        let code = match after {
            [high, low, ..] if octet == b'=' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        rest = after;
        match (octet, code) {
            (_, Some((high, low))) => {
                octets.push(high << 4 | low);
                rest = &after[2..];
            }
            (b'_', _) => octets.push(b' '),
            _ => octets.push(octet),
        }
    }
    octets
}

fn encode_q(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b' ' => written.push('_'),
            _ if is_plain(octet) => written.push(char::from(octet)),
            _ => written.push_str(&format!("={octet:02X}")),
        }
    }
    written
}

/// What may stand for itself even in a phrase (RFC 2047 section 5 (3)).
fn is_plain(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!*+-/".contains(&octet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(decode_words(text).0, expected, "{text}");
    }

    /// The table of RFC 2047 section 8. proves: TRL-5
    #[test]
    fn the_examples_of_the_rfc() {
        check("(=?ISO-8859-1?Q?a?=)", "(a)");
        check("(=?ISO-8859-1?Q?a?= b)", "(a b)");
        check("(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)");
        check("(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)", "(ab)");
        check("(=?ISO-8859-1?Q?a_b?=)", "(a b)");
        check("(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)");
        check("=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>");
        check("=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?= <keld@dkuug.dk>", "Keld Jørn Simonsen <keld@dkuug.dk>");
        check(
            "=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?= =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
            "If you can read this you understand the example.",
        );
        check("=?iso-8859-8?b?7eXs+SDv4SDp7Oj08A==?=", "םולש ןב ילטפנ");
    }

    /// proves: TRL-5
    #[test]
    fn what_is_no_word_stays() {
        check("=?x-unknown?Q?abc?= =?utf-8?Q?=C3=A4?=", "=?x-unknown?Q?abc?= ä");
        check("=?utf-8?Q?=C3?=\t =?utf-8?Q?=A4?=", "ä");
        check("=?utf-8?Q?=C3?= x", "=?utf-8?Q?=C3?= x");
        check("=?utf-8?X?abc?= =?utf-8?Q?abc? =? =", "=?utf-8?X?abc?= =?utf-8?Q?abc? =? =");
        check("=?utf-8?B?###?=", "=?utf-8?B?###?=");
        check("a =?utf-8*en?q?b c?= d", "a b c d");
        assert!(decode_words("=?x-unknown?Q?abc?=").1);
    }

    /// proves: TRL-16
    #[test]
    fn words_are_read_again_and_short() {
        for text in
            ["ä", "Grüße aus Wien, ".repeat(30).as_str(), "日本語".repeat(99).as_str(), "=?a?q?b?=", " x "]
        {
            let words = encode_words(text);
            assert!(words.split(' ').all(|word| word.len() <= 75), "{words}");
            check(&words, text);
        }
    }
}
