//! Every bound of this crate, each with its reason.

use std::time::Duration;

/// Records read from one answer; the rest is ignored. Sets of SRV or MX records stay far below; TXT records of one
/// name, among which SPF stands, are some dozens with big domains.
pub const RECORDS_PER_ANSWER_MAX: usize = 128;

/// Targets of one domain that are looked up. Beyond this a sender would ask more than it could ever try.
pub const TARGETS_MAX: usize = 16;

/// Targets of one domain that are asked for the keys by which a client may be known: anybody can make a node ask, and can name
/// targets that are somebody else's.
pub const SENDER_TARGETS_MAX: usize = 4;

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

/// The longest time an answer is kept, whatever its TTL says: a day. RFC 8767, section 4, asks for a
/// cap and allows up to seven days; mail that moves should be found on the next one.
pub const POSITIVE_TTL_MAX: Duration = Duration::from_secs(86_400);

/// How long it is remembered that a question has failed: the least that RFC 9520, section 3.2, allows. A storm of mail from a
/// domain whose servers fail asks once a second, and a server that is back is found at once.
pub const FAILURE_TIME: Duration = Duration::from_secs(1);

/// Failed questions that are remembered: more in one second are asked again.
pub const FAILURES_MAX: usize = 1024;

/// The longest time an absence is kept: three hours, the bound of RFC 2308, section 5.
pub const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(10_800);

/// Octets of a name in text, without a trailing dot: 255 octets on the wire (RFC 1035, section 2.3.4).
pub const NAME_OCTETS_MAX: usize = 253;

/// Octets of one label (RFC 1035, section 2.3.4).
pub const LABEL_OCTETS_MAX: usize = 63;

/// Octets of one domain key record: the one in use takes 62, the rest is room for tags to come.
pub const KEY_RECORD_OCTETS_MAX: usize = 1024;

/// Tags in one domain key record; three are defined.
pub const KEY_RECORD_TAGS_MAX: usize = 16;

/// Octets of certificate association data in one TLSA record: with matching type 0 it is a whole certificate or key. Of a longer
/// one it is only known that it is there.
pub const TLSA_OCTETS_MAX: usize = 4096;

/// Octets of one master file for the zone server: a megabyte is some ten thousand records.
pub const ZONE_OCTETS_MAX: usize = 1 << 20;

/// How often the zone server looks for a port that is free for both UDP and TCP.
pub const ZONE_PORT_TRIES_MAX: u8 = 8;

/// How long a TCP connection to the zone server may idle: the order of seconds that RFC 7766, section 6.2.3, asks.
pub const ZONE_IDLE_TIME_MAX: Duration = Duration::from_secs(5);

/// Answers that may wait on one TCP connection of the zone server.
pub const ZONE_ANSWERS_WAITING_MAX: usize = 32;

/// How long the signatures of a signed zone last after the server started: no quickstart runs for a year.
pub const SIGNATURE_TIME: Duration = Duration::from_secs(365 * 86_400);

/// Parents of a name that are asked for what they say about the names below them: from the second level down, as deep
/// as names of hosts usually are. The same number is Exim's default.
pub const CSA_PARENTS_MAX: usize = 5;

/// Octets of one VBR record: the three types that are defined, with room for others.
pub const VOUCH_OCTETS_MAX: usize = 256;

/// Octets of the reason that a list gives: what an operator reads at a glance.
pub const LIST_REASON_OCTETS_MAX: usize = 200;
