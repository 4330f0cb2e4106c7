//! Whom an account knows, trusts and has blocked.

use super::Open;
use super::fixture::*;
use crate::limits::{CORRESPONDENTS_MAX, TEXT_OCTETS_MAX};
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
    // The oldest of those who are only known make room, and the others never.
    let keep = |number: usize, regard, since_ms| {
        let who = format!("c{number}@far.test");
        let one = CorrespondentRecord { since_ms, ..record(&who, regard) };
        store.put_correspondent(one)
    };
    // Many at once share the cost of a commit.
    let all: Vec<_> = (2..CORRESPONDENTS_MAX).map(|number| keep(number, Regard::Trusted, NOW - 9)).collect();
    assert!(block_on_all(all).iter().all(Result::is_ok));
    let keep = |number, regard, since_ms| block_on(keep(number, regard, since_ms));
    keep(1, Regard::Known, NOW + 1).unwrap();
    assert_eq!(regard(&*store, "bob@far.test"), None);
    keep(0, Regard::Trusted, NOW).unwrap();
    assert_eq!(regard(&*store, "c1@far.test"), None);
    assert!(matches!(keep(9999, Regard::Trusted, NOW), Err(Error::Bound { .. })));
    let last = letter("three", &[octets(3, 10)]);
    accept(&*store, &last, user(), vec![to_queue("dave@far.test", "far.test", 4)]).unwrap();
    assert_eq!(regard(&*store, "dave@far.test"), None, "there is no room, and the mail goes all the same");
    assert_eq!(regard(&*store, "c2@far.test"), Some(Regard::Trusted));
}
