//! A mailbox server that is handed all mail over LMTP, by a real socket: what it puts off, what it refuses, and when it is away.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use control::{HandoverOrder, HandoverView, Request, Response};
use waxwing_tests::smtp::dialogue;
use waxwing_tests::world::{free_address, until};
use waxwing_tests::{Site, User, World, letter};

/// What is said to a message, by its text and by how many have come before it.
type Answer = dyn Fn(&str, usize) -> &'static str + Send + Sync;

/// What is said by a server that falls silent.
const SILENT: &str = "";

/// A mailbox server that listens there. What it was given, and what it has answered, comes out of the channel.
fn serve(
    listener: TcpListener,
    answer: impl Fn(&str, usize) -> &'static str + Send + Sync + 'static,
) -> Receiver<(String, String)> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let (answer, count) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
        for stream in listener.incoming() {
            let (stream, answer, count, tell) =
                (stream.unwrap(), answer.clone(), count.clone(), tell.clone());
            // A client that has gone away in the middle is no trouble of the server's.
            std::thread::spawn(move || {
                drop(converse(BufReader::new(stream), answer.as_ref(), &count, &tell))
            });
        }
    });
    told
}

fn converse(
    mut lines: BufReader<TcpStream>,
    answer: &Answer,
    count: &AtomicUsize,
    tell: &Sender<(String, String)>,
) -> std::io::Result<()> {
    let (mut reply, mut transcript) = ("220 mailboxes.test LMTP", String::new());
    loop {
        lines.get_mut().write_all(format!("{reply}\r\n").as_bytes())?;
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        transcript.push_str(&line);
        reply = "250 2.0.0 well";
        // Two recipients over whom it ends the session, with a word and without.
        if line.starts_with("RCPT TO:<leave@") {
            return lines.get_mut().write_all(b"421 4.3.2 not now\r\n");
        }
        if line.starts_with("RCPT TO:<lose@") {
            return Ok(());
        }
        if line.starts_with("DATA") {
            lines.get_mut().write_all(b"354 go on\r\n")?;
            while !transcript.ends_with("\r\n.\r\n") {
                assert_ne!(lines.read_line(&mut transcript)?, 0);
            }
            reply = answer(&transcript, count.fetch_add(1, Ordering::SeqCst));
            let _ = tell.send((reply.to_owned(), std::mem::take(&mut transcript)));
            if reply == SILENT {
                // Until the other side goes away.
                return lines.read_line(&mut transcript).map(drop);
            }
        }
    }
}

fn bound() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn next(told: &Receiver<(String, String)>) -> (String, String) {
    told.recv_timeout(Duration::from_secs(20)).expect("mail for the mailbox server")
}

async fn ask(world: &World, request: Request) -> Response {
    let mut client = control::Client::connect(&world.data("north.test").join("control.sock")).await.unwrap();
    client.call(&request).await.unwrap()
}

async fn order(world: &World, order: HandoverOrder) -> Response {
    ask(world, Request::Handover { order }).await
}

async fn listed(world: &World) -> Vec<HandoverView> {
    match order(world, HandoverOrder::List { after: None, limit: 10 }).await {
        Response::Handovers { handovers } => handovers,
        other => panic!("{other:?}"),
    }
}

