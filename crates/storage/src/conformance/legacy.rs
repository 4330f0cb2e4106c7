//! What is kept for the gateway: small records, who brought a message over SMTP, and notices that are due.

use message::{Code, Disposition};

use super::Open;
use super::fixture::*;
use super::queue::settlement;
use crate::limits::{LEGACY_CHANGES_MAX, LEGACY_KEY_OCTETS_MAX, LEGACY_VALUE_OCTETS_MAX};
use crate::{
    Decision, Effect, Error, Exported, LegacyChange, LegacyOrigin, LegacyRecord, NoticeDue, Origin, Outcome,
    Passage, PassedCookie, Ruling, Stage, Store, Wish,
};

fn record(kind: u8, key: &[u8], value: &[u8], expires_at_ms: u64) -> LegacyRecord {
    LegacyRecord { kind, key: key.to_vec(), value: value.to_vec(), expires_at_ms }
}

fn origin(return_path: Option<&str>, verified: bool) -> LegacyOrigin {
    LegacyOrigin {
        client: "192.0.2.1".parse().unwrap(),
        return_path: return_path.map(address),
        verified,
        author: verified.then(|| domain("old.test")),
        received: "Received: from old.test\r\n".to_owned(),
        authentication_results: "here.test; spf=pass".to_owned(),
        passage: Passage {
            may_keep: true,
            cookie: Some(PassedCookie {
                id: "abc".to_owned(),
                host: "mx1".to_owned(),
                came_to: Some("192.0.2.9".parse().unwrap()),
            }),
            forwarder: Some(domain("mx.forwarder.test")),
            envelope_id: Some("QQ314159".to_owned()),
            headers_only: Some(true),
            wishes: vec![Wish {
                recipient: address("a@far.test"),
                notify: None,
                original: Some("rfc822;a+b@far.test".to_owned()),
            }],
        },
    }
}

fn legacy(return_path: Option<&str>, verified: bool) -> Origin {
    Origin::Legacy(Box::new(origin(return_path, verified)))
}

/// proves: STO-24
pub(super) fn records_of_the_gateway_are_kept(open: &Open) {
    let store = open();
    let change = |store: &dyn Store, changes| block_on(store.change_legacy_records(changes));
    let put = |record: &LegacyRecord| LegacyChange::Put(record.clone());
    let (one, two) = (record(7, b"ab\0", b"one", NOW), record(7, b"ac", b"two", NOW + 5));
    let (three, other) = (record(7, b"b", b"three", u64::MAX), record(8, b"ab\0", b"other", NOW));
    change(&*store, vec![put(&one), put(&two), put(&three), put(&other)]).unwrap();
    drop(store);
    let store = open();
    assert_eq!(store.legacy_record(7, b"ab\0"), Ok(Some(one.clone())));
    assert_eq!(store.legacy_record(7, b"a"), Ok(None));
    assert_eq!(store.legacy_records(7, b"", None, 10), Ok(vec![one.clone(), two.clone(), three.clone()]));
    assert_eq!(store.legacy_records(7, b"a", Some(b"ab\0"), 10), Ok(vec![two.clone()]));
    assert_eq!(store.legacy_records(7, b"b", Some(b"a"), 10), Ok(vec![three.clone()]));
    assert_eq!(store.legacy_records(7, b"", None, 1), Ok(vec![one.clone()]));
    // All or nothing, in their order.
    let long_key = record(7, &[1; LEGACY_KEY_OCTETS_MAX + 1], b"", NOW);
    let long_value = record(7, b"d", &[1; LEGACY_VALUE_OCTETS_MAX + 1], NOW);
    for wrong in [long_key, long_value, record(7, b"", b"", NOW)] {
        let changes = vec![LegacyChange::Remove { kind: 7, key: b"b".to_vec() }, put(&wrong)];
        assert!(matches!(change(&*store, changes), Err(Error::Bound { .. })));
    }
    let many = vec![put(&two); LEGACY_CHANGES_MAX + 1];
    assert!(matches!(change(&*store, many), Err(Error::Bound { .. })));
    assert_eq!(store.legacy_record(7, b"b"), Ok(Some(three.clone())));
    let gone = LegacyChange::Remove { kind: 7, key: b"b".to_vec() };
    change(&*store, vec![put(&three), gone.clone(), gone]).unwrap();
    assert_eq!(store.legacy_record(7, b"b"), Ok(None));
    // What was written anew lives as long as it says now.
    let longer = record(7, b"ab\0", b"longer", NOW + 9);
    change(&*store, vec![put(&longer)]).unwrap();
    let mut exported = 0;
    store.export(&mut |item| exported += usize::from(matches!(item, Exported::Legacy(_)))).unwrap();
    assert_eq!((exported, findings(&*store)), (3, Vec::new()));
    assert_eq!(block_on(store.expire(NOW + 5, 100)), Ok(2));
    assert_eq!(store.legacy_records(7, b"", None, 10), Ok(vec![longer]));
    assert_eq!(store.legacy_record(8, b"ab\0"), Ok(None));
    assert_eq!(block_on(store.expire(NOW + 9, 100)), Ok(1));
    assert_eq!((store.legacy_records(7, b"", None, 10), findings(&*store)), (Ok(Vec::new()), Vec::new()));
}

