//! One node for `here.test` with one user, bob, whose DNS and clock are the test's; and peers that offer to it.

use std::sync::Arc;

use dns::{FixedZones, Resolver};
use message::address::{Address, Domain};
use message::{Claims, Disposition, Envelope, Message, Role, Seal, SecretKey};
use node::{Admitted, Next, Node, Offered, Settings};
use storage::{Origin, Store};
use testkit::clock::{Life, NodeClock, Shift, Timeline};
use testkit::disk::{Disk, Vice};
use testkit::letter::letter;
use testkit::{Random, site};

pub(crate) struct Scene {
    pub(crate) node: Node,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) zones: Arc<FixedZones>,
    pub(crate) timeline: Timeline,
    pub(crate) disk: Disk,
    /// How far its clock is off.
    pub(crate) shift: Arc<Shift>,
}

/// The key of every domain here.
fn key() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

pub(crate) fn domain(name: &str) -> Domain {
    Domain::from_wire(name).unwrap()
}

impl Scene {
    /// Only within a runtime whose clock is paused.
    pub(crate) async fn new(change: impl FnOnce(&mut Settings)) -> Scene {
        let zones = Arc::new(FixedZones::new());
        Scene::make(zones.clone(), zones, change).await
    }

    /// As [`Scene::new`], with another DNS.
    pub(crate) async fn asking(resolver: Arc<dyn Resolver>, change: impl FnOnce(&mut Settings)) -> Scene {
        Scene::make(Arc::new(FixedZones::new()), resolver, change).await
    }

    async fn make(
        zones: Arc<FixedZones>,
        resolver: Arc<dyn Resolver>,
        change: impl FnOnce(&mut Settings),
    ) -> Scene {
        let (life, shift, timeline) = (Life::begin(), Arc::new(Shift::default()), Timeline::begin());
        let clock = Arc::new(NodeClock::new(timeline, shift.clone(), life.clone(), Random::new(1)));
        let disk = Disk::new(Vice::None);
        let store: Arc<dyn Store> = disk.open(&life).unwrap();
        let mut settings = site::settings("here.test", &key());
        change(&mut settings);
        let node = Node::new(settings, store.clone(), resolver, clock, Arc::new(node::Quiet));
        node.put_account("bob", &[Address::from_wire("bob@here.test").unwrap()], None).await.unwrap();
        Scene { node, store, zones, timeline, disk, shift }
    }

    /// A peer offers a letter of its own author, with content as it is asked for.
    pub(crate) async fn offer(&self, peer: &str, text: &str, to: &[&str]) -> Vec<Disposition> {
        self.offer_slowly(peer, text, to, 0).await
    }

    /// As [`Scene::offer`], with content that takes so many seconds to come.
    pub(crate) async fn offer_slowly(
        &self,
        peer: &str,
        text: &str,
        to: &[&str],
        seconds: u64,
    ) -> Vec<Disposition> {
        // One record, however often it offers.
        self.zones.remove(&dns::waxkey::name_of(site::SELECTOR, peer).unwrap()).unwrap();
        site::publish(&self.zones, peer, &key());
        let (message, sealed) = sealed(peer, text);
        let origin = Origin::Peer { domain: domain(peer) };
        self.bring(origin, Offered::default(), &message, vec![sealed], to, seconds).await
    }

    /// A user of this node submits a letter.
    pub(crate) async fn submit(&self, text: &str, to: &[&str]) -> Vec<Disposition> {
        self.submit_later(text, to, 0).await
    }

    /// The same, to be taken back for so many seconds.
    pub(crate) async fn submit_later(&self, text: &str, to: &[&str], seconds: u64) -> Vec<Disposition> {
        let message = letter("bob@here.test", text);
        let offered = Offered { release_after_seconds: seconds, ..Offered::default() };
        self.bring(Origin::Submission { account: "bob".to_owned() }, offered, &message, Vec::new(), to, 0)
            .await
    }

    async fn bring(
        &self,
        origin: Origin,
        offered: Offered,
        message: &Message,
        seals: Vec<Seal>,
        to: &[&str],
        seconds: u64,
    ) -> Vec<Disposition> {
        let envelope = Envelope {
            identity: message.identity(),
            octets: message.manifest().message_octets(),
            issuers: Vec::new(),
            recipients: to.iter().map(|text| Address::from_wire(text).unwrap()).collect(),
            trace: Vec::new(),
        };
        let admitted = self.node.intake(origin).admit(envelope, offered).await.unwrap();
        let mut admission = match admitted {
            Admitted::Answered { dispositions, .. } => return dispositions,
            Admitted::Admission(admission) => admission,
        };
        admission.manifest(message.manifest().clone()).unwrap();
        admission.headers(message.headers().clone());
        admission.seals(seals);
        // Each thing that a rule can ask for is asked for at most once.
        for _ in 0..8 {
            match admission.supplied().await.unwrap() {
                Next::Commit => return admission.commit().await.unwrap().answers,
                Next::Want(_) => {
                    for ((part, _, _), body) in message.manifest().leaves().zip(message.bodies()) {
                        admission.body_start(part, 0).await.unwrap();
                        self.pass_seconds(seconds).await;
                        admission.body(body).unwrap();
                        admission.body_end(part).await.unwrap();
                    }
                }
            }
        }
        panic!("the node asks for ever");
    }

    /// Lets virtual time pass.
    pub(crate) async fn pass_seconds(&self, seconds: u64) {
        self.timeline.pass(seconds * 1000).await;
    }
}

fn sealed(peer: &str, text: &str) -> (Message, Seal) {
    let author = format!("alice@{peer}");
    let message = letter(&author, text);
    let claims = Claims {
        issuer: peer.to_owned(),
        // 2026-01-01, before every world begins.
        issued_at: 1_767_225_600,
        expires_at: None,
        role: Role::Submission,
        submitter: Some(author),
        recipient: None,
        authorization: None,
        checks: Vec::new(),
    };
    let seal = Seal::sign(message.manifest().octets(), claims, site::SELECTOR.as_bytes(), &key());
    (message, seal)
}
