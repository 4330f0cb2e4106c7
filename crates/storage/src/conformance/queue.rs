//! The queue: claims, fences, lanes, settlements.

use message::{Code, Cookie, Disposition};

use super::Open;
use super::fixture::*;
use crate::{
    Acceptance, Attempt, Claim, Content, CookieAnswer, Error, Lane, NextHop, Outcome, Pause, Settled,
    Settlement, Store,
};

fn claim(store: &dyn Store, now_ms: u64, max: usize) -> Vec<Claim> {
    block_on(store.claim(now_ms, max, &|_, _| true)).unwrap()
}

pub(super) fn settlement(
    claim: &Claim,
    outcomes: Vec<(u32, Outcome)>,
    next_due_ms: Option<u64>,
) -> Settlement {
    Settlement {
        leg: claim.leg.id,
        fence: claim.fence,
        now_ms: NOW,
        outcomes,
        passed_on: Vec::new(),
        attempts: vec![attempt("connection refused")],
        next_due_ms,
        pause: Pause::Failed,
    }
}

pub(super) fn attempt(text: &str) -> Attempt {
    Attempt {
        at_ms: NOW,
        lane: lane("far.test"),
        host: "mx.far.test".to_owned(),
        recipient: None,
        step: "connect".to_owned(),
        code: Some(Code::NO_ANSWER),
        text: text.to_owned(),
        took_ms: 12,
        outcome: "again".to_owned(),
    }
}

/// proves: STO-12
pub(super) fn the_final_answer_travels_back(open: &Open) {
    let message = letter("relayed", &[octets(1, LARGE)]);
    let store = open();
    let both = vec![to_queue("a@far.test", "far.test", 1), to_queue("b@far.test", "far.test", 2)];
    let receipt = accept(&*store, &message, peer(), both).unwrap();
    let claims = claim(&*store, NOW, 10);
    assert_eq!((claims.len(), &claims[0].leg.recipients), (1, &vec![0, 1]));
    let next_hop = pending(9);
    let outcomes = vec![(0, Outcome::Final(Disposition::Accepted)), (1, Outcome::Waiting(next_hop.clone()))];
    let settled = block_on(store.settle(settlement(&claims[0], outcomes, Some(NOW + 1000)))).unwrap();
    assert_eq!(settled, Settled { remaining: 1, closed: false });
    let poll =
        |cookie: u8| store.poll("peer.test", &[Cookie::from_bytes([cookie; 32])], NOW).unwrap().remove(0);
    assert_eq!(poll(1), CookieAnswer::Final(Disposition::Accepted));
    assert!(matches!(poll(2), CookieAnswer::Pending { .. }));
    assert_eq!(claim(&*store, NOW, 10), []);
    let claims = claim(&*store, NOW + 1000, 10);
    assert_eq!(claims[0].envelope.recipients[1].next_hop, Some(next_hop));
    assert_eq!((claims[0].leg.attempts, claims[0].leg.backoff), (1, 1));
    let refused = Disposition::refused(Code::NO_SUCH_ADDRESS, "unknown user");
    let outcomes = vec![(1, Outcome::Final(refused.clone()))];
    let settled = block_on(store.settle(settlement(&claims[0], outcomes, None))).unwrap();
    assert_eq!(settled, Settled { remaining: 0, closed: true });
    assert_eq!(poll(2), CookieAnswer::Final(refused.clone()));
    let answered = store.answered(&domain("peer.test"), message.identity(), &address("b@far.test"));
    assert_eq!(answered, Ok(Some(refused.clone())));
    assert!(store.message(message.identity()).unwrap().is_none(), "nobody holds it any more");
    let cookies = store.settled_cookies(receipt.envelope).unwrap();
    assert_eq!(cookies.len(), 2);
    assert_eq!(cookies[1], ("peer.test".to_owned(), Cookie::from_bytes([2; 32]), refused));
    assert_eq!(store.next_due(NOW), Ok(None));
    assert_eq!(findings(&*store), Vec::<String>::new());
}

