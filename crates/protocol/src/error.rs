//! What can go wrong in a conversation, sorted by whose fault it is.

use message::Code;

/// Why a transaction failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The peer sent octets that are not a frame.
    #[error("not a frame: {0}")]
    Malformed(&'static str),
    /// The peer sent more than a bound allows.
    #[error("{what}: more than {bound}")]
    Bound {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        bound: u64,
    },
    /// The peer sent a frame with a critical key that is not known here.
    #[error("a critical key that is not known: {0}")]
    Critical(i64),
    /// The peer sent something that may not come at this point.
    #[error("out of order: {0}")]
    OutOfOrder(&'static str),
    /// The content is not what was offered.
    #[error(transparent)]
    Content(#[from] message::Error),
    /// The peer did not move on in time.
    #[error("the peer has stalled")]
    Stalled,
    /// The stream ended before the transaction did.
    #[error("the stream ended early")]
    Truncated,
}

impl Error {
    /// The enhanced status code that the peer is told.
    pub fn code(&self) -> Code {
        match self {
            Error::Malformed(_) | Error::Critical(_) => Code::INVALID_ARGUMENTS,
            Error::Bound { .. } => Code::MESSAGE_TOO_LARGE,
            Error::OutOfOrder(_) => Code::INVALID_COMMAND,
            Error::Content(error) => error.code(),
            Error::Stalled | Error::Truncated => Code::BAD_CONNECTION,
        }
    }
}
