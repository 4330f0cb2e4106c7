//! Keys of authors: asked of their domain, remembered for a while, and held against what each account has seen.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use message::address::{Address, Domain};
use message::keys::{AuthorKey, Chain, KeyAnswer, Known, NotProved, Pin, SeenHead, TreeHead, judge};
use message::{PublicKey, Seal};
use storage::{HeadRecord, PinRecord, SealNote};

use crate::accept::{Admission, Failure, trouble};
use crate::aliases::Target;
use crate::commit::Intent;
use crate::limits::{
    CHAIN_MS, CHAINS_ASKED_MAX, CHAINS_ASKED_OF_ONE_MAX, CHAINS_MAX, HEAD_SEEN_AGAIN_MS, KEY_ASKED_MS_MAX,
    KEY_QUESTIONS_MAX, NO_CHAIN_MS, UNKNOWN_KEY_ASKED_AGAIN_MS,
};
use crate::{Later, Node};

/// Who asks other domains for keys. The daemon gives one that goes over exchange, a test its own.
pub trait KeyAsker: Send + Sync + 'static {
    /// What the domain of the address answers; `None` where it does not, or not as it must. The node itself ends what takes
    /// too long.
    fn ask<'a>(&'a self, address: &'a Address, seen_size: Option<u64>) -> Later<'a, Option<KeyAnswer>>;
}

/// What is known of the keys of an author.
#[derive(Debug, Clone, Default)]
pub(crate) enum Fetched {
    /// Nothing: nobody answered, or not as it must be.
    #[default]
    Nothing,
    /// All statements.
    Chain(Arc<Chain>),
    /// The domain shows another history than before.
    Split,
}

impl Fetched {
    fn known(&self) -> Known<'_> {
        match self {
            Fetched::Nothing => Known::Nothing,
            Fetched::Chain(chain) => Known::Chain(chain),
            Fetched::Split => Known::Split,
        }
    }

    /// Whether one of these seals names a key about which nothing is stated.
    fn lacks(&self, seals: &[&Seal]) -> bool {
        let Fetched::Chain(chain) = self else { return false };
        let stated = |seal: &Seal| {
            let key = |record: &message::keys::KeyRecord| record.statement().claims().key.id();
            chain.records().iter().any(|record| key(record).0 == seal.key_name())
        };
        !seals.iter().all(|seal| stated(seal))
    }
}

/// What was answered lately, and how many questions are under way.
#[derive(Debug, Default)]
pub(crate) struct Chains {
    kept: Mutex<HashMap<Address, (Fetched, u64)>>,
    asked: Mutex<Asked>,
}

/// How many questions are under way, to each domain and to all.
#[derive(Debug, Default)]
struct Asked {
    of: HashMap<Domain, usize>,
    all: usize,
}

impl Chains {
    fn find(&self, address: &Address) -> Option<(Fetched, u64)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(address).cloned()
    }

    /// Keeps what was found now, and returns what is known: where nothing was found, that is what was known before, which is asked
    /// after again before long.
    fn keep(&self, address: &Address, found: Fetched, now_ms: u64) -> Fetched {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Fetched::Nothing, Some((known @ Fetched::Chain(_), at_ms))) = (&found, kept.get_mut(address))
        {
            *at_ms = now_ms.saturating_sub(CHAIN_MS - NO_CHAIN_MS);
            return known.clone();
        }
        if kept.len() >= CHAINS_MAX {
            kept.clear();
        }
        kept.insert(address.clone(), (found.clone(), now_ms));
        found
    }
}

/// One of the questions that are under way.
struct Turn<'a>(&'a Mutex<Asked>, Domain);

impl Turn<'_> {
    /// `None` where as many are under way as may, to this domain or to all: one that is slow takes nobody else's turn.
    fn take<'a>(asked: &'a Mutex<Asked>, domain: &Domain) -> Option<Turn<'a>> {
        let mut now = asked.lock().unwrap_or_else(PoisonError::into_inner);
        if now.all >= CHAINS_ASKED_MAX || now.of.get(domain).is_some_and(|of| *of >= CHAINS_ASKED_OF_ONE_MAX)
        {
            return None;
        }
        now.all += 1;
        *now.of.entry(domain.clone()).or_default() += 1;
        Some(Turn(asked, domain.clone()))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.all -= 1;
        if let Some(of) = now.of.get_mut(&self.1) {
            *of -= 1;
            if *of == 0 {
                now.of.remove(&self.1);
            }
        }
    }
}

