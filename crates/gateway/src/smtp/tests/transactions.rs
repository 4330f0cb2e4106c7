//! What comes of whole transactions: letters, and the replies to them.

use std::sync::Arc;

use message::{Code, Cookie, Disposition};

use super::talk::Talk;
use crate::mav::{Agreed, HostNames, May, Network, Rule, Rules, Who};
use crate::smtp::{Checks, Encrypted, Input, Parts};
use crate::{Authenticity, Findings, Later, Letter, Recipient, Service};

const MAIL: &str = "MAIL FROM:<eve@far.test>\r\n";

fn pending() -> Disposition {
    Disposition::Pending { cookie: Cookie::from_bytes([1; 32]), min_seconds: 60, max_seconds: 600, until: 0 }
}

#[test]
fn a_letter_has_what_was_said() {
    let mut talk = Talk::ready(Service::Transfer);
    let said = talk.send(
        "MAIL FROM:<eve@far.test> SIZE=100 BODY=8BITMIME SMTPUTF8 PRDR RET=full ENVID=a+2Bb COOKIE=c1@mx.far.test \
         AUTH=<>\r\nRCPT TO:<bob@in.test> NOTIFY=DELAY,failure ORCPT=rfc822;Bob+40old.test\r\n\
         RCPT TO:<amy@in.test> NOTIFY=NEVER\r\nDATA\r\n",
    );
    assert!(said.contains("354 "), "{said}");
    talk.send("Subject: \u{fc}\r\n\r\n..dot\r\n.\r\n");
    let letter = talk.taken().remove(0);
    assert_eq!(letter.return_path.as_ref().unwrap().to_string(), "eve@far.test");
    let recipients: Vec<(String, Option<u8>, Option<&str>)> = letter
        .recipients
        .iter()
        .map(|one| (one.address.to_string(), one.notify, one.original.as_deref()))
        .collect();
    let both = Recipient::NOTIFY_DELAY | Recipient::NOTIFY_FAILURE;
    assert_eq!(
        recipients,
        [
            ("bob@in.test".to_owned(), Some(both), Some("rfc822;Bob@old.test")),
            ("amy@in.test".to_owned(), Some(0), None)
        ]
    );
    assert_eq!(&letter.octets[..], "Subject: \u{fc}\r\n\r\n.dot\r\n".as_bytes());
    assert_eq!(letter.cookie, Some(("c1".to_owned(), "mx.far.test".to_owned())));
    assert_eq!(letter.envelope_id.as_deref(), Some("a+b"));
    assert!(letter.individual && letter.utf8 && letter.headers_only == Some(false));
    assert_eq!(letter.authenticity, Authenticity::Unverified);
    assert!(
        letter
            .received
            .starts_with("Received: from client.test ([192.0.2.7])\r\n\tby mx.in.test with UTF8SMTP id ")
    );
    assert!(!letter.received.contains("bob@"), "{}", letter.received);
}

/// Spellings that RFC 3461 allows or does not.
///
/// proves: GW-1, GW-66
#[test]
fn parameters_count_in_every_legal_spelling() {
    let check = |parameters: &str, start: &str| {
        let mut talk = Talk::ready(Service::Transfer);
        talk.send(MAIL);
        let said = talk.send(format!("RCPT TO:<bob@in.test> {parameters}\r\n"));
        assert!(said.starts_with(start), "{parameters}: {said}");
    };
    for legal in [
        "NOTIFY=NEVER",
        "NOTIFY=never",
        "notify=Success",
        "NOTIFY=SUCCESS,FAILURE,DELAY",
        "NOTIFY=DELAY,FAILURE",
        "NOTIFY=FAILURE,DELAY,SUCCESS",
        "NOTIFY=FAILURE ORCPT=rfc822;bob@in.test",
        "ORCPT=rfc822;a+2Bb@c.test NOTIFY=DELAY",
        "ORCPT=utf-8;\\x{FC}@c.test",
    ] {
        check(legal, "250 ");
    }
    for illegal in [
        "NOTIFY=",
        "NOTIFY",
        "NOTIFY=NEVER,DELAY",
        "NOTIFY=SOMETIMES",
        "NOTIFY=DELAY,",
        "ORCPT=bob",
        "ORCPT=rfc822;",
        "ORCPT=rfc822;a+2b@c",
        "ORCPT=rfc822;a+0D+0Ab",
        "NOTIFY=DELAY NOTIFY=DELAY",
    ] {
        check(illegal, "501 ");
    }
    // RFC 3461 section 4.2: at most 500 characters.
    check(&format!("ORCPT=rfc822;{}@c.test", "a".repeat(486)), "250 ");
    check(&format!("ORCPT=rfc822;{}@c.test", "a".repeat(487)), "501 ");
    check("XYZZY=1", "555 ");
    check("SIZE=1", "555 ");
}

