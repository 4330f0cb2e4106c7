use message::Selection;
use message::address::{Address, Domain};
use message::keys::AuthorKey;

use super::*;

const BOB: &str = "bob@south.test";

fn address(text: &str) -> Address {
    Address::from_wire(text).unwrap()
}

fn domain(text: &str) -> Domain {
    Domain::from_wire(text).unwrap()
}

/// Of a message from alice@north.test, whom bob does not know, brought by her own domain, before its content came.
fn envelope() -> Evidence {
    Evidence::of_envelope(address(BOB), Some(domain("north.test")), 10)
}

/// The same with headers and seals.
fn evidence(change: impl FnOnce(&mut Evidence, &mut Seen)) -> Evidence {
    let mut seen = Seen {
        from: Some(address("alice@north.test")),
        seals: SealEvidence::Verified,
        seals_found: vec!["submission by north.test verified".to_owned()],
        author_key: None,
        acquaintance: Acquaintance::Stranger,
        forwarder_authorized: false,
        encrypted: false,
        mixed_script: None,
        looks_like: None,
    };
    let mut evidence = envelope();
    change(&mut evidence, &mut seen);
    evidence.seen = Some(seen);
    evidence
}

fn plain() -> Evidence {
    evidence(|_, _| {})
}

fn sealed(seals: SealEvidence) -> Evidence {
    evidence(|_, seen| seen.seals = seals)
}

/// The rule and the verdict, in the words for people.
fn check(rules: &Rules, evidence: &Evidence, rule: &str, verdict: &str) {
    let decision = rules.decide(evidence);
    assert_eq!(
        (decision.rule.as_str(), decision.verdict.to_string().as_str()),
        (rule, verdict),
        "{decision:?}"
    );
    assert!(!decision.evidence.is_empty(), "{decision:?}");
    assert_eq!(rules.explain(evidence).decision, decision);
}

/// Whether a rule with just this condition matches.
fn matches(condition: Condition, evidence: &Evidence, expected: bool) {
    let rules = Rules::accepting(100).with("it", vec![condition.clone()], Action::Refuse);
    assert_eq!(rules.decide(evidence).rule == "it", expected, "{condition}: {evidence:?}");
}

/// proves: POL-1, EXC-25
#[test]
fn the_first_reason_decides_and_is_named() {
    let rules = Rules::accepting(100)
        .with("north", vec![Condition::Peer(vec![domain("north.test")])], Action::Hold(Selection::Text))
        .with("never", vec![], Action::Refuse);
    let east = |seen: &mut Evidence| seen.peer = Some(domain("east.test"));
    check(&rules, &plain(), "north", "hold text");
    check(&rules, &evidence(|one, _| east(one)), "never", "refuse 5.7.1 refused by rule never");
    check(
        &rules,
        &evidence(|one, _| one.octets = 101),
        "size",
        "refuse 5.3.4 the message is larger than 100 octets",
    );
    let blocked = evidence(|_, seen| seen.acquaintance = Acquaintance::Blocked);
    check(&rules, &blocked, "blocked", "refuse 5.7.1 refused by rule blocked");
    check(&Rules::accepting(100), &plain(), "default", "accept");
    let cautious = Rules { default: Action::Hold(Selection::Headers), ..Rules::accepting(100) };
    check(&cautious, &plain(), "default", "hold headers");
}

/// proves: POL-3, EXC-17, EXC-25
#[test]
fn seals_bear_whatever_is_not_refused_and_a_failure_of_the_dns_defers() {
    let north = || vec![Condition::Peer(vec![domain("north.test")])];
    for action in [
        Action::Accept,
        Action::Want(Selection::Text),
        Action::Hold(Selection::Digest),
        Action::Hold(Selection::All),
        Action::Pend { after_seconds: 60 },
    ] {
        let rules = Rules::accepting(100).with("north", north(), action);
        for (seals, rule, word) in [
            (SealEvidence::Broken, "seal-broken", "refuse"),
            (SealEvidence::Missing, "seal-missing", "refuse"),
            (SealEvidence::Unknown, "seal-unknown", "defer"),
        ] {
            let decision = rules.decide(&sealed(seals));
            assert_eq!((decision.rule.as_str(), decision.verdict.word()), (rule, word));
        }
    }
    let refusing = Rules::accepting(100).with("north", north(), Action::Refuse);
    check(&refusing, &sealed(SealEvidence::Unknown), "north", "refuse 5.7.1 refused by rule north");
    // A user of this node answers with the password, not with a seal.
    let own = evidence(|one, seen| (one.peer, seen.seals) = (None, SealEvidence::Missing));
    check(&Rules::accepting(100), &own, "default", "accept");
}

