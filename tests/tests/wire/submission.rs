//! What a node does to a message of its own user, and what it does not let a user do.

use bytes::Bytes;
use cli::client::{Incoming, Outgoing};
use message::address::Address;
use message::{Code, Disposition, Headers, Message, Role, Seal, SecretKey, Selection};
use node::Event;
use protocol::{StatusQuery, SubmissionOptions};
use tokio::time::Instant;
use waxwing_tests::peer::seal;
use waxwing_tests::user::cookie;
use waxwing_tests::{Site, User, World, letter, letter_with};

const ALICE: &str = "alice@north.test";
const BOB: &str = "bob@south.test";

/// A message with these fields and what else it needs.
fn with_fields(fields: &[(&str, &str)]) -> Message {
    let rest = [
        ("Subject", "Who am I"),
        ("Date", "Thu, 1 Jan 2026 12:00:00 +0000"),
        ("Message-Id", "<1@letter.test>"),
    ];
    letter_with(&[fields, &rest].concat(), &[("text/plain", b"Hello")])
}

/// Bob is a user of the same node: it would be easiest to write in his name.
///
/// proves: SUB-6
#[tokio::test]
async fn a_user_writes_in_no_other_name() {
    let world = World::started(&[Site::new("north.test")]).await;
    let mut alice = world.user(ALICE).await;
    let mut bob = world.user("bob@north.test").await;
    let allowed = [
        "alice@north.test",
        "<alice@north.test>",
        "Alice <alice@north.test>",
        "\"Doe, Alice\" <alice@north.test>",
        "ALICE@north.test",
        "Alice <aLiCe@NORTH.test>",
    ];
    for from in allowed {
        let sent = alice.submit(&with_fields(&[("From", from)]), &["bob@north.test"]).await;
        assert!(sent.is_ok(), "{from}: {sent:?}");
    }
    let from = |value: &'static str| vec![("From", value)];
    let refused: Vec<Vec<(&str, &str)>> = vec![
        from("bob@north.test"),
        from("Alice <bob@north.test>"),
        from("alice@north.test <bob@north.test>"),
        from("\"alice@north.test\" <bob@north.test>"),
        from("\"Alice <alice@north.test>\" <bob@north.test>"),
        from("bob@north.test <alice@north.test>"),
        from("<bob@north.test> <alice@north.test>"),
        from("bob@north.test, alice@north.test"),
        from("alice@north.test, bob@north.test"),
        from("Bob <bob@north.test>, Alice <alice@north.test>"),
        from("Alice <alice@north.test>, Bob <bob@north.test>"),
        from("bob@north.test, <alice@north.test>"),
        from("Friends: alice@north.test;"),
        from("Friends: Bob <bob@north.test>, Alice <alice@north.test>;"),
        from("Friends: Bob <bob@north.test>; <alice@north.test>"),
        from("\"Bob\" <bob@north.test> \"\" <alice@north.test>"),
        from("Alice\r\n <bob@north.test>"),
        from("alice@south.test"),
        from("alice@sub.north.test"),
        from("alice@north.test.south.test"),
        from("alice@northern.test"),
        from("alice+bob@north.test"),
        from("al.ice@north.test"),
        from("alice"),
        from("@north.test"),
        from("Alice <>"),
        // The first letter is a Cyrillic one; then a Latin one with a dot below.
        from("\u{430}lice@north.test"),
        from("\u{1ea1}lice@north.test"),
        from("alice@n\u{43e}rth.test"),
        vec![],
        vec![("From", "alice@north.test"), ("From", "bob@north.test")],
        vec![("From", "bob@north.test"), ("From", "alice@north.test")],
        vec![("From", "alice@north.test"), ("FROM", "bob@north.test")],
        vec![("From", "alice@north.test"), ("From", "alice@north.test")],
        vec![("From", "alice@north.test"), ("Sender", "bob@north.test")],
        vec![("Sender", "alice@north.test"), ("From", "bob@north.test")],
        vec![("From", "alice@north.test"), ("Sender", "alice@north.test"), ("Sender", "bob@north.test")],
    ];
    for fields in refused {
        let outcome = alice.submit(&with_fields(&fields), &["bob@north.test", BOB]).await.unwrap();
        assert_eq!(outcome.outcomes.len(), 2);
        for (_, disposition) in outcome.outcomes {
            // In another's name, or in nobody's.
            let Disposition::Refused { code, .. } = disposition else {
                panic!("{fields:?}: {disposition:?}")
            };
            assert!([Code::NOT_AUTHORIZED, Code::CONTENT_MALFORMED].contains(&code), "{fields:?}: {code}");
        }
    }
    assert_eq!(bob.session.mailbox(0, 100).await.unwrap().len(), allowed.len());
    // To name oneself as the sender is allowed.
    let fields = [("From", ALICE), ("Sender", "Alice <alice@north.test>")];
    assert!(alice.submit(&with_fields(&fields), &["bob@north.test"]).await.is_ok());
}

