//! What the console asks of a node: for whom it is answered, what it is told of what was sent and refused, and how soon.

use control::{Client, FailureKind, ForwardOrder, HeldDecision, Password, Request, Response};
use message::address::Address;
use message::{Disposition, Identity, Message, Role, SecretKey};
use node::{Event, Node};
use storage::{Acceptance, AccountRecord, Content, Effect, Intended, NewMessage, Origin, Pend, Stage};
use waxwing_tests::{Site, World, letter, letter_with};

const ALICE: &str = "alice@north.test";
const BOB: &str = "bob@south.test";
const CAROL: &str = "carol@south.test";

async fn operator(world: &World, domain: &str) -> Client {
    Client::connect(&world.data(domain).join("control.sock")).await.unwrap()
}

async fn ask(client: &mut Client, request: Request) -> Response {
    client.call(&request).await.unwrap()
}

fn about(subject: &str) -> Message {
    let fields = [
        ("From", ALICE),
        ("Subject", subject),
        ("Date", "Thu, 1 Jan 2026 12:00:00 +0000"),
        ("Message-Id", "<1@console.test>"),
    ];
    letter_with(&fields, &[("text/plain", b"Read it.")])
}

async fn standing(client: &mut Client, name: &str) -> Option<String> {
    match ask(client, Request::AccountStanding { name: name.to_owned() }).await {
        Response::Standing { standing } => standing,
        other => panic!("{other:?}"),
    }
}

/// All that can be asked for an account, of one that is closed or not there.
async fn told_nothing(client: &mut Client) {
    assert_eq!(standing(client, "bob").await, None);
    let account = || "bob".to_owned();
    let (recipient, forwarder) = (|| BOB.to_owned(), || "west.test".to_owned());
    let decide = |granted| ForwardOrder::Decide {
        account: Some(account()),
        recipient: recipient(),
        forwarder: forwarder(),
        granted,
    };
    let identity = "ab".repeat(32);
    for request in [
        Request::MailList { account: account(), before: None, limit: 1 },
        Request::MailShow { account: account(), number: 1 },
        Request::MailPart { account: account(), number: 1, part: 0, offset: 0 },
        Request::MailSeen { account: account(), number: 1, seen: true },
        Request::MailReport { account: account(), number: 1 },
        Request::Sent { account: account(), before: None, limit: 1 },
        Request::SentShow { account: account(), envelope: 1 },
        Request::HeldList { account: Some(account()), after: None, limit: 1 },
        Request::HeldShow {
            identity: identity.clone(),
            recipient: Some(recipient()),
            account: Some(account()),
        },
        Request::HeldDecide {
            identity,
            recipient: Some(recipient()),
            decision: HeldDecision::Accept { trust: false },
            account: Some(account()),
        },
        Request::Correspondents { account: account(), after: None, limit: 1 },
        Request::CorrespondentPut {
            account: account(),
            who: ALICE.to_owned(),
            regard: "trusted".to_owned(),
            note: String::new(),
        },
        Request::CorrespondentRemove { account: account(), who: ALICE.to_owned() },
        Request::Forward { order: ForwardOrder::Grants { account: Some(account()), after: None, limit: 1 } },
        Request::Forward { order: decide(true) },
        Request::Forward { order: decide(false) },
        Request::Forward {
            order: ForwardOrder::Forget {
                account: Some(account()),
                recipient: recipient(),
                forwarder: forwarder(),
            },
        },
        Request::Forward {
            order: ForwardOrder::Walk {
                account: Some(account()),
                recipient: recipient(),
                forwarder: forwarder(),
            },
        },
        Request::Watch { account: Some(account()), after: None, seconds: 0 },
    ] {
        let answer = ask(client, request.clone()).await;
        let refused = matches!(&answer, Response::Failure(one) if one.kind == FailureKind::NotFound && one.text.ends_with("or it is closed"));
        assert!(refused, "{request:?}: {answer:?}");
    }
}

