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
/// Octets of a text that is read in one answer: a long letter; what is longer is a file to be fetched.
pub const TEXT_SHOWN_OCTETS_MAX: usize = 256 * 1024;
/// Octets of a part in one answer: a larger one is asked for piece by piece. As JSON they are a third more.
pub const PIECE_OCTETS_MAX: u32 = 256 * 1024;
/// Fields of a header in one answer: mail that came through many hands has some sixty.
pub const FIELDS_MAX: usize = 200;
/// Octets of the value of one field in an answer.
pub const FIELD_OCTETS_MAX: usize = 4 * 1024;
/// Seconds for which a watcher waits for something to happen before it is answered that nothing has.
pub const WATCH_SECONDS_MAX: u32 = 60;
/// Things that have happened which are remembered: some pages for an operator to look at.
pub const FLOW_MAX: usize = 500;
/// Seconds for which a link into the console is good: as long as it takes to open it.
pub const LINK_SECONDS: u64 = 300;