/// proves: STO-25, STA-13
pub(super) fn a_proved_legacy_sender_is_told_of_failures(open: &Open) {
    let check = |round: u8, return_path: Option<&str>, verified: bool, told: usize| {
        let store = open();
        let origin = legacy(return_path, verified);
        add_account(&*store, "ann").ok();
        let known = store.notices_due(None, 100).unwrap().last().map(|notice| notice.id);
        let name = format!("{return_path:?} {verified}");
        let message = letter(&name, &[octets(1, 10)]);
        let mut later = to_hold("later@here.test", "ann", round + 3);
        let Effect::Pend(pend) = &mut later.effect else { unreachable!() };
        pend.stage = Stage::Later { at_ms: NOW };
        let to = vec![
            to_queue("a@far.test", "far.test", round),
            to_queue("b@far.test", "far.test", round + 1),
            to_hold("ann@here.test", "ann", round + 2),
            later,
            to_hold("c@here.test", "ann", round + 4),
        ];
        let receipt = accept(&*store, &message, origin.clone(), to).unwrap();
        assert_eq!(store.envelope(receipt.envelope).unwrap().unwrap().origin, origin);
        assert_eq!(store.pending(&origin.holder()), Ok(5));
        let claims = block_on(store.claim(NOW, 10, &|_, _| true)).unwrap();
        let claim = claims.iter().find(|claim| claim.envelope.id == receipt.envelope).unwrap();
        let refused = Disposition::refused(Code::NO_SUCH_ADDRESS, "nobody of that name");
        let outcomes = vec![(0, Outcome::Final(refused.clone())), (1, Outcome::Final(Disposition::Accepted))];
        block_on(store.settle(settlement(claim, outcomes, None))).unwrap();
        let ruling = Ruling::Refuse { code: Code::NOT_AUTHORIZED, text: "not wanted".to_owned() };
        let declined = Disposition::refused(Code::NOT_AUTHORIZED, "not wanted");
        block_on(store.decide(Decision { envelope: receipt.envelope, recipient: 2, ruling, now_ms: NOW }))
            .unwrap();
        block_on(store.expire(NOW + 5 * 24 * 3600 * 1000, 100)).unwrap();
        drop(store);
        let store = open();
        let due = store.notices_due(known, 100).unwrap();
        let header = message.headers().message().octets().to_vec();
        let expected =
            [("a@far.test", refused), ("ann@here.test", declined), ("c@here.test", Disposition::Expired)];
        let notice = |(place, (to, disposition)): (usize, (&str, Disposition))| NoticeDue {
            id: due[place].id,
            envelope: receipt.envelope,
            identity: message.identity(),
            recipient: address(to),
            return_path: address("bob@old.test"),
            disposition,
            received_at_ms: NOW,
            header: header.clone(),
            original: (to == "a@far.test").then(|| "rfc822;a+b@far.test".to_owned()),
            envelope_id: Some("QQ314159".to_owned()),
            account: None,
        };
        let expected: Vec<NoticeDue> = expected.into_iter().take(told).enumerate().map(notice).collect();
        assert_eq!(due, expected, "{name}");
        let mut exported = 0;
        store.export(&mut |item| exported += usize::from(matches!(item, Exported::Notice(_)))).unwrap();
        assert_eq!((exported >= told, findings(&*store)), (true, Vec::new()));
        if let [first, rest @ ..] = &due[..] {
            block_on(store.remove_notices(vec![first.id, 9999])).unwrap();
            assert_eq!(store.notices_due(known, 100), Ok(rest.to_vec()));
            assert_eq!(store.notices_due(Some(first.id), 1), Ok(vec![rest[0].clone()]));
        }
    };
    check(0, Some("bob@old.test"), true, 3);
    // Nobody is told whose return path is not proved, or who has none.
    check(10, Some("bob@old.test"), false, 0);
    check(20, None, true, 0);
    check(30, None, false, 0);
}

/// proves: STO-25
pub(super) fn legacy_holders_are_told_apart(open: &Open) {
    let check = |return_path: Option<&str>, verified: bool, expected: &str| {
        assert_eq!(legacy(return_path, verified).holder(), expected);
    };
    check(Some("bob@old.test"), true, "smtp:old.test");
    check(Some("bob@old.test"), false, "smtp:[192.0.2.1]");
    check(None, true, "smtp:[192.0.2.1]");
    let six = LegacyOrigin { client: "2001:db8::1".parse().unwrap(), ..origin(None, false) };
    assert_eq!(six.holder(), "smtp:[2001:db8::1]");
    // The mailbox says who brought it, and nothing of what was said of others; a trace that is too long is not taken.
    let store = open();
    add_account(&*store, "ann").unwrap();
    let from = legacy(None, false);
    let message = letter("one", &[octets(1, 10)]);
    accept(&*store, &message, from.clone(), vec![to_mailbox("ann@here.test", "ann")]).unwrap();
    let again = accept(&*store, &message, from.clone(), vec![to_mailbox("ann@here.test", "ann")]).unwrap();
    assert_eq!(again.answers, [Disposition::Accepted]);
    let entries = store.mailbox("ann", None, 10).unwrap();
    let shown = LegacyOrigin { passage: Passage::default(), ..origin(None, false) };
    let shown = Origin::Legacy(Box::new(shown));
    assert_eq!(entries.iter().map(|entry| &entry.origin).collect::<Vec<_>>(), [&shown]);
    let received = "r".repeat(crate::limits::LEGACY_TRACE_OCTETS_MAX + 1);
    let long = Origin::Legacy(Box::new(LegacyOrigin { received, ..origin(None, false) }));
    let refused =
        accept(&*store, &letter("two", &[octets(2, 10)]), long, vec![to_mailbox("ann@here.test", "ann")]);
    assert!(matches!(refused, Err(Error::Bound { .. })), "{refused:?}");
}
