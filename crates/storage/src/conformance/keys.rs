//! Users' keys: statements and their log, pins, heads.

use message::address::{Address, Domain};
use message::keys::tree::{self, Hash, Nodes};
use message::keys::{KeyRecord, Pin, PinnedKey, SeenHead, Statement, StatementClaims, TreeHead};
use message::limits::KEY_CHAIN_MAX;
use message::{Digest, SecretKey};

use super::Open;
use super::fixture::*;
use crate::limits::PINS_MAX;
use crate::{CorrespondentRecord, Error, Exported, HeadRecord, PinRecord, Regard, Store};

fn address(text: &str) -> Address {
    Address::from_wire(text).unwrap()
}

fn domain(text: &str) -> Domain {
    Domain::from_wire(text).unwrap()
}

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

fn record(whose: &str, number: u8, previous: Option<Digest>) -> KeyRecord {
    let claims = StatementClaims {
        address: address(whose),
        key: key(number).public(),
        not_before: 1,
        not_after: 1_000,
        previous,
        revoked: false,
    };
    KeyRecord::countersign(&Statement::sign(claims, &key(number)), None, "one", &key(99), 1).unwrap()
}

/// The log as a store has it.
struct Kept<'a>(&'a dyn Store, Domain);

impl Nodes for Kept<'_> {
    type Error = Error;

    fn node(&self, level: u32, place: u64) -> Result<Hash, Error> {
        self.0.key_log_node(&self.1, level, place)
    }
}

/// The root over these leaves, by RFC 9162 section 2.1.1, without any node that is kept.
fn root_over(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => unreachable!(),
        [leaf] => *leaf,
        more => {
            let middle = 1 << (more.len() - 1).ilog2();
            tree::parent(&root_over(&more[..middle]), &root_over(&more[middle..]))
        }
    }
}

/// proves: KEY-7, KEY-8
pub(super) fn statements_enter_the_log(open: &Open) {
    let store = open();
    let publish = |store: &dyn Store, record: &KeyRecord, before| {
        let folded = record.statement().claims().address.clone();
        block_on(store.publish_key(record.clone(), folded, before, NOW))
    };
    let first = record("ann@here.test", 1, None);
    let second = record("ann@here.test", 2, Some(first.statement().digest()));
    assert_eq!(store.key_statements(&address("ann@here.test")), Ok(Vec::new()));
    assert_eq!(publish(&*store, &first, 0), Ok(0));
    assert_eq!(publish(&*store, &second, 0), Err(Error::Taken("place among the statements")));
    assert_eq!(publish(&*store, &second, 2), Err(Error::Taken("place among the statements")));
    let mut leaves = vec![first.leaf()];
    for number in 0..5 {
        let other = record(&format!("b{number}@here.test"), 3, None);
        assert_eq!(publish(&*store, &other, 0), Ok(leaves.len() as u64));
        leaves.push(other.leaf());
    }
    // The log of another domain is another log.
    assert_eq!(publish(&*store, &record("ann@there.test", 1, None), 0), Ok(0));
    drop(store);
    let store = open();
    assert_eq!(publish(&*store, &second, 1), Ok(6));
    leaves.push(second.leaf());
    let found = store.key_statements(&address("ann@here.test")).unwrap();
    let places: Vec<(u64, &KeyRecord)> = found.iter().map(|one| (one.leaf, &one.record)).collect();
    assert_eq!(places, [(0, &first), (6, &second)]);
    assert_eq!(store.key_log_size(&domain("here.test")), Ok(7));
    assert_eq!(store.key_log_size(&domain("nowhere.test")), Ok(0));
    let log = Kept(&*store, domain("here.test"));
    let root = tree::root(7, &log).unwrap();
    assert_eq!(root, root_over(&leaves));
    let way = tree::inclusion(6, 7, &log).unwrap();
    assert!(tree::is_included(&second.leaf(), 6, 7, &way, &root));
    let proof = tree::consistency(3, 7, &log).unwrap();
    assert!(tree::is_consistent((3, &root_over(&leaves[..3])), (7, &root), &proof));
    let mut exported = 0;
    store.export(&mut |item| exported += usize::from(matches!(item, Exported::Statement(_)))).unwrap();
    assert_eq!((exported, findings(&*store)), (8, Vec::new()));
    let mut last = second;
    for place in 2..KEY_CHAIN_MAX {
        last = record("ann@here.test", 4, Some(last.statement().digest()));
        assert!(publish(&*store, &last, place).is_ok());
    }
    let more = record("ann@here.test", 5, Some(last.statement().digest()));
    assert!(matches!(publish(&*store, &more, KEY_CHAIN_MAX), Err(Error::Bound { .. })));
}

