//! Forwarders and targets over HTTPS on loopback, each a server of its own with a certificate of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dns::FixedZones;
use message::address::{Address, Domain};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::Later;
use crate::limits::{
    ASKS_PER_MINUTE_MAX, ASKS_PER_NETWORK_MAX, FORWARD_CONNECTIONS_PER_NETWORK_MAX, FORWARD_HOPS_MAX,
};

const NOW: u64 = 1_800_000_000_000;

/// Records in memory.
#[derive(Default)]
struct Shelf {
    ways: Mutex<Vec<Way>>,
    grants: Mutex<Vec<Grant>>,
    accounts: Vec<Address>,
    trusted: Vec<Domain>,
}

impl Shelf {
    fn way(&self, find: impl Fn(&Way) -> bool) -> Option<Way> {
        self.ways.lock().unwrap().iter().find(|way| find(way)).cloned()
    }

    fn write(&self, way: Way) {
        let mut ways = self.ways.lock().unwrap();
        ways.retain(|known| (&known.alias, &known.target) != (&way.alias, &way.target));
        ways.push(way);
    }
}

fn done<'a, T: Send + 'a>(value: T) -> Later<'a, Result<T, BookError>> {
    Box::pin(std::future::ready(Ok(value)))
}

impl Book for Shelf {
    fn way_by_ask(&self, ask: &[u8; 32]) -> Result<Option<Way>, BookError> {
        Ok(self.way(|way| way.ask == *ask))
    }

    fn way_by_credential(&self, credential: &[u8; 32]) -> Result<Option<Way>, BookError> {
        Ok(self.way(|way| way.credential == *credential))
    }

    fn change(&self, way: Way, change: Change) -> Later<'_, Result<(), BookError>> {
        self.write(match change {
            Change::Conceal => Way { conceal: true, ..way },
            Change::Reveal => Way { conceal: false, ..way },
            Change::Delete => Way { state: State::Deleted, ..way },
            Change::Resume => Way { state: State::Waiting, ..way },
        });
        done(())
    }

    fn decided(&self, way: Way, verdict: Verdict) -> Later<'_, Result<(), BookError>> {
        let Verdict { state, authorization, note, .. } = verdict;
        self.write(Way { state, authorization, note, ..way });
        done(())
    }

    fn complained(&self, way: Way) -> Later<'_, Result<(), BookError>> {
        self.write(Way { complaints: way.complaints + 1, ..way });
        done(())
    }

    fn upstream(&self, alias: &Address) -> Result<Vec<Upstream>, BookError> {
        let grants = self.grants.lock().unwrap();
        let of = grants.iter().filter(|grant| grant.recipient == *alias && grant.state == State::Granted);
        Ok(of.map(|one| Upstream { forwarder: one.forwarder.clone(), page: one.page.clone() }).collect())
    }

    fn takes(&self, recipient: &Address) -> Result<bool, BookError> {
        Ok(self.accounts.contains(recipient) || self.way(|way| way.alias == *recipient).is_some())
    }

    fn trusts(&self, _: &Address, forwarder: &Domain) -> Result<bool, BookError> {
        Ok(self.trusted.contains(forwarder))
    }

    fn grant(&self, recipient: &Address, forwarder: &Domain) -> Result<Option<Grant>, BookError> {
        let grants = self.grants.lock().unwrap();
        Ok(grants.iter().find(|one| one.recipient == *recipient && one.forwarder == *forwarder).cloned())
    }

    fn put_grant(&self, mut grant: Grant) -> Later<'_, Result<u64, BookError>> {
        let mut grants = self.grants.lock().unwrap();
        if grant.number == 0 {
            grant.number = grants.len() as u64 + 41;
        }
        grants.retain(|one| (&one.recipient, &one.forwarder) != (&grant.recipient, &grant.forwarder));
        let number = grant.number;
        grants.push(grant);
        done(number)
    }
}

/// From where questions come.
const NEAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn domain(name: &str) -> Domain {
    Domain::from_wire(name).unwrap()
}

fn address(text: &str) -> Address {
    Address::from_wire(text).unwrap()
}

