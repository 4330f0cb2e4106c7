//! The adapter from `transport` to `node` on the way in: who the peer is, its offers and its requests.

use std::net::IpAddr;
use std::sync::Arc;

use message::address::Domain;
use message::{Code, Cookie, Disposition, Envelope};
use node::{Admission, Admitted, Intake, Next, Node, Offered, TakenAtDoorstep};
use protocol::{AnsweringEvent, Failure, Frame, Offer, Outcome, StatusQuery, Way};
use storage::{EnvelopeId, MailUid, Origin};
use transport::{Alpn, Handler, Later, Link, OfferSession, Peer, Reply, Session, Step};

use crate::decisions;
use crate::identity::Identities;
use crate::peers::{Peers, Who};
use crate::slices::Slices;
use crate::source::{StoreSource, supply};
use crate::statements;
use crate::view::{cookie_answer, mailbox_entry, status_record};

/// Who answers the connections of a node.
pub(crate) struct Door {
    pub(crate) node: Node,
    pub(crate) identities: Identities,
    pub(crate) settings: protocol::Settings,
    pub(crate) peers: Arc<Peers>,
    pub(crate) slices: Arc<Slices>,
}

impl Handler for Door {
    fn settings(&self) -> protocol::Settings {
        self.settings
    }

    fn meet<'a>(&'a self, link: &'a Link) -> Later<'a, Result<Arc<dyn Session>, Failure>> {
        Box::pin(async move {
            let session: Arc<dyn Session> = match link.alpn() {
                Alpn::Exchange => {
                    let domain = self.identities.domain_of(link.peer()).await.ok_or_else(|| Failure {
                        code: Code::AUTHENTICATION_FAILED,
                        text: "no domain is proved by the certificate shown".to_owned(),
                    })?;
                    self.peers.note(link, Who::Domain(domain.to_string()), true);
                    peer_session(self.node.clone(), domain, link.peer().map(Peer::key_digest))
                }
                Alpn::Submission => {
                    let device = link.peer().and_then(Peer::ed25519_public_key);
                    self.peers.note(link, Who::Device(device), true);
                    user_session(self.node.clone(), device, link.remote_address().ip(), self.slices.clone())
                }
                Alpn::Doorstep => {
                    return Err(Failure {
                        code: Code::INVALID_COMMAND,
                        text: "this is no doorstep".to_owned(),
                    });
                }
            };
            Ok(session)
        })
    }
}

/// How a node answers a peer that was authenticated as this domain, whatever carries it. Only one that has shown a key, by
/// its digest, can be redirected.
pub fn peer_session(node: Node, domain: Domain, key_digest: Option<[u8; 32]>) -> Arc<dyn Session> {
    Arc::new(PeerSession { node, domain, key_digest })
}

/// How a node answers a user's program that has shown this device key, whatever carries it. `seen_at` is where the
/// program is: for the count of wrong passwords, and for redirects to it. `slices` are those of the node.
pub fn user_session(
    node: Node,
    device: Option<[u8; 32]>,
    seen_at: IpAddr,
    slices: Arc<Slices>,
) -> Arc<dyn Session> {
    Arc::new(UserSession { node, device, seen_at, slices })
}

/// A peer: another node.
struct PeerSession {
    node: Node,
    domain: Domain,
    key_digest: Option<[u8; 32]>,
}

impl Session for PeerSession {
    fn offer(&self) -> Box<dyn OfferSession> {
        let origin = Origin::Peer { domain: self.domain.clone() };
        let intake = self.node.intake(origin);
        Box::new(Receiving::by(match self.key_digest {
            Some(key_digest) => intake.with_key(key_digest),
            None => intake,
        }))
    }

    fn ask(&self, request: Frame) -> Later<'_, Reply> {
        Box::pin(async move {
            reply(match request {
                Frame::Key(query) => statements::answer(&self.node, query).await,
                request => holder_request(&self.node, self.domain.as_str(), request).await,
            })
        })
    }

    fn news(&self) -> Option<tokio::sync::mpsc::Receiver<Cookie>> {
        self.node.settlements(self.domain.as_str())
    }
}

/// A user's program, known by its device key once that is enrolled.
struct UserSession {
    node: Node,
    device: Option<[u8; 32]>,
    seen_at: IpAddr,
    slices: Arc<Slices>,
}

