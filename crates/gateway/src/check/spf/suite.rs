//! The test suite of the SPF community for RFC 7208, release 2014.04: every case against our own check.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use dns::{Failure, FixedZones, Mx, Record};
use yaml_rust2::{Yaml, YamlLoader};

use super::{Query, check_host};

/// Cases that are not run, each with its reason. The list may only shrink.
const SKIPPED: &[(&str, &str)] = &[];

/// How many cases the suite has, and so how many are run beside the skipped ones.
const CASES: usize = 203;

/// The name of a folder with published vectors, where this machine has it.
pub(crate) fn vectors(name: &str) -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let named = std::env::var_os("WAXWING_VECTORS").map(PathBuf::from);
    let places = [root.join("../shared/vectors"), root.join("../../shared/vectors")];
    let found = named.into_iter().chain(places).map(|place| place.join(name)).find(|place| place.exists());
    if found.is_none() {
        println!("no vectors {name} here: skipped");
    }
    found
}

/// proves: CHK-1
#[tokio::test]
async fn every_case_of_the_suite_ends_as_it_says() {
    let Some(folder) = vectors("spf-rfc7208") else { return };
    let text = std::fs::read_to_string(folder.join("rfc7208-tests.yml")).unwrap();
    let (mut run, mut skipped, mut wrong) = (0, 0, Vec::new());
    for scenario in YamlLoader::load_from_str(&text).unwrap() {
        let zones = zones(&scenario["zonedata"]);
        for (name, case) in scenario["tests"].as_hash().unwrap() {
            let name = name.as_str().unwrap();
            if SKIPPED.iter().any(|(skipped, _)| *skipped == name) {
                skipped += 1;
                continue;
            }
            run += 1;
            if let Some(what) = differs(&zones, case).await {
                wrong.push(format!("{name}: {what}"));
            }
        }
    }
    println!("{run} cases run, {skipped} skipped");
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!((run + skipped, skipped), (CASES, SKIPPED.len()));
}

/// What is other than the case says.
async fn differs(zones: &FixedZones, case: &Yaml) -> Option<String> {
    let helo = case["helo"].as_str().unwrap();
    let mail_from = case["mailfrom"].as_str().unwrap();
    let postmaster = format!("postmaster@{helo}");
    let sender = if mail_from.is_empty() { &postmaster } else { mail_from };
    let address: IpAddr = case["host"].as_str().unwrap().parse().unwrap();
    let query = Query { address, helo, sender, receiver: "receiver.example", now_ms: 0 };
    let found = check_host(zones, &query).await;
    let allowed = strings(&case["result"]);
    if !allowed.iter().any(|one| one == found.verdict.word()) {
        let steps = found.steps.join("\n    ");
        return Some(format!("{} and not {allowed:?}\n    {steps}", found.verdict.word()));
    }
    let expected = case["explanation"].as_str()?;
    let said = found.explanation.as_deref().unwrap_or("DEFAULT");
    (said != expected).then(|| format!("explained by {said:?} and not {expected:?}"))
}

/// The zones of one scenario. Aliases are followed here, as the zones know none.
fn zones(data: &Yaml) -> FixedZones {
    let mut records: BTreeMap<String, Vec<(String, Yaml)>> = BTreeMap::new();
    for (name, list) in data.as_hash().unwrap() {
        let of_name = records.entry(name.as_str().unwrap().to_ascii_lowercase()).or_default();
        for entry in list.as_vec().unwrap() {
            match entry {
                Yaml::String(word) => of_name.push((word.clone(), Yaml::Null)),
                other => {
                    let (kind, value) = other.as_hash().unwrap().iter().next().unwrap();
                    of_name.push((kind.as_str().unwrap().to_owned(), value.clone()));
                }
            }
        }
    }
    let zones = FixedZones::new();
    for name in records.keys() {
        let mut owner = name.clone();
        for _ in 0..4 {
            let alias = records.get(&owner).and_then(|list| list.iter().find(|(kind, _)| kind == "CNAME"));
            if let Some((_, target)) = alias {
                owner = target.as_str().unwrap().trim_end_matches('.').to_ascii_lowercase();
            }
        }
        let list = records.get(&owner).map_or(&[][..], Vec::as_slice);
        // What the old record type SPF says stands for TXT, unless there is a TXT.
        let texts = list.iter().any(|(kind, _)| kind == "TXT");
        for (kind, value) in list {
            add(&zones, name, kind, value, texts);
        }
        let answers = list.iter().any(|(kind, value)| {
            !matches!(kind.as_str(), "TIMEOUT" | "SPF") && value.as_str() != Some("NONE")
                || (kind == "SPF" && !texts)
        });
        if list.iter().any(|(kind, _)| kind == "TIMEOUT") && !answers {
            zones.fail(name, Some(Failure::Timeout)).unwrap();
        }
    }
    zones
}

fn add(zones: &FixedZones, name: &str, kind: &str, value: &Yaml, texts: bool) {
    let host = |value: &Yaml| value.as_str().unwrap().trim_end_matches('.').to_ascii_lowercase();
    let record = match kind {
        "A" | "AAAA" => Record::Address(value.as_str().unwrap().parse().unwrap()),
        "PTR" => Record::Name(host(value)),
        "MX" => {
            let exchange = Some(host(&value[1])).filter(|name| !name.is_empty());
            Record::Mx(Mx { preference: 0, exchange })
        }
        "TXT" if value.as_str() == Some("NONE") => return,
        "SPF" if texts => return,
        "TXT" | "SPF" => Record::Txt(strings(value).concat().chars().map(|one| one as u8).collect()),
        _ => return,
    };
    zones.add(name, record).unwrap();
}

/// One text, or a list of them.
fn strings(value: &Yaml) -> Vec<String> {
    match value {
        Yaml::Array(list) => list.iter().flat_map(strings).collect(),
        Yaml::String(text) => vec![text.clone()],
        _ => Vec::new(),
    }
}
