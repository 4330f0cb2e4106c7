//! Jars on their own, and a chain of real servers and senders on loopback.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dns::{FixedZones, Mx, Record as Zone, Resolver};
use message::address::Domain;
use rustls::RootCertStore;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::*;
use crate::check::{CheckSettings, Checker, OnFailure};
use crate::fake::{FakeHandler, FakeRecords};
use crate::limits::{COOKIE_DENIALS_MAX, COOKIE_LIFE_MS};
use crate::mav::Rules;
use crate::out::{self, Outcome, Sender, Shipment};
use crate::smtp::{Cookies as _, Environment, Limits, Parts, Server, Settings};
use crate::{Client, Kind, Letter, Recipient, Records as _, Service};

use std::sync::Arc;

const NOW_MS: u64 = 1_800_000_000_000;

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

/// A clock that stands at the given time, and seeds that are others each time.
fn environment(now_ms: &Arc<AtomicU64>) -> Environment {
    let (clock, drawn) = (Arc::clone(now_ms), AtomicU64::new(0));
    Environment {
        now_ms: Arc::new(move || clock.load(Ordering::SeqCst)),
        seed: Arc::new(move || {
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&drawn.fetch_add(1, Ordering::SeqCst).to_be_bytes());
            seed
        }),
    }
}

fn jar(records: &Arc<FakeRecords>, now_ms: &Arc<AtomicU64>) -> Jar {
    let settings = JarSettings {
        host: "mx1.north.test".into(),
        domains: ["north.test", "west.test"].map(|domain| Domain::parse(domain).unwrap()).to_vec(),
    };
    let records: Arc<dyn crate::Records> = Arc::clone(records) as _;
    Jar::new(settings, records, environment(now_ms))
}

fn client(address: IpAddr) -> Client {
    Client {
        address,
        came_to: std::net::IpAddr::from([127, 0, 0, 1]),
        helo: "tester.test".into(),
        extended: true,
        service: Service::Transfer,
        tls: None,
        certificate_digest: None,
        account: None,
    }
}

fn id_of(parameter: &Parameter) -> String {
    let inner = parameter.text.strip_prefix("COOKIE=<").and_then(|text| text.strip_suffix("@mx1>")).unwrap();
    inner.to_owned()
}

/// proves: CKS-1, CKS-2, CKS-3, CKS-4
#[tokio::test]
async fn a_cookie_moves_to_who_tests_it() {
    let (records, now_ms) = (Arc::new(FakeRecords::default()), Arc::new(AtomicU64::new(NOW_MS)));
    let jar = jar(&records, &now_ms);
    // Neither a stranger's domain nor one of ours below which this host has no name.
    for sender in ["eve@other.test", "ann@west.test", "ann@mx1.north.test"] {
        assert_eq!(jar.add(&address(sender), ip(2)).await.unwrap(), None);
    }
    let ann = address("ann@north.test");
    let id = id_of(&jar.add(&ann, ip(2)).await.unwrap().unwrap());
    assert!(id.len() * 5 >= 128, "{id} has fewer than 128 bits");
    assert_ne!(id, id_of(&jar.add(&ann, ip(2)).await.unwrap().unwrap()));
    let refused = jar.test(&client(ip(3)), "unknown", &ann, ip(2)).await;
    let check = async |tester: u8, id: &str, sender: &str, from: u8, yes: bool| {
        let reply = jar.test(&client(ip(tester)), id, &address(sender), ip(from)).await;
        assert_eq!(reply.digits == 250, yes, "{tester} {id} {sender} {from}: {reply:?}");
        assert!(yes || reply == refused, "another answer: {reply:?}");
    };
    check(3, &id, "ann@north.test", 9, false).await;
    check(3, &id, "eve@north.test", 2, false).await;
    check(3, &id, "ANN@north.test", 2, false).await;
    check(3, &id, "ann@north.test", 2, true).await;
    // It is expected from the tester now; he may ask again, and others come too late.
    check(3, &id, "ann@north.test", 2, true).await;
    check(4, &id, "ann@north.test", 2, false).await;
    check(4, &id.to_ascii_uppercase(), "ann@north.test", 3, true).await;
    check(3, &id, "ann@north.test", 2, false).await;
    let stored = records.records(Kind::Cookie, b"", None, 9, NOW_MS).unwrap();
    assert_eq!(stored.len(), 2);
    now_ms.store(NOW_MS + COOKIE_LIFE_MS, Ordering::SeqCst);
    check(5, &id, "ann@north.test", 4, false).await;
}

