//! The side that asks.

use std::io::ErrorKind;
use std::path::Path;

use tokio::net::UnixStream;

use crate::framing;
use crate::{Error, Request, Response};

/// A connection to a running node. Questions follow each other on it.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
}

impl Client {
    /// Opens the control socket of a node.
    ///
    /// # Errors
    /// [`Error::NotRunning`] where nobody listens there, [`Error::NotAllowed`] where its mode keeps us out.
    pub async fn connect(path: &Path) -> Result<Client, Error> {
        let path_of = || path.to_owned();
        match UnixStream::connect(path).await {
            Ok(stream) => Ok(Client { stream }),
            Err(error) => Err(match error.kind() {
                ErrorKind::NotFound | ErrorKind::ConnectionRefused => Error::NotRunning { path: path_of() },
                ErrorKind::PermissionDenied => Error::NotAllowed { path: path_of() },
                _ => Error::Io(error),
            }),
        }
    }

    /// Asks, and waits for the answer, however long the node takes: a check of a large store takes minutes.
    ///
    /// A [`Response::Failure`] is an answer, not an error.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Closed`] where the connection is lost, [`Error::Malformed`] and [`Error::TooLarge`].
    pub async fn call(&mut self, request: &Request) -> Result<Response, Error> {
        framing::write(&mut self.stream, request).await?;
        framing::read(&mut self.stream).await?.ok_or(Error::Closed)
    }
}
