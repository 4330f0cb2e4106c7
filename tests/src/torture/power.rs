//! Loss of power, simulated. The data of a node is on ext4 on a disk of its own, and the disk has a cache that forgets:
//! what was written to it and not flushed is gone when the power fails. To mount what is left is to switch the machine on
//! again.
//!
//! The disk is a file, `disk`, on an ext4 of its own, and its cache is what the kernel keeps of that file in memory: a
//! flush of the disk is an fsync of the file. That ext4 is in an image on an XFS volume with reflink, to which a loop
//! device writes past every cache. So a clone of the image holds what was flushed to the disk by that moment, and of all
//! else at most what the kernel happened to write out by itself. The options of the mounts keep ext4 from helping: it does
//! not sync by itself what is renamed, and commits its journal of its own accord after five minutes only.
//!
//! A disk need not forget all: it may have written of it whatever it liked, in any order ([`Disk::fail_keeping`]). For that the
//! file is full of zeroes before it is used: then nothing but its octets is to be kept.

use std::fmt::Write as _;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Random, Trouble};

/// Size of the volume: both images and their clones, which share what they have in common.
const VOLUME_SIZE: &str = "6G";
/// What has to be free where the volume is made: two disks, their clones, and what is written meanwhile.
const FREE_MEBIOCTETS_MIN: u64 = 6 * 1024;
/// Size of one disk: a store under load for some minutes stays below it.
pub const DISK_MEBIOCTETS: u64 = 1024;
/// Size of one disk for a store that is under load for some seconds.
pub const MEDIUM_DISK_MEBIOCTETS: u64 = 256;
/// Size of one disk for a store that is new.
pub const SMALL_DISK_MEBIOCTETS: u64 = 128;
/// Octets of the disk that are kept or lost together: one page.
const PAGE_OCTETS: u64 = 4096;
/// Pages that follow one another and are kept or lost together, at most.
const RUN_PAGES_MAX: u64 = 64;
/// Size of the image that the disk is in.
const IMAGE_SIZE: &str = "1500M";
/// How often a file system that is busy is unmounted again, ten milliseconds later each time.
const BUSY_TRIES_MAX: u32 = 1_000;
/// How ext4 is mounted: see above.
const MOUNT_OPTIONS: &str = "noauto_da_alloc,commit=300,noatime";

/// An XFS volume in a file, mounted in a folder of its own, for as long as this value lives.
pub struct Volume {
    // In this order: a folder with something mounted in it cannot be removed.
    mounted: Option<Mounted>,
    folder: tempfile::TempDir,
}

impl Volume {
    /// Makes and mounts it; `None`, and a printed line that says why, where that cannot be done here.
    ///
    /// # Errors
    /// Where there is no room for a temporary folder.
    pub fn make() -> Result<Option<Volume>, Trouble> {
        let folder = tempfile::Builder::new().prefix("waxwing-power-").tempdir()?;
        let mut volume = Volume { mounted: None, folder };
        match volume.mount() {
            Ok(mounted) => {
                volume.mounted = Some(mounted);
                Ok(Some(volume))
            }
            Err(error) => {
                println!(
                    "left out: no XFS volume can be mounted here (this takes root and xfsprogs): {error}"
                );
                Ok(None)
            }
        }
    }

    fn mount(&self) -> Result<Mounted, Trouble> {
        for program in ["mkfs.ext4", "xfs_io"] {
            run(program, &["-V"])?;
        }
        let free = output("df", &["--output=avail", "--block-size=1M", text(self.folder.path())?])?;
        let free: u64 = free.lines().last().unwrap_or_default().trim().parse()?;
        if free < FREE_MEBIOCTETS_MIN {
            return Err(format!("{free} MiB are free, {FREE_MEBIOCTETS_MIN} are needed").into());
        }
        let image = self.folder.path().join("volume");
        run("truncate", &["-s", VOLUME_SIZE, text(&image)?])?;
        run("mkfs.xfs", &["-q", "-m", "reflink=1", text(&image)?])?;
        Mounted::mount(&image, &self.images(), "noatime", Writing::Cached)
    }

