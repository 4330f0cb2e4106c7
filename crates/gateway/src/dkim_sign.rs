//! DKIM signatures on what leaves (RFC 6376, RFC 8463).

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa;
use data_encoding::BASE64;
use mail_auth::common::crypto::{DkimKey, Ed25519Key, RsaKey, Sha256};
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::{Canonicalization, DkimSigner, Done};
use message::address::Domain;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

/// Fields that are signed as often as they are there and once more, so that none can be added unseen.
const SIGNED: [&str; 20] = [
    "From",
    "Sender",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "To",
    "Cc",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Disposition",
    "Content-ID",
    "List-Id",
    "List-Post",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "Auto-Submitted",
];
/// Octets of a key in PEM: an RSA key of 8192 bits has less than half.
const PEM_OCTETS_MAX: usize = 16 * 1024;
/// Keys of one domain: one of each kind, and as many again while they are changed.
const KEYS_MAX: usize = 4;

/// The keys of a domain. The signatures stand in the order in which the keys were added.
pub struct DkimSign {
    domain: Domain,
    keys: Vec<Key>,
}

struct Key {
    signer: DkimSigner<DkimKey, Done>,
    selector: String,
    record: String,
}

/// Why something cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DkimError {
    /// The operator's: the key cannot be used.
    #[error("the DKIM key {0}: {1}")]
    Key(String, String),
    /// The caller's: this is no message.
    #[error("the message cannot be signed: {0}")]
    Message(String),
}

impl DkimSign {
    /// No key yet: such a domain signs nothing.
    #[must_use]
    pub fn new(domain: Domain) -> DkimSign {
        DkimSign { domain, keys: Vec::new() }
    }

    /// With a key in PEM: RSA of at least 2048 bits (PKCS #1 or #8), or Ed25519 (PKCS #8). keeps: GW-71
    ///
    /// # Errors
    /// [`DkimError::Key`].
    pub fn with_key(mut self, selector: &str, pem: &str) -> Result<DkimSign, DkimError> {
        let failed = |text: String| DkimError::Key(selector.to_owned(), text);
        let good = (1..=63).contains(&selector.len())
            && selector
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.'));
        if !good {
            return Err(failed("this is no name of a selector".to_owned()));
        }
        if self.keys.len() >= KEYS_MAX || pem.len() > PEM_OCTETS_MAX {
            return Err(failed("too many keys, or one too long".to_owned()));
        }
        let (key, record) = read_key(pem).map_err(failed)?;
        let twice = SIGNED.iter().chain(&SIGNED).copied();
        let signer = DkimSigner::from_key(key)
            .domain(self.domain.as_str())
            .selector(selector)
            .headers(twice)
            .header_canonicalization(Canonicalization::Relaxed)
            .body_canonicalization(Canonicalization::Relaxed);
        self.keys.push(Key { signer, selector: selector.to_owned(), record });
        Ok(self)
    }

    /// What has to stand in the DNS: names, and texts (TXT).
    pub fn records(&self) -> impl Iterator<Item = (String, &str)> {
        self.keys
            .iter()
            .map(|key| (format!("{}._domainkey.{}", key.selector, self.domain), key.record.as_str()))
    }

    /// The message with a signature by each key before it. The time in the signatures is the library's. keeps: GW-71
    ///
    /// # Errors
    /// [`DkimError::Message`].
    pub fn sign(&self, octets: &[u8]) -> Result<Vec<u8>, DkimError> {
        let mut signed = Vec::with_capacity(octets.len() + 1_024 * self.keys.len());
        for key in &self.keys {
            let signature = key.signer.sign(octets).map_err(|error| DkimError::Message(error.to_string()))?;
            signed.extend_from_slice(signature.to_header().as_bytes());
        }
        signed.extend_from_slice(octets);
        Ok(signed)
    }
}

/// A key, and the text of its DNS record.
fn read_key(pem: &str) -> Result<(DkimKey, String), String> {
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| error.to_string())?;
    let PrivateKeyDer::Pkcs8(inner) = &key else {
        return rsa_key(key);
    };
    match Ed25519Key::from_pkcs8_maybe_unchecked_der(inner.secret_pkcs8_der()) {
        Ok(found) => {
            let record = format!("v=DKIM1; k=ed25519; p={}", BASE64.encode(&found.public_key()));
            Ok((DkimKey::Ed25519(found), record))
        }
        Err(_) => rsa_key(key),
    }
}

