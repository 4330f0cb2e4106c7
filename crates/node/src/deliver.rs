//! Deliver: what a claim of the queue needs done, and what its outcome means.

use std::sync::Arc;

use message::address::Domain;
use message::{Code, Cookie, Disposition, Envelope, Identity, Redirect};
use storage::{
    Attempt, Claim, Error, LegacyOrigin, Origin, Outcome, Pause, Settlement, Store, StoredMessage,
};

use crate::forwarding::{NOT_GRANTED_YET, Onward};
use crate::here::LOCAL_LANE;
use crate::limits::SETTLE_TRIES_MAX;
use crate::outside::Later;
use crate::{Event, Node, backoff, rates};

/// Attempts of one turn that are kept: the others of its recipients have their dispositions.
const TRIED_KEPT_MAX: usize = 32;
/// For how long we hold ourselves back.
const THROTTLED_MS: u64 = 1_000;
/// And where there was no room in memory, which gets free as messages leave.
const NO_ROOM_MS: u64 = 10_000;

/// One message for some recipients at one domain.
pub struct Consignment {
    /// Where it goes.
    pub domain: Domain,
    /// For whom, and which way it came.
    pub envelope: Envelope,
    /// Under whom it counts where room is shared out: who has brought it, and below one registered domain all together.
    pub holder: String,
    /// Whether the domain has asked for it again: then nothing goes unasked, because it says what is missing there.
    pub again: bool,
    /// What it consists of.
    pub message: StoredMessage,
    /// Where its bodies are.
    pub store: Arc<dyn Store>,
    /// Whether a redirect has failed: the node is to take it itself.
    pub redirect_failed: bool,
    /// Who has brought it, where it came from the old world.
    pub legacy: Option<Box<LegacyOrigin>>,
    /// What goes on beside it, for each recipient of the envelope.
    pub onward: Vec<Onward>,
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TryRecord {
    /// Where.
    pub host: String,
    /// How far it came: `resolve`, `connect`, `offer`, `content`.
    pub step: String,
    /// What was answered, for programs.
    pub code: Option<Code>,
    /// What was answered, for people, in full.
    pub text: String,
    /// For which recipient, by its place in the envelope of the consignment; `None` where it concerns all.
    pub recipient: Option<usize>,
}

/// What a courier reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// One disposition for each recipient, or why there is none.
    pub result: Result<Vec<Disposition>, Trouble>,
    /// What was tried, in order.
    pub tried: Vec<TryRecord>,
    /// The places of those for whom whoever took it has also taken over the duty to give notices (RFC 3461).
    pub passed_on: Vec<usize>,
}

/// Why nothing was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It may go better later.
    Temporary(Code, String),
    /// It will not go better.
    Permanent(Code, String),
    /// We held ourselves back: no attempt was made, and the back-off does not advance.
    Throttled,
    /// The same, because there was no room in memory: what makes room takes longer than what throttles.
    NoRoom,
}

/// What became of a cookie at the next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// It has settled.
    Final(Disposition),
    /// Not yet: ask again no sooner and no later than this many seconds from now.
    Pending {
        /// No sooner.
        min_seconds: u32,
        /// No later.
        max_seconds: u32,
    },
    /// The message is to be offered again.
    Again,
    /// The next hop knows nothing of it.
    Unknown,
}

/// Who carries a message on: over QUIC, over SMTP, or in a test.
pub trait Courier: Send + Sync + 'static {
    /// Offers a message. `step` hears of each step as it happens.
    fn deliver<'a>(
        &'a self,
        consignment: &'a Consignment,
        step: &'a (dyn Fn(&str, &str) + Send + Sync),
    ) -> Later<'a, Report>;

    /// Delivers to a recipient's own daemon, to which its node has redirected: there alone, to that key alone. The
    /// envelope has that one recipient, and the address was checked before. Who knows no such way lets the node take it.
    fn deliver_to_doorstep<'a>(
        &'a self,
        _: &'a Consignment,
        _: &'a Redirect,
        _: &'a (dyn Fn(&str, &str) + Send + Sync),
    ) -> Later<'a, Report> {
        let trouble = Trouble::Temporary(Code::NO_ROUTE, "no way leads to doorsteps from here".to_owned());
        Box::pin(std::future::ready(Report {
            result: Err(trouble),
            tried: Vec::new(),
            passed_on: Vec::new(),
        }))
    }

    /// Asks what became of cookies that a domain has given us.
    fn inquire<'a>(
        &'a self,
        domain: &'a Domain,
        cookies: &'a [Cookie],
    ) -> Later<'a, Result<Vec<Answered>, Trouble>>;

    /// Tells a domain that we have stopped caring. Nothing depends on whether it hears.
    fn give_up<'a>(&'a self, domain: &'a Domain, cookies: &'a [Cookie]) -> Later<'a, ()>;
}

