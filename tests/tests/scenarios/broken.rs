//! Something is broken on purpose, outside the code that ships: each time an invariant says so.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use message::Identity;
use message::address::Domain;
use node::Node;
use protocol::{AnsweringEvent, CookieAnswer, Failure, Frame, Outcome};
use storage::Store;
use testkit::{Doors, Plan, Vice, invariants};
use transport::{Later, OfferSession, Reply, Session, Source, Step};
use waxwing_tests::simulation::HouseDoors;

/// Worlds in which a fault must show itself.
const SEEDS_MAX: u64 = 60;

/// Runs worlds until one of these invariants is broken.
fn must_break(doors: &Arc<dyn Doors>, vice: Vice, expected: &[&str]) {
    must_break_in(&|seed| Plan::of(seed).with_vice(vice), doors, expected);
}

/// The same where every node has a log in front of its engine, or none has.
fn must_break_with_logs(logs: bool, vice: Vice, expected: &[&str]) {
    must_break_in(&|seed| Plan::of(seed).with_logs(logs).with_vice(vice), &house(), expected);
}

fn must_break_in(plan: &dyn Fn(u64) -> Plan, doors: &Arc<dyn Doors>, expected: &[&str]) {
    let mut seen = BTreeSet::new();
    for seed in 0..SEEDS_MAX {
        let ended = testkit::run(&plan(seed), doors.clone(), false);
        seen.extend(ended.broken.iter().map(|broken| broken.invariant));
        if expected.iter().any(|invariant| seen.contains(invariant)) {
            println!("after {} worlds: {seen:?}", seed + 1);
            return;
        }
    }
    panic!("{SEEDS_MAX} worlds broke only {seen:?}");
}

#[test]
fn a_disk_that_loses_the_records_of_offers_is_seen() {
    must_break_with_logs(false, Vice::LosesOnceRecords, &[invariants::NEVER_TWICE]);
}

#[test]
fn a_disk_that_lies_about_flushes_is_seen() {
    let expected = &[invariants::KEPT, invariants::AUTHORS_SEE_THE_TRUTH];
    must_break_with_logs(false, Vice::LiesAboutFlushes, expected);
    must_break_with_logs(true, Vice::LiesAboutFlushes, expected);
}

/// As if a head said that the engine has a file before it has: the log is then written over, and the store does not open
/// where the engine has lost it.
///
/// proves: STO-28
#[test]
fn a_head_that_is_durable_before_the_engine_is_seen() {
    must_break_with_logs(true, Vice::HoldsTheEngineBack, &[invariants::COMES_TO_REST]);
}

#[test]
fn an_answer_before_the_commit_is_seen() {
    let doors: Arc<dyn Doors> = Arc::new(Changed(|session, node| Arc::new(AnswersFirst(session, node))));
    must_break(&doors, Vice::None, &[invariants::AUTHORS_SEE_THE_TRUTH]);
}

#[test]
fn cookies_that_answer_anybody_are_seen() {
    let doors: Arc<dyn Doors> = Arc::new(Changed(|session, node| Arc::new(AnswersAnybody(session, node))));
    must_break(&doors, Vice::None, &[invariants::COOKIES_ARE_BOUND]);
}

fn house() -> Arc<dyn Doors> {
    Arc::new(HouseDoors)
}

/// The doors of the house, where what answers a peer is changed.
struct Changed(fn(Arc<dyn Session>, Node) -> Arc<dyn Session>);

impl Doors for Changed {
    fn peer(&self, node: Node, domain: Domain) -> Arc<dyn Session> {
        (self.0)(HouseDoors.peer(node.clone(), domain), node)
    }

    fn user(&self, node: Node, device: [u8; 32]) -> Arc<dyn Session> {
        HouseDoors.user(node, device)
    }

    fn doorstep(&self, node: Node, tickets: Arc<node::Tickets>, domain: Domain) -> Arc<dyn Session> {
        HouseDoors.doorstep(node, tickets, domain)
    }

    fn source(&self, store: Arc<dyn Store>, identity: Identity) -> Arc<dyn Source> {
        HouseDoors.source(store, identity)
    }
}

/// Answers polls as the holder would be answered, whoever asks.
struct AnswersAnybody(Arc<dyn Session>, Node);

impl Session for AnswersAnybody {
    fn offer(&self) -> Box<dyn OfferSession> {
        self.0.offer()
    }

    fn ask(&self, request: Frame) -> Later<'_, Reply> {
        let Frame::Poll(cookies) = request else { return self.0.ask(request) };
        Box::pin(async move {
            let mut answers = vec![CookieAnswer::Unknown; cookies.len()];
            for holder in (0..6).map(|place| format!("d{place}.test")) {
                let found = self.1.poll(&holder, &cookies).await.unwrap_or_default();
                for (answer, found) in answers.iter_mut().zip(found) {
                    if let storage::CookieAnswer::Final(disposition) = found {
                        *answer = CookieAnswer::Final(disposition);
                    }
                }
            }
            Reply::Frame(Frame::Answers(answers))
        })
    }
}

/// Says that mail is taken as soon as it is here, and commits a moment later.
struct AnswersFirst(Arc<dyn Session>, Node);

impl Session for AnswersFirst {
    fn offer(&self) -> Box<dyn OfferSession> {
        Box::new(Hasty { session: Some(self.0.offer()), node: self.1.clone(), recipients: 0, missing: None })
    }

    fn ask(&self, request: Frame) -> Later<'_, Reply> {
        self.0.ask(request)
    }
}

struct Hasty {
    session: Option<Box<dyn OfferSession>>,
    node: Node,
    /// How many there are, where all of them are people whose mail is taken without question.
    recipients: usize,
    /// Bodies that have not come, once it is known how many there are.
    missing: Option<usize>,
}

impl OfferSession for Hasty {
    fn handle(&mut self, event: AnsweringEvent) -> Later<'_, Result<Step, Failure>> {
        match &event {
            AnsweringEvent::Offered(offer) => {
                let recipients = &offer.envelope.recipients;
                let settings = self.node.settings();
                // For these the right answer is known beforehand: it comes too soon, and is not another one.
                let plain = recipients
                    .iter()
                    .all(|one| settings.is_local(one.domain()) && one.local().as_str() != "carol");
                let known = recipients.iter().all(|one| one.local().as_str() != "nobody");
                self.recipients = if plain && known { recipients.len() } else { 0 };
            }
            AnsweringEvent::Manifest(manifest) => {
                self.missing = Some(manifest.leaves().filter(|(_, part, _)| part.octets > 0).count());
            }
            AnsweringEvent::BodyEnd { .. } => {
                self.missing = self.missing.map(|missing| missing.saturating_sub(1))
            }
            AnsweringEvent::Supplied if self.missing == Some(0) && self.recipients > 0 => {
                let mut session = self.session.take().unwrap();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    let _ = session.handle(AnsweringEvent::Supplied).await;
                });
                let dispositions = vec![message::Disposition::Accepted; self.recipients];
                return Box::pin(async { Ok(Step::Answer(Outcome { dispositions, sealed: None })) });
            }
            _ => {}
        }
        self.session.as_mut().unwrap().handle(event)
    }
}
