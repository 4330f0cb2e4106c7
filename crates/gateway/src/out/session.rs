//! One session: from the connection to the point where transactions can begin.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use message::Code;
use rustls::RootCertStore;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::connection::{Broken, Connection, Duplex};
use super::reply::Reply;
use super::settings::{Login, Times};
use super::tls::{Protection, handshake};
use super::trip::{Step, Trouble};

/// Which of the two protocols is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Smtp,
    /// One answer per recipient after the message (RFC 2033).
    Lmtp,
}

/// Whom to speak with, and how.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) host: String,
    pub(super) address: SocketAddr,
    pub(super) protection: Protection,
    /// TLS from the start.
    pub(super) implicit_tls: bool,
    pub(super) login: Option<Login>,
}

/// What every session of a sender is opened with.
#[derive(Clone)]
pub(super) struct Manner {
    pub(super) own_name: String,
    /// The address from which connections are made.
    pub(super) source: Option<IpAddr>,
    pub(super) roots: Arc<RootCertStore>,
    pub(super) times: Times,
}

/// What the other side can do, by its answer to EHLO.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Abilities {
    words: Vec<(String, String)>,
}

/// A session in which transactions can begin.
pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) abilities: Abilities,
    pub(super) protocol: Protocol,
    pub(super) host: String,
    pub(super) times: Times,
    /// Whether TLS protects it.
    pub(super) encrypted: bool,
    /// How many transactions were made on it.
    pub(super) served: u32,
    /// Whether a transaction was begun on it and not ended.
    pub(super) begun: bool,
}

impl Abilities {
    /// Reads the lines of the answer but its first (RFC 5321 section 4.1.1.1).
    pub(super) fn of(reply: &Reply) -> Abilities {
        let words = reply.lines.iter().skip(1).map(|line| {
            let (keyword, parameters) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
            (keyword.to_ascii_uppercase(), parameters.trim().to_owned())
        });
        Abilities { words: words.collect() }
    }

    pub(super) fn have(&self, keyword: &str) -> bool {
        self.of_keyword(keyword).is_some()
    }

    fn of_keyword(&self, keyword: &str) -> Option<&str> {
        let mut words = self.words.iter();
        words.find(|(word, _)| word.eq_ignore_ascii_case(keyword)).map(|(_, parameters)| parameters.as_str())
    }

    /// The largest message that is taken, in octets; none where that is not said.
    pub(super) fn size_max(&self) -> Option<u64> {
        self.of_keyword("SIZE").and_then(|text| text.parse().ok()).filter(|&octets| octets > 0)
    }

    fn has_mechanism(&self, name: &str) -> bool {
        self.of_keyword("AUTH")
            .is_some_and(|text| text.split(' ').any(|word| word.eq_ignore_ascii_case(name)))
    }
}

/// Opens a session over TCP. Where TLS is only wished for and its handshake fails, the host is called once more and spoken
/// to in clear. keeps: GW-45, GW-46
pub(super) async fn open(peer: &Peer, manner: &Manner) -> Result<Session, Trouble> {
    match open_once(peer, manner, true).await {
        Err(trouble) if trouble.step == Step::Tls && !peer.protection.is_required() => {
            open_once(peer, manner, false).await
        }
        other => other,
    }
}

async fn open_once(peer: &Peer, manner: &Manner, encrypt: bool) -> Result<Session, Trouble> {
    let times = &manner.times;
    let mut stream = connect(peer.address, manner.source, times).await?;
    if peer.implicit_tls {
        stream = encrypted(stream, peer, manner).await?;
    }
    let mut session = greet(stream, Protocol::Smtp, &peer.host, manner).await?;
    session.encrypted = peer.implicit_tls;
    if encrypt && !session.encrypted {
        session = start_tls(session, peer, manner).await?;
    }
    if let Some(login) = &peer.login {
        session.login(login).await?;
    }
    Ok(session)
}

