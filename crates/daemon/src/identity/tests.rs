use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dns::{FixedZones, Lookup, Mx, Record, Resolver, Security, Srv, Tlsa};

use super::*;

/// Zones that write down what they are asked, and may never answer.
struct Noting {
    zones: FixedZones,
    asked: Mutex<Vec<String>>,
    silent: AtomicBool,
}

impl Noting {
    fn note<'a, T: Send + 'a>(&self, kind: &str, name: &str, answer: Lookup<'a, T>) -> Lookup<'a, T> {
        self.asked.lock().unwrap().push(format!("{kind} {name}"));
        if self.silent.load(Ordering::Relaxed) { Box::pin(std::future::pending()) } else { answer }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Resolver for Noting {
    fn srv<'a>(&'a self, name: &'a str) -> Lookup<'a, Srv> {
        self.note("SRV", name, self.zones.srv(name))
    }

    fn txt<'a>(&'a self, name: &'a str) -> Lookup<'a, Vec<u8>> {
        self.note("TXT", name, self.zones.txt(name))
    }

    fn tlsa<'a>(&'a self, name: &'a str) -> Lookup<'a, Tlsa> {
        self.note("TLSA", name, self.zones.tlsa(name))
    }

    fn addresses<'a>(&'a self, host: &'a str) -> Lookup<'a, IpAddr> {
        self.note("address", host, self.zones.addresses(host))
    }

    fn mx<'a>(&'a self, domain: &'a str) -> Lookup<'a, Mx> {
        self.note("MX", domain, self.zones.mx(domain))
    }

    fn names<'a>(&'a self, address: IpAddr) -> Lookup<'a, String> {
        self.note("PTR", &address.to_string(), self.zones.names(address))
    }
}

/// The domain one.test to four.test, each with sixteen targets below victim.test.
fn scene(security: Security) -> (Arc<Noting>, Identities) {
    let zones = FixedZones::new();
    for domain in ["one.test", "two.test", "three.test", "four.test"] {
        for at in 0..16 {
            let target = Some(format!("{domain}-{at}.victim.test").replace(".test-", "-"));
            let record = Record::Srv(Srv { priority: at, weight: 0, port: 7625, target });
            zones.add(&format!("_waxwing._udp.{domain}"), record).unwrap();
        }
        zones.set_security(domain, security).unwrap();
    }
    zones.set_security("victim.test", security).unwrap();
    let noting = Noting { zones, asked: Mutex::default(), silent: AtomicBool::new(false) };
    let noting = Arc::new(noting);
    let identities = Identities::new(Arc::default(), noting.clone(), None);
    (noting, identities)
}

fn domains(names: &[&str]) -> Vec<Domain> {
    names.iter().map(|name| Domain::from_wire(name).unwrap()).collect()
}

/// What is proved by a key, whose digest is this octet, with a certificate of one's own.
async fn proved(identities: &Identities, names: &[&str], octet: u8) -> Option<String> {
    let shown = Shown { names: domains(names), key_digest: [octet; 32], is_certified: &|_| false };
    identities.proved_by(&shown).await.map(|domain| domain.to_string())
}

const FIVE: [&str; 5] = ["one.test", "two.test", "three.test", "four.test", "five.test"];

/// proves: DISCOVERY-13, SEC-6
#[tokio::test(start_paused = true)]
async fn a_stranger_makes_a_node_ask_little() {
    let (dns, identities) = scene(Security::Insecure);
    assert_eq!(proved(&identities, &FIVE, 1).await, None);
    let names = ["one", "two", "three", "four"].map(|name| format!("SRV _waxwing._udp.{name}.test"));
    assert_eq!(dns.take(), names, "one question for each of four names, where nothing is secure");

    let (dns, identities) = scene(Security::Secure);
    assert_eq!(proved(&identities, &FIVE[..1], 1).await, None);
    let asked = dns.take();
    let of_the_victim: Vec<_> = asked.iter().filter(|asked| asked.ends_with("victim.test")).collect();
    // Of four targets, at either name (DISCOVERY-8).
    assert_eq!((asked.len(), of_the_victim.len()), (1 + 8, 8), "{asked:?}");
    assert!(of_the_victim.iter().all(|asked| asked.starts_with("TLSA")), "{asked:?}");

    // The same again, and a while later; another key is another question.
    assert_eq!(proved(&identities, &FIVE[..1], 1).await, None);
    assert_eq!(dns.take(), [""; 0]);
    assert_eq!(proved(&identities, &FIVE[..1], 2).await, None);
    assert_eq!(dns.take().len(), 9);
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(proved(&identities, &FIVE[..1], 1).await, None);
    assert_eq!(dns.take().len(), 9);
}

/// proves: DISCOVERY-13, TRA-9
#[tokio::test]
async fn a_key_in_the_dns_proves_a_domain() {
    let (dns, identities) = scene(Security::Secure);
    let key = Record::Tlsa(Tlsa { usage: 3, selector: 1, matching: 1, data: vec![7; 32] });
    dns.zones.add("_7625._quic.two-15.victim.test", key).unwrap();
    // Beyond the first four, but named in the certificate.
    assert_eq!(proved(&identities, &["two.test"], 7).await, None);
    let named = ["one.test", "two.test", "two-15.victim.test"];
    let (dns_again, identities) = (dns.clone(), Identities::new(Arc::default(), dns, None));
    assert_eq!(proved(&identities, &named, 7).await.as_deref(), Some("two.test"));
    assert_eq!(proved(&identities, &named, 8).await, None);
    // What was proved is asked for anew each time.
    dns_again.zones.remove("_7625._quic.two-15.victim.test").unwrap();
    assert_eq!(proved(&identities, &named, 7).await, None);
}

/// proves: SEC-6, TRA-9
#[tokio::test]
async fn what_an_authority_or_a_pin_says_needs_no_question() {
    let (dns, _) = scene(Security::Secure);
    let pins = BTreeMap::from([(domains(&["one.test"])[0].clone(), [1; 32])]);
    let identities = Identities::new(Arc::new(pins), dns.clone(), None);
    assert_eq!(proved(&identities, &FIVE, 1).await.as_deref(), Some("one.test"));
    let certified = domains(&["one.test", "three.test"]);
    let is_certified = |domain: &Domain| certified.contains(domain);
    let shown = Shown { names: domains(&FIVE), key_digest: [2; 32], is_certified: &is_certified };
    let found = identities.proved_by(&shown).await;
    assert_eq!(found.as_ref().map(Domain::as_str), Some("three.test"), "whoever is pinned needs the pin");
    assert_eq!(dns.take(), [""; 0]);
}

/// proves: DISCOVERY-13
#[tokio::test(start_paused = true)]
async fn who_has_slow_servers_is_given_up() {
    let (dns, identities) = scene(Security::Secure);
    dns.silent.store(true, Ordering::Relaxed);
    let began = Instant::now();
    assert_eq!(proved(&identities, &FIVE, 1).await, None);
    assert_eq!(began.elapsed().as_secs(), 10);
    assert_eq!(dns.take(), ["SRV _waxwing._udp.one.test"]);
    assert_eq!(identities.lookups.available_permits(), IDENTITY_LOOKUPS_MAX);
    // The next name has its turn.
    assert_eq!(proved(&identities, &FIVE, 1).await, None);
    assert_eq!(dns.take(), ["SRV _waxwing._udp.two.test"]);
}
