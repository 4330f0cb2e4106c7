//! The side that is asked.

use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::framing;
use crate::limits::{CONNECTIONS_MAX, READ_SECONDS_MAX};
use crate::{Error, Failure, FailureKind, Request, Response};

/// An answer that comes later.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Response> + Send + 'a>>;

/// Who answers an operator's questions: the node, or a store that no node runs on.
pub trait Operator: Send + Sync {
    /// Answers one question. Several may be asked at once.
    fn handle(&self, request: Request) -> Answer<'_>;
}

/// Opens the control socket with mode 0600.
///
/// A socket file that is left from a node that has died is replaced; one that is answered is not. The folder should
/// be open to the node's own user only, for between creation and the change of its mode the socket has that of the
/// process's mask.
///
/// # Errors
/// `AddrInUse` where a node answers there or where the path is something other than a socket; and those of the
/// operating system.
///
/// keeps: CTL-3
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "the path exists and is not a socket"));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another node answers at this socket"));
        }
        Ok(_) => fs::remove_file(path)?,
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers everybody who opens the socket, until the future is dropped. Connections are tasks of their own: what is
/// wrong on one of them ends it and touches nothing else.
pub async fn serve(listener: UnixListener, operator: Arc<dyn Operator>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // The set ends its tasks when it is dropped with this future.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        // The semaphore is never closed.
        let Ok(place) = room.clone().acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let operator = operator.clone();
                connections.spawn(async move {
                    connection(stream, &*operator).await;
                    drop(place);
                });
            }
            // Out of file descriptors, mostly: others must close theirs before this one can go on.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Answers one connection until it ends or breaks a rule.
///
/// keeps: CTL-2, CTL-4
async fn connection(mut stream: UnixStream, operator: &dyn Operator) {
    loop {
        let request = match next_request(&mut stream).await {
            Ok(Some(request)) => request,
            Ok(None) | Err(Error::Closed | Error::Io(_)) => return,
            Err(error) => {
                // After octets that are not a request nobody knows where the next one begins: the last word.
                let failure = Failure::new(FailureKind::Invalid, error.to_string());
                let _ = framing::write(&mut stream, &Response::Failure(failure)).await;
                return;
            }
        };
        let response = operator.handle(request).await;
        let written = match framing::write(&mut stream, &response).await {
            Err(Error::TooLarge { .. }) => {
                let failure = Failure::new(FailureKind::Invalid, "the answer is too large for one message")
                    .hint("ask for fewer at a time");
                framing::write(&mut stream, &Response::Failure(failure)).await
            }
            written => written,
        };
        if written.is_err() {
            return;
        }
    }
}

/// Waits for a request as long as it takes to begin, and then only [`READ_SECONDS_MAX`] for the rest of it.
async fn next_request(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Request>, Error> {
    let Some(first) = framing::read_first(stream).await? else { return Ok(None) };
    let time = Duration::from_secs(READ_SECONDS_MAX);
    match timeout(time, framing::read_rest(stream, first)).await {
        Ok(request) => request.map(Some),
        Err(_) => Err(Error::Malformed("the request did not become whole in time".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    /// Time is virtual here: it jumps to the next timer whenever nobody has anything to do.
    ///
    /// proves: CTL-4
    #[tokio::test(start_paused = true)]
    async fn an_idle_operator_is_waited_for_and_a_stalled_one_is_not() {
        let (mut operator, mut node) = tokio::io::duplex(1024);
        let request = framing::encode(&Request::Status).unwrap();
        for _ in 0..2 {
            let late = async {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                operator.write_all(&request).await.unwrap();
            };
            let (found, ()) = tokio::join!(next_request(&mut node), late);
            assert_eq!(found.unwrap(), Some(Request::Status));
        }
        operator.write_all(&request[..5]).await.unwrap();
        assert!(matches!(next_request(&mut node).await, Err(Error::Malformed(_))));
    }
}