/// proves: SUB-7, SUB-8, SUB-9
#[tokio::test]
async fn what_is_missing_is_added_before_anything_is_sealed() {
    let world = World::started(&[Site::new("north.test")]).await;
    let mut alice = world.user(ALICE).await;
    let message = letter_with(&[("From", ALICE), ("Subject", "Bare")], &[("text/plain", b"Hello")]);
    let submitted = alice.submit(&message, &[ALICE]).await.unwrap();
    assert_ne!(submitted.identity, message.identity());
    let fetched = alice.fetch(submitted.identity).await.unwrap();
    let headers = fetched.headers.unwrap();
    let names: Vec<&str> = headers.message().fields().map(|field| field.name).collect();
    assert_eq!(names, ["From", "Subject", "Date", "Message-Id"], "behind everything that is there");
    let id = headers.message().only("Message-Id").unwrap();
    assert!(id.starts_with('<') && id.ends_with("@north.test>"), "{id}");
    // RFC 5322 section 3.3: day, date, time and zone.
    let date = headers.message().only("Date").unwrap();
    assert!(date.split(' ').count() == 6 && date.contains(':') && date.contains(" 20"), "{date}");
    let [seal] = fetched.seals.try_into().unwrap();
    check_submission_seal(&world, &seal, &fetched.manifest.unwrap());

    let again = alice.submit(&message, &[ALICE]).await.unwrap();
    assert_ne!(again.identity, submitted.identity, "each message has a Message-Id of its own");
    // Where one of them is there it is left as it is.
    let dated = letter_with(
        &[("From", ALICE), ("Date", "Thu, 1 Jan 2026 12:00:00 +0000")],
        &[("text/plain", b"Dated")],
    );
    let identity = alice.send(&dated, &[ALICE]).await;
    let headers = alice.fetch(identity).await.unwrap().headers.unwrap();
    assert_eq!(headers.message().only("Date").as_deref(), Some("Thu, 1 Jan 2026 12:00:00 +0000"));
    assert!(headers.message().only("Message-Id").is_some());
}

fn check_submission_seal(world: &World, seal: &Seal, manifest: &message::Manifest) {
    let claims = seal.claims();
    assert_eq!((claims.issuer.as_str(), claims.role), ("north.test", Role::Submission));
    assert_eq!(claims.submitter.as_deref(), Some(ALICE));
    let now_seconds = world.node("north.test").now_ms() / 1000;
    seal.verify(manifest.octets(), &world.domain_key("north.test").public(), now_seconds).unwrap();
}

/// proves: SUB-7
#[tokio::test]
async fn what_the_author_has_sealed_is_not_touched() {
    let world = World::started(&[Site::new("north.test")]).await;
    let mut alice = world.user(ALICE).await;
    let (key, to) = (SecretKey::from_seed(&[5; 32]), [Address::parse(ALICE).unwrap()]);
    let leaves: &[(&str, &[u8])] = &[("text/plain", b"Sealed")];
    let date = ("Date", "Thu, 1 Jan 2026 12:00:00 +0000");
    let id = ("Message-Id", "<1@letter.test>");
    for (fields, whole) in [
        (vec![("From", ALICE)], false),
        (vec![("From", ALICE), date], false),
        (vec![("From", ALICE), id], false),
        (vec![("From", ALICE), date, id], true),
    ] {
        let message = letter_with(&fields, leaves);
        let authors = seal(&message, ALICE, &key, Role::Author);
        let outgoing = Outgoing::from_message(&message, vec![authors.clone()]);
        let sent = alice.session.submit(&outgoing, &to, SubmissionOptions::default(), &|_| {}).await;
        match sent {
            Ok(submitted) => {
                assert!(whole, "{fields:?}");
                assert_eq!(submitted.identity, message.identity());
                let fetched = alice.fetch(submitted.identity).await.unwrap();
                let [first, second] = fetched.seals.try_into().unwrap();
                assert_eq!(first.octets(), authors.octets());
                check_submission_seal(&world, &second, message.manifest());
            }
            Err(cli::Error::Refused(failure)) => {
                assert!(!whole && failure.code == Code::CONTENT_MALFORMED, "{fields:?}: {failure:?}");
            }
            Err(error) => panic!("{fields:?}: {error}"),
        }
    }
    assert_eq!(alice.session.mailbox(0, 10).await.unwrap().len(), 1);
}

