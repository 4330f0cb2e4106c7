//! No open relay: what was ever tried to have mail carried to others.

use super::attempts::{ATTEMPTS, UTF8_ATTEMPTS};
use super::talk::Talk;
use crate::Service;

/// proves: GW-7
#[test]
fn nothing_is_relayed() {
    assert!(ATTEMPTS.len() + UTF8_ATTEMPTS.len() >= 40);
    let cases = ATTEMPTS.iter().map(|attempt| (*attempt, ""));
    for (attempt, parameter) in cases.chain(UTF8_ATTEMPTS.iter().map(|attempt| (*attempt, " SMTPUTF8"))) {
        let mut talk = Talk::ready(Service::Transfer);
        assert!(talk.send(format!("MAIL FROM:<eve@far.test>{parameter}\r\n")).starts_with("250 "));
        let said = talk.send(format!("{attempt}\r\n"));
        assert!(said.starts_with('5'), "{attempt}: {said}");
        assert!(talk.send("DATA\r\n").starts_with("554 "), "{attempt}");
        assert!(talk.taken().is_empty(), "{attempt}");
    }
}

/// proves: GW-7
#[test]
fn nothing_is_relayed_in_one_piece_either() {
    for attempt in ATTEMPTS {
        let mut talk = Talk::at(Service::Transfer);
        talk.send(format!(
            "EHLO client.test\r\nMAIL FROM:<eve@far.test>\r\n{attempt}\r\nDATA\r\nSubject: x\r\n\r\nRCPT \
             TO:<bob@in.test>\r\nDATA\r\nSubject: hidden\r\n.\r\nQUIT\r\n"
        ));
        assert!(talk.taken().is_empty(), "{attempt}");
        assert!(talk.closed, "{attempt}: content came where none was wanted");
    }
}

#[test]
fn what_is_for_us_is_welcome_however_it_is_written() {
    let check = |line: &str, address: &str| {
        let mut talk = Talk::ready(Service::Transfer);
        talk.send("MAIL FROM:<eve@far.test> SMTPUTF8\r\n");
        assert!(talk.send(format!("{line}\r\n")).starts_with("250 2.1.5 "), "{line}");
        talk.send("DATA\r\n");
        talk.send("Subject: x\r\n\r\n.\r\n");
        assert_eq!(talk.taken()[0].recipients[0].address.to_string(), address, "{line}");
    };
    check("RCPT TO:<bob@in.test>", "bob@in.test");
    check("rcpt to:<bob@IN.Test>", "bob@in.test");
    check("RCPT TO: <bob@in.test>", "bob@in.test");
    check("RCPT TO:<Bob.O'Neil+tag@in.test> ", "Bob.O'Neil+tag@in.test");
    check("RCPT TO:<postmaster>", "postmaster@in.test");
    check("RCPT TO:<Postmaster>", "postmaster@in.test");
    check("RCPT TO:<\u{fc}ber@in.test>", "\u{fc}ber@in.test");
    check("RCPT TO:<bob@in\u{FF0E}test>", "bob@in.test");
}

#[test]
fn who_has_logged_in_may_send_to_others() {
    let mut talk = Talk::ready(Service::Submission);
    talk.send("MAIL FROM:<bob@in.test>\r\n");
    assert!(talk.send("RCPT TO:<victim%ou@other.test>\r\n").starts_with("250 "));
    assert!(talk.send("RCPT TO:<@in.test:victim@other.test>\r\n").starts_with("550 "));
}
