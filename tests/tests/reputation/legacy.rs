//! What comes over SMTP: taken, held, answered again, told of, and relayed nowhere.

use message::address::Address;
use message::{Code, Disposition, Message, Role, Selection};
use node::{Choice, LegacyAnswer, LegacyOffer};
use policy::{Action, Condition};
use storage::{NoticeDue, Origin};
use testkit::letter::{letter, letter_with};

use super::scene::{Scene, domain};

const BOB: &str = "bob@here.test";

/// A message from alice, whose domain is proved or not.
fn offer(verified: bool, to: &[&str]) -> LegacyOffer {
    LegacyOffer {
        client: "192.0.2.1".parse().unwrap(),
        return_path: Some(Address::from_wire("bounces@old.test").unwrap()),
        verified,
        author: verified.then(|| domain("old.test")),
        checks: vec![pair("spf", "pass")],
        received: "Received: from old.test by here.test\r\n".to_owned(),
        authentication_results: "here.test; spf=pass".to_owned(),
        recipients: to.iter().map(|text| Address::from_wire(text).unwrap()).collect(),
        passage: storage::Passage::default(),
    }
}

fn pair(method: &str, result: &str) -> (String, String) {
    (method.to_owned(), result.to_owned())
}

fn message(text: &str) -> Message {
    letter_with(
        &[
            ("From", "Alice <alice@old.test>"),
            ("Subject", "A letter"),
            ("Date", "Thu, 1 Jan 2026 12:00:00 +0000"),
            ("Message-Id", "<1@old.test>"),
        ],
        &[("text/plain", text.as_bytes()), ("image/png", &[7; 100_000])],
    )
}

async fn holding() -> Scene {
    Scene::new(|settings| {
        let strangers = vec![Condition::FirstContact(true), Condition::Legacy(true)];
        settings.rules = settings.rules.clone().with("strangers", strangers, Action::Hold(Selection::Digest));
    })
    .await
}

async fn take(scene: &Scene, offer: LegacyOffer, message: &Message) -> Vec<LegacyAnswer> {
    scene.node.take_legacy(offer, message).await.unwrap()
}

fn notices(scene: &Scene) -> Vec<NoticeDue> {
    scene.store.notices_due(None, 10).unwrap()
}

/// proves: STA-19, SEC-8
#[tokio::test(start_paused = true)]
async fn what_is_taken_is_there_once_with_what_was_found() {
    let scene = Scene::new(|_| {}).await;
    let message = message("Good morning");
    let to = [BOB, "nobody@here.test", "carol@elsewhere.test"];
    for _ in 0..2 {
        let answers = take(&scene, offer(true, &to), &message).await;
        assert_eq!(answers[0].disposition, Disposition::Accepted);
        let code = |place: usize| match &answers[place].disposition {
            Disposition::Refused { code, .. } => *code,
            other => panic!("{other:?}"),
        };
        assert_eq!((code(1), code(2)), (Code::NO_SUCH_ADDRESS, Code::NOT_AUTHORIZED));
        assert!(answers.iter().all(|answer| !answer.kept && !answer.custody));
    }
    let entries = scene.store.mailbox("bob", None, 10).unwrap();
    let [entry] = &entries[..] else { panic!("{entries:?}") };
    let Origin::Legacy(origin) = &entry.origin else { panic!("{entry:?}") };
    assert_eq!(origin.received, "Received: from old.test by here.test\r\n");
    assert_eq!(origin.holder(), "smtp:old.test");
    // The gateway's seal stands with it, and holds.
    let [note] = &entry.seals[..] else { panic!("{entry:?}") };
    assert_eq!((note.issuer.as_str(), note.role, note.verified), ("here.test", Role::Gateway, true));
    let stored = scene.store.message(message.identity()).unwrap().unwrap();
    assert!(stored.is_complete());
    assert_eq!(stored.seals[0].claims().checks, [pair("author", "old.test"), pair("spf", "pass")]);
    assert_eq!(notices(&scene), [], "who is refused in the session is told there");
}

