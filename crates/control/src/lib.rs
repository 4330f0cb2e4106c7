//! The operator's questions and answers: types, and a client and a server over a local socket.
//!
//! What it is: everything that can be asked of a running node by whoever may open its control socket, as plain types
//! of strings and numbers, so that the same answers serve the commands, web pages and scripts. What it is not: it
//! knows nothing of how a node works; an [`Operator`] answers.
//!
//! On the socket each message is a length of four octets, most significant first, then that many octets of JSON
//! (RFC 8259): one [`Request`], answered by one [`Response`]. Requests follow each other on one connection. Who may
//! ask is decided by the mode of the socket alone.

mod client;
mod error;
mod forwarding;
mod framing;
mod handover;
mod held;
pub mod limits;
mod mail;
mod policy;
mod reputation;
mod request;
mod response;
mod server;
mod view;
mod watch;

pub use client::Client;
pub use error::Error;
pub use forwarding::{ChainHopView, ForwardOrder, ForwardView, GrantView};
pub use handover::{HandoverOrder, HandoverView};
pub use held::{HeldDecision, HeldDetailView, HeldPartView, HeldPlace, HeldState, HeldView};
pub use mail::{AuthorView, EarlierLetters, MailDetailView, MailView, PartView, SealView, SentView};
pub use policy::{ConditionView, CorrespondentView, ExplanationView, PolicyView, RuleView, StepView};
pub use reputation::{LimitView, PeerDetailView, PeerQuestionView, PeerRecordView};
pub use request::{Legs, Password, Request};
pub use response::{Failure, FailureKind, Response};
pub use server::{Answer, Operator, bind, serve};
pub use view::{
    AccountView, AttemptView, DeviceView, EnvelopeView, FindingView, LaneView, LegView, ListenerView,
    PeerView, QueueView, RecipientView, RefusalView, StatusView, StoreView,
};
pub use watch::{AGES_MS, AlertView, DomainView, FlowView, LaneAgesView};
