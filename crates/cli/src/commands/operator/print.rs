//! The answers of a node, for people and for programs.

use control::{
    AccountView, AttemptView, DeviceView, EnvelopeView, FindingView, LaneView, LegView, PeerView,
    RecipientView, RefusalView, Response, StatusView,
};

use super::super::End;
use super::super::forward::{forward_lines, grant_lines, hop_lines};
use super::super::held::print::{decided_line, detail_lines, held_lines};
use super::super::lmtp::handover_lines;
use super::super::policy::print::{correspondent_lines, explanation_lines, policy_lines};
use crate::Error;
use crate::output::{BAD, FAINT, GOOD, Output, STRONG, WAITING, clean, duration, paint, size, time};

/// Prints an answer: lists as one object for each entry, so that a script reads them line by line.
pub(super) fn response(response: &Response, output: &mut Output) -> Result<End, Error> {
    match response {
        Response::Status(status) => each(std::slice::from_ref(&**status), status_lines, output)?,
        Response::Accounts { accounts } => each(accounts, account_lines, output)?,
        Response::Devices { devices } => each(devices, |device| vec![device_line(device)], output)?,
        Response::Legs { legs } => each(legs, leg_lines, output)?,
        Response::Leg(leg) => each(std::slice::from_ref(&**leg), leg_lines, output)?,
        Response::Lanes { lanes } => each(lanes, lane_lines, output)?,
        Response::Envelopes { envelopes, refusals } => {
            if !envelopes.is_empty() || refusals.is_empty() {
                each(envelopes, envelope_lines, output)?;
            }
            if !refusals.is_empty() {
                each(refusals, refusal_lines, output)?;
            }
        }
        Response::HeldList { held } => each(held, held_lines, output)?,
        Response::Held(detail) => each(std::slice::from_ref(&**detail), detail_lines, output)?,
        Response::PeerRecords { peers } => each(peers, super::peer::record_lines, output)?,
        Response::PeerRecord(peer) => each(std::slice::from_ref(&**peer), super::peer::detail_lines, output)?,
        Response::Policy(policy) => each(std::slice::from_ref(&**policy), policy_lines, output)?,
        Response::Explanation(explained) => {
            each(std::slice::from_ref(&**explained), explanation_lines, output)?;
        }
        Response::Correspondents { correspondents } => each(correspondents, correspondent_lines, output)?,
        Response::Forwards { forwards } => each(forwards, forward_lines, output)?,
        Response::Grants { grants } => each(grants, grant_lines, output)?,
        Response::Handovers { handovers } => each(handovers, handover_lines, output)?,
        Response::Chain { hops } => each(hops, hop_lines, output)?,
        Response::Peers { peers } => each(peers, peer_lines, output)?,
        Response::Findings { findings, more } => {
            if findings.is_empty() && !output.is_json() {
                output.line(&paint(GOOD, "nothing is wrong"))?;
                return Ok(End::Good);
            }
            each(findings, finding_lines, output)?;
            if *more && !output.is_json() {
                output.line("There is more than this list holds.")?;
            }
            return findings_end(findings, output);
        }
        other if output.is_json() => output.object(other)?,
        Response::Compacted { octets_before, octets_after } => {
            output.line(&format!("from {} to {}", size(*octets_before), size(*octets_after)))?;
        }
        Response::HeldDecided { disposition, octets_missing } => {
            output.line(&decided_line(disposition, *octets_missing))?;
        }
        Response::Link { url, seconds } => {
            output.line(url)?;
            output.line(&paint(FAINT, &format!("good once, within {}", duration(seconds * 1000))))?;
        }
        // Whoever knows the order says what it has done.
        Response::Done | Response::Changed { .. } => {}
        // Only the console asks for these.
        Response::LoggedIn { .. }
        | Response::Standing { .. }
        | Response::Mails { .. }
        | Response::Mail(_)
        | Response::Piece { .. }
        | Response::Sent { .. }
        | Response::Ages { .. }
        | Response::Domains { .. }
        | Response::Alerts { .. }
        | Response::Flow { .. } => output.object(response)?,
        // A failure was made an error before.
        Response::Failure(failure) => output.line(&clean(&failure.text))?,
    }
    Ok(End::Good)
}

