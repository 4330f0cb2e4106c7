//! What a forwarder says to the next server, over real sockets: a client and a server that are driven by hand, and a node between
//! them. Forged senders, borrowed cookies and other people's wishes are tried, too.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use control::{ForwardOrder, Request, Response};
use waxwing_tests::world::{free_address, until};
use waxwing_tests::{Site, World, letter};

/// How the far server is: what it announces, and what it says to a line; what it says nothing to gets 250.
#[derive(Clone, Copy)]
pub(crate) struct Far {
    pub(crate) announces: &'static str,
    pub(crate) says: fn(&str) -> Option<&'static str>,
    /// The same of a message.
    pub(crate) reads: fn(&str) -> Option<&'static str>,
}

pub(crate) const DSN: Far = Far { announces: "250-DSN\r\n250-COOKIES\r\n", says: |_| None, reads: |_| None };
pub(crate) const PLAIN: Far = Far { announces: "", says: |_| None, reads: |_| None };

/// What was said to the far server in each transaction, and the message.
pub(crate) struct Transaction {
    pub(crate) mail: String,
    pub(crate) rcpt: String,
    pub(crate) message: String,
}

pub(crate) fn serve(listener: TcpListener, far: Far) -> Receiver<Transaction> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, tell) = (stream.unwrap(), tell.clone());
            // A client that goes away in the middle is no trouble of the server's.
            std::thread::spawn(move || drop(converse(BufReader::new(stream), far, &tell)));
        }
    });
    told
}

fn converse(mut lines: BufReader<TcpStream>, far: Far, tell: &Sender<Transaction>) -> std::io::Result<()> {
    let mut reply = "220 far.test ESMTP".to_owned();
    let (mut mail, mut rcpt) = (String::new(), String::new());
    loop {
        lines.get_mut().write_all(format!("{reply}\r\n").as_bytes())?;
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        reply = (far.says)(line).unwrap_or("250 2.0.0 well").to_owned();
        match line.get(..4).unwrap_or_default() {
            "EHLO" => reply = format!("250-far.test\r\n{}250 HELP", far.announces),
            "MAIL" => mail = line.to_owned(),
            "RCPT" => rcpt = line.to_owned(),
            "DATA" => {
                lines.get_mut().write_all(b"354 go on\r\n")?;
                let mut message = String::new();
                while !message.ends_with("\r\n.\r\n") {
                    assert_ne!(lines.read_line(&mut message)?, 0);
                }
                reply = (far.reads)(&message).map_or(reply, str::to_owned);
                let (mail, rcpt) = (std::mem::take(&mut mail), std::mem::take(&mut rcpt));
                let _ = tell.send(Transaction { mail, rcpt, message });
            }
            _ => {}
        }
    }
}

/// The forwarder one.test, what the far server hears, and where the forwarder listens.
pub(crate) struct Street {
    pub(crate) world: World,
    pub(crate) heard: Receiver<Transaction>,
    at: SocketAddr,
}

impl Street {
    /// author.test may send from here, forged.test may not; the mail exchange of asked.test is not the client, and may be
    /// asked about cookies.
    pub(crate) async fn with(far: Far) -> Street {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let (port, at) = (listener.local_addr().unwrap().port(), free_address());
        let heard = serve(listener, far);
        let mx = |address: &str| format!("@ MX 10 mx\nmx A {address}");
        let old = |domain, spf: &str, address: &str| {
            let records = format!("{}\n@ TXT \"v=spf1 {spf} -all\"", mx(address));
            Site::new(domain).of_the_old_world().records(&records)
        };
        let lines = format!(
            "[policy]\nfirst-contact = \"accept\"\n[gateway]\nhost = \"mx.one.test\"\ntransfer = \"{at}\"\n\
             [gateway.checks]\nrefuse-dmarc = false\n[gateway.out]\nport = {port}\n\
             [[gateway.dkim]]\ndomain = \"one.test\"\nselector = \"s\"\nkey = \"dkim.pem\"\n\
             [forwarding]\nroots = \"../roots.pem\"\n"
        );
        let mut world = World::new(&[
            Site::new("one.test").lines(&lines),
            old("far.test", "a", "127.0.0.1"),
            old("author.test", "ip4:127.0.0.1", "127.0.0.1"),
            old("forged.test", "ip4:192.0.2.1", "127.0.0.1"),
            old("asked.test", "ip4:127.0.0.1", "127.0.0.9"),
        ])
        .await;
        let roots = world.host_key("one.test").chain_pem();
        std::fs::write(world.folder().join("roots.pem"), roots).unwrap();
        let dkim = transport::HostKey::generate(transport::KeyKind::Ed25519, &["one.test"]).unwrap();
        let file = world.data("one.test").parent().unwrap().join("dkim.pem");
        let mut options = std::fs::OpenOptions::new();
        let opened = options.write(true).create_new(true).mode(0o600).open(file);
        opened.unwrap().write_all(dkim.key_pem().as_bytes()).unwrap();
        world.start("one.test").await;
        let street = Street { world, heard, at };
        street.world.user("bob@one.test").await;
        street.lead("old@one.test", true).await;
        street
    }

