//! Offers that go round in circles, go to nobody, or were taken from others (`spec/06-exchange.md`).

use message::{Code, Disposition, Role};
use node::Event;
use waxwing_tests::peer::{offer, supply};
use waxwing_tests::{Memory, letter};

use crate::octets::{array, bytes, fields, text, uint};
use crate::scene::{Answer, BOB, CAROL, Case, NODE, Scene, Told};
use crate::sketch::{Sketch, addresses, hops};

pub(crate) fn cases(scene: &Scene) -> Vec<Case> {
    let mut cases = Vec::new();
    of_recipients(scene, &mut cases);
    of_addresses(scene, &mut cases);
    of_traces(scene, &mut cases);
    cases
}

fn of_recipients(scene: &Scene, cases: &mut Vec<Case>) {
    let many: Vec<String> = (0..101).map(|number| format!("b{number}@south.test")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let bound = Code::MESSAGE_TOO_LARGE;
    for (rule, what, to, code) in [
        ("EXC-1", "no recipient", &[][..], Code::INVALID_ARGUMENTS),
        ("EXC-1", "a recipient twice", &[BOB, BOB], Code::INVALID_ARGUMENTS),
        ("EXC-1", "a recipient twice, apart", &[BOB, CAROL, BOB], Code::INVALID_ARGUMENTS),
        ("EXC-1", "101 recipients", &many, bound),
    ] {
        let sketch = Sketch::new(scene, what).with(4, addresses(to));
        cases.push(Case::fails(rule, what, sketch.all(), code));
    }
    let nobody = Told::Refused(Code::NO_SUCH_ADDRESS);
    let elsewhere = Told::Refused(Code::NOT_AUTHORIZED);
    for (what, to, told) in [
        ("nobody", &["nobody@south.test"][..], vec![nobody]),
        ("100 nobodies", &many[..100], vec![nobody; 100]),
        ("somebody elsewhere", &["x@good.test"], vec![elsewhere]),
        ("somebody below", &["bob@sub.south.test"], vec![elsewhere]),
        (
            "nobody, Bob and somebody elsewhere",
            &["no@south.test", BOB, "x@good.test"],
            vec![nobody, Told::Accepted, elsewhere],
        ),
        ("Bob in other letters", &["BOB@south.test"], vec![Told::Accepted]),
    ] {
        let sketch = Sketch::new(scene, what).with(4, addresses(to));
        let (identity, taken) = (sketch.message.identity(), told.contains(&Told::Accepted));
        let what = format!("an offer for {what}");
        let case = Case::answers("EXC-16", what, sketch.all(), Answer::Outcome(told));
        cases.push(if taken { case.delivers(identity) } else { case });
    }
    let sketch = Sketch::new(scene, "options").with(7, fields(&[(2, uint(0))]));
    cases.push(Case::fails("SUB-5", "submission options in exchange", sketch.all(), Code::INVALID_COMMAND));
    let held = Sketch::new(scene, "held").with(4, addresses(&[CAROL]));
    cases.push(Case::answers(
        "STA-1",
        "an offer that is held",
        held.all(),
        Answer::Outcome(vec![Told::Pending]),
    ));
}

/// keeps nothing and mends nothing: ADDR-2.
fn of_addresses(scene: &Scene, cases: &mut Vec<Case>) {
    let long = format!("{}@south.test", "x".repeat(65));
    let label = format!("bob@{}.test", "x".repeat(64));
    let domain = format!("bob@{}test", "abcdefgh.".repeat(30));
    for (rule, address) in [
        ("ADDR-1", ""),
        ("ADDR-1", "bob"),
        ("ADDR-1", "@south.test"),
        ("ADDR-1", "bob@"),
        ("ADDR-1", "bob@south.test@good.test"),
        ("ADDR-1", " bob@south.test"),
        ("ADDR-1", "bob@south.test "),
        ("ADDR-1", "<bob@south.test>"),
        ("ADDR-1", "Bob <bob@south.test>"),
        ("ADDR-4", "bob@South.test"),
        ("ADDR-4", "bob@south.test."),
        ("ADDR-4", "bob@.test"),
        ("ADDR-4", "bob@south..test"),
        ("ADDR-4", "bob@-south.test"),
        ("ADDR-4", "bob@so_uth.test"),
        ("ADDR-4", "bob@s\u{fc}d.test"),
        ("ADDR-4", "bob@xn--.test"),
        ("ADDR-4", &label),
        ("ADDR-4", &domain),
        ("ADDR-5", "bob@south"),
        ("ADDR-5", "bob@south.1"),
        ("ADDR-5", "bob@[192.0.2.1]"),
        ("ADDR-5", "bob@192.0.2.1"),
        ("ADDR-6", "u\u{308}ber@south.test"),
        ("ADDR-6", &long),
        ("ADDR-7", ".bob@south.test"),
        ("ADDR-7", "bob.@south.test"),
        ("ADDR-7", "b..ob@south.test"),
        ("ADDR-7", "\"b ob\"@south.test"),
        ("ADDR-7", "b,ob@south.test"),
        ("ADDR-7", "b\\ob@south.test"),
        ("ADDR-8", "b\u{200b}ob@south.test"),
        ("ADDR-8", "b\u{202e}ob@south.test"),
        ("ADDR-8", "b\u{a0}ob@south.test"),
        ("ADDR-8", "b\u{fffd}ob@south.test"),
        ("ADDR-8", "b\nob@south.test"),
        ("ADDR-9", "b\u{200d}ob@south.test"),
    ] {
        let what = format!("the recipient {address:?}");
        let sketch = Sketch::new(scene, &what).with(4, addresses(&[BOB, address]));
        let codes = vec![Code::INVALID_ARGUMENTS, Code::MESSAGE_TOO_LARGE];
        cases.push(Case::answers(rule, what, sketch.all(), Answer::Failure(codes)));
    }
}

fn of_traces(scene: &Scene, cases: &mut Vec<Case>) {
    let looping = Answer::Outcome(vec![Told::Refused(Code::LOOP)]);
    let full = vec!["hop.test"; 32];
    for (what, trace) in [
        ("through here", &[NODE][..]),
        ("through here among others", &["a.test", NODE, "b.test"]),
        ("with no room for another hop", &full),
    ] {
        let sketch = Sketch::new(scene, what).with(5, hops(trace));
        cases.push(Case::answers("EXC-21", format!("a way {what}"), sketch.all(), looping.clone()));
    }
    let sketch = Sketch::new(scene, "below").with(5, hops(&["sub.south.test", "hand.test", "hand.test"]));
    let identity = sketch.message.identity();
    let taken = Answer::Outcome(vec![Told::Accepted]);
    cases
        .push(Case::answers("EXC-21", "a way through others, twice", sketch.all(), taken).delivers(identity));
    for (what, trace) in [
        ("of 33 hops", hops(&["hop.test"; 33])),
        ("by an address", hops(&["bob@south.test"])),
        ("with a hop of three items", array(&[array(&[text("a.test"), uint(1), uint(1)])])),
        ("with a hop in the past of 1970", array(&[array(&[text("a.test"), crate::octets::negative(0)])])),
        ("with a hop that is octets", array(&[array(&[bytes(b"a.test"), uint(1)])])),
    ] {
        let sketch = Sketch::new(scene, what).with(5, trace);
        let codes = vec![Code::INVALID_ARGUMENTS, Code::MESSAGE_TOO_LARGE];
        cases.push(Case::answers("FRM-4", format!("a way {what}"), sketch.all(), Answer::Failure(codes)));
    }
}

/// What was sealed for one peer is offered by another, which has seen it go by.
///
/// proves: EXC-12, EXC-22, EXC-25
#[tokio::test]
async fn a_thief_gains_nothing() {
    let mut scene = Scene::set().await;
    let message = letter("alice@hand.test", "Mine alone");
    let stolen = [scene.hand.seal(&message, Role::Submission)];
    let first = scene.hand.offer(&message, &[BOB, CAROL]).await.unwrap();
    let [Disposition::Accepted, Disposition::Pending { cookie, .. }] = first.dispositions[..] else {
        panic!("{first:?}");
    };
    let replay = async |scene: &Scene, seals: &[message::Seal], to: &[&str]| {
        let (offer, supply) = (offer(&message, seals, to), supply(&message, seals));
        scene.thief.offer_as(offer, supply, &Memory::of(&message)).await.unwrap().dispositions
    };
    // Not direct and not forwarded: nobody answers for bringing it, whoever is to have it.
    for to in [&[BOB][..], &[CAROL], &["dora@south.test"], &[BOB, CAROL, "dora@south.test"]] {
        for disposition in replay(&scene, &stolen, to).await {
            let Disposition::Refused { code, .. } = disposition else { panic!("{to:?}: {disposition:?}") };
            assert_eq!(code, Code::NOT_AUTHORIZED, "{to:?}");
        }
    }
    // In its own name as a forwarder it answers for it, and everybody sees that. Bob has the message already; what
    // Carol's node was given by Hand is not the thief's to ask about.
    let own = scene.thief.seal(&message, Role::Forwarder);
    let told = replay(&scene, &[stolen[0].clone(), own], &[BOB, CAROL]).await;
    assert_eq!(told[0], Disposition::Accepted);
    let Disposition::Pending { cookie: other, .. } = told[1] else { panic!("{told:?}") };
    assert!(other != cookie, "the cookie of the one is not told to the other");
    let store = scene.world.node(NODE).store().clone();
    let entries = store.mailbox("bob", None, 10).unwrap();
    assert_eq!(entries.iter().filter(|entry| entry.identity == message.identity()).count(), 1);
    // Hand gets the same answer as ever.
    assert_eq!(scene.hand.offer(&message, &[BOB, CAROL]).await.unwrap(), first);
    scene.others_are_served("a thief").await;
}

/// What is refused by the envelope alone costs no signature, no DNS and not one octet of content.
///
/// proves: SEC-6
#[tokio::test]
async fn what_costs_little_comes_first() {
    let mut scene = Scene::set().await;
    let letters =
        ["for nobody", "in a circle", "too large", "seen before"].map(|w| letter("alice@hand.test", w));
    let [nobody, circle, large, before] = &letters;
    let seals = |message| [scene.hand.seal(message, Role::Submission)];
    scene.hand.offer(before, &[BOB]).await.unwrap();
    let checked = |scene: &Scene| {
        scene
            .world
            .events(NODE)
            .count(|event| matches!(event, Event::SealChecked { .. } | Event::Asked { .. }))
    };
    let so_far = checked(&scene);
    let mut cases = Vec::new();
    for (message, code) in [
        (nobody, Some(Code::NO_SUCH_ADDRESS)),
        (circle, Some(Code::LOOP)),
        (large, Some(Code::MESSAGE_TOO_LARGE)),
        (before, None),
    ] {
        let to = if code == Some(Code::NO_SUCH_ADDRESS) { "nobody@south.test" } else { BOB };
        let mut sketch = Sketch::of(message, &seals(message)).with(4, addresses(&[to]));
        match code {
            Some(Code::LOOP) => sketch.set(5, hops(&[NODE])),
            Some(Code::MESSAGE_TOO_LARGE) => sketch.set(2, uint(1 << 40)),
            _ => {}
        }
        // All of the content is announced and none of it ever sent: an answer that waited for it would not come.
        let told = code.map_or(Told::Accepted, Told::Refused);
        cases.push(Case::answers("SEC-6", format!("{code:?}"), sketch.offer(), Answer::Outcome(vec![told])));
    }
    let link = scene.hand.connected.link().clone();
    scene.check(&link, &cases).await;
    // The letters of the good peer beside it, one for every check, cost one seal each.
    assert_eq!(checked(&scene), so_far + 1, "no seal was looked at, nothing was asked for");
}
