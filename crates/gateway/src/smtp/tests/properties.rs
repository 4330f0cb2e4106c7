//! What holds for any octets in any pieces.

use proptest::prelude::*;

use super::talk::Talk;
use crate::Service;

/// Pieces of which dialogues are made, good and bad.
const PIECES: [&[u8]; 48] = [
    b"\r\n",
    b"\r",
    b"\n",
    b".",
    b"..",
    b"\r\n.\r\n",
    b"\0",
    b" ",
    b"<>",
    b"\xFF",
    b"EHLO a\r\n",
    b"HELO a\r\n",
    b"MAIL FROM:<eve@far.test>\r\n",
    b"MAIL FROM:<> PRDR SMTPUTF8\r\n",
    b"MAIL FROM:<eve@far.test> SIZE=5000\r\n",
    b"RCPT TO:<bob@in.test>\r\n",
    b"RCPT TO:<amy@in.test>\r\n",
    b"RCPT TO:<nobody@in.test>\r\n",
    b"RCPT TO:<x@other.test>\r\n",
    b"DATA\r\n",
    b"BDAT 5\r\n",
    b"BDAT 5 LAST\r\n",
    b"BDAT 0 LAST\r\n",
    b"BDAT x\r\n",
    b"12345",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"VRFY x\r\n",
    b"QUIT\r\n",
    b"STARTTLS\r\n",
    b"AUTH PLAIN AGJvYgBzZWNyZXQ=\r\n",
    b"AUTH PLAIN\r\n",
    b"AUTH SCRAM-SHA-256\r\n",
    b"*\r\n",
    b"AGJvYgBzZWNyZXQ=\r\n",
    b"biwsbj1ib2Iscj1hYmM=\r\n",
    b"TEST COOKIE c1 eve@far.test 192.0.2.1\r\n",
    b"XYZZY\r\n",
    b"Subject: x\r\n",
    b"Received: x\r\n",
    b"\r\n\r\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r\n",
    b"MAIL",
    b"RCPT TO:",
    b"BDAT ",
    b"text",
];

fn octets() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        12 => prop::sample::select(&PIECES[..]).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn services() -> impl Strategy<Value = Service> {
    prop::sample::select(vec![Service::Transfer, Service::Submission, Service::Submissions])
}

/// Sends octets cut at these places; gives what was said, what was taken, and how it ended.
fn told(service: Service, octets: &[u8], cuts: &[usize]) -> (String, Vec<Vec<u8>>, bool) {
    let mut talk = Talk::at(service);
    if service == Service::Submissions {
        talk.session.already(super::talk::encrypted());
    }
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (octets.len() + 1)).collect();
    cuts.extend([0, octets.len()]);
    cuts.sort_unstable();
    for pair in cuts.windows(2) {
        talk.send(&octets[pair[0]..pair[1]]);
    }
    let taken = talk.taken().iter().map(|letter| letter.octets.to_vec()).collect();
    (talk.said(), taken, talk.closed)
}

proptest! {
    /// proves: GW-3
    #[test]
    fn the_replies_do_not_depend_on_how_the_octets_are_cut(
        octets in octets(),
        cuts in prop::collection::vec(any::<usize>(), 0..80),
        service in services(),
    ) {
        let octets = [b"EHLO a\r\nMAIL FROM:<eve@far.test>\r\nRCPT TO:<bob@in.test>\r\n".to_vec(), octets].concat();
        let whole = told(service, &octets, &[]);
        prop_assert_eq!(&whole, &told(service, &octets, &cuts));
        let singly: Vec<usize> = (0..octets.len()).collect();
        prop_assert_eq!(&whole, &told(service, &octets, &singly));
    }

    /// Whatever stands in a content by DATA that the sender has made as the standard says, it is one message or none.
    ///
    /// proves: GW-4
    #[test]
    fn one_content_is_one_message_or_none(
        content in octets(),
        cuts in prop::collection::vec(any::<usize>(), 0..80),
    ) {
        let begin = b"EHLO a\r\nMAIL FROM:<eve@far.test>\r\nRCPT TO:<bob@in.test>\r\nDATA\r\n";
        // A dot at the begin of a line is doubled, lines being what ends with CRLF.
        let mut stuffed = Vec::new();
        for (place, octet) in content.iter().enumerate() {
            if *octet == b'.' && (place == 0 || content[..place].ends_with(b"\r\n")) {
                stuffed.push(b'.');
            }
            stuffed.push(*octet);
        }
        let octets = [&begin[..], &stuffed, b"\r\n.\r\n"].concat();
        let (said, taken, closed) = told(Service::Transfer, &octets, &cuts);
        prop_assert!(taken.len() <= 1, "{}", said);
        match taken.first() {
            Some(taken) => prop_assert_eq!(taken, &[&content[..], b"\r\n"].concat()),
            // It may be a message that is refused (CHK-12).
            None => prop_assert!(closed || translate::has_stray_line(&content), "{}", said),
        }
    }

    /// proves: GW-4, GW-6
    #[test]
    fn chunks_are_one_message_or_none(
        chunks in prop::collection::vec(octets(), 1..4),
        cuts in prop::collection::vec(any::<usize>(), 0..80),
        welcome in any::<bool>(),
    ) {
        let recipient = if welcome { "bob@in.test" } else { "nobody@in.test" };
        let mut octets = format!("EHLO a\r\nMAIL FROM:<eve@far.test>\r\nRCPT TO:<{recipient}>\r\n").into_bytes();
        for (place, chunk) in chunks.iter().enumerate() {
            let last = if place + 1 == chunks.len() { " LAST" } else { "" };
            octets.extend_from_slice(format!("BDAT {}{last}\r\n", chunk.len()).as_bytes());
            octets.extend_from_slice(chunk);
        }
        octets.extend_from_slice(b"QUIT\r\n");
        let (said, taken, closed) = told(Service::Transfer, &octets, &cuts);
        prop_assert!(taken.len() <= usize::from(welcome), "{}", said);
        prop_assert!(closed && said.ends_with("221 2.0.0 goodbye\r\n"), "{}", said);
        if let Some(taken) = taken.first() {
            prop_assert!(taken.starts_with(&chunks.concat()));
        }
    }
}

/// A group of commands is answered in one piece (RFC 2920).
///
/// proves: GW-3
#[test]
fn a_group_of_commands_is_answered_in_one_write() {
    let mut talk = Talk::ready(Service::Transfer);
    let before = talk.sends;
    let said =
        talk.send("MAIL FROM:<eve@far.test>\r\nRCPT TO:<bob@in.test>\r\nRCPT TO:<amy@in.test>\r\nDATA\r\n");
    assert_eq!(said.lines().count(), 4);
    assert_eq!(talk.sends, before + 1);
}
