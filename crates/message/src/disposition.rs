//! What became of a message for one recipient.

use std::fmt;

use subtle::ConstantTimeEq;

use crate::Error;
use crate::limits::REFUSAL_TEXT_OCTETS_MAX;

/// An enhanced status code (RFC 3463): class, subject, detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code {
    /// 2 success, 4 temporary, 5 permanent.
    pub class: u8,
    /// What it is about: 1 address, 2 mailbox, 3 system, 4 network, 5 protocol, 6 content, 7 policy.
    pub subject: u16,
    /// The detail within the subject.
    pub detail: u16,
}

impl Code {
    /// The address does not exist (RFC 3463 section 3.2).
    pub const NO_SUCH_ADDRESS: Code = Code::new(5, 1, 1);
    /// The mailbox is full.
    pub const MAILBOX_FULL: Code = Code::new(4, 2, 2);
    /// The message is larger than is taken.
    pub const MESSAGE_TOO_LARGE: Code = Code::new(5, 3, 4);
    /// The system has no room or cannot write.
    pub const SYSTEM_FULL: Code = Code::new(4, 3, 1);
    /// Some other temporary trouble of the system.
    pub const SYSTEM_TROUBLE: Code = Code::new(4, 3, 0);
    /// Nobody answers at the other side.
    pub const NO_ANSWER: Code = Code::new(4, 4, 1);
    /// The connection was lost.
    pub const BAD_CONNECTION: Code = Code::new(4, 4, 2);
    /// The DNS did not answer.
    pub const DIRECTORY_FAILURE: Code = Code::new(4, 4, 3);
    /// There is no route to the domain.
    pub const NO_ROUTE: Code = Code::new(5, 4, 4);
    /// The message has gone around in a loop.
    pub const LOOP: Code = Code::new(5, 4, 6);
    /// The time to deliver has run out.
    pub const EXPIRED: Code = Code::new(5, 4, 7);
    /// A frame or state that the protocol does not know.
    pub const INVALID_COMMAND: Code = Code::new(5, 5, 1);
    /// Arguments that the protocol does not allow.
    pub const INVALID_ARGUMENTS: Code = Code::new(5, 5, 4);
    /// Too many recipients.
    pub const TOO_MANY_RECIPIENTS: Code = Code::new(5, 5, 3);
    /// The content breaks the rules of the message format.
    pub const CONTENT_MALFORMED: Code = Code::new(5, 6, 0);
    /// Policy refuses (RFC 3463 section 3.8).
    pub const NOT_AUTHORIZED: Code = Code::new(5, 7, 1);
    /// SPF says that the client may not use the sender's domain (RFC 7372 section 3.2).
    pub const SPF_FAILED: Code = Code::new(5, 7, 23);
    /// Several checks of who has sent a message failed (RFC 7372 section 3.4).
    pub const CHECKS_FAILED: Code = Code::new(5, 7, 26);
    /// Digests or signatures do not match.
    pub const INTEGRITY_FAILED: Code = Code::new(5, 7, 7);
    /// Authentication failed (RFC 4954 section 6).
    pub const AUTHENTICATION_FAILED: Code = Code::new(5, 7, 8);

    /// A code of three numbers.
    pub const fn new(class: u8, subject: u16, detail: u16) -> Code {
        Code { class, subject, detail }
    }

    /// Reads `class.subject.detail`, each without leading zeros. keeps: FRM-5
    ///
    /// # Errors
    /// [`Error::Text`] where it is not of that form, or the class is not 2, 4 or 5.
    pub fn parse(text: &str) -> Result<Code, Error> {
        let wrong = Error::Text("a status code is class.subject.detail, the class 2, 4 or 5");
        let mut numbers = text.split('.').map(|part| {
            let digits = (1..=3).contains(&part.len())
                && part.bytes().all(|c| c.is_ascii_digit())
                && (part == "0" || !part.starts_with('0'));
            digits.then(|| part.parse::<u16>().ok()).flatten()
        });
        match (numbers.next().flatten(), numbers.next().flatten(), numbers.next().flatten(), numbers.next()) {
            (Some(class @ (2 | 4 | 5)), Some(subject), Some(detail), None) => {
                Ok(Code { class: class as u8, subject, detail })
            }
            _ => Err(wrong),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// A status cookie: 32 random octets that only the receiver and the sender know. Compared in constant time and never
/// printed in full.
///
/// keeps: STA-2
#[derive(Clone, Copy)]
pub struct Cookie([u8; 32]);

impl Cookie {
    /// A cookie of octets that the caller drew at random or read.
    pub const fn from_bytes(octets: [u8; 32]) -> Cookie {
        Cookie(octets)
    }

    /// The octets, for the wire and the store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for Cookie {
    fn eq(&self, other: &Cookie) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Cookie {}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookie(not shown)")
    }
}

/// Where a recipient's own daemon takes the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The address, IPv4 or IPv6, in text form.
    pub address: String,
    /// The UDP port.
    pub port: u16,
    /// The digest of the device's public key.
    pub key_digest: [u8; 32],
    /// The ticket to show there.
    pub ticket: Vec<u8>,
    /// Until when, in seconds since 1970.
    pub not_after: u64,
}

/// What became of a message for one recipient (`spec/06-exchange.md`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// Final responsibility was taken, durably.
    Accepted,
    /// It will not be delivered.
    Refused {
        /// Why, for programs.
        code: Code,
        /// Why, for people; at most [`REFUSAL_TEXT_OCTETS_MAX`] octets.
        text: String,
    },
    /// The answer comes later, to whoever shows the cookie.
    Pending {
        /// What to show.
        cookie: Cookie,
        /// Ask again no sooner than this many seconds from now.
        min_seconds: u32,
        /// Ask again no later than this many seconds from now.
        max_seconds: u32,
        /// When waiting ends, in seconds since 1970.
        until: u64,
    },
    /// Nothing was kept, for want of resources: offer it again.
    Deferred {
        /// Why.
        code: Code,
        /// After this many seconds.
        after_seconds: u32,
    },
    /// The recipient's own daemon takes it.
    Redirected(Redirect),
    /// On the sender's side: the sender has stopped caring.
    Withdrawn,
    /// On the sender's side: time ran out.
    Expired,
    /// It was handed to a server of the old world that took it. No more is known, nor will be. keeps: EXC-30
    Relayed,
}

