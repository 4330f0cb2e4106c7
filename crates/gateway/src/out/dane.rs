//! What secure DNS says about the certificate of a host (RFC 7672).

use dns::{Resolver, Security, Tlsa};
use message::Code;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;
use sha2::{Digest, Sha256, Sha512};

use super::limits::TLSA_RECORDS_MAX;
use super::trip::{Step, Trouble};

/// The certificate is the server's own: neither names nor dates nor authorities count (RFC 7671 section 5.1).
const END_ENTITY: u8 = 3;
/// The certificate is one that the server's chain leads to (RFC 7671 section 5.2).
const TRUST_ANCHOR: u8 = 2;

/// What a host is to be held to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dane {
    /// Nothing: no secure records.
    None,
    /// TLS without a check of the certificate: there are secure records, and none is of use (RFC 7672 section 2.2).
    Encrypt,
    /// TLS, and one of these must match.
    Records(Vec<Association>),
}

/// A TLSA record of use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Association {
    usage: u8,
    selector: u8,
    matching: u8,
    data: Vec<u8>,
}

/// Asks for the records of a host. They are asked for only where the names before were proved too. keeps: GW-47
///
/// # Errors
/// Where it cannot be known whether there are some: the host must not be used then (RFC 7672 section 2.1.2).
pub(super) async fn records(resolver: &dyn Resolver, host: &str, port: u16) -> Result<Dane, Trouble> {
    let name = format!("_{port}._tcp.{host}");
    let answer = match resolver.tlsa(&name).await {
        Ok(answer) => answer,
        Err(dns::Error::BadName(_)) => return Ok(Dane::None),
        Err(error) => {
            let text = format!("{name}: {error}");
            return Err(Trouble {
                step: Step::Policy,
                ..Trouble::of_tls("tlsa-invalid", Code::DIRECTORY_FAILURE, text)
            });
        }
    };
    if answer.security != Security::Secure || answer.records.is_empty() {
        return Ok(Dane::None);
    }
    let usable: Vec<Association> =
        answer.records.into_iter().take(TLSA_RECORDS_MAX).filter_map(Association::of).collect();
    Ok(if usable.is_empty() { Dane::Encrypt } else { Dane::Records(usable) })
}

impl Association {
    /// Usages 0 and 1 are of no use in SMTP (RFC 7672 section 3.1.3), nor is what has another length than its digest.
    fn of(record: Tlsa) -> Option<Association> {
        let Tlsa { usage, selector, matching, data } = record;
        let fits = match matching {
            0 => !data.is_empty(),
            1 => data.len() == 32,
            2 => data.len() == 64,
            _ => false,
        };
        let useful = matches!(usage, TRUST_ANCHOR | END_ENTITY) && selector <= 1 && fits;
        useful.then_some(Association { usage, selector, matching, data })
    }

    fn matches(&self, certificate: &CertificateDer<'_>) -> bool {
        let selected: Vec<u8> = match self.selector {
            0 => certificate.to_vec(),
            _ => match ParsedCertificate::try_from(certificate) {
                Ok(parsed) => parsed.subject_public_key_info().to_vec(),
                Err(_) => return false,
            },
        };
        match self.matching {
            0 => selected == self.data,
            1 => Sha256::digest(&selected).as_slice() == self.data,
            _ => Sha512::digest(&selected).as_slice() == self.data,
        }
    }

    /// The form in which a TLS report shows it.
    pub(super) fn text(&self) -> String {
        let data = data_encoding::HEXLOWER.encode(&self.data);
        format!("{} {} {} {data}", self.usage, self.selector, self.matching)
    }
}

/// Whether the server's own certificate is one that is named. keeps: GW-47
pub(super) fn is_named(associations: &[Association], certificate: &CertificateDer<'_>) -> bool {
    associations.iter().any(|one| one.usage == END_ENTITY && one.matches(certificate))
}

/// The certificates that the chain may lead to: those of the chain that are named, and those that stand in the records
/// whole. keeps: GW-47
pub(super) fn anchors(associations: &[Association], chain: &[CertificateDer<'_>]) -> RootCertStore {
    let mut store = RootCertStore::empty();
    let named = associations.iter().filter(|one| one.usage == TRUST_ANCHOR);
    for one in named {
        for certificate in chain.iter().filter(|certificate| one.matches(certificate)) {
            // What cannot be an anchor is none.
            let _ = store.add(certificate.clone().into_owned());
        }
        if one.selector == 0 && one.matching == 0 {
            let _ = store.add(CertificateDer::from(one.data.clone()));
        }
    }
    store
}
