//! Cookies, the journal, listings, accounts.

use message::{Cookie, Identity};

use super::Open;
use super::fixture::*;
use super::queue::{attempt, settlement};
use crate::limits::{ATTEMPT_TEXT_OCTETS_MAX, SCRAM_SALT_OCTETS_MAX};
use crate::{AccountRecord, CookieAnswer, DeviceRecord, Error, Outcome, ScramKeys, Settlement, Store};

/// proves: STO-13
pub(super) fn foreign_and_unknown_cookies_look_alike(open: &Open) {
    let store = open();
    let message = letter("cookies", &[octets(1, 10)]);
    accept(&*store, &message, peer(), vec![to_queue("a@far.test", "far.test", 1)]).unwrap();
    let (own, never) = (Cookie::from_bytes([1; 32]), Cookie::from_bytes([2; 32]));
    let poll = |holder: &str| store.poll(holder, &[own, never], NOW).unwrap();
    assert!(matches!(poll("peer.test")[..], [CookieAnswer::Pending { .. }, CookieAnswer::Unknown]));
    assert_eq!(poll("other.test"), [CookieAnswer::Unknown, CookieAnswer::Unknown]);
    assert_eq!(poll("account:ann"), [CookieAnswer::Unknown, CookieAnswer::Unknown]);
    assert!(matches!(store.poll("peer.test", &[never; 1025], NOW), Err(Error::Bound { .. })));
}

pub(super) fn the_journal_keeps_first_and_last(open: &Open) {
    let store = open();
    let message = letter("journal", &[octets(1, 10)]);
    let receipt = accept(&*store, &message, user(), vec![to_queue("a@far.test", "far.test", 1)]).unwrap();
    for number in 0..100_u64 {
        let claims = block_on(store.claim(NOW + number, 1, &|_, _| true)).unwrap();
        let outcome = vec![(0, Outcome::Again)];
        let mut failed = settlement(&claims[0], outcome, Some(NOW + number + 1));
        failed.attempts = vec![attempt(&format!("attempt {number} {}", "é".repeat(3_000)))];
        block_on(store.settle(failed)).unwrap();
    }
    let attempts = store.attempts(receipt.envelope).unwrap();
    let numbers: Vec<u64> =
        attempts.iter().map(|attempt| attempt.text.split(' ').nth(1).unwrap().parse().unwrap()).collect();
    assert_eq!(numbers, (0..8).chain(44..100).collect::<Vec<_>>());
    assert!(attempts.iter().all(|attempt| attempt.text.len() <= ATTEMPT_TEXT_OCTETS_MAX));
    assert_eq!(store.envelope(receipt.envelope).unwrap().unwrap().attempts, 100);
    let claims = block_on(store.claim(NOW + 1000, 1, &|_, _| true)).unwrap();
    let too_many =
        Settlement { attempts: vec![attempt("x"); 65], ..settlement(&claims[0], Vec::new(), Some(NOW)) };
    assert!(matches!(block_on(store.settle(too_many)), Err(Error::Bound { .. })));
}

pub(super) fn envelopes_are_listed(open: &Open) {
    let store = open();
    let send = |number: u8| {
        let message = letter(&format!("listed {}", number % 2), &[octets(0, 10)]);
        let to = vec![to_queue("a@far.test", "far.test", number)];
        (accept(&*store, &message, user(), to).unwrap().envelope, message.identity())
    };
    let sent: Vec<_> = (1..=5).map(send).collect();
    let ids =
        |records: Vec<crate::EnvelopeRecord>| records.iter().map(|record| record.id).collect::<Vec<_>>();
    let newest = ids(store.envelopes_of("ann", None, 2).unwrap());
    assert_eq!(newest, [sent[4].0, sent[3].0]);
    assert_eq!(ids(store.envelopes_of("ann", Some(newest[1]), 2).unwrap()), [sent[2].0, sent[1].0]);
    assert_eq!(ids(store.envelopes_of("eve", None, 2).unwrap()), []);
    assert_eq!(ids(store.envelopes_for(sent[0].1, 10).unwrap()), [sent[0].0, sent[2].0, sent[4].0]);
    // Each message once, however many envelopes it has, and from the first to the last, both included.
    let mut both = [sent[0].1, sent[1].1];
    both.sort_unstable_by_key(|identity| *identity.as_bytes());
    let all = (Identity::from_bytes([0; 32]), Identity::from_bytes([255; 32]));
    assert_eq!(store.identities(all.0, all.1, 10).unwrap(), both);
    assert_eq!(store.identities(all.0, all.1, 1).unwrap(), both[..1]);
    assert_eq!(store.identities(both[0], both[0], 10).unwrap(), both[..1]);
    assert_eq!(store.identities(both[1], all.1, 10).unwrap(), both[1..]);
}

