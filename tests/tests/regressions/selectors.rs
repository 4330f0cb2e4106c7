//! A message whose seals name many keys, each at a name server that is slow or has failed.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dns::{Error, FixedZones, Lookup, Mx, Resolver, Srv, Tlsa};
use message::address::{Address, Domain};
use message::{Claims, Code, Disposition, Envelope, Role, Seal, SecretKey};
use node::{Admitted, Next, Node, Offered};
use storage::Origin;
use testkit::Random;
use testkit::clock::{Life, NodeClock, Shift, Timeline};
use testkit::disk::{Disk, Vice};
use testkit::letter::letter;

/// Answers from zones where there is something, and else fails after so many seconds.
struct Slow {
    zones: FixedZones,
    seconds: u64,
    asked: AtomicUsize,
}

impl Resolver for Slow {
    fn txt<'a>(&'a self, name: &'a str) -> Lookup<'a, Vec<u8>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let found = self.zones.txt(name).await?;
            if found.records.is_empty() {
                tokio::time::sleep(Duration::from_secs(self.seconds)).await;
                return Err(Error::Timeout);
            }
            Ok(found)
        })
    }

    fn srv<'a>(&'a self, name: &'a str) -> Lookup<'a, Srv> {
        self.zones.srv(name)
    }

    fn tlsa<'a>(&'a self, name: &'a str) -> Lookup<'a, Tlsa> {
        self.zones.tlsa(name)
    }

    fn addresses<'a>(&'a self, host: &'a str) -> Lookup<'a, IpAddr> {
        self.zones.addresses(host)
    }

    fn mx<'a>(&'a self, domain: &'a str) -> Lookup<'a, Mx> {
        self.zones.mx(domain)
    }

    fn names<'a>(&'a self, address: IpAddr) -> Lookup<'a, String> {
        self.zones.names(address)
    }
}

const PEER: &str = "far.test";

/// What the first, the peer, offers: a letter with sixteen seals of these issuers, each by another key. Gives the answer, the
/// questions asked and the seconds it took.
async fn offered(issuers: [&str; 16], known_place: Option<usize>, seconds: u64) -> (Disposition, usize, u64) {
    let life = Life::begin();
    let timeline = Timeline::begin();
    let clock = Arc::new(NodeClock::new(timeline, Arc::new(Shift::default()), life.clone(), Random::new(1)));
    let key = SecretKey::from_seed(&[2; 32]);
    let resolver = Arc::new(Slow { zones: FixedZones::new(), seconds, asked: AtomicUsize::new(0) });
    let settings = testkit::site::settings("here.test", &SecretKey::from_seed(&[1; 32]));
    let store = Disk::new(Vice::None).open(&life).unwrap();
    let node = Node::new(settings, store, resolver.clone(), clock, Arc::new(node::Quiet));
    let bob = Address::from_wire("bob@here.test").unwrap();
    node.put_account("bob", std::slice::from_ref(&bob), None).await.unwrap();
    let message = letter(&format!("alice@{PEER}"), "Good day.");
    let seal = |(place, issuer): (usize, &str)| {
        let claims = Claims {
            issuer: issuer.to_owned(),
            issued_at: node.now_ms() / 1000,
            expires_at: None,
            role: Role::Submission,
            submitter: Some(format!("alice@{PEER}")),
            recipient: None,
            authorization: None,
            checks: Vec::new(),
        };
        let selector = match known_place {
            Some(known) if known == place => testkit::site::SELECTOR.to_owned(),
            _ => format!("s{place}"),
        };
        Seal::sign(message.manifest().octets(), claims, selector.as_bytes(), &key)
    };
    let seals: Vec<Seal> = issuers.into_iter().enumerate().map(seal).collect();
    testkit::site::publish(&resolver.zones, PEER, &key);
    let envelope = Envelope {
        identity: message.identity(),
        octets: message.manifest().message_octets(),
        issuers: Vec::new(),
        recipients: vec![bob],
        trace: Vec::new(),
    };
    let intake = node.intake(Origin::Peer { domain: Domain::from_wire(PEER).unwrap() });
    let Admitted::Admission(mut admission) = intake.admit(envelope, Offered::default()).await.unwrap() else {
        panic!("the offer needs its content");
    };
    admission.manifest(message.manifest().clone()).unwrap();
    admission.headers(message.headers().clone());
    admission.seals(seals);
    let began_ms = timeline.elapsed_ms();
    let mut next = admission.supplied().await.unwrap();
    let took = (timeline.elapsed_ms() - began_ms) / 1000;
    let asked = resolver.asked.load(Ordering::Relaxed);
    if matches!(next, Next::Want(_)) {
        for ((part, _, _), body) in message.manifest().leaves().zip(message.bodies()) {
            admission.body_start(part, 0).await.unwrap();
            admission.body(body).unwrap();
            admission.body_end(part).await.unwrap();
        }
        next = admission.supplied().await.unwrap();
    }
    assert_eq!(next, Next::Commit);
    (admission.commit().await.unwrap().answers.remove(0), asked, took)
}

fn is_deferred(disposition: &Disposition) -> bool {
    matches!(disposition, Disposition::Deferred { code, .. } if *code == Code::DIRECTORY_FAILURE)
}

/// It took 80 seconds and 16 questions.
///
/// proves: DISCOVERY-14, EXC-25
#[tokio::test(start_paused = true)]
async fn keys_are_asked_for_within_bounds() {
    let (told, asked, took) = offered([PEER; 16], None, 0).await;
    assert!(is_deferred(&told), "{told:?}");
    assert_eq!((asked, took), (4, 0));
    let (told, asked, took) = offered([PEER; 16], None, 5).await;
    assert!(is_deferred(&told), "{told:?}");
    assert!(asked <= 4, "{asked}");
    assert_eq!(took, 10);
    // One that can be had is enough, whatever stands before it.
    let mut strangers = ["one.test"; 16];
    strangers[1..4].copy_from_slice(&["two.test", "three.test", "four.test"]);
    strangers[15] = PEER;
    let (told, _, took) = offered(strangers, Some(15), 5).await;
    assert_eq!((told, took), (Disposition::Accepted, 5));
}
