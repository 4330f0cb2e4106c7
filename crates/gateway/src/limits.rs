//! The bounds of the gateway, each with why it is that number.

use std::time::Duration;

/// Records that one listing gives: a page of the console.
pub const RECORDS_PER_PAGE_MAX: usize = 1_000;

/// Time for one SPF check: at least 20 seconds, says RFC 7208 section 4.6.4, and no longer is needed.
pub const SPF_TIME_MAX: Duration = Duration::from_secs(20);

/// Terms of SPF records that ask the DNS in one check (RFC 7208 section 4.6.4).
pub const SPF_LOOKUPS_MAX: usize = 10;

/// Questions of one SPF check that may find nothing (RFC 7208 section 4.6.4).
pub const SPF_VOID_LOOKUPS_MAX: usize = 2;

/// Hosts that one `mx`, `ptr` or `%{p}` of an SPF record leads to (RFC 7208 section 4.6.4).
pub const SPF_ADDRESSES_PER_TERM_MAX: usize = 10;

/// Steps of one SPF check that are told: an honest record has some dozens of terms, those it includes among them.
pub const SPF_STEPS_MAX: usize = 200;

/// Octets of an explanation: what fits into one line of a reply (RFC 5321 section 4.5.3.1.5) beside our own words.
pub const SPF_EXPLANATION_OCTETS_MAX: usize = 400;

/// Time for all checks of one message: that of SPF and what the slowest of the others may take beside it. A client
/// waits ten minutes for the answer to its last octet (RFC 5321 section 4.5.3.2.6).
pub const CHECK_TIME_MAX: Duration = Duration::from_secs(30);

/// Questions that DKIM and DMARC ask about one message: a key for each signature that is looked at, and the walks for
/// the author, the return path and each signature that is related to the author. So no name that a message has can leave another
/// one without its answer.
pub const CHECK_QUESTIONS_MAX: usize =
    DKIM_SIGNATURES_MAX + (2 + DKIM_SIGNATURES_MAX) * (1 + DMARC_LABELS_MAX);

/// DKIM signatures of one message that are looked at (RFC 6376 section 6.1 leaves the number to us): lists and
/// forwarders add one each, and more than three are rare.
pub const DKIM_SIGNATURES_MAX: usize = 8;

/// Labels below which the walk up the tree takes each step (RFC 9989 section 4.10): eight questions at most.
pub const DMARC_LABELS_MAX: usize = 7;

/// Octets of the value of an Authentication-Results field: far below the 64 KiB that a header may have here.
pub const AUTHENTICATION_RESULTS_OCTETS_MAX: usize = 4096;

/// Longest line of a command, with its CRLF: 512 (RFC 5321 section 4.5.3.1.4) and what all extensions add, ENVID, ORCPT
/// and AUTH with 500 each being the most.
pub const SMTP_LINE_OCTETS_MAX: usize = 2_048;

/// Longest line of an exchange of AUTH: 12,288 (RFC 4954 section 4) and CRLF.
pub const SMTP_LOGIN_LINE_OCTETS_MAX: usize = 12_290;

/// Longest name, password or nonce in AUTH: what the account's own bounds let through, several times over.
pub const SMTP_LOGIN_OCTETS_MAX: usize = 1_024;

/// Longest name in EHLO: a domain (RFC 5321 section 4.5.3.1.2) or a literal.
pub const SMTP_HELO_OCTETS_MAX: usize = 255;

/// Parameters of one MAIL or RCPT: more than all that are known together.
pub const SMTP_PARAMETERS_MAX: usize = 12;

/// Longest value of ENVID, as it is said (RFC 3461 section 4.4).
pub const SMTP_ENVELOPE_ID_OCTETS_MAX: usize = 100;

/// Longest value of ORCPT, as it is said (RFC 3461 section 4.2).
pub const SMTP_ORIGINAL_OCTETS_MAX: usize = 500;

/// Longest identifier in `COOKIE=`: as long as a local part, of the form of which it is.
pub const SMTP_COOKIE_ID_OCTETS_MAX: usize = 64;

/// Longest text of a reply, its code not counted: a line of 512 (RFC 5321 section 4.5.3.1.5).
pub const SMTP_REPLY_OCTETS_MAX: usize = 490;

/// The step in which sessions take memory for content: most mail fits into one.
pub const SMTP_MEMORY_STEP_OCTETS: usize = 16 * 1_024;

/// What SIZE alone takes of that memory: more than nearly all mail has, and little enough to be had for a word.
pub const SMTP_MEMORY_DECLARED_OCTETS_MAX: usize = 256 * 1_024;

/// Received fields of a message that is still taken (RFC 5321 section 6.3).
pub const SMTP_HOPS_MAX: usize = 100;

/// Those that were written here, of a message that is still taken: each time that it is forwarded three are added, and nobody needs
/// more than three rounds.
pub const SMTP_OWN_HOPS_MAX: usize = 9;

