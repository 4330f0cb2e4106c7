//! From the native form to RFC 5322 and MIME.

use bytes::Bytes;
use message::{HeaderBlock, Message, Part};

use crate::block::split;
use crate::body::UNKNOWN_CHARSET;
use crate::content::about_content;
use crate::field::export_field;
use crate::limits::{BOUNDARY_ATTEMPTS_MAX, LINE_OCTETS_MAX};
use crate::outcome::{Reason, Refusal};
use crate::parameter::Parameterised;
use crate::transfer::{encode_base64, encode_quoted_printable};
use crate::{GLOBAL_HEADERS_TYPE, ORIGINAL_TYPE, SIGNED_ENTITY_TYPE};

/// What the next hop can take. The default suits every SMTP server: 7-bit octets, short lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExportOptions {
    /// Text may be written in 8-bit octets (RFC 6152, 8BITMIME).
    pub eight_bit: bool,
    /// Header values may be written in UTF-8 (RFC 6531 and 6532, SMTPUTF8).
    pub utf8_headers: bool,
}

/// Translates a message to RFC 5322 and MIME. Lines end in CRLF and have at most 998 octets. The same message always
/// gives the same octets: boundaries come from its identity.
///
/// # Errors
/// [`Refusal`] with the reason why the message has no legacy form under these options.
///
/// ```
/// # use waxwing_translate as translate;
/// let eml = b"From: zoe@north.test\r\nSubject: hello\r\n\r\nGood morning\r\n";
/// let imported = translate::import(eml, &translate::ImportOptions::default())?;
/// let exported = translate::export(&imported.message, &translate::ExportOptions::default())?;
/// let again = translate::import(&exported, &translate::ImportOptions::default())?;
/// assert_eq!(again.message.identity(), imported.message.identity());
/// # Ok::<(), translate::Refusal>(())
/// ```
///
/// keeps: TRL-1, TRL-17, TRL-18
pub fn export(message: &Message, options: &ExportOptions) -> Result<Vec<u8>, Refusal> {
    let boundary = boundary_stem(message)?;
    let exporter = Exporter { message, options, boundary };
    let mut written = Written::default();
    // Room for all of it in base64, taken once: a vector that grows holds up to three times what is in it.
    let octets = message.manifest().message_octets();
    written.octets.reserve_exact(usize::try_from(octets / 8 * 11).unwrap_or(0).min(RESERVED_OCTETS_MAX));
    exporter.header(message.headers().message(), &mut written)?;
    let mut numbers = Numbers { part: 0, body: 0 };
    exporter.part(message.manifest().root(), &mut numbers, Place { last: true }, &mut written)?;
    Ok(written.octets)
}

/// The original octets that an import with `keep_original` kept.
///
/// keeps: TRL-12
pub fn original(message: &Message) -> Option<&Bytes> {
    let children = message.manifest().root().children();
    match children {
        [_, last] if last.media_type == ORIGINAL_TYPE => message.bodies().last(),
        _ => None,
    }
}

/// Octets for which room is taken beforehand.
const RESERVED_OCTETS_MAX: usize = 64 * 1024 * 1024;

/// What was written so far.
#[derive(Default)]
struct Written {
    octets: Vec<u8>,
    /// Whether some body has octets outside ASCII.
    eight_bit: bool,
}

/// Where the walk through the parts stands.
#[derive(Clone, Copy)]
struct Numbers {
    part: usize,
    body: usize,
}

/// Where a part stands.
#[derive(Clone, Copy)]
struct Place {
    /// Nothing follows it, not even a delimiter, so that its last line must be ended.
    last: bool,
}

struct Exporter<'a> {
    message: &'a Message,
    options: &'a ExportOptions,
    boundary: String,
}

/// A body in a transfer encoding.
struct Encoded {
    name: Option<&'static str>,
    octets: Vec<u8>,
}

