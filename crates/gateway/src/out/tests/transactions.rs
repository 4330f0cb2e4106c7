//! What is said to a server, and what its answers become.

use tokio::net::UnixListener;

use super::*;
use crate::out::limits::IDLE_TIME_MAX;
use crate::out::script::{follow, serve};
use crate::out::{Lmtp, LmtpPlace, Parameter};

/// A session that has said hello to a server with these abilities, and goes on so.
fn with(abilities: &[&str], then: &str) -> String {
    let mut script = "S 220 mx\n C EHLO north.test\n".to_owned();
    for ability in abilities {
        script.push_str(&format!("S 250-{ability}\n"));
    }
    let first = script.replacen("S 250-", "S 250-mx\nS 250-", 1);
    let script = if abilities.is_empty() { script } else { first };
    format!("{script}S 250 HELP\n{then}")
}

/// proves: GW-49, GW-52
#[tokio::test]
async fn each_recipient_has_its_own_answer_with_pipelining() {
    let script = with(
        &["PIPELINING", "SIZE 1000000"],
        "C MAIL FROM:<wx-tag@north.test> SIZE=25
         C RCPT TO:<a@south.test>
         C RCPT TO:<b@south.test>
         C RCPT TO:<c@south.test>
         C DATA
         S 250 ok
         S 250 ok
         S 550-5.1.1 No such user here.
         S 550 5.1.1 Ask the postmaster.
         S 450 greylisted, come again
         S 354 go on
         DATA
         S 250 2.0.0 mine
         C QUIT",
    );
    let server = serve(&[&script], None).await;
    let sender = sender_to(&server);
    let report = send(&sender, &letter(&["a@south.test", "b@south.test", "c@south.test"])).await;
    assert_eq!(
        all(&report),
        [
            "taken by mx.south.test: 250 2.0.0 mine",
            "refused 5.1.1: 550 5.1.1 No such user here. Ask the postmaster.",
            "deferred 4.1.1: 450 greylisted, come again",
        ]
    );
    sender.close().await;
    assert_eq!(server.heard().await, ["Subject: hello\n\n..dots\n"]);
}

/// proves: GW-49
#[tokio::test]
async fn a_message_for_nobody_is_not_sent() {
    let script = with(
        &["PIPELINING"],
        "C MAIL FROM:<wx-tag@north.test>
         C RCPT TO:<a@south.test>
         C DATA
         S 250 ok
         S 550 5.1.1 no
         S 354 go on
         DATA
         S 554 nobody
         C QUIT",
    );
    let server = serve(&[&script], None).await;
    let sender = sender_to(&server);
    assert_eq!(all(&send(&sender, &letter(&["a@south.test"])).await), ["refused 5.1.1: 550 5.1.1 no"]);
    sender.close().await;
    assert_eq!(server.heard().await, [""]);
}

/// proves: GW-48, GW-49
#[tokio::test]
async fn connections_are_used_again_and_chunks_are_as_they_are() {
    let envelope = "C MAIL FROM:<wx-tag@north.test>
         S 250 ok
         C RCPT TO:<a@south.test>
         S 250 ok
         C BDAT 25 LAST
         BYTES 25
         S 250 mine\n";
    let script = with(&["CHUNKING"], &format!("{envelope} C RSET\n S 250 ok\n {envelope} C QUIT"));
    let server = serve(&[&script], None).await;
    let sender = sender_to(&server);
    for _ in 0..2 {
        assert_eq!(
            all(&send(&sender, &letter(&["a@south.test"])).await),
            ["taken by mx.south.test: 250 mine"]
        );
    }
    sender.close().await;
    assert_eq!(server.heard().await, ["Subject: hello\r\n\r\n.dots\r\n"; 2]);
}

