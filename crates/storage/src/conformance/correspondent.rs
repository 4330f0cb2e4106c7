//! Whom an account knows, trusts and has blocked.

use super::Open;
use super::fixture::*;
use crate::limits::{
    CORRESPONDENTS_FORGOTTEN, CORRESPONDENTS_MAX, CORRESPONDENTS_SPOKEN_MAX, TEXT_OCTETS_MAX,
};
use crate::{CorrespondentRecord, Error, Exported, Regard, Store};

pub(super) fn record(who: &str, regard: Regard) -> CorrespondentRecord {
    let note = "from the fair".to_owned();
    CorrespondentRecord { account: "ann".to_owned(), who: who.to_owned(), regard, since_ms: NOW, note }
}

fn regard(store: &dyn Store, who: &str) -> Option<Regard> {
    store.correspondent("ann", who).unwrap().map(|record| record.regard)
}

pub(super) fn correspondents_are_kept(open: &Open) {
    let store = open();
    add_account(&*store, "ann").unwrap();
    add_account(&*store, "anna").unwrap();
    let put = |one: CorrespondentRecord| block_on(store.put_correspondent(one));
    let (bob, spam) = (record("bob@far.test", Regard::Trusted), record("spam.test", Regard::Blocked));
    put(bob.clone()).unwrap();
    put(record("spam.test", Regard::Known)).unwrap();
    put(spam.clone()).unwrap();
    let of_another =
        CorrespondentRecord { account: "anna".to_owned(), ..record("bob@far.test", Regard::Known) };
    put(of_another.clone()).unwrap();
    assert_eq!(
        put(record("nobody", Regard::Known)),
        Err(Error::Invalid("a correspondent is an address or a domain"))
    );
    let nobodys = CorrespondentRecord { account: "nobody".to_owned(), ..bob.clone() };
    assert_eq!(put(nobodys), Err(Error::NotFound("account")));
    let long = CorrespondentRecord { note: "n".repeat(TEXT_OCTETS_MAX + 1), ..bob.clone() };
    assert!(matches!(put(long), Err(Error::Bound { .. })));
    drop(store);
    let store = open();
    assert_eq!(store.correspondent("ann", "bob@far.test"), Ok(Some(bob.clone())));
    assert_eq!(store.correspondents("ann", None, 10), Ok(vec![bob.clone(), spam.clone()]));
    assert_eq!(store.correspondents("ann", Some("bob@far.test"), 10), Ok(vec![spam.clone()]));
    assert_eq!(store.correspondents("ann", None, 1), Ok(vec![bob]));
    let mut exported = 0;
    store.export(&mut |item| exported += usize::from(matches!(item, Exported::Correspondent(_)))).unwrap();
    assert_eq!((exported, findings(&*store)), (3, Vec::new()));
    block_on(store.remove_correspondent("ann", "spam.test")).unwrap();
    let again = block_on(store.remove_correspondent("ann", "spam.test"));
    assert_eq!(again, Err(Error::NotFound("correspondent")));
    block_on(store.remove_account("ann")).unwrap();
    assert_eq!(store.correspondents("ann", None, 10), Ok(Vec::new()));
    assert_eq!(store.correspondents("anna", None, 10), Ok(vec![of_another]));
}

/// proves: POL-11
pub(super) fn whoever_is_written_to_is_known(open: &Open) {
    let store = open();
    add_account(&*store, "ann").unwrap();
    block_on(store.put_correspondent(record("blocked@far.test", Regard::Blocked))).unwrap();
    let message = letter("one", &[octets(1, 10)]);
    let to = vec![to_queue("bob@far.test", "far.test", 1), to_queue("blocked@far.test", "far.test", 2)];
    accept(&*store, &message, user(), to).unwrap();
    assert_eq!(regard(&*store, "bob@far.test"), Some(Regard::Known));
    assert_eq!(regard(&*store, "blocked@far.test"), Some(Regard::Blocked), "what the user has said stays");
    // Who writes to the account does not become known by that.
    let other = letter("two", &[octets(2, 10)]);
    accept(&*store, &other, peer(), vec![to_queue("carol@far.test", "far.test", 3)]).unwrap();
    assert_eq!(store.correspondents("ann", None, 10).unwrap().len(), 2);
}

