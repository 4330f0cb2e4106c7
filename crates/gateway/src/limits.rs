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
/// the author and for who is related to him.
pub const CHECK_QUESTIONS_MAX: usize = 64;

/// DKIM signatures of one message that are looked at (RFC 6376 section 6.1 leaves the number to us): lists and
/// forwarders add one each, and more than three are rare.
pub const DKIM_SIGNATURES_MAX: usize = 8;

/// Labels below which the walk up the tree takes each step (RFC 9989 section 4.10): eight questions at most.
pub const DMARC_LABELS_MAX: usize = 7;

/// Octets of the value of an Authentication-Results field: far below the 64 KiB that a header may have here.
pub const AUTHENTICATION_RESULTS_OCTETS_MAX: usize = 4096;
