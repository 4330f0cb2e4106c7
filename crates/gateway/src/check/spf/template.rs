//! Texts with macros in an SPF record: read, and filled in (RFC 7208 section 7).

use std::fmt::Write as _;
use std::net::IpAddr;

use super::Query;
use crate::limits::SPF_EXPLANATION_OCTETS_MAX;

/// The longest name that may be asked (RFC 7208 section 7.3): labels are taken off the left of a longer one.
const NAME_OCTETS_MAX: usize = 253;

/// A text with macros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Macro { letter: char, escaped: bool, parts: usize, reversed: bool, delimiters: String },
}

/// What the text is for, which says what may stand in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A name to ask: it ends in a label that can be a top one, or in a macro.
    Name,
    /// The value of a modifier that we do not know.
    Value,
    /// An explanation, which may hold spaces and three more letters.
    Explanation,
}

/// What macros stand for.
pub(crate) struct Values<'a> {
    pub(crate) query: &'a Query<'a>,
    /// The sender with a local part.
    pub(crate) sender: &'a str,
    /// The domain whose record it is.
    pub(crate) domain: &'a str,
    /// A name of the client that is proved, where one was looked for.
    pub(crate) validated: &'a str,
}

impl Template {
    /// Reads a text; `None` where it is none.
    pub(crate) fn read(text: &str, purpose: Purpose) -> Option<Template> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find('%').unwrap_or(rest.len());
            let (plain, behind) = rest.split_at(end);
            let allowed =
                |octet: u8| octet.is_ascii_graphic() || (octet == b' ' && purpose == Purpose::Explanation);
            if !plain.bytes().all(allowed) {
                return None;
            }
            if !plain.is_empty() {
                pieces.push(Piece::Text(plain.to_owned()));
            }
            rest = behind;
            if !rest.is_empty() {
                let (piece, behind) = macro_at(rest, purpose)?;
                pieces.push(piece);
                rest = behind;
            }
        }
        let whole = purpose != Purpose::Name || ends_as_name(text, pieces.last());
        whole.then_some(Template(pieces))
    }

    /// Whether a proved name of the client is needed for it.
    pub(crate) fn needs_validated(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Macro { letter: 'p', .. }))
    }

    /// The name to ask: filled in, without a dot at its end, and with as many labels as fit.
    pub(crate) fn name(&self, values: &Values<'_>) -> String {
        let filled = self.fill(values);
        let mut name = filled.strip_suffix('.').unwrap_or(&filled);
        while name.len() > NAME_OCTETS_MAX {
            name = name.split_once('.').map_or("", |(_, parents)| parents);
        }
        name.to_owned()
    }

    /// The explanation for people: ASCII, of at most [`SPF_EXPLANATION_OCTETS_MAX`].
    pub(crate) fn explanation(&self, values: &Values<'_>) -> String {
        let printable = |letter: &char| letter.is_ascii_graphic() || *letter == ' ';
        self.fill(values).chars().filter(printable).take(SPF_EXPLANATION_OCTETS_MAX).collect()
    }

    fn fill(&self, values: &Values<'_>) -> String {
        let mut filled = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Macro { letter, escaped, parts, reversed, delimiters } => {
                    let value = transformed(&value_of(*letter, values), *parts, *reversed, delimiters);
                    if *escaped { escape_into(&mut filled, &value) } else { filled.push_str(&value) }
                }
            }
        }
        filled
    }
}

/// The macro at the beginning of a text that begins with `%`, and what stands behind it.
fn macro_at(text: &str, purpose: Purpose) -> Option<(Piece, &str)> {
    for (short, means) in [("%%", "%"), ("%_", " "), ("%-", "%20")] {
        if let Some(behind) = text.strip_prefix(short) {
            return Some((Piece::Text(means.to_owned()), behind));
        }
    }
    let (inner, behind) = text.strip_prefix("%{")?.split_once('}')?;
    let mut letters = inner.chars();
    let letter = letters.next()?;
    let known = if purpose == Purpose::Explanation { "slodipvhcrt" } else { "slodipvh" };
    if !known.contains(letter.to_ascii_lowercase()) {
        return None;
    }
    let rest = letters.as_str();
    let digits = rest.len() - rest.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
    let (number, rest) = rest.split_at(digits);
    // Number 0 is an error; more parts than a text can have are all of them.
    let parts = if number.is_empty() { usize::MAX } else { number.parse().unwrap_or(usize::MAX) };
    let after = rest.strip_prefix(['r', 'R']);
    let (reversed, delimiters) = (after.is_some(), after.unwrap_or(rest));
    let sound = parts != 0 && delimiters.chars().all(|one| ".-+,/_=".contains(one));
    let delimiters = if delimiters.is_empty() { "." } else { delimiters }.to_owned();
    let escaped = letter.is_ascii_uppercase();
    let letter = letter.to_ascii_lowercase();
    sound.then_some((Piece::Macro { letter, escaped, parts, reversed, delimiters }, behind))
}

