//! The bounds of what is said over the control socket.

/// Octets of one message on the socket. A thousand legs with all their recipients fit; one connection holds no more.
pub const MESSAGE_OCTETS_MAX: usize = 8 * 1024 * 1024;
/// Entries in one list, and numbers in one order: what a person looks through, and a script reads page by page.
pub const LIST_MAX: usize = 1_000;
/// Connections to the socket at a time: a console, a few commands, a monitor.
pub const CONNECTIONS_MAX: usize = 64;
/// First hexadecimal digits by which a message or a device is named: six of them name one in sixteen million.
pub const IDENTITY_DIGITS_MIN: usize = 6;
/// Those that begin with the same digits and are named in an answer: whoever sees three knows to type more digits.
pub const ALIKE_MAX: usize = 3;
/// Seconds in which an operator's request must be whole once it has begun.
pub const READ_SECONDS_MAX: u64 = 10;