/// proves: POL-2
#[test]
fn content_is_asked_for_only_where_a_rule_needs_it() {
    let rules = |action| Rules::accepting(100).with("it", vec![], action);
    check(&rules(Action::Refuse), &envelope(), "it", "refuse 5.7.1 refused by rule it");
    check(&rules(Action::Pend { after_seconds: 60 }), &envelope(), "it", "pend 60 s");
    check(&rules(Action::Hold(Selection::Digest)), &envelope(), "it", "hold digest");
    check(&rules(Action::Hold(Selection::Signers)), &envelope(), "it", "hold signers");
    check(&rules(Action::Hold(Selection::Text)), &envelope(), "it", "want headers");
    check(&rules(Action::Accept), &envelope(), "it", "want headers");
    check(&Rules::accepting(100), &envelope(), "default", "want headers");
    // A condition that does not hold spares the headers that another would need.
    let strangers = |to: &str| {
        let to = Condition::To(vec![Party::parse(to).unwrap()]);
        Rules::accepting(100)
            .with("strangers", vec![Condition::FirstContact(true), to], Action::Hold(Selection::Digest))
            .with("rest", vec![], Action::Refuse)
    };
    check(&strangers("south.test"), &envelope(), "strangers", "want headers");
    check(&strangers("carol@south.test"), &envelope(), "rest", "refuse 5.7.1 refused by rule rest");
}

/// proves: POL-7
#[test]
fn a_rule_that_has_got_what_it_asks_for_matches_no_more() {
    let range = Selection::Range { part: 1, offset: 0, octets: 16 };
    for wanted in
        [Selection::Digest, Selection::Signers, Selection::Headers, Selection::Text, Selection::All, range]
    {
        let rules = Rules::accepting(100).with("look", vec![], Action::Want(wanted.clone()));
        let got = evidence(|one, _| one.supplied.push(wanted.clone()));
        assert_eq!(rules.decide(&got).rule, "default", "{wanted:?}");
        let all = evidence(|one, _| one.supplied.push(Selection::All));
        assert_eq!(rules.decide(&all).rule, "default", "{wanted:?}");
        let seen_with_the_headers = Selection::Headers.covers(&wanted);
        assert_eq!(rules.decide(&plain()).rule == "look", !seen_with_the_headers, "{wanted:?}");
    }
    let rules = Rules::accepting(100).with("grey", vec![], Action::Pend { after_seconds: 60 });
    let waited = |seconds| evidence(|one, _| one.waited_seconds = seconds);
    check(&rules, &waited(None), "grey", "pend 60 s");
    check(&rules, &waited(Some(59)), "grey", "pend 1 s");
    check(&rules, &waited(Some(60)), "default", "accept");
}

