//! The files of a store's log, with any records in any place, some of them whole: what is opened is whole, and stays as it is.

use storage::{Error, Logged, Memory, View};

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
    ]
}

/// The octets are steps: what to do, a number, how many octets follow, and they. A record goes to the next block of its file, its
/// check right unless the step says otherwise.
pub(crate) fn log(octets: &[u8]) {
    let mut files = [vec![0; BLOCK], vec![0; BLOCK]];
    let mut rest = octets;
    while let [what, number, length, tail @ ..] = rest {
        let (body, later) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = later;
        let file = &mut files[usize::from(what >> 1 & 1)];
        match what {
            0x03 | 0x04 => write_head(file, *number),
            _ if file.len() < 16 * BLOCK => write_record(file, *number, body, what & 0x10 == 0),
            _ => {}
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    for (name, octets) in ["wal-0", "wal-1"].iter().zip(&files) {
        std::fs::write(folder.path().join(name), octets).expect("a file");
    }
    let memory = Memory::new();
    match Logged::open(memory.clone(), folder.path()) {
        Ok(first) => {
            let found = first.range(b"", b"\xff", 1000);
            drop(first);
            // The engine has it now, and nothing is carried out a second time.
            let again = Logged::open(Memory::new(), folder.path()).expect("it was opened before");
            assert_eq!(again.range(b"", b"\xff", 1000), Ok(Vec::new()));
            assert_eq!(memory.range(b"", b"\xff", 1000), found);
        }
        Err(Error::Damaged { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}

fn write_head(file: &mut [u8], settled: u8) {
    file[..16].copy_from_slice(b"waxwing log 1\r\n\0");
    file[16..24].copy_from_slice(&u64::from(settled).to_be_bytes());
    let check = *message::Digest::of(&file[..24]).as_bytes();
    file[24..40].copy_from_slice(&check[..16]);
}

fn write_record(file: &mut Vec<u8>, number: u8, changes: &[u8], right: bool) {
    let mut head = b"WREC".to_vec();
    head.extend((changes.len() as u32).to_be_bytes());
    head.extend(u64::from(number).to_be_bytes());
    let check = *message::Digest::of(&[&head[..], changes].concat()).as_bytes();
    file.extend(head);
    file.extend(&check[..16]);
    file.extend(changes);
    if !right && let Some(last) = file.last_mut() {
        *last ^= 1;
    }
    file.resize(file.len().next_multiple_of(BLOCK), 0);
}
