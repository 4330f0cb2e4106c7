//! A user whose mail program submits by SMTP may have failures told in the own mailbox, and nobody else has anything of it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use control::{Request, Response};
use message::Disposition;
use node::Choice;
use rustls::{ClientConnection, StreamOwned};
use waxwing_tests::smtp::any_server;
use waxwing_tests::world::{free_address, until};
use waxwing_tests::{Site, User, World, letter};

async fn notices(world: &World, on: bool) {
    let mut client = control::Client::connect(&world.data("north.test").join("control.sock")).await.unwrap();
    let order = Request::AccountNotices { name: "alice".to_owned(), on };
    assert_eq!(client.call(&order).await.unwrap(), Response::Done);
}

/// Submits at port 465 as an ordinary mail program does.
fn submit(at: SocketAddr, to: &str, subject: &str) {
    let stream = TcpStream::connect(at).unwrap();
    let connection = ClientConnection::new(any_server().unwrap(), "north.test".try_into().unwrap()).unwrap();
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    let login = data_encoding::BASE64.encode(b"\0alice\0password of alice");
    let message = format!(
        "From: <alice@north.test>\r\nTo: <{to}>\r\nSubject: {subject}\r\nDate: Mon, 23 Nov 2026 02:00:00 +0000\r\n\
         Message-ID: <{subject}@north.test>\r\n\r\nhi\r\n."
    );
    let lines = [
        String::new(),
        "EHLO laptop.north.test".to_owned(),
        format!("AUTH PLAIN {login}"),
        "MAIL FROM:<alice@north.test>".to_owned(),
        // What a user wants to be told is for the node to say, and not for RCPT.
        format!("RCPT TO:<{to}> NOTIFY=SUCCESS,FAILURE"),
        "DATA".to_owned(),
        message,
    ];
    for (line, digits) in lines.iter().zip(["220", "250", "235", "250", "250", "354", "250"]) {
        if !line.is_empty() {
            stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
        }
        loop {
            let mut said = String::new();
            stream.read_line(&mut said).unwrap();
            assert!(said.starts_with(digits), "{line}: {said}");
            if said.as_bytes().get(3) != Some(&b'-') {
                break;
            }
        }
    }
}

/// The messages in a mailbox, as RFC 5322 has them.
fn mail(world: &World, user: &User) -> Vec<String> {
    let store = world.node(user.address.domain().as_str()).store().clone();
    let entries = store.mailbox(&user.account, None, 9).unwrap();
    let form = |identity| {
        let stored = store.message(identity).unwrap().unwrap();
        String::from_utf8(node::legacy_form(store.as_ref(), &stored, &[]).unwrap()).unwrap()
    };
    entries.iter().map(|entry| form(entry.identity)).collect()
}

/// proves: STA-13, STA-21
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_may_have_failures_told_in_the_own_mailbox_and_nowhere_else() {
    let at = free_address();
    let lines = format!(
        "[policy]\nfirst-contact = \"accept\"\n[gateway]\nsubmissions = \"{at}\"\n[gateway.out]\nenabled = false"
    );
    let world = World::started(&[
        Site::new("north.test").lines(&lines),
        Site::new("south.test").rule("bob-decides", "bob@south.test", "hold all"),
    ])
    .await;
    let alice = world.user("alice@north.test").await;
    let mut bob = world.user("bob@south.test").await;
    let bob_is = bob.address.clone();
    let south = world.node("south.test");
    let refuse = async |count: usize| {
        let held = || south.store().held(Some("bob"), None, 9).unwrap();
        assert!(until(|| held().len() == count).await, "{:?}", world.events("south.test"));
        for one in held() {
            south.decide_held(Some("bob"), one.identity, &bob_is, Choice::REFUSE).await.unwrap();
        }
    };
    let store = world.node("north.test").store().clone();
    let queue_is_empty = async || {
        assert!(until(|| store.legs(None, None, 9).unwrap().is_empty()).await, "it is not settled");
    };
    let submitted =
        |subject: &'static str| tokio::task::spawn_blocking(move || submit(at, "bob@south.test", subject));

    // By default nothing is made.
    submitted("first").await.unwrap();
    refuse(1).await;
    queue_is_empty().await;
    assert_eq!((mail(&world, &alice), store.notices_due(None, 9).unwrap().len()), (Vec::new(), 0));

    notices(&world, true).await;
    submitted("second").await.unwrap();
    refuse(1).await;
    assert!(until(|| mail(&world, &alice).len() == 1).await, "{:?}", world.events("north.test"));
    let notice = mail(&world, &alice).remove(0);
    for line in [
        "report-type=delivery-status",
        "Action: failed",
        "bob@south.test",
        "Subject: second",
        "Auto-Submitted:",
    ] {
        assert!(notice.contains(line), "{line}\n{notice}");
    }
    // It is there once, is due no more, went through no queue, and is not one of the things that Alice has sent.
    assert!(until(|| store.notices_due(None, 9).unwrap().is_empty()).await);
    assert!(store.legs(None, None, 9).unwrap().is_empty());
    assert_eq!(mail(&world, &bob), Vec::<String>::new());
    let mut alice = alice;
    let sent = alice.session.status(protocol::StatusQuery::Latest { before: 0, limit: 9 }).await.unwrap();
    assert_eq!(sent.len(), 2, "{sent:?}");

    // What is not later is told at once and in no other way; and what others bring is nobody's to be told.
    let from_bob = bob.send(&letter("bob@south.test", "To nobody\r\n"), &["nobody@north.test"]).await;
    let told = world.events("south.test").settled(from_bob, "nobody@north.test").await;
    assert!(matches!(told, Disposition::Refused { .. }));
    notices(&world, false).await;
    submitted("third").await.unwrap();
    refuse(1).await;
    queue_is_empty().await;
    assert_eq!(mail(&world, &alice).len(), 1);
    assert!(store.notices_due(None, 9).unwrap().is_empty());
}
