//! The first files of a node: configuration, keys and a certificate that it signs itself.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use message::SecretKey;
use message::address::Domain;
use node::Clock;
use transport::{HostKey, KeyKind};

use crate::clock::SystemClock;
use crate::{Config, Error, files, running};

const TEMPLATE: &str = include_str!("init.toml");
const CONFIG_FILE: &str = "waxwing.toml";
const DOMAIN_KEY_FILE: &str = "domain.key";
const HOST_KEY_FILE: &str = "host.key";
const CERTIFICATE_FILE: &str = "host.crt";

/// What a new node is to be.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The domain whose mail it keeps.
    pub domain: Domain,
    /// The name of its host, which the certificate carries beside the domain.
    pub host: Domain,
    /// Where it listens, UDP.
    pub listen: SocketAddr,
    /// The selector under which the domain's key is published.
    pub selector: String,
    /// The folder of store and control socket; relative to the folder of the configuration.
    pub data: PathBuf,
}

/// Writes the files of a new node into a folder, which is made with mode 0700 where it is missing: the configuration
/// and the keys with mode 0600, the certificate for all to read. Gives the path of the configuration.
///
/// # Errors
/// [`Error::Config`] where one of the files is there already, and nothing is written then; [`Error::Other`] where a
/// value has no form in the configuration; [`Error::File`] where one cannot be written. keeps: CLI-11
pub fn init(folder: &Path, plan: &Plan) -> Result<PathBuf, Error> {
    dns::waxkey::name_of(&plan.selector, plan.domain.as_str())?;
    let text = configuration(plan)?;
    running::make_private(folder)?;
    let place = |name: &str| folder.join(name);
    let files = [CONFIG_FILE, DOMAIN_KEY_FILE, HOST_KEY_FILE, CERTIFICATE_FILE].map(place);
    if let Some(there) = files.iter().find(|file| file.symlink_metadata().is_ok()) {
        let reason =
            "it is there already, and nothing is overwritten: name another folder with --dir".to_owned();
        return Err(Error::Config { path: there.clone(), reason });
    }
    let [config_file, domain_key, host_key, certificate] = files;
    let mut names = vec![plan.domain.as_str()];
    names.extend((plan.host != plan.domain).then_some(plan.host.as_str()));
    make_domain_key(&domain_key)?;
    make_host_key(&host_key, &certificate, &names)?;
    // The configuration comes last: where it is, all it names is there.
    files::write_secret(&config_file, &text)?;
    Ok(config_file)
}

/// The name that a host has where nobody says another: `mx` below the domain.
///
/// # Errors
/// [`Error::Other`] where the domain is too long for that.
pub fn host_within(domain: &Domain) -> Result<Domain, Error> {
    crate::config::domain(&format!("mx.{}", domain.as_str()))
}

/// Draws the key of a domain and writes it.
pub(crate) fn make_domain_key(path: &Path) -> Result<SecretKey, Error> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    SystemClock.random(seed.as_mut());
    let key = SecretKey::from_seed(&seed);
    files::write_key(path, &key)?;
    Ok(key)
}

/// Makes the key of a host with a certificate for these names, signed by itself, and writes both.
pub(crate) fn make_host_key(key: &Path, certificate: &Path, names: &[&str]) -> Result<HostKey, Error> {
    let made = HostKey::generate(KeyKind::EcdsaP256, names)?;
    files::write_secret(key, &made.key_pem())?;
    files::write_public(certificate, &made.chain_pem())?;
    Ok(made)
}

