//! The servers of others that the tests meet, each on an address of the loopback of its own, and the DNS for all.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use waxwing_tests::foreign::{Foreign, folder};

/// Where everybody asks the DNS.
pub(crate) const RESOLVER: &str = "127.0.0.53:53";

/// The folder of an unpacked package, as `scripts/interop` has made it.
pub(crate) fn package(name: &str) -> PathBuf {
    let peers = std::env::var("WAXWING_PEERS").expect("run this by scripts/interop");
    Path::new(&peers).join(name)
}

/// The authoritative server nsd for some zones, and unbound before it and before the zones of a world.
pub(crate) struct Names {
    _authority: Foreign,
    _resolver: Foreign,
}

impl Names {
    /// Serves these zones, and sends on questions about others: a domain and its server.
    pub(crate) fn start(zones: &[(&str, &str)], others: &[(&str, SocketAddr)]) -> Names {
        Names::with_signed(&[], zones, others)
    }

    /// The same with zones that are signed, and that unbound validates from their keys on.
    pub(crate) fn with_signed(
        signed: &[&Signed],
        zones: &[(&str, &str)],
        others: &[(&str, SocketAddr)],
    ) -> Names {
        let at = folder("waxwing-nsd-").unwrap();
        let mut config = "server:\n ip-address: 127.0.0.54@5300\n username: nsd\n pidfile: \"\"\n \
             zonesdir: \"/run\"\n database: \"\"\n xfrdfile: /run/xfrd\nremote-control:\n control-enable: no\n"
            .to_owned();
        let mut start = String::new();
        let plain = zones.iter().map(|(name, records)| (*name, zone_text(name, records)));
        let texts: Vec<(&str, String)> =
            plain.chain(signed.iter().map(|zone| (zone.name.as_str(), zone.text.clone()))).collect();
        for (name, text) in &texts {
            std::fs::write(at.path().join(format!("{name}.zone")), text).unwrap();
            writeln!(config, "zone:\n name: {name}\n zonefile: {}/{name}.zone", at.path().display()).unwrap();
        }
        std::fs::write(at.path().join("nsd.conf"), config).unwrap();
        writeln!(start, "chown -R nsd /run; exec nsd -d -c {}/nsd.conf", at.path().display()).unwrap();
        let nsd = package("nsd");
        let listens = "127.0.0.54:5300".parse().unwrap();
        let authority = Foreign::start(at, &[&nsd], &start, Some(listens), None).unwrap();

        let at = folder("waxwing-unbound-").unwrap();
        let mut config = "server:\n interface: 127.0.0.53\n do-ip6: no\n do-not-query-localhost: no\n \
             username: \"\"\n chroot: \"\"\n pidfile: \"\"\n use-syslog: no\n module-config: \"validator iterator\"\n \
             local-zone: \"test.\" nodefault\n local-zone: \"127.in-addr.arpa.\" nodefault\n verbosity: 1\n"
            .to_owned();
        for zone in signed {
            writeln!(config, " trust-anchor: \"{}\"", zone.key).unwrap();
        }
        let own = texts.iter().map(|(name, _)| (*name, "127.0.0.54@5300".to_owned()));
        let theirs = others.iter().map(|(name, at)| (*name, format!("{}@{}", at.ip(), at.port())));
        for (name, at) in own.chain(theirs) {
            writeln!(config, "stub-zone:\n name: {name}\n stub-addr: {at}").unwrap();
        }
        std::fs::write(at.path().join("unbound.conf"), config).unwrap();
        let start = format!("exec unbound -d -c {}/unbound.conf", at.path().display());
        let unbound = package("unbound");
        let resolver =
            Foreign::start(at, &[&unbound], &start, Some(RESOLVER.parse().unwrap()), None).unwrap();
        Names { _authority: authority, _resolver: resolver }
    }
}

fn zone_text(name: &str, records: &str) -> String {
    format!(
        "$ORIGIN {name}.\n$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.54\n{records}\n"
    )
}

/// A zone that ldns has signed with a fresh key of Ed25519. It is one key: a resolver that knows one of two keys as its
/// trust anchor looks for the other in the zone above, which is not there.
pub(crate) struct Signed {
    name: String,
    text: String,
    /// The DNSKEY record from which it is validated.
    pub(crate) key: String,
}

impl Signed {
    pub(crate) fn zone(name: &str, records: &str) -> Signed {
        let at = folder("waxwing-ldns-").unwrap();
        std::fs::write(at.path().join("zone"), zone_text(name, records)).unwrap();
        let script = format!(
            "cd {folder} && key=$(ldns-keygen -k -a ED25519 {name}) && ldns-signzone -f signed zone $key && cp $key.key key",
            folder = at.path().display()
        );
        let ldns = package("ldns");
        let ran = Command::new("sh")
            .args(["-c", &script])
            .env("PATH", format!("{}:/usr/bin:/bin", ldns.join("usr/bin").display()))
            .env("LD_LIBRARY_PATH", ldns.join("usr/lib/x86_64-linux-gnu"))
            .output()
            .unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let read = |file: &str| std::fs::read_to_string(at.path().join(file)).unwrap();
        let (text, key) = (read("signed"), read("key"));
        let key = key.split(';').next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        Signed { name: name.to_owned(), text, key }
    }
}

/// A Postfix for one domain, at port 25 of an address, that delivers into Maildirs.
pub(crate) struct Postfix {
    foreign: Foreign,
}

