//! The standing of a peer: what the DNS says of it (may it send, who vouches for it, which lists have it) and what is
//! remembered of it, as one grade with its reasons.
//!
//! Nothing here decides about mail: rules do, where they ask for the standing. What cannot be found out counts neither
//! for nor against a peer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dns::csa::{Authorization, Service};
use message::address::Domain;
use policy::{Grade, Standing};
use storage::PeerRecord;
use tokio::sync::Semaphore;

use crate::Node;
use crate::limits::{
    ACCREDITORS_MAX, CSA_HOSTS_MAX, LIST_TESTED_MS, STANDING_KEPT_MS_MAX, STANDING_KEPT_MS_MIN,
    STANDING_MS_MAX, STANDINGS_ASKED_MAX, STANDINGS_MAX,
};
use crate::memory::ONE;

/// Whom an operator believes about peers. What is beyond [`ACCREDITORS_MAX`] of each kind is not asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accreditors {
    /// Services that vouch for domains (RFC 5518).
    pub vouchers: Vec<Domain>,
    /// Lists of domains that behave (RFC 5782).
    pub good_lists: Vec<Domain>,
    /// Lists of domains that do not.
    pub bad_lists: Vec<Domain>,
}

/// One question about a peer and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Which question: `csa`, `vbr` or `list`.
    pub question: &'static str,
    /// The name of the record that was asked for.
    pub name: String,
    /// The answer in words.
    pub answer: String,
    /// What it counts: against the peer, for it, or nothing.
    pub counts: Counts,
}

/// What a finding counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// It could not be found out.
    Failed,
    /// Nothing.
    Nothing,
    /// The peer is known, no more.
    Known,
    /// For the peer.
    For,
    /// Against the peer.
    Against,
}

/// What was found out about a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// The questions, in the order in which they stand in the configuration.
    pub asked: Vec<Asked>,
    /// When they were asked, in Unix milliseconds.
    pub at_ms: u64,
    /// Until when the answers count, in Unix milliseconds.
    pub until_ms: u64,
}

/// One answer, and for how many seconds it may be relied on.
struct Finding {
    asked: Asked,
    ttl_seconds: u32,
}

/// What is known of peers, and of the lists.
#[derive(Debug)]
pub(crate) struct Standings {
    peers: Mutex<HashMap<Domain, Arc<Slot>>>,
    /// Whether each list works, and until when that was tested.
    lists: Mutex<HashMap<Domain, (bool, u64)>>,
    at_once: Semaphore,
}

/// What is known of one peer. Who asks while it is being asked about waits for the same answer.
type Slot = tokio::sync::Mutex<Option<Arc<Findings>>>;

impl Default for Standings {
    fn default() -> Self {
        let at_once = Semaphore::new(STANDINGS_ASKED_MAX);
        Standings { peers: Mutex::default(), lists: Mutex::default(), at_once }
    }
}

impl Node {
    /// Whether a rule or a policy service looks at standings: else nobody is asked. keeps: REP-7
    pub(crate) fn looks_at_standings(&self) -> bool {
        self.settings().rules.look_at_standing() || self.inner.service.get().is_some()
    }

    /// The standing of a peer now, with its reasons. At most [`STANDING_MS_MAX`]; what is not known by then counts nothing.
    /// keeps: REP-1, REP-7
    pub async fn standing(&self, peer: &Domain) -> Standing {
        let findings = self.findings(peer).await;
        let memory = self.remembered(peer).ok().flatten();
        judge(findings.as_deref(), memory.as_ref())
    }

    /// What the DNS says of a peer, asked now where it is not known; `None` where too many others are being asked about.
    /// keeps: REP-7
    pub async fn findings(&self, peer: &Domain) -> Option<Arc<Findings>> {
        let now_ms = self.now_ms();
        let slot = self.inner.standings.slot(peer, now_ms);
        let deadline_ms = now_ms.saturating_add(STANDING_MS_MAX);
        let mut known = self.within(deadline_ms, slot.lock()).await?;
        if let Some(findings) = known.as_ref().filter(|findings| counts_at(findings, now_ms)) {
            return Some(findings.clone());
        }
        let _place = self.inner.standings.at_once.try_acquire().ok()?;
        let findings = Arc::new(self.ask_about(peer, deadline_ms).await);
        *known = Some(findings.clone());
        Some(findings)
    }