/// Who guesses is not answered any more, even where he guesses right; others are.
///
/// proves: CKS-4, CKS-5
#[tokio::test]
async fn guessing_is_bounded() {
    let (records, now_ms) = (Arc::new(FakeRecords::default()), Arc::new(AtomicU64::new(NOW_MS)));
    let jar = jar(&records, &now_ms);
    let ann = address("ann@north.test");
    let id = id_of(&jar.add(&ann, ip(2)).await.unwrap().unwrap());
    for number in 0..COOKIE_DENIALS_MAX {
        let reply = jar.test(&client(ip(3)), &format!("guess{number}"), &ann, ip(2)).await;
        assert_eq!(reply.digits, 550);
    }
    assert_eq!(jar.test(&client(ip(3)), &id, &ann, ip(2)).await.digits, 451);
    assert_eq!(jar.test(&client(ip(4)), &id, &ann, ip(2)).await.digits, 250);
}

/// proves: CKS-9
#[test]
fn a_cookie_stays_with_its_return_path() {
    let cookie = ("abc".to_owned(), "mx1".to_owned());
    let check =
        |cookie: Option<&(String, String)>, came: Option<&str>, leaves: Option<&str>, passed: bool| {
            let found = passed_on(cookie, &came.map(address), &leaves.map(address));
            assert_eq!(found.is_some(), passed, "{came:?} {leaves:?}");
        };
    check(Some(&cookie), Some("a@n.test"), Some("a@n.test"), true);
    check(Some(&cookie), Some("a@n.test"), Some("srs0=x@w.test"), false);
    check(Some(&cookie), Some("a@n.test"), None, false);
    check(Some(&cookie), None, None, false);
    check(None, Some("a@n.test"), Some("a@n.test"), false);
    let passed = passed_on(Some(&cookie), &Some(address("a@n.test")), &Some(address("a@n.test"))).unwrap();
    assert_eq!(passed, Parameter { extension: "COOKIES".into(), text: "COOKIE=<abc@mx1>".into() });
}

/// One host with its server, its sender and its jar.
struct Host {
    domain: &'static str,
    address: IpAddr,
    handler: Arc<FakeHandler>,
    sender: Arc<Sender>,
    records: Arc<FakeRecords>,
    stop: watch::Sender<bool>,
}

/// All hosts listen at one port, each at an address of its own.
struct Scene {
    zones: Arc<FixedZones>,
    port: u16,
    waiting: Vec<TcpListener>,
}

impl Scene {
    /// Zones in which `mx1` of each domain is its mail exchange, at 127.0.0.2 and so on.
    async fn of(domains: &[&'static str]) -> Scene {
        let zones = Arc::new(FixedZones::new());
        for (number, domain) in domains.iter().enumerate() {
            let name = format!("mx1.{domain}");
            let mx = Mx { preference: 0, exchange: Some(name.clone()) };
            zones.add(domain, Zone::Mx(mx)).unwrap();
            zones.add(&name, Zone::Address(ip(number as u8 + 2))).unwrap();
        }
        'ports: loop {
            let first = TcpListener::bind((ip(2), 0)).await.unwrap();
            let port = first.local_addr().unwrap().port();
            let mut waiting = vec![first];
            for number in 1..domains.len() {
                match TcpListener::bind(SocketAddr::new(ip(number as u8 + 2), port)).await {
                    Ok(listener) => waiting.push(listener),
                    Err(_) => continue 'ports,
                }
            }
            waiting.reverse();
            return Scene { zones, port, waiting };
        }
    }

