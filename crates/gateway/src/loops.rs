//! Mail that goes around in a circle: what its header says of the way that it has come (RFC 5321 section 6.3).
//!
//! keeps: GW-92, GW-108

use message::address::Address;
use translate::limits::LEGACY_HEADER_OCTETS_MAX;

/// The way that a message has come, as far as it matters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Way {
    /// Received fields.
    pub(crate) hops: usize,
    /// Those that were written here.
    pub(crate) here: usize,
    /// Whom it was delivered to, or sent on from, since it was here: in lower case, at most [`LEFT_MAX`] of them. What somebody has
    /// sent anew (Resent-*) does not count, nor what was written before it came here the first time.
    pub(crate) left: Vec<String>,
}

/// Delivered-To fields of one message that are looked at.
const LEFT_MAX: usize = 100;

/// The way of a message, of which the Received fields by one of these names are ours. Of a header that is longer than any that is taken
/// the rest is not looked at.
pub(crate) fn way(octets: &[u8], names: &[&str]) -> Way {
    let octets = octets.get(..LEGACY_HEADER_OCTETS_MAX).unwrap_or(octets);
    let (mut way, mut anew, mut above) = (Way::default(), false, Vec::new());
    for (name, value) in fields(octets) {
        if name.eq_ignore_ascii_case(b"received") {
            let value = String::from_utf8_lossy(value);
            let ours = by(&value).is_some_and(|by| names.iter().any(|name| name.eq_ignore_ascii_case(by)));
            way.hops += 1;
            way.here += usize::from(ours);
            if ours {
                way.left.append(&mut above);
            }
        } else if name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"resent-")) {
            anew = true;
        } else if name.eq_ignore_ascii_case(b"delivered-to")
            && !anew
            && above.len() + way.left.len() < LEFT_MAX
        {
            let value = String::from_utf8_lossy(value);
            let value = value.trim().trim_start_matches('<').trim_end_matches('>');
            above.push(value.to_lowercase());
        }
    }
    way
}

impl Way {
    /// Whether the message left from this address, and comes back to it.
    pub(crate) fn comes_back_to(left: &[String], address: &Address) -> bool {
        let known = [address.to_string().to_lowercase(), address.to_unicode().to_lowercase()];
        left.iter().any(|one| known.contains(one))
    }
}

/// The fields of a header, each a name without the space behind it, and what it says with the lines in which it goes on.
fn fields(octets: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = octets.get(at..)?;
            let field = rest.get(..field(rest)?)?;
            at += field.len();
            if let Some(colon) = memchr::memchr(b':', field) {
                return Some((field.get(..colon)?.trim_ascii_end(), field.get(colon + 1..)?));
            }
        }
    })
}

/// The octets of the first field, its last CRLF included; none where the header is over.
fn field(rest: &[u8]) -> Option<usize> {
    if rest.starts_with(b"\r\n") {
        return None;
    }
    let mut length = 0;
    loop {
        length += memchr::memchr(b'\n', rest.get(length..)?)? + 1;
        if !rest.get(length..)?.starts_with(b" ") && !rest.get(length..)?.starts_with(b"\t") {
            return Some(length);
        }
    }
}

/// The word behind `by` in a Received field, comments left out.
fn by(value: &str) -> Option<&str> {
    let mut depth = 0_usize;
    let mut words = value.split_ascii_whitespace().filter(|word| {
        let outside = depth == 0 && !word.starts_with('(');
        let count = |character| word.matches(character).count();
        depth = (depth + count('(')).saturating_sub(count(')'));
        outside
    });
    words.find(|word| word.eq_ignore_ascii_case("by"))?;
    words.next().map(|word| word.trim_end_matches(';'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proves: GW-92, GW-108
    #[test]
    fn hops_are_counted_in_the_header_only_and_our_own_by_name() {
        let check = |octets: &str, hops: usize, here: usize| {
            let found = way(octets.as_bytes(), &["mx.in.test", "in.test"]);
            assert_eq!((found.hops, found.here), (hops, here), "{octets:?}");
        };
        check("Received: a\r\nreceived: b\r\n\tReceived: c\r\n\r\nReceived: d\r\n", 2, 0);
        check("Received: a", 0, 0);
        check("", 0, 0);
        check("Received: from a.test\r\n\tby MX.in.test with ESMTP;\r\n\ttoday\r\n\r\n", 1, 1);
        check("Received: by in.test with WAXWING; today\r\nReceived: by in.test; today\r\n\r\n", 2, 2);
        // Somebody else's, though our name stands in it.
        for other in [
            "from mx.in.test by far.test",
            "from a.test (helo by mx.in.test) by far.test",
            "from a.test (by mx.in.test (x)) by far.test",
            "by mx.in.test.far.test",
            "from a.test",
            "by",
        ] {
            check(&format!("Received: {other}\r\n\r\n"), 1, 0);
        }
    }

    /// proves: GW-108
    #[test]
    fn who_had_it_since_it_was_here_is_found() {
        const HERE: &str = "Received: by in.test with WAXWING; today\r\n";
        let bob = Address::from_wire("bob@in.test").unwrap();
        let check = |octets: &str, expected: bool| {
            let left = way(octets.as_bytes(), &["mx.in.test", "in.test"]).left;
            assert_eq!(Way::comes_back_to(&left, &bob), expected, "{octets:?}");
        };
        check(&format!("Subject: x\r\nDelivered-To: bob@in.test\r\n{HERE}\r\n"), true);
        check(&format!("delivered-to :\r\n\t<Bob@IN.test>\r\n{HERE}\r\n"), true);
        check(&format!("Delivered-To: ann@in.test\r\nDelivered-To: bob@in.test\r\nA: b\r\n{HERE}\r\n"), true);
        check(&format!("Delivered-To: bob@in.test.far.test\r\n{HERE}\r\n"), false);
        check(&format!("X-Delivered-To: bob@in.test\r\n{HERE}\r\nDelivered-To: bob@in.test\r\n"), false);
        // It was there before it came here: fetched from elsewhere, or put in by whoever wrote it.
        check(&format!("{HERE}Delivered-To: bob@in.test\r\n\r\n"), false);
        check("Delivered-To: bob@in.test\r\nReceived: from a.test by far.test; today\r\n\r\n", false);
        // Somebody has sent it anew.
        check(&format!("Resent-From: ann@in.test\r\nDelivered-To: bob@in.test\r\n{HERE}\r\n"), false);
        let wide = Address::from_wire("zoe@xn--bcher-kva.test").unwrap();
        let left =
            way(format!("Delivered-To: zoe@b\u{fc}cher.test\r\n{HERE}\r\n").as_bytes(), &["in.test"]).left;
        assert!(Way::comes_back_to(&left, &wide));
    }

    /// proves: GW-108
    #[test]
    fn a_header_without_end_is_looked_at_so_far() {
        let mut octets = b"Delivered-To: a@b.test\r\n".repeat(1_000_000);
        octets.extend_from_slice(b"Received: by in.test; today\r\n\r\n");
        let way = way(&octets, &["in.test"]);
        assert_eq!(way, Way::default());
        let octets =
            [b"Delivered-To: a@b.test\r\n".repeat(1_000), b"Received: by in.test; today\r\n\r\n".to_vec()]
                .concat();
        assert_eq!(super::way(&octets, &["in.test"]).left.len(), LEFT_MAX);
    }
}
