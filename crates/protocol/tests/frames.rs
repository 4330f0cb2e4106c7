//! Frames: `spec/05-frames.md`, against vectors that a program in another language has made from the text.

mod arbitrary;
#[path = "../../message/tests/support/mod.rs"]
mod support;

use arbitrary::any_frame;
use message::address::{Address, Domain};
use message::keys::AuthorKey;
use message::{Code, Cookie, Disposition, Envelope, Hop, Identity, Redirect, Selection};
use proptest::prelude::*;
use support::{cases, octets, text, vectors};
use waxwing_protocol::limits::FRAME_OCTETS_MAX;
use waxwing_protocol::*;

const NOW: u64 = 1_800_000_000;

fn address(text: &str) -> Address {
    Address::from_wire(text).expect("an address")
}

fn identity() -> Identity {
    let all = vectors("message.json");
    Identity::from_hex(text(&cases(&all, "accepted")[0], "identity")).expect("an identity")
}

fn offer() -> Offer {
    Offer {
        envelope: Envelope {
            identity: identity(),
            octets: 150,
            issuers: vec!["ada@north.test".into(), "north.test".into()],
            recipients: vec![address("bo@south.test"), address("grüße@south.test")],
            trace: vec![Hop { by: Domain::from_wire("relay.test").expect("a domain"), at: NOW }],
        },
        eager: Eager::All,
        submission: None,
        way: Way::Plain,
    }
}

fn ticket() -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text(&vectors("ticket.json"), "ticket").as_bytes()).expect("a ticket")
}

fn submission(sign_only: bool, release_after_seconds: u64) -> Offer {
    let mut offer = offer();
    offer.submission = Some(SubmissionOptions { sign_only, release_after_seconds, token: None });
    if sign_only {
        offer.eager = Eager::Nothing;
        offer.envelope.trace.clear();
    } else {
        offer.eager = Eager::Headers;
    }
    offer
}

fn disposition(name: &str) -> Disposition {
    match name {
        "accepted" => Disposition::Accepted,
        "refused" => Disposition::refused(Code::NOT_AUTHORIZED, "not wanted here"),
        "pending" => Disposition::Pending {
            cookie: Cookie::from_bytes([0x11; 32]),
            min_seconds: 60,
            max_seconds: 21_600,
            until: NOW + 432_000,
        },
        "deferred" => Disposition::Deferred { code: Code::SYSTEM_FULL, after_seconds: 300 },
        "redirected" => Disposition::Redirected(Redirect {
            address: "2001:db8::1".into(),
            port: 7625,
            key_digest: [0x33; 32],
            ticket: b"ticket".to_vec(),
            not_after: NOW + 300,
        }),
        "withdrawn" => Disposition::Withdrawn,
        "expired" => Disposition::Expired,
        _ => Disposition::Relayed,
    }
}

fn selection(name: &str) -> Selection {
    match name {
        "all" => Selection::All,
        "headers" => Selection::Headers,
        "digest" => Selection::Digest,
        "signers" => Selection::Signers,
        "text" => Selection::Text,
        "parts" => Selection::Parts(vec![(1, 0), (2, 70_000)]),
        _ => Selection::Range { part: 2, offset: 16_384, octets: 1_000 },
    }
}

fn content(piece: Piece, octets: u64, last: bool) -> Frame {
    Frame::Content(ContentHead { piece, octets, last })
}

fn outcome(dispositions: Vec<Disposition>, sealed: Option<Sealed>) -> Frame {
    Frame::Outcome(Outcome { dispositions, sealed })
}

