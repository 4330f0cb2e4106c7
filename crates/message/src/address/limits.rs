//! The bounds of an address, in octets of UTF-8 unless the name says otherwise.

/// Longest local part on the wire: RFC 5321 section 4.5.3.1.1, so that every address also fits the old world.
pub const LOCAL_PART_OCTETS_MAX: usize = 64;

/// Longest domain on the wire: what 255 octets of DNS name (RFC 1035 section 3.1.2) can hold as text.
pub const DOMAIN_OCTETS_MAX: usize = 253;

/// Fewest labels of a domain: a lone label is a host of the local network, and nobody can hold a key for it.
pub const DOMAIN_LABELS_MIN: usize = 2;

/// Longest address on the wire: a local part, the `@` and a domain.
pub const ADDRESS_OCTETS_MAX: usize = LOCAL_PART_OCTETS_MAX + 1 + DOMAIN_OCTETS_MAX;

/// Longest local part that is read from a user: four times the wire, since text that is not yet NFC is longer
/// (at most threefold, Unicode Standard Annex #15).
pub const USER_LOCAL_PART_OCTETS_MAX: usize = 4 * LOCAL_PART_OCTETS_MAX;

/// Longest domain that is read from a user: one character of four octets for each octet of the wire form.
/// Punycode works in quadratic time, so this bound is also what keeps hostile text cheap.
pub const USER_DOMAIN_OCTETS_MAX: usize = 4 * DOMAIN_OCTETS_MAX;