/// proves: GW-48
#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_opened_anew() {
    let envelope = "C MAIL FROM:<wx-tag@north.test>
         S 250 ok
         C RCPT TO:<a@south.test>
         S 250 ok
         C DATA
         S 354 go on
         DATA
         S 250 mine\n";
    let first = with(&[], &format!("{envelope} S 421 4.4.2 idle for too long"));
    let server = serve(&[&first, &with(&[], &format!("{envelope} C QUIT"))], None).await;
    let sender = sender_to(&server);
    for _ in 0..2 {
        let report = send(&sender, &letter(&["a@south.test"])).await;
        assert_eq!(
            (all(&report), report.tried),
            (vec!["taken by mx.south.test: 250 mine".to_owned()], vec![])
        );
    }
    sender.close().await;
    assert_eq!(server.heard().await.len(), 2);
}

/// proves: GW-50
#[tokio::test]
async fn what_a_host_cannot_take_is_not_sent_to_it() {
    let check = async |abilities: &[&str], recipient: &str, octets: &str, expected: &str| {
        let server = serve(&[&with(abilities, "C QUIT")], None).await;
        let sender = sender_to(&server);
        let report = send(&sender, &shipment("south.test", &[recipient], octets)).await;
        assert!(short(&report.recipients[0]).starts_with(expected), "{report:?}");
        sender.close().await;
        assert!(server.heard().await.is_empty());
    };
    let plain = "Subject: x\r\n\r\ny\r\n";
    check(&[], "a@south.test", "Subject: x\r\n\r\nü\r\n", "unfit false false").await;
    check(&["8BITMIME"], "a@south.test", "Subject: ü\r\n\r\ny\r\n", "unfit true false").await;
    check(&["8BITMIME"], "zoë@south.test", plain, "refused 5.6.7: mx.south.test does not take").await;
    check(&["SIZE 10"], "a@south.test", plain, "refused 5.3.4: mx.south.test takes messages of 10").await;
}

/// proves: GW-50, GW-56
#[tokio::test]
async fn parameters_are_said_where_they_are_understood() {
    let mut letter = shipment("south.test", &["zoë@south.test"], "Subject: ü\r\n\r\ny\r\n");
    letter.envelope_id = Some("id+1 =x".to_owned());
    letter.headers_only = Some(true);
    letter.recipients[0].notify = Some(2 | 4);
    letter.recipients[0].original = Some("rfc822;zoe+x@south.test".to_owned());
    let cookie =
        |extension: &str, text: &str| Parameter { extension: extension.to_owned(), text: text.to_owned() };
    letter.parameters =
        vec![cookie("COOKIES", "COOKIE=<1@a.test>"), cookie("OTHER", "X=1"), cookie("COOKIES", "A B")];
    let script = with(
        &["8BITMIME", "SMTPUTF8", "DSN", "COOKIES"],
        "C MAIL FROM:<wx-tag@north.test> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=id+2B1+20+3Dx COOKIE=<1@a.test>
         S 250 ok
         C RCPT TO:<zoë@south.test> NOTIFY=FAILURE,DELAY ORCPT=rfc822;zoe+2Bx@south.test
         S 250 ok
         C DATA
         S 354 go on
         DATA
         S 250 mine
         C QUIT",
    );
    let server = serve(&[&script], None).await;
    let sender = sender_to(&server);
    let report = send(&sender, &letter).await;
    assert!(matches!(&report.recipients[0], Outcome::Taken { notices: true, .. }), "{report:?}");
    sender.close().await;
    assert_eq!(server.heard().await, ["Subject: ü\n\ny\n"]);
}

/// proves: GW-54
#[tokio::test]
async fn after_the_message_no_other_host_is_tried() {
    let envelope = "C MAIL FROM:<wx-tag@north.test>
         S 250 ok
         C RCPT TO:<a@south.test>
         S 250 ok
         C DATA
         S 354 go on
         DATA\n";
    let check = async |end: &str, expected: &str| {
        let server = serve(&[&with(&[], &format!("{envelope}{end}"))], None).await;
        let other = serve(&["S 220 never called"], None).await;
        let hosts = [("mx.south.test", server.address), ("mx2.south.test", other.address)];
        let sender = sender(settings(&hosts), zones("south.test", &["mx.south.test", "mx2.south.test"]));
        let report = send(&sender, &letter(&["a@south.test"])).await;
        assert_eq!(all(&report), [expected]);
        assert!(report.tried.iter().all(|one| one.host == "mx.south.test"));
        sender.close().await;
        server.heard().await;
    };
    let lost =
        "deferred 4.4.2: the connection was closed, after the whole message was sent: it may have been taken";
    check("", lost).await;
    check("S 451 4.3.0 try again\n C QUIT", "deferred 4.3.0: 451 4.3.0 try again").await;
    check("S 554 5.7.1 spam\n C QUIT", "refused 5.7.1: 554 5.7.1 spam").await;
}

