use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use super::*;
use crate::conformance::{Tamper, Tampered};
use crate::files::MemoryFiles;
use crate::{Batch, Keeper, Memory, Settings, Store};

/// proves: STO-18
#[test]
fn a_table_that_cannot_be_read_does_not_stop_the_check() {
    let engine = Tampered::new(Memory::new(), |key| match key.first() {
        Some(&table::ACCOUNT) => Tamper::Fail,
        _ => Tamper::Leave,
    });
    let mut damage = Batch::default();
    damage.put(key::leg(LegId(7)), b"nothing of ours".to_vec());
    engine.apply(&damage).unwrap();
    let files = Files::in_memory(MemoryFiles::new());
    let store = Keeper::open_with(engine, files, Settings::default()).unwrap();
    let mut found = Vec::new();
    store.check(&mut |finding| found.push((finding.kind, finding.key))).unwrap();
    let expected = [
        (FindingKind::Engine, "accounts".to_owned()),
        (FindingKind::Damaged, key::readable(&key::leg(LegId(7)))),
    ];
    assert_eq!(found, expected);
}

/// While a node works, a look can come between two changes: what is not there again is no damage.
///
/// proves: STO-18
#[test]
fn what_is_found_once_and_not_again_is_not_told() {
    for (missing, told) in [(0, 0), (1, 0), (2, 1)] {
        let engine = Memory::new();
        let address = key::address("ann@here.test");
        let ann = AccountRecord {
            name: "ann".to_owned(),
            addresses: vec![message::address::Address::from_wire("ann@here.test").unwrap()],
            password_hash: None,
            scram: None,
            devices: Vec::new(),
            disabled: false,
            notices: false,
        };
        let mut batch = Batch::default();
        batch.put(key::account("ann"), ann.encode());
        batch.put(address.clone(), b"ann".to_vec());
        engine.apply(&batch).unwrap();
        let left = AtomicUsize::new(missing);
        let engine = Tampered::new(engine, move |key| {
            let fewer = |left: usize| left.checked_sub(1);
            let hides = key == address && left.fetch_update(SeqCst, SeqCst, fewer).is_ok();
            if hides { Tamper::Hide } else { Tamper::Leave }
        });
        let files = Files::in_memory(MemoryFiles::new());
        let store = Keeper::open_with(engine, files, Settings::default()).unwrap();
        let mut found = Vec::new();
        store.check(&mut |finding| found.push((finding.kind, finding.key))).unwrap();
        assert_eq!(found.len(), told, "{missing}: {found:?}");
    }
}

/// proves: STO-18
#[test]
fn without_records_the_files_are_looked_through() {
    let folder = tempfile::tempdir().unwrap();
    let octets = vec![7; 100_000];
    let digest = Digest::of(&octets);
    for (name, octets) in [(digest, &octets[..]), (Digest::of(b"another"), &octets[1..])] {
        let name = name.to_string();
        let room = folder.path().join("parts").join(&name[..2]);
        std::fs::create_dir_all(&room).unwrap();
        std::fs::write(room.join(&name), octets).unwrap();
    }
    let mut found = Vec::new();
    let whole = check_parts(folder.path(), &mut |finding| found.push((finding.kind, finding.key))).unwrap();
    assert_eq!(whole, 1);
    assert_eq!(found, [(FindingKind::FileDamaged, format!("parts/{}", Digest::of(b"another")))]);
}
