//! The adapter from `node` to `transport` on the way out: finds the peer, offers the message, asks about cookies.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use dns::locate::{Location, Target, exchange_of};
use dns::{Persistence, Security};
use message::address::{Address, Domain};
use message::{Code, Cookie, Disposition, Envelope, Redirect};
use node::{Answered, Consignment, Courier, Later, Report, Trouble, TryRecord};
use protocol::{CookieAnswer, Frame, Item, Offer, OfferingEvent, Reader, Settings, Way};
use transport::{Alpn, AskError, Expectation, Fault, Lease, Limits, Pace, Pool, Roots, Route};

use crate::clock;
use crate::limits::OFFERS_TIME_MAX;
use crate::peers::{Peers, Who};
use crate::slices::Slices;
use crate::source::{StoreSource, supply};

/// Carries mail to other nodes over QUIC.
#[derive(Clone)]
pub(crate) struct ExchangeCourier {
    pub(crate) resolver: Arc<dyn dns::Resolver>,
    pub(crate) pool: Pool,
    pub(crate) limits: Limits,
    pub(crate) pins: Arc<BTreeMap<Domain, [u8; 32]>>,
    pub(crate) roots: Option<Roots>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) slices: Arc<Slices>,
}

/// A connection to one of the hosts of a domain, and what was tried to get it.
struct Reached {
    lease: Lease,
    host: String,
    settings: Settings,
}

type Tell<'a> = &'a (dyn Fn(&str, &str) + Send + Sync);

impl Courier for ExchangeCourier {
    fn deliver<'a>(&'a self, consignment: &'a Consignment, step: Tell<'a>) -> Later<'a, Report> {
        Box::pin(async move {
            let mut tried = Vec::new();
            let result = self.try_deliver(consignment, step, &mut tried).await;
            Report { result, tried, passed_on: Vec::new() }
        })
    }

    fn deliver_to_doorstep<'a>(
        &'a self,
        consignment: &'a Consignment,
        redirect: &'a Redirect,
        step: Tell<'a>,
    ) -> Later<'a, Report> {
        Box::pin(async move {
            let mut tried = Vec::new();
            let result = self.try_doorstep(consignment, redirect, step, &mut tried).await;
            Report { result, tried, passed_on: Vec::new() }
        })
    }

    fn inquire<'a>(
        &'a self,
        domain: &'a Domain,
        cookies: &'a [Cookie],
    ) -> Later<'a, Result<Vec<Answered>, Trouble>> {
        Box::pin(async move {
            let reply = self.request(domain, &Frame::Poll(cookies.to_vec())).await?;
            match reply {
                Frame::Answers(answers) if answers.len() == cookies.len() => {
                    Ok(answers.into_iter().map(answered).collect())
                }
                _ => Err(Trouble::Temporary(
                    Code::INVALID_COMMAND,
                    "the answer to a poll is not one".to_owned(),
                )),
            }
        })
    }

    fn give_up<'a>(&'a self, domain: &'a Domain, cookies: &'a [Cookie]) -> Later<'a, ()> {
        Box::pin(async move {
            if let Err(trouble) = self.request(domain, &Frame::GiveUp(cookies.to_vec())).await {
                tracing::debug!(?trouble, %domain, "a peer could not be told that we have given up");
            }
        })
    }
}

impl ExchangeCourier {
    async fn try_deliver(
        &self,
        consignment: &Consignment,
        step: Tell<'_>,
        tried: &mut Vec<TryRecord>,
    ) -> Result<Vec<Disposition>, Trouble> {
        let reached = self.reach(&consignment.domain, step, tried).await?;
        let way = if consignment.redirect_failed { Way::RedirectFailed } else { Way::Plain };
        self.offer(consignment, &reached, (way, "offer"), step, tried).await
    }

