//! The two machines of an offer, driven by hand against each other: `spec/06-exchange.md`.

mod arbitrary;

use std::ops::Range;

use arbitrary::any_frame;
use bytes::{Bytes, BytesMut};
use message::address::Address;
use message::{
    Claims, Code, Cookie, Digest, Disposition, Draft, DraftContent, DraftPart, Envelope, Extent,
    HeaderBuilder, Message, Role, Seal, SecretKey, Selection,
};
use proptest::prelude::*;
use waxwing_protocol::limits::WANTS_MAX;
use waxwing_protocol::*;

/// Texts and an image; the parts are 0 mixed, 1 text, 2 alternative, 3 text, 4 HTML, 5 image of 40,000 octets.
fn letter() -> (Message, Vec<Bytes>) {
    let image: Vec<u8> = (0..40_000_u32).map(|number| (number % 251) as u8).collect();
    let bodies = [&b"first"[..], b"second", b"<p>", &image].map(Bytes::copy_from_slice).to_vec();
    let leaf = |media_type: &str, place: usize| DraftPart {
        media_type: media_type.into(),
        parameters: String::new(),
        fields: vec![],
        content: DraftContent::Body(Extent::of(&bodies[place])),
    };
    let container =
        |media_type: &str, parts| DraftPart { content: DraftContent::Parts(parts), ..leaf(media_type, 0) };
    let alternative = container("multipart/alternative", vec![leaf("text/plain", 1), leaf("text/html", 2)]);
    let root = container("multipart/mixed", vec![leaf("text/plain", 0), alternative, leaf("image/png", 3)]);
    let mut header = HeaderBuilder::new();
    header.push("Subject", "a letter").expect("a field");
    let draft = Draft { header: header.finish().expect("a block"), root };
    let message = Message::assemble(&draft, bodies).expect("a message");
    let claims = Claims {
        issuer: "ada@north.test".into(),
        issued_at: 1,
        expires_at: None,
        role: Role::Author,
        submitter: None,
        recipient: None,
        authorization: None,
    };
    let seal = Seal::sign(message.manifest().octets(), claims, b"k", &SecretKey::from_seed(&[7; 32]));
    (message, vec![seal.octets().clone()])
}

fn supply() -> Supply {
    let (message, seals) = letter();
    Supply { manifest: message.manifest().clone(), headers: message.headers().octets(), seals }
}

fn offer() -> Offer {
    let (message, _) = letter();
    let recipients = ["bo@south.test", "cy@south.test"];
    Offer {
        envelope: Envelope {
            identity: message.identity(),
            octets: message.manifest().message_octets(),
            issuers: vec!["ada@north.test".into()],
            recipients: recipients.iter().map(|text| Address::from_wire(text).expect("an address")).collect(),
            trace: vec![],
        },
        eager: Eager::Nothing,
        submission: None,
    }
}

fn window(eager_octets: u64) -> Settings {
    Settings { eager_octets, ..Settings::default() }
}

fn outcome(dispositions: Vec<Disposition>) -> Outcome {
    Outcome { dispositions, sealed: None }
}

fn both_accepted() -> Outcome {
    outcome(vec![Disposition::Accepted; 2])
}

/// Two machines and the octets between them.
struct Pair {
    message: Message,
    offering: Offering,
    answering: Answering,
    /// Into pieces of how many octets each write is cut.
    cut: usize,
    sent: usize,
    offering_events: Vec<OfferingEvent>,
    /// What the answering side has heard, one word for each event, bodies joined.
    heard: Vec<String>,
    bodies: Vec<(usize, u64, BytesMut)>,
}

impl Pair {
    fn new(settings: Settings, cut: usize) -> Pair {
        Pair {
            message: letter().0,
            offering: Offering::new(0, offer(), supply(), &settings),
            answering: Answering::with_settings(0, Protocol::Exchange, settings),
            cut,
            sent: 0,
            offering_events: vec![],
            heard: vec![],
            bodies: vec![],
        }
    }

