//! What happens, as it happens: one observer turns events into lines for people, traces and metrics.

use message::address::{Address, Domain};
use message::{Disposition, Identity, Selection};

/// Something has happened to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A message was offered to us.
    Offered {
        /// Which.
        identity: Identity,
        /// By whom: a domain or an account.
        by: String,
        /// Octets of it.
        octets: u64,
        /// For how many recipients.
        recipients: usize,
    },
    /// We asked for content.
    Asked {
        /// Of which message.
        identity: Identity,
        /// For what.
        selection: Selection,
    },
    /// A seal was checked.
    SealChecked {
        /// Of which message.
        identity: Identity,
        /// Who sealed.
        issuer: String,
        /// In what role.
        role: &'static str,
        /// Whether it was verified.
        verified: bool,
    },
    /// A recipient was decided about.
    Decided {
        /// Which message.
        identity: Identity,
        /// For whom.
        recipient: Address,
        /// What.
        disposition: Disposition,
        /// By which rule.
        rule: String,
        /// On what evidence, in words; nothing where it was just taken. Peers are not told.
        evidence: String,
    },
    /// Everything about this offer is durable.
    Committed {
        /// Which message.
        identity: Identity,
        /// The number of its envelope here.
        envelope: u64,
    },
    /// The message is in a mailbox here.
    Delivered {
        /// Which message.
        identity: Identity,
        /// For whom.
        recipient: Address,
    },
    /// An attempt to deliver begins.
    Trying {
        /// Which message.
        identity: Identity,
        /// To which domain.
        domain: Domain,
        /// Who handed it in: a domain or an account, as in `Offered`.
        by: String,
    },
    /// One step of an attempt to deliver, such as what was found in the DNS.
    Step {
        /// Which message.
        identity: Identity,
        /// Which step.
        step: String,
        /// What was found.
        detail: String,
    },
    /// A recipient of ours has this disposition now.
    Settled {
        /// Which message.
        identity: Identity,
        /// For whom.
        recipient: Address,
        /// What became of it.
        disposition: Disposition,
        /// Who handed it in: a domain or an account, as in `Offered`.
        by: String,
    },
    /// An attempt has failed and will be made again.
    Retrying {
        /// Which message.
        identity: Identity,
        /// To which domain.
        domain: Domain,
        /// Who handed it in: a domain or an account, as in `Offered`.
        by: String,
        /// Why.
        reason: String,
        /// When, in Unix milliseconds.
        at_ms: u64,
    },
    /// The store could not do what it had to.
    Trouble {
        /// What.
        what: String,
    },
}

impl Event {
    /// The message that it concerns, where it concerns one.
    pub fn identity(&self) -> Option<&Identity> {
        match self {
            Event::Offered { identity, .. }
            | Event::Asked { identity, .. }
            | Event::SealChecked { identity, .. }
            | Event::Decided { identity, .. }
            | Event::Committed { identity, .. }
            | Event::Delivered { identity, .. }
            | Event::Trying { identity, .. }
            | Event::Step { identity, .. }
            | Event::Settled { identity, .. }
            | Event::Retrying { identity, .. } => Some(identity),
            Event::Trouble { .. } => None,
        }
    }

    /// The recipient that it concerns, where it concerns one.
    pub fn recipient(&self) -> Option<&Address> {
        match self {
            Event::Decided { recipient, .. }
            | Event::Delivered { recipient, .. }
            | Event::Settled { recipient, .. } => Some(recipient),
            _ => None,
        }
    }

    /// Who handed the message in, where that is known. Whoever did hears of it. keeps: STA-23
    pub fn by(&self) -> Option<&str> {
        match self {
            Event::Offered { by, .. }
            | Event::Trying { by, .. }
            | Event::Settled { by, .. }
            | Event::Retrying { by, .. } => Some(by),
            _ => None,
        }
    }
}

/// Who hears of events. Called from the way of the data: must not block.
pub trait Observer: Send + Sync + 'static {
    /// Something has happened.
    fn event(&self, event: &Event);
}

/// An observer that does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Observer for Quiet {
    fn event(&self, _: &Event) {}
}