/// proves: STA-20, CHK-11
#[tokio::test(start_paused = true)]
async fn what_stands_beside_it_stands_before_it_in_a_maildir() {
    let scene = Scene::new(|_| {}).await;
    let forged = ["mx.here.test; spf=pass", "HERE.test; dkim=pass", "mx.old.test; spf=pass"];
    let mut fields = vec![("From", "alice@old.test"), ("Message-Id", "<1@old.test>")];
    fields.extend(forged.map(|value| ("Authentication-Results", value)));
    let message = letter_with(&fields, &[("text/plain", b"Good morning")]);
    take(&scene, offer(true, &[BOB]), &message).await;
    let folder = tempfile::tempdir().unwrap();
    let maildir = node::Maildir::new(folder.path(), "here.test").with_checkers(vec!["mx.here.test".into()]);
    assert_eq!(maildir.follow(scene.store.as_ref(), "bob").unwrap(), 1);
    let files: Vec<_> = std::fs::read_dir(maildir.folder("bob").join("new")).unwrap().flatten().collect();
    let text = std::fs::read_to_string(files[0].path()).unwrap();
    let (trace, exported) = text.split_at(text.find("From: ").unwrap());
    let expected = "Return-Path: <bounces@old.test>\r\nAuthentication-Results: here.test; spf=pass\r\n\
                    Received: from old.test by here.test\r\n";
    assert_eq!(trace, expected);
    assert!(exported.contains("\r\n\r\nGood morning"), "{exported}");
    // What its author wrote in our name is not for filters; what another has found is.
    assert!(!exported.contains("here.test;") && exported.contains("mx.old.test; spf=pass"), "{exported}");
    let stored = scene.store.message(message.identity()).unwrap().unwrap();
    let kept = String::from_utf8_lossy(stored.headers.as_ref().unwrap().message().octets()).into_owned();
    assert!(forged.iter().all(|value| kept.contains(value)), "the native message is as it came: {kept}");
}

/// proves: SEC-8
#[tokio::test(start_paused = true)]
async fn recipients_are_known_before_the_content() {
    let scene = Scene::new(|_| {}).await;
    let check = |to: &str, expected: Option<Code>| {
        let client = "192.0.2.1".parse().unwrap();
        let said = scene.node.legacy_recipient(client, &Address::from_wire(to).unwrap());
        assert_eq!(said.err().map(|(code, _)| code), expected, "{to}");
    };
    check(BOB, None);
    check("BOB@here.test", None);
    check("nobody@here.test", Some(Code::NO_SUCH_ADDRESS));
    check("bob@elsewhere.test", Some(Code::NOT_AUTHORIZED));
    check("bob@sub.here.test", Some(Code::NOT_AUTHORIZED));
}

/// Nobody is put off for what another has brought from the same machine and cannot prove.
///
/// proves: REP-21
#[tokio::test(start_paused = true)]
async fn who_is_over_a_rate_hears_so_before_the_content() {
    let scene = Scene::new(|settings| settings.rates = node::Rates::for_peers(3, 0)).await;
    let client = "192.0.2.1".parse().unwrap();
    let eve = Address::from_wire("eve@forged.test").unwrap();
    let bounces = Address::from_wire("bounces@old.test").unwrap();
    let over = |path: Option<&Address>| scene.node.legacy_rate(client, path).err().map(|(code, _)| code);
    for number in 0..3 {
        assert_eq!(over(None), None);
        let offer = LegacyOffer { return_path: Some(eve.clone()), ..offer(false, &[BOB]) };
        take(&scene, offer, &message(&format!("unproved {number}"))).await;
    }
    for path in [None, Some(&eve), Some(&bounces)] {
        assert_eq!(over(path), Some(Code::new(4, 7, 1)), "{path:?}");
    }
    // Once its domain was proved from there it has a count of its own, which another who gives that name does not end.
    for number in 0..3 {
        take(&scene, offer(true, &[BOB]), &message(&format!("proved {number}"))).await;
        take(&scene, offer(false, &[BOB]), &message(&format!("forged {number}"))).await;
        assert_eq!(over(Some(&bounces)).is_some(), number == 2);
    }
    // What is put off is not remembered.
    let other = "192.0.2.3".parse().unwrap();
    let answers = take(&scene, LegacyOffer { client: other, ..offer(true, &[BOB]) }, &message("late")).await;
    assert!(matches!(answers[0].disposition, Disposition::Deferred { .. }));
    assert_eq!(scene.node.legacy_rate(other, Some(&bounces)), Ok(()));
    assert_eq!(scene.node.legacy_rate("192.0.2.2".parse().unwrap(), Some(&eve)), Ok(()));
    // Who leaves that to the rules has it decided there.
    let scene = Scene::new(|settings| {
        settings.rates = node::Rates { put_off: false, ..node::Rates::for_peers(1, 0) };
    })
    .await;
    take(&scene, offer(false, &[BOB]), &message("one")).await;
    assert_eq!(scene.node.legacy_rate(client, None), Ok(()));
}

