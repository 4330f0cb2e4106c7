//! The server over real sockets and real TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::ResolvesServerCert;
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion, version};

use super::talk;
use crate::Service;
use crate::fake::FakeHandler;
use crate::smtp::{Parts, Server, tls_settings};

struct Running {
    address: SocketAddr,
    handler: Arc<FakeHandler>,
    certificate: CertificateDer<'static>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

async fn serve(service: Service, change: impl FnOnce(&mut Parts)) -> Running {
    let mut handler = talk::handler();
    handler.scram = Some(crate::smtp::login::tests::keys("bob", "secret", b"salt", 4096));
    let handler = Arc::new(handler);
    let made = rcgen::generate_simple_self_signed(vec!["mx.in.test".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let mut parts = talk::parts(Arc::clone(&handler));
    parts.handler = Arc::clone(&handler) as Arc<dyn crate::Handler>;
    parts.settings.limits.message_octets_max = 10 << 20;
    parts.tls = Some(tls_settings(resolver(&made), true).unwrap());
    change(&mut parts);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(Server::new(parts).serve(listener, service, stopped));
    Running { address, handler, certificate, stop, task }
}

fn resolver(made: &rcgen::CertifiedKey<rcgen::KeyPair>) -> Arc<dyn ResolvesServerCert> {
    Arc::new(SingleCertAndKey::from(certified(made)))
}

fn certified(made: &rcgen::CertifiedKey<rcgen::KeyPair>) -> CertifiedKey {
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
    CertifiedKey::new(vec![made.cert.der().clone()], key)
}

impl Running {
    fn client(&self, version: &'static SupportedProtocolVersion) -> TlsConnector {
        TlsConnector::from(Arc::new(self.trusting(version).with_no_client_auth()))
    }

    fn trusting(
        &self,
        version: &'static SupportedProtocolVersion,
    ) -> tokio_rustls::rustls::ConfigBuilder<ClientConfig, tokio_rustls::rustls::client::WantsClientCert>
    {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn encrypted(&self, connector: &TlsConnector) -> TlsStream<TcpStream> {
        let name = ServerName::try_from("mx.in.test").unwrap();
        connector.connect(name, self.connect().await).await.unwrap()
    }

    async fn stopped(self) {
        self.stop.send(true).unwrap();
        self.task.await.unwrap();
    }
}

/// Sends something and reads until the last line of the reply to it has come.
async fn say<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, octets: &[u8], last: &str) -> String {
    stream.write_all(octets).await.unwrap();
    stream.flush().await.unwrap();
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&said).into_owned();
        if text.ends_with('\n') && text.lines().last().is_some_and(|line| line.starts_with(last)) {
            return text;
        }
        match tokio::time::timeout(Duration::from_secs(20), stream.read(&mut buffer)).await.unwrap() {
            Ok(length) if length > 0 => said.extend_from_slice(&buffer[..length]),
            _ => panic!("closed after {text:?}, {last:?} was waited for"),
        }
    }
}

async fn rest<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut said = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut said)).await.unwrap();
    drop(read);
    String::from_utf8_lossy(&said).into_owned()
}

/// proves: GW-8, GW-9
#[tokio::test]
async fn a_message_comes_over_starttls_of_both_versions() {
    let server = serve(Service::Transfer, |_| {}).await;
    for (version, name) in [(&version::TLS12, "TLSv1.2"), (&version::TLS13, "TLSv1.3")] {
        let mut stream = server.connect().await;
        say(&mut stream, b"", "220 ").await;
        assert!(say(&mut stream, b"EHLO a\r\n", "250 ").await.contains("250-STARTTLS\r\n"));
        say(&mut stream, b"STARTTLS\r\n", "220 ").await;
        let server_name = ServerName::try_from("mx.in.test").unwrap();
        let mut stream = server.client(version).connect(server_name, stream).await.unwrap();
        assert!(!say(&mut stream, b"EHLO a\r\n", "250 ").await.contains("STARTTLS"));
        let begin = b"MAIL FROM:<eve@far.test>\r\nRCPT TO:<bob@in.test>\r\nDATA\r\n";
        say(&mut stream, begin, "354 ").await;
        say(&mut stream, b"Subject: x\r\n\r\n.\r\n", "250 2.0.0 ").await;
        say(&mut stream, b"QUIT\r\n", "221 ").await;
        let letter = server.handler.taken().pop().unwrap();
        assert!(letter.received.contains(&format!(" with ESMTPS ({name} with TLS_")), "{}", letter.received);
        assert_eq!(letter.client.certificate_digest, None);
    }
    server.stopped().await;
}

