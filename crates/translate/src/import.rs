//! From RFC 5322 and MIME to the native form.

use bytes::Bytes;
use message::{Draft, DraftContent, DraftPart, Extent, HeaderBlock, HeaderBuilder, Limits, Message, limits};

use crate::block::{Entity, RawField, split};
use crate::content::{about_content, encoding_name, find_charset, is_media_type, signed_entity};
use crate::field::{LEGACY_FIELD, import_value, is_expressible};
use crate::limits::LEGACY_OCTETS_MAX;
use crate::outcome::{Note, NoteKind, Notes, Reason, Refusal};
use crate::parameter::Parameterised;
use crate::{GLOBAL_HEADERS_TYPE, ORIGINAL_TYPE, SIGNED_ENTITY_TYPE, body, multipart};

/// What an import may be, and what it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportOptions {
    /// Octets of the legacy message; at most [`LEGACY_OCTETS_MAX`] makes sense in memory.
    pub octets_max: usize,
    /// The bounds on the native message. They are checked while the parts are found, not after.
    pub limits: Limits,
    /// Keeps the original octets as a last part of type [`ORIGINAL_TYPE`], so that signatures over the legacy form
    /// (DKIM, RFC 6376) can still be checked. The message then is a `multipart/mixed` of two parts.
    pub keep_original: bool,
}

impl Default for ImportOptions {
    fn default() -> Self {
        ImportOptions { octets_max: LEGACY_OCTETS_MAX, limits: Limits::default(), keep_original: false }
    }
}

/// A translated message and what the translation changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The message in its native form.
    pub message: Message,
    /// What was changed or could not be read.
    pub notes: Vec<Note>,
}

/// Translates a message from RFC 5322 and MIME (RFC 2045 to 2047, RFC 2231, RFC 6532) to the native form. Lenient as
/// mail readers are, and deterministic.
///
/// # Errors
/// [`Refusal`] with [`Reason::NotAMessage`] or the bound that is passed.
///
/// ```
/// # use waxwing_translate as translate;
/// let eml = b"From: =?utf-8?Q?Zo=C3=AB?= <zoe@north.test>\r\nSubject: hello\r\n\
///     Content-Transfer-Encoding: quoted-printable\r\n\r\nGood =\r\nmorning\r\n";
/// let imported = translate::import(eml, &translate::ImportOptions::default())?;
/// let header = imported.message.headers().message();
/// assert_eq!(header.only("From"), Some("Zoë <zoe@north.test>".to_owned()));
/// assert_eq!(imported.message.bodies()[0], "Good morning\r\n");
/// # Ok::<(), translate::Refusal>(())
/// ```
///
/// keeps: TRL-1, TRL-2
pub fn import(eml: &[u8], options: &ImportOptions) -> Result<Imported, Refusal> {
    if eml.len() > options.octets_max {
        return Err(Refusal::new(Reason::TooLarge, format!("more than {} octets", options.octets_max)));
    }
    let mut importer = Importer {
        limits: options.limits,
        notes: Notes::default(),
        parts: 0,
        headers: 0,
        bodies: Vec::new(),
    };
    let wrapped = options.keep_original;
    if wrapped {
        importer.count_part(1)?;
    }
    let entity = split(eml)?;
    if entity.fields.is_empty() {
        return Err(Refusal::new(Reason::NotAMessage, "there is no header field"));
    }
    let depth = if wrapped { 2 } else { 1 };
    let (header, mut root) = importer.message(entity, depth, None)?;
    if wrapped {
        importer.count_part(2)?;
        let original = importer.leaf(ORIGINAL_TYPE, String::new(), Bytes::copy_from_slice(eml));
        root = part("multipart/mixed", String::new(), DraftContent::Parts(vec![root, original]));
    }
    let message = Message::assemble(&Draft { header, root }, importer.bodies)?;
    if message.manifest().headers_octets() > options.limits.headers_octets {
        return Err(Refusal::new(Reason::HeadersTooLarge, "all header blocks together"));
    }
    Ok(Imported { message, notes: importer.notes.list })
}