    /// Carries what the offering side has to say, then what the answering side has.
    fn pump(&mut self) -> Result<(), Error> {
        while let Some(output) = self.offering.poll() {
            match output {
                OfferingOutput::Send(octets) => self.carry(&octets)?,
                OfferingOutput::SendBody { part, from, octets } => {
                    let body = self.message.body(part).expect("a leaf").slice(from as usize..);
                    assert_eq!(body.len() as u64, octets);
                    self.carry(&body)?;
                }
                OfferingOutput::MakeSlice { part, offset, octets } => {
                    let range = slice_range(offset, octets);
                    let slice = self.message.body(part).expect("a leaf").slice(range);
                    self.offering.slice(part, offset, slice);
                }
                OfferingOutput::Finish => self.answering.handle(0, None)?,
                OfferingOutput::Event(event) => self.offering_events.push(event),
            }
        }
        self.hear();
        Ok(())
    }

    fn carry(&mut self, octets: &[u8]) -> Result<(), Error> {
        self.sent += octets.len();
        for piece in octets.chunks(self.cut) {
            self.answering.handle(0, Some(piece))?;
            self.hear();
        }
        Ok(())
    }

    fn hear(&mut self) {
        while let Some(output) = self.answering.poll() {
            let event = match output {
                AnsweringOutput::Event(event) => event,
                AnsweringOutput::Send(octets) => {
                    for piece in octets.chunks(self.cut) {
                        self.offering.handle(0, Some(piece)).expect("the answering side keeps the rules");
                    }
                    continue;
                }
                AnsweringOutput::Finish => continue,
            };
            let word = match event {
                AnsweringEvent::Offered(_) => "offered".into(),
                AnsweringEvent::Manifest(_) => "manifest".into(),
                AnsweringEvent::Seals(seals) => format!("seals {}", seals.len()),
                AnsweringEvent::Headers(_) => "headers".into(),
                AnsweringEvent::BodyStart { part, from } => {
                    self.bodies.push((part, from, BytesMut::new()));
                    continue;
                }
                AnsweringEvent::Body(octets) => {
                    self.bodies.last_mut().expect("a body has begun").2.extend_from_slice(&octets);
                    continue;
                }
                AnsweringEvent::BodyEnd { part } => {
                    let (begun, from, body) = self.bodies.last().expect("a body has begun");
                    assert_eq!(*begun, part);
                    assert_eq!(body[..], self.message.body(part).expect("a leaf")[*from as usize..]);
                    format!("body {part} from {from}")
                }
                AnsweringEvent::Slice { part, from, slice } => format!("slice {part} {from} {}", slice.len()),
                AnsweringEvent::Supplied => "supplied".into(),
                AnsweringEvent::Asked(_) => "asked".into(),
            };
            self.heard.push(word);
        }
    }

    fn want(&mut self, wanted: Selection) {
        self.answering.want(0, wanted).expect("it is the receiver's turn");
        self.hear();
        self.pump().expect("the offering side keeps the rules");
    }
}

/// The proof is not the matter of these machines: any octets will do.
fn slice_range(offset: u64, octets: u64) -> Range<usize> {
    offset as usize..(offset + octets) as usize
}

const HEADERS: [&str; 3] = ["manifest", "seals 1", "headers"];
const BODIES: [&str; 4] = ["body 1 from 0", "body 3 from 0", "body 4 from 0", "body 5 from 0"];

/// proves: EXC-1, EXC-3, EXC-5, EXC-6, EXC-7, SEAL-7
#[test]
fn the_eager_window_says_what_comes_unasked() {
    let supply = supply();
    let headers =
        (supply.manifest.octets().len() + supply.headers.len() + supply.seals_octets().len()) as u64;
    let all = headers + 5 + 6 + 3 + 40_000;
    let check = |window_octets: u64, expected: &[&str]| {
        for cut in [1, 7, 1_000, 1_000_000] {
            let mut pair = Pair::new(window(window_octets), cut);
            pair.pump().unwrap();
            let heard: Vec<&str> = pair.heard.iter().map(String::as_str).collect();
            assert_eq!(heard, [&["offered"], expected, &["supplied"]].concat());
            pair.answering.answer(&both_accepted());
            pair.hear();
            pair.pump().unwrap();
            assert_eq!(pair.offering_events, [OfferingEvent::Outcome(both_accepted())]);
            assert_eq!(pair.offering.handle(0, None), Ok(()));
        }
    };
    check(0, &[]);
    check(headers - 1, &[]);
    check(headers, &HEADERS);
    check(all - 1, &HEADERS);
    check(all, &[&HEADERS[..], &BODIES].concat());
    check(u64::MAX, &[&HEADERS[..], &BODIES].concat());
}

