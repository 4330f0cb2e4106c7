//! The others, from packages unpacked into folders: each runs in a mount and process namespace of its own, in which its
//! folders stand where it expects them. Nothing of this machine is changed, and what was started ends with its handle.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::smtp::Smtp;
use crate::{Trouble, stopwatch};

/// How long one may take to come up.
const START_TIME: Duration = Duration::from_secs(20);
/// Accounts that the packages would make.
const PASSWD: &str = "postfix:x:5901:5901::/nowhere:/bin/false\n\
    opensmtpd:x:5902:5902::/nowhere:/bin/false\nopensmtpq:x:5903:5903::/nowhere:/bin/false\n";
const GROUP: &str = "postfix:x:5901:\npostdrop:x:5904:\nopensmtpd:x:5902:\nopensmtpq:x:5903:\n";
/// The recipient that all of them take mail for.
pub(crate) const RECIPIENT: &str = "bob@bench.test";

/// A mail server that runs.
pub(crate) struct Peer {
    folder: tempfile::TempDir,
    child: Child,
    port: u16,
    queue: &'static str,
}

/// What a Postfix is for.
#[derive(Clone, Copy)]
pub(crate) enum Role {
    /// It keeps what it accepts.
    Keeps,
    /// It sends on to a server on this port, by TLS.
    Relays(u16),
}

impl Peer {
    /// Postfix, tuned: many processes, no delays, no look-ups, kept connections.
    ///
    /// # Errors
    /// Where it does not come up.
    pub(crate) fn postfix(unpacked: &Path, role: Role, traced: Option<&Path>) -> Result<Peer, Trouble> {
        let (folder, port) = (folder()?, free_port()?);
        let at = folder.path();
        certificate(at)?;
        for name in ["config", "spool", "data"] {
            std::fs::create_dir(at.join(name))?;
        }
        std::fs::write(at.join("config/main.cf"), postfix_main(at, role))?;
        std::fs::write(at.join("config/master.cf"), postfix_master(port))?;
        let start = format!(
            "chown postfix {0}/data\npostfix -c {0}/config set-permissions >/dev/null 2>&1 || true\n\
             exec postfix -c {0}/config start-fg",
            at.display()
        );
        Peer::start(folder, unpacked, &start, port, "spool/hold", traced)
    }

    /// OpenSMTPD, which keeps what it accepts.
    ///
    /// # Errors
    /// Where it does not come up.
    pub(crate) fn opensmtpd(unpacked: &Path, traced: Option<&Path>) -> Result<Peer, Trouble> {
        let (folder, port) = (folder()?, free_port()?);
        let at = folder.path();
        let config = format!(
            "smtp limit max-mails 10000000\nlisten on 127.0.0.1 port {port}\n\
             action \"on\" relay host smtp://127.0.0.1:1\nmatch from any for any action \"on\"\n"
        );
        std::fs::write(at.join("smtpd.conf"), config)?;
        std::fs::create_dir(at.join("spool"))?;
        let start = format!(
            "mkdir -p /var/spool/smtpd /var/empty /var/lib/opensmtpd/empty /run/opensmtpd\nchmod 711 {0}/spool\n\
             mount --bind {0}/spool /var/spool/smtpd\ntouch /etc/aliases\n\
             (for try in 1 2 3 4 5 6 7 8 9; do sleep 0.3; smtpctl pause mta && break; done) >/dev/null 2>&1 &\n\
             exec smtpd -d -f {0}/smtpd.conf",
            at.display()
        );
        Peer::start(folder, unpacked, &start, port, "spool/queue", traced)
    }