impl Disposition {
    /// A refusal, its text cut at the bound and cleaned of control characters.
    pub fn refused(code: Code, text: &str) -> Disposition {
        let mut clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        while clean.len() > REFUSAL_TEXT_OCTETS_MAX {
            clean.pop();
        }
        Disposition::Refused { code, text: clean }
    }

    /// Whether nothing more will change: accepted, refused, withdrawn, expired or relayed.
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Disposition::Accepted
                | Disposition::Refused { .. }
                | Disposition::Withdrawn
                | Disposition::Expired
                | Disposition::Relayed
        )
    }

    /// The word for people and scripts.
    pub fn word(&self) -> &'static str {
        match self {
            Disposition::Accepted => "accepted",
            Disposition::Refused { .. } => "refused",
            Disposition::Pending { .. } => "pending",
            Disposition::Deferred { .. } => "deferred",
            Disposition::Redirected(_) => "redirected",
            Disposition::Withdrawn => "withdrawn",
            Disposition::Expired => "expired",
            Disposition::Relayed => "relayed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proves: FRM-5
    #[test]
    fn codes_are_those_of_rfc_3463() {
        let check = |text: &str, good: bool| {
            let code = Code::parse(text).map(|code| code.to_string()).ok();
            assert_eq!(code, good.then(|| text.to_owned()));
        };
        check("2.0.0", true);
        check("5.7.1", true);
        check("4.999.999", true);
        check("3.0.0", false);
        check("5.07.1", false);
        check("5.7.01", false);
        check("5.00.1", false);
        check("05.7.1", false);
        check("5.1000.1", false);
        check("5.7", false);
        check("5.7.1.1", false);
        check("5..1", false);
        check("5.+7.1", false);
        check(" 5.7.1", false);
        check("", false);
    }

    /// proves: FRM-5
    #[test]
    fn the_text_of_a_refusal_is_cleaned_and_cut() {
        let check = |text: &str, expected: &str| {
            let Disposition::Refused { text, .. } = Disposition::refused(Code::NOT_AUTHORIZED, text) else {
                unreachable!()
            };
            assert_eq!(text, expected);
        };
        check("not\r\nwanted\u{85}\0", "not  wanted  ");
        check(&"x".repeat(513), &"x".repeat(512));
        check(&"ü".repeat(300), &"ü".repeat(256));
    }

    #[test]
    fn five_dispositions_are_final() {
        let pending = Disposition::Pending {
            cookie: Cookie::from_bytes([0; 32]),
            min_seconds: 0,
            max_seconds: 0,
            until: 0,
        };
        let redirect =
            Redirect { address: "::1".into(), port: 1, key_digest: [0; 32], ticket: vec![], not_after: 0 };
        let check = |what: Disposition, last: bool| assert_eq!(what.is_final(), last, "{what:?}");
        check(Disposition::Accepted, true);
        check(Disposition::refused(Code::NOT_AUTHORIZED, ""), true);
        check(Disposition::Withdrawn, true);
        check(Disposition::Expired, true);
        check(Disposition::Relayed, true);
        check(pending, false);
        check(Disposition::Deferred { code: Code::SYSTEM_FULL, after_seconds: 1 }, false);
        check(Disposition::Redirected(redirect), false);
    }

    /// proves: STA-2
    #[test]
    fn a_cookie_is_never_shown() {
        assert!(!format!("{:?}", Cookie::from_bytes([0xab; 32])).contains("ab"));
    }
}