/// What one claim has come to.
struct Ledger {
    outcomes: Vec<(u32, Outcome)>,
    attempts: Vec<Attempt>,
    /// Seconds until all recipients may be asked about, and until one must be.
    poll_seconds: Option<(u32, u32)>,
    /// Seconds after which to offer again at the soonest, where the next hop had no room.
    deferred_seconds: Option<u64>,
    /// The recipients for whom the next hop asks for the message again.
    again: Vec<u32>,
    /// The recipients about whom somebody else gives notices.
    passed_on: Vec<u32>,
    failed: Option<String>,
    /// Whether it failed because the next hop was not reached, or was lost: then hearing of it ends the pause.
    unreached: bool,
    /// For how long we hold ourselves back.
    throttled_ms: Option<u64>,
    reached: bool,
}

impl Node {
    /// Works on one claim until it is settled.
    pub(crate) async fn work(&self, claim: Claim, courier: Arc<dyn Courier>) {
        let identity = claim.envelope.identity;
        let mut ledger = Ledger {
            outcomes: Vec::new(),
            attempts: Vec::new(),
            poll_seconds: None,
            deferred_seconds: None,
            again: Vec::new(),
            passed_on: Vec::new(),
            failed: None,
            unreached: false,
            throttled_ms: None,
            reached: false,
        };
        if claim.leg.lane.as_str() == LOCAL_LANE {
            ledger.outcomes = self.deliver_here(&claim).await;
            ledger.failed =
                ledger.outcomes.is_empty().then(|| "the mailbox cannot be written now".to_owned());
            return self.settle_claim(&claim, ledger, identity).await;
        }
        match domain_of(&claim.leg.lane) {
            Some(domain) if self.now_ms() >= claim.envelope.expires_at_ms => {
                self.expire_claim(&claim, &domain, &courier, &mut ledger).await;
            }
            Some(domain) => {
                self.poll_waiting(&claim, &domain, &courier, &mut ledger).await;
                self.offer_rest(&claim, &domain, courier.as_ref(), &mut ledger).await;
            }
            None => {
                finish_all(&claim, &mut ledger, &Disposition::refused(Code::NO_ROUTE, "no way leads there"))
            }
        }
        self.settle_claim(&claim, ledger, identity).await;
    }

    /// The time of a claim is over. What the next hop has under cookies is given up, and then asked about once more: after
    /// that nothing there is open any more, so what it had accepted before is told as it is.
    ///
    /// keeps: STA-10
    async fn expire_claim(
        &self,
        claim: &Claim,
        domain: &Domain,
        courier: &Arc<dyn Courier>,
        ledger: &mut Ledger,
    ) {
        finish_all(claim, ledger, &Disposition::Expired);
        let places: Vec<(u32, Cookie)> = waiting(claim).collect();
        if places.is_empty() {
            return;
        }
        let cookies: Vec<Cookie> = places.iter().map(|(_, cookie)| *cookie).collect();
        courier.give_up(domain, &cookies).await;
        let Ok(answers) = self.inner.polls.inquire(courier, domain, &cookies).await else { return };
        for ((place, _), answer) in places.iter().zip(answers) {
            let Answered::Final(told) = answer else { continue };
            if matches!(told, Disposition::Accepted | Disposition::Refused { .. } | Disposition::Relayed)
                && let Some((_, outcome)) = ledger.outcomes.iter_mut().find(|(known, _)| known == place)
            {
                *outcome = Outcome::Final(told);
            }
        }
    }

