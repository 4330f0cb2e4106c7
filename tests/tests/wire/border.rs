//! The door of a real node to the old world: who would relay, who uses another's return path, and what is said where not all have
//! decided.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use control::{ForwardOrder, Request, Response};
use node::Choice;
use waxwing_tests::smtp::dialogue;
use waxwing_tests::world::{free_address, until};
use waxwing_tests::{Site, World};

use crate::kept_sender::{PLAIN, serve};

#[path = "../../../crates/gateway/src/smtp/tests/attempts.rs"]
mod attempts;

async fn say(server: SocketAddr, lines: &[&str]) -> Vec<String> {
    let lines: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
    let talk = move || {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        dialogue(server, &lines)
    };
    tokio::task::spawn_blocking(talk).await.unwrap().unwrap()
}

async fn order(world: &World, domain: &str, order: ForwardOrder) -> Response {
    let mut client = control::Client::connect(&world.data(domain).join("control.sock")).await.unwrap();
    client.call(&Request::Forward { order }).await.unwrap()
}

/// An alias of this node that leads to far.test, as if it had been granted.
async fn lead(world: &World, domain: &str, alias: &str) {
    let order = order(
        world,
        domain,
        ForwardOrder::Add {
            alias: alias.to_owned(),
            target: "new@far.test".to_owned(),
            conceal: false,
            rewrite: false,
            granted: true,
            keep_sender: false,
        },
    );
    assert!(matches!(order.await, Response::Forwards { .. }));
}

/// A node that has an alias and sends to other domains is tried with every way to name another's address; then one letter goes by
/// its alias, and is the first that anybody hears.
///
/// proves: GW-7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_node_relays_nothing() {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let (port, at) = (listener.local_addr().unwrap().port(), free_address());
    let heard = serve(listener, PLAIN);
    let old = |domain| Site::new(domain).of_the_old_world().records("@ MX 10 mx\nmx A 127.0.0.1");
    let lines = format!(
        "[policy]\nfirst-contact = \"accept\"\n[gateway]\nhost = \"mx.in.test\"\ntransfer = \"{at}\"\n\
         [gateway.out]\nport = {port}\n"
    );
    let sites = [
        Site::new("in.test").lines(&lines),
        old("far.test"),
        old("other.test"),
        old("third.test"),
        old("in.test.other.test"),
    ];
    let mut world = World::new(&sites).await;
    world.start("in.test").await;
    world.user("bob@in.test").await;
    lead(&world, "in.test", "old@in.test").await;
    let plain = attempts::ATTEMPTS.iter().map(|attempt| (*attempt, ""));
    let utf8 = attempts::UTF8_ATTEMPTS.iter().map(|attempt| (*attempt, " SMTPUTF8"));
    for (attempt, parameter) in plain.chain(utf8) {
        let mail = format!("MAIL FROM:<eve@far.test>{parameter}");
        let said = say(at, &["EHLO client.test", &mail, attempt, "DATA"]).await;
        assert!(said[3].starts_with('5') && said[4].starts_with("554 "), "{attempt}: {said:?}");
    }
    let message = "From: eve@far.test\r\nSubject: by the alias\r\n\r\nhello\r\n.";
    let mail = "MAIL FROM:<eve@far.test>";
    let said = say(at, &["EHLO client.test", mail, "RCPT TO:<old@in.test>", "DATA", message]).await;
    assert!(said[5].starts_with("250 ") || said[5].starts_with("450 "), "{said:?}");
    let first = tokio::task::spawn_blocking(move || (heard.recv_timeout(Duration::from_secs(20)), heard));
    let (first, heard) = first.await.unwrap();
    let first = first.expect("what comes for the alias goes on");
    assert!(first.message.contains("by the alias") && first.rcpt.contains("new@far.test"), "{}", first.rcpt);
    assert!(heard.try_recv().is_err(), "and nothing else");
}

/// At RCPT, and after the content where the forwarding has ended in the middle.
///
/// proves: FWD-7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_leads_nowhere_any_more_has_moved() {
    let at = free_address();
    let lines = format!("[policy]\nfirst-contact = \"accept\"\n[gateway]\ntransfer = \"{at}\"\n");
    let far = Site::new("far.test").of_the_old_world().records("@ MX 10 mx\nmx A 127.0.0.1");
    let mut world = World::new(&[Site::new("in.test").lines(&lines), far]).await;
    world.start("in.test").await;
    lead(&world, "in.test", "old@in.test").await;
    let (to_talk, begin) = std::sync::mpsc::channel::<()>();
    let (tell, told) = tokio::sync::oneshot::channel();
    let talk = tokio::task::spawn_blocking(move || {
        use std::io::{BufRead, BufReader};
        let mut stream = BufReader::new(std::net::TcpStream::connect(at).unwrap());
        stream.get_ref().set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut hear = move |line: Option<&str>| {
            if let Some(line) = line {
                stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
            }
            loop {
                let mut reply = String::new();
                stream.read_line(&mut reply).unwrap();
                if reply.as_bytes().get(3) != Some(&b'-') {
                    return reply;
                }
            }
        };
        hear(None);
        let before = ["EHLO client.test", "MAIL FROM:<eve@far.test>", "RCPT TO:<old@in.test>"];
        before.iter().for_each(|line| assert!(hear(Some(line)).starts_with("250 "), "{line}"));
        tell.send(()).unwrap();
        begin.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(hear(Some("DATA")).starts_with("354 "));
        hear(Some("From: eve@far.test\r\nSubject: late\r\n\r\nhello\r\n."))
    });
    told.await.unwrap();
    let end = ForwardOrder::Remove {
        alias: "old@in.test".to_owned(),
        target: "new@far.test".to_owned(),
        forget: false,
    };
    assert_eq!(order(&world, "in.test", end).await, Response::Done);
    to_talk.send(()).unwrap();
    let said = talk.await.unwrap();
    assert!(said.starts_with("551 5.1.6 "), "{said}");
    let said = say(at, &["EHLO client.test", "MAIL FROM:<eve@far.test>", "RCPT TO:<old@in.test>"]).await;
    assert!(said[3].starts_with("551 5.1.6 ") && !said[3].contains("new@"), "{said:?}");
}

