//! Unicode's NormalizationTest: NFC on the wire, and text from a user brought there.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod vectors;

use std::collections::HashSet;

use unicode_normalization::{UnicodeNormalization, is_nfc};
use waxwing_message::address::{AddressError, LocalPart};

/// proves: ADDR-3, ADDR-6
#[test]
fn normalization_test() {
    let Some(text) = vectors::read("unicode/NormalizationTest-16.0.0.txt") else { return };
    let (mut rows, mut local_parts, mut repaired, mut refused) = (0, 0, 0, 0);
    for line in text.lines().filter(|line| !line.starts_with(['#', '@'])) {
        let columns: Vec<String> = line.split(';').take(5).map(from_hex).collect();
        let [source, composed, decomposed, compatible, compatible_decomposed] = &columns[..] else {
            panic!("a row of another form: {line}");
        };
        for (text, expected) in [
            (source, composed),
            (composed, composed),
            (decomposed, composed),
            (compatible, compatible),
            (compatible_decomposed, compatible),
        ] {
            assert_eq!(text.nfc().collect::<String>(), *expected, "{line}");
            assert_eq!(is_nfc(text), text == expected, "{line}");
        }
        rows += 1;
        // Whatever the wire takes is in form C, and a user reaches it from any of the equivalent spellings.
        let Ok(local) = LocalPart::from_wire(composed) else { continue };
        local_parts += 1;
        for text in [source, decomposed] {
            assert_eq!(LocalPart::parse(text).as_ref(), Ok(&local), "{line}");
            repaired += usize::from(text != composed);
            if text != composed {
                assert!(LocalPart::from_wire(text).is_err(), "{line}");
                refused +=
                    usize::from(LocalPart::from_wire(text) == Err(AddressError::LocalPartNotNormalized));
            }
        }
    }
    println!(
        "{rows} rows, {local_parts} local parts, {repaired} repaired from users, {refused} refused as not NFC"
    );
    assert_eq!(rows, 19_965);
    // 18 rows compose to what no local part may hold: 15 spaces, the semicolon and two Hangul fillers. Two spellings
    // hold a character that is refused by itself before the form is looked at.
    assert_eq!((local_parts, repaired, refused), (19_965 - 18, 17_365, 17_365 - 2));
}

/// The second half of the file's conformance clause: a code point that stands in no first column of part 1 is its own
/// normal form. Told of the code points of Unicode 16.0 only, for the tables may be newer.
#[test]
fn code_points_that_part_1_leaves_out_do_not_change() {
    let Some(text) = vectors::read("unicode/NormalizationTest-16.0.0.txt") else { return };
    let Some(ages) = vectors::read("unicode/DerivedAge-16.0.0.txt") else { return };
    let part_1 = text.split("@Part1").nth(1).unwrap().split("@Part2").next().unwrap();
    let listed: HashSet<String> = part_1
        .lines()
        .skip(1)
        .filter(|line| !line.starts_with('#'))
        .map(|line| from_hex(line.split(';').next().unwrap()))
        .collect();
    let mut checked = 0;
    for line in ages.lines().filter(|line| !line.starts_with('#') && line.contains(';')) {
        let range = line.split(';').next().unwrap().trim();
        let (first, last) = range.split_once("..").unwrap_or((range, range));
        let number = |digits: &str| u32::from_str_radix(digits, 16).unwrap();
        for character in (number(first)..=number(last)).filter_map(char::from_u32) {
            let alone = character.to_string();
            if !listed.contains(&alone) {
                assert!(alone.nfc().eq([character]) && is_nfc(&alone), "{character:?}");
                checked += 1;
            }
        }
    }
    println!("{checked} code points");
    assert_eq!(checked, 275_512);
}

fn from_hex(column: &str) -> String {
    let numbers = column.split(' ').map(|digits| u32::from_str_radix(digits, 16).unwrap());
    numbers.map(|number| char::from_u32(number).unwrap()).collect()
}
