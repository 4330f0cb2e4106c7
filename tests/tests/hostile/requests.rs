//! Requests of those who may not, about what is not theirs, in the wrong protocol (`spec/07` and `spec/08`).

use message::address::Address;
use message::{Code, Cookie, Disposition, Identity, Role};
use protocol::{CookieAnswer, Enrol, Failure, Frame};
use transport::{Alpn, AskError, HostKey};
use waxwing_tests::peer::{offer, supply};
use waxwing_tests::{Memory, Peer, letter};

use crate::octets::{TRUE, array, bytes, fields, frame, text, uint};
use crate::scene::{Answer, BOB, CAROL, Case, NODE, Scene, Told};
use crate::sketch::{Sketch, addresses};

fn cookies(count: usize) -> Vec<u8> {
    array(&(0..count).map(|number| bytes(&[number as u8; 32])).collect::<Vec<_>>())
}

/// Requests in exchange.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let command = Code::INVALID_COMMAND;
    let unknown = |count| Answer::Frame(Frame::Answers(vec![CookieAnswer::Unknown; count]));
    for count in [0, 1, 1000] {
        let poll = frame(&fields(&[(0, uint(6)), (1, cookies(count))]));
        cases.push(Case::answers("STA-6", format!("a poll with {count} cookies"), poll, unknown(count)));
        let give_up = frame(&fields(&[(0, uint(9)), (1, cookies(count))]));
        let done = Answer::Frame(Frame::Done);
        cases.push(Case::answers("STA-8", format!("{count} foreign cookies given up"), give_up, done));
    }
    for (rule, kind) in [("STA-6", 6), ("STA-8", 9)] {
        let sent = frame(&fields(&[(0, uint(kind)), (1, cookies(1001))]));
        cases.push(Case::fails(rule, "1,001 cookies", sent, Code::MESSAGE_TOO_LARGE));
        for octets in [0, 31, 33] {
            let sent = frame(&fields(&[(0, uint(kind)), (1, array(&[bytes(&vec![1; octets])]))]));
            let what = format!("a cookie of {octets} octets in a request {kind}");
            cases.push(Case::fails(rule, what, sent, Code::INVALID_ARGUMENTS));
        }
    }
    for (what, body) in own_requests() {
        cases.push(Case::fails("FRM-7", format!("{what} in exchange"), frame(&body), command));
    }
    let keys = |address: &str| frame(&fields(&[(0, uint(32)), (1, text(address))]));
    let elsewhere = keys("alice@hand.test");
    cases.push(Case::answers(
        "KEY-10",
        "the keys of another domain",
        elsewhere,
        Answer::Failure(vec![Code::INVALID_ARGUMENTS]),
    ));
    for (what, address) in [("no address", "south.test"), ("a domain in upper case", "bob@South.test")] {
        let what = format!("keys of {what}");
        cases.push(Case::fails("FRM-5", what, keys(address), Code::INVALID_ARGUMENTS));
    }
    let poll = frame(&fields(&[(0, uint(6)), (1, cookies(1))]));
    let twice = [poll.clone(), poll].concat();
    // Two at once are no beginning of a stream and a request behind it: one reply, or a failure, and no more.
    cases.push(Case::fails("FRM-6", "two polls on one stream", twice, command));
    cases
}

/// What only a user may ask.
fn own_requests() -> Vec<(&'static str, Vec<u8>)> {
    let identity = bytes(&[9; 32]);
    vec![
        ("an enrolment", fields(&[(0, uint(16)), (1, text("eve")), (2, text("right")), (3, text("d"))])),
        ("the status", fields(&[(0, uint(17)), (1, uint(0)), (2, uint(10))])),
        ("the status of a message", fields(&[(0, uint(17)), (3, identity.clone())])),
        ("the mailbox", fields(&[(0, uint(19)), (1, uint(0)), (2, uint(10))])),
        ("a fetch", fields(&[(0, uint(21)), (1, identity), (2, array(&[uint(0)]))])),
        ("a statement", fields(&[(0, uint(34)), (1, bytes(b"statement"))])),
        ("what is pinned", fields(&[(0, uint(35)), (1, text("alice@north.test"))])),
    ]
}