/// proves: STO-16
pub(super) fn a_stale_fence_changes_nothing(open: &Open) {
    let store = open();
    let message = letter("stale", &[octets(1, 10)]);
    accept(&*store, &message, user(), vec![to_queue("a@far.test", "far.test", 1)]).unwrap();
    let first = claim(&*store, NOW, 1).remove(0);
    // Whatever the clock does: who works on it has it, until it is given back.
    assert_eq!((claim(&*store, u64::MAX - 1, 1), store.next_due(NOW)), (vec![], Ok(None)));
    store.let_go(first.leg.id, first.fence + 1, NOW);
    assert_eq!(claim(&*store, NOW, 1), []);
    store.let_go(first.leg.id, first.fence, NOW + 70_000);
    store.let_go(first.leg.id, first.fence, NOW + 60_000);
    assert_eq!((claim(&*store, NOW + 59_999, 1), store.next_due(NOW)), (vec![], Ok(Some(NOW + 60_000))));
    let second = claim(&*store, NOW + 60_000, 1).remove(0);
    assert!(second.fence > first.fence);
    store.let_go(first.leg.id, first.fence, NOW);
    assert_eq!(claim(&*store, NOW + 60_000, 1), []);
    let accepted = || vec![(0, Outcome::Final(Disposition::Accepted))];
    assert_eq!(block_on(store.settle(settlement(&first, accepted(), None))), Err(Error::Stale));
    let wrong = block_on(store.settle(settlement(&second, vec![(7, Outcome::Again)], None)));
    assert!(matches!(wrong, Err(Error::Invalid(_))), "{wrong:?}");
    let wrong = block_on(store.settle(settlement(&second, vec![(0, Outcome::Again)], None)));
    assert!(matches!(wrong, Err(Error::Invalid(_))), "a due time is needed: {wrong:?}");
    let (one, two) = (
        store.settle(settlement(&second, accepted(), None)),
        store.settle(settlement(&second, accepted(), None)),
    );
    assert_eq!(block_on(one), Ok(Settled { remaining: 0, closed: true }));
    assert_eq!(block_on(two), Err(Error::Stale));
    assert_eq!(store.attempts(second.envelope.id).unwrap().len(), 1);
}

/// proves: STO-15
pub(super) fn lanes_are_served_in_turn(open: &Open) {
    let store = open();
    let add = |lane: &str, number: u8| {
        let message = letter(&format!("{lane} {number}"), &[octets(number, 10)]);
        accept(&*store, &message, user(), vec![to_queue("a@far.test", lane, number)]).unwrap();
    };
    (1..=20).for_each(|number| add("crowded", number));
    add("quiet", 21);
    add("third", 22);
    let lanes_of =
        |claims: &[Claim]| claims.iter().map(|claim| claim.leg.lane.to_string()).collect::<Vec<_>>();
    let claims = claim(&*store, NOW, 4);
    assert_eq!(lanes_of(&claims), ["crowded", "quiet", "third", "crowded"]);
    assert!(claims[0].leg.id < claims[3].leg.id, "the order of the due times within a lane");
    let others = |one: &Lane, _: usize| *one != lane("crowded");
    assert_eq!(block_on(store.claim(NOW, 10, &others)).unwrap(), []);
    let three = |_: &Lane, given: usize| given < 3;
    assert_eq!(block_on(store.claim(NOW, 10, &three)).unwrap().len(), 3);
    assert_eq!(claim(&*store, NOW, 100).len(), 15);
    assert_eq!(claim(&*store, NOW, 100), []);
    let summaries = store.lanes(None, 10).unwrap();
    let counts: Vec<_> = summaries.iter().map(|summary| (summary.lane.as_str(), summary.legs)).collect();
    assert_eq!(counts, [("crowded", 20), ("quiet", 1), ("third", 1)]);
    assert_eq!((summaries[0].oldest_ms, summaries[0].next_due_ms), (Some(NOW), None));
    let after = store.lanes(Some(&lane("crowded")), 1).unwrap();
    assert_eq!(after[0].lane, lane("quiet"));
}

