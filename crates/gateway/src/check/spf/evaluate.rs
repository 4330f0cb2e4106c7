//! The function check_host() of RFC 7208 section 4, over [`dns::Resolver`].

use std::net::IpAddr;
use std::pin::Pin;

use dns::{Error, Family, Persistence, Resolver};

use super::record::{self, Lengths, Mechanism, Record};
use super::template::{Purpose, Template, Values};
use super::{Query, Spf, Verdict};
use crate::limits::{
    SPF_ADDRESSES_PER_TERM_MAX, SPF_LOOKUPS_MAX, SPF_STEPS_MAX, SPF_TIME_MAX, SPF_VOID_LOOKUPS_MAX,
};

/// Whether the client may use the domain of the sender. It ends within [`SPF_TIME_MAX`] and asks about at most
/// [`SPF_LOOKUPS_MAX`] terms. It never fails: what went wrong is one of the results.
///
/// keeps: CHK-1, CHK-2
pub async fn check_host(resolver: &dyn Resolver, query: &Query<'_>) -> Spf {
    let (local, domain) = query.sender.rsplit_once('@').unwrap_or(("", query.sender));
    let local = if local.is_empty() { "postmaster" } else { local };
    let mut run = Run {
        resolver,
        query,
        sender: format!("{local}@{domain}"),
        lookups: 0,
        voids: 0,
        validated: None,
        steps: Vec::new(),
    };
    let domain = domain.strip_suffix('.').unwrap_or(domain).to_ascii_lowercase();
    // One time for both: whoever explains slowly has less of it.
    let until = tokio::time::Instant::now() + SPF_TIME_MAX;
    let outcome = if is_checkable(&domain) {
        tokio::time::timeout_at(until, run.evaluate(domain.clone(), Depth::First)).await
    } else {
        run.step(format!("{domain:?} is no domain that can be asked"));
        Ok(Outcome::of(Verdict::None))
    };
    let mut outcome = outcome.unwrap_or_else(|_| Outcome::of(Verdict::TempError));
    let explanation = match outcome.explanation.take() {
        Some((template, at)) if outcome.verdict == Verdict::Fail => {
            tokio::time::timeout_at(until, run.explain(&template, &at)).await.ok().flatten()
        }
        _ => None,
    };
    run.step(format!("the result for {domain} is {}", outcome.verdict.word()));
    Spf { verdict: outcome.verdict, domain, explanation, modifiers: outcome.modifiers, steps: run.steps }
}

/// A result, and what of the record that decided is of use afterwards.
struct Outcome {
    verdict: Verdict,
    /// Where the explanation is, and of which domain's record that was said.
    explanation: Option<(Template, String)>,
    modifiers: Vec<(String, String)>,
}

impl Outcome {
    fn of(verdict: Verdict) -> Self {
        Self { verdict, explanation: None, modifiers: Vec::new() }
    }
}

/// What a record was reached by: only the first may be missing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    First,
    Further,
}

/// Why evaluation ends here.
struct Stop(Verdict);

struct Run<'a> {
    resolver: &'a dyn Resolver,
    query: &'a Query<'a>,
    sender: String,
    lookups: usize,
    voids: usize,
    validated: Option<String>,
    steps: Vec<String>,
}

