//! Content that is wrong, late, unasked or cut off.

use message::{Code, Cookie, Disposition, Selection};
use waxwing_protocol::*;

use super::letter::{Pieces, answering_after, both_accepted, offer, outcome, piece, pieces, supply, window};

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

/// However the octets are cut, the first answer is the answer.
///
/// proves: EXC-26
#[test]
fn a_sender_reads_nothing_behind_the_answer() {
    let accepted = encode(&Frame::Outcome(both_accepted()));
    let check = |behind: &[u8]| {
        let octets = [&accepted[..], behind].concat();
        for cut in 0..=octets.len() {
            let mut offering = Offering::new(0, offer(), supply(), &window(0));
            offering.handle(0, Some(&octets[..cut])).unwrap();
            offering.handle(0, Some(&octets[cut..])).unwrap();
            offering.handle(0, None).unwrap();
            let events: Vec<OfferingEvent> = std::iter::from_fn(|| offering.poll())
                .filter_map(|output| match output {
                    OfferingOutput::Event(event) => Some(event),
                    _ => None,
                })
                .collect();
            assert_eq!(events, [OfferingEvent::Outcome(both_accepted())], "cut at {cut}");
        }
    };
    check(b"");
    check(&accepted);
    check(&encode(&Frame::Failure(Failure { code: Code::SYSTEM_TROUBLE, text: "later".into() })));
    check(&encode(&Frame::Want(Selection::All)));
    check(&[0xff; 70]);
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
