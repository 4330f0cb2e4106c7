//! The sending half of a stream, with the one rule that quinn's own lacks.

use crate::error::{Code, Error};
use bytes::Bytes;
use std::fmt;

/// The sending half of a stream. Writing is done by [`crate::Pace`], which keeps its time.
///
/// quinn ends a stream in order when its sender is dropped, so that a transaction whose task dies halfway
/// would look complete to the peer. This one is reset with [`Code::Cancelled`] unless it was finished.
/// keeps: TRA-17
pub struct SendStream {
    stream: quinn::SendStream,
    ended: bool,
}

impl SendStream {
    pub(super) fn new(stream: quinn::SendStream) -> Self {
        Self { stream, ended: false }
    }

    /// Says that all was sent. What was written still goes out, and the stream may be dropped.
    pub fn finish(&mut self) {
        self.ended = true;
        // Fails only where the stream has ended already; then `delivered` tells how.
        let _ = self.stream.finish();
    }

    /// Aborts the stream: the peer must not use what it has of it.
    pub fn reset(&mut self, code: Code) {
        self.ended = true;
        // Fails only where the stream has ended, and then there is nothing to reset.
        let _ = self.stream.reset(code.into());
    }

    /// Waits until the peer stops the stream, or has received all of it after [`SendStream::finish`].
    /// Received is not processed.
    ///
    /// # Errors
    /// [`Error::StreamAborted`] with the number that the peer gave; else why the connection ended.
    pub async fn delivered(&self) -> Result<(), Error> {
        match self.stream.stopped().await {
            Ok(None) => Ok(()),
            Ok(Some(number)) => Err(Error::StreamAborted { number: number.into_inner() }),
            Err(quinn::StoppedError::ConnectionLost(error)) => Err(error.into()),
            Err(other) => Err(Error::Internal(other.to_string())),
        }
    }

    /// Which of several streams goes first when not all can send: the higher. All start at 0.
    pub fn prioritize(&self, priority: i32) {
        // Fails only where the stream has ended, and then nothing is to be sent.
        let _ = self.stream.set_priority(priority);
    }

    /// Writes what there is room for and takes it off the front of `octets`. Writes nothing if not awaited to
    /// the end.
    pub(crate) async fn write_some(&mut self, octets: &mut Bytes) -> Result<(), Error> {
        self.stream.write_chunks(std::slice::from_mut(octets)).await?;
        Ok(())
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        if !self.ended {
            self.reset(Code::Cancelled);
        }
    }
}

impl fmt::Debug for SendStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SendStream").field(&self.stream.id()).finish()
    }
}
