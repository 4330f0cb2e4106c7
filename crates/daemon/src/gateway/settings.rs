//! What the parts of the gateway are given, made of what the configuration says.

use std::sync::Arc;

use data_encoding::HEXLOWER_PERMISSIVE;
use gateway::check::{CheckSettings, Checker, OnFailure};
use gateway::cookies::Jar;
use gateway::dkim_sign::DkimSigner;
use gateway::mav::{Agreed, May, Network, Rule, Rules, Who};
use gateway::notice::Tags;
use gateway::out::{Login, MailParameters, Sender, SmartHost};
use gateway::{Records, smtp};
use message::address::{Address, Domain};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::certificate::Certificates;
use super::config::{GatewayConfig, MavRuleConfig, OutConfig};
use crate::config::Config;
use crate::{Error, clock, files};

/// Octets of a legacy message at the most: what is translated is in memory.
const MESSAGE_OCTETS_MAX: u64 = translate::limits::LEGACY_OCTETS_MAX as u64;

/// The name of this host.
pub(super) fn host(config: &Config) -> Result<String, Error> {
    let wanted = config.gateway.as_ref().and_then(|gateway| gateway.host.clone());
    let host = match wanted {
        Some(host) => host,
        None => format!("mx.{}", config.domains.first().map_or("localhost", |domain| &domain.name)),
    };
    Domain::parse(&host)
        .map(|domain| domain.as_str().to_owned())
        .map_err(|error| Error::Other(format!("[gateway] host = {host:?} is no name of a host: {error}")))
}

/// The names under which somebody may take results of checks for this node's: its gateway's, and its domains'.
pub(crate) fn checkers(config: &Config) -> Result<Vec<String>, Error> {
    let domains = config.domains.iter().map(|domain| domain.name.clone());
    Ok(std::iter::once(host(config)?).chain(domains).collect())
}

/// What tells our return paths from others': only this node can make them, and they stay the same over restarts.
pub(super) fn tags(config: &Config) -> Result<Tags, Error> {
    let first = config.domains.first().ok_or_else(|| Error::Other("there is no domain".to_owned()))?;
    let key = files::read_key(&config.path(&first.key))?;
    Ok(Tags::new(
        message::Digest::of(&[b"waxwing return path 1".as_slice(), &*key.seed()].concat())
            .as_bytes()
            .to_owned(),
    ))
}

/// Seconds for which a notice of failure is awaited.
pub(super) fn window_seconds(out: &OutConfig) -> u32 {
    let hours = u32::try_from(out.notice_hours.saturating_mul(3600)).unwrap_or(u32::MAX / 2);
    out.notice_seconds.unwrap_or(hours)
}

/// The bounds of sessions.
pub(super) fn limits(gateway: &GatewayConfig) -> smtp::Limits {
    let message = gateway.message_octets.min(MESSAGE_OCTETS_MAX);
    smtp::Limits {
        message_octets_max: usize::try_from(message).unwrap_or(usize::MAX),
        ..smtp::Limits::default()
    }
}

/// Who sends.
pub(super) fn sender(
    config: &Config,
    host: &str,
    resolver: &Arc<dyn dns::Resolver>,
    records: &Arc<dyn Records>,
    jar: Option<Arc<Jar>>,
) -> Result<Arc<Sender>, Error> {
    let out = config.gateway.as_ref().map(|gateway| gateway.out.clone()).unwrap_or_default();
    let mut roots = RootCertStore::empty();
    let file = config.path(&config.tls.roots);
    if file.exists() {
        let found = CertificateDer::pem_slice_iter(&files::read(&file)?.into_bytes())
            .filter_map(Result::ok)
            .collect::<Vec<_>>();
        roots.add_parsable_certificates(found);
    }
    let mut settings = gateway::out::Settings::new(
        host,
        Arc::new(roots),
        Arc::new(clock::now_ms),
        Arc::new(clock::random_below),
    );
    settings.port = out.port;
    settings.source = out.from_address;
    settings.private_networks = private_networks(config, &out)?;
    settings.mail_parameters = jar.map(|jar| jar as Arc<dyn MailParameters>);
    settings.smart_host =
        out.smart_host.as_deref().map(|place| smart_host(config, place, &out)).transpose()?;
    Ok(Arc::new(Sender::new(settings, resolver.clone(), records.clone())))
}

/// Where mail may go beside public addresses: what the operator says, and loopback for a node that is there itself.
///
/// keeps: GW-67
fn private_networks(config: &Config, out: &OutConfig) -> Result<Vec<Network>, Error> {
    let named = out.private_networks.iter().map(|text| {
        Network::parse(text).ok_or_else(|| {
            Error::Other(format!(
                "[gateway.out] private-networks: {text:?} is no network such as 10.1.0.0/16"
            ))
        })
    });
    let own = config.listen.address.ip().is_loopback().then_some(["127.0.0.0/8", "::1/128"]);
    named.chain(own.into_iter().flatten().filter_map(Network::parse).map(Ok)).collect()
}

fn smart_host(config: &Config, place: &str, out: &OutConfig) -> Result<SmartHost, Error> {
    let (host, port) = place.rsplit_once(':').unwrap_or((place, "587"));
    let port: u16 = port
        .parse()
        .map_err(|_| Error::Other(format!("[gateway.out] smart-host = {place:?}: say host:port")))?;
    let login = match (&out.smart_host_user, &out.smart_host_password) {
        (Some(name), Some(file)) => {
            let password = files::read_secret(&config.path(file))?.trim_end().to_owned();
            Some(Login { name: name.clone(), password })
        }
        (None, None) => None,
        _ => {
            let text = "[gateway.out] smart-host-user and smart-host-password go together";
            return Err(Error::Other(text.to_owned()));
        }
    };
    Ok(SmartHost { host: host.to_owned(), port, implicit_tls: port == 465, login })
}