    async fn lead(&self, alias: &str, keep_sender: bool) {
        let order = ForwardOrder::Add {
            alias: alias.to_owned(),
            target: "new@far.test".to_owned(),
            conceal: false,
            rewrite: false,
            granted: true,
            keep_sender,
        };
        assert!(matches!(self.order(order).await, Response::Forwards { .. }));
    }

    pub(crate) async fn order(&self, order: ForwardOrder) -> Response {
        let socket = self.world.data("one.test").join("control.sock");
        let mut client = control::Client::connect(&socket).await.unwrap();
        client.call(&Request::Forward { order }).await.unwrap()
    }

    /// Speaks SMTP with the forwarder: MAIL, RCPT and a message of this subject; the last reply.
    pub(crate) async fn send(&self, mail: &str, rcpt: &str, subject: &str) -> String {
        let from = mail.split(['<', '>']).nth(1).unwrap();
        let author = if from.is_empty() { "daemon@author.test" } else { from };
        self.send_by(author, mail, rcpt, subject).await
    }

    /// The same for a message in which this address stands as its author.
    async fn send_by(&self, author: &str, mail: &str, rcpt: &str, subject: &str) -> String {
        let message = format!(
            "From: <{author}>\r\nMessage-ID: <{subject}@author.test>\r\nSubject: {subject}\r\n\r\nhi\r\n"
        );
        self.say(mail, rcpt, message).await
    }

    /// The same for these octets.
    pub(crate) async fn say(&self, mail: &str, rcpt: &str, message: String) -> String {
        let message = format!("{message}.");
        let lines =
            ["EHLO mx.author.test".to_owned(), mail.to_owned(), rcpt.to_owned(), "DATA".to_owned(), message];
        let said = self.lines_until(&lines, |said| said.starts_with(['4', '5'])).await;
        said.last().cloned().unwrap_or_default()
    }

    /// The greeting, and what is said to each of these lines.
    pub(crate) async fn lines(&self, lines: &[String]) -> Vec<String> {
        self.lines_until(lines, |_| false).await
    }

    async fn lines_until(&self, lines: &[String], ends: fn(&str) -> bool) -> Vec<String> {
        let (at, lines) = (self.at, lines.to_vec());
        let talk = move || {
            let mut stream = BufReader::new(TcpStream::connect(at).unwrap());
            stream.get_ref().set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            let mut said = Vec::new();
            for line in [None].into_iter().chain(lines.iter().map(Some)) {
                if let Some(line) = line {
                    // Who has closed the session has said why.
                    let _ = stream.get_mut().write_all(format!("{line}\r\n").as_bytes());
                }
                let mut last = String::new();
                while last.is_empty() || last.as_bytes().get(3) == Some(&b'-') {
                    last.clear();
                    if stream.read_line(&mut last).unwrap() == 0 {
                        return said;
                    }
                }
                said.push(last);
                if said.last().is_some_and(|last| ends(last)) {
                    break;
                }
            }
            said
        };
        tokio::task::spawn_blocking(talk).await.unwrap()
    }

    /// The next transaction at the far server.
    pub(crate) fn next(&self) -> Transaction {
        self.heard.recv_timeout(Duration::from_secs(20)).expect("mail at the far server")
    }

    fn notices(&self) -> usize {
        self.world.node("one.test").store().notices_due(None, 9).unwrap().len()
    }
}