/// proves: EXC-2, EXC-4, EXC-7, EXC-10
#[test]
fn each_selection_brings_just_what_it_names() {
    let check = |first: u64, wanted: Selection, expected: &[&str]| {
        for cut in [1, 1_000_000] {
            let mut pair = Pair::new(window(first), cut);
            pair.pump().unwrap();
            pair.heard.clear();
            pair.want(wanted.clone());
            let heard: Vec<&str> = pair.heard.iter().map(String::as_str).collect();
            assert_eq!(heard, [expected, &["supplied"]].concat(), "{wanted:?}");
            assert_eq!(pair.offering_events, [OfferingEvent::Wanted(wanted.clone())]);
        }
    };
    check(0, Selection::All, &[&HEADERS[..], &BODIES].concat());
    check(0, Selection::Headers, &HEADERS);
    check(0, Selection::Digest, &[]);
    check(0, Selection::Signers, &["seals 1"]);
    check(0, Selection::Text, &[&HEADERS[..], &["body 1 from 0"]].concat());
    check(0, Selection::Range { part: 5, offset: 100, octets: 50 }, &["slice 5 100 50"]);
    // Resuming: the manifest is known from the eager headers.
    check(10_000, Selection::Parts(vec![(5, 39_999)]), &["body 5 from 39999"]);
    check(10_000, Selection::Parts(vec![(5, 40_000), (1, 2)]), &["body 5 from 40000", "body 1 from 2"]);
}

/// proves: EXC-2, EXC-4
#[test]
fn a_receiver_may_ask_sixteen_times() {
    let mut pair = Pair::new(window(0), 1_000);
    pair.pump().unwrap();
    for _ in 0..WANTS_MAX {
        pair.want(Selection::Text);
    }
    let more = pair.answering.want(0, Selection::Text);
    assert!(matches!(more, Err(Error::Bound { .. })), "{more:?}");
    pair.answering.answer(&both_accepted());
    pair.hear();
    pair.pump().unwrap();
    assert_eq!(pair.offering_events.len(), WANTS_MAX + 1);
    // And a receiver that asks once more all the same is given up.
    let mut offering = Offering::new(0, offer(), supply(), &window(0));
    let want = encode(&Frame::Want(Selection::Signers));
    for _ in 0..WANTS_MAX {
        assert_eq!(offering.handle(0, Some(&want)), Ok(()));
    }
    assert!(matches!(offering.handle(0, Some(&want)), Err(Error::Bound { .. })));
}

/// proves: EXC-10
#[test]
fn a_receiver_asks_only_for_what_there_is_and_in_its_turn() {
    let mut pair = Pair::new(window(0), 1_000);
    pair.pump().unwrap();
    // Without a manifest it knows no parts.
    assert!(pair.answering.want(0, Selection::Parts(vec![(1, 0)])).is_err());
    pair.want(Selection::Headers);
    assert!(pair.answering.want(0, Selection::Parts(vec![(2, 0)])).is_err());
    assert!(pair.answering.want(0, Selection::Parts(vec![(6, 0)])).is_err());
    assert!(pair.answering.want(0, Selection::Parts(vec![(1, 6)])).is_err());
    // None of these has changed anything.
    pair.want(Selection::Parts(vec![(1, 5)]));
    pair.answering.answer(&both_accepted());
    assert!(pair.answering.want(0, Selection::Headers).is_err());
}

/// A receiver that asks for what is not there has made a mistake; the sender says so and does not guess.
///
/// proves: EXC-2
#[test]
fn a_sender_does_not_supply_what_is_not_there() {
    let check = |wanted: Selection| {
        let mut offering = Offering::new(0, offer(), supply(), &window(0));
        let answered = offering.handle(0, Some(&encode(&Frame::Want(wanted.clone()))));
        assert!(matches!(answered, Err(Error::Content(_))), "{wanted:?}");
    };
    check(Selection::Parts(vec![(0, 0)]));
    check(Selection::Parts(vec![(6, 0)]));
    check(Selection::Parts(vec![(1, 6)]));
    check(Selection::Range { part: 5, offset: 39_999, octets: 2 });
    check(Selection::Range { part: 5, offset: u64::MAX, octets: 1 });
    check(Selection::Range { part: 2, offset: 0, octets: 1 });
}

