//! `spec/waxwing.cddl` against the vectors, with the crate `cddl`: what is right passes, and what is wrong does not.
//!
//! The wrong ones are those of the vectors, and what comes of a good one where something in it is of another type, left
//! out, too long or too much. Where CDDL cannot see a fault, or the crate does not, the case stands in a list with the
//! reason; one that has no need of its place there fails the test. `spec/vectors/check_cddl.py` asks another program.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cddl::ast::CDDL;
use cddl::validator::cbor_value::{Value, decode_cbor};
use cddl::validator::{Validator, cbor::CBORValidator};
use serde_json::Value as Json;

/// What CDDL cannot say, and where it is said instead.
const IN_WORDS: [(&str, &str); 30] = [
    ("frame: octets after the map", "FRM-2; CDDL is about one item"),
    ("frame: nested deeper than 36", "FRM-2"),
    ("frame: a key twice", "FRM-3; no map of CDDL's data model has one"),
    ("frame: an offer with a recipient twice", "FRM-4"),
    ("frame: a lease at a name", "FRM-4: the form of the address of a host"),
    ("frame: a report of a delivery from no domain", "02-addresses.md"),
    ("frame: a ticket where the redirect has failed", "DOOR-1"),
    ("frame: content of a body without its part", "FRM-4: which keys go with which piece"),
    ("frame: redirected to a name", "FRM-4: the form of the address of a host"),
    ("frame: a control character", "FRM-5"),
    ("frame: a domain in upper case", "02-addresses.md"),
    ("frame: a hop by no domain", "02-addresses.md"),
    ("manifest: a container's type on a leaf", "03-message.md: the types of containers"),
    ("manifest: a leaf's type on a container", "03-message.md: the types of containers"),
    ("manifest: a media type in upper case", "03-message.md"),
    ("manifest: a container longer than its parts", "03-message.md"),
    ("manifest: a leaf of no octets with another digest than that of none", "03-message.md"),
    ("manifest: 17 levels", "03-message.md"),
    ("manifest: 257 parts", "03-message.md"),
    ("manifest: keys out of order", "03-message.md: the deterministic encoding, which CDDL does not see"),
    ("manifest: an integer not in its shortest form", "03-message.md: the deterministic encoding"),
    ("manifest: a map of indefinite length", "03-message.md: the deterministic encoding"),
    ("manifest: a key twice", "03-message.md; no map of CDDL's data model has one"),
    ("manifest: octets after it", "03-message.md; CDDL is about one item"),
    ("seal: an array of indefinite length", "04-seals.md: the deterministic encoding"),
    ("seal: a length not in its shortest form", "04-seals.md: the deterministic encoding"),
    ("seal: a claim twice", "04-seals.md; no map of CDDL's data model has one"),
    ("seal: a parameter twice", "04-seals.md; no map of CDDL's data model has one"),
    ("seal: octets after it", "04-seals.md; CDDL is about one item"),
    ("seal: a control character in a claim", "04-seals.md"),
];

/// What the crate refuses and is right, in its version 0.10.7. Written as two entries, `* int` and `* tstr`, the rule
/// would be refused for good seals, too.
const TOO_STRICT: [(&str, &str); 1] = [(
    "protected: unknown claims and parameters are passed over",
    "it sees no key in `label`, a choice of types with a name",
)];

/// What the crate lets pass and is wrong.
const TOO_LAX: [(&str, &str); 3] = [
    ("frame: a critical key", "a key of the type `uint` is any integer to it, negative ones too"),
    ("frame: a critical key within", "as before"),
    ("seal: undefined where nil must be", "it reads `undefined` as `null`"),
];

/// Codes, which are longer than they may be: to the crate an expression of `.regexp` need not match the whole text,
/// and no size can be asked for beside it.
const CODES: [&str; 6] = [
    "frame: outcome: refused: 1/0/1 too long",
    "frame: outcome: deferred: 1/0/1 too long",
    "frame: answers: 1/1/1/1 too long",
    "frame: failure: 1 too long",
    "frame: status list: 1/0/6/1/3 too long",
    "frame: decide: refuse: 5 too long",
];

