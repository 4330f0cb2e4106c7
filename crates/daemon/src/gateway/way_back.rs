//! Return paths of ours that lead back to the one that a message came with, where a forwarder has no grant (SRS). Nothing is
//! kept of what was sent: what comes back is brought to where the address says, while whoever brings it waits.
//!
//! keeps: FWD-37, FWD-38, FWD-39

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use gateway::cookies::Rates;
use gateway::notice;
use gateway::out::{Outcome, Sender, Shipment};
use gateway::srs::{Srs, is_rewritten};
use gateway::{Letter, Recipient};
use message::address::{Address, Domain};
use message::{Code, Disposition};
use node::{Clock, registered};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::{Error, clock, files};

/// The file of the secrets, in the data folder.
pub(super) const SECRETS_FILE: &str = "srs-secrets";
/// Characters of the hash: 40 bits, which nobody guesses within the bounds below, and short enough for a local part.
const HASH_LENGTH: usize = 8;
/// For how long a secret is written with.
const WRITTEN_MS: u64 = 90 * 86_400_000;
/// For how long it is read after that: the 49 days of an address, and one for clocks.
const READ_MS: u64 = 50 * 86_400_000;
/// Secrets that are read at the most: the file of a node has two, unless its clock was put back.
const SECRETS_MAX: usize = 8;
/// How many that are none one network may name in ten minutes before each further one ends its session: an honest server
/// names some where somebody has sent it mail from invented ones.
const WRONG_MAX: u32 = 20;
/// Notices to one such address in ten minutes, whoever brings them: one is given out for each sender and day, and an address
/// that somebody has seen is good for seven weeks.
const NOTICES_MAX: u32 = 200;
/// The ten minutes.
const NOTICES_WINDOW_MS: u64 = 600_000;
/// Addresses for which they are counted at once.
const COUNTED_MAX: usize = 10_000;
/// Octets of notices that are under way at a time.
const ROOM_OCTETS: usize = 64 * 1024 * 1024;
/// What a notice counts at the least, so that 32 are under way at the most.
const NOTICE_OCTETS_MIN: usize = 2 * 1024 * 1024;
/// Notices to one registered domain that are under way: a quarter of all, so that a server that is slow leaves room to the others.
const TO_ONE_DOMAIN_MAX: usize = 8;
/// For how long a notice is carried: whoever has brought it waits for ten minutes (RFC 5321 section 4.5.3.2.6).
const TIME_MAX: Duration = Duration::from_secs(300);

/// Makes such addresses, and brings what comes to them to where they lead.
pub(crate) struct WayBack {
    domain: Domain,
    sender: Arc<Sender>,
    secrets: Mutex<Secrets>,
    /// Who has named such addresses that are none.
    wrong: Rates,
    /// What has come to those that are right.
    brought: Brought,
    room: Semaphore,
    under_way: UnderWay,
}

impl WayBack {
    /// With the secrets of this file, if there is one, for addresses at this domain.
    ///
    /// # Errors
    /// Where the file cannot be read, can be read by others, or is something else.
    pub(super) fn open(file: PathBuf, domain: Domain, sender: Arc<Sender>) -> Result<WayBack, Error> {
        let secrets = Mutex::new(Secrets::open(file)?);
        let wrong = Rates::new(WRONG_MAX, 1);
        let room = Semaphore::new(ROOM_OCTETS);
        let (brought, under_way) = Default::default();
        Ok(WayBack { domain, sender, secrets, wrong, brought, room, under_way })
    }

    /// The address of ours that leads back to this return path; none where there is no room for it.
    ///
    /// # Errors
    /// Where there is no secret, and none can be written.
    pub(super) fn rewritten(&self, path: &Address) -> Result<Option<Address>, Error> {
        let now_ms = clock::now_ms();
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let srs = secrets.newest(now_ms)?;
        Ok(srs.and_then(|srs| srs.forward_address(path, &self.domain, now_ms / 1000)))
    }

    /// Whether an address has the form of those, so that it is no mailbox whatever it proves.
    pub(super) fn is_one(&self, address: &Address) -> bool {
        *address.domain() == self.domain && is_rewritten(address.local().as_str())
    }

    /// Whether such an address leads anywhere: it was made here, and not too long ago. That costs a hash, and is asked before
    /// anything is counted: whatever else comes from a network, a notice to a right address is taken where it has not had enough.
    ///
    /// keeps: FWD-41
    pub(super) fn is_right(&self, address: &Address) -> bool {
        self.origin(address, clock::now_ms()).is_some()
    }

