//! The border to the old world, between two nodes that speak SMTP with each other: one of them has no records of a node in
//! the DNS. Servers of others are met in `tests/tests/interop`.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use message::{Code, Disposition, Identity};
use node::Choice;
use waxwing_tests::smtp::dialogue;
use waxwing_tests::world::{free_address, until};
use waxwing_tests::{Site, User, World, letter};

/// Records by which SPF passes for all that comes from this machine.
const HERE: &str =
    "@ MX 10 mx\nmx A 127.0.0.1\n@ TXT \"v=spf1 ip4:127.0.0.1 -all\"\nmx TXT \"v=spf1 a -all\"";

/// north.test, which has nodes, and old.test, which has a server; and where that listens.
async fn two_worlds(window_seconds: u32, rules: &str) -> (World, SocketAddr, SocketAddr) {
    let (north_port, old_port) = (free_address(), free_address());
    let north = Site::new("north.test").records(HERE).lines(&format!(
        "[policy]\nfirst-contact = \"accept\"\n[gateway]\ntransfer = \"{north_port}\"\n\
         [gateway.out]\nport = {}\nnotice-seconds = {window_seconds}\n",
        old_port.port()
    ));
    let old = Site::new("old.test").of_the_old_world().records(HERE).lines(&format!(
        "[policy]\nfirst-contact = \"accept\"\n{rules}\n[gateway]\ntransfer = \"{old_port}\"\n[gateway.out]\nport = {}\n",
        north_port.port()
    ));
    (World::started(&[north, old]).await, north_port, old_port)
}

/// What became of a message, once that is final for all.
async fn settled(world: &World, user: &mut User, sent: Identity) -> Vec<Disposition> {
    let waiting = async {
        loop {
            let all = user.dispositions(sent).await;
            if all.iter().all(Disposition::is_final) {
                return all;
            }
            tokio::task::yield_now().await;
        }
    };
    let settled = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    assert!(settled.is_ok(), "{:#?}\n{:#?}", world.events("north.test"), world.events("old.test"));
    settled.unwrap_or_default()
}

/// proves: GW-80, GW-90, GW-92
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_old_server_takes_is_relayed_and_what_it_refuses_is_refused_in_its_words() {
    let (world, ..) = two_worlds(1, "").await;
    let mut alice = world.user("alice@north.test").await;
    let mut bob = world.user("bob@old.test").await;
    let sent =
        alice.send(&letter("alice@north.test", "Grüße\r\n"), &["bob@old.test", "nobody@old.test"]).await;
    let settled = settled(&world, &mut alice, sent).await;
    assert_eq!(settled[0], Disposition::Relayed, "no more is known than that it was taken");
    let Disposition::Refused { code, text } = &settled[1] else { panic!("{:?}", settled[1]) };
    assert_eq!(*code, Code::NO_SUCH_ADDRESS);
    assert!(text.contains("550"), "the words of the other side, as they came: {text}");
    let entry = world.node("old.test").store().mailbox("bob", None, 2).unwrap().remove(0);
    let fetched = bob.fetch(entry.identity).await.unwrap();
    let header = fetched.headers.unwrap();
    let shown = String::from_utf8_lossy(header.message().octets()).into_owned();
    let received = header.message().first("Received").unwrap_or_else(|| panic!("{shown}")).value();
    assert!(received.starts_with("by mx.north.test with WAXWING"), "{received}");
    assert!(fetched.bodies.values().any(|body| body.starts_with("Grüße".as_bytes())), "{:?}", fetched.bodies);
}

/// proves: GW-90, GW-91, GW-93
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_later_comes_back_as_a_notice_and_settles_the_cookie_and_is_no_mail() {
    let rule = "[[rules]]\nname = \"bob-decides\"\nto = \"bob@old.test\"\nhold = \"all\"";
    let (world, ..) = two_worlds(60, rule).await;
    let mut alice = world.user("alice@north.test").await;
    let bob = world.user("bob@old.test").await;
    let sent = alice.send(&letter("alice@north.test", "May I?\r\n"), &["bob@old.test"]).await;
    let node = world.node("old.test");
    let found = until(|| !node.store().held(Some("bob"), None, 2).unwrap().is_empty()).await;
    assert!(found, "{:?}", world.events("old.test"));
    let before = alice.dispositions(sent).await;
    assert!(matches!(before[0], Disposition::Pending { .. }), "{before:?}");
    let held = node.store().held(Some("bob"), None, 2).unwrap().remove(0);
    node.decide_held(Some("bob"), held.identity, &bob.address, Choice::REFUSE).await.unwrap();
    let settled = settled(&world, &mut alice, sent).await;
    assert!(matches!(&settled[0], Disposition::Refused { code, .. } if code.class == 5), "{settled:?}");
    assert!(
        world.node("north.test").store().mailbox("alice", None, 2).unwrap().is_empty(),
        "a notice is no mail"
    );
    let gone = until(|| node.store().notices_due(None, 2).unwrap().is_empty()).await;
    assert!(gone, "what was sent is not due any more");
}

