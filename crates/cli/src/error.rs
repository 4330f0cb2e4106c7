//! What can go wrong in a command, sorted by whose fault it is, with the exit code and what to do next.

use std::path::{Path, PathBuf};

use protocol::Failure;
use transport::AskError;

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    // The user's.
    /// What was asked for makes no sense.
    #[error("{text}")]
    Usage {
        /// What is wrong.
        text: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// The profile, or a key in it, is not what it must be.
    #[error("{}: {reason}", .path.display())]
    Profile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There is no profile.
    #[error("{}: there is no profile yet", .path.display())]
    NoProfile {
        /// The file.
        path: PathBuf,
    },
    // The content's.
    /// A message breaks a rule, or is not what it claims.
    #[error("{0}")]
    Content(String),
    /// A message has no form on the other side.
    #[error("not translated: {0}")]
    Translation(#[from] translate::Refusal),
    /// What was asked about is not there.
    #[error("{0}")]
    NotFound(String),
    // The node's, and the path to it.
    /// The node does not answer, or the connection was lost too often.
    #[error("cannot reach {node}: {reason}")]
    Unreachable {
        /// The node.
        node: String,
        /// Why.
        reason: String,
    },
    /// The node is not who it should be.
    #[error("{node} is not the node that was expected: {reason}")]
    NotTheNode {
        /// The node.
        node: String,
        /// Why.
        reason: String,
    },
    /// The node does not let us.
    #[error("not authorised: {text}")]
    NotAuthorised {
        /// What it said.
        text: String,
        /// Whether it does not know who is asking, rather than not allow it.
        unknown: bool,
    },
    /// The node said no.
    #[error("refused: {} ({})", .0.text, .0.code)]
    Refused(Failure),
    /// The node's answer was not one.
    #[error("the answer of the node: {0}")]
    Answer(String),
    // The operator's side.
    /// The control socket.
    #[error(transparent)]
    Control(#[from] control::Error),
    /// The running node said no.
    #[error(transparent)]
    Operator(#[from] control::Failure),
    // This machine's.
    /// A file cannot be read or written.
    #[error("{}: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Standard output or input failed.
    #[error("the terminal or pipe failed: {0}")]
    Terminal(#[from] std::io::Error),
    /// Something else on this machine.
    #[error("{0}")]
    Local(String),
}

impl Error {
    /// A mistake in what was typed.
    pub(crate) fn usage(text: impl Into<String>) -> Error {
        Error::Usage { text: text.into(), hint: None }
    }

    /// A file that failed.
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Error + '_ {
        move |error| Error::File { path: path.to_owned(), error }
    }

    /// The code with which the process ends. keeps: CLI-1
    pub fn exit_code(&self) -> u8 {
        use control::FailureKind;
        match self {
            Error::Content(_) | Error::Translation(_) | Error::NotFound(_) | Error::Refused(_) => 1,
            Error::Usage { .. } | Error::Profile { .. } | Error::NoProfile { .. } => 2,
            Error::Unreachable { .. } | Error::Answer(_) => 3,
            Error::NotAuthorised { .. } | Error::NotTheNode { .. } => 4,
            Error::Control(control::Error::NotAllowed { .. }) => 4,
            Error::Control(_) => 3,
            Error::Operator(failure) => match failure.kind {
                FailureKind::Invalid => 2,
                FailureKind::Unavailable => 3,
                FailureKind::NotFound | FailureKind::Conflict => 1,
                FailureKind::Internal => 5,
            },
            Error::File { .. } | Error::Terminal(_) | Error::Local(_) => 5,
        }
    }

    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<String> {
        let fixed = match self {
            Error::Usage { hint, .. } => return hint.clone(),
            Error::Operator(failure) => return failure.hint.clone(),
            Error::NoProfile { .. } => "run `waxwing enrol ADDRESS --node HOST:PORT` to make a profile",
            Error::Unreachable { .. } => {
                "is the node running, is its port open for UDP, and is it the one in profile.toml?"
            }
            Error::NotTheNode { .. } => {
                "ask the operator for the pin (`waxwing config show` prints it), and enrol with --pin PIN"
            }
            Error::NotAuthorised { unknown: true, .. } => {
                "check the password and the name of the account (--account); a device that was removed is enrolled anew \
                 with `waxwing enrol`"
            }
            Error::Refused(failure) if failure.code.class == 4 => "that is so for now: try again later",
            Error::Control(control::Error::NotRunning { .. }) => {
                "start the node with `waxwing serve`, or name its socket with --socket"
            }
            Error::Control(control::Error::NotAllowed { .. }) => "run this as the user that the node runs as",
            Error::Translation(refusal) if refusal.reason == translate::Reason::NeedsUtf8Headers => {
                "addresses outside ASCII have no form in older mail: allow UTF-8 with --utf8, or keep the .wax file"
            }
            _ => return None,
        };
        Some(fixed.to_owned())
    }

    /// What went wrong when something was asked of a node.
    pub(crate) fn asked(node: &str, error: AskError) -> Error {
        match error {
            AskError::Transport(error) => Error::transport(node, error),
            AskError::Protocol(error) => Error::Answer(error.to_string()),
            AskError::Failed(failure) => Error::refused(failure),
            AskError::Local(text) => Error::Local(text),
        }
    }

    /// What a connection failed of.
    pub(crate) fn transport(node: &str, error: transport::Error) -> Error {
        use transport::Error as Transport;
        let node = node.to_owned();
        match error {
            Transport::NotAsExpected(reason) | Transport::NotValidForNames(reason) => {
                Error::NotTheNode { node, reason }
            }
            Transport::ClosedByPeer { number, reason }
                if transport::Code::from_number(number) == Some(transport::Code::NotAuthenticated) =>
            {
                Error::NotAuthorised { text: reason, unknown: true }
            }
            other => Error::Unreachable { node, reason: other.to_string() },
        }
    }

    /// A failure that the node has told. Permanent codes of the subject 7 with these details are about who is asking: 8 where
    /// that is not known, the others where it is and is not enough.
    pub(crate) fn refused(failure: Failure) -> Error {
        let code = failure.code;
        if code.class == 5 && code.subject == 7 && matches!(code.detail, 0 | 1 | 8) {
            Error::NotAuthorised { text: format!("{} ({code})", failure.text), unknown: code.detail == 8 }
        } else {
            Error::Refused(failure)
        }
    }
}

impl From<message::Error> for Error {
    fn from(error: message::Error) -> Error {
        Error::Content(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use message::Code;

    /// What is advised helps where it is advised. proves: CLI-1
    #[test]
    fn advice_fits_the_case() {
        let refused = |code: Code| Error::refused(Failure { code, text: "no".to_owned() });
        let check = |error: Error, code: u8, advised: &str| {
            let hint = error.hint().unwrap_or_default();
            assert_eq!(error.exit_code(), code, "{error}");
            assert!(hint.contains(advised) && (!advised.is_empty() || hint.is_empty()), "{error}: {hint}");
        };
        check(refused(Code::AUTHENTICATION_FAILED), 4, "enrol");
        check(refused(Code::NOT_AUTHORIZED), 4, "");
        check(refused(Code::new(4, 7, 1)), 1, "later");
        check(refused(Code::NO_SUCH_ADDRESS), 1, "");
        let path = PathBuf::from("profile.toml");
        check(Error::NoProfile { path: path.clone() }, 2, "waxwing enrol");
        check(Error::Profile { path, reason: "there is no key `pim`".to_owned() }, 2, "");
    }
}
