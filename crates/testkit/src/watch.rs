//! What was seen from outside while a world ran, and what has to agree with it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use message::address::{Address, Domain};
use message::{Cookie, Disposition, Identity};
use protocol::CookieAnswer;
use storage::MailboxEntry;

use crate::invariants;
use crate::world::Scene;

/// Cookies that a thief tries at a time.
const STOLEN_MAX: usize = 20;

/// A message that a user has handed over, or tried to.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) site: usize,
    pub(crate) user: &'static str,
    pub(crate) identity: Identity,
    pub(crate) recipients: Vec<Address>,
    /// What the node has answered; `None` where no answer has come.
    pub(crate) answers: Option<Vec<Disposition>>,
    /// Whether its author wanted it back.
    pub(crate) given_up: bool,
}

/// A cookie that a node has given to another.
#[derive(Debug)]
struct Given {
    taker: usize,
    holder: Domain,
    min_seconds: u32,
    /// When its holder was told last how long to wait, in milliseconds, by the holder's clock and in truth.
    told_at_ms: [u64; 2],
    /// In which life of its holder: a crash forgets what was not yet written down.
    told_in: u64,
    settled: Option<Disposition>,
}

/// One mail in one mailbox: the place of the node, the account, and the number of the entry.
pub(crate) type Mail = (usize, String, u64);

#[derive(Debug, Default)]
struct Seen {
    sent: Vec<Sent>,
    finals: BTreeMap<(Identity, String), Disposition>,
    mail: BTreeMap<Mail, Identity>,
    cookies: BTreeMap<[u8; 32], Given>,
    down_until_ms: BTreeMap<usize, u64>,
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Watch(Mutex<Seen>);

impl Watch {
    fn all(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Messages that were acknowledged, and mails that were seen.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let all = self.all();
        (all.sent.iter().filter(|sent| sent.answers.is_some()).count(), all.mail.len())
    }

    /// What became of recipients, as their authors have seen it, by the word for it.
    pub(crate) fn outcomes(&self) -> BTreeMap<&'static str, usize> {
        let mut outcomes = BTreeMap::new();
        self.all().finals.values().for_each(|one| *outcomes.entry(one.word()).or_default() += 1);
        outcomes
    }

    pub(crate) fn all_sent(&self) -> Vec<Sent> {
        self.all().sent.clone()
    }

    pub(crate) fn all_mail(&self) -> BTreeMap<Mail, Identity> {
        self.all().mail.clone()
    }

    /// A node stays down for so long.
    pub(crate) fn down_for(&self, scene: &Scene, site: usize, ms: u64) {
        let until_ms = scene.timeline.elapsed_ms() + ms;
        let mut all = self.all();
        let down = all.down_until_ms.entry(site).or_default();
        *down = until_ms.max(*down);
    }

    pub(crate) fn is_down(&self, scene: &Scene, site: usize) -> bool {
        self.all().down_until_ms.get(&site).is_some_and(|until_ms| scene.timeline.elapsed_ms() < *until_ms)
    }

    /// A user begins to hand a message over.
    pub(crate) fn sent(&self, sent: Sent) {
        self.all().sent.push(sent);
    }

    /// A node has taken a message from a user.
    pub(crate) fn acknowledged(&self, scene: &Scene, identity: Identity, answers: Vec<Disposition>) {
        let Some(sent) = self.all().sent.iter_mut().find(|sent| sent.identity == identity).map(|sent| {
            sent.answers = Some(answers.clone());
            sent.clone()
        }) else {
            return;
        };
        for (recipient, answer) in sent.recipients.iter().zip(&answers) {
            self.seen(scene, sent.site, identity, recipient, answer);
        }
    }

    /// Its author wants a message back.
    pub(crate) fn given_up(&self, identity: Identity) {
        self.all()
            .sent
            .iter_mut()
            .filter(|sent| sent.identity == identity)
            .for_each(|sent| sent.given_up = true);
    }

    /// An author has seen what became of a message for a recipient. What is final must not change.
    pub(crate) fn seen(
        &self,
        scene: &Scene,
        site: usize,
        identity: Identity,
        recipient: &Address,
        disposition: &Disposition,
    ) {
        let key = (identity, recipient.to_string());
        let before = self.all().finals.get(&key).cloned();
        match before {
            Some(before) if before != *disposition => {
                let what =
                    format!("d{site}: {identity} for {recipient} was {before:?} and is {disposition:?}");
                scene.story.broken(invariants::FINAL_IS_FINAL, what);
            }
            None if disposition.is_final() => drop(self.all().finals.insert(key, disposition.clone())),
            _ => {}
        }
    }