/// proves: GW-51
#[tokio::test]
async fn nobody_is_waited_for_without_end() {
    let check = async |script: &str, set: fn(&mut Times), expected: &str| {
        let server = serve(&[script], None).await;
        let mut settings = settings(&[("mx.south.test", server.address)]);
        set(&mut settings.times);
        let sender = sender(settings, zones("south.test", &["mx.south.test"]));
        let report = send(&sender, &letter(&["a@south.test"])).await;
        assert_eq!(all(&report), [expected]);
    };
    const SHORT: Duration = Duration::from_millis(50);
    check("SILENT", |times| times.greeting = SHORT, "deferred 4.4.1: no answer in time").await;
    check("S 220 x\n SILENT", |times| times.command = SHORT, "deferred 4.4.2: no answer in time").await;
    check("SILENT", |times| times.whole = SHORT, "deferred 4.4.1: the time for one attempt is over").await;
    let endless = format!("S 220-{}", "x\\r\\n220-".repeat(500));
    check(&endless, |_| (), "deferred 4.5.0: what came is no reply of SMTP: too many lines").await;
    check("S 22o", |_| (), "deferred 4.5.0: what came is no reply of SMTP: no three digits").await;
    let long = format!("S 220 {}", "x".repeat(10_000));
    check(&long, |_| (), "deferred 4.5.0: what came is no reply of SMTP: a line too long").await;
}