/// proves: GW-1
#[test]
fn parameters_of_mail() {
    let check = |line: &str, start: &str| {
        let mut talk = Talk::ready(Service::Transfer);
        let said = talk.send(format!("{line}\r\n"));
        assert!(said.starts_with(start), "{line}: {said}");
    };
    check("MAIL FROM:<>", "250 ");
    check("mail from:<eve@far.test>", "250 ");
    check("MAIL FROM: <eve@far.test> size=1", "250 ");
    check("MAIL FROM:<> BODY=7bit ENVID=x AUTH=eve+40far.test", "250 ");
    check("MAIL FROM:<eve@far.test>  RET=HDRS", "250 ");
    check("MAIL FROM:<eve@far.test> BODY=BINARYMIME", "501 ");
    check("MAIL FROM:<eve@far.test> SIZE=-1", "501 ");
    check("MAIL FROM:<eve@far.test> SIZE=1x", "501 ");
    check("MAIL FROM:<eve@far.test> SIZE=99999999999999999999", "501 ");
    check("MAIL FROM:<eve@far.test> RET=SOME", "501 ");
    check("MAIL FROM:<eve@far.test> PRDR=yes", "501 ");
    check("MAIL FROM:<eve@far.test> COOKIE=c1", "501 ");
    check("MAIL FROM:<eve@far.test> COOKIE=@mx.far.test", "501 ");
    check("MAIL FROM:<eve@far.test> ENVID=a=b", "501 ");
    check("MAIL FROM:<eve@far.test> ENVID=a+0Ab", "501 ");
    check("MAIL FROM:<eve@far.test> ENVID=a ENVID=b", "501 ");
    check("MAIL FROM:<eve@far.test> RET=FULL RET=FULL", "501 ");
    // RFC 3461 section 4.4: at most 100 characters.
    check(&format!("MAIL FROM:<eve@far.test> ENVID={}", "a".repeat(100)), "250 ");
    check(&format!("MAIL FROM:<eve@far.test> ENVID={}", "a".repeat(101)), "501 ");
    check("MAIL FROM:<eve@far.test> BY=1;R", "555 ");
    check("MAIL FROM:<\u{fc}@far.test>", "553 5.6.7 ");
    check("MAIL FROM:<\u{fc}@far.test> SMTPUTF8", "250 ");
    check("MAIL FROM:<\"eve\"@far.test>", "553 5.1.7 ");
    check("MAIL FROM:<eve@[192.0.2.1]>", "553 5.1.7 ");
    check("MAIL FROM:eve@far.test", "501 ");
    check("MAIL FROM:<eve@far.test", "501 ");
    check("MAIL", "501 ");
    check("MAIL TO:<eve@far.test>", "501 ");
    check("MAILFROM:<eve@far.test>", "500 ");
    check("EHLO", "501 ");
    check("EHLO a b", "501 ");
    check("EHLO a(b)", "501 ");
    check("EHLO \u{fc}.test", "501 ");
    check("HELO [192.0.2.1]", "250 ");
    check("DATA now", "501 ");
    check("EXPN staff", "500 ");
    check("VRFY bob", "252 ");
    check("HELP me", "214 ");
    check("N\u{fc}OP", "500 ");
    check("", "500 ");
    check("TEST COOKIE c1 eve@far.test 192.0.2.1", "250 ");
    check("test cookie c1 <eve@far.test> [192.0.2.1]", "250 ");
    check("TEST COOKIE c2 eve@far.test 192.0.2.1", "550 ");
    check("TEST COOKIE c1 eve 192.0.2.1", "501 ");
    check("TEST COOKIE c1 eve@far.test 192.0.2.1 x", "501 ");
    check("TEST", "501 ");
}

