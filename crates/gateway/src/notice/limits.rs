//! The bounds of notices, each with why it is that number.

/// Octets of a notice that are looked at: what a notice says stands at its start, the message it is about behind it.
pub const NOTICE_OCTETS_MAX: usize = 1024 * 1024;
/// Recipients that are read from one notice: as many as one transaction has.
pub const RECIPIENTS_MAX: usize = 100;
/// Octets of the text about one recipient: as much as is kept of a reply.
pub const DIAGNOSTIC_OCTETS_MAX: usize = 4_096;
/// Lines of plain text that are looked at: those before the message that came back.
pub const LINES_MAX: usize = 400;
/// Lines after an address that are taken to be about it: replies of several lines have about as many.
pub const LINES_ABOUT_ONE_MAX: usize = 12;
/// Octets of the header that goes back with a notice: as many as a message may have.
pub const HEADER_OCTETS_MAX: usize = 64 * 1024;