/// The answering side, told these octets after a (well-formed) offer with this eager content.
fn answering_after(eager: Eager) -> Answering {
    let mut answering = Answering::new(0, Protocol::Exchange);
    let frame = encode(&Frame::Offer(Box::new(Offer { eager, ..offer() })));
    answering.handle(0, Some(&frame)).expect("an offer");
    answering
}

fn piece(piece: Piece, octets: &[u8], last: bool) -> Vec<u8> {
    let head = ContentHead { piece, octets: octets.len() as u64, last };
    [&encode(&Frame::Content(head))[..], octets].concat()
}

struct Pieces {
    manifest: Vec<u8>,
    seals: Vec<u8>,
    headers: Vec<u8>,
}

fn pieces() -> Pieces {
    let supply = supply();
    Pieces {
        manifest: piece(Piece::Manifest, supply.manifest.octets(), false),
        seals: piece(Piece::Seals, &supply.seals_octets(), false),
        headers: piece(Piece::Headers, &supply.headers, true),
    }
}

/// proves: EXC-6, EXC-7, SEAL-7
#[test]
fn content_that_is_not_what_was_offered_is_refused() {
    let check = |name: &str, eager: Eager, parts: &[&[u8]], good: bool| {
        let octets = parts.concat();
        for cut in [1, octets.len().max(1)] {
            let mut answering = answering_after(eager);
            let result = octets.chunks(cut).try_for_each(|piece| answering.handle(0, Some(piece)));
            assert_eq!(result.is_ok(), good, "{name}: {result:?}");
        }
    };
    let supply = supply();
    let Pieces { manifest, seals, headers } = pieces();
    let headers_then = piece(Piece::Headers, &supply.headers, false);
    let head = |piece, octets, last| encode(&Frame::Content(ContentHead { piece, octets, last }));
    check("as offered", Eager::Headers, &[&manifest, &seals, &headers], true);

    let mut other = supply.manifest.octets().to_vec();
    let place = other.len() - 1;
    other[place] ^= 1;
    let other = piece(Piece::Manifest, &other, false);
    check("another manifest", Eager::Headers, &[&other], false);
    check("no manifest", Eager::Headers, &[&piece(Piece::Manifest, b"\xa0", false)], false);
    check(
        "an empty manifest",
        Eager::Headers,
        &[&piece(Piece::Manifest, b"", false), &seals, &headers],
        false,
    );
    let mut changed = supply.headers.to_vec();
    changed[10] ^= 1;
    check(
        "other headers",
        Eager::Headers,
        &[&manifest, &seals, &piece(Piece::Headers, &changed, true)],
        false,
    );
    let short = head(Piece::Headers, supply.headers.len() as u64 - 1, true);
    check("headers of another length", Eager::Headers, &[&manifest, &seals, &short], false);
    let no_seals = piece(Piece::Seals, b"\xa0", false);
    check("seals that are no list", Eager::Headers, &[&manifest, &no_seals], false);
    check(
        "a seal that is none",
        Eager::Headers,
        &[&manifest, &piece(Piece::Seals, b"\x81\x41x", false)],
        false,
    );
    let seventeen = |count: usize| {
        let list = vec![message::cbor::bytes(&supply.seals[0]); count];
        piece(Piece::Seals, &message::cbor::encode(&ciborium::Value::Array(list)), false)
    };
    check("sixteen seals", Eager::Headers, &[&manifest, &seventeen(16)], true);
    check("seventeen seals", Eager::Headers, &[&manifest, &seventeen(17)], false);

    check("headers before the manifest", Eager::Headers, &[&headers], false);
    check("seals before the manifest", Eager::Headers, &[&seals], false);
    check("the manifest twice", Eager::Headers, &[&manifest, &manifest], false);
    check("the seals left out", Eager::Headers, &[&manifest, &headers], false);
    let early = piece(Piece::Manifest, supply.manifest.octets(), true);
    check("the last piece too early", Eager::Headers, &[&early], false);
    check("the last piece not said to be", Eager::Headers, &[&manifest, &seals, &headers_then], false);
    check("more than eager", Eager::Headers, &[&manifest, &seals, &headers, &seals], false);
    check("unasked content", Eager::Nothing, &[&manifest], false);
    check("a manifest too large", Eager::Headers, &[&head(Piece::Manifest, 65_537, false)], false);
    check("seals too large", Eager::Headers, &[&manifest, &head(Piece::Seals, 70_000, false)], false);

    let body = |part, from, octets, last| head(Piece::Body { part, from }, octets, last);
    let to_bodies: [&[u8]; 3] = [&manifest, &seals, &headers_then];
    let check_body = |name: &str, bodies: &[&[u8]], good: bool| {
        check(name, Eager::All, &[&to_bodies, bodies].concat(), good);
    };
    check_body("the first body", &[&body(1, 0, 5, false)], true);
    check_body("a body longer than it is", &[&body(1, 0, 6, false)], false);
    check_body("a body shorter than it is", &[&body(1, 0, 4, false)], false);
    check_body("a body from its middle", &[&body(1, 1, 4, false)], false);
    check_body("a body out of order", &[&body(3, 0, 6, false)], false);
    check_body("the body of a container", &[&body(2, 0, 6, false)], false);
    check_body("the body of no part", &[&body(6, 0, 6, false)], false);
    check_body("a body twice", &[&body(1, 0, 5, false), b"first", &body(1, 0, 5, false)], false);
    check_body("the last body too early", &[&body(1, 0, 5, true)], false);
    check_body("a slice unasked", &[&head(Piece::Slice { part: 1, from: 0 }, 5, false)], false);
    check_body("a frame within a body is a body", &[&body(1, 0, 5, false), &[3, 0xa1, 0, 0x0a, 0]], true);
}