/// proves: SUB-9
#[tokio::test]
async fn sign_only_seals_and_sends_nothing() {
    let world = World::started(&[Site::new("north.test"), Site::new("south.test")]).await;
    let mut alice = world.user(ALICE).await;
    let _bob = world.user(BOB).await;
    let message = letter_with(&[("From", ALICE), ("Subject", "Signed")], &[("text/plain", b"Hello")]);
    let options = SubmissionOptions { sign_only: true, ..SubmissionOptions::default() };
    let submitted = alice.submit_with(&message, &[BOB, ALICE], options).await.unwrap();
    assert!(submitted.outcomes.iter().all(|(_, disposition)| *disposition == Disposition::Withdrawn));
    let sealed = submitted.sealed.unwrap();
    let block = message::HeaderBlock::parse(Bytes::from(sealed.header.clone())).unwrap();
    let (headers, manifest): (Headers, _) =
        message.headers().with_message_header(message.manifest(), block).unwrap();
    assert_eq!(manifest.identity(), sealed.identity);
    assert!(headers.message().only("Date").is_some());
    let [octets] = sealed.seals.try_into().unwrap();
    check_submission_seal(&world, &Seal::parse(Bytes::from(octets)).unwrap(), &manifest);

    assert!(alice.session.mailbox(0, 10).await.unwrap().is_empty());
    assert!(alice.session.status(StatusQuery::Latest { before: 0, limit: 10 }).await.unwrap().is_empty());
    let kept = world.events("north.test").count(|event| {
        matches!(event, Event::Committed { .. } | Event::Trying { .. } | Event::Delivered { .. })
    });
    assert_eq!((kept, world.events("south.test").all()), (0, Vec::new()));
    // In no other name either.
    let forged = with_fields(&[("From", "bob@north.test")]);
    let refused = alice.submit_with(&forged, &[BOB], options).await.unwrap();
    let code = |disposition: &Disposition| match disposition {
        Disposition::Refused { code, .. } => Some(*code),
        _ => None,
    };
    assert_eq!(code(&refused.outcomes[0].1), Some(Code::NOT_AUTHORIZED));
    assert!(
        refused.sealed.is_none_or(|sealed| sealed.seals.is_empty()),
        "nothing is sealed in another's name"
    );
}

