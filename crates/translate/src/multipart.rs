//! Finding the parts of a multipart (RFC 2046 section 5.1).

use crate::transfer::{split_line_end, trim_end};

/// The parts between the delimiter lines, and what stands around them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found<'a> {
    pub(crate) parts: Vec<&'a [u8]>,
    pub(crate) preamble: &'a [u8],
    pub(crate) epilogue: &'a [u8],
    /// Whether the closing delimiter line is there.
    pub(crate) closed: bool,
}

/// Takes the body of a multipart apart at the lines that are just its delimiter; `None` where there is none. It reads
/// the octets once and stops as soon as there are more parts than `parts_max`.
pub(crate) fn find_parts<'a>(body: &'a [u8], boundary: &[u8], parts_max: usize) -> Option<Found<'a>> {
    let mut found = Found { parts: Vec::new(), preamble: body, epilogue: &[], closed: false };
    if boundary.is_empty() {
        return None;
    }
    let mut open = None;
    let mut seen = false;
    let mut at = 0;
    for line in body.split_inclusive(|&octet| octet == b'\n') {
        let next = at + line.len();
        if let Some(close) = delimiter(line, boundary) {
            let before = without_line_end(&body[..at]);
            match open.take() {
                Some(start) => found.parts.push(body.get(start..before).unwrap_or_default()),
                None => found.preamble = &body[..at],
            }
            seen = true;
            if close {
                found.closed = true;
                found.epilogue = &body[next..];
                break;
            }
            open = Some(next);
            if found.parts.len() > parts_max {
                break;
            }
        }
        at = next;
    }
    // A delimiter with nothing behind it begins no part.
    if let Some(start) = open.filter(|&start| start < body.len()) {
        found.parts.push(&body[start..]);
    }
    seen.then_some(found)
}

/// Whether the line is a delimiter of this boundary, and then whether it is the closing one.
fn delimiter(line: &[u8], boundary: &[u8]) -> Option<bool> {
    let rest = line.strip_prefix(b"--")?.strip_prefix(boundary)?;
    match trim_end(split_line_end(rest).0) {
        b"" => Some(false),
        b"--" => Some(true),
        _ => None,
    }
}

/// The length without the line break at the end, which belongs to the delimiter that follows.
fn without_line_end(octets: &[u8]) -> usize {
    split_line_end(octets).0.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, parts: Option<&[&str]>, closed: bool) {
        let found = find_parts(body.as_bytes(), b"b", 10);
        let texts: Option<Vec<_>> =
            found.as_ref().map(|f| f.parts.iter().map(|part| std::str::from_utf8(part).unwrap()).collect());
        assert_eq!(texts.as_deref(), parts, "{body:?}");
        assert_eq!(found.is_some_and(|f| f.closed), closed, "{body:?}");
    }

    /// proves: TRL-10
    #[test]
    fn parts_stand_between_delimiter_lines() {
        check("pre\r\n--b\r\none\r\n--b \t\r\ntwo\r\n\r\n--b--\r\npost", Some(&["one", "two\r\n"]), true);
        check("--b\none\n--b--", Some(&["one"]), true);
        check("--b\none", Some(&["one"]), false);
        check("--b\none\n--b\n", Some(&["one"]), false);
        check("--b\r\n--b\r\n--b--", Some(&["", ""]), true);
        check("--b--\r\n", Some(&[]), true);
        check("--bb\r\n --b\r\nx--b\r\n", None, false);
        check("", None, false);
        assert_eq!(find_parts(b"--\r\n--\r\n", b"", 10), None);
        let many = b"--b\nx\n".repeat(1_000_000);
        assert_eq!(find_parts(&many, b"b", 10).unwrap().parts.len(), 12);
    }
}
