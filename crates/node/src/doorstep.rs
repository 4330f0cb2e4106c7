//! Doorsteps: the users' own daemons to which mail is redirected, and what they have taken (`spec/17-doorstep.md`).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use message::address::{Address, Domain};
use message::limits::TICKET_SECONDS_MAX;
use message::{Code, Disposition, Identity, Redirect, TicketFor};
use storage::{Acceptance, Content, Effect, Intended, Origin};

use crate::accept::{Failure, trouble};
use crate::limits::{DOORSTEP_LEASE_SECONDS, DOORSTEPS_MAX, DOORSTEPS_PER_ACCOUNT_MAX};
use crate::{Event, Node};

/// What a device is told when its mail is redirected to it.
#[derive(Clone, PartialEq, Eq)]
pub struct DoorstepLease {
    /// For so many seconds from now.
    pub seconds: u32,
    /// To this address.
    pub address: IpAddr,
    /// The key of the tickets.
    pub ticket_key: [u8; 32],
}

/// One message that a doorstep has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenAtDoorstep {
    /// Which.
    pub identity: Identity,
    /// For whom.
    pub recipient: Address,
    /// From which peer.
    pub by: Domain,
}

/// The leases of all accounts. In memory only: after a restart the doorsteps register again.
///
/// keeps: DOOR-4
#[derive(Default)]
pub(crate) struct Doorsteps(Mutex<Leases>);

#[derive(Default)]
struct Leases {
    by_account: HashMap<String, Vec<Lease>>,
    count: usize,
}

#[derive(Clone)]
struct Lease {
    device: [u8; 32],
    key_digest: [u8; 32],
    at: SocketAddr,
    ticket_key: [u8; 32],
    until_ms: u64,
}

impl Doorsteps {
    fn all(&self) -> MutexGuard<'_, Leases> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a lease, new or in place of the one of the same device, whose ticket key stays.
    fn put(&self, account: &str, mut lease: Lease, now_ms: u64) -> Result<Lease, Failure> {
        let mut all = self.all();
        all.forget_ended(Some(account), now_ms);
        if all.count >= DOORSTEPS_MAX {
            all.forget_ended(None, now_ms);
        }
        let full = all.count >= DOORSTEPS_MAX;
        let own = all.by_account.entry(account.to_owned()).or_default();
        if let Some(before) = own.iter().position(|before| before.device == lease.device) {
            lease.ticket_key = own.remove(before).ticket_key;
            own.push(lease.clone());
            return Ok(lease);
        }
        if full || own.len() >= DOORSTEPS_PER_ACCOUNT_MAX {
            let text = "there are as many doorsteps as there may be; try again later".to_owned();
            return Err((Code::SYSTEM_TROUBLE, text));
        }
        own.push(lease.clone());
        all.count += 1;
        Ok(lease)
    }

    fn remove(&self, account: &str, device: &[u8; 32]) {
        let mut all = self.all();
        let Some(own) = all.by_account.get_mut(account) else { return };
        let before = own.len();
        own.retain(|lease| lease.device != *device);
        let gone = before - own.len();
        if own.is_empty() {
            all.by_account.remove(account);
        }
        all.count -= gone;
    }

    /// The lease that was registered last and lives.
    fn of(&self, account: &str, now_ms: u64) -> Option<Lease> {
        let all = self.all();
        all.by_account.get(account)?.iter().rev().find(|lease| now_ms < lease.until_ms).cloned()
    }
}

impl Leases {
    fn forget_ended(&mut self, account: Option<&str>, now_ms: u64) {
        let mut gone = 0;
        let mut forget = |own: &mut Vec<Lease>| {
            let before = own.len();
            own.retain(|lease| now_ms < lease.until_ms);
            gone += before - own.len();
        };
        match account {
            Some(account) => self.by_account.get_mut(account).into_iter().for_each(&mut forget),
            None => self.by_account.values_mut().for_each(&mut forget),
        }
        if account.is_none() {
            self.by_account.retain(|_, own| !own.is_empty());
        }
        self.count -= gone;
    }
}