    fn start(
        folder: tempfile::TempDir,
        unpacked: &Path,
        start: &str,
        port: u16,
        queue: &'static str,
        traced: Option<&Path>,
    ) -> Result<Peer, Trouble> {
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
        let mut peer = Peer { folder, child, port, queue };
        let elapsed = stopwatch();
        while TcpStream::connect(peer.address()).is_err() {
            let ended = peer.child.try_wait()?.is_some();
            if ended || elapsed() > START_TIME {
                let log = std::fs::read_to_string(peer.folder.path().join("log")).unwrap_or_default();
                return Err(format!("{} did not come up: {log}", unpacked.display()).into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(peer)
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// How it is loaded.
    pub(crate) fn smtp(&self, tls: bool) -> Smtp {
        Smtp { address: self.address(), tls, to: RECIPIENT }
    }

    /// Files in its queue.
    pub(crate) fn kept(&self) -> u64 {
        count_files(&self.folder.path().join(self.queue))
    }

    /// Octets resident of all its processes: what is shared counts for each of them, so it is too much for those that
    /// have many.
    pub(crate) fn resident_octets(&self) -> u64 {
        resident_of_descendants(self.child.id())
    }

    /// Removes what it has kept, so that the next round finds an empty queue.
    pub(crate) fn empty(&self) {
        // A file that a server has just taken away is one less to remove.
        let _ = remove_files(&self.folder.path().join(self.queue));
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // `--kill-child` takes the namespace with it. It may have ended by itself.
        let inner = children_of(self.child.id());
        for process in inner.iter().chain([&self.child.id()]) {
            let _ = Command::new("kill").args(["-KILL", &process.to_string()]).stderr(Stdio::null()).status();
        }
        let _ = self.child.wait();
    }
}

fn folder() -> Result<tempfile::TempDir, Trouble> {
    let folder = tempfile::Builder::new().prefix("waxwing-bench-").tempdir()?;
    // Servers that give up their rights still have to reach what is theirs.
    Command::new("chmod").arg("711").arg(folder.path()).status()?;
    Ok(folder)
}

/// The script that makes the namespace and becomes the server.
fn namespace(at: &Path, unpacked: &Path, start: &str) -> Result<String, Trouble> {
    for name in ["etc", "etc.work", "var", "var.work", "run"] {
        std::fs::create_dir(at.join(name))?;
    }
    let mut usr = format!("{}/usr:/usr", unpacked.display());
    if !unpacked.join("usr").exists() {
        usr = "/usr".to_owned();
    }
    let (etc, var) = (unpacked.join("etc"), unpacked.join("var"));
    let lower = |own: &PathBuf, theirs: &str| format!("{}:{theirs}", own.display());
    Ok(format!(
        "set -e\nmount -t proc proc /proc\n\
         mount -t overlay overlay -o lowerdir={usr} /usr\n\
         mount -t overlay overlay -o lowerdir={etc},upperdir={at}/etc,workdir={at}/etc.work /etc\n\
         mount -t overlay overlay -o lowerdir={var},upperdir={at}/var,workdir={at}/var.work /var\n\
         mount --bind {at}/run /run\n\
         printf '%s' '{PASSWD}' >>/etc/passwd\nprintf '%s' '{GROUP}' >>/etc/group\n{start}\n",
        etc = lower(&etc, "/etc"),
        var = lower(&var, "/var"),
        at = at.display(),
    ))
}

fn postfix_main(at: &Path, role: Role) -> String {
    let at = at.display();
    let role = match role {
        Role::Keeps => {
            "smtpd_recipient_restrictions = check_client_access static:HOLD, permit_mynetworks, reject\n"
                .to_owned()
        }
        Role::Relays(port) => format!(
            "smtpd_recipient_restrictions = permit_mynetworks, reject\nrelayhost = [127.0.0.1]:{port}\n\
             smtp_tls_security_level = encrypt\nsmtp_tls_connection_reuse = yes\n\
             smtp_connection_cache_destinations = 127.0.0.1\nsmtp_connection_reuse_time_limit = 300s\n\
             initial_destination_concurrency = 50\ndefault_destination_concurrency_limit = 100\n"
        ),
    };
    format!(
        "compatibility_level = 3.6\nqueue_directory = {at}/spool\ndata_directory = {at}/data\n\
         daemon_directory = /usr/lib/postfix/sbin\ncommand_directory = /usr/sbin\n\
         mail_owner = postfix\nsetgid_group = postdrop\nmyhostname = mx.bench.test\nmydestination =\n\
         inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmynetworks = 127.0.0.0/8\nalias_maps =\n\
         smtpd_tls_security_level = may\nsmtpd_tls_cert_file = {at}/cert.pem\nsmtpd_tls_key_file = {at}/key.pem\n\
         smtpd_client_connection_count_limit = 0\nsmtpd_client_connection_rate_limit = 0\n\
         smtpd_client_message_rate_limit = 0\nsmtpd_peername_lookup = no\nin_flow_delay = 0\n\
         default_process_limit = 200\nmessage_size_limit = 2000000000\nmailbox_size_limit = 0\n\
         qmgr_message_active_limit = 100000\nmaillog_file = {at}/maillog\nmaillog_file_prefixes = {at}\n\
         smtpd_timeout = 300s\n{role}"
    )
}

fn postfix_master(port: u16) -> String {
    format!(
        "{port} inet n - n - 200 smtpd\npickup unix n - n 60 1 pickup\ncleanup unix n - n - 0 cleanup\n\
         qmgr unix n - n 300 1 qmgr\ntlsmgr unix - - n 1000? 1 tlsmgr\nrewrite unix - - n - - trivial-rewrite\n\
         bounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\n\
         verify unix - - n - 1 verify\nflush unix n - n 1000? 0 flush\nproxymap unix - - n - - proxymap\n\
         smtp unix - - n - 100 smtp\nrelay unix - - n - 100 smtp\nshowq unix n - n - - showq\n\
         error unix - - n - - error\nretry unix - - n - - error\nanvil unix - - n - 1 anvil\n\
         scache unix - - n - 1 scache\ntlsproxy unix - - n - 0 tlsproxy\npostlog unix-dgram n - n - 1 postlogd\n"
    )
}

/// The key and the certificate of a server.
fn certificate(at: &Path) -> Result<(), Trouble> {
    let made = rcgen::generate_simple_self_signed(vec!["mx.bench.test".to_owned()])?;
    std::fs::write(at.join("cert.pem"), made.cert.pem())?;
    Ok(std::fs::write(at.join("key.pem"), made.signing_key.serialize_pem())?)
}

fn free_port() -> Result<u16, Trouble> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn count_files(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => count_files(&entry.path()),
            _ => 1,
        })
        .sum()
}

fn remove_files(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)?.flatten() {
        match entry.file_type()?.is_dir() {
            true => remove_files(&entry.path())?,
            false => std::fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

fn children_of(process: u32) -> Vec<u32> {
    let listed = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    listed.unwrap_or_default().split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

/// Octets resident of a process and of all that it has started.
pub(crate) fn resident_of_descendants(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let own = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok())
        .unwrap_or(0);
    own * 1024 + children_of(process).into_iter().map(resident_of_descendants).sum::<u64>()
}
