//! Carries messages to the servers of other domains.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use dns::{Resolver, Security};
use message::Code;
use tokio::time::timeout;

use super::content::{self, Needs};
use super::dane::{self, Dane};
use super::limits::ADDRESSES_TRIED_MAX;
use super::pool::Pool;
use super::route;
use super::session::{Manner, Peer, Session, open};
use super::settings::{Settings, SmartHost};
use super::sts::{Mode, Policies, Policy};
use super::tls::Protection;
use super::tls_report::{Followed, Reports, Wrong};
use super::transaction::carry;
use super::trip::{Report, Step, Trip, Trouble};
use super::{OnStep, Shipment};
use crate::Records;

/// Carries messages over SMTP. One for the whole process: it holds the connections that wait for the next message.
pub struct Sender {
    settings: Settings,
    resolver: Arc<dyn Resolver>,
    pool: Pool,
    policies: Policies,
    reports: Reports,
}

/// One attempt for one message.
struct Attempt<'a> {
    shipment: &'a Shipment,
    needs: Needs,
    step: OnStep<'a>,
    /// How many addresses were tried.
    tried: usize,
    /// What was wrong for good with a host, as long as that is so with all that were tried.
    hopeless: Option<Trouble>,
    /// Whether some host may be better later.
    hope: bool,
}

/// How one host is to be spoken to.
struct Terms {
    protection: Protection,
    followed: Followed,
    /// The certificate is looked at, and what is wrong with it is only reported.
    testing: bool,
}

/// What became of one host.
enum Visit {
    /// It has answered: what is open is tried at the next host.
    Heard,
    /// It could not be spoken with at this address.
    Unheard,
}

impl Sender {
    /// A sender that asks this resolver, and keeps policies and reports there.
    pub fn new(settings: Settings, resolver: Arc<dyn Resolver>, records: Arc<dyn Records>) -> Sender {
        Sender {
            settings,
            resolver,
            pool: Pool::default(),
            policies: Policies::new(Arc::clone(&records)),
            reports: Reports::new(records),
        }
    }

    /// Makes one attempt to bring a message to its domain: an outcome for each recipient, within [`super::Times::whole`].
    pub async fn send(&self, shipment: &Shipment, step: OnStep<'_>) -> Report {
        let mut trip = Trip::new(shipment.recipients.len());
        let domain = shipment.domain.as_str();
        match content::examine(shipment) {
            Err(trouble) => trip.settle_open(&trouble.outcome()),
            Ok(needs) => {
                let attempt = Attempt { shipment, needs, step, tried: 0, hopeless: None, hope: false };
                if timeout(self.settings.times.whole, self.attempt(attempt, &mut trip)).await.is_err() {
                    let text = "the time for one attempt is over";
                    trip.failed(domain, None, &Trouble::new(Step::Connect, Code::NO_ANSWER, text));
                }
            }
        }
        trip.report(&Trouble::new(Step::Dns, Code::NO_ANSWER, format!("no host of {domain} could be tried")))
    }

    /// Says goodbye on all connections that wait.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// keeps: GW-43
    async fn attempt(&self, mut attempt: Attempt<'_>, trip: &mut Trip) {
        if let Some(smart) = &self.settings.smart_host {
            self.by_smart_host(smart, &mut attempt, trip).await;
        } else {
            self.by_domain(&mut attempt, trip).await;
        }
        // Only where every host is hopeless, the message is.
        if let Some(trouble) = attempt.hopeless.filter(|_| !attempt.hope) {
            trip.settle_open(&trouble.outcome());
        }
    }

    async fn by_domain(&self, attempt: &mut Attempt<'_>, trip: &mut Trip) {
        let domain = attempt.shipment.domain.as_str();
        (attempt.step)("route", domain);
        let route = match route::route(&*self.resolver, domain, &self.settings).await {
            Ok(route) => route,
            Err(trouble) => return attempt.failed(trip, domain, None, trouble),
        };
        let policy = self.policies.of(domain, &*self.resolver, &self.settings).await;
        for host in &route.hosts {
            if trip.is_done() || attempt.tried >= ADDRESSES_TRIED_MAX {
                return;
            }
            let found = route::addresses(&*self.resolver, host, &self.settings).await;
            let public =
                |(addresses, security)| Ok((route::public(addresses, host, &self.settings)?, security));
            let (addresses, security) = match found.and_then(public) {
                Ok(found) => found,
                Err(trouble) => {
                    attempt.failed(trip, host, None, trouble);
                    continue;
                }
            };
            match self.terms(domain, host, route.security.and(security), policy.as_ref()).await {
                Ok(terms) => self.visit(host, &addresses, &terms, attempt, trip).await,
                Err((followed, trouble)) => {
                    self.report(domain, &followed, Some((host, None, &trouble))).await;
                    attempt.failed(trip, host, None, trouble);
                }
            }
        }
    }

