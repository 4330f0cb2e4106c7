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
use node::Clock;
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
/// Octets of notices that are under way at a time.
const ROOM_OCTETS: usize = 64 * 1024 * 1024;
/// What a notice counts at the least, so that 32 are under way at the most.
const NOTICE_OCTETS_MIN: usize = 2 * 1024 * 1024;
/// Notices to one domain that are under way: a quarter of all, so that a server that is slow leaves room to the others.
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
        Ok(WayBack { domain, sender, secrets, wrong, room, under_way: UnderWay::default() })
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
    /// anything is counted: whatever else comes from a network, a notice to a right address is taken.
    ///
    /// keeps: FWD-41
    pub(super) fn is_right(&self, address: &Address) -> bool {
        self.origin(address, clock::now_ms()).is_some()
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

/// How many notices go to each domain now.
#[derive(Default)]
struct UnderWay(Mutex<HashMap<Domain, usize>>);

/// One of them, until it is dropped.
struct OneUnderWay<'a> {
    all: &'a UnderWay,
    domain: Domain,
}

impl UnderWay {
    /// One more to this domain; none where there are too many. keeps: FWD-38
    fn begin(&self, domain: &Domain) -> Option<OneUnderWay<'_>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(domain.clone()).or_default();
        // What is there has one at least, so nothing is left behind here.
        if *count >= TO_ONE_DOMAIN_MAX {
            return None;
        }
        *count += 1;
        Some(OneUnderWay { all: self, domain: domain.clone() })
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
        let slow: Vec<_> = (0..TO_ONE_DOMAIN_MAX).map(|_| under_way.begin(&domain("slow.test"))).collect();
        assert!(slow.iter().all(Option::is_some));
        assert!(under_way.begin(&domain("slow.test")).is_none());
        assert!(under_way.begin(&domain("fine.test")).is_some());
        drop(slow);
        assert!(under_way.begin(&domain("slow.test")).is_some());
        assert!(under_way.0.lock().unwrap().is_empty(), "nothing is left behind");
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