fn enrol(account: &str, password: &str, device: &str) -> Vec<u8> {
    frame(&fields(&[(0, uint(16)), (1, text(account)), (2, text(password)), (3, text(device))]))
}

/// The statements of the vectors: good ones of somebody else, and those that break a rule.
fn statements() -> Vec<(&'static str, String, Vec<u8>, Code)> {
    let all = crate::frames::vectors("keys.json");
    crate::frames::list(&all, "statements")
        .iter()
        .filter(|case| crate::frames::word(case, "name") != "more than 1,024 octets")
        .map(|case| {
            let (rule, code) = match crate::frames::word(case, "expect") {
                "good" => ("KEY-6", Code::NOT_AUTHORIZED),
                "signature" => ("KEY-2", Code::INTEGRITY_FAILED),
                _ => ("KEY-2", Code::CONTENT_MALFORMED),
            };
            let what = format!("a statement: {}", crate::frames::word(case, "name"));
            (rule, what, crate::frames::octets_of(&case["octets"]), code)
        })
        .collect()
}

/// A device of Eve's.
async fn eve(scene: &Scene) -> Peer {
    let address = Address::parse("eve@south.test").unwrap();
    scene.world.node(NODE).put_account("eve", &[address], Some("right".to_owned())).await.unwrap();
    let eve = device(scene, 5).await;
    let enrol = Enrol { account: "eve".into(), password: "right".into(), device: "a test".into() };
    assert_eq!(eve.ask(&Frame::Enrol(enrol)).await, Ok(Frame::Done));
    eve
}

/// A device whose key nobody knows yet.
async fn device(scene: &Scene, number: u8) -> Peer {
    let key = HostKey::from_ed25519_seed(&[number; 32], &[]).unwrap();
    let (address, expectation) = (scene.world.address(NODE), scene.world.expectation(NODE));
    Peer::connect(Some(key), address, &expectation, Alpn::Submission).await.unwrap()
}

