//! How a stream begins, and requests with one reply.

use message::{Code, Cookie, Digest, Selection};
use waxwing_protocol::*;

use super::letter::{answering_after, both_accepted, letter, offer, supply, window};

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
    // What follows the reply is not read, whether it comes with it or later.
    assert_eq!(asking.handle(0, Some(&octets)), Ok(()));
    assert_eq!(asking.poll(), None);
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
