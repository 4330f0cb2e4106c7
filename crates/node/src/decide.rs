//! Decide: what the rules say about each recipient, with what has come of the message so far.

use message::{Code, Disposition, Selection};
use policy::{Decision, Verdict};
use storage::{Origin, Room};

use crate::Event;
use crate::accept::{Admission, DEFER_SECONDS, Door, Failure, trouble};
use crate::commit::{Intent, Why};
use crate::evidence::{Facts, Shown};
use crate::limits::{HELD_FULL_SECONDS, HELD_PER_ACCOUNT_MAX, HELD_PER_PEER_MAX};
use crate::memory::{Deed, answers_for};
use crate::rates::{PENDING_FULL, pending_full, pending_room, share_places};
use crate::submit;

/// The rule by which an account is full of what is held for it.
const HELD_FULL: &str = "held-full";

fn held_full() -> Disposition {
    Disposition::Deferred { code: Code::MAILBOX_FULL, after_seconds: HELD_FULL_SECONDS }
}

/// Why the store has found no room for a recipient that was to wait; `None` where this answer does not say so.
pub(crate) fn crowded_out(answer: &Disposition) -> Option<Why> {
    let rule = match answer {
        answer if *answer == held_full() => HELD_FULL,
        answer if *answer == pending_full() => PENDING_FULL,
        _ => return None,
    };
    Some(Why::new(rule, "there was room when it came, and none when it was to be kept"))
}

impl Admission {
    /// Verifies the seals where they are here, and decides about every recipient that is not decided about yet. What a
    /// rule wants to see first is given back; then this is to be called again.
    ///
    /// keeps: EXC-28
    pub(crate) async fn decide(&mut self) -> Result<Option<Selection>, Failure> {
        let unseen = self.manifest.is_none() || self.headers.is_none();
        if !unseen && self.verified.is_none() {
            self.look_at_seals().await?;
        }
        for place in 0..self.intents.len() {
            // At a doorstep the node has decided before. keeps: DOOR-8
            let elsewhere = matches!(self.door, Door::Doorstep { .. });
            if elsewhere || self.decided[place].is_some() || !self.intents[place].needs_content() {
                continue;
            }
            let accepted = self.was_accepted(place);
            if accepted && unseen {
                // A person's word does not stand for the seals.
                return Ok(Some(Selection::Headers));
            }
            let decision = self.judge(place).await?;
            let why = Why { rule: decision.rule.clone(), evidence: decision.evidence.clone() };
            match &decision.verdict {
                Verdict::Want(wanted) if !self.got.contains(wanted) => return Ok(Some(wanted.clone())),
                // A rule that is not content with what it has got must not keep the offer for ever.
                Verdict::Want(_) if !accepted => {
                    let evidence = format!("{}; what it wants has come", decision.evidence);
                    let why = Why { rule: decision.rule, evidence };
                    self.put_off(place, Code::SYSTEM_TROUBLE, DEFER_SECONDS, why);
                }
                _ => self.carry_out(place, decision)?,
            }
            self.decided[place] = Some(why);
            self.tell_answered(place);
        }
        self.bound_pending()?;
        Ok(None)
    }

    /// Puts off those who would be pending beyond what a peer may have. Who was pending before stays so.
    ///
    /// keeps: SEC-5, REP-14
    fn bound_pending(&mut self) -> Result<(), Failure> {
        if matches!(self.origin, Origin::Submission { .. }) {
            return Ok(());
        }
        let holder = self.origin.holder();
        let waits = |intent: &Intent| {
            !matches!(intent, Intent::Answered(..) | Intent::Mailbox { .. } | Intent::List { .. })
        };
        let waiting: Vec<usize> = (0..self.intents.len())
            .filter(|place| self.again[*place].is_none() && waits(&self.intents[*place]))
            .collect();
        if waiting.is_empty() {
            return Ok(());
        }
        let pending = self.node.store().pending(&holder).map_err(trouble)?;
        let room = pending_room(&self.node.settings().rates, pending);
        for place in waiting.into_iter().skip(usize::try_from(room).unwrap_or(usize::MAX)) {
            let why = Why::new(PENDING_FULL, format!("{pending} recipients of {holder} are pending"));
            self.intents[place] = Intent::Answered(pending_full(), why);
            self.tell_answered(place);
        }
        Ok(())
    }