/// What is no fault: these keys may be left out, and the octets of a seal are bounded where seals are listed.
const NO_FAULTS: [(&str, &[&str]); 23] = [
    ("frame: offer at a doorstep", &["8 left out"]),
    ("frame: offer after a redirect", &["9 left out"]),
    ("frame: offer of a submission", &["7 left out", "7/1 left out"]),
    ("frame: offer of a submission to be sent", &["7 left out"]),
    ("frame: content: headers, the last", &["5 left out"]),
    ("frame: content: body", &["3 left out", "4 left out"]),
    ("frame: content: slice", &["3 left out", "4 left out", "5 left out"]),
    ("frame: outcome: sealed", &["2 left out"]),
    ("frame: held: after a place", &["1 left out"]),
    ("frame: held list", &["1/0/12 left out", "1/0/13 left out", "1/0/14 left out", "1/0/15 left out"]),
    ("frame: mailbox list", &["1/0/8 left out"]),
    ("frame: key: with a size", &["2 left out"]),
    ("frame: key answer", &["3 left out"]),
    ("frame: key publish: another key", &["2 left out"]),
    ("frame: key pinned: to be forgotten", &["2 left out"]),
    ("frame: key pins", &["2 left out"]),
    ("frame: decide: accept and trust", &["4 left out"]),
    ("frame: decide: refuse", &["5 left out"]),
    ("seal: author", &["0 too long", "3 too long"]),
    ("seal: submission", &["0 too long", "3 too long"]),
    ("protected: submission", &["15/4 left out", "15/-70002 left out"]),
    ("manifest: 16 levels", &[]),
    ("manifest: 256 parts", &[]),
];

#[test]
fn what_is_right_passes() {
    let text = rules();
    let [frame, manifest, seal, protected, seals] = judges(&text);
    let right = |judge: &Judge<'_>, name: &str, octets: &[u8]| {
        let name = format!("{}: {name}", judge.rule);
        match (judge.octets(octets), TOO_STRICT.iter().find(|(case, _)| *case == name)) {
            (Err(why), None) => panic!("{name}: {why}"),
            (Ok(()), Some(_)) => panic!("{name} passes now: it has no place in the list"),
            _ => {}
        }
    };
    let (frames, messages, sealed) = (load("frames.json"), load("message.json"), load("seals.json"));
    for case in list(&frames, "frames").chain(list(&frames, "tolerated")) {
        right(&frame, name(case), &unframed(case));
    }
    for case in list(&messages, "accepted") {
        right(&manifest, name(case), &octets(case, "manifest"));
    }
    for case in list(&sealed, "cases").filter(|case| case["expect"] != "malformed") {
        let octets = octets(case, "seal");
        right(&seal, name(case), &octets);
        right(&protected, name(case), &protected_of(&octets).unwrap());
    }
    right(&seals, "list", &octets(&sealed, "list"));
}

/// Records, the statements in them and heads: those that are good pass, and of what is wrong with a statement nothing does
/// that is not said in words.
#[test]
fn what_is_stated_of_keys_is_told_apart() {
    let text = rules();
    let judges: Vec<Judge<'_>> = ["key-record", "statement", "tree-head", "head-payload"]
        .into_iter()
        .map(|rule| judge(&text, rule))
        .collect();
    let [record, statement, head, payload] = &judges[..] else { unreachable!() };
    let keys = load("keys.json");
    for case in list(&keys, "records").filter(|case| case["expect"] == "good") {
        record.octets(&octets(case, "octets")).unwrap_or_else(|why| panic!("{}: {why}", name(case)));
    }
    for case in list(&keys, "heads") {
        let octets = data_encoding::HEXLOWER.decode(case.as_str().unwrap().as_bytes()).unwrap();
        head.octets(&octets).unwrap();
        payload.octets(&payload_of(&octets).unwrap()).unwrap();
    }
    let mut passed = BTreeSet::new();
    for case in list(&keys, "statements") {
        let judged = payload_of(&octets(case, "octets")).map(|payload| statement.octets(&payload));
        match (judged, case["expect"] == "malformed") {
            (Some(Err(why)), false) => panic!("{}: {why}", name(case)),
            (Some(Ok(())), true) => drop(passed.insert(name(case).to_owned())),
            _ => {}
        }
    }
    let in_words = [
        "ends when it begins",
        "a weak key",
        "the id of another key",
        "a header with more",
        "a payload not in the deterministic encoding",
        "octets after it",
    ];
    assert_eq!(passed, in_words.map(str::to_owned).into(), "what passed on the left, what may on the right");
}

