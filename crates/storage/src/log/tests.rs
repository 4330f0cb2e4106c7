use std::path::Path;

use super::*;
use crate::log_place::LogDirectory;

fn batch(number: u64, octets: usize) -> Batch {
    let mut batch = Batch::default();
    batch.put(format!("key {number}").into_bytes(), vec![number as u8; octets]);
    batch.remove(format!("key {}", number.wrapping_sub(1)).into_bytes());
    batch
}

fn open(directory: &Path) -> Result<(Log, Heads, Found), Error> {
    open_behind(directory, 0)
}

/// Opens it for an engine that has as much.
fn open_behind(directory: &Path, has: u64) -> Result<(Log, Heads, Found), Error> {
    Log::open(&LogDirectory::make(directory)?, 2 * BLOCK_OCTETS as u64, has)
}

/// Opens a log that is full at once after each record, and says in both heads what was found, as its user does.
fn opened(directory: &Path) -> Result<(Log, Heads, Found), Error> {
    let (log, heads, found) = open(directory)?;
    heads.write(0, found.last)?;
    heads.write(1, found.last)?;
    Ok((log, heads, found))
}

fn copy(directory: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in NAMES {
        std::fs::copy(directory.join(name), copy.path().join(name)).unwrap();
    }
    copy
}

/// proves: STO-27
#[test]
fn what_was_appended_is_found() {
    let place = tempfile::tempdir().unwrap();
    let (mut log, heads, found) = opened(place.path()).unwrap();
    assert_eq!((found.batches.len(), found.last), (0, 0));
    for number in 1..=5 {
        log.append(&batch(number, 5000)).unwrap();
    }
    let copied = copy(place.path());
    let (_, _, found) = opened(copied.path()).unwrap();
    assert_eq!(found.batches, (1..=5).map(|number| batch(number, 5000)).collect::<Vec<_>>());
    // The heads of the copy say that all was taken: nothing is found a second time.
    assert_eq!(opened(copied.path()).unwrap().2.batches.len(), 0);
    // The other file; the first is settled, and used again: its earlier records are still in it, and are not found.
    assert_eq!(log.turn(), (0, 5));
    log.append(&batch(6, 10)).unwrap();
    heads.write(0, 5).unwrap();
    assert_eq!(log.turn(), (1, 6));
    log.append(&batch(7, 10)).unwrap();
    let found = opened(copy(place.path()).path()).unwrap().2;
    assert_eq!((found.batches, found.last), (vec![batch(6, 10), batch(7, 10)], 7));
}

/// The octets of a record as the specification has them, put together here by hand.
///
/// proves: STO-27
#[test]
fn a_record_looks_as_specified() {
    let place = tempfile::tempdir().unwrap();
    let (mut log, _, _) = opened(place.path()).unwrap();
    let mut changes = Batch::default();
    changes.put(b"ab".to_vec(), b"xyz".to_vec());
    changes.remove(b"b".to_vec());
    log.append(&changes).unwrap();
    let octets = std::fs::read(place.path().join("wal-0")).unwrap();
    let body = b"\0\x02ab\0\0\0\x03xyz\0\x01b\xff\xff\xff\xff";
    let head = b"WREC\0\0\0\x12\0\0\0\0\0\0\0\x01";
    // The secret stands in the head; keyed digests by the crate itself.
    let secret: [u8; 32] = octets[16..48].try_into().unwrap();
    let digest = blake3::keyed_hash(&secret, &[&head[..], body].concat());
    let record = [&head[..], &digest.as_bytes()[..16], body].concat();
    assert_eq!(octets[4096..4096 + record.len()], record);
    assert!(octets[4096 + record.len()..].iter().all(|octet| *octet == 0));
    let head = [&b"waxwing log 1\r\n\0"[..], &secret, &[0; 8]].concat();
    let digest = blake3::keyed_hash(&secret, &head);
    assert_eq!(octets[..72], [&head[..], &digest.as_bytes()[..16]].concat());
    // Nobody can guess it.
    let another = tempfile::tempdir().unwrap();
    opened(another.path()).unwrap();
    assert_ne!(std::fs::read(another.path().join("wal-0")).unwrap()[16..48], secret);
}

