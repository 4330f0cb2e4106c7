//! What can go wrong, sorted by whose fault it is.

use thiserror::Error;

/// Why a question has no answer. That a name or a record does not exist is an answer, not an error.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Error {
    /// The caller's: the text is not a name that can be asked.
    #[error("{0:?} is not a DNS name of A-labels")]
    BadName(String),

    /// The network's or the name server's: no answer within [`crate::limits::QUERY_TIME_MAX`] (or the limit that
    /// was set).
    #[error("no answer from the DNS in time")]
    Timeout,

    /// The name server's: it answered with an error, with nonsense, or could not be reached.
    #[error("the DNS gave no usable answer: {0}")]
    ServerFailure(String),

    /// The zone's, or an attacker's: the answer does not pass the DNSSEC validation that its zone calls for
    /// (RFC 4035, section 4.3, "bogus"). It must not be used, and it must not be taken for an absence.
    #[error("the answer failed DNSSEC validation")]
    Bogus,

    /// The domain's: its key record cannot be read. The text says what is wrong with it.
    #[error("malformed domain key record: {0}")]
    MalformedKey(&'static str),

    /// The operator's: the resolver or the zone server could not be set up as asked.
    #[error("DNS set-up: {0}")]
    SetUp(String),
}

/// Whether asking again later can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// The same question may be answered later.
    Temporary,
    /// The same question will fail again until somebody changes something.
    Permanent,
}

impl Error {
    /// Sorts the error into temporary and permanent. keeps: DISCOVERY-2
    #[must_use]
    pub fn persistence(&self) -> Persistence {
        match self {
            Self::Timeout | Self::ServerFailure(_) | Self::Bogus => Persistence::Temporary,
            Self::BadName(_) | Self::MalformedKey(_) | Self::SetUp(_) => Persistence::Permanent,
        }
    }
}
