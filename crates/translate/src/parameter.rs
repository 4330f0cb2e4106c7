//! Fields with parameters: `Content-Type` and `Content-Disposition` (RFC 2045 section 5.1, RFC 2183, RFC 2231).

use std::collections::BTreeMap;

use crate::charset;
use crate::limits::{PARAMETER_PIECES_MAX, PARAMETERS_MAX};
use crate::transfer::hex;
use crate::word::decode_words;

/// Octets of a parameter value up to which it is written in one piece.
const PIECE_OCTETS_MAX: usize = 60;

/// A value before the first semicolon and the parameters after it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Parameterised {
    /// The media type or the disposition, in lower case.
    pub(crate) head: String,
    /// Names in lower case, each but once, and values as text.
    pub(crate) parameters: Vec<(String, String)>,
    /// What is no parameter, or one for the second time.
    pub(crate) dropped: Vec<String>,
}

impl Parameterised {
    /// Reads a legacy value: comments are left out, RFC 2231 and RFC 2047 are undone. Lenient: a missing semicolon, a
    /// value with spaces and without quotes, and a backslash that escapes nothing are read as they were meant.
    ///
    /// keeps: TRL-8
    pub(crate) fn read_legacy(text: &str) -> Parameterised {
        let mut scanned = scan(text);
        let (plain, pieces) = std::mem::take(&mut scanned.parameters).into_iter().fold(
            (Vec::new(), BTreeMap::<String, BTreeMap<u32, Piece>>::new()),
            |(mut plain, mut pieces), (name, value)| {
                match read_name(&name) {
                    Some((base, place, extended)) => {
                        let of_base = pieces.entry(base.clone()).or_default();
                        if of_base.is_empty() {
                            plain.push((base, None));
                        }
                        of_base.entry(place).or_insert(Piece { value, extended });
                    }
                    None => plain.push((name, Some(value))),
                }
                (plain, pieces)
            },
        );
        for (name, value) in plain {
            let value = match value {
                None => pieces.get(&name).map(join_pieces).unwrap_or_default(),
                // The extended form of the same parameter is the better one.
                Some(value) if pieces.contains_key(&name) => {
                    scanned.dropped.push(format!("{name}={value}"));
                    continue;
                }
                Some(value) => decode_words(&value).0.into_owned(),
            };
            scanned.add(name, value);
        }
        scanned
    }

    /// Reads a native value, in which nothing is encoded.
    pub(crate) fn read_native(text: &str) -> Parameterised {
        let mut scanned = scan(text);
        for (name, value) in std::mem::take(&mut scanned.parameters) {
            scanned.add(name, value);
        }
        scanned
    }

    /// The value of the parameter of this name.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Takes the parameter of this name out.
    pub(crate) fn remove(&mut self, name: &str) {
        self.parameters.retain(|(known, _)| known != name);
    }

    /// The parameters as they follow the head natively: UTF-8, quoted where it must be.
    pub(crate) fn native_parameters(&self) -> String {
        self.parameters.iter().map(|(name, value)| format!("; {name}={}", quote_if_needed(value))).collect()
    }

    /// The parameters as they follow the head in the legacy form: ASCII, with RFC 2231 where it must be.
    ///
    /// keeps: TRL-16
    pub(crate) fn legacy_parameters(&self) -> String {
        self.parameters.iter().map(|(name, value)| legacy_parameter(name, value)).collect()
    }

    fn add(&mut self, name: String, value: String) {
        // What RFC 2231 section 7 keeps out of a name would be read as something else when it is written.
        let known =
            name.contains(['*', '\'', '%']) || self.parameters.iter().any(|(known, _)| *known == name);
        if known || self.parameters.len() == PARAMETERS_MAX {
            self.dropped.push(format!("{name}={value}"));
        } else {
            self.parameters.push((name, value));
        }
    }
}

/// One piece of a value that RFC 2231 cut up.
struct Piece {
    value: String,
    extended: bool,
}

/// Reads `name*`, `name*3` and `name*3*`: the base name, the place and whether the piece is percent-encoded.
fn read_name(name: &str) -> Option<(String, u32, bool)> {
    let (base, rest) = name.split_once('*')?;
    let (digits, extended) = match rest.strip_suffix('*') {
        Some(digits) => (digits, true),
        None => (rest, rest.is_empty()),
    };
    let place = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    if base.is_empty() || digits.len() > 4 { None } else { Some((base.to_owned(), place, extended)) }
}

