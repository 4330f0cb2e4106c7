//! The bounds on what a message may be. A node may lower them by configuration, never raise the constants.

/// Parts of one message, containers included. Real mail has a few; mail bombs have millions.
pub const PARTS_MAX: usize = 256;
/// Depth of the tree of parts; the root part has depth 1. Forwarded digests reach 6 or 7.
pub const DEPTH_MAX: usize = 16;
/// Octets of the header block of the message and those of all its parts together. Large real ones have 30 KiB.
pub const HEADERS_OCTETS_MAX: u64 = 64 * 1024;
/// Octets of a manifest. 256 parts with media types of 150 octets fit.
pub const MANIFEST_OCTETS_MAX: usize = 64 * 1024;
/// Seals on one message. One per hop and role on the longest sensible way.
pub const SEALS_MAX: usize = 16;
/// Octets of one seal. A seal without role claims has about 200.
pub const SEAL_OCTETS_MAX: usize = 4 * 1024;
/// Octets of the name of a key in a seal: a selector of the DNS, or the 16 octets of a key id.
pub const KEY_NAME_OCTETS_MAX: usize = 63;
/// Checks that a gateway's seal tells of: some of each kind, and with their bounds they fit in a seal.
pub const CHECKS_MAX: usize = 16;
/// Octets of the name of a check: those of RFC 8601 have fewer than twelve.
pub const CHECK_METHOD_OCTETS_MAX: usize = 32;
/// Octets of what a check has found: a word and a short domain.
pub const CHECK_RESULT_OCTETS_MAX: usize = 192;
/// Octets of a claim in text. An address has 64 + 1 + 253.
pub const CLAIM_OCTETS_MAX: usize = 512;
/// Seconds by which a seal may seem to come from the future: what clocks of mail servers differ by.
pub const SEAL_CLOCK_SKEW_SECONDS: u64 = 300;
/// Octets of a statement about a key. One for the longest address has about 550.
pub const STATEMENT_OCTETS_MAX: usize = 1_024;
/// Octets of a statement with the signature of the key before and the countersignature: two more of 100 to 450.
pub const KEY_RECORD_OCTETS_MAX: usize = 2_048;
/// Octets of the signed head of a log: a domain of 253, and 200 for the rest.
pub const TREE_HEAD_OCTETS_MAX: usize = 1_024;
/// Statements of one address: all fit in one answer with their ways to the root, and a new key each year is enough for a
/// generation.
pub const KEY_CHAIN_MAX: usize = 24;
/// Nodes on the way from a leaf to the root, and in what shows consistency: logs of 2^32 statements.
pub const KEY_WAY_MAX: usize = 34;
/// Keys of a domain that are looked up for one answer: one that signs now, and a few before it.
pub const KEY_SELECTORS_MAX: usize = 4;
/// Keys of one author that a reader keeps: mail that was under way when the key was changed is by the one before.
pub const PINNED_KEYS_MAX: usize = 4;
/// Seconds for which the head of a log counts as the one of now.
pub const TREE_HEAD_SECONDS_MAX: u64 = 24 * 3600;
/// Octets of a field name, the colon not counted. RFC 5322 names fit in a line of 78.
pub const FIELD_NAME_OCTETS_MAX: usize = 76;
/// Octets of a media type, `type/subtype`. RFC 6838 section 4.2 allows 127 and 127.
pub const MEDIA_TYPE_OCTETS_MAX: usize = 255;
/// Octets of one body part where the node sets no other bound.
pub const PART_OCTETS_DEFAULT: u64 = 1 << 30;
/// Octets that any length in a message can state: what fits in a signed 64-bit file offset, with room for sums.
pub const LENGTH_MAX: u64 = 1 << 56;
/// Recipients of one envelope. More are sent as several envelopes of the same message.
pub const RECIPIENTS_MAX: usize = 100;
/// Hops in a trace. RFC 5321 section 6.3 suggests 100 for loops; exchange has few relays.
pub const HOPS_MAX: usize = 32;
/// Octets of the text in a refusal, what a person reads.
pub const REFUSAL_TEXT_OCTETS_MAX: usize = 512;
/// Depth of nested CBOR in anything this crate decodes: the manifest needs two levels per part.
pub const CBOR_DEPTH_MAX: usize = 2 * DEPTH_MAX + 4;

/// Seconds for which a ticket to a doorstep is good: a sender goes there at once.
pub const TICKET_SECONDS_MAX: u64 = 300;
/// Seconds by which the clocks of a node and its user's machine may differ before tickets are taken for wrong ones.
pub const TICKET_CLOCK_SECONDS: u64 = 60;

/// The bounds that a node may lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Parts of one message, at most [`PARTS_MAX`].
    pub parts: usize,
    /// Depth of the tree of parts, at most [`DEPTH_MAX`].
    pub depth: usize,
    /// Octets of all header blocks together, at most [`HEADERS_OCTETS_MAX`].
    pub headers_octets: u64,
    /// Octets of one leaf part.
    pub part_octets: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            parts: PARTS_MAX,
            depth: DEPTH_MAX,
            headers_octets: HEADERS_OCTETS_MAX,
            part_octets: PART_OCTETS_DEFAULT,
        }
    }
}
