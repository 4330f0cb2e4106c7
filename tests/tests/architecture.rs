//! Who may know whom: the table of the house, held against what Cargo says.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// The rooms and the rooms that each may depend on when it ships. Dev-dependencies are not arrows: they do not ship.
const ARROWS: &[(&str, &[&str])] = &[
    ("message", &[]),
    ("protocol", &["message"]),
    ("translate", &["message"]),
    ("policy", &["message"]),
    ("storage", &["message"]),
    ("storage-sled", &["storage", "message"]),
    ("storage-redb", &["storage", "message"]),
    ("dns", &["message"]),
    ("transport", &["protocol", "message"]),
    ("gateway", &["message", "translate", "policy", "dns"]),
    ("node", &["message", "translate", "policy", "storage", "dns"]),
    ("control", &["message"]),
    ("console", &["control"]),
    ("cli", &["control", "transport", "translate", "protocol", "message"]),
    (
        "daemon",
        &[
            "message",
            "protocol",
            "translate",
            "policy",
            "storage",
            "storage-sled",
            "storage-redb",
            "dns",
            "transport",
            "gateway",
            "node",
            "control",
            "console",
        ],
    ),
    ("waxwing", &["cli", "daemon", "node", "translate", "protocol", "message"]),
    (
        "testkit",
        &[
            "message",
            "protocol",
            "translate",
            "policy",
            "storage",
            "storage-sled",
            "storage-redb",
            "dns",
            "transport",
            "gateway",
            "node",
        ],
    ),
];

/// The package at the root of the doors, and those that only test or show, which may know everything.
const SHOWS: &[&str] = &["tests", "examples", "bench"];

/// What the rooms of words and reason must not reach: I/O, clock, async, randomness, DNS, storage.
const PURE: &[&str] = &["message", "protocol", "policy"];
const FORBIDDEN: &[&str] = &[
    "async-std",
    "getrandom",
    "hickory-proto",
    "hickory-resolver",
    "hickory-server",
    "mio",
    "quinn",
    "quinn-proto",
    "rand",
    "redb",
    "rustls",
    "sled",
    "smol",
    "socket2",
    "tokio",
];

fn metadata(arguments: &[&str]) -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--manifest-path", manifest])
        .args(arguments)
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

/// The room of a package of this house: `waxwing-NAME` is NAME, `waxwing` itself.
fn room(package: &str) -> Option<&str> {
    match package {
        "waxwing" => Some("waxwing"),
        other => other.strip_prefix("waxwing-"),
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn items<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

#[test]
fn no_arrow_stands_that_is_not_in_the_table() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let metadata = metadata(&["--no-deps"]);
    let (mut seen, mut faults) = (0, Vec::new());
    for package in items(&metadata, "packages") {
        let Some(from) = room(text(package, "name")) else {
            faults.push(format!("{} is not named after a room", text(package, "name")));
            continue;
        };
        seen += 1;
        if SHOWS.contains(&from) {
            continue;
        }
        let Some(may) = allowed.get(from) else {
            faults.push(format!("{from} is not in the table"));
            continue;
        };
        for dependency in items(package, "dependencies") {
            let ships = dependency["kind"] != "dev";
            if let Some(to) = room(text(dependency, "name")).filter(|to| ships && !may.contains(to)) {
                faults.push(format!("{from} -> {to}"));
            }
        }
    }
    assert!(seen > 15, "only {seen} packages were seen");
    assert!(faults.is_empty(), "{faults:#?}");
}

/// An arrow that closed a ring would be no floor.
#[test]
fn the_table_points_down_only() {
    let place = |name: &str| ARROWS.iter().position(|(room, _)| *room == name);
    for (from, to) in ARROWS.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to))) {
        assert!(place(to) < place(from) && place(to).is_some(), "{from} -> {to}");
    }
}

/// The packages that a room reaches when it ships, with one that leads to each.
fn reached(metadata: &Value, start: &str) -> BTreeMap<String, String> {
    let names: BTreeMap<&str, &str> = items(metadata, "packages")
        .iter()
        .map(|package| (text(package, "id"), text(package, "name")))
        .collect();
    let nodes: BTreeMap<&str, &Value> =
        items(&metadata["resolve"], "nodes").iter().map(|node| (text(node, "id"), node)).collect();
    let first = names.iter().find(|(_, name)| **name == format!("waxwing-{start}")).map(|(id, _)| *id);
    let mut waiting: Vec<&str> = first.into_iter().collect();
    let mut seen: BTreeSet<&str> = waiting.iter().copied().collect();
    let mut found = BTreeMap::new();
    while let Some(id) = waiting.pop() {
        for dependency in nodes.get(id).map(|node| items(node, "deps")).unwrap_or_default() {
            // What only builds (proc macros reached by a build script) or only tests does not ship.
            let ships = items(dependency, "dep_kinds").iter().any(|kind| kind["kind"].is_null());
            let to = text(dependency, "pkg");
            if ships && seen.insert(to) {
                found.insert(names[to].to_owned(), names[id].to_owned());
                waiting.push(to);
            }
        }
    }
    found
}

#[test]
fn words_and_reason_reach_no_outside_world() {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let metadata = metadata(&["--filter-platform", &target]);
    for start in PURE {
        let reached = reached(&metadata, start);
        assert!(start == &"policy" || reached.len() > 5, "{start} reaches only {reached:?}");
        for name in FORBIDDEN {
            assert_eq!(reached.get(*name), None, "{start} reaches {name}");
        }
    }
    // The walk finds what is there to be found.
    assert!(reached(&metadata, "transport").contains_key("tokio"));
}
