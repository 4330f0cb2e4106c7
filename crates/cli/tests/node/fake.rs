//! A node that keeps everything in memory and can lose its connections on purpose.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use message::address::Address;
use message::{
    Claims, Code, Cookie, Digest, Disposition, HeaderBuilder, Headers, Identity, Manifest, Role, Seal,
    SecretKey, Selection,
};
use protocol::{
    AnsweringEvent, Failure, Frame, MailboxEntry, Offer, Outcome, SealWords, Sealed, Settings, StatusAttempt,
    StatusQuery, StatusRecipient, StatusRecord, Supply, encode,
};
use transport::{
    Alpn, Handler, HostKey, KeyKind, Later, Limits, Link, OfferSession, Reply, Server, Service, Session,
    Socket, Source, Step,
};

/// The password of every account here.
pub(crate) const PASSWORD: &str = "correct horse";

/// The key with which the node seals.
pub(crate) fn seal_key() -> SecretKey {
    SecretKey::from_seed(&[42; 32])
}

#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) devices: Vec<[u8; 32]>,
    pub(crate) messages: BTreeMap<Identity, Stored>,
    pub(crate) mailbox: Vec<MailboxEntry>,
    pub(crate) records: Vec<StatusRecord>,
    pub(crate) given_up: usize,
    /// Octets of bodies that have come over the wire, repeated ones counted again.
    pub(crate) body_octets: u64,
    /// Connections are closed whenever this many octets of one body have come; each is used once.
    pub(crate) losses: Vec<u64>,
    /// Partial bodies by their digests.
    partial: BTreeMap<Digest, Vec<u8>>,
    /// Answers to questions for status after which a pending recipient is accepted.
    pub(crate) settles_after: usize,
    /// Whether fetched bodies are changed on the way.
    pub(crate) lies: bool,
    /// The tokens of all offers, in their order.
    pub(crate) tokens: Vec<[u8; 16]>,
}

#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) supply: Supply,
    pub(crate) bodies: BTreeMap<usize, Bytes>,
}

pub(crate) struct Node {
    pub(crate) kept: Arc<Mutex<Kept>>,
    pub(crate) address: SocketAddr,
    pub(crate) pin: String,
}

impl Node {
    pub(crate) fn start() -> Node {
        let key = HostKey::generate(KeyKind::EcdsaP256, &["a.test"]).unwrap();
        let settings = Settings { eager_octets: 4096, ..Settings::default() };
        let settings = encode(&Frame::Settings(settings));
        let services = vec![Service { alpn: Alpn::Submission, settings }];
        let socket = Socket::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let server = Server::bind(socket, &key.clone().into(), services, &Limits::default()).unwrap();
        let address = server.local_address().unwrap();
        let kept = Arc::new(Mutex::new(Kept::default()));
        tokio::spawn(transport::serve(server, Limits::default(), Arc::new(Door { kept: kept.clone() })));
        Node { kept, address, pin: data_encoding::HEXLOWER.encode(&key.key_digest()) }
    }

    pub(crate) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }
}

struct Door {
    kept: Arc<Mutex<Kept>>,
}

impl Handler for Door {
    fn meet<'a>(&'a self, link: &'a Link) -> Later<'a, Result<Arc<dyn Session>, Failure>> {
        let device = link.peer().and_then(|peer| peer.ed25519_public_key());
        let met = device.map(|device| {
            let session: Arc<dyn Session> =
                Arc::new(Met { kept: self.kept.clone(), link: link.clone(), device });
            session
        });
        Box::pin(async move { met.ok_or_else(|| failure(Code::AUTHENTICATION_FAILED, "no device key")) })
    }
}

struct Met {
    kept: Arc<Mutex<Kept>>,
    link: Link,
    device: [u8; 32],
}

fn failure(code: Code, text: &str) -> Failure {
    Failure { code, text: text.to_owned() }
}

impl Session for Met {
    fn offer(&self) -> Box<dyn OfferSession> {
        let enrolled = self.kept.lock().unwrap().devices.contains(&self.device);
        Box::new(Offered {
            kept: self.kept.clone(),
            link: self.link.clone(),
            enrolled,
            offer: None,
            manifest: None,
            headers: None,
            part: None,
        })
    }

    fn ask(&self, request: Frame) -> Later<'_, Reply> {
        Box::pin(async move {
            let mut kept = self.kept.lock().unwrap();
            if let Frame::Enrol(enrol) = &request {
                return Reply::Frame(if enrol.password == PASSWORD && enrol.account == "ann" {
                    kept.devices.push(self.device);
                    Frame::Done
                } else {
                    Frame::Failure(failure(Code::AUTHENTICATION_FAILED, "account or password is wrong"))
                });
            }
            if !kept.devices.contains(&self.device) {
                return Reply::Frame(Frame::Failure(failure(Code::AUTHENTICATION_FAILED, "not enrolled")));
            }
            answer(&mut kept, request)
        })
    }
}