/// proves: GW-81
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_domain_that_had_nodes_is_not_sent_to_by_smtp() {
    let (world, ..) = two_worlds(1, "").await;
    let mut alice = world.user("alice@north.test").await;
    world.user("bob@old.test").await;
    let store = world.node("north.test").store().clone();
    let seen = storage::LegacyRecord {
        kind: gateway::Kind::Native as u8,
        key: b"old.test".to_vec(),
        value: vec![1],
        expires_at_ms: u64::MAX,
    };
    store.change_legacy_records(vec![storage::LegacyChange::Put(seen)]).await.unwrap();
    let sent = alice.send(&letter("alice@north.test", "Where are you?\r\n"), &["bob@old.test"]).await;
    let envelope = store.envelopes_for(sent, 1).unwrap().remove(0).id;
    let tried = until(|| !store.attempts(envelope).unwrap().is_empty()).await;
    assert!(tried, "{:?}", world.events("north.test"));
    let attempt = store.attempts(envelope).unwrap().remove(0);
    assert!(attempt.text.contains("had nodes until lately"), "{attempt:?}");
    assert!(world.node("old.test").store().mailbox("bob", None, 1).unwrap().is_empty());
}

/// proves: GW-7, GW-91
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_relays_and_nobody_forges_a_return_path() {
    let (world, north, _) = two_worlds(1, "").await;
    world.user("alice@north.test").await;
    let said = tokio::task::spawn_blocking(move || {
        let mut lines = BufReader::new(TcpStream::connect(north).unwrap());
        lines.get_ref().set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut said = Vec::new();
        for command in [
            "",
            "EHLO client.old.test",
            "MAIL FROM:<>",
            "RCPT TO:<bob@old.test>",
            "RCPT TO:<wx-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@north.test>",
            "RCPT TO:<nobody@north.test>",
            "RCPT TO:<alice@north.test>",
        ] {
            if !command.is_empty() {
                lines.get_mut().write_all(format!("{command}\r\n").as_bytes()).unwrap();
            }
            loop {
                let mut line = String::new();
                lines.read_line(&mut line).unwrap();
                if line.as_bytes().get(3) != Some(&b'-') {
                    said.push(line);
                    break;
                }
            }
        }
        said
    });
    let said = said.await.unwrap();
    let codes: Vec<&str> = said.iter().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["220", "250", "250", "550", "550", "550", "250"], "{said:?}");
}

/// proves: REP-21
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_over_its_rate_is_told_so_before_the_content() {
    let at = free_address();
    let north = Site::new("north.test").lines(&format!(
        "[policy]\nfirst-contact = \"accept\"\n[rates]\npeer-messages-per-minute = 1\n[gateway]\ntransfer = \"{at}\"\n"
    ));
    let mut world = World::new(&[north]).await;
    world.start("north.test").await;
    world.user("bob@north.test").await;
    let talk = move |number: usize| {
        let message = format!("From: eve@far.test\r\nMessage-Id: <{number}@far.test>\r\n\r\nhello\r\n.");
        let path = format!("MAIL FROM:<eve@far{number}.test>");
        let lines = ["EHLO far.test", &path, "RCPT TO:<bob@north.test>", "DATA", &message];
        // A session in which content comes that is not wanted is over.
        dialogue(at, if number == 1 { &lines } else { &lines[..4] })
    };
    let both = tokio::task::spawn_blocking(move || [talk(1).unwrap(), talk(2).unwrap()]);
    let [first, second] = both.await.unwrap();
    assert!(first[5].starts_with("250 "), "{first:?}");
    // Another name that nothing proves is the same client.
    assert!(second[3].starts_with("450 4.7.1 too much mail"), "{second:?}");
    assert!(second[4].starts_with("554 "), "no content is taken: {second:?}");
    assert_eq!(world.node("north.test").store().mailbox("bob", None, 9).unwrap().len(), 1);
}