/// Puts the pieces together and decodes them; what cannot be decoded stays as it is.
fn join_pieces(pieces: &BTreeMap<u32, Piece>) -> String {
    let (mut charset, mut octets, mut literal) = (None, Vec::new(), String::new());
    for piece in pieces.values() {
        literal.push_str(&piece.value);
        let mut value = piece.value.as_str();
        if piece.extended {
            // The charset stands in the first piece, and in some programs in the first one that is encoded.
            if charset.is_none() {
                let mut fields = value.splitn(3, '\'');
                if let (Some(name), Some(_), Some(rest)) = (fields.next(), fields.next(), fields.next()) {
                    charset = Some(name.to_owned());
                    value = rest;
                }
            }
            octets.extend(undo_percent(value.as_bytes()));
        } else {
            octets.extend_from_slice(value.as_bytes());
        }
    }
    let decoded = match charset.as_deref() {
        None | Some("") => charset::decode("utf-8", &octets),
        Some(name) => charset::decode(name, &octets),
    };
    decoded.map_or(literal, std::borrow::Cow::into_owned)
}

fn undo_percent(mut text: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(text.len());
    while let Some((&octet, after)) = text.split_first() {
        let code = match after {
            [high, low, ..] if octet == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match code {
            Some((high, low)) => {
                octets.push(high << 4 | low);
                text = &after[2..];
            }
            None => {
                octets.push(octet);
                text = after;
            }
        }
    }
    octets
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?=".contains(c)
}

fn quote_if_needed(value: &str) -> String {
    if !value.is_empty() && value.chars().all(is_token_char) {
        return value.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

fn legacy_parameter(name: &str, value: &str) -> String {
    let plain = value.bytes().all(|octet| octet.is_ascii_graphic() || octet == b' ');
    if plain && value.len() <= PIECE_OCTETS_MAX && !value.contains("=?") {
        return format!("; {name}={}", quote_if_needed(value));
    }
    let mut pieces = vec![String::new()];
    for octet in value.bytes() {
        let attribute = octet.is_ascii_alphanumeric() || b"!#$&+-.^_`{|}~".contains(&octet);
        let code = if attribute { char::from(octet).to_string() } else { format!("%{octet:02X}") };
        match pieces.last_mut() {
            Some(piece) if piece.len() + code.len() <= PIECE_OCTETS_MAX => piece.push_str(&code),
            _ => pieces.push(code),
        }
    }
    match pieces.as_slice() {
        [only] => format!("; {name}*=utf-8''{only}"),
        several => (0..)
            .zip(several)
            .map(|(at, piece)| match at {
                0 => format!("; {name}*0*=utf-8''{piece}"),
                _ => format!("; {name}*{at}*={piece}"),
            })
            .collect(),
    }
}

/// Takes a value apart without decoding anything.
fn scan(text: &str) -> Parameterised {
    let mut scanner = Scanner { rest: text };
    let mut scanned = Parameterised::default();
    scanner.skip_blank();
    scanned.head = scanner.take_until(|c| " \t;(".contains(c)).to_ascii_lowercase();
    loop {
        scanner.skip_blank();
        if let Some(rest) = scanner.rest.strip_prefix(';') {
            scanner.rest = rest;
            continue;
        }
        if scanner.rest.is_empty() {
            return scanned;
        }
        if scanned.parameters.len() + scanned.dropped.len() == PARAMETER_PIECES_MAX {
            scanned.dropped.push(scanner.rest.to_owned());
            return scanned;
        }
        let name = scanner.take_until(|c| " \t;=(".contains(c)).to_ascii_lowercase();
        scanner.skip_blank();
        match scanner.rest.strip_prefix('=') {
            Some(rest) => {
                scanner.rest = rest;
                let value = scanner.value();
                if !name.is_empty() && name.chars().all(is_token_char) {
                    scanned.parameters.push((name, value));
                } else {
                    scanned.dropped.push(format!("{name}={value}"));
                }
            }
            None => scanned.dropped.push(name),
        }
    }
}

struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn take_until(&mut self, end: impl Fn(char) -> bool) -> &'a str {
        let at = self.rest.find(end).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(at);
        self.rest = rest;
        taken
    }

    /// Skips white space and comments.
    fn skip_blank(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t']);
            if !self.rest.starts_with('(') {
                return;
            }
            let (mut depth, mut escaped, mut end) = (0_usize, false, self.rest.len());
            for (at, c) in self.rest.char_indices() {
                match c {
                    _ if escaped => escaped = false,
                    '\\' => escaped = true,
                    '(' => depth += 1,
                    ')' => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    end = at + 1;
                    break;
                }
            }
            self.rest = &self.rest[end..];
        }
    }

    fn value(&mut self) -> String {
        self.skip_blank();
        if let Some(rest) = self.rest.strip_prefix('"') {
            self.rest = rest;
            return self.quoted();
        }
        let start = self.rest;
        let all = self.take_until(|c| c == ';').trim_end_matches([' ', '\t']);
        // A value without quotes may have spaces, but not what looks like the next parameter or a comment.
        for (at, _) in all.match_indices([' ', '\t']) {
            if all[..at].ends_with([' ', '\t']) {
                continue;
            }
            let next = all[at..].trim_start_matches([' ', '\t']);
            let after_name = next.trim_start_matches(is_token_char);
            if (next.starts_with('(') && next.ends_with(')'))
                || (after_name.len() < next.len() && after_name.starts_with('='))
            {
                self.rest = &start[at..];
                return all[..at].trim_end_matches([' ', '\t']).to_owned();
            }
        }
        all.to_owned()
    }

    fn quoted(&mut self) -> String {
        let mut value = String::new();
        let mut characters = self.rest.char_indices().peekable();
        while let Some((at, c)) = characters.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return value;
                }
                // Paths of other systems are written with single backslashes: only these two are escapes.
                '\\' => match characters.peek() {
                    Some((_, next @ ('"' | '\\'))) => {
                        value.push(*next);
                        characters.next();
                    }
                    _ => value.push('\\'),
                },
                _ => value.push(c),
            }
        }
        self.rest = "";
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(legacy: &str, native: &str) {
        let read = Parameterised::read_legacy(legacy);
        assert_eq!(format!("{}{}", read.head, read.native_parameters()), native, "{legacy}");
        let written = format!("{}{}", read.head, read.legacy_parameters());
        assert!(written.is_ascii(), "{written}");
        let again = Parameterised::read_legacy(&written);
        assert_eq!((again.head, again.parameters), (read.head.clone(), read.parameters), "{written}");
        let native_read = Parameterised::read_native(native);
        assert_eq!(format!("{}{}", native_read.head, native_read.native_parameters()), native);
    }

    /// The first four are the examples of RFC 2231 sections 3, 4 and 4.1. proves: TRL-8
    #[test]
    fn parameters_are_text() {
        check(
            "message/external-body; access-type=URL; URL*0=\"ftp://\"; URL*1=\"cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar\"",
            "message/external-body; access-type=URL; url=\"ftp://cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar\"",
        );
        check(
            "application/x-stuff; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A",
            "application/x-stuff; title=\"This is ***fun***\"",
        );
        check(
            "application/x-stuff; title*0*=us-ascii'en'This%20is%20even%20more%20; title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2=\"isn't it!\"",
            "application/x-stuff; title=\"This is even more ***fun*** isn't it!\"",
        );
        check("Attachment; filename*=iso-8859-1''na%EFve.txt", "attachment; filename=\"naïve.txt\"");
        check("text/plain; charset=us-ascii (Plain text)", "text/plain; charset=us-ascii");
        check("TEXT/Plain charset=\"US-ASCII\"", "text/plain; charset=US-ASCII");
        check("a/b; name=my file (1).txt", "a/b; name=\"my file (1).txt\"");
        check("a/b; name=my file.txt; x=1", "a/b; name=\"my file.txt\"; x=1");
        check("a/b; name=\"C:\\dir\\f \\\"x\\\".txt\"", "a/b; name=\"C:\\\\dir\\\\f \\\"x\\\".txt\"");
        check("a/b; name=\"=?utf-8?B?w6Q=?=.txt\"", "a/b; name=\"ä.txt\"");
        check("a/b; name=\"open", "a/b; name=open");
        check("a/b; name=; x", "a/b; name=\"\"");
        check("a/b; name=1; name*=utf-8''2; NAME=3", "a/b; name=2");
        check("a/b; name*=x-none''%41", "a/b; name=x-none''%41");
        check(
            &format!("a/b; name=\"{}\"", "langer Name ".repeat(20)),
            &format!("a/b; name=\"{}\"", "langer Name ".repeat(20)),
        );
    }
}
