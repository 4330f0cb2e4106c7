//! Bodies from the store, for the transport to send.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use message::Identity;
use storage::{PartReader, Store, StoredMessage};
use transport::{Later, Source};

use crate::slices::Slices;

/// Octets from which on reading is handed to a thread for blocking work.
const BLOCKING_OCTETS: u64 = storage::limits::INLINE_OCTETS_MAX;

/// The bodies of one message.
pub struct StoreSource {
    store: Arc<dyn Store>,
    identity: Identity,
    /// The part that was read last: what is read next is more of it.
    open: Mutex<Option<(usize, Arc<PartReader>)>>,
    slices: Arc<Slices>,
}

impl StoreSource {
    /// Those of this message in this store. Ranges are made where all of the node's are.
    pub fn new(store: Arc<dyn Store>, identity: Identity, slices: Arc<Slices>) -> StoreSource {
        StoreSource { store, identity, open: Mutex::default(), slices }
    }

    fn open(&self, part: usize) -> io::Result<Arc<PartReader>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, reader)) = open.as_ref().filter(|(number, _)| *number == part) {
            return Ok(reader.clone());
        }
        let reader = self
            .store
            .open_part(self.identity, part)
            .map_err(io::Error::other)?
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the part is not here"))?;
        let reader = Arc::new(reader);
        *open = Some((part, reader.clone()));
        Ok(reader)
    }

    fn close(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Source for StoreSource {
    fn read(&self, part: usize, offset: u64, octets_max: usize) -> Later<'_, io::Result<Bytes>> {
        Box::pin(async move {
            let reader = self.open(part)?;
            let octets = reader.octets();
            let read = move || {
                let mut buffer = vec![0; octets_max];
                let count = reader.read_at(offset, &mut buffer).map_err(io::Error::other)?;
                buffer.truncate(count);
                Ok(Bytes::from(buffer))
            };
            let read = if octets_max as u64 <= BLOCKING_OCTETS {
                read()
            } else {
                tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
            };
            // The file is closed with its last octet, however long the rest of the message takes.
            if read.as_ref().is_ok_and(|read: &Bytes| offset + read.len() as u64 >= octets) {
                self.close();
            }
            read
        })
    }

    fn slice(&self, part: usize, offset: u64, octets: u64) -> Later<'_, io::Result<Bytes>> {
        Box::pin(async move {
            let reader = self.open(part)?;
            let total = reader.octets();
            let read_at = move |at, buffer: &mut [u8]| reader.read_at(at, buffer).map_err(io::Error::other);
            self.slices.of((self.identity, part), total, Box::new(read_at), (offset, octets)).await
        })
    }
}

/// What of a stored message can be sent; `None` where its headers are not here.
pub fn supply(message: &StoredMessage) -> Option<protocol::Supply> {
    Some(protocol::Supply {
        manifest: message.manifest.clone(),
        headers: message.headers.as_ref()?.octets(),
        seals: message.seals.iter().map(|seal| seal.octets().clone()).collect(),
    })
}
