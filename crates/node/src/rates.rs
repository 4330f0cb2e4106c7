//! Rates and quotas: how much a peer, the peers of one domain together, and a user may bring in a time, and how much of a
//! peer's may be pending.
//!
//! Each count is a bucket that fills evenly, as one number: the time at which it is full again (the generic cell rate
//! algorithm). Nothing of it is kept: who is over a limit is asked to come again, never refused, so a restart that forgets
//! costs little.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use message::address::{Address, Domain};
use message::{Code, Disposition};
use storage::{LegacyOrigin, Origin};

use crate::commit::{Intent, Why};
use crate::limits::{DOMAIN_FACTOR, PENDING_PER_PEER, RATE_AFTER_SECONDS_MAX, RATES_MAX};
use crate::proved::Proved;
use crate::{Intake, Node};

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;
/// Seconds after which a peer whose bound of pending deliveries is reached may come again: they go as people decide.
const PENDING_AFTER_SECONDS: u32 = 900;
/// The rule that puts it off.
pub(crate) const PENDING_FULL: &str = "peer-pending";

/// How much may be brought in a time. Zero is no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rates {
    /// Messages that a peer may offer in a minute.
    pub peer_messages_per_minute: u64,
    /// Recipients that a peer may name in a minute.
    pub peer_recipients_per_minute: u64,
    /// Recipients of a peer about whom nobody has decided yet.
    pub peer_pending: u64,
    /// Messages that the peers below one registered domain may offer in a minute.
    pub domain_messages_per_minute: u64,
    /// Recipients that they may name in a minute.
    pub domain_recipients_per_minute: u64,
    /// Messages that a user may submit in an hour.
    pub user_messages_per_hour: u64,
    /// Recipients that a user may name in a day.
    pub user_recipients_per_day: u64,
    /// Whether a peer over its rate is put off at once. Where not, the rules see that it is over, and decide.
    pub put_off: bool,
}

impl Default for Rates {
    /// No limits but the bound on what is pending.
    fn default() -> Self {
        Rates {
            peer_messages_per_minute: 0,
            peer_recipients_per_minute: 0,
            peer_pending: PENDING_PER_PEER,
            domain_messages_per_minute: 0,
            domain_recipients_per_minute: 0,
            user_messages_per_hour: 0,
            user_recipients_per_day: 0,
            put_off: true,
        }
    }
}

impl Rates {
    /// These limits for a peer, and [`DOMAIN_FACTOR`] times as much for the peers of one domain.
    pub fn for_peers(messages_per_minute: u64, recipients_per_minute: u64) -> Rates {
        Rates {
            peer_messages_per_minute: messages_per_minute,
            peer_recipients_per_minute: recipients_per_minute,
            domain_messages_per_minute: messages_per_minute.saturating_mul(DOMAIN_FACTOR),
            domain_recipients_per_minute: recipients_per_minute.saturating_mul(DOMAIN_FACTOR),
            ..Rates::default()
        }
    }
}

/// What somebody is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Over {
    /// The limit, as it is called in the configuration.
    pub limit: &'static str,
    /// What was counted, for the operator.
    pub words: String,
    /// For programs.
    pub code: Code,
    /// Seconds after which there will be room.
    pub after_seconds: u32,
}

impl Over {
    /// What who is over it is told. keeps: REP-12
    pub(crate) fn answer(&self) -> Disposition {
        Disposition::Deferred { code: self.code, after_seconds: self.after_seconds }
    }
}

impl Over {
    /// What the rules see of it, where they decide.
    pub(crate) fn seen(self) -> policy::Rate {
        policy::Rate::Over { limit: self.limit.to_owned(), words: self.words }
    }
}

/// How much of one limit is used now, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The limit, as it is called in the configuration.
    pub limit: &'static str,
    /// What is used of it, in its unit.
    pub used: u64,
    /// How much may be.
    pub of: u64,
}