/// proves: GW-2
#[test]
fn what_is_announced_is_what_can_be_done_now() {
    let words = |said: String| -> Vec<String> {
        said.lines().skip(1).map(|line| line[4..].split(' ').next().unwrap_or_default().to_owned()).collect()
    };
    let always = ["PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "CHUNKING", "DSN", "PRDR"];
    let check = |talk: &mut Talk, more: &[&str]| {
        let wanted: Vec<&str> = always.iter().chain(more).chain(&["ENHANCEDSTATUSCODES"]).copied().collect();
        assert_eq!(words(talk.send("EHLO client.test\r\n")), wanted);
    };
    check(&mut Talk::at(Service::Transfer), &["STARTTLS", "COOKIES"]);
    check(&mut Talk::with(Service::Transfer, |parts| parts.cookies = None), &["STARTTLS"]);
    let mut talk = Talk::at(Service::Submission);
    check(&mut talk, &["STARTTLS", "COOKIES"]);
    talk.send("STARTTLS\r\n");
    talk.encrypt();
    check(&mut talk, &["AUTH", "COOKIES"]);
    talk.send("AUTH PLAIN AGJvYgBzZWNyZXQ=\r\n");
    check(&mut talk, &["COOKIES"]);
    let mut talk = Talk::at(Service::Transfer);
    assert_eq!(talk.send("HELO client.test\r\n"), "250 mx.in.test\r\n");
    assert!(talk.send("MAIL FROM:<> SIZE=1\r\n").starts_with("555 "), "HELO knows no parameters");
}

/// What becomes of messages for one recipient, and for several together and by PRDR.
///
/// proves: GW-12, GW-13
#[test]
fn dispositions_become_replies() {
    let gone = || Disposition::refused(Code::NO_SUCH_ADDRESS, "gone");
    let full = || Disposition::refused(Code::MAILBOX_FULL, "full");
    let later = || Disposition::Deferred { code: Code::SYSTEM_FULL, after_seconds: 60 };
    let check = |dispositions: &[Disposition], each: &[&str], all: &str, all_by_prdr: &str| {
        for (individual, all) in [(false, all), (true, all_by_prdr)] {
            let mut talk = Talk::ready(Service::Transfer);
            let parameter = if individual { " PRDR" } else { "" };
            talk.send(format!("MAIL FROM:<eve@far.test>{parameter}\r\n"));
            for (place, disposition) in dispositions.iter().enumerate() {
                let address = format!("u{place}@in.test");
                talk.handler.answer(&address, disposition.clone());
                talk.send(format!("RCPT TO:<{address}>\r\nRCPT TO:<nobody@in.test>\r\n"));
            }
            talk.send("DATA\r\n");
            let said = talk.send("Subject: x\r\n\r\n.\r\n");
            let mut wanted: Vec<&str> = Vec::new();
            if individual {
                wanted.push("353 a rep");
                wanted.extend(each);
            }
            wanted.push(all);
            assert_eq!(said.lines().map(|line| &line[..9]).collect::<Vec<_>>(), wanted, "{said}");
        }
    };
    let same = |dispositions: &[Disposition], each: &[&str], all: &str| check(dispositions, each, all, all);
    let ok = || Disposition::Accepted;
    same(&[ok()], &["250 2.1.5"], "250 2.0.0");
    same(&[ok(), ok()], &["250 2.1.5", "250 2.1.5"], "250 2.0.0");
    same(&[gone()], &["550 5.1.1"], "550 5.1.1");
    same(&[full()], &["450 4.2.2"], "450 4.2.2");
    same(&[pending()], &["450 4.7.1"], "450 4.7.1");
    same(&[later()], &["451 4.3.1"], "451 4.3.1");
    same(&[ok(), gone()], &["250 2.1.5", "550 5.1.1"], "250 2.0.0");
    same(&[gone(), later()], &["550 5.1.1", "451 4.3.1"], "451 4.3.1");
    same(&[gone(), gone()], &["550 5.1.1", "550 5.1.1"], "550 5.1.1");
    // Without a reply of its own, who is not served yet is lost where the sender does not come again.
    check(&[ok(), later()], &["250 2.1.5", "451 4.3.1"], "451 4.3.1", "250 2.0.0");
    let three = ["550 5.1.1", "450 4.7.1", "250 2.1.5"];
    check(&[gone(), pending(), ok()], &three, "450 4.7.1", "250 2.0.0");
}

#[test]
fn a_recipient_who_is_named_twice_gets_it_once_and_two_replies() {
    let mut talk = Talk::ready(Service::Transfer);
    talk.send("MAIL FROM:<eve@far.test> PRDR\r\nRCPT TO:<bob@in.test>\r\nRCPT TO:<bob@in.test>\r\nDATA\r\n");
    let said = talk.send("x\r\n.\r\n");
    assert_eq!(said.lines().count(), 4, "{said}");
    assert_eq!(talk.taken()[0].recipients.len(), 1);
}

/// proves: GW-4
#[test]
fn chunks_make_one_message() {
    let mut talk = Talk::ready(Service::Transfer);
    talk.send(MAIL);
    talk.send("RCPT TO:<bob@in.test>\r\n");
    assert_eq!(talk.send("BDAT 8\r\nline\r\n.\r"), "250 2.0.0 go on\r\n");
    assert!(talk.send("RCPT TO:<amy@in.test>\r\n").starts_with("503 "), "too late");
    assert!(talk.send("DATA\r\n").starts_with("503 "));
    assert_eq!(talk.send("BDAT 0\r\n"), "250 2.0.0 go on\r\n");
    assert_eq!(talk.send("BDAT 2\r\n\n."), "250 2.0.0 go on\r\n");
    assert!(talk.send("BDAT 0 LAST\r\n").starts_with("250 2.0.0 taken as "));
    assert_eq!(&talk.taken()[0].octets[..], b"line\r\n.\r\n.\r\n", "dots are dots, the last line is ended");
    assert!(talk.send("BDAT 0 LAST\r\n").starts_with("503 "));
    talk.send(MAIL);
    talk.send("RCPT TO:<bob@in.test>\r\nBDAT 3\r\nabc");
    talk.send("RSET\r\n");
    assert!(talk.send("BDAT 3 LAST\r\ndef").starts_with("503 "), "the first part is forgotten");
    assert_eq!(talk.taken().len(), 1);
}

#[test]
fn commands_have_their_order() {
    let check = |dialogue: &[(&str, &str)]| {
        let mut talk = Talk::at(Service::Transfer);
        for (line, start) in dialogue {
            let said = talk.send(format!("{line}\r\n"));
            assert!(said.starts_with(start), "{line} in {dialogue:?}: {said}");
        }
    };
    check(&[("MAIL FROM:<>", "503 ")]);
    check(&[("RCPT TO:<bob@in.test>", "503 ")]);
    check(&[("DATA", "503 ")]);
    check(&[("STARTTLS", "503 ")]);
    check(&[("EHLO a", "250"), ("MAIL FROM:<>", "250"), ("MAIL FROM:<>", "503 ")]);
    check(&[
        ("EHLO a", "250"),
        ("MAIL FROM:<>", "250"),
        ("EHLO a", "250"),
        ("RCPT TO:<bob@in.test>", "503 "),
    ]);
    check(&[("EHLO a", "250"), ("MAIL FROM:<>", "250"), ("RSET", "250"), ("MAIL FROM:<>", "250")]);
    check(&[("EHLO a", "250"), ("MAIL FROM:<>", "250"), ("DATA", "554 ")]);
    check(&[("EHLO a", "250"), ("AUTH PLAIN AGJvYgBzZWNyZXQ=", "503 ")]);
    check(&[("RSET", "250"), ("NOOP", "250"), ("QUIT", "221 ")]);
}

/// proves: GW-11
#[test]
fn mail_is_submitted_only_by_who_has_logged_in_under_tls() {
    let mut talk = Talk::at(Service::Submission);
    talk.send("EHLO client.test\r\n");
    assert!(talk.send("AUTH PLAIN AGJvYgBzZWNyZXQ=\r\n").starts_with("538 5.7.11 "));
    assert!(talk.send(MAIL).starts_with("530 5.7.0 STARTTLS"));
    talk.send("STARTTLS\r\n");
    talk.encrypt();
    assert!(talk.send(MAIL).starts_with("503 "), "EHLO again");
    talk.send("EHLO client.test\r\n");
    assert!(talk.send(MAIL).starts_with("530 5.7.0 AUTH"));
    let wrong_password = talk.send("AUTH PLAIN AGJvYgBzZWNyZXU=\r\n");
    let wrong_name = talk.send("AUTH PLAIN AGJvYwBzZWNyZXQ=\r\n");
    assert!(wrong_password.starts_with("535 5.7.8 "));
    assert_eq!(wrong_password, wrong_name);
    assert_eq!(talk.send("AUTH PLAIN\r\n"), "334 \r\n");
    assert!(talk.send("AGJvYgBzZWNyZXQ=\r\n").starts_with("235 2.7.0 "));
    assert!(talk.send("AUTH PLAIN AGJvYgBzZWNyZXQ=\r\n").starts_with("503 "), "once is enough");
    assert!(talk.send("MAIL FROM:<bob@in.test>\r\n").starts_with("250 "));
    talk.send("RCPT TO:<amy@other.test>\r\nDATA\r\n");
    talk.send("x\r\n.\r\n");
    let letter = talk.taken().remove(0);
    assert_eq!(letter.client.account.as_deref(), Some("bob"));
    assert_eq!(letter.authenticity, Authenticity::Authenticated);
    assert!(letter.received.contains(" with ESMTPSA "), "{}", letter.received);
}

/// proves: GW-11
#[test]
fn logins_that_fail_come_to_an_end() {
    let check = |line: &str, start: &str| {
        let mut talk = Talk::at(Service::Submissions);
        talk.session.already(super::talk::encrypted());
        talk.send("EHLO client.test\r\n");
        assert!(talk.send(format!("{line}\r\n")).starts_with(start), "{line}");
        talk
    };
    check("AUTH", "501 ");
    check("AUTH LOGIN", "504 ");
    check("AUTH PLAIN !", "501 ");
    check("AUTH PLAIN =", "501 ");
    check("AUTH PLAIN a b", "501 ");
    let mut talk = check("AUTH PLAIN", "334 ");
    assert!(talk.send("*\r\n").starts_with("501 5.7.0 "));
    assert!(talk.send("NOOP\r\n").starts_with("250 "));
    talk.send("AUTH PLAIN AGJvYgBzZWNyZXU=\r\n");
    let said = talk.send("AUTH PLAIN AGJvYgBzZWNyZXU=\r\n");
    assert!(said.ends_with("421 4.7.0 too many failed logins; closing\r\n"), "{said}");
    assert!(talk.closed);
}

/// proves: GW-8
#[test]
fn nothing_is_read_that_was_said_in_the_clear_behind_starttls() {
    for at_once in [true, false] {
        let mut talk = Talk::at(Service::Transfer);
        talk.send("EHLO client.test\r\n");
        let said = if at_once {
            talk.send("STARTTLS\r\nNOOP\r\n")
        } else {
            let said = talk.send("STARTTLS\r\n");
            said + &talk.send("NOOP\r\n")
        };
        assert_eq!(said, "220 2.0.0 begin\r\n");
        assert!(talk.closed);
    }
    let mut talk = Talk::ready(Service::Transfer);
    talk.send("MAIL FROM:<eve@far.test>\r\nRCPT TO:<bob@in.test>\r\nSTARTTLS\r\n");
    talk.encrypt();
    assert!(talk.send("DATA\r\n").starts_with("503 "), "the transaction is forgotten");
    assert!(talk.send(MAIL).starts_with("503 "), "and so is EHLO");
    assert_eq!(talk.session.client().helo, "");
    talk.send("EHLO client.test\r\n");
    assert!(talk.send("STARTTLS\r\n").starts_with("503 "), "once is enough");
}

fn with_rules(service: Service) -> Talk {
    let network = Who::Network(Network::parse("192.0.2.0/24").unwrap());
    let far = May::Domain(message::address::Domain::parse("far.test").unwrap());
    let rule = Rule { name: "far".to_owned(), who: vec![network], may: vec![far] };
    let rules = Rules { rules: vec![rule], agreed: Vec::new() };
    Talk::with(service, |parts: &mut Parts| parts.rules = Arc::new(rules)).made_ready()
}

/// A relay that may say anything has proved nothing by it, and what the checks find counts as without a rule.
///
/// proves: MAV-9
#[test]
fn who_may_use_any_return_path_has_proved_none() {
    let far = || May::Domain(message::address::Domain::parse("far.test").unwrap());
    let send = |may: Vec<May>, path: &str, verified: bool| {
        let network = Who::Network(Network::parse("192.0.2.0/24").unwrap());
        let rule = Rule { name: "relay".to_owned(), who: vec![network], may };
        let rules = Rules { rules: vec![rule], agreed: Vec::new() };
        let found = Findings { return_path_verified: verified, ..Findings::default() };
        let mut talk = Talk::with(Service::Transfer, |parts: &mut Parts| {
            parts.rules = Arc::new(rules);
            parts.checks = Arc::new(Found(found));
        })
        .made_ready();
        talk.send(format!("MAIL FROM:<{path}>\r\nRCPT TO:<bob@in.test>\r\nDATA\r\n"));
        talk.send("x\r\n.\r\n");
        talk.taken().remove(0)
    };
    for may in [vec![May::Anything], vec![far(), May::Anything], vec![May::Anything, far()]] {
        let letter = send(may.clone(), "victim@other.test", false);
        assert_eq!(letter.authenticity, Authenticity::Unverified, "{may:?}");
        assert!(letter.received.contains(" with ESMTP id "), "{}", letter.received);
        assert!(letter.findings.claims.is_empty() && letter.findings.authentication_results.is_empty());
        assert_eq!(send(may, "victim@other.test", true).authenticity, Authenticity::Verified);
    }
    assert_eq!(
        send(vec![May::Anything, far()], "eve@far.test", false).authenticity,
        Authenticity::Authenticated
    );
}

/// proves: MAV-5, MAV-6, MAV-10
#[test]
fn a_return_path_that_is_not_the_clients_is_refused_in_the_session() {
    let mut talk = with_rules(Service::Transfer);
    assert!(talk.send("MAIL FROM:<eve@sub.far.test>\r\n").starts_with("553 5.7.1 "));
    assert!(talk.send("MAIL FROM:<>\r\n").starts_with("250 "));
    talk.send("RSET\r\n");
    assert!(talk.send(MAIL).starts_with("250 "));
    talk.send("RCPT TO:<bob@in.test>\r\nDATA\r\n");
    talk.send("x\r\n.\r\n");
    let letter = talk.taken().remove(0);
    assert!(letter.received.contains(" with ESMTPM id "), "{}", letter.received);
    assert_eq!(letter.mav.unwrap().rule, "far");
    assert_eq!(letter.authenticity, Authenticity::Authenticated);
    assert_eq!(letter.findings.claims, [("mav".to_owned(), "ESMTPM".to_owned())]);
    let expected = "mx.in.test 1;\r\n\tx-mav=pass reason=\"ESMTPM\" smtp.mailfrom=eve@far.test";
    assert_eq!(letter.findings.authentication_results, expected);
    let mut talk = with_rules(Service::Submission);
    talk.send("MAIL FROM:<eve@far.test>\r\nRCPT TO:<bob@in.test>\r\nDATA\r\n");
    talk.send("x\r\n.\r\n");
    assert!(talk.taken()[0].received.contains(" with ESMTPSAM "));
}

/// Knows the name of one host.
struct OneHost;

impl HostNames for OneHost {
    fn confirmed(&self, address: std::net::IpAddr) -> Later<'_, Vec<String>> {
        let names =
            if address.to_string() == "192.0.2.7" { vec!["mx.far.test".to_owned()] } else { Vec::new() };
        Box::pin(async move { names })
    }
}

