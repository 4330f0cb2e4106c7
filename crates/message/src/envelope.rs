//! What travels beside a message: for whom it is and which way it came.

use crate::address::{Address, Domain};
use crate::limits::{HOPS_MAX, RECIPIENTS_MAX, SEALS_MAX};
use crate::{Error, Identity};

/// One hop that a message has taken. Nobody modifies the message: the trace stands beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The domain of the node that took the message.
    pub by: Domain,
    /// When it was committed there, in seconds since 1970.
    pub at: u64,
}

/// What is offered for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Which message.
    pub identity: Identity,
    /// Octets of the message in its octet form, as the sender states them.
    pub octets: u64,
    /// Who sealed it, as the sender states: addresses and domains.
    pub issuers: Vec<String>,
    /// For whom, each once, at most [`RECIPIENTS_MAX`].
    pub recipients: Vec<Address>,
    /// The way so far, the oldest hop first, at most [`HOPS_MAX`].
    pub trace: Vec<Hop>,
}

impl Envelope {
    /// Checks counts and that no recipient stands there twice.
    ///
    /// # Errors
    /// [`Error::Bound`], or [`Error::Text`] for none or a doubled recipient.
    pub fn check(&self) -> Result<(), Error> {
        if self.recipients.is_empty() {
            return Err(Error::Text("an envelope needs a recipient"));
        }
        if self.recipients.len() > RECIPIENTS_MAX {
            return Err(Error::Bound { what: "recipients", bound: RECIPIENTS_MAX as u64 });
        }
        if self.trace.len() > HOPS_MAX {
            return Err(Error::Bound { what: "hops", bound: HOPS_MAX as u64 });
        }
        if self.issuers.len() > SEALS_MAX {
            return Err(Error::Bound { what: "issuers", bound: SEALS_MAX as u64 });
        }
        let mut sorted: Vec<&Address> = self.recipients.iter().collect();
        sorted.sort();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Error::Text("a recipient stands twice in the envelope"));
        }
        Ok(())
    }

    /// Whether the message was already at this domain: a loop.
    pub fn was_at(&self, domain: &Domain) -> bool {
        self.trace.iter().any(|hop| hop.by == *domain)
    }
}