/// What was opened with a password can tell when it is not that of the account any more.
///
/// proves: CON-2
#[tokio::test]
async fn an_account_that_is_gone_is_told_nothing() {
    let world = World::started(&[Site::new("south.test")]).await;
    let _bob = world.user(BOB).await;
    let mut client = operator(&world, "south.test").await;
    let first = standing(&mut client, "bob").await;
    assert!(first.is_some() && first == standing(&mut client, "bob").await);
    let login = Request::Login {
        account: BOB.to_owned(),
        password: Password::new("password of bob"),
        network: "here".to_owned(),
    };
    let Response::LoggedIn { standing: told, .. } = ask(&mut client, login).await else { panic!("no login") };
    assert_eq!(told, first);
    // The same password once more is another one: whoever asks for it may have reason to.
    let password = Password::new("password of bob");
    ask(&mut client, Request::AccountPassword { name: "bob".to_owned(), password }).await;
    let second = standing(&mut client, "bob").await;
    assert!(second.is_some() && second != first);
    // What else is changed logs nobody out.
    ask(&mut client, Request::AccountNotices { name: "bob".to_owned(), on: true }).await;
    assert_eq!(standing(&mut client, "bob").await, second);

    let store = world.node("south.test").store().clone();
    let open = store.account("bob").unwrap().unwrap();
    store.put_account(AccountRecord { disabled: true, ..open }).await.unwrap();
    told_nothing(&mut client).await;
    ask(&mut client, Request::AccountRemove { name: "bob".to_owned() }).await;
    told_nothing(&mut client).await;
    let account = || "bob".to_owned();
    let add = Request::AccountAdd {
        name: account(),
        addresses: vec![BOB.to_owned()],
        password: Some(Password::new("password of bob")),
    };
    ask(&mut client, add).await;
    let third = standing(&mut client, "bob").await;
    assert!(third.is_some() && third != second && third != first);
}

/// proves: CON-5
#[tokio::test]
async fn nobody_learns_what_is_held_for_others() {
    let south = Site::new("south.test").rule("hold-carol", CAROL, "hold text");
    let world = World::started(&[Site::new("north.test"), south]).await;
    let (mut alice, _bob, _carol) = (world.user(ALICE).await, world.user(BOB).await, world.user(CAROL).await);
    let held = alice.send(&letter(ALICE, "For Carol alone"), &[CAROL]).await;
    let decided = |event: &Event| match event {
        Event::Decided { identity, .. } => (*identity == held).then_some(()),
        _ => None,
    };
    world.events("south.test").find("held for Carol", decided).await;
    let there = alice.send(&letter(ALICE, "For Bob"), &[BOB]).await;
    world.events("south.test").delivered(there, BOB).await;
    let mut client = operator(&world, "south.test").await;
    let show = |identity: String, recipient: &str, account: &str| Request::HeldShow {
        identity,
        recipient: Some(recipient.to_owned()),
        account: Some(account.to_owned()),
    };
    let own = ask(&mut client, show(held.to_string(), CAROL, "carol")).await;
    assert!(matches!(own, Response::Held(_)), "{own:?}");
    let mut answers = Vec::new();
    for (identity, recipient) in [
        // Somebody else's, one that came and is not held, one that there is not, and what could be several.
        (held.to_string(), CAROL),
        (held.to_string(), BOB),
        (there.to_string(), BOB),
        ("7".repeat(64), BOB),
        (held.to_string()[..6].to_owned(), CAROL),
        (held.to_string()[..6].to_owned(), BOB),
        ("777777".to_owned(), BOB),
        ("no digits".to_owned(), BOB),
    ] {
        answers.push(ask(&mut client, show(identity.clone(), recipient, "bob")).await);
        let decide = Request::HeldDecide {
            identity,
            recipient: Some(recipient.to_owned()),
            decision: control::HeldDecision::Accept { trust: true },
            account: Some("bob".to_owned()),
        };
        answers.push(ask(&mut client, decide).await);
    }
    assert!(
        matches!(&answers[0], Response::Failure(one) if one.kind == FailureKind::NotFound),
        "{answers:?}"
    );
    assert!(answers.iter().all(|one| *one == answers[0]), "{answers:#?}");
}

async fn traced(world: &World, domain: &str, identity: Identity) -> Response {
    let mut client = operator(world, domain).await;
    ask(&mut client, Request::Trace { identity: identity.to_string()[..12].to_owned() }).await
}