/// proves: MAV-3, MAV-7, MAV-10
#[test]
fn the_name_of_a_host_is_looked_up_and_the_word_of_a_peer_under_agreement_counts() {
    let rule = Rule {
        name: "far".to_owned(),
        who: vec![Who::Host("mx.far.test".to_owned())],
        may: vec![May::Address(message::address::Address::from_wire("eve@far.test").unwrap())],
    };
    let rules = Rules { rules: vec![rule], agreed: vec![Agreed::Certificate([7; 32])] };
    let send = |host_names: Option<Arc<dyn HostNames>>, path: &str| {
        let mut talk = Talk::with(Service::Transfer, |parts| {
            parts.rules = Arc::new(rules.clone());
            parts.host_names = host_names;
        });
        let certificate_digest = Some([7; 32]);
        talk.session.already(Encrypted { certificate_digest, ..super::talk::encrypted() });
        talk.send(format!("EHLO mx.far.test\r\nMAIL FROM:<{path}>\r\nRCPT TO:<bob@in.test>\r\nDATA\r\n"));
        talk.send("Received: from a by b with ESMTPAM id c; d\r\n\r\n.\r\n");
        talk.taken().pop().map(|letter| {
            let claims: Vec<(&str, &str)> = letter
                .findings
                .claims
                .iter()
                .map(|(method, word)| (method.as_str(), word.as_str()))
                .collect();
            assert!(claims.contains(&("mav-earlier", "ESMTPAM")), "{claims:?}");
            let results = &letter.findings.authentication_results;
            assert!(results.ends_with(";\r\n\tx-mav-earlier=pass reason=\"ESMTPAM\""), "{results}");
            (letter.mav.map(|mav| mav.keyword), letter.earlier_mav)
        })
    };
    assert_eq!(send(Some(Arc::new(OneHost)), "eve@far.test"), Some((Some("ESMTPSM"), Some("ESMTPAM"))));
    assert_eq!(send(Some(Arc::new(OneHost)), "amy@far.test"), None);
    // Where nobody looks names up, what was said in EHLO does not stand in for them.
    assert_eq!(send(None, "eve@far.test"), Some((None, Some("ESMTPAM"))));
}

