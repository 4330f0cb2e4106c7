//! The policy and its reasons, for people.

use control::{CorrespondentView, ExplanationView, PolicyView, RuleView, StepView};

use crate::output::{BAD, FAINT, GOOD, STRONG, WAITING, clean, paint, size, time};

/// The rules in their order.
pub(in crate::commands) fn policy_lines(policy: &PolicyView) -> Vec<String> {
    let mut lines = vec![format!("size: refuse what is larger than {}", size(policy.octets_max))];
    lines.push("blocked: refuse whom the recipient has blocked".to_owned());
    lines.extend(policy.rules.iter().map(rule_line));
    lines.push(format!("default: {}", policy.default));
    lines
}

fn rule_line(rule: &RuleView) -> String {
    let conditions =
        if rule.conditions.is_empty() { "always".to_owned() } else { rule.conditions.join(" and ") };
    clean(&format!("{}: {} where {conditions}", rule.name, rule.action))
}

/// The verdict, and every rule on the way to it.
pub(in crate::commands) fn explanation_lines(explained: &ExplanationView) -> Vec<String> {
    let style = match explained.verdict.split(' ').next() {
        Some("accept") => GOOD,
        Some("refuse") => BAD,
        _ => WAITING,
    };
    let mut lines = vec![
        format!(
            "{} for {}, brought by {}",
            explained.identity,
            clean(&explained.recipient),
            explained.origin
        ),
        format!(
            "{} by rule {}",
            paint(style, &clean(&explained.verdict)),
            paint(STRONG, &clean(&explained.rule))
        ),
        format!("  {}", clean(&explained.evidence)),
    ];
    lines.extend(explained.steps.iter().flat_map(step_lines));
    lines
}

fn step_lines(step: &StepView) -> Vec<String> {
    let mut lines = vec![format!("rule {}: {}", clean(&step.rule), step.tried)];
    for one in &step.conditions {
        let holds = match one.holds {
            Some(true) => "holds",
            Some(false) => "does not hold",
            None => "does not show yet",
        };
        lines.push(format!(
            "  {} {holds} {}",
            clean(&one.condition),
            paint(FAINT, &format!("({})", clean(&one.evidence)))
        ));
    }
    lines
}

/// One correspondent.
pub(in crate::commands) fn correspondent_lines(one: &CorrespondentView) -> Vec<String> {
    let style = match one.regard.as_str() {
        "trusted" => GOOD,
        "blocked" => BAD,
        _ => FAINT,
    };
    let line = format!(
        "{} {} since {} {}",
        paint(style, &one.regard),
        clean(&one.who),
        time(one.since_ms),
        clean(&one.note)
    );
    vec![line.trim_end().to_owned()]
}
