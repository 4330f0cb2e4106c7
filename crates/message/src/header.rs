//! Header blocks: `Name: value` lines in UTF-8, ended by an empty line.

use bytes::Bytes;

use crate::limits::{FIELD_NAME_OCTETS_MAX, HEADERS_OCTETS_MAX};
use crate::{Digest, Error};

/// A header block that was checked: its octets keep every rule, the empty line at the end included.
///
/// keeps: MSG-2, MSG-3, MSG-4
#[derive(Clone, PartialEq, Eq)]
pub struct HeaderBlock {
    octets: Bytes,
}

/// One field of a header block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as written.
    pub name: &'a str,
    /// The value as written, folds (CRLF and a space) included.
    pub raw_value: &'a str,
}

impl Field<'_> {
    /// The value on one line: each CRLF of a fold is left out, the space after it stays.
    pub fn value(&self) -> String {
        self.raw_value.replace("\r\n", "")
    }

    /// Whether the field has this name, ASCII case aside.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

impl HeaderBlock {
    /// Checks the octets of one whole header block, the empty line at the end included.
    ///
    /// # Errors
    /// [`Error::Header`] with the rule that is broken, [`Error::Bound`] past [`HEADERS_OCTETS_MAX`].
    pub fn parse(octets: Bytes) -> Result<HeaderBlock, Error> {
        HeaderBlock::parse_within(octets, HEADERS_OCTETS_MAX)
    }

    /// The same with another bound: the outer block of a file may be longer than any block of a message.
    pub(crate) fn parse_within(octets: Bytes, bound: u64) -> Result<HeaderBlock, Error> {
        if octets.len() as u64 > bound {
            return Err(Error::Bound { what: "octets of a header block", bound });
        }
        let text = std::str::from_utf8(&octets).map_err(|_| Error::Header("it is not UTF-8"))?;
        let lines = text.strip_suffix("\r\n").ok_or(Error::Header("it does not end in an empty line"))?;
        if !lines.is_empty() {
            let lines =
                lines.strip_suffix("\r\n").ok_or(Error::Header("it does not end in an empty line"))?;
            let mut after_field = false;
            for line in lines.split("\r\n") {
                check_line(line, after_field)?;
                after_field = true;
            }
        }
        Ok(HeaderBlock { octets })
    }

    /// The octets, the empty line included.
    pub fn octets(&self) -> &Bytes {
        &self.octets
    }

    /// The BLAKE3 digest of the octets.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.octets)
    }

    /// The fields in their order.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        let text = std::str::from_utf8(&self.octets).unwrap_or_default();
        Fields { rest: text.strip_suffix("\r\n").unwrap_or_default() }
    }

    /// The first field of this name.
    pub fn first(&self, name: &str) -> Option<Field<'_>> {
        self.fields().find(|field| field.is(name))
    }

    /// The unfolded value of the only field of this name; `None` when there is none or more than one.
    pub fn only(&self, name: &str) -> Option<String> {
        let mut found = self.fields().filter(|field| field.is(name));
        let field = found.next()?;
        if found.next().is_some() { None } else { Some(field.value()) }
    }
}

impl std::fmt::Debug for HeaderBlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HeaderBlock({} octets)", self.octets.len())
    }
}

/// Builds a header block field by field.
#[derive(Debug, Clone, Default)]
pub struct HeaderBuilder {
    text: String,
}

impl HeaderBuilder {
    /// No field yet.
    pub fn new() -> Self {
        HeaderBuilder::default()
    }

    /// Adds a field. The value may hold folds (CRLF and a space). keeps: MSG-4
    ///
    /// # Errors
    /// [`Error::Header`] when the name or the value is not what a header block may hold.
    pub fn push(&mut self, name: &str, value: &str) -> Result<(), Error> {
        for (place, line) in format!("{name}: {value}").split("\r\n").enumerate() {
            // A line break in a value can only be a fold: anything else would begin a field of its own.
            if place > 0 && !line.starts_with(' ') {
                return Err(Error::Header("a line break in a field that is not a fold"));
            }
            check_line(line, place > 0)?;
        }
        self.text.push_str(name);
        self.text.push_str(": ");
        self.text.push_str(value);
        self.text.push_str("\r\n");
        Ok(())
    }

    /// The block, ended by its empty line.
    ///
    /// # Errors
    /// [`Error::Bound`] past [`HEADERS_OCTETS_MAX`].
    pub fn finish(self) -> Result<HeaderBlock, Error> {
        self.finish_within(HEADERS_OCTETS_MAX)
    }