/// What is offered again with its token is the same submission, from whichever device of the account, at the same time
/// or after the node was begun anew; with another token or in another account it is another one.
///
/// proves: SUB-16
#[tokio::test]
async fn a_token_makes_submissions_one() {
    let mut world = World::started(&[Site::new("north.test"), Site::new("south.test")]).await;
    let (mut alice, mut again) = (world.user(ALICE).await, world.user(ALICE).await);
    let mut bob = world.user(BOB).await;
    // Without Date and Message-Id: each submission of its own gets an identity of its own.
    let message = letter_with(&[("From", ALICE), ("Subject", "Once")], &[("text/plain", b"Hello")]);
    let options = |token: u8| SubmissionOptions { token: Some([token; 16]), ..SubmissionOptions::default() };
    let to = [BOB, ALICE, "nobody@north.test"];
    let (one, other) = tokio::join!(
        alice.submit_with(&message, &to, options(1)),
        again.submit_with(&message, &to, options(1))
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.identity, other.identity);
    world.events("north.test").settled(one.identity, BOB).await;
    world.stop("north.test").await;
    world.start("north.test").await;
    let later = alice.submit_with(&message, &to, options(1)).await.unwrap();
    assert_eq!(later.identity, one.identity);
    // The answer as it stands now.
    assert_eq!(later.outcomes[0].1, Disposition::Accepted);
    assert_eq!(later.outcomes[1].1, Disposition::Accepted);
    assert!(
        matches!(later.outcomes[2].1, Disposition::Refused { code, .. } if code == Code::NO_SUCH_ADDRESS)
    );
    assert_eq!(alice.session.status(StatusQuery::Of(one.identity)).await.unwrap().len(), 1);
    assert_eq!(bob.session.mailbox(0, 10).await.unwrap().len(), 1);
    assert_eq!(alice.session.mailbox(0, 10).await.unwrap().len(), 1);

    let second = alice.submit_with(&message, &to, options(2)).await.unwrap();
    assert_ne!(second.identity, one.identity);
    let mut carol = world.user("carol@north.test").await;
    let hers = letter_with(&[("From", "carol@north.test")], &[("text/plain", b"Hello")]);
    assert!(carol.submit_with(&hers, &[ALICE], options(1)).await.is_ok());
    assert_eq!(alice.session.mailbox(0, 10).await.unwrap().len(), 3);
}

/// Undo holds for a recipient at the same node as for any other.
///
/// proves: SUB-12
#[tokio::test]
async fn undo_holds_at_home() {
    let world = World::started(&[Site::new("north.test")]).await;
    let mut alice = world.user(ALICE).await;
    let mut bob = world.user("bob@north.test").await;
    let after =
        |seconds| SubmissionOptions { release_after_seconds: seconds, ..SubmissionOptions::default() };
    let message = with_fields(&[("From", ALICE), ("Comments", "not yet")]);
    let sent = alice.submit_with(&message, &["bob@north.test"], after(3600)).await.unwrap();
    assert!(matches!(sent.outcomes[0].1, Disposition::Pending { .. }), "{:?}", sent.outcomes);
    let cookies = vec![cookie(&sent.outcomes[0].1)];
    alice.session.give_up(cookies).await.unwrap();
    assert_eq!(alice.dispositions(sent.identity).await, [Disposition::Withdrawn]);
    let later = with_fields(&[("From", ALICE), ("Comments", "soon")]);
    let sent = alice.submit_with(&later, &["bob@north.test"], after(1)).await.unwrap();
    assert_eq!(
        world.events("north.test").settled(sent.identity, "bob@north.test").await,
        Disposition::Accepted
    );
    let mail = bob.session.mailbox(0, 10).await.unwrap();
    assert_eq!(mail.iter().map(|entry| entry.identity).collect::<Vec<_>>(), [sent.identity]);
    assert_eq!(alice.session.status(StatusQuery::Latest { before: 0, limit: 10 }).await.unwrap().len(), 2);
}

/// For recipients at other nodes.
///
/// proves: SUB-12, STA-8
#[tokio::test]
async fn what_is_given_up_in_time_is_never_heard_of() {
    let world = World::started(&[Site::new("north.test"), Site::new("south.test")]).await;
    let mut alice = world.user(ALICE).await;
    let mut bob = world.user(BOB).await;
    let options = SubmissionOptions { release_after_seconds: 3600, ..SubmissionOptions::default() };
    let submitted = alice.submit_with(&letter(ALICE, "Oh no"), &[BOB], options).await.unwrap();
    let given = cookie(&submitted.outcomes[0].1);
    let [record] =
        alice.session.status(StatusQuery::Of(submitted.identity)).await.unwrap().try_into().unwrap();
    assert!(record.release_at_ms > record.at_ms);
    alice.session.give_up(vec![given]).await.unwrap();
    assert_eq!(alice.dispositions(submitted.identity).await, [Disposition::Withdrawn]);

    // What is sent afterwards arrives; when it is there, the other would have been tried long ago.
    let second = alice.send(&letter(ALICE, "Better so"), &[BOB]).await;
    world.events("south.test").delivered(second, BOB).await;
    let [entry] = bob.session.mailbox(0, 10).await.unwrap().try_into().unwrap();
    assert_eq!(entry.identity, second);
    let heard = |domain: &str| {
        world.events(domain).count(|event| match event {
            Event::Trying { identity, .. } => *identity == submitted.identity,
            Event::Offered { identity, .. } => domain == "south.test" && *identity == submitted.identity,
            _ => false,
        })
    };
    assert_eq!((heard("north.test"), heard("south.test")), (0, 0));
}