/// proves: GW-58
#[tokio::test]
async fn a_mailbox_server_answers_for_each_recipient() {
    let script = "S 220 box
         C LHLO north.test
         S 250-box
         S 250-PIPELINING
         S 250 ENHANCEDSTATUSCODES
         C MAIL FROM:<wx-tag@north.test>
         C RCPT TO:<a@south.test>
         C RCPT TO:<b@south.test>
         C RCPT TO:<c@south.test>
         C DATA
         S 250 ok
         S 250 ok
         S 550 5.1.1 no such mailbox
         S 250 ok
         S 354 go on
         DATA
         S 250 2.0.0 stored
         S 452 4.2.2 mailbox full
         C QUIT";
    let expected = |place: &str| {
        [
            format!("taken by {place}: 250 2.0.0 stored"),
            "refused 5.1.1: 550 5.1.1 no such mailbox".to_owned(),
            "deferred 4.2.2: 452 4.2.2 mailbox full".to_owned(),
        ]
    };
    let letter = letter(&["a@south.test", "b@south.test", "c@south.test"]);
    let times = settings(&[]).times;
    let server = serve(&[script], None).await;
    let lmtp = Lmtp::new(LmtpPlace::Tcp(server.address), "north.test", times);
    assert_eq!(all(&lmtp.send(&letter, &|_, _| ()).await), expected(&server.address.to_string()));
    assert_eq!(server.heard().await, ["Subject: hello\n\n..dots\n"]);

    let folder = std::env::temp_dir().join(format!("waxwing-lmtp-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("lmtp.sock");
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let served = tokio::spawn(async move {
        let mut heard = Vec::new();
        follow(Box::new(listener.accept().await.unwrap().0), script, None, &mut heard).await;
        heard
    });
    let lmtp = Lmtp::new(LmtpPlace::Unix(path.clone()), "north.test", times);
    assert_eq!(all(&lmtp.send(&letter, &|_, _| ()).await), expected(&path.display().to_string()));
    assert_eq!(served.await.unwrap().len(), 1);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// proves: GW-51, GW-52
#[tokio::test]
async fn who_is_too_many_comes_with_the_next_transaction() {
    let script = with(
        &["PIPELINING"],
        "C MAIL FROM:<wx-tag@north.test>
         C RCPT TO:<a@south.test>
         C RCPT TO:<b@south.test>
         C DATA
         S 250 ok
         S 250 ok
         S 552 5.5.3 too many recipients
         S 354 go on
         DATA
         S 250 mine
         C MAIL FROM:<wx-tag@north.test>
         C RCPT TO:<b@south.test>
         C DATA
         S 250 ok
         S 250 ok
         S 354 go on
         DATA
         S 250 mine too
         C QUIT",
    );
    let server = serve(&[&script], None).await;
    let sender = sender_to(&server);
    let report = send(&sender, &letter(&["a@south.test", "b@south.test"])).await;
    assert_eq!(all(&report), ["taken by mx.south.test: 250 mine", "taken by mx.south.test: 250 mine too"]);
    sender.close().await;
    assert_eq!(server.heard().await.len(), 2);
}

/// proves: GW-51
#[tokio::test]
async fn no_transaction_has_more_than_a_hundred_recipients() {
    let many: Vec<String> = (0..101).map(|number| format!("a{number}@south.test")).collect();
    let transaction = |recipients: &[String]| {
        let envelope: String =
            recipients.iter().map(|one| format!("C RCPT TO:<{one}>\n S 250 ok\n")).collect();
        format!(
            "C MAIL FROM:<wx-tag@north.test>\n S 250 ok\n {envelope} C DATA\n S 354 go on\n DATA\n S 250 mine\n"
        )
    };
    let (first, second) = many.split_at(100);
    let script = with(&[], &format!("{}{} C QUIT", transaction(first), transaction(second)));
    let server = serve(&[&script], None).await;
    let sender = sender_to(&server);
    let addresses: Vec<&str> = many.iter().map(String::as_str).collect();
    let report = send(&sender, &letter(&addresses)).await;
    assert_eq!(all(&report), ["taken by mx.south.test: 250 mine"; 101]);
    sender.close().await;
    assert_eq!(server.heard().await.len(), 2);
}

/// proves: GW-48, GW-52
#[tokio::test]
async fn a_refused_return_path_concerns_all_and_leaves_the_connection_usable() {
    let refused = "C MAIL FROM:<wx-tag@north.test>
         C RCPT TO:<a@south.test>
         C RCPT TO:<b@south.test>
         C DATA
         S 550 5.7.1 not from you
         S 503 5.5.1 MAIL first
         S 503 5.5.1 MAIL first
         S 503 5.5.1 MAIL first\n";
    let taken = "C RSET
         S 250 ok
         C MAIL FROM:<wx-tag@north.test>
         C RCPT TO:<a@south.test>
         C DATA
         S 250 ok
         S 250 ok
         S 354 go on
         DATA
         S 250 mine
         C QUIT";
    let server = serve(&[&with(&["PIPELINING"], &format!("{refused}{taken}"))], None).await;
    let sender = sender_to(&server);
    let report = send(&sender, &letter(&["a@south.test", "b@south.test"])).await;
    assert_eq!(all(&report), ["refused 5.7.1: 550 5.7.1 not from you"; 2]);
    let report = send(&sender, &letter(&["a@south.test"])).await;
    assert_eq!(all(&report), ["taken by mx.south.test: 250 mine"]);
    sender.close().await;
    server.heard().await;
}

/// proves: GW-48
#[tokio::test]
async fn an_idle_connection_ends_after_its_time() {
    let script = with(
        &[],
        "C MAIL FROM:<wx-tag@north.test>
         S 250 ok
         C RCPT TO:<a@south.test>
         S 250 ok
         C DATA
         S 354 go on
         DATA
         S 250 mine
         C QUIT",
    );
    let server = serve(&[&script], None).await;
    let sender = sender_to(&server);
    assert_eq!(all(&send(&sender, &letter(&["a@south.test"])).await), ["taken by mx.south.test: 250 mine"]);
    tokio::time::pause();
    // The task that will say goodbye has to have begun to wait.
    tokio::task::yield_now().await;
    tokio::time::advance(IDLE_TIME_MAX).await;
    tokio::time::resume();
    assert_eq!(server.heard().await.len(), 1);
}