    /// Whether so much was brought to a right address that more is to come later. keeps: FWD-41
    pub(super) fn has_enough(&self, address: &Address) -> bool {
        self.brought.has_enough(address, clock::now_ms())
    }

    /// Counts that this client has named one that is none; false where its network has named too many. keeps: FWD-41
    pub(super) fn may_go_on(&self, client: IpAddr) -> bool {
        self.wrong.ask(client, clock::now_ms())
    }

    fn origin(&self, address: &Address, now_ms: u64) -> Option<Address> {
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let found = secrets.origin(&address.to_string(), now_ms)?;
        // What would lead to this domain again was never made.
        Address::from_wire(&found).ok().filter(|found| *found.domain() != self.domain)
    }

    /// Brings a notice that has come to such an address to where that leads, and answers what is answered there.
    ///
    /// keeps: FWD-38
    pub(super) async fn bring(&self, address: &Address, letter: &Letter) -> Disposition {
        let origin = self.origin(address, clock::now_ms()).filter(|_| letter.return_path.is_none());
        let Some(origin) = origin else {
            return Disposition::refused(Code::NO_SUCH_ADDRESS, "nothing was sent under this address");
        };
        if !notice::read(&letter.octets).is_one() {
            let text = "this address takes notices about its messages only";
            return Disposition::refused(Code::NOT_AUTHORIZED, text);
        }
        let cost = letter.octets.len().max(NOTICE_OCTETS_MIN);
        if cost > ROOM_OCTETS {
            return Disposition::refused(Code::MESSAGE_TOO_LARGE, "the notice is too large");
        }
        let cost = u32::try_from(cost).unwrap_or(u32::MAX);
        let Some(_one) = self.under_way.begin(origin.domain()) else { return later(Code::SYSTEM_FULL) };
        let Ok(_room) = self.room.try_acquire_many(cost) else { return later(Code::SYSTEM_FULL) };
        if !self.brought.count(address, clock::now_ms()) {
            return later(TOO_MUCH);
        }
        let shipment = Shipment {
            domain: origin.domain().clone(),
            return_path: None,
            recipients: vec![Recipient { address: origin, notify: None, original: None }],
            octets: Bytes::from([letter.received.as_bytes(), &letter.octets].concat()),
            needs_smtputf8: letter.utf8,
            envelope_id: None,
            headers_only: None,
            parameters: Vec::new(),
            forwarded: true,
        };
        let sent = tokio::time::timeout(TIME_MAX, self.sender.send(&shipment, &|_, _| {})).await;
        match sent.ok().and_then(|report| report.recipients.into_iter().next()) {
            Some(Outcome::Taken { .. }) => Disposition::Accepted,
            Some(Outcome::Refused { code, text }) => Disposition::refused(code, &text),
            Some(Outcome::Unfit { .. }) => {
                Disposition::refused(Code::new(5, 6, 3), "the next server does not take this form")
            }
            Some(Outcome::Deferred { code, .. }) => later(code),
            None => later(Code::NO_ANSWER),
        }
    }
}

/// Whoever brings a notice keeps it, and comes again.
fn later(code: Code) -> Disposition {
    Disposition::Deferred { code, after_seconds: 60 }
}

/// Not authorized to bring more just now (RFC 3463, section 3.8: X.7.1).
pub(super) const TOO_MUCH: Code = Code::new(4, 7, 1);

/// How many notices have come to each address of ours within ten minutes.
#[derive(Default)]
struct Brought(Mutex<HashMap<String, Count>>);

struct Count {
    since_ms: u64,
    notices: u32,
}

impl Count {
    /// A clock that was set back does not make the time longer.
    fn is_over(&self, now_ms: u64) -> bool {
        now_ms.abs_diff(self.since_ms) >= NOTICES_WINDOW_MS
    }
}

impl Brought {
    /// One more; false where there were enough, and it is not counted. Where there is no room for another address the one that
    /// is counted for the longest time makes it: so many that are right nobody has by guessing. keeps: FWD-41
    fn count(&self, address: &Address, now_ms: u64) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key_of(address);
        if all.len() >= COUNTED_MAX && !all.contains_key(&key) {
            let oldest = all.iter().min_by_key(|(_, count)| count.since_ms).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| all.remove(&oldest));
        }
        let count = all.entry(key).or_insert(Count { since_ms: now_ms, notices: 0 });
        if count.is_over(now_ms) {
            *count = Count { since_ms: now_ms, notices: 0 };
        }
        let one_more = count.notices < NOTICES_MAX;
        count.notices += u32::from(one_more);
        one_more
    }

    fn has_enough(&self, address: &Address, now_ms: u64) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&key_of(address)).is_some_and(|count| count.notices >= NOTICES_MAX && !count.is_over(now_ms))
    }
}