/// What the vectors mean, written down a second time.
fn meaning(name: &str) -> Option<Frame> {
    let first = Cookie::from_bytes([0x11; 32]);
    let second = Cookie::from_bytes([0x22; 32]);
    Some(match name {
        "settings" => {
            Frame::Settings(Settings { eager_octets: 65_536, part_octets_max: 1 << 30, recipients_max: 100 })
        }
        "offer" => Frame::Offer(Box::new(offer())),
        "offer at a doorstep" => {
            let mut offer = Offer { way: Way::Ticket(ticket()), ..offer() };
            offer.envelope.recipients.truncate(1);
            Frame::Offer(Box::new(offer))
        }
        "offer after a redirect" => Frame::Offer(Box::new(Offer { way: Way::RedirectFailed, ..offer() })),
        "offer of a submission" => Frame::Offer(Box::new(submission(true, 10))),
        "offer of a submission to be sent" => Frame::Offer(Box::new(submission(false, 0))),
        "content: manifest" => content(Piece::Manifest, 131, false),
        "content: seals" => content(Piece::Seals, 1, false),
        "content: headers, the last" => content(Piece::Headers, 120, true),
        "content: body" => content(Piece::Body { part: 2, from: 70_000 }, 1 << 40, false),
        "content: slice" => content(Piece::Slice { part: 2, from: 16_384 }, 16_448, true),
        "outcome: sealed" => {
            let all = vectors("seals.json");
            let sealed = Sealed {
                identity: identity(),
                header: b"Subject: x\r\n\r\n".to_vec(),
                seals: vec![octets(&cases(&all, "cases")[0], "seal")],
            };
            outcome(vec![Disposition::Accepted], Some(sealed))
        }
        "poll" => Frame::Poll(vec![first, second]),
        "answers" => Frame::Answers(vec![
            CookieAnswer::Unknown,
            CookieAnswer::Final(disposition("refused")),
            CookieAnswer::Pending { min_seconds: 60, max_seconds: 21_600, until: NOW },
            CookieAnswer::Want(selection("parts")),
        ]),
        "settled" => Frame::Settled(vec![first]),
        "give up" => Frame::GiveUp(vec![second]),
        "done" => Frame::Done,
        "failure" => Frame::Failure(Failure { code: Code::INVALID_ARGUMENTS, text: "not a frame".into() }),
        "enrol" => Frame::Enrol(Enrol {
            account: "ada".into(),
            password: "correct horse".into(),
            device: "Ada's phone".into(),
        }),
        "status: latest" => Frame::Status(StatusQuery::Latest { before: 0, limit: 20 }),
        "status: of one" => Frame::Status(StatusQuery::Of(identity())),
        "status list" => Frame::StatusList(vec![record()]),
        "mailbox" => Frame::Mailbox { after: 6, limit: 100 },
        "mailbox list" => Frame::MailboxList(vec![entry()]),
        "fetch" => Frame::Fetch { identity: identity(), selection: Selection::Headers },
        "devices" => Frame::Devices,
        "device list" => Frame::DeviceList(vec![Device {
            public_key: [0x44; 32],
            name: "Ada's phone".into(),
            enrolled_at_ms: NOW * 1_000,
        }]),
        "remove device" => Frame::RemoveDevice([0x44; 32]),
        "held" => Frame::Held { after: None, limit: 100 },
        "held: after a place" => Frame::Held { after: Some((12, 1)), limit: 20 },
        "held list" => Frame::HeldList(vec![held_entry()]),
        "decide: accept" => decide(Choice::Accept { trust: false }),
        "decide: accept and trust" => decide(Choice::Accept { trust: true }),
        "decide: refuse" => decide(Choice::Refuse { code: Some(Code::NOT_AUTHORIZED) }),
        "decide: block" => decide(Choice::Block),
        "doorstep" => Frame::Doorstep { port: 7_626 },
        "doorstep lease" => Frame::DoorstepLease(DoorstepLease {
            seconds: 300,
            address: "2a00:1450::7".into(),
            ticket_key: [0x55; 32],
        }),
        "doorstep took" => Frame::DoorstepTook(vec![Taken {
            identity: identity(),
            recipient: address("bo@south.test"),
            by: Domain::from_wire("north.test").expect("a domain"),
        }]),
        "doorstep end" => Frame::DoorstepEnd,
        "key" => Frame::Key(KeyQuery { address: address("ada@north.test"), seen_size: None }),
        "key: with a size" => Frame::Key(KeyQuery { address: address("ada@north.test"), seen_size: Some(3) }),
        "key answer" => Frame::KeyAnswer(Box::new(key_reply())),
        "key answer: nothing" => {
            Frame::KeyAnswer(Box::new(KeyReply { records: vec![], consistency: vec![], ..key_reply() }))
        }
        "key publish" => Frame::KeyPublish(publish(None)),
        "key publish: another key" => Frame::KeyPublish(publish(Some(b"succession".to_vec()))),
        "key pinned" => Frame::KeyPinned { address: address("ada@north.test"), forget: false },
        "key pinned: to be forgotten" => {
            Frame::KeyPinned { address: address("ada@north.test"), forget: true }
        }
        "key pins" => Frame::KeyPins(KeyPins {
            keys: vec![PinWords {
                key: [0x44; 32],
                not_before: NOW,
                not_after: NOW + 86_400,
                revoked: false,
            }],
            broken_by: Some([0x66; 32]),
        }),
        name => match name.split_once(": ")? {
            ("want", name) => Frame::Want(selection(name)),
            ("outcome", name) => outcome(vec![disposition(name)], None),
            _ => return None,
        },
    })
}

