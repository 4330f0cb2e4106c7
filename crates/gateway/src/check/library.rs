//! How mail-auth is asked without its asking anybody: it gets a resolver without name servers, and a cache that holds
//! all the answers that it will need.
//!
//! See `spec/decisions/0016-spf-by-ourselves.md`.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use dns::{Persistence, Resolver};
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;
use mail_auth::dmarc::Dmarc;
use mail_auth::hickory_resolver::config::{ResolverConfig, ResolverOpts};
use mail_auth::hickory_resolver::proto::op::ResponseCode;
use mail_auth::{DnsError, DnssecStatus, Error, MX, MessageAuthenticator, Parameters};
use mail_auth::{RecordSet, ResolverCache, Txt};

use crate::limits::{CHECK_QUESTIONS_MAX, DMARC_LABELS_MAX};

/// An evaluator that can ask nobody: what is not in the cache is a temporary error to it.
pub(super) fn evaluator() -> Result<MessageAuthenticator, String> {
    MessageAuthenticator::new(ResolverConfig::from_name_servers(Vec::new()), ResolverOpts::default())
        .map_err(|error| error.to_string())
}

/// What the library will ask about one message.
#[derive(Default)]
pub(super) struct Questions {
    /// In the order in which they are asked, as far as the bound goes: first what the author's domain says. Others cannot push that out.
    names: Vec<String>,
    author: Option<String>,
}

impl Questions {
    /// The key of a signature, at its name.
    pub(super) fn key(&mut self, name: &str) {
        self.add(name.trim_end_matches('.').to_ascii_lowercase());
    }

    /// The policy for an author's domain.
    pub(super) fn author(&mut self, domain: &str) {
        self.walk(domain);
        self.author = Some(domain.to_owned());
    }

    /// What a domain may belong to that is to be compared with the author's: nothing needs to be known of one that
    /// does not even have two labels in common with it.
    pub(super) fn related(&mut self, domain: &str) {
        let last_two = |name: &str| {
            let labels: Vec<&str> = name.rsplit('.').take(2).collect();
            labels.join(" ").to_ascii_lowercase()
        };
        if self.author.as_deref().is_some_and(|author| last_two(author) == last_two(domain)) {
            self.walk(domain);
        }
    }

    /// The walk up the tree (RFC 9989 section 4.10): the name itself, and from the seventh label on each parent.
    fn walk(&mut self, domain: &str) {
        let domain = domain.to_ascii_lowercase();
        let labels: Vec<&str> = domain.split('.').collect();
        let above = labels.len().saturating_sub(DMARC_LABELS_MAX);
        let starts = std::iter::once(0).chain(above..labels.len());
        for start in starts {
            let parent = labels.get(start..).unwrap_or_default().join(".");
            self.add(format!("_dmarc.{parent}"));
        }
    }

    fn add(&mut self, name: String) {
        if !self.names.contains(&name) {
            self.names.push(name);
        }
    }

    /// Asks everything at once, at most [`CHECK_QUESTIONS_MAX`]; what is above that stays unanswered.
    pub(super) async fn answers(self, resolver: &dyn Resolver) -> Answers {
        let existence = async {
            match &self.author {
                Some(author) => resolver.txt(author).await.map_or(true, |answer| answer.exists),
                None => true,
            }
        };
        let pending = self.names.iter().take(CHECK_QUESTIONS_MAX).map(|name| {
            let answer: dns::Pending<'_, _> = Box::pin(resolver.txt(name));
            answer
        });
        let (exists, answers) = tokio::join!(existence, dns::all(pending.collect()));
        let absent_author = self.author.as_deref().filter(|_| !exists);
        let texts = self.names.iter().zip(answers).map(|(name, answer)| {
            let read = match answer {
                Ok(answer) if answer.records.is_empty() => Txt::Error(absent(answer.exists)),
                Ok(answer) => match name.strip_prefix("_dmarc.") {
                    Some(domain) => {
                        policy(&answer.records, absent_author.is_some_and(|author| author != domain))
                    }
                    None => key(&answer.records),
                },
                Err(error) if error.persistence() == Persistence::Permanent => Txt::Error(absent(false)),
                Err(error) => Txt::Error(Error::Dns(DnsError::Resolver(error.to_string()))),
            };
            (format!("{name}.").into_boxed_str(), read)
        });
        Answers { texts: texts.collect() }
    }
}

