//! The files of a log on a disk: what was written, what of it was synced, and what is left of the rest when the power goes.
//!
//! It is harder than disks are: of each write that was not synced all, nothing, the first octets, any sectors or something
//! else is there, whatever became of earlier and later writes. A file that was made is there under its name or not.

use std::collections::BTreeMap;

use crate::random::Random;

/// Octets that a disk writes as a whole.
const SECTOR_OCTETS: usize = 512;

/// The files of one log.
#[derive(Debug, Default)]
pub(crate) struct LogFiles {
    files: BTreeMap<String, File>,
    fate: LogFate,
}

/// What became of a log, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogFate {
    /// How often it was opened, as far as that its names were synced.
    pub opened: u64,
    /// Heads that were written: two when it is opened, and one each time that the engine has a file.
    pub heads: u64,
    /// Writes that were not synced when the power went, and are there.
    pub kept: u64,
    /// Those that are not there.
    pub lost: u64,
    /// Those that are there in part.
    pub torn: u64,
    /// Writes that were not synced when only the process ended, and that the next one read.
    pub read: u64,
}

impl LogFate {
    /// Adds those of another log.
    pub fn add(&mut self, other: &LogFate) {
        self.opened += other.opened;
        self.heads += other.heads;
        self.kept += other.kept;
        self.lost += other.lost;
        self.torn += other.torn;
        self.read += other.read;
    }
}

#[derive(Debug, Default)]
struct File {
    durable: Vec<u8>,
    /// What was written since, each with its place, the earliest first.
    pending: Vec<(usize, Vec<u8>)>,
    /// Whether its name is durable.
    named: bool,
}

impl LogFiles {
    /// The octets of a file, which is made where it is not there.
    pub(crate) fn open(&mut self, name: &str) -> Vec<u8> {
        self.fate.read += self.file(name).pending.len() as u64;
        let file = self.file(name);
        let mut octets = file.durable.clone();
        file.pending.iter().for_each(|(at, written)| put(&mut octets, *at, written));
        octets
    }

    /// How long a file is.
    pub(crate) fn octets(&mut self, name: &str) -> usize {
        let file = self.file(name);
        let ends = file.pending.iter().map(|(at, written)| at + written.len());
        ends.fold(file.durable.len(), usize::max)
    }

    pub(crate) fn write(&mut self, name: &str, octets: &[u8], at: u64) {
        self.fate.heads += u64::from(at == 0);
        self.file(name).pending.push((at as usize, octets.to_vec()));
    }

    /// Makes what was written durable, but for so many of the last writes.
    pub(crate) fn sync(&mut self, name: &str, held_back: usize) {
        let file = self.file(name);
        let count = file.pending.len().saturating_sub(held_back);
        for (at, written) in file.pending.drain(..count) {
            put(&mut file.durable, at, &written);
        }
    }

    pub(crate) fn sync_names(&mut self) {
        self.fate.opened += 1;
        self.files.values_mut().for_each(|file| file.named = true);
    }

    /// The power goes.
    pub(crate) fn lose(&mut self, random: &mut Random) {
        self.files.retain(|_, file| file.named || random.chance(50));
        for file in self.files.values_mut() {
            file.named = true;
            for (at, written) in std::mem::take(&mut file.pending) {
                let kind = random.place(5);
                let count = [&mut self.fate.kept, &mut self.fate.lost].into_iter().nth(kind);
                *count.unwrap_or(&mut self.fate.torn) += 1;
                match kind {
                    0 => put(&mut file.durable, at, &written),
                    1 => {}
                    2 => put(&mut file.durable, at, &written[..random.place(written.len())]),
                    3 => put(&mut file.durable, at, &random.octets(written.len())),
                    _ => {
                        for (number, sector) in written.chunks(SECTOR_OCTETS).enumerate() {
                            if random.chance(50) {
                                put(&mut file.durable, at + number * SECTOR_OCTETS, sector);
                            }
                        }
                    }
                }
            }
        }
    }

    pub(crate) fn fate(&self) -> LogFate {
        self.fate
    }

    fn file(&mut self, name: &str) -> &mut File {
        self.files.entry(name.to_owned()).or_default()
    }
}

/// Writes over octets and behind them; what lies between is zero.
fn put(octets: &mut Vec<u8>, at: usize, written: &[u8]) {
    if written.is_empty() {
        return;
    }
    let end = at + written.len();
    octets.resize(octets.len().max(end), 0);
    octets[at..end].copy_from_slice(written);
}