pub(crate) fn part(media_type: &str, parameters: String, content: DraftContent) -> DraftPart {
    DraftPart { media_type: media_type.to_owned(), parameters, fields: Vec::new(), content }
}

/// What the fields about the content say.
struct Content {
    media_type: String,
    parameters: Parameterised,
    encoding: String,
}

/// Where the fields of an entity go.
#[derive(Default)]
struct Fields {
    /// Those about the message; in a part that is no message, those about the part.
    message: Vec<(String, String)>,
    /// Those about the content.
    content: Vec<(String, String)>,
    /// Those about the content that cannot stand under their own names.
    aside: Vec<(String, String)>,
}

struct Importer {
    limits: Limits,
    notes: Notes,
    parts: usize,
    headers: usize,
    bodies: Vec<Bytes>,
}

impl Importer {
    /// Counts a part before anything is done for it.
    fn count_part(&mut self, depth: usize) -> Result<usize, Refusal> {
        if self.parts >= self.limits.parts.min(limits::PARTS_MAX) {
            return Err(Refusal::new(Reason::TooManyParts, format!("more than {} parts", self.limits.parts)));
        }
        if depth > self.limits.depth.min(limits::DEPTH_MAX) {
            return Err(Refusal::new(Reason::TooDeep, format!("more than {} levels", self.limits.depth)));
        }
        self.parts += 1;
        Ok(self.parts - 1)
    }

    fn leaf(&mut self, media_type: &str, parameters: String, octets: Bytes) -> DraftPart {
        let extent = Extent::of(&octets);
        self.bodies.push(octets);
        part(media_type, parameters, DraftContent::Body(extent))
    }

    /// A message, the outermost or an embedded one: its header block and its root part.
    fn message(
        &mut self,
        entity: Entity<'_>,
        depth: usize,
        stated: Option<&str>,
    ) -> Result<(HeaderBlock, DraftPart), Refusal> {
        let (fields, mut root) = self.entity(entity, depth, "text/plain", stated)?;
        root.fields = fields.content;
        let mut header = HeaderBuilder::new();
        for (name, value) in &fields.message {
            header.push(name, value)?;
        }
        Ok((header.finish()?, root))
    }

    /// A part of a multipart.
    fn child(
        &mut self,
        octets: &[u8],
        depth: usize,
        default: &str,
        stated: Option<&str>,
    ) -> Result<DraftPart, Refusal> {
        let (fields, mut part) = self.entity(split(octets)?, depth, default, stated)?;
        part.fields = fields.message;
        part.fields.extend(fields.content);
        Ok(part)
    }

    fn entity(
        &mut self,
        entity: Entity<'_>,
        depth: usize,
        default: &str,
        stated: Option<&str>,
    ) -> Result<(Fields, DraftPart), Refusal> {
        let number = self.count_part(depth)?;
        if let Some(line) = entity.mailbox_line {
            self.notes.add(number, NoteKind::MailboxLineDropped, &String::from_utf8_lossy(line));
        }
        let own_charset = find_charset(&entity.fields);
        let stated = own_charset.as_deref().or(stated);
        let (mut fields, content) = self.fields(&entity.fields, number, default, stated)?;
        if content.media_type != "multipart/signed" {
            fields.message.append(&mut fields.aside);
        }
        let part = match content.media_type.as_str() {
            "multipart/signed" => {
                self.notes.add(number, NoteKind::SignedKept, "multipart/signed");
                fields.content.clear();
                fields.aside.clear();
                self.leaf(SIGNED_ENTITY_TYPE, String::new(), signed_entity(&entity))
            }
            container if container.starts_with("multipart/") => {
                self.multipart(&entity, content, &mut fields, (number, depth), stated)?
            }
            "message/rfc822" | "message/global" => {
                self.embedded(&entity, &content, (number, depth), stated)?
            }
            _ => self.body_leaf(entity.body, content, &mut fields, number),
        };
        Ok((fields, part))
    }