/// What a COSE_Sign1 carries.
fn payload_of(octets: &[u8]) -> Option<Vec<u8>> {
    match decode_cbor(octets).ok()? {
        Value::Array(items) => match items.get(2)? {
            Value::Bytes(octets) => Some(octets.clone()),
            _ => None,
        },
        _ => None,
    }
}

#[test]
fn what_is_wrong_in_the_vectors_is_refused() {
    let text = rules();
    let [frame, manifest, seal, protected, _] = judges(&text);
    let (frames, messages, sealed) = (load("frames.json"), load("message.json"), load("seals.json"));
    let mut passed = BTreeSet::new();
    let mut wrong = |rule: &str, case: &Json, judged: Result<(), String>| {
        if judged.is_ok() {
            passed.insert(format!("{rule}: {}", name(case)));
        }
    };
    for case in list(&frames, "refused") {
        wrong("frame", case, frame.octets(&unframed(case)));
    }
    for case in list(&messages, "bad_manifests") {
        wrong("manifest", case, manifest.octets(&octets(case, "octets")));
    }
    for case in list(&sealed, "cases").filter(|case| case["expect"] == "malformed") {
        let octets = octets(case, "seal");
        let within = |()| protected.octets(&protected_of(&octets).unwrap());
        wrong("seal", case, seal.octets(&octets).and_then(within));
    }
    let listed = IN_WORDS.iter().chain(&TOO_LAX).map(|(case, _)| (*case).to_owned()).collect();
    assert_eq!(passed, listed, "what passed on the left, what may on the right");
}

#[test]
fn what_is_broken_is_refused() {
    let text = rules();
    let [frame, manifest, seal, protected, seals] = judges(&text);
    let (frames, messages, sealed) = (load("frames.json"), load("message.json"), load("seals.json"));
    let mut good: Vec<(&Judge<'_>, &str, Vec<u8>)> = Vec::new();
    good.extend(list(&frames, "frames").map(|case| (&frame, name(case), unframed(case))));
    good.extend(list(&messages, "accepted").map(|case| (&manifest, name(case), octets(case, "manifest"))));
    for case in list(&sealed, "cases").take(2) {
        let octets = octets(case, "seal");
        good.push((&protected, name(case), protected_of(&octets).unwrap()));
        good.push((&seal, name(case), octets));
    }
    good.push((&seals, "list", octets(&sealed, "list")));

    let mut passed = BTreeSet::new();
    let mut broken = 0;
    for (judge, name, octets) in good {
        let name = format!("{}: {name}", judge.rule);
        // The two manifests at a bound are the same in every part: breaking each would only take time.
        if NO_FAULTS.iter().any(|(case, faults)| *case == name && faults.is_empty()) {
            continue;
        }
        for (fault, value) in breakages(&decode_cbor(&octets).unwrap()) {
            broken += 1;
            if judge.value(value).is_ok() {
                passed.insert(format!("{name}: {fault}"));
            }
        }
    }
    assert!(broken > 500, "only {broken} ways to break the vectors were tried");
    let no_faults =
        NO_FAULTS.iter().flat_map(|(case, faults)| faults.iter().map(move |f| format!("{case}: {f}")));
    let listed = no_faults.chain(CODES.iter().map(|&case| case.to_owned())).collect();
    assert_eq!(passed, listed, "what passed on the left, what may on the right");
}

/// The file itself: every rule that is named is there, and every rule that is there is named.
#[test]
fn no_rule_is_missing_and_none_is_needless() {
    let text = rules();
    let parsed = cddl::cddl_from_str(&text, false).unwrap();
    let mut uses = BTreeMap::<String, usize>::new();
    let words = text.lines().map(|line| line.split(';').next().unwrap_or_default());
    for word in words.flat_map(|line| line.split(|c: char| !(c.is_alphanumeric() || c == '-'))) {
        *uses.entry(word.to_owned()).or_default() += 1;
    }
    assert!(parsed.rules.len() > 40, "{}", parsed.rules.len());
    for rule in &parsed.rules {
        let name = rule.name();
        let least = if name == "waxwing" { 1 } else { 2 };
        assert!(uses[&name] >= least, "{name} is used by nothing");
    }
}

/// One rule of the file, by which values are judged.
struct Judge<'a> {
    rule: &'static str,
    rules: CDDL<'a>,
}

