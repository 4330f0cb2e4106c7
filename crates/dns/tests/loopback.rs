//! The resolver asks the zone server over loopback; in between, where a test wants one, stands an attacker.

#![expect(clippy::unwrap_used, reason = "the helpers of these tests fail as the tests do")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::rdata::NS;
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::net::UdpSocket;
use waxwing_dns::locate::{self, Location};
use waxwing_dns::waxkey::{self, DomainKey, KeyRecord};
use waxwing_dns::zones::{self, Running, Zones};
use waxwing_dns::{Error, HickoryResolver, Mx, Persistence, Resolver, Security, Srv, Tlsa, TrustAnchor};

const NORTH: &str = "\
@               300 IN SOA   ns hostmaster 1 3600 600 86400 60
@               300 IN NS    ns
@               300 IN MX    10 mx
ns              300 IN A     127.0.0.1
mx              120 IN A     127.0.0.2
mx              300 IN AAAA  ::1
_waxwing._udp   300 IN SRV   5 7 7625 MX.north.test.
_waxwing-sub._udp 300 IN SRV 0 0 0 .
_7625._quic.mx  300 IN TLSA  3 1 1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
_25._tcp.mx     300 IN TLSA  3 1 0 3059301306072a8648ce3d020106082a8648ce3d030107034200046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5
one._waxkey     300 IN TXT   \"v=1; k=ed25519; \" \"p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"
honest          300 IN TXT   \"honest\"
_waxwing._udp.moved 300 IN CNAME _waxwing._udp.hosted
_waxwing._udp.hosted 300 IN SRV 0 0 7000 mx
loop            300 IN CNAME loop
lasting         1000000 IN TXT \"lasting\"
";

const SOUTH: &str = "\
@               300 IN SOA   ns hostmaster 1 3600 600 86400 60
@               300 IN NS    ns
ns              300 IN A     127.0.0.1
_7625._quic.mx  300 IN TLSA  3 1 1 ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff
";

/// An unsigned zone that `north.test` delegates without a DS record.
const OPEN: &str = "\
@               300 IN SOA   ns hostmaster 1 3600 600 86400 60
@               300 IN NS    ns
ns              300 IN A     127.0.0.1
text            300 IN TXT   \"unsigned\"
_waxwing._udp   300 IN CNAME _waxwing._udp.hosted.north.test.
alias           300 IN CNAME honest.north.test.
";

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

async fn serve(zones: &[(&str, &str)]) -> Running {
    let mut served = Zones::new();
    zones.iter().for_each(|(origin, text)| served.add(origin, text).unwrap());
    zones::serve(&served, loopback()).await.unwrap()
}

/// Both zones, each signed with a key of its own, and a resolver behind `between` that trusts both keys.
async fn signed() -> (Running, [TrustAnchor; 2]) {
    let mut served = Zones::new();
    served.add("north.test", NORTH).unwrap();
    served.add("south.test", SOUTH).unwrap();
    let anchors = [served.sign("north.test", [1; 32]).unwrap(), served.sign("south.test", [2; 32]).unwrap()];
    (zones::serve(&served, loopback()).await.unwrap(), anchors)
}

fn validating(server: SocketAddr, anchors: &[TrustAnchor]) -> HickoryResolver {
    let resolver = HickoryResolver::with_nameserver(server, true).unwrap();
    anchors.iter().fold(resolver, |resolver, anchor| resolver.with_trust_anchor(anchor).unwrap())
}

/// A name server over UDP that answers with what `answer` makes of the question. It ends with the test's runtime.
async fn server<F>(mut answer: impl FnMut(Vec<u8>) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = Vec<u8>> + Send,
{
    let socket = UdpSocket::bind(loopback()).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            let answer = answer(buffer[..length].to_vec()).await;
            let _ = socket.send_to(&answer, peer).await;
        }
    });
    address
}

/// Asks a name server as a plain client would.
async fn relay(question: &[u8], upstream: SocketAddr) -> Message {
    let socket = UdpSocket::bind(loopback()).await.unwrap();
    socket.send_to(question, upstream).await.unwrap();
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).await.unwrap();
    Message::from_vec(&buffer[..length]).unwrap()
}

