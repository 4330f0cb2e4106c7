//! What is remembered of peers, and what is pending of each.

use message::{Code, Cookie, Disposition};

use super::Open;
use super::fixture::*;
use super::queue::settlement;
use crate::{Content, Decision, Error, Outcome, PeerRecord, Ruling};

pub(super) fn record(name: &str, accepted: u64) -> PeerRecord {
    PeerRecord {
        domain: domain(name),
        first_seen_ms: NOW,
        last_seen_ms: NOW + 1,
        counted_at_ms: NOW + 1,
        accepted,
        refused: 2,
        held: 3,
        declined: 4,
        complaints: 5,
    }
}

pub(super) fn peers_are_remembered(open: &Open) {
    let store = open();
    assert_eq!(store.peer(&domain("b.test")), Ok(None));
    let all = [record("a.test", 1), record("b.test", 2), record("c.test", 3)];
    block_on(store.put_peers(all.to_vec())).unwrap();
    block_on(store.put_peers(vec![record("b.test", 7)])).unwrap();
    drop(store);
    let store = open();
    assert_eq!(store.peer(&domain("b.test")), Ok(Some(record("b.test", 7))));
    assert_eq!(store.peers(Some(&domain("a.test")), 1), Ok(vec![record("b.test", 7)]));
    block_on(store.remove_peers(vec![domain("b.test"), domain("unknown.test")])).unwrap();
    assert_eq!(store.peers(None, 10), Ok(vec![record("a.test", 1), record("c.test", 3)]));
    let many = vec![record("a.test", 1); crate::limits::PEERS_PUT_MAX + 1];
    assert!(matches!(block_on(store.put_peers(many)), Err(Error::Bound { .. })));
    assert_eq!(findings(&*store), Vec::<String>::new());
}

/// proves: STO-22
pub(super) fn what_is_pending_is_counted_by_peer(open: &Open) {
    let store = open();
    add_account(&*store, "ann").unwrap();
    let pending = |store: &dyn crate::Store| store.pending("peer.test").unwrap();
    let message = letter("one", &[octets(1, 10)]);
    let to = vec![
        to_mailbox("ann@here.test", "ann"),
        to_queue("a@far.test", "far.test", 1),
        to_queue("b@far.test", "far.test", 2),
        to_hold("c@here.test", "ann", 3),
        to_hold("d@here.test", "ann", 4),
    ];
    let receipt = accept(&*store, &message, peer(), to.clone()).unwrap();
    assert_eq!(pending(&*store), 4, "what was answered at once is not pending");
    // The same offer again, and mail of a user, count nothing.
    accept(&*store, &message, peer(), to).unwrap();
    accept(&*store, &message, user(), vec![to_queue("a@far.test", "far.test", 5)]).unwrap();
    assert_eq!((pending(&*store), store.pending("other.test")), (4, Ok(0)));
    drop(store);
    let store = open();
    assert_eq!((pending(&*store), findings(&*store)), (4, Vec::new()));
    // Each way out: settled, decided, given up, expired.
    let claims = block_on(store.claim(NOW, 10, &|_, _| true)).unwrap();
    let claim = claims.iter().find(|claim| claim.envelope.id == receipt.envelope).unwrap();
    let accepted = vec![(claim.leg.recipients[0], Outcome::Final(Disposition::Accepted))];
    block_on(store.settle(settlement(claim, accepted, Some(NOW + 1)))).unwrap();
    assert_eq!(pending(&*store), 3);
    let ruling = Ruling::Refuse { code: Code::NOT_AUTHORIZED, text: String::new() };
    block_on(store.decide(Decision { envelope: receipt.envelope, recipient: 3, ruling, now_ms: NOW }))
        .unwrap();
    assert_eq!(pending(&*store), 2);
    block_on(store.give_up("peer.test", &[Cookie::from_bytes([2; 32])], NOW)).unwrap();
    block_on(store.give_up("peer.test", &[Cookie::from_bytes([2; 32])], NOW)).unwrap();
    assert_eq!(pending(&*store), 1);
    block_on(store.expire(NOW + 5 * 24 * 3600 * 1000, 100)).unwrap();
    assert_eq!((pending(&*store), findings(&*store)), (0, Vec::new()));
    // What was refused or taken at once was never pending.
    let content = Content::Offered { identity: letter("two", &[octets(2, 10)]).identity() };
    block_on(store.accept(acceptance(content, peer(), vec![to_hold("e@here.test", "ann", 6)]))).unwrap();
    assert_eq!(pending(&*store), 1);
}