    /// The next host, running; `capable` says whether it knows COOKIES.
    fn host(&mut self, domain: &'static str, capable: bool) -> Host {
        let listener = self.waiting.pop().unwrap();
        let address = listener.local_addr().unwrap().ip();
        let (records, now_ms) = (Arc::new(FakeRecords::default()), Arc::new(AtomicU64::new(NOW_MS)));
        let environment = environment(&now_ms);
        let settings =
            JarSettings { host: format!("mx1.{domain}"), domains: vec![Domain::parse(domain).unwrap()] };
        let jar = Arc::new(Jar::new(settings, Arc::clone(&records) as _, environment.clone()));
        let roots = Arc::new(RootCertStore::empty());
        let host = format!("mx1.{domain}");
        let mut sending =
            out::Settings::new(host.clone(), roots, Arc::clone(&environment.now_ms), Arc::new(|_| 0));
        sending.port = self.port;
        sending.private_networks = vec![crate::mav::Network::parse("127.0.0.0/8").unwrap()];
        sending.source = Some(address);
        sending.mail_parameters = capable.then(|| Arc::clone(&jar) as _);
        let resolver: Arc<dyn Resolver> = Arc::clone(&self.zones) as _;
        let sender = Arc::new(Sender::new(sending, Arc::clone(&resolver), Arc::clone(&records) as _));
        let checking = CheckSettings {
            host: host.clone(),
            spf: OnFailure::Note,
            dmarc: OnFailure::Note,
            csa: OnFailure::Note,
        };
        let tester =
            Tester::new(Arc::clone(&resolver), Arc::clone(&sender), Arc::clone(&environment.now_ms), true);
        let checker = Checker::new(checking, resolver, Arc::clone(&environment.now_ms)).unwrap();
        let handler = Arc::new(FakeHandler::of(&[domain]));
        let server = Server::new(Parts {
            settings: Settings { host, domain: Domain::parse(domain).unwrap(), limits: Limits::default() },
            handler: Arc::clone(&handler) as _,
            checks: Arc::new(checker.with_cookies(Arc::new(tester))),
            cookies: capable.then_some(jar as _),
            rules: Arc::new(Rules::default()),
            host_names: None,
            tls: None,
            environment,
        });
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(server.serve(listener, Service::Transfer, stopped));
        Host { domain, address, handler, sender, records, stop }
    }
}

impl Host {
    /// Sends a message of this author to `bob` at another host.
    async fn send(&self, from: &str, to: &Host, parameters: Vec<Parameter>) {
        let recipient = address(&format!("bob@{}", to.domain));
        let shipment = Shipment {
            domain: Domain::parse(to.domain).unwrap(),
            return_path: Some(address(from)),
            recipients: vec![Recipient { address: recipient, notify: None, original: None }],
            octets: format!("From: {from}\r\nSubject: hello\r\n\r\nhello\r\n").into(),
            needs_smtputf8: false,
            envelope_id: None,
            headers_only: None,
            parameters,
            forwarded: false,
        };
        let report = self.sender.send(&shipment, &|_, _| {}).await;
        assert!(matches!(report.recipients.as_slice(), [Outcome::Taken { .. }]), "{report:?}");
        self.sender.close().await;
    }

    /// Sends the last letter on to another host, under the return path that it came with.
    async fn forward(&self, to: &Host) {
        let letter = self.last();
        let passed = passed_on(letter.cookie.as_ref(), &letter.return_path, &letter.return_path);
        let from = letter.return_path.map(|path| path.to_string()).unwrap();
        self.send(&from, to, passed.into_iter().collect()).await;
    }

    fn last(&self) -> Letter {
        self.handler.taken().pop().unwrap()
    }

    /// What was found about the cookie of the last letter, in the words of the field.
    fn found(&self) -> Option<String> {
        let letter = self.last();
        let verified = letter.findings.return_path_verified && letter.findings.return_path_whole;
        let claim = letter.findings.claims.iter().find(|(method, _)| method == "cookie").cloned();
        assert_eq!(verified, claim.as_ref().is_some_and(|(_, result)| result == "pass"), "{claim:?}");
        let results = letter.findings.authentication_results;
        let line = results.lines().find(|line| line.contains("x-cookie="))?;
        Some(line.trim().trim_end_matches(';').split(" smtp.").next().unwrap().to_owned())
    }
}

