//! The conversation about keys with one's own node.

use message::address::Address;
use message::keys::KeyAnswer;
use protocol::{Frame, KeyPins, KeyPublish, KeyQuery};

use super::Session;
use super::session::unexpected;
use crate::Error;

impl Session {
    /// What the node has of the keys of an address of one's own, as everybody sees it.
    ///
    /// # Errors
    /// As [`Session::enrol`]; [`Error::Answer`] where it cannot be read.
    pub async fn keys(&mut self, address: &Address) -> Result<KeyAnswer, Error> {
        let query = KeyQuery { address: address.clone(), seen_size: None };
        match self.ask(&Frame::Key(query)).await? {
            Frame::KeyAnswer(reply) => reply.read().map_err(|error| Error::Answer(error.to_string())),
            _ => Err(unexpected()),
        }
    }

    /// Publishes a statement. Asked again, it is the same statement and done.
    ///
    /// # Errors
    /// As [`Session::enrol`]; [`Error::Refused`] where the node does not take it.
    pub async fn publish_key(&mut self, publish: KeyPublish) -> Result<(), Error> {
        match self.ask(&Frame::KeyPublish(publish)).await? {
            Frame::Done => Ok(()),
            _ => Err(unexpected()),
        }
    }

    /// What is pinned of the keys of somebody, after it was forgotten where that is asked for.
    ///
    /// # Errors
    /// As [`Session::enrol`].
    pub async fn pinned(&mut self, address: &Address, forget: bool) -> Result<KeyPins, Error> {
        match self.ask(&Frame::KeyPinned { address: address.clone(), forget }).await? {
            Frame::KeyPins(pins) => Ok(pins),
            _ => Err(unexpected()),
        }
    }
}