impl Judge<'_> {
    fn octets(&self, octets: &[u8]) -> Result<(), String> {
        self.value(decode_cbor(octets).map_err(|error| error.to_string())?)
    }

    fn value(&self, value: Value) -> Result<(), String> {
        CBORValidator::new(&self.rules, value, None).validate().map_err(|error| error.to_string())
    }
}

const RULES: [&str; 5] = ["frame", "manifest", "seal", "protected", "seals"];

/// The crate takes the first rule of a file for the one to judge by: each of these texts begins with another.
fn judges(text: &str) -> [Judge<'_>; 5] {
    RULES.map(|rule| judge(text, rule))
}

fn judge<'a>(text: &'a str, rule: &'static str) -> Judge<'a> {
    let mut rules = cddl::cddl_from_str(text, false).unwrap();
    let place = rules.rules.iter().position(|found| found.name() == rule).unwrap();
    rules.rules.swap(0, place);
    Judge { rule, rules }
}

fn rules() -> String {
    std::fs::read_to_string(root().join("spec/waxwing.cddl")).unwrap()
}

/// Every way to break a value at one place, with its name: the keys and places that lead there, and what is wrong.
fn breakages(good: &Value) -> Vec<(String, Value)> {
    let mut broken = Vec::new();
    break_at(good, &mut Vec::new(), &mut |path, fault, value| {
        broken.push((format!("{} {fault}", path.join("/")).trim_start().to_owned(), value));
    });
    broken
}

type Told<'a> = dyn FnMut(&[String], &str, Value) + 'a;

fn break_at(good: &Value, path: &mut Vec<String>, tell: &mut Told<'_>) {
    // No rule has a place for a float, but where anything may be.
    tell(path, "of another type", Value::Float(1.5));
    match good {
        Value::Text(_) => tell(path, "too long", Value::Text("5.1.1".repeat(20_000))),
        Value::Bytes(_) => tell(path, "too long", Value::Bytes(vec![7; 100_000])),
        Value::Array(items) => {
            tell(path, "as a map", Value::Map(Vec::new()));
            let more = items.iter().cloned().chain([Value::Null]).collect();
            tell(path, "with one more", Value::Array(more));
            for (place, item) in items.iter().enumerate() {
                path.push(place.to_string());
                break_at(item, path, &mut |path, fault, value| {
                    let mut items = items.clone();
                    items[place] = value;
                    tell(path, fault, Value::Array(items));
                });
                path.pop();
            }
        }
        Value::Map(entries) => {
            tell(path, "as an array", Value::Array(Vec::new()));
            for (place, (key, item)) in entries.iter().enumerate() {
                path.push(key_word(key));
                let mut fewer = entries.clone();
                fewer.remove(place);
                tell(path, "left out", Value::Map(fewer));
                break_at(item, path, &mut |path, fault, value| {
                    let mut entries = entries.clone();
                    entries[place].1 = value;
                    tell(path, fault, Value::Map(entries));
                });
                path.pop();
            }
        }
        _ => {}
    }
}

fn key_word(key: &Value) -> String {
    match key {
        Value::Integer(number) => i128::from(*number).to_string(),
        other => other.to_string(),
    }
}

/// The protected header of a seal, where its first item is octets.
fn protected_of(seal: &[u8]) -> Option<Vec<u8>> {
    match decode_cbor(seal).ok()? {
        Value::Array(items) => match items.into_iter().next()? {
            Value::Bytes(octets) => Some(octets),
            _ => None,
        },
        _ => None,
    }
}

fn load(name: &str) -> Json {
    let text = std::fs::read_to_string(root().join("spec/vectors").join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn list<'a>(vectors: &'a Json, name: &str) -> impl Iterator<Item = &'a Json> {
    vectors[name].as_array().unwrap().iter()
}

fn name(case: &Json) -> &str {
    case["name"].as_str().unwrap()
}

fn octets(case: &Json, key: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(case[key].as_str().unwrap().as_bytes()).unwrap()
}

/// A frame without the length before it (RFC 9000 section 16).
fn unframed(case: &Json) -> Vec<u8> {
    let framed = octets(case, "octets");
    framed[1 << (framed[0] >> 6)..].to_vec()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