impl Postfix {
    /// Starts one; `more` are lines of its main.cf.
    pub(crate) fn start(domain: &str, address: &str, more: &str) -> Postfix {
        let at = folder("waxwing-postfix-").unwrap();
        for name in ["config", "spool", "data", "mail"] {
            std::fs::create_dir(at.path().join(name)).unwrap();
        }
        let made = rcgen(&[&format!("mx.{domain}")]);
        std::fs::write(at.path().join("cert.pem"), made.0).unwrap();
        std::fs::write(at.path().join("key.pem"), made.1).unwrap();
        std::fs::write(at.path().join("config/main.cf"), postfix_main(at.path(), domain, address, more))
            .unwrap();
        std::fs::write(at.path().join("config/master.cf"), postfix_master(address)).unwrap();
        let start = format!(
            "echo 'nameserver 127.0.0.53' >/etc/resolv.conf\nchown postfix {0}/data\nchown vmail {0}/mail\n\
             postfix -c {0}/config set-permissions >/dev/null 2>&1 || true\nexec postfix -c {0}/config start-fg",
            at.path().display()
        );
        let listens = format!("{address}:25").parse().unwrap();
        Postfix { foreign: Foreign::start(at, &[&package("postfix")], &start, Some(listens), None).unwrap() }
    }

    /// The messages that were delivered to an address, the newest last.
    pub(crate) fn mail(&self, address: &str) -> Vec<Vec<u8>> {
        let Ok(entries) = std::fs::read_dir(self.foreign.folder().join("mail/ALL/new")) else {
            return Vec::new();
        };
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        let to = format!("Delivered-To: {address}\n");
        let read = files.iter().map(|file| std::fs::read(file).unwrap());
        read.filter(|mail| mail.windows(to.len()).any(|window| window == to.as_bytes())).collect()
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        self.foreign.log()
    }

    /// The file of its certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.foreign.folder().join("cert.pem")
    }
}

impl Postfix {
    /// Its programs, by a shell in its namespace; `$C` is the folder of its configuration.
    pub(crate) fn run(&self, command: &str) -> String {
        let config = self.foreign.folder().join("config");
        self.foreign.run(&format!("C={}; {command}", config.display())).unwrap()
    }
}

fn postfix_main(at: &Path, domain: &str, address: &str, more: &str) -> String {
    let at = at.display();
    format!(
        "compatibility_level = 3.6\nqueue_directory = {at}/spool\ndata_directory = {at}/data\n\
         daemon_directory = /usr/lib/postfix/sbin\ncommand_directory = /usr/sbin\n\
         mail_owner = postfix\nsetgid_group = postdrop\nmyhostname = mx.{domain}\nmydomain = {domain}\nmydestination =\n\
         virtual_mailbox_domains = {domain}\nvirtual_mailbox_base = {at}/mail\n\
         virtual_mailbox_maps = static:ALL/\nvirtual_uid_maps = static:5906\nvirtual_gid_maps = static:5906\n\
         virtual_minimum_uid = 100\nvirtual_mailbox_limit = 0\nvirtual_transport = virtual\n\
         inet_interfaces = {address}\ninet_protocols = ipv4\nsmtp_bind_address = {address}\n\
         mynetworks = 127.0.0.1/32 {address}/32\nalias_maps =\nalias_database =\nlocal_recipient_maps =\n\
         smtpd_tls_security_level = may\nsmtpd_tls_cert_file = {at}/cert.pem\nsmtpd_tls_key_file = {at}/key.pem\n\
         smtp_tls_security_level = may\nsmtputf8_enable = yes\nmessage_size_limit = 200000000\n\
         mailbox_size_limit = 0\nminimal_backoff_time = 1s\nqueue_run_delay = 1s\nmaximal_backoff_time = 5s\n\
         maillog_file = {at}/maillog\nmaillog_file_prefixes = {at}\nnotify_classes =\n{more}\n"
    )
}

fn postfix_master(address: &str) -> String {
    format!(
        "{address}:25 inet n - n - 100 smtpd\npickup unix n - n 1 1 pickup\ncleanup unix n - n - 0 cleanup\n\
         qmgr unix n - n 1 1 qmgr\ntlsmgr unix - - n 1000? 1 tlsmgr\nrewrite unix - - n - - trivial-rewrite\n\
         bounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\n\
         verify unix - - n - 1 verify\nflush unix n - n 1000? 0 flush\nproxymap unix - - n - - proxymap\n\
         smtp unix - - n - 100 smtp\nrelay unix - - n - 100 smtp\nshowq unix n - n - - showq\n\
         error unix - - n - - error\nretry unix - - n - - error\nanvil unix - - n - 1 anvil\n\
         scache unix - - n - 1 scache\ntlsproxy unix - - n - 0 tlsproxy\npostlog unix-dgram n - n - 1 postlogd\n\
         virtual unix - n n - - virtual\nlmtp unix - - n - - lmtp\n"
    )
}

/// A certificate that signs itself, and its key, both PEM.
pub(crate) fn rcgen(names: &[&str]) -> (String, String) {
    let key = transport::HostKey::generate(transport::KeyKind::EcdsaP256, names).unwrap();
    (key.chain_pem(), key.key_pem().to_string())
}

/// A command of this machine with something at its input: whether it went well, and what it has said.
pub(crate) fn command(program: &str, arguments: &[&str], input: &[u8]) -> (bool, String) {
    use std::io::Write as _;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}
