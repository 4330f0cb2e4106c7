//! Verify: seals against keys from the DNS. What was found is kept with the message, for people to see.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use message::address::{Address, Domain};
use message::{PublicKey, Role, Seal};
use policy::SealEvidence;
use storage::{Origin, SealNote};

use crate::keys::Authored;
use crate::limits::{
    AUTHOR_SEALS_MAX, KEY_MS_MAX, KEYS_MAX, KEYS_MS_MAX, KEYS_PER_ISSUER_MAX, OTHER_ISSUERS_MAX,
    OTHER_KEYS_MS_MAX,
};
use crate::{Event, Node};

/// What was found about the seals of one message.
#[derive(Debug, Clone)]
pub(crate) struct Verified {
    pub(crate) notes: Vec<SealNote>,
    pub(crate) evidence: SealEvidence,
    /// The seals in the name of the author, which mean something else to each reader.
    pub(crate) authored: Option<Authored>,
}

impl Verified {
    /// Whether this domain has set a forwarder's seal that verifies.
    pub(crate) fn is_forwarded_by(&self, domain: &Domain) -> bool {
        let by = |note: &SealNote| note.role == Role::Forwarder && note.issuer == domain.as_str();
        self.notes.iter().any(|note| note.verified && by(note))
    }

    /// Whether this domain has set a gateway's seal that verifies: it took the message from the old world.
    pub(crate) fn is_brought_in_by(&self, domain: &Domain) -> bool {
        let by = |note: &SealNote| note.role == Role::Gateway && note.issuer == domain.as_str();
        self.notes.iter().any(|note| note.verified && by(note))
    }
}

/// Each seal and what was found, for people.
pub(crate) fn words(notes: &[SealNote]) -> Vec<String> {
    let found = |note: &SealNote| match note.author_key {
        Some(found) if found.is_own() => format!("the author's own key, {}", found.word()),
        Some(found) => format!("key {}", found.word()),
        None if note.verified => "verified".to_owned(),
        None => "not verified".to_owned(),
    };
    notes.iter().map(|note| format!("{} by {} {}", note.role.word(), note.issuer, found(note))).collect()
}

/// Why a key is not at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// The DNS says that there is none, or that it is revoked.
    None,
    /// The DNS does not answer.
    Unknown,
}

/// The keys of a message that were asked for: issuer and selector.
type KeyNames<'a> = Vec<(&'a str, &'a [u8])>;

/// Keys of domains, for as long as their records say.
#[derive(Debug, Default)]
pub(crate) struct KeyCache(Mutex<HashMap<(String, String), (PublicKey, u64)>>);

impl Node {
    /// Checks every seal whose key can be had. A seal of an unknown role or of an author whose key is not known here
    /// is carried and shown as not verified; it never counts against the message.
    ///
    /// The evidence is for two questions. Does the domain of the From address stand behind the message: is there a
    /// submission seal of it? And does the peer answer for bringing it: is it that domain, or has it set a forwarder's
    /// seal? keeps: EXC-22, EXC-25
    pub(crate) async fn verify(
        &self,
        manifest: &message::Manifest,
        author: Option<&Address>,
        seals: &[Seal],
        origin: &Origin,
    ) -> Verified {
        let from = author.map(Address::domain);
        let authored = self.authored(manifest, author, seals).await;
        let mut notes = Vec::new();
        let (mut behind, mut bearer) = (SealEvidence::Missing, SealEvidence::Missing);
        let began_ms = self.now_ms();
        let now_seconds = began_ms / 1000;
        let (mut asked, mut names): (Vec<&str>, KeyNames<'_>) = (Vec::new(), Vec::new());
        for (place, seal) in seals.iter().enumerate() {
            let claims = seal.claims();
            let by = |domain: Option<&Domain>| domain.is_some_and(|domain| domain.as_str() == claims.issuer);
            let by_peer = matches!(origin, Origin::Peer { domain } if by(Some(domain)));
            let needed = by_peer || by(from);
            if !needed && !asked.contains(&claims.issuer.as_str()) {
                asked.push(&claims.issuer);
            }
            // Strangers' seals are for show: they must not make us ask the DNS without end.
            let bounded = needed || asked.len() <= OTHER_ISSUERS_MAX;
            let until_ms = began_ms + if needed { KEYS_MS_MAX } else { OTHER_KEYS_MS_MAX };
            let key = match bounded {
                true => self.key_in_time(seal, &mut names, until_ms).await,
                false => Err(NoKey::None),
            };
            let key_id = key.as_ref().ok().map(message::PublicKey::id);
            let checked = match key {
                Ok(key) => match seal.verify(manifest.octets(), &key, now_seconds) {
                    Ok(_) => SealEvidence::Verified,
                    // One of two clocks is wrong, and that passes. keeps: EXC-17
                    Err(message::Error::SealTime(_)) if claims.issued_at > now_seconds => {
                        SealEvidence::Unknown
                    }
                    Err(_) => SealEvidence::Broken,
                },
                Err(NoKey::None) => SealEvidence::Missing,
                Err(NoKey::Unknown) => SealEvidence::Unknown,
            };
            let verified = checked == SealEvidence::Verified;
            if by(from) && claims.role == Role::Submission {
                behind = stronger(behind, checked);
            }
            if by_peer && matches!(claims.role, Role::Submission | Role::Forwarder) {
                bearer = stronger(bearer, checked);
            }
            // What an author's seal is good for each reader is told; nobody else can say.
            let for_readers =
                authored.as_ref().is_some_and(|authored| authored.seals.iter().any(|(at, _)| *at == place));
            if !for_readers {
                self.tell(Event::SealChecked {
                    identity: manifest.identity(),
                    issuer: claims.issuer.clone(),
                    role: claims.role.word(),
                    verified,
                });
            }
            notes.push(SealNote {
                issuer: claims.issuer.clone(),
                role: claims.role,
                verified,
                key_name: key_name(seal),
                key: key_id.filter(|_| verified),
                author_key: None,
            });
        }
        Verified { notes, evidence: weaker(behind, bearer), authored }
    }

    /// The seals that are set in the name of the author, and what is known of the author's keys; asked for only where there
    /// are such seals. They say nothing about who answers for bringing the message.
    async fn authored(
        &self,
        manifest: &message::Manifest,
        author: Option<&Address>,
        seals: &[Seal],
    ) -> Option<Authored> {
        let author = author?;
        let name = author.to_string();
        let theirs =
            |(_, seal): &(usize, &Seal)| seal.claims().role == Role::Author && seal.claims().issuer == name;
        let seals: Vec<(usize, &Seal)> =
            seals.iter().enumerate().filter(theirs).take(AUTHOR_SEALS_MAX).collect();
        if seals.is_empty() {
            return None;
        }
        let named: Vec<&Seal> = seals.iter().map(|(_, seal)| *seal).collect();
        let fetched = self.keys_of(author, &named).await;
        let seals = seals.into_iter().map(|(place, seal)| (place, seal.clone())).collect();
        let manifest = bytes::Bytes::copy_from_slice(manifest.octets());
        Some(Authored::new(author.clone(), seals, manifest, fetched))
    }

    /// The key of a seal, where it comes in time and the issuer has not used many others. Which of them would be the right one
    /// nobody knows, so what is not asked for is as what cannot be had just now. keeps: DISCOVERY-14
    async fn key_in_time<'a>(
        &self,
        seal: &'a Seal,
        names: &mut KeyNames<'a>,
        until_ms: u64,
    ) -> Result<PublicKey, NoKey> {
        let claims = seal.claims();
        if matches!(claims.role, Role::Author | Role::Unknown(_)) {
            return Err(NoKey::None);
        }
        let name = (claims.issuer.as_str(), seal.key_name());
        if !names.contains(&name) {
            if names.iter().filter(|(issuer, _)| *issuer == name.0).count() == KEYS_PER_ISSUER_MAX {
                return Err(NoKey::Unknown);
            }
            names.push(name);
        }
        tokio::select! {
            biased;
            key = self.key_for(seal) => key,
            () = self.inner.clock.sleep_until(until_ms) => Err(NoKey::Unknown),
        }
    }