fn each<T: serde::Serialize>(
    entries: &[T],
    lines: impl Fn(&T) -> Vec<String>,
    output: &mut Output,
) -> Result<(), Error> {
    for entry in entries {
        if output.is_json() {
            output.object(entry)?;
        } else {
            lines(entry).iter().try_for_each(|line| output.line(line))?;
        }
    }
    if entries.is_empty() && !output.is_json() {
        output.line("none")?;
    }
    Ok(())
}

fn status_lines(status: &StatusView) -> Vec<String> {
    let mut lines = vec![
        format!(
            "{} {}, up for {}",
            paint(STRONG, "waxwing"),
            clean(&status.version),
            duration(status.uptime_ms)
        ),
        format!("domains      {}", clean(&status.domains.join(", "))),
    ];
    for listener in &status.listeners {
        lines.push(format!("listens      {}  {}", clean(&listener.address), clean(&listener.service)));
    }
    let (queue, store) = (&status.queue, &status.store);
    lines.push(format!("connections  {}", status.connections));
    lines.push(format!(
        "queue        {} wait for {} next hops, {} on their way",
        queue.waiting, queue.lanes, queue.active
    ));
    if queue.quarantined > 0 {
        lines.push(format!("             {} cannot be read: run `waxwing store check`", queue.quarantined));
    }
    if let Some(at) = queue.next_due_ms {
        lines.push(format!("next due     {}", time(at)));
    }
    let free = store.free_octets.map_or_else(String::new, |octets| format!(", {} free", size(octets)));
    lines.push(format!(
        "store        {}: {} transactions in {} commits{free}",
        clean(&store.engine),
        store.operations,
        store.commits
    ));
    if let Some(reason) = &store.read_only {
        lines.push(format!("{}  {}", paint(BAD, "store takes no more mail:"), clean(reason)));
    }
    lines
}

fn account_lines(account: &AccountView) -> Vec<String> {
    let mut words = Vec::new();
    words.extend((!account.password).then_some("no password"));
    words.extend(account.disabled.then_some("closed"));
    words.extend(account.notices.then_some("has notices in its mailbox"));
    let words = if words.is_empty() { String::new() } else { format!("  ({})", words.join(", ")) };
    let mut lines = vec![format!(
        "{}  {}{words}",
        paint(STRONG, &clean(&account.name)),
        clean(&account.addresses.join(", "))
    )];
    lines.extend(account.devices.iter().map(|device| format!("  {}", device_line(device))));
    lines
}

fn device_line(device: &DeviceView) -> String {
    let key = device.public_key.get(..16).unwrap_or(&device.public_key);
    format!(
        "{}  enrolled {}  {}",
        paint(STRONG, &clean(key)),
        time(device.enrolled_at_ms),
        clean(&device.name)
    )
}

fn leg_lines(leg: &LegView) -> Vec<String> {
    let style = match leg.state.as_str() {
        "held" => BAD,
        "active" => GOOD,
        _ => WAITING,
    };
    let mut lines = vec![
        format!(
            "{}  {}  {}  {}  from {}  {}",
            paint(STRONG, &leg.number.to_string()),
            paint(style, &clean(&leg.state)),
            clean(&leg.lane),
            short(&leg.identity),
            clean(&leg.origin),
            size(leg.octets)
        ),
        paint(
            FAINT,
            &format!(
                "   accepted {}, tried {} times, due {}, until {}",
                time(leg.accepted_at_ms),
                leg.tries,
                time(leg.due_at_ms),
                time(leg.expires_at_ms)
            ),
        ),
    ];
    lines.extend(leg.recipients.iter().map(recipient_line));
    lines.extend(leg.attempts.iter().map(attempt_line));
    lines
}

fn lane_lines(lane: &LaneView) -> Vec<String> {
    let count = format!("{}{}", lane.count, if lane.at_least { "+" } else { "" });
    let mut line = format!("{}  {count} wait, {} held", paint(STRONG, &clean(&lane.lane)), lane.held);
    if let Some(at) = lane.oldest_at_ms {
        line.push_str(&format!(", oldest {}", time(at)));
    }
    if let Some(at) = lane.next_due_ms {
        line.push_str(&format!(", next {}", time(at)));
    }
    let error = lane.last_error.iter().map(|error| format!("  {}", paint(BAD, &clean(error))));
    std::iter::once(line).chain(error).collect()
}

