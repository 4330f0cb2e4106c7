//! The rules, and what they say about one message.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Html;
use control::{ExplanationView, Request, StepView};
use serde::Deserialize;

use crate::app::{Operating, Shared};
use crate::error::Error;
use crate::page::{self, Chrome};
use crate::words;

#[derive(Template)]
#[template(path = "policy.html")]
struct PolicyPage {
    chrome: Chrome,
    octets_max: String,
    /// Name, conditions, action.
    rules: Vec<(String, Vec<String>, String)>,
    default: String,
    id: String,
    to: String,
    peer: String,
    wrong: Option<String>,
    explained: Option<Explained>,
}

struct Explained {
    recipient: String,
    origin: String,
    verdict: String,
    rule: String,
    evidence: String,
    steps: Vec<Step>,
}

/// The rule, a word for the looks and one for what came of it, and each condition: itself, whether it holds, the evidence.
type Step = (String, &'static str, String, Vec<(String, &'static str, String)>);

impl Explained {
    fn new(view: &ExplanationView) -> Explained {
        Explained {
            recipient: words::line(&view.recipient),
            origin: words::line(&view.origin),
            verdict: words::line(&view.verdict),
            rule: words::line(&view.rule),
            evidence: words::line(&view.evidence),
            steps: view.steps.iter().map(step).collect(),
        }
    }
}

fn step(step: &StepView) -> Step {
    let (kind, word) = match step.tried.as_str() {
        "matched" => ("good", "decides"),
        "no" => ("none", "does not match"),
        "satisfied" => ("none", "satisfied already"),
        "not-seen" => ("watch", "cannot be told yet"),
        other => ("none", other),
    };
    let condition = |one: &control::ConditionView| {
        let holds = match one.holds {
            Some(true) => "yes",
            Some(false) => "no",
            None => "not seen yet",
        };
        (words::line(&one.condition), holds, words::line(&one.evidence))
    };
    (words::line(&step.rule), kind, words::line(word), step.conditions.iter().map(condition).collect())
}

#[derive(Deserialize)]
pub(crate) struct Question {
    id: Option<String>,
    to: Option<String>,
    peer: Option<String>,
}

/// The rules, and an explanation where one is asked for.
pub(crate) async fn policy(
    State(app): State<Shared>,
    Operating(session): Operating,
    Query(Question { id, to, peer }): Query<Question>,
) -> Result<Html<String>, Error> {
    let control::Response::Policy(policy) = app.ask(Request::PolicyShow).await? else {
        return Err(Error::Answer);
    };
    let given =
        |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let (id, to, peer) = (given(id), given(to), given(peer));
    let (mut wrong, mut explained) = (None, None);
    if let (Some(identity), Some(to)) = (id.clone(), to.clone()) {
        match app.ask(Request::PolicyExplain { identity, to, peer: peer.clone() }).await {
            Ok(control::Response::Explanation(view)) => explained = Some(Explained::new(&view)),
            Ok(_) => return Err(Error::Answer),
            Err(Error::Node(failure)) => wrong = Some(words::line(&failure.text)),
            Err(error) => return Err(error),
        }
    }
    let rule = |rule: &control::RuleView| {
        let conditions = rule.conditions.iter().map(|one| words::line(one)).collect();
        (words::line(&rule.name), conditions, words::line(&rule.action))
    };
    let shown = |text: Option<String>| words::line(&text.unwrap_or_default());
    page::html(&PolicyPage {
        chrome: Chrome::new("Policy", "policy", &session),
        octets_max: words::size(policy.octets_max),
        rules: policy.rules.iter().map(rule).collect(),
        default: words::line(&policy.default),
        id: shown(id),
        to: shown(to),
        peer: shown(peer),
        wrong,
        explained,
    })
}
