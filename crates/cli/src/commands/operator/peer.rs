//! Peers, for people.

use control::{PeerDetailView, PeerQuestionView, PeerRecordView};

use crate::output::{BAD, FAINT, GOOD, STRONG, WAITING, clean, paint, time};

/// What is remembered of one peer, on two lines.
pub(super) fn record_lines(peer: &PeerRecordView) -> Vec<String> {
    vec![format!("{}  {}", paint(STRONG, &clean(&peer.domain)), counts(peer)), paint(FAINT, &met(peer))]
}

/// All that is known of one peer.
pub(super) fn detail_lines(peer: &PeerDetailView) -> Vec<String> {
    let style = match peer.grade.as_str() {
        "good" => GOOD,
        "bad" => BAD,
        _ => WAITING,
    };
    let mut lines = vec![format!(
        "{}  standing {}",
        paint(STRONG, &clean(&peer.domain)),
        paint(style, &clean(&peer.grade))
    )];
    lines.extend(peer.reasons.iter().map(|reason| format!("  {}", clean(reason))));
    lines.push(paint(STRONG, "asked"));
    lines.extend(peer.questions.iter().map(question_line));
    if peer.questions.is_empty() {
        lines.push("  nothing: too many other peers are being asked about".to_owned());
    }
    if let Some(until_ms) = peer.until_ms {
        lines.push(paint(FAINT, &format!("   these answers count until {}", time(until_ms))));
    }
    lines.push(paint(STRONG, "remembered"));
    match &peer.record {
        Some(record) => lines.extend([format!("  {}", counts(record)), paint(FAINT, &met(record))]),
        None => lines.push("  nothing".to_owned()),
    }
    lines.push(paint(STRONG, "limits"));
    let limit =
        |limit: &control::LimitView| format!("  {}  {} of {}", clean(&limit.limit), limit.used, limit.of);
    lines.extend(peer.limits.iter().map(limit));
    if peer.limits.is_empty() {
        lines.push("  none".to_owned());
    }
    lines
}

fn question_line(asked: &PeerQuestionView) -> String {
    let style = match asked.counts.as_str() {
        "for" | "known" => GOOD,
        "against" => BAD,
        "failed" => WAITING,
        _ => FAINT,
    };
    format!("  {}  {}  {}", paint(style, &clean(&asked.counts)), clean(&asked.name), clean(&asked.answer))
}

fn counts(peer: &PeerRecordView) -> String {
    format!(
        "{} taken, {} refused, {} held; refused by users {}, complaints {}",
        peer.accepted, peer.refused, peer.held, peer.declined, peer.complaints
    )
}

fn met(peer: &PeerRecordView) -> String {
    format!("   first met {}, last {}", time(peer.first_seen_ms), time(peer.last_seen_ms))
}
