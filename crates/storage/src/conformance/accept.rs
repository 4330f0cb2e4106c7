//! Acceptance: once, whole, and by the rules; and what is held.

use message::{Code, Disposition, Selection};

use super::Open;
use super::fixture::*;
use crate::{Content, CookieAnswer, Decision, Effect, Error, NewMessage, Ruling, Supply};

/// proves: STO-11
pub(super) fn the_same_offer_has_one_effect(open: &Open) {
    let message = letter("once", &[octets(1, 100)]);
    let store = open();
    add_account(&*store, "ann").unwrap();
    let offer =
        |cookie| vec![to_mailbox("ann@here.test", "ann"), to_queue("zoe@far.test", "far.test", cookie)];
    let first = accept(&*store, &message, peer(), offer(1)).unwrap();
    assert_eq!(first.answers, [Disposition::Accepted, pending(1)]);
    assert_eq!(first.lanes, [lane("far.test")]);
    // The answer was lost: the peer offers again, and again with one more recipient.
    let again = accept(&*store, &message, peer(), offer(2)).unwrap();
    assert_eq!((again.envelope, &again.answers), (first.envelope, &first.answers));
    let mut more = offer(3);
    more.insert(0, to_queue("max@far.test", "far.test", 4));
    let more = accept(&*store, &message, peer(), more).unwrap();
    assert_eq!(more.answers, [pending(4), Disposition::Accepted, pending(1)]);
    assert_eq!(store.mailbox("ann", None, 10).unwrap().len(), 1);
    assert_eq!(store.legs(None, None, 10).unwrap().len(), 2);
    // Both at once: one of them is first, and the other is told the same.
    let second = letter("race", &[octets(2, 100)]);
    let (one, two) =
        (store.accept(prepared(&*store, &second, 5)), store.accept(prepared(&*store, &second, 6)));
    let two = block_on(two).unwrap();
    assert_eq!(block_on(one).unwrap().answers, two.answers);
    assert_eq!(store.legs(None, None, 10).unwrap().len(), 3);
    let answered = store.answered(&domain("peer.test"), second.identity(), &address("zoe@far.test")).unwrap();
    assert_eq!(answered.as_ref(), Some(&two.answers[0]));
    assert_eq!(store.answered(&domain("other.test"), second.identity(), &address("zoe@far.test")), Ok(None));
}

fn prepared(store: &dyn crate::Store, message: &message::Message, cookie: u8) -> crate::Acceptance {
    let content = Content::New(staged(store, "peer.test", message).unwrap());
    acceptance(content, peer(), vec![to_queue("zoe@far.test", "far.test", cookie)])
}

/// proves: STO-10
pub(super) fn an_acceptance_is_all_or_nothing(open: &Open) {
    let message = letter("whole", &[octets(1, 100), octets(2, LARGE)]);
    let store = open();
    add_account(&*store, "ann").unwrap();
    let nobody = vec![to_queue("zoe@far.test", "far.test", 1), to_mailbox("eve@here.test", "eve")];
    assert_eq!(accept(&*store, &message, peer(), nobody), Err(Error::NotFound("account")));
    assert!(store.message(message.identity()).unwrap().is_none());
    assert_eq!(store.legs(None, None, 10).unwrap(), []);
    assert_eq!(store.answered(&domain("peer.test"), message.identity(), &address("zoe@far.test")), Ok(None));
    assert_eq!(
        store.poll("peer.test", &[message::Cookie::from_bytes([1; 32])], NOW),
        Ok(vec![CookieAnswer::Unknown])
    );
    let mut content = staged(&*store, "peer.test", &message).unwrap();
    content.parts.pop();
    let half = acceptance(Content::New(content), peer(), vec![to_mailbox("ann@here.test", "ann")]);
    assert_eq!(block_on(store.accept(half)), Err(Error::Incomplete));
    assert!(store.message(message.identity()).unwrap().is_none());
}

pub(super) fn what_does_not_belong_together_is_refused(open: &Open) {
    let message = letter("rules", &[octets(1, 100)]);
    let store = open();
    let check = |recipients: Vec<crate::Intended>| {
        let outcome = accept(&*store, &message, peer(), recipients);
        assert!(matches!(outcome, Err(Error::Invalid(_) | Error::Bound { .. })), "{outcome:?}");
    };
    check(Vec::new());
    check(vec![to_queue("a@far.test", "far.test", 1), to_queue("a@far.test", "far.test", 2)]);
    check(vec![to_queue("a@far.test", "far.test", 1), to_queue("b@far.test", "far.test", 1)]);
    check((0..101).map(|n| to_queue(&format!("u{n}@far.test"), "far.test", n)).collect());
    let mut wrong = to_mailbox("ann@here.test", "ann");
    wrong.answer = pending(1);
    check(vec![wrong]);
    let mut wrong = to_hold("ann@here.test", "ann", 1);
    wrong.answer = Disposition::Accepted;
    check(vec![wrong]);
    let stray = stage(&*store, "peer.test", b"another body").unwrap();
    let mut content = staged(&*store, "peer.test", &message).unwrap();
    content.parts = vec![(0, stray)];
    let wrong = acceptance(Content::New(content), peer(), vec![to_queue("a@far.test", "far.test", 1)]);
    assert!(matches!(block_on(store.accept(wrong)), Err(Error::Invalid(_))));
}

