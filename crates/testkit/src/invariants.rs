//! What must hold in every world, whatever has happened in it (`ARCHITECTURE.md`). Each has a name, so that what breaks it
//! on purpose can be shown to be caught by it.

use std::collections::{BTreeMap, BTreeSet};

use message::{Disposition, Identity};
use storage::{EnvelopeRecord, Exported, FindingKind, Origin};

use crate::plan::{STRANGER, USERS};
use crate::porch::PORCH_USER;
use crate::watch::{Mail, Sent};
use crate::world::Scene;

/// What was acknowledged is in the store of him who did, or was delivered, or is reported on.
pub const KEPT: &str = "acknowledged mail is kept";
/// Each recipient of each envelope has one final disposition in the end.
pub const ONE_FINAL: &str = "exactly one final disposition";
/// A final disposition that somebody has seen does not change.
pub const FINAL_IS_FINAL: &str = "a final disposition does not change";
/// Nobody has a message twice.
pub const NEVER_TWICE: &str = "never delivered twice";
/// What the author is told is what has happened at the last node.
pub const AUTHORS_SEE_THE_TRUTH: &str = "authors see the truth";
/// Mail is refused where there is no such user, or where the user has refused it, and for no trouble that passes.
pub const REFUSED_FOR_A_REASON: &str = "refused for a reason";
/// The same offer, made again, has one effect.
pub const ONE_EFFECT: &str = "an offer has one effect";
/// There are no messages but those that users wrote: none reports on another.
pub const NOTHING_INVENTED: &str = "no message reports on a message";
/// Cookies answer nobody but their holders.
pub const COOKIES_ARE_BOUND: &str = "cookies are bound to their holders";
/// Nobody asks sooner than told.
pub const POLLS_KEEP_THEIR_BOUNDS: &str = "polls keep their bounds";
/// What is kept and what is tried stays within its bounds.
pub const BOUNDS: &str = "every bound is held";
/// A store has neither damage nor orphans.
pub const STORES_ARE_SOUND: &str = "stores are sound";
/// What is under way comes to an end.
pub const COMES_TO_REST: &str = "everything comes to an end";
/// No task panics.
pub const NO_PANIC: &str = "nothing panics";

/// All of them.
pub const ALL: &[&str] = &[
    KEPT,
    ONE_FINAL,
    FINAL_IS_FINAL,
    NEVER_TWICE,
    AUTHORS_SEE_THE_TRUTH,
    REFUSED_FOR_A_REASON,
    ONE_EFFECT,
    NOTHING_INVENTED,
    COOKIES_ARE_BOUND,
    POLLS_KEEP_THEIR_BOUNDS,
    BOUNDS,
    STORES_ARE_SOUND,
    COMES_TO_REST,
    NO_PANIC,
];

/// Checks a world that is at rest.
pub(crate) fn check(scene: &Scene) {
    let sent = scene.watch.all_sent();
    let envelopes: Vec<Vec<EnvelopeRecord>> =
        (0..scene.sites.len()).map(|site| envelopes_at(scene, site)).collect();
    for (site, envelopes) in envelopes.iter().enumerate() {
        check_store(scene, site, envelopes);
    }
    check_mail(scene, &sent, &envelopes);
    for sent in &sent {
        check_sent(scene, sent, &envelopes[sent.site]);
    }
}

/// All envelopes that a node has.
fn envelopes_at(scene: &Scene, site: usize) -> Vec<EnvelopeRecord> {
    let mut envelopes = Vec::new();
    let Some(store) = scene.sites[site].store() else {
        scene.story.broken(COMES_TO_REST, format!("d{site} does not run"));
        return envelopes;
    };
    let exported = store.export(&mut |item| match item {
        Exported::Envelope(envelope) => envelopes.push(*envelope),
        Exported::Skipped(finding) => scene.story.broken(STORES_ARE_SOUND, format!("d{site}: {finding:?}")),
        _ => {}
    });
    if let Err(error) = exported {
        scene.story.broken(STORES_ARE_SOUND, format!("d{site}: {error}"));
    }
    envelopes
}

fn check_store(scene: &Scene, site: usize, envelopes: &[EnvelopeRecord]) {
    let Some(store) = scene.sites[site].store() else { return };
    let checked = store.check(&mut |finding| {
        if finding.kind != FindingKind::Staging {
            scene.story.broken(STORES_ARE_SOUND, format!("d{site}: {finding:?}"));
        }
    });
    if let Err(error) = checked {
        scene.story.broken(STORES_ARE_SOUND, format!("d{site}: {error}"));
    }
    let mut offers = BTreeSet::new();
    for envelope in envelopes {
        for recipient in &envelope.recipients {
            if recipient.outcome.as_ref().is_none_or(|outcome| !outcome.is_final()) {
                let what = format!("d{site}: {} for {}: {recipient:?}", envelope.identity, recipient.address);
                scene.story.broken(ONE_FINAL, what);
            }
            let offer = (envelope.origin.holder(), envelope.offered_as, recipient.address.to_string());
            if !offers.insert(offer) {
                let what = format!("d{site}: {} for {}", envelope.identity, recipient.address);
                scene.story.broken(ONE_EFFECT, what);
            }
        }
        let kept = store.attempts(envelope.id).map_or(0, |attempts| attempts.len());
        if kept > 64 {
            scene.story.broken(BOUNDS, format!("d{site}: {kept} attempts are kept"));
        }
        // At least a minute lies between two of them, and they are at most as long under way as the queue tries.
        let legs = envelope.recipients.len() as u64;
        let most = legs * (scene.sites[site].plan.queue_ms / 60_000 + 64);
        if u64::from(envelope.attempts) > most {
            scene.story.broken(BOUNDS, format!("d{site}: {} attempts", envelope.attempts));
        }
    }
}

