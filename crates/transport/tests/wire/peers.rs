//! Real QUIC and TLS over loopback: who is let in, and who is believed.

use crate::common::{
    Echo, NAME, SETTINGS, SUBMISSION_SETTINGS, ask, client, host_key, pin, services, socket,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::RootCertStore;
use rustls::pki_types::PrivatePkcs8KeyDer;
use waxwing_transport::{
    Alpn, Client, Code, Error, Expectation, Fault, HostKey, KeyKind, Limits, Roots, Server, Service, Socket,
};

/// Milliseconds of 2026-06-01 00:00 UTC, well within the test certificates' dates.
const JUNE_2026_MS: u64 = 1_780_272_000_000;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> (Authority, Roots) {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
    let mut store = RootCertStore::empty();
    store.add(issuer.der().clone()).unwrap();
    (issuer, Roots::new(store))
}

/// A key certified for `NAME` until the end of this year.
fn certified(issuer: &Authority, last_year: i32) -> HostKey {
    let pair = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    parameters.not_before = date_time_ymd(2020, 1, 1);
    parameters.not_after = date_time_ymd(last_year, 12, 31);
    let certificate = parameters.signed_by(&pair, issuer).unwrap();
    let key = PrivatePkcs8KeyDer::from(pair.serialize_der());
    HostKey::from_der(key.into(), vec![certificate.der().clone()]).unwrap()
}

/// Connects with this expectation; the server must be believed or not.
async fn check(key: &HostKey, expectation: Expectation, believed: bool, case: &str) {
    let mut echo = Echo::with(key.clone(), services(), &Limits::default());
    let client = client(None, &Limits::default());
    let connected = client.connect(echo.address, NAME, Alpn::Exchange, &expectation).await;
    match connected {
        Ok(connected) => {
            assert!(believed, "{case}: the server must not be believed");
            assert_eq!(connected.peer().unwrap().key_digest(), key.key_digest(), "{case}");
            assert!(echo.next().await.is_ok(), "{case}");
        }
        Err(error) => {
            assert!(!believed, "{case}: {error}");
            assert!(matches!(error, Error::NotAsExpected(_)), "{case}: {error}");
            assert_eq!(error.fault(), Fault::Peer);
            assert!(echo.next().await.is_err(), "{case}: the server must see the handshake fail");
        }
    }
}

/// proves: TRA-6
#[tokio::test]
async fn web_pki_needs_chain_dates_and_name() {
    let (issuer, roots) = authority();
    let (_, other_roots) = authority();
    let named = |names: &[&str], roots: &Roots| Expectation::WebPki {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        roots: roots.clone(),
    };
    let (good, expired) = (certified(&issuer, 2120), certified(&issuer, 2021));
    check(&good, named(&[NAME], &roots), true, "right name").await;
    check(&good, named(&["example", NAME], &roots), true, "second of two names").await;
    check(&good, named(&["example"], &roots), false, "wrong name, although SNI is right").await;
    check(&good, named(&[], &roots), false, "no name").await;
    check(&good, named(&[NAME], &other_roots), false, "other authority").await;
    check(&expired, named(&[NAME], &roots), false, "expired").await;
    check(&host_key(), named(&[NAME], &roots), false, "self-signed").await;
}

/// proves: TRA-5, TRA-7
#[tokio::test]
async fn dane_and_pins_need_the_key_alone() {
    let (issuer, _) = authority();
    let expired = certified(&issuer, 2021);
    let other = host_key().key_digest();
    let right = expired.key_digest();
    check(&expired, Expectation::Dane { digests: vec![other, right] }, true, "TLSA match").await;
    check(&expired, Expectation::Dane { digests: vec![other] }, false, "TLSA mismatch").await;
    check(&expired, Expectation::Dane { digests: vec![] }, false, "no TLSA").await;
    check(&expired, Expectation::Pinned { digests: vec![right] }, true, "pin match").await;
    check(&expired, Expectation::Pinned { digests: vec![other] }, false, "wrong pin").await;
    let nameless = HostKey::generate(KeyKind::Ed25519, &[]).unwrap();
    check(&nameless, pin(&nameless), true, "a certificate without names").await;
}

/// proves: TRA-1
#[tokio::test]
async fn both_protocols_share_one_port() {
    let mut echo = Echo::start(&Limits::default());
    let client = client(None, &Limits::default());
    for (alpn, settings) in [(Alpn::Exchange, SETTINGS), (Alpn::Submission, SUBMISSION_SETTINGS)] {
        let connected = client.connect(echo.address, NAME, alpn, &pin(&echo.key)).await.unwrap();
        assert_eq!(connected.alpn(), alpn);
        assert_eq!(connected.settings().await.unwrap(), settings);
        assert_eq!(ask(&connected, b"hello").await.unwrap(), "hello");
        let link = echo.next().await.unwrap();
        assert_eq!((link.alpn(), link.server_name()), (alpn, Some(NAME)));
    }
}

/// proves: TRA-1
#[tokio::test]
async fn a_protocol_that_is_not_served_is_refused() {
    let exchange = services().into_iter().filter(|service| service.alpn == Alpn::Exchange).collect();
    let echo = Echo::with(host_key(), exchange, &Limits::default());
    let client = client(None, &Limits::default());
    let refused = client.connect(echo.address, NAME, Alpn::Submission, &pin(&echo.key)).await;
    assert_eq!(refused.unwrap_err(), Error::NoCommonProtocol);
}

/// The public key of the seed is test 1 of RFC 8032, section 7.1.
///
/// proves: TRA-8
#[tokio::test]
async fn a_device_is_known_by_its_ed25519_key() {
    let octets = |hex: &str| -> [u8; 32] {
        data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
    };
    let seed = octets("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let public = octets("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    let device = HostKey::from_ed25519_seed(&seed, &[]).unwrap();
    let mut echo = Echo::start(&Limits::default());
    let anonymous = client(None, &Limits::default());
    let known = anonymous.with_identity(Some(device.clone()));

    let _open = known.connect(echo.address, NAME, Alpn::Submission, &pin(&echo.key)).await.unwrap();
    let link = echo.next().await.unwrap();
    let peer = link.peer().unwrap();
    assert_eq!(peer.ed25519_public_key(), Some(public));
    assert_eq!(peer.key_digest(), device.key_digest());

    let open = anonymous.connect(echo.address, NAME, Alpn::Submission, &pin(&echo.key)).await.unwrap();
    assert_eq!(echo.next().await.unwrap().peer(), None);
    assert_eq!(open.peer().unwrap().ed25519_public_key(), None, "the host's key is on P-256");
}

/// proves: TRA-8, TRA-9
#[tokio::test]
async fn a_sending_host_is_judged_after_the_handshake() {
    let (issuer, roots) = authority();
    let (_, other_roots) = authority();
    let mut echo = Echo::start(&Limits::default());
    let host = client(Some(certified(&issuer, 2120)), &Limits::default());
    let _open = host.connect(echo.address, NAME, Alpn::Exchange, &pin(&echo.key)).await.unwrap();
    let link = echo.next().await.unwrap();
    let peer = link.peer().unwrap();
    assert_eq!(peer.names(), [NAME]);
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(peer.web_pki_valid_for(&names(&["a.example", NAME]), &roots, JUNE_2026_MS), Ok(NAME));
    for (list, roots, now_ms) in [
        (vec!["a.example"], &roots, JUNE_2026_MS),
        (vec![NAME], &other_roots, JUNE_2026_MS),
        (vec![NAME], &roots, 0),
    ] {
        let list = names(&list);
        let judged = peer.web_pki_valid_for(&list, roots, now_ms);
        assert!(matches!(judged, Err(Error::NotValidForNames(_))), "{list:?} at {now_ms}: {judged:?}");
    }
}

#[tokio::test]
async fn the_name_asked_for_chooses_the_certificate() {
    let (one, two) = (host_key(), HostKey::generate(KeyKind::EcdsaP256, &["two.example"]).unwrap());
    let echo = Echo::with(one.clone(), services(), &Limits::default());
    let identity = waxwing_transport::ServerIdentity {
        otherwise: one.clone(),
        by_name: [("Two.Example".to_owned(), two.clone())].into(),
    };
    echo.server.replace_identity(&identity).unwrap();
    let client = client(None, &Limits::default());
    for (name, key) in [(NAME, &one), ("two.example", &two)] {
        let connected = client.connect(echo.address, name, Alpn::Exchange, &pin(key)).await;
        assert!(connected.is_ok(), "{name}: {connected:?}");
    }
}

/// The socket and the runtime are given from outside, as a simulated network does.
#[tokio::test]
async fn an_endpoint_runs_over_any_socket() {
    use quinn::Runtime;
    let echo = Echo::start(&Limits::default());
    let runtime = std::sync::Arc::new(quinn::TokioRuntime);
    let socket = std::net::UdpSocket::bind(crate::common::loopback()).unwrap();
    let socket = Socket::simulated(runtime.wrap_udp_socket(socket).unwrap(), runtime, Some([7; 32]));
    let client = Client::bind(socket, None, &Limits::default()).unwrap();
    let connected = client.connect(echo.address, NAME, Alpn::Exchange, &pin(&echo.key)).await.unwrap();
    assert_eq!(ask(&connected, b"hello").await.unwrap(), "hello");
}

/// proves: TRA-13
#[tokio::test]
async fn over_the_cap_connections_are_refused_and_places_come_back() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let mut echo = Echo::start(&limits);
    let client = client(None, &Limits::default());
    let expectation = pin(&echo.key);
    let address = echo.address;
    let connect = || client.connect(address, NAME, Alpn::Exchange, &expectation);
    let one = connect().await.unwrap();
    let first = echo.next().await.unwrap();
    let _two = connect().await.unwrap();
    let _second = echo.next().await.unwrap();
    assert_eq!(connect().await.unwrap_err(), Error::Refused);
    assert_eq!(echo.server.counts().refused, 1);
    one.close(Code::NoError, "");
    first.closed().await;
    drop((first, one));
    // The echo task lets go of its link as soon as it runs; until then the server refuses.
    while echo.server.counts().open == 2 {
        tokio::task::yield_now().await;
    }
    assert!(client.connect(echo.address, NAME, Alpn::Exchange, &pin(&echo.key)).await.is_ok());
}

/// proves: TRA-12
#[tokio::test]
async fn under_load_an_address_is_proved_first() {
    for (before_retry, retried) in [(0, 1), (1, 0)] {
        let limits = Limits { handshakes_before_retry: before_retry, ..Limits::default() };
        let echo = Echo::start(&limits);
        let client = client(None, &Limits::default());
        let connected = client.connect(echo.address, NAME, Alpn::Exchange, &pin(&echo.key)).await.unwrap();
        assert_eq!(ask(&connected, b"hello").await.unwrap(), "hello");
        let counts = echo.server.counts();
        assert_eq!((counts.retried, counts.admitted, counts.refused), (retried, 1, 0), "{before_retry}");
    }
}

#[tokio::test]
async fn a_server_needs_distinct_services_with_short_settings() {
    let identity = host_key().into();
    let service = |octets: usize| Service { alpn: Alpn::Exchange, settings: vec![0; octets].into() };
    for (services, fine) in [
        (vec![], false),
        (vec![service(1), service(1)], false),
        (vec![service(4097)], false),
        (vec![service(4096)], true),
    ] {
        let bound = Server::bind(socket(), &identity, services.clone(), &Limits::default());
        assert_eq!(bound.is_ok(), fine, "{} services", services.len());
    }
}

#[tokio::test]
async fn a_closing_server_says_that_it_goes() {
    let mut echo = Echo::start(&Limits::default());
    let client = client(None, &Limits::default());
    let connected = client.connect(echo.address, NAME, Alpn::Exchange, &pin(&echo.key)).await.unwrap();
    connected.settings().await.unwrap();
    // Before the handshake is over for the server, too, it could not say why.
    drop(echo.seen.recv().await.unwrap().unwrap());
    echo.server.close("update").await;
    let number = u64::from(Code::GoingAway.number());
    assert_eq!(connected.closed().await, Error::ClosedByPeer { number, reason: "update".to_owned() });
}

#[test]
fn keys_survive_pem() {
    for kind in [KeyKind::EcdsaP256, KeyKind::Ed25519] {
        let key = HostKey::generate(kind, &[NAME]).unwrap();
        let again = HostKey::from_pem(&key.key_pem(), &key.chain_pem()).unwrap();
        assert_eq!((again.key_digest(), again.chain()), (key.key_digest(), key.chain()));
        let other = HostKey::generate(kind, &[NAME]).unwrap();
        let mixed = HostKey::from_pem(&key.key_pem(), &other.chain_pem());
        assert!(matches!(mixed, Err(Error::OwnIdentity(_))), "{kind:?}: key and chain must belong together");
    }
    for (key, chain) in [("", ""), ("-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n", "")] {
        assert!(matches!(HostKey::from_pem(key, chain), Err(Error::OwnIdentity(_))));
    }
}
