//! Vouch By Reference (RFC 5518): whether a service that the operator trusts vouches for a domain.
//!
//! Only services that the caller names are asked: who vouches for itself vouches for nothing (section 8).

use crate::limits::VOUCH_OCTETS_MAX;
use crate::{Error, Resolver, Security, name};

/// What a service says about a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouch {
    /// The name that was asked.
    pub asked: String,
    /// The types of content that the service vouches for (section 6), lower-case words; empty where it does not
    /// vouch.
    pub kinds: Vec<String>,
    /// How well it is proven.
    pub security: Security,
    /// For how many seconds it may be relied on; 0 where nothing says so.
    pub ttl_seconds: u32,
}

impl Vouch {
    /// Whether it covers this type of content, by itself or by `all` (section 5).
    #[must_use]
    pub fn covers(&self, kind: &str) -> bool {
        self.kinds.iter().any(|one| one == "all" || one == kind)
    }
}

/// Asks one service whether it vouches for a domain: TXT at `<domain>._vouch.<service>` (section 5). keeps: REP-5
///
/// # Errors
/// [`Error::BadName`]; those of [`Resolver::txt`].
pub async fn ask(resolver: &dyn Resolver, service: &str, domain: &str) -> Result<Vouch, Error> {
    let asked = name::below(&format!("{domain}._vouch"), service)?;
    let answer = resolver.txt(&asked).await?;
    // "The VBR record MUST have only one TXT record": among several there is no telling which is meant.
    let kinds = match answer.records.as_slice() {
        [text] => kinds(text).unwrap_or_default(),
        _ => Vec::new(),
    };
    Ok(Vouch { asked, kinds, security: answer.security, ttl_seconds: answer.ttl_seconds })
}

/// Words of lower-case letters with spaces between them; anything else is no record of VBR, but perhaps a wildcard of
/// something else.
fn kinds(text: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= VOUCH_OCTETS_MAX)?;
    let allowed = text.bytes().all(|octet| octet.is_ascii_lowercase() || octet == b' ');
    allowed.then(|| text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Failure, FixedZones, Record};

    /// proves: REP-5
    #[tokio::test]
    async fn a_service_vouches_in_one_well_formed_record() {
        let check = async |records: &[&str], expected: &[&str], transactions: bool| {
            let zones = FixedZones::new();
            for text in records {
                let text = Record::Txt(text.as_bytes().to_vec());
                zones.add("somebank.example._vouch.certifier-a.example", text).unwrap();
            }
            let vouch = ask(&zones, "certifier-a.example", "somebank.example").await.unwrap();
            assert_eq!(vouch.kinds, expected, "{records:?}");
            assert_eq!(vouch.covers("transaction"), transactions, "{records:?}");
        };
        // The name and the record are the example of RFC 5518, section 5.
        check(&["transaction list"], &["transaction", "list"], true).await;
        check(&["all"], &["all"], true).await;
        check(&["list"], &["list"], false).await;
        check(&["  list  all "], &["list", "all"], true).await;
        check(&[], &[], false).await;
        check(&[""], &[], false).await;
        check(&["all", "all"], &[], false).await;
        check(&["All"], &[], false).await;
        check(&["v=spf1 -all"], &[], false).await;
        check(&["all\tlist"], &[], false).await;
        check(&[&"all ".repeat(65)], &[], false).await;
    }

    /// proves: REP-2
    #[tokio::test]
    async fn a_failure_is_no_answer() {
        let zones = FixedZones::new();
        zones.fail("a.example._vouch.b.example", Some(Failure::ServerFailure)).unwrap();
        assert!(matches!(ask(&zones, "b.example", "a.example").await, Err(Error::ServerFailure(_))));
        let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(55)].join(".");
        assert!(matches!(ask(&zones, "b.example", &long).await, Err(Error::BadName(_))));
    }
}
