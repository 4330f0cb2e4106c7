//! What an operator looks at while it changes: the flow, the queue by age, what needs to be done.

use serde::{Deserialize, Serialize};

/// Ages that legs are counted by, as the milliseconds below which an age falls: 5 and 30 minutes, 2, 12 and 24 hours. What
/// is older is counted in a sixth column.
pub const AGES_MS: [u64; 5] = [300_000, 1_800_000, 7_200_000, 43_200_000, 86_400_000];

/// What waits for one lane, by age.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneAgesView {
    /// Where it goes.
    pub lane: String,
    /// How many legs wait.
    pub count: u64,
    /// How many of them have which age, by [`AGES_MS`], to the minute.
    pub ages: [u64; 6],
    /// How many of them an operator holds.
    pub held: u64,
    /// When the next is due.
    pub next_due_ms: Option<u64>,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// Something that has happened to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowView {
    /// Its number, growing.
    pub number: u64,
    /// When.
    pub at_ms: u64,
    /// A word for programs: `offered`, `asked`, `seal`, `decided`, `committed`, `delivered`, `trying`, `step`, `settled`,
    /// `retrying` or `trouble`.
    pub kind: String,
    /// Which message; absent of trouble.
    pub identity: Option<String>,
    /// The recipient it is about.
    pub recipient: Option<String>,
    /// Who offered it: a domain or `account:NAME`.
    pub by: Option<String>,
    /// What happened, for people.
    pub text: String,
}

/// Something that needs somebody to act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertView {
    /// A word for programs, such as `read-only` or `disk`.
    pub kind: String,
    /// Whether mail stands still because of it; otherwise it will, if nobody acts.
    pub urgent: bool,
    /// What is wrong.
    pub text: String,
    /// What to do.
    pub hint: String,
    /// The lane it is about.
    pub lane: Option<String>,
}

/// A domain that is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainView {
    /// Its name.
    pub name: String,
    /// The selector under which its key is published.
    pub selector: String,
    /// The public key, 64 hexadecimal digits.
    pub public_key: String,
    /// What to publish for it in the DNS, in the form of a master file (RFC 1035 section 5).
    pub records: Vec<String>,
    /// Whether the key was found in the DNS as it is here; absent where the DNS did not answer.
    pub published: Option<bool>,
}
