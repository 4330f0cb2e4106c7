//! The resolver that asks real name servers, on hickory-resolver.
//!
//! What the library leaves to its caller is done here: one limit of time over retries and aliases; only records of
//! the name asked (or of the name its aliases lead to) are taken from an answer, since a genuine signature over a
//! stranger's record proves nothing about the name asked; and the states of RFC 4035, section 4.3, become
//! [`Security`] or [`Error::Bogus`].

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::dnssec::rdata::DNSSECRData;
use hickory_proto::dnssec::{Algorithm, Proof, PublicKeyBuf, TrustAnchors};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{LowerName, Name, RData, Record, RecordType};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError, NoRecords};

use crate::failures::Failures;
use crate::limits::{
    ALIASES_MAX, CACHE_ANSWERS_MAX, NEGATIVE_TTL_MAX, POSITIVE_TTL_MAX, QUERY_TIME_MAX,
    RECORDS_PER_ANSWER_MAX, TLSA_OCTETS_MAX, TXT_OCTETS_MAX,
};
use crate::{Answer, Error, Family, Lookup, Mx, Resolver, Security, Srv, Tlsa, name};

/// A key from which DNSSEC validation starts, for a zone of one's own; the keys of the DNS root are built in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustAnchor {
    /// The zone in A-labels, without a trailing dot.
    pub zone: String,
    /// DNSSEC algorithm number (IANA registry; 15 is Ed25519, RFC 8080).
    pub algorithm: u8,
    /// The public key as a DNSKEY record carries it.
    pub public_key: Vec<u8>,
}

/// A resolver with a cache of its own. Cloning is cheap and shares the cache.
#[derive(Clone)]
pub struct HickoryResolver {
    settings: Settings,
    inner: TokioResolver,
    failures: Failures,
}

/// What the inner resolver is built from, kept so that it can be built anew with one thing changed.
#[derive(Clone)]
struct Settings {
    config: ResolverConfig,
    options: ResolverOpts,
    anchors: TrustAnchors,
    validate: bool,
    time_limit: Duration,
}

impl HickoryResolver {
    /// Asks the name servers that the system is set up with (`/etc/resolv.conf`). The hosts file and search
    /// domains are not used: mail names are complete.
    ///
    /// With `validate`, every answer is validated by DNSSEC from the root's keys, here and not by trusting the
    /// name server's word.
    ///
    /// # Errors
    /// [`Error::SetUp`] where the system's settings cannot be read.
    pub fn system(validate: bool) -> Result<Self, Error> {
        let (config, options) = hickory_resolver::system_conf::read_system_conf().map_err(set_up)?;
        Settings::new(config, options, validate).build()
    }

