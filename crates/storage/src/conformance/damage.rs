//! Records that cannot be read keep nothing from ending that they stand beside.

use message::{Cookie, Disposition};

use super::fixture::*;
use super::queue::settlement;
use crate::engine::{Batch, Engine};
use crate::{Content, Memory, Outcome, Settings, Store, key};

const DAYS_5: u64 = 5 * 24 * 3600 * 1000;

fn spoil(engine: &Memory, keys: &[Vec<u8>]) {
    let mut damage = Batch::default();
    keys.iter().for_each(|key| damage.put(key.clone(), b"\xffnothing of ours".to_vec()));
    engine.apply(&damage).unwrap();
}

fn cookie(number: u8) -> Cookie {
    Cookie::from_bytes([number; 32])
}

/// What was delivered is settled, and not delivered again every hour.
///
/// proves: STO-5
#[test]
fn a_delivery_is_settled_whatever_stands_beside_it() {
    let engine = Memory::new();
    let store = engine.open(Settings::default()).unwrap();
    let to = vec![to_queue("a@far.test", "far.test", 1)];
    let receipt = accept(&store, &letter("one", &[octets(1, 10)]), peer(), to).unwrap();
    let claim = block_on(store.claim(NOW, 1, &|_, _| true)).unwrap().remove(0);
    // One attempt before, of which nothing can be read either.
    block_on(store.settle(settlement(&claim, vec![(0, Outcome::Again)], Some(NOW)))).unwrap();
    let claim = block_on(store.claim(NOW, 1, &|_, _| true)).unwrap().remove(0);
    spoil(
        &engine,
        &[key::cookie(&cookie(1)), key::pending_of("peer.test"), key::attempt(receipt.envelope, 0)],
    );
    let settled =
        block_on(store.settle(settlement(&claim, vec![(0, Outcome::Final(Disposition::Accepted))], None)));
    assert_eq!(settled.map(|settled| (settled.remaining, settled.closed)), Ok((0, true)));
    assert_eq!(store.attempts(receipt.envelope).map(|attempts| attempts.len()), Ok(1));
    // And what is pending for that peer is counted anew.
    assert_eq!(store.pending("peer.test"), Ok(0));
}

/// What is first in the order of the times and cannot be ended as it should keeps nothing behind it.
///
/// proves: STO-5
#[test]
fn what_is_over_ends_whatever_stands_beside_it() {
    let engine = Memory::new();
    let store = engine.open(Settings::default()).unwrap();
    add_account(&store, "ann").unwrap();
    let held = |number: u8| {
        let message = letter(&number.to_string(), &[octets(number, 10)]);
        let offer = Content::Offered { identity: message.identity() };
        let to = vec![to_hold("ann@here.test", "ann", number)];
        block_on(store.accept(acceptance(offer, peer(), to))).unwrap().envelope
    };
    let (first, second, third) = (held(1), held(2), held(3));
    spoil(
        &engine,
        &[key::held(first, 0), key::cookie(&cookie(2)), key::pending_of("peer.test"), key::account("ann")],
    );
    // Its sender is answered meanwhile, when it offers it again.
    let again = letter("1", &[octets(1, 10)]).identity();
    let known = store.offered_before("peer.test", again, &[address("ann@here.test")], NOW).unwrap();
    assert_eq!(known[0].as_ref().map(|known| &known.answer), Some(&pending(1)));
    assert_eq!(block_on(store.expire(NOW + DAYS_5, 100)), Ok(3));
    for envelope in [first, second, third] {
        let envelope = store.envelope(envelope).unwrap().unwrap();
        assert_eq!(envelope.recipients[0].outcome, Some(Disposition::Expired));
    }
    assert_eq!(block_on(store.expire(NOW + DAYS_5, 100)), Ok(0));
}