/// proves: POL-4, POL-6, KEY-22
#[test]
fn each_condition_means_what_it_says() {
    let to = |text: &str| Condition::To(vec![Party::parse(text).unwrap()]);
    matches(to("bob@south.test"), &plain(), true);
    matches(to("Bob@south.test"), &plain(), true);
    matches(to("south.test"), &plain(), true);
    matches(to("carol@south.test"), &plain(), false);
    matches(to("north.test"), &plain(), false);
    let from = |text: &str| Condition::From(vec![Party::parse(text).unwrap()]);
    matches(from("north.test"), &plain(), true);
    matches(from("alice@north.test"), &plain(), true);
    matches(from("south.test"), &plain(), false);
    matches(from("north.test"), &evidence(|_, seen| seen.from = None), false);
    matches(Condition::Peer(vec![domain("north.test")]), &plain(), true);
    matches(Condition::Peer(vec![domain("north.test")]), &evidence(|one, _| one.peer = None), false);
    matches(Condition::LargerThan(9), &plain(), true);
    matches(Condition::LargerThan(10), &plain(), false);
    matches(Condition::Seals(vec![SealEvidence::Missing]), &sealed(SealEvidence::Missing), true);
    matches(Condition::Seals(vec![SealEvidence::Missing]), &plain(), false);
    let by_herself = |found| evidence(|_, seen| seen.author_key = Some(found));
    let own = || Condition::AuthorKey(vec![AuthorKey::First, AuthorKey::Known, AuthorKey::Rotated]);
    matches(own(), &by_herself(AuthorKey::Known), true);
    matches(own(), &by_herself(AuthorKey::Broken), false);
    matches(own(), &plain(), false);
    let encrypted = evidence(|_, seen| seen.encrypted = true);
    matches(Condition::Unencrypted(true), &plain(), true);
    matches(Condition::Unencrypted(true), &encrypted, false);
    matches(Condition::Unencrypted(false), &encrypted, true);
    let mixed = evidence(|_, seen| seen.mixed_script = Some("n\u{43e}rth".to_owned()));
    matches(Condition::MixedScript(true), &mixed, true);
    matches(Condition::MixedScript(true), &plain(), false);
    let alike = evidence(|_, seen| seen.looks_like = Some(address("alicia@north.test")));
    matches(Condition::LookAlike(true), &alike, true);
    matches(Condition::LookAlike(true), &plain(), false);
    let over = Rate::Over { limit: "per-minute".to_owned(), words: "70 messages".to_owned() };
    let over = evidence(|one, _| one.rate = over);
    matches(Condition::RateOver(true), &over, true);
    matches(Condition::RateOver(true), &plain(), false);
    matches(Condition::RateOverLimit("per-minute".to_owned()), &over, true);
    matches(Condition::RateOverLimit("per-day".to_owned()), &over, false);
    let back = |seconds| evidence(|one, _| one.waited_seconds = seconds);
    matches(Condition::CameBackAfter(5), &back(Some(5)), true);
    matches(Condition::CameBackAfter(5), &back(Some(4)), false);
    matches(Condition::CameBackAfter(0), &back(None), false);
}

/// proves: POL-4, POL-12
#[test]
fn mail_over_smtp_is_told_apart() {
    let over_smtp = |path: bool, author: Option<&str>, acquaintance| {
        evidence(|one, seen| {
            one.peer = None;
            let holder = "smtp:[192.0.2.1]".to_owned();
            let author_verified = author.map(domain);
            one.legacy = Some(Legacy { holder, return_path_verified: path, author_verified });
            (seen.seals, seen.acquaintance) = (SealEvidence::Missing, acquaintance);
        })
    };
    let stranger = over_smtp(false, None, Acquaintance::Stranger);
    matches(Condition::Legacy(true), &stranger, true);
    matches(Condition::Legacy(true), &plain(), false);
    matches(Condition::Legacy(false), &plain(), true);
    matches(Condition::Verified(true), &stranger, false);
    matches(Condition::Verified(true), &over_smtp(true, None, Acquaintance::Stranger), true);
    matches(Condition::Verified(true), &over_smtp(false, Some("north.test"), Acquaintance::Stranger), true);
    matches(Condition::Verified(true), &plain(), true);
    matches(Condition::Verified(true), &sealed(SealEvidence::Missing), false);
    matches(Condition::FirstContact(true), &stranger, true);
    matches(Condition::FirstContact(true), &over_smtp(false, None, Acquaintance::Known), false);
    matches(Condition::Forwarded(true), &stranger, false);
    // What a forwarder brings whom the recipient has granted it is none. proves: FWD-18
    let mut granted = over_smtp(true, None, Acquaintance::Stranger);
    granted.seen.iter_mut().for_each(|seen| seen.forwarder_authorized = true);
    matches(Condition::FirstContact(true), &granted, false);
    // There are no seals to ask for, and what is blocked stays so.
    check(&Rules::accepting(100), &stranger, "default", "accept");
    let blocked = over_smtp(false, None, Acquaintance::Blocked);
    check(&Rules::accepting(100), &blocked, "blocked", "refuse 5.7.1 refused by rule blocked");
    let proves = |proved: &str, author: &str, expected: bool| {
        let legacy = over_smtp(false, Some(proved), Acquaintance::Stranger).legacy.unwrap();
        assert_eq!(legacy.proves(&address(author)), expected, "{proved} {author}");
    };
    proves("north.test", "alice@north.test", true);
    proves("north.test", "alice@mail.north.test", true);
    proves("mail.north.test", "alice@north.test", false);
    proves("orth.test", "alice@north.test", false);
    proves("south.test", "alice@north.test", false);
}

