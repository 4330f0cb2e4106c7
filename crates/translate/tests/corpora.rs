//! Real and published messages: each imports and keeps its identity over export, or is refused with a reason.

#![expect(clippy::unwrap_used, reason = "test code outside the test functions: a failure ends the test")]

mod vectors;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use waxwing_translate::{ExportOptions, ImportOptions, Imported, Reason, export, import};

/// What came out for one corpus.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    imported: usize,
    refused: BTreeMap<Reason, usize>,
    needs_utf8: usize,
}

/// Imports, exports and imports again. The property of TRL-1: the identity is the same.
fn round_trip(eml: &[u8], counts: &mut Counts, broken: &mut String, name: &str) {
    let first = match import(eml, &ImportOptions::default()) {
        Ok(first) => first,
        Err(refusal) => return *counts.refused.entry(refusal.reason).or_default() += 1,
    };
    counts.imported += 1;
    let options = ExportOptions::default();
    let exported = export(&first.message, &options).map(|octets| (octets, true)).or_else(|refusal| {
        counts.needs_utf8 += usize::from(refusal.reason == Reason::NeedsUtf8Headers);
        let wide = ExportOptions { utf8_headers: true, ..options };
        export(&first.message, &wide).map(|octets| (octets, false))
    });
    let (octets, seven_bit) = match exported {
        Ok(exported) => exported,
        Err(refusal) => return writeln!(broken, "{name}: {refusal}").unwrap(),
    };
    check_lines(&octets, seven_bit, name, broken);
    compare(&first, &octets, "7bit", name, broken);
    let all = ExportOptions { eight_bit: true, utf8_headers: true };
    match export(&first.message, &all) {
        Ok(octets) => compare(&first, &octets, "8bit", name, broken),
        Err(refusal) => writeln!(broken, "{name}: 8bit: {refusal}").unwrap(),
    }
}

fn check_lines(octets: &[u8], seven_bit: bool, name: &str, broken: &mut String) {
    let lines_good = octets.ends_with(b"\r\n")
        && octets.split_inclusive(|&o| o == b'\n').all(|line| line.ends_with(b"\r\n") && line.len() <= 1000)
        && !octets.iter().enumerate().any(|(at, &o)| o == b'\r' && octets.get(at + 1) != Some(&b'\n'));
    if !lines_good || octets.contains(&0) || (seven_bit && !octets.is_ascii()) {
        writeln!(broken, "{name}: the exported lines are not what SMTP carries").unwrap();
    }
}

fn compare(first: &Imported, exported: &[u8], form: &str, name: &str, broken: &mut String) {
    match import(exported, &ImportOptions::default()) {
        Ok(second) if second.message.identity() == first.message.identity() => {}
        Ok(second) => {
            let (a, b) = (first.message.to_octets(), second.message.to_octets());
            let at = a.iter().zip(&b).take_while(|(x, y)| x == y).count().saturating_sub(60);
            let show =
                |octets: &[u8]| String::from_utf8_lossy(&octets[at..octets.len().min(at + 200)]).into_owned();
            writeln!(broken, "{name}: {form}:\n  {:?}\n  {:?}", show(&a), show(&b)).unwrap();
        }
        Err(refusal) => writeln!(broken, "{name}: {form}: refused the second time: {refusal}").unwrap(),
    }
}

fn check(folder: &str, kinds: &[&str], imported: usize, refused: &[(Reason, usize)], needs_utf8: usize) {
    let Some(root) = vectors::folder() else { return };
    let mut counts = Counts::default();
    let mut broken = String::new();
    for path in vectors::files(&root.join(folder), kinds) {
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        round_trip(&std::fs::read(&path).unwrap(), &mut counts, &mut broken, &name);
    }
    println!("{folder}: {counts:?}");
    assert!(broken.is_empty(), "{broken}");
    let expected = Counts { imported, refused: refused.iter().copied().collect(), needs_utf8 };
    assert_eq!(counts, expected, "{folder}");
}

/// proves: TRL-1, TRL-15
#[test]
fn spamassassin() {
    check("corpus-spamassassin", &["txt"], 1400, &[], 0);
}

/// proves: TRL-1, TRL-15
#[test]
fn mime4j() {
    check("mime-mime4j", &["msg"], 78, &[(Reason::NotAMessage, 2)], 0);
    check("mime-mime4j/mbox-test-1", &["rlug-0", "rlug-1", "rlug-2", "rlug-3", "rlug-4"], 5, &[], 0);
}

/// proves: TRL-1, TRL-15
#[test]
fn cpython() {
    check("mime-cpython", &["txt"], 47, &[(Reason::NotAMessage, 2)], 0);
}

/// proves: TRL-1, TRL-15
#[test]
fn mail_parser() {
    check("mime-mailparser-rs", &["eml"], 206, &[(Reason::NotAMessage, 2)], 0);
}

/// Real bounces: reports, embedded messages, header fields cut off.
///
/// proves: TRL-1, TRL-15
#[test]
fn bounces() {
    let refused = [(Reason::NotAMessage, 4), (Reason::HeadersTooLarge, 2)];
    check("bounces-sisimai", &["eml"], 830, &refused, 0);
}