/// Of two recipients one has decided. Whoever says nothing of its own to each is asked to come again, and who has the message
/// does not get it twice.
///
/// proves: GW-13, STA-19
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_prdr_a_sender_comes_again_for_who_has_not_decided() {
    let at = free_address();
    let lines = format!(
        "[policy]\nfirst-contact = \"accept\"\n[gateway]\ntransfer = \"{at}\"\n[gateway.out]\nenabled = false\n\
         [[rules]]\nname = \"bob-decides\"\nto = \"bob@in.test\"\nhold = \"all\"\n"
    );
    let world = World::started(&[Site::new("in.test").lines(&lines)]).await;
    let (alice, bob) = (world.user("alice@in.test").await, world.user("bob@in.test").await);
    let store = world.node("in.test").store();
    let has = |account: &str| store.mailbox(account, None, 9).unwrap().len();
    let hand_in = async |mail: &str, id: &str| {
        let message = format!("From: eve@far.test\r\n{id}Subject: hello\r\n\r\nhello\r\n.");
        let to = ["RCPT TO:<alice@in.test>", "RCPT TO:<bob@in.test>"];
        say(at, &["EHLO client.test", mail, to[0], to[1], "DATA", &message]).await.remove(6)
    };
    let (mail, id) = ("MAIL FROM:<eve@far.test>", "Message-Id: <1@far.test>\r\n");
    for _ in 0..2 {
        let said = hand_in(mail, id).await;
        assert!(said.starts_with("450 4.7.1 "), "{said}");
        assert_eq!((has(&alice.account), has(&bob.account)), (1, 0));
    }
    let said = hand_in("MAIL FROM:<eve@far.test> PRDR", id).await;
    assert!(said.starts_with("353 "), "{said}");
    let held = store.held(Some("bob"), None, 9).unwrap();
    assert_eq!(held.len(), 1, "it is held once");
    let node = world.node("in.test");
    node.decide_held(Some("bob"), held[0].identity, &bob.address, Choice::ACCEPT).await.unwrap();
    assert!(until(|| has(&bob.account) == 1).await);
    let said = hand_in(mail, id).await;
    assert!(said.starts_with("250 "), "{said}");
    assert_eq!((has(&alice.account), has(&bob.account)), (1, 1));
    // What cannot be known again is not asked for again.
    let said = hand_in(mail, "").await;
    assert!(said.starts_with("250 "), "{said}");
    assert_eq!((has(&alice.account), has(&bob.account)), (2, 1));
}

/// The rules of qmail at a real node, by the configuration: what is named is proved and says so, what may say anything is not.
///
/// proves: MAV-5, MAV-8, MAV-9, MAV-10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rules_of_qmail_are_kept_in_the_session() {
    let at = free_address();
    let lines = format!(
        "[policy]\nfirst-contact = \"accept\"\n[mailbox]\nmaildir = true\n[gateway]\nhost = \"mx.in.test\"\n\
         transfer = \"{at}\"\n[gateway.out]\nenabled = false\n[gateway.mav]\nmailfromrules = \"mailfromrules\"\n"
    );
    let mut world = World::new(&[Site::new("in.test").lines(&lines)]).await;
    let file = world.data("in.test").parent().unwrap().join("mailfromrules");
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    opened.unwrap().write_all(b"# the relay\n127.0.0.&@fine.test,ann@other.test\n").unwrap();
    world.start("in.test").await;
    let bob = world.user("bob@in.test").await;
    for path in ["eve@sub.fine.test", "eve@other.test", "eve@badfine.test"] {
        let said = say(at, &["EHLO client.test", &format!("MAIL FROM:<{path}>")]).await;
        assert!(said[2].starts_with("553 5.7.1 "), "{path}: {said:?}");
    }
    let message = "From: ann@fine.test\r\nSubject: hello\r\n\r\nhello\r\n.";
    let mail = "MAIL FROM:<ann@fine.test>";
    let said = say(at, &["EHLO client.test", mail, "RCPT TO:<bob@in.test>", "DATA", message]).await;
    assert!(said[5].starts_with("250 "), "{said:?}");
    let store = world.node("in.test").store();
    let entry = store.mailbox(&bob.account, None, 2).unwrap().remove(0);
    let stored = store.message(entry.identity).unwrap().unwrap();
    let checks = &stored.seals[0].claims().checks;
    assert!(checks.contains(&("mav".to_owned(), "ESMTPM".to_owned())), "{checks:?}");
    let storage::Origin::Legacy(origin) = &entry.origin else { panic!("{:?}", entry.origin) };
    assert_eq!(origin.holder(), "smtp:fine.test", "the rule proves it");
    let results = &origin.authentication_results;
    assert!(results.contains("x-mav=pass reason=\"ESMTPM\" smtp.mailfrom=ann@fine.test"), "{results}");
    assert!(origin.received.contains(" with ESMTPM "), "{}", origin.received);
}