    /// Asks about the recipients for whom the next hop has given a cookie.
    async fn poll_waiting(
        &self,
        claim: &Claim,
        domain: &Domain,
        courier: &Arc<dyn Courier>,
        ledger: &mut Ledger,
    ) {
        let places: Vec<(u32, Cookie)> = waiting(claim).collect();
        if places.is_empty() {
            return;
        }
        let cookies: Vec<Cookie> = places.iter().map(|(_, cookie)| *cookie).collect();
        match self.inner.polls.inquire(courier, domain, &cookies).await {
            Ok(answers) => {
                ledger.reached = true;
                for ((place, _), answer) in places.iter().zip(answers) {
                    let answer = match answer {
                        Answered::Final(told) => Answered::Final(self.passed_back(claim, *place, told)),
                        answer => answer,
                    };
                    self.take_answer(*place, answer, ledger);
                }
            }
            Err(trouble) => self.note(claim, domain.as_str(), "poll", &trouble, ledger),
        }
    }

    fn take_answer(&self, place: u32, answer: Answered, ledger: &mut Ledger) {
        match answer {
            Answered::Final(disposition) => ledger.outcomes.push((place, Outcome::Final(disposition))),
            Answered::Pending { min_seconds, max_seconds } => ledger.poll_again(min_seconds, max_seconds),
            // Offered again, the receiver asks for what it wants now.
            Answered::Again => {
                ledger.outcomes.push((place, Outcome::Again));
                ledger.again.push(place);
            }
            // Offered again, the same offer gets the same answer; but who knows nothing of its own cookies is not asked
            // without a pause. keeps: EXC-18
            Answered::Unknown => ledger.defer(place, 1),
        }
    }

    /// Offers the message for the recipients that wait for no answer.
    async fn offer_rest(&self, claim: &Claim, domain: &Domain, courier: &dyn Courier, ledger: &mut Ledger) {
        let rest: Vec<u32> = claim
            .leg
            .recipients
            .iter()
            .copied()
            .filter(|place| {
                let open = recipient(claim, *place).is_some_and(|one| one.next_hop.is_none());
                // What is asked for again is offered in the same turn. keeps: STA-7
                open || ledger.again.contains(place)
            })
            .collect();
        let rest = self.those_who_may(claim, rest, ledger);
        if rest.is_empty() {
            return;
        }
        let identity = claim.envelope.identity;
        let message = match self.store().message(identity) {
            Ok(Some(message)) => message.brought_by(&claim.envelope),
            Ok(None) => {
                return finish_all(
                    claim,
                    ledger,
                    &Disposition::refused(Code::SYSTEM_TROUBLE, "the message is gone"),
                );
            }
            Err(error) => {
                let trouble = Trouble::Temporary(Code::SYSTEM_TROUBLE, error.to_string());
                return self.note(claim, "", "store", &trouble, ledger);
            }
        };
        let consignment = Consignment {
            domain: domain.clone(),
            again: rest.iter().all(|place| ledger.again.contains(place)),
            envelope: Envelope {
                identity,
                octets: message.manifest.message_octets(),
                issuers: message.seals.iter().map(|seal| seal.claims().issuer.clone()).collect(),
                recipients: rest
                    .iter()
                    .filter_map(|place| Some(recipient(claim, *place)?.goes_to().clone()))
                    .collect(),
                trace: claim.envelope.trace.clone(),
            },
            holder: rates::owner(&claim.envelope.origin.holder()).into_owned(),
            message,
            store: self.store().clone(),
            redirect_failed: false,
            legacy: match &claim.envelope.origin {
                Origin::Legacy(legacy) => Some(legacy.clone()),
                Origin::Submission { .. } | Origin::Peer { .. } => None,
            },
            onward: rest.iter().map(|place| self.onward(claim, *place)).collect(),
        };
        let by = claim.envelope.origin.holder();
        self.tell(Event::Trying { identity, domain: domain.clone(), by });
        let step = |step: &str, detail: &str| {
            self.tell(Event::Step { identity, step: step.to_owned(), detail: detail.to_owned() });
        };
        let began_ms = self.now_ms();
        let report = courier.deliver(&consignment, &step).await;
        let report = self.follow_redirects(consignment, courier, &step, report).await;
        self.journal(claim, began_ms, (&report, &rest), ledger);
        ledger.passed_on.extend(report.passed_on.iter().filter_map(|place| rest.get(*place)));
        match report.result {
            Ok(dispositions) => {
                ledger.reached = true;
                for (place, disposition) in rest.iter().zip(dispositions) {
                    ledger.take(*place, self.passed_back(claim, *place, disposition));
                }
            }
            Err(Trouble::Permanent(code, text)) => {
                for place in rest {
                    let told = self.passed_back(claim, place, Disposition::refused(code, &text));
                    ledger.outcomes.push((place, Outcome::Final(told)));
                }
            }
            Err(Trouble::Temporary(code, text)) => {
                let step = report.tried.last().map_or("", |tried| tried.step.as_str());
                ledger.unreached |= is_unreached(step, code);
                ledger.failed = Some(text);
            }
            Err(Trouble::Throttled) => ledger.throttle(THROTTLED_MS),
            Err(Trouble::NoRoom) => ledger.throttle(NO_ROOM_MS),
        }
    }

