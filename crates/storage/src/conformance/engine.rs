//! What the keeper relies on in an engine itself.

use std::path::Path;

use crate::engine::{Batch, Engine};
use crate::limits::{KEY_OCTETS_MAX, VALUE_OCTETS_MAX};
use crate::{Settings, Store, make_room};

/// Tests one engine; `open` opens it again where it was before. Panics where it does not do what [`Engine`] says.
///
/// proves: STO-2
pub fn run_engine<E: Engine>(open: &dyn Fn() -> E) {
    let engine = open();
    let mut batch = Batch::default();
    let names: [&[u8]; 5] = [b"a", b"b", b"b\0", b"ba", b"c"];
    names.iter().for_each(|name| batch.put(name.to_vec(), name.to_vec()));
    engine.apply(&batch).unwrap();
    let keys = |engine: &E, from: &[u8], to: &[u8], limit| {
        let pairs = engine.range(from, to, limit).unwrap();
        pairs.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    assert_eq!(keys(&engine, b"b", b"c", 10), [&b"b"[..], b"b\0", b"ba"], "the end does not belong to it");
    assert_eq!(keys(&engine, b"a", b"z", 2), [b"a", b"b"]);
    assert!(keys(&engine, b"a", b"z", 0).is_empty());
    assert!(keys(&engine, b"c", b"b", 10).is_empty());
    assert!(keys(&engine, b"b", b"b", 10).is_empty());
    let back = |from: &[u8], to: &[u8], limit| {
        let pairs = engine.range_back(from, to, limit).unwrap();
        pairs.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    assert_eq!(back(b"b", b"c", 10), [&b"ba"[..], b"b\0", b"b"], "the end does not belong to it");
    assert_eq!(back(b"a", b"z", 2), [&b"c"[..], b"ba"]);
    assert!(back(b"c", b"b", 10).is_empty());
    let mut batch = Batch::default();
    batch.put(b"a".to_vec(), b"changed".to_vec());
    batch.remove(b"b".to_vec());
    batch.remove(b"never there".to_vec());
    batch.put(vec![7; KEY_OCTETS_MAX], vec![8; VALUE_OCTETS_MAX]);
    batch.put(b"empty".to_vec(), Vec::new());
    engine.apply(&batch).unwrap();
    drop(engine);
    let engine = open();
    assert_eq!(engine.value(b"a"), Ok(Some(b"changed".to_vec())));
    assert_eq!(engine.value(b"b"), Ok(None));
    assert_eq!(engine.value(b"empty"), Ok(Some(Vec::new())), "an empty value is a value");
    assert_eq!(engine.value(&[7; KEY_OCTETS_MAX]), Ok(Some(vec![8; VALUE_OCTETS_MAX])));
    engine.compact().unwrap();
    assert_eq!(engine.check(), Ok(Vec::new()));
    assert_eq!(keys(&engine, b"a", b"z", 10), [&b"a"[..], b"b\0", b"ba", b"c", b"empty"]);
    // What one group can hold at most: many values of the largest size in one batch.
    let mut batch = Batch::default();
    (0..192_u8).for_each(|number| batch.put(vec![b'L', number], vec![number; VALUE_OCTETS_MAX]));
    engine.apply(&batch).unwrap();
    drop(engine);
    let engine = open();
    let pairs = engine.range(b"L", b"M", 1000).unwrap();
    assert_eq!(pairs.len(), 192);
    assert!(
        pairs
            .iter()
            .all(|(key, value)| value.len() == VALUE_OCTETS_MAX && value.iter().all(|o| *o == key[1]))
    );
}

/// Tests that what is under way in a store that is open gives way to nobody from outside, however little is free. The store is in
/// this directory, and the engine has this file open.
pub fn run_room(store: Box<dyn Store>, directory: &Path, file: &Path) {
    let full = Settings { free_octets_floor: u64::MAX, ..Settings::default() };
    let part = directory.join("staging/one.part");
    std::fs::write(&part, b"half of it").unwrap();
    make_room(directory, file, full).unwrap();
    assert!(part.exists());
    drop(store);
    // An engine may let go of its lock a moment later.
    while part.exists() {
        make_room(directory, file, full).unwrap();
        std::thread::yield_now();
    }
}
