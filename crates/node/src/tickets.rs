//! The tickets that a doorstep takes: by the keys that its node has given it, until the last of them has expired.

use std::sync::{Mutex, MutexGuard, PoisonError};

use message::Identity;
use message::TicketFor;
use message::address::{Address, Domain};
use message::limits::{TICKET_CLOCK_SECONDS, TICKET_SECONDS_MAX};

use crate::limits::{TICKET_KEYS_MAX, TICKET_NAMES_MAX};

/// The ticket keys that are known, and until when each is good, in Unix milliseconds.
#[derive(Default)]
pub struct Tickets(Mutex<Vec<([u8; 32], u64)>>);

impl Tickets {
    fn keys(&self) -> MutexGuard<'_, Vec<([u8; 32], u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the key of a lease that was given just now for so many seconds. Tickets of earlier keys stay good: the node
    /// may have restarted since it wrote them.
    ///
    /// keeps: DOOR-7
    pub fn keep(&self, ticket_key: [u8; 32], seconds: u32, now_ms: u64) {
        let after = u64::from(seconds) + TICKET_SECONDS_MAX + TICKET_CLOCK_SECONDS;
        let mut keys = self.keys();
        keys.retain(|(known, until_ms)| *known != ticket_key && now_ms < *until_ms);
        if keys.len() >= TICKET_KEYS_MAX {
            keys.remove(0);
        }
        keys.push((ticket_key, now_ms.saturating_add(after.saturating_mul(1000))));
    }

    /// The domain for which this ticket was written, of those that the sender's certificate names; nobody where it is not
    /// good for this delivery.
    ///
    /// keeps: DOOR-7
    pub fn domain_of(
        &self,
        ticket: &[u8],
        (recipient, identity): (&Address, Identity),
        (names, key_digest): (&[Domain], &[u8; 32]),
        now_ms: u64,
    ) -> Option<Domain> {
        let keys: Vec<[u8; 32]> =
            self.keys().iter().filter(|(_, until)| now_ms < *until).map(|(key, _)| *key).collect();
        let fits = |domain: &Domain| {
            let ticket_for = TicketFor { recipient, identity, domain, key_digest };
            keys.iter().any(|key| ticket_for.fits(key, ticket, now_ms / 1000))
        };
        names.iter().take(TICKET_NAMES_MAX).find(|domain| fits(domain)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proves: DOOR-7
    #[test]
    fn tickets_of_an_earlier_key_stay_good_until_they_have_expired() {
        let tickets = Tickets::default();
        let (carol, identity) =
            (Address::from_wire("carol@south.test").unwrap(), Identity::from_bytes([1; 32]));
        let north = Domain::from_wire("north.test").unwrap();
        let names = [Domain::from_wire("mx.north.test").unwrap(), north.clone()];
        let ticket = |key: [u8; 32], expiry: u64| {
            TicketFor { recipient: &carol, identity, domain: &north, key_digest: &[2; 32] }
                .write(&key, expiry)
        };
        let found = |ticket: &[u8], now_ms: u64| {
            tickets.domain_of(ticket, (&carol, identity), (&names, &[2; 32]), now_ms)
        };
        tickets.keep([7; 32], 300, 0);
        tickets.keep([8; 32], 300, 100_000);
        assert_eq!(found(&ticket([7; 32], 300), 200_000), Some(north.clone()), "of the earlier key");
        assert_eq!(found(&ticket([8; 32], 300), 200_000), Some(north.clone()), "of the later key");
        assert_eq!(found(&ticket([9; 32], 300), 200_000), None, "of no key");
        assert_eq!(found(&ticket([7; 32], 700), 700_000), None, "of a key from long ago");
        let others = tickets.domain_of(&ticket([8; 32], 300), (&carol, identity), (&names[..1], &[2; 32]), 0);
        assert_eq!(others, None, "of a domain that the certificate does not name");
        for key in 10..30 {
            tickets.keep([key; 32], 300, 200_000);
        }
        assert_eq!(tickets.keys().len(), TICKET_KEYS_MAX);
        assert_eq!(found(&ticket([29; 32], 300), 200_000), Some(north), "the last one");
    }
}