/// Requests in submission by a user with an enrolled device.
pub(crate) async fn of_user(scene: &Scene, bobs: Identity) -> (Peer, Vec<Case>) {
    let mut cases = Vec::new();
    let (arguments, command) = (Code::INVALID_ARGUMENTS, Code::INVALID_COMMAND);
    // Bob's message, and one that nobody has: no answer may tell which is which.
    for (what, identity) in [("of another's message", *bobs.as_bytes()), ("of no message", [9; 32])] {
        for selection in [array(&[uint(0)]), array(&[uint(1)]), array(&[uint(6), uint(0), uint(0), uint(1)])]
        {
            let sent = frame(&fields(&[(0, uint(21)), (1, bytes(&identity)), (2, selection)]));
            let failure = Failure { code: arguments, text: "no such message in this mailbox".to_owned() };
            let answer = Answer::Frame(Frame::Failure(failure));
            cases.push(Case::answers("SUB-14", format!("a fetch {what}"), sent, answer));
        }
        let sent = frame(&fields(&[(0, uint(17)), (3, bytes(&identity))]));
        let none = Answer::Frame(Frame::StatusList(Vec::new()));
        cases.push(Case::answers("STA-11", format!("the status {what}"), sent, none));
    }
    let options = |entries: &[(u64, Vec<u8>)]| fields(entries);
    for (rule, what, octets, code) in statements() {
        let sent = frame(&fields(&[(0, uint(34)), (1, bytes(&octets))]));
        cases.push(Case::answers(rule, what, sent, Answer::Failure(vec![code])));
    }
    let none = Answer::Frame(Frame::KeyPins(protocol::KeyPins::default()));
    for forget in [vec![], vec![(2, TRUE.to_vec())]] {
        let entries = [vec![(0, uint(35)), (1, text(BOB))], forget].concat();
        cases.push(Case::answers("KEY-17", "pins of another's", frame(&fields(&entries)), none.clone()));
    }
    let bare = Sketch::new(scene, "bare");
    cases.push(Case::fails("SUB-5", "an offer without submission options", bare.all(), command));
    for (what, value) in [
        ("that are no map", uint(1)),
        ("without a release", options(&[])),
        ("with a release in text", options(&[(2, text("0"))])),
        ("with sign only that is a number", options(&[(1, uint(1)), (2, uint(0))])),
        ("with a token of 15 octets", options(&[(2, uint(0)), (3, bytes(&[1; 15]))])),
        ("with a token in text", options(&[(2, uint(0)), (3, text("0123456789abcdef"))])),
    ] {
        let sketch = Sketch::new(scene, what).with(7, value);
        cases.push(Case::fails("FRM-4", format!("options {what}"), sketch.all(), arguments));
    }
    let critical = crate::octets::map(&[(uint(2), uint(0)), (crate::octets::negative(0), TRUE.to_vec())]);
    let sketch = Sketch::new(scene, "critical").with(7, critical);
    cases.push(Case::fails("FRM-3", "a critical option", sketch.all(), arguments));
    // From somebody else: nobody gets it, whoever sealed it.
    let forged =
        Sketch::new(scene, "forged").with(7, options(&[(2, uint(0))])).with(4, addresses(&[BOB, CAROL]));
    let told = Answer::Outcome(vec![Told::Refused(Code::NOT_AUTHORIZED); 2]);
    cases.push(Case::answers("SUB-6", "another's From", forged.all(), told));
    let long = "x".repeat(255);
    let bound = Code::MESSAGE_TOO_LARGE;
    for (what, sent) in [
        ("an account of 255 octets", enrol(&long, "p", "d")),
        ("a device of 255 octets", enrol("eve", "p", &long)),
        ("a password of 1,025 octets", enrol("eve", &"p".repeat(1025), "d")),
        ("a name of 60,000 octets", enrol(&"x".repeat(60_000), "p", "d")),
    ] {
        cases.push(Case::fails("FRM-4", format!("an enrolment with {what}"), sent, bound));
    }
    for account in ["a\nb", "\u{1b}[2J", "\u{85}"] {
        let what = format!("an enrolment of the account {account:?}");
        cases.push(Case::fails("FRM-5", what, enrol(account, "p", "d"), arguments));
    }
    for account in ["nobody", "bob", ""] {
        let failure = Code::AUTHENTICATION_FAILED;
        let answer = Answer::Failure(vec![failure]);
        let what = format!("an enrolment as {account:?} with a wrong password");
        cases.push(Case::answers("SUB-3", what, enrol(account, "wrong", "d"), answer));
    }
    (eve(scene).await, cases)
}

/// Everything that a device asks which is not enrolled.
pub(crate) async fn of_stranger(scene: &Scene) -> (Peer, Vec<Case>) {
    let refused = Answer::Failure(vec![Code::AUTHENTICATION_FAILED]);
    let mut cases: Vec<Case> = own_requests()[1..]
        .iter()
        .map(|(what, body)| {
            Case::answers("SUB-1", format!("{what} by a stranger"), frame(body), refused.clone())
        })
        .collect();
    for (what, kind) in [("a poll", 6), ("a give-up", 9)] {
        let sent = frame(&fields(&[(0, uint(kind)), (1, cookies(2))]));
        cases.push(Case::answers("SUB-1", format!("{what} by a stranger"), sent, refused.clone()));
    }
    let offer = Sketch::new(scene, "strange").with(7, fields(&[(2, uint(0))]));
    cases.push(Case::answers("SUB-1", "an offer by a stranger", offer.all(), refused));
    (device(scene, 6).await, cases)
}

