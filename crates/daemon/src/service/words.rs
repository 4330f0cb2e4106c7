//! What is said to a policy service and by it: JSON, apart from the types of the house.

use message::{Code, Selection};
use policy::{Acquaintance, Decision, Evidence, Rate, Seen, Verdict};
use serde::{Deserialize, Serialize};

use super::RULE;
use crate::limits::{SERVICE_AFTER_SECONDS_MAX, SERVICE_RULE_OCTETS_MAX, SERVICE_WORDS_OCTETS_MAX};

/// The version of the question. keeps: REP-15
const VERSION: u32 = 1;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Question<'a> {
    version: u32,
    peer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    legacy: Option<LegacyWords<'a>>,
    recipient: String,
    octets: u64,
    standing: StandingWords<'a>,
    rate: Option<RateWords<'a>>,
    waited_seconds: Option<u64>,
    seen: Option<SeenWords<'a>>,
    decision: DecisionWords<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct StandingWords<'a> {
    grade: &'static str,
    reasons: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct RateWords<'a> {
    over: &'a str,
    words: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct SeenWords<'a> {
    from: Option<String>,
    seals: &'static str,
    seals_found: &'a [String],
    author_key: Option<&'static str>,
    acquaintance: &'static str,
    forwarder_authorized: bool,
    encrypted: bool,
    mixed_script: Option<&'a str>,
    looks_like: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct LegacyWords<'a> {
    holder: &'a str,
    return_path_verified: bool,
    author_verified: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct DecisionWords<'a> {
    verdict: &'static str,
    rule: &'a str,
    evidence: &'a str,
}

/// Keys that are not known are passed over, so that a service may say more than this version reads.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Answer {
    verdict: String,
    rule: Option<String>,
    evidence: Option<String>,
    content: Option<String>,
    code: Option<String>,
    text: Option<String>,
    after_seconds: Option<u64>,
}

/// The question as JSON. keeps: REP-15
pub(super) fn question(evidence: &Evidence, decided: &Decision) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Question {
        version: VERSION,
        peer: evidence.peer.as_ref().map(|peer| peer.as_str()),
        legacy: evidence.legacy.as_ref().map(|legacy| LegacyWords {
            holder: &legacy.holder,
            return_path_verified: legacy.return_path_verified,
            author_verified: legacy.author_verified.as_ref().map(|domain| domain.as_str()),
        }),
        recipient: evidence.recipient.to_string(),
        octets: evidence.octets,
        standing: StandingWords {
            grade: evidence.standing.grade.word(),
            reasons: &evidence.standing.reasons,
        },
        rate: match &evidence.rate {
            Rate::Within => None,
            Rate::Over { limit, words } => Some(RateWords { over: limit, words }),
        },
        waited_seconds: evidence.waited_seconds,
        seen: evidence.seen.as_ref().map(seen),
        decision: DecisionWords {
            verdict: decided.verdict.word(),
            rule: &decided.rule,
            evidence: &decided.evidence,
        },
    })
}

fn seen(seen: &Seen) -> SeenWords<'_> {
    SeenWords {
        from: seen.from.as_ref().map(ToString::to_string),
        seals: seen.seals.word(),
        seals_found: &seen.seals_found,
        author_key: seen.author_key.map(message::keys::AuthorKey::word),
        acquaintance: acquaintance(seen.acquaintance),
        forwarder_authorized: seen.forwarder_authorized,
        encrypted: seen.encrypted,
        mixed_script: seen.mixed_script.as_deref(),
        looks_like: seen.looks_like.as_ref().map(ToString::to_string),
    }
}

fn acquaintance(acquaintance: Acquaintance) -> &'static str {
    match acquaintance {
        Acquaintance::NotOurs => "not-ours",
        Acquaintance::Stranger => "stranger",
        Acquaintance::Known => "known",
        Acquaintance::Trusted => "trusted",
        Acquaintance::Blocked => "blocked",
    }
}

/// What an answer says; `None` where it leaves it to the rules. keeps: REP-16
pub(super) fn answer(octets: &[u8]) -> Result<Option<Decision>, String> {
    if octets.is_empty() {
        return Ok(None);
    }
    let answer: Answer = serde_json::from_slice(octets).map_err(|error| format!("its answer: {error}"))?;
    let rule =
        answer.rule.as_deref().map_or_else(|| RULE.to_owned(), |rule| cut(rule, SERVICE_RULE_OCTETS_MAX));
    let after = || -> Result<u32, String> {
        let seconds = answer.after_seconds.ok_or("its answer has no after-seconds")?;
        u32::try_from(seconds.min(SERVICE_AFTER_SECONDS_MAX)).map_err(|error| error.to_string())
    };
    let verdict = match answer.verdict.as_str() {
        "none" => return Ok(None),
        "accept" => Verdict::Accept,
        "hold" => Verdict::Hold { keep: selection(answer.content.as_deref().unwrap_or("headers"))? },
        "want" => Verdict::Want(selection(answer.content.as_deref().ok_or("its answer has no content")?)?),
        "pend" => Verdict::Pend { after_seconds: after()? },
        "defer" => Verdict::Defer { code: Code::SYSTEM_TROUBLE, after_seconds: after()? },
        "refuse" => Verdict::Refuse {
            code: match answer.code.as_deref() {
                None => Code::NOT_AUTHORIZED,
                Some(code) => permanent(code)?,
            },
            text: answer.text.as_deref().map_or_else(
                || format!("refused by rule {rule}"),
                |text| cut(text, message::limits::REFUSAL_TEXT_OCTETS_MAX),
            ),
        },
        other => return Err(format!("its answer has the verdict {:?}", cut(other, 32))),
    };
    let evidence = answer.evidence.as_deref().unwrap_or("the policy service says so");
    Ok(Some(Decision { verdict, rule, evidence: cut(evidence, SERVICE_WORDS_OCTETS_MAX) }))
}

/// A code of the fifth class: what is refused is refused for good.
fn permanent(text: &str) -> Result<Code, String> {
    let wrong = || format!("its answer has the code {:?}", cut(text, 32));
    let code = Code::parse(text).map_err(|_| wrong())?;
    if code.class == 5 { Ok(code) } else { Err(wrong()) }
}

fn selection(word: &str) -> Result<Selection, String> {
    match word {
        "headers" => Ok(Selection::Headers),
        "text" => Ok(Selection::Text),
        "all" => Ok(Selection::All),
        other => Err(format!("its answer has the content {:?}", cut(other, 32))),
    }
}

/// Text without control characters, of at most so many octets.
fn cut(text: &str, octets_max: usize) -> String {
    let mut text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    while text.len() > octets_max {
        text.pop();
    }
    text
}
