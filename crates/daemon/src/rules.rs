//! The policy as it is written in the configuration, and as it is resolved (`spec/14-policy.md`).

use message::Selection;
use message::keys::AuthorKey;
use policy::limits::{PEND_SECONDS_MAX, RULE_NAME_OCTETS_MAX, RULES_MAX, WANTING_RULES_MAX};
use policy::{Action, Condition, Grade, Party, Rule, Rules, SealEvidence};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::config::domain;

/// What is done where no rule of the operator's matches. Each is an action in words: `accept`, `refuse`, `hold text`,
/// `want headers`, `pend 300`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct PolicyConfig {
    /// With authors to whom the recipient has never written; without it nothing is done about them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_contact: Option<String>,
    /// With addresses that can be taken for that of somebody whom the recipient knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look_alike: Option<String>,
    /// With addresses that mix scripts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mixed_script: Option<String>,
    /// With peers whose standing is bad.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing_bad: Option<String>,
    /// With peers that bring more than they may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_over: Option<String>,
    /// With everything else.
    pub default: String,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        PolicyConfig {
            first_contact: None,
            look_alike: None,
            mixed_script: None,
            standing_bad: None,
            rate_over: None,
            default: "accept".to_owned(),
        }
    }
}

/// One rule: conditions, all of which must hold, and one action.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct RuleConfig {
    /// Its name, shown wherever it has decided.
    pub name: String,
    /// For these recipients: addresses, or domains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<OneOrMany>,
    /// From these authors: addresses, or domains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<OneOrMany>,
    /// Brought by these peers: domains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<OneOrMany>,
    /// Whether the author writes to the recipient for the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_contact: Option<bool>,
    /// Whether the recipient has written to the author or trusts the author.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<bool>,
    /// Whether the recipient trusts the author.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted: Option<bool>,
    /// Whether somebody else than the author's domain brings it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarded: Option<bool>,
    /// Whether it comes over SMTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub legacy: Option<bool>,
    /// Whether it is proved from whom it comes: by seals, or over SMTP the return path or the author's domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// What was found about the seals: `verified`, `missing`, `broken`, `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seals: Option<OneOrMany>,
    /// What was found of the author's own key: `own` for all that say it is, `unchecked`, `first`, `known`, `rotated`, `broken`,
    /// `revoked`, `split`, `wrong`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author_key: Option<OneOrMany>,
    /// More octets than these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub larger_than: Option<u64>,
    /// Whether there is anything that is not encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unencrypted: Option<bool>,
    /// Whether the author's address mixes scripts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mixed_script: Option<bool>,
    /// Whether the author's address can be taken for that of somebody whom the recipient knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look_alike: Option<bool>,
    /// A standing of the peer worse than `neutral` or `good`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing_below: Option<String>,
    /// Just this standing of the peer: `unknown`, `bad`, `neutral`, `good`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<String>,
    /// Whether the peer brings more than it may, or more than the limit of this name allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_over: Option<FlagOrName>,
    /// Offered before, and again after so many seconds or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub came_back_after_seconds: Option<u32>,
    /// `true`: it is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept: Option<bool>,
    /// This content first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub want: Option<SelectionConfig>,
    /// The recipient decides, from this content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<SelectionConfig>,
    /// Put off for so many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pend_seconds: Option<u32>,
    /// `true`: it is not taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refuse: Option<bool>,
}

/// One word or a list of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Several, any of which may match.
    Many(Vec<String>),
}

/// Yes, no, or a name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FlagOrName {
    /// Whether at all.
    Flag(bool),
    /// Which.
    Name(String),
}

/// What is asked for: `digest`, `signers`, `headers`, `text`, `all`, or a range of a part.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SelectionConfig {
    /// By its name.
    Word(String),
    /// `{ part = 1, offset = 0, octets = 4096 }`.
    Range(RangeConfig),
}

/// A range of one leaf.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RangeConfig {
    /// The number of the leaf, as `waxwing message show` counts.
    pub part: usize,
    /// The first octet.
    #[serde(default)]
    pub offset: u64,
    /// How many octets.
    pub octets: u64,
}

impl OneOrMany {
    fn words(&self) -> &[String] {
        match self {
            OneOrMany::One(one) => std::slice::from_ref(one),
            OneOrMany::Many(many) => many,
        }
    }
}