/// What was counted as it came is counted the same when the store is opened again.
pub(super) fn legs_are_counted_by_age(open: &Open) {
    let mut store = open();
    for number in 1..=30_u8 {
        let message = letter(&format!("aged {number}"), &[octets(number, 10)]);
        let to = to_queue("a@far.test", if number % 3 == 0 { "third" } else { "others" }, number);
        // Ten in one minute, then one in each of the minutes after.
        let minutes = u64::from(number.saturating_sub(10));
        let content = Content::New(staged(&*store, &user().holder(), &message).unwrap());
        let made = Acceptance { now_ms: NOW + minutes * 60_000, ..acceptance(content, user(), vec![to]) };
        block_on(store.accept(made)).unwrap();
    }
    let gone = store.legs(None, None, 1).unwrap()[0].id;
    block_on(store.remove(gone, NOW)).unwrap();
    for _ in 0..2 {
        let ages = |limit| store.ages(NOW + 20 * 60_000, &[300_000, 1_140_000], limit).unwrap();
        let (lanes, more) = ages(10);
        let counts: Vec<_> = lanes.iter().map(|one| (one.summary.lane.as_str(), &one.counts[..])).collect();
        // Younger than five minutes are the last five, 26 to 30; older than 19 minutes the first eleven, of which one is gone.
        assert_eq!(counts, [("others", &[3, 9, 7][..]), ("third", &[2, 5, 3][..])]);
        assert_eq!((ages(1).0.len(), ages(1).1, more), (1, 1, 0));
        drop(store);
        store = open();
    }
}

/// A long queue that is not due costs a claim nothing that grows with it: see the counting test of each engine for
/// the reads; here it is that the right ones are found among many.
pub(super) fn a_claim_costs_what_it_takes(open: &Open) {
    let store = open();
    for number in 0..60_u8 {
        let message = letter(&format!("later {number}"), &[octets(number, 10)]);
        let mut later = acceptance(
            crate::Content::New(staged(&*store, "account:ann", &message).unwrap()),
            user(),
            vec![to_queue("a@far.test", &format!("lane {}", number % 7), number)],
        );
        later.release_at_ms = Some(NOW + 1000 * u64::from(60 - number));
        block_on(store.accept(later)).unwrap();
    }
    assert_eq!(store.next_due(NOW), Ok(Some(NOW + 1000)));
    assert_eq!(claim(&*store, NOW + 999, 100), []);
    let claims = claim(&*store, NOW + 3000, 100);
    let dues: Vec<_> = claims.iter().map(|claim| claim.leg.due_ms - NOW).collect();
    assert_eq!(dues, [1000, 2000, 3000]);
}

