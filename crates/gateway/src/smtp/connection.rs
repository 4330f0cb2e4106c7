//! One connection: octets between the network and the machine of the session.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, ServerConnection};
use tokio_rustls::server::TlsStream;

use crate::limits::{
    SMTP_HANDSHAKE_MS_MAX, SMTP_LINGER_MS_MAX, SMTP_LINGER_OCTETS_MAX, SMTP_READ_OCTETS, SMTP_WRITE_MS_MAX,
};
use crate::{Client, Service};

use super::server::Server;
use super::session::{Encrypted, Input, Output, Session};

/// How a conversation has ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// For good.
    Closed,
    /// The client wants TLS, and nothing has come in the clear behind that.
    StartTls,
}

/// Speaks with one client until the end.
pub(super) async fn run(
    server: &Server,
    mut stream: TcpStream,
    address: IpAddr,
    service: Service,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let tls = server.parts.tls.clone();
    let client = Client {
        address: address.to_canonical(),
        came_to: stream.local_addr()?.ip().to_canonical(),
        helo: String::new(),
        extended: false,
        service,
        tls: None,
        certificate_digest: None,
        account: None,
    };
    if service == Service::Submissions {
        let Some(tls) = tls else { return Ok(()) };
        let (mut stream, encrypted) = encrypt(stream, tls).await?;
        let mut session = server.session(client);
        session.already(encrypted);
        return converse(server, &mut stream, &mut session, &mut stop).await.map(drop);
    }
    let mut session = server.session(client);
    if converse(server, &mut stream, &mut session, &mut stop).await? == End::Closed {
        return Ok(());
    }
    let Some(tls) = tls else { return Ok(()) };
    let (mut stream, encrypted) = encrypt(stream, tls).await?;
    session.handle(server.now_ms(), Input::Encrypted(encrypted));
    converse(server, &mut stream, &mut session, &mut stop).await.map(drop)
}

async fn encrypt(stream: TcpStream, tls: Arc<ServerConfig>) -> io::Result<(TlsStream<TcpStream>, Encrypted)> {
    let handshake = TlsAcceptor::from(tls).accept(stream);
    let stream = timeout(Duration::from_millis(SMTP_HANDSHAKE_MS_MAX), handshake).await??;
    let encrypted = describe(stream.get_ref().1);
    Ok((stream, encrypted))
}

fn describe(connection: &ServerConnection) -> Encrypted {
    let version = connection.protocol_version().and_then(|version| version.as_str()).unwrap_or("TLS");
    let suite = connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
    let digest = |octets: &[u8]| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets);
        <[u8; 32]>::try_from(digest.as_ref()).ok()
    };
    let certificate = connection.peer_certificates().and_then(|certificates| certificates.first());
    Encrypted {
        // The name at IANA has no version in it.
        description: format!(
            "{} with {}",
            version.replace('_', "."),
            suite.unwrap_or("unknown").replace("TLS13_", "TLS_")
        ),
        certificate_digest: certificate.and_then(|certificate| digest(certificate)),
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    server: &Server,
    stream: &mut S,
    session: &mut Session,
    stop: &mut watch::Receiver<bool>,
) -> io::Result<End> {
    let mut buffer = vec![0; SMTP_READ_OCTETS];
    let mut stopping = false;
    loop {
        while let Some(output) = session.poll() {
            match output {
                Output::Pause(milliseconds) => tokio::time::sleep(Duration::from_millis(milliseconds)).await,
                Output::Send(octets) => write(stream, &octets).await?,
                Output::Ask(question) => {
                    let answer = server.answer(&Arc::clone(session.client()), question).await;
                    session.handle(server.now_ms(), answer);
                }
                Output::StartTls => return Ok(End::StartTls),
                Output::Close => {
                    linger(stream, &mut buffer).await;
                    return Ok(End::Closed);
                }
            }
        }
        let now_ms = server.now_ms();
        let wait = session.wake_at().unwrap_or(now_ms).saturating_sub(now_ms);
        tokio::select! {
            biased;
            read = timeout(Duration::from_millis(wait), stream.read(&mut buffer)) => match read {
                Ok(Ok(0)) => return Ok(End::Closed),
                Ok(Ok(length)) => session.handle(server.now_ms(), Input::Octets(&buffer[..length])),
                Ok(Err(error)) => return Err(error),
                Err(_) => session.handle(server.now_ms().max(now_ms + wait), Input::Time),
            },
            _ = stop.wait_for(|stop| *stop), if !stopping => {
                stopping = true;
                session.handle(server.now_ms(), Input::Shutdown);
            }
        }
    }
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, octets: &[u8]) -> io::Result<()> {
    let write = async {
        stream.write_all(octets).await?;
        stream.flush().await
    };
    timeout(Duration::from_millis(SMTP_WRITE_MS_MAX), write).await?
}

/// Ends our side and forgets what still comes for a while: closing with unread octets would reset the connection, and
/// the last reply with it.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, buffer: &mut [u8]) {
    let rest = async {
        let _ = stream.shutdown().await;
        let mut forgotten = 0;
        while forgotten < SMTP_LINGER_OCTETS_MAX {
            match stream.read(buffer).await {
                Ok(length) if length > 0 => forgotten += length,
                _ => break,
            }
        }
    };
    let _ = timeout(Duration::from_millis(SMTP_LINGER_MS_MAX), rest).await;
}
