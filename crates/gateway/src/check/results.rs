//! The Authentication-Results field (RFC 8601): written, and found forged.

use std::fmt::Write as _;

use super::{Checked, Verdict};
use crate::Letter;
use crate::limits::AUTHENTICATION_RESULTS_OCTETS_MAX;

/// Octets of one value that somebody else wrote: an address has at most 320.
const VALUE_OCTETS_MAX: usize = 320;

/// The value of the field, folded, without its name. keeps: CHK-9
pub(super) fn value(host: &str, checked: &Checked) -> String {
    let mut text = format!("{} 1", quoted(host));
    let mut add = |method: &str, word: &str, why: &str, properties: &[(&str, &str)]| {
        let mut one = format!(";\r\n\t{method}={word}");
        if !why.is_empty() {
            // Writing to a String cannot fail, here and below.
            let _ = write!(one, " reason={}", always_quoted(why));
        }
        for (name, value) in properties.iter().filter(|(_, value)| !value.is_empty()) {
            let _ = write!(one, " {name}={}", quoted(value));
        }
        if text.len() + one.len() <= AUTHENTICATION_RESULTS_OCTETS_MAX {
            text.push_str(&one);
        }
    };
    add("spf", checked.spf_helo.verdict.word(), "", &[("smtp.helo", &checked.helo)]);
    if let Some(return_path) = &checked.return_path {
        add("spf", checked.spf.verdict.word(), "", &[("smtp.mailfrom", return_path)]);
    }
    let effect = &checked.effect;
    if !effect.in_force.is_empty() {
        let why = effect.in_force.join(", ");
        let path = checked.return_path.as_deref().unwrap_or_default();
        add("x-spf-properties", effect.mail_from.word(), &why, &[("smtp.mailfrom", path)]);
    }
    if checked.signatures.is_empty() {
        add("dkim", "none", "", &[]);
    }
    for one in &checked.signatures {
        add("dkim", one.verdict.word(), &one.why, &[("header.d", &one.domain), ("header.s", &one.selector)]);
    }
    let author = &checked.author;
    add("dmarc", author.verdict.word(), &author.why, &[("header.from", &author.domain)]);
    let cookie = checked.cookie.verdict();
    if cookie != Verdict::None {
        let path = checked.return_path.as_deref().unwrap_or_default();
        add("x-cookie", cookie.word(), checked.cookie.why(), &[("smtp.mailfrom", path)]);
    }
    if let Some(client) = checked.client {
        // CSA has no method in the registry. What is not there is experimental and for use within one administration, which
        // this is (section 2.7.6).
        add("x-csa", client.word(), "", &[("smtp.helo", &checked.helo)]);
    }
    text
}

/// Puts what MAV says beside what the checks have found: in front of the claims, and at the end of the field's value. A rule
/// that allows anything says nothing; the word of an earlier hop is there only where its writer is believed.
///
/// keeps: MAV-10
pub(crate) fn note_mav(host: &str, letter: &mut Letter) {
    let own = letter.mav.as_ref().filter(|mav| mav.names_path).map(|mav| mav.keyword);
    let path = letter.return_path.as_ref().map(ToString::to_string).unwrap_or_default();
    let found = [("mav", own, path.as_str()), ("mav-earlier", letter.earlier_mav, "")];
    let findings = &mut letter.findings;
    for (method, keyword, path) in found {
        let Some(keyword) = keyword else { continue };
        if findings.authentication_results.is_empty() {
            findings.authentication_results = format!("{} 1", quoted(host));
        }
        let property =
            if path.is_empty() { String::new() } else { format!(" smtp.mailfrom={}", quoted(path)) };
        let one = format!(";\r\n\tx-{method}=pass reason={}{property}", always_quoted(keyword));
        if findings.authentication_results.len() + one.len() <= AUTHENTICATION_RESULTS_OCTETS_MAX {
            findings.authentication_results.push_str(&one);
        }
        findings.claims.insert(0, (method.to_owned(), keyword.to_owned()));
    }
}

/// The places of the Authentication-Results fields in a header that claim to be of this host, counted from 0 over all
/// fields. keeps: CHK-10
pub(super) fn forged(host: &str, octets: &[u8]) -> Vec<usize> {
    let fields = header_fields(octets).into_iter().enumerate();
    let claiming = fields.filter(|(_, field)| translate::claims_results_of(field, host));
    claiming.map(|(place, _)| place).collect()
}

/// The fields of a message's header, folded lines together; of what is not UTF-8 an approximation.
pub(crate) fn header_fields(octets: &[u8]) -> Vec<String> {
    let mut fields: Vec<String> = Vec::new();
    for line in octets.split(|octet| *octet == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        let text = String::from_utf8_lossy(line);
        match fields.last_mut() {
            Some(last) if text.starts_with([' ', '\t']) => last.push_str(&text),
            _ => fields.push(text.into_owned()),
        }
    }
    fields
}

/// A value as it is, where it can hold nothing else; else in quotes.
fn quoted(value: &str) -> String {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-._+@".contains(&octet);
    if !value.is_empty() && value.len() <= VALUE_OCTETS_MAX && value.bytes().all(plain) {
        return value.to_owned();
    }
    always_quoted(value)
}

/// A quoted string of one line (RFC 5322 section 3.2.4, RFC 6532).
fn always_quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for letter in value.chars().filter(|letter| !letter.is_control()) {
        if text.len() >= VALUE_OCTETS_MAX {
            break;
        }
        if matches!(letter, '"' | '\\') {
            text.push('\\');
        }
        text.push(letter);
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proves: CHK-10
    #[test]
    fn results_that_claim_to_be_ours_are_named() {
        let check = |header: &str, expected: &[usize]| {
            let message = format!("{header}\r\n\r\nAuthentication-Results: mx.here.test; spf=pass\r\n");
            assert_eq!(forged("mx.here.test", message.as_bytes()), expected, "{header:?}");
        };
        check("Subject: a", &[]);
        check("Subject: a\r\nAuthentication-Results: mx.here.test; spf=pass", &[1]);
        check("authentication-results : MX.HERE.TEST. 1; spf=pass", &[0]);
        check("Authentication-Results:\r\n (ours (really)) \"mx.here.test\" ; none\r\nA: b", &[0]);
        check("Authentication-Results: \"mx.\\here.test\"; none", &[0]);
        check(
            "Authentication-Results: mx.here.test(x); none\nAuthentication-Results: mx.here.test;none",
            &[0, 1],
        );
        check("Authentication-Results: mx.here.test.evil.test; spf=pass", &[]);
        check("Authentication-Results: other; spf=pass (mx.here.test)", &[]);
        check("X-Authentication-Results: mx.here.test; spf=pass", &[]);
    }

    /// proves: CHK-9
    #[test]
    fn what_strangers_wrote_ends_no_result() {
        let check = |value: &str, expected: &str| assert_eq!(quoted(value), expected);
        check("a+b@example.com", "a+b@example.com");
        check("a; spf=pass", "\"a; spf=pass\"");
        check("a\"; spf=pass (b", "\"a\\\"; spf=pass (b\"");
        check("a\r\nEvil: b\\", "\"aEvil: b\\\\\"");
        check("", "\"\"");
    }
}