fn way(alias: &str, target: &str, secret: u8) -> Way {
    Way {
        alias: address(alias),
        target: address(target),
        state: State::Waiting,
        since_ms: NOW,
        ask: [secret; 32],
        credential: [secret + 100; 32],
        conceal: false,
        rewrite: false,
        authorization: None,
        complaints: 0,
        note: String::new(),
    }
}

/// An authority and where the hosts of a small world are.
struct World {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    roots: String,
    hosts: BTreeMap<Domain, SocketAddr>,
    listeners: Vec<(Domain, TcpListener)>,
    servers: Vec<JoinHandle<()>>,
}

impl World {
    async fn of(names: &[&str]) -> World {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let roots = params.self_signed(&key).unwrap().pem();
        let issuer = rcgen::Issuer::new(params, key);
        let (mut hosts, mut listeners) = (BTreeMap::new(), Vec::new());
        for name in names {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            hosts.insert(domain(name), listener.local_addr().unwrap());
            listeners.push((domain(name), listener));
        }
        World { issuer, roots, hosts, listeners, servers: Vec::new() }
    }

    fn https(&self) -> Arc<Https> {
        let resolver = Arc::new(FixedZones::new());
        Arc::new(Https::new(resolver, &self.roots, self.hosts.clone(), |_| false).unwrap())
    }

    fn certificate(&self, name: &str) -> Certificate {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Certificate::from_pem(&certificate.pem(), &key.serialize_pem()).unwrap()
    }

    /// Serves a domain with a certificate for `shown`.
    fn serve_as(
        &mut self,
        name: &str,
        shown: &str,
        policy: Policy,
        shelf: Shelf,
    ) -> (Arc<Forwarding>, Arc<Shelf>) {
        let shelf = Arc::new(shelf);
        let (own, domains) = (domain(name), BTreeSet::from([domain(name)]));
        let book: Arc<dyn Book> = shelf.clone();
        let forwarding =
            Arc::new(Forwarding::new(own, domains, policy, book, self.https(), Arc::new(|| NOW)));
        let place = self.listeners.iter().position(|(one, _)| one.as_str() == name).unwrap();
        let (_, listener) = self.listeners.remove(place);
        let door = Door { listener, certificate: self.certificate(shown), forwarding: forwarding.clone() };
        self.servers.push(tokio::spawn(serve(door)));
        (forwarding, shelf)
    }

    fn serve(&mut self, name: &str, policy: Policy, shelf: Shelf) -> (Arc<Forwarding>, Arc<Shelf>) {
        self.serve_as(name, name, policy, shelf)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.servers.iter().for_each(JoinHandle::abort);
    }
}

fn shelf(ways: Vec<Way>, accounts: &[&str]) -> Shelf {
    let accounts = accounts.iter().map(|account| address(account)).collect();
    Shelf { ways: Mutex::new(ways), accounts, ..Shelf::default() }
}

fn everybody() -> Policy {
    Policy { granting: Granting::Everybody, complain: true, ..Policy::default() }
}

fn page_of(credential: u8) -> String {
    format!("{WELL_KNOWN}/records/{}", secret_text(&[credential; 32]))
}

async fn changed(https: &Https, at: &str, credential: u8, change: &str) -> u16 {
    let body = format!("{{\"change\":\"{change}\"}}").into_bytes();
    https.post(&domain(at), &page_of(credential), "application/json", body).await.unwrap().status
}