/// proves: FWD-9, FWD-24, GW-66
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sender_stays_with_what_it_wants_to_be_told() {
    let street = Street::with(DSN).await;
    let (mail, rcpt) = ("MAIL FROM:<ann@author.test> RET=FULL ENVID=QQ+2B1", "RCPT TO:<old@one.test>");
    let said = street.send(mail, &format!("{rcpt} NOTIFY=NEVER ORCPT=rfc822;ol+2Bd@one.test"), "kept").await;
    assert!(said.starts_with("250"), "{said}");
    let heard = street.next();
    assert!(heard.mail.starts_with("MAIL FROM:<ann@author.test>"), "{}", heard.mail);
    assert!(heard.mail.contains(" RET=FULL ENVID=QQ+2B1"), "{}", heard.mail);
    assert_eq!(heard.rcpt, "RCPT TO:<new@far.test> NOTIFY=NEVER ORCPT=rfc822;ol+2Bd@one.test");
    // Nothing is added that was not said.
    street.send("MAIL FROM:<ann@author.test>", rcpt, "silent").await;
    let heard = street.next();
    assert_eq!((&*heard.mail, &*heard.rcpt), ("MAIL FROM:<ann@author.test>", "RCPT TO:<new@far.test>"));
    // A null sender stays null, whatever the record says.
    street.lead("other@one.test", false).await;
    for alias in ["old@one.test", "other@one.test"] {
        street.send("MAIL FROM:<>", &format!("RCPT TO:<{alias}>"), alias).await;
        assert_eq!(street.next().mail, "MAIL FROM:<>");
    }
    // Without the setting, and for who is not proved, the sender is ours, and so are the notices that it asks for.
    let to_other = "RCPT TO:<other@one.test> NOTIFY=NEVER";
    for (mail, rcpt) in [
        ("MAIL FROM:<ann@author.test> ENVID=x", to_other),
        ("MAIL FROM:<eve@forged.test> ENVID=x", "RCPT TO:<old@one.test> NOTIFY=NEVER"),
    ] {
        street.send(mail, rcpt, "ours").await;
        let heard = street.next();
        assert!(heard.mail.starts_with("MAIL FROM:<wx-") && !heard.mail.contains("ENVID"), "{}", heard.mail);
        assert_eq!(heard.rcpt, "RCPT TO:<new@far.test>");
    }
    // One who conceals cannot keep, neither from the beginning nor from now on.
    let (alias, target) = ("third@one.test".to_owned(), "new@far.test".to_owned());
    let (conceal, keep_sender) = (true, true);
    let order = ForwardOrder::Add { alias, target, conceal, rewrite: false, granted: true, keep_sender };
    assert!(matches!(street.order(order).await, Response::Failure(_)));
    let store = street.world.node("one.test").store().clone();
    let mut record = store.forwards(None, 9).unwrap().into_iter().find(|one| one.keep_sender).unwrap();
    record.conceal = true;
    store.put_forward(record.clone()).await.unwrap();
    street.send("MAIL FROM:<ann@author.test>", rcpt, "concealed").await;
    assert!(street.next().mail.starts_with("MAIL FROM:<wx-"));
    // Nor what goes on without a grant.
    (record.conceal, record.state) = (false, storage::ForwardState::Rewriting);
    store.put_forward(record).await.unwrap();
    street.send("MAIL FROM:<ann@author.test>", rcpt, "not-granted").await;
    assert!(street.next().mail.starts_with("MAIL FROM:<SRS0="));
}