    /// The key of a domain that sealed. Those of authors are looked for elsewhere, and mean something to each reader.
    async fn key_for(&self, seal: &Seal) -> Result<PublicKey, NoKey> {
        let claims = seal.claims();
        if matches!(claims.role, Role::Author | Role::Unknown(_)) {
            return Err(NoKey::None);
        }
        let domain = Domain::from_wire(&claims.issuer).map_err(|_| NoKey::None)?;
        let selector = std::str::from_utf8(seal.key_name()).map_err(|_| NoKey::None)?;
        self.domain_key(&domain, selector).await
    }

    /// The key of a domain under this selector.
    pub(crate) async fn domain_key(&self, domain: &Domain, selector: &str) -> Result<PublicKey, NoKey> {
        let selector = selector.to_owned();
        if let Some(own) = self.settings().domains.get(domain).filter(|own| own.selector == selector) {
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

/// What a seal calls its key, for people.
fn key_name(seal: &Seal) -> String {
    let name = seal.key_name();
    match seal.claims().role {
        Role::Author => name.iter().map(|octet| format!("{octet:02x}")).collect(),
        _ => String::from_utf8_lossy(name).chars().filter(|c| !c.is_control()).collect(),
    }
}

/// Both questions must be answered well: the worse answer counts.
fn weaker(one: SealEvidence, other: SealEvidence) -> SealEvidence {
    let order = [SealEvidence::Broken, SealEvidence::Missing, SealEvidence::Unknown];
    order
        .into_iter()
        .find(|evidence| one == *evidence || other == *evidence)
        .unwrap_or(SealEvidence::Verified)
}

/// One verified seal is enough; and one that could not be checked may be it, however many others are broken. keeps: EXC-17
fn stronger(one: SealEvidence, other: SealEvidence) -> SealEvidence {
    let weight = |evidence| match evidence {
        SealEvidence::Missing => 0,
        SealEvidence::Broken => 1,
        SealEvidence::Unknown => 2,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// One of two seals, or one of two questions, is answered as the columns say.
    ///
    /// proves: EXC-17, EXC-25
    #[test]
    fn what_could_not_be_checked_may_be_the_one_that_holds() {
        use SealEvidence::{Broken, Missing, Unknown, Verified};
        let cases = [
            // One, other, of two seals, of two questions.
            (Verified, Broken, Verified, Broken),
            (Verified, Unknown, Verified, Unknown),
            (Broken, Unknown, Unknown, Broken),
            (Missing, Unknown, Unknown, Missing),
            (Missing, Broken, Broken, Broken),
            (Missing, Missing, Missing, Missing),
        ];
        for (one, other, seals, questions) in cases {
            for (one, other) in [(one, other), (other, one)] {
                assert_eq!(stronger(one, other), seals, "{one:?}, {other:?}");
                assert_eq!(weaker(one, other), questions, "{one:?}, {other:?}");
            }
        }
    }
}