    /// Goes to the address of a redirect and to no other, and takes nobody there but the device with that key.
    ///
    /// keeps: EXC-19, DOOR-2
    async fn try_doorstep(
        &self,
        consignment: &Consignment,
        redirect: &Redirect,
        step: Tell<'_>,
        tried: &mut Vec<TryRecord>,
    ) -> Result<Vec<Disposition>, Trouble> {
        let address: IpAddr = redirect.address.parse().map_err(|_| {
            Trouble::Temporary(Code::NOT_AUTHORIZED, "a redirect to what is no address".to_owned())
        })?;
        let at = SocketAddr::new(address, redirect.port);
        let route = Route {
            host: address.to_string(),
            port: redirect.port,
            addresses: vec![at],
            alpn: Alpn::Doorstep,
            expectation: Expectation::Pinned { digests: vec![redirect.key_digest] },
        };
        let host = at.to_string();
        let (lease, settings) = self.lease(&route).await.inspect_err(|trouble| {
            step("connect", &words(trouble));
            note(tried, &host, "doorstep", trouble);
        })?;
        let reached = Reached { lease, host, settings };
        let way = Way::Ticket(redirect.ticket.clone());
        self.offer(consignment, &reached, (way, "doorstep"), step, tried).await
    }

    /// Offers to all recipients, to as many at once as the receiver allows: each has the answer to its own offer.
    ///
    /// keeps: EXC-31
    async fn offer(
        &self,
        consignment: &Consignment,
        reached: &Reached,
        (way, name): (Way, &str),
        step: Tell<'_>,
        tried: &mut Vec<TryRecord>,
    ) -> Result<Vec<Disposition>, Trouble> {
        let recipients = &consignment.envelope.recipients;
        let most = usize::try_from(reached.settings.recipients_max).unwrap_or(usize::MAX).max(1);
        let mut told = Vec::with_capacity(recipients.len());
        let began = tokio::time::Instant::now();
        for some in recipients.chunks(most) {
            // Whoever takes one at a time and takes its time has the others come later.
            if !told.is_empty() && began.elapsed() >= OFFERS_TIME_MAX {
                told.resize(recipients.len(), put_off(&Trouble::NoRoom));
                break;
            }
            let how = (way.clone(), name);
            match self.offer_to(some, consignment, reached, how, step, tried).await {
                Ok(answered) => told.extend(answered),
                Err(Trouble::Permanent(code, text)) if most < recipients.len() => {
                    told.extend(some.iter().map(|_| Disposition::refused(code, &text)));
                }
                Err(trouble) if told.is_empty() => return Err(trouble),
                Err(trouble) => {
                    told.resize(recipients.len(), put_off(&trouble));
                    break;
                }
            }
        }
        Ok(told)
    }

    /// Offers to some of the recipients.
    async fn offer_to(
        &self,
        recipients: &[Address],
        consignment: &Consignment,
        reached: &Reached,
        (way, name): (Way, &str),
        step: Tell<'_>,
        tried: &mut Vec<TryRecord>,
    ) -> Result<Vec<Disposition>, Trouble> {
        let identity = consignment.envelope.identity;
        let Some(supply) = supply(&consignment.message) else {
            return Err(Trouble::Permanent(Code::SYSTEM_TROUBLE, "the message is not whole".to_owned()));
        };
        let envelope = Envelope { recipients: recipients.to_vec(), ..consignment.envelope.clone() };
        let offer = Offer { envelope, eager: protocol::Eager::Nothing, submission: None, way };
        let source = StoreSource::new(consignment.store.clone(), identity, self.slices.clone());
        step(
            "offer",
            &format!("offered to {}, {} recipients", reached.host, offer.envelope.recipients.len()),
        );
        let observe = |event: &OfferingEvent| {
            if let OfferingEvent::Wanted(selection) = event {
                step("want", &format!("{} asks for {selection:?}", reached.host));
            }
        };
        let pace = Pace::start(&self.limits);
        let link = reached.lease.link();
        let settings = if consignment.again { reached.settings.asking_first() } else { reached.settings };
        let offering = transport::offer(link, pace, offer, supply, &settings, &source, observe);
        let outcome = unless_silent(&reached.lease, offering).await;
        match outcome {
            Ok(outcome) => {
                record(tried, &reached.host, name, None, "answered");
                Ok(outcome.dispositions)
            }
            Err(error) => {
                let trouble = trouble(&error);
                note(tried, &reached.host, name, &trouble);
                Err(trouble)
            }
        }
    }