/// The seals that are set in the name of the author of a message, and what is known of the author's keys.
#[derive(Debug, Clone)]
pub(crate) struct Authored {
    /// The one address in From.
    author: Address,
    /// Each seal with the place of its note.
    pub(crate) seals: Vec<(usize, Seal)>,
    /// What they stand over.
    manifest: bytes::Bytes,
    fetched: Fetched,
    /// What was made of the seals, by what was pinned. It is asked for several times for each reader, and of a letter to
    /// many it is the same for most.
    judged: Arc<Mutex<Vec<Arc<Judged>>>>,
}

/// What is to be said to those who have the same pinned.
#[derive(Debug)]
struct Judged {
    /// What they have pinned.
    before: Option<Pin>,
    /// Of each seal, by the place of its note.
    found: Vec<(usize, AuthorKey, Option<PublicKey>)>,
    /// What is pinned from now on; `None` where that stays as it is.
    pin: Option<Pin>,
}

impl Authored {
    pub(crate) fn new(
        author: Address,
        seals: Vec<(usize, Seal)>,
        manifest: bytes::Bytes,
        fetched: Fetched,
    ) -> Authored {
        Authored { author, seals, manifest, fetched, judged: Arc::default() }
    }

    /// keeps: KEY-16, KEY-17, KEY-18, KEY-19
    fn judged(&self, pin: Option<&Pin>, now: u64) -> Arc<Judged> {
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = judged.iter().find(|known| known.before.as_ref() == pin) {
            return known.clone();
        }
        let (mut found, mut changed) = (Vec::new(), None);
        for (place, seal) in &self.seals {
            let (word, key, after) = judge(seal, &self.manifest, pin, self.fetched.known(), now);
            found.push((*place, word, key));
            changed = changed.or(after);
        }
        let new = Arc::new(Judged { before: pin.cloned(), found, pin: changed });
        judged.push(new.clone());
        new
    }
}

/// What an account is told about the seals of a message.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// Each seal.
    pub(crate) notes: Vec<SealNote>,
    /// What is pinned for the account once it has got the message; `None` where that stays as it is.
    pub(crate) pin: Option<PinRecord>,
}

impl Node {
    /// Has this one asked for keys from now on; the first that is given stays.
    pub fn ask_for_keys(&self, asker: Arc<dyn KeyAsker>) {
        // One that is there already stays: settings do not change while a node runs.
        let _ = self.inner.key_asker.set(asker);
    }

    /// What is known of the keys of an address: what was answered lately, else what its domain answers within a bounded time.
    /// A seal by a key that is not among those makes us ask again, but not all the time.
    ///
    /// keeps: KEY-20
    pub(crate) async fn keys_of(&self, address: &Address, seals: &[&Seal]) -> Fetched {
        if self.settings().is_local(address.domain()) {
            return self.own_keys_of(address).await;
        }
        let now_ms = self.now_ms();
        let known = self.inner.chains.find(address);
        if let Some((found, at_ms)) = known.clone() {
            let lacks = found.lacks(seals);
            let good_ms = match &found {
                Fetched::Chain(_) if lacks => UNKNOWN_KEY_ASKED_AGAIN_MS,
                Fetched::Chain(_) => CHAIN_MS,
                Fetched::Nothing | Fetched::Split => NO_CHAIN_MS,
            };
            if now_ms < at_ms.saturating_add(good_ms) {
                // What is not known about a new key is nothing against it.
                return if lacks { Fetched::Nothing } else { found };
            }
        }
        // What was known says no less than nothing: a key that was withdrawn then is withdrawn.
        let of_before = |found: Fetched| if found.lacks(seals) { Fetched::Nothing } else { found };
        let Some(turn) = Turn::take(&self.inner.chains.asked, address.domain()) else {
            return known.map_or(Fetched::Nothing, |(found, _)| of_before(found));
        };
        let found = tokio::select! {
            biased;
            found = self.fetch_keys_of(address) => found,
            () = self.inner.clock.sleep_until(now_ms.saturating_add(KEY_ASKED_MS_MAX)) => Fetched::Nothing,
        };
        drop(turn);
        match (&found, self.inner.chains.keep(address, found.clone(), now_ms)) {
            (Fetched::Nothing, known) => of_before(known),
            (_, found) => found,
        }
    }

    /// keeps: KEY-14, KEY-15
    async fn fetch_keys_of(&self, address: &Address) -> Fetched {
        let Some(asker) = self.inner.key_asker.get() else { return Fetched::Nothing };
        // Somebody else may ask the same domain just now: what was not held against the head that is there does not count.
        for _ in 0..KEY_QUESTIONS_MAX {
            if let Some(found) = self.ask_for(asker.as_ref(), address).await {
                return found;
            }
        }
        Fetched::Nothing
    }