    /// Asks everything at once, each until the deadline.
    async fn ask_about(&self, peer: &Domain, deadline_ms: u64) -> Findings {
        let accreditors = &self.settings().accreditors;
        let mut questions: Vec<dns::Pending<'_, Finding>> = vec![
            Box::pin(self.ask_csa(peer, deadline_ms)),
            Box::pin(self.ask_csa_of_hosts(peer, deadline_ms)),
        ];
        for service in accreditors.vouchers.iter().take(ACCREDITORS_MAX) {
            questions.push(Box::pin(self.ask_voucher(service, peer, deadline_ms)));
        }
        for (lists, good) in [(&accreditors.good_lists, true), (&accreditors.bad_lists, false)] {
            for list in lists.iter().take(ACCREDITORS_MAX) {
                questions.push(Box::pin(self.ask_list(list, good, peer, deadline_ms)));
            }
        }
        let found = dns::all(questions).await;
        let shortest = found.iter().map(|finding| u64::from(finding.ttl_seconds) * 1000).min().unwrap_or(0);
        let at_ms = self.now_ms();
        Findings {
            asked: found.into_iter().map(|finding| finding.asked).collect(),
            at_ms,
            until_ms: at_ms.saturating_add(shortest.clamp(STANDING_KEPT_MS_MIN, STANDING_KEPT_MS_MAX)),
        }
    }

    async fn ask_csa(&self, peer: &Domain, deadline_ms: u64) -> Finding {
        self.ask_csa_of(peer.as_str(), "it", deadline_ms).await
    }

    /// What is said of one name, called so in the answer.
    async fn ask_csa_of(&self, host: &str, called: &str, deadline_ms: u64) -> Finding {
        let question = dns::csa::authorize(self.inner.resolver.as_ref(), Service::Waxwing, host);
        match self.in_time(deadline_ms, question).await {
            Ok(found) => {
                let (answer, counts) = match &found.authorization {
                    Authorization::Unknown => ("nothing is said of who may send".to_owned(), Counts::Nothing),
                    Authorization::Authorized { .. } => (format!("{called} may send"), Counts::Known),
                    Authorization::Forbidden => (format!("{called} may not send"), Counts::Against),
                    Authorization::NotListed { parent } => {
                        let answer = format!("{parent} says that names without records may not send");
                        (answer, Counts::Against)
                    }
                };
                finding("csa", found.asked, answer, counts, found.ttl_seconds)
            }
            Err(error) => failed("csa", format!("_client._waxwing.{host}"), &error),
        }
    }

    /// What is said of the hosts that serve the peer, where they have other names. Which of them brings a message does not
    /// show: it counts against the peer only where none of them may send. keeps: REP-20
    async fn ask_csa_of_hosts(&self, peer: &Domain, deadline_ms: u64) -> Finding {
        let name = format!("_waxwing._udp.{peer}");
        let hosts = match self.in_time(deadline_ms, self.inner.resolver.srv(&name)).await {
            Ok(answer) => answer,
            Err(error) => return failed("csa", name, &error),
        };
        let mut targets: Vec<String> = hosts.records.into_iter().filter_map(|one| one.target).collect();
        targets.sort();
        targets.dedup();
        targets.retain(|target| target != peer.as_str());
        targets.truncate(CSA_HOSTS_MAX);
        let ask = |host: &String| {
            let (host, own) = (host.clone(), host.ends_with(&format!(".{peer}")));
            let asked = async move {
                let mut found = self.ask_csa_of(&host, &host, deadline_ms).await;
                // Anybody can name the hosts of others: their good name is not lent.
                if !own && found.asked.counts == Counts::Known {
                    found.asked.counts = Counts::Nothing;
                }
                found
            };
            Box::pin(asked) as dns::Pending<'_, Finding>
        };
        let found = dns::all(targets.iter().map(ask).collect()).await;
        let ttl_seconds = found.iter().map(|one| one.ttl_seconds).chain([hosts.ttl_seconds]).min();
        // The best that is said of any of them: allowed, then nothing, then what could not be asked, then forbidden.
        let rank = |one: &Finding| match one.asked.counts {
            Counts::For | Counts::Known => 0,
            Counts::Nothing => 1,
            Counts::Failed => 2,
            Counts::Against => 3,
        };
        match found.into_iter().min_by_key(rank) {
            Some(best) => Finding { ttl_seconds: ttl_seconds.unwrap_or(0), ..best },
            None => {
                let answer = "no host of another name serves it".to_owned();
                finding("csa", name, answer, Counts::Nothing, hosts.ttl_seconds)
            }
        }
    }

    async fn ask_voucher(&self, service: &Domain, peer: &Domain, deadline_ms: u64) -> Finding {
        let question = dns::vbr::ask(self.inner.resolver.as_ref(), service.as_str(), peer.as_str());
        match self.in_time(deadline_ms, question).await {
            Ok(vouch) if vouch.kinds.is_empty() => {
                let answer = format!("{service} does not vouch for it");
                finding("vbr", vouch.asked, answer, Counts::Nothing, vouch.ttl_seconds)
            }
            Ok(vouch) => {
                let answer = format!("{service} vouches for it: {}", vouch.kinds.join(" "));
                // A service that vouches for lists or receipts only says nothing of people's letters.
                let counts = if vouch.covers("all") { Counts::For } else { Counts::Known };
                finding("vbr", vouch.asked, answer, counts, vouch.ttl_seconds)
            }
            Err(error) => failed("vbr", format!("{peer}._vouch.{service}"), &error),
        }
    }

    async fn ask_list(&self, list: &Domain, good: bool, peer: &Domain, deadline_ms: u64) -> Finding {
        let name = format!("{peer}.{list}");
        match self.list_works(list, deadline_ms).await {
            Ok(true) => {}
            Ok(false) => {
                let answer = format!("{list} does not work as a list does, and is not used");
                return finding("list", name, answer, Counts::Failed, 0);
            }
            Err(error) => return failed("list", name, &error),
        }
        let question = dns::dnsl::ask(self.inner.resolver.as_ref(), list.as_str(), peer.as_str());
        match self.in_time(deadline_ms, question).await {
            Ok(listing) if listing.values.is_empty() => {
                let answer = format!("{list} does not have it");
                finding("list", listing.asked, answer, Counts::Nothing, listing.ttl_seconds)
            }
            Ok(listing) => {
                let values: Vec<String> = listing.values.iter().map(ToString::to_string).collect();
                let reason = listing.reason.map_or_else(String::new, |reason| format!(": {reason}"));
                let answer = format!("{list} has it ({}){reason}", values.join(", "));
                let counts = if good { Counts::For } else { Counts::Against };
                finding("list", listing.asked, answer, counts, listing.ttl_seconds)
            }
            Err(error) => failed("list", name, &error),
        }
    }

    /// Whether the list has shown lately that it is one. keeps: REP-6
    async fn list_works(&self, list: &Domain, deadline_ms: u64) -> Result<bool, dns::Error> {
        let now_ms = self.now_ms();
        let known = self.inner.standings.lists().get(list).copied();
        if let Some((works, until_ms)) = known
            && until_ms > now_ms
            && until_ms <= now_ms.saturating_add(LIST_TESTED_MS)
        {
            return Ok(works);
        }
        let question = dns::dnsl::works(self.inner.resolver.as_ref(), list.as_str());
        let works = self.in_time(deadline_ms, question).await?;
        let kept_ms = if works { LIST_TESTED_MS } else { LIST_TESTED_MS / 12 };
        self.inner.standings.lists().insert(list.clone(), (works, now_ms.saturating_add(kept_ms)));
        Ok(works)
    }

    async fn in_time<T>(
        &self,
        deadline_ms: u64,
        question: impl Future<Output = Result<T, dns::Error>>,
    ) -> Result<T, dns::Error> {
        self.within(deadline_ms, question).await.unwrap_or(Err(dns::Error::Timeout))
    }

    /// What comes until the deadline.
    async fn within<T>(&self, deadline_ms: u64, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.inner.clock.sleep_until(deadline_ms) => None,
        }
    }
}