    /// Asks one name server, at any port, over UDP and, for truncated answers, TCP.
    ///
    /// # Errors
    /// [`Error::SetUp`] where the resolver cannot be built.
    pub fn with_nameserver(address: SocketAddr, validate: bool) -> Result<Self, Error> {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = address.port();
            connection
        });
        let server = NameServerConfig::new(address.ip(), true, connections.into());
        let config = ResolverConfig::from_name_servers(vec![server]);
        let mut options = ResolverOpts::default();
        // On the way to this machine nobody else answers; and the ports that others have set aside stay theirs.
        options.os_port_selection = address.ip().is_loopback();
        Settings::new(config, options, validate).build()
    }

    /// Validates, and also trusts this key for its zone; the root's keys stay trusted. The cache starts empty.
    ///
    /// # Errors
    /// [`Error::BadName`] for the zone's name, [`Error::SetUp`] where the resolver cannot be built.
    pub fn with_trust_anchor(&self, anchor: &TrustAnchor) -> Result<Self, Error> {
        let zone = LowerName::from(absolute(&name::checked(&anchor.zone)?)?);
        let key = PublicKeyBuf::new(anchor.public_key.clone(), Algorithm::from_u8(anchor.algorithm));
        let mut settings = self.settings.clone();
        settings.anchors.insert_with_name(&key, zone);
        settings.validate = true;
        settings.build()
    }

    /// Answers within this time instead of [`QUERY_TIME_MAX`], which it cannot exceed. The cache starts empty.
    ///
    /// # Errors
    /// [`Error::SetUp`] where the resolver cannot be built.
    pub fn with_time_limit(&self, limit: Duration) -> Result<Self, Error> {
        let mut settings = self.settings.clone();
        settings.time_limit = limit.min(QUERY_TIME_MAX);
        settings.build()
    }

    /// keeps: DISCOVERY-3
    async fn within_time<T>(
        &self,
        answer: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        tokio::time::timeout(self.settings.time_limit, answer).await.unwrap_or(Err(Error::Timeout))
    }

    async fn ask<T>(&self, name: &str, kind: RecordType, read: Read<T>) -> Result<Found<T>, Error> {
        let asked = absolute(&name::asked(name)?)?;
        if let Some(error) = self.failures.of(&asked, kind) {
            return Err(error);
        }
        let found = self.look_up(asked.clone(), kind, read).await;
        if let Err(error) = &found {
            self.failures.remember(&asked, kind, error);
        }
        found
    }

    async fn look_up<T>(&self, asked: Name, kind: RecordType, read: Read<T>) -> Result<Found<T>, Error> {
        match self.inner.lookup(asked.clone(), kind).await {
            Ok(lookup) => self.present(lookup.answers(), &asked, kind, read),
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => self.absent(&none, &asked),
            Err(NetError::Dns(DnsError::Nsec { proof: Proof::Insecure, response, .. })) => {
                let exists = response.response_code != ResponseCode::NXDomain;
                let answer = Answer { records: vec![], exists, security: Security::Insecure, ttl_seconds: 0 };
                Ok(Found { answer, elsewhere: false })
            }
            Err(NetError::Dns(DnsError::Nsec { .. } | DnsError::DnssecBogus)) => Err(Error::Bogus),
            Err(NetError::Timeout) => Err(Error::Timeout),
            Err(other) => Err(Error::ServerFailure(other.to_string())),
        }
    }

    /// Takes from an answer the records of the name asked, through its aliases. keeps: DISCOVERY-1, DISCOVERY-3
    fn present<T>(
        &self,
        records: &[Record],
        asked: &Name,
        kind: RecordType,
        read: Read<T>,
    ) -> Result<Found<T>, Error> {
        let mut owner = asked;
        let mut used: Vec<&Record> = Vec::new();
        let links = if kind == RecordType::CNAME { 0 } else { records.len() };
        for _ in 0..links {
            let alias = records.iter().find(|record| record.name == *owner && is_alias(record));
            let Some(Record { data: RData::CNAME(target), .. }) = alias else { break };
            used.extend(alias);
            owner = &target.0;
        }
        let own = records.iter().filter(|record| record.name == *owner && record.record_type() == kind);
        let own: Vec<&Record> = own.take(RECORDS_PER_ANSWER_MAX).collect();
        if own.is_empty() {
            return Err(Error::ServerFailure("the answer has no record of the name asked".to_owned()));
        }
        used.extend(&own);
        let answer = Answer {
            records: own.iter().filter_map(|record| read(&record.data)).collect(),
            exists: true,
            security: self.security(&used)?,
            ttl_seconds: used.iter().map(|record| record.ttl).min().unwrap_or(0),
        };
        Ok(Found { answer, elsewhere: false })
    }

    /// An absence. The library reports a secure one only after it checked the proof (NSEC or NSEC3), and only the
    /// proof for the name asked counts. keeps: DISCOVERY-1
    fn absent<T>(&self, none: &NoRecords, asked: &Name) -> Result<Found<T>, Error> {
        if none.soa.is_none() && none.ns.is_some() {
            return Err(Error::ServerFailure("a referral instead of an answer".to_owned()));
        }
        let elsewhere = none.query.name() != asked;
        let proven = none.authorities.iter().flat_map(|records| records.iter()).any(is_proof_of_absence);
        let secure = self.settings.validate && proven && !elsewhere;
        let answer = Answer {
            records: vec![],
            exists: none.response_code != ResponseCode::NXDomain,
            security: if secure { Security::Secure } else { Security::Insecure },
            ttl_seconds: none.negative_ttl.unwrap_or(0),
        };
        Ok(Found { answer, elsewhere })
    }

    /// A record that stayed unjudged although we validate ("indeterminate") is as little use as a bogus one: to
    /// take it for an unsigned one would let an attacker undo DNSSEC by hiding a part of the chain.
    fn security(&self, used: &[&Record]) -> Result<Security, Error> {
        if !self.settings.validate {
            return Ok(Security::Insecure);
        }
        if used.iter().any(|record| matches!(record.proof, Proof::Bogus | Proof::Indeterminate)) {
            return Err(Error::Bogus);
        }
        let all_secure = used.iter().all(|record| record.proof == Proof::Secure);
        Ok(if all_secure { Security::Secure } else { Security::Insecure })
    }

    async fn answer<T>(&self, name: &str, kind: RecordType, read: Read<T>) -> Result<Answer<T>, Error> {
        self.within_time(async { Ok(self.ask(name, kind, read).await?.answer) }).await
    }

    /// The library takes an SRV record's target for one more alias, and so loses SRV records that stand behind a
    /// CNAME: here those aliases are followed one by one.
    async fn srv_behind_aliases(&self, name: &str) -> Result<Answer<Srv>, Error> {
        let mut owner = name.to_owned();
        let mut aliases = Security::Secure;
        for _ in 0..=ALIASES_MAX {
            let direct = self.ask(&owner, RecordType::SRV, read_srv).await;
            let lost = matches!(&direct, Ok(Found { elsewhere: true, .. }) | Err(Error::ServerFailure(_)));
            let alias = if lost { self.ask(&owner, RecordType::CNAME, read_alias).await.ok() } else { None };
            let Some(Found { answer: alias, .. }) = alias.filter(|found| !found.answer.records.is_empty())
            else {
                let mut answer = direct?.answer;
                answer.security = answer.security.and(aliases);
                return Ok(answer);
            };
            aliases = aliases.and(alias.security);
            owner = alias.records.into_iter().next().unwrap_or_default();
        }
        Err(Error::ServerFailure("too many aliases".to_owned()))
    }

    async fn both_families(&self, host: &str) -> Result<Answer<IpAddr>, Error> {
        let (six, four) = tokio::join!(
            self.answer(host, RecordType::AAAA, read_address),
            self.answer(host, RecordType::A, read_address)
        );
        match (six, four) {
            (Ok(six), Ok(four)) => Ok(merged(six, four)),
            (Ok(one), Err(_)) | (Err(_), Ok(one)) if !one.records.is_empty() => Ok(one),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }
}