    fn images(&self) -> PathBuf {
        self.folder.path().join("images")
    }

    /// A new disk in this volume, empty and mounted at this folder.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn disk(&self, name: &str, folder: &Path, mebioctets: u64) -> Result<Disk, Trouble> {
        let image = self.images().join(name);
        if image.exists() {
            std::fs::remove_file(&image)?;
        }
        make_ext4(&image, IMAGE_SIZE)?;
        let below = self.folder.path().join(format!("{name}.below"));
        let mut disk =
            Disk { data: None, below: None, image, places: [below, folder.to_owned()], mebioctets };
        disk.switch_on(true)?;
        Ok(disk)
    }
}

/// The disk of one node, mounted. It is unmounted, and not removed, when this value goes.
pub struct Disk {
    // In this order: what is mounted last goes first.
    data: Option<Mounted>,
    below: Option<Mounted>,
    image: PathBuf,
    /// Where what is below is mounted, and where the data.
    places: [PathBuf; 2],
    mebioctets: u64,
}

impl Disk {
    /// Keeps what the disk has at this moment, as the moment at which the power fails. Nobody who writes to it may be
    /// able to tell anybody about it from now on: stop them before.
    ///
    /// # Errors
    /// Where the image cannot be cloned.
    pub fn fail(&self) -> Result<(), Trouble> {
        run("cp", &["--reflink=always", text(&self.image)?, text(&self.clone_path())?])
    }

    /// As [`Disk::fail`], but of what was written and not flushed the disk has kept some, whatever was written when.
    ///
    /// # Errors
    /// Where the image cannot be cloned, or a part of the disk not be written out.
    pub fn fail_keeping(&self, random: &mut Random) -> Result<(), Trouble> {
        let pages = self.mebioctets * 1024 * 1024 / PAGE_OCTETS;
        let (mut at, mut ranges) = (0, Vec::new());
        while at < pages {
            let run = random.between(1, RUN_PAGES_MAX).min(pages - at);
            if random.between(0, 1) == 1 {
                ranges.push((at * PAGE_OCTETS, run * PAGE_OCTETS));
            }
            at += run;
        }
        write_out(&self.file(), &ranges)?;
        self.fail()
    }

    /// Puts what was kept in the place of what the disk has had since, and mounts it. Nobody may use it meanwhile.
    ///
    /// # Errors
    /// Where it cannot be unmounted or mounted.
    pub fn come_back(&mut self) -> Result<(), Trouble> {
        for mounted in [self.data.take(), self.below.take()].into_iter().flatten() {
            mounted.unmount()?;
        }
        std::fs::rename(self.clone_path(), &self.image)?;
        self.switch_on(false)
    }

    /// Where it is mounted.
    pub fn folder(&self) -> &Path {
        &self.places[1]
    }

    fn switch_on(&mut self, new: bool) -> Result<(), Trouble> {
        self.below = Some(Mounted::mount(&self.image, &self.places[0], MOUNT_OPTIONS, Writing::Direct)?);
        let disk = self.file();
        if new {
            let of = format!("of={}", text(&disk)?);
            let count = format!("count={}", self.mebioctets);
            run("dd", &["if=/dev/zero", &of, "bs=1M", &count, "conv=fsync", "status=none"])?;
            make_ext4(&disk, &format!("{}M", self.mebioctets))?;
        }
        self.data = Some(Mounted::mount(&disk, &self.places[1], MOUNT_OPTIONS, Writing::Cached)?);
        Ok(())
    }

    fn file(&self) -> PathBuf {
        self.places[0].join("disk")
    }

    fn clone_path(&self) -> PathBuf {
        self.image.with_extension("clone")
    }
}

/// How a loop device writes to its file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writing {
    /// Past the cache of the file system that the file lies on.
    Direct,
    /// Into that cache, until it is told to flush.
    Cached,
}

/// A file system in a file, mounted over a loop device.
struct Mounted {
    folder: PathBuf,
    device: String,
}

