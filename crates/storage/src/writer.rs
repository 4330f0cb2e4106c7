//! The one thread that changes the store: it takes the operations that wait, runs each in a transaction of its own,
//! commits them together, and then answers all.
//!
//! keeps: STO-1, STO-6, STO-7

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use tokio::sync::OwnedSemaphorePermit;

use crate::Error;
use crate::engine::{Batch, Engine};
use crate::files::lock;
use crate::keeper::Shared;
use crate::limits::{GROUP_OCTETS_MAX, GROUP_OPERATIONS_MAX};
use crate::transaction::{Effects, Transaction};

/// Answers an operation with how the commit went.
pub(crate) type Answer = Box<dyn FnOnce(Result<(), Error>) + Send>;
/// An operation: given a transaction it says whether its changes count, given an error it only answers.
pub(crate) type Work = Box<dyn FnOnce(Result<&mut Transaction<'_>, Error>) -> (bool, Answer) + Send>;

/// What the writer is asked for.
pub(crate) enum Request {
    /// An operation, and its place among those that may wait.
    Work(Work, OwnedSemaphorePermit),
    /// Compact the engine.
    Compact(Sender<Result<(), Error>>),
}

/// Serves requests until nobody can make any more.
pub(crate) fn run<E: Engine>(shared: &Arc<Shared<E>>, requests: &Receiver<Request>) {
    while let Ok(first) = requests.recv() {
        let mut group = VecDeque::new();
        let mut next = Some(first);
        let mut compact = None;
        while let Some(request) = next {
            match request {
                Request::Work(work, permit) => group.push_back((work, permit)),
                Request::Compact(answer) => {
                    compact = Some(answer);
                    break;
                }
            }
            next = if group.len() < GROUP_OPERATIONS_MAX { requests.try_recv().ok() } else { None };
        }
        while !group.is_empty() {
            run_group(shared, &mut group);
        }
        if let Some(answer) = compact {
            // Whoever asked may have gone.
            let _ = answer.send(shared.writable().and_then(|()| shared.engine.compact()));
        }
    }
}

/// Runs operations until there are no more or their changes become large, and commits them in one batch.
fn run_group<E: Engine>(shared: &Shared<E>, group: &mut VecDeque<(Work, OwnedSemaphorePermit)>) {
    let mut batch = Batch::default();
    let mut effects = Effects::default();
    let mut answers = Vec::with_capacity(group.len());
    let writable = shared.writable();
    while batch.octets() <= GROUP_OCTETS_MAX
        && let Some((work, permit)) = group.pop_front()
    {
        let mut transaction = Transaction::new(&shared.engine, &batch, shared.settings.retention_ms);
        let (counts, answer) = match &writable {
            Ok(()) => work(Ok(&mut transaction)),
            Err(error) => work(Err(error.clone())),
        };
        let (changes, own) = transaction.into_changes();
        if counts {
            batch.append(changes);
            effects.append(own);
        }
        answers.push((answer, permit));
    }
    if writable.is_ok() {
        shared.note_polls(&mut batch);
    }
    shared.count(answers.len());
    let result = commit(shared, &batch, effects);
    for (answer, permit) in answers {
        answer(result.clone());
        drop(permit);
    }
}

/// Makes files and batch durable, in this order, and then lets the schedule and the rooms of the files follow.
fn commit<E: Engine>(shared: &Shared<E>, batch: &Batch, effects: Effects) -> Result<(), Error> {
    let Effects { placing, superfluous, mut loosened, queue } = effects;
    let placed: Vec<_> = placing.iter().map(|(_, digest)| *digest).collect();
    let moved = placing.iter().try_for_each(|(file, digest)| shared.files.place(file, *digest));
    let result = match moved.and_then(|()| shared.files.sync(&placed)) {
        // Nothing was committed: what was moved is let go again.
        Err(error) => {
            loosened = placed;
            Err(error)
        }
        Ok(()) if batch.is_empty() => Ok(()),
        Ok(()) => shared.engine.apply(batch).map_err(|error| shared.poison(&error)),
    };
    drop(placing);
    if matches!(result, Err(Error::Unknown(_))) {
        // It is not known whether references to the files are durable: they stay, and the next start looks.
        return result;
    }
    if result.is_ok() {
        let mut schedule = lock(&shared.schedule);
        for change in queue {
            schedule.apply(&shared.engine, change);
        }
        for mut file in superfluous {
            file.discard();
        }
    }
    for digest in loosened {
        // A file that cannot be removed is an orphan, which the next start removes.
        let _ = shared.remove_unused(digest);
    }
    result
}

impl Effects {
    fn append(&mut self, later: Effects) {
        self.placing.extend(later.placing);
        self.superfluous.extend(later.superfluous);
        self.loosened.extend(later.loosened);
        self.queue.extend(later.queue);
    }
}