/// Whose offers are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Party<'a> {
    /// Another node.
    Peer(&'a Domain),
    /// A server of the old world, by what it is held under.
    Legacy(&'a str),
    /// A user, by the name of the account.
    User(&'a str),
}

impl<'a> Party<'a> {
    /// Who brings what comes from here; `holder` is what the origin is held under.
    fn of(origin: &'a Origin, holder: &'a str) -> Party<'a> {
        match origin {
            Origin::Peer { domain } => Party::Peer(domain),
            Origin::Legacy(_) => Party::Legacy(holder),
            Origin::Submission { account } => Party::User(account),
        }
    }
}

/// One limit as it applies to one party.
struct Limit {
    name: &'static str,
    subject: String,
    most: u64,
    window_ms: u64,
    count: u64,
    code: Code,
}

/// Which limit, and whom it is about.
type Place = (&'static str, String);

/// The counts.
#[derive(Debug, Default)]
pub(crate) struct Buckets(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// When each is full again, in microseconds.
    full_at_us: HashMap<Place, u64>,
    /// When those that say nothing any more were last removed.
    swept_at_ms: u64,
    proved: Proved,
}

impl Buckets {
    /// Counts an offer for so many recipients, where it is within all limits; nothing is counted where it is over one.
    /// keeps: REP-12, REP-13
    pub(crate) fn take(
        &self,
        rates: &Rates,
        party: Party<'_>,
        recipients: u64,
        now_ms: u64,
    ) -> Result<(), Over> {
        let limits = limits(rates, party, recipients);
        if limits.is_empty() {
            return Ok(());
        }
        let mut buckets = self.lock();
        let filled = buckets.with_taken(&limits, now_ms)?;
        buckets.full_at_us.extend(filled);
        Ok(())
    }

    /// Whether an offer for so many recipients would be within all limits now, without counting it.
    pub(crate) fn look(
        &self,
        rates: &Rates,
        party: Party<'_>,
        recipients: u64,
        now_ms: u64,
    ) -> Result<(), Over> {
        let limits = limits(rates, party, recipients);
        self.lock().with_taken(&limits, now_ms).map(|_| ())
    }

    /// Remembers that mail of this client was proved to be from this domain.
    fn note_proved(&self, client: IpAddr, domain: &Domain, now_ms: u64) {
        self.lock().proved.note(client, domain, now_ms);
    }

    fn was_proved(&self, client: IpAddr, domain: &Domain, now_ms: u64) -> bool {
        self.lock().proved.has(client, domain, now_ms)
    }

    /// What is used of the limits of a party, for display.
    pub(crate) fn used(&self, rates: &Rates, party: Party<'_>, now_ms: u64) -> Vec<Use> {
        let buckets = self.lock();
        let used = |limit: Limit| {
            let full_at_us = buckets.full_at_us.get(&(limit.name, limit.subject)).copied().unwrap_or(0);
            let window_us = limit.window_ms.saturating_mul(1000);
            let behind_us = full_at_us.saturating_sub(now_ms.saturating_mul(1000)).min(window_us);
            let used = u128::from(behind_us) * u128::from(limit.most) / u128::from(window_us.max(1));
            Use { limit: limit.name, used: u64::try_from(used).unwrap_or(u64::MAX), of: limit.most }
        };
        limits(rates, party, 0).into_iter().map(used).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intake {
    /// Puts off every recipient who was not answered by an earlier offer, where this party is over a limit and is to be put off; says
    /// what it is over. Recipients who were refused at first sight count too, and are put off like the others: who guesses
    /// addresses is to be slowed down, and not to be told.
    /// keeps: REP-12, SEC-6
    pub(crate) fn within_rates(&self, intents: &mut [Intent]) -> Option<Over> {
        let node = &self.node;
        let holder = self.origin.holder();
        let party = Party::of(&self.origin, &holder);
        let fresh = |intent: &Intent| !intent.answered().is_some_and(|(_, why)| why.is_before());
        let count = intents.iter().filter(|intent| fresh(intent)).count() as u64;
        if count == 0 {
            return None;
        }
        let rates = &node.settings().rates;
        let (buckets, now_ms) = (&node.inner.buckets, node.now_ms());
        let Err(over) = buckets.take(rates, party, count, now_ms) else {
            // What is put off gives nobody a place. keeps: REP-21
            if let Origin::Legacy(legacy) = &self.origin
                && let Some(path) = legacy.return_path.as_ref().filter(|_| legacy.verified)
            {
                buckets.note_proved(legacy.client, path.domain(), now_ms);
            }
            return None;
        };
        if rates.put_off || matches!(party, Party::User(_)) {
            for intent in intents.iter_mut().filter(|intent| fresh(intent)) {
                *intent = Intent::Answered(over.answer(), Why::new(over.limit, over.words.as_str()));
            }
        }
        Some(over)
    }
}

impl Node {
    /// How an offer for one recipient would stand to the limits of whoever brings it just now.
    pub(crate) fn rate_now(&self, origin: &Origin) -> policy::Rate {
        let holder = origin.holder();
        let party = Party::of(origin, &holder);
        let over = self.inner.buckets.look(&self.settings().rates, party, 1, self.now_ms()).err();
        over.map_or(policy::Rate::Within, Over::seen)
    }

    /// What a server of the old world is over before it has brought anything, where it is to be put off for it: then nothing
    /// of its message is taken or looked at. What it will prove is not known yet, so it counts as what it proved to be
    /// within a day, else as its address.
    ///
    /// # Errors
    /// A code of class 4 and a text.
    ///
    /// keeps: REP-21
    pub fn legacy_rate(&self, client: IpAddr, return_path: Option<&Address>) -> Result<(), (Code, String)> {
        let (rates, buckets, now_ms) = (&self.settings().rates, &self.inner.buckets, self.now_ms());
        if !rates.put_off {
            return Ok(());
        }
        let domain = return_path.map(Address::domain);
        let domain = domain.filter(|domain| buckets.was_proved(client, domain, now_ms));
        let holder = LegacyOrigin::holder_of(client, domain);
        let looked = buckets.look(rates, Party::Legacy(&holder), 1, now_ms);
        looked.map_err(|_| (TOO_MUCH, "too much mail from there just now; try again later".to_owned()))
    }

    /// What a peer has used of its limits just now.
    pub fn rates_of(&self, peer: &Domain) -> Vec<Use> {
        let mut used = self.inner.buckets.used(&self.settings().rates, Party::Peer(peer), self.now_ms());
        let of = self.settings().rates.peer_pending;
        if of > 0 {
            used.push(Use {
                limit: PENDING_FULL,
                used: self.store().pending(peer.as_str()).unwrap_or(0),
                of,
            });
        }
        used
    }
}

impl Counts {
    /// When each would be full again, had an offer been taken out of all of them; or what is over.
    fn with_taken(&mut self, limits: &[Limit], now_ms: u64) -> Result<Vec<(Place, u64)>, Over> {
        let mut filled = Vec::with_capacity(limits.len());
        for limit in limits {
            let place = self.place(limit, now_ms);
            let full_at_us = self.full_at_us.get(&place).copied().unwrap_or(0);
            filled.push((place, after_taking(limit, full_at_us, now_ms)?));
        }
        Ok(filled)
    }

    /// Where a limit is counted: its own place, or one shared by all for whom there is none. Places that say nothing any
    /// more make room, at most once in a second: looking for them costs as much as there are. keeps: REP-13
    fn place(&mut self, limit: &Limit, now_ms: u64) -> Place {
        let own = (limit.name, limit.subject.clone());
        if self.full_at_us.len() < RATES_MAX || self.full_at_us.contains_key(&own) {
            return own;
        }
        if now_ms.abs_diff(self.swept_at_ms) >= 1_000 {
            self.swept_at_ms = now_ms;
            let now_us = now_ms.saturating_mul(1000);
            // No window is longer than a day: what lies further ahead was counted by a clock that was wrong.
            let latest_us = now_us.saturating_add(DAY_MS * 1000);
            self.full_at_us.retain(|_, full_at_us| *full_at_us > now_us && *full_at_us <= latest_us);
        }
        if self.full_at_us.len() < RATES_MAX { own } else { (limit.name, String::new()) }
    }
}

/// How many more recipients of a peer may be pending. keeps: SEC-5, REP-14
pub(crate) fn pending_room(rates: &Rates, pending: u64) -> u64 {
    if rates.peer_pending == 0 { u64::MAX } else { rates.peer_pending.saturating_sub(pending) }
}

/// What a peer is told for whom there is no more room among what is pending. keeps: SEC-5, REP-14
pub(crate) fn pending_full() -> Disposition {
    Disposition::Deferred { code: TOO_MANY_RECIPIENTS, after_seconds: PENDING_AFTER_SECONDS }
}

/// The registered domain that a name most likely belongs to: its last two labels, or the last three where the second
/// level is a short word under a country, such as `co.uk`. A mistake only makes some share a count that is
/// larger than that of one. keeps: REP-13
pub fn registered(domain: &Domain) -> &str {
    let text = domain.as_str();
    let ends: Vec<usize> = text.match_indices('.').map(|(at, _)| at).collect();
    let Some(last) = ends.last() else { return text };
    let top = text.len() - last - 1;
    let second_at = ends.len().checked_sub(2).and_then(|place| ends.get(place)).map_or(0, |at| at + 1);
    let is_word_under_country = top == 2 && last - second_at <= 3;
    let labels_before = if is_word_under_country { 3 } else { 2 };
    match ends.len().checked_sub(labels_before).and_then(|place| ends.get(place)) {
        Some(at) => text.get(at + 1..).unwrap_or(text),
        None => text,
    }
}

/// Who has what a server of the old world is held under: the registered domain of a proved name, and of an IPv6 address the
/// network of 64 bits. An IPv4 address belongs to itself. keeps: REP-13
pub(crate) fn owner(holder: &str) -> Cow<'_, str> {
    let Some(name) = holder.strip_prefix("smtp:") else { return holder.into() };
    match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => match address.parse::<Ipv6Addr>() {
            Ok(address) => format!("smtp:[{}/64]", Ipv6Addr::from(u128::from(address) >> 64 << 64)).into(),
            Err(_) => holder.into(),
        },
        None => match Domain::from_wire(name) {
            Ok(domain) => format!("smtp:{}", registered(&domain)).into(),
            Err(_) => holder.into(),
        },
    }
}

/// Whether two holders share the places of what is held for an account: whoever has one name below a registered domain has as
/// many as they like. keeps: STA-14
pub(crate) fn share_places(one: &str, other: &str) -> bool {
    one == other || whose(one) == whose(other)
}

/// Who has what a holder is held under: the registered domain of a peer, of the old world as [`owner`] says, an account itself.
pub(crate) fn whose(holder: &str) -> Cow<'_, str> {
    match Domain::from_wire(holder) {
        Ok(domain) => registered(&domain).to_owned().into(),
        Err(_) => owner(holder),
    }
}

/// Too many recipients (RFC 3463, section 3.6: X.5.3).
const TOO_MANY_RECIPIENTS: Code = Code::new(4, 5, 3);
/// Not authorized to bring more just now (RFC 3463, section 3.8: X.7.1).
const TOO_MUCH: Code = Code::new(4, 7, 1);

/// The limits that apply to a party; those that are not set are left out.
fn limits(rates: &Rates, party: Party<'_>, recipients: u64) -> Vec<Limit> {
    let limit = |name, subject: &str, most, window_ms, count, code| Limit {
        name,
        subject: subject.to_owned(),
        most,
        window_ms,
        count,
        code,
    };
    let mut all = match party {
        Party::Peer(_) | Party::Legacy(_) => {
            let (peer, owner) = match party {
                Party::Peer(domain) => (domain.as_str(), Cow::from(registered(domain))),
                Party::Legacy(holder) | Party::User(holder) => (holder, owner(holder)),
            };
            let owner = &*owner;
            vec![
                limit(
                    "peer-messages-per-minute",
                    peer,
                    rates.peer_messages_per_minute,
                    MINUTE_MS,
                    1,
                    TOO_MUCH,
                ),
                limit(
                    "peer-recipients-per-minute",
                    peer,
                    rates.peer_recipients_per_minute,
                    MINUTE_MS,
                    recipients,
                    TOO_MANY_RECIPIENTS,
                ),
                limit(
                    "domain-messages-per-minute",
                    owner,
                    rates.domain_messages_per_minute,
                    MINUTE_MS,
                    1,
                    TOO_MUCH,
                ),
                limit(
                    "domain-recipients-per-minute",
                    owner,
                    rates.domain_recipients_per_minute,
                    MINUTE_MS,
                    recipients,
                    TOO_MANY_RECIPIENTS,
                ),
            ]
        }
        Party::User(account) => vec![
            limit("user-messages-per-hour", account, rates.user_messages_per_hour, HOUR_MS, 1, TOO_MUCH),
            limit(
                "user-recipients-per-day",
                account,
                rates.user_recipients_per_day,
                DAY_MS,
                recipients,
                TOO_MANY_RECIPIENTS,
            ),
        ],
    };
    all.retain(|limit| limit.most > 0);
    all
}

/// When the bucket will be full again after this is taken out of it, in microseconds; or what is over.
///
/// A bucket holds what may come within one window. More at once than it holds is let through where it is full: else it
/// could never come.
fn after_taking(limit: &Limit, full_at_us: u64, now_ms: u64) -> Result<u64, Over> {
    let (now_us, window_us) = (now_ms.saturating_mul(1000), limit.window_ms.saturating_mul(1000));
    let cost_us = u128::from(limit.count) * u128::from(window_us) / u128::from(limit.most.max(1));
    let cost_us = u64::try_from(cost_us).unwrap_or(u64::MAX).min(window_us);
    let latest_us = now_us.saturating_add(window_us);
    // No bucket is ever emptier than empty: what says so was counted by a clock that has been set back since.
    let set_back = full_at_us > latest_us.saturating_add(MINUTE_MS * 1000);
    let full_at_us = if set_back { now_us } else { full_at_us.clamp(now_us, latest_us) };
    let full_at_us = full_at_us.saturating_add(cost_us);
    if full_at_us <= latest_us {
        return Ok(full_at_us);
    }
    let after_seconds = (full_at_us - latest_us).div_ceil(1_000_000);
    Err(Over {
        limit: limit.name,
        words: format!("{} is over {} = {}", limit.subject, limit.name, limit.most),
        code: limit.code,
        after_seconds: u32::try_from(after_seconds).unwrap_or(u32::MAX).min(RATE_AFTER_SECONDS_MAX),
    })
}

#[cfg(test)]
mod tests;