    /// One request to whichever host of a domain answers, and its reply.
    pub(crate) async fn request(&self, domain: &Domain, request: &Frame) -> Result<Frame, Trouble> {
        let reached = self.reach(domain, &|_, _| {}, &mut Vec::new()).await?;
        self.ask(&reached, request).await
    }

    async fn ask(&self, reached: &Reached, request: &Frame) -> Result<Frame, Trouble> {
        let asking = transport::ask(reached.lease.link(), Pace::start(&self.limits), request);
        unless_silent(&reached.lease, asking).await.map_err(|error| trouble(&error))
    }

    /// A live connection to one of the hosts of a domain: the first that answers as the one it must be.
    async fn reach(
        &self,
        domain: &Domain,
        step: Tell<'_>,
        tried: &mut Vec<TryRecord>,
    ) -> Result<Reached, Trouble> {
        let targets = self.targets(domain).await.inspect_err(|trouble| {
            step("resolve", &words(trouble));
            note(tried, domain.as_str(), "resolve", trouble);
        })?;
        let mut last = Trouble::Temporary(Code::NO_ANSWER, "no host of the domain has an address".to_owned());
        for target in targets {
            let host = format!("{}:{}", target.host, target.port);
            step("resolve", &format!("{domain} is served by {host}"));
            match self.connect(domain, &target).await {
                Ok((lease, settings)) => {
                    self.peers.note(lease.link(), Who::Domain(domain.to_string()), false);
                    return Ok(Reached { lease, host, settings });
                }
                Err(trouble) => {
                    step("connect", &words(&trouble));
                    note(tried, &host, "connect", &trouble);
                    last = trouble;
                }
            }
        }
        Err(last)
    }

    async fn targets(&self, domain: &Domain) -> Result<Vec<Target>, Trouble> {
        match exchange_of(self.resolver.as_ref(), domain.as_str(), clock::random_below).await {
            Ok(Location::Native { targets }) => Ok(targets),
            Ok(Location::NotHere) => {
                Err(Trouble::Permanent(Code::NO_ROUTE, format!("{domain} says that it takes no mail")))
            }
            Ok(Location::Legacy { .. }) => Err(Trouble::Permanent(
                Code::NO_ROUTE,
                format!("{domain} has no node, and no gateway is set up here"),
            )),
            Err(error) if error.persistence() == Persistence::Permanent => {
                Err(Trouble::Permanent(Code::NO_ROUTE, error.to_string()))
            }
            Err(error) => Err(Trouble::Temporary(Code::DIRECTORY_FAILURE, error.to_string())),
        }
    }

    async fn connect(&self, domain: &Domain, target: &Target) -> Result<(Lease, Settings), Trouble> {
        let route = Route {
            host: target.host.clone(),
            port: target.port,
            addresses: target
                .addresses
                .iter()
                .map(|address| SocketAddr::new(*address, target.port))
                .collect(),
            alpn: Alpn::Exchange,
            expectation: self.expectation(domain, target)?,
        };
        self.lease(&route).await
    }

    async fn lease(&self, route: &Route) -> Result<(Lease, Settings), Trouble> {
        let lease = self.pool.lease(route).await.map_err(|error| transport_trouble(&error))?;
        let settings = async { lease.settings().await.map_err(AskError::Transport) };
        let octets = unless_silent(&lease, settings).await.map_err(|error| trouble(&error))?;
        let mut reader = Reader::new();
        reader.push(&octets);
        match reader.next_item() {
            Ok(Some(Item::Frame(Frame::Settings(settings)))) => Ok((lease, settings)),
            _ => Err(Trouble::Temporary(
                Code::INVALID_COMMAND,
                "the peer's settings are not settings".to_owned(),
            )),
        }
    }

