//! The words of whom an account knows.

/// What an account has to do with somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Regard {
    /// The account has written to them.
    Known,
    /// The user has said that they are to be trusted.
    Trusted,
    /// The user wants nothing from them.
    Blocked,
}

impl Regard {
    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Regard::Known => "known",
            Regard::Trusted => "trusted",
            Regard::Blocked => "blocked",
        }
    }

    /// What this word means.
    pub fn from_word(word: &str) -> Option<Regard> {
        [Regard::Known, Regard::Trusted, Regard::Blocked].into_iter().find(|regard| regard.word() == word)
    }
}

/// Somebody whom an account knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrespondentRecord {
    /// Whose correspondent: the name of the account.
    pub account: String,
    /// An address, or a domain for everybody there, in wire form.
    pub who: String,
    /// What the account has to do with them.
    pub regard: Regard,
    /// Since when, in Unix milliseconds; of those who are known, when they were last written to after they had been
    /// forgotten.
    pub since_ms: u64,
    /// Why, for people; at most [`TEXT_OCTETS_MAX`](crate::limits::TEXT_OCTETS_MAX) octets.
    pub note: String,
}