/// proves: FWD-10, FWD-11, FWD-12, FWD-13, FWD-16, FWD-20
#[tokio::test]
async fn a_target_grants_by_itself_and_the_final_recipient_ends_it() {
    let mut world = World::of(&["f.test", "t.test"]).await;
    let first = way("old@f.test", "new@t.test", 1);
    let (forwarder, records) = world.serve("f.test", Policy::default(), shelf(vec![first.clone()], &[]));
    let (_, grants) = world.serve("t.test", everybody(), shelf(Vec::new(), &["new@t.test"]));
    let verdict = forwarder.ask(first.clone()).await.unwrap();
    assert_eq!(verdict.state, State::Granted, "{}", verdict.note);
    let grant = grants.grant(&address("new@t.test"), &domain("f.test")).unwrap().unwrap();
    assert_eq!((grant.state, grant.automatic, grant.complain), (State::Granted, true, true));
    assert_eq!(verdict.authorization, Some(grant.number.to_string()));
    assert_eq!(grant.alias.as_deref(), Some("old@f.test"));
    assert_eq!(grant.page, Some(format!("https://f.test{}", page_of(101))));
    // The same question gets the same answer, and the grant keeps its number.
    let again = forwarder.ask(records.way_by_ask(&[1; 32]).unwrap().unwrap()).await.unwrap();
    assert_eq!(again.authorization, verdict.authorization);

    let https = world.https();
    let capabilities = https.get(&domain("f.test"), WELL_KNOWN).await.unwrap();
    let capabilities: Capabilities = serde_json::from_slice(&capabilities.body).unwrap();
    assert_eq!(capabilities.domain, "f.test");
    // Looking changes nothing, whatever stands behind it.
    let path = format!("{}?change=delete", page_of(101));
    let record = https.get(&domain("f.test"), &path).await.unwrap();
    let record: RecordDocument = serde_json::from_slice(&record.body).unwrap();
    assert_eq!((&*record.alias, &*record.target, &*record.state), ("old@f.test", "new@t.test", "granted"));
    assert_eq!(changed(&https, "f.test", 101, "conceal").await, 200);
    assert!(records.way_by_ask(&[1; 32]).unwrap().unwrap().conceal);
    assert_eq!(changed(&https, "f.test", 101, "fly").await, 400);
    assert_eq!(changed(&https, "f.test", 101, "delete").await, 200);
    assert_eq!(records.way_by_ask(&[1; 32]).unwrap().unwrap().state, State::Deleted);
    // What was ended can be turned on by the same credential, and waits until it is granted anew.
    assert_eq!(changed(&https, "f.test", 101, "resume").await, 200);
    assert_eq!(records.way_by_ask(&[1; 32]).unwrap().unwrap().state, State::Waiting);
    // The question is no credential, and what is not there looks like what cannot be read.
    assert_eq!(changed(&https, "f.test", 1, "delete").await, 404);
    for text in ["x", "AAAA", &"A".repeat(43), &"_".repeat(300)] {
        let path = format!("{WELL_KNOWN}/records/{text}");
        let answer = https.get(&domain("f.test"), &path).await.unwrap();
        assert_eq!((answer.status, &answer.body[..]), (404, &b"there is nothing here\n"[..]), "{text}");
    }
}

/// proves: FWD-12, FWD-16
#[tokio::test]
async fn a_person_decides_where_the_policy_does_not() {
    let mut world = World::of(&["f.test", "t.test"]).await;
    let first = way("old@f.test", "new@t.test", 1);
    let (forwarder, records) = world.serve("f.test", Policy::default(), shelf(vec![first.clone()], &[]));
    let target = shelf(Vec::new(), &["new@t.test"]);
    let (_, grants) = world.serve("t.test", Policy::default(), target);
    let verdict = forwarder.ask(first.clone()).await.unwrap();
    assert_eq!(verdict.state, State::Waiting);
    assert!(verdict.again_at_ms.is_some_and(|at_ms| at_ms > NOW && at_ms <= NOW + 86_400_000));
    let grant = grants.grant(&first.target, &domain("f.test")).unwrap().unwrap();
    assert_eq!((grant.state, grant.automatic), (State::Waiting, false));
    let decide = async |state| {
        grants.put_grant(Grant { state, by: "new".to_owned(), ..grant.clone() }).await.unwrap();
        forwarder.ask(records.way_by_ask(&[1; 32]).unwrap().unwrap()).await.unwrap()
    };
    assert_eq!(decide(State::Granted).await.authorization, Some(grant.number.to_string()));
    // What was taken back ends the record, and is not asked for again.
    let ended = decide(State::Deleted).await;
    assert_eq!((ended.state, ended.again_at_ms), (State::Deleted, None));
    assert!(forwarder.question(&domain("f.test"), &secret_text(&[1; 32])).unwrap().is_none());
}