    /// A user has seen a mail.
    pub(crate) fn mail(&self, scene: &Scene, site: usize, user: &str, entry: &MailboxEntry) {
        let mail = (site, user.to_owned(), entry.uid.0);
        let before = self.all().mail.insert(mail, entry.identity);
        match before {
            None => scene.tell(site, &format_args!("{user} has {} as {}", entry.identity, entry.uid)),
            Some(before) if before != entry.identity => {
                let what = format!("d{site}: mail {} of {user} was another one before", entry.uid);
                scene.story.broken(invariants::KEPT, what);
            }
            Some(_) => {}
        }
    }

    /// A node has given a cookie to another.
    pub(crate) fn cookie_given(
        &self,
        scene: &Scene,
        (holder, taker): (usize, usize),
        cookie: Cookie,
        min_seconds: u32,
    ) {
        let told_at_ms = [scene.sites[holder].now_ms(scene), scene.timeline.now_ms()];
        let told_in = scene.sites[holder].life_number();
        let holder = scene.sites[holder].plan.domain.clone();
        let given = Given { taker, holder, min_seconds, told_at_ms, told_in, settled: None };
        self.all().cookies.entry(*cookie.as_bytes()).or_insert(given);
    }

    /// A node asks about a cookie: no sooner than it was told, by its own clock or, where that has jumped, in truth.
    pub(crate) fn polled(&self, scene: &Scene, holder: usize, cookie: &Cookie) {
        let now_ms = [scene.sites[holder].now_ms(scene), scene.timeline.now_ms()];
        let all = self.all();
        let Some(given) = all.cookies.get(cookie.as_bytes()) else { return };
        let waited_ms = [0, 1].map(|clock| now_ms[clock].saturating_sub(given.told_at_ms[clock]));
        let least_ms = u64::from(given.min_seconds) * 1_000;
        let knows = given.told_in == scene.sites[holder].life_number();
        if knows && waited_ms.iter().all(|waited_ms| *waited_ms < least_ms) {
            let what = format!("d{holder} asks d{} after {waited_ms:?} ms", given.taker);
            scene.story.broken(invariants::POLLS_KEEP_THEIR_BOUNDS, what);
        }
    }

    /// A node has given cookies up. It may ask once more what came before that (STA-10).
    pub(crate) fn let_go(&self, cookies: &[Cookie]) {
        let mut all = self.all();
        for cookie in cookies {
            if let Some(given) = all.cookies.get_mut(cookie.as_bytes()) {
                given.min_seconds = 0;
            }
        }
    }

    /// A node has answered about a cookie. What is final must not change.
    pub(crate) fn poll_answered(
        &self,
        scene: &Scene,
        (holder, taker): (usize, usize),
        cookie: &Cookie,
        answer: &CookieAnswer,
    ) {
        let mut all = self.all();
        let Some(given) = all.cookies.get_mut(cookie.as_bytes()) else { return };
        let now = match answer {
            CookieAnswer::Final(disposition) => Some(disposition),
            CookieAnswer::Pending { .. } => {
                given.told_at_ms = [scene.sites[holder].now_ms(scene), scene.timeline.now_ms()];
                given.told_in = scene.sites[holder].life_number();
                None
            }
            CookieAnswer::Want(_) | CookieAnswer::Unknown => None,
        };
        match (&given.settled, now) {
            (Some(before), now) if Some(before) != now => {
                let what = format!("a cookie of d{taker} was {before:?} and is {answer:?}");
                scene.story.broken(invariants::FINAL_IS_FINAL, what);
            }
            (None, Some(disposition)) => given.settled = Some(disposition.clone()),
            _ => {}
        }
    }

    /// Cookies that a node has given to others than this one.
    pub(crate) fn cookies_of_others(&self, taker: usize, domain: &Domain) -> Vec<Cookie> {
        let all = self.all();
        let others = all.cookies.iter().filter(|(_, given)| given.taker == taker && given.holder != *domain);
        others.rev().take(STOLEN_MAX).map(|(cookie, _)| Cookie::from_bytes(*cookie)).collect()
    }
}