    /// Those who can be offered now: whom a target has not granted yet waits, and whoever goes to the same address as
    /// another recipient goes after it.
    fn those_who_may(&self, claim: &Claim, rest: Vec<u32>, ledger: &mut Ledger) -> Vec<u32> {
        let mut may: Vec<u32> = Vec::with_capacity(rest.len());
        let mut waits = None;
        for place in rest {
            match self.may_go_on(claim, place) {
                Ok(None) => {
                    let goes_to = recipient(claim, place).map(storage::RecipientRecord::goes_to);
                    let same = |other: &u32| {
                        recipient(claim, *other).map(storage::RecipientRecord::goes_to) == goes_to
                    };
                    if !may.iter().any(same) {
                        may.push(place);
                    }
                }
                Ok(Some(disposition)) => ledger.outcomes.push((place, Outcome::Final(disposition))),
                Err(reason) => waits = Some(reason),
            }
        }
        if let Some(reason) = waits {
            let trouble = Trouble::Temporary(NOT_GRANTED_YET, reason);
            self.note(claim, "", "offer", &trouble, ledger);
        }
        may
    }

    /// What was tried, for the recipients of these places. keeps: STA-12, GW-107
    fn journal(
        &self,
        claim: &Claim,
        began_ms: u64,
        (report, places): (&Report, &[u32]),
        ledger: &mut Ledger,
    ) {
        let took_ms = self.now_ms().saturating_sub(began_ms);
        for tried in report.tried.iter().rev().take(TRIED_KEPT_MAX).rev() {
            ledger.attempts.push(Attempt {
                at_ms: began_ms,
                lane: claim.leg.lane.clone(),
                host: tried.host.clone(),
                recipient: tried.recipient.and_then(|at| places.get(at).copied()),
                step: tried.step.clone(),
                code: tried.code,
                text: tried.text.clone(),
                took_ms,
                outcome: if report.result.is_ok() { "answered".to_owned() } else { "again".to_owned() },
            });
        }
    }

    fn note(&self, claim: &Claim, host: &str, step: &str, trouble: &Trouble, ledger: &mut Ledger) {
        let (code, text) = match trouble {
            Trouble::Temporary(code, text) | Trouble::Permanent(code, text) => {
                ledger.unreached |= is_unreached(step, *code);
                (Some(*code), text.clone())
            }
            Trouble::Throttled => return ledger.throttle(THROTTLED_MS),
            Trouble::NoRoom => return ledger.throttle(NO_ROOM_MS),
        };
        let report = Report {
            result: Err(trouble.clone()),
            tried: vec![TryRecord {
                host: host.to_owned(),
                step: step.to_owned(),
                code,
                text: text.clone(),
                recipient: None,
            }],
            passed_on: Vec::new(),
        };
        self.journal(claim, self.now_ms(), (&report, &[]), ledger);
        ledger.failed = Some(text);
    }