/// proves: FWD-16
#[tokio::test]
async fn whom_the_recipient_or_the_operator_trusts_is_granted() {
    let check = async |policy: Policy, trusted: Vec<Domain>, expected: State| {
        let mut world = World::of(&["f.test", "t.test"]).await;
        let first = way("old@f.test", "new@t.test", 1);
        let (forwarder, _) = world.serve("f.test", Policy::default(), shelf(vec![first.clone()], &[]));
        let target = Shelf { trusted, ..shelf(Vec::new(), &["new@t.test"]) };
        world.serve("t.test", policy, target);
        assert_eq!(forwarder.ask(first).await.unwrap().state, expected);
    };
    let nobody = || Policy { granting: Granting::Nobody, ..Policy::default() };
    check(Policy::default(), vec![domain("f.test")], State::Granted).await;
    check(nobody(), vec![domain("f.test")], State::Waiting).await;
    check(Policy { trusted: BTreeSet::from([domain("f.test")]), ..nobody() }, Vec::new(), State::Granted)
        .await;
}

/// proves: FWD-13, FWD-15
#[tokio::test]
async fn nobody_gets_a_grant_in_the_name_of_another() {
    let mut world = World::of(&["f.test", "g.test", "t.test"]).await;
    let first = way("old@f.test", "new@t.test", 1);
    let (forger, _) = world.serve_as("f.test", "g.test", Policy::default(), shelf(vec![first.clone()], &[]));
    let honest = shelf(vec![way("her@g.test", "her@t.test", 7)], &[]);
    world.serve("g.test", Policy::default(), honest);
    let (target, grants) = world.serve("t.test", everybody(), shelf(Vec::new(), &["new@t.test"]));
    // Its certificate is for another domain.
    let verdict = forger.ask(first.clone()).await.unwrap();
    assert_eq!(verdict.state, State::Waiting);
    let ask = |forwarder: &str, recipient: &str, ask: String| Ask {
        version: 1,
        forwarder: forwarder.to_owned(),
        recipient: recipient.to_owned(),
        ask,
    };
    let check = async |ask: Ask, expected: StandingState| {
        let standing = target.answer(&ask, NEAR).await.unwrap();
        assert_eq!((standing.state, standing.authorization), (expected, None), "{ask:?}");
    };
    use StandingState::{Refused, Waiting};
    // A domain that has never asked, and one that has asked for somebody else.
    check(ask("g.test", "new@t.test", secret_text(&[9; 32])), Waiting).await;
    check(ask("g.test", "new@t.test", secret_text(&[7; 32])), Waiting).await;
    check(ask("nowhere.test", "new@t.test", secret_text(&[1; 32])), Waiting).await;
    check(ask("t.test", "new@t.test", secret_text(&[1; 32])), Refused).await;
    check(ask("g.test", "nobody@t.test", secret_text(&[7; 32])), Waiting).await;
    check(ask("g.test", "new@other.test", secret_text(&[7; 32])), Refused).await;
    check(ask("g.test", "new@t.test", "x".to_owned()), Refused).await;
    check(Ask { version: 2, ..ask("g.test", "new@t.test", secret_text(&[7; 32])) }, Refused).await;
    assert!(grants.grants.lock().unwrap().is_empty(), "nothing is kept of those who have shown nothing");
}

