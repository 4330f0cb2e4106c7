//! Programs of others, from packages unpacked into folders: each runs in a mount and process namespace of its own, in which
//! its folders stand where it expects them. Nothing of this machine is changed, and what was started ends with its handle.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long one may take to come up.
const START_TIME: Duration = Duration::from_secs(20);
/// Accounts that the packages would make.
const PASSWD: &str = "postfix:x:5901:5901::/nowhere:/bin/false\n\
    opensmtpd:x:5902:5902::/nowhere:/bin/false\nopensmtpq:x:5903:5903::/nowhere:/bin/false\n\
    Debian-exim:x:5905:5905::/nowhere:/bin/false\nvmail:x:5906:5906::/nowhere:/bin/false\n\
    dovecot:x:5907:5907::/nowhere:/bin/false\ndovenull:x:5908:5908::/nowhere:/bin/false\n\
    nsd:x:5909:5909::/nowhere:/bin/false\nunbound:x:5910:5910::/nowhere:/bin/false\n";
const GROUP: &str = "postfix:x:5901:\npostdrop:x:5904:\nopensmtpd:x:5902:\nopensmtpq:x:5903:\nDebian-exim:x:5905:\n\
    vmail:x:5906:\ndovecot:x:5907:\ndovenull:x:5908:\nnsd:x:5909:\nunbound:x:5910:\n";

/// A program that runs.
pub struct Foreign {
    folder: tempfile::TempDir,
    child: Child,
}

impl Foreign {
    /// Starts a program by lines for a shell, the last of which becomes the program, with these packages over what is
    /// installed; comes back once it listens at the address. With `traced`, strace writes there what it syncs.
    ///
    /// # Errors
    /// Where it does not come up, with what it has said.
    pub fn start(
        folder: tempfile::TempDir,
        unpacked: &[&Path],
        start: &str,
        listens: Option<SocketAddr>,
        traced: Option<&Path>,
    ) -> io::Result<Foreign> {
        let at = folder.path();
        let script = at.join("start.sh");
        std::fs::write(&script, namespace(at, unpacked, start)?)?;
        let log = std::fs::File::create(at.join("log"))?;
        let mut command = match traced {
            Some(file) => {
                let mut command = Command::new("strace");
                command.args(["-f", "-qq", "-e", "trace=fsync,fdatasync,sync_file_range,syncfs,sync", "-o"]);
                command.arg(file).arg("unshare");
                command
            }
            None => Command::new("unshare"),
        };
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "bash"]);
        let child = command.arg(&script).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let mut foreign = Foreign { folder, child };
        #[expect(clippy::disallowed_methods, reason = "waits for a process")]
        let since = Instant::now();
        while listens.is_some_and(|address| TcpStream::connect(address).is_err()) {
            let ended = foreign.child.try_wait()?.is_some();
            if ended || since.elapsed() > START_TIME {
                return Err(io::Error::other(format!("{unpacked:?} did not come up: {}", foreign.log())));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(foreign)
    }

    /// Its folder, which goes with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it has said, in its files `log` and `maillog`.
    pub fn log(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        read("log") + &read("maillog")
    }

    /// The number of its first process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// A command inside of its namespace: its output.
    ///
    /// # Errors
    /// Where it cannot be run or fails, with what it has said.
    pub fn run(&self, command: &str) -> io::Result<String> {
        let inner = children_of(self.child.id());
        let inner = inner.first().ok_or_else(|| io::Error::other("it has ended"))?;
        let output = Command::new("nsenter")
            .args(["--mount", "--pid", "--target", &inner.to_string(), "bash", "-c", command])
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(said);
        }
        Err(io::Error::other(format!("{command}: {said}{}", String::from_utf8_lossy(&output.stderr))))
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // `--kill-child` takes the namespace with it. It may have ended by itself.
        let inner = children_of(self.child.id());
        for process in inner.iter().chain([&self.child.id()]) {
            let _ = Command::new("kill").args(["-KILL", &process.to_string()]).stderr(Stdio::null()).status();
        }
        let _ = self.child.wait();
    }
}

/// A folder for a program, which those that give up their rights can reach.
///
/// # Errors
/// Where it cannot be made.
pub fn folder(prefix: &str) -> io::Result<tempfile::TempDir> {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::Builder::new().prefix(prefix).tempdir()?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711))?;
    Ok(folder)
}

/// The processes that a process has started and that have not ended.
pub fn children_of(process: u32) -> Vec<u32> {
    let listed = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    listed.unwrap_or_default().split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

/// The script that makes the namespace and becomes the program.
fn namespace(at: &Path, unpacked: &[&Path], start: &str) -> io::Result<String> {
    for name in ["etc", "etc.work", "var", "var.work", "run"] {
        std::fs::create_dir(at.join(name))?;
    }
    let over = |name: &str| -> String {
        let theirs: Vec<PathBuf> = unpacked.iter().map(|folder| folder.join(name)).collect();
        let there = theirs.iter().filter(|folder| folder.exists());
        there.map(|folder| format!("{}:", folder.display())).collect::<String>() + "/" + name
    };
    let (usr, etc, var) = (over("usr"), over("etc"), over("var"));
    let mount_usr = match usr.as_str() {
        "/usr" => String::new(),
        lower => format!("mount -t overlay overlay -o lowerdir={lower} /usr\n"),
    };
    Ok(format!(
        "set -e\nmount -t proc proc /proc\n{mount_usr}\
         mount -t overlay overlay -o lowerdir={etc},upperdir={at}/etc,workdir={at}/etc.work /etc\n\
         mount -t overlay overlay -o lowerdir={var},upperdir={at}/var,workdir={at}/var.work /var\n\
         mount --bind {at}/run /run\n\
         printf '%s' '{PASSWD}' >>/etc/passwd\nprintf '%s' '{GROUP}' >>/etc/group\n{start}\n",
        at = at.display(),
    ))
}
