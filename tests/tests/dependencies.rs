//! What may be depended on: where from, under which licences, what never, and what twice.
//!
//! The rules are those of `deny.toml`, for every machine: this needs only cargo itself. Looked at is what is
//! really built here, tests and build scripts included; the sources of all platforms stand in `Cargo.lock`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Licences under which others may use the whole as MIT or Apache-2.0, keeping notices at the most.
const LICENCES: [&str; 8] =
    ["Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "Unicode-3.0", "Zlib"];

/// What is under a licence of its own: the name, the licence, since when, and why that is no harm.
const OTHER_LICENCES: [(&str, &str, &str, &str); 3] = [
    (
        "ar_archive_writer",
        "Apache-2.0 WITH LLVM-exception",
        "2026-11-22",
        "by cddl, for one test; not given away",
    ),
    ("base16", "CC0-1.0", "2026-11-22", "by cddl, for one test; not given away"),
    ("hexf-parse", "CC0-1.0", "2026-11-22", "by cddl, for one test; not given away"),
];

/// What is never built: the name and why.
const BANNED: [(&str, &str); 3] = [
    ("ring", "aws-lc-rs does all of it, and two providers of cryptography are one too many to watch"),
    ("openssl-sys", "TLS is rustls's; nothing of the system's is linked"),
    ("native-tls", "TLS is rustls's; nothing of the system's is linked"),
];

/// What is built in more than one version: the name, since when, and why that cannot be helped yet.
const TWICE: [(&str, &str, &str); 9] = [
    ("arrayvec", "2026-11-22", "cddl, for one test, has pretty, which has 0.5"),
    ("base64", "2026-11-22", "cddl, for one test, has 0.22; pem has 0.23"),
    ("hashbrown", "2026-11-22", "with indexmap"),
    ("indexmap", "2026-11-22", "cddl, for one test, has abnf_to_pest, which has 1.9"),
    ("itertools", "2026-11-22", "cddl, for one test, has 0.15; its abnf_to_pest has 0.10"),
    ("parking_lot", "2026-11-22", "sled 0.34.7, the last release of its line, has 0.11"),
    ("parking_lot_core", "2026-11-22", "with parking_lot"),
    ("syn", "2026-11-22", "the makers of derive macros are moving from 2 to 3; built for the host only"),
    ("untrusted", "2026-11-22", "aws-lc-rs has 0.7, rustls-webpki has 0.9; 300 lines"),
];

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[test]
fn everything_comes_from_one_place() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let sources: BTreeSet<&str> = lock.lines().filter_map(|line| line.strip_prefix("source = ")).collect();
    assert_eq!(sources, BTreeSet::from([format!("\"{CRATES_IO}\"").as_str()]));
}

#[test]
fn every_licence_is_one_that_we_may_use() {
    let excused: BTreeSet<(String, String)> = OTHER_LICENCES
        .iter()
        .map(|(name, licence, ..)| ((*name).to_owned(), (*licence).to_owned()))
        .collect();
    let others: BTreeSet<(String, String)> = built()
        .into_iter()
        .filter(|package| !may_use(&package.licence))
        .map(|package| (package.name, package.licence))
        .collect();
    assert_eq!(others, excused, "what has another licence on the left, in the list of reasons on the right");
}

#[test]
fn what_is_banned_is_not_built() {
    let built = built();
    for (name, why) in BANNED {
        assert!(!built.iter().any(|package| package.name == name), "{name} is built: {why}");
    }
}