/// An author's server, two forwarders and the recipient's: four servers that run, and whoever else holds the cookie.
///
/// proves: CKS-1, CKS-3, CKS-6, CKS-8, CKS-9
#[tokio::test]
async fn a_cookie_is_known_along_a_chain_of_forwarders() {
    let domains = ["north.test", "west.test", "east.test", "south.test", "thief.test"];
    let mut scene = Scene::of(&domains).await;
    let [north, west, east, south, thief] = domains.map(|domain| scene.host(domain, true));
    let chain = async {
        north.send("ann@north.test", &west, Vec::new()).await;
        assert_eq!(west.found().as_deref(), Some("x-cookie=pass reason=\"direct\""));
        west.forward(&east).await;
        assert_eq!(east.found().as_deref(), Some("x-cookie=pass reason=\"confirmed\""));
        east.forward(&south).await;
        assert_eq!(south.found().as_deref(), Some("x-cookie=pass reason=\"confirmed\""));
        // One cookie, and it is where the message is now.
        let kept = north.records.records(Kind::Cookie, b"", None, 9, NOW_MS).unwrap();
        let [record] = kept.as_slice() else { panic!("{kept:?}") };
        assert_eq!(record.value, format!("1 {} {} ann@north.test", south.address, east.address).as_bytes());
        // Who has seen it can do nothing with it: not here, and not for another sender.
        let stolen = super::passed_on(
            south.last().cookie.as_ref(),
            &Some(address("ann@north.test")),
            &Some(address("ann@north.test")),
        );
        let stolen: Vec<Parameter> = stolen.into_iter().collect();
        thief.send("ann@north.test", &south, stolen.clone()).await;
        let denied = "x-cookie=fail reason=\"mx1.north.test does not know it\"";
        assert_eq!(south.found().as_deref(), Some(denied));
        thief.send("eve@north.test", &south, stolen).await;
        assert_eq!(south.found().as_deref(), Some(denied));
        // A machine below the domain is no mail server of it.
        scene.zones.add("vm7.north.test", Zone::Address(thief.address)).unwrap();
        let own = Parameter { extension: "COOKIES".into(), text: "COOKIE=<abc@vm7>".into() };
        thief.send("ann@north.test", &south, vec![own]).await;
        let no_server = "x-cookie=fail reason=\"vm7.north.test is no mail server of its domain\"";
        assert_eq!(south.found().as_deref(), Some(no_server));
    };
    tokio::time::timeout(Duration::from_secs(60), chain).await.unwrap();
    for host in [north, west, east, south, thief] {
        host.stop.send(true).unwrap();
    }
}