impl UserSession {
    /// keeps: SUB-1, SUB-4
    fn account(&self) -> Result<String, Failure> {
        let unknown = || Failure {
            code: Code::AUTHENTICATION_FAILED,
            text: "this device is not enrolled; run `waxwing enrol`".to_owned(),
        };
        let device = self.device.as_ref().ok_or_else(unknown)?;
        self.node.account_of_device(device).map_err(failure)?.ok_or_else(unknown)
    }

    async fn answer(&self, request: Frame) -> Result<Reply, Failure> {
        if let Frame::Enrol(enrol) = request {
            let device = self.device.ok_or_else(|| Failure {
                code: Code::AUTHENTICATION_FAILED,
                text: "a device shows its key as its certificate".to_owned(),
            })?;
            let network = network_of(self.seen_at);
            let done = self.node.enrol(&network, &enrol.account, enrol.password, &enrol.device, device).await;
            return done.map(|()| Reply::Frame(Frame::Done)).map_err(failure);
        }
        let account = self.account()?;
        match request {
            Frame::Status(query) => {
                let records = self.status(&account, query)?;
                Ok(Reply::Frame(records))
            }
            Frame::Mailbox { after, limit } => {
                let after = (after > 0).then_some(MailUid(after));
                let limit = usize::try_from(limit).unwrap_or(0).min(protocol::limits::LIST_MAX);
                let entries = self.node.store().mailbox(&account, after, limit).map_err(store_failure)?;
                let entries = entries.iter().map(mailbox_entry).collect();
                Ok(Reply::Frame(fitting(entries, Frame::MailboxList)))
            }
            Frame::Held { after, limit } => {
                decisions::list(&self.node, &account, after, limit).map(Reply::Frame)
            }
            Frame::Decide(decide) => decisions::decide(&self.node, &account, decide).await.map(Reply::Frame),
            Frame::Fetch { identity, selection } => self.fetch(&account, identity, selection).await,
            Frame::Devices => {
                let devices = self.node.devices(&account).map_err(failure)?;
                Ok(Reply::Frame(Frame::DeviceList(devices.into_iter().map(device).collect())))
            }
            Frame::Key(query) => statements::answer(&self.node, query).await.map(Reply::Frame),
            Frame::KeyPublish(publish) => {
                statements::publish(&self.node, &account, publish).await.map(Reply::Frame)
            }
            Frame::KeyPinned { address, forget } => {
                statements::pinned(&self.node, &account, &address, forget).await.map(Reply::Frame)
            }
            Frame::Doorstep { .. } | Frame::DoorstepTook(_) | Frame::DoorstepEnd => {
                self.doorstep(&account, request).await
            }
            Frame::RemoveDevice(key) => {
                self.node.remove_device(&account, &key).await.map_err(failure)?;
                Ok(Reply::Frame(Frame::Done))
            }
            request => {
                holder_request(&self.node, &format!("account:{account}"), request).await.map(Reply::Frame)
            }
        }
    }

    /// What the doorstep of an account says.
    async fn doorstep(&self, account: &str, request: Frame) -> Result<Reply, Failure> {
        let Some(device) = self.device else { return Ok(Reply::Frame(Frame::Done)) };
        match request {
            Frame::Doorstep { port } => {
                let key_digest = transport::ed25519_key_digest(&device);
                let at = std::net::SocketAddr::new(self.seen_at, port);
                let lease = self.node.open_doorstep(account, device, key_digest, at).map_err(failure)?;
                return Ok(Reply::Frame(Frame::DoorstepLease(protocol::DoorstepLease {
                    seconds: lease.seconds,
                    address: lease.address.to_string(),
                    ticket_key: lease.ticket_key,
                })));
            }
            Frame::DoorstepTook(taken) => {
                let taken = taken
                    .into_iter()
                    .map(|one| TakenAtDoorstep {
                        identity: one.identity,
                        recipient: one.recipient,
                        by: one.by,
                    })
                    .collect();
                self.node.taken_at_doorstep(account, taken).await.map_err(failure)?;
            }
            _ => self.node.close_doorstep(account, &device),
        }
        Ok(Reply::Frame(Frame::Done))
    }