/// A forwarder that shows who it is, and one that does not, learn the same of an address that is there and of one that is
/// not; and both questions count.
///
/// proves: FWD-14, FWD-27
#[tokio::test]
async fn a_question_does_not_tell_which_addresses_there_are() {
    let mut world = World::of(&["f.test", "t.test"]).await;
    let ways = vec![way("old@f.test", "new@t.test", 1), way("ghost@f.test", "nobody@t.test", 2)];
    world.serve("f.test", Policy::default(), shelf(ways, &[]));
    let by_hand = Policy { granting: Granting::Nobody, ..Policy::default() };
    let (target, grants) = world.serve("t.test", by_hand, shelf(Vec::new(), &["new@t.test"]));
    let ask = |forwarder: &str, recipient: &str, secret: u8| Ask {
        version: 1,
        forwarder: forwarder.to_owned(),
        recipient: recipient.to_owned(),
        ask: secret_text(&[secret; 32]),
    };
    let mut asked = 0;
    for (forwarder, there, not_there) in [("f.test", 1, 2), ("f.test", 8, 9), ("nowhere.test", 8, 9)] {
        let known = target.answer(&ask(forwarder, "new@t.test", there), NEAR).await.unwrap();
        let unknown = target.answer(&ask(forwarder, "nobody@t.test", not_there), NEAR).await.unwrap();
        assert_eq!((known.state, &known), (StandingState::Waiting, &unknown), "{forwarder} {there}");
        asked += 2;
    }
    let kept = grants.grants.lock().unwrap().clone();
    assert_eq!(kept.len(), 1, "nothing is kept of an address that is nobody's: {kept:?}");
    for _ in asked..ASKS_PER_MINUTE_MAX {
        assert!(target.answer(&ask("nowhere.test", "nobody@t.test", 9), NEAR).await.is_ok());
    }
    for recipient in ["new@t.test", "nobody@t.test"] {
        assert!(target.answer(&ask("nowhere.test", recipient, 9), NEAR).await.is_err(), "{recipient}");
    }
}

/// One network asks as often as it likes; others are answered all the same.
///
/// proves: FWD-14
#[tokio::test]
async fn one_network_does_not_use_up_what_is_looked_into() {
    let mut world = World::of(&["t.test"]).await;
    let minutes = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let clock = minutes.clone();
    let (target, _) = world.serve("t.test", everybody(), shelf(Vec::new(), &["new@t.test"]));
    let target = Forwarding::new(
        domain("t.test"),
        BTreeSet::from([domain("t.test")]),
        everybody(),
        target.book.clone(),
        world.https(),
        Arc::new(move || NOW + clock.load(std::sync::atomic::Ordering::SeqCst) * 60_000),
    );
    let ask = Ask {
        version: 1,
        forwarder: "nowhere.test".to_owned(),
        recipient: "new@t.test".to_owned(),
        ask: secret_text(&[1; 32]),
    };
    let mut answered = 0;
    for minute in 0..4 {
        minutes.store(minute, std::sync::atomic::Ordering::SeqCst);
        for _ in 0..ASKS_PER_MINUTE_MAX {
            answered += u32::from(target.answer(&ask, NEAR).await.is_ok());
        }
    }
    assert_eq!(answered, ASKS_PER_NETWORK_MAX);
    assert!(target.answer(&ask, "192.0.2.2".parse().unwrap()).await.is_ok());
}

/// Connections of one network are bounded; those of another are taken beside them. The loopback network has many addresses.
///
/// proves: FWD-14
#[tokio::test]
async fn connections_of_one_network_are_bounded() {
    let mut world = World::of(&["t.test"]).await;
    let at = world.hosts[&domain("t.test")];
    world.serve("t.test", everybody(), shelf(Vec::new(), &["new@t.test"]));
    let connect = async |last: u8| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((std::net::Ipv4Addr::new(127, 0, 0, last), 0).into()).unwrap();
        socket.connect(at).await.unwrap()
    };
    let mut open = Vec::new();
    for _ in 0..FORWARD_CONNECTIONS_PER_NETWORK_MAX {
        open.push(connect(1).await);
    }
    let closed = async |mut stream: tokio::net::TcpStream| {
        let mut octet = [0; 1];
        matches!(tokio::io::AsyncReadExt::read(&mut stream, &mut octet).await, Ok(0) | Err(_))
    };
    let one_more = tokio::time::timeout(Duration::from_secs(5), closed(connect(1).await)).await;
    assert_eq!(one_more, Ok(true), "one more of the same network is closed at once");
    // Where a connection is taken, its handshake is waited for.
    let mut other = connect(2).await;
    tokio::io::AsyncWriteExt::write_all(&mut other, b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut octets = [0; 7];
    let alert = tokio::io::AsyncReadExt::read_exact(&mut other, &mut octets).await;
    assert!(alert.is_ok() && octets[0] == 21, "TLS says that this is no handshake: {octets:?}");
}

