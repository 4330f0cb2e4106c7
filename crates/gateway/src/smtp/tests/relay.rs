//! No open relay: what was ever tried to have mail carried to others.

use super::talk::Talk;
use crate::Service;

/// Each of these is a line after EHLO and MAIL, to a server of `in.test`; none may be welcome.
const ATTEMPTS: [&str; 62] = [
    "RCPT TO:<victim@other.test>",
    "RCPT TO: <victim@other.test>",
    "RCPT TO:<victim@OTHER.TEST>",
    "RCPT TO:<victim@sub.in.test>",
    "RCPT TO:<victim@in.test.other.test>",
    "RCPT TO:<victim@xin.test>",
    "RCPT TO:<victim@in.test.>",
    "RCPT TO:<victim@.in.test>",
    "RCPT TO:<victim@in..test>",
    "RCPT TO:<victim@test>",
    "RCPT TO:<victim@localhost>",
    "RCPT TO:<victim>",
    "RCPT TO:<>",
    "RCPT TO:<@>",
    "RCPT TO:<@in.test>",
    "RCPT TO:<victim@>",
    "RCPT TO:<victim%other.test@in.test>",
    "RCPT TO:<victim%other.test%third.test@in.test>",
    "RCPT TO:<victim%other.test>",
    "RCPT TO:<victim%[192.0.2.1]@in.test>",
    "RCPT TO:<other.test!victim@in.test>",
    "RCPT TO:<other.test!victim>",
    "RCPT TO:<in.test!other.test!victim@in.test>",
    "RCPT TO:<other.test!victim%third.test@in.test>",
    "RCPT TO:<\"victim@other.test\"@in.test>",
    "RCPT TO:<\"victim%other.test\"@in.test>",
    "RCPT TO:<\"victim@other.test\">",
    "RCPT TO:<\"other.test!victim\"@in.test>",
    "RCPT TO:<victim\\@other.test@in.test>",
    "RCPT TO:<victim@other.test@in.test>",
    "RCPT TO:<victim@in.test@other.test>",
    "RCPT TO:<\"\"@in.test>",
    "RCPT TO:<victim@other.test\"@in.test>",
    "RCPT TO:<@in.test:victim@other.test>",
    "RCPT TO:<@other.test:bob@in.test>",
    "RCPT TO:<@in.test,@other.test:victim@third.test>",
    "RCPT TO:<in.test:victim@other.test>",
    "RCPT TO:<victim@[192.0.2.1]>",
    "RCPT TO:<victim@[IPv6:2001:db8::1]>",
    "RCPT TO:<victim@[127.0.0.1]>",
    "RCPT TO:<bob@[mx.in.test]>",
    "RCPT TO:<victim@127.0.0.1>",
    "RCPT TO:<victim@192.0.2.1.in-addr.arpa>",
    "RCPT TO:<victim@#3221225985>",
    "RCPT TO:victim@other.test",
    "RCPT TO:<victim@other.test",
    "RCPT TO:victim@other.test>",
    "RCPT TO:<<victim@other.test>>",
    "RCPT TO:<bob@in.test>,<victim@other.test>",
    "RCPT TO:<bob@in.test,victim@other.test>",
    "RCPT TO:<bob@in.test> <victim@other.test>",
    "RCPT TO:<bob@in.test>victim@other.test",
    "RCPT TO:Victim <victim@other.test>",
    "RCPT TO:<victim @other.test>",
    "RCPT TO:<victim@other.test(in.test)>",
    "RCPT TO:<victim@other.test> ORCPT=rfc822;bob@in.test",
    "RCPT TO:<victim@other.test#in.test>",
    "RCPT TO:<victim@other.test?in.test>",
    "RCPT TO:<victim@other.test/in.test>",
    "RCPT TO:<|victim@other.test;in.test>",
    "RCPT FROM:<bob@in.test>",
    "RCPT TO:<bob@in.test>\tNOTIFY=NEVER",
];

/// The same with SMTPUTF8 in MAIL.
const UTF8_ATTEMPTS: [&str; 14] = [
    "RCPT TO:<victim\u{FF20}other.test@in.test.other.test>", // a wide @
    "RCPT TO:<victim@other.test\u{3002}in.test>",            // an ideographic full stop is a dot
    "RCPT TO:<victim@in\u{FF0E}test\u{FF0E}other.test>",
    "RCPT TO:<victim@in.test\u{200B}.other.test>",
    "RCPT TO:<victim@\u{456}n.test>", // Cyrillic
    "RCPT TO:<victim\u{FF05}other.test@other.test>",
    "RCPT TO:<victim\u{0}@in.test>",
    "RCPT TO:<victim\u{85}@in.test>",
    "RCPT TO:<victim\u{2028}RCPT@in.test>",
    "RCPT TO:<victim\u{202E}@in.test>",
    "RCPT TO:<victim\u{FEFF}@in.test>",
    "RCPT TO:<e\u{301}@in.test>", // not NFC
    "RCPT TO:<victim@in\u{AD}.tes\u{AD}t.other.test>",
    "RCPT TO:<\u{201C}victim@other.test\u{201D}@in.test>",
];

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