fn answer(kept: &mut Kept, request: Frame) -> Reply {
    Reply::Frame(match request {
        Frame::Status(StatusQuery::Latest { before, limit }) => {
            let below = kept.records.iter().rev().filter(|record| before == 0 || record.number < before);
            Frame::StatusList(below.take(limit as usize).cloned().collect())
        }
        Frame::Status(StatusQuery::Of(identity)) => {
            match kept.settles_after.checked_sub(1) {
                Some(left) => kept.settles_after = left,
                None => settle(kept, identity),
            }
            let of = kept.records.iter().filter(|record| record.identity == identity);
            Frame::StatusList(of.cloned().collect())
        }
        Frame::Mailbox { after, limit } => {
            let above = kept.mailbox.iter().filter(|entry| entry.number > after);
            Frame::MailboxList(above.take(limit as usize).cloned().collect())
        }
        Frame::GiveUp(cookies) => {
            kept.given_up += cookies.len();
            Frame::Done
        }
        Frame::Fetch { identity, selection } => match kept.messages.get(&identity).cloned() {
            Some(mut stored) => {
                if kept.lies {
                    stored.bodies.values_mut().for_each(|body| *body = vec![b'?'; body.len()].into());
                }
                return Reply::Content { supply: stored.supply.clone(), selection, source: Arc::new(stored) };
            }
            None => Frame::Failure(failure(Code::NO_SUCH_ADDRESS, "no such message")),
        },
        _ => Frame::Failure(failure(Code::INVALID_COMMAND, "not here")),
    })
}

fn settle(kept: &mut Kept, identity: Identity) {
    let records = kept.records.iter_mut().filter(|record| record.identity == identity);
    for one in records.flat_map(|record| &mut record.recipients) {
        if let Disposition::Pending { .. } = one.disposition {
            one.disposition = Disposition::Accepted;
        }
    }
}

impl Source for Stored {
    fn read(&self, part: usize, offset: u64, octets_max: usize) -> Later<'_, std::io::Result<Bytes>> {
        let body = self.bodies[&part].slice(offset as usize..);
        Box::pin(async move { Ok(body.slice(..body.len().min(octets_max))) })
    }

    fn slice(&self, _: usize, _: u64, _: u64) -> Later<'_, std::io::Result<Bytes>> {
        Box::pin(async { Err(std::io::ErrorKind::Unsupported.into()) })
    }
}

struct Offered {
    kept: Arc<Mutex<Kept>>,
    link: Link,
    enrolled: bool,
    offer: Option<Box<Offer>>,
    manifest: Option<Box<Manifest>>,
    headers: Option<Box<Headers>>,
    part: Option<(Digest, usize)>,
}

impl OfferSession for Offered {
    fn handle(&mut self, event: AnsweringEvent) -> Later<'_, Result<Step, Failure>> {
        let step = self.step(event);
        Box::pin(async move { step })
    }
}

impl Offered {
    fn step(&mut self, event: AnsweringEvent) -> Result<Step, Failure> {
        match event {
            AnsweringEvent::Offered(offer) => {
                if !self.enrolled {
                    return Err(failure(Code::AUTHENTICATION_FAILED, "not enrolled"));
                }
                let token = offer.submission.unwrap().token;
                self.kept.lock().unwrap().tokens.push(token.unwrap());
                self.offer = Some(offer);
            }
            AnsweringEvent::Manifest(manifest) => self.manifest = Some(manifest),
            AnsweringEvent::Headers(headers) => self.headers = Some(headers),
            AnsweringEvent::BodyStart { part, from } => {
                let digest = self.manifest.as_ref().unwrap().part(part).unwrap().leaf().unwrap();
                let mut kept = self.kept.lock().unwrap();
                let partial = kept.partial.entry(digest).or_default();
                assert!(from <= partial.len() as u64);
                partial.truncate(from as usize);
                self.part = Some((digest, part));
            }
            AnsweringEvent::Body(octets) => self.body(&octets),
            AnsweringEvent::Supplied => return Ok(self.next()),
            _ => {}
        }
        Ok(Step::Continue)
    }

    fn body(&mut self, octets: &[u8]) {
        let mut kept = self.kept.lock().unwrap();
        kept.body_octets += octets.len() as u64;
        let partial = kept.partial.get_mut(&self.part.unwrap().0).unwrap();
        partial.extend_from_slice(octets);
        let length = partial.len() as u64;
        if kept.losses.first().is_some_and(|at| length >= *at) {
            kept.losses.remove(0);
            self.link.close(transport::Code::GoingAway, "on purpose");
        }
    }