/// An attacker on the path, who changes answers.
async fn attacker(upstream: SocketAddr, change: impl Fn(&mut Message) + Copy + Send + 'static) -> SocketAddr {
    server(move |question| async move {
        let mut answer = relay(&question, upstream).await;
        change(&mut answer);
        answer.to_vec().unwrap()
    })
    .await
}

#[tokio::test] // proves: DISCOVERY-1, DISCOVERY-11
async fn every_kind_of_record_is_read() {
    let running = serve(&[("north.test", NORTH), ("south.test", SOUTH)]).await;
    let resolver = HickoryResolver::with_nameserver(running.local_addr(), false).unwrap();
    let srv = resolver.srv("_waxwing._udp.North.test").await.unwrap();
    let target = Some("mx.north.test".to_owned());
    assert_eq!(srv.records, [Srv { priority: 5, weight: 7, port: 7625, target }]);
    assert_eq!((srv.exists, srv.security, srv.ttl_seconds), (true, Security::Insecure, 300));
    let addresses = resolver.addresses("mx.north.test").await.unwrap();
    assert_eq!(addresses.records, ["::1".parse::<IpAddr>().unwrap(), "127.0.0.2".parse().unwrap()]);
    assert_eq!(addresses.ttl_seconds, 120);
    // A whole key, as matching type 0 has it (RFC 6698 section 2.1.3).
    let whole = resolver.tlsa("_25._tcp.mx.north.test").await.unwrap().records;
    assert_eq!(whole.iter().map(|one| (one.matching, one.data.len())).collect::<Vec<_>>(), [(0, 91)]);
    let tlsa = resolver.tlsa("_7625._quic.mx.north.test").await.unwrap();
    assert_eq!(tlsa.records, [Tlsa { usage: 3, selector: 1, matching: 1, data: (0..32).collect() }]);
    let mx = resolver.mx("north.test").await.unwrap();
    assert_eq!(mx.records, [Mx { preference: 10, exchange: Some("mx.north.test".to_owned()) }]);
    assert_eq!(resolver.txt("honest.north.test").await.unwrap().records, [b"honest"]);
    assert_eq!(resolver.txt("lasting.north.test").await.unwrap().ttl_seconds, 86_400);
    let key = waxkey::fetch(&resolver, "one", "north.test").await.unwrap().unwrap();
    assert!(matches!(key.record, KeyRecord::Key(DomainKey { public: [0xd7, 0x5a, ..] })));
    running.shutdown().await.unwrap();
}

#[tokio::test] // proves: DISCOVERY-1
async fn absence_is_an_answer() {
    let running = serve(&[("north.test", NORTH)]).await;
    let resolver = HickoryResolver::with_nameserver(running.local_addr(), false).unwrap();
    let nothing = resolver.txt("nothing.north.test").await.unwrap();
    assert!(nothing.records.is_empty() && !nothing.exists);
    let other_type = resolver.txt("mx.north.test").await.unwrap();
    assert!(other_type.records.is_empty() && other_type.exists);
    // The negative TTL is the lesser of the SOA record's own and its last field (RFC 2308, section 5).
    assert_eq!((nothing.ttl_seconds, other_type.ttl_seconds), (60, 60));
    assert_eq!((nothing.security, other_type.security), (Security::Insecure, Security::Insecure));
    let elsewhere = resolver.txt("west.test").await;
    assert!(matches!(elsewhere, Err(Error::ServerFailure(_))), "refused is no absence: {elsewhere:?}");
    assert!(matches!(resolver.txt("a\\b").await, Err(Error::BadName(_))));
}

