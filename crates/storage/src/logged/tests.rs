use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::Memory;
use crate::conformance::{Faults, FaultyEngine, Tamper, Tampered};

/// A row of numbers that looks random and is the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn key(&mut self) -> Vec<u8> {
        format!("{:02}", self.below(60)).into_bytes()
    }

    fn batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        for _ in 0..=self.below(6) {
            let key = self.key();
            match self.below(3) {
                0 => batch.remove(key),
                _ => batch.put(key, vec![self.below(256) as u8; self.below(3000) as usize]),
            }
        }
        batch
    }
}

/// What was put in: without the number that the engine keeps for the log.
fn all(view: &impl View) -> Vec<Pair> {
    let mut pairs = view.range(b"", b"\xff", usize::MAX).unwrap();
    pairs.retain(|(key, _)| *key != key::meta(SETTLED));
    pairs
}

/// An engine of its own with the same pairs.
fn same(engine: &Memory) -> Memory {
    let (copy, mut batch) = (Memory::new(), Batch::default());
    let pairs = engine.range(b"", b"\xff", usize::MAX).unwrap();
    pairs.into_iter().for_each(|(key, value)| batch.put(key, value));
    copy.apply(&batch).unwrap();
    copy
}

/// Everything that can be read is as it would be without a log, at every moment: while the engine is behind, while it is
/// getting a table, and after a crash at any moment, for which log and engine are copied as they are.
///
/// proves: STO-26, STO-27, STO-29
#[test]
fn it_reads_as_if_there_were_no_log_and_a_crash_changes_nothing() {
    for seed in 0..6 {
        let mut numbers = Numbers(seed);
        let (engine, model) = (Memory::new(), Memory::new());
        let place = tempfile::tempdir().unwrap();
        let mut logged = Logged::open_with(engine.clone(), place.path(), 40_000).unwrap();
        for step in 0..150 {
            let batch = numbers.batch();
            logged.apply(&batch).unwrap();
            model.apply(&batch).unwrap();
            let (from, to, limit) = (numbers.key(), numbers.key(), numbers.below(20) as usize);
            assert_eq!(logged.range(&from, &to, limit), model.range(&from, &to, limit), "{seed}, {step}");
            let back = logged.range_back(&from, &to, limit);
            assert_eq!(back, model.range_back(&from, &to, limit), "{seed}, {step}");
            assert_eq!(logged.value(&from), model.value(&from), "{seed}, {step}");
            if numbers.below(20) == 0 {
                let crashed = tempfile::tempdir().unwrap();
                for name in ["wal-0", "wal-1"] {
                    std::fs::copy(place.path().join(name), crashed.path().join(name)).unwrap();
                }
                let recovered = Logged::open_with(same(&engine), crashed.path(), 40_000).unwrap();
                assert_eq!(all(&recovered), all(&model), "{seed}, {step}, after a crash");
            }
            if numbers.below(50) == 0 {
                drop(logged);
                assert_eq!(all(&engine), all(&model), "{seed}, {step}, closed");
                logged = Logged::open_with(engine.clone(), place.path(), 40_000).unwrap();
            }
        }
    }
}

/// proves: STO-29
#[test]
fn what_came_and_went_never_reaches_the_engine() {
    let (faults, place, engine) = (Faults::none(), tempfile::tempdir().unwrap(), Memory::new());
    let logged = Logged::open(FaultyEngine::new(engine.clone(), faults.clone()), place.path()).unwrap();
    let (mut come, mut gone) = (Batch::default(), Batch::default());
    come.put(b"leg".to_vec(), b"due".to_vec());
    gone.remove(b"leg".to_vec());
    logged.apply(&come).unwrap();
    logged.apply(&gone).unwrap();
    assert!(logged.shared.tables().recent.is_empty());
    logged.compact().unwrap();
    assert_eq!(all(&logged.shared.engine), []);
    assert_eq!(faults.steps(), 1, "the number of the last record");
    // What the engine has is another matter.
    logged.apply(&come).unwrap();
    logged.compact().unwrap();
    logged.apply(&come).unwrap();
    logged.apply(&gone).unwrap();
    logged.compact().unwrap();
    assert_eq!((logged.shared.engine.value(b"leg"), faults.steps()), (Ok(None), 5));
    // It can be opened again where nothing else was left to write.
    logged.apply(&come).unwrap();
    logged.apply(&gone).unwrap();
    drop(logged);
    Logged::open(engine, place.path()).unwrap();
}

