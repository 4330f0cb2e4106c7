//! Stateless resets that outlive a restart (RFC 9000, section 10.3): a server that was killed tells those who still
//! hold connections with it that these are gone, so that they need not wait for their idle time.

use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::{CryptoError, HmacKey};
use quinn::{ConnectionId, ConnectionIdGenerator, EndpointConfig};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::identity::HostKey;

/// Octets of a connection identifier: collisions and guesses are out of reach.
const CONNECTION_ID_OCTETS: usize = 8;
/// What the private key is hashed with, so that nothing else is ever made of it in the same way.
const PURPOSE: &[u8] = b"waxwing stateless reset 1\0";

/// The key of reset tokens: the same after each start with the same private key, and known to nobody else.
pub(super) struct ResetKey(Zeroizing<[u8; 32]>);

impl ResetKey {
    pub(super) fn of(host: &HostKey) -> ResetKey {
        let mut hasher = Sha256::new();
        hasher.update(PURPOSE);
        hasher.update(host.key_pem().as_bytes());
        ResetKey(Zeroizing::new(hasher.finalize().into()))
    }

    /// The settings of an endpoint whose tokens follow from this key. keeps: TRA-21
    pub(super) fn into_config(self) -> EndpointConfig {
        let mut config = EndpointConfig::new(Arc::new(self));
        // The default generator passes over identifiers from before the restart, and so never resets them.
        config.cid_generator(|| Box::new(RandomIds));
        config
    }

    fn token(&self, data: &[u8]) -> [u8; 32] {
        // Key and data (a connection identifier) are of fixed length, so this needs no HMAC around it.
        let mut hasher = Sha256::new();
        hasher.update(self.0.as_slice());
        hasher.update(data);
        hasher.finalize().into()
    }
}

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        signature_out.copy_from_slice(&self.token(data)[..signature_out.len()]);
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let expected = self.token(data);
        let difference = expected.iter().zip(signature).fold(0, |all, (a, b)| all | (a ^ b));
        if signature.len() == expected.len() && difference == 0 { Ok(()) } else { Err(CryptoError) }
    }
}

/// Connection identifiers that are random and nothing else.
struct RandomIds;

impl ConnectionIdGenerator for RandomIds {
    #[expect(
        clippy::disallowed_methods,
        reason = "connection identifiers are unpredictable (RFC 9000, section 5.1)"
    )]
    fn generate_cid(&mut self) -> ConnectionId {
        let mut octets = [0; CONNECTION_ID_OCTETS];
        // Without randomness nothing here is safe: better to end than to go on with identifiers that repeat.
        if getrandom::fill(&mut octets).is_err() {
            std::process::abort();
        }
        ConnectionId::new(&octets)
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID_OCTETS
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
