//! Messages on the socket: a length of four octets, most significant first, then JSON.

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
    let mut length = [0; 4];
    if stream.read(&mut length[..1]).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut length[1..]).await.map_err(ended)?;
    let octets = u32::from_be_bytes(length) as usize;
    if octets > MESSAGE_OCTETS_MAX {
        return Err(Error::TooLarge { octets: octets as u64 });
    }
    let mut body = Vec::with_capacity(octets.min(ROOM_OCTETS_FIRST));
    stream.take(octets as u64).read_to_end(&mut body).await?;
    if body.len() < octets {
        return Err(Error::Closed);
    }
    serde_json::from_slice(&body).map(Some).map_err(|error| Error::Malformed(error.to_string()))
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
