//! The lines of a client, read strictly (RFC 5321 section 4.1, and the extensions that are announced).
//!
//! No library reads them: those that there are mend what has to be refused (`spec/decisions/0017-smtp-in.md`).

use std::net::IpAddr;

use message::Code;
use message::address::{Address, Domain, LocalPart};

use crate::limits::{
    SMTP_ENVELOPE_ID_OCTETS_MAX, SMTP_HELO_OCTETS_MAX, SMTP_ORIGINAL_OCTETS_MAX, SMTP_PARAMETERS_MAX,
};
use crate::{Recipient, ReturnPath};

use super::reply::Said;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command<'a> {
    /// `EHLO`, with the name of the client.
    Ehlo(&'a str),
    /// `HELO`.
    Helo(&'a str),
    /// `MAIL FROM`.
    Mail(Box<Mail>),
    /// `RCPT TO`.
    Rcpt(Rcpt),
    /// `DATA`.
    Data,
    /// `BDAT`: octets, and whether it is the last.
    Bdat(u64, bool),
    /// `AUTH`: the mechanism and the initial response.
    Auth(&'a str, Option<&'a str>),
    /// `STARTTLS`.
    StartTls,
    /// `RSET`.
    Rset,
    /// `NOOP`.
    Noop,
    /// `QUIT`.
    Quit,
    /// `VRFY`.
    Vrfy,
    /// `HELP`.
    Help,
    /// `TEST COOKIE`: identifier, sender and address.
    TestCookie(&'a str, Address, IpAddr),
}

/// `MAIL FROM` and its parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mail {
    /// The return path.
    pub(super) path: ReturnPath,
    /// `SIZE`, 0 where it is not said.
    pub(super) size: u64,
    /// `SMTPUTF8`.
    pub(super) utf8: bool,
    /// `PRDR`.
    pub(super) individual: bool,
    /// `RET`: whether it is `HDRS`; none where it is not said.
    pub(super) headers_only: Option<bool>,
    /// `ENVID`, decoded.
    pub(super) envelope_id: Option<String>,
    /// `COOKIE`: identifier and host.
    pub(super) cookie: Option<(String, String)>,
}

/// `RCPT TO` and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rcpt {
    /// A whole address.
    Address(Recipient),
    /// `<Postmaster>`, which every server takes (RFC 5321 section 4.5.1).
    Postmaster,
}

/// What the grammar depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialect {
    /// Whether EHLO was said, so that there are parameters.
    pub(super) extended: bool,
    /// Whether this transaction has SMTPUTF8.
    pub(super) utf8: bool,
    /// Whether COOKIES is announced.
    pub(super) cookies: bool,
}

const UNKNOWN: Said = Said::new(500, Code::new(5, 5, 2), "that command is not known here");
const SYNTAX: Said = Said::new(501, Code::new(5, 5, 4), "the arguments are not what this command takes");
const NO_ARGUMENT: Said = Said::new(501, Code::new(5, 5, 4), "this command takes no arguments");
const NAME: Said = Said::new(501, Code::new(5, 5, 4), "a host name or an address in brackets is needed");
const PARAMETER: Said = Said::new(555, Code::new(5, 5, 4), "a parameter is not known here");
const PARAMETER_VALUE: Said = Said::new(501, Code::new(5, 5, 4), "a parameter's value is not what it takes");
const TWICE: Said = Said::new(501, Code::new(5, 5, 4), "a parameter is given twice, or there are too many");
const SENDER: Said = Said::new(553, Code::new(5, 1, 7), "that is no return path that is taken here");
const RECIPIENT: Said = Said::new(553, Code::new(5, 1, 3), "that is no address that is taken here");
const ROUTE: Said = Said::new(550, Code::new(5, 7, 1), "mail is not relayed along a route");
const NEEDS_UTF8: Said = Said::new(553, Code::new(5, 6, 7), "an address beyond ASCII needs SMTPUTF8");