impl Resolver for HickoryResolver {
    fn srv<'a>(&'a self, name: &'a str) -> Lookup<'a, Srv> {
        Box::pin(self.within_time(self.srv_behind_aliases(name)))
    }

    fn txt<'a>(&'a self, name: &'a str) -> Lookup<'a, Vec<u8>> {
        Box::pin(self.answer(name, RecordType::TXT, read_txt))
    }

    fn tlsa<'a>(&'a self, name: &'a str) -> Lookup<'a, Tlsa> {
        Box::pin(self.answer(name, RecordType::TLSA, read_tlsa))
    }

    fn addresses<'a>(&'a self, host: &'a str) -> Lookup<'a, IpAddr> {
        Box::pin(self.both_families(host))
    }

    fn addresses_of<'a>(&'a self, host: &'a str, family: Family) -> Lookup<'a, IpAddr> {
        let kind = if family == Family::Four { RecordType::A } else { RecordType::AAAA };
        Box::pin(self.answer(host, kind, read_address))
    }

    fn mx<'a>(&'a self, domain: &'a str) -> Lookup<'a, Mx> {
        Box::pin(self.answer(domain, RecordType::MX, read_mx))
    }

    fn names<'a>(&'a self, address: IpAddr) -> Lookup<'a, String> {
        Box::pin(async move { self.answer(&crate::reverse(address), RecordType::PTR, read_name).await })
    }
}

impl Settings {
    fn new(config: ResolverConfig, mut options: ResolverOpts, validate: bool) -> Self {
        options.use_hosts_file = ResolveHosts::Never;
        options.cache_size = CACHE_ANSWERS_MAX;
        options.positive_max_ttl = Some(POSITIVE_TTL_MAX);
        options.negative_max_ttl = Some(NEGATIVE_TTL_MAX);
        options.edns0 = true;
        options.attempts = 1;
        let anchors = TrustAnchors::default();
        Self { config, options, anchors, validate, time_limit: QUERY_TIME_MAX }
    }

