//! What one claim has come to, and what follows from it: what is written, and when the leg is due again.

use message::{Code, Cookie, Disposition};
use storage::{Attempt, Claim, Outcome, Pause, RecipientRecord, Settlement};

use crate::courier::Answered;
use crate::{Settings, backoff};

/// What one claim has come to.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) outcomes: Vec<(u32, Outcome)>,
    pub(crate) attempts: Vec<Attempt>,
    /// Seconds until all recipients may be asked about, and until one must be.
    pub(crate) poll_seconds: Option<(u32, u32)>,
    /// Seconds after which to offer again at the soonest, where the next hop had no room.
    pub(crate) deferred_seconds: Option<u64>,
    /// The recipients for whom the next hop asks for the message again.
    pub(crate) again: Vec<u32>,
    /// The recipients about whom somebody else gives notices.
    pub(crate) passed_on: Vec<u32>,
    pub(crate) failed: Option<String>,
    /// Whether it failed because the next hop was not reached, or was lost: then hearing of it ends the pause.
    pub(crate) unreached: bool,
    /// For how long we hold ourselves back.
    pub(crate) throttled_ms: Option<u64>,
    pub(crate) reached: bool,
}

impl Ledger {
    /// All recipients of the claim are done with.
    pub(crate) fn finish_all(&mut self, claim: &Claim, disposition: &Disposition) {
        self.outcomes =
            claim.leg.recipients.iter().map(|place| (*place, Outcome::Final(disposition.clone()))).collect();
    }

    /// Nothing was tried, and is not for so long.
    pub(crate) fn throttle(&mut self, pause_ms: u64) {
        self.throttled_ms = self.throttled_ms.max(Some(pause_ms));
    }

    /// What the next hop has answered about a recipient that was offered.
    pub(crate) fn take(&mut self, place: u32, disposition: Disposition) {
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

    /// What the next hop has answered about a cookie.
    pub(crate) fn answer(&mut self, place: u32, answer: Answered) {
        match answer {
            Answered::Final(disposition) => self.outcomes.push((place, Outcome::Final(disposition))),
            Answered::Pending { min_seconds, max_seconds } => self.poll_again(min_seconds, max_seconds),
            // Offered again, the receiver asks for what it wants now.
            Answered::Again => {
                self.outcomes.push((place, Outcome::Again));
                self.again.push(place);
            }
            // Offered again, the same offer gets the same answer; but who knows nothing of its own cookies is not asked
            // without a pause. keeps: EXC-18
            Answered::Unknown => self.defer(place, 1),
        }
    }

    /// When the leg is due again, in Unix milliseconds. keeps: EXC-18, STA-4
    pub(crate) fn next_due_ms(&self, claim: &Claim, settings: &Settings, now_ms: u64) -> u64 {
        let seed = claim.leg.id.0 ^ now_ms;
        let (first_ms, longest_ms) = (settings.retry_first_ms, settings.retry_longest_ms);
        let backoff_ms = backoff::delay_ms(claim.leg.backoff, first_ms, longest_ms, seed);
        // Nobody is asked or offered to sooner than he wants, whatever else this leg is about; and nobody is asked later
        // than he wants.
        let pauses_ms = [
            self.failed.as_ref().map(|_| backoff_ms),
            self.throttled_ms,
            // Where the offer came to nothing, that has a pause of its own.
            (!self.again.is_empty()).then_some(0),
            self.deferred_seconds.map(|seconds| seconds.saturating_mul(1000).max(backoff_ms)),
            self.poll_seconds.map(|(min, max)| backoff::poll_ms(min, max, seed)),
        ];
        let latest_ms = self.poll_seconds.map_or(u64::MAX, |(_, max)| u64::from(max.max(1)) * 1_000);
        let delay_ms = pauses_ms.into_iter().flatten().max().unwrap_or(60_000).min(latest_ms);
        // Never later than the end of its time: what expires is told at once.
        now_ms.saturating_add(delay_ms).min(claim.envelope.expires_at_ms.max(now_ms + 1))
    }

    /// What is written of it.
    pub(crate) fn settlement(&mut self, claim: &Claim, now_ms: u64, next_due_ms: u64) -> Settlement {
        Settlement {
            leg: claim.leg.id,
            fence: claim.fence,
            now_ms,
            outcomes: self.outcomes.clone(),
            passed_on: std::mem::take(&mut self.passed_on),
            attempts: std::mem::take(&mut self.attempts),
            next_due_ms: Some(next_due_ms),
            pause: match (self.failed.is_some(), self.deferred_seconds) {
                (true, _) if self.unreached => Pause::Failed,
                // Who answers, and answers badly, is asked no sooner because others of its messages go well.
                (true, _) => Pause::Asked,
                (false, Some(_)) => Pause::Asked,
                (false, None) if self.throttled_ms.is_some() => Pause::OurOwn,
                (false, None) => Pause::Answered,
            },
        }
    }
}

/// The recipient at a place of the envelope.
pub(crate) fn recipient(claim: &Claim, place: u32) -> Option<&RecipientRecord> {
    claim.envelope.recipients.get(place as usize)
}

/// The recipients of a claim for whom the next hop has given a cookie.
pub(crate) fn waiting(claim: &Claim) -> impl Iterator<Item = (u32, Cookie)> {
    claim.leg.recipients.iter().filter_map(|place| match recipient(claim, *place)?.next_hop {
        Some(Disposition::Pending { cookie, .. }) => Some((*place, cookie)),
        _ => None,
    })
}

/// Whether the next hop was not reached: all that goes wrong before it is asked something, and then what is about the
/// network and the way (RFC 3463 section 3.5), not about what it has said.
pub(crate) fn is_unreached(step: &str, code: Code) -> bool {
    !matches!(step, "offer" | "poll") || code.subject == Code::NO_ANSWER.subject
}
