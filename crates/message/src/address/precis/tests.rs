use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::address::vectors;

/// Cases of the file that are left out, by profile, with the reason.
const LEFT_OUT: &[(&str, &str)] = &[
    ("FreeFormClass", "not used for addresses"),
    ("NicknameCaseMapped", "not used for addresses"),
    ("NicknameCaseMapped:CaseFold", "not used for addresses"),
    ("NicknameCaseMapped:ToLower", "not used for addresses"),
    ("NicknameCasePreserved", "not used for addresses"),
    ("OpaqueString", "not used for addresses"),
    ("UsernameCaseMapped:CaseFold", "case folding as in RFC 7613; RFC 8265 prefers lower case, and so do we"),
    ("UsernameCasePreserved", "we map case"),
];

/// proves: ADDR-10
#[test]
fn precis_golden_cases() {
    let Some(text) = vectors::read("precis/precis_i18n-golden.json") else { return };
    let (mut kept, mut ill_formed, mut left_out) = (0, 0, BTreeMap::<String, usize>::new());
    for case in text.trim().trim_matches(['[', ']']).split_inclusive("\n  }") {
        let case = case.trim_matches([',', ' ', '\n']);
        if case.is_empty() {
            continue;
        }
        // A lone surrogate, which no text in Rust can hold, is what the parser stumbles over.
        let Ok(case) = serde_json::from_str::<Value>(case) else {
            assert!(case.contains("\\ud8"), "{case}");
            ill_formed += 1;
            continue;
        };
        let profile = case["profile"].as_str().unwrap();
        let input = case["input"].as_str().unwrap();
        let ours = match profile {
            // What is folded here is a local part, and so in NFC already.
            "UsernameCaseMapped" | "UsernameCaseMapped:ToLower" => {
                username_case_mapped(&input.nfc().collect::<String>())
            }
            "IdentifierClass" => is_identifier(input).then(|| input.to_owned()),
            _ => {
                *left_out.entry(profile.to_owned()).or_default() += 1;
                continue;
            }
        };
        assert_eq!(ours.as_deref(), case["output"].as_str(), "{case}");
        kept += 1;
    }
    println!("precis: {kept} kept, {ill_formed} ill-formed, left out {left_out:?}");
    let named: Vec<&str> = LEFT_OUT.iter().map(|(profile, _)| *profile).collect();
    assert_eq!(left_out.keys().collect::<Vec<_>>(), named);
    assert!(left_out.values().all(|cases| *cases == 323));
    // 11 profiles of 325 cases, two of them ill-formed in each.
    assert_eq!((kept, ill_formed), (3 * 323, 11 * 2));
}

/// The derived property of every code point that Unicode 6.3 assigned is what IANA's table says. What it did not
/// assign may be anything by now.
///
/// proves: ADDR-10
#[test]
fn iana_table() {
    let Some(text) = vectors::read("precis/iana-precis-tables-6.3.0.csv") else { return };
    let mut checked = 0;
    for line in text.lines().skip(1) {
        let (range, rest) = line.split_once(',').unwrap();
        let expected = match rest.split_once(',').unwrap().0 {
            "PVALID" => DerivedProperty::Valid,
            "CONTEXTJ" => DerivedProperty::ContextJ,
            "CONTEXTO" => DerivedProperty::ContextO,
            "ID_DIS or FREE_PVAL" => DerivedProperty::FreeformOnly,
            "DISALLOWED" => DerivedProperty::Disallowed,
            "UNASSIGNED" => continue,
            other => panic!("a property this test does not know: {other}"),
        };
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |digits: &str| u32::from_str_radix(digits, 16).unwrap();
        for character in (number(first)..=number(last)).filter_map(char::from_u32) {
            assert_eq!(derived_property(character), expected, "U+{:04X}", u32::from(character));
            checked += 1;
        }
    }
    println!("IANA: {checked} code points");
    assert_eq!(checked, 247_721);
}

/// RFC 8265 section 3.6 and section 3.3.
///
/// proves: ADDR-10
#[test]
fn rfc_8265_tables() {
    let Some(text) = vectors::read("precis/rfc8265-tables.json") else { return };
    let tables: Value = serde_json::from_str(&text).unwrap();
    let strings = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|each| each.as_str().unwrap().to_owned()).collect()
    };
    for legal in strings(&tables["legal_userparts"]) {
        assert!(username_case_mapped(&legal).is_some(), "{legal}");
    }
    for illegal in strings(&tables["illegal_userparts"]) {
        assert_eq!(username_case_mapped(&illegal), None, "{illegal}");
    }
    let check = |table: &str, equal: bool| {
        for pair in tables[table].as_array().unwrap() {
            let pair: Vec<_> = strings(pair).iter().map(|each| username_case_mapped(each)).collect();
            assert_eq!(pair[0] == pair[1], equal, "{pair:?}");
        }
    };
    check("case_mapped_equal", true);
    check("case_mapped_not_equal", false);
}

proptest! {
    /// A key that was folded folds to itself: without this, an unfolded name could meet a folded one.
    ///
    /// proves: ADDR-11
    #[test]
    fn folding_is_idempotent(text in "\\PC{0,20}") {
        if let Some(folded) = username_case_mapped(&text) {
            prop_assert_eq!(username_case_mapped(&folded), Some(folded));
        }
    }

    /// proves: ADDR-11
    #[test]
    fn folding_of_identifiers_is_idempotent(text in r"[\p{Lu}\p{Lt}\p{Ll}\p{Lo}\p{Mn}\p{Nd}\u{FF00}-\u{FFEF}]{1,12}") {
        if let Some(folded) = username_case_mapped(&text) {
            prop_assert_eq!(username_case_mapped(&folded), Some(folded));
        }
    }
}
