//! The bounds on what is translated. Those of the native message stand in `message::limits` and hold as well.

/// Octets of a legacy message held in memory. Large providers take 25 to 50 MB; base64 adds a third.
pub const LEGACY_OCTETS_MAX: usize = 64 * 1024 * 1024;
/// Octets of one legacy header block. Encoded words take up to four times the room of the native text.
pub const LEGACY_HEADER_OCTETS_MAX: usize = 4 * message::limits::HEADERS_OCTETS_MAX as usize;
/// Notes of one import; more say nothing new.
pub const NOTES_MAX: usize = 256;
/// Octets of the text of one note: enough to recognise what it is about.
pub const NOTE_TEXT_OCTETS_MAX: usize = 200;
/// Octets of a charset name. The longest registered name has 45.
pub const CHARSET_NAME_OCTETS_MAX: usize = 64;
/// Octets of a written line, CRLF not counted (RFC 5322 section 2.1.1).
pub const LINE_OCTETS_MAX: usize = 998;
/// Octets of a written header line, where white space allows it (RFC 5322 section 2.1.1).
pub const LINE_OCTETS_WANTED: usize = 78;
/// Attempts to find a boundary that stands nowhere in the message. The first one fits unless somebody can choose the
/// identity of a message.
pub const BOUNDARY_ATTEMPTS_MAX: usize = 16;
/// Parameters of one content type or disposition. Real ones have up to ten.
pub const PARAMETERS_MAX: usize = 64;
/// Pieces of parameters that are read in one field; RFC 2231 cuts a long value into several.
pub const PARAMETER_PIECES_MAX: usize = 4 * PARAMETERS_MAX;