impl Exporter<'_> {
    /// Writes the header block of a message; those of its content follow.
    fn header(&self, block: &HeaderBlock, written: &mut Written) -> Result<(), Refusal> {
        for field in block.fields() {
            if about_content(field.name) || field.is("MIME-Version") {
                let text = format!("the header of a message has a field {}", field.name);
                return Err(Refusal::new(Reason::StrayContentField, text));
            }
            let lines = export_field(field.name, &field.value(), self.options.utf8_headers)?;
            written.octets.extend_from_slice(lines.as_bytes());
        }
        written.octets.extend_from_slice(b"MIME-Version: 1.0\r\n");
        Ok(())
    }

    fn part(
        &self,
        part: &Part,
        numbers: &mut Numbers,
        place: Place,
        written: &mut Written,
    ) -> Result<(), Refusal> {
        let number = numbers.part;
        numbers.part += 1;
        let block = self.message.headers().parts().get(number);
        let block = block.ok_or_else(|| Refusal::new(Reason::Native, "a part has no header block"))?;
        let content_type = block.only("Content-Type").unwrap_or_default();
        if part.leaf().is_some() {
            let body = self.message.bodies().get(numbers.body).cloned().unwrap_or_default();
            numbers.body += 1;
            if part.media_type == SIGNED_ENTITY_TYPE && self.is_untouched(block, &body, place) {
                self.fields(block, written)?;
                written.eight_bit |= !body.is_ascii();
                written.octets.extend_from_slice(&body);
                return Ok(());
            }
            return self.leaf(part, block, &content_type, &body, place, written);
        }
        let mut parameters = Parameterised::read_native(&content_type);
        let mut inner = Written::default();
        if part.media_type.starts_with("multipart/") {
            let boundary = format!("{}_{number}", self.boundary);
            for child in part.children() {
                inner.octets.extend_from_slice(format!("\r\n--{boundary}\r\n").as_bytes());
                self.part(child, numbers, Place { last: false }, &mut inner)?;
            }
            inner.octets.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
            parameters.remove("boundary");
            parameters.parameters.push(("boundary".to_owned(), boundary));
        } else {
            self.embedded(part, numbers, place, &mut inner)?;
        }
        self.content_type(&parameters, written)?;
        if inner.eight_bit {
            written.octets.extend_from_slice(b"Content-Transfer-Encoding: 8bit\r\n");
        }
        self.fields(block, written)?;
        // The first delimiter of a multipart brings its own line break: that is the empty line.
        if !part.media_type.starts_with("multipart/") {
            written.octets.extend_from_slice(b"\r\n");
        }
        written.octets.extend_from_slice(&inner.octets);
        written.eight_bit |= inner.eight_bit;
        Ok(())
    }

    /// An embedded message: its header block is the first child, its root part the second.
    ///
    /// keeps: TRL-14
    fn embedded(
        &self,
        part: &Part,
        numbers: &mut Numbers,
        place: Place,
        inner: &mut Written,
    ) -> Result<(), Refusal> {
        let wrong = || Refusal::new(Reason::EmbeddedShape, "an embedded message is not a header and a part");
        let [header, root] = part.children() else { return Err(wrong()) };
        let body = self.message.bodies().get(numbers.body).cloned().unwrap_or_default();
        let own_header = self.message.headers().parts().get(numbers.part);
        let plain = own_header.is_some_and(|block| block.fields().count() == 2);
        if header.media_type != GLOBAL_HEADERS_TYPE || header.leaf().is_none() || !plain {
            return Err(wrong());
        }
        let block = HeaderBlock::parse(body).map_err(|_| wrong())?;
        numbers.part += 1;
        numbers.body += 1;
        self.header(&block, inner)?;
        self.part(root, numbers, place, inner)
    }

    fn leaf(
        &self,
        part: &Part,
        block: &HeaderBlock,
        content_type: &str,
        body: &[u8],
        place: Place,
        written: &mut Written,
    ) -> Result<(), Refusal> {
        let mut parameters = Parameterised::read_native(content_type);
        let text = part.media_type.starts_with("text/");
        if text && !body.is_ascii() && parameters.value("charset").is_none() {
            let charset = if std::str::from_utf8(body).is_ok() { "utf-8" } else { UNKNOWN_CHARSET };
            parameters.parameters.push(("charset".to_owned(), charset.to_owned()));
        }
        self.content_type(&parameters, written)?;
        let readable = text || part.media_type.starts_with("message/");
        let encoded = self.encode(body, readable, place.last);
        if let Some(name) = encoded.name {
            written.octets.extend_from_slice(format!("Content-Transfer-Encoding: {name}\r\n").as_bytes());
        }
        written.eight_bit |= encoded.name == Some("8bit");
        self.fields(block, written)?;
        written.octets.extend_from_slice(b"\r\n");
        written.octets.extend_from_slice(&encoded.octets);
        Ok(())
    }

    fn content_type(&self, parameters: &Parameterised, written: &mut Written) -> Result<(), Refusal> {
        let value = format!("{}{}", parameters.head, parameters.native_parameters());
        let lines = export_field("Content-Type", &value, self.options.utf8_headers)?;
        written.octets.extend_from_slice(lines.as_bytes());
        Ok(())
    }

    /// The fields of a part, those that are worked out anew aside.
    fn fields(&self, block: &HeaderBlock, written: &mut Written) -> Result<(), Refusal> {
        for field in block.fields() {
            if field.is("Content-Type") || field.is("Content-Length") {
                continue;
            }
            let lines = export_field(field.name, &field.value(), self.options.utf8_headers)?;
            written.octets.extend_from_slice(lines.as_bytes());
        }
        Ok(())
    }

    /// Chooses the transfer encoding: none where the octets can stand as they are, else quoted-printable for text that
    /// stays readable in it, and base64 for everything else.
    ///
    /// keeps: TRL-18
    fn encode(&self, body: &[u8], readable: bool, last: bool) -> Encoded {
        let ended = !last || body.is_empty() || body.ends_with(b"\r\n");
        if readable && ended && are_lines(body) {
            if body.is_ascii() {
                return Encoded { name: None, octets: body.to_vec() };
            }
            if self.options.eight_bit {
                return Encoded { name: Some("8bit"), octets: body.to_vec() };
            }
        }
        if body.is_empty() {
            return Encoded { name: None, octets: Vec::new() };
        }
        if readable {
            let codes = body.iter().filter(|&&o| !o.is_ascii_graphic() && !b" \t\r\n".contains(&o)).count();
            if codes <= body.len() / 4 {
                let octets = encode_quoted_printable(body, last);
                return Encoded { name: Some("quoted-printable"), octets };
            }
        }
        Encoded { name: Some("base64"), octets: encode_base64(body) }
    }

    /// Whether a signed entity can be written octet for octet and will be read as the same again.
    ///
    /// keeps: TRL-12
    fn is_untouched(&self, block: &HeaderBlock, entity: &[u8], place: Place) -> bool {
        let allowed = self.options.eight_bit || entity.is_ascii();
        if !allowed || !are_lines(entity) || (place.last && !entity.ends_with(b"\r\n")) {
            return false;
        }
        let own = block.fields().filter(|field| about_content(field.name)).count();
        let parameters = block.only("Content-Type").is_some_and(|value| value != SIGNED_ENTITY_TYPE);
        let Ok(parsed) = split(entity) else { return false };
        let header = &entity[..entity.len() - parsed.body.len()];
        let only_content = parsed
            .fields
            .iter()
            .all(|f| f.name.is_some_and(about_content) && !f.is("Content-Length") && f.source.is_ascii());
        let first_type = parsed.fields.iter().find(|field| field.is("Content-Type")).is_some_and(|field| {
            Parameterised::read_legacy(&String::from_utf8_lossy(&field.value)).head == "multipart/signed"
        });
        own == 2
            && !parameters
            && parsed.mailbox_line.is_none()
            && only_content
            && first_type
            && header.ends_with(b"\r\n\r\n")
    }
}

