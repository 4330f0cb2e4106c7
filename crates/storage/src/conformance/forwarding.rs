//! Ways from aliases to targets, and grants.

use message::Disposition;
use message::address::{Address, Domain};

use super::Open;
use super::fixture::*;
use crate::limits::{FORWARDS_PER_ALIAS_MAX, GRANTS_PER_RECIPIENT_MAX, TEXT_OCTETS_MAX};
use crate::{
    Effect, Error, Exported, ForwardRecord, ForwardState, Forwarded, GrantRecord, GrantState, Intended, Lane,
};

fn address(text: &str) -> Address {
    Address::from_wire(text).unwrap()
}

fn forward(alias: &str, target: &str, secret: u8) -> ForwardRecord {
    ForwardRecord {
        alias: address(alias),
        target: address(target),
        state: ForwardState::Waiting,
        since_ms: NOW,
        made_at_ms: NOW,
        ask: [secret; 32],
        credential: [secret + 100; 32],
        conceal: true,
        rewrite: false,
        keep_sender: true,
        authorization: None,
        asked_at_ms: Some(NOW),
        ask_again_at_ms: Some(NOW + 9),
        note: "the target asks its user".to_owned(),
        complaints: 0,
    }
}

fn grant(recipient: &str, forwarder: &str, state: GrantState, since_ms: u64) -> GrantRecord {
    GrantRecord {
        number: 0,
        recipient: address(recipient),
        forwarder: Domain::from_wire(forwarder).unwrap(),
        state,
        since_ms,
        automatic: false,
        by: "ann".to_owned(),
        ask: Some([9; 32]),
        alias: None,
        page: Some("https://old.test/.well-known/mail-forwarding/records/x".to_owned()),
        complaints_to: None,
        complain: true,
    }
}

/// proves: FWD-2, FWD-3
pub(super) fn forwardings_are_kept(open: &Open) {
    let store = open();
    add_account(&*store, "ann").unwrap();
    let put = |one: &ForwardRecord| block_on(store.put_forward(one.clone()));
    let (one, two) = (forward("old@here.test", "a@far.test", 1), forward("old@here.test", "b@far.test", 2));
    let other = forward("older@here.test", "a@far.test", 3);
    for record in [&one, &two, &other] {
        put(record).unwrap();
    }
    let taken = forward("third@here.test", "a@far.test", 1);
    assert_eq!(put(&taken), Err(Error::Taken("secret")), "a secret stands for one record");
    let long = ForwardRecord { note: "n".repeat(TEXT_OCTETS_MAX + 1), ..one.clone() };
    assert!(matches!(put(&long), Err(Error::Bound { .. })));
    // The address of an account is no alias.
    let account = store.account("ann").unwrap().unwrap();
    let mine =
        ForwardRecord { alias: account.addresses[0].clone(), ..forward("x@here.test", "a@far.test", 9) };
    assert_eq!(put(&mine), Err(Error::Taken("address")));
    drop(store);
    let store = open();
    let put = |one: &ForwardRecord| block_on(store.put_forward(one.clone()));
    assert_eq!(store.forward(&one.alias, &one.target), Ok(Some(one.clone())));
    assert_eq!(store.forwards_of(&one.alias), Ok(vec![one.clone(), two.clone()]));
    assert_eq!(store.forwards(None, 10), Ok(vec![one.clone(), two.clone(), other.clone()]));
    assert_eq!(store.forwards(Some((&one.alias, &one.target)), 1), Ok(vec![two.clone()]));
    assert_eq!(store.forward_by_secret(&[1; 32]), Ok(Some(one.clone())), "by its question");
    assert_eq!(store.forward_by_secret(&[102; 32]), Ok(Some(two.clone())), "by its credential");
    assert_eq!(store.forward_by_secret(&[4; 32]), Ok(None));
    // A new credential voids the old one.
    put(&ForwardRecord { credential: [77; 32], state: ForwardState::Deleted, ..one.clone() }).unwrap();
    assert_eq!(store.forward_by_secret(&[101; 32]), Ok(None));
    assert_eq!(store.forward_by_secret(&[77; 32]).unwrap().unwrap().state, ForwardState::Deleted);
    let mut exported = 0;
    store.export(&mut |item| exported += usize::from(matches!(item, Exported::Forward(_)))).unwrap();
    assert_eq!((exported, findings(&*store)), (3, Vec::new()));
    block_on(store.remove_forward(&two.alias, &two.target)).unwrap();
    let again = block_on(store.remove_forward(&two.alias, &two.target));
    assert_eq!(again, Err(Error::NotFound("forwarding")));
    assert_eq!(store.forward_by_secret(&[2; 32]), Ok(None));
    for number in 1..FORWARDS_PER_ALIAS_MAX {
        let mut record = forward("old@here.test", &format!("c{number}@far.test"), 0);
        record.ask[..8].copy_from_slice(&(number as u64).to_be_bytes());
        record.credential[..8].copy_from_slice(&(number as u64).to_be_bytes());
        put(&record).unwrap();
    }
    assert!(matches!(put(&two), Err(Error::Bound { .. })), "an alias has so many targets and no more");
    assert_eq!(findings(&*store), Vec::<String>::new());
}