/// Asks until the list is so.
async fn listed_so(world: &World, such: impl Fn(&[HandoverView]) -> bool) -> Vec<HandoverView> {
    let waiting = async {
        loop {
            let all = listed(world).await;
            if such(&all) {
                return all;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("the list comes to be so")
}

async fn alerts(world: &World) -> Vec<String> {
    let Response::Alerts { alerts } = ask(world, Request::Alerts).await else { panic!("no alerts") };
    alerts.into_iter().filter(|alert| alert.kind == "mailbox-server").map(|alert| alert.text).collect()
}

async fn write(alice: &mut User, text: &str) {
    alice.send(&letter("alice@north.test", &format!("{text}\r\n")), &["bob@north.test"]).await;
}

/// One message is put off for ever: the others come, it is tried later each time, and has its end, which the operator sees.
///
/// proves: GW-95, GW-96
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_put_off_for_ever_holds_up_nobody_and_has_an_end() {
    let (listener, address) = bound();
    let told = serve(listener, |text, _| match text {
        text if text.contains("stuck") => "451 4.3.0 something is wrong with this one",
        text if text.contains("unwanted") => "550 5.7.1 not here",
        _ => "250 2.0.0 kept",
    });
    let lines = format!("[mailbox]\nlmtp = \"{address}\"\nlmtp-seconds = 1");
    let world = World::started(&[Site::new("north.test").lines(&lines)]).await;
    let mut alice = world.user("alice@north.test").await;
    let bob = world.user("bob@north.test").await;
    for text in ["stuck", "two", "unwanted", "four"] {
        write(&mut alice, text).await;
    }
    let (mut taken, mut stuck) = (Vec::new(), 0);
    while taken.len() < 2 || stuck < 2 {
        let (reply, text) = next(&told);
        match reply.as_str() {
            "250 2.0.0 kept" => taken.push(text),
            reply if reply.starts_with("451") => stuck += 1,
            _ => assert!(text.contains("unwanted"), "{text}"),
        }
    }
    assert!(taken[0].contains("two") && taken[1].contains("four"), "{taken:?}");
    let ended = |all: &[HandoverView]| all.iter().filter(|one| one.state != "waiting").count() == 2;
    let all = listed_so(&world, ended).await;
    let [first, second] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((&*first.state, &*first.account), ("given-up", "bob"));
    assert!(first.tries >= 2 && first.text.contains("something is wrong"), "{first:?}");
    assert_eq!((&*second.state, &*second.code, second.tries), ("refused", "5.7.1", 1));
    let said = alerts(&world).await;
    assert!(said.iter().any(|text| text.contains("not taken 2 messages")), "{said:?}");
    // Nothing is lost: all of it is in the native mailbox.
    assert_eq!(world.node("north.test").store().mailbox(&bob.account, None, 9).unwrap().len(), 4);
    // What was given up is tried again where the operator says so, and not otherwise.
    while told.try_recv().is_ok() {}
    let (account, number) = (first.account.clone(), first.number);
    assert_eq!(order(&world, HandoverOrder::Retry { account, number }).await, Response::Done);
    let (reply, text) = next(&told);
    assert!(reply.starts_with("451") && text.contains("stuck"), "{reply} {text}");
    listed_so(&world, ended).await;
    for one in listed(&world).await {
        let forget = HandoverOrder::Forget { account: one.account, number: one.number };
        assert_eq!(order(&world, forget.clone()).await, Response::Done);
        assert!(matches!(order(&world, forget).await, Response::Failure(_)), "it is gone");
    }
    assert_eq!(alerts(&world).await, Vec::<String>::new());
}

/// A server that falls silent over a message keeps the other mailboxes waiting for nothing.
///
/// proves: GW-95
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_falls_silent_over_one_message_is_given_the_others() {
    let (listener, address) = bound();
    let told = serve(listener, |text, _| match text.contains("hush") {
        true => SILENT,
        false => "250 2.0.0 kept",
    });
    let north = Site::new("north.test").lines(&format!("[mailbox]\nlmtp = \"{address}\""));
    let world = World::started(&[north]).await;
    let mut alice = world.user("alice@north.test").await;
    world.user("bob@north.test").await;
    world.user("carol@north.test").await;
    write(&mut alice, "hush").await;
    assert_eq!(next(&told).0, SILENT);
    for text in ["one", "two"] {
        let letter = letter("alice@north.test", &format!("{text}\r\n"));
        alice.send(&letter, &["carol@north.test"]).await;
        assert!(next(&told).1.contains(text), "while the server is silent about another");
    }
}

/// The same where it falls silent over one that it has put off before.
///
/// proves: GW-95
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_falls_silent_over_a_message_that_comes_again_is_given_the_others() {
    let (listener, address) = bound();
    let told = serve(listener, |text, count| match text.contains("hush") {
        true if count > 0 => SILENT,
        false if count > 2 => "250 2.0.0 kept",
        _ => "451 4.3.0 later",
    });
    let north = Site::new("north.test").lines(&format!("[mailbox]\nlmtp = \"{address}\""));
    let world = World::started(&[north]).await;
    let mut alice = world.user("alice@north.test").await;
    world.user("bob@north.test").await;
    world.user("carol@north.test").await;
    write(&mut alice, "hush").await;
    assert!(next(&told).0.starts_with("451"));
    assert_eq!(next(&told).0, SILENT);
    alice.send(&letter("alice@north.test", "slow\r\n"), &["carol@north.test"]).await;
    assert!(next(&told).0.starts_with("451"));
    let (reply, text) = next(&told);
    assert!(reply.starts_with("250") && text.contains("slow"), "{reply} {text}");
}

/// Over some recipients the server ends the session: that is about their mail, and everybody else's goes on.
///
/// proves: GW-94, GW-95, GW-96
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recipient_over_whom_the_server_takes_leave_holds_up_nobody() {
    let (listener, address) = bound();
    let told = serve(listener, |_, _| "250 2.0.0 kept");
    let lines = format!("[mailbox]\nlmtp = \"{address}\"\nlmtp-seconds = 1");
    let world = World::started(&[Site::new("north.test").lines(&lines)]).await;
    let mut alice = world.user("alice@north.test").await;
    let troubled = ["leave@north.test", "lose@north.test"];
    for name in troubled {
        world.user(name).await;
    }
    world.user("carol@north.test").await;
    alice.send(&letter("alice@north.test", "one\r\n"), &troubled).await;
    let ended = |all: &[HandoverView]| all.iter().filter(|one| one.state == "given-up").count() == 2;
    let all = listed_so(&world, ended).await;
    assert!(all.iter().all(|one| one.tries >= 2), "{all:?}");
    let said = alerts(&world).await;
    assert!(said.iter().all(|text| !text.contains("away")), "{said:?}");
    alice.send(&letter("alice@north.test", "two\r\n"), &["carol@north.test"]).await;
    assert!(next(&told).1.contains("two"));
}

/// What is too large for mail programs is handed to none, and that is not kept from the operator.
///
/// proves: GW-96
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_for_mail_programs_is_listed() {
    let (listener, address) = bound();
    let told = serve(listener, |_, _| "250 2.0.0 kept");
    let world =
        World::started(&[Site::new("north.test").lines(&format!("[mailbox]\nlmtp = \"{address}\""))]).await;
    let mut alice = world.user("alice@north.test").await;
    world.user("bob@north.test").await;
    write(&mut alice, &"a long letter\r\n".repeat(1_200_000)).await;
    write(&mut alice, "a short one").await;
    assert!(next(&told).1.contains("a short one"), "it holds up no other");
    let all = listed(&world).await;
    let [one] = &all[..] else { panic!("{all:?}") };
    assert_eq!((one.state.as_str(), one.code.as_str()), ("refused", "5.3.4"));
    assert!(one.text.contains("more than 16 MiB stays in the native mailbox"), "{one:?}");
    // No more is in the Maildir, where it would have come first.
    let maildir = world.data("north.test").join("maildir").join("bob").join("new");
    let there = async { while std::fs::read_dir(&maildir).map_or(0, Iterator::count) == 0 {} };
    tokio::time::timeout(Duration::from_secs(20), there).await.expect("the short one in the Maildir");
    assert_eq!(std::fs::read_dir(&maildir).unwrap().count(), 1);
}

/// proves: GW-95
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_put_aside_outlives_a_restart() {
    let (listener, address) = bound();
    let told = serve(listener, |text, count| match text.contains("slow") && count < 3 {
        true => "452 4.2.2 the mailbox is full",
        false => "250 2.0.0 kept",
    });
    let north = Site::new("north.test").lines(&format!("[mailbox]\nlmtp = \"{address}\""));
    let mut world = World::started(&[north]).await;
    let mut alice = world.user("alice@north.test").await;
    world.user("bob@north.test").await;
    write(&mut alice, "slow").await;
    assert!(next(&told).0.starts_with("452"));
    listed_so(&world, |all| all.iter().any(|one| one.state == "waiting")).await;
    drop(alice);
    world.stop("north.test").await;
    world.start("north.test").await;
    while next(&told).0.starts_with("452") {}
    assert_eq!(listed_so(&world, <[HandoverView]>::is_empty).await, Vec::new());
}

/// proves: GW-94
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_has_all_mail_in_order_when_it_is_back() {
    let address = free_address();
    let lines = format!("[mailbox]\nlmtp = \"{address}\"\nlmtp-seconds = 1");
    let world = World::started(&[Site::new("north.test").lines(&lines)]).await;
    let mut alice = world.user("alice@north.test").await;
    world.user("bob@north.test").await;
    for text in ["one", "two", "three"] {
        write(&mut alice, text).await;
    }
    let away = async {
        while !alerts(&world).await.iter().any(|text| text.contains("away")) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), away).await.expect("an alert");
    assert_eq!(listed(&world).await, Vec::new(), "that a server is away is nothing about a message");
    let told = serve(TcpListener::bind(address).unwrap(), |_, _| "250 2.0.0 kept");
    for text in ["one", "two", "three"] {
        assert!(next(&told).1.contains(text), "in order");
    }
    let back = async { while !alerts(&world).await.is_empty() {} };
    tokio::time::timeout(Duration::from_secs(20), back).await.expect("no alert any more");
}

/// proves: GW-94
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailbox_server_is_handed_everything_once_whatever_comes_between() {
    let (listener, server) = bound();
    let told = serve(listener, |text, count| match text.contains("unwanted") {
        _ if count == 0 => "451 4.3.0 later",
        true => "550 5.7.1 not here",
        false => "250 2.0.0 kept",
    });
    let next = || next(&told);
    let north = Site::new("north.test").lines(&format!("[mailbox]\nlmtp = \"{server}\""));
    let mut world = World::started(&[north]).await;
    let mut alice = world.user("alice@north.test").await;
    let bob = world.user("bob@north.test").await;
    let words = |text: &str| letter("alice@north.test", &format!("{text}\r\n"));
    alice.send(&words("one"), &["bob@north.test"]).await;
    // The first one is put off, and comes again.
    let (reply, before) = next();
    assert!(reply.starts_with("451") && before.contains("MAIL FROM:<>"), "{before}");
    let (reply, after) = next();
    assert!(reply.starts_with("250") && after.contains("RCPT TO:<bob@north.test>"), "{after}");
    assert!(before == after && after.contains("\r\n\r\none\r\n"), "{after}");
    // What is refused is behind it once, and stays in the native mailbox.
    alice.send(&words("unwanted"), &["bob@north.test"]).await;
    assert!(next().0.starts_with("550"));
    alice.send(&words("three"), &["bob@north.test"]).await;
    assert!(next().1.contains("three"));
    let store = world.node("north.test").store().clone();
    assert_eq!(store.mailbox(&bob.account, None, 9).unwrap().len(), 3);
    // How far it has come is written down: after a restart only what is new is handed on.
    let handed = |store: &dyn storage::Store| {
        let records = store.legacy_records(gateway::Kind::Handed as u8, &[], None, 9).unwrap();
        records.first().map(|record| u64::from_be_bytes(record.value.clone().try_into().unwrap()))
    };
    let last = store.mailbox(&bob.account, None, 9).unwrap()[2].uid.0;
    assert!(until(|| handed(store.as_ref()) == Some(last)).await, "{:?}", handed(store.as_ref()));
    drop(store);
    world.stop("north.test").await;
    world.start("north.test").await;
    let mut alice = world.user("carol@north.test").await;
    alice.send(&letter("carol@north.test", "four\r\n"), &["bob@north.test"]).await;
    let (reply, four) = next();
    assert!(reply.starts_with("250") && four.contains("four"), "{four}");
}

/// The operator wants a message tried again while the server is about to take it.
///
/// proves: GW-94
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_has_taken_is_not_handed_over_again_where_the_operator_wants_it_meanwhile() {
    let (listener, address) = bound();
    let (asks, asked) = channel();
    let (answers, go) = channel::<()>();
    let go = Mutex::new(go);
    let told = serve(listener, move |_, count| {
        if count == 0 {
            return "451 4.3.0 later";
        }
        if count == 1 {
            asks.send(()).unwrap();
            go.lock().unwrap().recv().unwrap();
        }
        "250 2.0.0 kept"
    });
    let north = Site::new("north.test").lines(&format!("[mailbox]\nlmtp = \"{address}\""));
    let world = World::started(&[north]).await;
    let mut alice = world.user("alice@north.test").await;
    world.user("bob@north.test").await;
    write(&mut alice, "one").await;
    assert!(next(&told).0.starts_with("451"));
    asked.recv_timeout(Duration::from_secs(20)).expect("it comes again");
    let [one] = listed(&world).await.try_into().unwrap();
    let HandoverView { account, number, .. } = one;
    assert_eq!(order(&world, HandoverOrder::Retry { account, number }).await, Response::Done);
    answers.send(()).unwrap();
    assert!(next(&told).0.starts_with("250"));
    listed_so(&world, <[HandoverView]>::is_empty).await;
    assert!(told.try_recv().is_err(), "the server has it already");
}

/// Over SMTP and over the native protocol: only what was checked here stands there in this node's name.
///
/// proves: CHK-11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_author_says_of_its_own_checks_is_not_handed_on_in_our_name() {
    let (listener, address) = bound();
    let told = serve(listener, |_, _| "250 2.0.0 kept");
    let at = free_address();
    let lines = format!(
        "[policy]\nfirst-contact = \"accept\"\n[mailbox]\nlmtp = \"{address}\"\n[gateway]\ntransfer = \"{at}\"\n\
         [gateway.out]\nenabled = false"
    );
    let world = World::started(&[Site::new("north.test").lines(&lines)]).await;
    let bob = world.user("bob@north.test").await;
    let message = "From: eve@far.test\r\nMessage-Id: <1@far.test>\r\n\
                   authentication-results: MX.north.test. 1;\r\n\tdmarc=pass header.from=bank.test\r\n\
                   Authentication-Results: mx.far.test; dkim=pass header.d=far.test\r\nSubject: hello\r\n\r\nhello\r\n.";
    let lines =
        ["EHLO far.test", "MAIL FROM:<eve@far.test>", "RCPT TO:<bob@north.test>", "DATA", message, "QUIT"];
    let said = tokio::task::spawn_blocking(move || dialogue(at, &lines)).await.unwrap().unwrap();
    assert!(said[5].starts_with("250 "), "{said:?}");
    let (_, text) = next(&told);
    assert!(!text.contains("bank.test"), "{text}");
    assert!(text.contains("mx.far.test; dkim=pass"), "what others have found is theirs: {text}");
    assert_eq!(
        text.to_ascii_lowercase().matches("authentication-results: mx.north.test").count(),
        1,
        "{text}"
    );
    let store = world.node("north.test").store();
    let entry = store.mailbox(&bob.account, None, 2).unwrap().remove(0);
    let kept = store.message(entry.identity).unwrap().unwrap().headers.unwrap();
    assert!(String::from_utf8_lossy(kept.message().octets()).contains("bank.test"), "it is kept as it came");
}
