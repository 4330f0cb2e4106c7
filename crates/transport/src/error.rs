//! What can go wrong, sorted by whose fault it is, and the numbers by which one side tells the other.

use quinn::{ConnectionError, VarInt};

/// First of the QUIC error codes that carry a TLS alert (RFC 9001, section 4.8).
const CRYPTO_ERROR_FIRST: u64 = 0x100;
/// Last of the QUIC error codes that carry a TLS alert.
const CRYPTO_ERROR_LAST: u64 = 0x1ff;
/// QUIC's own code for a server that takes no new connections (RFC 9000, section 20.1).
const CONNECTION_REFUSED: u64 = 0x2;
/// TLS alert `no_application_protocol` (RFC 7301, section 3.2).
const ALERT_NO_APPLICATION_PROTOCOL: u64 = 120;
/// Alerts from `bad_certificate` (42) to `access_denied` (49), and `decrypt_error` (51) for a signature that
/// does not fit: the certificate or its holder did not convince (RFC 8446, section 6.2).
const ALERTS_ABOUT_CERTIFICATES: [u64; 9] = [42, 43, 44, 45, 46, 47, 48, 49, 51];
/// Longest text that is kept of what a peer wrote into a close frame, in octets: enough for a sentence.
const CLOSE_REASON_OCTETS_MAX: usize = 256;

/// Numbers for closing a connection and resetting a stream; the registry is in `spec/09-transport.md`.
///
/// keeps: TRA-20
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Code {
    /// Everything is in order; nothing more to say.
    NoError = 0x0,
    /// The other side broke a rule of the protocol.
    ProtocolViolation = 0x1,
    /// A frame announced more octets than the receiver allows.
    FrameTooLarge = 0x2,
    /// The sender of this code failed through a fault of its own.
    Internal = 0x3,
    /// The sender of this code is shutting down; the transaction may be tried elsewhere or later.
    GoingAway = 0x4,
    /// Who the other side is could not be established, and what it asked for needs that.
    NotAuthenticated = 0x5,
    /// A limit on number or size was reached.
    Limit = 0x6,
    /// The transaction was given up; its octets mean nothing.
    Cancelled = 0x7,
    /// No octet came, or none was taken, for longer than the limit.
    Stalled = 0x8,
    /// The whole took longer than the limit, although it moved.
    TimeLimit = 0x9,
    /// The content was not wanted; the rest need not be sent.
    NotWanted = 0xa,
    /// The connection lay unused and was closed to save memory.
    Idle = 0xb,
}

impl Code {
    /// Every code, in the order of the registry.
    pub const ALL: [Code; 12] = [
        Code::NoError,
        Code::ProtocolViolation,
        Code::FrameTooLarge,
        Code::Internal,
        Code::GoingAway,
        Code::NotAuthenticated,
        Code::Limit,
        Code::Cancelled,
        Code::Stalled,
        Code::TimeLimit,
        Code::NotWanted,
        Code::Idle,
    ];

    /// The number on the wire.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// The code with this number; `None` for one that the registry does not know.
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|code| u64::from(code.number()) == number)
    }
}

impl From<Code> for VarInt {
    fn from(code: Code) -> Self {
        VarInt::from_u32(code.number())
    }
}

/// Whose fault an [`Error`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The other side's.
    Peer,
    /// Nobody's in particular: the network between.
    Path,
    /// Ours: settings, resources, or a defect.
    Ours,
    /// The calling code's.
    Caller,
}

