//! The bounds of the SMTP client, each with why it is that number.

use std::time::Duration;

/// Octets of one line of a reply: 512 by RFC 5321 section 4.5.3.1.5, and eight times that for those who overdo it.
pub const REPLY_LINE_OCTETS_MAX: usize = 4_096;
/// Lines of one reply: the longest answers to EHLO that are seen have about thirty.
pub const REPLY_LINES_MAX: usize = 128;
/// Octets that are kept of the text of a reply: a page of explanation, and no more memory than that per recipient.
pub const REPLY_TEXT_OCTETS_MAX: usize = 4_096;
/// Recipients in one transaction: every server takes as many (RFC 5321 section 4.5.3.1.8).
pub const RECIPIENTS_PER_TRANSACTION_MAX: usize = 100;
/// Mail exchanges of a domain that are looked at; the largest domains have about ten.
pub const HOSTS_MAX: usize = 16;
/// Addresses tried in one attempt: at least two (RFC 5321 section 5.1), and few enough for the time of an attempt.
pub const ADDRESSES_TRIED_MAX: usize = 8;
/// Steps that a report lists: each address gives at most a few.
pub const TRIED_MAX: usize = 64;
/// Octets of one BDAT chunk: a refusal is heard before more than that was sent in vain.
pub const CHUNK_OCTETS_MAX: usize = 4 * 1024 * 1024;
/// Octets written at once: one time limit is for one block (RFC 5321 section 4.5.3.2.5).
pub const BLOCK_OCTETS_MAX: usize = 64 * 1024;
/// Transactions on one connection: many servers close after a hundred.
pub const TRANSACTIONS_PER_CONNECTION_MAX: u32 = 100;
/// Idle connections kept to one host: mail to one domain comes in small groups.
pub const IDLE_PER_HOST_MAX: usize = 4;
/// Idle connections kept in all: each is a socket and a TLS state.
pub const IDLE_MAX: usize = 128;
/// Connections to one host at the same time: what large sites allow to a stranger.
pub const CONNECTIONS_PER_HOST_MAX: usize = 10;
/// How long a connection stays idle; many servers close after 60 seconds or less.
pub const IDLE_TIME_MAX: Duration = Duration::from_secs(30);
/// Octets of an MTA-STS policy (RFC 8461 section 3.3 suggests 64 kilobytes).
pub const STS_POLICY_OCTETS_MAX: usize = 64 * 1024;
/// Time to fetch an MTA-STS policy (RFC 8461 section 3.3 suggests one minute).
pub const STS_FETCH_TIME_MAX: Duration = Duration::from_secs(60);
/// Seconds for which a policy may be kept: about a year (RFC 8461 section 3.2).
pub const STS_AGE_SECONDS_MAX: u64 = 31_557_600;
/// TLSA records of a host that are used; more are no mistake but a burden.
pub const TLSA_RECORDS_MAX: usize = 32;
/// Kinds of failure that a TLS report of one domain and day tells apart, so that it fits into a record.
pub const TLS_FAILURES_MAX: usize = 24;
/// Domains whose TLS reports are in memory; others are written through.
pub const TLS_REPORTS_MAX: usize = 4_096;
/// How long after its last writing a report that has only got successes is written again.
pub const TLS_REPORT_WRITE_MS: u64 = 300_000;
/// How long a TLS report is kept: the report of a day is due on the next, and may be late by a week.
pub const TLS_REPORT_KEPT_MS: u64 = 9 * 86_400_000;
/// Octets of parameters that others add to MAIL FROM: what RFC 5321 section 4.5.3.1.4 leaves beside the usual ones.
pub const PARAMETER_OCTETS_MAX: usize = 512;
/// Octets of a record (as [`crate::Record`] has it): what is larger is used and not remembered.
pub const RECORD_OCTETS_MAX: usize = 16 * 1024;
/// Policies whose fetching has failed that are remembered: enough for the domains of some minutes.
pub const STS_FAILURES_MAX: usize = 1_024;
/// How long the fetching of a policy is not tried again (RFC 8461 section 3.3 suggests five minutes).
pub const STS_FAILURE_MS: u64 = 300_000;