impl Node {
    /// Redirects the mail of an account to one of its devices from now on: at the address at which the device is seen, and
    /// the port that it names. `key_digest` is that of the device's key.
    ///
    /// # Errors
    /// A code and a text where the address or the port is not allowed, or there are too many already.
    ///
    /// keeps: DOOR-3, DOOR-4
    pub fn open_doorstep(
        &self,
        account: &str,
        device: [u8; 32],
        key_digest: [u8; 32],
        at: SocketAddr,
    ) -> Result<DoorstepLease, Failure> {
        let at = SocketAddr::new(at.ip().to_canonical(), at.port());
        if !self.settings().redirect {
            return Err((Code::NOT_AUTHORIZED, "this node redirects nobody to doorsteps".to_owned()));
        }
        if !may_redirect_to(at, self.settings().loopback_doorsteps) {
            let text = format!(
                "nobody can be redirected to {at}: that takes a public address, and port 443 or from 1024 on"
            );
            return Err((Code::NOT_AUTHORIZED, text));
        }
        let mut ticket_key = [0; 32];
        self.inner.clock.random(&mut ticket_key);
        let now_ms = self.now_ms();
        let until_ms = now_ms.saturating_add(u64::from(DOORSTEP_LEASE_SECONDS) * 1000);
        let lease = Lease { device, key_digest, at, ticket_key, until_ms };
        let lease = self.inner.doorsteps.put(account, lease, now_ms)?;
        Ok(DoorstepLease { seconds: DOORSTEP_LEASE_SECONDS, address: at.ip(), ticket_key: lease.ticket_key })
    }

    /// Redirects nothing to this device of the account any more.
    pub fn close_doorstep(&self, account: &str, device: &[u8; 32]) {
        self.inner.doorsteps.remove(account, device);
    }

    /// Where a peer is sent with a message for this account; nowhere where no lease lives or its device was removed.
    ///
    /// keeps: DOOR-4, DOOR-6, DOOR-8
    pub(crate) fn redirect_for(
        &self,
        account: &str,
        recipient: &Address,
        identity: Identity,
        (domain, sender_key): (&Domain, &[u8; 32]),
    ) -> Option<Redirect> {
        let now_ms = self.now_ms();
        let lease = self.inner.doorsteps.of(account, now_ms).filter(|_| self.settings().redirect)?;
        let owner = self.store().account_of_device(&lease.device).ok().flatten();
        if owner.is_none_or(|owner| owner.name != account || owner.disabled) {
            self.inner.doorsteps.remove(account, &lease.device);
            return None;
        }
        let not_after = now_ms / 1000 + TICKET_SECONDS_MAX;
        let ticket_for = TicketFor { recipient, identity, domain, key_digest: sender_key };
        Some(Redirect {
            address: lease.at.ip().to_string(),
            port: lease.at.port(),
            key_digest: lease.key_digest,
            ticket: ticket_for.write(&lease.ticket_key, not_after),
            not_after,
        })
    }

    /// A doorstep of the account has taken these messages: the same offers are answered as accepted from now on, and
    /// what this node took itself meanwhile leaves the mailbox. Foreign recipients are passed over.
    ///
    /// # Errors
    /// A code and a text where the store cannot be read or written: to be told again.
    ///
    /// keeps: DOOR-11, DOOR-12
    pub async fn taken_at_doorstep(&self, account: &str, taken: Vec<TakenAtDoorstep>) -> Result<(), Failure> {
        for TakenAtDoorstep { identity, recipient, by } in taken {
            let folded = crate::account::fold(&recipient).to_string();
            let owner = self.store().account_of_address(&folded).map_err(trouble)?;
            if owner.is_none_or(|owner| owner.name != account) {
                continue;
            }
            let now_ms = self.now_ms();
            let elsewhere = Intended {
                address: recipient.clone(),
                effect: Effect::Elsewhere,
                answer: Disposition::Accepted,
                why: None,
            };
            let acceptance = Acceptance {
                content: Content::Offered { identity },
                offered_as: identity,
                octets: 0,
                origin: Origin::Peer { domain: by },
                trace: Vec::new(),
                now_ms,
                expires_at_ms: now_ms,
                release_at_ms: None,
                recipients: vec![elsewhere],
                again: Vec::new(),
                members: Vec::new(),
                room: None,
            };
            self.store().accept(acceptance).await.map_err(trouble)?;
            if let Some(own) = self.store().mail_of(account, identity).map_err(trouble)? {
                match self.store().remove_mail(account, own.uid).await {
                    // The user was faster.
                    Ok(()) | Err(storage::Error::NotFound(_)) => {}
                    Err(error) => return Err(trouble(error)),
                }
            }
            let (disposition, rule) = (Disposition::Accepted, "taken-at-doorstep".to_owned());
            let evidence = format!("the program of {account} has it");
            self.tell(Event::Decided { identity, recipient, disposition, rule, evidence });
        }
        Ok(())
    }
}

