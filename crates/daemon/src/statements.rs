//! The adapters for users' keys: what peers and users ask of the node, and what the node asks of other domains.

use bytes::Bytes;
use message::address::Address;
use message::keys::KeyAnswer;
use node::{KeyAsker, Later, Node};
use protocol::{Failure, Frame, KeyPins, KeyPublish, KeyQuery, KeyReply, PinWords};
use storage::PinRecord;

use crate::inbound::failure;
use crate::outbound::ExchangeCourier;

/// What the node has of the keys of an address: the same for everybody who asks. keeps: KEY-10
pub(crate) async fn answer(node: &Node, query: KeyQuery) -> Result<Frame, Failure> {
    let answer = node.key_answer(&query.address, query.seen_size).await.map_err(failure)?;
    let frame = Frame::KeyAnswer(Box::new(KeyReply::from(&answer)));
    if protocol::fits(&frame) {
        return Ok(frame);
    }
    Err(Failure { code: message::Code::MESSAGE_TOO_LARGE, text: "the statements do not fit".to_owned() })
}

/// A user publishes a statement.
pub(crate) async fn publish(node: &Node, account: &str, publish: KeyPublish) -> Result<Frame, Failure> {
    let (statement, succession) = (Bytes::from(publish.statement), publish.succession);
    node.publish_key(account, statement, succession.as_deref()).await.map_err(failure)?;
    Ok(Frame::Done)
}

/// What is pinned for the account, after it was forgotten where that is asked for.
pub(crate) async fn pinned(
    node: &Node,
    account: &str,
    address: &Address,
    forget: bool,
) -> Result<Frame, Failure> {
    if forget {
        node.forget_pin(account, address).await.map_err(failure)?;
    }
    let pinned = node.pinned(account, address).map_err(failure)?;
    Ok(Frame::KeyPins(pinned.map(words).unwrap_or_default()))
}

fn words(record: PinRecord) -> KeyPins {
    let one = |key: &message::keys::PinnedKey| PinWords {
        key: *key.key.as_bytes(),
        not_before: key.not_before,
        not_after: key.not_after,
        revoked: key.revoked,
    };
    KeyPins {
        keys: record.pin.keys.iter().map(one).collect(),
        broken_by: record.pin.broken_by.map(|key| *key.as_bytes()),
    }
}

/// Asks over exchange, on the connections by which mail goes.
impl KeyAsker for ExchangeCourier {
    fn ask<'a>(&'a self, address: &'a Address, seen_size: Option<u64>) -> Later<'a, Option<KeyAnswer>> {
        Box::pin(async move {
            let query = KeyQuery { address: address.clone(), seen_size };
            match self.request(address.domain(), &Frame::Key(query)).await {
                Ok(Frame::KeyAnswer(reply)) => reply
                    .read()
                    .inspect_err(|error| tracing::debug!(%error, %address, "an answer about keys is none"))
                    .ok(),
                Ok(_) => None,
                Err(trouble) => {
                    tracing::debug!(?trouble, %address, "the keys of an author cannot be had");
                    None
                }
            }
        })
    }
}