/// The rules of a node: those of the operator, and after them the policy about what none of them decides.
///
/// keeps: POL-10
pub(crate) fn resolve(octets_max: u64, policy: &PolicyConfig, rules: &[RuleConfig]) -> Result<Rules, Error> {
    let mut resolved = rules.iter().map(rule).collect::<Result<Vec<Rule>, Error>>()?;
    for (key, words, condition) in [
        ("rate-over", &policy.rate_over, Condition::RateOver(true)),
        ("standing-bad", &policy.standing_bad, Condition::StandingAt(Grade::Bad)),
        ("look-alike", &policy.look_alike, Condition::LookAlike(true)),
        ("mixed-script", &policy.mixed_script, Condition::MixedScript(true)),
        ("first-contact", &policy.first_contact, Condition::FirstContact(true)),
    ] {
        if let Some(words) = words {
            let action =
                action_in_words(words).map_err(|reason| wrong(format!("[policy] {key}: {reason}")))?;
            resolved.push(Rule { name: key.to_owned(), conditions: vec![condition], action });
        }
    }
    let default =
        action_in_words(&policy.default).map_err(|reason| wrong(format!("[policy] default: {reason}")))?;
    let wanting = |action: &Action| matches!(action, Action::Want(_) | Action::Pend { .. });
    if wanting(&default) {
        return Err(wrong(
            "[policy] default: accept, hold or refuse; something has to come of it".to_owned(),
        ));
    }
    let names: std::collections::BTreeSet<&str> = resolved.iter().map(|rule| rule.name.as_str()).collect();
    if names.len() < resolved.len() {
        return Err(wrong("[[rules]]: two rules have the same name".to_owned()));
    }
    if resolved.len() > RULES_MAX {
        return Err(wrong(format!("[[rules]]: more than {RULES_MAX} rules")));
    }
    let asking = resolved.iter().filter(|rule| matches!(rule.action, Action::Want(_))).count();
    if asking > WANTING_RULES_MAX {
        return Err(wrong(format!("[[rules]]: more than {WANTING_RULES_MAX} rules want content")));
    }
    Ok(Rules { octets_max, rules: resolved, default })
}

fn rule(entry: &RuleConfig) -> Result<Rule, Error> {
    let at = |reason: String| wrong(format!("[[rules]] {:?}: {reason}", entry.name));
    if entry.name.is_empty()
        || entry.name.len() > RULE_NAME_OCTETS_MAX
        || entry.name.chars().any(char::is_control)
    {
        return Err(at(format!("a rule has a name of at most {RULE_NAME_OCTETS_MAX} octets")));
    }
    let conditions = conditions(entry).map_err(at)?;
    let action = action(entry).map_err(at)?;
    Ok(Rule { name: entry.name.clone(), conditions, action })
}

fn conditions(entry: &RuleConfig) -> Result<Vec<Condition>, String> {
    let mut found = Vec::new();
    let parties = |words: &OneOrMany| words.words().iter().map(|word| party(word)).collect::<Result<_, _>>();
    if let Some(words) = &entry.to {
        found.push(Condition::To(parties(words)?));
    }
    if let Some(words) = &entry.from {
        found.push(Condition::From(parties(words)?));
    }
    if let Some(words) = &entry.peer {
        let peers = words.words().iter().map(|word| domain(word).map_err(|error| error.to_string()));
        found.push(Condition::Peer(peers.collect::<Result<_, _>>()?));
    }
    found.extend(entry.larger_than.map(Condition::LargerThan));
    found.extend(entry.legacy.map(Condition::Legacy));
    if let Some(word) = &entry.standing_below {
        found.push(Condition::StandingBelow(grade(word)?));
    }
    if let Some(word) = &entry.standing {
        found.push(Condition::StandingAt(grade(word)?));
    }
    found.extend(entry.rate_over.as_ref().map(|over| match over {
        FlagOrName::Flag(flag) => Condition::RateOver(*flag),
        FlagOrName::Name(name) => Condition::RateOverLimit(name.clone()),
    }));
    found.extend(entry.came_back_after_seconds.map(Condition::CameBackAfter));
    if let Some(words) = &entry.seals {
        let words = words.words().iter().map(|word| seals(word));
        found.push(Condition::Seals(words.collect::<Result<_, _>>()?));
    }
    if let Some(words) = &entry.author_key {
        let words = words.words().iter().map(|word| author_key(word));
        let found_keys = words.collect::<Result<Vec<_>, String>>()?;
        found.push(Condition::AuthorKey(found_keys.into_iter().flatten().collect()));
    }
    found.extend(entry.verified.map(Condition::Verified));
    found.extend(entry.first_contact.map(Condition::FirstContact));
    found.extend(entry.known.map(Condition::Known));
    found.extend(entry.trusted.map(Condition::Trusted));
    found.extend(entry.forwarded.map(Condition::Forwarded));
    found.extend(entry.unencrypted.map(Condition::Unencrypted));
    found.extend(entry.mixed_script.map(Condition::MixedScript));
    found.extend(entry.look_alike.map(Condition::LookAlike));
    Ok(found)
}