/// Nothing of it is kept but why.
///
/// proves: POL-8, POL-13
#[tokio::test]
async fn a_refused_offer_is_traced_also_after_a_restart() {
    let south = Site::new("south.test").rule("never-carol", CAROL, "refuse");
    let mut world = World::started(&[Site::new("north.test"), south]).await;
    let mut alice = world.user(ALICE).await;
    world.user(CAROL).await;
    let refused = alice.send(&letter(ALICE, "Nobody wants it"), &["nobody@south.test", CAROL]).await;
    for recipient in ["nobody@south.test", CAROL] {
        let settled = world.events("north.test").settled(refused, recipient).await;
        assert!(matches!(settled, Disposition::Refused { .. }), "{settled:?}");
    }
    let before = traced(&world, "south.test", refused).await;
    let Response::Envelopes { envelopes, refusals } = &before else { panic!("{before:?}") };
    assert_eq!(envelopes, &[]);
    let mut told: Vec<_> = refusals
        .iter()
        .map(|one| (one.recipient.as_str(), one.origin.as_str(), one.code.as_str(), one.why.as_str()))
        .collect();
    told.sort_unstable();
    let [carol, nobody] = told[..] else { panic!("{told:?}") };
    assert_eq!((carol.0, carol.1, carol.2), (CAROL, "north.test", "5.7.1"));
    assert!(carol.3.starts_with("rule never-carol: ") && carol.3.contains(CAROL), "{carol:?}");
    assert_eq!((nobody.0, nobody.2), ("nobody@south.test", "5.1.1"));
    assert_eq!(nobody.3, "rule no-such-address: no account has nobody@south.test");

    world.stop("south.test").await;
    world.start("south.test").await;
    assert_eq!(traced(&world, "south.test", refused).await, before);
}

async fn sent(client: &mut Client) -> Vec<control::SentView> {
    match ask(client, Request::Sent { account: "alice".to_owned(), before: None, limit: 10 }).await {
        Response::Sent { sent } => sent,
        other => panic!("{other:?}"),
    }
}

/// proves: STA-22
#[tokio::test]
async fn what_was_sent_keeps_its_subject_and_says_what_it_waits_for() {
    let south = Site::new("south.test").rule("hold-carol", CAROL, "hold text");
    let mut world = World::new(&[Site::new("north.test"), south, Site::new("west.test")]).await;
    world.start("north.test").await;
    world.start("south.test").await;
    let mut alice = world.user(ALICE).await;
    world.user(BOB).await;
    world.user(CAROL).await;
    let long = format!("{}ü", "s".repeat(199));
    let settled = alice.send(&about(&long), &[BOB]).await;
    assert_eq!(world.events("north.test").settled(settled, BOB).await, Disposition::Accepted);
    let held = alice.send(&about("To be decided"), &[CAROL]).await;
    let waits = |event: &Event| match event {
        Event::Settled { identity, disposition: Disposition::Pending { .. }, by, .. }
            if *identity == held =>
        {
            Some(by.clone())
        }
        _ => None,
    };
    assert_eq!(world.events("north.test").find("it waits", waits).await, "account:alice");
    let away = alice.send(&about("To nobody yet"), &["wanda@west.test"]).await;
    let tried = |event: &Event| match event {
        Event::Retrying { identity, by, .. } if *identity == away => Some(by.clone()),
        _ => None,
    };
    assert_eq!(world.events("north.test").find("it is tried", tried).await, "account:alice");
    assert!(world.node("north.test").store().message(settled).unwrap().is_none(), "the message is gone");

    let mut client = operator(&world, "north.test").await;
    let all = sent(&mut client).await;
    let subjects: Vec<_> = all.iter().map(|one| one.subject.as_deref()).collect();
    assert_eq!(subjects, [Some("To nobody yet"), Some("To be decided"), Some(&long[..199])]);
    let words: Vec<_> = all.iter().map(|one| one.envelope.recipients[0].waits.as_deref()).collect();
    assert!(words[0].is_some_and(|words| words.starts_with("not delivered yet: ")), "{words:?}");
    assert_eq!(words[1..], [Some("waits at the recipient's node, for a decision there"), None]);
    assert!(all.iter().all(|one| one.envelope.attempts.is_empty()), "a list shows no attempts");
}