#[tokio::test] // proves: DISCOVERY-3
async fn long_answers_come_over_tcp_and_are_cut_to_the_bounds() {
    let text = "x".repeat(200);
    let many: String = (100..240).map(|at| format!("many 300 IN TXT \"{at}{text}\"\n")).collect();
    let ten: String = (100..110).map(|at| format!("ten 300 IN TXT \"{at}{text}\"\n")).collect();
    let huge = format!("huge 300 IN TXT {}\nhuge 300 IN TXT \"short\"\n", format!("\"{text}\" ").repeat(21));
    let running = serve(&[("north.test", &format!("{NORTH}{many}{ten}{huge}"))]).await;
    let resolver = HickoryResolver::with_nameserver(running.local_addr(), false).unwrap();
    // Ten records of 203 octets do not fit into the 1232 octets that the resolver takes over UDP.
    assert_eq!(resolver.txt("ten.north.test").await.unwrap().records.len(), 10);
    assert_eq!(resolver.txt("many.north.test").await.unwrap().records.len(), 128);
    assert_eq!(resolver.txt("huge.north.test").await.unwrap().records, [b"short"]);
    let without_tcp = attacker(running.local_addr(), |_| {}).await;
    let resolver = HickoryResolver::with_nameserver(without_tcp, false).unwrap();
    let truncated = resolver.txt("ten.north.test").await.unwrap_err();
    assert_eq!(truncated.persistence(), Persistence::Temporary, "{truncated}");
}

#[tokio::test] // proves: DISCOVERY-3
async fn a_silent_server_is_given_up() {
    let silent = UdpSocket::bind(loopback()).await.unwrap();
    let resolver = HickoryResolver::with_nameserver(silent.local_addr().unwrap(), false).unwrap();
    let resolver = resolver.with_time_limit(Duration::from_millis(100)).unwrap();
    assert_eq!(resolver.srv("_waxwing._udp.north.test").await, Err(Error::Timeout));
    assert_eq!(resolver.addresses("mx.north.test").await, Err(Error::Timeout));
}

/// A server that refuses is asked once a second, however much mail asks; another question, and the same a second later, is asked.
///
/// proves: DISCOVERY-12
#[tokio::test]
async fn what_has_failed_is_not_asked_again_at_once() {
    let (asked, mut questions) = tokio::sync::mpsc::unbounded_channel();
    let refusing = server(move |mut question| {
        asked.send(()).unwrap();
        // An answer, refused (RFC 1035 section 4.1.1).
        question[2] |= 0x80;
        question[3] = 5;
        std::future::ready(question)
    })
    .await;
    let resolver = HickoryResolver::with_nameserver(refusing, false).unwrap();
    let mut count = async |name: &str| {
        assert!(matches!(resolver.txt(name).await, Err(Error::ServerFailure(_))), "{name}");
        std::iter::from_fn(|| questions.try_recv().ok()).count()
    };
    for name in ["_dmarc.north.test", "_dmarc.south.test"] {
        let began = tokio::time::Instant::now();
        assert!(count(name).await > 0);
        let again = count(name).await;
        assert!(again == 0 || began.elapsed() >= waxwing_dns::limits::FAILURE_TIME, "{name}: {again}");
    }
    tokio::time::pause();
    tokio::time::advance(waxwing_dns::limits::FAILURE_TIME).await;
    tokio::time::resume();
    assert!(count("_dmarc.north.test").await > 0);
}

#[tokio::test] // proves: DISCOVERY-2, DISCOVERY-3
async fn nonsense_is_a_temporary_failure() {
    let check = async |what: &str, answer: fn(Vec<u8>) -> Vec<u8>| {
        let server = server(move |question| std::future::ready(answer(question))).await;
        let resolver = HickoryResolver::with_nameserver(server, false).unwrap();
        let resolver = resolver.with_time_limit(Duration::from_millis(200)).unwrap();
        let error = resolver.txt("honest.north.test").await.expect_err(what);
        assert_eq!(error.persistence(), Persistence::Temporary, "{what}: {error}");
    };
    check("no octets", |_| vec![]).await;
    check("random octets", |_| (0..=255).collect()).await;
    check("the question itself", |question| question).await;
    check("the question cut short", |question| question[..question.len() / 2].to_vec()).await;
    check("a response with counts that lie", |mut question| {
        question[2] |= 0x80;
        question[7] = 0xff;
        question
    })
    .await;
    check("SERVFAIL", |mut question| {
        question[2] |= 0x80;
        question[3] = 2;
        question
    })
    .await;
}

