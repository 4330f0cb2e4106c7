//! Keys of domains from the DNS, for `waxwing message verify --dns`.

use cli::{DomainKeys, FoundKeys};
use message::PublicKey;
use message::address::Domain;

/// Asks the name servers of this machine, and says in words where they do not know.
pub(crate) struct DnsKeys;

impl DomainKeys for DnsKeys {
    fn domain_keys<'a>(&'a self, domain: &'a Domain, selector: &'a str) -> FoundKeys<'a> {
        Box::pin(async move {
            let found = daemon::key_of(domain, selector).await?;
            Ok(found.into_iter().collect::<Vec<PublicKey>>())
        })
    }
}
