//! What is forwarded without a grant, and comes back: the return path leads to the sender, and nobody else has anything of it.

use control::{ForwardOrder, Response};
use waxwing_tests::world::until;

use crate::kept_sender::{DSN, Far, Street};

const ANN: &str = "MAIL FROM:<ann@author.test>";
const NULL: &str = "MAIL FROM:<>";

/// A target that cannot be asked.
async fn lead(street: &Street, alias: &str, target: &str, conceal: bool) {
    let order = ForwardOrder::Add {
        alias: alias.to_owned(),
        target: target.to_owned(),
        conceal,
        rewrite: true,
        granted: false,
        keep_sender: false,
    };
    match street.order(order).await {
        Response::Forwards { forwards } => assert_eq!(forwards[0].state, "rewriting", "{forwards:?}"),
        other => panic!("{other:?}"),
    }
}

/// What a server sends back that has taken a message and could not deliver it.
fn notice(subject: &str) -> String {
    format!(
        "From: <mailer-daemon@far.test>\r\nMessage-ID: <{subject}@far.test>\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nThe mailbox is gone.\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.far.test\r\n\r\n\
         Final-Recipient: rfc822; new@far.test\r\nAction: failed\r\nStatus: 5.2.1\r\n\r\n--b--\r\n"
    )
}

/// The address in MAIL or RCPT.
fn path(line: &str) -> String {
    line.split(['<', '>']).nth(1).unwrap().to_owned()
}

fn rcpt(address: &str) -> String {
    format!("RCPT TO:<{address}>")
}

/// The sender that a message has at the far server when Ann has written to this alias.
async fn sender_of(street: &Street, alias: &str, subject: &str) -> String {
    street.send(ANN, &rcpt(alias), subject).await;
    path(&street.next().mail)
}

/// proves: FWD-9, FWD-37, FWD-38
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_bounces_later_comes_back_to_who_has_sent_it() {
    let street = Street::with(DSN).await;
    lead(&street, "rw@one.test", "new@far.test", false).await;
    let to = "RCPT TO:<rw@one.test> NOTIFY=FAILURE ORCPT=rfc822;rw@one.test";
    let said = street.send(&format!("{ANN} RET=HDRS ENVID=x COOKIE=<id@mx>"), to, "there").await;
    assert!(said.starts_with("250"), "{said}");
    let there = street.next();
    let back = path(&there.mail);
    assert!(back.starts_with("SRS0=") && back.ends_with("=author.test=ann@one.test"), "{back}");
    // What Ann wants to be told goes along, and her cookie, which is for her own address, does not.
    assert!(there.mail.contains(" RET=HDRS ENVID=x") && !there.mail.contains("COOKIE"), "{}", there.mail);
    assert_eq!(there.rcpt, "RCPT TO:<new@far.test> NOTIFY=FAILURE ORCPT=rfc822;rw@one.test");
    // Nothing waits here for what becomes of it.
    let store = street.world.node("one.test").store().clone();
    assert!(until(|| store.legs(None, None, 9).unwrap().is_empty()).await);
    // The same sender has the same address on the same day: servers that put off whom they do not know know it next time.
    assert_eq!(sender_of(&street, "rw@one.test", "again").await, back);

    let said = street.say(NULL, &rcpt(&back), notice("bounce")).await;
    assert!(said.starts_with("250"), "{said}");
    let heard = street.next();
    assert_eq!((&*heard.mail, &*heard.rcpt), ("MAIL FROM:<>", "RCPT TO:<ann@author.test>"));
    for line in ["Status: 5.2.1", "Subject: bounce", "Received: from mx.author.test", "by mx.one.test with"] {
        assert!(heard.message.contains(line), "{line}\n{}", heard.message);
    }
    // Some servers fold local parts.
    let said = street.say(NULL, &rcpt(&back.to_ascii_lowercase()), notice("folded")).await;
    assert!(said.starts_with("250"), "{said}");
    assert_eq!(street.next().rcpt, "RCPT TO:<ann@author.test>");
    // The leg goes once the far server has replied, after it has told what it heard.
    let settled =
        || store.legs(None, None, 9).unwrap().is_empty() && store.notices_due(None, 9).unwrap().is_empty();
    assert!(until(settled).await);
    assert!(street.heard.try_recv().is_err(), "nothing else was sent");
}

