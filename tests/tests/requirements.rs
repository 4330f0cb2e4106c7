//! Every numbered rule of the specification is kept by some code and proved by some test, and nothing cites a number
//! that is not there.
//!
//! A rule is a paragraph in `spec/*.md` that begins with its number in bold and brackets. Code cites it after the
//! word *keeps* and a colon, tests after the word *proves*. What is not yet covered stands in `spec/uncovered.txt`, each
//! with a reason; a line there that is no longer needed is an error too, so the file can only shrink.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Where the numbers are cited or defined.
#[derive(Debug, Default)]
struct Rule {
    defined: Vec<String>,
    kept: BTreeSet<String>,
    proved: BTreeSet<String>,
}

/// A number: its topic and its place in it, so that 10 comes after 9.
type Number = (String, u32);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All files below the folder whose name ends so, in order; what is built is left out.
fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files(&path, ending, found);
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("the files of the repository are text")
}

/// Reads `TOPIC-n` at the start of the text, and gives what follows it.
fn number(text: &str) -> Option<(Number, &str)> {
    let topic_end = text.find(|c: char| !c.is_ascii_uppercase())?;
    let rest = text[topic_end..].strip_prefix('-')?;
    let digits_end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let number = rest[..digits_end].parse().ok()?;
    if topic_end < 2 { None } else { Some(((text[..topic_end].to_owned(), number), &rest[digits_end..])) }
}

/// The numbers in a list `A-1, A-2, B-3`, which ends with what is none.
fn list(mut text: &str) -> Vec<Number> {
    let mut found = Vec::new();
    while let Some((one, rest)) = number(text.trim_start()) {
        found.push(one);
        match rest.strip_prefix(',') {
            Some(rest) => text = rest,
            None => break,
        }
    }
    found
}

/// The numbers that a file cites behind the word.
fn cited(text: &str, word: &str) -> Vec<Number> {
    // A list may go on in the next line of a comment.
    let joined: String = text.lines().map(|line| line.trim().trim_start_matches(['/', '!'])).collect();
    joined.split(word).skip(1).flat_map(list).collect()
}

fn defined(text: &str) -> Vec<Number> {
    text.lines()
        .filter_map(|line| {
            let (one, rest) = number(line.strip_prefix("**[")?)?;
            rest.starts_with("]**").then_some(one)
        })
        .collect()
}

fn rules() -> BTreeMap<Number, Rule> {
    let mut rules: BTreeMap<Number, Rule> = BTreeMap::new();
    let root = root();
    let name = |path: &Path| path.strip_prefix(&root).unwrap_or(path).display().to_string();
    let mut specification = Vec::new();
    files(&root.join("spec"), ".md", &mut specification);
    for path in specification {
        for one in defined(&read(&path)) {
            rules.entry(one).or_default().defined.push(name(&path));
        }
    }
    let mut sources = Vec::new();
    for folder in ["crates", "tests", "examples"] {
        files(&root.join(folder), ".rs", &mut sources);
    }
    for path in sources {
        let text = read(&path);
        // The words are put together here, or this file would cite.
        for one in cited(&text, concat!("keeps", ":")) {
            rules.entry(one).or_default().kept.insert(name(&path));
        }
        for one in cited(&text, concat!("proves", ":")) {
            rules.entry(one).or_default().proved.insert(name(&path));
        }
    }
    rules
}

/// The lines of `spec/uncovered.txt`: a number, a blank, a reason.
fn uncovered() -> Result<BTreeMap<Number, String>, String> {
    let mut found = BTreeMap::new();
    for line in read(&root().join("spec/uncovered.txt")).lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (one, reason) = number(line).ok_or(format!("not a number and a reason: {line}"))?;
        if reason.trim().len() < 10 {
            return Err(format!("without a reason: {line}"));
        }
        if found.insert(one, reason.trim().to_owned()).is_some() {
            return Err(format!("twice: {line}"));
        }
    }
    Ok(found)
}

