//! Tickets: by what a recipient's own daemon knows an offer that its node has sent there (`spec/17-doorstep.md`).

use subtle::ConstantTimeEq;

use crate::Identity;
use crate::address::{Address, Domain};
use crate::cbor::{bytes, encode, text, uint};
use crate::limits::{TICKET_CLOCK_SECONDS, TICKET_SECONDS_MAX};

/// What every ticket is a digest of first, so that it is nothing else.
const CONTEXT: &str = "waxwing ticket 1";
/// The expiry and the digest.
const OCTETS: usize = 8 + 32;

/// What one ticket is for.
#[derive(Debug, Clone, Copy)]
pub struct TicketFor<'a> {
    /// For whom.
    pub recipient: &'a Address,
    /// Which message.
    pub identity: Identity,
    /// The domain that the sender was authenticated as.
    pub domain: &'a Domain,
    /// The SHA-256 digest of the key that the sender shows (TRA-5).
    pub key_digest: &'a [u8; 32],
}

impl TicketFor<'_> {
    /// Writes a ticket that expires then, in seconds since 1970.
    ///
    /// keeps: DOOR-6
    pub fn write(&self, ticket_key: &[u8; 32], expiry: u64) -> Vec<u8> {
        [&expiry.to_be_bytes()[..], &self.digest(ticket_key, expiry)].concat()
    }

    /// Whether this is such a ticket, written with this key, at this time in seconds since 1970. Compared in constant
    /// time.
    ///
    /// keeps: DOOR-7
    pub fn fits(&self, ticket_key: &[u8; 32], ticket: &[u8], now: u64) -> bool {
        let Some((expiry, digest)) = ticket.split_first_chunk().filter(|_| ticket.len() == OCTETS) else {
            return false;
        };
        let expiry = u64::from_be_bytes(*expiry);
        let latest = now.saturating_add(TICKET_SECONDS_MAX + TICKET_CLOCK_SECONDS);
        let lives = now <= expiry && expiry <= latest;
        let same = self.digest(ticket_key, expiry)[..].ct_eq(digest);
        lives & bool::from(same)
    }

    fn digest(&self, ticket_key: &[u8; 32], expiry: u64) -> [u8; 32] {
        let all = ciborium::Value::Array(vec![
            text(CONTEXT),
            text(&self.recipient.to_string()),
            bytes(self.identity.as_bytes()),
            text(self.domain.as_str()),
            bytes(self.key_digest),
            uint(expiry),
        ]);
        *blake3::keyed_hash(ticket_key, &encode(&all)).as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];
    const EXPIRY: u64 = 1_000;

    fn address(text: &str) -> Address {
        Address::from_wire(text).unwrap()
    }

    fn domain(text: &str) -> Domain {
        Domain::from_wire(text).unwrap()
    }

    /// The ticket of the vectors, which another program has made from the text of the specification.
    ///
    /// proves: DOOR-6
    #[test]
    fn a_ticket_is_that_of_the_vectors() {
        let vector: serde_json::Value =
            serde_json::from_str(include_str!("../../../spec/vectors/ticket.json")).unwrap();
        let octets = |name: &str| -> Vec<u8> {
            data_encoding::HEXLOWER.decode(vector[name].as_str().unwrap().as_bytes()).unwrap()
        };
        let (key, key_digest): ([u8; 32], [u8; 32]) =
            (octets("key").try_into().unwrap(), octets("key_digest").try_into().unwrap());
        let (recipient, domain) =
            (address(vector["recipient"].as_str().unwrap()), domain(vector["domain"].as_str().unwrap()));
        let identity = Identity::from_bytes(octets("identity").try_into().unwrap());
        let expiry = vector["expiry"].as_u64().unwrap();
        let ticket_for =
            TicketFor { recipient: &recipient, identity, domain: &domain, key_digest: &key_digest };
        assert_eq!(ticket_for.write(&key, expiry), octets("ticket"));
        assert!(ticket_for.fits(&key, &octets("ticket"), expiry - 1));
    }

    /// proves: DOOR-7
    #[test]
    fn a_ticket_is_for_one_delivery_and_a_while() {
        let (carol, north, digest) = (address("carol@south.test"), domain("north.test"), [1; 32]);
        let (other, west) = (address("dan@south.test"), domain("west.test"));
        let identity = Identity::from_bytes([2; 32]);
        let own = TicketFor { recipient: &carol, identity, domain: &north, key_digest: &digest };
        let ticket = own.write(&KEY, EXPIRY);
        let check = |what: &str, ticket_for: TicketFor<'_>, key: [u8; 32], ticket: &[u8], now: u64, fits| {
            assert_eq!(ticket_for.fits(&key, ticket, now), fits, "{what}");
        };
        check("its own", own, KEY, &ticket, EXPIRY, true);
        check("as early as may be", own, KEY, &ticket, EXPIRY - 360, true);
        check("expired", own, KEY, &ticket, EXPIRY + 1, false);
        check("longer than a ticket may live", own, KEY, &ticket, EXPIRY - 361, false);
        check("for another recipient", TicketFor { recipient: &other, ..own }, KEY, &ticket, EXPIRY, false);
        let message = Identity::from_bytes([3; 32]);
        check("for another message", TicketFor { identity: message, ..own }, KEY, &ticket, EXPIRY, false);
        check("for another domain", TicketFor { domain: &west, ..own }, KEY, &ticket, EXPIRY, false);
        check("for another key", TicketFor { key_digest: &[4; 32], ..own }, KEY, &ticket, EXPIRY, false);
        check("at another doorstep", own, [8; 32], &ticket, EXPIRY, false);
        check("cut short", own, KEY, &ticket[..39], EXPIRY, false);
        check("longer", own, KEY, &[&ticket[..], &[0]].concat(), EXPIRY, false);
        check("nothing", own, KEY, &[], EXPIRY, false);
        for place in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[place] ^= 1;
            check("changed", own, KEY, &changed, EXPIRY - 1, false);
        }
    }
}
