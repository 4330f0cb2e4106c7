//! A server that follows a script, for tests: what it must hear and what it says, line by line.
//!
//! Each line is one of `S text` (it says this line), `C text` (it must hear this line; a `*` at the end stands for
//! anything), `TLS` (it makes the handshake), `DATA` (it hears a message up to its dot), `BYTES n` (it hears n octets) and
//! `SILENT` (it says nothing until the other side goes away). After the last line it closes.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::connection::Duplex;
use super::tls::provider;

/// A running server: where it is, and what it has heard as content.
pub(super) struct Scripted {
    pub(super) address: SocketAddr,
    task: JoinHandle<Vec<String>>,
}

impl Scripted {
    /// Waits until all its scripts were followed; gives the messages it has heard.
    pub(super) async fn heard(self) -> Vec<String> {
        self.task.await.unwrap()
    }
}

/// Serves connections on loopback, each by its script, in the order in which they come.
pub(super) async fn serve(scripts: &[&str], identity: Option<&Identity>) -> Scripted {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let scripts: Vec<String> = scripts.iter().map(|&script| script.to_owned()).collect();
    let settings = identity.map(Identity::settings);
    let task = tokio::spawn(async move {
        let mut sessions = Vec::new();
        for script in scripts {
            let (stream, _) = listener.accept().await.unwrap();
            let settings = settings.clone();
            sessions.push(tokio::spawn(async move {
                let mut heard = Vec::new();
                follow(Box::new(stream), &script, settings, &mut heard).await;
                heard
            }));
        }
        let mut heard = Vec::new();
        for session in sessions {
            heard.extend(session.await.unwrap());
        }
        heard
    });
    Scripted { address, task }
}

/// Follows one script on one connection.
pub(super) async fn follow(
    mut stream: Box<dyn Duplex>,
    script: &str,
    settings: Option<Arc<ServerConfig>>,
    heard: &mut Vec<String>,
) {
    for step in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (verb, rest) = step.split_once(' ').unwrap_or((step, ""));
        match verb {
            "S" => {
                stream.write_all(format!("{}\r\n", rest.replace("\\r\\n", "\r\n")).as_bytes()).await.unwrap()
            }
            "C" => expect(&mut stream, rest).await,
            "DATA" => {
                let mut message = String::new();
                loop {
                    let line = line(&mut stream).await.unwrap();
                    if line == "." {
                        break;
                    }
                    message.push_str(&line);
                    message.push('\n');
                }
                heard.push(message);
            }
            "BYTES" => {
                let mut octets = vec![0; rest.parse().unwrap()];
                stream.read_exact(&mut octets).await.unwrap();
                heard.push(String::from_utf8(octets).unwrap());
            }
            "TLS" => match TlsAcceptor::from(settings.clone().unwrap()).accept(stream).await {
                Ok(encrypted) => stream = Box::new(encrypted),
                // The client did not like what it saw.
                Err(_) => return,
            },
            "SILENT" => {
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
                return;
            }
            other => panic!("no step of a script: {other}"),
        }
    }
    let _ = stream.shutdown().await;
}

async fn expect(stream: &mut Box<dyn Duplex>, expected: &str) {
    let heard = line(stream).await.unwrap_or_else(|| panic!("closed, where {expected:?} was expected"));
    let good = match expected.strip_suffix('*') {
        Some(start) => heard.starts_with(start),
        None => heard == expected,
    };
    assert!(good, "heard {heard:?} where {expected:?} was expected");
}

/// A line without its CRLF, octet by octet: nothing that comes after it is taken.
async fn line(stream: &mut Box<dyn Duplex>) -> Option<String> {
    let mut octets = Vec::new();
    while !octets.ends_with(b"\r\n") {
        octets.push(stream.read_u8().await.ok()?);
    }
    octets.truncate(octets.len() - 2);
    Some(String::from_utf8(octets).unwrap())
}

/// A certificate for one name, by an authority of its own.
pub(super) struct Identity {
    pub(super) authority: CertificateDer<'static>,
    pub(super) certificate: CertificateDer<'static>,
    key: Vec<u8>,
    pub(super) key_info: Vec<u8>,
}

impl Identity {
    pub(super) fn new(name: &str) -> Identity {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        let pair = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = parameters.signed_by(&pair, &issuer).unwrap();
        Identity {
            authority: issuer.der().clone(),
            certificate: certificate.der().clone(),
            key: pair.serialize_der(),
            key_info: rcgen::PublicKeyData::subject_public_key_info(&pair),
        }
    }

    pub(super) fn roots(&self) -> Arc<RootCertStore> {
        let mut store = RootCertStore::empty();
        store.add(self.authority.clone()).unwrap();
        Arc::new(store)
    }

    fn settings(&self) -> Arc<ServerConfig> {
        let chain = vec![self.certificate.clone(), self.authority.clone()];
        let key = PrivatePkcs8KeyDer::from(self.key.clone());
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        Arc::new(builder.with_single_cert(chain, key.into()).unwrap())
    }
}
