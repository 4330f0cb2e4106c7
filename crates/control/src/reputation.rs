//! Peers as a node knows them: their standing, what is remembered of them, and what they use of their limits.

use serde::{Deserialize, Serialize};

/// What is remembered of one peer. The counts fade: half of them is left after 30 days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRecordView {
    /// Its domain.
    pub domain: String,
    /// When it was first met, in Unix milliseconds.
    pub first_seen_ms: u64,
    /// When it was last met, in Unix milliseconds.
    pub last_seen_ms: u64,
    /// Recipients for whom its mail was taken, rounded, as the other counts.
    pub accepted: u64,
    /// Recipients for whom its mail was refused by this node.
    pub refused: u64,
    /// Recipients for whom its mail was held.
    pub held: u64,
    /// Recipients who have refused it.
    pub declined: u64,
    /// Recipients who have complained about it, or blocked its author.
    pub complaints: u64,
}

/// All that is known of one peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerDetailView {
    /// Its domain.
    pub domain: String,
    /// Its standing: `good`, `neutral`, `bad` or `unknown`.
    pub grade: String,
    /// Why.
    pub reasons: Vec<String>,
    /// What the DNS was asked, and what it said; none where too many other peers are being asked about.
    pub questions: Vec<PeerQuestionView>,
    /// Until when these answers count, in Unix milliseconds.
    pub until_ms: Option<u64>,
    /// What is remembered; none where it was never met or is forgotten.
    pub record: Option<PeerRecordView>,
    /// What it uses of its limits now; none that is not set.
    pub limits: Vec<LimitView>,
}

/// One question about a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerQuestionView {
    /// Which: `csa`, `vbr` or `list`.
    pub question: String,
    /// The name of the record that was asked for.
    pub name: String,
    /// The answer in words.
    pub answer: String,
    /// What it counts: `for`, `against`, `known`, `nothing`, or `failed`.
    pub counts: String,
}

/// One limit and what is used of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitView {
    /// As it is called in the configuration.
    pub limit: String,
    /// What is used.
    pub used: u64,
    /// How much may be.
    pub of: u64,
}
