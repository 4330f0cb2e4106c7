//! Operations that share a commit: they are run one after the other, made durable together, and answered.

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

/// Operations that were run and are not committed yet.
#[derive(Default)]
pub(crate) struct Prepared {
    batch: Batch,
    effects: Effects,
    answers: Vec<(Answer, OwnedSemaphorePermit)>,
}

impl Prepared {
    /// Whether there is no operation.
    pub(crate) fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// How many operations there are.
    pub(crate) fn len(&self) -> usize {
        self.answers.len()
    }

    /// Whether there is no room for another one.
    pub(crate) fn is_full(&self) -> bool {
        self.answers.len() >= GROUP_OPERATIONS_MAX || self.batch.octets() > GROUP_OCTETS_MAX
    }

    /// Runs an operation over what is being committed and over those that were run before.
    pub(crate) fn run<E: Engine>(
        &mut self,
        shared: &Shared<E>,
        pending: Option<&Batch>,
        work: Work,
        place: OwnedSemaphorePermit,
    ) {
        let retention_ms = shared.settings.retention_ms;
        let mut transaction = Transaction::new(&shared.engine, pending, &self.batch, retention_ms);
        let (counts, answer) = match shared.writable() {
            Ok(()) => work(Ok(&mut transaction)),
            Err(error) => work(Err(error)),
        };
        let (changes, own) = transaction.into_changes();
        if counts {
            self.batch.append(changes);
            self.effects.append(own);
        }
        self.answers.push((answer, place));
    }

    /// The changes, as they are to be committed. Nothing else is being committed now.
    pub(crate) fn take_batch<E: Engine>(&mut self, shared: &Shared<E>) -> Batch {
        let mut batch = std::mem::take(&mut self.batch);
        if shared.writable().is_ok() {
            shared.note_polls(&mut batch);
        }
        batch
    }

    /// Commits and answers.
    pub(crate) fn commit<E: Engine>(mut self, shared: &Shared<E>) -> Result<(), Error> {
        let batch = self.take_batch(shared);
        self.finish(shared, &batch)
    }

    /// Commits this batch of theirs and answers.
    pub(crate) fn finish<E: Engine>(self, shared: &Shared<E>, batch: &Batch) -> Result<(), Error> {
        shared.count(self.answers.len());
        let result = commit(shared, batch, self.effects);
        answer_all(self.answers, &result);
        result
    }

    /// Commits nothing, and says why.
    pub(crate) fn fail(self, error: &Error) {
        answer_all(self.answers, &Err(error.clone()));
    }
}

fn answer_all(answers: Vec<(Answer, OwnedSemaphorePermit)>, result: &Result<(), Error>) {
    for (answer, place) in answers {
        answer(result.clone());
        drop(place);
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