pub(super) fn legs_are_held_released_and_removed(open: &Open) {
    let store = open();
    let add = |number: u8| {
        let message = letter(&format!("leg {number}"), &[octets(number, 10)]);
        accept(&*store, &message, user(), vec![to_queue("a@far.test", "far.test", number)]).unwrap().envelope
    };
    let (first, second) = (add(1), add(2));
    let legs = store.legs(Some(&lane("far.test")), None, 10).unwrap();
    assert_eq!((legs.len(), legs[0].envelope, legs[1].envelope), (2, first, second));
    assert_eq!(store.legs(None, Some(legs[0].id), 10).unwrap(), legs[1..]);
    block_on(store.hold(legs[0].id)).unwrap();
    assert_eq!(claim(&*store, NOW, 10).iter().map(|claim| claim.envelope.id).collect::<Vec<_>>(), [second]);
    assert_eq!(store.lanes(None, 10).unwrap()[0].held, 1);
    drop(store);
    let store = open();
    assert_eq!(store.lanes(None, 10).unwrap()[0].held, 1);
    block_on(store.release(legs[0].id)).unwrap();
    let claims = claim(&*store, NOW, 10);
    assert_eq!(claims.len(), 2, "the claim of the other was void");
    for claim in &claims {
        let again = vec![(0, Outcome::Again)];
        block_on(store.settle(settlement(claim, again, Some(NOW + 5000)))).unwrap();
    }
    assert_eq!(store.next_due(NOW), Ok(Some(NOW + 5000)));
    assert_eq!(store.legs(None, None, 1).unwrap()[0].last_error.as_deref(), Some("connection refused"));
    block_on(store.retry(legs[0].id, NOW)).unwrap();
    assert_eq!(claim(&*store, NOW, 10).len(), 1);
    assert_eq!(block_on(store.release_lane(&lane("far.test"), NOW)), Ok(1));
    let released = claim(&*store, NOW, 10);
    assert_eq!(released.len(), 1);
    // Who waits because the next hop has said so, or for its answer, is not disturbed.
    for (pause, backoff) in [(Pause::OurOwn, 1), (Pause::Asked, 2), (Pause::Answered, 0)] {
        let claims = match pause {
            Pause::OurOwn => released.clone(),
            _ => claim(&*store, NOW + 5000, 1),
        };
        let again = vec![(0, Outcome::Again)];
        let waits = Settlement { pause, ..settlement(&claims[0], again, Some(NOW + 5000)) };
        block_on(store.settle(waits)).unwrap();
        let leg = store.legs(None, None, 10).unwrap().into_iter().find(|leg| leg.id == claims[0].leg.id);
        assert_eq!(leg.as_ref().map(|leg| leg.backoff), Some(backoff), "{pause:?}");
        // Who has answered has no trouble any more.
        let trouble = leg.and_then(|leg| leg.last_error);
        assert_eq!(trouble.is_none(), pause == Pause::Answered, "{pause:?}");
        assert_eq!(block_on(store.release_lane(&lane("far.test"), NOW)), Ok(0), "{pause:?}");
    }
    for leg in &legs {
        assert_eq!(block_on(store.remove(leg.id, NOW)), Ok(Vec::new()));
    }
    assert_eq!(block_on(store.remove(legs[0].id, NOW)), Err(Error::NotFound("leg")));
    assert_eq!(store.lanes(None, 10).unwrap(), []);
    let withdrawn = store.envelope(first).unwrap().unwrap();
    assert_eq!(withdrawn.recipients[0].current(), &Disposition::Withdrawn);
    assert!(withdrawn.closed_at_ms.is_some());
}

/// A next hop that gave a cookie has said how soon it may be asked: that it was heard from is no reason to ask sooner.
///
/// proves: STA-4
pub(super) fn what_waits_for_an_answer_is_not_hastened(open: &Open) {
    let store = open();
    let message = letter("waiting", &[octets(1, 10)]);
    accept(&*store, &message, user(), vec![to_queue("a@far.test", "far.test", 1)]).unwrap();
    for (outcome, hastened) in [(Outcome::Waiting(pending(9)), 0), (Outcome::Again, 1)] {
        let claim = claim(&*store, NOW, 1).remove(0);
        block_on(store.settle(settlement(&claim, vec![(0, outcome)], Some(NOW + 5000)))).unwrap();
        assert_eq!(block_on(store.release_lane(&lane("far.test"), NOW)), Ok(hastened));
        assert_eq!(store.next_due(NOW), Ok(Some(if hastened == 1 { NOW } else { NOW + 5000 })));
        block_on(store.retry(claim.leg.id, NOW)).unwrap();
    }
}