/// Why something did not work. Cheap to clone, because all who wait for one connection get the same answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // The peer's fault.
    /// The peer's certificate is not what was expected of it, or it does not hold the key.
    #[error("the peer is not who it should be: {0}")]
    NotAsExpected(String),
    /// The TLS handshake failed for another reason.
    #[error("the TLS handshake failed: {0}")]
    Handshake(String),
    /// The two sides have no protocol in common (ALPN).
    #[error("the peer speaks none of the protocols offered")]
    NoCommonProtocol,
    /// The server takes no more connections at present.
    #[error("the peer refused the connection")]
    Refused,
    /// The peer closed the connection with this number; see [`Code::from_number`].
    #[error("the peer closed the connection with code {number:#x}: {reason:?}")]
    ClosedByPeer {
        /// Number as received.
        number: u64,
        /// Text as received, shortened.
        reason: String,
    },
    /// The peer reset or stopped the stream with this number.
    #[error("the peer aborted the stream with code {number:#x}")]
    StreamAborted {
        /// Number as received.
        number: u64,
    },
    /// The peer broke QUIC or TLS.
    #[error("the peer broke the rules of the transport: {0}")]
    Violation(String),
    /// No octet moved for longer than the limit.
    #[error("the peer stalled")]
    Stalled,
    /// The whole took longer than the limit.
    #[error("the time limit was reached")]
    TimeLimit,
    /// The peer sent more octets than the limit allows.
    #[error("more than {limit} octets were sent")]
    TooLarge {
        /// The limit, in octets.
        limit: usize,
    },
    /// The server did not send its settings.
    #[error("the server sent no settings: {0}")]
    NoSettings(String),
    /// The peer's certificate cannot be read or its chain is too long.
    #[error("the peer's certificate is malformed: {0}")]
    BadCertificate(String),
    /// The peer's certificate is not valid for any of the names, by WebPKI.
    #[error("the peer's certificate is not valid for the names asked: {0}")]
    NotValidForNames(String),

    // The path's.
    /// No answer came in time.
    #[error("the peer did not answer in time")]
    TimedOut,
    /// The connection was lost because the peer no longer knows it.
    #[error("the peer has lost the connection")]
    Lost,

    // Ours.
    /// The socket could not be opened, or failed.
    #[error("the socket failed: {0}")]
    Socket(String),
    /// An address of this machine could not be opened.
    #[error("cannot open {address}: {text}")]
    Address {
        /// Which.
        address: std::net::SocketAddr,
        /// What is in the way.
        kind: std::io::ErrorKind,
        /// The same in the words of the system.
        text: String,
    },
    /// A key, certificate or TLS setting of ours is unusable.
    #[error("our key or certificate is unusable: {0}")]
    OwnIdentity(String),
    /// Every connection that the pool may hold is in use.
    #[error("the pool is full")]
    PoolFull,
    /// The connection was closed on this side.
    #[error("the connection was closed here")]
    ClosedHere,
    /// A defect: a task of ours died.
    #[error("internal fault: {0}")]
    Internal(String),

    // The caller's.
    /// A name that cannot be a host name.
    #[error("not a host name: {0:?}")]
    BadName(String),
    /// No address was given to connect to, or one that this socket cannot reach.
    #[error("no usable address")]
    NoAddress,
    /// A value beyond what QUIC can express or the specification allows.
    #[error("not a usable setting: {0}")]
    BadSetting(&'static str),
}

impl Error {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Error::NotAsExpected(_)
            | Error::Handshake(_)
            | Error::NoCommonProtocol
            | Error::Refused
            | Error::ClosedByPeer { .. }
            | Error::StreamAborted { .. }
            | Error::Violation(_)
            | Error::Stalled
            | Error::TimeLimit
            | Error::TooLarge { .. }
            | Error::NoSettings(_)
            | Error::BadCertificate(_)
            | Error::NotValidForNames(_) => Fault::Peer,
            Error::TimedOut | Error::Lost => Fault::Path,
            Error::Socket(_)
            | Error::Address { .. }
            | Error::OwnIdentity(_)
            | Error::PoolFull
            | Error::ClosedHere
            | Error::Internal(_) => Fault::Ours,
            Error::BadName(_) | Error::NoAddress | Error::BadSetting(_) => Fault::Caller,
        }
    }
}

impl Error {
    /// Whether the other end has fallen silent: nothing came for too long, or not enough.
    pub fn is_silence(&self) -> bool {
        matches!(self, Error::Stalled | Error::TimeLimit | Error::TimedOut)
    }
}