/// proves: STA-19
#[tokio::test(start_paused = true)]
async fn without_a_message_id_each_is_another_one() {
    let scene = holding().await;
    let nameless = letter_with(&[("From", "alice@old.test")], &[("text/plain", b"disk full")]);
    for count in 1..=2 {
        take(&scene, offer(true, &[BOB]), &nameless).await;
        assert_eq!(scene.node.held(Some("bob"), None, 10).unwrap().len(), count);
    }
    let named = message("once");
    for _ in 0..2 {
        take(&scene, offer(true, &[BOB]), &named).await;
        assert_eq!(scene.node.held(Some("bob"), None, 10).unwrap().len(), 3);
    }
}

/// What the user decides comes about at once, without another offer, and who is proved hears of a refusal by a notice.
///
/// proves: STA-19, STA-13
#[tokio::test(start_paused = true)]
async fn a_held_message_is_here_whole() {
    let bob = Address::from_wire(BOB).unwrap();
    for verified in [true, false] {
        let scene = holding().await;
        let (wanted, other, late) = (message("wanted"), message("other"), message("late"));
        for message in [&wanted, &other, &late] {
            let [answer] = &take(&scene, offer(verified, &[BOB]), message).await[..] else { panic!() };
            assert!(matches!(answer.disposition, Disposition::Pending { .. }));
            assert_eq!((answer.kept, answer.custody), (true, verified));
        }
        let decide =
            |message: &Message, choice| scene.node.decide_held(Some("bob"), message.identity(), &bob, choice);
        let decided = decide(&wanted, Choice::ACCEPT).await.unwrap();
        assert_eq!((decided.disposition, decided.wanted), (Disposition::Accepted, None));
        assert_eq!(scene.store.mailbox("bob", None, 10).unwrap().len(), 1);
        decide(&other, Choice::REFUSE).await.unwrap();
        // Whoever comes again is answered by that, and delivers nothing twice.
        let again = async |message: Message| take(&scene, offer(verified, &[BOB]), &message).await.remove(0);
        assert_eq!(again(wanted.clone()).await.disposition, Disposition::Accepted);
        assert!(matches!(again(other.clone()).await.disposition, Disposition::Refused { .. }));
        let waits = again(late.clone()).await;
        assert_eq!((waits.kept, waits.custody), (true, verified));
        assert_eq!(scene.store.mailbox("bob", None, 10).unwrap().len(), 1);
        scene.pass_seconds(13 * 3_600).await;
        scene.store.expire(scene.node.now_ms(), 100).await.unwrap();
        assert_eq!(again(late.clone()).await.disposition, Disposition::Expired);
        let told: Vec<_> = notices(&scene)
            .into_iter()
            .map(|notice| {
                (notice.identity, notice.recipient, notice.return_path.to_string(), notice.disposition)
            })
            .collect();
        let to = "bounces@old.test".to_owned();
        let refused = Disposition::refused(Code::NOT_AUTHORIZED, "the recipient does not want it");
        let expected = vec![
            (other.identity(), bob.clone(), to.clone(), refused),
            (late.identity(), bob.clone(), to, Disposition::Expired),
        ];
        assert_eq!(told, if verified { expected } else { Vec::new() });
    }
}