/// proves: EXC-6
#[test]
fn a_message_must_be_as_long_as_was_offered() {
    let mut answering = Answering::new(0, Protocol::Exchange);
    let mut offer = Offer { eager: Eager::Headers, ..offer() };
    offer.envelope.octets += 1;
    answering.handle(0, Some(&encode(&Frame::Offer(Box::new(offer))))).unwrap();
    assert!(matches!(answering.handle(0, Some(&pieces().manifest)), Err(Error::Content(_))));
}

/// proves: EXC-3
#[test]
fn a_receiver_holds_senders_to_its_settings() {
    let check = |settings: Settings, good: bool| {
        let mut answering = Answering::with_settings(0, Protocol::Exchange, settings);
        let Pieces { manifest, seals, headers } = pieces();
        let frame = encode(&Frame::Offer(Box::new(Offer { eager: Eager::Headers, ..offer() })));
        let result = answering.handle(0, Some(&[&frame[..], &manifest, &seals, &headers].concat()));
        assert_eq!(result.is_ok(), good, "{result:?}");
    };
    let supply = supply();
    let octets = (supply.manifest.octets().len() + supply.headers.len() + supply.seals_octets().len()) as u64;
    let exact = Settings { eager_octets: octets, part_octets_max: 40_000, recipients_max: 2 };
    check(exact, true);
    check(Settings { eager_octets: octets - 1, ..exact }, false);
    check(Settings { part_octets_max: 39_999, ..exact }, false);
    check(Settings { recipients_max: 1, ..exact }, false);
}

/// proves: EXC-8, SEC-2
#[test]
fn what_comes_after_the_answer_is_not_read() {
    let Pieces { manifest, seals, .. } = pieces();
    let poll = encode(&Frame::Poll(vec![Cookie::from_bytes([1; 32])]));
    let check = |before: &[u8], after: &[u8]| {
        let mut answering = answering_after(Eager::All);
        answering.handle(0, Some(before)).unwrap();
        answering.answer(&both_accepted());
        answering.answer(&outcome(vec![Disposition::Withdrawn; 2]));
        answering.fail(Failure { code: Code::SYSTEM_TROUBLE, text: String::new() });
        assert!(answering.want(0, Selection::All).is_err());
        assert_eq!(answering.handle(0, Some(after)), Ok(()));
        assert_eq!(answering.handle(0, None), Ok(()));
        let (mut sent, mut finished) = (Vec::new(), 0);
        while let Some(output) = answering.poll() {
            match output {
                AnsweringOutput::Send(octets) => sent.push(octets),
                AnsweringOutput::Finish => finished += 1,
                AnsweringOutput::Event(AnsweringEvent::Asked(frame)) => unreachable!("{frame:?}"),
                AnsweringOutput::Event(_) => {}
            }
        }
        assert_eq!(sent, [encode(&Frame::Outcome(both_accepted()))]);
        assert_eq!(finished, 1);
        assert_eq!(answering.deadline(), None);
    };
    let half = &manifest[..manifest.len() / 2];
    check(b"", &manifest);
    check(half, &poll);
    check(half, &[0xff; 100]);
    check(&manifest, &[&seals[..], &poll].concat());
    check(&manifest, &[]);
}