/// The oldest of those who are only known make room, many at once; what the user has said never does.
///
/// proves: POL-11
pub(super) fn the_oldest_who_are_only_known_make_room(open: &Open) {
    let store = open();
    add_account(&*store, "ann").unwrap();
    let keep = |number: usize, regard, since_ms| {
        let one = CorrespondentRecord { since_ms, ..record(&format!("c{number}@far.test"), regard) };
        store.put_correspondent(one)
    };
    let there = || store.correspondents("ann", None, CORRESPONDENTS_MAX + 1).unwrap().len();
    // Many at once share the cost of a commit. The numbers are in no order of age: the youngest stands first.
    let spoken = (0..CORRESPONDENTS_SPOKEN_MAX).map(|number| keep(number, Regard::Trusted, NOW - 9999));
    assert!(block_on_all(spoken.collect::<Vec<_>>()).iter().all(Result::is_ok));
    let known = CORRESPONDENTS_SPOKEN_MAX..CORRESPONDENTS_MAX;
    let known = known.map(|number| keep(number, Regard::Known, NOW - number as u64));
    assert!(block_on_all(known.collect::<Vec<_>>()).iter().all(Result::is_ok));
    assert_eq!(there(), CORRESPONDENTS_MAX);
    // Who is trusted or blocked already may be so again; nobody else is any more, and who is known stays so.
    let (last, more) = (CORRESPONDENTS_MAX - 1, CORRESPONDENTS_SPOKEN_MAX);
    block_on(keep(0, Regard::Blocked, NOW)).unwrap();
    assert!(matches!(block_on(keep(more, Regard::Trusted, NOW)), Err(Error::Bound { .. })));
    assert_eq!(regard(&*store, &format!("c{more}@far.test")), Some(Regard::Known));
    // One more is written to.
    let message = letter("three", &[octets(3, 10)]);
    accept(&*store, &message, user(), vec![to_queue("dave@far.test", "far.test", 4)]).unwrap();
    assert_eq!(regard(&*store, "dave@far.test"), Some(Regard::Known));
    assert_eq!(there(), CORRESPONDENTS_MAX - CORRESPONDENTS_FORGOTTEN + 1);
    let oldest_left = last - CORRESPONDENTS_FORGOTTEN;
    assert_eq!(regard(&*store, &format!("c{oldest_left}@far.test")), Some(Regard::Known));
    assert_eq!(regard(&*store, &format!("c{}@far.test", oldest_left + 1)), None);
    assert_eq!(regard(&*store, "c1@far.test"), Some(Regard::Trusted));
    // The count goes down, too, and is the same when the store is opened again.
    block_on(store.remove_correspondent("ann", "c1@far.test")).unwrap();
    block_on(keep(more, Regard::Trusted, NOW)).unwrap();
    drop(store);
    let store = open();
    let to = |number: u8| to_queue(&format!("d{number}@far.test"), "far.test", 100 + number);
    accept(&*store, &letter("four", &[octets(4, 10)]), user(), (0..50).map(to).collect()).unwrap();
    assert_eq!(store.correspondents("ann", None, CORRESPONDENTS_MAX).unwrap().len(), CORRESPONDENTS_MAX);
    assert!(findings(&*store).is_empty());
    accept(&*store, &letter("five", &[octets(5, 10)]), user(), vec![to(50)]).unwrap();
    let left = CORRESPONDENTS_MAX - CORRESPONDENTS_FORGOTTEN + 1;
    assert_eq!(store.correspondents("ann", None, CORRESPONDENTS_MAX).unwrap().len(), left);
}
