//! Verify: seals against keys from the DNS. What was found is kept with the message, for people to see.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use message::address::Domain;
use message::{PublicKey, Role, Seal};
use policy::SealEvidence;
use storage::{Origin, SealNote};

use crate::limits::{KEY_MS_MAX, KEYS_MAX};
use crate::{Event, Node};

/// What was found about the seals of one message.
#[derive(Debug, Clone)]
pub(crate) struct Verified {
    pub(crate) notes: Vec<SealNote>,
    pub(crate) evidence: SealEvidence,
}

/// Why a key is not at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NoKey {
    /// The DNS says that there is none, or that it is revoked.
    None,
    /// The DNS does not answer.
    Unknown,
}

/// Keys of domains, for as long as their records say.
#[derive(Debug, Default)]
pub(crate) struct KeyCache(Mutex<HashMap<(String, String), (PublicKey, u64)>>);

impl Node {
    /// Checks every seal whose key can be had. A seal of an unknown role or of an author whose key is not known here
    /// is carried and shown as not verified; it never counts against the message.
    pub(crate) async fn verify(
        &self,
        manifest: &message::Manifest,
        seals: &[Seal],
        origin: &Origin,
    ) -> Verified {
        let (mut notes, mut found) = (Vec::new(), SealEvidence::Missing);
        let now_seconds = self.now_ms() / 1000;
        for seal in seals {
            let claims = seal.claims();
            let answers = match origin {
                Origin::Peer { domain } => {
                    claims.issuer == domain.as_str()
                        && matches!(claims.role, Role::Submission | Role::Forwarder)
                }
                Origin::Submission { .. } => false,
            };
            let checked = match self.key_for(seal).await {
                Ok(key) => match seal.verify(manifest.octets(), &key, now_seconds) {
                    Ok(_) => SealEvidence::Verified,
                    Err(_) => SealEvidence::Broken,
                },
                Err(NoKey::None) => SealEvidence::Missing,
                Err(NoKey::Unknown) => SealEvidence::Unknown,
            };
            let verified = checked == SealEvidence::Verified;
            if answers {
                found = stronger(found, checked);
            }
            self.tell(Event::SealChecked {
                identity: manifest.identity(),
                issuer: claims.issuer.clone(),
                role: claims.role.word(),
                verified,
            });
            notes.push(SealNote { issuer: claims.issuer.clone(), role: claims.role, verified });
        }
        Verified { notes, evidence: found }
    }

    /// The key of a domain that sealed. Authors' keys are not asked for: their seals are shown, not judged.
    async fn key_for(&self, seal: &Seal) -> Result<PublicKey, NoKey> {
        let claims = seal.claims();
        if matches!(claims.role, Role::Author | Role::Unknown(_)) {
            return Err(NoKey::None);
        }
        let domain = Domain::from_wire(&claims.issuer).map_err(|_| NoKey::None)?;
        let selector = std::str::from_utf8(seal.key_name()).map_err(|_| NoKey::None)?.to_owned();
        if let Some(own) = self.settings().domains.get(&domain).filter(|own| own.selector == selector) {
            return Ok(own.key.public());
        }
        let now_ms = self.now_ms();
        let name = (selector, domain.as_str().to_owned());
        if let Some(key) = self.inner.keys.find(&name, now_ms) {
            return Ok(key);
        }
        let found = dns::waxkey::fetch(self.inner.resolver.as_ref(), &name.0, &name.1).await;
        match found {
            Ok(Some(found)) => {
                let dns::waxkey::KeyRecord::Key(key) = found.record else { return Err(NoKey::None) };
                let key = PublicKey::from_bytes(&key.public).map_err(|_| NoKey::None)?;
                self.inner.keys.keep(name, key, now_ms, u64::from(found.ttl_seconds) * 1000);
                Ok(key)
            }
            Ok(None) | Err(dns::Error::MalformedKey(_) | dns::Error::BadName(_)) => Err(NoKey::None),
            Err(_) => Err(NoKey::Unknown),
        }
    }
}

/// One verified seal is enough; a broken one weighs more than one that could not be checked.
fn stronger(one: SealEvidence, other: SealEvidence) -> SealEvidence {
    let weight = |evidence| match evidence {
        SealEvidence::Missing => 0,
        SealEvidence::Unknown => 1,
        SealEvidence::Broken => 2,
        SealEvidence::Verified => 3,
    };
    if weight(other) > weight(one) { other } else { one }
}

impl KeyCache {
    fn find(&self, name: &(String, String), now_ms: u64) -> Option<PublicKey> {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.get(name).filter(|(_, until_ms)| *until_ms > now_ms).map(|(key, _)| *key)
    }

    fn keep(&self, name: (String, String), key: PublicKey, now_ms: u64, ttl_ms: u64) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= KEYS_MAX {
            keys.clear();
        }
        keys.insert(name, (key, now_ms + ttl_ms.min(KEY_MS_MAX)));
    }
}