fn configuration(plan: &Plan) -> Result<String, Error> {
    let data = plan.data.to_str().ok_or(Error::Other("--data is not a path in UTF-8".to_owned()))?;
    let text = TEMPLATE
        .replace("{data}", &quoted(data))
        .replace("{domain}", &quoted(plan.domain.as_str()))
        .replace("{selector}", &quoted(&plan.selector))
        .replace("{selector_plain}", &plan.selector)
        .replace("{domain_plain}", plan.domain.as_str())
        .replace("{listen}", &quoted(&plan.listen.to_string()));
    toml::from_str::<Config>(&text).map_err(|error| Error::Other(error.to_string()))?;
    Ok(text)
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn plan() -> Plan {
        Plan {
            domain: Domain::parse("north.test").unwrap(),
            host: Domain::parse("mx.north.test").unwrap(),
            listen: "127.0.0.1:7625".parse().unwrap(),
            selector: "key1".to_owned(),
            data: "da\"ta".into(),
        }
    }

    /// proves: CLI-11
    #[test]
    fn a_new_node_has_all_that_it_needs_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("new");
        let file = init(&folder, &plan()).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let modes = ["", CONFIG_FILE, DOMAIN_KEY_FILE, HOST_KEY_FILE, CERTIFICATE_FILE]
            .map(|name| mode(&folder.join(name)));
        assert_eq!(modes, [0o700, 0o600, 0o600, 0o600, 0o644]);
        let config = Config::read(&file).unwrap();
        assert_eq!(config.data(), folder.join("da\"ta"));
        assert_eq!(config.host_key().unwrap().names(), ["north.test", "mx.north.test"]);
    }

    /// proves: CLI-11
    #[test]
    fn nothing_is_overwritten() {
        for there in [CONFIG_FILE, DOMAIN_KEY_FILE, HOST_KEY_FILE, CERTIFICATE_FILE] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(there), "mine").unwrap();
            assert!(init(folder.path(), &plan()).unwrap_err().to_string().contains(there));
            assert_eq!(std::fs::read(folder.path().join(there)).unwrap(), b"mine");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    /// What is commented out is what holds without it, and no setting is left out.
    #[test]
    fn the_configuration_is_complete_and_its_comments_are_true() {
        let text = configuration(&plan()).unwrap();
        let defaults = Config::to_text(&toml::from_str(&text).unwrap()).unwrap();
        let uncommented: String = text
            .lines()
            .map(|line| {
                line.strip_prefix("# ")
                    .filter(|line| line.contains(" = ") && !line.contains("north.test\""))
                    .filter(|line| {
                        let rule =
                            ["south", "server", "name", "from", "to", "larger-than", "hold", "validate"];
                        let reputation = [
                            "vouched-by",
                            "good-lists",
                            "bad-lists",
                            "at ",
                            "limit-ms",
                            "when-silent",
                            "lmtp",
                            "trust-anchors",
                            "domain-",
                            "look-alike",
                            "mixed-script",
                            "standing-bad",
                            "rate-over",
                            "key = \"forwarding",
                            "roots = \"forwarding",
                            "certificate = \"forwarding",
                            "hosts = {",
                        ];
                        let line = line.trim_start_matches('"');
                        !rule.iter().chain(&reputation).any(|word| line.starts_with(word))
                    })
                    .unwrap_or(line)
                    .to_owned()
                    + "\n"
            })
            .collect();
        assert_ne!(uncommented, text);
        assert_eq!(Config::to_text(&toml::from_str(&uncommented).unwrap()).unwrap(), defaults);
        // What may stand in a section, but for what is for tests, is told by what is said of a key that may not.
        let sections = [
            "listen",
            "tls",
            "dns",
            "policy",
            "limits",
            "rates",
            "reputation",
            "policy-service",
            "forwarding",
            "queue",
            "store",
            "mailbox",
            "console",
            "gateway",
            "gateway.checks",
            "gateway.out",
            "gateway.mav",
        ];
        for section in sections {
            let told = toml::from_str::<Config>(&format!("[{section}]\nno-such-key = 1\n")).unwrap_err();
            let (_, expected) = told.message().split_once("expected ").expect("what is expected is told");
            for key in expected.split('`').skip(1).step_by(2).filter(|key| *key != "notice-seconds") {
                let there =
                    [format!("{key} = "), format!("[{section}.{key}]"), format!("[[{section}.{key}]]")];
                assert!(there.iter().any(|way| text.contains(way)), "[{section}] {key} is not in the file");
            }
        }
        for line in defaults.lines().filter_map(|line| line.split_once(" = ")) {
            assert!(text.contains(&format!("{} = ", line.0)), "{} is not in the file", line.0);
        }
    }
}
