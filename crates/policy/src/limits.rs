//! The bounds of a policy.

/// Rules of a node: each is held against every recipient of every offer, and a person is to be able to read them.
pub const RULES_MAX: usize = 1_000;
/// Rules that want content: each may cost a turn of one transaction, and a sender gives up after 16 (EXC-4).
pub const WANTING_RULES_MAX: usize = 8;
/// Octets of the name of a rule, which goes to peers in the text of a refusal.
pub const RULE_NAME_OCTETS_MAX: usize = 64;
/// Seconds for which a rule may put off a decision: longer than a sender asks no decision is worth anything (STA-4).
pub const PEND_SECONDS_MAX: u32 = 5 * 24 * 3600;