/// proves: GW-64, GW-65
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_proved_is_told_what_it_wants_to_hear_and_nobody_else_anything() {
    let street =
        Street::with(Far { says: |line| line.contains("new@").then_some("550 5.1.1 no"), ..PLAIN }).await;
    let author = "MAIL FROM:<ann@author.test> ENVID=id-1";
    // In a mailbox at once.
    street.send(author, "RCPT TO:<bob@one.test> NOTIFY=SUCCESS ORCPT=rfc822;b@x.test", "one").await;
    let heard = street.next();
    assert_eq!((&*heard.mail, &*heard.rcpt), ("MAIL FROM:<>", "RCPT TO:<ann@author.test>"));
    for line in [
        "Action: delivered",
        "Status: 2.1.5",
        "Original-Envelope-Id: id-1",
        "Original-Recipient: rfc822; b@x.test",
    ] {
        assert!(heard.message.contains(line), "{line}\n{}", heard.message);
    }
    // Refused later: told, unless it is not wanted.
    for (notify, told) in
        [("", true), (" NOTIFY=FAILURE", true), (" NOTIFY=NEVER", false), (" NOTIFY=SUCCESS", false)]
    {
        let subject = format!("refused{}", notify.replace([' ', '='], ""));
        let settled = street.world.events("one.test");
        street
            .send("MAIL FROM:<ann@author.test>", &format!("RCPT TO:<old@one.test>{notify}"), &subject)
            .await;
        let store = street.world.node("one.test").store().clone();
        assert!(until(|| store.legs(None, None, 9).unwrap().is_empty()).await, "{settled:?}");
        match told {
            true => {
                assert!(street.next().message.contains("Action: failed"), "{notify}");
                // It is forgotten once the far server has replied, after it has told what it heard.
                assert!(until(|| street.notices() == 0).await, "{notify}");
            }
            false => assert_eq!(street.notices(), 0, "{notify}"),
        }
    }
    assert!(until(|| street.notices() == 0).await, "what was sent is not due any more");
    // A forged sender is sent nothing, however much it asks for: neither of success nor of failure.
    street
        .send("MAIL FROM:<eve@forged.test>", "RCPT TO:<bob@one.test> NOTIFY=SUCCESS,FAILURE", "forged")
        .await;
    street
        .send("MAIL FROM:<eve@forged.test>", "RCPT TO:<old@one.test> NOTIFY=SUCCESS,FAILURE", "forged2")
        .await;
    let store = street.world.node("one.test").store().clone();
    assert!(until(|| store.legs(None, None, 9).unwrap().is_empty()).await);
    assert_eq!(street.notices(), 0);
    assert!(street.heard.try_recv().is_err(), "nothing was sent");
}

/// Who has taken over the duty gives the notice of delivery; where nobody has, this node does.
///
/// proves: GW-65, GW-66
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notice_of_delivery_comes_from_one_server_only() {
    for (far, told) in [(DSN, false), (PLAIN, true)] {
        let street = Street::with(far).await;
        street.send("MAIL FROM:<ann@author.test>", "RCPT TO:<old@one.test> NOTIFY=SUCCESS", "one").await;
        let heard = street.next();
        assert_eq!(heard.rcpt.contains("NOTIFY=SUCCESS"), !told, "{}", heard.rcpt);
        let store = street.world.node("one.test").store().clone();
        assert!(until(|| store.legs(None, None, 9).unwrap().is_empty()).await);
        match told {
            true => assert!(street.next().message.contains("Action: relayed")),
            false => assert_eq!(street.notices(), 0),
        }
    }
}

/// A cookie that the author's server does not know stays here, and nobody adds one of ours to what is not ours.
///
/// proves: CKS-1, CKS-8, CKS-9
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_borrowed_cookie_does_not_go_on() {
    let says = |line: &str| match line {
        line if line.starts_with("TEST COOKIE good") => Some("250 2.0.0 it is our message"),
        line if line.starts_with("TEST") => Some("550 5.7.1 no message of ours came that way"),
        _ => None,
    };
    let street = Street::with(Far { says, ..DSN }).await;
    let rcpt = "RCPT TO:<old@one.test>";
    for (id, goes_on) in [("good", true), ("borrowed", false)] {
        street.send(&format!("MAIL FROM:<ann@asked.test> COOKIE=<{id}@mx>"), rcpt, id).await;
        let heard = street.next();
        assert!(heard.mail.starts_with("MAIL FROM:<ann@asked.test>"), "{}", heard.mail);
        assert_eq!(heard.mail.contains(&format!("COOKIE=<{id}@mx>")), goes_on, "{}", heard.mail);
        assert_eq!(heard.mail.contains("COOKIE"), goes_on, "{}", heard.mail);
    }
    // One for another sender is none: it does not make a forged sender one that is kept.
    street.send("MAIL FROM:<eve@forged.test> COOKIE=<bad@mx>", rcpt, "forged").await;
    let heard = street.next();
    assert!(
        heard.mail.starts_with("MAIL FROM:<wx-") && !heard.mail.contains("COOKIE=<bad"),
        "{}",
        heard.mail
    );
}

