use std::pin::Pin;
use std::task::{Context, Waker};

use super::*;
use crate::conformance::block_on;
use crate::engine::{Pair, View};
use crate::files::Files;
use crate::{Keeper, Memory, Settings, Store, Wait};

/// An engine whose commits wait until they are let through, or are made to fail.
struct Gated {
    memory: Memory,
    asked: Mutex<Sender<usize>>,
    gate: Mutex<Receiver<Result<(), Error>>>,
}

impl View for Gated {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.memory.value(key)
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error> {
        self.memory.range(from, to, limit)
    }

    fn range_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Error> {
        self.memory.range_back(from, to, limit)
    }
}

impl Engine for Gated {
    fn apply(&self, batch: &Batch) -> Result<(), Error> {
        lock(&self.asked).send(batch.len()).unwrap();
        lock(&self.gate).recv().unwrap()?;
        self.memory.apply(batch)
    }

    fn check(&self) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }

    fn compact(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn begun<T>(future: &mut Wait<'_, T>) {
    assert!(Pin::new(future).poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

/// One operation is in place, three are handed over, and one is run over them while they are being committed.
fn check(commit: Result<(), Error>, last: Result<u64, Error>, here: u64) {
    let (asked, commits) = channel();
    let (gate, opened) = channel();
    // The count of openings.
    gate.send(Ok(())).unwrap();
    let engine = Gated { memory: Memory::new(), asked: Mutex::new(asked), gate: Mutex::new(opened) };
    let keeper =
        Keeper::open_with(engine, Files::in_memory(crate::MemoryFiles::default()), Settings::default())
            .unwrap();
    commits.recv().unwrap();
    let mut first = keeper.submit(|tx| tx.allocate());
    begun(&mut first);
    commits.recv().unwrap();
    let mut group: Vec<_> = (0..3).map(|_| keeper.submit(|tx| tx.allocate())).collect();
    group.iter_mut().for_each(begun);
    gate.send(Ok(())).unwrap();
    assert_eq!(block_on(first), Ok(1));
    commits.recv().unwrap();
    let (ran, seen) = channel();
    let mut over = keeper.submit(move |tx| {
        let number = tx.allocate()?;
        ran.send(number).unwrap();
        Ok(number)
    });
    begun(&mut over);
    // It was run over what is not committed, and is not answered.
    assert_eq!(seen.recv(), Ok(5));
    begun(&mut over);
    assert_eq!(
        crate::transaction::read_number(&keeper.shared.engine, &crate::key::meta("number")),
        Ok(Some(1))
    );
    gate.send(commit).unwrap();
    gate.send(Ok(())).unwrap();
    assert_eq!(group.into_iter().map(block_on).all(|answer| answer.is_ok()), last.is_ok());
    match (block_on(over), last) {
        (Ok(number), Ok(wanted)) => assert_eq!(number, wanted),
        (Err(_), Err(_)) => {}
        other => panic!("{other:?}"),
    }
    let number = crate::transaction::read_number(&keeper.shared.engine, &crate::key::meta("number"));
    assert_eq!(number, Ok(Some(here)));
}

/// proves: STO-6, STO-23
#[test]
fn the_next_group_is_run_while_one_is_committed_and_answered_only_after_its_own_commit() {
    check(Ok(()), Ok(5), 5);
}

/// An operation with a mistake in it ends the writer: that is told as a store that is read-only, not as one that is well.
///
/// proves: STO-7
#[test]
fn a_writer_that_breaks_off_leaves_a_store_to_read() {
    let store = Keeper::open_with(
        Memory::new(),
        Files::in_memory(crate::MemoryFiles::default()),
        Settings::default(),
    )
    .unwrap();
    let mistake = store.submit(|_| -> Result<(), Error> { panic!("a mistake") });
    assert_eq!(block_on(mistake), Err(Error::Closed));
    // Answered when the thread has ended.
    assert_eq!(store.compact_engine(), Err(Error::Closed));
    assert!(store.statistics().read_only);
    assert!(matches!(block_on(store.submit(|tx| tx.allocate())), Err(Error::ReadOnly(_))));
}

/// proves: STO-7
#[test]
fn what_was_run_over_a_commit_that_failed_fails_with_it() {
    let failure = Error::Io("no disk".to_owned());
    check(Err(failure.clone()), Err(failure), 1);
}
