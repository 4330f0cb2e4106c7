//! Ranges of parts with their proofs: few are made at a time, and the trees over large parts are kept for a while.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use message::Identity;
use message::slice::{Outboard, OutboardBuilder, SliceError, encode_slice};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::limits::{SLICES_AT_ONCE_MAX, TREE_OF_OCTETS_MIN, TREES_OCTETS_MAX};

/// Octets that are read and hashed at a time.
const CHUNK_OCTETS: usize = 256 * 1024;

/// Reads octets of a part from an offset on, and says how many; 0 at its end.
type ReadAt = Box<dyn Fn(u64, &mut [u8]) -> io::Result<usize> + Send>;
/// A part of a message.
type Part = (Identity, usize);

/// Where the ranges of a node are made. Whoever asks for one octet of a part makes a node read all of it, so this has turns,
/// and is over when nobody waits for it any more.
pub struct Slices {
    turns: Arc<Semaphore>,
    trees: Arc<Mutex<Trees>>,
}

impl Default for Slices {
    fn default() -> Slices {
        Slices { turns: Arc::new(Semaphore::new(SLICES_AT_ONCE_MAX)), trees: Arc::default() }
    }
}

impl Slices {
    /// A range of a part, offset and octets, with its proof. Dropped, it is not made. keeps: ADDR-21, SEC-10
    pub(crate) async fn of(
        &self,
        part: Part,
        total_octets: u64,
        read_at: ReadAt,
        range: (u64, u64),
    ) -> io::Result<Bytes> {
        let turn = self.turns.clone().acquire_owned().await.map_err(io::Error::other)?;
        let waiting = Arc::new(());
        let making = Making { trees: self.trees.clone(), part, total_octets, read_at };
        let asker = Arc::downgrade(&waiting);
        let made = spawn_blocking(move || {
            let made = making.slice(range, &asker);
            drop(turn);
            made
        });
        let made = made.await.map_err(io::Error::other)?;
        drop(waiting);
        made
    }
}

/// One range that is being made.
struct Making {
    trees: Arc<Mutex<Trees>>,
    part: Part,
    total_octets: u64,
    read_at: ReadAt,
}

impl Making {
    fn slice(&self, (offset, octets): (u64, u64), asker: &Weak<()>) -> io::Result<Bytes> {
        let kept = self.trees().find(self.part);
        let tree = match kept {
            Some(tree) => tree,
            None => self.tree(asker)?,
        };
        let slice = encode_slice(&tree, offset, octets, |at, buffer: &mut [u8]| self.fill(at, buffer));
        if let Err(Trouble::Slice(error)) = &slice {
            // The tree or what it stands for may be damaged: who asks again has it made anew.
            tracing::debug!(%error, "a range could not be made");
            self.trees().forget(self.part);
        }
        slice.map(Bytes::from).map_err(|trouble| io::Error::other(format!("{trouble:?}")))
    }

    /// The tree over all of the part, for as long as somebody waits for it.
    fn tree(&self, asker: &Weak<()>) -> io::Result<Arc<Outboard>> {
        let (mut builder, mut at, mut buffer) = (OutboardBuilder::new(), 0, vec![0; CHUNK_OCTETS]);
        loop {
            if asker.strong_count() == 0 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            match (self.read_at)(at, &mut buffer)? {
                0 => break,
                count => {
                    builder.push(&buffer[..count]);
                    at += count as u64;
                }
            }
        }
        let tree = Arc::new(builder.finish());
        if self.total_octets >= TREE_OF_OCTETS_MIN {
            self.trees().keep(self.part, tree.clone());
        }
        Ok(tree)
    }

    fn fill(&self, at: u64, buffer: &mut [u8]) -> Result<(), Trouble> {
        let mut filled = 0;
        while filled < buffer.len() {
            match (self.read_at)(at + filled as u64, &mut buffer[filled..]) {
                Ok(0) | Err(_) => return Err(Trouble::Unreadable),
                Ok(count) => filled += count,
            }
        }
        Ok(())
    }

    fn trees(&self) -> std::sync::MutexGuard<'_, Trees> {
        self.trees.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The trees that are kept, those used last at the end.
#[derive(Default)]
struct Trees(VecDeque<(Part, Arc<Outboard>)>);

impl Trees {
    fn find(&mut self, part: Part) -> Option<Arc<Outboard>> {
        let at = self.0.iter().position(|(known, _)| *known == part)?;
        let found = self.0.remove(at)?;
        let tree = found.1.clone();
        self.0.push_back(found);
        Some(tree)
    }

    fn keep(&mut self, part: Part, tree: Arc<Outboard>) {
        self.forget(part);
        if tree.as_bytes().len() > TREES_OCTETS_MAX {
            return;
        }
        self.0.push_back((part, tree));
        while self.octets() > TREES_OCTETS_MAX {
            self.0.pop_front();
        }
    }

    fn forget(&mut self, part: Part) {
        self.0.retain(|(known, _)| *known != part);
    }