/// Octets that are read at a time from one connection: the largest record of TLS.
pub const SMTP_READ_OCTETS: usize = 16 * 1_024;

/// What is still read and forgotten after a session was closed, so that the last reply is not lost with a reset.
pub const SMTP_LINGER_OCTETS_MAX: usize = 1 << 20;

/// How long that is done.
pub const SMTP_LINGER_MS_MAX: u64 = 2_000;

/// Longest time for a TLS handshake: some round trips over the worst of lines.
pub const SMTP_HANDSHAKE_MS_MAX: u64 = 30_000;

/// Longest time in which a client takes what is said to it: that of a command.
pub const SMTP_WRITE_MS_MAX: u64 = 60_000;

/// Longest pause before one reply, so that a tarpit binds nobody for long.
pub const SMTP_PAUSE_MS_MAX: u64 = 8_000;

/// Failed logins of one session before it is closed.
pub const SMTP_LOGIN_FAILURES_MAX: u32 = 3;

/// Rules of MAV that one import gives: they are tried one by one at each MAIL.
pub const MAV_RULES_MAX: usize = 10_000;

/// TLS sessions of version 1.2 that are kept for who resumes them without a ticket.
pub const SMTP_TLS_SESSIONS_MAX: usize = 1_024;

/// Names of one address that are looked at: more than a host has that is known by name.
pub const MAV_HOST_NAMES_MAX: usize = 5;

/// Octets of a document that forwarder and target give each other: some addresses and URLs of at most 512 octets.
pub const FORWARD_DOCUMENT_OCTETS_MAX: usize = 16 * 1024;

/// Octets of a report of abuse: the header of a message, and little more.
pub const FORWARD_REPORT_OCTETS_MAX: usize = 64 * 1024;

/// Octets of the head of an answer over HTTPS: far more than a server of one small document sends.
pub const HTTPS_HEAD_OCTETS_MAX: usize = 16 * 1024;

/// Time for one question to another domain, and for a client to say what it wants: people wait behind neither.
pub const FORWARD_FETCH_TIME_MAX: Duration = Duration::from_secs(10);

/// Time for one connection to the server of forwarding: a few requests.
pub const FORWARD_CONNECTION_TIME_MAX: Duration = Duration::from_secs(60);

/// Connections to the server of forwarding at once: it is asked when somebody sets up a forwarding, which is seldom.
pub const FORWARD_CONNECTIONS_MAX: usize = 128;

/// Questions of forwarders that are looked into at once: each costs two questions to another domain.
pub const ASKS_AT_ONCE_MAX: usize = 8;

/// Questions of forwarders that are looked into in a minute: anybody can send them.
pub const ASKS_PER_MINUTE_MAX: u32 = 60;

/// The same of one network, an IPv4 address or 64 bits of IPv6: a forwarder has few servers, and asks one after the other.
pub const FORWARD_CONNECTIONS_PER_NETWORK_MAX: usize = 16;

/// Questions from one network that are looked into at once: half, so that others have a place.
pub const ASKS_AT_ONCE_PER_NETWORK_MAX: usize = 4;

/// Questions from one network that are looked into in ten minutes: a fifth of what is looked into in all.
pub const ASKS_PER_NETWORK_MAX: u32 = 120;

/// Time for walking a chain: somebody looks at a page meanwhile.
pub const FORWARD_WALK_TIME_MAX: Duration = Duration::from_secs(30);

/// Forwarders of a chain that is walked.
pub const FORWARD_HOPS_MAX: usize = 10;

/// How long a cookie is known: as long as a message may wait at two forwarders, one after the other, five days each.
pub const COOKIE_LIFE_MS: u64 = 10 * 24 * 3_600_000;

/// The time over which tests of cookies are counted.
pub const COOKIE_WINDOW_MS: u64 = 600_000;

/// Tests of cookies from one address in that time: a forwarder of many messages asks once for each.
pub const COOKIE_TESTS_MAX: u32 = 200;

/// Tests from one address in that time that may be answered no: more is guessing.
pub const COOKIE_DENIALS_MAX: u32 = 20;

/// Addresses that are counted at once: some hundred kilobytes.
pub const COOKIE_ADDRESSES_MAX: usize = 10_000;

/// Questions that messages from one address may make us ask of others in that time.
pub const COOKIE_QUESTIONS_MAX: u32 = 60;

/// Such questions at a time: so many connections to strange servers at most.
pub const COOKIE_QUESTIONS_AT_ONCE_MAX: usize = 16;

/// Addresses of an author's server that are asked: one, and another where it does not answer.
pub const COOKIE_HOST_ADDRESSES_MAX: usize = 2;

/// Time for one cookie: within that for all checks.
pub const COOKIE_TIME_MAX: Duration = Duration::from_secs(20);
