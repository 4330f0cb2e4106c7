//! What others must know of a node, and what its operator must still do: pin, DNS records, and what is missing.

use data_encoding::{HEXLOWER, HEXUPPER};
use dns::waxkey::{DomainKey, KeyRecord};
use transport::HostKey;

use crate::{Config, Error, files, running};

/// What a node shows to others, as computed from its configuration and its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The digest of the host's key, by which others pin it, in hexadecimal digits.
    pub pin: String,
    /// The name of the host, as its certificate has it.
    pub host: String,
    /// The records of each domain, in the form of a master file (RFC 1035 section 5).
    pub records: Vec<String>,
}

/// Something about a configuration that its operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concern {
    /// Whether the node does not start, or is not known to anybody, because of it.
    pub harmful: bool,
    /// What it is and what to do.
    pub text: String,
}

impl Published {
    /// Reads the keys of a configuration.
    ///
    /// # Errors
    /// Where a key or the certificate cannot be read.
    pub fn of(config: &Config) -> Result<Published, Error> {
        let key = config.host_key()?;
        let pin = HEXLOWER.encode(&key.key_digest());
        let host = host_of(config, &key);
        let port = config.listen.address.port();
        let mut records = Vec::new();
        for domain in &config.domains {
            let name = domain_name(&domain.name)?;
            for service in ["_waxwing._udp", "_waxwing-sub._udp"] {
                records.push(format!("{service}.{name}. 3600 IN SRV 0 0 {port} {host}."));
            }
            let public = *files::read_key(&config.path(&domain.key))?.public().as_bytes();
            let text = dns::waxkey::write(&KeyRecord::Key(DomainKey { public }));
            let at = dns::waxkey::name_of(&domain.selector, &name)?;
            records.push(format!("{at}. 3600 IN TXT \"{text}\""));
        }
        let digest = HEXUPPER.encode(&key.key_digest());
        records.push(format!("_{port}._quic.{host}. 3600 IN TLSA 3 1 1 {digest}"));
        for (at, text) in crate::gateway::dkim_signer(config)?.records() {
            records.push(format!("{at}. 3600 IN TXT {}", strings(text)));
        }
        Ok(Published { pin, host, records })
    }
}

/// What keeps a node with this configuration from starting or from being reached, the harmful first.
pub fn concerns(config: &Config) -> Vec<Concern> {
    let harmful = |text: String| Concern { harmful: true, text };
    let note = |text: String| Concern { harmful: false, text };
    let mut found = Vec::new();
    match config.host_key() {
        Err(error) => found.push(harmful(format!(
            "{error}; `waxwing config init --dir DIR` makes a key with a certificate"
        ))),
        Ok(key) => {
            let names = key.names();
            for domain in config.domains.iter().filter_map(|domain| domain_name(&domain.name).ok()) {
                if !names.contains(&domain) {
                    found.push(harmful(format!(
                        "the certificate does not carry {domain}, so no peer takes this node for it: it carries {}",
                        names.join(", ")
                    )));
                }
            }
        }
    }
    found.extend(crate::gateway::mistakes(config).into_iter().map(|error| harmful(error.to_string())));
    let roots = config.path(&config.tls.roots);
    match running::roots(&roots) {
        Err(error) => found.push(harmful(error.to_string())),
        Ok(None) => found.push(note(format!(
            "{} is not there: peers are known by pin or TLSA record only",
            roots.display()
        ))),
        Ok(Some(_)) => {}
    }
    if config.listen.address.ip().is_loopback() {
        found.push(note(format!(
            "it listens on {}, which is this machine alone; \"[::]:{}\" is every address of the machine",
            config.listen.address,
            config.listen.address.port()
        )));
    }
    if config.dns.validate == Some(false) && config.dns.server.is_none_or(|at| !at.ip().is_loopback()) {
        found.push(note("answers of the DNS are not validated: whoever forges one gets the mail".to_owned()));
    }
    found
}

/// The name in the certificate that is no mail domain, else the first domain.
fn host_of(config: &Config, key: &HostKey) -> String {
    let domains: Vec<String> =
        config.domains.iter().filter_map(|domain| domain_name(&domain.name).ok()).collect();
    let names = key.names();
    let host = names.iter().find(|name| !domains.contains(name) && !name.starts_with('*'));
    host.or(domains.first()).cloned().unwrap_or_default()
}

/// A text as strings of at most 255 octets, which are all that a TXT record has.
fn strings(text: &str) -> String {
    let mut strings: Vec<String> = Vec::new();
    for character in text.chars() {
        match strings.last_mut() {
            Some(last) if last.len() + character.len_utf8() <= 255 => last.push(character),
            _ => strings.push(character.to_string()),
        }
    }
    strings.iter().map(|string| format!("\"{string}\"")).collect::<Vec<_>>().join(" ")
}