    fn octets(&self) -> usize {
        self.0.iter().map(|(_, tree)| tree.as_bytes().len()).sum()
    }
}

/// Why a range could not be made.
#[derive(Debug)]
enum Trouble {
    Unreadable,
    Slice(SliceError),
}

impl From<SliceError> for Trouble {
    fn from(error: SliceError) -> Trouble {
        Trouble::Slice(error)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc::{Sender, channel};

    use message::slice::verify_slice;
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    use super::*;

    const OCTETS: usize = 3 << 20;

    fn content() -> Vec<u8> {
        (0..OCTETS).map(|at| (at % 251) as u8).collect()
    }

    fn identity(octet: u8) -> Identity {
        Identity::from_bytes([octet; 32])
    }

    /// Reads the content, and counts the octets read.
    fn counted(content: &Arc<Vec<u8>>, read: &Arc<AtomicU64>) -> ReadAt {
        let (content, read) = (content.clone(), read.clone());
        Box::new(move |at, buffer| {
            let rest = &content[usize::try_from(at).unwrap().min(content.len())..];
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            read.fetch_add(count as u64, Ordering::Relaxed);
            Ok(count)
        })
    }

    /// proves: ADDR-21
    #[tokio::test]
    async fn a_large_part_is_read_once_for_many_ranges() {
        let (content, read, slices) = (Arc::new(content()), Arc::default(), Slices::default());
        let ask = async |part: u8, from: u64| {
            let read_at = counted(&content, &read);
            let slice = slices.of((identity(part), 1), OCTETS as u64, read_at, (from, 1)).await.unwrap();
            let digest = message::Digest::of(&content);
            let found = verify_slice(digest.as_bytes(), OCTETS as u64, from, 1, &slice).unwrap();
            assert_eq!(found, [(from % 251) as u8]);
            read.swap(0, Ordering::Relaxed)
        };
        assert!(ask(1, 2_000_000).await > OCTETS as u64);
        for from in [0, 17, 3_000_000] {
            // One group is 16 KiB.
            assert_eq!(ask(1, from).await, 16 * 1024);
        }
        assert!(ask(2, 0).await > OCTETS as u64, "another message");
    }

    /// A tree that does not fit what is on the disk is not used for ever.
    #[tokio::test]
    async fn what_is_damaged_is_made_anew() {
        let (whole, read, slices) = (Arc::new(content()), Arc::default(), Slices::default());
        let damaged = Arc::new([&[9], &whole[1..]].concat());
        let ask = async |content: &Arc<Vec<u8>>| {
            slices.of((identity(1), 1), OCTETS as u64, counted(content, &read), (0, 1)).await.is_ok()
        };
        assert!(ask(&damaged).await, "nobody here knows better");
        assert!(!ask(&whole).await);
        assert!(ask(&whole).await);
    }

    #[test]
    fn trees_are_bounded() {
        let mut trees = Trees::default();
        let tree = |groups: usize| {
            let nodes = vec![0; (groups - 1) * 64];
            Arc::new(Outboard::from_bytes([0; 32], groups as u64 * 16 * 1024, nodes).unwrap())
        };
        let quarter = TREES_OCTETS_MAX / 64 / 4;
        for octet in 0..5 {
            trees.keep((identity(octet), 1), tree(quarter));
            assert!(trees.find((identity(0), 1)).is_some(), "used last");
        }
        assert!(trees.octets() <= TREES_OCTETS_MAX);
        let kept = (0..5).filter(|octet| trees.find((identity(*octet), 1)).is_some()).collect::<Vec<_>>();
        assert_eq!(kept, [0, 2, 3, 4]);
        trees.keep((identity(9), 1), tree(TREES_OCTETS_MAX / 64 + 2));
        assert!(trees.find((identity(9), 1)).is_none());
    }

    /// Tells of its first read, and waits there until it is let go; what it reads never ends.
    fn endless(began: &UnboundedSender<u8>, part: u8) -> (ReadAt, Sender<()>) {
        let (began, (let_go, wait)) = (began.clone(), channel::<()>());
        let read_at: ReadAt = Box::new(move |at, buffer| {
            if at == 0 {
                began.send(part).unwrap();
                let _ = wait.recv();
            }
            Ok(buffer.len())
        });
        (read_at, let_go)
    }

    /// proves: SEC-10
    #[tokio::test]
    async fn few_are_made_at_once_and_none_that_nobody_waits_for() {
        let slices = Arc::new(Slices::default());
        let (began, mut seen): (_, UnboundedReceiver<u8>) = unbounded_channel();
        let mut asking = Vec::new();
        for part in 0..5 {
            let (read_at, let_go) = endless(&began, part);
            let slices = slices.clone();
            let task =
                tokio::spawn(async move { slices.of((identity(part), 1), u64::MAX, read_at, (0, 1)).await });
            asking.push((task, let_go));
        }
        let first: Vec<u8> = vec![seen.recv().await.unwrap(), seen.recv().await.unwrap()];
        assert_eq!(first.iter().max(), Some(&1), "in the order in which they came");
        assert_eq!(slices.turns.available_permits(), 0);
        assert!(seen.is_empty());
        // Those that wait go away, all but the last.
        for (task, _) in &asking[2..4] {
            task.abort();
        }
        // So does one that is being made, and its turn is the last one's.
        asking[0].0.abort();
        assert!((&mut asking[0].0).await.is_err());
        asking[0].1.send(()).unwrap();
        assert_eq!(seen.recv().await, Some(4));
        for place in [1, 4] {
            asking[place].0.abort();
            assert!((&mut asking[place].0).await.is_err());
            asking[place].1.send(()).unwrap();
        }
        let all = u32::try_from(SLICES_AT_ONCE_MAX).unwrap();
        let _ = slices.turns.acquire_many(all).await.unwrap();
        assert!(seen.is_empty(), "nothing was read for those who had gone");
    }
}