    /// By DANE where there is some, else by MTA-STS (RFC 8461 section 2), else as it comes. keeps: GW-44, GW-45, GW-47
    async fn terms(
        &self,
        domain: &str,
        host: &str,
        security: Security,
        policy: Option<&Policy>,
    ) -> Result<Terms, (Followed, Trouble)> {
        let dane = match security {
            Security::Secure => dane::records(&*self.resolver, host, self.settings.port).await,
            Security::Insecure => Ok(Dane::None),
        };
        let by_tlsa = |text: Vec<String>| Followed { kind: "tlsa", text, hosts: Vec::new() };
        let terms = |protection, followed| Ok(Terms { protection, followed, testing: false });
        match dane.map_err(|trouble| (by_tlsa(Vec::new()), trouble))? {
            Dane::Records(records) => {
                let followed = by_tlsa(records.iter().map(dane::Association::text).collect());
                return terms(Protection::Dane(records, vec![host.to_owned(), domain.to_owned()]), followed);
            }
            Dane::Encrypt => return terms(Protection::Encrypt, by_tlsa(Vec::new())),
            Dane::None => {}
        }
        let Some(policy) = policy.filter(|policy| policy.mode != Mode::None) else {
            return terms(
                Protection::Opportunistic,
                Followed { kind: "no-policy-found", ..Followed::default() },
            );
        };
        let followed = Followed { kind: "sts", text: Vec::new(), hosts: policy.mx.clone() };
        if policy.fits(host) {
            return Ok(Terms {
                protection: Protection::WebPki,
                followed,
                testing: policy.mode == Mode::Testing,
            });
        }
        let text = format!("{host} is not a host that the MTA-STS policy of {domain} names");
        let trouble =
            Trouble { step: Step::Policy, ..Trouble::of_tls("validation-failure", Code::new(4, 7, 5), text) };
        if policy.mode == Mode::Enforce {
            return Err((followed, trouble));
        }
        self.report(domain, &followed, Some((host, None, &trouble))).await;
        terms(Protection::Opportunistic, followed)
    }

    async fn by_smart_host(&self, smart: &SmartHost, attempt: &mut Attempt<'_>, trip: &mut Trip) {
        let addresses = match route::addresses(&*self.resolver, &smart.host, &self.settings).await {
            Ok((addresses, _)) => addresses,
            Err(trouble) => return attempt.failed(trip, &smart.host, None, trouble.temporary()),
        };
        let fixed = self.settings.fixed_addresses.contains_key(&smart.host);
        for mut address in addresses {
            if !fixed {
                address.set_port(smart.port);
            }
            let peer = Peer {
                host: smart.host.clone(),
                address,
                protection: Protection::WebPki,
                implicit_tls: smart.implicit_tls,
                login: smart.login.clone(),
            };
            attempt.tried += 1;
            match self.speak(&peer, None, attempt, trip).await {
                Visit::Unheard if attempt.tried < ADDRESSES_TRIED_MAX => {}
                _ => return,
            }
        }
    }

    /// Tries the addresses of a host until one has answered. keeps: GW-43
    async fn visit(
        &self,
        host: &str,
        addresses: &[SocketAddr],
        terms: &Terms,
        attempt: &mut Attempt<'_>,
        trip: &mut Trip,
    ) {
        for &address in addresses {
            if attempt.tried >= ADDRESSES_TRIED_MAX {
                return;
            }
            attempt.tried += 1;
            let protection = terms.protection.clone();
            let peer = Peer { host: host.to_owned(), address, protection, implicit_tls: false, login: None };
            if matches!(self.speak(&peer, Some(terms), attempt, trip).await, Visit::Heard) {
                return;
            }
        }
    }

    async fn speak(
        &self,
        peer: &Peer,
        terms: Option<&Terms>,
        attempt: &mut Attempt<'_>,
        trip: &mut Trip,
    ) -> Visit {
        let _permit = self.pool.permit(peer.address).await;
        (attempt.step)("connect", &format!("{} {}", peer.host, peer.address));
        let (peer, mut session) = match self.session(peer, terms, attempt.shipment.domain.as_str()).await {
            Ok(found) => found,
            Err(trouble) => {
                attempt.failed(trip, &peer.host, Some(peer.address), trouble);
                return Visit::Unheard;
            }
        };
        attempt.hope = true;
        let shipment = self.with_parameter(&session, attempt.shipment, peer.address.ip()).await;
        let carried = carry(&mut session, &shipment, attempt.needs, trip, attempt.step).await;
        match carried {
            Ok(()) => {
                self.pool.keep(&peer, session);
                Visit::Heard
            }
            Err(halt) => {
                trip.failed(&peer.host, Some(peer.address.ip()), &halt.trouble);
                if halt.usable {
                    self.pool.keep(&peer, session);
                    return Visit::Heard;
                }
                Visit::Unheard
            }
        }
    }

