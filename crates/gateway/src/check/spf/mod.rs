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

pub use evaluate::check_host;

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

/// The seven results (RFC 7208 section 2.6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Verdict {
    /// The domain says nothing.
    #[default]
    None,
    /// The domain says that it says nothing about this client.
    Neutral,
    /// The client may use the name.
    Pass,
    /// It may not.
    Fail,
    /// It rather may not.
    SoftFail,
    /// The DNS did not answer: perhaps later.
    TempError,
    /// The records cannot be read or ask for too much.
    PermError,
}

impl Verdict {
    /// The word of RFC 8601 section 2.7.2.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Verdict::None => "none",
            Verdict::Neutral => "neutral",
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::SoftFail => "softfail",
            Verdict::TempError => "temperror",
            Verdict::PermError => "permerror",
        }
    }
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