/// Reads a line, without its CRLF.
///
/// keeps: GW-1
pub(super) fn parse<'a>(line: &'a [u8], dialect: Dialect) -> Result<Command<'a>, Said> {
    let text = std::str::from_utf8(line).map_err(|_| UNKNOWN)?;
    if text.chars().any(char::is_control) {
        return Err(UNKNOWN);
    }
    let (verb, rest) = text.split_once(' ').map_or((text, None), |(verb, rest)| (verb, Some(rest)));
    let rest = rest.map(|rest| rest.trim_end_matches(' ')).filter(|rest| !rest.is_empty());
    let bare = |command| if rest.is_none() { Ok(command) } else { Err(NO_ARGUMENT) };
    match Upper::of(verb).as_str() {
        "EHLO" => rest.filter(|name| is_name(name)).map(Command::Ehlo).ok_or(NAME),
        "HELO" => rest.filter(|name| is_name(name)).map(Command::Helo).ok_or(NAME),
        "MAIL" => mail(after(rest, "FROM:")?, dialect).map(|mail| Command::Mail(Box::new(mail))),
        "RCPT" => rcpt(after(rest, "TO:")?, dialect).map(Command::Rcpt),
        "DATA" => bare(Command::Data),
        "BDAT" => rest.and_then(bdat).ok_or(SYNTAX),
        "AUTH" => rest.and_then(auth).ok_or(SYNTAX),
        "STARTTLS" => bare(Command::StartTls),
        "RSET" => bare(Command::Rset),
        "QUIT" => bare(Command::Quit),
        "NOOP" => Ok(Command::Noop),
        "VRFY" => Ok(Command::Vrfy),
        "HELP" => Ok(Command::Help),
        "TEST" if dialect.cookies => rest.and_then(test_cookie).ok_or(SYNTAX),
        _ => Err(UNKNOWN),
    }
}

/// A word in upper case, without memory of its own for each line. Longer words than are known are none.
struct Upper {
    octets: [u8; 8],
    length: usize,
}

impl Upper {
    fn of(word: &str) -> Upper {
        let mut octets = [0; 8];
        let length = match octets.get_mut(..word.len()) {
            Some(place) => {
                place.copy_from_slice(word.as_bytes());
                place.make_ascii_uppercase();
                word.len()
            }
            None => 0,
        };
        Upper { octets, length }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.octets[..self.length]).unwrap_or_default()
    }
}

/// A name that can stand in a Received field as it is: a domain of A-labels or an address literal.
fn is_name(text: &str) -> bool {
    let fits = |octet: u8| octet.is_ascii_alphanumeric() || b".-_:[]".contains(&octet);
    text.len() <= SMTP_HELO_OCTETS_MAX && text.bytes().all(fits)
}

/// What stands behind the second word. One space behind the colon is not in the grammar, but common.
fn after<'a>(rest: Option<&'a str>, word: &str) -> Result<&'a str, Said> {
    let rest = rest.ok_or(SYNTAX)?;
    let head = rest.get(..word.len()).ok_or(SYNTAX)?;
    if !head.eq_ignore_ascii_case(word) {
        return Err(SYNTAX);
    }
    let path = &rest[word.len()..];
    Ok(path.strip_prefix(' ').unwrap_or(path))
}

/// Cuts a path in angle brackets from its parameters.
fn path<'a>(text: &'a str, dialect: Dialect) -> Result<(&'a str, Vec<Parameter<'a>>), Said> {
    let (path, rest) = text.strip_prefix('<').and_then(|text| text.split_once('>')).ok_or(SYNTAX)?;
    if rest.is_empty() {
        return Ok((path, Vec::new()));
    }
    let rest = rest.strip_prefix(' ').ok_or(SYNTAX)?;
    if !dialect.extended {
        return Err(PARAMETER);
    }
    let mut parameters: Vec<Parameter<'a>> = Vec::with_capacity(4);
    for word in rest.split(' ').filter(|word| !word.is_empty()) {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        let wrong = name.is_empty() || value.is_some_and(|value| value.is_empty() || value.contains('='));
        // The value of ENVID and ORCPT is xtext, which writes `=` as +3D; so a second one is never right.
        if wrong {
            return Err(PARAMETER_VALUE);
        }
        let again = parameters.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        if again || parameters.len() >= SMTP_PARAMETERS_MAX {
            return Err(TWICE);
        }
        parameters.push((name, value));
    }
    Ok((path, parameters))
}

