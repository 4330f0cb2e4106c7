//! The bounds of what one party may say to another.

/// Octets of one frame, the length before it not counted. An offer with 100 long addresses and a full trace fits.
pub const FRAME_OCTETS_MAX: u64 = 64 * 1024;
/// Cookies in one poll. With answers of 40 octets each the reply stays a frame.
pub const COOKIES_MAX: usize = 1_000;
/// Times a receiver may ask for content in one transaction.
pub const WANTS_MAX: usize = 16;
/// Octets of a range that is fetched with its proof: what both sides hold in memory.
pub const RANGE_OCTETS_MAX: u64 = 1 << 20;
/// Octets of a range with its proof. The proof is 64 octets for each node of the tree on both edges and inside.
pub const SLICE_OCTETS_MAX: u64 = RANGE_OCTETS_MAX + 256 * 1024;
/// Octets of all seals together in one content frame.
pub const SEALS_OCTETS_MAX: u64 = 64 * 1024 + 64;
/// Entries in a reply that lists mail or status.
pub const LIST_MAX: usize = 100;
/// Octets of a password.
pub const PASSWORD_OCTETS_MAX: usize = 1_024;
/// Octets of a name of an account or a device.
pub const NAME_OCTETS_MAX: usize = 254;
/// Octets of the eager window where an operator sets none: a message with text and its seals.
pub const EAGER_OCTETS_DEFAULT: u64 = 64 * 1024;
/// Milliseconds in which a transaction must move on.
pub const STALL_MS: u64 = 30_000;
/// Octets of a ticket: room for other kinds than the one of 40 octets.
pub const TICKET_OCTETS_MAX: usize = 256;
/// Devices in one list: as many as an account may have.
pub const DEVICES_MAX: usize = 32;
