//! The addresses in a header field such as To: what stands between angle brackets, or alone between commas.

use message::address::Address;

/// The addresses of a list as RFC 5322 section 3.4 writes it: names, comments and group names are passed over, and so
/// is whatever is no address of this house, which the second value counts.
pub fn addresses_in(value: &str) -> (Vec<Address>, usize) {
    let (mut found, mut passed_over) = (Vec::new(), 0);
    for candidate in candidates(value) {
        match Address::parse(&candidate) {
            Ok(address) if !found.contains(&address) => found.push(address),
            Ok(_) => {}
            Err(_) => passed_over += 1,
        }
    }
    (found, passed_over)
}

/// The texts that stand where addresses do.
fn candidates(value: &str) -> Vec<String> {
    let mut all = Vec::new();
    let (mut plain, mut bracketed) = (String::new(), None::<String>);
    let (mut comments, mut quoted, mut escaped) = (0_usize, false, false);
    // The comma at the end closes the last one.
    for c in value.chars().chain([',']) {
        if escaped {
            escaped = false;
        } else if c == '\\' && (quoted || comments > 0) {
            escaped = true;
        } else if quoted {
            quoted = c != '"';
        } else if comments > 0 {
            comments = match c {
                '(' => comments + 1,
                ')' => comments - 1,
                _ => comments,
            };
        } else {
            match c {
                '"' => quoted = true,
                '(' => comments = 1,
                '<' => bracketed = Some(String::new()),
                '>' => plain = bracketed.take().unwrap_or_default(),
                ':' if bracketed.is_none() => plain.clear(),
                ',' | ';' => {
                    let one = plain.trim().to_owned();
                    all.extend(Some(one).filter(|one| !one.is_empty()));
                    plain.clear();
                }
                _ => bracketed.as_mut().unwrap_or(&mut plain).push(c),
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_between_names_and_comments() {
        let check = |value: &str, expected: &[&str], passed_over: usize| {
            let (found, others) = addresses_in(value);
            let found: Vec<String> = found.iter().map(Address::to_string).collect();
            assert_eq!(
                (found.as_slice(), others),
                (&expected.iter().map(|a| a.to_string()).collect::<Vec<_>>()[..], passed_over),
                "{value}"
            );
        };
        check("ann@a.test", &["ann@a.test"], 0);
        check("Ann <ann@a.test>, \"Bob, B.\" <bob@b.test>", &["ann@a.test", "bob@b.test"], 0);
        check("\"<eve@e.test>\" <bob@b.test>", &["bob@b.test"], 0);
        check("bob@b.test (was: <eve@e.test>, \\) x)", &["bob@b.test"], 0);
        check("friends: ann@a.test, bob@b.test;", &["ann@a.test", "bob@b.test"], 0);
        check("ann@a.test, ANN <ann@a.test>", &["ann@a.test"], 0);
        check("nobody:;", &[], 0);
        check("not an address, ann@a.test", &["ann@a.test"], 1);
        check("\"open", &[], 0);
        check("", &[], 0);
    }
}
