//! Parts that are being received, so that an offer that is made again can go on with what an earlier one has left open.
//!
//! A sender that was killed comes back long before its old connection is known to be dead. Its old offer then still has
//! the part open. The new offer takes the part over if no octet comes for it any more; where octets still come, the part
//! is being received elsewhere and the new offer is told so.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use message::{Code, Digest, Extent};
use storage::PartWriter;

use crate::Node;
use crate::accept::{Failure, trouble};
use crate::limits::TAKE_OVER_AFTER_MS;

/// Octets from which on opening a part is handed to a thread for blocking work.
const BLOCKING_OCTETS: u64 = 1 << 20;

type Slot = Mutex<Option<PartWriter>>;

/// The parts that are being received just now, by owner and digest.
#[derive(Debug, Default)]
pub(crate) struct Receptions(Mutex<HashMap<(String, Digest), Weak<Slot>>>);

/// One part that an admission is receiving, until it is whole or taken over.
pub(crate) struct Reception {
    extent: Extent,
    slot: Arc<Slot>,
}

impl Receptions {
    /// Notes a part, and forgets those that nobody receives any more.
    fn note(&self, owner: &str, extent: Extent, writer: PartWriter) -> Reception {
        let slot = Arc::new(Mutex::new(Some(writer)));
        let mut all = lock(&self.0);
        all.retain(|_, slot| slot.strong_count() > 0);
        all.insert((owner.to_owned(), extent.digest), Arc::downgrade(&slot));
        Reception { extent, slot }
    }

    fn find(&self, owner: &str, extent: Extent) -> Option<Arc<Slot>> {
        lock(&self.0).get(&(owner.to_owned(), extent.digest)).and_then(Weak::upgrade)
    }
}

impl Reception {
    pub(crate) fn extent(&self) -> Extent {
        self.extent
    }

    /// How many octets are here; 0 after a take-over.
    pub(crate) fn offset(&self) -> u64 {
        offset(&self.slot)
    }

    /// Keeps the next octets. Where that fails nobody goes on with this writer: whoever comes next opens the part anew.
    pub(crate) fn write(&self, octets: &[u8]) -> Result<(), Failure> {
        let mut slot = lock(&self.slot);
        let written = slot.as_mut().ok_or_else(taken_over)?.write(octets);
        written.map_err(|error| {
            *slot = None;
            trouble(error)
        })
    }

    /// The writer, to finish the part.
    pub(crate) fn into_writer(self) -> Result<PartWriter, Failure> {
        lock(&self.slot).take().ok_or_else(taken_over)
    }
}

impl Node {
    /// Opens a place for a part; what an earlier attempt left is hashed there, on a thread for blocking work.
    pub(crate) async fn receive(&self, owner: String, extent: Extent) -> Result<Reception, Failure> {
        match self.stage(&owner, extent).await {
            Ok(writer) => Ok(self.inner.receptions.note(&owner, extent, writer)),
            Err(storage::Error::Busy) => self.take_over(&owner, extent).await,
            Err(error) => Err(trouble(error)),
        }
    }

    async fn take_over(&self, owner: &str, extent: Extent) -> Result<Reception, Failure> {
        if let Some(slot) = self.inner.receptions.find(owner, extent) {
            let before = offset(&slot);
            self.inner.clock.sleep_until(self.now_ms().saturating_add(TAKE_OVER_AFTER_MS)).await;
            let mut held = lock(&slot);
            if held.as_ref().is_some_and(|writer| writer.offset() == before)
                && let Some(writer) = held.take()
            {
                return Ok(self.inner.receptions.note(owner, extent, writer));
            }
        }
        // It is being received, or it was finished or given up meanwhile.
        let writer = self.stage(owner, extent).await.map_err(trouble)?;
        Ok(self.inner.receptions.note(owner, extent, writer))
    }

    async fn stage(&self, owner: &str, extent: Extent) -> Result<PartWriter, storage::Error> {
        let (store, owner, now_ms) = (self.store().clone(), owner.to_owned(), self.now_ms());
        if extent.octets < BLOCKING_OCTETS {
            return store.stage(&owner, extent, now_ms);
        }
        self.blocking(move || store.stage(&owner, extent, now_ms)).await
    }
}

fn offset(slot: &Slot) -> u64 {
    lock(slot).as_ref().map_or(0, PartWriter::offset)
}

fn taken_over() -> Failure {
    (Code::SYSTEM_TROUBLE, "a newer offer has taken the part over".to_owned())
}

/// A panic elsewhere while a lock was held leaves nothing half done that matters here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