/// proves: FWD-14
pub(super) fn grants_are_kept(open: &Open) {
    use GrantState::{Asked, Granted};
    let store = open();
    let put = |one: GrantRecord| block_on(store.put_grant(one));
    let number = put(grant("ann@here.test", "old.test", Granted, NOW)).unwrap();
    let other = put(grant("ann@here.test", "older.test", Asked, NOW - 1)).unwrap();
    assert!(number > 0 && other > 0 && number != other, "each has a number of its own");
    let again = GrantRecord { number, ..grant("ann@here.test", "old.test", GrantState::Refused, NOW) };
    assert_eq!(put(again.clone()), Ok(number), "a grant keeps its number");
    put(grant("bob@here.test", "old.test", Granted, NOW)).unwrap();
    drop(store);
    let store = open();
    let put = |one: GrantRecord| block_on(store.put_grant(one));
    let (ann, old) = (address("ann@here.test"), Domain::from_wire("old.test").unwrap());
    assert_eq!(store.grant(&ann, &old), Ok(Some(again.clone())));
    assert_eq!(store.grants(Some(&ann), None, 10).unwrap().len(), 2);
    assert_eq!(store.grants(Some(&ann), Some((&ann, &old)), 10).unwrap()[0].number, other);
    assert_eq!(store.grants(None, None, 10).unwrap().len(), 3);
    let mut exported = 0;
    store.export(&mut |item| exported += usize::from(matches!(item, Exported::Grant(_)))).unwrap();
    assert_eq!((exported, findings(&*store)), (3, Vec::new()));
    // Strangers ask without end: the oldest question makes room, and what somebody has said stays.
    for number in 2..=GRANTS_PER_RECIPIENT_MAX {
        put(grant("ann@here.test", &format!("n{number}.test"), Granted, NOW)).unwrap();
    }
    let older = Domain::from_wire("older.test").unwrap();
    assert_eq!(store.grant(&ann, &older), Ok(None));
    assert!(matches!(put(grant("ann@here.test", "more.test", Asked, NOW)), Err(Error::Bound { .. })));
    block_on(store.remove_grant(&ann, &old)).unwrap();
    assert_eq!(block_on(store.remove_grant(&ann, &old)), Err(Error::NotFound("grant")));
    put(grant("ann@here.test", "more.test", Asked, NOW)).unwrap();
}

/// What was offered for the alias stays so in every record; only the next hop is offered another address.
///
/// proves: FWD-5
pub(super) fn what_is_forwarded_keeps_its_recipient(open: &Open) {
    let store = open();
    let message = letter("one", &[octets(1, 10)]);
    let to_queue = to_queue("old@here.test", "far.test", 1);
    let lane = Lane::new("far.test").unwrap();
    let forwarded = Forwarded {
        alias: address("old@here.test"),
        through: vec![address("older@here.test")],
        to: address("new@far.test"),
    };
    let effect = Effect::Forward { lane, forwarded };
    let receipt = accept(&*store, &message, peer(), vec![Intended { effect, ..to_queue }]).unwrap();
    assert!(matches!(receipt.answers[..], [Disposition::Pending { .. }]));
    drop(store);
    let store = open();
    let envelope = store.envelope(receipt.envelope).unwrap().unwrap();
    assert_eq!(envelope.recipients[0].address, address("old@here.test"));
    assert_eq!(envelope.recipients[0].goes_to(), &address("new@far.test"));
    assert!(!envelope.recipients[0].is_of_list());
    assert_eq!(findings(&*store), Vec::<String>::new());
}