/// Says what it was made to say.
struct Found(Findings);

impl Checks for Found {
    fn check<'a>(&'a self, _letter: &'a Letter) -> Later<'a, Findings> {
        let found = self.0.clone();
        Box::pin(async move { found })
    }
}

#[test]
fn findings_come_with_the_letter_or_refuse_it() {
    let verified = Findings { return_path_verified: true, ..Findings::default() };
    let refuse = Some((Code::NOT_AUTHORIZED, "says its domain".to_owned()));
    let refused = Findings { refuse, ..Findings::default() };
    let send = |findings: Findings, service| {
        let mut talk = Talk::with(service, |parts| parts.checks = Arc::new(Found(findings))).made_ready();
        talk.send("MAIL FROM:<eve@far.test>\r\nRCPT TO:<bob@in.test>\r\nDATA\r\n");
        let said = talk.send("x\r\n.\r\n");
        (said, talk.taken().pop())
    };
    let (_, letter) = send(verified.clone(), Service::Transfer);
    assert_eq!(letter.unwrap().authenticity, Authenticity::Verified);
    let (said, letter) = send(refused.clone(), Service::Transfer);
    assert_eq!((said.as_str(), letter.is_none()), ("550 5.7.1 says its domain\r\n", true));
    let (_, letter) = send(refused, Service::Submission);
    assert!(letter.is_some(), "what our own users send is not for these checks");
}