fn rsa_key(key: PrivateKeyDer<'static>) -> Result<(DkimKey, String), String> {
    let pair = match &key {
        PrivateKeyDer::Pkcs1(inner) => rsa::KeyPair::from_der(inner.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(inner) => rsa::KeyPair::from_pkcs8(inner.secret_pkcs8_der()),
        _ => return Err("it is neither an RSA key nor an Ed25519 key".to_owned()),
    };
    let pair =
        pair.map_err(|_| "it is neither an RSA key of 2048 bits or more nor an Ed25519 key".to_owned())?;
    let public: PublicKeyX509Der<'_> =
        aws_lc_rs::signature::KeyPair::public_key(&pair).as_der().map_err(|error| error.to_string())?;
    let record = format!("v=DKIM1; k=rsa; p={}", BASE64.encode(public.as_ref()));
    let found = RsaKey::<Sha256>::from_key_der(key).map_err(|error| error.to_string())?;
    Ok((DkimKey::Rsa(found), record))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Arc;

    use dns::{FixedZones, Record};

    use super::*;
    use crate::check::{CheckInput, CheckSettings, Checked, Checker, OnFailure, Verdict};

    const MESSAGE: &str = "From: Zoe <zoe@north.test>\r\nTo: bob@south.test\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n\
                           Date: Mon, 23 Nov 2026 00:00:00 +0000\r\nMessage-ID: <1@north.test>\r\n\r\nGood morning\r\n";

    fn signer() -> DkimSign {
        let pem = |algorithm| rcgen::KeyPair::generate_for(algorithm).unwrap().serialize_pem();
        let keys = DkimSign::new(Domain::parse("north.test").unwrap());
        let keys = keys.with_key("ed", &pem(&rcgen::PKCS_ED25519)).unwrap();
        keys.with_key("rsa", &pem(&rcgen::PKCS_RSA_SHA256)).unwrap()
    }

    async fn examined(signer: &DkimSign, octets: &[u8]) -> Checked {
        let zones = FixedZones::new();
        for (name, text) in signer.records() {
            zones.add(&name, Record::Txt(text.as_bytes().to_vec())).unwrap();
        }
        let failure = OnFailure::Note;
        let settings =
            CheckSettings { host: "south.test".to_owned(), spf: failure, dmarc: failure, csa: failure };
        let checker = Checker::new(settings, Arc::new(zones), Arc::new(|| 4_102_444_800_000)).unwrap();
        let input = CheckInput {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            helo: "north.test",
            return_path: &None,
            octets,
            // In the year 2100: the time of the signatures is the library's, and lies before it.
            now_ms: 4_102_444_800_000,
            arranged: false,
        };
        checker.examine(input).await
    }

    /// proves: GW-71
    #[tokio::test]
    async fn a_message_is_signed_by_each_key_and_against_additions() {
        let signer = signer();
        let signed = signer.sign(MESSAGE.as_bytes()).unwrap();
        assert!(signed.ends_with(MESSAGE.as_bytes()));
        let check = async |octets: &[u8], good: bool| {
            let checked = examined(&signer, octets).await;
            let found: Vec<_> = checked
                .signatures
                .iter()
                .map(|one| (one.selector.as_str(), one.verdict == Verdict::Pass))
                .collect();
            assert_eq!(found, [("ed", good), ("rsa", good)], "{:?}", checked.signatures);
        };
        check(&signed, true).await;
        let text = String::from_utf8(signed).unwrap();
        check(text.replace("Good", "Bad").as_bytes(), false).await;
        check(text.replace("\r\nTo: bob", "\r\nTo: eve").as_bytes(), false).await;
        for added in [
            "Subject: win",
            "To: eve@south.test",
            "Date: now",
            "Reply-To: eve@west.test",
            "Cc: eve@west.test",
        ] {
            check(format!("{added}\r\n{text}").as_bytes(), false).await;
        }
    }

    #[test]
    fn keys_are_read_or_refused() {
        let domain = || DkimSign::new(Domain::parse("north.test").unwrap());
        let check = |selector: &str, pem: &str, good: bool| {
            assert_eq!(domain().with_key(selector, pem).is_ok(), good, "{selector} {pem:.40}");
        };
        let good = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
        let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
        check("s1", &good, true);
        check("s1", &other, false);
        check("s1", "", false);
        check("s 1", &good, false);
        check("", &good, false);
        check("s1", &format!("{good}{}", " ".repeat(PEM_OCTETS_MAX)), false);
    }
}