/// Whether these octets are lines that SMTP carries: ended by CRLF and nothing else, short enough, without NUL.
fn are_lines(octets: &[u8]) -> bool {
    octets.split_inclusive(|&octet| octet == b'\n').all(|line| {
        let text = match line {
            [text @ .., b'\r', b'\n'] => text,
            [.., b'\n'] => return false,
            text => text,
        };
        text.len() <= LINE_OCTETS_MAX && !text.iter().any(|&octet| octet == b'\r' || octet == 0)
    })
}

/// What all boundaries of the message begin with: from its identity, and standing nowhere in it.
///
/// keeps: TRL-18
fn boundary_stem(message: &Message) -> Result<String, Refusal> {
    let identity = message.identity().to_string();
    let short: String = identity.chars().filter(char::is_ascii_alphanumeric).take(24).collect();
    for attempt in 0..BOUNDARY_ATTEMPTS_MAX {
        // `=_` stands in no quoted-printable and in no base64 (RFC 2045 section 6.7).
        let stem = format!("=_{short}_{attempt}");
        let clashes = message.bodies().iter().any(|body| contains(body, stem.as_bytes()));
        if !clashes {
            return Ok(stem);
        }
    }
    Err(Refusal::new(Reason::BoundaryClash, "every boundary stands in the content"))
}

fn contains(octets: &[u8], wanted: &[u8]) -> bool {
    let mut rest = octets;
    while let Some(at) = rest.iter().position(|&octet| octet == b'=') {
        rest = &rest[at..];
        if rest.starts_with(wanted) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}
