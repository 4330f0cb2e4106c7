//! The bounds of the daemon's own work.

use std::time::Duration;

/// Octets of a question to a policy service: an envelope's worth of words, each of which is bounded.
pub(crate) const SERVICE_QUESTION_OCTETS_MAX: usize = 64 * 1024;
/// Octets of its answer, the body.
pub(crate) const SERVICE_ANSWER_OCTETS_MAX: usize = 16 * 1024;
/// Octets of the head of its answer, at the least what the HTTP library asks for.
pub(crate) const SERVICE_HEAD_OCTETS_MAX: usize = 16 * 1024;
/// Questions that are under way at once; others count as not answered.
pub(crate) const SERVICE_QUESTIONS_MAX: usize = 64;
/// Milliseconds to wait for an answer, where nothing else is set.
pub(crate) const SERVICE_MS_DEFAULT: u64 = 2_000;
/// The longest that may be set: senders wait for it, for each recipient.
pub(crate) const SERVICE_MS_MAX: u64 = 10_000;
/// Milliseconds for which a service that did not answer is not asked again, so that mail does not wait for it each time.
pub(crate) const SERVICE_REST_MS: u64 = 10_000;
/// Octets of the name of a rule in an answer.
pub(crate) const SERVICE_RULE_OCTETS_MAX: usize = 64;
/// Octets of the evidence in words in an answer.
pub(crate) const SERVICE_WORDS_OCTETS_MAX: usize = 400;
/// The longest time, in seconds, for which a service may put off what it decides about.
pub(crate) const SERVICE_AFTER_SECONDS_MAX: u64 = 24 * 3600;
/// Letters looked through for who has written to an account before, and with which keys: some milliseconds of reading, and
/// what a person remembers.
pub(crate) const LETTERS_LOOKED_AT: usize = 200;
/// Messages of one mailbox that wait for a mailbox server beside the order in which they came: beyond that it is the mailbox
/// that is troubled, and the rest of it waits.
pub(crate) const HANDOVER_WAITING_MAX: usize = 100;
/// Messages of one mailbox that a mailbox server has not taken and that are still listed: some pages for an operator.
pub(crate) const HANDOVER_ENDED_MAX: usize = 1_000;
/// Milliseconds for which they are listed: a month, so that who looks once in a while sees them.
pub(crate) const HANDOVER_ENDED_MS: u64 = 30 * 86_400_000;
/// Records that are read at a time.
pub(crate) const HANDOVER_PAGE: usize = 500;
/// Octets of what a mailbox server has said that are kept: what a person reads at a glance.
pub(crate) const HANDOVER_TEXT_OCTETS_MAX: usize = 400;
/// Milliseconds for which a message is tried, where nothing else is set: as long as mail is tried anywhere.
pub(crate) const HANDOVER_MS_DEFAULT: u64 = 5 * 86_400_000;
/// Peers whose domain is looked for in the DNS at once. Each asks some questions, of which slow ones take seconds.
pub(crate) const IDENTITY_LOOKUPS_MAX: usize = 256;
/// Names of a certificate that are looked for.
pub(crate) const IDENTITY_NAMES_MAX: usize = 4;
/// The longest that is looked for who a peer is: it has waited for as long as for a whole handshake.
pub(crate) const IDENTITY_TIME_MAX: Duration = Duration::from_secs(10);
/// For how long it is remembered that a key does not prove a name, or could not be looked for: who comes again at once is not
/// looked for again, and who has published a record meanwhile does not wait for long.
pub(crate) const IDENTITY_FAILURE_TIME: Duration = Duration::from_secs(30);
/// Such names and keys that are remembered, some hundred octets each.
pub(crate) const IDENTITY_FAILURES_MAX: usize = 4096;
/// Ranges of parts that are made at once: for each a whole part may have to be read and hashed.
pub(crate) const SLICES_AT_ONCE_MAX: usize = 2;
/// The shortest part whose tree is kept: shorter ones are hashed in a millisecond.
pub(crate) const TREE_OF_OCTETS_MIN: u64 = 1 << 20;
/// Octets of all trees that are kept: those of four parts of 1 GiB.
pub(crate) const TREES_OCTETS_MAX: usize = 16 << 20;

/// For how long one delivery goes on with offers to further recipients of a receiver that takes few at once.
pub(crate) const OFFERS_TIME_MAX: Duration = Duration::from_secs(600);