/// What is in the mailboxes, and what was there and was read.
fn check_mail(scene: &Scene, sent: &[Sent], envelopes: &[Vec<EnvelopeRecord>]) {
    let written: BTreeSet<Identity> = sent.iter().map(|sent| sent.identity).collect();
    for (site, envelopes) in envelopes.iter().enumerate() {
        for envelope in envelopes.iter().filter(|envelope| !written.contains(&envelope.identity)) {
            scene.story.broken(NOTHING_INVENTED, format!("d{site} has {}", envelope.identity));
        }
        let Some(store) = scene.sites[site].store() else { continue };
        for user in USERS {
            for entry in store.mailbox(user, None, storage::limits::LIST_MAX).unwrap_or_default() {
                scene.watch.mail(scene, site, user, &entry);
            }
        }
    }
    // What is at a doorstep and was in the mailbox as well is one message, which a program shows once (DOOR-12).
    for (site, porch) in scene.porches.iter().enumerate().filter(|(_, porch)| porch.has_run()) {
        let Some(entries) = porch.mail() else {
            scene.story.broken(COMES_TO_REST, format!("the doorstep of d{site} does not run"));
            continue;
        };
        let known = scene.watch.all_mail();
        for mut entry in entries {
            let same = |((of, user, _), identity): (&Mail, &Identity)| {
                *of == site && user == PORCH_USER && *identity == entry.identity
            };
            if !known.iter().any(same) {
                entry.uid.0 |= 1 << 62;
                scene.watch.mail(scene, site, PORCH_USER, &entry);
            }
        }
    }
    let mut times: BTreeMap<(usize, String, Identity), usize> = BTreeMap::new();
    for ((site, user, _), identity) in scene.watch.all_mail() {
        *times.entry((site, user, identity)).or_default() += 1;
    }
    for ((site, user, identity), times) in times {
        let address = scene.sites[site].address(&user);
        let meant = sent.iter().any(|sent| sent.identity == identity && sent.recipients.contains(&address));
        if !meant {
            scene.story.broken(NOTHING_INVENTED, format!("{address} has {identity}"));
        }
        if times > 1 {
            scene.story.broken(NEVER_TWICE, format!("{address} has {identity} {times} times"));
        }
    }
}

/// What became of one message, as its author sees it, held against the mailboxes.
fn check_sent(scene: &Scene, sent: &Sent, envelopes: &[EnvelopeRecord]) {
    let holder = Origin::Submission { account: sent.user.to_owned() };
    let own: Vec<&EnvelopeRecord> = envelopes
        .iter()
        .filter(|envelope| envelope.identity == sent.identity && envelope.origin == holder)
        .collect();
    // Where everybody was refused at once, the answer itself was the report.
    let refused = |answer: &Disposition| matches!(answer, Disposition::Refused { .. });
    let owed = sent.answers.as_ref().is_some_and(|answers| !answers.iter().all(refused));
    if own.len() > 1 || (owed && own.is_empty()) {
        let what = format!("d{} has {} records of {}", sent.site, own.len(), sent.identity);
        scene.story.broken(if own.is_empty() { KEPT } else { ONE_EFFECT }, what);
    }
    let Some(envelope) = own.first() else { return };
    for recipient in &sent.recipients {
        let Some(record) = envelope.recipients.iter().find(|record| record.address == *recipient) else {
            scene.story.broken(KEPT, format!("d{}: {} for {recipient}", sent.site, sent.identity));
            continue;
        };
        let Some(outcome) = &record.outcome else { continue };
        scene.watch.seen(scene, sent.site, sent.identity, recipient, outcome);
        let times = scene
            .watch
            .all_mail()
            .iter()
            .filter(|((site, user, _), identity)| {
                **identity == sent.identity && scene.sites[*site].address(user) == *recipient
            })
            .count();
        let reason = [STRANGER, "carol"].contains(&recipient.local().as_str());
        if matches!(outcome, Disposition::Refused { .. }) && !reason {
            let what = format!("{} for {recipient} is {outcome:?}", sent.identity);
            scene.story.broken(REFUSED_FOR_A_REASON, what);
        }
        let true_to_it = match outcome {
            Disposition::Accepted => times == 1,
            Disposition::Refused { .. } => times == 0,
            // Nobody here speaks with the old world.
            Disposition::Relayed => false,
            // The author's node has stopped before it could know: the message may have arrived, once.
            _ => times <= 1,
        };
        if !true_to_it {
            let what =
                format!("{} for {recipient} is {outcome:?}, and is there {times} times", sent.identity);
            scene.story.broken(AUTHORS_SEE_THE_TRUTH, what);
        }
    }
}
