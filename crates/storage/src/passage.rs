//! What belongs to the way of a message over SMTP and may go on with it: what its client has asked for, and what was found of
//! its return path.

use std::net::IpAddr;

use message::address::{Address, Domain};

/// What stands beside a message that came over SMTP, for where it goes on and for notices about it. Nothing of it is in the
/// message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passage {
    /// Whether it may go on under the return path that it came with: that is proved, and SPF did not fail.
    pub may_keep: bool,
    /// The cookie of its author's server, where that was not denied.
    pub cookie: Option<PassedCookie>,
    /// The name in EHLO of the client, where SPF passes for it and it says of itself that it forwards (`p=meng`).
    pub forwarder: Option<Domain>,
    /// ENVID (RFC 3461 section 4.4), decoded; at most [`crate::limits::ENVELOPE_ID_OCTETS_MAX`] octets.
    pub envelope_id: Option<String>,
    /// RET (RFC 3461 section 4.3): whether only headers are wanted; `None` where it was not said.
    pub headers_only: Option<bool>,
    /// What was said to RCPT, for those to whom something was.
    pub wishes: Vec<Wish>,
}

/// A cookie that goes on with its return path (`spec/21-smtp-cookies.md`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedCookie {
    /// Its identifier.
    pub id: String,
    /// Where it can be tested, in front of the domain of the return path.
    pub host: String,
    /// At which address of ours the message came, where the author's server itself has brought it: from there it expects the
    /// message to go on.
    pub came_to: Option<IpAddr>,
}

/// What was said to one RCPT about notices (RFC 3461).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The recipient as it was written.
    pub recipient: Address,
    /// NOTIFY: the sum of [`Wish::SUCCESS`] and the like, 0 for `NEVER`; `None` where it was not said.
    pub notify: Option<u8>,
    /// ORCPT: the type, a semicolon and the address, decoded; at most
    /// [`crate::limits::ORIGINAL_RECIPIENT_OCTETS_MAX`] octets.
    pub original: Option<String>,
}

impl Wish {
    /// A notice is wanted of delivery.
    pub const SUCCESS: u8 = 1;
    /// A notice is wanted of failure.
    pub const FAILURE: u8 = 2;
}

impl Passage {
    /// What was said to the RCPT of this recipient.
    pub fn wish(&self, recipient: &Address) -> Option<&Wish> {
        self.wishes.iter().find(|wish| wish.recipient == *recipient)
    }

    /// Whether a notice of failure is wanted for this recipient: yes, unless something else was said. keeps: GW-64
    pub fn wants_failure(&self, recipient: &Address) -> bool {
        self.wish(recipient).and_then(|wish| wish.notify).is_none_or(|notify| notify & Wish::FAILURE != 0)
    }

    /// Whether a notice of delivery is wanted for this recipient. keeps: GW-65
    pub fn wants_success(&self, recipient: &Address) -> bool {
        self.wish(recipient).and_then(|wish| wish.notify).is_some_and(|notify| notify & Wish::SUCCESS != 0)
    }
}
