//! The results of checks, as RFC 8601 section 2.7 names them.

/// What a check says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Verdict {
    /// There is nothing to check.
    #[default]
    None,
    /// It says nothing either way.
    Neutral,
    /// Yes.
    Pass,
    /// No.
    Fail,
    /// Rather not (SPF only).
    SoftFail,
    /// It would be yes, but not by our rules (DKIM only).
    Policy,
    /// The DNS did not answer: perhaps later.
    TempError,
    /// What is published or written cannot be used.
    PermError,
}

impl Verdict {
    /// Its word in an Authentication-Results field.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Verdict::None => "none",
            Verdict::Neutral => "neutral",
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::SoftFail => "softfail",
            Verdict::Policy => "policy",
            Verdict::TempError => "temperror",
            Verdict::PermError => "permerror",
        }
    }
}
