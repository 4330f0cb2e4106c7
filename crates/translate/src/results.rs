//! Authentication-Results fields (RFC 8601) that claim to be of somebody: found, and left out where a message leaves for a
//! mailbox. What is here is written by whoever sent the message, so it is read as generously as the most generous filter does.

use std::borrow::Cow;

use message::address::Domain;

const NAME: &str = "Authentication-Results";

/// Whether a field, its lines together, is an Authentication-Results field that claims to be of this host.
pub fn claims_results_of(field: &str, host: &str) -> bool {
    let Some((name, value)) = field.split_once(':') else { return false };
    name.trim().eq_ignore_ascii_case(NAME) && claimed(value).is_some_and(|claimed| same_host(&claimed, host))
}

/// A message in its legacy form without the Authentication-Results fields of its header that claim to be of one of these
/// hosts (RFC 8601 section 5): a filter of the mailbox believes them. Everything else stays as it is, octet for octet.
///
/// keeps: CHK-11
pub fn without_results_of<'a>(octets: &'a [u8], hosts: &[&str]) -> Cow<'a, [u8]> {
    let mut kept: Vec<u8> = Vec::new();
    // Where what is kept next begins, and whether something was left out.
    let (mut from, mut at, mut left_out) = (0, 0, false);
    while let Some(length) = field_length(&octets[at..]) {
        let field = String::from_utf8_lossy(&octets[at..at + length]);
        let field = field.replace(['\r', '\n'], "");
        if hosts.iter().any(|host| claims_results_of(&field, host)) {
            kept.extend_from_slice(&octets[from..at]);
            (from, left_out) = (at + length, true);
        }
        at += length;
    }
    if !left_out {
        return Cow::Borrowed(octets);
    }
    kept.extend_from_slice(&octets[from..]);
    Cow::Owned(kept)
}

/// The octets of the first field with all its lines; none where the header ends.
fn field_length(octets: &[u8]) -> Option<usize> {
    let mut length = 0;
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        let goes_on = line.starts_with(b" ") || line.starts_with(b"\t");
        let empty = matches!(line, b"\r\n" | b"\n");
        if length == 0 && empty {
            return None;
        }
        if length > 0 && !goes_on {
            break;
        }
        length += line.len();
    }
    (length > 0).then_some(length)
}

/// The identifier at the beginning of a value, behind any comments, without quotes.
fn claimed(value: &str) -> Option<String> {
    let mut letters = value.chars();
    let mut depth = 0_u32;
    let mut found = String::new();
    let mut in_quotes = false;
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if depth > 0 || in_quotes => {
                let next = letters.next();
                found.extend(next.filter(|_| in_quotes));
            }
            '(' if !in_quotes && found.is_empty() => depth += 1,
            ')' if depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            '"' if in_quotes => break,
            '"' if found.is_empty() => in_quotes = true,
            _ if in_quotes => found.push(letter),
            letter if letter.is_whitespace() && found.is_empty() => {}
            letter if letter.is_whitespace() || ";(/,".contains(letter) => break,
            _ => found.push(letter),
        }
    }
    (!found.is_empty()).then_some(found)
}

/// Names are the same in any case, with a final dot or without, and in either form of an internationalized one.
fn same_host(claimed: &str, host: &str) -> bool {
    let (claimed, host) = (claimed.trim_end_matches('.'), host.trim_end_matches('.'));
    let parsed = |name: &str| Domain::parse(name).ok();
    claimed.eq_ignore_ascii_case(host) || parsed(claimed).is_some_and(|domain| Some(domain) == parsed(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proves: CHK-11
    #[test]
    fn what_claims_to_be_ours_is_left_out_and_nothing_else() {
        let check = |header: &str, expected: &str| {
            let body = "\r\n\r\nAuthentication-Results: mx.here.test; spf=pass\r\n";
            let message = format!("{header}{body}");
            let found = without_results_of(message.as_bytes(), &["mx.here.test", "here.test"]);
            assert_eq!(String::from_utf8_lossy(&found), format!("{expected}{body}"), "{header:?}");
        };
        let same = |header: &str| check(header, header);
        same("Subject: a\r\nX: y");
        same("Authentication-Results: mx.here.test.evil.test; spf=pass\r\nSubject: a");
        same("Authentication-Results: mx.other.test; spf=pass (mx.here.test)\r\nSubject: a");
        same("X-Authentication-Results: mx.here.test; spf=pass\r\nSubject: a");
        same("Subject: a\r\n Authentication-Results: mx.here.test; spf=pass");
        check("A: b\r\nAuthentication-Results: mx.here.test; spf=pass\r\nC: d\r\n e", "A: b\r\nC: d\r\n e");
        check("authentication-RESULTS : HERE.TEST. 1;\r\n\tspf=pass;\r\n\tdkim=pass\r\nC: d", "C: d");
        check("Authentication-Results:\r\n (a (b)) \"mx.here.test\"; none\r\nC: d", "C: d");
        check("Authentication-Results: mx.here.test/1; none\r\nC: d", "C: d");
        check(
            "Authentication-Results: here.test; a=pass\r\nB: c\r\nAuthentication-Results: mx.here.test; a=pass\r\nC: d",
            "B: c\r\nC: d",
        );
    }

    #[test]
    fn an_internationalized_name_is_the_same_in_both_forms() {
        assert!(claims_results_of("Authentication-Results: mx.bücher.test; none", "mx.xn--bcher-kva.test"));
        assert!(!claims_results_of("Authentication-Results: mx.bucher.test; none", "mx.xn--bcher-kva.test"));
    }

    #[test]
    fn a_header_without_end_or_of_other_octets_stays_whole() {
        for octets in [&b""[..], b"\r\n", b"\n\nx", b"x", b"Authentication-Results", b"\xff\xfe: x\r\n y\r\n"]
        {
            assert_eq!(without_results_of(octets, &["x"]), octets);
        }
        let all = b"Authentication-Results: x; a=pass\r\n";
        assert_eq!(without_results_of(all, &["x"]), &b""[..]);
    }
}