/// proves: EXC-5, EXC-8
#[test]
fn an_offer_ends_with_one_answer_for_each_recipient() {
    let check = |frames: &[Frame], good: bool| {
        let mut offering = Offering::new(0, offer(), supply(), &window(u64::MAX));
        let octets: Vec<u8> = frames.iter().flat_map(|frame| encode(frame).to_vec()).collect();
        // Of a row that is right as a whole, nothing less is enough.
        for cut in (0..octets.len()).filter(|_| good) {
            let mut early = Offering::new(0, offer(), supply(), &window(0));
            let result = early.handle(0, Some(&octets[..cut])).and_then(|()| early.handle(0, None));
            assert_eq!(result, Err(Error::Truncated), "cut at {cut}");
        }
        let result = offering.handle(0, Some(&octets)).and_then(|()| offering.handle(0, None));
        assert_eq!(result.is_ok(), good, "{frames:?}: {result:?}");
    };
    let answer = |count: usize| Frame::Outcome(outcome(vec![Disposition::Accepted; count]));
    let failure = Frame::Failure(Failure { code: Code::SYSTEM_TROUBLE, text: "later".into() });
    check(&[answer(2)], true);
    check(std::slice::from_ref(&failure), true);
    check(&[Frame::Want(Selection::Headers), answer(2)], true);
    check(&[], false);
    check(&[Frame::Want(Selection::Headers)], false);
    check(&[answer(1)], false);
    check(&[answer(3)], false);
    check(&[answer(0)], false);
    check(&[answer(2), answer(2)], false);
    check(&[answer(2), failure], false);
    check(&[answer(2), Frame::Want(Selection::All)], false);
    check(&[Frame::Done], false);
    check(&[Frame::Settings(window(0))], false);
    check(&[Frame::Poll(vec![])], false);
}

/// proves: EXC-5
#[test]
fn an_early_answer_ends_what_was_still_to_be_sent() {
    let mut offering = Offering::new(0, offer(), supply(), &window(u64::MAX));
    assert!(matches!(offering.poll(), Some(OfferingOutput::Send(_))));
    offering.handle(0, Some(&encode(&Frame::Outcome(both_accepted())))).unwrap();
    assert_eq!(offering.poll(), Some(OfferingOutput::Event(OfferingEvent::Outcome(both_accepted()))));
    assert_eq!(offering.poll(), Some(OfferingOutput::Finish));
    assert_eq!(offering.poll(), None);
}

/// proves: EXC-9
#[test]
fn a_stream_that_ends_early_is_no_transaction() {
    let Pieces { manifest, seals, headers } = pieces();
    let frame = encode(&Frame::Offer(Box::new(Offer { eager: Eager::Headers, ..offer() })));
    let octets = [&frame[..], &manifest, &seals, &headers].concat();
    for at in 0..octets.len() {
        let mut answering = Answering::new(0, Protocol::Exchange);
        answering.handle(0, Some(&octets[..at])).unwrap();
        assert_eq!(answering.handle(0, None), Err(Error::Truncated), "cut at {at}");
    }
    let mut answering = Answering::new(0, Protocol::Exchange);
    answering.handle(0, Some(&octets)).unwrap();
    assert_eq!(answering.handle(0, None), Ok(()));
}

