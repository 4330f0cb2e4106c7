//! The order in which the rules are asked, and what they come to.

use message::{Code, Selection};

use crate::evidence::{Acquaintance, Evidence, SealEvidence, Seen};
use crate::rule::{Action, Condition, Holds, Rule, author, seals, selection_words};

/// Seconds after which a deferred offer may be made again.
const DEFER_SECONDS: u32 = 300;

/// What is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is taken.
    Accept,
    /// It is not taken, for good.
    Refuse {
        /// For programs.
        code: Code,
        /// For the people on the other side: the rule's name, and none of the evidence.
        text: String,
    },
    /// This content first: then it is decided again, with what it shows.
    Want(Selection),
    /// The recipient is to decide, from this content.
    Hold {
        /// What is asked of the sender and kept; nothing more is fetched until the recipient has decided.
        keep: Selection,
    },
    /// Later: the sender gets a cookie, asks no sooner than this, and is then asked to offer again.
    Pend {
        /// Seconds before which nothing is decided.
        after_seconds: u32,
    },
    /// Not now, and nothing is kept.
    Defer {
        /// For programs.
        code: Code,
        /// Seconds after which it may be offered again.
        after_seconds: u32,
    },
}

impl Verdict {
    /// The word for people.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Accept => "accept",
            Verdict::Refuse { .. } => "refuse",
            Verdict::Want(_) => "want",
            Verdict::Hold { .. } => "hold",
            Verdict::Pend { .. } => "pend",
            Verdict::Defer { .. } => "defer",
        }
    }
}

/// A verdict, the name of the rule that led to it, and on what evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What is decided.
    pub verdict: Verdict,
    /// The rule, as it is named in the configuration and shown to operators.
    pub rule: String,
    /// The evidence in words, for the operator and the recipient; peers are not told.
    pub evidence: String,
}

/// What came of one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// A condition does not hold.
    No,
    /// All conditions hold, and the rule decides.
    Matched,
    /// All conditions hold, but the rule has got what it asks for: the content is here, or the time has passed.
    Satisfied,
    /// It cannot be told before headers and seals have come.
    NotSeen,
}

/// One rule that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub rule: String,
    /// What came of it.
    pub tried: Tried,
    /// Each condition as it stands in the configuration, whether it holds (`None`: that does not show yet), and the
    /// evidence it was held against.
    pub conditions: Vec<(String, Option<bool>, String)>,
}

/// A decision, and all that was asked on the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What is decided.
    pub decision: Decision,
    /// The rules that were asked, in their order; the last of them has decided, unless the seals did.
    pub steps: Vec<Step>,
}

/// The rules of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Octets of the largest message taken.
    pub octets_max: u64,
    /// In their order: the first that matches decides.
    pub rules: Vec<Rule>,
    /// What is done where none matches.
    pub default: Action,
}

impl Rules {
    /// Takes everything of at most so many octets that its seals answer for.
    pub fn accepting(octets_max: u64) -> Rules {
        Rules { octets_max, rules: Vec::new(), default: Action::Accept }
    }

    /// The same with a rule more, at the end.
    #[must_use]
    pub fn with(mut self, name: &str, conditions: Vec<Condition>, action: Action) -> Rules {
        self.rules.push(Rule { name: name.to_owned(), conditions, action });
        self
    }

    /// Whether any rule looks at the standing of peers: else it need not be found out.
    pub fn look_at_standing(&self) -> bool {
        self.look_at(|condition| matches!(condition, Condition::StandingBelow(_) | Condition::StandingAt(_)))
    }

    /// Whether any rule looks at whom an author looks like: else the recipient's whole list need not be read.
    pub fn look_at_likeness(&self) -> bool {
        self.look_at(|condition| matches!(condition, Condition::LookAlike(_)))
    }

    fn look_at(&self, looks: impl Fn(&Condition) -> bool) -> bool {
        self.rules.iter().any(|rule| rule.conditions.iter().any(&looks))
    }

    /// Decides about one recipient.
    ///
    /// Where something only shows in content that has not come, the verdict is [`Verdict::Want`]; it is asked again with
    /// that content among what was supplied.
    ///
    /// keeps: EXC-17, EXC-25, POL-1, POL-2, POL-3, POL-7
    pub fn decide(&self, evidence: &Evidence) -> Decision {
        self.walk(evidence, &mut |_, _| {})
    }

    /// Decides, and says what was asked on the way. keeps: POL-8
    pub fn explain(&self, evidence: &Evidence) -> Explanation {
        let mut steps = Vec::new();
        let decision = self.walk(evidence, &mut |rule, tried| {
            let told = |condition: &Condition| {
                let holds = match condition.holds(evidence) {
                    Holds::Yes => Some(true),
                    Holds::No => Some(false),
                    Holds::NotSeen => None,
                };
                (condition.to_string(), holds, condition.evidence(evidence))
            };
            steps.push(Step {
                rule: rule.name.clone(),
                tried,
                conditions: rule.conditions.iter().map(told).collect(),
            });
        });
        Explanation { decision, steps }
    }

