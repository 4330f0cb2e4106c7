//! Every bound of this crate, and the helpers that hold a stream to its bounds in time.

use crate::endpoint::SendStream;
use crate::error::{Code, Error};
use bytes::{Bytes, BytesMut};
use quinn::{IdleTimeout, ReadError, RecvStream, TransportConfig, VarInt};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Most octets of the settings that a server sends in its first flight: what a client must be ready to take
/// from anybody. Before the client's address is proved only three times its first flight may be sent (RFC
/// 9000, section 8.1), some 7200 octets with the certificate chain, so settings beyond 1 KiB can cost a round
/// trip.
pub const SETTINGS_OCTETS_MAX: usize = 4096;
/// Octets of one pushed stream: one frame with its length. Room for as many cookies as go into a poll.
pub const PUSHED_OCTETS_MAX: usize = 64 * 1024 + 8;
/// Most certificates in a peer's chain: public chains have two to four.
pub const CHAIN_CERTIFICATES_MAX: usize = 8;
/// Most octets of a peer's whole chain: public chains have below 8 KiB, and each connection keeps its own
/// copy.
pub const CHAIN_OCTETS_MAX: usize = 32 * 1024;
/// Most names that are read from one certificate: public authorities issue at most 100.
pub const CERTIFICATE_NAMES_MAX: usize = 100;
/// Most octets of a PEM text with key or chain: ten times the largest in common use.
pub const PEM_OCTETS_MAX: usize = 256 * 1024;
/// Most TLS client configurations that are kept for use again: some hundred peers are talked to at a time,
/// and one is cheap to build anew.
pub const CLIENT_CONFIGS_MAX: usize = 512;
/// Most addresses that are tried for one connection: hosts publish a handful.
pub const ADDRESSES_MAX: usize = 16;
/// How long one address is given before the next is tried beside it (RFC 8305, section 5).
pub const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// How long a stream may last whatever it moves: a first flight, a peer that thinks, an answer of two frames.
const STREAM_GRACE: Duration = Duration::from_secs(120);
/// Most pieces that one read takes. Each frame of a stream is one, so with full datagrams these are some 90 KiB.
const PIECES_MAX: usize = 64;
/// Octets that buy a stream one more second: a hundred streams at this pace fill a line of 200 kbit/s.
const OCTETS_FOR_A_SECOND: u64 = 256;

/// Connection attempts that wait for the accept loop: the loop only counts, so a queue means an attack.
const INCOMING_WAITING_MAX: usize = 1024;
/// Octets buffered for one waiting attempt: two large first flights.
const INCOMING_BUFFER_OCTETS: u64 = 64 * 1024;
/// Octets buffered for all waiting attempts together: memory that anybody can make us use.
const INCOMING_BUFFER_OCTETS_TOTAL: u64 = 8 * 1024 * 1024;

/// The limits that the operator may set.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A connection without any packet for this long is dead. The lower of both sides' values counts.
    pub idle_time: Duration,
    /// A client sends a sign of life this often, so that its connection outlives the wait for an answer;
    /// `None` sends none. Must be well below both sides' idle time.
    pub keep_alive: Option<Duration>,
    /// From the first packet to the authenticated peer.
    pub handshake_time: Duration,
    /// A stream that moves no octet for this long is given up.
    pub stall_time: Duration,
    /// A stream that lasts longer than this is given up, although it moves; one that moves little has two minutes, and a
    /// second more for each 256 octets.
    pub stream_time: Duration,
    /// Streams that a peer may have open at once, each a transaction.
    pub peer_streams: u32,
    /// Streams that a server may open towards us at once (settings and pushed status).
    pub peer_pushes: u32,
    /// Octets that a peer may send on one stream ahead of our reading.
    pub stream_window: u32,
    /// Octets that a peer may send on all streams ahead of our reading: most of the memory that one peer can take. Beside it
    /// each stream has at most one read of 128 KiB in hand, and 32 KiB of a part that wait for more.
    pub connection_window: u32,
    /// Octets that we buffer towards one peer until it acknowledges them.
    pub send_window: u64,
    /// Connections that a server holds at once.
    pub connections: usize,
    /// Connections that a server holds at once from one IPv4 address or IPv6 /64 network.
    pub connections_per_address: usize,
    /// Connections that a server holds at once from one IPv6 /48 network.
    pub connections_per_site: usize,
    /// A connection on which nothing is under way for this long is closed by the server, unless its peer has proved who
    /// it is.
    pub unproved_time: Duration,
    /// With this many handshakes in progress a server asks unproven addresses to prove themselves (Retry).
    pub handshakes_before_retry: usize,
    /// Connections that a pool holds at once.
    pub pool_connections: usize,
    /// A pooled connection that nobody has used for this long is closed.
    pub pool_idle_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Longer than the keep-alive interval twice over, so that one lost sign of life does no harm.
            idle_time: Duration::from_secs(60),
            // Below the 30 seconds after which many middleboxes forget a UDP flow (RFC 4787 asks for 120).
            keep_alive: Some(Duration::from_secs(20)),
            // Three lost packets in a row at one second's round trip still pass.
            handshake_time: Duration::from_secs(10),
            // A peer that syncs its disk under load takes seconds, never half a minute.
            stall_time: Duration::from_secs(30),
            // 100 MiB at 256 kbit/s.
            stream_time: Duration::from_secs(3600),
            // The usual figure of HTTP/2 and HTTP/3 servers; one sender's burst.
            peer_streams: 100,
            // One for settings, the others for pushes at the same time.
            peer_pushes: 8,
            // With the chunk that is being written, less than 1 MiB is on its way when a receiver dies: what has to be sent
            // again. 60 Mbit/s at 100 ms round trip for one stream; a peer has many.
            stream_window: 786_432,
            // Ten streams at full speed; all 100 together get no more.
            connection_window: 8 * 1024 * 1024,
            // As for receiving.
            send_window: 8 * 1024 * 1024,
            // With full windows 8 GiB, with usual ones some 100 MiB.
            connections: 1000,
            // A provider behind one address translator still gets through.
            connections_per_address: 32,
            // A quarter of all: a customer commonly has that many addresses to itself, but so have hosts of many.
            connections_per_site: 250,
            // A program asks at once for what it has connected for; a person types before that.
            unproved_time: Duration::from_secs(30),
            // One handshake costs about a millisecond of processor time.
            handshakes_before_retry: 64,
            // A node talks with some hundred peers at a time.
            pool_connections: 256,
            // Mail to one domain comes in bursts; a new handshake costs one round trip.
            pool_idle_time: Duration::from_secs(60),
        }
    }
}

