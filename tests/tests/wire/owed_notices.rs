//! Notices that are owed to senders of the old world: whose server is slow holds up nobody else's.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use node::Choice;
use waxwing_tests::smtp::dialogue;
use waxwing_tests::world::{free_address, until};
use waxwing_tests::{Site, World};

use crate::kept_sender::{Far, PLAIN, serve};

/// Two listeners at one port: one for each of two hosts.
fn two_hosts() -> (TcpListener, TcpListener) {
    loop {
        let first = TcpListener::bind("127.0.0.2:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if let Ok(second) = TcpListener::bind(("127.0.0.3", port)) {
            return (first, second);
        }
    }
}

/// A domain whose mail comes from here, and whose server is there.
fn sender(domain: &'static str, server: &TcpListener) -> Site {
    let address = server.local_addr().unwrap().ip();
    Site::new(domain)
        .of_the_old_world()
        .records(&format!("@ MX 10 mx\nmx A {address}\n@ TXT \"v=spf1 ip4:127.0.0.1 -all\""))
}

async fn hand_in(server: SocketAddr, from: &'static str) {
    let talk = move || {
        let message = format!("From: {from}\r\nMessage-Id: <1.{from}>\r\nSubject: hello\r\n\r\nhello\r\n.");
        let mail = format!("MAIL FROM:<{from}>");
        let lines = ["EHLO client.test", &mail, "RCPT TO:<bob@north.test>", "DATA", &message, "QUIT"];
        dialogue(server, &lines)
    };
    let said = tokio::task::spawn_blocking(talk).await.unwrap().unwrap();
    assert!(said[5].starts_with("250 "), "{from}: {said:?}");
}

/// The silent server is owed more than one, and was first.
///
/// proves: GW-93, GW-97
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_holds_up_no_other_domains_notices() {
    let (silent, speaking) = two_hosts();
    let (at, port) = (free_address(), silent.local_addr().unwrap().port());
    let north = Site::new("north.test").lines(&format!(
        "[policy]\nfirst-contact = \"accept\"\n[[rules]]\nname = \"bob-decides\"\nto = \"bob@north.test\"\nhold = \"all\"\n\
         [gateway]\ntransfer = \"{at}\"\n[gateway.checks]\nrefuse-dmarc = false\n[gateway.out]\nport = {port}\n"
    ));
    let sites = [north, sender("silent.test", &silent), sender("fine.test", &speaking)];
    let mut world = World::new(&sites).await;
    world.start("north.test").await;
    let heard = serve(speaking, PLAIN);
    let bob = world.user("bob@north.test").await;
    let node = world.node("north.test");
    let senders = ["eve@silent.test", "eva@silent.test", "ann@fine.test"];
    for from in senders {
        hand_in(at, from).await;
    }
    let store = node.store();
    assert!(until(|| store.held(Some("bob"), None, 9).unwrap().len() == senders.len()).await);
    let mut held = store.held(Some("bob"), None, 9).unwrap();
    held.sort_by_key(|one| one.envelope);
    for one in held {
        node.decide_held(Some("bob"), one.identity, &bob.address, Choice::REFUSE).await.unwrap();
    }
    let first = tokio::task::spawn_blocking(move || heard.recv_timeout(Duration::from_secs(20)));
    let notice = first.await.unwrap().expect("a notice for the other domain");
    assert_eq!((notice.mail.as_str(), notice.rcpt.as_str()), ("MAIL FROM:<>", "RCPT TO:<ann@fine.test>"));
    let left = until(|| store.notices_due(None, 9).unwrap().len() == 2).await;
    assert!(left, "what the silent server is owed stays due");
}

/// A filter does not like what the sender has written, and so refuses what brings it back.
///
/// proves: GW-93
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_for_its_content_is_said_without_it() {
    let server = TcpListener::bind("127.0.0.4:0").unwrap();
    let (at, port) = (free_address(), server.local_addr().unwrap().port());
    let north = Site::new("north.test").lines(&format!(
        "[policy]\nfirst-contact = \"accept\"\n[[rules]]\nname = \"bob-decides\"\nto = \"bob@north.test\"\nhold = \"all\"\n\
         [gateway]\ntransfer = \"{at}\"\n[gateway.checks]\nrefuse-dmarc = false\n[gateway.out]\nport = {port}\n"
    ));
    let mut world = World::new(&[north, sender("strict.test", &server)]).await;
    world.start("north.test").await;
    let reads = |message: &str| message.contains("Subject: hello").then_some("550 5.7.1 this is spam");
    let heard = serve(server, Far { reads, ..PLAIN });
    let bob = world.user("bob@north.test").await;
    let node = world.node("north.test");
    hand_in(at, "ann@strict.test").await;
    let store = node.store();
    assert!(until(|| store.held(Some("bob"), None, 9).unwrap().len() == 1).await);
    let held = store.held(Some("bob"), None, 9).unwrap().remove(0);
    node.decide_held(Some("bob"), held.identity, &bob.address, Choice::REFUSE).await.unwrap();
    let both = move || [(); 2].map(|()| heard.recv_timeout(Duration::from_secs(20)).unwrap().message);
    let [whole, bare] = tokio::task::spawn_blocking(both).await.unwrap();
    assert!(whole.contains("Content-Type: text/rfc822-headers"), "{whole}");
    assert!(!bare.contains("hello") && !bare.contains("text/rfc822-headers"), "{bare}");
    for line in ["Content-Type: message/delivery-status", "Final-Recipient: rfc822; bob@north.test"] {
        assert!(bare.contains(line), "{line}\n{bare}");
    }
    assert!(until(|| store.notices_due(None, 9).unwrap().is_empty()).await);
}