/// A message that is only put off is not kept: its sender comes again, and then it is judged.
///
/// proves: STA-17, STA-19
#[tokio::test(start_paused = true)]
async fn greylisting_is_an_answer_over_smtp_too() {
    let scene = Scene::new(|settings| {
        let grey = Action::Pend { after_seconds: 300 };
        settings.rules = settings.rules.clone().with("grey", vec![Condition::Verified(false)], grey);
    })
    .await;
    let message = message("put off");
    let first = take(&scene, offer(false, &[BOB]), &message).await.remove(0);
    assert!(matches!(first.disposition, Disposition::Pending { .. }));
    assert_eq!((first.kept, first.custody), (false, false));
    let early = take(&scene, offer(false, &[BOB]), &message).await.remove(0);
    assert_eq!((early.kept, early.disposition), (false, first.disposition));
    scene.pass_seconds(301).await;
    let later = take(&scene, offer(false, &[BOB]), &message).await.remove(0);
    assert_eq!(later.disposition, Disposition::Accepted);
    assert_eq!(scene.store.mailbox("bob", None, 10).unwrap().len(), 1);
    // Who is proved is not put off by that rule.
    let proved = take(&scene, offer(true, &[BOB]), &letter("alice@old.test", "proved")).await.remove(0);
    assert_eq!(proved.disposition, Disposition::Accepted);
}

/// Whoever writes the name of a friend into From is no friend.
///
/// proves: POL-12, REP-19
#[tokio::test(start_paused = true)]
async fn friends_and_names_count_where_they_are_proved() {
    let scene = holding().await;
    scene.node.trust("bob", "alice@old.test", "").await.unwrap();
    let forged = take(&scene, offer(false, &[BOB]), &message("forged")).await.remove(0);
    assert!(matches!(forged.disposition, Disposition::Pending { .. }));
    let other = LegacyOffer { author: Some(domain("evil.test")), ..offer(true, &[BOB]) };
    let aligned_with_another = take(&scene, other, &message("of another")).await.remove(0);
    assert!(matches!(aligned_with_another.disposition, Disposition::Pending { .. }));
    assert_eq!(scene.node.remembered(&domain("old.test")).unwrap(), None);
    let proved = take(&scene, offer(true, &[BOB]), &message("proved")).await.remove(0);
    assert_eq!(proved.disposition, Disposition::Accepted);
    let remembered = |name: &str| scene.node.remembered(&domain(name)).unwrap();
    assert_eq!(remembered("old.test").map(|peer| peer.accepted), Some(1_000));
    assert_eq!(remembered("evil.test").map(|peer| peer.held), Some(1_000));
    // Blocked is blocked, proved or not.
    scene.node.block("bob", "alice@old.test", "").await.unwrap();
    for verified in [true, false] {
        let text = format!("blocked {verified}");
        let blocked = take(&scene, offer(verified, &[BOB]), &message(&text)).await.remove(0);
        assert!(matches!(blocked.disposition, Disposition::Refused { .. }), "{blocked:?}");
    }
}

/// proves: REP-19
#[tokio::test(start_paused = true)]
async fn rates_are_those_of_the_holder() {
    let scene = Scene::new(|settings| settings.rates = node::Rates::for_peers(2, 100)).await;
    let bring = async |offer: LegacyOffer, text: &str| {
        take(&scene, offer, &message(text)).await.remove(0).disposition
    };
    for text in ["one", "two"] {
        assert_eq!(bring(offer(true, &[BOB]), text).await, Disposition::Accepted);
    }
    assert!(matches!(bring(offer(true, &[BOB]), "three").await, Disposition::Deferred { .. }));
    // Without a proof it is another holder, by its address.
    assert_eq!(bring(offer(false, &[BOB]), "four").await, Disposition::Accepted);
    let elsewhere = LegacyOffer { client: "192.0.2.2".parse().unwrap(), ..offer(false, &[BOB]) };
    assert_eq!(bring(elsewhere, "five").await, Disposition::Accepted);
}