fn key_reply() -> KeyReply {
    let records = vec![(b"record".to_vec(), 2, vec![[0x77; 32], [0x88; 32]])];
    KeyReply { head: b"head".to_vec(), records, consistency: vec![[0x99; 32]] }
}

fn publish(succession: Option<Vec<u8>>) -> KeyPublish {
    KeyPublish { statement: b"statement".to_vec(), succession }
}

fn decide(choice: Choice) -> Frame {
    Frame::Decide(Decide { identity: identity(), recipient: address("bo@south.test"), choice })
}

fn held_entry() -> HeldEntry {
    HeldEntry {
        place: (12, 0),
        identity: identity(),
        recipient: address("bo@south.test"),
        since_ms: NOW * 1_000,
        until_ms: (NOW + 432_000) * 1_000,
        origin: "north.test".into(),
        reason: "rule first-contact: from ada@north.test".into(),
        octets: 30_000_000,
        octets_missing: 29_990_000,
        accepted: false,
        seals: vec![SealWords { issuer: "north.test".into(), role: "submission".into(), verified: true }],
        from: Some("Ada <ada@north.test>".into()),
        subject: Some("A film".into()),
        date: Some("Thu, 1 Jan 2026 12:00:00 +0000".into()),
        author_key: Some(AuthorKey::Broken),
    }
}

fn record() -> StatusRecord {
    let attempt = |at_ms, step: &str, code, text: &str| StatusAttempt {
        at_ms,
        host: "mx.south.test".into(),
        step: step.into(),
        code,
        text: text.into(),
    };
    let status =
        |text: &str, name: &str| StatusRecipient { address: address(text), disposition: disposition(name) };
    StatusRecord {
        number: 9,
        identity: identity(),
        at_ms: NOW * 1_000,
        release_at_ms: NOW * 1_000 + 10_000,
        recipients: vec![status("bo@south.test", "accepted"), status("cy@south.test", "pending")],
        attempts: vec![
            attempt(NOW * 1_000 + 5, "connect", None, "no answer"),
            attempt(NOW * 1_000 + 9, "outcome", Some(Code::new(2, 0, 0)), ""),
        ],
    }
}

fn entry() -> MailboxEntry {
    let words =
        |issuer: &str, role: &str, verified| SealWords { issuer: issuer.into(), role: role.into(), verified };
    MailboxEntry {
        number: 7,
        identity: identity(),
        recipient: address("bo@south.test"),
        at_ms: NOW * 1_000,
        origin: "north.test".into(),
        seen: false,
        seals: vec![words("ada@north.test", "author", true), words("x.test", "unknown", false)],
        author_key: Some(AuthorKey::First),
    }
}

/// Reads one frame that comes in these pieces.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Option<Frame>, Error> {
    let mut reader = Reader::new();
    let mut found = None;
    for piece in pieces {
        reader.push(piece);
        while let Some(item) = reader.next_item()? {
            match item {
                Item::Frame(frame) if found.is_none() => found = Some(frame),
                _ => return Err(Error::OutOfOrder("a second item")),
            }
        }
    }
    Ok(found)
}

/// proves: FRM-1, FRM-2, FRM-4, FRM-5
#[test]
fn frames_have_the_octets_of_the_vectors() {
    for case in cases(&vectors("frames.json"), "frames") {
        let (name, octets) = (text(case, "name"), octets(case, "octets"));
        let frame = meaning(name).expect(name);
        assert_eq!(read([&octets[..]]).expect(name), Some(frame.clone()), "{name}");
        assert_eq!(encode(&frame), octets, "{name}");
        assert_eq!(read(octets.chunks(1)).expect(name), Some(frame.clone()), "{name}");
        for at in 0..octets.len() {
            let (left, right) = octets.split_at(at);
            assert_eq!(read([left]).expect(name), None, "{name} cut at {at}");
            assert_eq!(read([left, right]).expect(name).as_ref(), Some(&frame), "{name} cut at {at}");
        }
    }
}

/// proves: FRM-1, FRM-2, FRM-3
#[test]
fn what_another_sender_may_write_is_read() {
    let all = vectors("frames.json");
    for case in cases(&all, "tolerated") {
        let name = text(case, "name");
        let frame = meaning(text(case, "means")).expect(name);
        assert_eq!(read([&octets(case, "octets")[..]]).expect(name), Some(frame), "{name}");
    }
}