/// proves: FRM-7, SUB-5
#[test]
fn a_stream_begins_as_its_protocol_says() {
    let check = |frame: Frame, exchange: bool, submission: bool| {
        for (protocol, good) in [(Protocol::Exchange, exchange), (Protocol::Submission, submission)] {
            let mut answering = Answering::new(0, protocol);
            let result = answering.handle(0, Some(&encode(&frame)));
            assert_eq!(result.is_ok(), good, "{protocol:?} {frame:?}: {result:?}");
        }
    };
    let options = SubmissionOptions::default();
    let identity = offer().envelope.identity;
    check(Frame::Offer(Box::new(offer())), true, false);
    check(Frame::Offer(Box::new(Offer { submission: Some(options), ..offer() })), false, true);
    check(Frame::Poll(vec![]), true, true);
    check(Frame::GiveUp(vec![]), true, true);
    check(Frame::Enrol(Enrol { account: "a".into(), password: "b".into(), device: "c".into() }), false, true);
    check(Frame::Status(StatusQuery::Of(identity)), false, true);
    check(Frame::Mailbox { after: 0, limit: 1 }, false, true);
    check(Frame::Fetch { identity, selection: Selection::All }, false, true);
    check(Frame::Done, false, false);
    check(Frame::Settings(window(0)), false, false);
    check(Frame::Want(Selection::All), false, false);
    check(Frame::Outcome(both_accepted()), false, false);
    check(Frame::Answers(vec![]), false, false);
    check(Frame::Settled(vec![]), false, false);
    check(Frame::Failure(Failure { code: Code::SYSTEM_TROUBLE, text: String::new() }), false, false);
    for protocol in [Protocol::Exchange, Protocol::Submission] {
        assert_eq!(Protocol::from_alpn(protocol.alpn()), Some(protocol));
    }
    assert_eq!(Protocol::from_alpn(b"h3"), None);
}

/// proves: FRM-7, FRM-9
#[test]
fn a_request_has_one_reply() {
    let poll = Frame::Poll(vec![Cookie::from_bytes([1; 32])]);
    let mut asking = Asking::new(0, &poll);
    let mut answering = Answering::new(0, Protocol::Exchange);
    assert_eq!(asking.poll(), Some(AskingOutput::Send(encode(&poll))));
    assert_eq!(asking.poll(), Some(AskingOutput::Finish));
    answering.handle(0, Some(&encode(&poll))).unwrap();
    answering.handle(0, None).unwrap();
    let Some(AnsweringOutput::Event(AnsweringEvent::Asked(asked))) = answering.poll() else { unreachable!() };
    assert_eq!(asked, poll);
    let reply = Frame::Answers(vec![CookieAnswer::Unknown]);
    answering.reply(&reply);
    answering.reply(&Frame::Done);
    let Some(AnsweringOutput::Send(octets)) = answering.poll() else { unreachable!() };
    assert!(matches!(answering.poll(), Some(AnsweringOutput::Finish)));
    assert!(answering.poll().is_none());
    assert_eq!(asking.handle(0, Some(&octets[..3])), Ok(()));
    assert_eq!(asking.handle(0, Some(&octets[3..])), Ok(()));
    assert_eq!(asking.poll(), Some(AskingOutput::Event(AskingEvent::Reply(reply))));
    assert_eq!(asking.handle(0, None), Ok(()));
    assert!(asking.handle(0, Some(&octets)).is_err());
    let mut cut = Asking::new(0, &poll);
    cut.handle(0, Some(&octets[..octets.len() - 1])).unwrap();
    assert_eq!(cut.handle(0, None), Err(Error::Truncated));
    // A second request on the same stream is refused, also while the first waits for its reply.
    let mut answering = Answering::new(0, Protocol::Exchange);
    let twice = [encode(&poll), encode(&poll)].concat();
    assert!(answering.handle(0, Some(&twice)).is_err());
    // Broken octets end the reading of a stream for good.
    assert_eq!(answering.handle(0, Some(&encode(&poll))), Ok(()));
    assert!(!matches!(answering.poll(), Some(AnsweringOutput::Send(_))));
}

/// proves: SUB-14
#[test]
fn a_fetch_brings_content() {
    let request = Frame::Fetch { identity: offer().envelope.identity, selection: Selection::Text };
    let mut asking = Asking::new(0, &request);
    let mut octets = Vec::new();
    for output in supply().content(&Selection::Text).unwrap() {
        match output {
            OfferingOutput::Send(piece) => octets.extend_from_slice(&piece),
            _ => octets.extend_from_slice(b"first"),
        }
    }
    for piece in octets.chunks(11) {
        asking.handle(0, Some(piece)).unwrap();
    }
    asking.handle(0, None).unwrap();
    let (mut heads, mut body, mut ended) = (Vec::new(), Vec::new(), false);
    while let Some(output) = asking.poll() {
        match output {
            AskingOutput::Event(AskingEvent::Content(head)) => {
                body.clear();
                heads.push(head.piece);
            }
            AskingOutput::Event(AskingEvent::Octets(octets)) => body.extend_from_slice(&octets),
            AskingOutput::Event(AskingEvent::ContentEnd) => ended = true,
            _ => {}
        }
    }
    let text = Piece::Body { part: 1, from: 0 };
    assert_eq!(heads, [Piece::Manifest, Piece::Seals, Piece::Headers, text]);
    assert_eq!(body, b"first");
    assert!(ended);
    assert_eq!(Digest::of(&body), letter().0.manifest().part(1).unwrap().leaf().unwrap());
}