impl Standings {
    /// The place of one peer. Where there are too many, those go whose time has passed, and if that is not enough, all.
    fn slot(&self, peer: &Domain, now_ms: u64) -> Arc<Slot> {
        let mut peers = lock(&self.peers);
        if let Some(slot) = peers.get(peer) {
            return slot.clone();
        }
        if peers.len() >= STANDINGS_MAX {
            let lasts = |slot: &Arc<Slot>| {
                // One that is locked is being asked about.
                slot.try_lock().map_or(true, |known| known.as_ref().is_some_and(|one| counts_at(one, now_ms)))
            };
            peers.retain(|_, slot| lasts(slot));
            if peers.len() >= STANDINGS_MAX {
                peers.clear();
            }
        }
        peers.entry(peer.clone()).or_default().clone()
    }

    pub(crate) fn forget(&self, peer: &Domain) {
        lock(&self.peers).remove(peer);
    }

    fn lists(&self) -> MutexGuard<'_, HashMap<Domain, (bool, u64)>> {
        lock(&self.lists)
    }
}

/// One grade of everything. That nothing is known is a grade of its own, which a rule can pend.
///
/// keeps: REP-2, REP-11, REP-18
fn judge(findings: Option<&Findings>, memory: Option<&PeerRecord>) -> Standing {
    let mut reasons = Vec::new();
    let (mut against, mut by, mut known) = (false, false, false);
    let asked = findings.iter().flat_map(|findings| &findings.asked);
    for one in asked {
        match one.counts {
            Counts::Against => against = true,
            Counts::For => by = true,
            Counts::Known => known = true,
            Counts::Failed | Counts::Nothing => {}
        }
        if one.counts != Counts::Nothing {
            reasons.push(one.answer.clone());
        }
    }
    if let Some(memory) = memory {
        let taken = memory.accepted / ONE;
        let complained = memory.declined.saturating_add(memory.complaints.saturating_mul(2)) / ONE;
        known |= taken > 0;
        // Three words of users at the least, and more than one for every ten recipients served.
        if complained >= 3 && complained.saturating_mul(10) > taken {
            against = true;
            reasons.push("users have refused its mail or complained about it".to_owned());
        } else if taken >= 20 && complained.saturating_mul(50) <= taken {
            by = true;
            reasons.push("its mail was taken before, and users do not complain".to_owned());
        } else if taken > 0 {
            reasons.push("its mail was taken before".to_owned());
        }
    }
    let grade = match (against, by, known) {
        (true, _, _) => Grade::Bad,
        (false, true, _) => Grade::Good,
        (false, false, true) => Grade::Neutral,
        _ => Grade::Unknown,
    };
    Standing { grade, reasons }
}

