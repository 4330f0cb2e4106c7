//! Unicode's IdnaTestV2: what a user may type as a domain, and what it becomes on the wire.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod vectors;

use unicode_normalization::UnicodeNormalization;
use waxwing_message::address::{AddressError, Domain};

/// Cases where we answer otherwise than the file expects, by source (as the file spells it) with the reason.
///
/// All of them were refused in Unicode 16.0 only because of a code point that was not yet assigned, and our tables are
/// newer; the test checks that this is so.
const DIFFERENCES: &[(&str, &str)] = &[
    ("xn--5cb172r175fug38a.xn--mlj", "U+3F8CD, unassigned in Unicode 16.0, is a letter by now"),
    ("xn--9-i0j5967eg3qz.ss", "U+32B9A, unassigned in Unicode 16.0, is a letter by now"),
    ("\u{3e8ac}。\\u0729。쯙5", "U+3E8AC, unassigned in Unicode 16.0, is a letter by now"),
    ("\u{3e8ac}。\\u0729。쯙5", "the same, with the Hangul syllable decomposed"),
    ("xn--t92s.xn--znb.xn--5-y88f", "the same, in A-labels"),
];

/// proves: ADDR-2, ADDR-3, ADDR-4, ADDR-5
#[test]
fn idna_test_v2() {
    let Some(text) = vectors::read("unicode/IdnaTestV2-16.0.0.txt") else { return };
    let mut counts = Counts::default();
    let mut differences = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap().trim();
        if line.is_empty() {
            continue;
        }
        if !case_is_kept(line, &mut counts) {
            differences.push(line.split(';').next().unwrap().to_owned());
        }
    }
    println!("{counts:?}, {} differences", differences.len());
    for difference in &differences {
        println!("differs: {difference}");
    }
    let named: Vec<&str> = DIFFERENCES.iter().map(|(source, _)| *source).collect();
    assert_eq!(differences.iter().map(|source| composed(source)).collect::<Vec<_>>(), named);
    let Some(ages) = vectors::read("unicode/DerivedAge-16.0.0.txt") else { return };
    for source in &differences {
        let unicode = Domain::parse(&unescaped(source).unwrap()).unwrap().to_unicode();
        assert!(unicode.chars().any(|character| !is_assigned(character, &ages)), "{source}");
    }
    // Of the 6,389 cases of the file.
    assert_eq!(counts, Counts { taken: 406, refused: 5841, narrower: 140, ill_formed: 2 });
}

#[derive(Debug, Default, PartialEq)]
struct Counts {
    /// Valid by UTS #46, and taken by us.
    taken: usize,
    /// Invalid by UTS #46, and refused by us.
    refused: usize,
    /// Valid by UTS #46, but one label only, or all digits in the last: refused by us.
    narrower: usize,
    /// The source holds a lone surrogate, which no text in Rust can.
    ill_formed: usize,
}

fn case_is_kept(line: &str, counts: &mut Counts) -> bool {
    let columns: Vec<&str> = line.split(';').map(str::trim).collect();
    let Some(source) = unescaped(columns[0]) else {
        counts.ill_formed += 1;
        return true;
    };
    let unicode = if columns[1].is_empty() { Some(source.clone()) } else { unescaped(columns[1]) };
    let ascii = if columns[3].is_empty() { unicode.clone() } else { unescaped(columns[3]) };
    let status = if columns[4].is_empty() { columns[2] } else { columns[4] };
    let valid = matches!(status, "" | "[]");

    let parsed = Domain::parse(&source);
    if !valid {
        counts.refused += 1;
        return parsed.is_err();
    }
    let (unicode, ascii) = (unicode.unwrap(), ascii.unwrap());
    let last = ascii.rsplit('.').next().unwrap();
    if !ascii.contains('.') {
        counts.narrower += 1;
        return parsed == Err(AddressError::DomainTooFewLabels);
    }
    if last.bytes().all(|octet| octet.is_ascii_digit()) {
        counts.narrower += 1;
        return parsed == Err(AddressError::DomainIsAddress);
    }
    counts.taken += 1;
    let Ok(domain) = parsed else { return false };
    let from_wire = Domain::from_wire(&source);
    let strict = if source == ascii { from_wire.as_ref() == Ok(&domain) } else { from_wire.is_err() };
    domain.as_str() == ascii
        && domain.to_unicode() == unicode
        && strict
        && Domain::from_wire(&ascii) == Ok(domain)
}

/// `\uHHHH` and `\x{HHHH}` undone, and `""` for the empty text. Nothing where a surrogate is written.
fn unescaped(column: &str) -> Option<String> {
    if column == "\"\"" {
        return Some(String::new());
    }
    let mut text = String::new();
    let mut rest = column;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let escape = &rest[at + 1..];
        let (digits, after) = match escape.strip_prefix("x{") {
            Some(braced) => braced.split_once('}').unwrap(),
            None => (&escape[1..5], &escape[5..]),
        };
        text.push(char::from_u32(u32::from_str_radix(digits, 16).unwrap())?);
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

fn composed(text: &str) -> String {
    text.nfc().collect()
}

fn is_assigned(character: char, ages: &str) -> bool {
    ages.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(';')).any(
        |(range, _)| {
            let range = range.trim();
            let (first, last) = range.split_once("..").unwrap_or((range, range));
            let number = |digits: &str| u32::from_str_radix(digits, 16).unwrap();
            (number(first)..=number(last)).contains(&u32::from(character))
        },
    )
}
