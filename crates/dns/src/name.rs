//! Names as this crate takes them from its callers.

use crate::Error;
use crate::limits::{LABEL_OCTETS_MAX, NAME_OCTETS_MAX};

/// Checks a name of A-labels and returns it in lower case: letters, digits, `-` and `_`, labels of 1 to 63 octets,
/// 253 octets in all, no trailing dot (RFC 1035, section 2.3.4; RFC 8552 for the underscore).
///
/// # Errors
/// [`Error::BadName`].
pub(crate) fn checked(name: &str) -> Result<String, Error> {
    if is_name(name) { Ok(name.to_ascii_lowercase()) } else { Err(Error::BadName(shortened(name))) }
}

/// Checks a name that is only asked, and returns it in lower case: labels of any printable ASCII character but the
/// backslash, by which a text could say more than it shows. A host has no such name, but the DNS keeps every one
/// (RFC 2181, section 11), and SPF makes names of local parts.
///
/// # Errors
/// [`Error::BadName`].
pub(crate) fn asked(name: &str) -> Result<String, Error> {
    let printable = |label: &str| label.bytes().all(|octet| (b' '..=b'~').contains(&octet) && octet != b'\\');
    let bounded = |label: &str| (1..=LABEL_OCTETS_MAX).contains(&label.len()) && printable(label);
    let sound = name.len() <= NAME_OCTETS_MAX && name.split('.').all(bounded);
    if sound { Ok(name.to_ascii_lowercase()) } else { Err(Error::BadName(shortened(name))) }
}

/// Puts labels in front of a name and checks the whole.
pub(crate) fn below(labels: &str, name: &str) -> Result<String, Error> {
    checked(&format!("{labels}.{name}"))
}

fn is_name(name: &str) -> bool {
    name.len() <= NAME_OCTETS_MAX && name.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_OCTETS_MAX).contains(&label.len())
        && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_')
}

/// An error message repeats at most as much of a name as a name may have.
fn shortened(name: &str) -> String {
    name.chars().take(NAME_OCTETS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_and_folded() {
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(checked(name).ok().as_deref(), expected, "{name:?}");
        };
        check("North.Test", Some("north.test"));
        check("_waxwing._udp.north.test", Some("_waxwing._udp.north.test"));
        check("xn--bcher-kva.example", Some("xn--bcher-kva.example"));
        check("test", Some("test"));
        check("", None);
        check(".", None);
        check("north.test.", None);
        check("north..test", None);
        check("bücher.example", None);
        check("a b.example", None);
        check("a\\.b.example", None);
        check(&format!("{}.test", "a".repeat(63)), Some(&format!("{}.test", "a".repeat(63))));
        check(&format!("{}.test", "a".repeat(64)), None);
        let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
        check(&long, Some(&long));
        check(&format!("{long}d"), None);
    }

    #[test]
    fn names_that_are_only_asked_may_be_no_hosts() {
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(asked(name).ok().as_deref(), expected, "{name:?}");
        };
        check("Jack+Jill=up.Example.com", Some("jack+jill=up.example.com"));
        check("a b.example", Some("a b.example"));
        check("a\\.b.example", None);
        check("a..example", None);
        check("a\n.example", None);
        check("bücher.example", None);
    }
}
