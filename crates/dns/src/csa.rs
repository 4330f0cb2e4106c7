//! Client service authorization: whether a domain says that one of its names may send mail at all.
//!
//! The records are those of Client SMTP Authorization, part of Certified Server Validation: SRV at
//! `_client._waxwing.<name>` for nodes and at `_client._smtp.<name>` for the old world. The priority is the version,
//! 1; the weight says whether the name may send (0 and 1: no; 2: yes, from the addresses of the target; 3: yes, and
//! addresses say nothing); bit 0 of the port says that every name below needs a record of its own. Other records are
//! ignored: a wildcard of another service must not be taken for a statement. Specification:
//! `spec/15-reputation.md`.

use std::net::IpAddr;

use crate::limits::{ADDRESSES_PER_TARGET_MAX, CSA_PARENTS_MAX, TARGETS_MAX};
use crate::{Error, Resolver, Security, Srv, name};

/// The version that a record carries as its priority.
const VERSION: u16 = 1;
/// The bit of the port by which a parent says that names below it need records of their own.
const EXPLICIT: u16 = 1;

/// Whose client it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// A node, known by its key: `_client._waxwing`.
    Waxwing,
    /// A client of the old world, known by its address: `_client._smtp`.
    Smtp,
}

/// What the records say about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// Nothing.
    Unknown,
    /// It may send. The targets are the hosts whose addresses it sends from, at most [`TARGETS_MAX`]; there are none
    /// where the record says that addresses say nothing (weight 3).
    Authorized {
        /// Host names in lower-case A-labels.
        targets: Vec<String>,
    },
    /// It may not send: its own record says so.
    Forbidden,
    /// It may not send: this parent says that names below it need records of their own, and it has none.
    NotListed {
        /// The parent.
        parent: String,
    },
}

/// What was found, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it means.
    pub authorization: Authorization,
    /// The name of the records that decided, or the first that was asked where none did.
    pub asked: String,
    /// How well it is proven.
    pub security: Security,
    /// For how many seconds it may be relied on; 0 where nothing says so.
    pub ttl_seconds: u32,
}

impl Service {
    fn labels(self) -> &'static str {
        match self {
            Service::Waxwing => "_client._waxwing",
            Service::Smtp => "_client._smtp",
        }
    }
}

/// Asks what a domain says about this name. keeps: REP-2, REP-3, REP-4
///
/// At most one question for the name itself and [`CSA_PARENTS_MAX`] for its parents, one after the other, those of the
/// second level first: their answers are shared by the most names, and so are most likely remembered.
///
/// # Errors
/// [`Error::BadName`]; those of [`Resolver::srv`] for the first question that fails. A failure says nothing about the
/// name.
pub async fn authorize(resolver: &dyn Resolver, service: Service, host: &str) -> Result<Found, Error> {
    let host = name::checked(host)?;
    let asked = name::below(service.labels(), &host)?;
    let own = resolver.srv(&asked).await?;
    let mut found = Found {
        authorization: direct(&own.records),
        asked,
        security: own.security,
        ttl_seconds: own.ttl_seconds,
    };
    if found.authorization != Authorization::Unknown {
        return Ok(found);
    }
    for parent in parents(&host) {
        let asked = name::below(service.labels(), parent)?;
        let answer = resolver.srv(&asked).await?;
        found.ttl_seconds = found.ttl_seconds.min(answer.ttl_seconds);
        if stated(&answer.records).any(|record| record.port & EXPLICIT != 0) {
            let authorization = Authorization::NotListed { parent: parent.to_owned() };
            return Ok(Found {
                authorization,
                asked,
                security: answer.security,
                ttl_seconds: found.ttl_seconds,
            });
        }
        found.security = found.security.and(answer.security);
    }
    Ok(found)
}

