//! Forwarding as operators and users see it.

use serde::{Deserialize, Serialize};

/// One question or order about forwarding. Where `account` is given it is about what concerns that user alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ForwardOrder {
    /// What aliases lead where; answered by [`crate::Response::Forwards`].
    List {
        /// After this alias and target.
        after: Option<(String, String)>,
        /// How many at the most.
        limit: u32,
    },
    /// An alias leads to a target, which is asked; answered by [`crate::Response::Forwards`] with the one.
    Add {
        /// The address of ours.
        alias: String,
        /// Where to.
        target: String,
        /// Whether the target is kept from senders.
        conceal: bool,
        /// Whether it goes on with a rewritten sender where the target cannot be asked.
        rewrite: bool,
        /// Whether the target has granted it by another way.
        granted: bool,
        /// Whether what comes over SMTP goes on over SMTP under the sender that it came with, once the target has granted it.
        #[serde(default)]
        keep_sender: bool,
    },
    /// The target is asked now; answered by [`crate::Response::Forwards`] with the one.
    Ask {
        /// The address of ours.
        alias: String,
        /// Where to.
        target: String,
    },
    /// An alias leads there no more: what comes is refused. Answered by [`crate::Response::Done`].
    Remove {
        /// The address of ours.
        alias: String,
        /// Where to.
        target: String,
        /// Whether it is forgotten altogether, as if it had never been.
        forget: bool,
    },
    /// Who forwards to us; answered by [`crate::Response::Grants`].
    Grants {
        /// For the addresses of this account alone.
        account: Option<String>,
        /// After this recipient and forwarder.
        after: Option<(String, String)>,
        /// How many at the most.
        limit: u32,
    },
    /// A forwarder may, or may not; answered by [`crate::Response::Done`].
    Decide {
        /// Who decides, where it is a user.
        account: Option<String>,
        /// The recipient.
        recipient: String,
        /// Who forwards.
        forwarder: String,
        /// Whether it may.
        granted: bool,
    },
    /// What was decided is forgotten, and the forwarder may ask anew; answered by [`crate::Response::Done`].
    Forget {
        /// Whose, where it is a user.
        account: Option<String>,
        /// The recipient.
        recipient: String,
        /// Who forwards.
        forwarder: String,
    },
    /// The chain of forwarders that ends here, from the last one back; answered by [`crate::Response::Chain`].
    Walk {
        /// Whose, where it is a user.
        account: Option<String>,
        /// The recipient.
        recipient: String,
        /// The last forwarder.
        forwarder: String,
    },
}

/// An alias and where it leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardView {
    /// The address of ours.
    pub alias: String,
    /// Where to.
    pub target: String,
    /// `waiting`, `granted`, `rewriting` or `deleted`.
    pub state: String,
    /// Since when, in Unix milliseconds.
    pub since_ms: u64,
    /// Whether the target is kept from senders.
    pub conceal: bool,
    /// Whether what comes over SMTP goes on over SMTP under the sender that it came with.
    #[serde(default)]
    pub keep_sender: bool,
    /// The number under which the target has granted it.
    pub authorization: Option<String>,
    /// When the target is asked next, in Unix milliseconds.
    pub ask_again_at_ms: Option<u64>,
    /// What came of asking last.
    pub note: String,
    /// Reports of abuse that have come.
    pub complaints: u64,
    /// The final recipient's page: whoever has it can end the forwarding.
    pub page: String,
}

/// Who forwards to one of our recipients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantView {
    /// The number of the authorization.
    pub number: u64,
    /// The recipient.
    pub recipient: String,
    /// Who forwards.
    pub forwarder: String,
    /// `asked`, `granted` or `refused`.
    pub state: String,
    /// Since when, in Unix milliseconds.
    pub since_ms: u64,
    /// Whether nobody had to be asked.
    pub automatic: bool,
    /// Who has decided.
    pub by: String,
    /// From which address it is forwarded, where that is said.
    pub alias: Option<String>,
    /// The forwarder's page of its record.
    pub page: Option<String>,
    /// Whether reports of abuse are sent.
    pub complain: bool,
}

/// One forwarder of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHopView {
    /// The page of its record.
    pub page: String,
    /// From which address.
    pub alias: Option<String>,
    /// Where to.
    pub target: Option<String>,
    /// How it stands.
    pub state: Option<String>,
    /// Why nothing is known of it.
    pub trouble: Option<String>,
}