/// proves: CKS-1, CKS-8
#[tokio::test]
async fn who_does_not_know_cookies_gets_none_and_says_nothing() {
    let domains = ["north.test", "old.test", "south.test"];
    let mut scene = Scene::of(&domains).await;
    let (north, old, south) =
        (scene.host("north.test", true), scene.host("old.test", false), scene.host("south.test", true));
    let all = async {
        north.send("ann@north.test", &old, Vec::new()).await;
        assert_eq!((old.last().cookie, old.found()), (None, None));
        assert!(north.records.records(Kind::Cookie, b"", None, 9, NOW_MS).unwrap().is_empty());
        old.forward(&south).await;
        assert_eq!(south.found(), None);
        // A cookie of a server that cannot be asked about it is not known, and nothing follows.
        let claimed = Parameter { extension: "COOKIES".into(), text: "COOKIE=<abc@mx1>".into() };
        north.send("ann@old.test", &south, vec![claimed]).await;
        let unknown = "x-cookie=temperror reason=\"mx1.old.test does not know COOKIES\"";
        assert_eq!(south.found().as_deref(), Some(unknown));
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.unwrap();
    for host in [north, old, south] {
        host.stop.send(true).unwrap();
    }
}

/// proves: CKS-6, CKS-7
#[tokio::test]
async fn only_mail_servers_at_public_addresses_are_asked() {
    let zones = Arc::new(FixedZones::new());
    let resolver: Arc<dyn Resolver> = Arc::clone(&zones) as _;
    let clock: Arc<dyn Fn() -> u64 + Send + Sync> = Arc::new(|| NOW_MS);
    let settings = out::Settings::new(
        "mx.here.test",
        Arc::new(RootCertStore::empty()),
        Arc::clone(&clock),
        Arc::new(|_| 0),
    );
    let sender = Arc::new(Sender::new(settings, Arc::clone(&resolver), Arc::new(FakeRecords::default())));
    let tester = Tester::new(resolver, sender, clock, false);
    let ann = address("ann@north.test");
    let check = async |from: IpAddr, host: &str, expected: CookieFound| {
        assert_eq!(tester.find_out(from, &ann, "abc", host).await, expected, "{from} {host}");
    };
    let text = |record: &str| Zone::Txt(record.as_bytes().to_vec());
    check(ip(2), "mx1", CookieFound::Denied("there is no host mx1.north.test".into())).await;
    zones.add("mx1.north.test", Zone::Address(ip(2))).unwrap();
    check(ip(2), "mx1", CookieFound::Denied("mx1.north.test is no mail server of its domain".into())).await;
    // SPF says that it is one, so the client at that address is the author's server; but loopback is not asked.
    zones.add("north.test", text("v=spf1 a:mx1.north.test -all")).unwrap();
    check(ip(2), "mx1", CookieFound::Direct).await;
    check(ip(3), "mx1", CookieFound::Unknown("mx1.north.test has no public address".into())).await;
    for _ in 0..crate::limits::COOKIE_QUESTIONS_MAX {
        tester.find_out(ip(4), &ann, "abc", "mx1").await;
    }
    check(ip(4), "mx1", CookieFound::Unknown("too many cookies came from there".into())).await;
}

/// Who has one name below a domain can write the address of the domain's server beside his own, in any order: his own says
/// nothing for the domain, neither as the client nor as who is asked.
///
/// proves: CKS-6
#[tokio::test]
async fn an_address_beside_a_servers_own_speaks_for_nobody() {
    let domains = ["north.test", "south.test", "thief.test", "helper.test"];
    let mut scene = Scene::of(&domains).await;
    let [north, south, thief, helper] = domains.map(|domain| scene.host(domain, true));
    // The thief's server confirms whatever the helper brings.
    let value = format!("1 {} - ann@north.test", helper.address).into_bytes();
    let record = crate::Record { key: b"abc".to_vec(), value, expires_at_ms: u64::MAX };
    thief.records.change(vec![crate::Change::Put(Kind::Cookie, record)]).await.unwrap();
    let zone = |name: &str, record: Zone| scene.zones.add(name, record).unwrap();
    zone("north.test", Zone::Txt(format!("v=spf1 ip4:{} -all", north.address).into_bytes()));
    for (name, addresses) in [
        ("first", [north.address, thief.address]),
        ("last", [thief.address, north.address]),
        ("alone", [thief.address, helper.address]),
    ] {
        addresses.into_iter().for_each(|address| zone(&format!("{name}.north.test"), Zone::Address(address)));
    }
    let cookie =
        |name: &str| vec![Parameter { extension: "COOKIES".into(), text: format!("COOKIE=<abc@{name}>") }];
    let check = async |from: &Host, name: &str, expected: &str| {
        from.send("ann@north.test", &south, cookie(name)).await;
        assert_eq!(south.found().as_deref(), Some(expected), "{name}");
    };
    let all = async {
        for name in ["first", "last"] {
            // The client is at an address of the name, or a server at one would confirm it. Only the domain's own is
            // asked, and it knows nothing of either.
            let denied = format!("x-cookie=fail reason=\"{name}.north.test does not know it\"");
            check(&thief, name, &denied).await;
            check(&helper, name, &denied).await;
        }
        let no_server = "x-cookie=fail reason=\"alone.north.test is no mail server of its domain\"";
        check(&thief, "alone", no_server).await;
        check(&helper, "alone", no_server).await;
        // The domain's own server is direct also under such a name.
        check(&north, "last", "x-cookie=pass reason=\"direct\"").await;
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.unwrap();
    for host in [north, south, thief, helper] {
        host.stop.send(true).unwrap();
    }
}