fn envelope_lines(envelope: &EnvelopeView) -> Vec<String> {
    let closed = match envelope.closed_at_ms {
        Some(at) => format!("closed {}", time(at)),
        None => paint(WAITING, "open"),
    };
    let mut lines = vec![format!(
        "{} {}  {}  from {}  {}  accepted {}, {closed}",
        paint(STRONG, "envelope"),
        envelope.number,
        short(&envelope.identity),
        clean(&envelope.origin),
        size(envelope.octets),
        time(envelope.accepted_at_ms)
    )];
    lines.extend(envelope.trace.iter().map(|hop| format!("  came by {}", hop_words(hop))));
    for recipient in &envelope.recipients {
        lines.push(recipient_line(recipient));
        lines.extend(recipient.why.iter().map(|why| format!("    came in by {}", paint(FAINT, &clean(why)))));
    }
    lines.extend(envelope.attempts.iter().map(attempt_line));
    lines
}

fn refusal_lines(refusal: &RefusalView) -> Vec<String> {
    vec![
        format!(
            "{}  {}  from {}  {}",
            paint(BAD, "refused"),
            short(&refusal.identity),
            clean(&refusal.origin),
            time(refusal.at_ms)
        ),
        format!("  {}  {} ({})", clean(&refusal.recipient), clean(&refusal.text), clean(&refusal.code)),
        format!("    by {}", paint(FAINT, &clean(&refusal.why))),
    ]
}

/// A hop is a domain and a time in seconds since 1970.
fn hop_words(hop: &str) -> String {
    match hop.rsplit_once(' ').map(|(by, at)| (by, at.parse::<u64>())) {
        Some((by, Ok(at))) => format!("{} at {}", clean(by), time(at.saturating_mul(1000))),
        _ => clean(hop),
    }
}

fn recipient_line(recipient: &RecipientView) -> String {
    let style = match recipient.disposition.as_str() {
        "accepted" => GOOD,
        "pending" | "redirected" | "relayed" => WAITING,
        _ => BAD,
    };
    let word = format!("{:<9}", clean(&recipient.disposition));
    let mut line = format!("  {} {}", paint(style, &word), clean(&recipient.address));
    if recipient.disposition == "relayed" {
        line.push_str("  handed to a legacy server; no more is known");
    }
    if let Some(text) = &recipient.text {
        line.push_str(&format!("  {}", clean(text)));
    }
    if let Some(code) = &recipient.code {
        line.push_str(&format!(" ({})", clean(code)));
    }
    if let Some(waits) = &recipient.waits {
        line.push_str(&format!("  {}", clean(waits)));
    }
    line
}

fn attempt_line(attempt: &AttemptView) -> String {
    let code = attempt.code.as_ref().map(|code| format!(" ({})", clean(code))).unwrap_or_default();
    let whom = attempt.recipient.as_ref().map(|one| format!(" {}", clean(one))).unwrap_or_default();
    format!(
        "  {}  {}{whom}: {}: {}{code}  {} ms",
        paint(FAINT, &time(attempt.at_ms)),
        clean(&attempt.host),
        clean(&attempt.step),
        clean(&attempt.text),
        attempt.took_ms
    )
}

fn peer_lines(peer: &PeerView) -> Vec<String> {
    let direction = if peer.inbound { "from" } else { "to" };
    vec![format!(
        "{}  {} {direction} {}  since {}, {} ms there and back, {} sent, {} received, {} packets lost",
        paint(STRONG, &clean(&peer.name)),
        clean(&peer.protocol),
        clean(&peer.address),
        time(peer.since_ms),
        peer.round_trip_us as f64 / 1000.0,
        size(peer.octets_sent),
        size(peer.octets_received),
        peer.packets_lost
    )]
}

fn finding_lines(finding: &FindingView) -> Vec<String> {
    let style = if finding.harmful { BAD } else { FAINT };
    let kind = paint(style, &clean(&finding.kind));
    vec![format!("{kind}  {}  {}", clean(&finding.subject), clean(&finding.text))]
}

/// A store in which mail is lost is no good end.
fn findings_end(findings: &[FindingView], output: &mut Output) -> Result<End, Error> {
    let harmful = findings.iter().filter(|finding| finding.harmful).count();
    if harmful == 0 {
        return Ok(End::Good);
    }
    if !output.is_json() {
        output.line(&paint(BAD, &format!("{harmful} findings mean that mail is lost")))?;
    }
    Ok(End::Bad)
}

fn short(identity: &str) -> String {
    clean(identity.get(..12).unwrap_or(identity))
}
