//! The policy of the node as an operator sees it, and whom its users know.

use control::{
    ConditionView, CorrespondentView, ExplanationView, Failure, FailureKind, PolicyView, Request, Response,
    RuleView, StepView,
};
use data_encoding::BASE64;
use message::address::{Address, Domain};
use message::limits::SEALS_MAX;
use message::{Headers, Identity, Manifest, Seal};
use node::Explained;
use policy::{Condition, Explanation, Rule, Step, Tried};
use storage::{CorrespondentRecord, Origin, PinRecord, Regard};

use super::author::Reader;
use super::held::refused;
use super::{Answered, LocalOperator, address, bounded};

impl LocalOperator {
    pub(super) async fn policy(&self, request: Request) -> Answered {
        match request {
            Request::PolicyShow => {
                let rules = &self.node.settings().rules;
                Ok(Response::Policy(Box::new(PolicyView {
                    octets_max: rules.octets_max,
                    rules: rules.rules.iter().map(rule_view).collect(),
                    default: rules.default.to_string(),
                })))
            }
            Request::PolicyExplain { identity, to, peer } => {
                let (identity, recipient) = (self.identity(&identity)?, address(&to)?);
                let explained = self.node.explain(identity, &recipient, origin(peer)?).await;
                Ok(explanation(identity, recipient, explained.map_err(refused)?))
            }
            Request::PolicyExplainFile { manifest, headers, seals, to, peer } => {
                let recipient = address(&to)?;
                let (manifest, headers, seals) = content(&manifest, &headers, &seals)?;
                let content = (&manifest, &headers, &seals[..]);
                let explained = self.node.explain_message(content, &recipient, origin(peer)?).await;
                Ok(explanation(manifest.identity(), recipient, explained.map_err(refused)?))
            }
            Request::Correspondents { account, after, limit } => {
                self.living(&account)?;
                let found = self.node.correspondents(&account, after.as_deref(), bounded(limit));
                let reader = self.reader(&account)?;
                let view = |record: CorrespondentRecord| {
                    let address = Address::from_wire(&record.who).ok();
                    // What cannot be read is not shown; the check of the store tells of it.
                    let pinned = address.and_then(|one| self.node.pinned(&account, &one).ok().flatten());
                    correspondent_view(record, &reader, pinned)
                };
                let correspondents = found.map_err(refused)?.into_iter().map(view).collect();
                Ok(Response::Correspondents { correspondents })
            }
            Request::CorrespondentPut { account, who, regard, note } => {
                self.living(&account)?;
                let unknown = || {
                    Failure::new(
                        FailureKind::Invalid,
                        format!("{regard:?} is none of known, trusted, blocked"),
                    )
                };
                let regard = Regard::from_word(&regard).ok_or_else(unknown)?;
                self.node.say_of_correspondent(&account, &who, regard, &note).await.map_err(refused)?;
                Ok(Response::Done)
            }
            Request::CorrespondentRemove { account, who } => {
                self.living(&account)?;
                self.node.remove_correspondent(&account, &who).await.map_err(refused)?;
                Ok(Response::Done)
            }
            _ => Err(Failure::new(FailureKind::Invalid, "this cannot be asked here")),
        }
    }
}

/// Who is to be taken to bring it, where somebody is named.
fn origin(peer: Option<String>) -> Result<Option<Origin>, Failure> {
    let domain = peer.map(|peer| Domain::parse(&peer)).transpose();
    let domain = domain.map_err(|error| Failure::new(FailureKind::Invalid, format!("--peer: {error}")))?;
    Ok(domain.map(|domain| Origin::Peer { domain }))
}

/// What of a file was sent, held against its manifest.
fn content(
    manifest: &str,
    headers: &str,
    seals: &[String],
) -> Result<(Manifest, Headers, Vec<Seal>), Failure> {
    let invalid = |error: &dyn std::fmt::Display| Failure::new(FailureKind::Invalid, error.to_string());
    let octets = |text: &str| BASE64.decode(text.as_bytes()).map_err(|error| invalid(&error));
    if seals.len() > SEALS_MAX {
        return Err(invalid(&format!("more than {SEALS_MAX} seals")));
    }
    let manifest = Manifest::decode(&octets(manifest)?).map_err(|error| invalid(&error))?;
    let headers = Headers::verify(&manifest, octets(headers)?.into()).map_err(|error| invalid(&error))?;
    let seal = |text: &String| Seal::parse(octets(text)?.into()).map_err(|error| invalid(&error));
    Ok((manifest, headers, seals.iter().map(seal).collect::<Result<_, _>>()?))
}

fn explanation(identity: Identity, recipient: Address, explained: Explained) -> Response {
    Response::Explanation(Box::new(ExplanationView {
        identity: identity.to_string(),
        recipient: recipient.to_string(),
        ..explanation_view(&explained.origin, explained.explanation)
    }))
}

fn rule_view(rule: &Rule) -> RuleView {
    RuleView {
        name: rule.name.clone(),
        conditions: rule.conditions.iter().map(Condition::to_string).collect(),
        action: rule.action.to_string(),
    }
}

fn explanation_view(origin: &Origin, explanation: Explanation) -> ExplanationView {
    ExplanationView {
        identity: String::new(),
        recipient: String::new(),
        origin: origin.holder(),
        verdict: explanation.decision.verdict.to_string(),
        rule: explanation.decision.rule,
        evidence: explanation.decision.evidence,
        steps: explanation.steps.into_iter().map(step_view).collect(),
    }
}

fn step_view(step: Step) -> StepView {
    let tried = match step.tried {
        Tried::Matched => "matched",
        Tried::No => "no",
        Tried::Satisfied => "satisfied",
        Tried::NotSeen => "not-seen",
    };
    let condition = |(condition, holds, evidence)| ConditionView { condition, holds, evidence };
    StepView {
        rule: step.rule,
        tried: tried.to_owned(),
        conditions: step.conditions.into_iter().map(condition).collect(),
    }
}

fn correspondent_view(
    record: CorrespondentRecord,
    reader: &Reader,
    pinned: Option<PinRecord>,
) -> CorrespondentView {
    let (seal, sealed_at_ms) = reader.last_seal_of(&record.who).unzip();
    let pin = pinned.map(|pinned| pinned.pin).unwrap_or_default();
    CorrespondentView {
        keys: pin.keys.iter().map(|one| one.key.id().to_string()).collect(),
        broken_by: pin.broken_by.map(|key| key.id().to_string()),
        seal,
        sealed_at_ms,
        who: record.who,
        regard: record.regard.word().to_owned(),
        since_ms: record.since_ms,
        note: record.note,
    }
}