/// proves: FRM-2, FRM-3, FRM-4, FRM-5, STA-6, SEC-3
#[test]
fn each_broken_rule_is_refused() {
    for case in cases(&vectors("frames.json"), "refused") {
        let found = read([&octets(case, "octets")[..]]);
        assert!(found.is_err(), "{}, {}: {found:?}", text(case, "rule"), text(case, "name"));
    }
    // A reply to a poll may not call final what is not.
    for name in ["pending", "deferred", "redirected"] {
        let frame = Frame::Answers(vec![CookieAnswer::Final(disposition(name))]);
        assert!(read([&encode(&frame)[..]]).is_err(), "{name}");
    }
    let critical = [0xa2, 0x00, 0x0a, 0x20, 0x00];
    assert_eq!(read([&[&[5], &critical[..]].concat()[..]]), Err(Error::Critical(-1)));
}

/// proves: FRM-1
#[test]
fn a_frame_past_the_bound_is_refused_by_its_length_alone() {
    let check = |length: &[u8], good: bool| {
        let found = read([length]);
        assert_eq!(found.is_ok(), good, "{length:02x?}: {found:?}");
    };
    check(&[0x80, 0x01, 0x00, 0x00], true); // 65,536: more octets are awaited
    check(&[0x80, 0x01, 0x00, 0x01], false);
    check(&[0xff; 8], false);
    check(&[0xff; 7], true); // the length itself is not there yet
    check(&[0x00], false); // an empty frame is no frame
}

/// proves: FRM-6
#[test]
fn content_is_not_read_as_frames() {
    let inside = encode(&Frame::Done);
    let head = encode(&content(Piece::Seals, inside.len() as u64 + 1, true));
    let octets = [&head[..], &inside, b"\xff", &inside].concat();
    for size in 1..octets.len() {
        let mut reader = Reader::new();
        let (mut frames, mut contents) = (Vec::new(), Vec::new());
        for piece in octets.chunks(size) {
            reader.push(piece);
            while let Some(item) = reader.next_item().unwrap() {
                match item {
                    Item::Frame(frame) => frames.push(frame),
                    Item::Content(octets) => contents.extend_from_slice(&octets),
                }
            }
        }
        assert_eq!(contents, [&inside[..], b"\xff"].concat());
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[1], Frame::Done);
        assert!(reader.at_boundary());
    }
}

/// proves: SEC-4
#[test]
fn secrets_are_not_printed() {
    for name in ["enrol", "poll", "answers", "outcome: pending"] {
        let shown = format!("{:?}", meaning(name).unwrap());
        assert!(!shown.contains("horse") && !shown.contains("17, 17") && !shown.contains("1111"), "{shown}");
    }
}

/// proves: FRM-8
#[test]
fn texts_give_way_before_codes() {
    let refused = |octets: usize| Disposition::refused(Code::NOT_AUTHORIZED, &"ü".repeat(octets / 2));
    let check = |frame: Frame, whole: bool| {
        assert!(fits(&frame));
        let read = read([&encode(&frame)[..]]).unwrap().unwrap();
        assert_eq!(read == frame, whole);
        read
    };
    check(outcome(vec![refused(512); 100], None), true);
    check(Frame::Answers(vec![CookieAnswer::Final(refused(512)); 100]), true);
    let Frame::Answers(answers) = check(Frame::Answers(vec![CookieAnswer::Final(refused(512)); 500]), false)
    else {
        unreachable!()
    };
    assert_eq!(answers, vec![CookieAnswer::Final(refused(64)); 500]);
    let Frame::Answers(answers) =
        check(Frame::Answers(vec![CookieAnswer::Final(refused(512)); 1_000]), false)
    else {
        unreachable!()
    };
    assert_eq!(answers, vec![CookieAnswer::Final(refused(0)); 1_000]);
    let sealed = Sealed { identity: identity(), header: vec![b'x'; 50_000], seals: vec![] };
    check(outcome(vec![refused(512); 100], Some(sealed)), false);
    assert!(!fits(&Frame::StatusList(vec![record(); 400])));
}