impl Mounted {
    fn mount(image: &Path, folder: &Path, options: &str, writing: Writing) -> Result<Mounted, Trouble> {
        std::fs::create_dir_all(folder)?;
        let mut words = vec!["--find", "--show", text(image)?];
        if writing == Writing::Direct {
            words.insert(0, "--direct-io=on");
        }
        let device = output("losetup", &words)?;
        // From here on dropping it lets the device go.
        let mounted = Mounted { folder: folder.to_owned(), device };
        if writing == Writing::Direct {
            check_direct(&mounted.device)?;
        }
        run("mount", &["-o", options, &mounted.device, text(folder)?])?;
        Ok(mounted)
    }

    fn unmount(self) -> Result<(), Trouble> {
        // The device of what was mounted from inside goes a moment after that.
        for _ in 0..BUSY_TRIES_MAX {
            match run("umount", &[text(&self.folder)?]) {
                Err(error) if error.to_string().contains("busy") => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                unmounted => return unmounted,
            }
        }
        run("umount", &[text(&self.folder)?])
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily, for after a failure somebody may still have files open. A device in use goes with its last user.
        let _ = Command::new("umount").arg("--quiet").arg("--lazy").arg(&self.folder).output();
        let _ = Command::new("losetup").arg("--detach").arg(&self.device).output();
    }
}

/// Has the kernel write what is in these ranges of a file, each an offset and a length, to where the file lies; where that is a disk,
/// it is not told to flush.
///
/// # Errors
/// Where `xfs_io` cannot.
pub fn write_out(file: &Path, ranges: &[(u64, u64)]) -> Result<(), Trouble> {
    let mut commands = String::new();
    for word in ["-w", "-a"] {
        // All are begun before the first is waited for.
        for (offset, octets) in ranges {
            writeln!(commands, "sync_range {word} {offset} {octets}")?;
        }
    }
    // In a file, so that neither of the two waits for the other.
    let mut said = tempfile::tempfile()?;
    let mut writing = Command::new("xfs_io")
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(said.try_clone()?)
        .spawn()?;
    writing.stdin.take().ok_or("no way to tell xfs_io")?.write_all(commands.as_bytes())?;
    let status = writing.wait()?;
    let mut words = String::new();
    said.rewind()?;
    said.read_to_string(&mut words)?;
    if status.success() && words.is_empty() { Ok(()) } else { Err(format!("xfs_io: {words}").into()) }
}

/// Whether a disk can keep one page and lose the next one ([`Disk::fail_keeping`]). ext4 writes whole folios, which are large where it
/// can have them: not where files may be encrypted, if it knows of that.
pub fn keeps_by_page() -> bool {
    Path::new("/sys/fs/ext4/features/encryption").exists()
}

fn make_ext4(image: &Path, size: &str) -> Result<(), Trouble> {
    run("truncate", &["-s", size, text(image)?])?;
    let mut words = vec!["-q", "-F", "-E", "nodiscard"];
    if keeps_by_page() {
        words.extend(["-O", "encrypt"]);
    }
    words.push(text(image)?);
    run("mkfs.ext4", &words)
}

/// The device writes past the cache of the file system that its file lies on.
fn check_direct(device: &str) -> Result<(), Trouble> {
    let name = device.trim_start_matches("/dev/");
    let direct = std::fs::read_to_string(format!("/sys/block/{name}/loop/dio"))?;
    if direct.trim() == "1" { Ok(()) } else { Err(format!("{device} does not write directly").into()) }
}

fn run(program: &str, words: &[&str]) -> Result<(), Trouble> {
    output(program, words).map(|_| ())
}

/// What a program prints; an error with its words where it fails.
fn output(program: &str, words: &[&str]) -> Result<String, Trouble> {
    let done = Command::new(program).args(words).output().map_err(|error| format!("{program}: {error}"))?;
    if !done.status.success() {
        return Err(format!("{program}: {}", String::from_utf8_lossy(&done.stderr).trim()).into());
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

fn text(path: &Path) -> Result<&str, Trouble> {
    path.to_str().ok_or_else(|| "a path that is not text".into())
}
