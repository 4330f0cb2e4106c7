//! SPF (RFC 7208): may this client use this name?
//!
//! Every question goes to [`dns::Resolver`]. What was looked at on the way is told step by step in [`Spf::steps`], so
//! that an operator can read why. Specification: `spec/23-checks.md`, and for why this is not left to a library
//! `spec/decisions/0016-spf-by-ourselves.md`.

mod evaluate;
mod record;
#[cfg(test)]
mod suite;
mod template;

use std::net::IpAddr;

use super::Verdict;

pub use evaluate::check_host;
#[cfg(test)]
pub(crate) use suite::vectors;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<'a> {
    /// From where the client comes.
    pub address: IpAddr,
    /// The name it has said in EHLO.
    pub helo: &'a str,
    /// The address in question: that of MAIL FROM, or `postmaster@` and the name of EHLO.
    pub sender: &'a str,
    /// The name of the host that checks.
    pub receiver: &'a str,
    /// Unix milliseconds, for explanations that show the time.
    pub now_ms: u64,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spf {
    /// The result.
    pub verdict: Verdict,
    /// The domain that was asked.
    pub domain: String,
    /// What the domain says to a failure: the words of a stranger, ASCII.
    pub explanation: Option<String>,
    /// The modifiers, other than the known ones, of the record that decided: of the domain's own, or of the one that
    /// it was redirected to, never of an included one.
    pub modifiers: Vec<(String, String)>,
    /// What was looked at, one line each, in order, at most [`crate::limits::SPF_STEPS_MAX`].
    pub steps: Vec<String>,
}