/// Spellings of one address have chains of their own, and count together.
///
/// proves: KEY-7
pub(super) fn spellings_of_an_address_count_together(open: &Open) {
    let store = open();
    let folded = address("ann@here.test");
    let spelt = |number: usize| {
        let letters = "ann".chars().enumerate();
        let local: String = letters
            .map(|(place, letter)| match number & 1 << place {
                0 => letter,
                _ => letter.to_ascii_uppercase(),
            })
            .collect();
        record(&format!("{local}@here.test"), 1, None)
    };
    let publish = |store: &dyn Store, record: &KeyRecord, before: usize| {
        block_on(store.publish_key(record.clone(), folded.clone(), before, NOW + before as u64))
    };
    for number in 0..8 {
        assert_eq!(publish(&*store, &spelt(number), number), Ok(number as u64));
    }
    let taken = Err(Error::Taken("place among the statements"));
    assert_eq!(publish(&*store, &record("ann@here.test", 3, None), 1), taken);
    drop(store);
    let store = open();
    assert_eq!(store.stated(&folded), Ok((NOW..NOW + 8).collect()));
    assert_eq!(store.stated(&address("Ann@here.test")).unwrap().len(), 1, "what is not noted is counted");
    let mut last = spelt(1);
    for place in 8..KEY_CHAIN_MAX {
        last = record("Ann@here.test", 2, Some(last.statement().digest()));
        assert!(publish(&*store, &last, place).is_ok());
    }
    let more = record("anN@here.test", 2, Some(spelt(4).statement().digest()));
    assert!(matches!(publish(&*store, &more, KEY_CHAIN_MAX), Err(Error::Bound { .. })));
    assert_eq!(store.key_log_size(&domain("here.test")), Ok(KEY_CHAIN_MAX as u64));
    assert_eq!(findings(&*store), [""; 0]);
}

fn pin(account: &str, whose: &str, number: u8) -> PinRecord {
    let one = PinnedKey {
        key: key(number).public(),
        statement: Digest::of(&[number]),
        not_before: 1,
        not_after: 9,
        revoked: number == 2,
    };
    let pin = Pin { keys: vec![one], broken_by: (number == 3).then(|| key(4).public()) };
    PinRecord { account: account.to_owned(), address: address(whose), pin, since_ms: NOW }
}

/// proves: KEY-17
pub(super) fn pins_are_kept(open: &Open) {
    let store = open();
    add_account(&*store, "ann").unwrap();
    let (one, two) = (pin("ann", "bob@far.test", 1), pin("ann", "carl@far.test", 2));
    let other = pin("anna", "bob@far.test", 3);
    block_on(store.put_pins(vec![one.clone(), two.clone(), other.clone()])).unwrap();
    drop(store);
    let store = open();
    assert_eq!(store.pin("ann", &address("bob@far.test")), Ok(Some(one.clone())));
    assert_eq!(store.pin("anna", &address("bob@far.test")), Ok(Some(other.clone())));
    assert_eq!(store.pin("ann", &address("dan@far.test")), Ok(None));
    assert_eq!(store.pins("ann", None, 10), Ok(vec![one.clone(), two.clone()]));
    assert_eq!(store.pins("ann", Some(&address("bob@far.test")), 10), Ok(vec![two.clone()]));
    let mut exported = 0;
    store.export(&mut |item| exported += usize::from(matches!(item, Exported::Pin(_)))).unwrap();
    assert_eq!((exported, findings(&*store)), (3, Vec::new()));
    block_on(store.remove_pin("ann", &address("bob@far.test"))).unwrap();
    let again = block_on(store.remove_pin("ann", &address("bob@far.test")));
    assert_eq!(again, Err(Error::NotFound("pin")));
    block_on(store.remove_account("ann")).unwrap();
    assert_eq!(store.pins("ann", None, 10), Ok(Vec::new()));
    assert_eq!(store.pins("anna", None, 10), Ok(vec![other]));
}

