//! The policy of a node, why it decides as it does, and whom its users know.

use serde::{Deserialize, Serialize};

/// One rule, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleView {
    /// Its name.
    pub name: String,
    /// What must hold, all of it.
    pub conditions: Vec<String>,
    /// What is done then.
    pub action: String,
}

/// The rules of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyView {
    /// Octets of the largest message that is taken.
    pub octets_max: u64,
    /// In their order: the first that matches decides.
    pub rules: Vec<RuleView>,
    /// What is done where none matches.
    pub default: String,
}

/// One condition of a rule that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionView {
    /// As it stands in the rule.
    pub condition: String,
    /// Whether it holds; nothing where that does not show yet.
    pub holds: Option<bool>,
    /// The evidence it was held against.
    pub evidence: String,
}

/// One rule that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepView {
    /// Its name.
    pub rule: String,
    /// What came of it: `matched`, `no`, `satisfied` or `not-seen`.
    pub tried: String,
    /// Its conditions.
    pub conditions: Vec<ConditionView>,
}

/// What would be decided about a message for one recipient, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplanationView {
    /// The message.
    pub identity: String,
    /// For whom.
    pub recipient: String,
    /// Who brings it: a domain, or `account:NAME`.
    pub origin: String,
    /// The verdict with what it asks for.
    pub verdict: String,
    /// The rule that decides.
    pub rule: String,
    /// On what evidence.
    pub evidence: String,
    /// Every rule that was asked, in order.
    pub steps: Vec<StepView>,
}

/// Somebody whom an account knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorrespondentView {
    /// An address or a domain.
    pub who: String,
    /// `known`, `trusted` or `blocked`.
    pub regard: String,
    /// Since when, in Unix milliseconds.
    pub since_ms: u64,
    /// Why.
    pub note: String,
    /// The verified seal of the last letter from there, as far as letters were looked through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<crate::SealView>,
    /// The keys of the correspondent's own that are pinned, by their short names, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// A newer key that none of them has signed, by its short name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_by: Option<String>,
    /// When that letter came, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_at_ms: Option<u64>,
}