/// Whether a client at this address may call itself so: for the old world, where nothing else shows who it is.
/// `Some(true)` where its domain says yes, `Some(false)` where it says no, `None` where it says nothing. keeps: REP-4
///
/// # Errors
/// As [`authorize`], and those of [`Resolver::addresses`] where no target has the address and one could not be asked.
pub async fn is_client(resolver: &dyn Resolver, host: &str, address: IpAddr) -> Result<Option<bool>, Error> {
    let targets = match authorize(resolver, Service::Smtp, host).await?.authorization {
        Authorization::Unknown => return Ok(None),
        Authorization::Forbidden | Authorization::NotListed { .. } => return Ok(Some(false)),
        Authorization::Authorized { targets } if targets.is_empty() => return Ok(None),
        Authorization::Authorized { targets } => targets,
    };
    let mut failure = None;
    for target in targets {
        match resolver.addresses(&target).await {
            Ok(answer)
                if answer.records.iter().take(ADDRESSES_PER_TARGET_MAX * 2).any(|one| *one == address) =>
            {
                return Ok(Some(true));
            }
            Ok(_) => {}
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    failure.map_or(Ok(Some(false)), Err)
}

/// The records that are statements of this version.
fn stated(records: &[Srv]) -> impl Iterator<Item = &Srv> {
    records.iter().filter(|record| record.priority == VERSION)
}

/// What a name's own records say. Where they contradict each other, the stricter one counts: no order among records
/// is to be relied on.
fn direct(records: &[Srv]) -> Authorization {
    let defined = || stated(records).filter(|record| record.weight <= 3);
    // A target that is the root has no addresses, so nobody can be there.
    let forbids = |record: &Srv| record.weight < 2 || (record.weight == 2 && record.target.is_none());
    if defined().any(forbids) {
        return Authorization::Forbidden;
    }
    if defined().next().is_none() {
        return Authorization::Unknown;
    }
    let targets = defined().filter(|record| record.weight == 2).filter_map(|record| record.target.clone());
    Authorization::Authorized { targets: targets.take(TARGETS_MAX).collect() }
}

/// The parents of a name from the second level down, without the name itself.
fn parents(host: &str) -> impl Iterator<Item = &str> {
    let starts: Vec<usize> = host.match_indices('.').map(|(at, _)| at + 1).collect();
    let second_level_first = starts.into_iter().rev().skip(1);
    second_level_first.take(CSA_PARENTS_MAX).map(|start| host.get(start..).unwrap_or(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Failure, FixedZones, Record};

    fn record(priority: u16, weight: u16, port: u16, target: &str) -> Record {
        let target = (target != ".").then(|| target.to_owned());
        Record::Srv(Srv { priority, weight, port, target })
    }

    fn zones(records: &[(&str, Record)]) -> FixedZones {
        let zones = FixedZones::new();
        for (name, record) in records {
            zones.add(name, record.clone()).unwrap();
        }
        zones
    }

    /// The records and results of Exim's test suite: zone `db.test.ex`, test 0524 (a client at an address claims a
    /// name) and test 2550 (what a name's records say: Y or N). Its network for tests stands here as 192.168.
    ///
    /// proves: REP-3, REP-4
    #[tokio::test]
    async fn results_are_those_that_exim_publishes() {
        let zones = zones(&[
            ("_client._smtp.csa1.test.ex", record(1, 2, 0, "csa1.test.ex")),
            ("_client._smtp.csa2.test.ex", record(1, 1, 0, "csa2.test.ex")),
            ("csa1.test.ex", Record::Address(IpAddr::from([192, 168, 9, 7]))),
            ("csa2.test.ex", Record::Address(IpAddr::from([192, 168, 9, 8]))),
        ]);
        let check = async |last: u8, host: &str, passes: bool| {
            let found = is_client(&zones, host, IpAddr::from([192, 168, 9, last])).await;
            assert_eq!(found, Ok(Some(passes)), "{last} as {host}");
        };
        check(7, "csa1.test.ex", true).await;
        check(7, "csa2.test.ex", false).await;
        check(8, "csa1.test.ex", false).await;
        check(8, "csa2.test.ex", false).await;
        let say = async |host: &str| authorize(&zones, Service::Smtp, host).await.unwrap().authorization;
        assert_eq!(
            say("csa1.test.ex").await,
            Authorization::Authorized { targets: vec!["csa1.test.ex".into()] }
        );
        assert_eq!(say("csa2.test.ex").await, Authorization::Forbidden);
        assert_eq!(say("csa3.test.ex").await, Authorization::Unknown);
    }

    /// proves: REP-3
    #[tokio::test]
    async fn weights_say_who_may_send() {
        use Authorization::{Authorized, Forbidden, Unknown};
        let check = async |records: &[Record], expected: Authorization| {
            let zones = FixedZones::new();
            for record in records {
                zones.add("_client._waxwing.mx.north.test", record.clone()).unwrap();
            }
            let found = authorize(&zones, Service::Waxwing, "MX.north.test").await.unwrap();
            assert_eq!(found.authorization, expected, "{records:?}");
            assert_eq!(found.asked, "_client._waxwing.mx.north.test");
        };
        let at =
            |hosts: &[&str]| Authorized { targets: hosts.iter().map(|host| (*host).to_owned()).collect() };
        check(&[], Unknown).await;
        check(&[record(1, 0, 0, "a.test")], Forbidden).await;
        check(&[record(1, 1, 0, "a.test")], Forbidden).await;
        check(&[record(1, 2, 0, "a.test")], at(&["a.test"])).await;
        check(&[record(1, 2, 0, "a.test"), record(1, 2, 0, "b.test")], at(&["a.test", "b.test"])).await;
        check(&[record(1, 3, 0, ".")], at(&[])).await;
        check(&[record(1, 2, 0, ".")], Forbidden).await;
        // Records that contradict each other, in either order.
        check(&[record(1, 2, 0, "a.test"), record(1, 1, 0, "a.test")], Forbidden).await;
        check(&[record(1, 1, 0, "a.test"), record(1, 3, 0, "a.test")], Forbidden).await;
        // No statement of this version: another service behind a wildcard, a weight that is not defined.
        check(&[record(0, 1, 7625, "a.test"), record(2, 1, 0, "a.test")], Unknown).await;
        check(&[record(1, 4, 0, "a.test")], Unknown).await;
        // The port is for the names below.
        check(&[record(1, 2, 1, "a.test")], at(&["a.test"])).await;
    }

    /// proves: REP-3
    #[tokio::test]
    async fn parents_speak_for_names_without_records() {
        let strict = zones(&[("_client._waxwing.north.test", record(1, 2, 1, "north.test"))]);
        let check = async |zones: &FixedZones, host: &str, parent: Option<&str>| {
            let found = authorize(zones, Service::Waxwing, host).await.unwrap();
            let parent = parent.map(|parent| Authorization::NotListed { parent: parent.to_owned() });
            assert_eq!(found.authorization, parent.unwrap_or(Authorization::Unknown), "{host}");
        };
        check(&strict, "mx.north.test", Some("north.test")).await;
        check(&strict, "a.b.c.north.test", Some("north.test")).await;
        check(&strict, "evilnorth.test", None).await;
        // The parent's weight is about itself.
        let open = zones(&[("_client._waxwing.north.test", record(1, 1, 0, "north.test"))]);
        check(&open, "mx.north.test", None).await;
        let deep = zones(&[("_client._waxwing.c.north.test", record(1, 0, 3, "."))]);
        check(&deep, "a.b.c.north.test", Some("c.north.test")).await;
        // The top level is not asked, and no more than five parents are.
        let top = zones(&[("_client._waxwing.test", record(1, 0, 1, "."))]);
        check(&top, "mx.north.test", None).await;
        assert_eq!(
            parents("h.g.f.e.d.c.b.a.test").collect::<Vec<_>>(),
            ["a.test", "b.a.test", "c.b.a.test", "d.c.b.a.test", "e.d.c.b.a.test"]
        );
        assert_eq!(parents("north.test").count() + parents("test").count(), 0);
    }

    /// proves: REP-2
    #[tokio::test]
    async fn a_failure_is_no_answer() {
        let zones = zones(&[("_client._waxwing.north.test", record(1, 1, 1, "."))]);
        zones.fail("_client._waxwing.mx.north.test", Some(Failure::Timeout)).unwrap();
        assert_eq!(authorize(&zones, Service::Waxwing, "mx.north.test").await, Err(Error::Timeout));
        zones.fail("_client._waxwing.north.test", Some(Failure::Bogus)).unwrap();
        assert_eq!(authorize(&zones, Service::Waxwing, "other.north.test").await, Err(Error::Bogus));
        zones.add("_client._smtp.a.test", record(1, 2, 0, "b.test")).unwrap();
        zones.fail("b.test", Some(Failure::ServerFailure)).unwrap();
        assert!(is_client(&zones, "a.test", IpAddr::from([192, 0, 2, 1])).await.is_err());
        assert!(matches!(authorize(&zones, Service::Smtp, "a..test").await, Err(Error::BadName(_))));
    }
}