#[tokio::test] // proves: DISCOVERY-3
async fn records_of_another_name_are_not_taken() {
    let running = serve(&[("north.test", NORTH)]).await;
    let renaming = attacker(running.local_addr(), |answer| {
        for record in &mut answer.answers {
            record.name = Name::from_ascii("evil.test.").unwrap();
        }
    });
    let resolver = HickoryResolver::with_nameserver(renaming.await, false).unwrap();
    let outcome = resolver.txt("honest.north.test").await;
    assert!(outcome.as_ref().map_or(true, |answer| answer.records.is_empty()), "{outcome:?}");
}

#[tokio::test] // proves: DISCOVERY-2
async fn a_referral_is_no_absence() {
    let running = serve(&[("north.test", NORTH)]).await;
    let referring = attacker(running.local_addr(), |answer| {
        for record in &mut answer.authorities {
            record.data = RData::NS(NS(Name::from_ascii("ns.north.test.").unwrap()));
        }
    });
    let resolver = HickoryResolver::with_nameserver(referring.await, false).unwrap();
    let outcome = resolver.txt("nothing.north.test").await;
    assert!(matches!(outcome, Err(Error::ServerFailure(_))), "{outcome:?}");
}

#[tokio::test] // proves: DISCOVERY-1
async fn aliases_are_followed_to_srv_records() {
    let (running, anchors) = signed().await;
    let check = async |resolver: HickoryResolver, security: Security| {
        let moved = resolver.srv("_waxwing._udp.moved.north.test").await.unwrap();
        let [srv] = &moved.records[..] else { panic!("{moved:?}") };
        assert_eq!(
            (srv.port, srv.target.as_deref(), moved.security),
            (7000, Some("mx.north.test"), security)
        );
        assert!(resolver.srv("loop.north.test").await.map_or(true, |answer| answer.records.is_empty()));
    };
    check(HickoryResolver::with_nameserver(running.local_addr(), false).unwrap(), Security::Insecure).await;
    check(validating(running.local_addr(), &anchors), Security::Secure).await;
}

#[tokio::test] // proves: DISCOVERY-1, DISCOVERY-7
async fn signed_answers_and_absences_are_secure() {
    let (running, anchors) = signed().await;
    let resolver = validating(running.local_addr(), &anchors);
    let located = locate::exchange_of(&resolver, "north.test", |_| 0).await.unwrap();
    let Location::Native { targets } = located else { panic!("{located:?}") };
    assert_eq!(targets[0].security, Security::Secure);
    assert_eq!(targets[0].tlsa, [<[u8; 32]>::try_from((0..32).collect::<Vec<u8>>()).unwrap()]);
    assert_eq!(locate::submission_of(&resolver, "north.test", |_| 0).await, Ok(Location::NotHere));
    let none = locate::exchange_of(&resolver, "south.test", |_| 0).await;
    assert_eq!(none, Ok(Location::Legacy { security: Security::Secure }));
    let other_type = resolver.txt("mx.north.test").await.unwrap();
    assert_eq!((other_type.exists, other_type.security), (true, Security::Secure));
}

#[tokio::test] // proves: DISCOVERY-1, DISCOVERY-8
async fn an_unsigned_zone_below_a_signed_one_is_insecure() {
    let mut served = Zones::new();
    served
        .add("north.test", &format!("{NORTH}open 300 IN NS ns.open\nns.open 300 IN A 127.0.0.1\n"))
        .unwrap();
    let anchor = served.sign("north.test", [1; 32]).unwrap();
    let parent = zones::serve(&served, loopback()).await.unwrap();
    let child = serve(&[("open.north.test", OPEN)]).await;
    let (parent_address, child_address) = (parent.local_addr(), child.local_addr());
    // As a recursive server does, ask the child for its names, but the parent for the DS records of the child.
    let recursive = server(move |question| async move {
        let query = Message::from_vec(&question).unwrap().queries.remove(0);
        let open = Name::from_ascii("open.north.test.").unwrap();
        let for_child =
            open.zone_of(query.name()) && (query.query_type() != RecordType::DS || *query.name() != open);
        let upstream = if for_child { child_address } else { parent_address };
        relay(&question, upstream).await.to_vec().unwrap()
    });
    let resolver = validating(recursive.await, &[anchor]);
    let text = resolver.txt("text.open.north.test").await.unwrap();
    assert_eq!((text.records.as_slice(), text.security), (&[b"unsigned".to_vec()][..], Security::Insecure));
    let nothing = resolver.txt("nothing.open.north.test").await.unwrap();
    assert_eq!((nothing.exists, nothing.security), (false, Security::Insecure));
    // The text behind the alias is secure, the alias is not; the second answer comes from the cache.
    for _ in 0..2 {
        let aliased = resolver.txt("alias.open.north.test").await.unwrap();
        assert_eq!(
            (aliased.records.as_slice(), aliased.security),
            (&[b"honest".to_vec()][..], Security::Insecure)
        );
    }
    // The SRV record behind the alias is secure, the alias is not.
    let aliased = resolver.srv("_waxwing._udp.open.north.test").await.unwrap();
    assert_eq!((aliased.records[0].port, aliased.security), (7000, Security::Insecure));
}