/// What is forwarded goes to the target that the record says, and to nobody that a client names.
///
/// proves: GW-7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_sender_opens_no_relay() {
    let street = Street::with(DSN).await;
    for rcpt in [
        "RCPT TO:<new@far.test>",
        "RCPT TO:<new%far.test@one.test>",
        "RCPT TO:<far.test!new@one.test>",
        "RCPT TO:<@one.test:new@far.test>",
        "RCPT TO:<\"new@far.test\"@one.test>",
        "RCPT TO:<old@one.test> ORCPT=rfc822;",
        "RCPT TO:<old@one.test> NOTIFY=NEVER,SUCCESS",
        "RCPT TO:<old@one.test> NOTIFY=NEVER NOTIFY=SUCCESS",
    ] {
        let said = street.send("MAIL FROM:<ann@author.test>", rcpt, "relay").await;
        assert!(said.starts_with('5'), "{rcpt}: {said}");
    }
    // ORCPT is for notices: mail does not go there.
    let rcpt = "RCPT TO:<old@one.test> ORCPT=rfc822;victim@far.test";
    street.send("MAIL FROM:<ann@author.test>", rcpt, "original").await;
    assert_eq!(street.next().rcpt, "RCPT TO:<new@far.test> ORCPT=rfc822;victim@far.test");
    assert!(street.heard.try_recv().is_err());
}

/// What somebody writes in the name of the forwarder's own domain goes on, and is not made true by its signature.
///
/// proves: GW-71
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_forged_in_the_forwarders_name_is_not_signed_by_it() {
    let street = Street::with(DSN).await;
    let rcpt = "RCPT TO:<old@one.test>";
    for (mail, subject) in
        [("MAIL FROM:<ann@author.test>", "forged"), ("MAIL FROM:<eve@forged.test>", "forged-too")]
    {
        street.send_by("chief@one.test", mail, rcpt, subject).await;
        let heard = street.next().message;
        assert!(heard.contains("From: <chief@one.test>"), "{heard}");
        assert!(!heard.contains("DKIM-Signature"), "{heard}");
        assert!(heard.contains("Received: from mx.author.test ([127.0.0.1])"), "how it came: {heard}");
    }
    // What its own users write is.
    let mut carl = street.world.user("carl@one.test").await;
    carl.send(&letter("carl@one.test", "By myself\r\n"), &["new@far.test"]).await;
    let heard = street.next().message;
    assert!(heard.contains("DKIM-Signature:") && heard.contains("d=one.test"), "{heard}");
}

/// Of a list each target has the message under the sender that its own record says, and once.
///
/// proves: FWD-6, FWD-24
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_target_of_a_list_has_it_under_its_own_sender() {
    let street = Street::with(DSN).await;
    for (target, keep_sender) in [("kept@far.test", true), ("ours@far.test", false)] {
        let order = ForwardOrder::Add {
            alias: "list@one.test".to_owned(),
            target: target.to_owned(),
            conceal: false,
            rewrite: false,
            granted: true,
            keep_sender,
        };
        assert!(matches!(street.order(order).await, Response::Forwards { .. }));
    }
    let rcpt = "RCPT TO:<list@one.test> NOTIFY=SUCCESS ORCPT=rfc822;list@one.test";
    let said = street.send("MAIL FROM:<ann@author.test> ENVID=x", rcpt, "to-all").await;
    assert!(said.starts_with("250"), "{said}");
    let mut heard: Vec<Transaction> = (0..3).map(|_| street.next()).collect();
    heard.sort_by(|one, other| one.rcpt.cmp(&other.rcpt));
    let said: Vec<(&str, &str)> = heard.iter().map(|one| (&*one.mail, &*one.rcpt)).collect();
    // The list is where it is delivered, as its sender hears; what was said of the list is not said of its members.
    assert!(said[0].0.starts_with("MAIL FROM:<>") && said[0].1 == "RCPT TO:<ann@author.test>", "{said:?}");
    assert!(heard[0].message.contains("Action: delivered") && !heard[0].message.contains("far.test>"));
    assert_eq!(said[1], ("MAIL FROM:<ann@author.test> ENVID=x", "RCPT TO:<kept@far.test>"));
    assert!(said[2].0.starts_with("MAIL FROM:<wx-") && said[2].1 == "RCPT TO:<ours@far.test>", "{said:?}");
    let store = street.world.node("one.test").store().clone();
    assert!(until(|| store.legs(None, None, 9).unwrap().iter().all(|leg| leg.attempts > 0)).await);
    assert!(until(|| street.notices() == 0).await);
    assert!(street.heard.try_recv().is_err(), "nobody has it twice, and nobody tells of a member");
}
