//! DKIM signatures on what leaves (RFC 6376, RFC 8463).

use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa;
use data_encoding::BASE64;
use mail_auth::common::crypto::{DkimKey, Ed25519Key, RsaKey, Sha256};
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::{Canonicalization, DkimSigner as Signer, Done};
use mail_parser::{HeaderName, MessageParser};
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

/// The keys of our domains. Cheap to clone.
#[derive(Clone, Default)]
pub struct DkimSigner {
    keys: Vec<Arc<Key>>,
}

struct Key {
    domain: Domain,
    signer: Signer<DkimKey, Done>,
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

impl DkimSigner {
    /// Adds a key of a domain, in PEM: RSA of at least 2048 bits (PKCS #1 or #8), or Ed25519 (PKCS #8). keeps: GW-71
    ///
    /// # Errors
    /// [`DkimError::Key`].
    pub fn add(&mut self, domain: &Domain, selector: &str, pem: &str) -> Result<(), DkimError> {
        let failed = |text: String| DkimError::Key(selector.to_owned(), text);
        let good = (1..=63).contains(&selector.len())
            && selector
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.'));
        if !good {
            return Err(failed("this is no name of a selector".to_owned()));
        }
        let same = self.keys.iter().filter(|key| key.domain == *domain).count();
        if same >= KEYS_MAX || pem.len() > PEM_OCTETS_MAX {
            return Err(failed("too many keys, or one too long".to_owned()));
        }
        let (key, record) = read_key(pem).map_err(failed)?;
        let signer = Signer::from_key(key)
            .domain(domain.as_str())
            .selector(selector)
            .headers(SIGNED.iter().chain(&SIGNED).copied())
            .header_canonicalization(Canonicalization::Relaxed)
            .body_canonicalization(Canonicalization::Relaxed);
        let (domain, selector) = (domain.clone(), selector.to_owned());
        self.keys.push(Arc::new(Key { domain, signer, selector, record }));
        Ok(())
    }

    /// What has to stand in the DNS: names, and texts (TXT).
    pub fn records(&self) -> impl Iterator<Item = (String, &str)> {
        let name = |key: &Key| format!("{}._domainkey.{}", key.selector, key.domain);
        self.keys.iter().map(move |key| (name(key), key.record.as_str()))
    }

    /// The signatures of a message by each key of the domain of its author, as fields to stand before it; none where that domain
    /// has no key here, or where the message does not have one From field, with an author of just that domain. The time in them
    /// is the library's. keeps: GW-71
    ///
    /// # Errors
    /// [`DkimError::Message`].
    pub fn sign(&self, octets: &[u8], author: &Domain) -> Result<String, DkimError> {
        let mut fields = String::new();
        if author_domain(octets).as_ref() != Some(author) {
            return Ok(fields);
        }
        for key in self.keys.iter().filter(|key| key.domain == *author) {
            let signature = key.signer.sign(octets).map_err(|error| DkimError::Message(error.to_string()))?;
            fields.push_str(&signature.to_header());
        }
        Ok(fields)
    }
}

/// The domain of the first author in the one From field.
fn author_domain(octets: &[u8]) -> Option<Domain> {
    let message = MessageParser::default().parse_headers(octets)?;
    let from = message.headers().iter().filter(|header| header.name == HeaderName::From);
    if from.count() != 1 {
        return None;
    }
    let address = message.from()?.first()?.address.as_deref()?;
    Domain::parse(address.rsplit_once('@')?.1).ok()
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

    use dns::{FixedZones, Record};

    use super::*;
    use crate::check::{CheckInput, CheckSettings, Checked, Checker, OnFailure, Verdict};

    const MESSAGE: &str = "From: Zoe <zoe@north.test>\r\nTo: bob@south.test\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n\
                           Date: Mon, 23 Nov 2026 00:00:00 +0000\r\nMessage-ID: <1@north.test>\r\n\r\nGood morning\r\n";

    fn north() -> Domain {
        Domain::parse("north.test").unwrap()
    }

    fn signer() -> DkimSigner {
        let pem = |algorithm| rcgen::KeyPair::generate_for(algorithm).unwrap().serialize_pem();
        let domain = |name: &str| Domain::parse(name).unwrap();
        let mut signer = DkimSigner::default();
        signer.add(&domain("north.test"), "ed", &pem(&rcgen::PKCS_ED25519)).unwrap();
        signer.add(&domain("west.test"), "other", &pem(&rcgen::PKCS_ED25519)).unwrap();
        signer.add(&domain("north.test"), "rsa", &pem(&rcgen::PKCS_RSA_SHA256)).unwrap();
        signer
    }

    async fn examined(signer: &DkimSigner, octets: &[u8]) -> Checked {
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
            cookie: None,
        };
        checker.examine(input).await
    }

    /// proves: GW-71
    #[tokio::test]
    async fn a_message_is_signed_by_each_key_and_against_additions() {
        let signer = signer();
        let text = format!("{}{MESSAGE}", signer.sign(MESSAGE.as_bytes(), &north()).unwrap());
        let check = async |octets: &[u8], good: bool| {
            let checked = examined(&signer, octets).await;
            let found: Vec<_> = checked
                .signatures
                .iter()
                .map(|one| (one.selector.as_str(), one.verdict == Verdict::Pass))
                .collect();
            assert_eq!(found, [("ed", good), ("rsa", good)], "{:?}", checked.signatures);
        };
        check(text.as_bytes(), true).await;
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

    /// proves: GW-71
    #[test]
    fn only_the_domain_of_the_author_signs() {
        let signer = signer();
        let count_for = |domain: &str, from: &str| {
            let message = MESSAGE.replace("Zoe <zoe@north.test>", from);
            let author = Domain::parse(domain).unwrap();
            signer.sign(message.as_bytes(), &author).unwrap().matches("DKIM-Signature:").count()
        };
        let count = |from| count_for("north.test", from);
        assert_eq!(count("zoe@north.test"), 2);
        assert_eq!(count("\"zoe@north.test\" <eve@west.test>"), 0);
        assert_eq!(count_for("west.test", "\"zoe@north.test\" <eve@west.test>"), 1);
        // Whichever of two fields another reader takes.
        assert_eq!(count("zoe@north.test\r\nFrom: zoe@north.test"), 0);
        assert_eq!(count("zoe@north.test\r\nFrom : eve@west.test"), 0);
        assert_eq!(count("zoe@mail.north.test"), 0);
        assert_eq!(count("nobody"), 0);
        assert_eq!(signer.sign(b"", &north()).unwrap(), "");
    }

    #[test]
    fn keys_are_read_or_refused() {
        let domain = Domain::parse("north.test").unwrap();
        let check = |selector: &str, pem: &str, good: bool| {
            let added = DkimSigner::default().add(&domain, selector, pem);
            assert_eq!(added.is_ok(), good, "{selector} {pem:.40}");
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
