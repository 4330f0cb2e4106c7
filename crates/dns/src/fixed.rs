//! A resolver that answers from memory, for tests: the zones, and the failures, are what the test says.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{PoisonError, RwLock};

use crate::limits::{RECORDS_PER_ANSWER_MAX, TXT_OCTETS_MAX};
use crate::{Answer, Error, Lookup, Mx, Resolver, Security, Srv, Tlsa, name};

/// Records in memory. All methods take `&self`, so that a test can change the DNS under a running node.
///
/// A name exists when it or a name below it has records. Aliases are not known here.
#[derive(Debug, Default)]
pub struct FixedZones {
    state: RwLock<State>,
}

/// One record of [`FixedZones`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Where a service is.
    Srv(Srv),
    /// A text.
    Txt(Vec<u8>),
    /// What certificate or key a server shows.
    Tlsa(Tlsa),
    /// An address, of either family.
    Address(IpAddr),
    /// A mail exchange.
    Mx(Mx),
    /// A name of an address, added to the address's [`crate::reverse`].
    Name(String),
}

/// How every question for a name fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// As if no name server answered: [`Error::Timeout`], at once.
    Timeout,
    /// As if the name server answered SERVFAIL: [`Error::ServerFailure`].
    ServerFailure,
    /// As if the answer failed validation: [`Error::Bogus`].
    Bogus,
}

#[derive(Debug, Default)]
struct State {
    records: BTreeMap<String, Vec<Record>>,
    failures: BTreeMap<String, Failure>,
    security: BTreeMap<String, Security>,
}

/// What every answer of these zones gives as its TTL.
const TTL_SECONDS: u32 = 300;

impl FixedZones {
    /// Zones without any name.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one record to a name.
    ///
    /// # Errors
    /// [`Error::BadName`].
    pub fn add(&self, name: &str, record: Record) -> Result<(), Error> {
        let name = name::asked(name)?;
        self.change(|state| state.records.entry(name).or_default().push(record));
        Ok(())
    }

    /// Takes away all records and the failure of a name.
    ///
    /// # Errors
    /// [`Error::BadName`].
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        let name = name::checked(name)?;
        self.change(|state| {
            state.records.remove(&name);
            state.failures.remove(&name);
        });
        Ok(())
    }

    /// Makes every question for this very name fail, or mends it again with `None`.
    ///
    /// # Errors
    /// [`Error::BadName`].
    pub fn fail(&self, name: &str, failure: Option<Failure>) -> Result<(), Error> {
        let name = name::checked(name)?;
        self.change(|state| match failure {
            Some(failure) => state.failures.insert(name, failure),
            None => state.failures.remove(&name),
        });
        Ok(())
    }

    /// Sets the security of all answers for this name and the names below it. Where several such zones hold a
    /// name, the lowest one counts; where none does, answers are insecure.
    ///
    /// # Errors
    /// [`Error::BadName`].
    pub fn set_security(&self, zone: &str, security: Security) -> Result<(), Error> {
        let zone = name::checked(zone)?;
        self.change(|state| state.security.insert(zone, security));
        Ok(())
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn answer<'a, T: Send + 'a>(&self, name: &str, read: fn(&Record) -> Option<T>) -> Lookup<'a, T> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let answer = name::asked(name).and_then(|name| state.answer(&name, read));
        Box::pin(std::future::ready(answer))
    }
}

impl State {
    fn answer<T>(&self, name: &str, read: fn(&Record) -> Option<T>) -> Result<Answer<T>, Error> {
        match self.failures.get(name) {
            Some(Failure::Timeout) => return Err(Error::Timeout),
            Some(Failure::ServerFailure) => return Err(Error::ServerFailure("Server Failure".to_owned())),
            Some(Failure::Bogus) => return Err(Error::Bogus),
            None => {}
        }
        let records = self.records.get(name).map_or(&[][..], Vec::as_slice);
        let zones = self.security.iter().filter(|(zone, _)| is_at_or_below(name, zone));
        let security = zones.max_by_key(|(zone, _)| zone.len()).map(|(_, security)| *security);
        Ok(Answer {
            records: records.iter().filter_map(read).take(RECORDS_PER_ANSWER_MAX).collect(),
            exists: self.records.keys().any(|known| is_at_or_below(known, name)),
            security: security.unwrap_or(Security::Insecure),
            ttl_seconds: TTL_SECONDS,
        })
    }
}

fn is_at_or_below(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

impl Resolver for FixedZones {
    fn srv<'a>(&'a self, name: &'a str) -> Lookup<'a, Srv> {
        self.answer(name, |record| if let Record::Srv(srv) = record { Some(srv.clone()) } else { None })
    }

    fn txt<'a>(&'a self, name: &'a str) -> Lookup<'a, Vec<u8>> {
        self.answer(name, |record| match record {
            Record::Txt(text) if text.len() <= TXT_OCTETS_MAX => Some(text.clone()),
            _ => None,
        })
    }

    fn tlsa<'a>(&'a self, name: &'a str) -> Lookup<'a, Tlsa> {
        self.answer(name, |record| if let Record::Tlsa(tlsa) = record { Some(tlsa.clone()) } else { None })
    }

    fn addresses<'a>(&'a self, host: &'a str) -> Lookup<'a, IpAddr> {
        self.answer(host, |record| if let Record::Address(address) = record { Some(*address) } else { None })
    }

    fn mx<'a>(&'a self, domain: &'a str) -> Lookup<'a, Mx> {
        self.answer(domain, |record| if let Record::Mx(mx) = record { Some(mx.clone()) } else { None })
    }

    fn names<'a>(&'a self, address: IpAddr) -> Lookup<'a, String> {
        self.answer(&crate::reverse(address), |record| match record {
            Record::Name(name) => name::checked(name).ok(),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn zones_answer_and_fail_as_told() {
        let zones = FixedZones::new();
        zones.add("mail.North.test", Record::Address(IpAddr::from([127, 0, 0, 1]))).unwrap();
        zones.set_security("north.test", Security::Secure).unwrap();
        let found = zones.addresses("MAIL.north.test").await.unwrap();
        assert_eq!((found.records, found.security), (vec![IpAddr::from([127, 0, 0, 1])], Security::Secure));
        let parent = zones.txt("north.test").await.unwrap();
        assert!(parent.exists && parent.records.is_empty());
        let stranger = zones.txt("evilnorth.test").await.unwrap();
        assert!(!stranger.exists && stranger.security == Security::Insecure);

        zones.fail("mail.north.test", Some(Failure::Bogus)).unwrap();
        assert_eq!(zones.addresses("mail.north.test").await, Err(Error::Bogus));
        zones.fail("mail.north.test", None).unwrap();
        assert_eq!(zones.addresses("mail.north.test").await.unwrap().records.len(), 1);
        zones.remove("mail.north.test").unwrap();
        assert!(!zones.addresses("mail.north.test").await.unwrap().exists);
    }

    #[test] // proves: DISCOVERY-2
    fn errors_are_temporary_or_permanent() {
        use crate::Persistence::{Permanent, Temporary};
        let check = |error: Error, expected| assert_eq!(error.persistence(), expected, "{error}");
        check(Error::Timeout, Temporary);
        check(Error::ServerFailure(String::new()), Temporary);
        check(Error::Bogus, Temporary);
        check(Error::BadName(String::new()), Permanent);
        check(Error::MalformedKey(""), Permanent);
        check(Error::SetUp(String::new()), Permanent);
    }
}