/// Strangers can fill the list of pins; a correspondent has a place in it all the same, and takes it from none but them.
///
/// proves: KEY-17
pub(super) fn a_correspondent_is_pinned_whoever_fills_the_list(open: &Open) {
    let store = open();
    add_account(&*store, "ann").unwrap();
    let known = |who: &str| CorrespondentRecord {
        account: "ann".to_owned(),
        who: who.to_owned(),
        regard: Regard::Known,
        since_ms: NOW,
        note: String::new(),
    };
    for who in ["a@far.test", "zoe@far.test"] {
        block_on(store.put_correspondent(known(who))).unwrap();
    }
    let strangers = (0..PINS_MAX - 1).map(|number| pin("ann", &format!("s{number}@far.test"), 1));
    block_on(store.put_pins([pin("ann", "a@far.test", 1)].into_iter().chain(strangers).collect())).unwrap();
    block_on(store.put_pins(vec![pin("ann", "one-more@far.test", 1)])).unwrap();
    assert_eq!(store.pin("ann", &address("one-more@far.test")), Ok(None));
    let zoe = pin("ann", "zoe@far.test", 1);
    block_on(store.put_pins(vec![zoe.clone()])).unwrap();
    assert_eq!(store.pin("ann", &address("zoe@far.test")), Ok(Some(zoe)));
    assert!(store.pin("ann", &address("a@far.test")).unwrap().is_some());
    assert_eq!(store.pins("ann", None, 2 * PINS_MAX).unwrap().len(), PINS_MAX);
}

/// proves: KEY-14
pub(super) fn heads_follow_one_another_and_contradictions_stay(open: &Open) {
    let store = open();
    let head = |size: u64, root: u8| {
        TreeHead::sign(&domain("far.test"), (size, &[root; 32]), size, "one", &key(99)).unwrap()
    };
    let put = |head: TreeHead, seen: Option<(u64, u8)>, contradicted_by: Option<TreeHead>| {
        let seen = seen.map(|(size, root)| SeenHead { size, root: [root; 32] });
        block_on(store.put_head(HeadRecord { head, seen_at_ms: NOW, contradicted_by }, seen)).unwrap()
    };
    let seen = || store.head(&domain("far.test")).unwrap().unwrap();
    assert_eq!(store.head(&domain("far.test")), Ok(None));
    assert!(put(head(3, 3), None, None));
    // It was held against nothing, or against another one than is there.
    assert!(!put(head(4, 4), None, None));
    assert!(!put(head(4, 4), Some((3, 9)), None));
    assert_eq!(seen().head, head(3, 3));
    assert!(put(head(5, 5), Some((3, 3)), None));
    assert_eq!(seen().head, head(5, 5));
    // What was found stands against the head that is kept, and nothing takes it away.
    assert!(put(head(6, 9), Some((5, 5)), Some(head(6, 9))));
    assert!(!put(head(7, 7), Some((5, 5)), None));
    assert_eq!((seen().head, seen().contradicted_by), (head(5, 5), Some(head(6, 9))));
    let mut exported = 0;
    store.export(&mut |item| exported += usize::from(matches!(item, Exported::Head { .. }))).unwrap();
    assert_eq!((exported, findings(&*store)), (1, Vec::new()));
}
