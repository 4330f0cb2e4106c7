//! The old world of the quickstart: a server for legacy.test that keeps nothing, and a client of the old kind.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use gateway::out::{Outcome, Sender, Shipment};
use gateway::smtp::{NoChecks, Parts, Server};
use gateway::{
    Client, Handler, Later, Letter, LoginFailure, Recipient, Reply, ReturnPath, ScramKeys, Service, Verdict,
};
use message::Disposition;
use message::address::{Address, Domain};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::gateway::{MemoryRecords, environment};
use crate::{Error, clock};

/// The domain of the old world.
pub const LEGACY_DOMAIN: &str = "legacy.test";

/// What the server of legacy.test was brought.
#[derive(Debug, Clone)]
pub struct LegacyMail {
    /// MAIL FROM.
    pub return_path: Option<Address>,
    /// RCPT TO.
    pub recipients: Vec<Address>,
    /// The message as it came.
    pub octets: bytes::Bytes,
}

/// An ordinary mail server that takes everything for its domain. Dropping it ends it.
pub struct LegacyServer {
    address: SocketAddr,
    brought: tokio::sync::Mutex<mpsc::Receiver<LegacyMail>>,
    _stop: watch::Sender<bool>,
}

impl LegacyServer {
    pub(crate) async fn start(address: SocketAddr) -> Result<LegacyServer, Error> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| Error::Other(format!("no server for {LEGACY_DOMAIN} at {address}: {error}")))?;
        let address = listener.local_addr().map_err(|error| Error::Other(error.to_string()))?;
        let (mail, brought) = mpsc::channel(100);
        let domain = Domain::parse(LEGACY_DOMAIN).map_err(|error| Error::Other(error.to_string()))?;
        let server = Server::new(Parts {
            settings: gateway::smtp::Settings {
                host: format!("mx.{LEGACY_DOMAIN}"),
                domain: domain.clone(),
                limits: gateway::smtp::Limits::default(),
            },
            handler: Arc::new(Sink { domain, mail }),
            checks: Arc::new(NoChecks),
            cookies: None,
            rules: Arc::default(),
            host_names: None,
            tls: None,
            environment: environment(),
        });
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(server.serve(listener, Service::Transfer, stopped));
        Ok(LegacyServer { address, brought: tokio::sync::Mutex::new(brought), _stop: stop })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it is brought next.
    pub async fn brought(&self) -> Option<LegacyMail> {
        self.brought.lock().await.recv().await
    }
}

/// Hands one message to a server by SMTP, as any mail server would; what the server has said.
///
/// # Errors
/// Where it does not take the message, with its words.
pub async fn send_by_smtp(
    server: SocketAddr,
    resolver: Arc<dyn dns::Resolver>,
    from: &Address,
    to: &Address,
    octets: bytes::Bytes,
) -> Result<String, String> {
    let roots = Arc::new(tokio_rustls::rustls::RootCertStore::empty());
    let mut settings = gateway::out::Settings::new(
        format!("mx.{LEGACY_DOMAIN}"),
        roots,
        Arc::new(clock::now_ms),
        Arc::new(clock::random_below),
    );
    settings.fixed_addresses = BTreeMap::from([(to.domain().to_string(), vec![server])]);
    let sender = Sender::new(settings, resolver, Arc::new(MemoryRecords::default()));
    let shipment = Shipment {
        domain: to.domain().clone(),
        return_path: Some(from.clone()),
        recipients: vec![Recipient { address: to.clone(), notify: None, original: None }],
        octets,
        needs_smtputf8: false,
        envelope_id: None,
        headers_only: Some(true),
        parameters: Vec::new(),
        forwarded: false,
    };
    let report = sender.send(&shipment, &|_, _| {}).await;
    sender.close().await;
    match report.recipients.into_iter().next() {
        Some(Outcome::Taken { text, .. }) => Ok(text),
        Some(Outcome::Refused { code, text } | Outcome::Deferred { code, text }) => {
            Err(format!("{text} ({code})"))
        }
        Some(Outcome::Unfit { host, .. }) => Err(format!("{host} cannot take it in this form")),
        None => Err("nothing was answered".to_owned()),
    }
}

/// Takes everything for its domain, and keeps it only for who watches.
struct Sink {
    domain: Domain,
    mail: mpsc::Sender<LegacyMail>,
}

impl Handler for Sink {
    fn login<'a>(&'a self, _: &'a str, _: &'a str, _: IpAddr) -> Later<'a, Result<String, LoginFailure>> {
        Box::pin(async { Err(LoginFailure::Wrong) })
    }

    fn scram_keys<'a>(&'a self, _: &'a str, _: IpAddr) -> Later<'a, Result<ScramKeys, LoginFailure>> {
        Box::pin(async { Err(LoginFailure::Wrong) })
    }

    fn recipient<'a>(
        &'a self,
        _: &'a Client,
        _: &'a ReturnPath,
        recipient: &'a Recipient,
    ) -> Later<'a, Verdict> {
        let ours = *recipient.address.domain() == self.domain;
        let no = || Reply { digits: 550, code: message::Code::NOT_AUTHORIZED, text: "not here".to_owned() };
        Box::pin(async move { if ours { Verdict::Welcome } else { Verdict::No(no()) } })
    }

    fn take(&self, letter: Letter) -> Later<'_, Result<Vec<Disposition>, Reply>> {
        Box::pin(async move {
            let taken = vec![Disposition::Accepted; letter.recipients.len()];
            let recipients = letter.recipients.into_iter().map(|recipient| recipient.address).collect();
            let mail = LegacyMail { return_path: letter.return_path, recipients, octets: letter.octets };
            // Nobody may be watching any more; then it is gone, as this server keeps nothing.
            let _ = self.mail.try_send(mail);
            Ok(taken)
        })
    }
}
