//! Every bound of this crate, each with its reason.

use std::time::Duration;

/// Records read from one answer; the rest is ignored. An honest set of SRV, MX or TXT records stays far below.
pub const RECORDS_PER_ANSWER_MAX: usize = 32;

/// Targets of one domain that are looked up. Beyond this a sender would ask more than it could ever try.
pub const TARGETS_MAX: usize = 16;

/// Addresses kept for one target, both families together. A sender that failed on eight tries the next target.
pub const ADDRESSES_PER_TARGET_MAX: usize = 8;

/// Octets of one TXT record, its strings joined; a longer one is ignored. The longest records in common use, RSA
/// keys of 4096 bits, take about 800.
pub const TXT_OCTETS_MAX: usize = 4096;

/// Time for one question, retries and aliases included: what a user who waits for an answer still bears.
pub const QUERY_TIME_MAX: Duration = Duration::from_secs(5);

/// Aliases (CNAME) followed from one name by this crate where the library does not. RFC 1034 asks only that loops
/// end; chains in use have one or two links.
pub const ALIASES_MAX: usize = 4;

/// Answers kept in memory: about 10 for each of 800 domains, some megabytes.
pub const CACHE_ANSWERS_MAX: u64 = 8192;

/// The longest time an answer is kept, whatever its TTL says: a day, as RFC 8767, section 4, advises to bound it.
pub const POSITIVE_TTL_MAX: Duration = Duration::from_secs(86_400);

/// The longest time an absence is kept: three hours, the bound of RFC 2308, section 5.
pub const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(10_800);

/// Octets of a name in text, without a trailing dot: 255 octets on the wire (RFC 1035, section 2.3.4).
pub const NAME_OCTETS_MAX: usize = 253;

/// Octets of one label (RFC 1035, section 2.3.4).
pub const LABEL_OCTETS_MAX: usize = 63;

/// Octets of one domain key record: the one in use takes 64, the rest is room for tags to come.
pub const KEY_RECORD_OCTETS_MAX: usize = 1024;

/// Tags in one domain key record; three are defined.
pub const KEY_RECORD_TAGS_MAX: usize = 16;

/// Octets of certificate association data in one TLSA record: full certificates (matching type 0) are never used
/// here, the longest digest (SHA-512) takes 64, so more is not worth keeping.
pub const TLSA_OCTETS_MAX: usize = 64;