    /// Writes what an attempt has brought; again where that was not possible. Otherwise whoever has the message would get it once
    /// more. keeps: STO-16
    async fn write_settlement(&self, settlement: Settlement) -> Result<(), Error> {
        for _ in 0..SETTLE_TRIES_MAX {
            match self.store().settle(settlement.clone()).await {
                Err(Error::Io(_) | Error::Full) => self.inner.clock.sleep_until(self.now_ms() + 1_000).await,
                written => return written.map(drop),
            }
        }
        self.store().settle(settlement).await.map(drop)
    }

    /// Ends the claim in the store, and tells.
    /// Final dispositions travel back along the cookies, as records and never as mail. keeps: EXC-23, STA-13
    async fn settle_claim(&self, claim: &Claim, ledger: Ledger, identity: Identity) {
        let settings = self.settings();
        let now_ms = self.now_ms();
        let failed = ledger.failed.is_some();
        let backoff_ms = backoff::delay_ms(
            claim.leg.backoff,
            settings.retry_first_ms,
            settings.retry_longest_ms,
            claim.leg.id.0 ^ now_ms,
        );
        // keeps: EXC-18
        let deferred_ms = ledger.deferred_seconds.map(|seconds| seconds.saturating_mul(1000).max(backoff_ms));
        let poll_ms =
            ledger.poll_seconds.map(|(min, max)| backoff::poll_ms(min, max, claim.leg.id.0 ^ now_ms));
        // Nobody is asked or offered to sooner than he wants, whatever else this leg is about; and nobody is asked later
        // than he wants. keeps: STA-4
        let pauses_ms = [
            failed.then_some(backoff_ms),
            ledger.throttled_ms,
            // Where the offer came to nothing, that has a pause of its own.
            (!ledger.again.is_empty()).then_some(0),
            deferred_ms,
            poll_ms,
        ];
        let latest_ms = ledger.poll_seconds.map_or(u64::MAX, |(_, max)| u64::from(max.max(1)) * 1_000);
        let delay_ms = pauses_ms.into_iter().flatten().max().unwrap_or(60_000).min(latest_ms);
        // Never later than the end of its time: what expires is told at once.
        let next_due_ms = now_ms.saturating_add(delay_ms).min(claim.envelope.expires_at_ms.max(now_ms + 1));
        let settlement = Settlement {
            leg: claim.leg.id,
            fence: claim.fence,
            now_ms,
            outcomes: ledger.outcomes.clone(),
            passed_on: ledger.passed_on,
            attempts: ledger.attempts,
            next_due_ms: Some(next_due_ms),
            pause: match (failed, deferred_ms) {
                (true, _) if ledger.unreached => Pause::Failed,
                // Who answers, and answers badly, is asked no sooner because others of its messages go well.
                (true, _) => Pause::Asked,
                (false, Some(_)) => Pause::Asked,
                (false, None) if ledger.throttled_ms.is_some() => Pause::OurOwn,
                (false, None) => Pause::Answered,
            },
        };
        if let Err(error) = self.write_settlement(settlement).await {
            tracing::warn!(%error, leg = %claim.leg.id, "a claim could not be settled; it will be worked on again");
            return self.tell(Event::Trouble { what: format!("settling leg {}: {error}", claim.leg.id) });
        }
        self.hint(claim, &ledger.outcomes);
        for (place, outcome) in ledger.outcomes {
            let (Some(one), Outcome::Final(disposition) | Outcome::Waiting(disposition)) =
                (recipient(claim, place), outcome)
            else {
                continue;
            };
            let (recipient, by) = (one.address.clone(), claim.envelope.origin.holder());
            self.tell(Event::Settled { identity, recipient, disposition, by });
        }
        match (ledger.failed, domain_of(&claim.leg.lane)) {
            (Some(reason), Some(domain)) => {
                if ledger.unreached {
                    self.inner.queue.troubled(&claim.leg.lane);
                }
                let by = claim.envelope.origin.holder();
                self.tell(Event::Retrying { identity, domain, by, reason, at_ms: next_due_ms });
            }
            // Whoever has asked for patience is not offered to at once. keeps: EXC-18
            (None, Some(domain)) if ledger.reached && deferred_ms.is_none() => self.heard_from(&domain).await,
            _ => {}
        }
        self.inner.queue.ring();
    }