/// Cookies that are guessed, foreign, or nearly right get one and the same answer, and giving them up does nothing.
///
/// proves: STA-3, STA-8
#[tokio::test]
async fn guessing_cookies_tells_nothing() {
    let mut scene = Scene::set().await;
    let message = letter("alice@hand.test", "Held");
    let seals = [scene.hand.seal(&message, Role::Submission)];
    let (offered, supplied) = (offer(&message, &seals, &[CAROL]), supply(&message, &seals));
    let outcome = scene.hand.offer_as(offered, supplied, &Memory::of(&message)).await.unwrap();
    let [Disposition::Pending { cookie, .. }] = outcome.dispositions[..] else { panic!("{outcome:?}") };
    let mut near = Vec::new();
    for bit in 0..256 {
        let mut octets = *cookie.as_bytes();
        octets[bit / 8] ^= 1 << (bit % 8);
        near.push(Cookie::from_bytes(octets));
    }
    let eve = eve(&scene).await;
    for (who, peer, all) in [
        ("a near miss", &scene.hand, near.clone()),
        ("a thief with the right one", &scene.thief, [vec![cookie], near.clone()].concat()),
        ("a user with the right one", &eve, [vec![cookie], near].concat()),
    ] {
        let count = all.len();
        let answer = peer.ask(&Frame::Poll(all.clone())).await.unwrap();
        assert_eq!(answer, Frame::Answers(vec![CookieAnswer::Unknown; count]), "{who}");
        assert_eq!(peer.ask(&Frame::GiveUp(all)).await, Ok(Frame::Done), "{who}");
    }
    let own = scene.hand.ask(&Frame::Poll(vec![cookie])).await.unwrap();
    assert!(matches!(&own, Frame::Answers(answers) if matches!(answers[..], [CookieAnswer::Pending { .. }])));
    scene.others_are_served("guessing").await;
    // So that this can fail: its holder gives it up, and it is withdrawn.
    assert_eq!(scene.hand.ask(&Frame::GiveUp(vec![cookie])).await, Ok(Frame::Done));
    let own = scene.hand.ask(&Frame::Poll(vec![cookie])).await.unwrap();
    assert_eq!(own, Frame::Answers(vec![CookieAnswer::Final(Disposition::Withdrawn)]));
}

/// A peer that proves no domain loses its connection, with the code for it, at its first word.
///
/// proves: TRA-8, TRA-9, TRA-20
#[tokio::test]
async fn who_proves_no_domain_is_shown_the_door() {
    let mut scene = Scene::set().await;
    let made = |names: &[&str]| Some(HostKey::generate(transport::KeyKind::EcdsaP256, names).unwrap());
    let cases = [
        ("no certificate", None),
        ("a certificate without names", made(&[])),
        ("the name of a pinned domain", made(&["hand.test"])),
        ("the name of the node itself", made(&[NODE])),
        ("an address for a name", made(&["192.0.2.1"])),
        ("a wildcard", made(&["*.test"])),
        ("a name in upper case", made(&["HAND.TEST"])),
        ("a hundred names", made(&["hand.test"; 100])),
        ("a device's key", Some(HostKey::from_ed25519_seed(&[3; 32], &["hand.test"]).unwrap())),
    ];
    for (what, key) in cases {
        let (address, expectation) = (scene.world.address(NODE), scene.world.expectation(NODE));
        // It may be shown the door before it has read the settings.
        let answer = match Peer::connect(key, address, &expectation, Alpn::Exchange).await {
            Ok(peer) => peer.ask(&Frame::Poll(Vec::new())).await,
            Err(error) => Err(AskError::Transport(error)),
        };
        match answer {
            Err(AskError::Transport(transport::Error::ClosedByPeer { number, .. })) => {
                assert_eq!(number, u64::from(transport::Code::NotAuthenticated.number()), "{what}");
            }
            other => panic!("{what}: {other:?}"),
        }
        scene.others_are_served(what).await;
    }
}
