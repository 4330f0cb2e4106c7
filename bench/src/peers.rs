//! The others, from packages unpacked into folders: each runs in a mount and process namespace of its own, in which its
//! folders stand where it expects them. Nothing of this machine is changed, and what was started ends with its handle.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use tests::foreign::{Foreign, children_of, folder};

use crate::Trouble;
use tests::smtp::Smtp;

/// The recipient that all of them take mail for.
pub(crate) const RECIPIENT: &str = "bob@bench.test";

/// A mail server that runs.
pub(crate) struct Peer {
    foreign: Foreign,
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
        let (folder, port) = (folder("waxwing-bench-")?, free_port()?);
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
        let (folder, port) = (folder("waxwing-bench-")?, free_port()?);
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
        let address = (Ipv4Addr::LOCALHOST, port).into();
        let foreign = Foreign::start(folder, &[unpacked], start, Some(address), traced)?;
        Ok(Peer { foreign, port, queue })
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
        count_files(&self.foreign.folder().join(self.queue))
    }

    /// Octets resident of all its processes: what is shared counts for each of them, so it is too much for those that
    /// have many.
    pub(crate) fn resident_octets(&self) -> u64 {
        resident_of_descendants(self.foreign.process())
    }

    /// Removes what it has kept, so that the next round finds an empty queue.
    pub(crate) fn empty(&self) {
        // A file that a server has just taken away is one less to remove.
        let _ = remove_files(&self.foreign.folder().join(self.queue));
    }
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
