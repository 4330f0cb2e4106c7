//! Octets to and from one server, each wait with its limit.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::limits::{BLOCK_OCTETS_MAX, REPLY_LINE_OCTETS_MAX, REPLY_LINES_MAX, REPLY_TEXT_OCTETS_MAX};
use super::reply::{Reply, read_line};

/// A stream of octets in both directions: TCP, TLS over it, or a socket of this machine.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send + Sync {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync> Duplex for T {}

/// Why a connection is of no use any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error("the connection was closed")]
    Closed,
    #[error("no answer in time")]
    TimedOut,
    #[error("the connection broke: {0}")]
    Failed(String),
    #[error("what came is no reply of SMTP: {0}")]
    Nonsense(&'static str),
}

/// A connection with what was read from it and not yet used.
pub(super) struct Connection {
    stream: Box<dyn Duplex>,
    unread: Vec<u8>,
}

impl Connection {
    pub(super) fn new(stream: Box<dyn Duplex>) -> Connection {
        Connection { stream, unread: Vec::new() }
    }

    /// The stream beneath, for TLS.
    ///
    /// # Errors
    /// Where octets came that nobody asked for: they were said in clear and would be taken for what comes over TLS.
    /// keeps: GW-46
    pub(super) fn into_stream(self) -> Result<Box<dyn Duplex>, Broken> {
        if self.unread.is_empty() {
            Ok(self.stream)
        } else {
            Err(Broken::Nonsense("octets after the reply to STARTTLS"))
        }
    }

    /// Whether octets are here that nobody has asked for, or the other side has closed.
    pub(super) async fn is_stale(&mut self) -> bool {
        let mut octet = [0; 1];
        // Zero time is enough: only what has arrived already is asked for.
        !self.unread.is_empty() || timeout(Duration::ZERO, self.stream.read(&mut octet)).await.is_ok()
    }

    /// Writes all and flushes, block by block, each within the limit.
    pub(super) async fn write(&mut self, octets: &[u8], limit: Duration) -> Result<(), Broken> {
        for block in octets.chunks(BLOCK_OCTETS_MAX) {
            within(limit, self.stream.write_all(block)).await?;
        }
        within(limit, self.stream.flush()).await
    }

    /// The next reply, all of it within the limit. keeps: GW-51
    pub(super) async fn reply(&mut self, limit: Duration) -> Result<Reply, Broken> {
        match timeout(limit, self.read_reply()).await {
            Ok(reply) => reply,
            Err(_) => Err(Broken::TimedOut),
        }
    }

    async fn read_reply(&mut self) -> Result<Reply, Broken> {
        let (mut digits, mut lines, mut kept) = (0, Vec::new(), 0);
        for number in 0..REPLY_LINES_MAX {
            let line = self.line().await?;
            let (said, last, text) = read_line(&line).ok_or(Broken::Nonsense("no three digits"))?;
            if number > 0 && said != digits {
                return Err(Broken::Nonsense("other digits on a later line"));
            }
            digits = said;
            kept += text.len();
            if kept <= REPLY_TEXT_OCTETS_MAX {
                lines.push(text);
            }
            if last {
                return Ok(Reply { digits, lines });
            }
        }
        Err(Broken::Nonsense("too many lines"))
    }

    async fn line(&mut self) -> Result<Vec<u8>, Broken> {
        let mut looked_at = 0;
        loop {
            let fresh = self.unread.get(looked_at..).unwrap_or_default();
            if let Some(end) = fresh.iter().position(|&octet| octet == b'\n') {
                let mut line: Vec<u8> = self.unread.drain(..=looked_at + end).collect();
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            looked_at = self.unread.len();
            if looked_at > REPLY_LINE_OCTETS_MAX {
                return Err(Broken::Nonsense("a line too long"));
            }
            let mut piece = [0; 2_048];
            let count =
                self.stream.read(&mut piece).await.map_err(|error| Broken::Failed(error.to_string()))?;
            if count == 0 {
                return Err(Broken::Closed);
            }
            self.unread.extend_from_slice(piece.get(..count).unwrap_or_default());
        }
    }
}

async fn within(limit: Duration, work: impl Future<Output = std::io::Result<()>>) -> Result<(), Broken> {
    match timeout(limit, work).await {
        Ok(done) => done.map_err(|error| Broken::Failed(error.to_string())),
        Err(_) => Err(Broken::TimedOut),
    }
}