/// Whoever was refused hears it where it shows who it is; that is no answer for whoever only says its name.
///
/// proves: FWD-13, FWD-27
#[tokio::test]
async fn a_refusal_is_told_to_who_was_refused() {
    let mut world = World::of(&["f.test", "t.test"]).await;
    world.serve("f.test", Policy::default(), shelf(vec![way("old@f.test", "new@t.test", 1)], &[]));
    let by_hand = Policy { granting: Granting::Nobody, ..Policy::default() };
    let (target, grants) = world.serve("t.test", by_hand, shelf(Vec::new(), &["new@t.test"]));
    let ask = |secret: u8| Ask {
        version: 1,
        forwarder: "f.test".to_owned(),
        recipient: "new@t.test".to_owned(),
        ask: secret_text(&[secret; 32]),
    };
    assert_eq!(target.answer(&ask(1), NEAR).await.unwrap().state, StandingState::Waiting);
    grants.grants.lock().unwrap()[0].state = State::Deleted;
    assert_eq!(target.answer(&ask(1), NEAR).await.unwrap().state, StandingState::Refused);
    grants.grants.lock().unwrap()[0].ask = None;
    assert_eq!(target.answer(&ask(9), NEAR).await.unwrap().state, StandingState::Waiting);
    assert_eq!(target.answer(&ask(1), NEAR).await.unwrap().state, StandingState::Refused);
}

/// Whoever answers is asked for nothing but the domain, at an address that may be asked.
///
/// proves: FWD-15
#[tokio::test]
async fn nothing_is_fetched_from_within() {
    let world = World::of(&["f.test"]).await;
    let check = async |address: &str| {
        let zones = FixedZones::new();
        zones.add("inside.test", dns::Record::Address(address.parse().unwrap())).unwrap();
        let public = |at: SocketAddr| !at.ip().is_loopback() && !at.ip().to_string().starts_with("10.");
        let https = Https::new(Arc::new(zones), &world.roots, BTreeMap::new(), public).unwrap();
        let answer = https.get(&domain("inside.test"), WELL_KNOWN).await;
        assert!(matches!(answer, Err(FetchError::Refused(_))), "{address}: {answer:?}");
    };
    check("127.0.0.1").await;
    check("::1").await;
    check("10.0.0.1").await;
}

#[test]
fn pages_are_only_those_of_the_domain() {
    let check = |url: &str, expected: Option<&str>| {
        assert_eq!(document::path_at(url, &domain("f.test")), expected, "{url}");
    };
    check("https://f.test/a/b?c", Some("/a/b?c"));
    check("http://f.test/a", None);
    check("https://g.test/a", None);
    check("https://f.test:8443/a", None);
    check("https://user@f.test/a", None);
    check("https://f.test", None);
    check("https://f.test/a#b", None);
    check("https://f.test/\"onclick=", None);
    check("https://f.test/a b", None);
    check(&format!("https://f.test/{}", "a".repeat(600)), None);
}