/// The table for people and the table for the compiler.
///
/// proves: FRM-4
#[test]
fn the_registry_is_that_of_the_specification() {
    let spec = include_str!("../../../spec/registry.md");
    let code = include_str!("../src/registry.rs");
    let rows = |heading: &str| -> Vec<(String, u64)> {
        let section = spec.split("\n## ").find(|section| section.starts_with(heading)).unwrap();
        section
            .lines()
            .filter_map(|line| {
                let mut cells = line.trim_matches('|').split('|').map(str::trim);
                let number = cells.next()?.parse().ok()?;
                Some((cells.next()?.to_owned(), number))
            })
            .collect()
    };
    let constants = |module: &str| -> Vec<(String, u64)> {
        let body = code.split(&format!("pub mod {module} {{")).nth(1).unwrap();
        let body = &body[..body.find("\n}").unwrap()];
        body.lines()
            .filter_map(|line| {
                let (name, rest) = line.trim().strip_prefix("pub const ")?.split_once(": u64 = ")?;
                Some((name.to_owned(), rest.trim_end_matches(';').parse().ok()?))
            })
            .collect()
    };
    let check = |heading: &str, module: &str| {
        assert!(!rows(heading).is_empty(), "{heading}");
        assert_eq!(rows(heading), constants(module), "{heading}");
    };
    check("Frames", "frame");
    check("Pieces of content", "piece");
    check("Selections", "selection");
    check("Dispositions", "disposition");
    check("Eager content", "eager");
    check("Answers to cookies", "answer");
    for (word, number) in rows("Findings about authors' keys") {
        assert_eq!(AuthorKey::from_number(number).map(AuthorKey::word), Some(&word[..]));
    }
    assert_eq!(rows("Findings about authors' keys").len(), AuthorKey::ALL.len());
    for (word, number) in rows("Roles of seals") {
        assert_eq!(message::Role::from_number(number).word(), word);
    }
}

proptest! {
    /// proves: FRM-2, FRM-4
    #[test]
    fn any_frame_comes_back(frame in any_frame(), at in any::<prop::sample::Index>()) {
        prop_assume!(fits(&frame));
        let octets = encode(&frame);
        let (left, right) = octets.split_at(at.index(octets.len()));
        prop_assert_eq!(read([left, right]), Ok(Some(frame)));
    }

    /// proves: FRM-3
    #[test]
    fn an_unknown_key_is_passed_over_and_a_negative_one_is_not(frame in any_frame(), key in 50_u64..1 << 60) {
        prop_assume!(encode(&frame).len() < 60_000);
        let octets = encode(&frame);
        let mut reader = Reader::new();
        reader.push(&octets);
        prop_assert!(reader.next_item().is_ok());
        let head = if octets.len() < 65 { 1 } else if octets.len() < 16_386 { 2 } else { 4 };
        // Every frame has fewer than 23 keys, so that their number stands in the first octet.
        let with = |key: ciborium::Value| {
            let mut body = vec![octets[head] + 1];
            body.extend_from_slice(&octets[head + 1..]);
            ciborium::into_writer(&key, &mut body).unwrap();
            body.push(0xf6);
            let mut framed = (0x8000_0000_u32 | body.len() as u32).to_be_bytes().to_vec();
            framed.extend(body);
            read([&framed[..]])
        };
        prop_assert_eq!(with(ciborium::Value::Integer(key.into())), Ok(Some(frame)));
        let negative = -1 - i64::try_from(key).unwrap();
        prop_assert_eq!(with(ciborium::Value::Integer(negative.into())), Err(Error::Critical(negative)));
    }

    /// proves: SEC-1
    #[test]
    fn no_octets_make_a_reader_panic(octets in any::<Vec<u8>>(), size in 1_usize..20) {
        let mut reader = Reader::new();
        for piece in octets.chunks(size) {
            reader.push(piece);
            for _ in 0..octets.len() {
                if !matches!(reader.next_item(), Ok(Some(_))) {
                    break;
                }
            }
        }
    }

    /// A frame with one octet changed is another frame or none, and never ends the program.
    #[test]
    fn no_changed_frame_makes_a_reader_panic(
        frame in any_frame(), at in any::<prop::sample::Index>(), octet in any::<u8>(),
    ) {
        let mut octets = encode(&frame).to_vec();
        let at = at.index(octets.len());
        octets[at] = octet;
        let _ = read([&octets[..]]);
    }
}

/// proves: FRM-2
#[test]
fn nesting_and_promises_of_items_are_bounded() {
    let framed = |body: Vec<u8>| {
        let mut framed = (0x8000_0000_u32 | body.len() as u32).to_be_bytes().to_vec();
        framed.extend(body);
        framed
    };
    let deep = |opener: u8, depth: usize| {
        let mut body = vec![0xa2, 0x00, 0x0a, 0x01];
        body.extend(vec![opener; depth]);
        body.push(0x00);
        read([&framed(body)[..]])
    };
    assert_eq!(deep(0x81, 30), Ok(Some(Frame::Done)));
    assert!(deep(0x81, FRAME_OCTETS_MAX as usize - 10).is_err());
    assert!(deep(0xc6, FRAME_OCTETS_MAX as usize - 10).is_err());
    let promise = |head: u8| {
        let mut body = vec![0xa2, 0x00, 0x0a, 0x01, head];
        body.extend([0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        read([&framed(body)[..]])
    };
    for head in [0x5b, 0x7b, 0x9b, 0xbb] {
        assert!(promise(head).is_err());
    }
}