/// proves: POL-6
#[test]
fn a_standing_that_is_not_known_counts_neither_way() {
    let grades = [Grade::Unknown, Grade::Bad, Grade::Neutral, Grade::Good];
    for (own, grade) in grades.into_iter().enumerate() {
        let peer = evidence(|one, _| one.standing = Standing { grade, reasons: vec!["so".to_owned()] });
        for (others, other) in grades.into_iter().enumerate() {
            matches(Condition::StandingBelow(other), &peer, own != 0 && own < others);
            matches(Condition::StandingAt(other), &peer, own == others);
        }
    }
}

/// proves: POL-5, EXC-22
#[test]
fn who_is_known_and_what_is_a_first_contact() {
    let check =
        |acquaintance, peer: Option<&str>, authorized: bool, first: bool, known: bool, trusted: bool| {
            let evidence = evidence(|one, seen| {
                one.peer = peer.map(domain);
                (seen.acquaintance, seen.forwarder_authorized) = (acquaintance, authorized);
            });
            matches(Condition::FirstContact(true), &evidence, first);
            matches(Condition::FirstContact(false), &evidence, !first);
            matches(Condition::Known(true), &evidence, known);
            matches(Condition::Trusted(true), &evidence, trusted);
            matches(Condition::Forwarded(true), &evidence, peer == Some("thief.test"));
        };
    let (direct, thief) = (Some("north.test"), Some("thief.test"));
    check(Acquaintance::Stranger, direct, false, true, false, false);
    check(Acquaintance::Known, direct, false, false, true, false);
    check(Acquaintance::Trusted, direct, false, false, true, true);
    // Whoever brings what others have sealed is judged as a stranger, whatever the list says.
    check(Acquaintance::Stranger, thief, false, true, false, false);
    check(Acquaintance::Known, thief, false, true, false, false);
    check(Acquaintance::Trusted, thief, false, true, false, false);
    // Unless the recipient trusts it to forward.
    check(Acquaintance::Stranger, thief, true, false, true, true);
    check(Acquaintance::Known, thief, true, false, true, true);
    // Those who submit here are ours; and for recipients elsewhere there is no list.
    check(Acquaintance::Stranger, None, false, false, false, false);
    check(Acquaintance::NotOurs, direct, false, false, false, false);
    check(Acquaintance::NotOurs, thief, false, false, false, false);
}

/// proves: POL-8, POL-9
#[test]
fn an_explanation_has_every_rule_and_the_peer_is_told_the_name_alone() {
    let rules = Rules::accepting(100)
        .with("carol", vec![Condition::To(vec![Party::parse("carol@south.test").unwrap()])], Action::Refuse)
        .with("strangers", vec![Condition::FirstContact(true), Condition::LargerThan(5)], Action::Refuse)
        .with("last", vec![], Action::Refuse);
    let explained = rules.explain(&plain());
    let steps: Vec<(&str, Tried)> =
        explained.steps.iter().map(|step| (step.rule.as_str(), step.tried)).collect();
    assert_eq!(steps, [("carol", Tried::No), ("strangers", Tried::Matched)]);
    let conditions = &explained.steps[1].conditions;
    assert_eq!(conditions[0].0, "first-contact");
    assert_eq!(conditions[0].1, Some(true));
    let evidence = &explained.decision.evidence;
    assert!(evidence.contains("alice@north.test") && evidence.contains("10 octets"), "{evidence}");
    let Verdict::Refuse { text, .. } = &explained.decision.verdict else { panic!("{explained:?}") };
    assert_eq!(text, "refused by rule strangers");
    assert_eq!(rules.explain(&envelope()).steps[1].tried, Tried::NotSeen);
}
