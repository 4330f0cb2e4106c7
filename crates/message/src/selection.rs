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

impl Selection {
    /// Whether whoever has this content has the other, too.
    pub fn covers(&self, other: &Selection) -> bool {
        match (self.depth(), other.depth()) {
            (Some(own), Some(others)) => own >= others,
            // Parts and ranges are in everything, and otherwise only in themselves.
            _ => self == other || *self == Selection::All,
        }
    }

    /// The word for people and for the configuration.
    pub fn word(&self) -> &'static str {
        match self {
            Selection::All => "all",
            Selection::Headers => "headers",
            Selection::Digest => "digest",
            Selection::Signers => "signers",
            Selection::Text => "text",
            Selection::Parts(_) => "parts",
            Selection::Range { .. } => "range",
        }
    }

    /// How much those bring that contain each other.
    fn depth(&self) -> Option<u8> {
        match self {
            Selection::Digest => Some(0),
            Selection::Signers => Some(1),
            Selection::Headers => Some(2),
            Selection::Text => Some(3),
            Selection::All => Some(4),
            Selection::Parts(_) | Selection::Range { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_contains_what() {
        let range = |part| Selection::Range { part, offset: 0, octets: 9 };
        let check = |one: &Selection, other: &Selection, covers: bool| {
            assert_eq!(one.covers(other), covers, "{one:?} {other:?}");
        };
        let growing =
            [Selection::Digest, Selection::Signers, Selection::Headers, Selection::Text, Selection::All];
        for (own, one) in growing.iter().enumerate() {
            for (others, other) in growing.iter().enumerate() {
                check(one, other, own >= others);
            }
        }
        check(&Selection::All, &range(1), true);
        check(&Selection::Text, &range(1), false);
        check(&range(1), &range(1), true);
        check(&range(1), &range(2), false);
        check(&range(1), &Selection::Digest, false);
    }
}