/// Which side of a connection a configuration is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Server,
}

impl Limits {
    /// quinn's transport settings for these limits. keeps: TRA-4, TRA-15
    pub(crate) fn transport(&self, role: Role) -> Result<Arc<TransportConfig>, Error> {
        let idle = IdleTimeout::try_from(self.idle_time).map_err(|_| Error::BadSetting("idle_time"))?;
        let mut transport = TransportConfig::default();
        transport
            .max_idle_timeout(Some(idle))
            .stream_receive_window(VarInt::from_u32(self.stream_window))
            .receive_window(VarInt::from_u32(self.connection_window))
            .send_window(self.send_window)
            .datagram_receive_buffer_size(None)
            .datagram_send_buffer_size(0);
        match role {
            // A server never opens bidirectional streams, a client never unidirectional ones.
            Role::Client => transport
                .max_concurrent_bidi_streams(VarInt::from_u32(0))
                .max_concurrent_uni_streams(VarInt::from_u32(self.peer_pushes))
                .keep_alive_interval(self.keep_alive),
            Role::Server => transport
                .max_concurrent_bidi_streams(VarInt::from_u32(self.peer_streams))
                .max_concurrent_uni_streams(VarInt::from_u32(0)),
        };
        Ok(Arc::new(transport))
    }

    /// Bounds what can wait before the accept loop has seen it.
    pub(crate) fn bound_incoming(&self, server: &mut quinn::ServerConfig) {
        server
            .max_incoming(INCOMING_WAITING_MAX)
            .incoming_buffer_size(INCOMING_BUFFER_OCTETS)
            .incoming_buffer_size_total(INCOMING_BUFFER_OCTETS_TOTAL);
    }
}

/// The clock of one stream: how long it may stand still, and when it must be done for what it has moved so far. Both
/// directions go by the clones of one clock.
///
/// A peer that lets one octet through now and then would else keep whoever waits for it for an hour, at no cost.
///
/// A read or write that misses its time aborts the stream with [`Code::Stalled`] or [`Code::TimeLimit`], so
/// its octets are never read as anything else. keeps: TRA-16, TRA-17
#[derive(Clone, Debug)]
pub struct Pace {
    stall_time: Duration,
    stream_time: Duration,
    start: Instant,
    moved: Arc<AtomicU64>,
}

impl Pace {
    /// Starts the clock of a stream.
    pub fn start(limits: &Limits) -> Self {
        Self {
            stall_time: limits.stall_time,
            stream_time: limits.stream_time,
            start: Instant::now(),
            moved: Arc::default(),
        }
    }

    /// Reads the next octets, as many as are there and at most `octets_max`: each step on their way costs the same for few
    /// as for many. `None` at the end of the stream.
    ///
    /// # Errors
    /// [`Error::Stalled`] or [`Error::TimeLimit`] after which the stream is stopped; what reading can fail
    /// with.
    pub async fn read(&self, stream: &mut RecvStream, octets_max: usize) -> Result<Option<Bytes>, Error> {
        match timeout(self.patience(), next_octets(stream, octets_max)).await {
            Ok(read) => {
                let octets = read?;
                self.count(octets.as_ref().map_or(0, Bytes::len));
                Ok(octets)
            }
            Err(_) => {
                let (code, error) = self.verdict();
                // Fails only where the stream has ended, and then there is nothing to stop.
                let _ = stream.stop(code.into());
                Err(error)
            }
        }
    }