/// Whether a text ends as a name to be asked must: in a macro, or in a dot and a label that can be a top one.
fn ends_as_name(text: &str, last: Option<&Piece>) -> bool {
    let by_macro = text.ends_with('}') && matches!(last, Some(Piece::Macro { .. }));
    let by_sign = ["%%", "%_", "%-"].iter().any(|sign| text.ends_with(sign));
    if by_macro || by_sign {
        return true;
    }
    let text = text.strip_suffix('.').unwrap_or(text);
    let Some((_, top)) = text.rsplit_once('.') else { return false };
    let plain = top.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
    let bounded = !top.is_empty() && !top.starts_with('-') && !top.ends_with('-');
    plain && bounded && top.bytes().any(|octet| !octet.is_ascii_digit())
}

fn value_of(letter: char, values: &Values<'_>) -> String {
    let (local, domain) = values.sender.rsplit_once('@').unwrap_or(("postmaster", values.sender));
    let address = values.query.address.to_canonical();
    match letter {
        's' => values.sender.to_owned(),
        'l' => local.to_owned(),
        'o' => domain.to_owned(),
        'd' => values.domain.to_owned(),
        'i' => dotted(address),
        'p' => values.validated.to_owned(),
        'v' => if address.is_ipv4() { "in-addr" } else { "ip6" }.to_owned(),
        'h' => values.query.helo.to_owned(),
        'c' => address.to_string(),
        'r' => values.query.receiver.to_owned(),
        't' => (values.query.now_ms / 1_000).to_string(),
        _ => String::new(),
    }
}

/// An address as labels: four numbers, or 32 nibbles.
fn dotted(address: IpAddr) -> String {
    match address {
        IpAddr::V4(four) => four.to_string(),
        IpAddr::V6(six) => {
            let nibbles = six.octets().into_iter().flat_map(|octet| [octet >> 4, octet & 15]);
            nibbles.map(|nibble| format!("{nibble:X}")).collect::<Vec<_>>().join(".")
        }
    }
}

fn transformed(value: &str, parts: usize, reversed: bool, delimiters: &str) -> String {
    if parts == usize::MAX && !reversed && delimiters == "." {
        return value.to_owned();
    }
    let mut split: Vec<&str> = value.split(|letter| delimiters.contains(letter)).collect();
    if reversed {
        split.reverse();
    }
    let skipped = split.len().saturating_sub(parts);
    split.split_off(skipped).join(".")
}

/// Everything but the unreserved characters of RFC 3986 as `%` and two digits.
fn escape_into(filled: &mut String, value: &str) {
    for octet in value.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            filled.push(char::from(octet));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(filled, "%{octet:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 7208 section 7.4 (nibbles in capitals, as the suite has them), and the escapes of section 7.3.
    /// proves: CHK-1
    #[test]
    fn macros_are_filled_in_as_the_rfc_shows() {
        let check = |address: &str, text: &str, expected: &str| {
            let query = Query {
                address: address.parse().unwrap(),
                helo: "client.example.net",
                sender: "strong-bad@email.example.com",
                receiver: "here.example",
                now_ms: 1_000,
            };
            let values = Values {
                query: &query,
                sender: query.sender,
                domain: "email.example.com",
                validated: "mx.example.org",
            };
            let template = Template::read(text, Purpose::Explanation).unwrap();
            assert_eq!(template.fill(&values), expected, "{text}");
        };
        let four = "192.0.2.3";
        check(four, "%{s}", "strong-bad@email.example.com");
        check(four, "%{o}", "email.example.com");
        check(four, "%{d4}", "email.example.com");
        check(four, "%{d2}", "example.com");
        check(four, "%{dr}", "com.example.email");
        check(four, "%{d2r}", "example.email");
        check(four, "%{l-}", "strong.bad");
        check(four, "%{lr-}", "bad.strong");
        check(four, "%{l1r-}", "strong");
        check(four, "%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com");
        check(four, "%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com");
        check(four, "%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net");
        check(
            "2001:db8::cb01",
            "%{ir}.%{v}._spf.%{d2}",
            "1.0.B.C.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.ip6._spf.example.com",
        );
        check(four, "%{c} %{r} %{t} %{h} %{p}", "192.0.2.3 here.example 1 client.example.net mx.example.org");
        check(four, "%%%_%-", "% %20");
        check(four, "%{S}", "strong-bad%40email.example.com");
    }

    #[test]
    fn texts_are_read_or_refused() {
        let check = |text: &str, purpose, sound: bool| {
            assert_eq!(Template::read(text, purpose).is_some(), sound, "{text}");
        };
        check("%{d}", Purpose::Name, true);
        check("a.%{d}.example.", Purpose::Name, true);
        check("a.example.a1-b", Purpose::Name, true);
        check("example", Purpose::Name, false);
        check("a.example.12", Purpose::Name, false);
        check("a.example.-b", Purpose::Name, false);
        check("%{d0}", Purpose::Name, false);
        check("%{c}", Purpose::Name, false);
        check("%{c} for you", Purpose::Explanation, true);
        check("%(d)", Purpose::Value, false);
        check("%{d", Purpose::Value, false);
        check("%", Purpose::Value, false);
        check("a b", Purpose::Value, false);
        check("hector,scott", Purpose::Value, true);
        check("", Purpose::Value, true);
    }
}