    /// One question; `None` where it has to be asked again.
    async fn ask_for(&self, asker: &dyn KeyAsker, address: &Address) -> Option<Fetched> {
        let domain = address.domain();
        let before = match self.store().head(domain) {
            Ok(before) => before,
            Err(error) => {
                tracing::warn!(%error, %domain, "what was seen of a log cannot be read");
                return Some(Fetched::Nothing);
            }
        };
        if before.as_ref().is_some_and(|before| before.contradicted_by.is_some()) {
            return Some(Fetched::Split);
        }
        let seen_at_ms = before.as_ref().map_or(0, |before| before.seen_at_ms);
        let seen = before.map(|before| SeenHead { size: before.head.size, root: before.head.root });
        let Some(answer) = asker.ask(address, seen.map(|seen| seen.size)).await else {
            return Some(Fetched::Nothing);
        };
        let keys = self.domain_keys(domain, &answer).await;
        let (head, now) = (answer.head.clone(), self.now_ms() / 1000);
        match answer.check(address, seen.as_ref(), |selector| keys.get(selector).copied(), now) {
            // It is the one that was seen before. Those that were not seen for long are forgotten first.
            Ok((now_seen, chain)) if Some(now_seen) == seen => {
                if self.now_ms() >= seen_at_ms.saturating_add(HEAD_SEEN_AGAIN_MS) {
                    self.see_head(head, None, seen).await;
                }
                Some(Fetched::Chain(Arc::new(chain)))
            }
            Ok((_, chain)) => {
                let kept = self.see_head(head, None, seen).await;
                kept.then(|| Fetched::Chain(Arc::new(chain)))
            }
            Err(NotProved::Split) => {
                tracing::warn!(%domain, size = head.size, "this domain shows another history of its keys than before");
                self.see_head(head.clone(), Some(head), seen).await.then_some(Fetched::Split)
            }
            Err(NotProved::Wrong(error)) => {
                tracing::debug!(%error, %address, "an answer about keys does not hold");
                Some(Fetched::Nothing)
            }
        }
    }

    /// The keys of a domain that have signed in an answer, those that can be had.
    async fn domain_keys(&self, domain: &Domain, answer: &KeyAnswer) -> HashMap<String, PublicKey> {
        let mut keys = HashMap::new();
        for selector in answer.selectors() {
            if let Ok(key) = self.domain_key(domain, selector).await {
                keys.insert(selector.to_owned(), key);
            }
        }
        keys
    }

    /// Whether it stands now, against the one that was seen.
    async fn see_head(
        &self,
        head: TreeHead,
        contradicted_by: Option<TreeHead>,
        seen: Option<SeenHead>,
    ) -> bool {
        let record = HeadRecord { head, seen_at_ms: self.now_ms(), contradicted_by };
        self.store().put_head(record, seen).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the head of a log cannot be remembered");
            false
        })
    }

    /// Of an address of ours, the log is here.
    async fn own_keys_of(&self, address: &Address) -> Fetched {
        let domain = address.domain();
        let own = |selector: &str| {
            self.settings()
                .domains
                .get(domain)
                .filter(|own| own.selector == selector)
                .map(|own| own.key.public())
        };
        match self.key_answer(address, None).await {
            Ok(answer) => match answer.check(address, None, own, self.now_ms() / 1000) {
                Ok((_, chain)) => Fetched::Chain(Arc::new(chain)),
                Err(error) => {
                    tracing::warn!(?error, %address, "the statements of a user of ours do not hold");
                    Fetched::Nothing
                }
            },
            Err(_) => Fetched::Nothing,
        }
    }

    /// What this account is told about the seals of a message, by what it has seen of its author's keys. Nothing is written.
    ///
    /// keeps: KEY-16
    pub(crate) fn tell_seals(
        &self,
        account: Option<&str>,
        notes: &[SealNote],
        authored: Option<&Authored>,
    ) -> Result<Told, Failure> {
        let mut told = Told { notes: notes.to_vec(), pin: None };
        let (Some(authored), Some(account)) = (authored, account) else { return Ok(told) };
        let before = self.store().pin(account, &authored.author).map_err(trouble)?;
        let pin = before.as_ref().map(|before| &before.pin);
        let judged = authored.judged(pin, self.now_ms() / 1000);
        for (place, found, key) in &judged.found {
            if let Some(note) = told.notes.get_mut(*place) {
                note.verified = found.is_own();
                note.key = key.map(|key| key.id());
                note.author_key = Some(*found);
            }
        }
        told.pin = judged.pin.as_ref().map(|pin| PinRecord {
            account: account.to_owned(),
            address: authored.author.clone(),
            pin: pin.clone(),
            since_ms: before.map_or(self.now_ms(), |before| before.since_ms),
        });
        Ok(told)
    }

    /// Pins what is to be pinned. A failure costs nobody a message: the next letter is as the first one was.
    pub(crate) async fn pin_all(&self, pins: Vec<PinRecord>) {
        if pins.is_empty() {
            return;
        }
        if let Err(error) = self.store().put_pins(pins).await {
            tracing::warn!(%error, "keys of correspondents cannot be pinned");
        }
    }

    /// What is pinned for an account of the keys of this address.
    ///
    /// # Errors
    /// A code and a text where the store cannot be read.
    pub fn pinned(&self, account: &str, address: &Address) -> Result<Option<PinRecord>, Failure> {
        self.store().pin(account, address).map_err(trouble)
    }

    /// Forgets what is pinned: the next key that seals is taken for the first. Nothing where nothing is pinned.
    ///
    /// # Errors
    /// A code and a text where the store cannot be written.
    ///
    /// keeps: KEY-18
    pub async fn forget_pin(&self, account: &str, address: &Address) -> Result<(), Failure> {
        match self.store().remove_pin(account, address).await {
            Ok(()) | Err(storage::Error::NotFound(_)) => Ok(()),
            Err(error) => Err(trouble(error)),
        }
    }
}