fn action(entry: &RuleConfig) -> Result<Action, String> {
    if entry.accept == Some(false) || entry.refuse == Some(false) {
        return Err("accept and refuse are true where they stand".to_owned());
    }
    let mut actions = Vec::new();
    actions.extend(entry.accept.map(|_| Action::Accept));
    actions.extend(entry.refuse.map(|_| Action::Refuse));
    if let Some(wanted) = &entry.want {
        actions.push(Action::Want(selection(wanted)?));
    }
    if let Some(kept) = &entry.hold {
        actions.push(Action::Hold(selection(kept)?));
    }
    if let Some(after_seconds) = entry.pend_seconds {
        actions.push(pend(after_seconds)?);
    }
    match <[Action; 1]>::try_from(actions) {
        Ok([action]) => Ok(action),
        Err(_) => Err("a rule has just one of accept, want, hold, pend-seconds and refuse".to_owned()),
    }
}

fn action_in_words(words: &str) -> Result<Action, String> {
    let (verb, rest) = words.trim().split_once(' ').unwrap_or((words.trim(), ""));
    let unknown =
        || format!("{words:?} is none of accept, refuse, hold SELECTION, want SELECTION and pend SECONDS");
    match (verb, rest.trim()) {
        ("accept", "") => Ok(Action::Accept),
        ("refuse", "") => Ok(Action::Refuse),
        ("hold", word) => selection_of_word(word).map(Action::Hold),
        ("want", word) => selection_of_word(word).map(Action::Want),
        ("pend", seconds) => pend(seconds.parse().map_err(|_| unknown())?),
        _ => Err(unknown()),
    }
}

fn pend(after_seconds: u32) -> Result<Action, String> {
    if (1..=PEND_SECONDS_MAX).contains(&after_seconds) {
        Ok(Action::Pend { after_seconds })
    } else {
        Err(format!("a message is put off for 1 to {PEND_SECONDS_MAX} seconds"))
    }
}

fn selection(config: &SelectionConfig) -> Result<Selection, String> {
    match config {
        SelectionConfig::Word(word) => selection_of_word(word),
        SelectionConfig::Range(RangeConfig { part, offset, octets }) => {
            if !(1..=protocol::limits::RANGE_OCTETS_MAX).contains(octets) {
                return Err(format!("a range has 1 to {} octets", protocol::limits::RANGE_OCTETS_MAX));
            }
            Ok(Selection::Range { part: *part, offset: *offset, octets: *octets })
        }
    }
}

fn selection_of_word(word: &str) -> Result<Selection, String> {
    let all = [Selection::Digest, Selection::Signers, Selection::Headers, Selection::Text, Selection::All];
    all.into_iter().find(|selection| selection.word() == word).ok_or_else(|| {
        format!("{word:?} is none of digest, signers, headers, text, all and {{ part, offset, octets }}")
    })
}

fn seals(word: &str) -> Result<SealEvidence, String> {
    [SealEvidence::Verified, SealEvidence::Missing, SealEvidence::Broken, SealEvidence::Unknown]
        .into_iter()
        .find(|seals| seals.word() == word)
        .ok_or_else(|| format!("{word:?} is none of verified, missing, broken and unknown"))
}

fn author_key(word: &str) -> Result<Vec<AuthorKey>, String> {
    match word {
        "own" => Ok(AuthorKey::ALL.into_iter().filter(|found| found.is_own()).collect()),
        word => AuthorKey::from_word(word).map(|found| vec![found]).ok_or_else(|| {
            format!(
                "{word:?} is none of own, unchecked, first, known, rotated, broken, revoked, split and wrong"
            )
        }),
    }
}

fn grade(word: &str) -> Result<Grade, String> {
    [Grade::Unknown, Grade::Bad, Grade::Neutral, Grade::Good]
        .into_iter()
        .find(|grade| grade.word() == word)
        .ok_or_else(|| format!("{word:?} is none of unknown, bad, neutral and good"))
}