type Parameter<'a> = (&'a str, Option<&'a str>);

fn mail(text: &str, dialect: Dialect) -> Result<Mail, Said> {
    let (path, parameters) = path(text, dialect)?;
    let mut mail = Mail::default();
    for (name, value) in parameters {
        match (Upper::of(name).as_str(), value) {
            ("SIZE", Some(value)) => mail.size = number(value).ok_or(PARAMETER_VALUE)?,
            ("BODY", Some(value)) => {
                if !value.eq_ignore_ascii_case("7BIT") && !value.eq_ignore_ascii_case("8BITMIME") {
                    return Err(PARAMETER_VALUE);
                }
            }
            ("SMTPUTF8", None) => mail.utf8 = true,
            ("PRDR", None) => mail.individual = true,
            ("RET", Some(value)) if value.eq_ignore_ascii_case("FULL") => mail.headers_only = Some(false),
            ("RET", Some(value)) if value.eq_ignore_ascii_case("HDRS") => mail.headers_only = Some(true),
            ("ENVID", Some(value)) => mail.envelope_id = Some(envelope_id(value).ok_or(PARAMETER_VALUE)?),
            // Who is said to have submitted it somewhere else (RFC 4954 section 5) is read, and not believed.
            ("AUTH", Some(value)) => drop(xtext(value).ok_or(PARAMETER_VALUE)?),
            ("COOKIE", Some(value)) if dialect.cookies => {
                mail.cookie = Some(cookie(value).ok_or(PARAMETER_VALUE)?);
            }
            ("SIZE" | "BODY" | "SMTPUTF8" | "PRDR" | "RET" | "ENVID" | "AUTH", _) => {
                return Err(PARAMETER_VALUE);
            }
            _ => return Err(PARAMETER),
        }
    }
    mail.path = match path {
        "" => None,
        path => Some(address(path, mail.utf8, SENDER)?),
    };
    Ok(mail)
}

fn rcpt(text: &str, dialect: Dialect) -> Result<Rcpt, Said> {
    let (path, parameters) = path(text, dialect)?;
    let (mut notify, mut original) = (None, None);
    for (name, value) in parameters {
        match (Upper::of(name).as_str(), value) {
            ("NOTIFY", Some(value)) => notify = Some(notices(value).ok_or(PARAMETER_VALUE)?),
            ("ORCPT", Some(value)) => original = Some(original_recipient(value).ok_or(PARAMETER_VALUE)?),
            ("NOTIFY" | "ORCPT", None) => return Err(PARAMETER_VALUE),
            _ => return Err(PARAMETER),
        }
    }
    if path.eq_ignore_ascii_case("postmaster") {
        return Ok(Rcpt::Postmaster);
    }
    let address = address(path, dialect.utf8, RECIPIENT)?;
    Ok(Rcpt::Address(Recipient { address, notify, original }))
}

/// Only what is an address of this house: no route, nothing quoted, no literal.
///
/// keeps: GW-7
fn address(path: &str, utf8: bool, wrong: Said) -> Result<Address, Said> {
    if path.starts_with('@') {
        return Err(ROUTE);
    }
    if !utf8 && !path.is_ascii() {
        return Err(NEEDS_UTF8);
    }
    let (local, domain) = path.rsplit_once('@').ok_or(wrong)?;
    let local = LocalPart::from_wire(local).map_err(|_| wrong)?;
    Ok(Address::new(local, Domain::parse(domain).map_err(|_| wrong)?))
}

fn bdat(rest: &str) -> Option<Command<'_>> {
    let (octets, last) = match rest.split_once(' ') {
        None => (rest, false),
        Some((octets, word)) if word.eq_ignore_ascii_case("LAST") => (octets, true),
        Some(_) => return None,
    };
    Some(Command::Bdat(number(octets)?, last))
}

