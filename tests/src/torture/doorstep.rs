//! A doorstep as a process of its own, at a machine of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use super::process::{events_in, last_words_in, program, start};
use super::{Machine, Trouble, User, until};

/// How long a doorstep may take until its node knows of it.
const REGISTER_TIME: Duration = Duration::from_secs(30);

/// `waxwing doorstep` of a user, running.
pub struct Doorstep {
    machine: Machine,
    profile: PathBuf,
    child: Child,
}

impl Doorstep {
    /// Starts it, with a profile that is written into a folder, and waits until its node redirects to it.
    ///
    /// # Errors
    /// Where it cannot be started, or its node does not know of it in time.
    pub async fn open(
        user: &User,
        machine: &Machine,
        listen: SocketAddr,
        profile: &Path,
    ) -> Result<Doorstep, Trouble> {
        user.save_profile(profile)?;
        let listen = listen.to_string();
        let arguments = [
            "--profile".as_ref(),
            profile.as_os_str(),
            "doorstep".as_ref(),
            "--keep-free".as_ref(),
            "1KiB".as_ref(),
            "--listen".as_ref(),
            listen.as_ref(),
        ];
        let child = start(Some(machine), profile, &arguments)?;
        let doorstep = Doorstep { machine: machine.clone(), profile: profile.to_owned(), child };
        let registered = until(REGISTER_TIME, "a doorstep that its node knows of", async || {
            let registered = doorstep.events()?.into_iter().find(|event| event["event"] == "registered");
            Ok(registered.map(|event| event["at"] == listen.as_str()))
        });
        match registered.await {
            Ok(true) => Ok(doorstep),
            Ok(false) => Err("its node sees it at another address".into()),
            Err(trouble) => {
                Err(format!("{trouble}: {:?} {}", doorstep.events()?, last_words_in(profile)).into())
            }
        }
    }

    /// What it has printed as events.
    ///
    /// # Errors
    /// Those of the file.
    pub fn events(&self) -> Result<Vec<serde_json::Value>, Trouble> {
        events_in(&self.profile)
    }

    /// The identities that `waxwing mail list` shows at this doorstep.
    ///
    /// # Errors
    /// Where it cannot be run, or has failed.
    pub fn mail(&self) -> Result<Vec<String>, Trouble> {
        let mut command = self.machine.command(program()?);
        command.arg("--json").arg("--profile").arg(&self.profile).args(["mail", "list", "--doorstep"]);
        let said = command.arg(self.profile.join("doorstep")).output()?;
        if !said.status.success() {
            return Err(String::from_utf8_lossy(&said.stderr).into());
        }
        let entry = |line: &str| -> Result<String, Trouble> {
            let entry: serde_json::Value = serde_json::from_str(line)?;
            Ok(entry["id"].as_str().ok_or("an entry without identity")?.to_owned())
        };
        String::from_utf8(said.stdout)?.lines().map(entry).collect()
    }
}

impl Drop for Doorstep {
    fn drop(&mut self) {
        // It may have ended; nobody is left to hear that it could not be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