    fn build(mut self) -> Result<HickoryResolver, Error> {
        // One try and one more fit into the limit.
        self.options.timeout = self.time_limit / 2;
        self.options.validate = self.validate;
        let provider = TokioRuntimeProvider::default();
        let mut builder = TokioResolver::builder_with_config(self.config.clone(), provider)
            .with_options(self.options.clone());
        if self.validate {
            builder = builder.with_trust_anchor(Arc::new(self.anchors.clone()));
        }
        let inner = builder.build().map_err(set_up)?;
        Ok(HickoryResolver { settings: self, inner, failures: Failures::default() })
    }
}

/// An answer, and whether an absence was found at another name than the one asked, behind an alias.
struct Found<T> {
    answer: Answer<T>,
    elsewhere: bool,
}

/// Reads one record's data; `None` leaves the record out.
type Read<T> = fn(&RData) -> Option<T>;

fn read_srv(data: &RData) -> Option<Srv> {
    let RData::SRV(srv) = data else { return None };
    let target = host(&srv.target)?;
    Some(Srv { priority: srv.priority, weight: srv.weight, port: srv.port, target })
}

fn read_alias(data: &RData) -> Option<String> {
    let RData::CNAME(target) = data else { return None };
    host(&target.0)?
}

fn read_name(data: &RData) -> Option<String> {
    let RData::PTR(name) = data else { return None };
    host(&name.0)?
}

fn read_txt(data: &RData) -> Option<Vec<u8>> {
    let RData::TXT(txt) = data else { return None };
    let octets: usize = txt.txt_data.iter().map(|string| string.len()).sum();
    (octets <= TXT_OCTETS_MAX).then(|| txt.txt_data.concat())
}

fn read_tlsa(data: &RData) -> Option<Tlsa> {
    let RData::TLSA(tlsa) = data else { return None };
    let (usage, selector, matching) = (tlsa.cert_usage.into(), tlsa.selector.into(), tlsa.matching.into());
    // A record that is of no use counts nevertheless: who has one wants TLS (RFC 7672 section 2.2).
    let short = tlsa.cert_data.len() <= TLSA_OCTETS_MAX;
    let data = if short { tlsa.cert_data.clone() } else { Vec::new() };
    Some(Tlsa { usage, selector, matching, data })
}

fn read_address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
        _ => None,
    }
}

fn read_mx(data: &RData) -> Option<Mx> {
    let RData::MX(mx) = data else { return None };
    Some(Mx { preference: mx.preference, exchange: host(&mx.exchange)? })
}

/// A host name out of a record: `Some(None)` is the root, `None` is no name that could be asked.
fn host(name: &Name) -> Option<Option<String>> {
    if name.is_root() {
        return Some(None);
    }
    let text = name.to_ascii();
    name::checked(text.strip_suffix('.').unwrap_or(&text)).ok().map(Some)
}

/// An empty half of the two families must not spoil the security of the other: only what is used counts.
fn merged(six: Answer<IpAddr>, four: Answer<IpAddr>) -> Answer<IpAddr> {
    match (six.records.is_empty(), four.records.is_empty()) {
        (true, false) => four,
        (false, true) => six,
        _ => Answer {
            security: six.security.and(four.security),
            exists: six.exists || four.exists,
            ttl_seconds: six.ttl_seconds.min(four.ttl_seconds),
            records: six.records.into_iter().chain(four.records).take(RECORDS_PER_ANSWER_MAX).collect(),
        },
    }
}

fn is_alias(record: &Record) -> bool {
    record.record_type() == RecordType::CNAME
}

fn is_proof_of_absence(record: &Record) -> bool {
    let is_denial = matches!(&record.data, RData::DNSSEC(DNSSECRData::NSEC(_) | DNSSECRData::NSEC3(_)));
    is_denial && record.proof == Proof::Secure
}

fn absolute(name: &str) -> Result<Name, Error> {
    let mut absolute =
        Name::from_labels(name.split('.').map(str::as_bytes)).map_err(|_| Error::BadName(name.to_owned()))?;
    absolute.set_fqdn(true);
    Ok(absolute)
}

fn set_up(error: impl std::fmt::Display) -> Error {
    Error::SetUp(error.to_string())
}