pub(super) fn held_mail_is_completed_and_delivered(open: &Open) {
    let message = letter("held", &[octets(1, 100), octets(2, LARGE)]);
    let identity = message.identity();
    let store = open();
    add_account(&*store, "ann").unwrap();
    let offer = vec![
        to_hold("ann@here.test", "ann", 1),
        Intended { address: address("no@here.test"), effect: refusal(), answer: refused(), why: None },
    ];
    use crate::Intended;
    let receipt = block_on(store.accept(acceptance(Content::Offered { identity }, peer(), offer))).unwrap();
    assert_eq!(receipt.answers, [pending(1), refused()]);
    let ask = |store: &dyn crate::Store| {
        store.poll("peer.test", &[message::Cookie::from_bytes([1; 32])], NOW).unwrap().remove(0)
    };
    let wants = |selection| CookieAnswer::Want { selection, envelope: receipt.envelope, recipient: 0 };
    assert_eq!(ask(&*store), wants(Selection::Headers));
    let headers = NewMessage {
        manifest: message.manifest().clone(),
        headers: Some(message.headers().clone()),
        seals: Vec::new(),
        parts: Vec::new(),
    };
    block_on(store.supply(Supply { envelope: receipt.envelope, message: headers, now_ms: NOW })).unwrap();
    assert!(matches!(ask(&*store), CookieAnswer::Pending { .. }));
    assert_eq!(store.message(identity).unwrap().unwrap().missing, [1, 2]);
    let held = store.held(Some("ann"), None, 10).unwrap();
    assert_eq!((held.len(), held[0].identity, held[0].reason.as_str()), (1, identity, "first contact"));
    assert_eq!(store.held(None, None, 10).unwrap(), held);
    let decide = |ruling| {
        block_on(store.decide(Decision { envelope: receipt.envelope, recipient: 0, ruling, now_ms: NOW }))
    };
    let deliver = |message| Ruling::Deliver { account: "ann".to_owned(), seals: Vec::new(), message };
    assert_eq!(decide(deliver(None)), Err(Error::Incomplete));
    assert_eq!(decide(Ruling::Want(Some(Selection::All))), Ok(pending(1)));
    assert_eq!(ask(&*store), wants(Selection::All));
    let whole = staged(&*store, "peer.test", &message).unwrap();
    assert_eq!(decide(deliver(Some(whole))), Ok(Disposition::Accepted));
    assert_eq!(ask(&*store), CookieAnswer::Final(Disposition::Accepted));
    assert_eq!(decide(deliver(None)), Err(Error::NotFound("held recipient")));
    assert_eq!(store.held(None, None, 10).unwrap(), []);
    assert_eq!(store.mailbox("ann", None, 10).unwrap()[0].identity, identity);
    assert!(store.envelope(receipt.envelope).unwrap().unwrap().closed_at_ms.is_some());
    drop(store);
    assert_eq!(findings(&*open()), Vec::<String>::new());
}

fn refusal() -> Effect {
    Effect::Refuse { code: Code::NO_SUCH_ADDRESS, text: "no such user".to_owned() }
}

fn refused() -> Disposition {
    Disposition::refused(Code::NO_SUCH_ADDRESS, "no such user")
}

/// proves: STO-14
pub(super) fn a_mailbox_has_each_message_once(open: &Open) {
    let message = letter("twice", &[octets(1, 100)]);
    let store = open();
    add_account(&*store, "ann").unwrap();
    let both = vec![to_mailbox("ann@here.test", "ann"), to_mailbox("anna@here.test", "ann")];
    accept(&*store, &message, peer(), both).unwrap();
    accept(&*store, &message, user(), vec![to_mailbox("ann@here.test", "ann")]).unwrap();
    let entries = store.mailbox("ann", None, 10).unwrap();
    assert_eq!((entries.len(), entries[0].seen), (1, false));
    assert_eq!(entries[0].recipient, address("ann@here.test"));
    block_on(store.mark_seen("ann", entries[0].uid, true)).unwrap();
    assert!(store.mailbox("ann", None, 10).unwrap()[0].seen);
    assert_eq!(store.mailbox("ann", Some(entries[0].uid), 10).unwrap(), []);
    let second = letter("another", &[octets(2, 100)]);
    accept(&*store, &second, peer(), vec![to_mailbox("ann@here.test", "ann")]).unwrap();
    let newest = store.mailbox_before("ann", None, 10).unwrap();
    assert_eq!(
        newest.iter().map(|entry| entry.identity).collect::<Vec<_>>(),
        [second.identity(), message.identity()]
    );
    assert_eq!(store.mailbox_before("ann", Some(newest[0].uid), 10).unwrap(), newest[1..]);
    assert_eq!(store.mailbox_before("ann", None, 1).unwrap(), newest[..1]);
    assert_eq!(block_on(store.remove_mail("eve", entries[0].uid)), Err(Error::NotFound("mailbox entry")));
}

/// proves: STO-10
pub(super) fn what_is_elsewhere_is_recorded_without_content(open: &Open) {
    let message = letter("elsewhere", &[octets(1, 100)]);
    let identity = message.identity();
    let store = open();
    add_account(&*store, "ann").unwrap();
    let elsewhere = || crate::Intended {
        address: address("ann@here.test"),
        effect: Effect::Elsewhere,
        answer: Disposition::Accepted,
        why: None,
    };
    let offered = || acceptance(Content::Offered { identity }, peer(), vec![elsewhere()]);
    block_on(store.accept(offered())).unwrap();
    assert!(store.message(identity).unwrap().is_none());
    // The message itself comes too late, and the same is told again: nothing is put anywhere.
    let receipt = accept(&*store, &message, peer(), vec![to_mailbox("ann@here.test", "ann")]).unwrap();
    assert_eq!(receipt.answers, [Disposition::Accepted]);
    block_on(store.accept(offered())).unwrap();
    assert_eq!(store.mailbox("ann", None, 10).unwrap(), []);
    assert_eq!(
        store.answered(&domain("peer.test"), identity, &address("ann@here.test")).unwrap(),
        Some(Disposition::Accepted)
    );
    drop(store);
    assert_eq!(findings(&*open()), Vec::<String>::new());
}
