//! Composing a message from a subject, a text and files.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use message::address::Address;
use message::{Draft, DraftContent, DraftPart, Extent, HeaderBuilder};

use super::Outgoing;
use super::outgoing::{Body, extent_of};
use crate::Error;
use crate::limits::ATTACHMENTS_MAX;
use crate::output::clean;

/// What a message is composed of. The node adds what else a message needs: Date and Message-ID.
#[derive(Debug, Clone)]
pub struct Composition {
    /// The author.
    pub from: Address,
    /// For the field To; who gets the message is said with the offer.
    pub to: Vec<Address>,
    /// The subject.
    pub subject: Option<String>,
    /// The text; line ends become CRLF.
    pub text: String,
    /// Files to attach.
    pub attachments: Vec<PathBuf>,
}

impl Composition {
    /// Composes. Attachments are read once, for their digests; their octets stay in their files.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Usage`] with too many attachments; [`Error::Content`] where a field is not allowed.
    pub fn compose(self) -> Result<Outgoing, Error> {
        if self.attachments.len() > ATTACHMENTS_MAX {
            return Err(Error::usage(format!("more than {ATTACHMENTS_MAX} attachments")));
        }
        let mut header = HeaderBuilder::new();
        header.push("From", &self.from.to_string())?;
        let to: Vec<String> = self.to.iter().map(Address::to_string).collect();
        header.push("To", &to.join(",\r\n "))?;
        if let Some(subject) = &self.subject {
            header.push("Subject", &one_line(subject))?;
        }
        let text = Bytes::from(with_line_ends(&self.text));
        let mut parts = vec![text_part(Extent::of(&text))];
        let mut bodies = vec![Body::Memory(text)];
        for path in &self.attachments {
            let file = File::open(path).map_err(Error::file(path))?;
            let extent = extent_of(&file, path)?;
            parts.push(attachment(path, extent));
            bodies.push(Body::File { file: Arc::new(file), offset: 0, octets: extent.octets });
        }
        let root = match parts.len() {
            1 => parts.remove(0),
            _ => DraftPart {
                media_type: "multipart/mixed".to_owned(),
                parameters: String::new(),
                fields: Vec::new(),
                content: DraftContent::Parts(parts),
            },
        };
        let (headers, manifest) = Draft { header: header.finish()?, root }.assemble()?;
        let numbers: Vec<usize> = manifest.leaves().map(|(number, _, _)| number).collect();
        let bodies: BTreeMap<usize, Body> = numbers.into_iter().zip(bodies).collect();
        Ok(Outgoing::new(manifest, headers, bodies))
    }
}

fn text_part(extent: Extent) -> DraftPart {
    DraftPart {
        media_type: "text/plain".to_owned(),
        parameters: "; charset=utf-8".to_owned(),
        fields: Vec::new(),
        content: DraftContent::Body(extent),
    }
}

fn attachment(path: &Path, extent: Extent) -> DraftPart {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = parameter_value(&clean(&name));
    DraftPart {
        media_type: media_type(path).to_owned(),
        parameters: String::new(),
        fields: vec![("Content-Disposition".to_owned(), format!("attachment; filename={name}"))],
        content: DraftContent::Body(extent),
    }
}

/// A value of a parameter in the one form that the native format has (`spec/11-translation.md`): quoted only where it
/// must be. Another form is not what a translation there and back gives, and so has no legacy form at all.
fn parameter_value(value: &str) -> String {
    let plain = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?=".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The media type by the ending of the name: what readers of mail show by themselves, and the commonest others.
fn media_type(path: &Path) -> &'static str {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    match ending.as_deref().unwrap_or_default() {
        "txt" | "log" => "text/plain",
        "md" => "text/markdown",
        "html" | "htm" => "text/html",
        "csv" => "text/csv",
        "ics" => "text/calendar",
        "vcf" => "text/vcard",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        "mp3" => "audio/mpeg",
        "ogg" | "opus" => "audio/ogg",
        "mp4" => "video/mp4",
        "mkv" => "video/matroska",
        "webm" => "video/webm",
        "pdf" => "application/pdf",
        "json" => "application/json",
        "zip" => "application/zip",
        "gz" => "application/gzip",
        _ => "application/octet-stream",
    }
}

