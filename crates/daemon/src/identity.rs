//! Which domain a peer has proved to be of: by a pin, by an authority, or by the TLSA records of its own exchange.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use message::address::Domain;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use transport::{Peer, Roots};

use crate::clock;
use crate::limits::{
    IDENTITY_FAILURE_TIME, IDENTITY_FAILURES_MAX, IDENTITY_LOOKUPS_MAX, IDENTITY_NAMES_MAX, IDENTITY_TIME_MAX,
};

/// Who finds it out.
pub(crate) struct Identities {
    pins: Arc<BTreeMap<Domain, [u8; 32]>>,
    resolver: Arc<dyn dns::Resolver>,
    roots: Option<Roots>,
    /// Turns for those whose domain has to be looked for in the DNS.
    lookups: Semaphore,
    /// What was not proved by which key, and until when that is remembered.
    failed: Mutex<HashMap<(Domain, [u8; 32]), Instant>>,
}

/// What a peer has shown.
struct Shown<'a> {
    /// The domains that its certificate names, a claim.
    names: Vec<Domain>,
    /// The digest of its key.
    key_digest: [u8; 32],
    /// Whether an authority says that the key is this domain's.
    is_certified: &'a (dyn Fn(&Domain) -> bool + Send + Sync),
}

impl Identities {
    pub(crate) fn new(
        pins: Arc<BTreeMap<Domain, [u8; 32]>>,
        resolver: Arc<dyn dns::Resolver>,
        roots: Option<Roots>,
    ) -> Identities {
        let lookups = Semaphore::new(IDENTITY_LOOKUPS_MAX);
        Identities { pins, resolver, roots, lookups, failed: Mutex::default() }
    }

    /// The domain that a peer has proved.
    pub(crate) async fn domain_of(&self, peer: Option<&Peer>) -> Option<Domain> {
        let peer = peer?;
        let is_certified = |domain: &Domain| {
            let name = [domain.as_str().to_owned()];
            let now_ms = clock::now_ms();
            self.roots.as_ref().is_some_and(|roots| peer.web_pki_valid_for(&name, roots, now_ms).is_ok())
        };
        let names = peer.names().iter().filter_map(|name| Domain::from_wire(name).ok()).collect();
        let shown = Shown { names, key_digest: peer.key_digest(), is_certified: &is_certified };
        self.proved_by(&shown).await
    }

    /// What is known here comes before what has to be asked for. keeps: SEC-6, DISCOVERY-13
    async fn proved_by(&self, shown: &Shown<'_>) -> Option<Domain> {
        let pinned = |name: &&Domain| self.pins.get(*name) == Some(&shown.key_digest);
        if let Some(domain) = shown.names.iter().find(pinned) {
            return Some(domain.clone());
        }
        // A domain that is pinned is known by its pin only.
        let names = shown.names.iter().filter(|name| !self.pins.contains_key(*name));
        let names: Vec<&Domain> = names.take(IDENTITY_NAMES_MAX).collect();
        if let Some(domain) = names.iter().find(|name| (shown.is_certified)(name)) {
            return Some((*domain).clone());
        }
        let is_open = |name: &&Domain| !self.has_failed(name, shown.key_digest);
        let names: Vec<&Domain> = names.into_iter().filter(is_open).collect();
        if names.is_empty() {
            return None;
        }
        let deadline = Instant::now() + IDENTITY_TIME_MAX;
        // Anybody can put any names into a certificate. While many are looked for, one name has to do. keeps: SEC-5
        let busy = self.lookups.available_permits() < IDENTITY_LOOKUPS_MAX / 2;
        let _turn = timeout_at(deadline, self.lookups.acquire()).await.ok()?.ok()?;
        for domain in names.into_iter().take(if busy { 1 } else { IDENTITY_NAMES_MAX }) {
            let began = Instant::now();
            match timeout_at(deadline, self.is_published(domain, shown)).await {
                Ok(true) => return Some(domain.clone()),
                Ok(false) => self.remember(domain, shown.key_digest),
                Err(_) => {
                    // It had hardly been asked for where the time went to waiting, or to other names.
                    if began.elapsed() >= IDENTITY_TIME_MAX / 2 {
                        self.remember(domain, shown.key_digest);
                    }
                    return None;
                }
            }
        }
        None
    }

    /// Whether the DNS proves that the key is one of the domain's.
    async fn is_published(&self, domain: &Domain, shown: &Shown<'_>) -> bool {
        let is_named = |host: &str| shown.names.iter().any(|name| name.as_str() == host);
        let (resolver, domain) = (self.resolver.as_ref(), domain.as_str());
        let keys = dns::locate::sender_keys(resolver, domain, is_named, clock::random_below).await;
        keys.is_ok_and(|keys| keys.contains(&shown.key_digest))
    }

    fn has_failed(&self, domain: &Domain, key_digest: [u8; 32]) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get(&(domain.clone(), key_digest)).is_some_and(|until| *until > Instant::now())
    }

    fn remember(&self, domain: &Domain, key_digest: [u8; 32]) {
        let now = Instant::now();
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.len() >= IDENTITY_FAILURES_MAX {
            failed.retain(|_, until| *until > now);
        }
        // Where there is no room it is asked for again.
        if failed.len() < IDENTITY_FAILURES_MAX {
            failed.insert((domain.clone(), key_digest), now + IDENTITY_FAILURE_TIME);
        }
    }
}

#[cfg(test)]
mod tests;
