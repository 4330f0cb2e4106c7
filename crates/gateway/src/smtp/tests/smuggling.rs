//! Messages that look as if they ended somewhere else.

use std::path::PathBuf;

use super::talk::Talk;
use crate::Service;

/// The published sequences that must not end a message.
fn sequences() -> Option<Vec<String>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let named = std::env::var_os("WAXWING_VECTORS").map(PathBuf::from);
    let places = named.into_iter().chain([root.join("../shared/vectors"), root.join("../../shared/vectors")]);
    let file = places.map(|place| place.join("smtp-smuggling/eod-sequences.json")).find(|file| file.exists());
    let Some(file) = file else {
        println!("no published vectors here");
        return None;
    };
    let text = std::fs::read_to_string(file).unwrap();
    let lists: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut all = Vec::new();
    for list in ["inbound_must_not_end_data", "outbound_must_not_be_emitted_inside_data"] {
        all.extend(
            lists[list].as_array().unwrap().iter().map(|sequence| sequence.as_str().unwrap().to_owned()),
        );
    }
    assert!(all.len() >= 16);
    Some(all)
}

/// A content that is broken off is refused, the session is closed, and what stands behind is not read.
///
/// proves: GW-4, GW-5
fn check(sequence: &str) {
    let begin = "EHLO client.test\r\nMAIL FROM:<eve@far.test>\r\nRCPT TO:<bob@in.test>\r\nDATA\r\n";
    let hidden = "MAIL FROM:<forged@in.test>\r\nRCPT TO:<bob@in.test>\r\nDATA\r\nSubject: two\r\n\r\n.\r\n";
    for pipelined in [false, true] {
        let mut talk = Talk::at(Service::Transfer);
        let content = format!("Subject: one\r\n\r\nText{sequence}{hidden}\r\n.\r\nQUIT\r\n");
        if pipelined {
            talk.send(format!("{begin}{content}"));
        } else {
            assert!(talk.send(begin).ends_with("at the end\r\n"));
            for octet in content.as_bytes() {
                talk.send([*octet]);
            }
        }
        let said = talk.said();
        let after = said.split("354 ").nth(1).unwrap().split_once("\r\n").unwrap().1.to_owned();
        assert!(after.starts_with("550 5.6.0 "), "{sequence:?}: {said}");
        assert_eq!(after.lines().count(), 1, "{sequence:?}: {said}");
        assert!(talk.closed, "{sequence:?}");
        assert!(talk.taken().is_empty(), "{sequence:?}");
    }
}

/// proves: GW-5
#[test]
fn the_published_sequences_are_refused() {
    for sequence in sequences().unwrap_or_default() {
        check(&sequence);
    }
}

/// proves: GW-5
#[test]
fn every_other_way_to_write_a_line_end_is_refused() {
    for before in ["\n", "\r", "\r\r\n", "\n\r\n", "\r\n\n", "\r\n\r", "\0\r\n"] {
        for after in ["\r\n", "\n", "\r", "\r\r\n", "\0\r\n"] {
            check(&format!("{before}.{after}"));
        }
    }
    for after in ["\n", "\r", "\r\r\n", "\0\r\n"] {
        check(&format!("\r\n.{after}"));
    }
}

/// The same in a chunk, where no dot ends anything: the message is refused, the session goes on behind the chunk.
///
/// proves: GW-5, GW-6
#[test]
fn chunks_with_other_line_ends_are_refused() {
    for wrong in ["a\nb", "a\rb", "a\r\r\n", "\n", "a\0b", "a\r"] {
        let mut talk = Talk::ready(Service::Transfer);
        talk.send("MAIL FROM:<eve@far.test>\r\nRCPT TO:<bob@in.test>\r\n");
        let said = talk.send(format!("BDAT {} LAST\r\n{wrong}NOOP\r\n", wrong.len()));
        assert!(said.starts_with("550 5.6.0 "), "{wrong:?}: {said}");
        assert!(said.ends_with("250 2.0.0 nothing done\r\n"), "{wrong:?}: {said}");
        assert!(talk.taken().is_empty(), "{wrong:?}");
    }
}

/// proves: GW-5
#[test]
fn lines_of_commands_end_with_crlf_too() {
    for wrong in ["NOOP\nNOOP\r\n", "NOOP\rNOOP\r\n", "NOOP\r\r\n", "\nNOOP\r\n"] {
        let mut talk = Talk::ready(Service::Transfer);
        let said = talk.send(wrong);
        assert!(said.starts_with("500 5.5.2 "), "{wrong:?}: {said}");
        assert_eq!(said.lines().count(), 1);
        assert!(talk.closed);
    }
}

/// Octets of a chunk are never read as commands, whatever is wrong with it.
///
/// proves: GW-6
#[test]
fn refused_chunks_are_taken_off() {
    let hidden = "MAIL FROM:<forged@in.test>\r\nRCPT TO:<bob@in.test>\r\nBDAT 2 LAST\r\na\n";
    let length = hidden.len();
    let check = |before: &str, chunk: &str, replies: &[&str]| {
        let mut talk = Talk::ready(Service::Transfer);
        talk.send(before);
        let said = talk.send(format!("{chunk}{hidden}NOOP\r\n"));
        let starts: Vec<&str> = said.lines().map(|line| &line[..3]).collect();
        assert_eq!(starts, replies, "{before:?} {chunk:?}");
        assert!(talk.taken().is_empty(), "{before:?} {chunk:?}");
    };
    let mail = "MAIL FROM:<eve@far.test>\r\n";
    let relayed = "MAIL FROM:<eve@far.test>\r\nRCPT TO:<victim@other.test>\r\n";
    check("", &format!("BDAT {length} LAST\r\n"), &["503", "250"]);
    check(mail, &format!("BDAT {length} LAST\r\n"), &["554", "250"]);
    check(relayed, &format!("BDAT {length}\r\n"), &["554", "250"]);
    check("RSET\r\n", &format!("bdat {length} last\r\n"), &["503", "250"]);
    // Where the number is not to be read, nothing more is.
    check(mail, "BDAT\r\n", &["501"]);
    check(mail, "BDAT x LAST\r\n", &["501"]);
    check(mail, &format!("BDAT {length} LAST now\r\n"), &["501"]);
    check(mail, &format!("BDAT -{length} LAST\r\n"), &["501"]);
    check(mail, "BDAT 99999999999999999999 LAST\r\n", &["501"]);
    check(mail, "BDAT\t1 LAST\r\n", &["500"]);
}