    /// An idle session that still lives, or a new one, with the peer as it was taken: one whose certificate has not been
    /// found good is never kept as if it had. keeps: GW-48
    async fn session(
        &self,
        peer: &Peer,
        terms: Option<&Terms>,
        domain: &str,
    ) -> Result<(Peer, Session), Trouble> {
        while let Some(mut idle) = self.pool.take(peer) {
            if idle.is_ready_again().await {
                return Ok((peer.clone(), idle));
            }
        }
        let manner = self.manner();
        let opened = open(peer, &manner).await;
        if let Some(terms) = terms {
            match &opened {
                Ok(session) if session.encrypted => self.report(domain, &terms.followed, None).await,
                Err(trouble) if trouble.tls.is_some() => {
                    let place = (peer.host.as_str(), Some(peer.address), trouble);
                    self.report(domain, &terms.followed, Some(place)).await;
                    if terms.testing {
                        let peer = Peer { protection: Protection::Opportunistic, ..peer.clone() };
                        let session = open(&peer, &manner).await?;
                        return Ok((peer, session));
                    }
                }
                _ => {}
            }
        }
        opened.map(|session| (peer.clone(), session))
    }

    fn manner(&self) -> Manner {
        let Settings { own_name, roots, times, source, .. } = &self.settings;
        Manner { own_name: own_name.clone(), source: *source, roots: Arc::clone(roots), times: *times }
    }

    /// The shipment with what is to be said to this server, unless the caller says something of that kind already, or it is
    /// somebody else's. keeps: CKS-1
    async fn with_parameter<'a>(
        &self,
        session: &Session,
        shipment: &'a Shipment,
        to: IpAddr,
    ) -> Cow<'a, Shipment> {
        let (Some(more), Some(path), false) =
            (&self.settings.mail_parameters, &shipment.return_path, shipment.forwarded)
        else {
            return Cow::Borrowed(shipment);
        };
        let said = shipment.parameters.iter().any(|one| one.extension.eq_ignore_ascii_case(more.extension()));
        if said || !session.abilities.have(more.extension()) {
            return Cow::Borrowed(shipment);
        }
        let mut shipment = Cow::Borrowed(shipment);
        if let Some(parameter) = more.parameter(path, to).await {
            shipment.to_mut().parameters.push(parameter);
        }
        shipment
    }

    /// Says one command to a server, outside of any transaction, and gives the digits of its answer: none where it does
    /// not know the extension. The connection is one of its own.
    ///
    /// # Errors
    /// Where it cannot be spoken with, in words.
    pub(crate) async fn ask(
        &self,
        host: &str,
        address: IpAddr,
        extension: &str,
        line: &str,
    ) -> Result<Option<u16>, String> {
        let fixed = self.settings.fixed_addresses.get(host);
        let fixed = fixed.and_then(|all| all.iter().find(|one| one.ip() == address));
        let address = fixed.copied().unwrap_or(SocketAddr::new(address, self.settings.port));
        let _permit = self.pool.permit(address).await;
        let (host, protection) = (host.to_owned(), Protection::Opportunistic);
        let peer = Peer { host, address, protection, implicit_tls: false, login: None };
        let mut session = open(&peer, &self.manner()).await.map_err(|trouble| trouble.text)?;
        if !session.abilities.have(extension) {
            session.quit().await;
            return Ok(None);
        }
        let reply = session.command(Step::Mail, line).await.map_err(|trouble| trouble.text)?;
        session.quit().await;
        Ok(Some(reply.digits))
    }

    async fn report(
        &self,
        domain: &str,
        followed: &Followed,
        wrong: Option<(&str, Option<SocketAddr>, &Trouble)>,
    ) {
        let wrong = wrong.map(|(host, address, trouble)| Wrong {
            kind: trouble.tls.unwrap_or("validation-failure"),
            host,
            address: address.map(|address| address.ip()),
            text: &trouble.text,
        });
        self.reports.count((self.settings.now_ms)(), domain, followed, wrong).await;
    }
}

impl Attempt<'_> {
    /// Something is wrong with a host, or with all of them.
    fn failed(&mut self, trip: &mut Trip, host: &str, address: Option<SocketAddr>, trouble: Trouble) {
        (self.step)("failed", &format!("{host} {}: {}", trouble.step.word(), trouble.text));
        trip.failed(host, address.map(|address| address.ip()), &trouble);
        if trouble.is_permanent() {
            self.hopeless.get_or_insert(trouble);
        } else {
            self.hope = true;
        }
    }
}
