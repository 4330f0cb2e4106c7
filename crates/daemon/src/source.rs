//! Bodies from the store, for the transport to send.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use message::Identity;
use message::slice::{Outboard, OutboardBuilder, SliceError, encode_slice};
use storage::{PartReader, Store, StoredMessage};
use transport::{Later, Source};

/// Octets from which on reading is handed to a thread for blocking work.
const BLOCKING_OCTETS: u64 = storage::limits::INLINE_OCTETS_MAX;

/// The bodies of one message.
pub struct StoreSource {
    store: Arc<dyn Store>,
    identity: Identity,
    /// The part that was read last: what is read next is more of it.
    open: Mutex<Option<(usize, Arc<PartReader>)>>,
}

impl StoreSource {
    /// Those of this message in this store.
    pub fn new(store: Arc<dyn Store>, identity: Identity) -> StoreSource {
        StoreSource { store, identity, open: Mutex::default() }
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
            let slice = tokio::task::spawn_blocking(move || slice_of(&reader, offset, octets));
            slice.await.map_err(io::Error::other)?
        })
    }
}

/// A range of a part with its proof. The tree over the part is worked out anew each time: ranges are asked for seldom,
/// and a tree that is kept could be damaged.
fn slice_of(reader: &PartReader, offset: u64, octets: u64) -> io::Result<Bytes> {
    let outboard = outboard_of(reader)?;
    let slice = encode_slice(&outboard, offset, octets, |at, buffer: &mut [u8]| {
        let mut filled = 0;
        while filled < buffer.len() {
            match reader
                .read_at(at + filled as u64, &mut buffer[filled..])
                .map_err(|_| SliceTrouble::Unreadable)?
            {
                0 => return Err(SliceTrouble::Unreadable),
                count => filled += count,
            }
        }
        Ok(())
    });
    slice.map(Bytes::from).map_err(|trouble| io::Error::other(format!("{trouble:?}")))
}

fn outboard_of(reader: &PartReader) -> io::Result<Outboard> {
    let (mut builder, mut at, mut buffer) = (OutboardBuilder::new(), 0, vec![0; 256 * 1024]);
    loop {
        match reader.read_at(at, &mut buffer).map_err(io::Error::other)? {
            0 => return Ok(builder.finish()),
            count => {
                builder.push(&buffer[..count]);
                at += count as u64;
            }
        }
    }
}

/// Why a range could not be made.
#[derive(Debug)]
enum SliceTrouble {
    Unreadable,
    Slice(#[expect(dead_code, reason = "shown by Debug")] SliceError),
}

impl From<SliceError> for SliceTrouble {
    fn from(error: SliceError) -> SliceTrouble {
        SliceTrouble::Slice(error)
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