/// A record that anybody can make, who does not know the secret.
fn forged(number: u64, secret: Option<[u8; 32]>) -> Vec<u8> {
    let mut record = Vec::new();
    encode(&mut record, &Secret(secret.unwrap_or_default()), number, &batch(99, 3)).unwrap();
    if secret.is_none() {
        let digest = message::Digest::of(&[&record[..16], &record[RECORD_HEAD_OCTETS..]].concat());
        record[16..32].copy_from_slice(&digest.as_bytes()[..16]);
    }
    record
}

/// A letter in which each block of the file begins with what looks like a record, the next one or one far ahead, is found there
/// again when the file is used a second time.
///
/// proves: STO-27
#[test]
fn a_value_that_looks_like_a_record_is_a_value() {
    const BEFORE: usize = RECORD_HEAD_OCTETS + 2 + 4 + 4;
    for (number, secret) in [(3, None), (1 << 62, None), (3, Some([0; 32])), (1 << 62, Some([7; 32]))] {
        let place = tempfile::tempdir().unwrap();
        let (mut log, heads, _) = opened(place.path()).unwrap();
        let record = forged(number, secret);
        let mut value = vec![0; BLOCK_OCTETS - BEFORE];
        for _ in 0..8 {
            value.extend_from_slice(&record);
            value.resize(value.len() + BLOCK_OCTETS - record.len(), 0);
        }
        let (mut letter, mut short) = (Batch::default(), Batch::default());
        letter.put(b"body".to_vec(), value);
        short.put(b"short".to_vec(), b"value".to_vec());
        log.append(&letter).unwrap();
        let octets = std::fs::read(place.path().join(NAMES[0])).unwrap();
        assert_eq!(octets[2 * BLOCK_OCTETS..][..record.len()], record);
        // The engine has it; the file is used from its beginning, where one record is written over the first block only.
        heads.write(0, 1).unwrap();
        heads.write(1, 1).unwrap();
        log.turn();
        log.turn();
        log.append(&short).unwrap();
        let found = open(place.path()).unwrap().2;
        assert_eq!((found.last, found.batches), (2, vec![short]), "{number}");
    }
}