/// What is wrong, one line each.
fn faults(rules: &BTreeMap<Number, Rule>, uncovered: &BTreeMap<Number, String>) -> Vec<String> {
    let mut faults = Vec::new();
    for ((topic, number), rule) in rules {
        let id = format!("{topic}-{number}");
        let excused = uncovered.contains_key(&(topic.clone(), *number));
        let citing: Vec<&String> = rule.kept.iter().chain(&rule.proved).collect();
        match rule.defined.len() {
            0 => faults.push(format!("{id} is cited and stands nowhere: {citing:?}")),
            1 => {}
            _ => faults.push(format!("{id} is given twice: {:?}", rule.defined)),
        }
        let covered = !rule.kept.is_empty() && !rule.proved.is_empty();
        match (covered, excused) {
            (true, true) => faults.push(format!("{id} is covered: take it out of spec/uncovered.txt")),
            (false, false) if rule.kept.is_empty() => faults.push(format!("{id} is kept by no code")),
            (false, false) => faults.push(format!("{id} is proved by no test")),
            _ => {}
        }
    }
    let known = |one: &&Number| rules.get(one).is_none_or(|rule| rule.defined.is_empty());
    for (topic, number) in uncovered.keys().filter(known) {
        faults.push(format!("{topic}-{number} in spec/uncovered.txt stands nowhere"));
    }
    faults
}

#[test]
fn every_rule_is_kept_and_proved() {
    let rules = rules();
    let uncovered = uncovered().unwrap();
    println!("| rule | kept in | proved in |\n|---|---|---|");
    for ((topic, number), rule) in &rules {
        let join = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(", ");
        println!("| {topic}-{number} | {} | {} |", join(&rule.kept), join(&rule.proved));
    }
    println!("{} rules, {} not yet covered", rules.len(), uncovered.len());
    let faults = faults(&rules, &uncovered);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The tool itself finds what it is there to find.
#[test]
fn faults_are_found() {
    let rule = |defined: usize, kept: &str, proved: &str| Rule {
        defined: vec!["spec/x.md".into(); defined],
        kept: kept.split_whitespace().map(str::to_owned).collect(),
        proved: proved.split_whitespace().map(str::to_owned).collect(),
    };
    let check = |rule: Rule, excused: bool, fault: Option<&str>| {
        let one = || ("ABC".to_owned(), 1);
        let uncovered = if excused { BTreeMap::from([(one(), "reason".into())]) } else { BTreeMap::new() };
        let found = faults(&BTreeMap::from([(one(), rule)]), &uncovered);
        match fault {
            None => assert_eq!(found, [""; 0]),
            Some(words) => assert!(found.iter().any(|fault| fault.contains(words)), "{found:?}"),
        }
    };
    check(rule(1, "a.rs", "b.rs"), false, None);
    check(rule(1, "", ""), true, None);
    check(rule(1, "a.rs", ""), true, None);
    check(rule(1, "", "b.rs"), false, Some("kept by no code"));
    check(rule(1, "a.rs", ""), false, Some("proved by no test"));
    check(rule(1, "a.rs", "b.rs"), true, Some("take it out"));
    check(rule(0, "a.rs", "b.rs"), false, Some("stands nowhere"));
    check(rule(0, "", ""), true, Some("stands nowhere"));
    check(rule(2, "a.rs", "b.rs"), false, Some("given twice"));
}

#[test]
fn numbers_are_read_as_they_are_written() {
    let numbers = |text: &str| -> Vec<String> {
        cited(text, "cites:").into_iter().map(|(topic, number)| format!("{topic}-{number}")).collect()
    };
    assert_eq!(numbers("/// cites: MSG-1, MSG-12"), ["MSG-1", "MSG-12"]);
    assert_eq!(numbers("// cites: MSG-1. And MSG-2."), ["MSG-1"]);
    assert_eq!(numbers("/// cites: MSG-1,\n/// MSG-2"), ["MSG-1", "MSG-2"]);
    assert_eq!(numbers("#[test] // cites: DISCOVERY-4"), ["DISCOVERY-4"]);
    assert_eq!(numbers("cites: nothing"), [""; 0]);
    assert_eq!(defined("**[MSG-1]** text\nsee **[MSG-2]**\n**[MSG-3] text\n"), [("MSG".to_owned(), 1)]);
}
