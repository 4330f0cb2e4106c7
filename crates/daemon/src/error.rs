//! What keeps a node from starting or going on, in words for its operator.

use std::path::PathBuf;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{}: {error}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The configuration cannot be understood.
    #[error("{}: {reason}", .path.display())]
    Config {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The store cannot be opened.
    #[error("the store: {0}")]
    Store(#[from] storage::Error),
    /// A node has the store open.
    #[error("a node runs on this store: end it first, with `waxwing shutdown --socket {}`", .socket.display())]
    Running {
        /// Where that node is asked.
        socket: PathBuf,
    },
    /// Another program has the store open.
    #[error("{0}")]
    InUse(String),
    /// It cannot listen where it is to.
    #[error("{0}")]
    Listen(String),
    /// The network cannot be used.
    #[error("the network: {0}")]
    Transport(#[from] transport::Error),
    /// The DNS cannot be used.
    #[error("the DNS: {0}")]
    Dns(#[from] dns::Error),
    /// Something else is not as it must be.
    #[error("{0}")]
    Other(String),
}

/// Whether somebody else has the store open: the engines say so in words alone.
pub(crate) fn is_in_use(error: &storage::Error) -> bool {
    matches!(error, storage::Error::Io(text) if text.contains("acquire lock"))
}

impl Error {
    pub(crate) fn file(path: &std::path::Path, error: std::io::Error) -> Error {
        Error::File { path: path.to_owned(), error }
    }
}