    async fn look_at_seals(&mut self) -> Result<(), Failure> {
        let Some(manifest) = &self.manifest else { return Ok(()) };
        let node = self.node.clone();
        if let (Origin::Submission { account }, Some(headers)) = (&self.origin, &self.headers)
            && let Err((code, text)) = node.check_from(account, headers)
        {
            let open: Vec<usize> =
                (0..self.intents.len()).filter(|place| self.intents[*place].needs_content()).collect();
            refuse_all(&mut self.intents, code, &text)?;
            open.into_iter().for_each(|place| self.tell_answered(place));
        }
        let from = self.headers.as_ref().and_then(|headers| submit::from_address(headers).ok());
        self.verified = Some(node.verify(manifest, from.as_ref(), &self.seals, &self.origin).await);
        Ok(())
    }

    /// What the rules and the policy service say about one recipient.
    async fn judge(&mut self, place: usize) -> Result<Decision, Failure> {
        let standing = self.standing().await;
        let shown = match (&self.manifest, &self.headers, &self.verified) {
            (Some(manifest), Some(headers), Some(verified)) => Some(Shown { manifest, headers, verified }),
            _ => None,
        };
        let facts = Facts {
            origin: &self.origin,
            octets: self.envelope.octets,
            standing,
            rate: self.rate.clone(),
            supplied: &self.got,
            shown,
        };
        let since_ms = self.again[place].as_ref().map(|held| held.since_ms);
        let recipient = &self.envelope.recipients[place];
        // An alias can lead to an account: then that is who decides, and whose list counts. keeps: FWD-42
        let account = match &self.intents[place] {
            Intent::Mailbox { account } => Some(account.clone()),
            _ => self.node.account_at(recipient)?,
        };
        let evidence = self.node.evidence(&facts, (recipient, account.as_deref()), since_ms)?;
        Ok(self.node.judge(&evidence).await)
    }

    /// The standing of the peer, where somebody looks at it; it is found out once for an offer. keeps: REP-7
    async fn standing(&mut self) -> policy::Standing {
        let Some(domain) = answers_for(&self.origin) else { return policy::Standing::default() };
        if self.standing.is_none() && self.node.looks_at_standings() {
            self.standing = Some(self.node.standing(domain).await);
        }
        self.standing.clone().unwrap_or_default()
    }

    /// What the decision makes of a recipient. Whom a person has accepted already is not held again; a refusal stands,
    /// and so do the seals.
    fn carry_out(&mut self, place: usize, decision: Decision) -> Result<(), Failure> {
        let accepted = self.was_accepted(place);
        let why = Why { rule: decision.rule, evidence: decision.evidence };
        match (decision.verdict, self.intents[place].clone()) {
            (Verdict::Refuse { code, text }, _) => {
                self.intents[place] = Intent::Answered(Disposition::refused(code, &text), why);
            }
            (Verdict::Defer { code, after_seconds }, _) => self.put_off(place, code, after_seconds, why),
            _ if accepted => {}
            (Verdict::Pend { after_seconds }, intent) => {
                let account = match (intent, &self.origin) {
                    (Intent::Mailbox { account }, Origin::Peer { .. } | Origin::Legacy(_)) => Some(account),
                    (_, Origin::Peer { .. } | Origin::Legacy(_)) => None,
                    // A user's program is not asked to come again.
                    (_, Origin::Submission { .. }) => return Ok(()),
                };
                match self.full(place, account.as_deref())? {
                    Some(full) => self.put_off_full(place, &full, &why),
                    None => self.intents[place] = Intent::Later { account, after_seconds, why },
                }
            }
            (Verdict::Hold { keep }, Intent::Mailbox { account }) => {
                match self.full(place, Some(&account))? {
                    Some(full) => self.put_off_full(place, &full, &why),
                    None => self.intents[place] = Intent::Held { account, keep, why },
                }
            }
            (Verdict::Accept, Intent::Mailbox { account }) => self.redirect(place, &account),
            // Nobody here could decide about what goes on: whoever gets it does. keeps: POL-15
            _ => {}
        }
        Ok(())
    }