/// proves: STO-16
pub(super) fn restarts_void_claims(open: &Open) {
    let store = open();
    let message = letter("claim", &[octets(1, 10)]);
    accept(&*store, &message, user(), vec![to_queue("a@far.test", "far.test", 1)]).unwrap();
    let before = claim(&*store, NOW, 1).remove(0);
    drop(store);
    let store = open();
    let after = claim(&*store, NOW, 1).remove(0);
    assert!(after.fence > before.fence, "a fence of before the restart is never one of after it");
    let accepted = vec![(0, Outcome::Final(Disposition::Accepted))];
    assert_eq!(block_on(store.settle(settlement(&before, accepted.clone(), None))), Err(Error::Stale));
    assert_eq!(block_on(store.settle(settlement(&after, accepted, None))).unwrap().remaining, 0);
}

pub(super) fn a_submitter_can_give_up(open: &Open) {
    let store = open();
    let message = letter("undo", &[octets(1, 10)]);
    let to = vec![to_queue("a@far.test", "far.test", 1), to_queue("b@near.test", "near.test", 2)];
    let receipt = accept(&*store, &message, user(), to).unwrap();
    let far = |one: &Lane, _: usize| *one == lane("far.test");
    let claims = block_on(store.claim(NOW, 10, &far)).unwrap();
    let waiting = vec![(0, Outcome::Waiting(pending(9)))];
    block_on(store.settle(settlement(&claims[0], waiting, Some(NOW + 1)))).unwrap();
    assert_eq!(block_on(store.withdraw(receipt.envelope, "eve", NOW)), Err(Error::NotFound("envelope")));
    let told = block_on(store.withdraw(receipt.envelope, "ann", NOW)).unwrap();
    assert_eq!(told, [NextHop { lane: lane("far.test"), cookie: Cookie::from_bytes([9; 32]) }]);
    assert_eq!(store.legs(None, None, 10).unwrap(), []);
    // The same by the cookie, from a peer; someone else's cookies are passed over.
    let message = letter("undo by cookie", &[octets(2, 10)]);
    accept(&*store, &message, peer(), vec![to_queue("a@far.test", "far.test", 3)]).unwrap();
    let cookies = [Cookie::from_bytes([3; 32]), Cookie::from_bytes([77; 32])];
    assert_eq!(block_on(store.give_up("other.test", &cookies, NOW)), Ok(Vec::new()));
    assert_eq!(store.legs(None, None, 10).unwrap().len(), 1);
    assert_eq!(block_on(store.give_up("peer.test", &cookies, NOW)), Ok(Vec::new()));
    assert_eq!(store.legs(None, None, 10).unwrap(), []);
    let answer = store.poll("peer.test", &cookies[..1], NOW).unwrap().remove(0);
    assert_eq!(answer, CookieAnswer::Final(Disposition::Withdrawn));
    assert_eq!(findings(&*store), Vec::<String>::new());
    a_withdrawal_meets_a_claim(&*store);
}

/// One of two recipients is withdrawn while their leg is worked on: the settlement ends the other.
fn a_withdrawal_meets_a_claim(store: &dyn Store) {
    let message = letter("both", &[octets(3, 10)]);
    let to = vec![to_queue("a@far.test", "far.test", 5), to_queue("b@far.test", "far.test", 6)];
    let receipt = accept(store, &message, peer(), to).unwrap();
    let claims = claim(store, NOW, 1);
    block_on(store.give_up("peer.test", &[Cookie::from_bytes([5; 32])], NOW)).unwrap();
    let accepted = |place| (place, Outcome::Final(Disposition::Accepted));
    let settled = block_on(store.settle(settlement(&claims[0], vec![accepted(0), accepted(1)], None)));
    assert_eq!(settled, Ok(Settled { remaining: 0, closed: true }));
    let envelope = store.envelope(receipt.envelope).unwrap().unwrap();
    let words: Vec<_> = envelope.recipients.iter().map(|recipient| recipient.current().word()).collect();
    assert_eq!(words, ["withdrawn", "accepted"]);
}

