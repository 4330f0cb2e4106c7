//! Who answers at a doorstep: senders with a ticket, and the user's own programs, which may read.

use std::sync::Arc;

use message::address::{Address, Domain};
use message::{Code, Disposition};
use node::{Node, TakenAtDoorstep, Tickets};
use protocol::{AnsweringEvent, Failure, Frame, Offer, Way};
use transport::{Alpn, Handler, Later, Link, OfferSession, Peer, Reply, Session, Step};

use crate::inbound::{Receiving, Refusing, reply, user_session};
use crate::slices::Slices;

/// The account that everything at a doorstep is for: there is no other.
pub const DOORSTEP_ACCOUNT: &str = "doorstep";

/// Hears of each message as it is taken, once it is durable.
pub type OnTaken = Arc<dyn Fn(TakenAtDoorstep) + Send + Sync>;

/// Who answers the connections of a doorstep.
pub(super) struct Entrance {
    pub(super) node: Node,
    pub(super) tickets: Arc<Tickets>,
    pub(super) device: [u8; 32],
    pub(super) on_taken: OnTaken,
    pub(super) slices: Arc<Slices>,
}

impl Handler for Entrance {
    fn meet<'a>(&'a self, link: &'a Link) -> Later<'a, Result<Arc<dyn Session>, Failure>> {
        Box::pin(async move {
            let own = link.peer().and_then(Peer::ed25519_public_key) == Some(self.device);
            match (link.alpn(), link.peer()) {
                (Alpn::Doorstep, Some(peer)) => {
                    let names = peer.names().iter().filter_map(|name| Domain::from_wire(name).ok()).collect();
                    let sender = Sender { names, key_digest: peer.key_digest() };
                    let session = doorstep_session(
                        self.node.clone(),
                        self.tickets.clone(),
                        sender,
                        self.on_taken.clone(),
                    );
                    Ok(session)
                }
                (Alpn::Submission, Some(_)) if own => {
                    let (seen_at, slices) = (link.remote_address().ip(), self.slices.clone());
                    let reader = user_session(self.node.clone(), Some(self.device), seen_at, slices);
                    Ok(Arc::new(Reading(reader)) as Arc<dyn Session>)
                }
                _ => Err(Failure {
                    code: Code::AUTHENTICATION_FAILED,
                    text: "nobody is known by what was shown".to_owned(),
                }),
            }
        })
    }
}

/// What a sender has shown.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The domains that its certificate names: a claim, which a ticket confirms.
    pub names: Vec<Domain>,
    /// The digest of its key, whose possession the handshake has proved.
    pub key_digest: [u8; 32],
}

/// How a doorstep answers a sender, whatever carries it.
pub fn doorstep_session(
    node: Node,
    tickets: Arc<Tickets>,
    sender: Sender,
    on_taken: OnTaken,
) -> Arc<dyn Session> {
    Arc::new(DoorstepSession { node, tickets, sender, on_taken })
}

struct DoorstepSession {
    node: Node,
    tickets: Arc<Tickets>,
    sender: Sender,
    on_taken: OnTaken,
}

impl Session for DoorstepSession {
    /// A ticket says something about its own offer only.
    fn has_proved(&self) -> bool {
        false
    }

    fn offer(&self) -> Box<dyn OfferSession> {
        Box::new(Taking {
            node: self.node.clone(),
            tickets: self.tickets.clone(),
            sender: self.sender.clone(),
            on_taken: self.on_taken.clone(),
            taking: None,
        })
    }

    fn ask(&self, _: Frame) -> Later<'_, Reply> {
        Box::pin(async { not_here() })
    }
}

/// One offer with a ticket on its way in.
struct Taking {
    node: Node,
    tickets: Arc<Tickets>,
    sender: Sender,
    on_taken: OnTaken,
    taking: Option<(Receiving, TakenAtDoorstep)>,
}

impl OfferSession for Taking {
    fn handle(&mut self, event: AnsweringEvent) -> Later<'_, Result<Step, Failure>> {
        Box::pin(async move {
            if let AnsweringEvent::Offered(offer) = &event {
                self.taking = Some(self.admit(offer)?);
            }
            let Some((receiving, taken)) = &mut self.taking else { return Ok(Step::Continue) };
            let step = receiving.handle(event).await?;
            if let Step::Answer(outcome) = &step
                && outcome.dispositions == [Disposition::Accepted]
            {
                (self.on_taken)(taken.clone());
            }
            Ok(step)
        })
    }
}

impl Taking {
    /// Checks the ticket before anything else. What is wrong with it is told to nobody.
    ///
    /// keeps: DOOR-7, DOOR-10
    fn admit(&self, offer: &Offer) -> Result<(Receiving, TakenAtDoorstep), Failure> {
        let refused = || Failure {
            code: Code::NOT_AUTHORIZED,
            text: "the ticket is not good for this here and now".to_owned(),
        };
        let Way::Ticket(ticket) = &offer.way else { return Err(refused()) };
        let [recipient]: &[Address] = &offer.envelope.recipients else { return Err(refused()) };
        let identity = offer.envelope.identity;
        let by = self.tickets.domain_of(
            ticket,
            (recipient, identity),
            (&self.sender.names, &self.sender.key_digest),
            self.node.now_ms(),
        );
        let by = by.ok_or_else(refused)?;
        let intake = self.node.doorstep_intake(by.clone(), DOORSTEP_ACCOUNT);
        Ok((Receiving::by(intake), TakenAtDoorstep { identity, recipient: recipient.clone(), by }))
    }
}

/// The user's own programs: they read what is here, and hand nothing in.
struct Reading(Arc<dyn Session>);

impl Session for Reading {
    fn offer(&self) -> Box<dyn OfferSession> {
        Box::new(Refusing(Failure {
            code: Code::INVALID_COMMAND,
            text: "a doorstep sends nothing; hand it to your node".to_owned(),
        }))
    }

    fn ask(&self, request: Frame) -> Later<'_, Reply> {
        match request {
            Frame::Mailbox { .. } | Frame::Fetch { .. } => self.0.ask(request),
            _ => Box::pin(async { not_here() }),
        }
    }
}

fn not_here() -> Reply {
    reply(Err(Failure { code: Code::INVALID_COMMAND, text: "this cannot be asked at a doorstep".to_owned() }))
}
