//! Held mail: what waits until its recipient has decided. Octets are those of the message in its octet form.

use serde::{Deserialize, Serialize};

use crate::{AuthorView, SealView};

/// Where an entry of the list stands; the list goes on after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HeldPlace {
    /// The number of the envelope.
    pub envelope: u64,
    /// The place of the recipient in it.
    pub recipient: u32,
}

/// What is held for one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldView {
    /// Where it stands in the list.
    pub place: HeldPlace,
    /// The identity of the message.
    pub identity: String,
    /// The recipient about whom is to be decided.
    pub recipient: String,
    /// The account whose decision it is.
    pub account: Option<String>,
    /// Who brought it: the domain of a peer, or `account:NAME`.
    pub origin: String,
    /// What `From` says, where the headers are here. Only the seals say whether it is true.
    pub from: Option<String>,
    /// What `Subject` says, where the headers are here.
    pub subject: Option<String>,
    /// What `Date` says, where the headers are here.
    pub date: Option<String>,
    /// Why it is held: the rule and the evidence.
    pub reason: String,
    /// What was found about its seals when it was held.
    pub seals: Vec<SealView>,
    /// What its reader has to do with its author; absent where nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<AuthorView>,
    /// Octets that were fetched and are kept.
    pub octets_here: u64,
    /// Octets of the message.
    pub octets: u64,
    /// Octets that were not fetched: what holding it has saved so far.
    pub octets_missing: u64,
    /// Since when it is held.
    pub since_ms: u64,
    /// When it expires where nobody decides, and where what was accepted never comes.
    pub until_ms: u64,
    /// Whether its recipient has decided.
    pub state: HeldState,
}

/// Whether somebody has decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeldState {
    /// Nobody has decided yet.
    Undecided,
    /// Accepted; the sender is asked for the rest when it asks for the status, or at once where a connection lives.
    Fetching,
    /// It waits for a time that a rule has set; nobody is to decide.
    Later,
}

/// What can be shown of a held message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldDetailView {
    /// What the list says of it.
    pub held: HeldView,
    /// How what is shown here was checked, in words: against the digests in the manifest, and the manifest by which seals.
    pub checked: String,
    /// Whether a seal by which the sender answers for the message holds for the manifest, as of now.
    pub sealed: bool,
    /// The fields of the header block of the message in their order, where it is here: names and values.
    pub headers: Vec<(String, String)>,
    /// The text part, where it is here; octets that are no UTF-8 are replaced.
    pub text: Option<String>,
    /// Whether the text goes on behind what is shown of it.
    pub text_is_cut: bool,
    /// The parts in the order of the tree.
    pub parts: Vec<HeldPartView>,
}

/// One part of a held message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPartView {
    /// Its number.
    pub number: usize,
    /// How deep it stands in the tree; 0 for the message.
    pub level: usize,
    /// Its media type; absent where its headers are not here.
    pub media_type: Option<String>,
    /// The name that it has as a file, where it has one.
    pub name: Option<String>,
    /// Octets of its body; for a part that has parts those of all of them.
    pub octets: u64,
    /// Whether its body is here.
    pub here: bool,
}

/// What is decided about a held message for one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decide", rename_all = "kebab-case", deny_unknown_fields)]
pub enum HeldDecision {
    /// It is wanted: what is missing is fetched, then it is in the mailbox.
    Accept {
        /// Whether its author becomes a correspondent, whose mail is not held any more.
        trust: bool,
    },
    /// It is not wanted, which the sender sees.
    Refuse {
        /// The enhanced status code of class 5 (RFC 3463) that the sender sees; 5.7.1 where none is given.
        code: Option<String>,
    },
    /// It is refused, and so is what its author sends from now on.
    Block,
}
