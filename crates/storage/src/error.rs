//! What can go wrong with a store, sorted by whose fault it is.

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The caller asked for what cannot be done or is not there.
    Caller,
    /// The octets sent do not have the digest or the length that was announced: the peer's fault.
    Peer,
    /// Ours, and it may pass: busy, full, closing, or turned read-only.
    Temporary,
    /// Ours: a record or a file is not what was written.
    Damage,
}

/// Why a verb was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The arguments do not belong together.
    #[error("{0}")]
    Invalid(&'static str),
    /// A bound of [`crate::limits`] was passed.
    #[error("{what}: more than {bound}")]
    Bound {
        /// What there is too much of, with its unit.
        what: &'static str,
        /// The bound.
        bound: u64,
    },
    /// There is no such thing in the store.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The claim is no longer ours: it was given back and someone else took it, or it was settled already.
    #[error("the claim is no longer held")]
    Stale,
    /// An address or a device belongs to another account.
    #[error("the {0} belongs to another account")]
    Taken(&'static str),
    /// The message lacks parts that this effect needs.
    #[error("the message is not complete")]
    Incomplete,
    /// A part that was known is no longer kept: it has to be sent.
    #[error("the part is no longer kept")]
    Gone,
    /// The octets of a part do not have the digest or the length announced; what was staged is thrown away.
    #[error("the octets do not have the digest announced")]
    Digest,
    /// The octets of a part are not those announced, and some of them are what an earlier transfer has left: they may have
    /// changed here, by a loss of power. What was staged is thrown away.
    #[error("what an earlier transfer has left does not go with what came now")]
    Remains,
    /// The same owner is staging the same part on another connection just now.
    #[error("the part is being received on another connection")]
    Busy,
    /// None of the recipients of an acceptance has [`crate::Room`]: what each is answered. Nothing was changed.
    #[error("there is no room for any of the recipients among those that wait")]
    Crowded(Vec<message::Disposition>),
    /// There is no room on the disk; nothing was changed.
    #[error("there is no room on the disk")]
    Full,
    /// A commit failed: whether it is durable is not known. The store is read-only from here on.
    #[error("the outcome of the commit is not known: {0}")]
    Unknown(String),
    /// An earlier commit failed: the store only reads until it is opened anew.
    #[error("the store is read-only since a commit failed: {0}")]
    ReadOnly(String),
    /// The store is being closed.
    #[error("the store is closed")]
    Closed,
    /// A file or the engine could not be read or written; nothing was committed.
    #[error("input or output failed: {0}")]
    Io(String),
    /// A newer program has written the store: nothing is wrong with it.
    #[error(
        "the store has format {format}, and this program knows those up to {known}: use the newer program that has written it"
    )]
    Newer {
        /// The format of the store.
        format: u64,
        /// The newest one that is known here.
        known: u64,
    },
    /// A record cannot be decoded, or a file is not there or not whole. Only this item is affected.
    #[error("damaged: {key}")]
    Damaged {
        /// The key of the record, in readable form.
        key: String,
    },
}

impl Error {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Error::Invalid(_)
            | Error::Bound { .. }
            | Error::NotFound(_)
            | Error::Stale
            | Error::Taken(_)
            | Error::Incomplete
            | Error::Gone
            | Error::Newer { .. } => Fault::Caller,
            Error::Digest => Fault::Peer,
            Error::Remains
            | Error::Busy
            | Error::Crowded(_)
            | Error::Full
            | Error::Unknown(_)
            | Error::ReadOnly(_)
            | Error::Closed
            | Error::Io(_) => Fault::Temporary,
            Error::Damaged { .. } => Fault::Damage,
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::Full,
            _ => Error::Io(error.to_string()),
        }
    }
}
