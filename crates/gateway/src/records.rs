//! What the gateway remembers beyond the life of the process: cookies, return paths, policies of others.

use crate::Later;

/// What a record is about. Its number is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// An identifier that was given out with the COOKIES extension.
    Cookie = 1,
    /// What was sent under a return path of our own, by its tag.
    ReturnPath = 2,
    /// What was answered to what was sent under a return path: what a notice said.
    Notice = 3,
    /// The MTA-STS policy of a domain (RFC 8461).
    StsPolicy = 4,
    /// What happened with TLS towards a domain on one day (RFC 8460).
    TlsReport = 5,
    /// A domain that was seen to be native, or not.
    Native = 6,
    /// A notice to a legacy sender that is still to be written.
    NoticeDue = 7,
    /// How far the mailbox of an account has been handed to a mailbox server (LMTP).
    Handed = 8,
    /// A message that a mailbox server has put off or not taken.
    Aside = 9,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its key within its kind, 1 to 255 octets.
    pub key: Vec<u8>,
    /// What it says, at most 16 KiB.
    pub value: Vec<u8>,
    /// Unix milliseconds after which it is not read any more.
    pub expires_at_ms: u64,
}

/// One change of the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Writes a record, over an older one with the same key.
    Put(Kind, Record),
    /// Removes one; none is none.
    Remove(Kind, Vec<u8>),
}

/// Why records could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the gateway's records: {0}")]
pub struct RecordsError(pub String);

/// Who keeps the gateway's records.
pub trait Records: Send + Sync + 'static {
    /// One record that has not expired at `now_ms`.
    ///
    /// # Errors
    /// Where the store cannot be read.
    fn record(&self, kind: Kind, key: &[u8], now_ms: u64) -> Result<Option<Record>, RecordsError>;

    /// The records of a kind whose keys begin so, in the order of their keys, from behind `after` on, at most `limit`
    /// and at most [`crate::limits::RECORDS_PER_PAGE_MAX`].
    ///
    /// # Errors
    /// Where the store cannot be read.
    fn records(
        &self,
        kind: Kind,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        now_ms: u64,
    ) -> Result<Vec<Record>, RecordsError>;

    /// Makes all changes in one transaction; they are durable when it is answered.
    ///
    /// # Errors
    /// Where they could not be written: then none is.
    fn change(&self, changes: Vec<Change>) -> Later<'_, Result<(), RecordsError>>;
}
