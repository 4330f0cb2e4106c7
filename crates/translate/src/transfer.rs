//! Content transfer encodings (RFC 2045 section 6): quoted-printable and base64, both ways.

use data_encoding::BASE64;

/// One character in so many that base64 does not have is a fault of transport; more of them are another encoding.
const BASE64_STRANGERS: usize = 32;

/// What came out of decoding.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// The octets.
    pub(crate) octets: Vec<u8>,
    /// How many octets after the end of the data were left out.
    pub(crate) trailing: usize,
    /// Whether something was not as it must be and was taken literally.
    pub(crate) broken: bool,
}

/// Undoes quoted-printable. What is no code stands for itself; white space before a line end is left out, as RFC 2045
/// section 6.7 (3) demands.
///
/// keeps: TRL-11
pub(crate) fn decode_quoted_printable(input: &[u8]) -> Decoded {
    let mut octets = Vec::with_capacity(input.len());
    let mut broken = false;
    for line in input.split_inclusive(|&octet| octet == b'\n') {
        let (text, end) = split_line_end(line);
        let text = trim_end(text);
        let (text, soft) = match text.split_last() {
            Some((b'=', rest)) => (rest, true),
            _ => (text, false),
        };
        let mut rest = text;
        while let Some((&octet, after)) = rest.split_first() {
            let code = match after {
                [high, low, ..] if octet == b'=' => hex(*high).zip(hex(*low)),
                _ => None,
            };
            match code {
                Some((high, low)) => {
                    octets.push(high << 4 | low);
                    rest = &after[2..];
                }
                None => {
                    broken |= octet == b'=';
                    octets.push(octet);
                    rest = after;
                }
            }
        }
        if !soft {
            octets.extend_from_slice(end);
        }
    }
    Decoded { octets, trailing: 0, broken }
}

/// Undoes base64; `None` where the input is not base64: where more than one in 32 of its characters is none of the
/// alphabet, white space aside. Fewer are skipped, as RFC 2045 section 6.8 demands. Padding may be missing, several
/// padded stretches may follow each other, and what follows the last padding and is not base64 is left out and counted.
///
/// keeps: TRL-11
pub(crate) fn decode_base64(input: &[u8]) -> Option<Decoded> {
    let mut octets = Vec::with_capacity(input.len() / 4 * 3 + 3);
    let (mut bits, mut digits, mut padded_at) = (0_u32, 0_usize, None);
    // What was decoded up to the last padding, if what comes after it proves not to be base64.
    let mut safe_octets = 0;
    let (mut good, mut bad) = (0_usize, 0_usize);
    for (at, &octet) in input.iter().enumerate() {
        match (octet, base64_digit(octet)) {
            (_, Some(digit)) => {
                bits = bits << 6 | u32::from(digit);
                digits += 1;
                good += 1;
                if digits == 4 {
                    octets.extend_from_slice(&bits.to_be_bytes()[1..]);
                    (bits, digits) = (0, 0);
                }
            }
            (b'=', _) => {
                flush_base64(&mut octets, bits, digits);
                (bits, digits) = (0, 0);
                padded_at = Some(at + 1);
                safe_octets = octets.len();
            }
            (b' ' | b'\t' | b'\r' | b'\n', _) => {}
            _ => {
                if let Some(end) = padded_at {
                    octets.truncate(safe_octets);
                    return Some(Decoded { octets, trailing: input.len() - end, broken: true });
                }
                bad += 1;
            }
        }
    }
    flush_base64(&mut octets, bits, digits);
    if bad * BASE64_STRANGERS > good {
        None
    } else {
        Some(Decoded { octets, trailing: 0, broken: bad > 0 || digits == 1 })
    }
}

/// Writes base64 in lines of 76 octets, each ended by CRLF.
pub(crate) fn encode_base64(octets: &[u8]) -> Vec<u8> {
    let mut written = Vec::with_capacity(octets.len() / 57 * 78 + 80);
    for chunk in octets.chunks(57) {
        written.extend_from_slice(BASE64.encode(chunk).as_bytes());
        written.extend_from_slice(b"\r\n");
    }
    written
}