/// To some readers the header ends at such a line, to others it does not: they would see different authors.
///
/// proves: CHK-12
#[test]
fn a_header_that_can_be_read_in_two_ways_is_refused() {
    let send = |text: &str| {
        let mut talk = Talk::ready(Service::Transfer);
        talk.send("MAIL FROM:<eve@far.test>\r\nRCPT TO:<bob@in.test>\r\nDATA\r\n");
        let said = talk.send(format!("{text}\r\n.\r\n"));
        (said, talk.taken().len())
    };
    for text in [
        "From : eve@far.test\r\nSubject: s\r\njunk\r\nFrom: chief@in.test\r\n\r\nx",
        "X: y\r\njunk\r\nFrom: chief@in.test\r\n\r\nx",
        "From eve Mon\r\nFrom: chief@in.test\r\n\r\nx",
        " folded\r\nFrom: chief@in.test\r\n\r\nx",
    ] {
        let (said, taken) = send(text);
        assert!(said.starts_with("550 5.6.0 a line of the header") && taken == 0, "{text}: {said}");
    }
    let (said, taken) = send("From : eve@far.test\r\nSubject: s\r\n\tgoes on\r\n\r\njunk\r\n");
    assert!(said.starts_with("250") && taken == 1, "{said}");
}

#[test]
fn what_a_handler_says_is_one_line() {
    let mut talk = Talk::ready(Service::Transfer);
    talk.handler.answer(
        "bob@in.test",
        Disposition::Refused {
            code: Code::NOT_AUTHORIZED,
            text: format!("a\r\n250 ok\u{fc}{}", "x".repeat(600)),
        },
    );
    talk.send("MAIL FROM:<eve@far.test>\r\nRCPT TO:<bob@in.test>\r\nDATA\r\n");
    let said = talk.send("x\r\n.\r\n");
    assert!(said.starts_with("550 5.7.1 a  250 ok?xxx") && said.len() <= 512, "{said}");
    assert_eq!(said.lines().count(), 1);
    assert_eq!(talk.happens(Input::Recipient(crate::Verdict::Welcome)), "", "nobody has asked");
}
