//! A user's program speaking submission with its node: what the commands do, for tests and other programs to use.
//!
//! [`Session`] is the conversation, [`Outgoing`] a message on its way to the node, [`Incoming`] one that is fetched.

mod address_list;
mod authored;
mod compose;
mod incoming;
mod keys;
mod outgoing;
mod session;
mod wax;

pub use address_list::addresses_in;
pub use compose::Composition;
pub use incoming::{Fetched, Incoming, read_seals};
pub use outgoing::Outgoing;
pub use session::{Progress, Session, Submitted, expectation};
pub(crate) use session::{bind, device_identity, open};
pub use wax::WaxWriter;
