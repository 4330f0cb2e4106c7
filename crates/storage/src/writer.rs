//! Who changes the store: it takes the operations that wait, runs each in a transaction of its own, commits them
//! together, and then answers all. That is one thread, or, where there is to be none, whoever waits.
//!
//! keeps: STO-1, STO-6, STO-7

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread::JoinHandle;

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
/// Operations, each with its place among those that may wait.
type Group = VecDeque<(Work, OwnedSemaphorePermit)>;

/// Who runs and commits operations.
pub(crate) enum Writer<E: Engine> {
    /// A thread. Both are there until the writer is dropped.
    Thread { requests: Option<Sender<Request>>, thread: Option<JoinHandle<()>> },
    /// Whoever waits. The lock of the group is held for as long as a commit takes.
    InPlace { shared: Arc<Shared<E>>, waiting: Mutex<Group>, running: Mutex<()> },
}

/// What the thread is asked for.
pub(crate) enum Request {
    /// An operation, and its place among those that may wait.
    Work(Work, OwnedSemaphorePermit),
    /// Compact the engine.
    Compact(Sender<Result<(), Error>>),
}

impl<E: Engine> Writer<E> {
    /// A thread of its own.
    pub(crate) fn thread(shared: Arc<Shared<E>>) -> Result<Writer<E>, Error> {
        let (requests, receiver) = channel();
        let thread = std::thread::Builder::new()
            .name("storage-writer".to_owned())
            .spawn(move || run(&shared, &receiver))?;
        Ok(Writer::Thread { requests: Some(requests), thread: Some(thread) })
    }

    /// No thread.
    pub(crate) fn in_place(shared: Arc<Shared<E>>) -> Result<Writer<E>, Error> {
        Ok(Writer::InPlace { shared, waiting: Mutex::default(), running: Mutex::default() })
    }

    /// Takes an operation, which is carried out even where the future is dropped after it was polled once.
    pub(crate) async fn take(&self, work: Work, place: OwnedSemaphorePermit) -> Result<(), Error> {
        match self {
            Writer::Thread { requests, .. } => {
                let requests = requests.as_ref().ok_or(Error::Closed)?;
                requests.send(Request::Work(work, place)).map_err(|_| Error::Closed)
            }
            Writer::InPlace { waiting, .. } => {
                lock(waiting).push_back((work, place));
                // Others that are about to ask for something may do so now: they become one group.
                step_aside().await;
                self.commit_waiting();
                Ok(())
            }
        }
    }

    fn commit_waiting(&self) {
        let Writer::InPlace { shared, waiting, running } = self else { return };
        let _running = lock(running);
        let mut group = std::mem::take(&mut *lock(waiting));
        while !group.is_empty() {
            run_group(shared, &mut group);
        }
    }

    /// Compacts the engine.
    pub(crate) fn compact(&self) -> Result<(), Error> {
        match self {
            Writer::Thread { requests, .. } => {
                let (reply, answer) = channel();
                let requests = requests.as_ref().ok_or(Error::Closed)?;
                requests.send(Request::Compact(reply)).map_err(|_| Error::Closed)?;
                answer.recv().map_err(|_| Error::Closed)?
            }
            Writer::InPlace { shared, running, .. } => {
                let _running = lock(running);
                compact(shared)
            }
        }
    }
}

/// What was begun is committed.
impl<E: Engine> Drop for Writer<E> {
    fn drop(&mut self) {
        match self {
            Writer::Thread { requests, thread } => {
                *requests = None;
                if let Some(thread) = thread.take() {
                    // A writer that panicked has said so; there is nothing to add.
                    let _ = thread.join();
                }
            }
            Writer::InPlace { .. } => self.commit_waiting(),
        }
    }
}

impl<E: Engine> std::fmt::Debug for Writer<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Writer::Thread { .. } => "Writer::Thread",
            Writer::InPlace { .. } => "Writer::InPlace",
        })
    }
}

/// Lets everybody else who is ready go first, once.
async fn step_aside() {
    let mut stepped = false;
    poll_fn(|context| {
        if std::mem::replace(&mut stepped, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn compact<E: Engine>(shared: &Shared<E>) -> Result<(), Error> {
    shared.writable().and_then(|()| shared.engine.compact())
}

/// Serves requests until nobody can make any more.
fn run<E: Engine>(shared: &Arc<Shared<E>>, requests: &Receiver<Request>) {
    while let Ok(first) = requests.recv() {
        let mut group = Group::new();
        let mut next = Some(first);
        let mut compacting = None;
        while let Some(request) = next {
            match request {
                Request::Work(work, permit) => group.push_back((work, permit)),
                Request::Compact(answer) => {
                    compacting = Some(answer);
                    break;
                }
            }
            next = if group.len() < GROUP_OPERATIONS_MAX { requests.try_recv().ok() } else { None };
        }
        while !group.is_empty() {
            run_group(shared, &mut group);
        }
        if let Some(answer) = compacting {
            // Whoever asked may have gone.
            let _ = answer.send(compact(shared));
        }
    }
}

/// Runs operations until there are no more or their changes become large, and commits them in one batch.
fn run_group<E: Engine>(shared: &Shared<E>, group: &mut Group) {
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