    /// Reads to the end of the stream.
    ///
    /// # Errors
    /// As [`Pace::read`], and [`Error::TooLarge`] beyond `octets_max`, after which the stream is stopped.
    pub async fn read_to_end(&self, stream: &mut RecvStream, octets_max: usize) -> Result<Bytes, Error> {
        let mut all = BytesMut::new();
        // One octet more than allowed is asked for, so that too much is seen as such.
        while let Some(chunk) = self.read(stream, octets_max - all.len() + 1).await? {
            if all.len() + chunk.len() > octets_max {
                let _ = stream.stop(Code::FrameTooLarge.into());
                return Err(Error::TooLarge { limit: octets_max });
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    /// Writes all of `octets`, without copying them. The stall time starts anew with each part that the peer
    /// makes room for. Dropped halfway, some of it may have been written.
    ///
    /// # Errors
    /// [`Error::Stalled`] or [`Error::TimeLimit`] after which the stream is reset; what writing can fail
    /// with.
    pub async fn write(&self, stream: &mut SendStream, mut octets: Bytes) -> Result<(), Error> {
        while !octets.is_empty() {
            let before = octets.len();
            match timeout(self.patience(), stream.write_some(&mut octets)).await {
                Ok(written) => {
                    written?;
                    self.count(before - octets.len());
                }
                Err(_) => {
                    let (code, error) = self.verdict();
                    stream.reset(code);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Waits until the peer has received all of a finished stream.
    ///
    /// # Errors
    /// As [`Pace::write`].
    pub async fn delivered(&self, stream: &mut SendStream) -> Result<(), Error> {
        match timeout(self.patience(), stream.delivered()).await {
            Ok(delivered) => delivered,
            Err(_) => {
                let (code, error) = self.verdict();
                stream.reset(code);
                Err(error)
            }
        }
    }

    /// How long the stream may stand still.
    pub fn stall_time(&self) -> Duration {
        self.stall_time
    }

    fn count(&self, octets: usize) {
        self.moved.fetch_add(octets as u64, Ordering::Relaxed);
    }

    /// When the stream must be done, unless it moves more by then.
    fn end(&self) -> Instant {
        let bought = Duration::from_secs(self.moved.load(Ordering::Relaxed) / OCTETS_FOR_A_SECOND);
        self.start + self.stream_time.min(STREAM_GRACE + bought)
    }

    /// How long the next step may take.
    fn patience(&self) -> Duration {
        self.stall_time.min(self.end().saturating_duration_since(Instant::now()))
    }

    /// Which of the two limits was missed.
    fn verdict(&self) -> (Code, Error) {
        if Instant::now() >= self.end() {
            (Code::TimeLimit, Error::TimeLimit)
        } else {
            (Code::Stalled, Error::Stalled)
        }
    }
}

/// What is there, once something is. Nothing is taken from the stream by a call that is dropped while it waits.
async fn next_octets(stream: &mut RecvStream, octets_max: usize) -> Result<Option<Bytes>, ReadError> {
    let Some(first) = stream.read_chunk(octets_max, true).await? else { return Ok(None) };
    let mut octets = first.bytes.len();
    let mut pieces = vec![first.bytes];
    while octets < octets_max && pieces.len() < PIECES_MAX {
        match at_once(stream.read_chunk(octets_max - octets, true)).await {
            Some(Ok(Some(more))) => {
                octets += more.bytes.len();
                pieces.push(more.bytes);
            }
            // A reset is told once only, and what came before it is of no use.
            Some(Err(error @ ReadError::Reset(_))) => return Err(error),
            // Any other error is told again by the next call.
            _ => break,
        }
    }
    Ok(Some(joined(pieces)))
}

/// What a future gives now; `None` where it has to wait.
async fn at_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// The pieces as one; a single one is not copied.
fn joined(mut pieces: Vec<Bytes>) -> Bytes {
    if pieces.len() == 1 {
        return pieces.pop().unwrap_or_default();
    }
    let mut all = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    for piece in pieces {
        all.extend_from_slice(&piece);
    }
    all.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proves: TRA-17
    #[tokio::test(start_paused = true)]
    async fn what_is_moved_buys_time_up_to_the_limit() {
        let pace = Pace::start(&Limits::default());
        let left = |pace: &Pace| pace.end().duration_since(Instant::now()).as_secs();
        assert_eq!(left(&pace), 120);
        tokio::time::advance(Duration::from_secs(119)).await;
        assert_eq!((pace.patience().as_secs(), pace.verdict().0), (1, Code::Stalled));
        // Both directions go by one clock.
        pace.clone().count(2559);
        pace.count(1);
        assert_eq!(left(&pace), 1 + 10);
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!((pace.patience(), pace.verdict().0), (Duration::ZERO, Code::TimeLimit));
        pace.count(100 << 20);
        assert_eq!(left(&pace), 3600 - 130);
        // A shorter limit, as of the handshake, holds whatever is moved.
        let short = Pace::start(&Limits { stream_time: Duration::from_secs(10), ..Limits::default() });
        short.count(100 << 20);
        assert_eq!(left(&short), 10);
    }
}