/// Whether senders may be redirected there: a global unicast address, or, where that is allowed, loopback; and a port at
/// which nothing else of a system listens by custom.
///
/// keeps: EXC-19
pub fn may_redirect_to(at: SocketAddr, loopback: bool) -> bool {
    let address = at.ip().to_canonical();
    let port = at.port() == 443 || at.port() >= 1024;
    port && (dns::is_global_unicast(address) || (loopback && address.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proves: EXC-19
    #[test]
    fn senders_are_sent_to_public_addresses_only() {
        let check = |at: &str, loopback: bool, allowed: bool| {
            assert_eq!(may_redirect_to(at.parse().unwrap(), loopback), allowed, "{at}");
        };
        for public in ["5.9.0.1:443", "9.9.9.9:1024", "[2a00:1450::7]:65535", "223.255.255.255:7626"] {
            check(public, false, true);
        }
        for port in ["5.9.0.1:442", "5.9.0.1:0", "5.9.0.1:25", "[2a00:1450::7]:53", "5.9.0.1:1023"] {
            check(port, true, false);
        }
        for special in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.19.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            check(&format!("{special}:7626"), false, false);
            check(&format!("[::ffff:{special}]:7626"), false, false);
        }
        for special in [
            "::",
            "::1",
            "::5.9.0.1",
            "64:ff9b::5.9.0.1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:909:909::1",
            "3fff::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ] {
            check(&format!("[{special}]:7626"), false, false);
        }
        check("127.0.0.1:7626", true, true);
        check("[::1]:7626", true, true);
        check("[::ffff:127.0.0.1]:7626", true, true);
        check("10.0.0.1:7626", true, false);
        check("172.15.255.255:7626", false, true);
        check("172.32.0.1:7626", false, true);
    }

    fn lease(device: u8, ticket_key: u8, until_ms: u64) -> Lease {
        let at = "5.9.0.1:7626".parse().unwrap();
        Lease { device: [device; 32], key_digest: [device; 32], at, ticket_key: [ticket_key; 32], until_ms }
    }

    /// proves: DOOR-4
    #[test]
    fn leases_are_few_end_and_keep_their_ticket_key() {
        let doorsteps = Doorsteps::default();
        for device in 0..4 {
            assert!(doorsteps.put("ann", lease(device, device, 1_000), 0).is_ok());
        }
        assert!(doorsteps.put("ann", lease(4, 4, 1_000), 0).is_err(), "a fifth");
        assert!(doorsteps.put("bob", lease(5, 5, 1_000), 0).is_ok(), "of another account");
        // Again, with another key drawn for it: the one that is known stays, and it is the last now.
        let renewed = doorsteps.put("ann", lease(0, 9, 2_000), 500).unwrap_or_else(|_| panic!("renewed"));
        assert_eq!(renewed.ticket_key, [0; 32]);
        assert_eq!(doorsteps.of("ann", 500).map(|found| found.device), Some([0; 32]));
        assert_eq!(doorsteps.of("ann", 1_999).map(|found| found.device), Some([0; 32]));
        assert_eq!(doorsteps.of("ann", 2_000).map(|found| found.device), None, "it has ended");
        // After its end another key is drawn.
        let anew = doorsteps.put("ann", lease(0, 9, 9_000), 2_000).unwrap_or_else(|_| panic!("anew"));
        assert_eq!(anew.ticket_key, [9; 32]);
        doorsteps.remove("bob", &[0; 32]);
        assert!(doorsteps.of("ann", 2_000).is_some(), "another account ends nothing here");
        doorsteps.remove("ann", &[0; 32]);
        assert!(doorsteps.of("ann", 2_000).is_none());
    }

    /// proves: DOOR-4
    #[test]
    fn all_leases_together_have_a_bound() {
        let doorsteps = Doorsteps::default();
        for account in 0..DOORSTEPS_MAX {
            assert!(doorsteps.put(&format!("user{account}"), lease(1, 1, 1_000), 0).is_ok());
        }
        assert!(doorsteps.put("ann", lease(1, 1, 1_000), 0).is_err());
        assert!(doorsteps.put("user7", lease(1, 1, 2_000), 0).is_ok(), "renewed");
        assert!(doorsteps.put("ann", lease(1, 1, 3_000), 1_000).is_ok(), "the others have ended");
        assert_eq!(doorsteps.all().count, 2);
    }
}
