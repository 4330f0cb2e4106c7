//! Who changes the store: it takes the operations that wait, runs each in a transaction of its own, commits them
//! together, and then answers all. That is one thread with one that commits for it, or, where there is to be none,
//! whoever waits.
//!
//! While a group is being committed the next one is run over it, so that neither the processor waits for the disk nor
//! the disk for the processor. Nothing of the next group is seen or answered before it is durable itself, and where a
//! commit fails, what was run over it fails with it.
//!
//! keeps: STO-1, STO-6, STO-7

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::mpsc::{Receiver, SendError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread::JoinHandle;

use tokio::sync::OwnedSemaphorePermit;

use crate::Error;
use crate::engine::{Batch, Engine, guarded};
use crate::files::lock;
use crate::group::{Prepared, Work};
use crate::keeper::Shared;
use crate::limits::OPERATIONS_IN_PLACE_MAX;

/// Operations, each with its place among those that may wait.
type Group = VecDeque<(Work, OwnedSemaphorePermit)>;

/// Who runs and commits operations.
pub(crate) enum Writer<E: Engine> {
    /// A thread, which is there until the writer is dropped.
    Thread { requests: Sender<Request>, thread: Option<JoinHandle<()>> },
    /// Whoever waits. The lock of the group is held for as long as a commit takes.
    InPlace { shared: Arc<Shared<E>>, waiting: Mutex<Group>, running: Mutex<()> },
}

/// What the thread is asked for.
pub(crate) enum Request {
    /// An operation, and its place among those that may wait.
    Work(Work, OwnedSemaphorePermit),
    /// Compact the engine.
    Compact(Sender<Result<(), Error>>),
    /// The group that was handed over is committed, or not.
    Committed(Result<(), Error>),
    /// Nobody can ask for anything any more.
    Close,
}

impl<E: Engine> Writer<E> {
    /// A thread of its own.
    pub(crate) fn thread(shared: Arc<Shared<E>>) -> Result<Writer<E>, Error> {
        let (requests, receiver) = channel();
        let own = requests.clone();
        let thread = std::thread::Builder::new()
            .name("storage-writer".to_owned())
            .spawn(move || run(&shared, &receiver, own))?;
        Ok(Writer::Thread { requests, thread: Some(thread) })
    }

    /// No thread.
    pub(crate) fn in_place(shared: Arc<Shared<E>>) -> Result<Writer<E>, Error> {
        Ok(Writer::InPlace { shared, waiting: Mutex::default(), running: Mutex::default() })
    }

    /// Takes an operation, which is carried out even where the future is dropped after it was polled once.
    pub(crate) async fn take(&self, work: Work, place: OwnedSemaphorePermit) -> Result<(), Error> {
        match self {
            Writer::Thread { requests, .. } => {
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
        let mut open = Prepared::default();
        while let Some((work, place)) = group.pop_front() {
            open.run(shared, None, work, place);
            if group.is_empty() || open.is_full() {
                // Everybody is told by their own answer.
                let _ = std::mem::take(&mut open).commit(shared);
            }
        }
    }

    /// Compacts the engine.
    pub(crate) fn compact(&self) -> Result<(), Error> {
        match self {
            Writer::Thread { requests, .. } => {
                let (reply, answer) = channel();
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
                // It fails only where the thread has ended.
                let _ = requests.send(Request::Close);
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
fn run<E: Engine>(shared: &Shared<E>, requests: &Receiver<Request>, own: Sender<Request>) {
    std::thread::scope(|scope| {
        let (groups, handed_over) = channel::<(Arc<Batch>, Prepared)>();
        let committing = std::thread::Builder::new().name("storage-commit".to_owned());
        let committer = committing.spawn_scoped(scope, move || {
            for (batch, group) in handed_over {
                // Dropped whatever happens: the other thread must not wait for ever.
                let mut told =
                    Told { requests: &own, result: Err(Error::Unknown("a commit broke off".to_owned())) };
                told.result = guarded("commit", || Ok(group.finish(shared, &batch)))
                    .unwrap_or_else(|error| Err(shared.poison(&error)));
            }
        });
        // Without a second thread every group is committed by this one.
        let groups = committer.is_ok().then_some(groups);
        let mut serving = Serving { shared, groups, open: Prepared::default(), pending: None };
        let served = guarded("writer", move || {
            serving.serve(requests);
            Ok(())
        });
        if let Err(error) = served {
            // Who waits for an answer hears that there is none; all others that nothing is written any more.
            shared.poison(&error);
        }
    });
}

/// Says how a commit went when it is dropped.
struct Told<'a> {
    requests: &'a Sender<Request>,
    result: Result<(), Error>,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        // Nobody is there to be told only where the whole store is going.
        let _ = self.requests.send(Request::Committed(self.result.clone()));
    }
}

/// The thread that runs operations.
struct Serving<'a, E: Engine> {
    shared: &'a Shared<E>,
    groups: Option<Sender<(Arc<Batch>, Prepared)>>,
    /// What was run since the last group was handed over.
    open: Prepared,
    /// What is being committed: the engine has it, in part, or not yet.
    pending: Option<Arc<Batch>>,
}

impl<E: Engine> Serving<'_, E> {
    fn serve(&mut self, requests: &Receiver<Request>) {
        let (mut backlog, mut compacting, mut closing) = (Group::new(), Vec::new(), false);
        loop {
            while !self.open.is_full()
                && let Some((work, place)) = backlog.pop_front()
            {
                self.open.run(self.shared, self.pending.as_deref(), work, place);
            }
            let idle = self.pending.is_none();
            if idle && self.open.is_empty() {
                for answer in compacting.drain(..) {
                    // Whoever asked may have gone.
                    let answer: Sender<Result<(), Error>> = answer;
                    let _ = answer.send(compact(self.shared));
                }
                if closing {
                    return;
                }
            }
            let next = match idle && !self.open.is_empty() {
                true if self.open.is_full() => None,
                true => requests.try_recv().ok(),
                false => match requests.recv() {
                    Ok(request) => Some(request),
                    Err(_) => return,
                },
            };
            match next {
                Some(Request::Work(work, place)) => backlog.push_back((work, place)),
                Some(Request::Compact(answer)) => compacting.push(answer),
                Some(Request::Close) => closing = true,
                Some(Request::Committed(result)) => {
                    self.pending = None;
                    if let Err(error) = result {
                        std::mem::take(&mut self.open).fail(&error);
                    }
                }
                None => self.hand_over(),
            }
        }
    }

    /// Has the open group committed.
    fn hand_over(&mut self) {
        let mut group = std::mem::take(&mut self.open);
        let groups = self.groups.as_ref().filter(|_| group.len() > OPERATIONS_IN_PLACE_MAX);
        let Some(groups) = groups else {
            // Everybody is told by their own answer, and nothing was run over this group.
            let _ = group.commit(self.shared);
            return;
        };
        let batch = Arc::new(group.take_batch(self.shared));
        match groups.send((batch.clone(), group)) {
            Ok(()) => self.pending = Some(batch),
            Err(SendError((_, group))) => group.fail(&Error::Closed),
        }
    }
}

#[cfg(test)]
mod tests;
