//! The published key of a domain, asked of the name servers of this machine.

use dns::HickoryResolver;
use dns::waxkey::{KeyRecord, fetch};
use message::PublicKey;
use message::address::Domain;

/// The key that a domain has published under a selector; `None` where it has none or has revoked it. Answers are
/// validated by DNSSEC where the zone is signed.
///
/// # Errors
/// Why it is not known, in words for a person.
pub async fn key_of(domain: &Domain, selector: &str) -> Result<Option<PublicKey>, String> {
    let resolver = HickoryResolver::system(true).map_err(|error| error.to_string())?;
    let found = fetch(&resolver, selector, domain.as_str()).await.map_err(|error| error.to_string())?;
    match found.map(|found| found.record) {
        Some(KeyRecord::Key(key)) => {
            PublicKey::from_bytes(&key.public).map(Some).map_err(|error| error.to_string())
        }
        Some(KeyRecord::Revoked) | None => Ok(None),
    }
}