/// With a window of a second it goes out by itself, and not before.
#[tokio::test]
async fn what_is_not_given_up_goes_out_in_time() {
    let world = World::started(&[Site::new("north.test"), Site::new("south.test")]).await;
    let mut alice = world.user(ALICE).await;
    let _bob = world.user(BOB).await;
    let options = SubmissionOptions { release_after_seconds: 1, ..SubmissionOptions::default() };
    let before = Instant::now();
    let submitted = alice.submit_with(&letter(ALICE, "In a second"), &[BOB], options).await.unwrap();
    let north = world.events("north.test");
    assert_eq!(north.settled(submitted.identity, BOB).await, Disposition::Accepted);
    let tried = north.when(&|event| matches!(event, Event::Trying { .. })).unwrap();
    // The node looked at its clock, which has milliseconds, after it was asked.
    assert!((tried - before).as_millis() >= 995, "{:?}", tried - before);
}

/// What goes back must fit in a frame: headers of 60,000 octets do not.
///
/// proves: SUB-10
#[tokio::test]
async fn what_cannot_go_back_is_not_sealed() {
    let world = World::started(&[Site::new("north.test")]).await;
    let mut alice = world.user(ALICE).await;
    let long = "x".repeat(50_000);
    let message = with_fields(&[("From", ALICE), ("Comments", &long)]);
    let options = SubmissionOptions { sign_only: true, ..SubmissionOptions::default() };
    let sealed = alice.submit_with(&message, &["bob@north.test"], options).await;
    let Err(cli::Error::Refused(failure)) = sealed else { panic!("{sealed:?}") };
    assert_eq!(failure.code, Code::MESSAGE_TOO_LARGE);
    assert!(alice.submit(&message, &["bob@south.test"]).await.is_ok(), "it can be sent");
}

/// proves: SUB-13, SUB-14
#[tokio::test]
async fn a_user_reads_only_its_own_mail() {
    let world = World::started(&[Site::new("north.test")]).await;
    let mut alice = world.user(ALICE).await;
    let mut bob = world.user("bob@north.test").await;
    let mine = alice.send(&letter(ALICE, "For me"), &[ALICE]).await;
    let also = alice.send(&letter(ALICE, "For both"), &[ALICE, "bob@north.test"]).await;
    let listed = |entries: Vec<protocol::MailboxEntry>| -> Vec<message::Identity> {
        entries.iter().map(|entry| entry.identity).collect()
    };
    let all = alice.session.mailbox(0, 10).await.unwrap();
    assert!(all[0].number < all[1].number);
    assert_eq!(listed(alice.session.mailbox(all[0].number, 10).await.unwrap()), [also]);
    assert_eq!(listed(alice.session.mailbox(0, 1).await.unwrap()), [mine]);
    assert_eq!(listed(all), [mine, also]);
    assert_eq!(listed(bob.session.mailbox(0, 10).await.unwrap()), [also]);
    assert!(bob.fetch(also).await.is_ok());

    let never = letter(ALICE, "Never sent").identity();
    for selection in [Selection::All, Selection::Headers, Selection::Signers, Selection::Digest] {
        let foreign = fetch(&mut bob, mine, selection.clone()).await;
        let unknown = fetch(&mut bob, never, selection).await;
        assert_eq!(foreign, unknown, "another's message looks like none");
    }
    assert!(bob.session.status(StatusQuery::Of(mine)).await.unwrap().is_empty(), "nor is its status told");
    assert_eq!(alice.session.status(StatusQuery::Of(mine)).await.unwrap().len(), 1);
}

/// What a fetch that must fail says.
async fn fetch(user: &mut User, identity: message::Identity, selection: Selection) -> protocol::Failure {
    let mut incoming = Incoming::into_memory(identity, 1 << 20);
    match user.session.fetch(identity, selection, &mut incoming).await {
        Err(cli::Error::Refused(failure)) => failure,
        other => panic!("{other:?}"),
    }
}
