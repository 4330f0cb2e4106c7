//! A load over SMTP (RFC 5321) that costs as little as it can: kept sessions, pipelined commands (RFC 2920), and TLS after
//! STARTTLS (RFC 3207) where it is asked for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use crate::torture::Trouble;

/// What is asked of a server.
#[derive(Clone)]
pub struct Smtp {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether TLS is begun.
    pub tls: bool,
    /// The one recipient of each message.
    pub to: &'static str,
}

/// Loads of this process: each has messages of its own.
static RUNS: AtomicU64 = AtomicU64::new(0);
/// How long a server may think about one command.
const PATIENCE: Duration = Duration::from_secs(60);

impl Smtp {
    /// Messages of so many octets in a second, over so many sessions that are kept. Blocks.
    ///
    /// # Errors
    /// Where one is not accepted.
    pub fn load(&self, sessions: usize, messages: u64, octets: usize) -> Result<f64, Trouble> {
        let body: Arc<[u8]> = body(octets).into();
        let next = Arc::new(AtomicU64::new(0));
        // Sessions are opened before the clock starts, as our connection is.
        let open: Vec<Session> = (0..sessions).map(|_| Session::open(self)).collect::<Result<_, _>>()?;
        #[expect(clippy::disallowed_methods, reason = "measures what it does")]
        let since = Instant::now();
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let workers: Vec<_> = open
            .into_iter()
            .map(|mut session| {
                let (body, next, to) = (body.clone(), next.clone(), self.to);
                std::thread::spawn(move || -> Result<(), Trouble> {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= messages {
                            return session.quit();
                        }
                        session.send(&format!("{run}-{number}"), to, &body)?;
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().map_err(|_| "a session has panicked")??;
        }
        Ok(messages as f64 / since.elapsed().as_secs_f64())
    }
}

/// Says these lines to a server, one after the other: the last line of each reply, the greeting first. What was said in the
/// place of DATA's content is one of them, with its dot.
///
/// # Errors
/// Where the connection is lost or nothing comes.
pub fn dialogue(server: SocketAddr, lines: &[&str]) -> std::io::Result<Vec<String>> {
    let stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut stream = BufReader::new(stream);
    let mut said = Vec::new();
    for line in std::iter::once(None).chain(lines.iter().map(Some)) {
        if let Some(line) = line {
            stream.get_mut().write_all(format!("{line}\r\n").as_bytes())?;
        }
        let mut reply = String::new();
        while reply.is_empty() || reply.as_bytes().get(3) == Some(&b'-') {
            reply.clear();
            if stream.read_line(&mut reply)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        said.push(reply.trim_end().to_owned());
    }
    Ok(said)
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// One session with a server.
pub struct Session {
    stream: BufReader<Stream>,
    /// Whether several commands may go at once: OpenSMTPD takes one at a time.
    pipelining: bool,
}

impl Session {
    /// Connects, and begins TLS where it is asked for.
    ///
    /// # Errors
    /// Where the server does not want to.
    pub fn open(smtp: &Smtp) -> Result<Session, Trouble> {
        let stream = TcpStream::connect(smtp.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut session = Session { stream: BufReader::new(Stream::Plain(stream)), pipelining: false };
        session.expect(220)?;
        session.greet()?;
        if !smtp.tls {
            return Ok(session);
        }
        session.write(b"STARTTLS\r\n")?;
        session.expect(220)?;
        let Stream::Plain(stream) = session.stream.into_inner() else { return Err("TLS twice".into()) };
        let connection = ClientConnection::new(any_server()?, ServerName::try_from("server.test")?)?;
        let stream = Stream::Tls(Box::new(StreamOwned::new(connection, stream)));
        let mut session = Session { stream: BufReader::new(stream), pipelining: false };
        session.greet()?;
        Ok(session)
    }

    /// The certificate that the server has shown, as DER.
    pub fn certificate(&self) -> Option<Vec<u8>> {
        match self.stream.get_ref() {
            Stream::Plain(_) => None,
            Stream::Tls(stream) => stream.conn.peer_certificates()?.first().map(|one| one.to_vec()),
        }
    }

    fn greet(&mut self) -> Result<(), Trouble> {
        self.write(b"EHLO mx.legacy.test\r\n")?;
        self.pipelining = self.expect(250)?.iter().any(|line| line.contains("PIPELINING"));
        Ok(())
    }

    /// Hands one message over, whose Message-Id and subject have this name; comes back once it was acknowledged.
    ///
    /// # Errors
    /// Where it was not.
    pub fn send(&mut self, number: &str, to: &str, body: &[u8]) -> Result<(), Trouble> {
        let commands = ["MAIL FROM:<load@legacy.test>\r\n", &format!("RCPT TO:<{to}>\r\n"), "DATA\r\n"];
        if self.pipelining {
            self.write(commands.concat().as_bytes())?;
        }
        for (command, code) in commands.iter().zip([250, 250, 354]) {
            if !self.pipelining {
                self.write(command.as_bytes())?;
            }
            self.expect(code)?;
        }
        let header = format!(
            "From: <load@legacy.test>\r\nTo: <{to}>\r\nSubject: load {number}\r\n\
             Date: Thu, 1 Jan 2026 12:00:00 +0000\r\nMessage-Id: <{number}@legacy.test>\r\n\r\n"
        );
        let mut octets = Vec::with_capacity(header.len() + body.len() + 5);
        octets.extend_from_slice(header.as_bytes());
        octets.extend_from_slice(body);
        octets.extend_from_slice(b".\r\n");
        self.write(&octets)?;
        self.expect(250).map(drop)
    }

    /// Takes leave.
    ///
    /// # Errors
    /// Where the server is gone.
    pub fn quit(&mut self) -> Result<(), Trouble> {
        self.write(b"QUIT\r\n")?;
        self.expect(221).map(drop)
    }

    fn write(&mut self, octets: &[u8]) -> Result<(), Trouble> {
        let stream = self.stream.get_mut();
        stream.write_all(octets)?;
        Ok(stream.flush()?)
    }

    /// Reads one reply, of whatever many lines.
    fn expect(&mut self, code: u16) -> Result<Vec<String>, Trouble> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            if !line.starts_with(&code.to_string()) {
                return Err(format!("{code} was expected, and {line:?} came").into());
            }
            let last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if last {
                return Ok(lines);
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.write(octets),
            Stream::Tls(stream) => stream.write(octets),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

/// Lines of text, the last one ended.
pub fn body(octets: usize) -> Vec<u8> {
    const LINE: &[u8] = b"The quick brown fox jumps over the lazy dog, and the dog does not mind.\r\n";
    let mut body: Vec<u8> = LINE.iter().copied().cycle().take(octets.saturating_sub(2)).collect();
    // A line end that was cut in two is no line end.
    if body.last() == Some(&b'\r') {
        body.pop();
        body.push(b'x');
    }
    body.extend_from_slice(b"\r\n");
    body
}

/// TLS with whoever answers: as between mail servers without DANE.
///
/// # Errors
/// Where the cryptography cannot be set up.
pub fn any_server() -> Result<Arc<ClientConfig>, Trouble> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
