//! The bounds of a session, and its end.

use super::talk::Talk;
use crate::Service;
use crate::smtp::{Input, Parts};

fn with(change: impl FnOnce(&mut Parts)) -> Talk {
    Talk::with(Service::Transfer, change).made_ready()
}

/// proves: GW-10
#[test]
fn lines_have_a_length() {
    let mut talk = Talk::ready(Service::Transfer);
    let said = talk.send(format!("NOOP {}\r\n", "x".repeat(2_041)));
    assert!(said.starts_with("250 "), "{said}");
    let said = talk.send(format!("NOOP {}\r\n", "x".repeat(2_042)));
    assert!(said.starts_with("500 5.5.2 "), "{said}");
    assert!(talk.closed);
    let mut talk = Talk::ready(Service::Transfer);
    for _ in 0..3_000 {
        talk.send("x");
    }
    assert!(talk.closed && talk.said().ends_with("500 5.5.2 the line is too long; closing\r\n"));
}

/// proves: GW-10
#[test]
fn recipients_have_a_number() {
    let mut talk = with(|parts| parts.settings.limits.recipients_max = 3);
    talk.send("MAIL FROM:<eve@far.test>\r\n");
    let starts: Vec<String> =
        (0..4).map(|place| talk.send(format!("RCPT TO:<u{place}@in.test>\r\n"))[..9].to_owned()).collect();
    assert_eq!(starts, ["250 2.1.5", "250 2.1.5", "250 2.1.5", "452 4.5.3"]);
    talk.send("DATA\r\n");
    talk.send("a\r\n.\r\n");
    assert_eq!(talk.taken()[0].recipients.len(), 3);
}

/// proves: GW-10
#[test]
fn messages_have_a_size() {
    let mut talk = with(|parts| parts.settings.limits.message_octets_max = 1_000);
    assert!(talk.send("MAIL FROM:<eve@far.test> SIZE=1001\r\n").starts_with("552 5.3.4 "));
    assert!(talk.send("MAIL FROM:<eve@far.test> SIZE=1000\r\n").starts_with("250 "));
    talk.send("RCPT TO:<bob@in.test>\r\nDATA\r\n");
    // What comes is more than was said: it is forgotten, and refused where it ends.
    let said = talk.send(format!("{}\r\n.\r\nNOOP\r\n", "x".repeat(999)));
    assert!(said.starts_with("552 5.3.4 ") && said.ends_with("nothing done\r\n"), "{said}");
    talk.send("MAIL FROM:<eve@far.test>\r\nRCPT TO:<bob@in.test>\r\nBDAT 900\r\n");
    assert!(talk.send("x".repeat(900)).starts_with("250 "));
    let said = talk.send(format!("BDAT 101 LAST\r\n{}NOOP\r\n", "x".repeat(101)));
    assert!(said.starts_with("552 5.3.4 ") && said.ends_with("nothing done\r\n"), "{said}");
    assert!(talk.taken().is_empty());
    talk.send("MAIL FROM:<eve@far.test>\r\nRCPT TO:<bob@in.test>\r\nDATA\r\n");
    assert!(talk.send(format!("{}\r\n.\r\n", "x".repeat(998))).starts_with("250 "));
    assert_eq!(talk.taken()[0].octets.len(), 1_000);
}

/// proves: GW-10
#[test]
fn all_sessions_together_have_their_memory() {
    let mut talk = with(|parts| parts.settings.limits.memory_octets_max = 32 * 1_024);
    let begin = "MAIL FROM:<eve@far.test> SIZE=20000\r\nRCPT TO:<bob@in.test>\r\n";
    talk.send(begin);
    assert!(talk.send("DATA\r\n").starts_with("354 "));
    let mut other = talk.neighbour();
    other.send("EHLO other.test\r\n");
    other.send(begin);
    assert!(other.send("DATA\r\n").starts_with("452 4.3.1 "), "{}", other.said());
    talk.send("a\r\n.\r\n");
    other.send(begin);
    assert!(other.send("DATA\r\n").starts_with("354 "), "it was given back");
}

/// proves: GW-10
#[test]
fn errors_are_answered_later_and_at_last_not_at_all() {
    let mut talk = Talk::ready(Service::Transfer);
    let mut pauses = Vec::new();
    for _ in 0..19 {
        talk.paused_ms = 0;
        assert!(talk.send("XYZZY\r\n").starts_with("500 "));
        pauses.push(talk.paused_ms);
    }
    assert_eq!(pauses[..3], [0, 0, 0]);
    assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]) && pauses[3] > 0, "{pauses:?}");
    assert_eq!(pauses[18], crate::limits::SMTP_PAUSE_MS_MAX);
    let said = talk.send("XYZZY\r\nNOOP\r\n");
    assert!(said.ends_with("421 4.7.0 too many errors; closing\r\n"), "{said}");
    assert!(talk.closed);
}

