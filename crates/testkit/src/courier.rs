//! Carries mail between the nodes of a world, as the daemon's courier does over QUIC.

use std::sync::Arc;

use dns::Persistence;
use dns::locate::{Location, exchange_of};
use message::address::Domain;
use message::{Code, Cookie, Disposition, Redirect};
use node::{Answered, Consignment, Courier, Later, Report, Trouble, TryRecord};
use protocol::{CookieAnswer, Eager, Frame, Offer, Outcome, Protocol, Way};

use crate::clock::Life;
use crate::drive::{self, Broken};
use crate::invariants;
use crate::network::{Lost, Pipe};
use crate::porch::FIRST_PORT;
use crate::site::place_of;
use crate::world::Scene;

/// How long somebody who does not answer is waited for, in milliseconds.
const CONNECT_MS: u64 = 10_000;
/// Of a hundred offers so many are made twice at once, as by a sender that has lost its patience.
const DOUBLED_PERCENT: u64 = 5;

/// The courier of one node, for one life of it.
pub struct SimulatedCourier {
    pub(crate) scene: Arc<Scene>,
    pub(crate) place: usize,
    pub(crate) life: Arc<Life>,
}

impl Courier for SimulatedCourier {
    fn deliver<'a>(
        &'a self,
        consignment: &'a Consignment,
        _: &'a (dyn Fn(&str, &str) + Send + Sync),
    ) -> Later<'a, Report> {
        Box::pin(async move {
            let result = if self.scene.network.chance(DOUBLED_PERCENT) {
                self.deliver_twice(consignment).await
            } else {
                self.try_deliver(consignment).await
            };
            self.life.or_never().await;
            let identity = consignment.envelope.identity.short();
            self.scene.tell(
                self.place,
                &format_args!("has offered {identity} to {}: {result:?}", consignment.domain),
            );
            let text = match &result {
                Ok(_) => "answered".to_owned(),
                Err(Trouble::Temporary(code, text) | Trouble::Permanent(code, text)) => {
                    format!("{code} {text}")
                }
                Err(Trouble::Throttled | Trouble::NoRoom) => "throttled".to_owned(),
            };
            let tried = TryRecord {
                host: consignment.domain.as_str().to_owned(),
                step: "offer".to_owned(),
                code: None,
                text,
                recipient: None,
            };
            Report { result, tried: vec![tried], passed_on: Vec::new() }
        })
    }

    fn deliver_to_doorstep<'a>(
        &'a self,
        consignment: &'a Consignment,
        redirect: &'a Redirect,
        _: &'a (dyn Fn(&str, &str) + Send + Sync),
    ) -> Later<'a, Report> {
        Box::pin(async move {
            let result = self.try_doorstep(consignment, redirect).await;
            self.life.or_never().await;
            let identity = consignment.envelope.identity.short();
            let place = redirect.port.wrapping_sub(FIRST_PORT);
            let what = format_args!("has offered {identity} at the doorstep of d{place}: {result:?}");
            self.scene.tell(self.place, &what);
            Report { result, tried: Vec::new(), passed_on: Vec::new() }
        })
    }

    fn inquire<'a>(
        &'a self,
        domain: &'a Domain,
        cookies: &'a [Cookie],
    ) -> Later<'a, Result<Vec<Answered>, Trouble>> {
        Box::pin(async move {
            let (taker, reply) = self.ask(domain, &Frame::Poll(cookies.to_vec())).await?;
            self.scene.tell(self.place, &format_args!("is told by d{taker}: {reply:?}"));
            match reply {
                Frame::Answers(answers) if answers.len() == cookies.len() => {
                    for (cookie, answer) in cookies.iter().zip(&answers) {
                        self.scene.watch.poll_answered(&self.scene, (self.place, taker), cookie, answer);
                    }
                    Ok(answers.into_iter().map(answered).collect())
                }
                _ => Err(Trouble::Temporary(Code::INVALID_COMMAND, "no answer to a poll".to_owned())),
            }
        })
    }

    fn give_up<'a>(&'a self, domain: &'a Domain, cookies: &'a [Cookie]) -> Later<'a, ()> {
        Box::pin(async move {
            self.scene.watch.let_go(cookies);
            // Nothing depends on whether it is heard.
            let _ = self.ask(domain, &Frame::GiveUp(cookies.to_vec())).await;
        })
    }
}

impl SimulatedCourier {
    async fn try_doorstep(
        &self,
        consignment: &Consignment,
        redirect: &Redirect,
    ) -> Result<Vec<Disposition>, Trouble> {
        let nobody = || Trouble::Temporary(Code::NO_ANSWER, "nobody answers there".to_owned());
        let place = usize::from(redirect.port.wrapping_sub(FIRST_PORT));
        let porch = self.scene.porches.get(place).ok_or_else(nobody)?;
        let Some(mut pipe) = porch.open(&self.scene, (self.place, &self.life)).await else {
            self.scene.timeline.pass(CONNECT_MS).await;
            return Err(nobody());
        };
        let way = Way::Ticket(redirect.ticket.clone());
        let settings = protocol::Settings::default();
        self.offer(&mut pipe, consignment, way, &settings).await
    }