/// The first text that is a key, for several are undefined (RFC 6376 section 3.6.2.2); else the last fault.
fn key(texts: &[Vec<u8>]) -> Txt {
    let mut read = Err(Error::ParseError);
    for text in texts {
        read = DomainKey::parse(text);
        if read.is_ok() {
            break;
        }
    }
    read.map_or_else(Txt::Error, Into::into)
}

/// The one DMARC record; several are none (RFC 9989 section 4.10.1). `above_nothing`: it stands above a domain that
/// does not exist, so `np` is in force and not `sp`. keeps: CHK-4
fn policy(texts: &[Vec<u8>], above_nothing: bool) -> Txt {
    let is_record =
        |text: &&Vec<u8>| text.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"v=DMARC1"));
    let mut records = texts.iter().filter(is_record);
    let (Some(text), None) = (records.next(), records.next()) else { return Txt::Error(absent(true)) };
    let Ok(mut record) = Dmarc::parse(text) else { return Txt::Error(absent(true)) };
    if above_nothing {
        record.sp = record.np;
    }
    record.into()
}

fn absent(exists: bool) -> Error {
    let code = if exists { ResponseCode::NoError } else { ResponseCode::NXDomain };
    Error::Dns(DnsError::RecordNotFound(code))
}

/// The answers, as the library's caches.
pub(super) struct Answers {
    texts: HashMap<Box<str>, Txt>,
}

impl Answers {
    /// The caches as the library wants them.
    pub(super) fn parameters<P>(&self, parameters: P) -> Parameters<'_, P, Self, Self, Self, Self, Self> {
        Parameters {
            params: parameters,
            cache_txt: Some(self),
            cache_mx: Some(self),
            cache_ptr: Some(self),
            cache_ipv4: Some(self),
            cache_ipv6: Some(self),
        }
    }
}

impl ResolverCache<Box<str>, Txt> for Answers {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.texts.get(name).cloned()
    }

    fn remove<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: Txt, _: Instant) {}
}

/// Only DMARC asks for an address, to learn whether a domain exists: [`policy`] has settled that already.
impl ResolverCache<Box<str>, RecordSet<Ipv4Addr>> for Answers {
    fn get<Q>(&self, _: &Q) -> Option<RecordSet<Ipv4Addr>>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        Some(RecordSet { rrset: Vec::new().into(), dnssec_status: DnssecStatus::Indeterminate })
    }

    fn remove<Q>(&self, _: &Q) -> Option<RecordSet<Ipv4Addr>>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: RecordSet<Ipv4Addr>, _: Instant) {}
}

/// Caches of what neither DKIM nor DMARC asks for.
macro_rules! never_asked {
    ($($key:ty => $value:ty),*) => {$(
        impl ResolverCache<$key, $value> for Answers {
            fn get<Q>(&self, _: &Q) -> Option<$value>
            where
                $key: Borrow<Q>,
                Q: Hash + Eq + ?Sized,
            {
                None
            }

            fn remove<Q>(&self, _: &Q) -> Option<$value>
            where
                $key: Borrow<Q>,
                Q: Hash + Eq + ?Sized,
            {
                None
            }

            fn insert(&self, _: $key, _: $value, _: Instant) {}
        }
    )*};
}

never_asked!(Box<str> => RecordSet<MX>, Box<str> => RecordSet<Ipv6Addr>, IpAddr => RecordSet<Box<str>>);