/// proves: STO-28
#[test]
fn files_of_two_logs_are_no_log() {
    let (place, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for folder in [&place, &other] {
        let (mut log, _, _) = opened(folder.path()).unwrap();
        log.append(&batch(1, 10)).unwrap();
    }
    std::fs::copy(other.path().join(NAMES[1]), place.path().join(NAMES[1])).unwrap();
    assert!(matches!(open(place.path()), Err(Error::Damaged { .. })));
    // Without a head that can be read there is no telling what is a record.
    let bare = copy(other.path());
    for name in NAMES {
        let path = bare.path().join(name);
        let mut octets = std::fs::read(&path).unwrap();
        octets[20] ^= 1;
        std::fs::write(&path, octets).unwrap();
    }
    assert!(matches!(open(bare.path()), Err(Error::Damaged { .. })));
}

/// One octet is changed, at every place that counts: in the last record that ends the log there, since it could be one that
/// was being written; in any other it is damage. In a head it does no harm.
///
/// proves: STO-28
#[test]
fn what_is_broken_is_seen() {
    let place = tempfile::tempdir().unwrap();
    let (mut log, _, _) = opened(place.path()).unwrap();
    (1..=3).for_each(|number| log.append(&batch(number, 100)).unwrap());
    let record = RECORD_HEAD_OCTETS + 2 + 5 + 4 + 100 + 2 + 5 + 4;
    for number in 0..=3_usize {
        for at in 0..record.min(if number == 0 { HEAD_OCTETS } else { record }) {
            let broken = copy(place.path());
            let path = broken.path().join(NAMES[0]);
            let mut octets = std::fs::read(&path).unwrap();
            octets[number * BLOCK_OCTETS + at] ^= 0x20;
            std::fs::write(&path, octets).unwrap();
            let found = open(broken.path()).map(|(_, _, found)| found.last);
            match number {
                0 => assert_eq!(found, Ok(3), "head, {at}"),
                3 => assert_eq!(found, Ok(2), "last record, {at}"),
                _ => assert!(matches!(found, Err(Error::Damaged { .. })), "record {number}, {at}: {found:?}"),
            }
        }
    }
}

/// proves: STO-28
#[test]
fn a_log_that_lacks_a_file_is_damaged() {
    let place = tempfile::tempdir().unwrap();
    let (mut log, heads, _) = opened(place.path()).unwrap();
    log.append(&batch(1, 10)).unwrap();
    log.turn();
    log.append(&batch(2, 10)).unwrap();
    let removed = place.path().join(NAMES[0]);
    std::fs::remove_file(&removed).unwrap();
    assert!(matches!(open(place.path()), Err(Error::Damaged { .. })));
    // Nor is it whole where it has a first block only.
    std::fs::write(&removed, [0; BLOCK_OCTETS]).unwrap();
    assert!(matches!(open(place.path()), Err(Error::Damaged { .. })));
    // Where the engine has what was in it, nothing is lacking.
    heads.write(1, 1).unwrap();
    assert_eq!(open(place.path()).unwrap().2.batches, [batch(2, 10)]);
}

/// Flips an octet of a file.
fn spoil(directory: &Path, file: usize, at: usize) {
    let path = directory.join(NAMES[file]);
    let mut octets = std::fs::read(&path).unwrap();
    octets[at] ^= 0x20;
    std::fs::write(&path, octets).unwrap();
}

/// The power goes while a file is written from its beginning, and again while the head of that file is written by the
/// recovery: what is left in the file is no gap, since the engine has it.
///
/// proves: STO-28
#[test]
fn what_the_engine_has_is_not_missed_where_a_head_is_cut_off() {
    let place = tempfile::tempdir().unwrap();
    let (mut log, heads, _) = opened(place.path()).unwrap();
    (1..=3).for_each(|number| log.append(&batch(number, 10)).unwrap());
    log.turn();
    log.append(&batch(4, 10)).unwrap();
    heads.write(0, 3).unwrap();
    log.turn();
    log.append(&batch(5, 10)).unwrap();
    // The record that was being written, and then the head.
    spoil(place.path(), 0, BLOCK_OCTETS);
    assert_eq!(open_behind(place.path(), 3).unwrap().2.batches, [batch(4, 10)]);
    spoil(place.path(), 0, 50);
    let (_, _, found) = open_behind(place.path(), 4).unwrap();
    assert_eq!((found.batches, found.last, found.settled), (vec![], 4, Some(0)));
    // The engine has not got as far as the records behind the broken one: it is missed.
    assert!(matches!(open_behind(place.path(), 2), Err(Error::Damaged { .. })));
}

/// proves: STO-28
#[test]
fn a_head_that_cannot_be_read_is_written_first() {
    for (broken, order) in [(None, [0, 1]), (Some(0), [0, 1]), (Some(1), [1, 0])] {
        let place = tempfile::tempdir().unwrap();
        opened(place.path()).unwrap().0.append(&batch(1, 10)).unwrap();
        broken.into_iter().for_each(|file| spoil(place.path(), file, 50));
        let (_, heads, found) = open(place.path()).unwrap();
        assert_eq!(found.order, order, "{broken:?}");
        // The first that is written is cut off, and it is opened nevertheless.
        heads.write(found.order[0], found.last).unwrap();
        spoil(place.path(), found.order[0], 50);
        assert_eq!(open(place.path()).unwrap().2.last, 1, "{broken:?}");
    }
}

#[test]
fn what_is_too_long_is_not_written() {
    let place = tempfile::tempdir().unwrap();
    let (mut log, _, _) = opened(place.path()).unwrap();
    let mut long = Batch::default();
    long.put(b"k".to_vec(), vec![0; VALUE_OCTETS_MAX + 1]);
    assert!(matches!(log.append(&long), Err(Error::Bound { .. })));
    log.append(&batch(1, 10)).unwrap();
    assert_eq!(opened(place.path()).unwrap().2.batches, [batch(1, 10)]);
}
