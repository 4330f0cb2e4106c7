//! The certificate of SMTP, which can be replaced while the node runs: whoever connects then sees the new one, and sessions
//! that are open go on. A pair that is not good changes nothing, and is told.
//!
//! keeps: GW-15

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use message::Digest;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use crate::{Error, files};

/// How often it is looked whether the files have changed: who replaces a certificate does so days before the old one ends.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The pair that is shown, and where a new one is looked for.
pub(crate) struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    shown: RwLock<Arc<CertifiedKey>>,
    looked: Mutex<Looked>,
}

/// What was found in the files when they were looked at last.
struct Looked {
    digest: Digest,
    /// Why that is not shown.
    wrong: Option<String>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Certificates({})", self.certificate.display())
    }
}

impl Certificates {
    /// The pair in these files.
    ///
    /// # Errors
    /// Where it cannot be read, or is none.
    pub(super) fn read(certificate: PathBuf, key: PathBuf) -> Result<Certificates, Error> {
        let (digest, pair) = pair(&certificate, &key);
        let pair = pair.map_err(Error::Other)?;
        let looked = Mutex::new(Looked { digest, wrong: None });
        Ok(Certificates { certificate, key, shown: RwLock::new(Arc::new(pair)), looked })
    }

    /// Looks at the files, and shows what is new in them; says whether there was anything.
    ///
    /// # Errors
    /// Where what is there is not good: then the pair from before stays.
    pub(crate) fn reload(&self) -> Result<bool, String> {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let (digest, pair) = pair(&self.certificate, &self.key);
        let fresh = digest != looked.digest;
        looked.digest = digest;
        match pair {
            // The same octets as before may be good now, since who may read the key counts too.
            Ok(pair) => {
                let mended = looked.wrong.take().is_some();
                if fresh || mended {
                    *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
                    tracing::info!(certificate = %self.certificate.display(), "SMTP shows a new certificate");
                }
                Ok(fresh || mended)
            }
            Err(reason) => {
                if fresh || looked.wrong.as_ref() != Some(&reason) {
                    tracing::warn!(%reason, "a new certificate for SMTP is not good; the old one stays");
                }
                looked.wrong = Some(reason.clone());
                Err(reason)
            }
        }
    }

    /// Why what is in the files is not shown.
    pub(crate) fn wrong(&self) -> Option<String> {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner).wrong.clone()
    }

    /// Looks from time to time, for as long as the node runs.
    pub(super) async fn follow(self: Arc<Certificates>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let certificates = self.clone();
            // What is wrong is told where it is found out.
            if tokio::task::spawn_blocking(move || drop(certificates.reload())).await.is_err() {
                return;
            }
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// What stands in the files, and the pair that it makes.
fn pair(certificate: &std::path::Path, key: &std::path::Path) -> (Digest, Result<CertifiedKey, String>) {
    let (chain, secret) = (files::read(certificate), files::read_secret(key));
    // Of what cannot be read nothing is known; the lengths keep the two apart.
    let (first, second) = (
        chain.as_ref().map_or(&b""[..], |text| text.as_bytes()),
        secret.as_ref().map_or(&b""[..], |text| text.as_bytes()),
    );
    let both = Zeroizing::new([&first.len().to_be_bytes()[..], first, second].concat());
    let digest = Digest::of(&both);
    let made = || {
        let wrong = |file: &std::path::Path, error: String| format!("{}: {error}", file.display());
        let (chain, secret) = (chain.map_err(|e| e.to_string())?, secret.map_err(|e| e.to_string())?);
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| wrong(certificate, error.to_string()))?;
        let secret = PrivateKeyDer::from_pem_slice(secret.as_bytes())
            .map_err(|error| wrong(key, error.to_string()))?;
        let provider = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider();
        CertifiedKey::from_der(chain, secret, &provider).map_err(|error| wrong(key, error.to_string()))
    };
    (digest, made())
}
