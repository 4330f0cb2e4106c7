//! The other end: a recipient's mailbox, watched until everything has come.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::client::Session;
use crate::limits::{WATCH_PAGE, WATCH_PATIENCE_MS, WATCH_POLL_MS};
use crate::profile::{self, Profile};
use crate::{Error, clock};

/// A mailbox, and up to where it was before.
pub(super) struct Watch {
    session: Session,
    after: u64,
}

/// A mailbox that is being watched.
pub(super) struct Watching {
    expected: watch::Sender<Option<u64>>,
    task: JoinHandle<Result<Arrivals, Error>>,
}

/// What has come.
pub(super) struct Arrivals {
    /// How many.
    pub(super) count: u64,
    /// When the last one was seen.
    pub(super) last: Instant,
}

impl Watch {
    /// Opens the mailbox of this profile.
    pub(super) async fn open(folder: &Path) -> Result<Watch, Error> {
        let (profile, device) = (Profile::load(folder)?, profile::device_key(folder)?);
        let mut session = Session::connect(&profile.node, &profile.trust, &device).await?;
        let mut after = 0;
        while let Some(last) = session.mailbox(after, WATCH_PAGE).await?.last() {
            after = last.number;
        }
        Ok(Watch { session, after })
    }

    /// Begins to count what comes from now on.
    pub(super) fn start(self) -> Watching {
        let (expected, known) = watch::channel(None);
        Watching { expected, task: tokio::spawn(count(self, known)) }
    }
}

impl Watching {
    /// Waits until so many have come, or none has come for a while.
    pub(super) async fn until(self, expected: u64) -> Result<Arrivals, Error> {
        self.expected.send_replace(Some(expected));
        self.task.await.map_err(|error| Error::Local(error.to_string()))?
    }
}

async fn count(mut watch: Watch, expected: watch::Receiver<Option<u64>>) -> Result<Arrivals, Error> {
    let mut arrivals = Arrivals { count: 0, last: clock::instant() };
    loop {
        let entries = watch.session.mailbox(watch.after, WATCH_PAGE).await?;
        if let Some(last) = entries.last() {
            watch.after = last.number;
            arrivals.count += entries.len() as u64;
            arrivals.last = clock::instant();
        }
        let known = *expected.borrow();
        let patience = Duration::from_millis(WATCH_PATIENCE_MS);
        let quiet = clock::instant().duration_since(arrivals.last) > patience;
        if known.is_some_and(|expected| arrivals.count >= expected || quiet) {
            watch.session.close().await;
            return Ok(arrivals);
        }
        if (entries.len() as u64) < WATCH_PAGE / 2 {
            tokio::time::sleep(Duration::from_millis(WATCH_POLL_MS)).await;
        }
    }
}
