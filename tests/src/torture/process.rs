//! A node as a process of its own.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use daemon::{Config, Site};

use super::{Machine, Trouble};

/// How often is looked whether a process has stopped; each look takes some microseconds at least.
const STOP_LOOKS_MAX: u32 = 1_000_000;

/// Stops a process in the middle of what it does (SIGSTOP): when this returns it says nothing to anybody any more. What it has asked
/// of the kernel goes on.
///
/// # Errors
/// Where there is none of this number, or it does not stop.
pub fn stop(process: u32) -> Result<(), Trouble> {
    let id = process.to_string();
    let sent = Command::new("kill").args(["-STOP", &id]).status()?;
    if !sent.success() {
        return Err("it could not be stopped".into());
    }
    for _ in 0..STOP_LOOKS_MAX {
        if is_silent(&id)? {
            return Ok(());
        }
        std::thread::yield_now();
    }
    Err("it does not stop".into())
}

/// The program: the one that `WAXWING_BIN` names, else the one that was built beside this test.
///
/// # Errors
/// Where there is none.
pub fn program() -> Result<PathBuf, Trouble> {
    if let Some(named) = std::env::var_os("WAXWING_BIN") {
        return Ok(named.into());
    }
    let test = std::env::current_exe()?;
    let beside = test.ancestors().nth(2).map(|folder| folder.join("waxwing"));
    beside
        .filter(|path| path.exists())
        .ok_or_else(|| "the program is not there: run `cargo build -p waxwing`, or set WAXWING_BIN".into())
}

/// Starts the program. What it prints is appended to `events.jsonl` and `errors.log` in a folder.
pub(super) fn start(
    machine: Option<&Machine>,
    folder: &Path,
    arguments: &[&OsStr],
) -> Result<Child, Trouble> {
    let append = |name: &str| -> std::io::Result<File> {
        OpenOptions::new().create(true).append(true).open(folder.join(name))
    };
    let program = program()?;
    let mut command = machine.map_or_else(|| Command::new(&program), |machine| machine.command(&program));
    let command = command.arg("--json").args(arguments).stdin(Stdio::null());
    Ok(command.stdout(append("events.jsonl")?).stderr(append("errors.log")?).spawn()?)
}

/// What a program that was started with this folder has printed as events.
pub(super) fn events_in(folder: &Path) -> Result<Vec<serde_json::Value>, Trouble> {
    let lines = lines_of(&folder.join("events.jsonl"))?;
    // The last line of a process that was killed may be half a line, and the next one stands behind it.
    Ok(lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// The last lines that a program that was started with this folder has written to standard error.
pub(super) fn last_words_in(folder: &Path) -> String {
    let lines = lines_of(&folder.join("errors.log")).unwrap_or_default();
    lines[lines.len().saturating_sub(5)..].join("\n")
}

/// A node that runs, or could.
pub struct Node {
    /// What was laid out for it.
    pub site: Site,
    /// Where it runs, if not here.
    pub machine: Option<Machine>,
    child: Option<Child>,
}

impl Node {
    pub(super) fn new(site: Site) -> Node {
        Node { site, machine: None, child: None }
    }

    /// Its configuration.
    ///
    /// # Errors
    /// Those of the file.
    pub fn config(&self) -> Result<Config, Trouble> {
        Ok(Config::read(&self.site.config_file)?)
    }

    /// Changes its configuration; in force from the next start on.
    ///
    /// # Errors
    /// Those of the file.
    pub fn configure(&self, change: impl FnOnce(&mut Config)) -> Result<(), Trouble> {
        let mut config = self.config()?;
        change(&mut config);
        std::fs::write(&self.site.config_file, config.to_text()?)?;
        Ok(())
    }

    /// Starts it. What it prints is appended to `events.jsonl` and `errors.log` in its folder.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(&mut self) -> Result<(), Trouble> {
        let config_file = self.site.config_file.as_os_str();
        let child = start(
            self.machine.as_ref(),
            &self.site.folder,
            &["serve".as_ref(), "--config".as_ref(), config_file],
        )?;
        self.child = Some(child);
        Ok(())
    }

    /// Kills it as the kernel does where memory runs out: SIGKILL, no goodbye.
    ///
    /// # Errors
    /// Where it had ended by itself before: a node never does.
    pub fn kill(&mut self) -> Result<(), Trouble> {
        self.check_alive()?;
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Stops it in the middle of what it does (SIGSTOP): when this returns it says nothing to anybody any more. What it
    /// has asked of the kernel goes on.
    ///
    /// # Errors
    /// Where it had ended by itself before, or does not stop.
    pub fn stop(&mut self) -> Result<(), Trouble> {
        self.check_alive()?;
        stop(self.id().ok_or("it does not run")?)
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// Where it has ended by itself, with what it said last.
    pub fn check_alive(&mut self) -> Result<(), Trouble> {
        if let Some(child) = &mut self.child
            && let Some(status) = child.try_wait()?
        {
            return Err(format!("{} has ended with {status}: {}", self.site.domain, self.last_words()).into());
        }
        Ok(())
    }

    /// Waits for its end and returns its exit code, `None` after a signal; kills it where it does not come.
    ///
    /// # Errors
    /// Where it does not run.
    pub async fn ended(&mut self, limit: std::time::Duration) -> Result<Option<i32>, Trouble> {
        let mut child = self.child.take().ok_or("it does not run")?;
        let status = super::until(limit, "the end of a node", async || Ok(child.try_wait()?)).await;
        if status.is_err() {
            child.kill()?;
            child.wait()?;
        }
        Ok(status?.code())
    }

    /// Its process number.
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The most memory that it has had resident so far, in KiB; 0 where it does not run.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn most_resident_kib(&self) -> Result<u64, Trouble> {
        let Some(id) = self.id() else { return Ok(0) };
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse()?)
    }

    /// What it has printed as events.
    ///
    /// # Errors
    /// Those of the file.
    pub fn events(&self) -> Result<Vec<serde_json::Value>, Trouble> {
        events_in(&self.site.folder)
    }

    /// The last lines that it wrote to standard error.
    pub fn last_words(&self) -> String {
        last_words_in(&self.site.folder)
    }

    /// Octets of the partial transfers that its store has staged.
    ///
    /// # Errors
    /// Those of the folder.
    pub fn staged_octets(&self) -> Result<u64, Trouble> {
        let folder = self.config()?.data().join("store/staging");
        if !folder.exists() {
            return Ok(0);
        }
        let mut octets = 0;
        for file in std::fs::read_dir(folder)? {
            match file?.metadata() {
                Ok(metadata) => octets += metadata.len(),
                // It has become a part, or was removed, since the listing.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(octets)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended; nobody is left to hear that it could not be killed.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Whether no thread of a process runs or can begin to: each is stopped, or waits for a disk and is stopped after that.
fn is_silent(process: &str) -> Result<bool, Trouble> {
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread may end between the listing and the reading.
        let Ok(state) = std::fs::read_to_string(thread?.path().join("stat")) else { continue };
        // The name stands in brackets and may have anything in it; the state is behind it.
        let state = state.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        if !matches!(state, Some('T' | 't' | 'D' | 'Z' | 'X')) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The lines of a file; none where it is not there.
///
/// # Errors
/// Where it cannot be read.
pub fn lines_of(path: &Path) -> Result<Vec<String>, Trouble> {
    match std::fs::read(path) {
        Ok(octets) => Ok(String::from_utf8_lossy(&octets).lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}
