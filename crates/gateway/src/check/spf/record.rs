//! The record of a domain: read by the grammar of RFC 7208 section 12, and by nothing else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Verdict;
use super::template::{Purpose, Template};

/// A record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// The directives, in order.
    pub(crate) directives: Vec<Directive>,
    /// Where to go on where none matches.
    pub(crate) redirect: Option<Template>,
    /// Where the explanation of a failure is.
    pub(crate) explanation: Option<Template>,
    /// The other modifiers, in order: names in lower case, and values as they stand there.
    pub(crate) modifiers: Vec<(String, String)>,
}

/// What a match means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directive {
    /// The result where it matches.
    pub(crate) verdict: Verdict,
    pub(crate) mechanism: Mechanism,
    /// As it stands in the record, for people.
    pub(crate) text: String,
}

/// What is compared with the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mechanism {
    All,
    Include(Template),
    A(Option<Template>, Lengths),
    Mx(Option<Template>, Lengths),
    Ptr(Option<Template>),
    Network(IpAddr, u8),
    Exists(Template),
}

/// How many bits of an address are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lengths {
    pub(crate) four: u8,
    pub(crate) six: u8,
}

/// Whether a text is a record of this version at all: `v=spf1`, and then a space or nothing.
pub(crate) fn is_record(text: &[u8]) -> bool {
    let (version, rest) = text.split_at_checked(6).unwrap_or((b"", b""));
    version.eq_ignore_ascii_case(b"v=spf1") && matches!(rest.first(), None | Some(b' '))
}

/// Reads a record of which [`is_record`] holds. An error anywhere makes the whole unreadable (section 4.6): its text
/// says which term it is.
///
/// keeps: CHK-1
pub(crate) fn read(text: &[u8]) -> Result<Record, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not ASCII".to_owned())?;
    let terms = text.get(6..).unwrap_or_default();
    let mut record = Record::default();
    for term in terms.split(' ').filter(|term| !term.is_empty()) {
        let sound = match modifier(term) {
            Some((name, value)) => record.add_modifier(name, value),
            None => directive(term).map(|directive| record.directives.push(directive)),
        };
        sound.ok_or_else(|| format!("{:?} is no term", term.chars().take(80).collect::<String>()))?;
    }
    Ok(record)
}

impl Record {
    fn add_modifier(&mut self, name: &str, value: &str) -> Option<()> {
        let name = name.to_ascii_lowercase();
        let known = match name.as_str() {
            "redirect" => &mut self.redirect,
            "exp" => &mut self.explanation,
            _ => {
                Template::read(value, Purpose::Value)?;
                self.modifiers.push((name, value.to_owned()));
                return Some(());
            }
        };
        let first = known.is_none();
        *known = Some(Template::read(value, Purpose::Name)?);
        first.then_some(())
    }
}

/// A name, an equals sign and a value; anything else is a directive.
fn modifier(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once('=')?;
    let named = name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet));
    (named && name.starts_with(|first: char| first.is_ascii_alphabetic())).then_some((name, value))
}

fn directive(term: &str) -> Option<Directive> {
    let (verdict, text) = match term.split_at_checked(1)? {
        ("+", rest) => (Verdict::Pass, rest),
        ("-", rest) => (Verdict::Fail, rest),
        ("~", rest) => (Verdict::SoftFail, rest),
        ("?", rest) => (Verdict::Neutral, rest),
        _ => (Verdict::Pass, term),
    };
    let end = text.find([':', '/']).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    let mechanism = match (name.to_ascii_lowercase().as_str(), rest.strip_prefix(':')) {
        ("all", None) if rest.is_empty() => Mechanism::All,
        ("include", Some(target)) => Mechanism::Include(Template::read(target, Purpose::Name)?),
        ("exists", Some(target)) => Mechanism::Exists(Template::read(target, Purpose::Name)?),
        ("ptr", Some(target)) => Mechanism::Ptr(Some(Template::read(target, Purpose::Name)?)),
        ("ptr", None) if rest.is_empty() => Mechanism::Ptr(None),
        ("ip4", Some(network)) => {
            let (address, bits) = network_of(network, 32)?;
            Mechanism::Network(IpAddr::V4(address.parse::<Ipv4Addr>().ok()?), bits)
        }
        ("ip6", Some(network)) => {
            let (address, bits) = network_of(network, 128)?;
            Mechanism::Network(IpAddr::V6(address.parse::<Ipv6Addr>().ok()?), bits)
        }
        ("a", _) => {
            let (target, lengths) = target_and_lengths(rest)?;
            Mechanism::A(target, lengths)
        }
        ("mx", _) => {
            let (target, lengths) = target_and_lengths(rest)?;
            Mechanism::Mx(target, lengths)
        }
        _ => return None,
    };
    Some(Directive { verdict, mechanism, text: term.to_owned() })
}

/// What stands behind `a` or `mx`: a name, lengths, both or nothing.
fn target_and_lengths(rest: &str) -> Option<(Option<Template>, Lengths)> {
    let (rest, six) = match rest.rsplit_once("//") {
        Some((before, digits)) if is_digits(digits) => (before, length(digits, 128)?),
        _ => (rest, 128),
    };
    let (rest, four) = match rest.rsplit_once('/') {
        Some((before, digits)) if is_digits(digits) => (before, length(digits, 32)?),
        _ => (rest, 32),
    };
    let lengths = Lengths { four, six };
    if rest.is_empty() {
        return Some((None, lengths));
    }
    Some((Some(Template::read(rest.strip_prefix(':')?, Purpose::Name)?), lengths))
}

fn network_of(text: &str, longest: u8) -> Option<(&str, u8)> {
    match text.split_once('/') {
        Some((address, digits)) => Some((address, length(digits, longest)?)),
        None => Some((text, longest)),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit())
}

/// A number without a zero in front, at most `longest`.
fn length(digits: &str, longest: u8) -> Option<u8> {
    let plain = is_digits(digits) && (digits == "0" || !digits.starts_with('0'));
    digits.parse().ok().filter(|bits| plain && *bits <= longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever a domain publishes, and what is almost a record above all, is read or refused.
        #[test]
        fn any_text_is_read_or_refused(
            text in proptest::collection::vec(any::<u8>(), 0..200),
            almost in "v=spf1( [-+~?]?(a|mx|ptr|all|ip4|ip6|exists|include|p=|redirect=|exp=)[:/=%{}a-z0-9.]{0,12}){0,6}",
        ) {
            for text in [text.as_slice(), almost.as_bytes()] {
                if is_record(text) && let Ok(record) = read(text) {
                    prop_assert!(record.directives.len() <= text.len());
                }
            }
        }
    }
}