fn one_line(text: &str) -> String {
    text.split(['\r', '\n']).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

fn with_line_ends(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn a_text_alone_is_one_part() {
        let composition = Composition {
            from: address("ann@a.test"),
            to: vec![address("bob@b.test"), address("zoë@b.test")],
            subject: Some("Grüße\r\nBcc: eve@e.test".to_owned()),
            text: "one\ntwo\r\n".to_owned(),
            attachments: Vec::new(),
        };
        let message = composition.compose().unwrap();
        let header = message.headers().message();
        assert_eq!(header.only("To").unwrap(), "bob@b.test, zoë@b.test");
        assert_eq!(header.only("Subject").unwrap(), "Grüße Bcc: eve@e.test");
        assert!(header.first("Bcc").is_none());
        assert_eq!(message.manifest().root().media_type, "text/plain");
        assert_eq!(message.read_at(0, 0, 100).unwrap(), "one\r\ntwo\r\n");
    }

    #[test]
    fn what_is_composed_has_a_legacy_form() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["plain.bin", "with space.bin", "quo\"te.bin", "back\\slash.bin", "grün.bin", "no-ending"]
        {
            let path = folder.path().join(name);
            std::fs::write(&path, b"octets").unwrap();
            let composition = Composition {
                from: address("ann@a.test"),
                to: vec![address("bob@b.test")],
                subject: Some("files".to_owned()),
                text: "one\n".to_owned(),
                attachments: vec![path],
            };
            let composed = composition.compose().unwrap();
            let mut header = HeaderBuilder::new();
            for field in composed.headers().message().fields() {
                header.push(field.name, field.raw_value).unwrap();
            }
            header.push("Date", "Sun, 1 Nov 2026 10:00:00 +0000").unwrap();
            header.push("Message-Id", "<1@a.test>").unwrap();
            let (headers, manifest) = composed
                .headers()
                .with_message_header(composed.manifest(), header.finish().unwrap())
                .unwrap();
            let message = whole(&headers, &manifest, &composed);
            let legacy = translate::export(&message, &translate::ExportOptions::default());
            assert!(legacy.is_ok(), "{name}: {legacy:?}");
        }
    }

    /// The message in one piece.
    fn whole(
        headers: &message::Headers,
        manifest: &message::Manifest,
        bodies: &Outgoing,
    ) -> message::Message {
        let mut octets = Vec::new();
        for segment in manifest.layout() {
            match segment {
                message::Segment::Header { .. } => octets.extend_from_slice(headers.message().octets()),
                message::Segment::PartHeader { part, .. } => {
                    octets.extend_from_slice(headers.parts()[part].octets());
                }
                message::Segment::Body { part, .. } => {
                    octets.extend_from_slice(&bodies.read_at(part, 0, 1000).unwrap());
                }
                message::Segment::Trailer => octets.extend_from_slice(b"\r\n\r\n"),
            }
        }
        message::Message::parse(&octets, message::Limits::default()).unwrap()
    }

    #[test]
    fn attachments_stay_in_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("my \"photo\"\u{7}.JPG");
        std::fs::write(&path, b"\xff\xd8 octets").unwrap();
        let composition = Composition {
            from: address("ann@a.test"),
            to: vec![address("bob@b.test")],
            subject: None,
            text: String::new(),
            attachments: vec![path, folder.path().join("none")],
        };
        assert!(matches!(composition.clone().compose(), Err(Error::File { .. })));
        let composition = Composition { attachments: composition.attachments[..1].to_vec(), ..composition };
        let message = composition.compose().unwrap();
        assert_eq!(message.read_at(2, 3, 100).unwrap(), "octets");
        assert!(message.read_at(2, 10, 1).is_err());
        assert_eq!(message.manifest().part(2).unwrap().media_type, "image/jpeg");
        let disposition = message.headers().parts()[2].only("Content-Disposition").unwrap();
        assert_eq!(disposition, "attachment; filename=\"my \\\"photo\\\"\u{fffd}.JPG\"");
    }
}