/// An address is the same whatever its case, and whichever separator is behind its tag.
fn key_of(address: &Address) -> String {
    let local = address.local().as_str();
    local.get("SRS0=".len()..).unwrap_or(local).to_ascii_lowercase()
}

/// How many notices go to each registered domain now.
#[derive(Default)]
struct UnderWay(Mutex<HashMap<String, usize>>);

/// One of them, until it is dropped.
struct OneUnderWay<'a> {
    all: &'a UnderWay,
    domain: String,
}

impl UnderWay {
    /// One more to this domain; none where there are too many. keeps: FWD-38
    fn begin(&self, domain: &Domain) -> Option<OneUnderWay<'_>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let domain = registered(domain).to_owned();
        let count = all.entry(domain.clone()).or_default();
        // What is there has one at least, so nothing is left behind here.
        if *count >= TO_ONE_DOMAIN_MAX {
            return None;
        }
        *count += 1;
        Some(OneUnderWay { all: self, domain })
    }
}

impl Drop for OneUnderWay<'_> {
    fn drop(&mut self) {
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.domain) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.domain);
            }
        }
    }
}

/// The secrets in their file, the newest last. keeps: FWD-39
struct Secrets {
    file: PathBuf,
    all: Vec<Secret>,
}

/// What addresses are made with, from this time on.
struct Secret {
    since_ms: u64,
    octets: Zeroizing<[u8; 32]>,
}

impl Secret {
    fn srs(&self) -> Srs {
        Srs::new(&*self.octets).with_hash_length(HASH_LENGTH)
    }
}

impl Secrets {
    fn open(file: PathBuf) -> Result<Secrets, Error> {
        let all = match file.exists() {
            true => parse(&files::read_secret(&file)?).ok_or_else(|| {
                let text = format!("{} has no secrets of SRS; it can be removed", file.display());
                Error::Other(text)
            })?,
            false => Vec::new(),
        };
        Ok(Secrets { file, all })
    }

    /// The one that is written with now: a fresh one where there is none, or the last is too old.
    fn newest(&mut self, now_ms: u64) -> Result<Option<Srs>, Error> {
        if self.all.last().is_none_or(|newest| now_ms.saturating_sub(newest.since_ms) > WRITTEN_MS) {
            self.add(now_ms)?;
        }
        Ok(self.all.last().map(Secret::srs))
    }

    /// It is on the disk, readable by its owner only, before an address is made with it.
    fn add(&mut self, now_ms: u64) -> Result<(), Error> {
        let mut octets = Zeroizing::new([0; 32]);
        clock::SystemClock.random(&mut *octets);
        let still_read = |secret: &Secret| now_ms.saturating_sub(secret.since_ms) < WRITTEN_MS + READ_MS;
        self.all.retain(still_read);
        let fresh = Secret { since_ms: now_ms, octets };
        let mut lines = Zeroizing::new(String::new());
        for secret in self.all.iter().chain([&fresh]) {
            let digits = Zeroizing::new(HEXLOWER.encode(&*secret.octets));
            lines.push_str(&Zeroizing::new(format!("{} {}\n", secret.since_ms, *digits)));
        }
        files::write_secret(&self.file, &lines)?;
        self.all.push(fresh);
        Ok(())
    }

    /// The address from which one was made with any of them.
    fn origin(&self, address: &str, now_ms: u64) -> Option<String> {
        self.all.iter().rev().find_map(|secret| secret.srs().reverse(address, now_ms / 1000).ok())
    }
}

