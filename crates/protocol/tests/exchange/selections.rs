//! What comes unasked and what comes when it is asked for.

use message::Selection;
use waxwing_protocol::limits::WANTS_MAX;
use waxwing_protocol::*;

use super::letter::{both_accepted, offer, supply, window};
use super::pair::{BODIES, HEADERS, Pair};

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