    fn walk(&self, evidence: &Evidence, tell: &mut dyn FnMut(&Rule, Tried)) -> Decision {
        if evidence.octets > self.octets_max {
            let text = format!("the message is larger than {} octets", self.octets_max);
            let verdict = Verdict::Refuse { code: Code::MESSAGE_TOO_LARGE, text };
            return decision("size", verdict, format!("{} octets", evidence.octets));
        }
        if let Some(seen) = &evidence.seen
            && seen.acquaintance == Acquaintance::Blocked
        {
            let words = format!("{}, whom {} has blocked", author(seen), evidence.recipient);
            return decision("blocked", refused("blocked"), words);
        }
        for rule in &self.rules {
            let tried = rule.ask(evidence);
            tell(rule, tried);
            match tried {
                Tried::No | Tried::Satisfied => {}
                Tried::NotSeen => {
                    let words = "it judges by headers and seals, which have not come yet".to_owned();
                    return decision(&rule.name, Verdict::Want(Selection::Headers), words);
                }
                Tried::Matched => {
                    return conclude(&rule.name, &rule.action, rule.evidence(evidence), evidence);
                }
            }
        }
        conclude("default", &self.default, "no rule matches".to_owned(), evidence)
    }
}

impl Rule {
    /// Whether all conditions hold. A condition that does not hold spares asking for content.
    fn ask(&self, evidence: &Evidence) -> Tried {
        let mut not_seen = false;
        for condition in &self.conditions {
            match condition.holds(evidence) {
                Holds::Yes => {}
                Holds::No => return Tried::No,
                Holds::NotSeen => not_seen = true,
            }
        }
        if not_seen {
            return Tried::NotSeen;
        }
        let satisfied = match &self.action {
            Action::Want(selection) => evidence.has(selection),
            Action::Pend { after_seconds } => {
                evidence.waited_seconds.is_some_and(|waited| waited >= u64::from(*after_seconds))
            }
            _ => false,
        };
        if satisfied { Tried::Satisfied } else { Tried::Matched }
    }

    fn evidence(&self, evidence: &Evidence) -> String {
        let mut words: Vec<String> = Vec::new();
        for one in self.conditions.iter().map(|condition| condition.evidence(evidence)) {
            if !words.contains(&one) {
                words.push(one);
            }
        }
        if words.is_empty() { "it matches always".to_owned() } else { words.join("; ") }
    }
}

/// What an action comes to. Whatever it is but a refusal, the seals have to bear it. keeps: EXC-25, POL-3
fn conclude(rule: &str, action: &Action, words: String, evidence: &Evidence) -> Decision {
    let verdict = match action {
        Action::Refuse => return decision(rule, refused(rule), words),
        Action::Accept => Verdict::Accept,
        Action::Want(selection) => Verdict::Want(selection.clone()),
        Action::Hold(selection) => Verdict::Hold { keep: selection.clone() },
        // What has passed since the first offer counts.
        Action::Pend { after_seconds } => {
            let waited = u32::try_from(evidence.waited_seconds.unwrap_or(0)).unwrap_or(u32::MAX);
            Verdict::Pend { after_seconds: after_seconds.saturating_sub(waited).max(1) }
        }
    };
    match (&evidence.peer, &evidence.seen) {
        (None, _) => {}
        (Some(_), Some(seen)) => {
            if let Some(other) = judge_seals(seen) {
                return other;
            }
        }
        (Some(_), None) => {
            let taken = match &verdict {
                Verdict::Accept => true,
                Verdict::Hold { keep } => keep.covers(&Selection::Headers) || is_range(keep),
                Verdict::Want(selection) => is_range(selection),
                _ => false,
            };
            if taken {
                let words = format!("{words}; headers and seals have not come yet");
                return decision(rule, Verdict::Want(Selection::Headers), words);
            }
        }
    }
    decision(rule, verdict, words)
}

/// Which leaves there are shows in the manifest, and that comes with the headers.
fn is_range(selection: &Selection) -> bool {
    matches!(selection, Selection::Range { .. } | Selection::Parts(_))
}

fn judge_seals(seen: &Seen) -> Option<Decision> {
    let (rule, verdict) = match seen.seals {
        SealEvidence::Verified => return None,
        SealEvidence::Broken => {
            let text = "a seal does not verify over this message".to_owned();
            ("seal-broken", Verdict::Refuse { code: Code::INTEGRITY_FAILED, text })
        }
        SealEvidence::Missing => {
            let text = "no seal by which the offering domain answers for this message".to_owned();
            ("seal-missing", Verdict::Refuse { code: Code::NOT_AUTHORIZED, text })
        }
        SealEvidence::Unknown => {
            let (code, after_seconds) = (Code::DIRECTORY_FAILURE, DEFER_SECONDS);
            ("seal-unknown", Verdict::Defer { code, after_seconds })
        }
    };
    Some(decision(rule, verdict, format!("{}; {}", author(seen), seals(seen))))
}

/// keeps: POL-9
fn refused(rule: &str) -> Verdict {
    Verdict::Refuse { code: Code::NOT_AUTHORIZED, text: format!("refused by rule {rule}") }
}

fn decision(rule: &str, verdict: Verdict, evidence: String) -> Decision {
    Decision { verdict, rule: rule.to_owned(), evidence }
}

/// For people: the verdict with what it asks for.
impl std::fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Verdict::Accept => formatter.write_str("accept"),
            Verdict::Refuse { code, text } => write!(formatter, "refuse {code} {text}"),
            Verdict::Want(selection) => write!(formatter, "want {}", selection_words(selection)),
            Verdict::Hold { keep } => write!(formatter, "hold {}", selection_words(keep)),
            Verdict::Pend { after_seconds } => write!(formatter, "pend {after_seconds} s"),
            Verdict::Defer { code, after_seconds } => write!(formatter, "defer {code} {after_seconds} s"),
        }
    }
}
