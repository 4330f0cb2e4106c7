//! Mail on its way to the mailbox server, as operators see it.

use serde::{Deserialize, Serialize};

/// One question or order about what the mailbox server has not taken. A message is named by the account and by its number
/// in the mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case", deny_unknown_fields)]
pub enum HandoverOrder {
    /// What waits and what has ended; answered by [`crate::Response::Handovers`].
    List {
        /// After this place.
        after: Option<String>,
        /// How many at the most.
        limit: u32,
    },
    /// A message is tried again now, with all of its time; answered by [`crate::Response::Done`].
    Retry {
        /// Whose mailbox.
        account: String,
        /// Its number there.
        number: u64,
    },
    /// A message is not handed over any more; answered by [`crate::Response::Done`].
    Forget {
        /// Whose mailbox.
        account: String,
        /// Its number there.
        number: u64,
    },
}

/// A message that the mailbox server has not taken at once. It is in the native mailbox, whatever its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandoverView {
    /// Its place in the list, to go on after it.
    pub place: String,
    /// Whose mailbox.
    pub account: String,
    /// Its number there.
    pub number: u64,
    /// The identity of the message.
    pub identity: String,
    /// `waiting`, `refused` or `given-up`.
    pub state: String,
    /// When it was put off first, in Unix milliseconds.
    pub since_ms: u64,
    /// How often the server was asked.
    pub tries: u32,
    /// When it is tried next, in Unix milliseconds; where it has ended, when that was.
    pub next_ms: u64,
    /// The enhanced status code (RFC 3463) of the last answer.
    pub code: String,
    /// The last answer.
    pub text: String,
}
