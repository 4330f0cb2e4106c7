//! Who carries a message on, what is given to it, and what it reports.

use std::sync::Arc;

use message::address::Domain;
use message::{Code, Cookie, Disposition, Envelope, Redirect};
use storage::{LegacyOrigin, Store, StoredMessage};

use crate::forwarding::Onward;
use crate::outside::Later;

/// One message for some recipients at one domain.
pub struct Consignment {
    /// Where it goes.
    pub domain: Domain,
    /// For whom, and which way it came.
    pub envelope: Envelope,
    /// Under whom it counts where room is shared out: who has brought it, and below one registered domain all together.
    pub holder: String,
    /// Whether the domain has asked for it again: then nothing goes unasked, because it says what is missing there.
    pub again: bool,
    /// What it consists of.
    pub message: StoredMessage,
    /// Where its bodies are.
    pub store: Arc<dyn Store>,
    /// Whether a redirect has failed: the node is to take it itself.
    pub redirect_failed: bool,
    /// Who has brought it, where it came from the old world.
    pub legacy: Option<Box<LegacyOrigin>>,
    /// What goes on beside it, for each recipient of the envelope.
    pub onward: Vec<Onward>,
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TryRecord {
    /// Where.
    pub host: String,
    /// How far it came: `resolve`, `connect`, `offer`, `content`.
    pub step: String,
    /// What was answered, for programs.
    pub code: Option<Code>,
    /// What was answered, for people, in full.
    pub text: String,
    /// For which recipient, by its place in the envelope of the consignment; `None` where it concerns all.
    pub recipient: Option<usize>,
}

/// What a courier reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// One disposition for each recipient, or why there is none.
    pub result: Result<Vec<Disposition>, Trouble>,
    /// What was tried, in order.
    pub tried: Vec<TryRecord>,
    /// The places of those for whom whoever took it has also taken over the duty to give notices (RFC 3461).
    pub passed_on: Vec<usize>,
}

/// Why nothing was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It may go better later.
    Temporary(Code, String),
    /// It will not go better.
    Permanent(Code, String),
    /// We held ourselves back: no attempt was made, and the back-off does not advance.
    Throttled,
    /// The same, because there was no room in memory: what makes room takes longer than what throttles.
    NoRoom,
}

/// What became of a cookie at the next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// It has settled.
    Final(Disposition),
    /// Not yet: ask again no sooner and no later than this many seconds from now.
    Pending {
        /// No sooner.
        min_seconds: u32,
        /// No later.
        max_seconds: u32,
    },
    /// The message is to be offered again.
    Again,
    /// The next hop knows nothing of it.
    Unknown,
}

/// Who carries a message on: over QUIC, over SMTP, or in a test.
pub trait Courier: Send + Sync + 'static {
    /// Offers a message. `step` hears of each step as it happens.
    fn deliver<'a>(
        &'a self,
        consignment: &'a Consignment,
        step: &'a (dyn Fn(&str, &str) + Send + Sync),
    ) -> Later<'a, Report>;

    /// Delivers to a recipient's own daemon, to which its node has redirected: there alone, to that key alone. The
    /// envelope has that one recipient, and the address was checked before. Who knows no such way lets the node take it.
    fn deliver_to_doorstep<'a>(
        &'a self,
        _: &'a Consignment,
        _: &'a Redirect,
        _: &'a (dyn Fn(&str, &str) + Send + Sync),
    ) -> Later<'a, Report> {
        let trouble = Trouble::Temporary(Code::NO_ROUTE, "no way leads to doorsteps from here".to_owned());
        Box::pin(std::future::ready(Report {
            result: Err(trouble),
            tried: Vec::new(),
            passed_on: Vec::new(),
        }))
    }

    /// Asks what became of cookies that a domain has given us.
    fn inquire<'a>(
        &'a self,
        domain: &'a Domain,
        cookies: &'a [Cookie],
    ) -> Later<'a, Result<Vec<Answered>, Trouble>>;

    /// Tells a domain that we have stopped caring. Nothing depends on whether it hears.
    fn give_up<'a>(&'a self, domain: &'a Domain, cookies: &'a [Cookie]) -> Later<'a, ()>;
}
