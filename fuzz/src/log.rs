//! The files of a store's log, with any records in any place, some of them whole: what is opened is whole, and stays as it is.

use storage::{Error, Logged, Memory, Pair, View};

/// Octets of a block (`spec/12-storage.md`, STO-27).
const BLOCK: usize = 4096;

/// Logs as they are after some use, behind the octets that [`log`] reads.
pub(crate) fn logs() -> Vec<Vec<u8>> {
    vec![
        // Three records in one file, the next two in the other.
        b"\x01\x01\x05\x00\x01k\x00\x00\x00\x01v\x01\x02\x02\x00\x01k\xff\xff\xff\xff\x01\x03\x00\x02\x04\x00\x02\x05\x00".to_vec(),
        // What an earlier use has left behind a newer record; a head that says what is settled.
        b"\x01\x05\x00\x01\x02\x00\x03\x04\x00".to_vec(),
        b"\x04\x03\x00\x01\x04\x00".to_vec(),
        // One that somebody has made up, behind two that are whole.
        b"\x01\x01\x05\x00\x01k\x00\x00\x00\x01v\x01\x02\x00\x21\x03\x05\x00\x01k\x00\x00\x00\x01w".to_vec(),
    ]
}

/// The secret of these logs, and what they have whose writer does not know it.
const SECRET: [u8; 32] = [9; 32];

/// The octets are steps: what to do, a number, how many octets follow, and they. A record goes to the next block of its file, its
/// check right unless the step says otherwise. One that is made without the secret counts as much as zeroes.
pub(crate) fn log(octets: &[u8]) {
    let mut files = [vec![0; BLOCK], vec![0; BLOCK]];
    files.iter_mut().for_each(|file| write_head(file, 0));
    let mut bare = files.clone();
    let mut rest = octets;
    while let [what, number, length, tail @ ..] = rest {
        let (body, later) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = later;
        let place = usize::from(what >> 1 & 1);
        match what {
            0x03 | 0x04 => [&mut files, &mut bare].map(|files| write_head(&mut files[place], *number)),
            _ if files[place].len() < 16 * BLOCK => {
                [(&mut files, false), (&mut bare, true)].map(|(files, bare)| match (what & 0x20 != 0, bare) {
                    (true, true) => files[place].resize(files[place].len() + blocks(body), 0),
                    (true, false) => write_record(&mut files[place], [0; 32], *number, body, true),
                    _ => write_record(&mut files[place], SECRET, *number, body, what & 0x10 == 0),
                })
            }
            _ => continue,
        };
    }
    assert_eq!(opened(&files), opened(&bare));
}

/// What a store finds in such a log; nothing where it is damaged.
fn opened(files: &[Vec<u8>; 2]) -> Option<Vec<Pair>> {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, octets) in ["wal-0", "wal-1"].iter().zip(files) {
        std::fs::write(folder.path().join(name), octets).expect("a file");
    }
    let memory = Memory::new();
    match Logged::open(memory.clone(), folder.path()) {
        Ok(first) => {
            let found = without_number(first.range(b"", b"\xff", 1000));
            drop(first);
            // The engine has it now: nothing is carried out a second time, and an engine that had lost it would be noticed.
            let again = Logged::open(memory.clone(), folder.path()).expect("it was opened before");
            assert_eq!(without_number(again.range(b"", b"\xff", 1000)), found);
            drop(again);
            let settled = memory.range(b"Zsettled", b"Zsettled\x01", 1).expect("memory can be read");
            assert_eq!(Logged::open(Memory::new(), folder.path()).is_err(), !settled.is_empty());
            Some(found)
        }
        Err(Error::Damaged { .. }) => None,
        Err(other) => panic!("{other}"),
    }
}

/// Without what the engine keeps for the log.
fn without_number(pairs: Result<Vec<Pair>, Error>) -> Vec<Pair> {
    let pairs = pairs.expect("memory can be read");
    pairs.into_iter().filter(|(key, _)| !key.starts_with(b"Zsettled")).collect()
}

fn write_head(file: &mut [u8], settled: u8) {
    file[..16].copy_from_slice(b"waxwing log 1\r\n\0");
    file[16..48].copy_from_slice(&SECRET);
    file[48..56].copy_from_slice(&u64::from(settled).to_be_bytes());
    let check = keyed(&SECRET, &file[..56]);
    file[56..72].copy_from_slice(&check);
}

fn write_record(file: &mut Vec<u8>, secret: [u8; 32], number: u8, changes: &[u8], right: bool) {
    let (before, octets) = (file.len(), blocks(changes));
    let mut head = b"WREC".to_vec();
    head.extend((changes.len() as u32).to_be_bytes());
    head.extend(u64::from(number).to_be_bytes());
    let check = keyed(&secret, &[&head[..], changes].concat());
    file.extend(head);
    file.extend(check);
    file.extend(changes);
    if !right && let Some(last) = file.last_mut() {
        *last ^= 1;
    }
    file.resize(before + octets, 0);
}

fn keyed(secret: &[u8; 32], octets: &[u8]) -> [u8; 16] {
    let mut writer = message::DigestWriter::keyed(secret);
    writer.update(octets);
    let mut short = [0; 16];
    short.copy_from_slice(&writer.digest().as_bytes()[..16]);
    short
}

/// Octets that a record of these changes takes.
fn blocks(changes: &[u8]) -> usize {
    (32 + changes.len()).next_multiple_of(BLOCK)
}
