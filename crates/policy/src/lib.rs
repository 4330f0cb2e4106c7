//! What a node decides about an offer for one recipient: evidence in, a verdict with a named reason out.
//!
//! Decisions are pure: the evidence was gathered before, by those who may ask the DNS and the store. A failure of the
//! DNS never refuses: it defers.

use message::address::{Address, Domain};
use message::{Code, Selection};

/// Seconds after which a deferred offer may be made again.
const DEFER_SECONDS: u32 = 300;

/// What is known of the seals of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealEvidence {
    /// A seal of the peer's own domain, or of a forwarder that the peer is, was verified.
    Verified,
    /// There is no seal by which the peer answers for the message.
    Missing,
    /// A seal by which the peer would answer for the message does not verify.
    Broken,
    /// The key could not be asked for just now.
    Unknown,
}

/// What is known when the decision is due.
#[derive(Debug, Clone)]
pub struct Evidence<'a> {
    /// The peer that offers; `None` where a user of this node submits.
    pub peer: Option<&'a Domain>,
    /// For whom.
    pub recipient: &'a Address,
    /// Octets of the message.
    pub octets: u64,
    /// What was found about its seals.
    pub seals: SealEvidence,
}

/// What is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is taken.
    Accept,
    /// It is not taken, for good.
    Refuse {
        /// For programs.
        code: Code,
        /// For people.
        text: String,
    },
    /// This content first: then it is decided again, with what it shows.
    Want(Selection),
    /// The recipient is to decide, from this content.
    Hold {
        /// What is asked of the sender and kept; nothing more is fetched until the recipient has decided.
        keep: Selection,
    },
    /// Later: the sender gets a cookie, asks no sooner than this, and is then asked to offer again.
    Pend {
        /// Seconds before which nothing is decided.
        after_seconds: u32,
    },
    /// Not now, and nothing is kept.
    Defer {
        /// For programs.
        code: Code,
        /// Seconds after which it may be offered again.
        after_seconds: u32,
    },
}

/// A verdict and the name of the rule that led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What is decided.
    pub verdict: Verdict,
    /// The rule, as it is named in the configuration and shown to operators.
    pub rule: String,
}

/// What an operator asks for a recipient or a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Taken without question.
    Accept,
    /// Kept until the recipient decides.
    Hold,
    /// Refused.
    Refuse,
}

/// One rule: the first that matches decides.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// Matches only this recipient, where given.
    pub to: Option<Address>,
    /// Matches only this peer, where given.
    pub from: Option<Domain>,
    /// What it asks for.
    pub action: Action,
}

/// The rules of a node.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Octets of the largest message taken.
    pub octets_max: u64,
    /// In their order.
    pub rules: Vec<Rule>,
}

impl Rules {
    /// Decides about one recipient.
    /// keeps: EXC-17
    pub fn decide(&self, evidence: &Evidence<'_>) -> Decision {
        let named = |rule: &str, verdict| Decision { verdict, rule: rule.to_owned() };
        if evidence.octets > self.octets_max {
            let text = format!("the message is larger than {} octets", self.octets_max);
            return named("size", Verdict::Refuse { code: Code::MESSAGE_TOO_LARGE, text });
        }
        if evidence.peer.is_some() {
            match evidence.seals {
                SealEvidence::Verified => {}
                SealEvidence::Broken => {
                    let text = "a seal does not verify over this message".to_owned();
                    return named("seal-broken", Verdict::Refuse { code: Code::INTEGRITY_FAILED, text });
                }
                SealEvidence::Missing => {
                    let text = "no seal by which the offering domain answers for this message".to_owned();
                    return named("seal-missing", Verdict::Refuse { code: Code::NOT_AUTHORIZED, text });
                }
                SealEvidence::Unknown => {
                    let (code, after_seconds) = (Code::DIRECTORY_FAILURE, DEFER_SECONDS);
                    return named("seal-unknown", Verdict::Defer { code, after_seconds });
                }
            }
        }
        let matching = self.rules.iter().find(|rule| {
            rule.to.as_ref().is_none_or(|to| to == evidence.recipient)
                && rule.from.as_ref().is_none_or(|from| Some(from) == evidence.peer)
        });
        match matching {
            None => named("default", Verdict::Accept),
            Some(rule) => named(
                &rule.name,
                match rule.action {
                    Action::Accept => Verdict::Accept,
                    Action::Hold => Verdict::Hold { keep: Selection::All },
                    Action::Refuse => Verdict::Refuse {
                        code: Code::NOT_AUTHORIZED,
                        text: format!("refused by rule {}", rule.name),
                    },
                },
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        rules: &Rules,
        peer: Option<&str>,
        octets: u64,
        seals: SealEvidence,
        rule: &str,
        accepted: bool,
    ) {
        let peer = peer.map(|peer| Domain::from_wire(peer).unwrap());
        let recipient = Address::from_wire("bob@south.test").unwrap();
        let evidence = Evidence { peer: peer.as_ref(), recipient: &recipient, octets, seals };
        let decision = rules.decide(&evidence);
        assert_eq!(decision.rule, rule);
        assert_eq!(decision.verdict == Verdict::Accept, accepted);
    }

    #[test]
    fn the_first_reason_decides_and_is_named() {
        let north = Domain::from_wire("north.test").unwrap();
        let rules = Rules {
            octets_max: 100,
            rules: vec![Rule { name: "strangers".into(), to: None, from: Some(north), action: Action::Hold }],
        };
        check(&rules, Some("east.test"), 10, SealEvidence::Verified, "default", true);
        check(&rules, Some("north.test"), 10, SealEvidence::Verified, "strangers", false);
        check(&rules, Some("east.test"), 101, SealEvidence::Verified, "size", false);
        check(&rules, Some("east.test"), 10, SealEvidence::Broken, "seal-broken", false);
        check(&rules, Some("east.test"), 10, SealEvidence::Missing, "seal-missing", false);
        check(&rules, Some("east.test"), 10, SealEvidence::Unknown, "seal-unknown", false);
        check(&rules, None, 10, SealEvidence::Missing, "default", true);
    }

    #[test]
    fn a_failure_of_the_dns_defers_and_never_refuses() {
        let rules = Rules { octets_max: 100, rules: Vec::new() };
        let recipient = Address::from_wire("bob@south.test").unwrap();
        let north = Domain::from_wire("north.test").unwrap();
        let evidence =
            Evidence { peer: Some(&north), recipient: &recipient, octets: 1, seals: SealEvidence::Unknown };
        assert!(matches!(rules.decide(&evidence).verdict, Verdict::Defer { .. }));
    }
}