    /// Sends a peer that can be redirected to the doorstep of the recipient, where there is one. Who has a cookie of this
    /// node for the delivery is not sent away: what comes of the cookie is settled here.
    ///
    /// keeps: DOOR-8
    fn redirect(&mut self, place: usize, account: &str) {
        let (Origin::Peer { domain }, Door::Node { key_digest: Some(key) }) = (&self.origin, &self.door)
        else {
            return;
        };
        if self.offered.redirect_failed || self.again[place].is_some() {
            return;
        }
        let recipient = &self.envelope.recipients[place];
        if let Some(redirect) = self.node.redirect_for(account, recipient, self.identity(), (domain, key)) {
            let why = Why::new("doorstep", format!("{account} has a doorstep"));
            self.intents[place] = Intent::Answered(Disposition::Redirected(redirect), why);
        }
    }

    /// Why nothing more is held for an account, where that is so: everything there, or everything of this peer and of those below
    /// the same registered domain; recipients of this offer count with it. The work is bounded by what may be held. Who is held
    /// already keeps the place. The store counts again when it holds it. keeps: STA-14
    fn full(&self, place: usize, account: Option<&str>) -> Result<Option<String>, Failure> {
        let Some(account) = account.filter(|_| self.again[place].is_none()) else { return Ok(None) };
        let here = |(at, intent): &(usize, &Intent)| match intent {
            Intent::Held { account: own, .. } | Intent::Later { account: Some(own), .. } => {
                self.again[*at].is_none() && own == account
            }
            _ => false,
        };
        let this = self.intents.iter().enumerate().filter(here).count();
        let holder = self.origin.holder();
        let theirs = |by: &str| share_places(by, &holder);
        let counted = self.node.store().held_count(account, &theirs, HELD_PER_ACCOUNT_MAX);
        let (all, own) = counted.map_err(trouble)?;
        Ok(if all + this >= HELD_PER_ACCOUNT_MAX {
            Some(format!("{all} messages are held for {account}"))
        } else if own + this >= HELD_PER_PEER_MAX {
            Some(format!("{own} messages of {holder}, or of its domain, are held for {account}"))
        } else {
            None
        })
    }

    fn put_off_full(&mut self, place: usize, full: &str, why: &Why) {
        let why = Why::new(HELD_FULL, format!("{full}; {why}"));
        self.put_off(place, Code::MAILBOX_FULL, HELD_FULL_SECONDS, why);
    }

    /// How much may wait of what this party brings, for the store to count when it is kept. keeps: STA-14, REP-14
    pub(crate) fn room(&self) -> Room {
        Room {
            pending_max: pending_room(&self.node.settings().rates, 0),
            pending_full: pending_full(),
            held_max: HELD_PER_ACCOUNT_MAX,
            held_shared_max: HELD_PER_PEER_MAX,
            shared: share_places,
            held_full: held_full(),
        }
    }

    fn put_off(&mut self, place: usize, code: Code, after_seconds: u32, why: Why) {
        self.intents[place] = Intent::Answered(Disposition::Deferred { code, after_seconds }, why);
    }

    pub(crate) fn tell_answered(&self, place: usize) {
        if let Some((disposition, why)) = self.intents[place].answered() {
            let (identity, recipient) = (self.identity(), self.envelope.recipients[place].clone());
            if matches!(disposition, Disposition::Refused { .. }) {
                self.node.note_deed(&self.origin, Deed::Refused);
            }
            self.node.note_refusal(&self.origin, identity, &recipient, &disposition, why);
            let Why { rule, evidence } = why.clone();
            self.node.tell(Event::Decided { identity, recipient, disposition, rule, evidence });
        }
    }
}

/// Refuses every recipient that is not answered yet. What is no word about the message is a failure of the offer.
///
/// keeps: SUB-6
fn refuse_all(intents: &mut [Intent], code: Code, text: &str) -> Result<(), Failure> {
    if code.class != 5 {
        return Err((code, text.to_owned()));
    }
    for intent in intents.iter_mut().filter(|intent| intent.needs_content()) {
        *intent = Intent::Answered(Disposition::refused(code, text), Why::new("from", text));
    }
    Ok(())
}
