//! The people of a world: they write, look what became of it, and read; and some try what they may not.

use std::sync::Arc;

use message::address::Address;
use message::{Cookie, Envelope, Message};
use protocol::{CookieAnswer, Eager, Frame, Offer, Outcome, Protocol, StatusQuery, SubmissionOptions};

use crate::clock::Life;
use crate::drive::{self, Bodies, Broken};
use crate::invariants;
use crate::letter::letter_with;
use crate::plan::{USERS, Writing};
use crate::random::Random;
use crate::watch::Sent;
use crate::world::Scene;

/// Hands a message over, and again until it is answered or the user has had enough.
pub(crate) async fn write(scene: Arc<Scene>, writing: Writing, mut random: Random) {
    let site = &scene.sites[writing.site];
    let message = compose(&site.address(writing.user), &writing);
    let mut token = [0; 16];
    random.fill(&mut token);
    let options = SubmissionOptions {
        sign_only: false,
        release_after_seconds: writing.release_after_seconds,
        token: Some(token),
    };
    scene.watch.sent(Sent {
        site: writing.site,
        user: writing.user,
        identity: message.identity(),
        recipients: writing.recipients.clone(),
        answers: None,
        given_up: false,
    });
    for number in 1..=random.between(1, 40) {
        let handed = hand_over(&scene, &writing, &message, options).await;
        scene.tell(writing.site, &format_args!("{} has handed over, {number}: {handed:?}", writing.user));
        match handed {
            Ok(outcome) if outcome.dispositions.iter().all(|one| !is_deferred(one)) => {
                let identity = outcome.sealed.as_ref().map_or(message.identity(), |sealed| sealed.identity);
                if identity != message.identity() {
                    let what = format!("{} was sealed as {identity}", message.identity());
                    scene.story.broken(invariants::NOTHING_INVENTED, what);
                }
                let cookies: Vec<Cookie> =
                    drive::cookies(&outcome.dispositions).map(|(_, cookie)| cookie).collect();
                scene.watch.acknowledged(&scene, message.identity(), outcome.dispositions);
                return withdraw(&scene, &writing, message.identity(), cookies).await;
            }
            Err(Broken::Failed(failure)) if failure.code.class == 5 => return,
            _ => scene.timeline.pass(random.between(1_000, 120_000)).await,
        }
    }
}

fn is_deferred(disposition: &message::Disposition) -> bool {
    matches!(disposition, message::Disposition::Deferred { .. })
}

/// Messages of one length have the same text but for its beginning: large parts that are the same are kept once.
fn compose(from: &Address, writing: &Writing) -> Message {
    let text: String = "All is well. ".chars().cycle().take(writing.octets).collect();
    let subject = format!("number {}", writing.number);
    let number = format!("<{}@{}>", writing.number, from.domain());
    let fields = [
        ("From", from.to_string()),
        ("Subject", subject),
        ("Date", "Thu, 1 Jan 2026 12:00:00 +0000".to_owned()),
        ("Message-Id", number),
    ];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    letter_with(&fields, &[("text/plain", text.as_bytes())])
}

async fn hand_over(
    scene: &Arc<Scene>,
    writing: &Writing,
    message: &Message,
    options: SubmissionOptions,
) -> Result<Outcome, Broken> {
    let mut pipe = open(scene, writing.site, writing.user).await?;
    let envelope = Envelope {
        identity: message.identity(),
        octets: message.manifest().message_octets(),
        issuers: Vec::new(),
        recipients: writing.recipients.clone(),
        trace: Vec::new(),
    };
    let offer =
        Offer { envelope, eager: Eager::Nothing, submission: Some(options), way: protocol::Way::Plain };
    let supply = protocol::Supply {
        manifest: message.manifest().clone(),
        headers: message.headers().octets(),
        seals: Vec::new(),
    };
    let settings = scene.sites[writing.site].protocol;
    drive::offer(&mut pipe, offer, supply, &settings, &Bodies::of(message)).await
}

/// Takes a message back, as far as that still goes.
async fn withdraw(scene: &Arc<Scene>, writing: &Writing, identity: message::Identity, cookies: Vec<Cookie>) {
    let Some(after_ms) = writing.withdraw_after_ms else { return };
    if cookies.is_empty() {
        return;
    }
    scene.timeline.pass(after_ms).await;
    scene.watch.given_up(identity);
    let Ok(mut pipe) = open(scene, writing.site, writing.user).await else { return };
    let done = drive::ask(&mut pipe, &Frame::GiveUp(cookies)).await;
    scene.tell(writing.site, &format_args!("{} takes it back: {done:?}", writing.user));
}

/// A stream of a user to its node. There is nothing between them but the weather.
async fn open(scene: &Arc<Scene>, site: usize, user: &str) -> Result<crate::network::Pipe, Broken> {
    let device = scene.sites[site].device(user);
    let session = |node| scene.doors.user(node, device);
    let life = Life::begin();
    let pipe = scene.open((site, &life), site, Protocol::Submission, session).await;
    pipe.ok_or(Broken::Lost(crate::network::Lost::Stalled))
}

/// The users of a node look what became of their messages. What was final once stays so.
pub(crate) async fn look(scene: Arc<Scene>, site: usize) {
    for user in USERS {
        let Ok(mut pipe) = open(&scene, site, user).await else { continue };
        let query = StatusQuery::Latest { before: 0, limit: 20 };
        let Ok(Frame::StatusList(records)) = drive::ask(&mut pipe, &Frame::Status(query)).await else {
            continue;
        };
        for record in records {
            for one in record.recipients {
                scene.watch.seen(&scene, site, record.identity, &one.address, &one.disposition);
            }
        }
    }
}

/// The users of a node read what is in their mailboxes and remove it.
pub(crate) async fn read(scene: Arc<Scene>, site: usize) {
    let Some((node, life)) = scene.sites[site].node() else { return };
    for user in USERS {
        let Ok(entries) = node.store().mailbox(user, None, storage::limits::LIST_MAX) else { continue };
        for entry in entries {
            scene.watch.mail(&scene, site, user, &entry);
            let removed = node.store().remove_mail(user, entry.uid).await;
            if removed.is_err() || !life.goes_on() {
                return;
            }
        }
    }
}

/// A node asks about cookies that were given to another one. It must not learn anything.
pub(crate) async fn steal(scene: Arc<Scene>, thief: usize) {
    let Some((_, life)) = scene.sites[thief].node() else { return };
    let domain = scene.sites[thief].plan.domain.clone();
    for victim in (0..scene.sites.len()).filter(|victim| *victim != thief) {
        let cookies = scene.watch.cookies_of_others(victim, &domain);
        if cookies.is_empty() {
            continue;
        }
        let session = |node| scene.doors.peer(node, domain.clone());
        let Some(mut pipe) = scene.open((thief, &life), victim, Protocol::Exchange, session).await else {
            continue;
        };
        let Ok(Frame::Answers(answers)) = drive::ask(&mut pipe, &Frame::Poll(cookies)).await else {
            continue;
        };
        if let Some(learned) = answers.iter().find(|answer| **answer != CookieAnswer::Unknown) {
            scene.story.broken(invariants::COOKIES_ARE_BOUND, format!("{domain} has learned {learned:?}"));
        }
    }
}
