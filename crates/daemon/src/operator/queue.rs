//! What waits, and where a message has been.

use std::collections::BTreeSet;

use control::{Failure, FailureKind, Legs, Request, Response};
use storage::{EnvelopeRecord, Lane, LegId, LegRecord};

use super::{Answered, LocalOperator, bounded, failure};
use crate::clock::now_ms;
use crate::view::{envelope_view, lane_view, leg_view, refusal_view};

impl LocalOperator {
    pub(super) async fn queue(&self, request: Request) -> Answered {
        let store = self.store();
        match request {
            Request::QueueList { lane, after, limit } => {
                let lane = lane.map(|name| lane_of(&name)).transpose()?;
                let legs = store.legs(lane.as_ref(), after.map(LegId), bounded(limit)).map_err(failure)?;
                let legs = legs
                    .iter()
                    .filter_map(|leg| self.leg(leg, false).transpose())
                    .collect::<Result<_, _>>()?;
                Ok(Response::Legs { legs })
            }
            Request::QueueOf { identity } => {
                let legs = self.legs_of(&identity)?;
                let found = legs.into_iter().map(|leg| {
                    store
                        .legs(None, leg.0.checked_sub(1).map(LegId), 1)
                        .map(|found| found.into_iter().find(|one| one.id == leg))
                });
                let found = found.collect::<Result<Vec<_>, _>>().map_err(failure)?;
                let views = found.iter().flatten().filter_map(|leg| self.leg(leg, false).transpose());
                Ok(Response::Legs { legs: views.collect::<Result<_, _>>()? })
            }
            Request::QueueLanes => {
                let lanes = store.lanes(None, control::limits::LIST_MAX).map_err(failure)?;
                Ok(Response::Lanes { lanes: lanes.iter().map(lane_view).collect() })
            }
            Request::QueueShow { leg } => {
                let before = leg.checked_sub(1).map(LegId);
                let found = store
                    .legs(None, before, 1)
                    .map_err(failure)?
                    .into_iter()
                    .find(|one| one.id == LegId(leg));
                let view = found.map(|leg| self.leg(&leg, true)).transpose()?.flatten();
                view.map(|view| Response::Leg(Box::new(view))).ok_or_else(|| {
                    Failure::new(FailureKind::NotFound, format!("no leg {leg} is in the queue"))
                })
            }
            Request::QueueRetry { legs } => self.change(legs, |leg| store.retry(leg, now_ms())).await,
            Request::QueueHold { legs } => self.change(legs, |leg| store.hold(leg)).await,
            Request::QueueRelease { legs } => self.change(legs, |leg| store.release(leg)).await,
            Request::QueueRemove { legs } => {
                let remove = |leg| -> storage::Wait<'_, ()> {
                    Box::pin(async move {
                        let hops = store.remove(leg, now_ms()).await?;
                        self.node.tell_given_up(hops);
                        Ok(())
                    })
                };
                self.change(legs, remove).await
            }
            _ => Err(Failure::new(FailureKind::Invalid, "this cannot be asked here")),
        }
    }

    /// Does something to legs, one by one: what is gone meanwhile is passed over.
    async fn change<'a>(&'a self, legs: Legs, act: impl Fn(LegId) -> storage::Wait<'a, ()>) -> Answered {
        let numbers = match legs {
            Legs::Numbers(numbers) => numbers.into_iter().map(LegId).collect(),
            Legs::Message(digits) => self.legs_of(&digits)?,
            Legs::Lane(name) => {
                let lane = lane_of(&name)?;
                let mut all: Vec<LegId> = Vec::new();
                loop {
                    let after = all.last().copied();
                    let page = self.store().legs(Some(&lane), after, control::limits::LIST_MAX);
                    let page = page.map_err(failure)?;
                    if page.is_empty() {
                        break all;
                    }
                    all.extend(page.iter().map(|leg| leg.id));
                }
            }
        };
        let mut count = 0;
        for leg in numbers {
            match act(leg).await {
                Ok(()) => count += 1,
                Err(storage::Error::NotFound(_)) => {}
                Err(error) => return Err(failure(error)),
            }
        }
        self.node.wake_queue();
        Ok(Response::Changed { count })
    }

    fn leg(&self, leg: &LegRecord, with_attempts: bool) -> Result<Option<control::LegView>, Failure> {
        let Some(envelope) = self.store().envelope(leg.envelope).map_err(failure)? else { return Ok(None) };
        // What it waits for is known from the attempts, also where they are not listed.
        let attempts = self.store().attempts(leg.envelope).map_err(failure)?;
        let mut view = leg_view(leg, &envelope, &attempts);
        if !with_attempts {
            view.attempts.clear();
        }
        Ok(Some(view))
    }

    pub(super) fn trace(&self, digits: &str) -> Answered {
        let (identity, refusals) = self.traced(digits)?;
        let envelopes = self.store().envelopes_for(identity, control::limits::LIST_MAX).map_err(failure)?;
        if envelopes.is_empty() && refusals.is_empty() {
            return Err(Failure::new(FailureKind::NotFound, "nothing is known of this message here"));
        }
        let view = |envelope: &EnvelopeRecord| {
            let attempts = self.store().attempts(envelope.id).map_err(failure)?;
            Ok(envelope_view(envelope, &attempts))
        };
        let envelopes = envelopes.iter().map(view).collect::<Result<_, Failure>>()?;
        Ok(Response::Envelopes { envelopes, refusals: refusals.iter().map(refusal_view).collect() })
    }

    /// The legs of a message, in the order of their numbers.
    fn legs_of(&self, digits: &str) -> Result<Vec<LegId>, Failure> {
        let identity = self.identity(digits)?;
        let envelopes = self.store().envelopes_for(identity, control::limits::LIST_MAX).map_err(failure)?;
        let recipients = envelopes.iter().flat_map(|envelope| &envelope.recipients);
        Ok(recipients.filter_map(|one| one.leg).collect::<BTreeSet<_>>().into_iter().collect())
    }
}

fn lane_of(name: &str) -> Result<Lane, Failure> {
    Lane::new(name).map_err(|error| Failure::new(FailureKind::Invalid, error.to_string()))
}