async fn connect(
    address: SocketAddr,
    source: Option<IpAddr>,
    times: &Times,
) -> Result<Box<dyn Duplex>, Trouble> {
    let failed = |text: String| Trouble::new(Step::Connect, Code::NO_ANSWER, format!("{address}: {text}"));
    match timeout(times.connect, connect_from(source, address)).await {
        Ok(Ok(stream)) => {
            // A failure to set it costs time and nothing else.
            let _ = stream.set_nodelay(true);
            Ok(Box::new(stream))
        }
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed("no connection in time".to_owned())),
    }
}

async fn connect_from(source: Option<IpAddr>, address: SocketAddr) -> std::io::Result<TcpStream> {
    // The other family is not that of the source, so the system chooses there.
    let Some(source) = source.filter(|source| source.is_ipv4() == address.is_ipv4()) else {
        return TcpStream::connect(address).await;
    };
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(source, 0))?;
    socket.connect(address).await
}

async fn encrypted(
    stream: Box<dyn Duplex>,
    peer: &Peer,
    manner: &Manner,
) -> Result<Box<dyn Duplex>, Trouble> {
    let limit = manner.times.handshake;
    Ok(Box::new(handshake(stream, &peer.host, &peer.protection, &manner.roots, limit).await?))
}

/// Hears the greeting and says hello.
pub(super) async fn greet(
    stream: Box<dyn Duplex>,
    protocol: Protocol,
    host: &str,
    manner: &Manner,
) -> Result<Session, Trouble> {
    let mut session = Session {
        connection: Connection::new(stream),
        abilities: Abilities::default(),
        protocol,
        host: host.to_owned(),
        times: manner.times,
        encrypted: false,
        served: 0,
        begun: false,
    };
    let limit = session.times.greeting;
    let greeting = session.connection.reply(limit).await.map_err(|broken| lost(Step::Greeting, &broken))?;
    if greeting.digits == 521 {
        return Err(Trouble::answered(Step::Greeting, &greeting));
    }
    if !greeting.is_positive() {
        // Another host of the domain may take it: a greeting says nothing about the message.
        return Err(Trouble::answered(Step::Greeting, &greeting).temporary());
    }
    session.hello(&manner.own_name).await?;
    Ok(session)
}

async fn start_tls(mut session: Session, peer: &Peer, manner: &Manner) -> Result<Session, Trouble> {
    let (host, required) = (peer.host.as_str(), peer.protection.is_required());
    if !session.abilities.have("STARTTLS") {
        if !required {
            return Ok(session);
        }
        let text = format!("{host} does not offer STARTTLS, which is required there");
        return Err(Trouble::of_tls("starttls-not-supported", Code::new(4, 7, 4), text));
    }
    let reply = session.command(Step::Tls, "STARTTLS").await?;
    if reply.digits != 220 {
        if !required {
            return Ok(session);
        }
        let text = format!("{host} refuses STARTTLS: {}", reply.text());
        return Err(Trouble::of_tls("starttls-not-supported", Code::new(4, 7, 4), text));
    }
    let stream = session.connection.into_stream().map_err(|broken| {
        Trouble::of_tls("validation-failure", Code::new(4, 7, 5), format!("{host}: {broken}"))
    })?;
    session.connection = Connection::new(encrypted(stream, peer, manner).await?);
    session.encrypted = true;
    // What was said before TLS is forgotten (RFC 3207 section 4.2).
    session.abilities = Abilities::default();
    session.hello(&manner.own_name).await?;
    Ok(session)
}

/// A connection that is of no use any more.
pub(super) fn lost(step: Step, broken: &Broken) -> Trouble {
    let code = match broken {
        Broken::Nonsense(_) => Code::new(4, 5, 0),
        Broken::TimedOut if step <= Step::Greeting => Code::NO_ANSWER,
        _ => Code::BAD_CONNECTION,
    };
    Trouble::new(step, code, broken.to_string())
}