/// Whether the answers count at this time. A clock that was set back does not make them last longer than they may.
fn counts_at(findings: &Findings, now_ms: u64) -> bool {
    findings.until_ms > now_ms && findings.until_ms <= now_ms.saturating_add(STANDING_KEPT_MS_MAX)
}

fn finding(
    question: &'static str,
    name: String,
    answer: String,
    counts: Counts,
    ttl_seconds: u32,
) -> Finding {
    Finding { asked: Asked { question, name, answer, counts }, ttl_seconds }
}

/// A question that could not be answered. keeps: REP-2
fn failed(question: &'static str, name: String, error: &dns::Error) -> Finding {
    finding(question, name, format!("{question} could not be asked: {error}"), Counts::Failed, 0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(counts: &[Counts]) -> Findings {
        let asked = |counts: &Counts| Asked {
            question: "csa",
            name: "_client._waxwing.a.test".to_owned(),
            answer: format!("{counts:?}"),
            counts: *counts,
        };
        Findings { asked: counts.iter().map(asked).collect(), at_ms: 0, until_ms: 0 }
    }

    /// Accepted, declined and complaints, as whole events.
    fn memory(accepted: u64, declined: u64, complaints: u64) -> PeerRecord {
        PeerRecord {
            domain: Domain::from_wire("a.test").unwrap(),
            first_seen_ms: 0,
            last_seen_ms: 0,
            counted_at_ms: 0,
            accepted: accepted * ONE,
            refused: 0,
            held: 0,
            declined: declined * ONE,
            complaints: complaints * ONE,
        }
    }

    /// proves: REP-2, REP-11
    #[test]
    fn one_grade_comes_of_everything_that_is_known() {
        use Counts::{Against, Failed, For, Known, Nothing};
        let check = |counts: &[Counts], memory: Option<PeerRecord>, grade: Grade| {
            let standing = judge(Some(&findings(counts)), memory.as_ref());
            assert_eq!(standing.grade, grade, "{counts:?} {memory:?}");
            let said = counts.iter().filter(|counts| **counts != Nothing).count();
            assert!(standing.reasons.len() >= said, "{counts:?}: {:?}", standing.reasons);
        };
        check(&[], None, Grade::Unknown);
        check(&[Nothing, Nothing], None, Grade::Unknown);
        check(&[Known], None, Grade::Neutral);
        check(&[Known, For], None, Grade::Good);
        check(&[For, Against], None, Grade::Bad);
        // What fails counts nothing: neither alone nor beside anything else.
        check(&[Failed, Failed], None, Grade::Unknown);
        check(&[Failed, Known], None, Grade::Neutral);
        check(&[Failed, For], None, Grade::Good);
        check(&[Nothing], Some(memory(1, 0, 0)), Grade::Neutral);
        check(&[Nothing], Some(memory(20, 0, 0)), Grade::Good);
        check(&[Nothing], Some(memory(20, 1, 0)), Grade::Neutral);
        check(&[Nothing], Some(memory(0, 2, 0)), Grade::Unknown);
        check(&[Nothing], Some(memory(0, 3, 0)), Grade::Bad);
        check(&[Nothing], Some(memory(1, 1, 1)), Grade::Bad);
        // Three of hundreds are people who differ, not a peer that is bad.
        check(&[For], Some(memory(300, 3, 0)), Grade::Good);
        assert_eq!(judge(None, None), Standing::default());
    }
}