    /// Sorts the fields and translates their values.
    fn fields(
        &mut self,
        raw: &[RawField<'_>],
        number: usize,
        default: &str,
        stated: Option<&str>,
    ) -> Result<(Fields, Content), Refusal> {
        let mut fields = Fields::default();
        let mut content_type = None;
        let mut encoding = None;
        for field in raw {
            let aside = match field.name {
                None => true,
                Some(_) if field.is("MIME-Version") => continue,
                Some(_) if field.is("Content-Length") => {
                    let text = String::from_utf8_lossy(&field.value);
                    self.notes.add(number, NoteKind::LengthDropped, text.trim());
                    continue;
                }
                Some(_) if field.is("Content-Type") => {
                    let first = content_type.is_none();
                    content_type = content_type.or(Some(field));
                    if first {
                        continue;
                    }
                    true
                }
                Some(_) if field.is("Content-Transfer-Encoding") => {
                    let first = encoding.is_none();
                    encoding = encoding.or(Some(field));
                    if first {
                        continue;
                    }
                    true
                }
                Some(_) => false,
            };
            self.keep(field, aside, number, stated, &mut fields)?;
        }
        let (media_type, parameters) =
            self.content_type(content_type, number, default, stated, &mut fields)?;
        let encoding = encoding.map(|field| encoding_name(&field.value)).unwrap_or_default();
        Ok((fields, Content { media_type, parameters, encoding }))
    }

    /// Keeps a field under its name or, where that cannot be, as a `Legacy-Field`.
    ///
    /// keeps: TRL-4
    fn keep(
        &mut self,
        field: &RawField<'_>,
        mut aside: bool,
        number: usize,
        stated: Option<&str>,
        fields: &mut Fields,
    ) -> Result<(), Refusal> {
        let name = field.name.unwrap_or_default();
        if !aside {
            let value = import_value(name, &field.value, stated, number, &mut self.notes);
            if is_expressible(name, &value) {
                self.count_header(name.len() + value.len())?;
                let list = if about_content(name) { &mut fields.content } else { &mut fields.message };
                list.push((name.to_owned(), value));
                return Ok(());
            }
            aside = true;
        }
        if aside {
            let mut line = field.name.map(|name| format!("{name}:").into_bytes()).unwrap_or_default();
            line.extend_from_slice(&field.value);
            let value = import_value(LEGACY_FIELD, &line, stated, number, &mut self.notes);
            self.notes.add(number, NoteKind::FieldKeptAside, &value);
            self.count_header(value.len())?;
            let list = if about_content(name) { &mut fields.aside } else { &mut fields.message };
            list.push((LEGACY_FIELD.to_owned(), value));
        }
        Ok(())
    }

    fn count_header(&mut self, octets: usize) -> Result<(), Refusal> {
        self.headers += octets;
        if self.headers as u64 > self.limits.headers_octets {
            return Err(Refusal::new(Reason::HeadersTooLarge, "all header blocks together"));
        }
        Ok(())
    }

    fn content_type(
        &mut self,
        field: Option<&RawField<'_>>,
        number: usize,
        default: &str,
        stated: Option<&str>,
        fields: &mut Fields,
    ) -> Result<(String, Parameterised), Refusal> {
        let Some(field) = field else { return Ok((default.to_owned(), Parameterised::default())) };
        let value = import_value("Content-Type", &field.value, stated, number, &mut self.notes);
        let parameters = Parameterised::read_native(&value);
        let media_type = parameters.head.clone();
        if is_media_type(&media_type) && is_expressible("Content-Type", &value) {
            self.count_header(value.len())?;
            return Ok((media_type, parameters));
        }
        self.notes.add(number, NoteKind::TypeBroken, &value);
        self.keep(field, true, number, stated, fields)?;
        // RFC 2045 section 5.2: what cannot be read is text.
        let mut kept = Parameterised::default();
        kept.parameters.extend(parameters.parameters.into_iter().filter(|(name, _)| name == "charset"));
        Ok(("text/plain".to_owned(), kept))
    }

    /// keeps: TRL-10
    fn multipart(
        &mut self,
        entity: &Entity<'_>,
        mut content: Content,
        fields: &mut Fields,
        (number, depth): (usize, usize),
        stated: Option<&str>,
    ) -> Result<DraftPart, Refusal> {
        let boundary = content.parameters.value("boundary").unwrap_or_default().to_owned();
        let room = self.limits.parts.min(limits::PARTS_MAX) + 1 - self.parts;
        let Some(found) = multipart::find_parts(entity.body, boundary.as_bytes(), room) else {
            let value = format!("{}{}", content.media_type, content.parameters.native_parameters());
            self.notes.add(number, NoteKind::MultipartWithoutParts, &value);
            let line = format!("Content-Type: {value}");
            let value = import_value(LEGACY_FIELD, line.as_bytes(), stated, number, &mut self.notes);
            self.count_header(value.len())?;
            fields.message.push((LEGACY_FIELD.to_owned(), value));
            content.media_type = "text/plain".to_owned();
            content.parameters = Parameterised::default();
            return Ok(self.body_leaf(entity.body, content, fields, number));
        };
        if !matches!(content.encoding.as_str(), "" | "7bit" | "8bit" | "binary") {
            self.notes.add(number, NoteKind::EncodingIgnored, &content.encoding);
        }
        for (kind, text) in
            [(NoteKind::PreambleDropped, found.preamble), (NoteKind::EpilogueDropped, found.epilogue)]
        {
            if !text.trim_ascii().is_empty() {
                self.notes.add(number, kind, String::from_utf8_lossy(text).trim());
            }
        }
        if !found.closed {
            self.notes.add(number, NoteKind::MissingClose, &boundary);
        }
        content.parameters.remove("boundary");
        let default = if content.media_type == "multipart/digest" { "message/rfc822" } else { "text/plain" };
        let children = found
            .parts
            .iter()
            .map(|octets| self.child(octets, depth + 1, default, stated))
            .collect::<Result<Vec<_>, _>>()?;
        let parameters = content.parameters.native_parameters();
        Ok(part(&content.media_type, parameters, DraftContent::Parts(children)))
    }

    /// keeps: TRL-10
    fn embedded(
        &mut self,
        entity: &Entity<'_>,
        content: &Content,
        (number, depth): (usize, usize),
        stated: Option<&str>,
    ) -> Result<DraftPart, Refusal> {
        let mut ignored = Fields::default();
        let decoded =
            body::decode(entity.body, &content.encoding, number, &mut self.notes, &mut ignored.message);
        self.count_part(depth + 1)?;
        let place = self.bodies.len();
        let (header, root) = self.message(split(&decoded)?, depth + 1, stated)?;
        let octets = header.octets().clone();
        let extent = Extent::of(&octets);
        self.bodies.insert(place, octets);
        let header = part(GLOBAL_HEADERS_TYPE, String::new(), DraftContent::Body(extent));
        let parameters = content.parameters.native_parameters();
        Ok(part(&content.media_type, parameters, DraftContent::Parts(vec![header, root])))
    }

    /// keeps: TRL-11, TRL-13
    fn body_leaf(
        &mut self,
        octets: &[u8],
        mut content: Content,
        fields: &mut Fields,
        number: usize,
    ) -> DraftPart {
        let mut aside = Vec::new();
        let known = body::is_known(&content.encoding);
        if !known {
            let value = format!("{}{}", content.media_type, content.parameters.native_parameters());
            self.notes.add(number, NoteKind::EncodingUnknown, &content.encoding);
            aside.push((LEGACY_FIELD.to_owned(), format!("Content-Type: {value}")));
            let line = format!("Content-Transfer-Encoding: {}", content.encoding);
            let value = import_value(LEGACY_FIELD, line.as_bytes(), None, number, &mut self.notes);
            aside.push((LEGACY_FIELD.to_owned(), value));
            content.media_type = "application/octet-stream".to_owned();
            content.parameters = Parameterised::default();
        }
        let mut octets = body::decode(octets, &content.encoding, number, &mut self.notes, &mut aside);
        if content.media_type.starts_with("text/") {
            octets = body::to_utf8(octets, &mut content.parameters, number, &mut self.notes);
        }
        fields.message.extend(aside);
        let parameters = content.parameters.native_parameters();
        self.leaf(&content.media_type, parameters, Bytes::from(octets.into_owned()))
    }
}