/// proves: GW-8
#[tokio::test]
async fn what_is_injected_behind_starttls_ends_the_session() {
    let server = serve(Service::Transfer, |_| {}).await;
    let mut stream = server.connect().await;
    say(&mut stream, b"EHLO a\r\n", "250 ").await;
    stream.write_all(b"STARTTLS\r\nEHLO b\r\nMAIL FROM:<eve@far.test>\r\n").await.unwrap();
    assert_eq!(rest(&mut stream).await, "220 2.0.0 begin\r\n");
    drop(stream);
    server.stopped().await;
}

#[tokio::test]
async fn sessions_of_tls_are_resumed() {
    let server = serve(Service::Submissions, |_| {}).await;
    for version in [&version::TLS12, &version::TLS13] {
        let connector = server.client(version);
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut stream = server.encrypted(&connector).await;
            say(&mut stream, b"NOOP\r\n", "250 ").await;
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind), "{version:?}");
            say(&mut stream, b"QUIT\r\n", "221 ").await;
        }
    }
    server.stopped().await;
}

/// proves: GW-11, MAV-1
#[tokio::test]
async fn a_login_by_scram_and_a_certificate_are_known() {
    let server = serve(Service::Submissions, |_| {}).await;
    let ours = rcgen::generate_simple_self_signed(vec!["laptop.test".to_owned()]).unwrap();
    let resolver = Arc::new(SingleCertAndKey::from(certified(&ours)));
    let config = server.trusting(&version::TLS13).with_client_cert_resolver(resolver);
    let mut stream = server.encrypted(&TlsConnector::from(Arc::new(config))).await;
    say(&mut stream, b"EHLO a\r\n", "250 ").await;
    let first = format!("AUTH SCRAM-SHA-256 {}\r\n", BASE64.encode(b"n,,n=bob,r=abc"));
    let said = say(&mut stream, first.as_bytes(), "334 ").await;
    let server_first = String::from_utf8(BASE64.decode(said[4..].trim_end().as_bytes()).unwrap()).unwrap();
    let (last, _) = scram_last("n=bob,r=other", &server_first);
    say(&mut stream, format!("{}\r\n", BASE64.encode(last.as_bytes())).as_bytes(), "535 5.7.8 ").await;
    assert_eq!(server.handler.failed(), ["bob"]);
    let said = say(&mut stream, first.as_bytes(), "334 ").await;
    let server_first = String::from_utf8(BASE64.decode(said[4..].trim_end().as_bytes()).unwrap()).unwrap();
    let (last, server_last) = scram_last("n=bob,r=abc", &server_first);
    let said = say(&mut stream, format!("{}\r\n", BASE64.encode(last.as_bytes())).as_bytes(), "334 ").await;
    assert_eq!(BASE64.decode(said[4..].trim_end().as_bytes()).unwrap(), server_last.as_bytes());
    say(&mut stream, b"\r\n", "235 ").await;
    say(&mut stream, b"MAIL FROM:<bob@in.test>\r\nRCPT TO:<amy@o.test>\r\nDATA\r\n", "354 ").await;
    say(&mut stream, b"x\r\n.\r\n", "250 2.0.0 ").await;
    let letter = server.handler.taken().pop().unwrap();
    assert_eq!(letter.client.account.as_deref(), Some("bob"));
    let digest = aws_lc_rs_digest(ours.cert.der());
    assert_eq!(letter.client.certificate_digest.map(|digest| digest.to_vec()), Some(digest));
    drop(stream);
    server.stopped().await;
}

fn aws_lc_rs_digest(octets: &[u8]) -> Vec<u8> {
    ::aws_lc_rs::digest::digest(&::aws_lc_rs::digest::SHA256, octets).as_ref().to_vec()
}