/// proves: STA-23
#[tokio::test]
async fn who_has_submitted_hears_of_it() {
    let world = World::started(&[Site::new("north.test"), Site::new("south.test")]).await;
    let mut alice = world.user(ALICE).await;
    world.user("dan@north.test").await;
    world.user(BOB).await;
    let mut client = operator(&world, "north.test").await;
    let watch =
        |account: &str, after| Request::Watch { account: Some(account.to_owned()), after, seconds: 20 };
    let Response::Flow { last: mut after, .. } = ask(&mut client, watch("alice", None)).await else {
        panic!("no flow")
    };
    let before = after;
    let identity = alice.send(&letter(ALICE, "Will he get it?"), &[BOB]).await.to_string();
    let mut kinds = Vec::new();
    while !kinds.iter().any(|kind| kind == "settled") {
        let answer = ask(&mut client, watch("alice", Some(after))).await;
        let Response::Flow { events, last } = answer else { panic!("{answer:?}") };
        assert!(!events.is_empty(), "nothing came: {kinds:?}");
        let own = events.into_iter().filter(|event| event.identity.as_ref() == Some(&identity));
        kinds.extend(own.map(|event| event.kind));
        after = last;
    }
    assert!(kinds.iter().any(|kind| kind == "trying"), "{kinds:?}");
    let others = Request::Watch { account: Some("dan".to_owned()), after: Some(before), seconds: 0 };
    let Response::Flow { events, .. } = ask(&mut client, others).await else { panic!("no flow") };
    assert_eq!(events, [], "it is nobody else's business");
}

/// Puts a letter of its own on the list of what is held for an account.
async fn hold(node: Node, key: SecretKey, account: String, number: usize) {
    let from = format!("writer{number}@north.test");
    let message = letter(&from, &format!("Letter {number} for {account}"));
    let seal = waxwing_tests::peer::seal(&message, "north.test", &key, Role::Submission);
    let now_ms = node.now_ms();
    let pend = Pend {
        account: Some(account.clone()),
        stage: Stage::Undecided,
        wanted: None,
        reason: "rule first-contact: a stranger".to_owned(),
        seals: Vec::new(),
    };
    let mut cookie = [0; 32];
    waxwing_tests::world::random(&mut cookie);
    let answer = Disposition::Pending {
        cookie: message::Cookie::from_bytes(cookie),
        min_seconds: 60,
        max_seconds: 3_600,
        until: now_ms / 1_000 + 86_400,
    };
    let new = NewMessage {
        manifest: message.manifest().clone(),
        headers: Some(message.headers().clone()),
        seals: vec![seal],
        parts: Vec::new(),
    };
    let acceptance = Acceptance {
        offered_as: message.identity(),
        content: Content::New(new),
        octets: message.manifest().message_octets(),
        origin: Origin::Peer { domain: message::address::Domain::from_wire("north.test").unwrap() },
        trace: Vec::new(),
        now_ms,
        expires_at_ms: now_ms + 86_400_000,
        release_at_ms: None,
        recipients: vec![Intended {
            address: Address::parse(&format!("{account}@south.test")).unwrap(),
            effect: Effect::Pend(pend),
            answer,
            why: None,
        }],
        again: Vec::new(),
        members: Vec::new(),
        room: None,
    };
    node.store().accept(acceptance).await.unwrap();
}

/// As many as ten accounts may have; the first page of one of them is there before anybody notices.
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_page_of_ten_thousand_held_comes_soon() {
    const ACCOUNTS: usize = 10;
    const EACH: usize = 1_000;
    let world = World::started(&[Site::new("south.test"), Site::new("north.test")]).await;
    for account in 0..ACCOUNTS {
        let address = Address::parse(&format!("holder{account}@south.test")).unwrap();
        world.node("south.test").put_account(&format!("holder{account}"), &[address], None).await.unwrap();
    }
    for account in 0..ACCOUNTS {
        let mut holding = tokio::task::JoinSet::new();
        for number in 0..EACH {
            let (node, key) = (world.node("south.test").clone(), world.domain_key("north.test"));
            holding.spawn(hold(node, key, format!("holder{account}"), number));
        }
        holding.join_all().await;
    }
    let mut client = operator(&world, "south.test").await;
    for account in [Some("holder7".to_owned()), None] {
        // The least of some times: what else the machine does comes on top.
        let mut took = std::time::Duration::MAX;
        let mut held = Vec::new();
        for _ in 0..5 {
            let began = std::time::Instant::now();
            let question = Request::HeldList { account: account.clone(), after: None, limit: 50 };
            let answer = ask(&mut client, question).await;
            took = took.min(began.elapsed());
            let Response::HeldList { held: listed } = answer else { panic!("{answer:?}") };
            held = listed;
        }
        assert_eq!(held.len(), 50);
        assert!(
            held.iter().all(|one| one.from.is_some()
                && account.as_ref().is_none_or(|of| one.account.as_ref() == Some(of)))
        );
        assert!(took < std::time::Duration::from_millis(200), "{account:?}: {took:?}");
    }
}