/// proves: FWD-38, GW-7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_has_anything_of_a_way_back() {
    let street = Street::with(DSN).await;
    lead(&street, "rw@one.test", "new@far.test", false).await;
    let back = sender_of(&street, "rw@one.test", "there").await;
    let to = rcpt(&back);
    let refused = async |mail: &str, to: &str, octets: String| {
        let said = street.say(mail, to, octets).await;
        assert!(said.starts_with("550"), "{mail} {to}: {said}");
    };
    for mail in [ANN, "MAIL FROM:<new@far.test>", "MAIL FROM:<eve@forged.test>"] {
        refused(mail, &to, notice("not-null")).await;
    }
    // Mail is no notice, whoever has not sent it.
    let mail = "From: <eve@far.test>\r\nSubject: Gold\r\n\r\nBuy some.\r\n";
    refused(NULL, &to, mail.to_owned()).await;
    // Another one in either case: case is folded (GW-70).
    let first = if back.as_bytes()[5].eq_ignore_ascii_case(&b'x') { "y" } else { "x" };
    for forged in [
        back.replace("=ann@", "=bob@"),
        back.replace("author.test", "forged.test"),
        format!("{}{first}{}", &back[..5], &back[6..]),
        "SRS0=aaaaaaaa=AA=author.test=ann@one.test".to_owned(),
        "SRS0=@one.test".to_owned(),
        "SRS1=aaaaaaaa=author.test==aaaa=AA=x.test=ann@one.test".to_owned(),
    ] {
        refused(NULL, &rcpt(&forged), notice("forged")).await;
    }
    assert!(street.heard.try_recv().is_err(), "nothing was sent");
}

/// Who makes others name addresses that are none keeps no true one from coming back.
///
/// proves: FWD-41
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_address_is_taken_whatever_else_comes_from_a_network() {
    let street = Street::with(DSN).await;
    lead(&street, "rw@one.test", "new@far.test", false).await;
    let back = sender_of(&street, "rw@one.test", "there").await;
    let wrong = rcpt("SRS0=guessed=AA=author.test=ann@one.test");
    let mut talk = vec!["EHLO mx.author.test".to_owned(), NULL.to_owned(), wrong];
    for number in 1..=20 {
        let said = street.lines(&talk).await;
        assert!(said.len() == 4 && said[3].starts_with("550 5.1.1"), "{number}: {said:?}");
    }
    // The network has guessed too often: one more ends the session.
    talk.push("NOOP".to_owned());
    let said = street.lines(&talk).await;
    assert!(said[3].starts_with("550 5.1.1") && said[4].starts_with("421 4.7.0"), "{said:?}");
    // A notice to an address that is right comes through all the same.
    for subject in ["one", "two"] {
        let said = street.say(NULL, &rcpt(&back), notice(subject)).await;
        assert!(said.starts_with("250"), "{said}");
        assert_eq!(street.next().rcpt, "RCPT TO:<ann@author.test>");
    }
}

/// Who has seen an address does not send its sender what it likes for as long as that is good.
///
/// proves: FWD-41
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notices_to_one_address_have_a_rate() {
    let street = Street::with(DSN).await;
    lead(&street, "rw@one.test", "new@far.test", false).await;
    let back = sender_of(&street, "rw@one.test", "there").await;
    let mut talk = vec!["EHLO mx.author.test".to_owned()];
    for number in 0..200 {
        talk.extend([NULL.to_owned(), rcpt(&back), "DATA".to_owned()]);
        talk.push(format!("{}.", notice(&format!("n{number}"))));
    }
    talk.extend([NULL.to_owned(), rcpt(&back)]);
    let said = street.lines(&talk).await;
    let taken = said.iter().filter(|said| said.starts_with("250 2.0.0")).count();
    assert!(said.last().is_some_and(|said| said.starts_with("450 4.7.1")), "{taken} {said:?}");
    let count = std::iter::from_fn(|| street.heard.try_recv().ok()).count();
    assert_eq!(count, 200, "{said:?}");
    // Another sender's is not concerned.
    street.send("MAIL FROM:<bob@author.test>", &rcpt("rw@one.test"), "bob").await;
    let other = path(&street.next().mail);
    let said = street.say(NULL, &rcpt(&other), notice("bob")).await;
    assert!(said.starts_with("250"), "{said}");
}