    /// Who the server must be: the pinned key, else one of the keys in secure TLSA records, else what an authority
    /// says for the domain, or for the host where the DNS proves that the domain is there.
    fn expectation(&self, domain: &Domain, target: &Target) -> Result<Expectation, Trouble> {
        if let Some(digest) = self.pins.get(domain) {
            return Ok(Expectation::Pinned { digests: vec![*digest] });
        }
        if !target.tlsa.is_empty() {
            return Ok(Expectation::Dane { digests: target.tlsa.clone() });
        }
        let Some(roots) = self.roots.clone() else {
            let text =
                format!("{domain} is not pinned, has no TLSA records, and no authorities are trusted here");
            return Err(Trouble::Temporary(Code::NOT_AUTHORIZED, text));
        };
        let mut names = vec![domain.as_str().to_owned()];
        if target.security == Security::Secure {
            names.push(target.host.clone());
        }
        Ok(Expectation::WebPki { names, roots })
    }
}

/// For those whose offer came to nothing when others had their answers already.
fn put_off(trouble: &Trouble) -> Disposition {
    let code = match trouble {
        Trouble::Temporary(code, _) | Trouble::Permanent(code, _) => *code,
        Trouble::Throttled | Trouble::NoRoom => Code::SYSTEM_TROUBLE,
    };
    Disposition::Deferred { code: Code { class: 4, ..code }, after_seconds: 1 }
}

/// Does something over a pooled connection. Where the other end falls silent, or nobody waits for it any more, whoever is
/// next gets another connection. keeps: TRA-22
async fn unless_silent<T>(
    lease: &Lease,
    work: impl Future<Output = Result<T, AskError>>,
) -> Result<T, AskError> {
    let mut waiting = Waiting { lease, is_over: false };
    let done = work.await;
    waiting.is_over = !matches!(&done, Err(AskError::Transport(error)) if error.is_silence());
    done
}

/// Retires the connection where it ends before something was heard.
struct Waiting<'a> {
    lease: &'a Lease,
    is_over: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.lease.retire();
        }
    }
}

fn answered(answer: CookieAnswer) -> Answered {
    match answer {
        CookieAnswer::Final(disposition) => Answered::Final(disposition),
        CookieAnswer::Pending { min_seconds, max_seconds, .. } => {
            Answered::Pending { min_seconds, max_seconds }
        }
        CookieAnswer::Want(_) => Answered::Again,
        CookieAnswer::Unknown => Answered::Unknown,
    }
}

/// What an error of the transport means for the mail. A peer that cannot be reached today may be there tomorrow.
fn transport_trouble(error: &transport::Error) -> Trouble {
    let code = match error.fault() {
        Fault::Peer => Code::NOT_AUTHORIZED,
        Fault::Path => Code::NO_ANSWER,
        Fault::Ours | Fault::Caller => Code::SYSTEM_TROUBLE,
    };
    Trouble::Temporary(Code { class: 4, ..code }, error.to_string())
}

fn trouble(error: &AskError) -> Trouble {
    match error {
        AskError::Failed(failure) if failure.code.class == 5 => {
            Trouble::Permanent(failure.code, failure.text.clone())
        }
        AskError::Failed(failure) => Trouble::Temporary(failure.code, failure.text.clone()),
        AskError::Transport(error) => match transport_trouble(error) {
            Trouble::Temporary(_, text) => Trouble::Temporary(Code::BAD_CONNECTION, text),
            other => other,
        },
        AskError::Protocol(error) => Trouble::Temporary(Code { class: 4, ..error.code() }, error.to_string()),
        AskError::Local(text) => Trouble::Temporary(Code::SYSTEM_TROUBLE, text.clone()),
    }
}

fn words(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Temporary(code, text) | Trouble::Permanent(code, text) => format!("{text} ({code})"),
        Trouble::Throttled | Trouble::NoRoom => "held back by this node itself".to_owned(),
    }
}

fn note(tried: &mut Vec<TryRecord>, host: &str, step: &str, trouble: &Trouble) {
    match trouble {
        Trouble::Temporary(code, text) | Trouble::Permanent(code, text) => {
            record(tried, host, step, Some(*code), text)
        }
        Trouble::Throttled | Trouble::NoRoom => {}
    }
}

fn record(tried: &mut Vec<TryRecord>, host: &str, step: &str, code: Option<Code>, text: &str) {
    let (host, step, text) = (host.to_owned(), step.to_owned(), text.to_owned());
    tried.push(TryRecord { host, step, code, text, recipient: None });
}