/// What keeps the gateway of a configuration from starting, as far as its files tell.
pub(crate) fn mistakes(config: &Config) -> Vec<Error> {
    let Some(gateway) = &config.gateway else { return Vec::new() };
    let out = &gateway.out;
    let smart_host = out.smart_host.as_deref().map(|place| smart_host(config, place, out));
    let parts = [
        host(config).map(drop),
        certificates(config).map(drop),
        signer(config).map(drop),
        rules(config).map(drop),
        private_networks(config, out).map(drop),
        smart_host.transpose().map(drop),
    ];
    parts.into_iter().filter_map(Result::err).collect()
}

/// Who signs for the old world.
pub(crate) fn signer(config: &Config) -> Result<DkimSigner, Error> {
    let mut signer = DkimSigner::default();
    for key in config.gateway.iter().flat_map(|gateway| &gateway.dkim) {
        let file = config.path(&key.key);
        let wrong = |error: String| Error::Other(format!("[[gateway.dkim]] {}: {error}", file.display()));
        let domain = Domain::parse(&key.domain).map_err(|error| wrong(error.to_string()))?;
        let pem = files::read_secret(&file)?;
        signer.add(&domain, &key.selector, &pem).map_err(|error| wrong(error.to_string()))?;
    }
    Ok(signer)
}

/// Who may use which return path.
pub(super) fn rules(config: &Config) -> Result<Rules, Error> {
    let Some(gateway) = &config.gateway else { return Ok(Rules::default()) };
    let mut rules: Vec<Rule> = gateway.mav.rules.iter().map(rule).collect::<Result<_, _>>()?;
    if let Some(file) = &gateway.mav.mailfromrules {
        let file = config.path(file);
        let read = gateway::mav::import_mailfromrules(&files::read(&file)?);
        rules.extend(read.map_err(|error| {
            Error::Other(format!("{}, line {}: {}", file.display(), error.line, error.what))
        })?);
    }
    let agreed = gateway.mav.believed.iter().map(|name| match digest(name) {
        Some(digest) => Agreed::Certificate(digest),
        None => Agreed::Account(name.clone()),
    });
    Ok(Rules { rules, agreed: agreed.collect() })
}

fn rule(written: &MavRuleConfig) -> Result<Rule, Error> {
    let wrong = |what: String| Error::Other(format!("[[gateway.mav.rules]] {:?}: {what}", written.name));
    let mut who = Vec::new();
    if let Some(network) = &written.network {
        let network = Network::parse(network)
            .ok_or_else(|| wrong(format!("{network:?} is no network such as 192.0.2.0/24")))?;
        who.push(Who::Network(network));
    }
    if let Some(host) = &written.host {
        who.push(match host.strip_prefix("*.") {
            Some(below) => Who::HostsOf(below.to_ascii_lowercase()),
            None => Who::Host(host.to_ascii_lowercase()),
        });
    }
    who.extend(written.account.clone().map(Who::Account));
    if let Some(text) = &written.certificate {
        let digest =
            digest(text).ok_or_else(|| wrong("a certificate is the 64 digits of its SHA-256".to_owned()))?;
        who.push(Who::Certificate(digest));
    }
    if who.is_empty() {
        return Err(wrong("say for whom it is: network, host, account or certificate".to_owned()));
    }
    let may = written.may_use.iter().map(|text| match text.as_str() {
        "*" => Ok(May::Anything),
        text if text.contains('@') => Address::parse(text).map(May::Address).map_err(|error| (text, error)),
        text => Domain::parse(text).map(May::Domain).map_err(|error| (text, error)),
    });
    let may = may
        .collect::<Result<_, _>>()
        .map_err(|(text, error)| wrong(format!("{text:?} is neither an address nor a domain: {error}")))?;
    Ok(Rule { name: written.name.clone(), who, may })
}

fn digest(text: &str) -> Option<[u8; 32]> {
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?.try_into().ok()
}

/// Who checks what comes in.
pub(super) fn checker(
    config: &Config,
    host: &str,
    resolver: &Arc<dyn dns::Resolver>,
) -> Result<Checker, Error> {
    let checks = config.gateway.as_ref().map(|gateway| gateway.checks.clone()).unwrap_or_default();
    let follows = |refuse: bool| if refuse { OnFailure::Refuse } else { OnFailure::Note };
    let settings = CheckSettings {
        host: host.to_owned(),
        spf: follows(checks.refuse_spf),
        dmarc: follows(checks.refuse_dmarc),
        csa: follows(checks.refuse_csa),
    };
    Checker::new(settings, resolver.clone(), Arc::new(clock::now_ms)).map_err(Error::Other)
}

/// The certificate of SMTP.
pub(super) fn certificates(config: &Config) -> Result<Arc<Certificates>, Error> {
    let gateway = config.gateway.as_ref();
    let path = |own: Option<&std::path::PathBuf>, shared| config.path(own.unwrap_or(shared));
    let certificate = path(gateway.and_then(|gateway| gateway.certificate.as_ref()), &config.tls.certificate);
    let key = path(gateway.and_then(|gateway| gateway.key.as_ref()), &config.tls.key);
    Certificates::read(certificate, key).map(Arc::new)
}

/// The TLS of SMTP, with this certificate.
pub(super) fn tls(config: &Config, certificates: Arc<Certificates>) -> Result<Arc<ServerConfig>, Error> {
    let asks = config.gateway.as_ref().is_some_and(|gateway| {
        gateway.mav.rules.iter().any(|rule| rule.certificate.is_some())
            || gateway.mav.believed.iter().any(|name| digest(name).is_some())
    });
    smtp::tls_settings(certificates, asks).map_err(|error| Error::Other(error.to_string()))
}
