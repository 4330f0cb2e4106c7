//! Messages on the socket: a length of four octets, most significant first, then JSON.
//!
//! keeps: CTL-1, CTL-2

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::Error;
use crate::limits::MESSAGE_OCTETS_MAX;

/// Octets that room is made for before any of them has come: a length alone must not cost memory.
const ROOM_OCTETS_FIRST: usize = 64 * 1024;

/// Reads one message; `None` where the stream ends before it begins.
pub(crate) async fn read<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<T>, Error> {
    match read_first(stream).await? {
        Some(first) => read_rest(stream, first).await.map(Some),
        None => Ok(None),
    }
}

/// Waits for the first octet of a message; `None` where the stream ends.
pub(crate) async fn read_first(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<u8>, Error> {
    let mut first = [0];
    match stream.read(&mut first).await? {
        0 => Ok(None),
        _ => Ok(Some(first[0])),
    }
}

/// Reads a message that has begun with this octet.
pub(crate) async fn read_rest<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
    first: u8,
) -> Result<T, Error> {
    let mut rest = [0; 3];
    stream.read_exact(&mut rest).await.map_err(ended)?;
    let octets = u32::from_be_bytes([first, rest[0], rest[1], rest[2]]) as usize;
    if octets > MESSAGE_OCTETS_MAX {
        return Err(Error::TooLarge { octets: octets as u64 });
    }
    let mut body = Vec::with_capacity(octets.min(ROOM_OCTETS_FIRST));
    stream.take(octets as u64).read_to_end(&mut body).await?;
    if body.len() < octets {
        return Err(Error::Closed);
    }
    serde_json::from_slice(&body).map_err(|error| Error::Malformed(error.to_string()))
}

/// The octets of one message.
pub(crate) fn encode(message: &impl Serialize) -> Result<Vec<u8>, Error> {
    let mut octets = vec![0; 4];
    serde_json::to_writer(&mut octets, message).map_err(|error| Error::Malformed(error.to_string()))?;
    let length = octets.len() - 4;
    if length > MESSAGE_OCTETS_MAX {
        return Err(Error::TooLarge { octets: length as u64 });
    }
    // The bound is far below what four octets can say.
    octets[..4].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(octets)
}

/// Writes one message.
pub(crate) async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &impl Serialize,
) -> Result<(), Error> {
    stream.write_all(&encode(message)?).await?;
    Ok(stream.flush().await?)
}

fn ended(error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Error::Closed,
        _ => Error::Io(error),
    }
}