    fn status(&self, account: &str, query: StatusQuery) -> Result<Frame, Failure> {
        let store = self.node.store();
        let envelopes = match query {
            StatusQuery::Latest { before, limit } => {
                let before = (before > 0).then_some(EnvelopeId(before));
                // A frame holds this many records with their attempts.
                let limit = usize::try_from(limit).unwrap_or(0).min(20);
                store.envelopes_of(account, before, limit).map_err(store_failure)?
            }
            StatusQuery::Of(identity) => {
                let mut found = store.envelopes_for(identity, 20).map_err(store_failure)?;
                let own = Origin::Submission { account: account.to_owned() };
                found.retain(|envelope| envelope.origin == own);
                found
            }
        };
        let now_ms = self.node.now_ms();
        let records = envelopes
            .iter()
            .map(|envelope| {
                let attempts = store.attempts(envelope.id).map_err(store_failure)?;
                Ok(status_record(envelope, &attempts, now_ms))
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        Ok(fitting(records, Frame::StatusList))
    }

    async fn fetch(
        &self,
        account: &str,
        identity: message::Identity,
        selection: message::Selection,
    ) -> Result<Reply, Failure> {
        let nothing =
            || Failure { code: Code::INVALID_ARGUMENTS, text: "no such message in this mailbox".to_owned() };
        let store = self.node.store().clone();
        let Some(entry) = store.mail_of(account, identity).map_err(store_failure)? else {
            let held = decisions::fetch(&self.node, account, identity, selection, &self.slices)?;
            return held.ok_or_else(nothing);
        };
        let message = store.message(identity).map_err(store_failure)?.ok_or_else(nothing)?;
        let message = message.noted_as(&entry.seals);
        let supply = supply(&message).ok_or_else(nothing)?;
        if !entry.seen && !matches!(selection, message::Selection::Headers) {
            store.mark_seen(account, entry.uid, true).await.map_err(store_failure)?;
        }
        let source = Arc::new(StoreSource::new(store, identity, self.slices.clone()));
        Ok(Reply::Content { supply, selection, source })
    }
}

impl Session for UserSession {
    /// keeps: TRA-24
    fn has_proved(&self) -> bool {
        self.account().is_ok()
    }

    fn offer(&self) -> Box<dyn OfferSession> {
        match self.account() {
            Ok(account) => {
                let intake = self.node.intake(Origin::Submission { account });
                Box::new(Receiving::by(intake))
            }
            Err(failure) => Box::new(Refusing(failure)),
        }
    }

    fn ask(&self, request: Frame) -> Later<'_, Reply> {
        Box::pin(async move { self.answer(request).await.unwrap_or_else(|failure| reply(Err(failure))) })
    }
}

/// What every holder of cookies may ask.
async fn holder_request(node: &Node, holder: &str, request: Frame) -> Result<Frame, Failure> {
    match request {
        Frame::Poll(cookies) => {
            let answers = node.poll(holder, &cookies).await.map_err(failure)?;
            Ok(Frame::Answers(answers.into_iter().map(cookie_answer).collect()))
        }
        Frame::GiveUp(cookies) => {
            node.give_up(holder, &cookies).await.map_err(failure)?;
            Ok(Frame::Done)
        }
        _ => Err(Failure { code: Code::INVALID_COMMAND, text: "this cannot be asked here".to_owned() }),
    }
}

/// One offer on its way in.
pub(crate) struct Receiving {
    intake: Intake,
    admission: Option<Box<Admission>>,
}

impl OfferSession for Receiving {
    fn handle(&mut self, event: AnsweringEvent) -> Later<'_, Result<Step, Failure>> {
        Box::pin(async move { self.step(event).await.map_err(failure) })
    }
}

impl Receiving {
    /// One that comes in this way.
    pub(crate) fn by(intake: Intake) -> Receiving {
        Receiving { intake, admission: None }
    }