    /// Wants what is missing, or answers.
    fn next(&mut self) -> Step {
        let Some(manifest) = &self.manifest else { return Step::Want(Selection::Headers) };
        let mut kept = self.kept.lock().unwrap();
        let mut bodies = BTreeMap::new();
        let mut missing = Vec::new();
        for (number, part, digest) in manifest.leaves() {
            let have = kept.partial.get(&digest).map_or(0, |octets| octets.len() as u64);
            if have < part.octets {
                missing.push((number, have));
            } else {
                let octets = kept.partial.get(&digest).cloned().unwrap_or_default();
                assert_eq!(Digest::of(&octets), digest);
                bodies.insert(number, Bytes::from(octets));
            }
        }
        if !missing.is_empty() {
            return Step::Want(Selection::Parts(missing));
        }
        let offer = self.offer.as_ref().unwrap();
        Step::Answer(commit(&mut kept, offer, manifest, self.headers.as_ref().unwrap(), bodies))
    }
}

/// Adds a Date, seals, and answers by the recipients' names.
fn commit(
    kept: &mut Kept,
    offer: &Offer,
    manifest: &Manifest,
    headers: &Headers,
    bodies: BTreeMap<usize, Bytes>,
) -> Outcome {
    let mut header = HeaderBuilder::new();
    for field in headers.message().fields() {
        header.push(field.name, field.raw_value).unwrap();
    }
    header.push("Date", "Sun, 22 Nov 2026 12:00:00 +0000").unwrap();
    let header = header.finish().unwrap();
    let (headers, manifest) = headers.with_message_header(manifest, header.clone()).unwrap();
    let claims = Claims {
        issuer: "a.test".to_owned(),
        issued_at: 1_700_000_000,
        expires_at: None,
        role: Role::Submission,
        submitter: Some("ann@a.test".to_owned()),
        recipient: None,
        authorization: None,
        checks: Vec::new(),
    };
    let seal = Seal::sign(manifest.octets(), claims, b"main", &seal_key());
    let identity = manifest.identity();
    let dispositions: Vec<_> = offer.envelope.recipients.iter().map(disposition).collect();
    let options = offer.submission.unwrap();
    let sealed = Sealed { identity, header: header.octets().to_vec(), seals: vec![seal.octets().to_vec()] };
    if options.sign_only {
        let refused = Disposition::refused(Code::NOT_AUTHORIZED, "not your address");
        let own = headers.message().only("From").is_some_and(|from| from.contains("ann@a.test"));
        let disposition = if own { Disposition::Withdrawn } else { refused };
        let (dispositions, sealed) = (vec![disposition; dispositions.len()], sealed);
        let sealed = Some(sealed).filter(|_| own);
        return Outcome { dispositions, sealed };
    }
    let number = kept.records.len() as u64 + 1;
    let recipients = offer.envelope.recipients.iter().zip(&dispositions);
    kept.records.push(StatusRecord {
        number,
        identity,
        at_ms: 1_795_000_000_000,
        release_at_ms: options.release_after_seconds * 1000,
        recipients: recipients
            .map(|(address, found)| StatusRecipient { address: address.clone(), disposition: found.clone() })
            .collect(),
        attempts: vec![StatusAttempt {
            at_ms: 1_795_000_001_000,
            host: "mx.b.test".to_owned(),
            step: "offered".to_owned(),
            code: Some(Code::NO_ANSWER),
            text: "nobody \u{202e}answers".to_owned(),
        }],
    });
    kept.mailbox.push(MailboxEntry {
        number,
        identity,
        recipient: Address::parse("ann@a.test").unwrap(),
        at_ms: 1_795_000_000_000,
        origin: "account:ann".to_owned(),
        seen: false,
        seals: vec![SealWords { issuer: "a.test".to_owned(), role: "submission".to_owned(), verified: true }],
        author_key: None,
    });
    let supply = Supply { manifest, headers: headers.octets(), seals: vec![seal.octets().clone()] };
    kept.messages.insert(identity, Stored { supply, bodies });
    Outcome { dispositions, sealed: Some(sealed) }
}

fn disposition(address: &Address) -> Disposition {
    match address.local().to_string().as_str() {
        "nobody" => Disposition::refused(Code::NO_SUCH_ADDRESS, "no such person here"),
        "later" => Disposition::Pending {
            cookie: Cookie::from_bytes([7; 32]),
            min_seconds: 60,
            max_seconds: 3600,
            until: 1_795_100_000,
        },
        _ => Disposition::Accepted,
    }
}