/// The client's side of RFC 5802 section 3 for the password `secret`.
fn scram_last(first_bare: &str, server_first: &str) -> (String, String) {
    use ::aws_lc_rs::{digest, hmac, pbkdf2};
    let mut salted = [0; 32];
    let rounds = 4096.try_into().unwrap();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, b"salt", b"secret", &mut salted);
    let key = |octets: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, octets);
    let client_key = hmac::sign(&key(&salted), b"Client Key");
    let server_key = hmac::sign(&key(&salted), b"Server Key");
    let stored = digest::digest(&digest::SHA256, client_key.as_ref());
    let nonce = server_first.split(',').next().unwrap();
    let message = format!("{first_bare},{server_first},c=biws,{nonce}");
    let signature = hmac::sign(&key(stored.as_ref()), message.as_bytes());
    let proof: Vec<u8> =
        client_key.as_ref().iter().zip(signature.as_ref()).map(|(one, two)| one ^ two).collect();
    let server_signature = hmac::sign(&key(server_key.as_ref()), message.as_bytes());
    let last = format!("c=biws,{nonce},p={}", BASE64.encode(&proof));
    (last, format!("v={}", BASE64.encode(server_signature.as_ref())))
}

/// proves: GW-10
#[tokio::test]
async fn connections_are_bounded_for_each_address_and_in_all() {
    for change in
        [(|parts| parts.settings.limits.connections_per_address_max = 2) as fn(&mut Parts), |parts| {
            parts.settings.limits.connections_max = 2
        }]
    {
        let server = serve(Service::Transfer, change).await;
        let mut one = server.connect().await;
        let mut two = server.connect().await;
        say(&mut one, b"", "220 ").await;
        say(&mut two, b"", "220 ").await;
        assert!(rest(&mut server.connect().await).await.starts_with("421 4.3.2 too many connections"));
        say(&mut one, b"QUIT\r\n", "221 ").await;
        assert_eq!(rest(&mut one).await, "");
        drop(one);
        // The place is given back a moment after the end has been seen.
        let mut tries = 0;
        while !rest_of_greeting(&mut server.connect().await).await.starts_with("220 ") {
            tries += 1;
            assert!(tries < 1_000);
            tokio::task::yield_now().await;
        }
        drop(two);
        server.stopped().await;
    }
}

async fn rest_of_greeting(stream: &mut TcpStream) -> String {
    let mut buffer = [0; 100];
    let length = stream.read(&mut buffer).await.unwrap_or_default();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

/// proves: GW-14
#[tokio::test]
async fn a_server_stops_after_what_is_under_way() {
    let server = serve(Service::Transfer, |_| {}).await;
    let mut idle = server.connect().await;
    let mut busy = server.connect().await;
    say(&mut idle, b"EHLO a\r\n", "250 ").await;
    let begin = b"HELO a\r\nMAIL FROM:<eve@far.test>\r\nRCPT TO:<bob@in.test>\r\nDATA\r\n";
    say(&mut busy, begin, "354 ").await;
    server.stop.send(true).unwrap();
    assert_eq!(rest(&mut idle).await, "421 4.3.2 this server is stopping; closing\r\n");
    drop(idle);
    busy.write_all(b"x\r\n.\r\n").await.unwrap();
    let said = rest(&mut busy).await;
    assert!(said.starts_with("250 2.0.0 taken") && said.contains("\r\n421 4.3.2 "), "{said}");
    drop(busy);
    server.task.await.unwrap();
    assert_eq!(server.handler.taken().len(), 1);
}

#[tokio::test]
async fn a_large_message_comes_whole() {
    let server = serve(Service::Transfer, |_| {}).await;
    let mut message = Vec::new();
    for number in 0..200_000_u32 {
        message.extend_from_slice(format!(".{number} some text\r\n").as_bytes());
    }
    let stuffed = String::from_utf8(message.clone()).unwrap().replace("\r\n.", "\r\n..");
    let mut stream = server.connect().await;
    let begin = b"EHLO a\r\nMAIL FROM:<eve@far.test>\r\nRCPT TO:<bob@in.test>\r\nDATA\r\n";
    say(&mut stream, begin, "354 ").await;
    say(&mut stream, format!(".{stuffed}.\r\n").as_bytes(), "250 2.0.0 ").await;
    let chunk =
        format!("MAIL FROM:<eve@far.test>\r\nRCPT TO:<bob@in.test>\r\nBDAT {} LAST\r\n", message.len());
    let octets = [chunk.as_bytes(), &message].concat();
    say(&mut stream, &octets, "250 2.0.0 taken").await;
    let taken = server.handler.taken();
    assert!(taken[0].octets == message && taken[1].octets == message);
    drop(stream);
    server.stopped().await;
}