    /// The same with another bound.
    pub(crate) fn finish_within(mut self, bound: u64) -> Result<HeaderBlock, Error> {
        self.text.push_str("\r\n");
        HeaderBlock::parse_within(Bytes::from(self.text), bound)
    }
}

struct Fields<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let mut from = 0;
        // The field ends at the first line break that no space follows.
        let end = loop {
            let at = from + self.rest.get(from..)?.find("\r\n")?;
            if self.rest.as_bytes().get(at + 2) == Some(&b' ') {
                from = at + 2;
            } else {
                break at;
            }
        };
        let (field, rest) = (&self.rest[..end], &self.rest[end + 2..]);
        self.rest = rest;
        let (name, value) = field.split_once(": ")?;
        Some(Field { name, raw_value: value })
    }
}

/// keeps: SEC-3
///
/// Checks one line without its CRLF; `after_field` says whether a fold may stand here.
fn check_line(line: &str, after_field: bool) -> Result<(), Error> {
    if line.chars().any(|c| c.is_control() && c != '\t') {
        return Err(Error::Header("a control character, or a line break that is not CRLF"));
    }
    if let Some(rest) = line.strip_prefix(' ') {
        return match (after_field, rest.trim_matches([' ', '\t']).is_empty()) {
            (false, _) => Err(Error::Header("it begins with a folded line")),
            (_, true) => Err(Error::Header("a folded line holds nothing but white space")),
            _ => Ok(()),
        };
    }
    let (name, _) = line.split_once(": ").ok_or(Error::Header("a line is not `Name: value`"))?;
    if name.is_empty() || name.len() > FIELD_NAME_OCTETS_MAX {
        return Err(Error::Header("a field name is empty or too long"));
    }
    if !name.bytes().all(|octet| (33..=126).contains(&octet) && octet != b':') {
        return Err(Error::Header("a field name holds what a name may not"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, good: bool) {
        let parsed = HeaderBlock::parse(Bytes::copy_from_slice(text.as_bytes()));
        assert_eq!(parsed.is_ok(), good, "{text:?}: {parsed:?}");
    }

    /// proves: MSG-2, MSG-3, MSG-4
    #[test]
    fn a_block_is_lines_of_name_and_value() {
        check("\r\n", true);
        check("From: a@b.test\r\n\r\n", true);
        check("Subject: Grüße\r\n aus Wien\r\n\r\n", true);
        check("Subject: \r\n\r\n", true);
        check("", false);
        check("From: a@b.test\r\n", false);
        check("From: a\n\r\n", false);
        check("From: a\rb\r\n\r\n", false);
        check("From: a\0b\r\n\r\n", false);
        check("From: a\u{85}b\r\n\r\n", false);
        check("From:a@b.test\r\n\r\n", false);
        check(" folded: first\r\n\r\n", false);
        check("Subject: x\r\n  \t\r\n\r\n", false);
        check("Sub ject: x\r\n\r\n", false);
        check("Größe: x\r\n\r\n", false);
        check(": x\r\n\r\n", false);
        check("A: x\r\n\r\nB: y\r\n\r\n", false);
        check(&format!("{}: x\r\n\r\n", "n".repeat(77)), false);
        check(&format!("A: {}\r\n\r\n", "x".repeat(65 * 1024)), false);
        assert!(HeaderBlock::parse(Bytes::from_static(b"A: \xff\r\n\r\n")).is_err());
    }

    #[test]
    fn fields_come_back_as_they_were_pushed() {
        let mut builder = HeaderBuilder::new();
        builder.push("From", "Zoë <zoe@north.test>").unwrap();
        builder.push("Subject", "one\r\n two").unwrap();
        builder.push("X", "").unwrap();
        assert!(builder.push("Evil", "x\r\nBcc: all").is_err());
        assert!(builder.push("Evil: x\r\nBcc", "all").is_err());
        let block = builder.finish().unwrap();
        let fields: Vec<_> = block.fields().map(|f| (f.name.to_owned(), f.value())).collect();
        assert_eq!(fields.len(), 3);
        assert_eq!(fields[1], ("Subject".to_owned(), "one two".to_owned()));
        assert_eq!(block.only("subject"), Some("one two".to_owned()));
        assert_eq!(block.only("nothing"), None);
    }
}