/// A line for each secret: since when, and 64 hexadecimal digits.
fn parse(text: &str) -> Option<Vec<Secret>> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let read = |line: &str| {
        let (since_ms, digits) = line.split_once(' ')?;
        let octets: [u8; 32] = HEXLOWER.decode(digits.trim().as_bytes()).ok()?.try_into().ok()?;
        Some(Secret { since_ms: since_ms.parse().ok()?, octets: Zeroizing::new(octets) })
    };
    let secrets: Vec<Secret> = lines.map(read).collect::<Option<_>>()?;
    (secrets.len() <= SECRETS_MAX).then_some(secrets)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const DAY_MS: u64 = 86_400_000;

    /// proves: FWD-38
    #[test]
    fn one_domain_leaves_room_to_the_others() {
        let under_way = UnderWay::default();
        let domain = |name: &str| Domain::parse(name).unwrap();
        // Names below it are the same server's for all that anybody knows.
        let slow: Vec<_> =
            (0..TO_ONE_DOMAIN_MAX).map(|at| under_way.begin(&domain(&format!("h{at}.slow.test")))).collect();
        assert!(slow.iter().all(Option::is_some));
        assert!(under_way.begin(&domain("slow.test")).is_none());
        assert!(under_way.begin(&domain("fine.test")).is_some());
        drop(slow);
        assert!(under_way.begin(&domain("slow.test")).is_some());
        assert!(under_way.0.lock().unwrap().is_empty(), "nothing is left behind");
    }

    /// proves: FWD-41
    #[test]
    fn who_has_seen_an_address_cannot_flood_its_sender() {
        let brought = Brought::default();
        let address = |local: &str| Address::from_wire(&format!("{local}@one.test")).unwrap();
        let (first, now_ms) = (address("SRS0=abcdefgh=AA=author.test=ann"), 20_000 * DAY_MS);
        for number in 0..NOTICES_MAX {
            assert!(!brought.has_enough(&first, now_ms), "{number}");
            assert!(brought.count(&first, now_ms), "{number}");
        }
        for same in ["SRS0=abcdefgh=AA=author.test=ann", "srs0+ABCDEFGH=aa=author.test=ANN"] {
            assert!(!brought.count(&address(same), now_ms + NOTICES_WINDOW_MS - 1), "{same}");
            assert!(brought.has_enough(&address(same), now_ms), "{same}");
        }
        let other = address("SRS0=abcdefgh=AB=author.test=ann");
        assert!(!brought.has_enough(&other, now_ms) && brought.count(&other, now_ms));
        // It is over after ten minutes, or where the clock was set back.
        for later_ms in [now_ms + NOTICES_WINDOW_MS, now_ms - NOTICES_WINDOW_MS] {
            assert!(!brought.has_enough(&first, later_ms));
        }
        // There is room for so many; the oldest goes.
        for number in 0..COUNTED_MAX as u64 - 1 {
            assert!(brought.count(&address(&format!("SRS0=h{number}=AA=author.test=ann")), now_ms + 1));
        }
        assert_eq!(brought.0.lock().unwrap().len(), COUNTED_MAX);
        assert!(brought.count(&first, now_ms + NOTICES_WINDOW_MS));
    }

    /// proves: FWD-39
    #[test]
    fn secrets_change_and_what_was_made_before_is_read_for_as_long_as_it_may() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(SECRETS_FILE);
        let start = 20_000 * DAY_MS;
        let made = |secrets: &mut Secrets, day: u64| {
            let now_ms = start + day * DAY_MS;
            secrets.newest(now_ms).unwrap().unwrap().forward("ann@a.test", "f.test", now_ms / 1000).unwrap()
        };
        let mut secrets = Secrets::open(file.clone()).unwrap();
        assert!(!file.exists(), "nothing is written before something is forwarded");
        let (first, last) = (made(&mut secrets, 0), made(&mut secrets, 90));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(secrets.all.len(), 1);
        let next = made(&mut secrets, 91);
        assert_eq!(secrets.all.len(), 2, "90 days are over");
        // Another process reads the same.
        let mut secrets = Secrets::open(file.clone()).unwrap();
        let check = |secrets: &Secrets, address: &str, day: u64, good: bool| {
            let found = secrets.origin(address, start + day * DAY_MS);
            assert_eq!(found.is_some_and(|found| found == "ann@a.test"), good, "{address} {day}");
        };
        check(&secrets, &first, 49, true);
        check(&secrets, &first, 50, false);
        check(&secrets, &last, 139, true);
        check(&secrets, &last, 140, false);
        check(&secrets, &next, 91, true);
        made(&mut secrets, 182);
        assert_eq!(secrets.all.len(), 2, "the first is forgotten");
        // What others can read is no secret.
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Secrets::open(file.clone()).is_err());
        files::write_secret(&file, "something else\n").unwrap();
        assert!(Secrets::open(file).is_err());
    }
}
