//! Expiry, check and export.

use message::{Cookie, Disposition};

use super::Open;
use super::fixture::*;
use super::queue::settlement;
use crate::limits::{RETENTION_MS_DEFAULT, STAGING_MS_DEFAULT};
use crate::{Content, CookieAnswer, Exported, Outcome};

/// proves: STO-17
pub(super) fn retention_ends(open: &Open) {
    let store = open();
    let message = letter("kept", &[octets(1, 10)]);
    let receipt = accept(&*store, &message, peer(), vec![to_queue("a@far.test", "far.test", 1)]).unwrap();
    let claims = block_on(store.claim(NOW, 1, &|_, _| true)).unwrap();
    let accepted = vec![(0, Outcome::Final(Disposition::Accepted))];
    block_on(store.settle(settlement(&claims[0], accepted, None))).unwrap();
    let end = NOW + RETENTION_MS_DEFAULT;
    let poll = |now| store.poll("peer.test", &[Cookie::from_bytes([1; 32])], now).unwrap().remove(0);
    let answered =
        || store.answered(&domain("peer.test"), message.identity(), &address("a@far.test")).unwrap();
    assert_eq!(block_on(store.expire(end - 1, 100)), Ok(0));
    assert_eq!(poll(end - 1), CookieAnswer::Final(Disposition::Accepted));
    assert_eq!(poll(end), CookieAnswer::Unknown, "past its time, although it was not removed yet");
    assert_eq!(answered(), Some(Disposition::Accepted));
    assert_eq!(block_on(store.expire(end, 100)), Ok(1));
    assert_eq!((store.envelope(receipt.envelope), answered()), (Ok(None), None));
    assert_eq!(store.attempts(receipt.envelope), Ok(Vec::new()));
    // What is held ends when waiting does.
    let held = letter("held", &[octets(2, 10)]);
    let offer = Content::Offered { identity: held.identity() };
    let offer = acceptance(offer, peer(), vec![to_hold("ann@here.test", "ann", 2)]);
    block_on(store.accept(offer)).unwrap();
    let until = NOW + 5 * 24 * 3600 * 1000;
    assert_eq!(block_on(store.expire(until, 100)), Ok(1));
    assert_eq!(store.held(None, None, 10), Ok(Vec::new()));
    let answer = store.poll("peer.test", &[Cookie::from_bytes([2; 32])], until).unwrap();
    assert_eq!(answer, [CookieAnswer::Final(Disposition::Expired)]);
    // So do partial transfers that nobody resumes, but not while they are open.
    let body = octets(3, LARGE);
    let mut writer = store.stage("peer.test", message::Extent::of(&body), NOW).unwrap();
    writer.write(&body[..100]).unwrap();
    assert_eq!(store.sweep(NOW + STAGING_MS_DEFAULT), Ok(0));
    drop(writer);
    assert_eq!(store.sweep(NOW + STAGING_MS_DEFAULT), Ok(1));
    // And one that has nothing yet does not even stay until then.
    let writer = store.stage("peer.test", message::Extent::of(&body), NOW).unwrap();
    assert_eq!(writer.offset(), 0);
    drop(writer);
    assert_eq!(store.sweep(NOW + 2 * STAGING_MS_DEFAULT), Ok(0));
    assert_eq!(findings(&*store), Vec::<String>::new());
}

/// A message to many takes much when it is forgotten: a commit has some of them, however many are asked for.
///
/// proves: STO-33
pub(super) fn much_that_is_over_goes_in_steps(open: &Open) {
    const MESSAGES: usize = 110;
    let store = open();
    for number in 0..MESSAGES as u8 {
        let message = letter(&number.to_string(), &[octets(number, 10)]);
        let refused = |place: u32| {
            let (code, text) = (message::Code::NO_SUCH_ADDRESS, "nobody of this name".to_owned());
            crate::Intended {
                address: address(&format!("{}{place}@here.test", "long".repeat(15))),
                effect: crate::Effect::Refuse { code, text: text.clone() },
                answer: Disposition::Refused { code, text },
                why: None,
            }
        };
        let offer = Content::Offered { identity: message.identity() };
        block_on(store.accept(acceptance(offer, peer(), (0..100).map(refused).collect()))).unwrap();
    }
    let (mut steps, mut gone) = (0, 0);
    loop {
        match block_on(store.expire(NOW + RETENTION_MS_DEFAULT, 1_000)).unwrap() {
            0 => break,
            some => gone += some,
        }
        steps += 1;
    }
    assert_eq!(gone, MESSAGES);
    assert!(steps > 1, "all at once");
    assert_eq!(findings(&*store), Vec::<String>::new());
}

fn fill(store: &dyn crate::Store) {
    add_account(store, "ann").unwrap();
    let message = letter("all of it", &[octets(1, 10), octets(2, LARGE)]);
    let to = vec![
        to_mailbox("ann@here.test", "ann"),
        to_queue("a@far.test", "far.test", 1),
        to_hold("b@here.test", "ann", 2),
    ];
    accept(store, &message, peer(), to).unwrap();
    accept(store, &message, user(), vec![to_queue("a@far.test", "far.test", 3)]).unwrap();
}

/// proves: STO-18
pub(super) fn a_sound_store_has_no_findings(open: &Open) {
    let store = open();
    fill(&*store);
    assert_eq!(findings(&*store), Vec::<String>::new());
    store.compact().unwrap();
    drop(store);
    let store = open();
    assert_eq!(findings(&*store), Vec::<String>::new());
    let statistics = store.statistics();
    assert_eq!((statistics.legs, statistics.lanes, statistics.read_only), (2, 1, false));
}

pub(super) fn everything_is_exported(open: &Open) {
    let store = open();
    fill(&*store);
    let mut counts = [0; 6];
    store
        .export(&mut |item| {
            let kind = match item {
                Exported::Account(_) => 0,
                Exported::Message(message) => {
                    assert!(message.is_complete());
                    1
                }
                Exported::Mail { account, .. } => {
                    assert_eq!(account, "ann");
                    2
                }
                Exported::Correspondent(_)
                | Exported::Legacy(_)
                | Exported::Notice(_)
                | Exported::Forward(_)
                | Exported::Grant(_)
                | Exported::Statement(_)
                | Exported::Pin(_)
                | Exported::Head { .. } => return,
                Exported::Envelope(_) => 3,
                Exported::Leg(_) => 4,
                Exported::Skipped(_) => 5,
            };
            counts[kind] += 1;
        })
        .unwrap();
    assert_eq!(counts, [1, 1, 1, 2, 2, 0]);
}