/// proves: GW-10
#[test]
fn commands_have_a_number() {
    let mut talk = with(|parts| parts.settings.limits.commands_max = 3);
    assert!(talk.send("NOOP\r\nNOOP\r\n").ends_with("done\r\n"));
    assert!(talk.send("NOOP\r\n").starts_with("421 4.7.0 "));
    assert!(talk.closed);
}

/// proves: GW-10
#[test]
fn commands_and_messages_have_their_time() {
    let late = |talk: &mut Talk, milliseconds: u64| {
        talk.now_ms += milliseconds;
        talk.happens(Input::Time)
    };
    let mut talk = Talk::ready(Service::Transfer);
    assert_eq!(late(&mut talk, 299_999), "");
    talk.send("NO"); // half a command is none
    assert!(late(&mut talk, 1).starts_with("421 4.4.2 "));
    assert!(talk.closed);

    let mut talk = Talk::ready(Service::Transfer);
    talk.send("MAIL FROM:<eve@far.test>\r\nRCPT TO:<bob@in.test>\r\nDATA\r\n");
    for _ in 0..6 {
        assert_eq!(late(&mut talk, 299_999), "");
        talk.send("a line\r\n");
    }
    assert!(late(&mut talk, 6).starts_with("421 4.4.2 "), "half an hour for the whole");
    assert!(talk.closed && talk.taken().is_empty());
}

/// proves: GW-14
#[test]
fn a_server_that_stops_lets_a_message_end() {
    let mut talk = Talk::ready(Service::Transfer);
    assert!(talk.happens(Input::Shutdown).starts_with("421 4.3.2 "));
    assert!(talk.closed);

    let mut talk = Talk::ready(Service::Transfer);
    talk.send("MAIL FROM:<eve@far.test>\r\nRCPT TO:<bob@in.test>\r\nDATA\r\n");
    assert_eq!(talk.happens(Input::Shutdown), "");
    let said = talk.send("a\r\n.\r\nMAIL FROM:<eve@far.test>\r\n");
    assert!(said.starts_with("250 2.0.0 taken"), "{said}");
    assert!(said.ends_with("421 4.3.2 this server is stopping; closing\r\n"), "{said}");
    assert!(talk.closed);
    assert_eq!(talk.taken().len(), 1);
}

/// proves: GW-14
#[test]
fn a_server_that_stops_lets_the_last_chunk_come() {
    let mut talk = Talk::ready(Service::Transfer);
    talk.send("MAIL FROM:<eve@far.test>\r\nRCPT TO:<bob@in.test>\r\nBDAT 3\r\na\r\n");
    assert_eq!(talk.happens(Input::Shutdown), "");
    let said = talk.send("BDAT 3 LAST\r\nb\r\n");
    assert!(said.starts_with("250 2.0.0 taken") && said.contains("\r\n421 4.3.2 "), "{said}");
    assert_eq!(talk.taken().len(), 1);
}

/// proves: GW-92, GW-108
#[test]
fn what_has_gone_around_is_refused() {
    let mut talk = Talk::ready(Service::Transfer);
    let ours = "Received: from far.test ([192.0.2.7])\r\n\tby mx.in.test with ESMTP; today\r\n";
    let native = "Received: by in.test with WAXWING; today\r\n";
    let mut check = |fields: String, start: &str| {
        talk.send("MAIL FROM:<eve@far.test>\r\nRCPT TO:<bob@in.test>\r\nDATA\r\n");
        let said = talk.send(format!("{fields}Subject: x\r\n\r\n.\r\n"));
        assert!(said.starts_with(start), "{fields} {said}");
    };
    check("Received: x\r\n".repeat(100), "250 ");
    check("Received: x\r\n".repeat(101), "554 5.4.6 ");
    check(ours.repeat(9), "250 ");
    check(ours.repeat(10), "554 5.4.6 ");
    check(format!("{}{native}", ours.repeat(9)), "554 5.4.6 ");
    assert_eq!(talk.taken().len(), 2);
}

/// proves: FWD-41
#[test]
fn who_guesses_waits_for_the_answer_and_the_session_is_over() {
    let mut talk = Talk::ready(Service::Transfer);
    let before_ms = talk.paused_ms;
    talk.send("MAIL FROM:<>\r\n");
    let said = talk.send("RCPT TO:<guess@in.test>\r\nRCPT TO:<bob@in.test>\r\n");
    assert_eq!(said, "550 5.1.1 no such address\r\n421 4.7.0 too many errors; closing\r\n");
    assert!(talk.closed);
    assert_eq!(talk.paused_ms - before_ms, crate::limits::SMTP_PAUSE_MS_MAX);
}
