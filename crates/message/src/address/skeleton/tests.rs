use super::*;
use crate::address::vectors;

/// Entries that the algorithm cannot keep by the table's own data: skeletons are made of decomposed text, so an entry
/// for a composed character, or for one whose target leads on through another such entry, is never looked up.
const UNREACHABLE: &[u32] = &[
    0x0150, 0x01A0, 0x01A1, 0x01F5, 0x0226, 0x0227, 0x0419, 0x045D, 0x0623, 0x0624, 0x0626, 0x1F7D, 0x1FF6,
    0xFB2F, 0xFB30, 0xFB39, 0xFB49, 0xFBB0, 0xFBB1,
];

/// Entries that hold by the algorithm on the data of Unicode 15.0, and that the newer data of our tables has changed:
/// other targets for Arabic ligatures and mathematical letters, other targets for brackets, digits and dotless i.
const CHANGED_SINCE_15: &[u32] = &[
    0x013F, 0x0192, 0x02DB, 0x037A, 0x048A, 0x04CF, 0x08A8, 0x09E6, 0x0B66, 0x0CE6, 0x0D10, 0x13A4, 0x14B7,
    0x1D9F, 0x1E9A, 0x2365, 0x302C, 0x90DE, 0x96B8, 0xA4ED, 0xF9B8, 0xFA2E, 0xFBEA, 0xFBEB, 0xFBEC, 0xFBED,
    0xFBEE, 0xFBEF, 0xFBF0, 0xFBF1, 0xFBF2, 0xFBF3, 0xFBF4, 0xFBF5, 0xFBF6, 0xFBF7, 0xFBF8, 0xFBF9, 0xFBFA,
    0xFBFB, 0xFC00, 0xFC01, 0xFC02, 0xFC03, 0xFC04, 0xFC64, 0xFC65, 0xFC66, 0xFC67, 0xFC68, 0xFC69, 0xFC97,
    0xFC98, 0xFC99, 0xFC9A, 0xFC9B, 0xFCDF, 0xFCE0, 0xFEF7, 0xFEF8, 0xFF3B, 0xFF3D, 0x1051C, 0x111C7,
    0x114D0, 0x118C4, 0x1EE61, 0x1EE62, 0x1EE64, 0x1EE67, 0x1EE68, 0x1EE69, 0x1EE6A, 0x1EE6C, 0x1EE6D,
    0x1EE6E, 0x1EE6F, 0x1EE70, 0x1EE71, 0x1EE72, 0x1EE74, 0x1EE75, 0x1EE76, 0x1EE77, 0x1EE79, 0x1EE7A,
    0x1EE7B, 0x1EE7C, 0x1EE7E, 0x1EE85, 0x1F16D,
];

/// The table of UTS #39 itself: a source and its target look alike.
///
/// proves: ADDR-13, ADDR-14
#[test]
fn confusables() {
    let Some(text) = vectors::read("unicode/confusables-15.0.0.txt") else { return };
    let (mut alike, mut differences) = (0, Vec::new());
    for line in text.trim_start_matches('\u{FEFF}').lines() {
        let line = line.split('#').next().unwrap().trim();
        if line.is_empty() {
            continue;
        }
        let columns: Vec<String> = line.split(';').take(2).map(|column| from_hex(column.trim())).collect();
        if Skeleton::of_text(&columns[0]) == Skeleton::of_text(&columns[1]) {
            alike += 1;
        } else {
            differences.extend(columns[0].chars().map(u32::from));
        }
    }
    println!("confusables: {alike} alike, {} named differences", differences.len());
    differences.sort_unstable();
    let mut named = [UNREACHABLE, CHANGED_SINCE_15].concat();
    named.sort_unstable();
    assert_eq!(differences, named);
    assert_eq!(alike, 6_311 - named.len());
}

fn from_hex(column: &str) -> String {
    column
        .split(' ')
        .map(|digits| char::from_u32(u32::from_str_radix(digits, 16).unwrap()).unwrap())
        .collect()
}