/// proves: SUB-17
#[tokio::test(start_paused = true)]
async fn keys_for_scram_do_not_tell_who_is_here() {
    let scene = Scene::new(|_| {}).await;
    let keys = |name: &str| scene.node.scram_keys(name).unwrap();
    let set = async |name: &str, password: Option<&str>| {
        let address = Address::from_wire(&format!("{name}@here.test")).unwrap();
        scene.node.put_account(name, &[address], password.map(str::to_owned)).await.unwrap();
    };
    assert_eq!(keys("nobody"), keys("nobody"), "without a secret, too");
    set("ann", Some("pencil")).await;
    let (ann, nobody, bob) = (keys("ann"), keys("nobody"), keys("bob"));
    assert_eq!((keys("ann"), keys("nobody"), keys("bob")), (ann.clone(), nobody.clone(), bob.clone()));
    let looks = |keys: &storage::ScramKeys| (keys.salt.len(), keys.iterations);
    assert_eq!([looks(&ann), looks(&nobody), looks(&bob)], [(16, 600_000); 3]);
    assert!(ann.salt != nobody.salt && ann.salt != bob.salt && bob.salt != nobody.salt);
    // Bob was here before and gets a password, ann gets another one: neither shows in a salt.
    set("bob", Some("crayon")).await;
    set("ann", Some("chalk")).await;
    assert_eq!((keys("bob").salt, keys("ann").salt), (bob.salt, ann.salt));
    assert!(keys("bob").stored_key != bob.stored_key && keys("ann").stored_key != ann.stored_key);
    // What else of an account is changed leaves the password as it is.
    let before = keys("ann");
    set("ann", None).await;
    assert_eq!(keys("ann"), before);
    // Another store has other salts, and a closed account has no keys.
    assert!(Scene::new(|_| {}).await.node.scram_keys("ann").unwrap().salt != before.salt);
    let mut closed = scene.store.account("ann").unwrap().unwrap();
    closed.disabled = true;
    scene.store.put_account(closed).await.unwrap();
    assert!(keys("ann").stored_key != before.stored_key);
    assert_eq!(keys("ann").salt, before.salt);
}

/// Who comes with many passwords at once tries no more of them than one after the other: whoever waits for a place is asked
/// again when there is one.
///
/// proves: SUB-3
#[tokio::test(start_paused = true)]
async fn many_guesses_at_once_are_barred_like_one_after_the_other() {
    let scene = Scene::new(|_| {}).await;
    let bob = Address::from_wire("bob@here.test").unwrap();
    scene.node.put_account("bob", &[bob], Some("the right one".to_owned())).await.unwrap();
    let mut guessing = tokio::task::JoinSet::new();
    for guess in 0..64 {
        let node = scene.node.clone();
        // From as many places: the account alone is to bar them.
        let network = format!("192.0.2.{guess}");
        let password = if guess == 60 { "the right one".to_owned() } else { format!("guess {guess}") };
        guessing.spawn(async move { node.authenticate(&network, "bob", password).await });
    }
    let answers = guessing.join_all().await;
    let tried = |answer: &Result<_, (Code, String)>| matches!(answer, Err((code, _)) if *code == Code::AUTHENTICATION_FAILED);
    let barred = |answer: &Result<_, (Code, String)>| matches!(answer, Err((code, _)) if code.class == 4);
    let (tried, barred) = (
        answers.iter().filter(|answer| tried(answer)).count(),
        answers.iter().filter(|answer| barred(answer)).count(),
    );
    // With two places two may be under way when the last one counts.
    assert!((10..=11).contains(&tried), "{tried} were tried");
    assert_eq!(tried + barred, 64, "nobody came in, also with the right one");
}

/// proves: SUB-3
#[tokio::test(start_paused = true)]
async fn wrong_proofs_bar_account_and_network() {
    let scene = Scene::new(|_| {}).await;
    for place in 0..10 {
        assert!(!scene.node.is_barred("192.0.2.0", "bob"), "{place}");
        scene.node.note_wrong_password("192.0.2.0", "bob");
    }
    assert!(scene.node.is_barred("192.0.2.0", "ann") && scene.node.is_barred("198.51.100.0", "bob"));
    assert!(!scene.node.is_barred("198.51.100.0", "ann"));
}