impl From<ConnectionError> for Error {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::VersionMismatch => Error::Violation("no common QUIC version".to_owned()),
            ConnectionError::TransportError(error) => {
                let number = u64::from(error.code);
                let described = error.to_string();
                match alert(number) {
                    Some(found) if ALERTS_ABOUT_CERTIFICATES.contains(&found) => {
                        Error::NotAsExpected(described)
                    }
                    Some(ALERT_NO_APPLICATION_PROTOCOL) => Error::NoCommonProtocol,
                    Some(_) => Error::Handshake(described),
                    None => Error::Violation(described),
                }
            }
            ConnectionError::ConnectionClosed(close) => {
                let number = u64::from(close.error_code);
                match alert(number) {
                    Some(ALERT_NO_APPLICATION_PROTOCOL) => Error::NoCommonProtocol,
                    Some(_) => Error::Handshake(close.to_string()),
                    None if number == CONNECTION_REFUSED => Error::Refused,
                    None => Error::Violation(close.to_string()),
                }
            }
            ConnectionError::ApplicationClosed(close) => {
                let reason = &close.reason[..close.reason.len().min(CLOSE_REASON_OCTETS_MAX)];
                let reason = String::from_utf8_lossy(reason).into_owned();
                Error::ClosedByPeer { number: close.error_code.into_inner(), reason }
            }
            ConnectionError::Reset => Error::Lost,
            ConnectionError::TimedOut => Error::TimedOut,
            ConnectionError::LocallyClosed => Error::ClosedHere,
            ConnectionError::CidsExhausted => Error::Internal("connection identifiers exhausted".to_owned()),
        }
    }
}

impl From<quinn::ConnectError> for Error {
    fn from(error: quinn::ConnectError) -> Self {
        match error {
            quinn::ConnectError::InvalidServerName(name) => Error::BadName(name),
            quinn::ConnectError::InvalidRemoteAddress(_) => Error::NoAddress,
            quinn::ConnectError::EndpointStopping => Error::ClosedHere,
            other => Error::Internal(other.to_string()),
        }
    }
}

impl From<quinn::ReadError> for Error {
    fn from(error: quinn::ReadError) -> Self {
        match error {
            quinn::ReadError::Reset(code) => Error::StreamAborted { number: code.into_inner() },
            quinn::ReadError::ConnectionLost(error) => error.into(),
            other => Error::Internal(other.to_string()),
        }
    }
}

impl From<quinn::WriteError> for Error {
    fn from(error: quinn::WriteError) -> Self {
        match error {
            quinn::WriteError::Stopped(code) => Error::StreamAborted { number: code.into_inner() },
            quinn::WriteError::ConnectionLost(error) => error.into(),
            other => Error::Internal(other.to_string()),
        }
    }
}

/// The TLS alert that a QUIC error code carries, if it carries one.
fn alert(number: u64) -> Option<u64> {
    (CRYPTO_ERROR_FIRST..=CRYPTO_ERROR_LAST).contains(&number).then(|| number - CRYPTO_ERROR_FIRST)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proves: TRA-20
    #[test]
    fn every_number_stands_for_one_code() {
        let names = [
            (0x0, Code::NoError),
            (0x1, Code::ProtocolViolation),
            (0x2, Code::FrameTooLarge),
            (0x3, Code::Internal),
            (0x4, Code::GoingAway),
            (0x5, Code::NotAuthenticated),
            (0x6, Code::Limit),
            (0x7, Code::Cancelled),
            (0x8, Code::Stalled),
            (0x9, Code::TimeLimit),
            (0xa, Code::NotWanted),
            (0xb, Code::Idle),
        ];
        assert_eq!(names.len(), Code::ALL.len());
        for (number, code) in names {
            assert_eq!(Code::from_number(number), Some(code));
            assert_eq!(VarInt::from(code).into_inner(), number);
        }
        assert_eq!(Code::from_number(0xc), None);
        assert_eq!(Code::from_number(u64::MAX), None);
    }

    #[test]
    fn a_long_close_reason_is_shortened() {
        let reason = vec![b'x'; 60_000].into();
        let error = ConnectionError::ApplicationClosed(quinn::ApplicationClose {
            error_code: VarInt::from_u32(4),
            reason,
        });
        let Error::ClosedByPeer { number, reason } = Error::from(error) else {
            panic!("an application close becomes ClosedByPeer");
        };
        assert_eq!((number, reason.len()), (4, CLOSE_REASON_OCTETS_MAX));
    }
}