/// Writes quoted-printable. CRLF stays a line end, every other control character is a code. With `closed` the last
/// line is ended by a soft line break where it would be open.
pub(crate) fn encode_quoted_printable(octets: &[u8], closed: bool) -> Vec<u8> {
    let mut written = Vec::with_capacity(octets.len() + octets.len() / 8);
    let mut column = 0;
    let mut rest = octets;
    while let Some((&octet, after)) = rest.split_first() {
        if rest.starts_with(b"\r\n") {
            written.extend_from_slice(b"\r\n");
            column = 0;
            rest = &rest[2..];
            continue;
        }
        let ends_line = after.is_empty() || after.starts_with(b"\r\n");
        let plain = match octet {
            b'=' => false,
            b' ' | b'\t' => !ends_line,
            // A line that begins with `From ` is changed by programs that keep mailbox files.
            b'F' => column != 0 || !after.starts_with(b"rom "),
            _ => octet.is_ascii_graphic(),
        };
        let width = if plain { 1 } else { 3 };
        if column + width > if ends_line && (!closed || !after.is_empty()) { 76 } else { 75 } {
            written.extend_from_slice(b"=\r\n");
            column = 0;
        }
        if plain {
            written.push(octet);
        } else {
            written.extend_from_slice(format!("={octet:02X}").as_bytes());
        }
        column += width;
        if octet == b'\n' && !after.is_empty() {
            // A bare line feed: show where the lines of the text end.
            written.extend_from_slice(b"=\r\n");
            column = 0;
        }
        rest = after;
    }
    if closed && column > 0 {
        written.extend_from_slice(b"=\r\n");
    }
    written
}

/// Splits a line that ends in LF, CRLF or not at all into its text and its end.
pub(crate) fn split_line_end(line: &[u8]) -> (&[u8], &[u8]) {
    let end = match line {
        [.., b'\r', b'\n'] => line.len() - 2,
        [.., b'\n'] => line.len() - 1,
        _ => line.len(),
    };
    line.split_at(end)
}

/// Leaves out spaces and tabs at the end.
pub(crate) fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// The value of a hexadecimal digit.
pub(crate) fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn flush_base64(octets: &mut Vec<u8>, bits: u32, digits: usize) {
    match digits {
        2 => octets.push((bits >> 4) as u8),
        3 => octets.extend_from_slice(&[(bits >> 10) as u8, (bits >> 2) as u8]),
        _ => {}
    }
}

fn base64_digit(octet: u8) -> Option<u8> {
    match octet {
        b'A'..=b'Z' => Some(octet - b'A'),
        b'a'..=b'z' => Some(octet - b'a' + 26),
        b'0'..=b'9' => Some(octet - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_quoted_printable(input: &str, expected: &str, broken: bool) {
        let decoded = decode_quoted_printable(input.as_bytes());
        assert_eq!(String::from_utf8_lossy(&decoded.octets), expected, "{input:?}");
        assert_eq!(decoded.broken, broken, "{input:?}");
    }

    /// proves: TRL-11
    #[test]
    fn quoted_printable_is_undone() {
        // The example of RFC 2045 section 6.7.
        check_quoted_printable(
            "Now's the time =\r\nfor all folk to come=\r\n to the aid of their country.",
            "Now's the time for all folk to come to the aid of their country.",
            false,
        );
        check_quoted_printable("a=C3=a4 \t\r\nb=", "a\u{e4}\r\nb", false);
        check_quoted_printable("a = b =XY\nc=4", "a = b =XY\nc=4", true);
        check_quoted_printable("a=  \nb", "ab", false);
    }

    fn check_base64(input: &str, expected: Option<(&str, usize)>) {
        let decoded = decode_base64(input.as_bytes());
        let found = decoded.map(|d| (String::from_utf8_lossy(&d.octets).into_owned(), d.trailing));
        assert_eq!(found, expected.map(|(text, trailing)| (text.to_owned(), trailing)), "{input:?}");
    }

    /// The texts are those of RFC 4648 section 10. proves: TRL-11
    #[test]
    fn base64_is_undone() {
        check_base64("", Some(("", 0)));
        check_base64("Zg==", Some(("f", 0)));
        check_base64("Zm8", Some(("fo", 0)));
        check_base64("Zm9v\r\nYmFy\r\n", Some(("foobar", 0)));
        check_base64("Zg==\nZm8=\n", Some(("ffo", 0)));
        check_base64("Zm8=\n____\nlist", Some(("fo", 10)));
        check_base64("This is not base64!", None);
        check_base64("Zm9v-YmFy", None);
        check_base64(
            &format!("Zm9v-YmFy{}", "Zm9v".repeat(8)),
            Some((&format!("foobar{}", "foo".repeat(8)), 0)),
        );
    }

    #[test]
    fn what_is_written_is_read_again() {
        let all: Vec<u8> = (0..=255).chain([b'\r', b'\n', b' ', b'\r', b'\n', b'\n', b'.', b' ']).collect();
        for closed in [false, true] {
            let written = encode_quoted_printable(&all, closed);
            assert!(written.split(|&o| o == b'\n').all(|line| line.len() <= 77));
            assert_eq!(decode_quoted_printable(&written).octets, all);
            assert_eq!(written.ends_with(b"\r\n"), closed);
        }
        assert_eq!(decode_base64(&encode_base64(&all)).unwrap().octets, all);
        assert_eq!(encode_quoted_printable(b"From me\r\nFrom you", false), b"=46rom me\r\n=46rom you");
    }
}
