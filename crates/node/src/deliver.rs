//! Deliver: what a claim of the queue needs done, and what its outcome means.

use std::sync::Arc;

use message::address::Domain;
use message::{Code, Cookie, Disposition, Envelope};
use storage::{Attempt, Claim, Error, Origin, Outcome, Settlement};

use crate::courier::{Answered, Consignment, Courier, Report, Trouble, TryRecord};
use crate::forwarding::NOT_GRANTED_YET;
use crate::here::LOCAL_LANE;
use crate::ledger::{Ledger, is_unreached, recipient, waiting};
use crate::limits::SETTLE_TRIES_MAX;
use crate::{Event, Node, rates};

/// Attempts of one turn that are kept: the others of its recipients have their dispositions.
const TRIED_KEPT_MAX: usize = 32;
/// For how long we hold ourselves back.
const THROTTLED_MS: u64 = 1_000;
/// And where there was no room in memory, which gets free as messages leave.
const NO_ROOM_MS: u64 = 10_000;

impl Node {
    /// Works on one claim until it is settled.
    pub(crate) async fn work(&self, claim: Claim, courier: Arc<dyn Courier>) {
        let mut ledger = Ledger::default();
        if claim.leg.lane.as_str() == LOCAL_LANE {
            ledger.outcomes = self.deliver_here(&claim).await;
            if ledger.outcomes.is_empty() {
                match self.now_ms() >= claim.envelope.expires_at_ms {
                    true => ledger.finish_all(&claim, &Disposition::Expired),
                    false => ledger.failed = Some("the mailbox cannot be written now".to_owned()),
                }
            }
            return self.settle_claim(&claim, ledger).await;
        }
        match domain_of(&claim.leg.lane) {
            Some(domain) if self.now_ms() >= claim.envelope.expires_at_ms => {
                self.expire_claim(&claim, &domain, &courier, &mut ledger).await;
            }
            Some(domain) => {
                self.poll_waiting(&claim, &domain, &courier, &mut ledger).await;
                self.offer_rest(&claim, &domain, courier.as_ref(), &mut ledger).await;
            }
            None => ledger.finish_all(&claim, &Disposition::refused(Code::NO_ROUTE, "no way leads there")),
        }
        self.settle_claim(&claim, ledger).await;
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
        ledger.finish_all(claim, &Disposition::Expired);
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
                    ledger.answer(*place, answer);
                }
            }
            Err(trouble) => self.note(claim, domain.as_str(), "poll", &trouble, ledger),
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
                return ledger
                    .finish_all(claim, &Disposition::refused(Code::SYSTEM_TROUBLE, "the message is gone"));
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
    async fn settle_claim(&self, claim: &Claim, mut ledger: Ledger) {
        let identity = claim.envelope.identity;
        let now_ms = self.now_ms();
        let next_due_ms = ledger.next_due_ms(claim, self.settings(), now_ms);
        if let Err(error) = self.write_settlement(ledger.settlement(claim, now_ms, next_due_ms)).await {
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
            (None, Some(domain)) if ledger.reached && ledger.deferred_seconds.is_none() => {
                self.heard_from(&domain).await
            }
            // Its time is over, or it was in vain: nobody has to remember a lane in which nothing is left.
            (None, Some(_)) if !ledger.reached && self.is_empty(&claim.leg.lane) => {
                self.inner.queue.was_troubled(&claim.leg.lane);
            }
            _ => {}
        }
        self.inner.queue.ring();
    }

    fn is_empty(&self, lane: &storage::Lane) -> bool {
        self.store().legs(Some(lane), None, 1).is_ok_and(|legs| legs.is_empty())
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

/// The domain that a lane leads to.
pub(crate) fn domain_of(lane: &storage::Lane) -> Option<Domain> {
    Domain::from_wire(lane.as_str().strip_prefix("exchange:")?).ok()
}