fn auth(rest: &str) -> Option<Command<'_>> {
    match rest.split_once(' ') {
        None => Some(Command::Auth(rest, None)),
        Some((_, initial)) if initial.contains(' ') => None,
        Some((mechanism, initial)) => Some(Command::Auth(mechanism, Some(initial))),
    }
}

fn test_cookie(rest: &str) -> Option<Command<'_>> {
    let mut words = rest.split(' ');
    let (word, id, sender, address) = (words.next()?, words.next()?, words.next()?, words.next()?);
    if !word.eq_ignore_ascii_case("COOKIE") || words.next().is_some() || !is_cookie_id(id) {
        return None;
    }
    let sender = sender.strip_prefix('<').and_then(|sender| sender.strip_suffix('>')).unwrap_or(sender);
    let (local, domain) = sender.rsplit_once('@')?;
    let sender = Address::new(LocalPart::from_wire(local).ok()?, Domain::parse(domain).ok()?);
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let address = address.strip_prefix("IPv6:").unwrap_or(address);
    Some(Command::TestCookie(id, sender, address.parse().ok()?))
}

fn cookie(value: &str) -> Option<(String, String)> {
    let value = value.strip_prefix('<').and_then(|value| value.strip_suffix('>')).unwrap_or(value);
    let (id, host) = value.split_once('@')?;
    let fits = is_cookie_id(id) && !host.is_empty() && is_name(host) && !host.contains('[');
    fits.then(|| (id.to_owned(), host.to_owned()))
}

fn is_cookie_id(id: &str) -> bool {
    (1..=crate::limits::SMTP_COOKIE_ID_OCTETS_MAX).contains(&id.len())
        && id.bytes().all(|octet| octet.is_ascii_graphic() && !b"@<>=".contains(&octet))
}

/// `NEVER`, or some of the others in any order and case (RFC 3461 section 4.1).
fn notices(value: &str) -> Option<u8> {
    if value.eq_ignore_ascii_case("NEVER") {
        return Some(0);
    }
    let mut notify = 0;
    for word in value.split(',') {
        let one = match Upper::of(word).as_str() {
            "SUCCESS" => Recipient::NOTIFY_SUCCESS,
            "FAILURE" => Recipient::NOTIFY_FAILURE,
            "DELAY" => Recipient::NOTIFY_DELAY,
            _ => return None,
        };
        notify |= one;
    }
    Some(notify)
}

/// At most as many characters as a sender may give (RFC 3461 section 4.4).
fn envelope_id(value: &str) -> Option<String> {
    xtext(value).filter(|_| value.len() <= SMTP_ENVELOPE_ID_OCTETS_MAX)
}

/// The type and the address, the xtext of which is undone (RFC 3461 section 4.2; `utf-8` by RFC 6533 section 3).
fn original_recipient(value: &str) -> Option<String> {
    let (kind, address) = value.split_once(';')?;
    let named = !kind.is_empty() && kind.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
    let address = if kind.eq_ignore_ascii_case("utf-8") { address.to_owned() } else { xtext(address)? };
    let fits = value.len() <= SMTP_ORIGINAL_OCTETS_MAX;
    (named && fits && !address.is_empty()).then(|| format!("{kind};{address}"))
}

/// Undoes xtext (RFC 3461 section 4). What it hides must be printable, since it goes into notices.
fn xtext(value: &str) -> Option<String> {
    let mut octets = value.bytes();
    let mut text = String::with_capacity(value.len());
    while let Some(octet) = octets.next() {
        let octet = match octet {
            b'+' => 16 * hexadecimal(octets.next()?)? + hexadecimal(octets.next()?)?,
            b'=' => return None,
            octet => octet,
        };
        if !(0x20..0x7f).contains(&octet) {
            return None;
        }
        text.push(char::from(octet));
    }
    Some(text)
}

fn hexadecimal(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = (1..=19).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
