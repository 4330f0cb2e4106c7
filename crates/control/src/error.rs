//! What can go wrong on the control socket, sorted by whose fault it is.

use std::path::PathBuf;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens: the node does not run, or its socket is elsewhere.
    #[error("no node answers at {}", .path.display())]
    NotRunning {
        /// The path of the socket.
        path: PathBuf,
    },
    /// The operating system does not let us.
    #[error("not allowed to open {}", .path.display())]
    NotAllowed {
        /// The path of the socket.
        path: PathBuf,
    },
    /// The socket failed.
    #[error("the control socket failed: {0}")]
    Io(#[from] std::io::Error),
    /// The other side closed the connection before its answer.
    #[error("the connection ended before the answer")]
    Closed,
    /// The other side sent what is not a message.
    #[error("what came is not an answer: {0}")]
    Malformed(String),
    /// A message is larger than [`crate::limits::MESSAGE_OCTETS_MAX`].
    #[error("a message of {octets} octets, more than {}", crate::limits::MESSAGE_OCTETS_MAX)]
    TooLarge {
        /// How large it is.
        octets: u64,
    },
}