impl Admission {
    /// What was found about the seals, to be shown to this account.
    pub(crate) fn told(&self, account: Option<&str>) -> Result<Told, Failure> {
        match &self.verified {
            Some(verified) => self.node.tell_seals(account, &verified.notes, verified.authored.as_ref()),
            None => Ok(Told::default()),
        }
    }

    /// What is pinned for those into whose mailboxes it goes. keeps: KEY-17
    pub(crate) fn pins(&self) -> Result<Vec<PinRecord>, Failure> {
        let mut pins = Vec::new();
        for intent in &self.intents {
            match intent {
                Intent::Mailbox { account } => pins.extend(self.told(Some(account))?.pin),
                Intent::List { members } => {
                    for member in members {
                        if let Target::Here { account, .. } = member {
                            pins.extend(self.told(Some(account))?.pin);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(pins)
    }
}

/// What was found about the author's seals of a message: that the author's own key has sealed, where one of them says so, and
/// else what is worst. Anybody can add a seal in somebody's name, and that takes nothing from the one that holds.
pub fn author_key(notes: &[SealNote]) -> Option<AuthorKey> {
    let found = || notes.iter().filter_map(|note| note.author_key);
    found()
        .find(|found| found.is_own())
        .or_else(|| found().find(|found| found.is_warning()))
        .or_else(|| found().next())
}

#[cfg(test)]
mod tests {
    use message::keys::PinnedKey;
    use message::{Claims, Digest, Role, SecretKey};

    use super::*;

    /// A letter to many is judged for each of them several times.
    ///
    /// proves: KEY-16
    #[test]
    fn seals_are_judged_once_for_all_who_have_the_same_pinned() {
        let key = SecretKey::from_seed(&[1; 32]);
        let claims = Claims {
            issuer: "ada@north.test".to_owned(),
            issued_at: 1_000,
            expires_at: None,
            role: Role::Author,
            submitter: None,
            recipient: None,
            authorization: None,
            checks: Vec::new(),
        };
        let seal = Seal::sign(b"manifest", claims, &key.public().id().0, &key);
        let author = Address::from_wire("ada@north.test").unwrap();
        let authored = Authored::new(author, vec![(0, seal)], b"manifest"[..].into(), Fetched::Nothing);
        let pinned = |revoked| {
            let statement = Digest::of(b"a statement");
            let one = PinnedKey { key: key.public(), statement, not_before: 900, not_after: 2_000, revoked };
            Pin { keys: vec![one], broken_by: None }
        };
        let found = |pin: Option<&Pin>| authored.judged(pin, 1_000);
        let (stranger, known, revoked) =
            (found(None), found(Some(&pinned(false))), found(Some(&pinned(true))));
        let words = [&stranger, &known, &revoked].map(|judged| judged.found[0].1);
        assert_eq!(words, [AuthorKey::Unchecked, AuthorKey::Known, AuthorKey::Revoked]);
        assert!(Arc::ptr_eq(&stranger, &found(None)));
        assert!(Arc::ptr_eq(&known, &found(Some(&pinned(false)))));
        assert!(Arc::ptr_eq(&revoked, &found(Some(&pinned(true)))));
    }
}
