//! All cases of a hostile client, and which rules they are about.

use std::collections::{BTreeMap, BTreeSet};

use waxwing_tests::letter;

use crate::scene::{BOB, Case, Held, Peak, Scene};
use crate::{content, frames, offers, requests, server_cases};

/// Cases that there are at the least.
const CASES_MIN: usize = 150;
/// File descriptors and KiB of memory by which a node may grow over all cases, and which it may hold more at any moment of
/// them: what it has read once stays in caches, and no case takes much for a while.
const FILES_MAX: usize = 16;
const GROWN_KIB_MAX: u64 = 128 * 1024;
/// KiB by which it may grow when the same frames come a second time: by then all caches are warm.
const GROWN_AGAIN_KIB_MAX: u64 = 8 * 1024;

/// proves: FRM-1, FRM-2, FRM-3, FRM-4, FRM-5, FRM-6, FRM-7, FRM-9, FRM-10, EXC-1, EXC-3, EXC-6, EXC-7, EXC-16, EXC-21,
/// EXC-25, MSG-11, MSG-13, SEAL-7, ADDR-2, SUB-1, SUB-5, SUB-14, STA-6, SEC-1
#[tokio::test]
async fn every_rule_broken_by_a_client_is_answered_as_the_specification_says() {
    let mut scene = Scene::set().await;
    let bobs = letter("alice@hand.test", "Bob's own");
    scene.hand.offer(&bobs, &[BOB]).await.unwrap();
    scene.others_are_served("nothing").await;
    let before = Held::now();
    scene.peak = Peak::begin();

    let exchange: Vec<Case> =
        [frames::cases(&scene), content::cases(&scene), offers::cases(&scene), requests::cases()].concat();
    let link = scene.hand.connected.link().clone();
    scene.check(&link, &exchange).await;
    let (stranger, of_stranger) = requests::of_stranger(&scene).await;
    scene.check(stranger.connected.link(), &of_stranger).await;
    let (eve, of_user) = requests::of_user(&scene, bobs.identity()).await;
    scene.check(eve.connected.link(), &of_user).await;

    let servers = server_cases::cases();
    let mut by_rule: BTreeMap<&str, usize> = BTreeMap::new();
    for case in exchange.iter().chain(&of_stranger).chain(&of_user) {
        *by_rule.entry(&case.rule).or_default() += 1;
    }
    for case in &servers {
        *by_rule.entry(case.rule).or_default() += 1;
    }
    report(&by_rule);
    assert!(by_rule.values().sum::<usize>() - servers.len() >= CASES_MIN);
    scene.peak.check("all cases of hostile clients", FILES_MAX, GROWN_KIB_MAX);
    before.check_after("all cases of hostile clients", FILES_MAX, GROWN_KIB_MAX).await;
    let before = Held::now();
    scene.check(&link, &frames::cases(&scene)).await;
    before.check_after("the same frames again", 2, GROWN_AGAIN_KIB_MAX).await;
}

/// Prints how many cases each rule has, and which rules that are about peers have none; a case of no rule is an error.
fn report(by_rule: &BTreeMap<&str, usize>) {
    let about_peers = [
        "02-addresses",
        "03-message",
        "04-seals",
        "05-frames",
        "06-exchange",
        "07-submission",
        "08-status",
        "24-keys",
    ];
    let rules = about_peers.map(|name| {
        let path = format!("{}/../spec/{name}.md", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let numbers = text.lines().filter_map(|line| line.strip_prefix("**[")?.split_once("]**"));
        numbers.map(|(number, _)| number.to_owned()).collect::<Vec<_>>()
    });
    let rules: BTreeSet<String> = rules.concat().into_iter().collect();
    println!(
        "{} cases of hostile clients and servers about {} rules:",
        by_rule.values().sum::<usize>(),
        by_rule.len()
    );
    for (rule, count) in by_rule {
        println!("  {rule}: {count}");
        assert!(rules.contains(*rule) || rule.starts_with("SEC-"), "{rule} is no rule");
    }
    let without: Vec<&str> =
        rules.iter().map(String::as_str).filter(|rule| !by_rule.contains_key(rule)).collect();
    println!("without a case in the tables: {}", without.join(", "));
}
