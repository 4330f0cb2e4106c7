//! What can be wrong with mail, sorted by whose fault it is.

use crate::Code;

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The octets break a rule of the specification.
    Malformed,
    /// The octets keep the rules and are larger or deeper than we take.
    TooLarge,
    /// The octets are well formed and do not match their digest or signature.
    Forged,
    /// The caller asked for what this message does not have.
    Caller,
}

/// What is wrong with a message, a manifest or a seal. The text names the place and the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A header block breaks a rule of `spec/03-message.md`.
    #[error("header block: {0}")]
    Header(&'static str),
    /// A part breaks a rule of `spec/03-message.md`.
    #[error("part {part}: {reason}")]
    Part {
        /// The number of the part in the order of the octets; the root part is 0.
        part: usize,
        /// The broken rule.
        reason: &'static str,
    },
    /// The message ended before its last part did.
    #[error("the message ends early, {0}")]
    Truncated(&'static str),
    /// Octets follow the end of the message.
    #[error("octets follow the end of the message")]
    Trailing,
    /// A manifest is not the deterministic encoding of one.
    #[error("manifest: {0}")]
    Manifest(&'static str),
    /// A seal is not a COSE_Sign1 as `spec/04-seals.md` describes it.
    #[error("seal: {0}")]
    Seal(&'static str),
    /// CBOR that cannot be read.
    #[error("CBOR: {0}")]
    Cbor(&'static str),
    /// A bound was passed.
    #[error("{what}: more than {bound}")]
    Bound {
        /// What there is too much of, with its unit.
        what: &'static str,
        /// The bound.
        bound: u64,
    },
    /// Octets do not have the digest that the manifest gives.
    #[error("{0}: the octets do not have the digest in the manifest")]
    Digest(&'static str),
    /// A signature does not verify.
    #[error("seal: the signature does not verify")]
    Signature,
    /// A seal is used outside the time that it names.
    #[error("seal: {0}")]
    SealTime(&'static str),
    /// A statement about a key, or what goes with one, is not as `spec/24-keys.md` describes it.
    #[error("key: {0}")]
    Key(&'static str),
    /// The signature of a statement, of its domain or of the head of a log does not verify.
    #[error("key: the signature does not verify")]
    KeySignature,
    /// The message has no such part, or no such octets in it.
    #[error("no such part or range: {0}")]
    NoSuchPart(&'static str),
    /// An identifier in text form cannot be read.
    #[error("{0}")]
    Text(&'static str),
}

impl Error {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Error::Bound { .. } => Fault::TooLarge,
            Error::Digest(_) | Error::Signature | Error::SealTime(_) | Error::KeySignature => Fault::Forged,
            Error::NoSuchPart(_) | Error::Text(_) => Fault::Caller,
            _ => Fault::Malformed,
        }
    }

    /// The enhanced status code (RFC 3463) that a peer is given for this error.
    pub fn code(&self) -> Code {
        match self.fault() {
            Fault::Malformed => Code::CONTENT_MALFORMED,
            Fault::TooLarge => Code::MESSAGE_TOO_LARGE,
            Fault::Forged => Code::INTEGRITY_FAILED,
            Fault::Caller => Code::INVALID_ARGUMENTS,
        }
    }
}