fn domain_name(name: &str) -> Result<String, Error> {
    crate::config::domain(name).map(|domain| domain.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use message::address::Domain;

    use super::*;
    use crate::init::{Plan, init};

    fn made(folder: &std::path::Path) -> Config {
        let plan = Plan {
            domain: Domain::parse("north.test").unwrap(),
            host: Domain::parse("mx.north.test").unwrap(),
            listen: "[::]:7000".parse().unwrap(),
            selector: "key1".to_owned(),
            data: "data".into(),
        };
        Config::read(&init(folder, &plan).unwrap()).unwrap()
    }

    #[test]
    fn the_records_are_those_of_the_keys() {
        let folder = tempfile::tempdir().unwrap();
        let config = made(folder.path());
        let published = Published::of(&config).unwrap();
        let host = HostKey::from_pem(
            &std::fs::read_to_string(folder.path().join("host.key")).unwrap(),
            &std::fs::read_to_string(folder.path().join("host.crt")).unwrap(),
        );
        assert_eq!(published.pin, HEXLOWER.encode(&host.unwrap().key_digest()));
        assert_eq!(published.records[0], "_waxwing._udp.north.test. 3600 IN SRV 0 0 7000 mx.north.test.");
        assert_eq!(published.records[1], "_waxwing-sub._udp.north.test. 3600 IN SRV 0 0 7000 mx.north.test.");
        let text = published.records[2].split('"').nth(1).unwrap();
        let KeyRecord::Key(key) = dns::waxkey::parse(text.as_bytes()).unwrap() else { panic!("{text}") };
        assert_eq!(
            &key.public,
            files::read_key(&folder.path().join("domain.key")).unwrap().public().as_bytes()
        );
        assert!(published.records[3].starts_with("_7000._quic.mx.north.test. 3600 IN TLSA 3 1 1 "));
        // The records are a zone: the server of the quickstart can answer with them.
        let zone = format!(
            "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n{}\n",
            published.records.join("\n")
        );
        dns::zones::Zones::new().add("north.test", &zone).unwrap();
    }

    #[test]
    fn records_of_keys_for_dkim_stand_among_them() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = made(folder.path());
        let key = HostKey::generate(transport::KeyKind::Ed25519, &["north.test"]).unwrap();
        files::write_secret(&folder.path().join("dkim.pem"), &key.key_pem()).unwrap();
        let dkim = "[[dkim]]\ndomain = \"north.test\"\nselector = \"ed\"\nkey = \"dkim.pem\"\n";
        config.gateway = Some(toml::from_str(dkim).unwrap());
        let records = Published::of(&config).unwrap().records;
        let start = "ed._domainkey.north.test. 3600 IN TXT \"v=DKIM1; k=ed25519; p=";
        assert!(records[4].starts_with(start), "{}", records[4]);
        // One of RSA has more than one string of a record holds.
        let long = strings(&"x".repeat(400));
        assert_eq!(long, format!("\"{}\" \"{}\"", "x".repeat(255), "x".repeat(145)));
    }

    #[test]
    fn what_is_missing_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let config = made(folder.path());
        let harmful = |config: &Config| -> Vec<String> {
            concerns(config).into_iter().filter(|one| one.harmful).map(|one| one.text).collect()
        };
        assert_eq!(harmful(&config), Vec::<String>::new());
        let mut other = config.clone();
        other.domains[0].name = "south.test".to_owned();
        assert!(harmful(&other)[0].contains("does not carry south.test"));
        let gateway = "host = \"mx north\"\ncertificate = \"none.crt\"\n[[dkim]]\ndomain = \"north.test\"\nselector = \"ed\"\n\
                       key = \"none.pem\"\n[[mav.rules]]\nname = \"nobody\"\n[out]\nprivate-networks = [\"x\"]\nsmart-host = \"a:b\"\n";
        let mut other = config.clone();
        other.gateway = Some(toml::from_str(gateway).unwrap());
        let told = harmful(&other);
        assert_eq!(told.len(), 6, "{told:?}");
        for (text, word) in told.iter().zip(["mx north", "none.crt", "none.pem", "nobody", "\"x\"", "a:b"]) {
            assert!(text.contains(word), "{text}");
        }
        let key = folder.path().join("host.key");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(harmful(&config)[0].contains(&format!("chmod 600 {}", key.display())));
        std::fs::remove_file(&key).unwrap();
        assert!(harmful(&config)[0].contains("No such file"));
    }
}
