//! Mail that goes around in a circle: what its header says of the way that it has come (RFC 5321 section 6.3).
//!
//! keeps: GW-92, GW-108

use message::address::Address;

/// How often a message has been handed on, as far as it matters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Way {
    /// Received fields.
    pub(crate) hops: usize,
    /// Those that were written here.
    pub(crate) here: usize,
}

/// The way of a message, of which the fields by one of these names are ours.
pub(crate) fn way(octets: &[u8], names: &[&str]) -> Way {
    let mut way = Way::default();
    for value in values(octets, b"received:") {
        let value = String::from_utf8_lossy(value);
        let ours = by(&value).is_some_and(|by| names.iter().any(|name| name.eq_ignore_ascii_case(by)));
        way = Way { hops: way.hops + 1, here: way.here + usize::from(ours) };
    }
    way
}

/// Whether a message was delivered to this address before, or sent on from it: whoever does so leaves the address with it.
pub(crate) fn was_delivered_to(octets: &[u8], address: &Address) -> bool {
    let known = [address.to_string(), address.to_unicode()];
    values(octets, b"delivered-to:").any(|value| {
        let value = String::from_utf8_lossy(value);
        let value = value.trim().trim_start_matches('<').trim_end_matches('>');
        known.iter().any(|known| known.eq_ignore_ascii_case(value))
    })
}

/// What the fields of this name say, with the lines in which they go on. The name is in lower case, with its colon.
fn values<'a>(octets: &'a [u8], name: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(length) = field(octets.get(at..)?) {
            let field = octets.get(at..at + length)?;
            at += length;
            if field.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)) {
                return field.get(name.len()..);
            }
        }
        None
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
            assert_eq!(found, Way { hops, here }, "{octets:?}");
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
    fn who_had_it_before_is_found() {
        let bob = Address::from_wire("bob@in.test").unwrap();
        let check = |octets: &str, expected: bool| {
            assert_eq!(was_delivered_to(octets.as_bytes(), &bob), expected, "{octets:?}");
        };
        check("Subject: x\r\nDelivered-To: bob@in.test\r\n\r\n", true);
        check("delivered-to:\r\n\t<Bob@IN.test>\r\n\r\n", true);
        check("Delivered-To: ann@in.test\r\nDelivered-To: bob@in.test\r\n\r\n", true);
        check("Delivered-To: bob@in.test.far.test\r\n\r\n", false);
        check("X-Delivered-To: bob@in.test\r\n\r\nDelivered-To: bob@in.test\r\n", false);
        let wide = Address::from_wire("zoe@xn--bcher-kva.test").unwrap();
        assert!(was_delivered_to("Delivered-To: zoe@b\u{fc}cher.test\r\n\r\n".as_bytes(), &wide));
    }
}