/// A redirect, an endless answer and one that is no document are no grants.
///
/// proves: FWD-15, FWD-17
#[tokio::test]
async fn whoever_cannot_be_asked_has_refused_nothing() {
    let check = async |answer: &'static [u8], rewrite: bool, expected: State| {
        let mut world = World::of(&["f.test", "t.test"]).await;
        let first = Way { rewrite, ..way("old@f.test", "new@t.test", 1) };
        let (forwarder, _) = world.serve("f.test", Policy::default(), shelf(vec![first.clone()], &[]));
        let (_, listener) = world.listeners.remove(0);
        let acceptor = world.certificate("t.test");
        world.servers.push(tokio::spawn(server::say(listener, acceptor, answer)));
        let verdict = forwarder.ask(first).await.unwrap();
        assert_eq!(verdict.state, expected, "{}", verdict.note);
        assert!(verdict.again_at_ms.is_some());
    };
    let not_found = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    check(not_found, false, State::Waiting).await;
    check(not_found, true, State::Rewriting).await;
    check(
        b"HTTP/1.1 302 Found\r\nLocation: https://f.test/\r\nContent-Length: 0\r\n\r\n",
        false,
        State::Waiting,
    )
    .await;
    check(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", false, State::Waiting).await;
    let other = b"HTTP/1.1 200 OK\r\nContent-Length: 31\r\n\r\n{\"version\":2,\"state\":\"granted\"}";
    check(other, false, State::Waiting).await;
    check(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", false, State::Waiting).await;
    check(b"", false, State::Waiting).await;
}

/// proves: FWD-21
#[tokio::test]
async fn a_chain_is_walked_back() {
    let mut world = World::of(&["f.test", "g.test", "t.test"]).await;
    let (first, second) = (way("old@f.test", "mid@g.test", 1), way("mid@g.test", "new@t.test", 2));
    let (forwarder, _) = world.serve("f.test", Policy::default(), shelf(vec![first.clone()], &[]));
    let (middle, between) = world.serve("g.test", everybody(), shelf(vec![second.clone()], &[]));
    let (target, grants) = world.serve("t.test", everybody(), shelf(Vec::new(), &["new@t.test"]));
    assert_eq!(forwarder.ask(first).await.unwrap().state, State::Granted);
    assert_eq!(middle.ask(second).await.unwrap().state, State::Granted);
    let grant = grants.grant(&address("new@t.test"), &domain("g.test")).unwrap().unwrap();
    let hops = target.walk(&grant.page.unwrap()).await;
    let aliases: Vec<String> = hops.iter().map(|hop| hop.record.as_ref().unwrap().alias.clone()).collect();
    assert_eq!(aliases, ["mid@g.test", "old@f.test"]);
    // A chain that leads back to itself ends.
    let page = hops[0].page.clone();
    let known = between.grant(&address("mid@g.test"), &domain("f.test")).unwrap().unwrap();
    between.put_grant(Grant { page: Some(page.clone()), ..known.clone() }).await.unwrap();
    let hops = target.walk(&page).await;
    assert_eq!(hops.last().unwrap().record, Err(HopEnd::Again));
    // One without end is left.
    for number in 0..=FORWARD_HOPS_MAX {
        let grant = Grant {
            page: Some(format!("https://f.test/{number}")),
            forwarder: domain(&format!("f{number}.test")),
            ..known.clone()
        };
        between.put_grant(grant).await.unwrap();
    }
    let hops = target.walk(&page).await;
    assert_eq!(
        (hops.len(), hops.last().unwrap().record.clone()),
        (FORWARD_HOPS_MAX + 1, Err(HopEnd::TooLong))
    );
}

/// proves: FWD-22
#[tokio::test]
async fn reports_of_abuse_go_back_to_the_forwarder() {
    let mut world = World::of(&["f.test", "t.test"]).await;
    let first = way("old@f.test", "new@t.test", 1);
    let (forwarder, records) = world.serve("f.test", Policy::default(), shelf(vec![first.clone()], &[]));
    let (target, grants) = world.serve("t.test", everybody(), shelf(Vec::new(), &["new@t.test"]));
    forwarder.ask(first).await.unwrap();
    let grant = grants.grant(&address("new@t.test"), &domain("f.test")).unwrap().unwrap();
    let report = Report {
        recipient: "new@t.test".to_owned(),
        arrived_at_ms: NOW,
        forwarder: "f.test".to_owned(),
        header: b"From: junk@junk.test\r\nSubject: gold\r\n".to_vec(),
    };
    target.complain(&grant, &report).await.unwrap();
    assert_eq!(records.way_by_ask(&[1; 32]).unwrap().unwrap().complaints, 1);
    let https = world.https();
    let reports = |ask: u8| format!("{WELL_KNOWN}/asks/{}/complaints", secret_text(&[ask; 32]));
    let (media_type, body) = report.write();
    let check = async |path: String, body: Vec<u8>, expected: u16| {
        let answer = https.post(&domain("f.test"), &path, &media_type, body).await.unwrap();
        assert_eq!(answer.status, expected);
    };
    check(reports(101), body.clone(), 404).await;
    check(reports(1), b"no report".to_vec(), 404).await;
    check(reports(1), vec![b'x'; 100_000], 413).await;
    assert_eq!(records.way_by_ask(&[1; 32]).unwrap().unwrap().complaints, 1);
    let silent = Grant { complaints_to: Some("https://elsewhere.test/x".to_owned()), ..grant };
    assert!(target.complain(&silent, &report).await.is_err());
}
