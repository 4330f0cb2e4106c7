//! Which of its content a receiver asks a sender for.

/// A selection of the content of one message (`spec/06-exchange.md`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Everything.
    All,
    /// The manifest, the seals and all header blocks.
    Headers,
    /// The message identity only: nothing more is sent than the offer already said.
    Digest,
    /// The seals only.
    Signers,
    /// Headers and the first `text/plain` part.
    Text,
    /// These parts, each from an octet on: how an interrupted transfer resumes. Only leaves can be named.
    Parts(Vec<(usize, u64)>),
    /// A range of one leaf, sent with the proof that it belongs to the manifest's digest.
    Range {
        /// The number of the leaf.
        part: usize,
        /// The first octet.
        offset: u64,
        /// How many octets.
        octets: u64,
    },
}