/// What was made, tried or given back under a clock that was ahead waits from then on for as long as it was to, what an
/// operator holds stays held, and all else has the time that it had.
///
/// proves: STO-32
pub(super) fn a_clock_that_was_ahead_keeps_nothing_waiting(open: &Open) {
    const AHEAD: u64 = 3 * 3_600_000;
    let store = open();
    let queued = |number: u8, now_ms: u64, release_at_ms: Option<u64>| {
        let message = letter(&number.to_string(), &[octets(number, 10)]);
        let content = Content::New(staged(&*store, "peer.test", &message).unwrap());
        let mut all =
            acceptance(content, peer(), vec![to_queue("a@far.test", &format!("lane {number}"), number)]);
        (all.now_ms, all.release_at_ms) = (now_ms, release_at_ms);
        block_on(store.accept(all)).unwrap();
    };
    let leg = |number: u8| {
        let all = store.legs(Some(&lane(&format!("lane {number}"))), None, 1).unwrap();
        all.into_iter().next().unwrap()
    };
    let due = |number: u8| leg(number).due_ms;
    queued(1, NOW - 1_000, Some(NOW + 500));
    queued(2, NOW + AHEAD, None);
    queued(3, NOW + AHEAD, Some(NOW + AHEAD + 10_000));
    queued(4, NOW - 2_000, None);
    queued(5, NOW + AHEAD, None);
    block_on(store.hold(leg(5).id)).unwrap();
    // The fourth was tried while it was ahead, and is to wait for 40 seconds.
    let claim = block_on(store.claim(NOW, 1, &|_, _| true)).unwrap().remove(0);
    assert_eq!(claim.leg.lane, lane("lane 4"));
    let mut tried = attempt("connection refused");
    (tried.at_ms, tried.lane) = (NOW + AHEAD, lane("lane 4"));
    let again = Settlement {
        attempts: vec![tried],
        ..settlement(&claim, vec![(0, Outcome::Again)], Some(NOW + AHEAD + 40_000))
    };
    block_on(store.settle(again)).unwrap();
    // The third is given back by whoever had it then.
    let third = |lane: &Lane, _| lane.as_str() == "lane 3";
    let claim = block_on(store.claim(NOW + AHEAD + 20_000, 1, &third)).unwrap().remove(0);
    store.let_go(claim.leg.id, claim.fence, NOW + AHEAD + 3_600_000);
    assert_eq!(store.latest_leg().unwrap().map(|leg| leg.created_at_ms), Some(NOW + AHEAD));
    let mut after = None;
    while let Some(last) = block_on(store.clock_fell(after, NOW)).unwrap() {
        after = Some(last);
    }
    assert_eq!([due(1), due(2), due(3), due(4)], [NOW + 500, NOW, NOW + 10_000, NOW + 40_000]);
    assert!(leg(5).held);
    // Once is enough.
    block_on(store.clock_fell(None, NOW)).unwrap();
    assert_eq!([due(1), due(2), due(3), due(4)], [NOW + 500, NOW, NOW + 10_000, NOW + 40_000]);
    // One that was given back until an hour that is far off now is claimed at once.
    let third = block_on(store.claim(NOW + 10_000, 1, &third)).unwrap().remove(0);
    store.let_go(third.leg.id, third.fence, NOW + 20_000);
    let claim = block_on(store.claim(NOW, 9, &|_, _| true)).unwrap().remove(0);
    assert_eq!(claim.leg.lane, lane("lane 2"));
    store.let_go(claim.leg.id, claim.fence, NOW + AHEAD + 3_600_000);
    assert_eq!(block_on(store.claim(NOW, 9, &|_, _| true)), Ok(Vec::new()));
    assert!(block_on(store.clock_fell(None, NOW)).unwrap().is_some());
    let claimed = block_on(store.claim(NOW, 9, &|_, _| true)).unwrap();
    assert_eq!(claimed.iter().map(|claim| claim.leg.lane.clone()).collect::<Vec<_>>(), [lane("lane 2")]);
}