    async fn step(&mut self, event: AnsweringEvent) -> Result<Step, (Code, String)> {
        if let AnsweringEvent::Offered(offer) = event {
            return self.offered(*offer).await;
        }
        let Some(admission) = &mut self.admission else { return Ok(Step::Continue) };
        match event {
            AnsweringEvent::Manifest(manifest) => admission.manifest(*manifest)?,
            AnsweringEvent::Seals(seals) => admission.seals(seals),
            AnsweringEvent::Headers(headers) => admission.headers(*headers),
            AnsweringEvent::BodyStart { part, from } => admission.body_start(part, from).await?,
            AnsweringEvent::Body(octets) => admission.body(&octets)?,
            AnsweringEvent::BodyEnd { part } => admission.body_end(part).await?,
            AnsweringEvent::Supplied => match admission.supplied().await? {
                Next::Want(selection) => return Ok(Step::Want(selection)),
                Next::Commit => return self.commit().await,
            },
            AnsweringEvent::Slice { part, slice, .. } => admission.slice(part, &slice)?,
            AnsweringEvent::Asked(_) | AnsweringEvent::Offered(_) => {}
        }
        Ok(Step::Continue)
    }

    async fn offered(&mut self, offer: Offer) -> Result<Step, (Code, String)> {
        let Offer { envelope, submission, way, .. } = offer;
        let envelope: Envelope = envelope;
        let options = submission.unwrap_or_default();
        let offered = Offered {
            sign_only: options.sign_only,
            release_after_seconds: options.release_after_seconds,
            token: options.token,
            redirect_failed: way == Way::RedirectFailed,
        };
        match self.intake.admit(envelope, offered).await? {
            Admitted::Answered { dispositions, known } => {
                let sealed = known.map(|identity| protocol::Sealed {
                    identity,
                    header: Vec::new(),
                    seals: Vec::new(),
                });
                Ok(Step::Answer(Outcome { dispositions, sealed }))
            }
            Admitted::Admission(admission) => {
                let known = admission.known_manifest().cloned();
                self.admission = Some(admission);
                Ok(known.map_or(Step::Continue, |manifest| Step::Know(Box::new(manifest))))
            }
        }
    }

    async fn commit(&mut self) -> Result<Step, (Code, String)> {
        let Some(admission) = self.admission.take() else { return Ok(Step::Continue) };
        let committed = admission.commit().await?;
        let dispositions: Vec<Disposition> = committed.answers;
        let sealed = committed.sealed.map(|sealed| protocol::Sealed {
            identity: sealed.identity,
            header: sealed.header.to_vec(),
            seals: sealed.seals.iter().map(|seal| seal.to_vec()).collect(),
        });
        Ok(Step::Answer(Outcome { dispositions, sealed }))
    }
}

fn device(record: storage::DeviceRecord) -> protocol::Device {
    protocol::Device {
        public_key: record.public_key,
        name: record.name,
        enrolled_at_ms: record.enrolled_at_ms,
    }
}

/// The list as a frame, cut at its end to what a frame holds: the rest is asked for by the last number.
///
/// keeps: SUB-13, STA-11
pub(crate) fn fitting<T: Clone>(mut items: Vec<T>, frame: impl Fn(Vec<T>) -> Frame) -> Frame {
    loop {
        let whole = frame(items.clone());
        if items.is_empty() || protocol::fits(&whole) {
            return whole;
        }
        items.truncate(items.len() / 2);
    }
}

/// The network that an address belongs to, as far as it can be had by one party: the address itself, or an IPv6 /64.
pub(crate) fn network_of(address: std::net::IpAddr) -> String {
    match address.to_canonical() {
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// Every offer of a party that may not offer.
pub(crate) struct Refusing(pub(crate) Failure);

impl OfferSession for Refusing {
    fn handle(&mut self, _: AnsweringEvent) -> Later<'_, Result<Step, Failure>> {
        Box::pin(async { Err(self.0.clone()) })
    }
}

pub(crate) fn failure((code, text): (Code, String)) -> Failure {
    let mut text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    while text.len() > message::limits::REFUSAL_TEXT_OCTETS_MAX {
        text.pop();
    }
    Failure { code, text }
}

pub(crate) fn store_failure(error: storage::Error) -> Failure {
    tracing::warn!(%error, "the store");
    Failure { code: Code::SYSTEM_TROUBLE, text: "the store cannot be read now".to_owned() }
}

pub(crate) fn reply(answer: Result<Frame, Failure>) -> Reply {
    Reply::Frame(answer.unwrap_or_else(Frame::Failure))
}