/// The engine fails while it is handed a table: what was acknowledged is read as before, nothing more is taken, and
/// everything is there when the engine works again.
///
/// proves: STO-7, STO-26
#[test]
fn an_engine_that_fails_loses_nothing() {
    for after in [false, true] {
        let (engine, place) = (Memory::new(), tempfile::tempdir().unwrap());
        let faulty = FaultyEngine::new(engine.clone(), Faults::at(2, after));
        let logged = Logged::open_with(faulty, place.path(), 40_000).unwrap();
        let (mut numbers, model) = (Numbers(7), Memory::new());
        let refused = loop {
            let batch = numbers.batch();
            match logged.apply(&batch) {
                Ok(()) => model.apply(&batch).unwrap(),
                Err(error) => break error,
            }
        };
        assert_eq!(refused, Error::Io("the power is cut".to_owned()));
        assert_eq!(logged.apply(&Batch::default()), Err(refused.clone()));
        assert_eq!(all(&logged), all(&model));
        assert_eq!(logged.compact(), Err(refused));
        drop(logged);
        let logged = Logged::open_with(engine, place.path(), 40_000).unwrap();
        assert_eq!(all(&logged), all(&model), "{after}");
    }
}

/// A record that is in the log and could not be shown stays there: it is not said to be in the engine when the log is closed.
///
/// proves: STO-7, STO-26
#[test]
fn what_could_not_be_shown_is_not_settled() {
    let place = tempfile::tempdir().unwrap();
    let blind = Arc::new(AtomicBool::new(false));
    let own = blind.clone();
    let engine = Tampered::new(Memory::new(), move |_| match own.load(Ordering::SeqCst) {
        true => Tamper::Fail,
        false => Tamper::Leave,
    });
    let logged = Logged::open(engine.clone(), place.path()).unwrap();
    let (mut come, mut gone) = (Batch::default(), Batch::default());
    come.put(b"leg".to_vec(), b"due".to_vec());
    gone.remove(b"leg".to_vec());
    gone.put(b"mail".to_vec(), b"here".to_vec());
    logged.apply(&come).unwrap();
    blind.store(true, Ordering::SeqCst);
    let refused = logged.apply(&gone);
    assert_eq!(refused, Err(Error::Io("it cannot be read".to_owned())));
    blind.store(false, Ordering::SeqCst);
    assert_eq!(logged.apply(&come), refused);
    drop(logged);
    let logged = Logged::open(engine, place.path()).unwrap();
    assert_eq!(all(&logged), [(b"mail".to_vec(), b"here".to_vec())]);
}

/// proves: STO-28
#[test]
fn an_engine_that_has_lost_its_end_and_a_log_that_is_gone_are_seen() {
    let (engine, place) = (Memory::new(), tempfile::tempdir().unwrap());
    let mut numbers = Numbers(3);
    let logged = Logged::open(engine.clone(), place.path()).unwrap();
    logged.apply(&numbers.batch()).unwrap();
    drop(logged);
    let before = same(&engine);
    let logged = Logged::open(engine.clone(), place.path()).unwrap();
    logged.apply(&numbers.batch()).unwrap();
    drop(logged);
    // As after a flipped octet, where an engine takes what follows for a write that was cut off.
    let lost = Logged::open(before, place.path()).map(drop);
    assert!(matches!(lost, Err(Error::Damaged { .. })), "{lost:?}");
    // Without a log there is nothing to compare with: it begins after what the engine has, and the check says so.
    let nothing = tempfile::tempdir().unwrap();
    let logged = Logged::open(engine.clone(), nothing.path()).unwrap();
    assert_eq!(logged.check().unwrap().len(), 1);
    logged.apply(&numbers.batch()).unwrap();
    let all_of_it = all(&logged);
    drop(logged);
    let logged = Logged::open(engine, nothing.path()).unwrap();
    assert_eq!((all(&logged), logged.check()), (all_of_it, Ok(Vec::new())));
}

#[test]
fn it_does_what_an_engine_must() {
    let (engine, place) = (Memory::new(), tempfile::tempdir().unwrap());
    crate::conformance::run_engine(&|| Logged::open(engine.clone(), place.path()).unwrap());
}

/// One of its two files is gone, and what it may have had with it: nobody goes on without a word. One that was cut off in its
/// making has neither head, and is made.
///
/// proves: STO-28
#[test]
fn a_file_of_the_log_that_is_gone_is_seen() {
    for name in ["wal-0", "wal-1"] {
        let (engine, place) = (Memory::new(), tempfile::tempdir().unwrap());
        let mut changes = Batch::default();
        changes.put(b"k".to_vec(), b"v".to_vec());
        let logged = Logged::open(engine.clone(), place.path()).unwrap();
        logged.apply(&changes).unwrap();
        // As a machine stops: nothing more is written.
        let copy = tempfile::tempdir().unwrap();
        for name in ["wal-0", "wal-1"] {
            std::fs::copy(place.path().join(name), copy.path().join(name)).unwrap();
        }
        std::fs::remove_file(copy.path().join(name)).unwrap();
        let gone = Logged::open(Memory::new(), copy.path()).map(drop);
        assert!(matches!(gone, Err(Error::Damaged { .. })), "{gone:?}");
    }
    for (first, second) in [(0, None), (4096, None), (4096, Some(0)), (4096, Some(4096))] {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("wal-0"), vec![0; first]).unwrap();
        if let Some(octets) = second {
            std::fs::write(place.path().join("wal-1"), vec![0; octets]).unwrap();
        }
        Logged::open(Memory::new(), place.path()).unwrap();
    }
}
