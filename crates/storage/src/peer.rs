//! The words of what is remembered of peers.

use message::address::Domain;

/// What is remembered of one peer domain. The counts fade: they are thousandths of an event, as they were at
/// `counted_at_ms`, and what they have faded to since is for the caller to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerRecord {
    /// Which.
    pub domain: Domain,
    /// When it was first met, in Unix milliseconds.
    pub first_seen_ms: u64,
    /// When it was last met, in Unix milliseconds.
    pub last_seen_ms: u64,
    /// To which time the counts belong, in Unix milliseconds.
    pub counted_at_ms: u64,
    /// Recipients for whom its mail was taken.
    pub accepted: u64,
    /// Recipients for whom its mail was refused by the node.
    pub refused: u64,
    /// Recipients for whom its mail was held.
    pub held: u64,
    /// Recipients who have refused its mail themselves.
    pub declined: u64,
    /// Recipients who have complained about its mail.
    pub complaints: u64,
}