    /// Tells who handed the message in what has settled, and notes what a hint of the next hop would be about.
    fn hint(&self, claim: &Claim, outcomes: &[(u32, Outcome)]) {
        let hints = &self.inner.hints;
        for (_, cookie) in waiting(claim) {
            hints.wait_for(&cookie, claim.leg.id);
        }
        for (place, outcome) in outcomes {
            let Some(one) = recipient(claim, *place) else { continue };
            if let Some(Disposition::Pending { cookie, .. }) = &one.next_hop {
                hints.forget(cookie);
            }
            match outcome {
                Outcome::Final(_) => self.tell_settled(&claim.envelope.origin.holder(), &one.told),
                Outcome::Waiting(Disposition::Pending { cookie, .. }) => hints.wait_for(cookie, claim.leg.id),
                _ => {}
            }
        }
    }

    /// A domain was reached, or has reached us: what waits for it out of back-off is due now.
    pub(crate) async fn heard_from(&self, domain: &Domain) {
        let Ok(lane) = storage::Lane::new(&format!("exchange:{domain}")) else { return };
        if !self.inner.queue.was_troubled(&lane) {
            return;
        }
        if let Err(error) = self.store().release_lane(&lane, self.now_ms()).await {
            tracing::warn!(%error, %lane, "a lane could not be released");
        }
        self.inner.queue.ring();
    }
}

impl Ledger {
    /// Nothing was tried, and is not for so long.
    fn throttle(&mut self, pause_ms: u64) {
        self.throttled_ms = self.throttled_ms.max(Some(pause_ms));
    }

    fn take(&mut self, place: u32, disposition: Disposition) {
        match disposition {
            Disposition::Pending { min_seconds, max_seconds, .. } => {
                self.poll_again(min_seconds, max_seconds);
                self.outcomes.push((place, Outcome::Waiting(disposition)));
            }
            Disposition::Deferred { after_seconds, .. } => {
                self.defer(place, after_seconds);
            }
            // There is one hop: whoever redirects again where that has failed is asked again later. keeps: DOOR-9
            Disposition::Redirected(_) => self.defer(place, 1),
            disposition => self.outcomes.push((place, Outcome::Final(disposition))),
        }
    }

    /// The recipient is offered again, no sooner than after so many seconds, and later each time.
    fn defer(&mut self, place: u32, after_seconds: u32) {
        self.outcomes.push((place, Outcome::Again));
        let after = u64::from(after_seconds).max(1);
        self.deferred_seconds = Some(self.deferred_seconds.map_or(after, |before| before.max(after)));
    }

    /// One poll serves all recipients of the leg: when all may be asked about, but not after one must be.
    fn poll_again(&mut self, min_seconds: u32, max_seconds: u32) {
        let (min, max) = self.poll_seconds.unwrap_or((0, u32::MAX));
        self.poll_seconds = Some((min.max(min_seconds), max.min(max_seconds)));
    }
}

fn recipient(claim: &Claim, place: u32) -> Option<&storage::RecipientRecord> {
    claim.envelope.recipients.get(place as usize)
}

/// The recipients of a claim for whom the next hop has given a cookie.
fn waiting(claim: &Claim) -> impl Iterator<Item = (u32, Cookie)> {
    claim.leg.recipients.iter().filter_map(|place| match recipient(claim, *place)?.next_hop {
        Some(Disposition::Pending { cookie, .. }) => Some((*place, cookie)),
        _ => None,
    })
}

/// Whether the next hop was not reached: all that goes wrong before it is asked something, and then what is about the
/// network and the way (RFC 3463 section 3.5), not about what it has said.
fn is_unreached(step: &str, code: Code) -> bool {
    !matches!(step, "offer" | "poll") || code.subject == Code::NO_ANSWER.subject
}

fn finish_all(claim: &Claim, ledger: &mut Ledger, disposition: &Disposition) {
    ledger.outcomes =
        claim.leg.recipients.iter().map(|place| (*place, Outcome::Final(disposition.clone()))).collect();
}

/// The domain that a lane leads to.
pub(crate) fn domain_of(lane: &storage::Lane) -> Option<Domain> {
    Domain::from_wire(lane.as_str().strip_prefix("exchange:")?).ok()
}