impl Session {
    /// One command and its reply.
    pub(super) async fn command(&mut self, step: Step, line: &str) -> Result<Reply, Trouble> {
        let (octets, limit) = (format!("{line}\r\n"), self.times.command);
        self.connection.write(octets.as_bytes(), limit).await.map_err(|broken| lost(step, &broken))?;
        self.connection.reply(limit).await.map_err(|broken| lost(step, &broken))
    }

    async fn hello(&mut self, own_name: &str) -> Result<(), Trouble> {
        let verb = if self.protocol == Protocol::Lmtp { "LHLO" } else { "EHLO" };
        let reply = self.command(Step::Hello, &format!("{verb} {own_name}")).await?;
        if reply.is_positive() {
            let named = reply.lines.first().and_then(|line| line.split(' ').next()).unwrap_or_default();
            if self.protocol == Protocol::Smtp && named.eq_ignore_ascii_case(own_name) {
                let text =
                    format!("{} says that it is {own_name}: mail would loop back to ourselves", self.host);
                return Err(Trouble::new(Step::Hello, Code::LOOP, text));
            }
            self.abilities = Abilities::of(&reply);
            return Ok(());
        }
        if !reply.is_permanent() || self.protocol == Protocol::Lmtp {
            return Err(Trouble::answered(Step::Hello, &reply).temporary());
        }
        // An old server (RFC 5321 section 3.2).
        let reply = self.command(Step::Hello, &format!("HELO {own_name}")).await?;
        if reply.is_positive() { Ok(()) } else { Err(Trouble::answered(Step::Hello, &reply).temporary()) }
    }

    /// AUTH PLAIN, over TLS only. keeps: GW-57
    async fn login(&mut self, login: &Login) -> Result<(), Trouble> {
        let failed = |text: &str| Trouble::new(Step::Login, Code::new(4, 7, 0), format!("login: {text}"));
        if !self.encrypted {
            return Err(failed("never without TLS"));
        }
        if !self.abilities.has_mechanism("PLAIN") {
            return Err(failed("the host does not offer AUTH PLAIN"));
        }
        let response = format!("\0{}\0{}", login.name, login.password);
        let response = data_encoding::BASE64.encode(response.as_bytes());
        let reply = self.command(Step::Login, &format!("AUTH PLAIN {response}")).await?;
        // The operator can mend it: mail waits.
        if reply.is_positive() { Ok(()) } else { Err(Trouble::answered(Step::Login, &reply).temporary()) }
    }

    /// Makes an idle session ready again: false where the other side has gone.
    pub(super) async fn is_ready_again(&mut self) -> bool {
        !self.connection.is_stale().await && self.reset().await.is_ok()
    }

    /// Ends a transaction that was begun.
    pub(super) async fn reset(&mut self) -> Result<(), Trouble> {
        let reply = self.command(Step::Mail, "RSET").await?;
        if !reply.is_positive() {
            return Err(Trouble::answered(Step::Mail, &reply).temporary());
        }
        self.begun = false;
        Ok(())
    }

    /// Says goodbye and does not wait for the answer.
    pub(super) async fn quit(mut self) {
        // It is over anyway.
        let _ = self.connection.write(b"QUIT\r\n", std::time::Duration::from_secs(1)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abilities_are_read() {
        let lines = ["mx.south.test greets you", "size 1000", "AUTH LOGIN plain", "8BITMIME", "PIPELINING "];
        let reply = Reply { digits: 250, lines: lines.map(str::to_owned).to_vec() };
        let abilities = Abilities::of(&reply);
        assert_eq!(abilities.size_max(), Some(1000));
        assert!(abilities.has_mechanism("PLAIN") && !abilities.has_mechanism("SCRAM-SHA-256"));
        assert!(abilities.have("8bitmime") && abilities.have("PIPELINING"));
        assert!(!abilities.have("mx.south.test") && !abilities.have("CHUNKING"));
        let none = Abilities::of(&Reply { digits: 250, lines: vec!["x".to_owned(), "SIZE 0".to_owned()] });
        assert_eq!(none.size_max(), None);
    }
}
