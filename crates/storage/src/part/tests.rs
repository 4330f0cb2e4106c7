use super::*;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::conformance::Faults;
use crate::files::Files;

const NOW: u64 = 1_700_000_000_000;

fn body(octets: usize) -> Vec<u8> {
    (0..octets).map(|at| (at * 7 + at / 251) as u8).collect()
}

fn writer(directory: &Path, body: &[u8], faults: Faults) -> PartWriter {
    let files = Arc::new(Files::in_directory(directory).unwrap().with_faults(faults));
    let extent = Extent::of(body);
    PartWriter::in_file("ann", extent, files.stage("ann", extent.digest, NOW, 0).unwrap()).unwrap()
}

/// The files of partial transfers.
fn staged(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory.join("staging")).unwrap().map(|file| file.unwrap().path()).collect()
}

/// In whatever pieces the octets come, and wherever the transfer ends early: the file has just those that came, in their
/// order, and the next writer goes on there.
///
/// proves: STO-9
#[test]
fn pieces_of_any_size_are_gathered_and_none_is_lost() {
    let body = body(5 * GATHERED_OCTETS + 77);
    let sizes = [1_200, GATHERED_OCTETS - 1, GATHERED_OCTETS, GATHERED_OCTETS + 1, 3 * GATHERED_OCTETS + 5];
    for size in sizes {
        for stop in [size.min(1_200), 2 * size, 4 * GATHERED_OCTETS + 1] {
            let directory = tempfile::tempdir().unwrap();
            let mut part = writer(directory.path(), &body, Faults::none());
            let stop = stop.min(body.len());
            let mut here = 0;
            for piece in body[..stop].chunks(size) {
                part.write(piece).unwrap();
                here += piece.len();
                assert_eq!(part.offset(), here as u64);
                assert!(part.gathered.len() < GATHERED_OCTETS && part.gathered.capacity() <= GATHERED_OCTETS);
            }
            drop(part);
            assert_eq!(fs::read(&staged(directory.path())[0]).unwrap(), body[..stop], "{size} {stop}");
            let mut part = writer(directory.path(), &body, Faults::none());
            assert_eq!(part.offset(), stop as u64);
            for piece in body[stop..].chunks(size) {
                part.write(piece).unwrap();
            }
            let whole = part.finish().unwrap();
            assert_eq!(fs::read(&staged(directory.path())[0]).unwrap(), body, "{size} {stop}");
            assert_eq!(whole.extent(), Extent::of(&body));
        }
    }
}

/// A sync that has failed leaves nothing that could be taken for durable at the next offer.
///
/// proves: STO-9
#[test]
fn what_could_not_be_synced_is_thrown_away() {
    let (directory, body) = (tempfile::tempdir().unwrap(), body(100_000));
    for after in [false, true] {
        let mut part = writer(directory.path(), &body, Faults::at(1, after));
        part.write(&body).unwrap();
        assert!(matches!(part.finish(), Err(Error::Io(_))));
        assert_eq!(staged(directory.path()), [] as [PathBuf; 0]);
        assert_eq!(writer(directory.path(), &body, Faults::none()).offset(), 0);
    }
}

/// A file that is not what was written to it is never a part, whatever the digest of what was written.
///
/// proves: STO-9
#[test]
fn a_file_of_another_length_is_no_part() {
    let (directory, body) = (tempfile::tempdir().unwrap(), body(100_000));
    let mut part = writer(directory.path(), &body, Faults::none());
    part.write(&body).unwrap();
    let file = OpenOptions::new().write(true).open(&staged(directory.path())[0]).unwrap();
    file.set_len(100_001).unwrap();
    assert!(matches!(part.finish(), Err(Error::Io(_))));
    assert_eq!(staged(directory.path()), [] as [PathBuf; 0]);
}

/// Who begins and sends nothing leaves no file, and nobody has more of them open than his part.
///
/// proves: STO-19
#[test]
fn files_are_counted_too() {
    use crate::limits::{STAGING_OPEN_MAX, STAGING_OPEN_OF_ONE_MAX};
    let directory = tempfile::tempdir().unwrap();
    let files = Arc::new(Files::in_directory(directory.path()).unwrap());
    let begin = |owner: &str, number: usize| {
        let extent = Extent::of(&body(40_000 + number));
        PartWriter::in_file(owner, extent, files.stage(owner, extent.digest, NOW, 0)?)
    };
    let own: Vec<_> = (0..STAGING_OPEN_OF_ONE_MAX).map(|number| begin("ann", number).unwrap()).collect();
    assert_eq!(begin("ann", own.len()).map(drop), Err(Error::Full));
    // However many names one has, some are left for others.
    let mut others = Vec::new();
    for name in 0..8 {
        while let Ok(one) = begin(&format!("n{name}.evil.test"), others.len()) {
            others.push(one);
        }
    }
    assert!(own.len() + others.len() < STAGING_OPEN_MAX);
    others.push(begin("good.test", 0).unwrap());
    drop(own);
    let mut some = begin("ann", 0).unwrap();
    some.write(&body(40_000)[..35_000]).unwrap();
    drop((some, others));
    assert_eq!(staged(directory.path()).len(), 1, "only what has octets stays");
    // A part that is whole has no file open, and does not count.
    let whole: Vec<_> = (0..STAGING_OPEN_OF_ONE_MAX + 1)
        .map(|number| {
            let mut writer = begin("ann", number).unwrap();
            let from = writer.offset() as usize;
            writer.write(&body(40_000 + number)[from..]).unwrap();
            writer.finish().unwrap()
        })
        .collect();
    assert_eq!(staged(directory.path()).len(), whole.len());
}
