//! Messages for tests.

use bytes::Bytes;
use message::{Draft, DraftContent, DraftPart, Extent, HeaderBuilder, Message};

/// A message with one text, complete with Date and Message-Id. Different texts make different messages.
pub fn letter(from: &str, text: &str) -> Message {
    let fields = [
        ("From", from),
        ("To", "undisclosed@nowhere.test"),
        ("Subject", "A letter"),
        ("Date", "Thu, 1 Jan 2026 12:00:00 +0000"),
        ("Message-Id", "<1@letter.test>"),
    ];
    letter_with(&fields, &[("text/plain", text.as_bytes())])
}

/// A message with these fields and these leaves, of which more than one stand in a `multipart/mixed`.
pub fn letter_with(fields: &[(&str, &str)], leaves: &[(&str, &[u8])]) -> Message {
    let mut header = HeaderBuilder::new();
    for (name, value) in fields {
        header.push(name, value).unwrap();
    }
    let part = |media_type: &str, content| DraftPart {
        media_type: media_type.to_owned(),
        parameters: String::new(),
        fields: Vec::new(),
        content,
    };
    let mut parts: Vec<DraftPart> = leaves
        .iter()
        .map(|(media_type, body)| part(media_type, DraftContent::Body(Extent::of(body))))
        .collect();
    let root = match parts.len() {
        1 => parts.remove(0),
        _ => part("multipart/mixed", DraftContent::Parts(parts)),
    };
    let bodies = leaves.iter().map(|(_, body)| Bytes::copy_from_slice(body)).collect();
    Message::assemble(&Draft { header: header.finish().unwrap(), root }, bodies).unwrap()
}