/// Whoever brings a notice hears what is said where it goes, and keeps it until it is taken.
///
/// proves: FWD-38
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_senders_server_says_is_what_is_answered() {
    let says = |line: &str| match line {
        line if line.contains("TO:<busy@") => Some("451 4.3.2 later"),
        line if line.contains("TO:<gone@") => Some("550 5.1.1 gone"),
        _ => None,
    };
    let street = Street::with(Far { says, ..DSN }).await;
    lead(&street, "rw@one.test", "new@far.test", false).await;
    for (name, digits) in [("busy", "451"), ("gone", "550"), ("ann", "250")] {
        street.send(&format!("MAIL FROM:<{name}@author.test>"), &rcpt("rw@one.test"), name).await;
        let back = path(&street.next().mail);
        let said = street.say(NULL, &rcpt(&back), notice(name)).await;
        assert!(said.starts_with(digits), "{name}: {said}");
    }
}

/// A target that sends everything back to the alias, as two forwarders do that lead to each other.
///
/// proves: GW-108
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_back_to_where_it_left_from_goes_around_no_more() {
    let street = Street::with(DSN).await;
    lead(&street, "rw@one.test", "new@far.test", false).await;
    lead(&street, "other@one.test", "new@far.test", false).await;
    street.send(ANN, &rcpt("rw@one.test"), "circle").await;
    let there = street.next();
    let field = "Delivered-To: rw@one.test\r\nReceived: by mx.one.test with WAXWING";
    assert!(there.message.contains(field), "{}", there.message);
    let said = street.say(ANN, &rcpt("rw@one.test"), there.message.clone()).await;
    assert!(said.starts_with("554 5.4.6"), "{said}");
    // Beside somebody else, who may have it from there, there is one reply for both: it goes around once more, and nobody loses it.
    let both = [rcpt("rw@one.test"), rcpt("other@one.test")];
    let mut talk = vec!["EHLO mx.author.test".to_owned(), ANN.to_owned()];
    talk.extend(both.into_iter().chain(["DATA".to_owned(), format!("{}.", there.message)]));
    let said = street.lines(&talk).await;
    assert!(said.last().is_some_and(|said| said.starts_with("250 ")), "{said:?}");
    street.next();
    // Sent anew by whoever had it, it goes around in no circle.
    let anew = format!("Resent-From: new@far.test\r\n{}", there.message);
    assert!(street.say(ANN, &rcpt("rw@one.test"), anew).await.starts_with("250 "));
    street.next();
    let said = street.say(ANN, &rcpt("rw@one.test"), there.message).await;
    assert!(said.starts_with("554 5.4.6"), "{said}");
    assert!(street.heard.try_recv().is_err(), "nothing was sent");
}

/// Where a notice must not go straight back, or must not go at all, the return path is one by which only this node learns of it.
///
/// proves: FWD-37
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_proved_or_may_not_see_the_target_has_no_way_back() {
    let street = Street::with(DSN).await;
    lead(&street, "rw@one.test", "new@far.test", false).await;
    lead(&street, "hidden@one.test", "new@far.test", true).await;
    for target in ["new@far.test", "other@far.test"] {
        lead(&street, "list@one.test", target, false).await;
    }
    let tagged = |sender: String| assert!(sender.starts_with("wx-"), "{sender}");
    tagged(sender_of(&street, "hidden@one.test", "hidden").await);
    tagged(sender_of(&street, "list@one.test", "list").await);
    street.send("MAIL FROM:<eve@forged.test>", &rcpt("rw@one.test"), "forged").await;
    tagged(path(&street.next().mail));
    // An address that has no room.
    let long = "a".repeat(50);
    street.send(&format!("MAIL FROM:<{long}@author.test>"), &rcpt("rw@one.test"), "long").await;
    tagged(path(&street.next().mail));
}
