//! The legacy header block: lines to fields, without reading their values.

use crate::limits::LEGACY_HEADER_OCTETS_MAX;
use crate::outcome::{Reason, Refusal};
use crate::transfer::{split_line_end, trim_end};

/// One line of a header block with its continuation lines.
#[derive(Debug, Clone)]
pub(crate) struct RawField<'a> {
    /// The name; `None` where the line is no field.
    pub(crate) name: Option<&'a str>,
    /// The value, or where the line is no field all of it, without line breaks.
    pub(crate) value: Vec<u8>,
    /// The octets as they stand in the message, line breaks included.
    pub(crate) source: &'a [u8],
}

impl RawField<'_> {
    /// Whether the field has this name.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.is_some_and(|known| known.eq_ignore_ascii_case(name))
    }
}

/// A legacy entity taken apart: fields, the line end that is used, the body.
#[derive(Debug)]
pub(crate) struct Entity<'a> {
    pub(crate) fields: Vec<RawField<'a>>,
    /// A line `From ...` of a mailbox file that stood before everything.
    pub(crate) mailbox_line: Option<&'a [u8]>,
    pub(crate) body: &'a [u8],
}

/// Splits an entity at its first empty line. Where no line before that is a field, there is no header block: all of it
/// is the body.
///
/// # Errors
/// [`Reason::HeadersTooLarge`] where the header block does not end within the bound.
///
/// keeps: TRL-2, TRL-4
pub(crate) fn split(octets: &[u8]) -> Result<Entity<'_>, Refusal> {
    let mut entity = Entity { fields: Vec::new(), mailbox_line: None, body: &[] };
    let mut at = 0;
    let mut field_starts_at = None;
    for line in octets.split_inclusive(|&octet| octet == b'\n') {
        let (text, end) = split_line_end(line);
        let next = at + line.len();
        if text.is_empty() && !end.is_empty() {
            entity.body = &octets[next..];
            break;
        }
        if next > LEGACY_HEADER_OCTETS_MAX {
            if entity.fields.iter().all(|field| field.name.is_none()) {
                break;
            }
            return Err(Refusal::new(Reason::HeadersTooLarge, "the header block has no end"));
        }
        let continues = text.starts_with(b" ") || text.starts_with(b"\t");
        match entity.fields.last_mut() {
            Some(field) if continues => {
                field.value.extend_from_slice(text);
                field.source = &octets[field_starts_at.unwrap_or(at)..next];
            }
            // `From :` is a field to all who read it as RFC 5322 section 4.5 has it.
            None if at == 0 && text.starts_with(b"From ") && read_name(text).is_none() => {
                entity.mailbox_line = Some(text);
            }
            _ => {
                let (name, value) = read_name(text).map_or((None, text), |(name, value)| (Some(name), value));
                field_starts_at = Some(at);
                entity.fields.push(RawField { name, value: value.to_vec(), source: line });
            }
        }
        at = next;
    }
    if entity.fields.iter().all(|field| field.name.is_none()) && !entity.fields.is_empty() {
        entity.fields.clear();
        entity.mailbox_line = None;
        entity.body = octets;
    }
    Ok(entity)
}

/// Whether a header block has a line that is neither a field nor the continuation of one. Readers do not agree on what it is: to
/// some of them the block ends there, to others, such as [`crate::import`], it does not (TRL-4).
pub fn has_stray_line(octets: &[u8]) -> bool {
    split(octets).is_ok_and(|entity| {
        entity.mailbox_line.is_some() || entity.fields.iter().any(|field| field.name.is_none())
    })
}

/// Reads `Name:` at the start of a line; white space before the colon is allowed (RFC 5322 section 4.5).
fn read_name(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.iter().position(|&octet| octet == b':')?;
    let name = trim_end(&line[..colon]);
    let good = !name.is_empty()
        && name.len() <= message::limits::FIELD_NAME_OCTETS_MAX
        && name.iter().all(|octet| (33..=126).contains(octet));
    if good { std::str::from_utf8(name).ok().map(|name| (name, &line[colon + 1..])) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(octets: &[u8], fields: &[(&str, &str)], body: &str) {
        let entity = split(octets).unwrap();
        let found: Vec<(String, String)> = entity
            .fields
            .iter()
            .map(|f| (f.name.unwrap_or("-").to_owned(), String::from_utf8_lossy(&f.value).into_owned()))
            .collect();
        let found: Vec<(&str, &str)> = found.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(found, fields, "{}", String::from_utf8_lossy(octets));
        assert_eq!(String::from_utf8_lossy(entity.body), body);
    }

    /// proves: TRL-4
    #[test]
    fn lines_become_fields() {
        check(b"A: x\r\nB:y\r\n\tz\r\n \r\n w\r\n\r\nbody", &[("A", " x"), ("B", "y\tz  w")], "body");
        check(b"A : x\n\nbody\n", &[("A", " x")], "body\n");
        check(b"A: x", &[("A", " x")], "");
        check(b"From me\nA: x\n\n", &[("A", " x")], "");
        check(b"From : me\nA: x\n\n", &[("From", " me"), ("A", " x")], "");
        check(b">From me\nA: x\nno field\n\n", &[("-", ">From me"), ("A", " x"), ("-", "no field")], "");
        check(b"just text\n\nmore", &[], "just text\n\nmore");
        check(b"\r\nbody", &[], "body");
        check(b"", &[], "");
        for (octets, stray) in [
            (&b"A: x\r\n y\r\nFrom : z\r\n\r\nno field\r\n"[..], false),
            (b"A: x\r\nno field\r\nB: y\r\n\r\n", true),
            (b"From me\r\nA: x\r\n\r\n", true),
            (b" x\r\nA: x\r\n\r\n", true),
            (b"\r\nA: x\r\nno field\r\n", false),
            (b"", false),
        ] {
            assert_eq!(has_stray_line(octets), stray, "{}", String::from_utf8_lossy(octets));
        }
        let endless = b"A: x\r\n".repeat(LEGACY_HEADER_OCTETS_MAX / 6 + 1);
        assert_eq!(split(&endless).unwrap_err().reason, Reason::HeadersTooLarge);
    }
}
