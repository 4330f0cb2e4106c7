//! What a translation can say beside its result: notes on what was changed, and refusals.

use crate::limits::{NOTE_TEXT_OCTETS_MAX, NOTES_MAX};

/// Something that the import changed or could not read. Nothing is changed without a note.
///
/// keeps: TRL-3
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The number of the native part it is about; 0 is the root part and the header of the message.
    pub part: usize,
    /// What happened.
    pub kind: NoteKind,
    /// What it happened to: a piece of the original, shortened.
    pub text: String,
}

/// What a [`Note`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum NoteKind {
    /// The line `From ...` before the message was left out: it belongs to a mailbox file.
    MailboxLineDropped,
    /// Something in a header block that cannot stand there under its own name is now a `Legacy-Field`.
    FieldKeptAside,
    /// Control characters of a header value were replaced by visible signs.
    ControlReplaced,
    /// A header value is not UTF-8; its charset was taken from the content type or guessed.
    HeaderCharsetGuessed,
    /// An encoded word could not be decoded and stays as it is.
    WordNotDecoded,
    /// Something in a parameter list that is no parameter, or is one for the second time, was left out.
    ParameterDropped,
    /// A `Content-Length` field was left out; natively it has another meaning.
    LengthDropped,
    /// A text without a stated charset, or said to be ASCII, is UTF-8 and was taken as such.
    CharsetAssumed,
    /// A text that cannot be decoded with certainty keeps its octets and states its charset.
    CharsetKept,
    /// The transfer encoding is not known; the part is now `application/octet-stream`.
    EncodingUnknown,
    /// The part is not in the transfer encoding that it states; its octets were taken as they are.
    EncodingBroken,
    /// A transfer encoding on a multipart was ignored.
    EncodingIgnored,
    /// Octets after the end of the base64 data were left out.
    TrailingDropped,
    /// The content type cannot be read; the default was taken.
    TypeBroken,
    /// A multipart has no boundary, or its boundary stands nowhere; it is now a text.
    MultipartWithoutParts,
    /// The text before the first part of a multipart was left out.
    PreambleDropped,
    /// The text after the last part of a multipart was left out.
    EpilogueDropped,
    /// The end of a multipart is missing.
    MissingClose,
    /// A signed part was kept whole in its legacy form.
    SignedKept,
}

/// Collects notes up to the bound.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) list: Vec<Note>,
}

impl Notes {
    pub(crate) fn add(&mut self, part: usize, kind: NoteKind, text: &str) {
        if self.list.len() < NOTES_MAX {
            let mut end = text.len().min(NOTE_TEXT_OCTETS_MAX);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            self.list.push(Note { part, kind, text: text[..end].to_owned() });
        }
    }
}

/// Why a message is not translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// Import: there is no header field at all.
    NotAMessage,
    /// Import: more octets than the options allow.
    TooLarge,
    /// More parts than the limits allow.
    TooManyParts,
    /// Parts are nested deeper than the limits allow.
    TooDeep,
    /// A header block, or all of them together, is larger than the limits allow.
    HeadersTooLarge,
    /// Export: an address outside ASCII; it can go only where UTF-8 headers are allowed (RFC 6532).
    NeedsUtf8Headers,
    /// Export: a header value for which there is no legacy form, for instance a word longer than a line.
    FieldNotExpressible,
    /// Export: the header block of the message has a field that only a part may have.
    StrayContentField,
    /// Export: an embedded message is not a header block and one part.
    EmbeddedShape,
    /// Export: no boundary was found that does not stand in the content.
    BoundaryClash,
    /// The native message breaks a rule of its own. This is a fault of this crate or of the caller.
    Native,
}

/// A message that is not translated, with the reason and a text for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason:?}: {text}")]
pub struct Refusal {
    /// The reason, for programs.
    pub reason: Reason,
    /// The reason, for people.
    pub text: String,
}

impl Refusal {
    pub(crate) fn new(reason: Reason, text: impl Into<String>) -> Refusal {
        Refusal { reason, text: text.into() }
    }
}

impl From<message::Error> for Refusal {
    fn from(error: message::Error) -> Refusal {
        let reason = match &error {
            message::Error::Bound { what: "parts", .. } => Reason::TooManyParts,
            message::Error::Bound { what: "levels of parts", .. } => Reason::TooDeep,
            message::Error::Bound { what: "octets of headers" | "octets of a header block", .. } => {
                Reason::HeadersTooLarge
            }
            _ => Reason::Native,
        };
        Refusal::new(reason, error.to_string())
    }
}