/// Also the other way round: an exception that is no longer needed goes.
#[test]
fn twice_is_only_what_has_a_reason() {
    let mut versions = BTreeMap::<String, BTreeSet<String>>::new();
    for package in built() {
        versions.entry(package.name).or_default().insert(package.version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let excused: BTreeSet<&str> = TWICE.iter().map(|(name, _, _)| *name).collect();
    let found: BTreeSet<&str> = versions.keys().map(String::as_str).collect();
    assert_eq!(found, excused, "in more than one version on the left, in the list of reasons on the right");
}

#[test]
fn deny_toml_says_the_same() {
    let deny = std::fs::read_to_string(root().join("deny.toml")).unwrap();
    let named =
        BANNED.iter().map(|(name, _)| *name).chain(TWICE.iter().map(|(name, _, _)| *name)).chain(LICENCES);
    let excused = OTHER_LICENCES.iter().flat_map(|(name, licence, _, _)| [*name, *licence]);
    for name in named.chain(excused) {
        assert!(deny.contains(&format!("\"{name}\"")), "deny.toml does not name {name}");
    }
}

#[test]
fn expressions_of_licences_are_read() {
    let check = |licence: &str, expected: bool| assert_eq!(may_use(licence), expected, "{licence}");
    check("MIT", true);
    check("GPL-3.0-only", false);
    check("MIT OR GPL-3.0-only", true);
    check("GPL-3.0-only/Apache-2.0", true);
    check("MIT AND GPL-3.0-only", false);
    check("ISC AND (GPL-3.0-only OR MIT)", true);
    check("(MIT OR ISC) AND (GPL-3.0-only)", false);
    check("MIT OR ISC AND GPL-3.0-only", true);
    check("GPL-3.0-only WITH Classpath-exception-2.0 OR MPL-2.0", false);
    check("Apache-2.0 WITH LLVM-exception OR GPL-3.0-only", false);
    check("", false);
    check("(MIT", false);
    check("MIT)", false);
}

/// One package that is built, and is not ours.
struct Built {
    name: String,
    version: String,
    licence: String,
}

/// What `cargo tree` says is built on this platform. Unlike `cargo metadata` it knows which features are
/// really on.
fn built() -> Vec<Built> {
    let host =
        cargo(&["-vV"]).lines().find_map(|line| line.strip_prefix("host: ").map(str::to_owned)).unwrap();
    let edges = ["-e", "normal,build,dev", "--prefix", "none", "--format", "{p}|{l}"];
    let tree = cargo(&[&["tree", "--locked", "--workspace", "--target", &host], &edges[..]].concat());
    let built: Vec<Built> = tree
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("waxwing"))
        .map(|line| {
            let (package, licence) = line.split_once('|').unwrap();
            let mut words = package.split(' ');
            Built {
                name: words.next().unwrap().to_owned(),
                version: words.next().unwrap().to_owned(),
                licence: licence.trim_end_matches(" (*)").to_owned(),
            }
        })
        .collect();
    assert!(built.len() > 100, "cargo tree has named only {} packages:\n{tree}", built.len());
    built
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "cargo {arguments:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Whether an expression of SPDX identifiers can be kept with the licences of the list. An exception
/// (`WITH`) is a licence of its own name, and none is in the list. The old `A/B` means `A OR B`.
fn may_use(licence: &str) -> bool {
    let spaced = licence.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = &words[..];
    either(&mut rest) == Some(true) && rest.is_empty()
}

/// `a OR b`, which binds looser than `AND`. `None` where it is no expression.
fn either(words: &mut &[&str]) -> Option<bool> {
    let mut kept = all(words)?;
    while words.first() == Some(&"OR") {
        *words = &words[1..];
        kept |= all(words)?;
    }
    Some(kept)
}

fn all(words: &mut &[&str]) -> Option<bool> {
    let mut kept = one(words)?;
    while words.first() == Some(&"AND") {
        *words = &words[1..];
        kept &= one(words)?;
    }
    Some(kept)
}

fn one(words: &mut &[&str]) -> Option<bool> {
    let (first, rest) = words.split_first()?;
    *words = rest;
    if *first == "(" {
        let kept = either(words)?;
        let (close, rest) = words.split_first()?;
        *words = rest;
        return (*close == ")").then_some(kept);
    }
    if words.first() == Some(&"WITH") {
        *words = words.get(2..)?;
        return Some(false);
    }
    Some(LICENCES.contains(first))
}