pub(super) fn accounts_are_found_by_their_ways(open: &Open) {
    let store = open();
    let record = |name: &str, to: &[&str], key: u8| AccountRecord {
        name: name.to_owned(),
        addresses: to.iter().map(|to| address(to)).collect(),
        password_hash: Some("$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA".to_owned()),
        scram: Some(ScramKeys {
            salt: vec![1; 16],
            iterations: 600_000,
            stored_key: [key; 32],
            server_key: [2; 32],
        }),
        devices: vec![DeviceRecord { public_key: [key; 32], name: "laptop".to_owned(), enrolled_at_ms: NOW }],
        disabled: false,
        notices: false,
    };
    let ann = record("ann", &["ann@here.test", "info@here.test"], 1);
    block_on(store.put_account(ann.clone())).unwrap();
    assert_eq!(store.account_of_address("info@here.test"), Ok(Some(ann.clone())));
    assert_eq!(store.account_of_device(&[1; 32]), Ok(Some(ann.clone())));
    let mut salted = ann.clone();
    salted.scram.as_mut().unwrap().salt = vec![1; SCRAM_SALT_OCTETS_MAX + 1];
    assert!(matches!(block_on(store.put_account(salted)), Err(Error::Bound { .. })));
    let thief = record("eve", &["eve@here.test", "info@here.test"], 2);
    assert_eq!(block_on(store.put_account(thief)), Err(Error::Taken("address")));
    assert_eq!(store.account_of_address("eve@here.test"), Ok(None), "nothing of it stays");
    assert_eq!(block_on(store.put_account(record("eve", &[], 1))), Err(Error::Taken("device")));
    let less = record("ann", &["ann@here.test"], 3);
    block_on(store.put_account(less.clone())).unwrap();
    assert_eq!(store.account_of_address("info@here.test"), Ok(None));
    assert_eq!(store.account_of_device(&[1; 32]), Ok(None));
    let eve = record("eve", &["info@here.test"], 1);
    block_on(store.put_account(eve.clone())).unwrap();
    assert_eq!(store.accounts(None, 10), Ok(vec![less.clone(), eve.clone()]));
    // Two devices that are added at the same time are both added; one is removed without the other.
    let device = |key| DeviceRecord { public_key: [key; 32], name: "phone".to_owned(), enrolled_at_ms: NOW };
    let both = [store.put_device("ann", device(4)), store.put_device("ann", device(5))].map(block_on);
    assert_eq!(both, [Ok(()), Ok(())]);
    assert_eq!(block_on(store.put_device("ann", device(1))), Err(Error::Taken("device")));
    assert_eq!(block_on(store.put_device("nobody", device(6))), Err(Error::NotFound("account")));
    let keys = |store: &dyn Store| {
        let devices = store.account("ann").unwrap().unwrap().devices;
        devices.iter().map(|device| device.public_key[0]).collect::<Vec<_>>()
    };
    assert_eq!(keys(&*store), [3, 4, 5]);
    block_on(store.remove_device("ann", &[4; 32])).unwrap();
    assert_eq!(block_on(store.remove_device("ann", &[4; 32])), Err(Error::NotFound("device")));
    assert_eq!(block_on(store.remove_device("ann", &[1; 32])), Err(Error::NotFound("device")), "it is eve's");
    assert_eq!(keys(&*store), [3, 5]);
    assert_eq!(store.account_of_device(&[4; 32]), Ok(None));
    block_on(store.remove_device("ann", &[5; 32])).unwrap();
    assert_eq!(store.accounts(Some("ann"), 10), Ok(vec![eve]));
    block_on(store.remove_account("eve")).unwrap();
    assert_eq!(store.account("eve"), Ok(None));
    assert_eq!(store.account_of_address("info@here.test"), Ok(None));
    assert_eq!(block_on(store.remove_account("eve")), Err(Error::NotFound("account")));
    assert!(matches!(block_on(store.put_account(record("a\0b", &[], 9))), Err(Error::Invalid(_))));
}