/// proves: EXC-9
#[test]
fn deadlines_move_with_the_peer() {
    let mut answering = Answering::new(1_000, Protocol::Exchange);
    assert_eq!(answering.deadline(), Some(31_000));
    answering.handle(5_000, Some(&[])).unwrap();
    assert_eq!(answering.deadline(), Some(35_000));
    let mut offering = Offering::new(u64::MAX, offer(), supply(), &window(0));
    assert_eq!(offering.deadline(), u64::MAX);
    offering.progress(7_000);
    assert_eq!(offering.deadline(), 37_000);
    assert_eq!(Asking::new(0, &Frame::Done).deadline(), 30_000);
    // While the application has the turn, nobody has stalled.
    assert_eq!(answering_after(Eager::Nothing).deadline(), None);
}

#[derive(Debug, Clone)]
enum Step {
    Octets(Vec<u8>),
    End,
    Want(Selection),
    Answer,
    Fail,
}

fn any_step() -> impl Strategy<Value = Step> {
    let right = prop_oneof![
        Just(pieces().manifest),
        Just(pieces().seals),
        Just(pieces().headers),
        prop::sample::select(vec![Eager::Nothing, Eager::Headers, Eager::All])
            .prop_map(|eager| encode(&Frame::Offer(Box::new(Offer { eager, ..offer() }))).to_vec()),
    ];
    let selection = prop::sample::select(vec![
        Selection::All,
        Selection::Digest,
        Selection::Text,
        Selection::Parts(vec![(1, 0)]),
        Selection::Range { part: 1, offset: 0, octets: 1 },
    ]);
    prop_oneof![
        4 => right.prop_map(Step::Octets),
        2 => any_frame().prop_map(|frame| Step::Octets(encode(&frame).to_vec())),
        1 => any::<Vec<u8>>().prop_map(Step::Octets),
        1 => Just(Step::End),
        2 => selection.prop_map(Step::Want),
        1 => Just(Step::Answer),
        1 => Just(Step::Fail),
    ]
}

proptest! {
    /// Whatever comes in whatever order: no panic, at most one answer, nothing to do after the end.
    ///
    /// proves: EXC-5, EXC-8, SEC-1
    #[test]
    fn no_row_of_steps_makes_a_machine_panic(steps in proptest::collection::vec(any_step(), 0..12)) {
        let mut answering = Answering::new(0, Protocol::Exchange);
        let mut offering = Offering::new(0, offer(), supply(), &window(0));
        let mut asking = Asking::new(0, &Frame::Fetch {
            identity: offer().envelope.identity, selection: Selection::All,
        });
        let (mut finished, mut supplied) = (0, 0);
        for step in steps {
            match step {
                Step::Octets(octets) => {
                    let _ = answering.handle(0, Some(&octets));
                    let _ = offering.handle(0, Some(&octets));
                    let _ = asking.handle(0, Some(&octets));
                }
                Step::End => {
                    let _ = answering.handle(0, None);
                    let _ = offering.handle(0, None);
                    let _ = asking.handle(0, None);
                }
                Step::Want(wanted) => drop(answering.want(0, wanted)),
                Step::Answer => answering.answer(&both_accepted()),
                Step::Fail => answering.fail(Failure { code: Code::SYSTEM_TROUBLE, text: String::new() }),
            }
            while let Some(output) = answering.poll() {
                match output {
                    AnsweringOutput::Finish => finished += 1,
                    AnsweringOutput::Event(AnsweringEvent::Supplied) => supplied += 1,
                    _ => {}
                }
            }
            while offering.poll().is_some() {}
            while asking.poll().is_some() {}
        }
        prop_assert!(finished <= 1);
        prop_assert!(supplied <= WANTS_MAX + 1);
    }
}
