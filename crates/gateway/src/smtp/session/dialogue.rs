//! What goes into a session, and what comes out.

use std::fmt;
use std::net::IpAddr;

use message::Disposition;
use message::address::Address;

use crate::{Letter, LoginFailure, Mav, Recipient, Reply, ReturnPath, ScramKeys, Verdict};

/// What goes into a session.
#[derive(Debug)]
pub enum Input<'a> {
    /// Octets from the client.
    Octets(&'a [u8]),
    /// The handshake that [`Output::StartTls`] asked for is done.
    Encrypted(Encrypted),
    /// The answer to [`Question::Login`].
    LoggedIn(Result<String, LoginFailure>),
    /// The answer to [`Question::Keys`].
    Keys(Result<ScramKeys, LoginFailure>),
    /// [`Question::Failed`] is noted.
    Noted,
    /// The answer to [`Question::Sender`]: what MAV says, or why this return path may not be used.
    Sender(Result<Option<Mav>, Reply>),
    /// The answer to [`Question::Recipient`].
    Recipient(Verdict),
    /// The answer to [`Question::Take`].
    Taken(Result<Vec<Disposition>, Reply>),
    /// The answer to [`Question::Test`].
    Tested(Reply),
    /// Time has gone by.
    Time,
    /// The server stops: the session ends as soon as nothing is under way.
    Shutdown,
}

/// What comes out of a session.
#[derive(Debug)]
pub enum Output {
    /// Wait so many milliseconds before what comes next.
    Pause(u64),
    /// Send this.
    Send(bytes::Bytes),
    /// Answer this.
    Ask(Question),
    /// Do a TLS handshake now.
    StartTls,
    /// Close the connection.
    Close,
}

/// What a session wants to know.
pub enum Question {
    /// Is this the password of that name?
    Login {
        /// The name.
        name: String,
        /// The password.
        password: String,
    },
    /// Which keys for SCRAM has this name?
    Keys {
        /// The name.
        name: String,
    },
    /// Nothing; but who has tried this name over SCRAM does not know its password.
    Failed {
        /// The name.
        name: String,
    },
    /// May the client use this return path?
    Sender(ReturnPath),
    /// Is this recipient welcome?
    Recipient(ReturnPath, Recipient),
    /// A message has come.
    Take(Box<Letter>),
    /// `TEST COOKIE`.
    Test {
        /// The identifier.
        id: String,
        /// The return path.
        sender: Address,
        /// Where the message came from.
        address: IpAddr,
    },
}

/// Passwords are not shown.
impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Question::Login { .. } => "Login",
            Question::Keys { .. } => "Keys",
            Question::Failed { .. } => "Failed",
            Question::Sender(_) => "Sender",
            Question::Recipient(..) => "Recipient",
            Question::Take(_) => "Take",
            Question::Test { .. } => "Test",
        })
    }
}

/// What is known of a connection that is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encrypted {
    /// Version and cipher.
    pub description: String,
    /// The SHA-256 digest of the client's certificate, where it has shown one.
    pub certificate_digest: Option<[u8; 32]>,
}