    /// Makes the same offer twice at once. One delivery has one answer.
    async fn deliver_twice(&self, consignment: &Consignment) -> Result<Vec<Disposition>, Trouble> {
        let (one, other) = tokio::join!(self.try_deliver(consignment), self.try_deliver(consignment));
        if let (Ok(one), Ok(other)) = (&one, &other) {
            for (one, other) in one.iter().zip(other) {
                let agree = match (one, other) {
                    (Disposition::Deferred { .. } | Disposition::Redirected(_), _)
                    | (_, Disposition::Deferred { .. } | Disposition::Redirected(_)) => true,
                    (Disposition::Pending { cookie, .. }, Disposition::Pending { cookie: same, .. }) => {
                        cookie == same
                    }
                    (Disposition::Pending { .. }, _) | (_, Disposition::Pending { .. }) => true,
                    (one, other) => one == other,
                };
                if !agree {
                    let what = format!("{:?}: {one:?} and {other:?}", consignment.envelope.identity);
                    self.scene.story.broken(invariants::ONE_EFFECT, what);
                }
            }
        }
        other.or(one)
    }

    async fn try_deliver(&self, consignment: &Consignment) -> Result<Vec<Disposition>, Trouble> {
        let (taker, mut pipe) = self.connect(&consignment.domain).await?;
        let settings = self.scene.sites[taker].protocol;
        let settings = if consignment.again { settings.asking_first() } else { settings };
        let way = if consignment.redirect_failed { Way::RedirectFailed } else { Way::Plain };
        let dispositions = self.offer(&mut pipe, consignment, way, &settings).await?;
        for disposition in &dispositions {
            if let Disposition::Pending { cookie, min_seconds, .. } = disposition {
                self.scene.watch.cookie_given(&self.scene, (self.place, taker), *cookie, *min_seconds);
            }
        }
        Ok(dispositions)
    }

    async fn offer(
        &self,
        pipe: &mut Pipe,
        consignment: &Consignment,
        way: Way,
        settings: &protocol::Settings,
    ) -> Result<Vec<Disposition>, Trouble> {
        let message = &consignment.message;
        let Some(headers) = &message.headers else {
            return Err(Trouble::Permanent(Code::SYSTEM_TROUBLE, "the message is not whole".to_owned()));
        };
        let supply = protocol::Supply {
            manifest: message.manifest.clone(),
            headers: headers.octets(),
            seals: message.seals.iter().map(|seal| seal.octets().clone()).collect(),
        };
        let envelope = consignment.envelope.clone();
        let offer = Offer { envelope, eager: Eager::Nothing, submission: None, way };
        let source = self.scene.doors.source(consignment.store.clone(), consignment.envelope.identity);
        let outcome = drive::offer(pipe, offer, supply, settings, source.as_ref()).await;
        outcome.map(|outcome: Outcome| outcome.dispositions).map_err(trouble)
    }

    async fn ask(&self, domain: &Domain, request: &Frame) -> Result<(usize, Frame), Trouble> {
        let (taker, mut pipe) = self.connect(domain).await?;
        if let Frame::Poll(cookies) = request {
            self.scene.tell(self.place, &format_args!("asks d{taker} about {} cookies", cookies.len()));
            cookies.iter().for_each(|cookie| self.scene.watch.polled(&self.scene, self.place, cookie));
        }
        drive::ask(&mut pipe, request).await.map(|reply| (taker, reply)).map_err(trouble)
    }

    /// A stream to the node that takes the mail of a domain, on which it listens.
    async fn connect(&self, domain: &Domain) -> Result<(usize, Pipe), Trouble> {
        self.life.or_never().await;
        let scene = &self.scene;
        let zones = &scene.sites[self.place].zones;
        let found = exchange_of(zones.as_ref(), domain.as_str(), |bound| scene.network.below(bound)).await;
        let taker = match found {
            Ok(Location::Native { targets }) => targets.first().and_then(|target| place_of(&target.host)),
            Ok(_) => return Err(Trouble::Permanent(Code::NO_ROUTE, format!("{domain} has no node"))),
            Err(error) if error.persistence() == Persistence::Permanent => {
                return Err(Trouble::Permanent(Code::NO_ROUTE, error.to_string()));
            }
            Err(error) => return Err(Trouble::Temporary(Code::DIRECTORY_FAILURE, error.to_string())),
        };
        let nobody = || Trouble::Temporary(Code::NO_ANSWER, format!("nobody answers for {domain}"));
        let taker = taker.ok_or_else(nobody)?;
        let own = scene.sites[self.place].plan.domain.clone();
        let session = |node: node::Node| scene.doors.peer(node, own);
        match scene.open((self.place, &self.life), taker, Protocol::Exchange, session).await {
            Some(pipe) => Ok((taker, pipe)),
            None => {
                scene.timeline.pass(CONNECT_MS).await;
                self.life.or_never().await;
                Err(nobody())
            }
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

fn trouble(broken: Broken) -> Trouble {
    match broken {
        Broken::Failed(failure) if failure.code.class == 5 => Trouble::Permanent(failure.code, failure.text),
        Broken::Failed(failure) => Trouble::Temporary(failure.code, failure.text),
        Broken::Lost(Lost::Reset) => {
            Trouble::Temporary(Code::BAD_CONNECTION, "the stream broke off".to_owned())
        }
        Broken::Lost(Lost::Stalled) => {
            Trouble::Temporary(Code::BAD_CONNECTION, "the stream fell silent".to_owned())
        }
        Broken::Protocol(error) => Trouble::Temporary(Code { class: 4, ..error.code() }, error.to_string()),
        Broken::Local(text) => Trouble::Temporary(Code::SYSTEM_TROUBLE, text),
    }
}
