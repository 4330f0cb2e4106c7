//! Write-back that begins early: a part is on its way to the disk while it comes, so its sync has little to wait for.

use std::fs::File;
use std::num::NonZeroU64;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::limits::{WRITE_BACK_OCTETS, WRITE_BACK_WAITING_MAX};

/// Whole blocks of a file.
struct Stretch {
    file: File,
    from: u64,
    octets: NonZeroU64,
}

/// Has the system begin with it, by a thread of its own: a disk that is busy lets whoever asks wait. Nothing depends on it.
#[derive(Debug, Default)]
pub(super) struct WriteBack(OnceLock<Option<SyncSender<Stretch>>>);

impl WriteBack {
    /// So many octets were appended at this offset. The blocks that they complete are to be written, where few others wait.
    pub(super) fn begin(&self, file: &File, offset: u64, octets: u64) {
        let (first, end) = (offset / WRITE_BACK_OCTETS, (offset + octets) / WRITE_BACK_OCTETS);
        let Some(octets) = NonZeroU64::new((end - first) * WRITE_BACK_OCTETS) else { return };
        let Some(waiting) = self.0.get_or_init(start) else { return };
        if let Ok(file) = file.try_clone() {
            let _ = waiting.try_send(Stretch { file, from: first * WRITE_BACK_OCTETS, octets });
        }
    }
}

/// The thread; it ends with the store. `None` where there is none.
fn start() -> Option<SyncSender<Stretch>> {
    let (sender, waiting) = sync_channel(WRITE_BACK_WAITING_MAX);
    let thread = std::thread::Builder::new().name("storage-parts".to_owned());
    thread.spawn(move || write_back(&waiting)).ok().map(|_| sender)
}

/// What is told to be of no more use is written first, by Linux without waiting for its end, and stays to be read meanwhile.
#[cfg(target_os = "linux")]
fn write_back(waiting: &Receiver<Stretch>) {
    for one in waiting {
        let _ = rustix::fs::fadvise(&one.file, one.from, Some(one.octets), rustix::fs::Advice::DontNeed);
    }
}

/// Other systems begin by themselves.
#[cfg(not(target_os = "linux"))]
fn write_back(waiting: &Receiver<Stretch>) {
    waiting.iter().for_each(|Stretch { file, from, octets }| drop((file, from, octets)));
}