fn party(text: &str) -> Result<Party, String> {
    let what = if text.contains('@') { "an address" } else { "an address or a domain" };
    Party::parse(text).map_err(|error| format!("{text:?} is not {what}: {error}"))
}

fn wrong(reason: String) -> Error {
    Error::Other(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A written policy, and what it comes to in words, or why it cannot be.
    fn check(text: &str, expected: &str) {
        #[derive(Deserialize)]
        struct Written {
            #[serde(default)]
            policy: PolicyConfig,
            #[serde(default)]
            rules: Vec<RuleConfig>,
        }
        let written: Written = toml::from_str(text).unwrap();
        let found = match resolve(100, &written.policy, &written.rules) {
            Err(error) => error.to_string(),
            Ok(rules) => {
                let line = |rule: &Rule| {
                    let conditions: Vec<String> = rule.conditions.iter().map(Condition::to_string).collect();
                    format!("{}: {} -> {}", rule.name, conditions.join(" and "), rule.action)
                };
                let mut lines: Vec<String> = rules.rules.iter().map(line).collect();
                lines.push(rules.default.to_string());
                lines.join("\n")
            }
        };
        let fits = if expected.contains('\n') || !text.contains('=') {
            found == expected
        } else {
            found.contains(expected)
        };
        assert!(fits, "{text}\n{found}");
    }

    /// proves: POL-10
    #[test]
    fn what_is_written_is_what_holds() {
        check("", "accept");
        check(
            "[policy]\nfirst-contact = \"hold text\"\nlook-alike = \"refuse\"\nrate-over = \"pend 300\"\ndefault = \"hold digest\"",
            "rate-over: rate-over -> pend 300 s\nlook-alike: look-alike -> refuse\nfirst-contact: first-contact -> hold text\nhold digest",
        );
        check(
            "[[rules]]\nname = \"one\"\nto = [\"carol@north.test\", \"east.test\"]\nfrom = \"south.test\"\npeer = \"south.test\"\nunencrypted = true\nwant = \"signers\"\n\
             [[rules]]\nname = \"keys\"\nauthor-key = [\"own\", \"broken\"]\naccept = true\n\
             [[rules]]\nname = \"two\"\nlarger-than = 5\nseals = [\"missing\", \"unknown\"]\nstanding-below = \"neutral\"\nhold = { part = 1, octets = 16 }\n\
             [[rules]]\nname = \"three\"\nknown = false\nrate-over = \"per-day\"\ncame-back-after-seconds = 9\naccept = true",
            "one: to carol@north.test, east.test and from south.test and peer south.test and unencrypted -> want signers\n\
             keys: author-key first, known, rotated, broken -> accept\n\
             two: larger-than 5 and standing-below neutral and seals missing, unknown -> hold part 1, 16 octets from 0 on\n\
             three: rate-over per-day and came-back-after 9 s and not known -> accept\naccept",
        );
    }

    /// proves: POL-10
    #[test]
    fn what_cannot_be_meant_is_an_error() {
        check("[policy]\ndefault = \"pend 5\"", "something has to come of it");
        check("[policy]\nfirst-contact = \"hold\"", "none of digest, signers");
        check("[policy]\nfirst-contact = \"hold it\"", "[policy] first-contact: \"it\" is none of");
        check("[policy]\nfirst-contact = \"keep\"", "none of accept, refuse");
        let rule = |rest: &str| format!("[[rules]]\nname = \"it\"\n{rest}");
        check(&rule(""), "just one of accept");
        check(&rule("accept = true\nrefuse = true"), "just one of accept");
        check(&rule("accept = false"), "true where they stand");
        check(&rule("accept = true\nto = \"x@y\""), "\"x@y\" is not an address");
        check(&rule("accept = true\nfrom = \"south\""), "is not an address or a domain");
        check(&rule("accept = true\nseals = \"good\""), "none of verified");
        check(&rule("accept = true\nauthor-key = \"good\""), "none of own");
        check(&rule("accept = true\nstanding = \"better\""), "none of unknown, bad");
        check(&rule("pend-seconds = 0"), "put off for 1 to");
        check(&rule("hold = { part = 1, octets = 0 }"), "a range has 1 to");
        check(&rule("accept = true\n[[rules]]\nname = \"it\"\nrefuse = true"), "the same name");
        check("[[rules]]\naccept = true", "a rule has a name");
        let many: String =
            (0..9).map(|number| format!("[[rules]]\nname = \"r{number}\"\nwant = \"all\"\n")).collect();
        check(&many, "rules want content");
    }
}