/// A future that may hold another of its kind.
type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Run<'_> {
    fn evaluate(&mut self, domain: String, depth: Depth) -> Boxed<'_, Outcome> {
        Box::pin(async move {
            let record = match self.record(&domain, depth).await {
                Ok(Some(record)) => record,
                Ok(None) => return Outcome::of(Verdict::None),
                Err(Stop(verdict)) => return Outcome::of(verdict),
            };
            let decided = self.directives(&record, &domain).await;
            match (decided, &record.redirect) {
                (Err(Stop(verdict)), _) => Outcome::of(verdict),
                (Ok(None), Some(target)) => match self.redirected(target, &domain).await {
                    Ok(outcome) => outcome,
                    Err(Stop(verdict)) => Outcome::of(verdict),
                },
                (Ok(decided), _) => Outcome {
                    verdict: decided.unwrap_or(Verdict::Neutral),
                    explanation: record.explanation.map(|template| (template, domain)),
                    modifiers: record.modifiers,
                },
            }
        })
    }

    async fn redirected(&mut self, target: &Template, domain: &str) -> Result<Outcome, Stop> {
        self.count()?;
        let name = self.name(target, domain).await?;
        self.step(format!("{domain}: no directive matches; it goes on at {name}"));
        let outcome = self.evaluate(name, Depth::Further).await;
        // What it was redirected to has no record (section 6.1).
        Ok(if outcome.verdict == Verdict::None { Outcome::of(Verdict::PermError) } else { outcome })
    }

    /// The one record of a domain (section 4.5). keeps: CHK-1
    async fn record(&mut self, domain: &str, depth: Depth) -> Result<Option<Record>, Stop> {
        let texts = match self.resolver.txt(domain).await {
            Ok(answer) => answer.records,
            Err(error) if error.persistence() == Persistence::Permanent => Vec::new(),
            Err(error) => {
                self.step(format!("{domain}: {error}"));
                return Err(Stop(Verdict::TempError));
            }
        };
        if texts.is_empty() && depth == Depth::Further {
            self.void()?;
        }
        let mut records = texts.iter().filter(|text| record::is_record(text));
        let (Some(text), another) = (records.next(), records.next()) else {
            self.step(format!("{domain}: there is no SPF record"));
            return Ok(None);
        };
        if another.is_some() {
            self.step(format!("{domain}: there are several SPF records"));
            return Err(Stop(Verdict::PermError));
        }
        self.step(format!("{domain}: the record is {:?}", String::from_utf8_lossy(text)));
        match record::read(text) {
            Ok(record) => Ok(Some(record)),
            Err(what) => {
                self.step(format!("{domain}: the record cannot be read: {what}"));
                Err(Stop(Verdict::PermError))
            }
        }
    }

    /// The first directive that matches decides (section 4.6.2).
    async fn directives(&mut self, record: &Record, domain: &str) -> Result<Option<Verdict>, Stop> {
        for directive in &record.directives {
            let matches = self.matches(&directive.mechanism, domain).await;
            let said = match &matches {
                Ok(true) => format!("matches: {}", directive.verdict.word()),
                Ok(false) => "does not match".to_owned(),
                Err(Stop(verdict)) => format!("ends here: {}", verdict.word()),
            };
            self.step(format!("{domain}: {} {said}", directive.text));
            if matches? {
                return Ok(Some(directive.verdict));
            }
        }
        Ok(None)
    }

    async fn matches(&mut self, mechanism: &Mechanism, domain: &str) -> Result<bool, Stop> {
        let client = self.query.address.to_canonical();
        match mechanism {
            Mechanism::All => Ok(true),
            Mechanism::Network(network, bits) => {
                Ok(in_network(client, *network, Lengths { four: *bits, six: *bits }))
            }
            Mechanism::A(target, lengths) => {
                self.count()?;
                let host = self.target(target.as_ref(), domain).await?;
                let addresses = self.addresses(&host, Family::of(client)).await?;
                Ok(addresses.iter().any(|address| in_network(client, *address, *lengths)))
            }
            Mechanism::Mx(target, lengths) => self.mail_exchanges(target.as_ref(), domain, *lengths).await,
            Mechanism::Exists(target) => {
                self.count()?;
                let name = self.name(target, domain).await?;
                // Always by A, whatever the client has (section 5.7).
                Ok(!self.addresses(&name, Family::Four).await?.is_empty())
            }
            Mechanism::Ptr(target) => {
                self.count()?;
                let target = self.target(target.as_ref(), domain).await?.to_ascii_lowercase();
                let names = self.proved_names().await;
                Ok(names.iter().any(|name| is_at_or_below(name, &target)))
            }
            Mechanism::Include(target) => {
                self.count()?;
                let name = self.name(target, domain).await?;
                match self.evaluate(name, Depth::Further).await.verdict {
                    Verdict::Pass => Ok(true),
                    Verdict::Fail | Verdict::SoftFail | Verdict::Neutral => Ok(false),
                    Verdict::TempError => Err(Stop(Verdict::TempError)),
                    Verdict::PermError | Verdict::None | Verdict::Policy => Err(Stop(Verdict::PermError)),
                }
            }
        }
    }

    async fn mail_exchanges(
        &mut self,
        target: Option<&Template>,
        domain: &str,
        lengths: Lengths,
    ) -> Result<bool, Stop> {
        self.count()?;
        let client = self.query.address.to_canonical();
        let name = self.target(target, domain).await?;
        let exchanges = match self.resolver.mx(&name).await {
            Ok(answer) => answer.records,
            Err(error) => return self.unanswered(&name, &error).map(|()| false),
        };
        if exchanges.is_empty() {
            self.void()?;
        }
        let exchanges = exchanges.into_iter().filter_map(|one| one.exchange).collect::<Vec<_>>();
        if exchanges.len() > SPF_ADDRESSES_PER_TERM_MAX {
            self.step(format!("{name} has more than {SPF_ADDRESSES_PER_TERM_MAX} mail exchanges"));
            return Err(Stop(Verdict::PermError));
        }
        for exchange in exchanges {
            let addresses = self.addresses(&exchange, Family::of(client)).await?;
            if addresses.iter().any(|address| in_network(client, *address, lengths)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The addresses of a host; a name that cannot be one has none.
    async fn addresses(&mut self, host: &str, family: Family) -> Result<Vec<IpAddr>, Stop> {
        match self.resolver.addresses_of(host, family).await {
            Ok(answer) if answer.records.is_empty() => self.void().map(|()| Vec::new()),
            Ok(answer) => Ok(answer.records),
            Err(error) => self.unanswered(host, &error).map(|()| Vec::new()),
        }
    }

    /// A question without an answer: one that can never be asked finds nothing, any other ends the check.
    fn unanswered(&mut self, name: &str, error: &Error) -> Result<(), Stop> {
        self.step(format!("{name}: {error}"));
        match error.persistence() {
            Persistence::Permanent => Ok(()),
            Persistence::Temporary => Err(Stop(Verdict::TempError)),
        }
    }

    /// The names of the client that lead back to it, at most [`SPF_ADDRESSES_PER_TERM_MAX`]. Failures prove nothing
    /// and are passed over (section 5.5).
    async fn proved_names(&mut self) -> Vec<String> {
        let client = self.query.address.to_canonical();
        let Ok(answer) = self.resolver.names(client).await else { return Vec::new() };
        let mut proved = Vec::new();
        for name in answer.records.into_iter().take(SPF_ADDRESSES_PER_TERM_MAX) {
            let addresses = self.resolver.addresses_of(&name, Family::of(client)).await;
            if addresses.is_ok_and(|answer| answer.records.contains(&client)) {
                proved.push(name);
            }
        }
        proved
    }

    async fn target(&mut self, target: Option<&Template>, domain: &str) -> Result<String, Stop> {
        match target {
            Some(template) => self.name(template, domain).await,
            None => Ok(domain.to_owned()),
        }
    }

    async fn name(&mut self, template: &Template, domain: &str) -> Result<String, Stop> {
        if template.needs_validated() && self.validated.is_none() {
            self.count()?;
            self.validated = Some(self.validated_name(domain).await);
        }
        Ok(template.name(&self.values(domain)))
    }

    /// The name for the macro `p`: the domain itself, else one below it, else any (section 7.3).
    async fn validated_name(&mut self, domain: &str) -> String {
        let names = self.proved_names().await;
        let own = names.iter().find(|name| *name == domain);
        let below = own.or_else(|| names.iter().find(|name| is_at_or_below(name, domain)));
        below.or_else(|| names.first()).cloned().unwrap_or_else(|| "unknown".to_owned())
    }

    /// What the domain says to a failure (section 6.2): any fault in it is as if there were none.
    async fn explain(&mut self, template: &Template, domain: &str) -> Option<String> {
        let name = self.name(template, domain).await.ok()?;
        let texts = self.resolver.txt(&name).await.ok()?.records;
        let [text] = texts.as_slice() else { return None };
        let template = Template::read(std::str::from_utf8(text).ok()?, Purpose::Explanation)?;
        if template.needs_validated() && self.validated.is_none() {
            self.validated = Some(self.validated_name(domain).await);
        }
        Some(template.explanation(&self.values(domain))).filter(|text| !text.is_empty())
    }

    fn values<'v>(&'v self, domain: &'v str) -> Values<'v> {
        let validated = self.validated.as_deref().unwrap_or("unknown");
        Values { query: self.query, sender: &self.sender, domain, validated }
    }

    /// One more term that asks the DNS (section 4.6.4).
    fn count(&mut self) -> Result<(), Stop> {
        self.lookups += 1;
        if self.lookups <= SPF_LOOKUPS_MAX {
            return Ok(());
        }
        self.step(format!("more than {SPF_LOOKUPS_MAX} terms ask the DNS"));
        Err(Stop(Verdict::PermError))
    }

    /// One more question that finds nothing (section 4.6.4).
    fn void(&mut self) -> Result<(), Stop> {
        self.voids += 1;
        if self.voids <= SPF_VOID_LOOKUPS_MAX {
            return Ok(());
        }
        self.step(format!("more than {SPF_VOID_LOOKUPS_MAX} questions find nothing"));
        Err(Stop(Verdict::PermError))
    }

    fn step(&mut self, text: String) {
        if self.steps.len() < SPF_STEPS_MAX {
            self.steps.push(text);
        }
    }
}

/// Two labels or more, none empty or too long, and no address (section 4.3).
fn is_checkable(domain: &str) -> bool {
    let labels = || domain.split('.');
    labels().count() > 1 && labels().all(|label| (1..=63).contains(&label.len())) && !domain.starts_with('[')
}

fn is_at_or_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether the first bits of two addresses of one family are the same.
fn in_network(client: IpAddr, network: IpAddr, lengths: Lengths) -> bool {
    match (client, network) {
        (IpAddr::V4(client), IpAddr::V4(network)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(lengths.four)).unwrap_or(0);
            client.to_bits() & mask == network.to_bits() & mask
        }
        (IpAddr::V6(client), IpAddr::V6(network)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(lengths.six)).unwrap_or(0);
            client.to_bits() & mask == network.to_bits() & mask
        }
        _ => false,
    }
}
