//! The bounds of what the commands hold and how long they try.

/// Octets of a profile file: a few lines.
pub const PROFILE_OCTETS_MAX: u64 = 16 * 1024;
/// Octets of a password, as the protocol bounds it.
pub const PASSWORD_OCTETS_MAX: usize = protocol::limits::PASSWORD_OCTETS_MAX;
/// Octets of a text that is typed or piped in; more is sent as an attachment.
pub const TEXT_OCTETS_MAX: u64 = 16 * 1024 * 1024;
/// Seconds for which a message may be kept back: what the nodes of this program allow.
pub const RELEASE_SECONDS_MAX: u64 = 30 * 24 * 3600;
/// Octets of a text part that is shown on a terminal; more is written into a file.
pub const SHOWN_OCTETS_MAX: u64 = 8 * 1024 * 1024;
/// Attachments of a message that is composed: the bound on parts, less the container and the text.
pub const ATTACHMENTS_MAX: usize = message::limits::PARTS_MAX - 2;
/// Octets of content from which on a progress bar is shown: less is gone before it could be read.
pub const PROGRESS_OCTETS_MIN: u64 = 4 * 1024 * 1024;
/// Times that a lost connection is opened again without any octet of progress between.
pub const RECONNECTS_MAX: u32 = 6;
/// Milliseconds before the first attempt to connect again; each further wait is twice as long.
pub const RECONNECT_WAIT_MS_FIRST: u64 = 200;
/// Milliseconds between two attempts to connect at the most.
pub const RECONNECT_WAIT_MS_MAX: u64 = 10_000;
/// Milliseconds between two questions for the status of a message, at first.
pub const WAIT_POLL_MS_FIRST: u64 = 500;
/// Milliseconds between two questions for the status of a message, later on.
pub const WAIT_POLL_MS_MAX: u64 = 15_000;
/// Status records that are searched for the first digits of an identity: months of one person's mail.
pub const STATUS_SEARCH_MAX: usize = 2_000;
/// Digits of an identity that are enough to search for, as for operators.
pub const IDENTITY_DIGITS_MIN: usize = control::limits::IDENTITY_DIGITS_MIN;
/// Held messages that an operator's list prints: whoever wants to see more names where to go on.
pub const HELD_LISTED_MAX: usize = 10_000;
/// Addresses that one command knows as those of correspondents.
pub const CORRESPONDENTS_MAX: usize = 1_000;
/// Messages before the one shown whose authors are looked up: each is one question to the node.
pub const CORRESPONDENTS_SEARCH_MAX: u64 = 50;
/// Octets that are read from a file at a time.
pub const CHUNK_OCTETS: usize = 256 * 1024;
/// Messages of a load that are made before its clock starts: some ten seconds of them, and about 100 MB.
pub const PREPARED_LETTERS_MAX: u64 = 100_000;
/// Entries of a watched mailbox that are asked for at a time: what fits in one frame.
pub const WATCH_PAGE: u64 = 200;
/// Milliseconds between two looks at a mailbox in which little was new.
pub const WATCH_POLL_MS: u64 = 20;
/// Milliseconds without anything new after which a watched mailbox is given up.
pub const WATCH_PATIENCE_MS: u64 = 20_000;