#[tokio::test] // proves: DISCOVERY-1
async fn an_answer_that_fails_validation_is_bogus() {
    let (running, anchors) = signed().await;
    let check = async |change: fn(&mut Message)| {
        let resolver = validating(attacker(running.local_addr(), change).await, &anchors);
        assert_eq!(resolver.txt("honest.north.test").await, Err(Error::Bogus));
    };
    // Another text under the old signature.
    check(|answer| {
        for record in &mut answer.answers {
            if let RData::TXT(text) = &mut record.data {
                text.txt_data = [b"forged".to_vec().into_boxed_slice()].into();
            }
        }
    })
    .await;
    // The signatures taken away.
    check(|answer| answer.answers.retain(|record| record.record_type() != RecordType::RRSIG)).await;
    // Everything of this one answer taken away, as if there were no such record.
    check(|answer| {
        if answer.queries.first().is_some_and(|query| query.query_type() == RecordType::TXT) {
            answer.answers.clear();
            answer.authorities.clear();
        }
    })
    .await;
    // A zone signed by another key than the one that is trusted.
    let stranger = TrustAnchor { public_key: anchors[1].public_key.clone(), ..anchors[0].clone() };
    let resolver = validating(running.local_addr(), &[stranger]);
    assert_eq!(resolver.txt("honest.north.test").await, Err(Error::Bogus));
}

#[tokio::test] // proves: DISCOVERY-3, DISCOVERY-8
async fn a_genuine_record_of_a_stranger_is_not_taken() {
    let (running, anchors) = signed().await;
    let upstream = running.local_addr();
    let mixing = server(move |question| async move {
        let mut answer = relay(&question, upstream).await;
        if answer.queries[0].query_type() == RecordType::TLSA {
            let mut other = Message::from_vec(&question).unwrap();
            let name = Name::from_ascii("_7625._quic.mx.south.test.").unwrap();
            other.queries = vec![Query::query(name, RecordType::TLSA)];
            let other = relay(&other.to_vec().unwrap(), upstream).await;
            assert!(!other.answers.is_empty());
            answer.answers.extend(other.answers);
        }
        answer.to_vec().unwrap()
    });
    let resolver = validating(mixing.await, &anchors);
    let tlsa = resolver.tlsa("_7625._quic.mx.north.test").await.unwrap();
    assert_eq!(tlsa.records, [Tlsa { usage: 3, selector: 1, matching: 1, data: (0..32).collect() }]);
    assert_eq!(tlsa.security, Security::Secure);
}

/// The names of an address, as they are in the zone of its numbers.
#[tokio::test]
async fn an_address_has_names() {
    let zone = "@ 300 IN SOA ns.north.test. hostmaster 1 3600 600 86400 60\n\
                2 300 IN PTR MX.north.test.\n";
    let running = serve(&[("2.0.192.in-addr.arpa", zone)]).await;
    let resolver = HickoryResolver::with_nameserver(running.local_addr(), false).unwrap();
    let named = resolver.names(IpAddr::from([192, 0, 2, 2])).await.unwrap();
    assert_eq!(named.records, ["mx.north.test"]);
    let nameless = resolver.names(IpAddr::from([192, 0, 2, 3])).await.unwrap();
    assert!(nameless.records.is_empty() && !nameless.exists);
    running.shutdown().await.unwrap();
}
