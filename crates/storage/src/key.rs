//! The keys of all records: a table in one octet, then fields. Numbers are big-endian, so that their order is that of
//! the keys; names end with a zero octet, which no name contains.
//!
//! keeps: STO-3

use message::{Digest, Identity};

use crate::{EnvelopeId, Lane, LegId, MailUid};

/// The tables, one octet each.
pub(crate) mod table {
    pub(crate) const ACCOUNT: u8 = b'A';
    pub(crate) const ADDRESS: u8 = b'a';
    pub(crate) const DEVICE: u8 = b'd';
    pub(crate) const MESSAGE: u8 = b'm';
    pub(crate) const PART_USE: u8 = b'R';
    pub(crate) const PART_SENDER: u8 = b'K';
    pub(crate) const ENVELOPE: u8 = b'E';
    pub(crate) const ENVELOPE_OF: u8 = b'e';
    pub(crate) const ATTEMPT: u8 = b'J';
    pub(crate) const COOKIE: u8 = b'C';
    pub(crate) const HELD: u8 = b'W';
    pub(crate) const HELD_OF: u8 = b'w';
    pub(crate) const LEG: u8 = b'L';
    pub(crate) const LANE_DUE: u8 = b'Q';
    pub(crate) const LANE_LEG: u8 = b'N';
    pub(crate) const MAIL: u8 = b'U';
    pub(crate) const EXPIRY: u8 = b'X';
    pub(crate) const PEER: u8 = b'P';
    pub(crate) const PENDING_OF: u8 = b'p';
    pub(crate) const CORRESPONDENT: u8 = b'F';
    pub(crate) const CORRESPONDENTS_COUNT: u8 = b'f';
    pub(crate) const LEGACY: u8 = b'G';
    pub(crate) const NOTICE: u8 = b'D';
    pub(crate) const FORWARD: u8 = b'T';
    pub(crate) const FORWARD_SECRET: u8 = b't';
    pub(crate) const GRANT: u8 = b'V';
    pub(crate) const STATEMENT: u8 = b'S';
    pub(crate) const STATED: u8 = b's';
    pub(crate) const LOG_NODE: u8 = b'Y';
    pub(crate) const LOG_SIZE: u8 = b'y';
    pub(crate) const PIN: u8 = b'I';
    pub(crate) const PINS_COUNT: u8 = b'c';
    pub(crate) const HEAD: u8 = b'h';
    pub(crate) const HEAD_SEEN: u8 = b'k';
    pub(crate) const META: u8 = b'Z';
}

/// What stands behind the identity in the table of messages, one octet each.
pub(crate) mod kind {
    pub(crate) const RECORD: u8 = b'M';
    pub(crate) const BODY: u8 = b'B';
    pub(crate) const HOLD: u8 = b'H';
    pub(crate) const ENVELOPE: u8 = b'e';
    pub(crate) const ONCE: u8 = b'O';
}

/// Who holds a message, one octet behind [`kind::HOLD`].
pub(crate) mod holder {
    pub(crate) const ENVELOPE: u8 = b'E';
    pub(crate) const MAIL: u8 = b'U';
}

/// What stands behind the time of a record of the gateway in the table of times.
pub(crate) const EXPIRES_LEGACY: u8 = b'G';

/// A key in the making.
#[derive(Debug, Clone)]
pub(crate) struct Key(Vec<u8>);

impl Key {
    /// The start of all keys of a table.
    pub(crate) fn of(table: u8) -> Key {
        Key(vec![table])
    }

    pub(crate) fn name(mut self, name: &str) -> Key {
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(0);
        self
    }

    pub(crate) fn octets(mut self, octets: &[u8]) -> Key {
        self.0.extend_from_slice(octets);
        self
    }

    pub(crate) fn long(self, number: u64) -> Key {
        self.octets(&number.to_be_bytes())
    }

    pub(crate) fn short(self, number: u32) -> Key {
        self.octets(&number.to_be_bytes())
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// The first key after all those that begin so.
pub(crate) fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}

/// The key that follows this one directly.
pub(crate) fn successor(key: &[u8]) -> Vec<u8> {
    let mut next = key.to_vec();
    next.push(0);
    next
}

/// A key in readable form: its table and its octets in hexadecimal digits, printable names as they are.
pub(crate) fn readable(key: &[u8]) -> String {
    let mut text = String::new();
    for octet in key {
        if octet.is_ascii_graphic() {
            text.push(char::from(*octet));
        } else {
            text.push_str(&format!("\\{octet:02x}"));
        }
    }
    text
}

/// The last eight octets of a key as a number.
pub(crate) fn last_long(key: &[u8]) -> Option<u64> {
    key.last_chunk::<8>().map(|octets| u64::from_be_bytes(*octets))
}

/// The last four octets of a key as a number.
pub(crate) fn last_short(key: &[u8]) -> Option<u32> {
    key.last_chunk::<4>().map(|octets| u32::from_be_bytes(*octets))
}

/// The number whose octets stand before the last `behind` octets of a key.
pub(crate) fn long_before(key: &[u8], behind: usize) -> Option<u64> {
    last_long(key.get(..key.len().checked_sub(behind)?)?)
}

pub(crate) fn account(name: &str) -> Vec<u8> {
    Key::of(table::ACCOUNT).name(name).done()
}

pub(crate) fn address(folded: &str) -> Vec<u8> {
    Key::of(table::ADDRESS).name(folded).done()
}

pub(crate) fn device(public_key: &[u8; 32]) -> Vec<u8> {
    Key::of(table::DEVICE).octets(public_key).done()
}

/// The start of all that there is of one message. It stands together, so that an acceptance looks at and writes into one place.
pub(crate) fn all_of(identity: Identity) -> Vec<u8> {
    Key::of(table::MESSAGE).octets(identity.as_bytes()).done()
}

fn of_message(identity: Identity, kind: u8) -> Key {
    Key(all_of(identity)).octets(&[kind])
}

/// Whose message a key of the table of messages is, and which kind of record it has.
pub(crate) fn read_of_message(key: &[u8]) -> Option<(Identity, u8)> {
    let identity = key.get(1..33)?.try_into().ok().map(Identity::from_bytes)?;
    Some((identity, *key.get(33)?))
}

/// The start of the chunks of a message record.
pub(crate) fn message(identity: Identity) -> Vec<u8> {
    of_message(identity, kind::RECORD).done()
}

pub(crate) fn bodies(identity: Identity) -> Vec<u8> {
    of_message(identity, kind::BODY).done()
}

pub(crate) fn body(identity: Identity, part: u32) -> Vec<u8> {
    of_message(identity, kind::BODY).short(part).done()
}

pub(crate) fn part_uses(digest: Digest) -> Vec<u8> {
    Key::of(table::PART_USE).octets(digest.as_bytes()).done()
}

pub(crate) fn part_use(digest: Digest, identity: Identity) -> Vec<u8> {
    Key::of(table::PART_USE).octets(digest.as_bytes()).octets(identity.as_bytes()).done()
}

pub(crate) fn part_senders(digest: Digest) -> Vec<u8> {
    Key::of(table::PART_SENDER).octets(digest.as_bytes()).done()
}

pub(crate) fn part_sender(digest: Digest, owner: &str) -> Vec<u8> {
    Key::of(table::PART_SENDER).octets(digest.as_bytes()).name(owner).done()
}

pub(crate) fn holds(identity: Identity) -> Vec<u8> {
    of_message(identity, kind::HOLD).done()
}

/// An envelope that holds a message.
pub(crate) fn hold_of_envelope(identity: Identity, envelope: EnvelopeId) -> Vec<u8> {
    Key(holds_of_envelopes(identity)).long(envelope.0).done()
}

/// The start of the keys of all envelopes that hold a message.
pub(crate) fn holds_of_envelopes(identity: Identity) -> Vec<u8> {
    of_message(identity, kind::HOLD).octets(&[holder::ENVELOPE]).done()
}

/// The entry of a mailbox that holds a message: its number is the value.
pub(crate) fn hold_of_mail(identity: Identity, account: &str) -> Vec<u8> {
    of_message(identity, kind::HOLD).octets(&[holder::MAIL]).name(account).done()
}

/// The start of the chunks of an envelope record.
pub(crate) fn envelope(envelope: EnvelopeId) -> Vec<u8> {
    Key::of(table::ENVELOPE).long(envelope.0).done()
}

pub(crate) fn envelopes_of(account: &str) -> Vec<u8> {
    Key::of(table::ENVELOPE_OF).name(account).done()
}

/// Newest first: the number stands in it with all bits turned over.
pub(crate) fn envelope_of(account: &str, envelope: EnvelopeId) -> Vec<u8> {
    Key::of(table::ENVELOPE_OF).name(account).long(!envelope.0).done()
}

pub(crate) fn envelopes_for(identity: Identity) -> Vec<u8> {
    of_message(identity, kind::ENVELOPE).done()
}

pub(crate) fn envelope_for(identity: Identity, envelope: EnvelopeId) -> Vec<u8> {
    of_message(identity, kind::ENVELOPE).long(envelope.0).done()
}

pub(crate) fn attempts(envelope: EnvelopeId) -> Vec<u8> {
    Key::of(table::ATTEMPT).long(envelope.0).done()
}

pub(crate) fn attempt(envelope: EnvelopeId, place: u32) -> Vec<u8> {
    Key::of(table::ATTEMPT).long(envelope.0).short(place).done()
}

pub(crate) fn once(peer: &str, identity: Identity, recipient: &str) -> Vec<u8> {
    of_message(identity, kind::ONCE).name(peer).name(recipient).done()
}

/// Cookies are found by their digest, so that the search itself tells nothing about a cookie.
pub(crate) fn cookie(cookie: &message::Cookie) -> Vec<u8> {
    Key::of(table::COOKIE).octets(Digest::of(cookie.as_bytes()).as_bytes()).done()
}

pub(crate) fn held(envelope: EnvelopeId, recipient: u32) -> Vec<u8> {
    Key::of(table::HELD).long(envelope.0).short(recipient).done()
}

pub(crate) fn helds_of(account: &str) -> Vec<u8> {
    Key::of(table::HELD_OF).name(account).done()
}

pub(crate) fn held_of(account: &str, envelope: EnvelopeId, recipient: u32) -> Vec<u8> {
    Key::of(table::HELD_OF).name(account).long(envelope.0).short(recipient).done()
}

pub(crate) fn leg(leg: LegId) -> Vec<u8> {
    Key::of(table::LEG).long(leg.0).done()
}

pub(crate) fn lane_dues(lane: &Lane) -> Vec<u8> {
    Key::of(table::LANE_DUE).name(lane.as_str()).done()
}

/// A held leg stands at the end of its lane, with the largest number as its due time.
pub(crate) fn lane_due(lane: &Lane, due_ms: u64, leg: LegId) -> Vec<u8> {
    Key::of(table::LANE_DUE).name(lane.as_str()).long(due_ms).long(leg.0).done()
}

pub(crate) fn lane_legs(lane: &Lane) -> Vec<u8> {
    Key::of(table::LANE_LEG).name(lane.as_str()).done()
}

pub(crate) fn lane_leg(lane: &Lane, leg: LegId) -> Vec<u8> {
    Key::of(table::LANE_LEG).name(lane.as_str()).long(leg.0).done()
}

pub(crate) fn mails(account: &str) -> Vec<u8> {
    Key::of(table::MAIL).name(account).done()
}

pub(crate) fn mail(account: &str, mail: MailUid) -> Vec<u8> {
    Key::of(table::MAIL).name(account).long(mail.0).done()
}

/// When the records of a closed envelope go.
pub(crate) fn expiry_of_envelope(at_ms: u64, envelope: EnvelopeId) -> Vec<u8> {
    Key::of(table::EXPIRY).long(at_ms).octets(b"E").long(envelope.0).short(0).done()
}

/// When a held recipient counts as expired.
pub(crate) fn expiry_of_held(at_ms: u64, envelope: EnvelopeId, recipient: u32) -> Vec<u8> {
    Key::of(table::EXPIRY).long(at_ms).octets(b"W").long(envelope.0).short(recipient).done()
}

pub(crate) fn peer(domain: &str) -> Vec<u8> {
    Key::of(table::PEER).name(domain).done()
}

/// What an account has to do with somebody.
pub(crate) fn correspondent(account: &str, who: &str) -> Vec<u8> {
    Key::of(table::CORRESPONDENT).name(account).name(who).done()
}

/// The start of the keys of all correspondents of an account.
pub(crate) fn correspondents(account: &str) -> Vec<u8> {
    Key::of(table::CORRESPONDENT).name(account).done()
}

/// How many correspondents an account has.
pub(crate) fn correspondents_count(account: &str) -> Vec<u8> {
    Key::of(table::CORRESPONDENTS_COUNT).name(account).done()
}

/// How many deliveries of a holder are pending.
pub(crate) fn pending_of(holder: &str) -> Vec<u8> {
    Key::of(table::PENDING_OF).name(holder).done()
}

/// A record of the gateway, or the start of all whose keys begin so.
pub(crate) fn legacy(kind: u8, within: &[u8]) -> Vec<u8> {
    Key::of(table::LEGACY).octets(&[kind]).octets(within).done()
}

/// When a record of the gateway goes.
pub(crate) fn expiry_of_legacy(at_ms: u64, kind: u8, within: &[u8]) -> Vec<u8> {
    Key::of(table::EXPIRY).long(at_ms).octets(&[EXPIRES_LEGACY, kind]).octets(within).done()
}

/// A notice that is due.
pub(crate) fn notice(id: u64) -> Vec<u8> {
    Key::of(table::NOTICE).long(id).done()
}

pub(crate) fn meta(name: &str) -> Vec<u8> {
    Key::of(table::META).name(name).done()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The octets are written out by hand after the table in `spec/12-storage.md`.
    ///
    /// proves: STO-3
    #[test]
    fn keys_are_laid_out_as_specified() {
        let lane = Lane::new("a.test").unwrap();
        let check = |key: Vec<u8>, expected: &[&[u8]]| assert_eq!(key, expected.concat());
        check(account("ann"), &[b"Aann\0"]);
        check(
            lane_due(&lane, 258, LegId(3)),
            &[b"Qa.test\0", &[0, 0, 0, 0, 0, 0, 1, 2], &[0, 0, 0, 0, 0, 0, 0, 3]],
        );
        check(envelope_of("ann", EnvelopeId(1)), &[b"eann\0", &[255, 255, 255, 255, 255, 255, 255, 254]]);
        check(
            expiry_of_held(1, EnvelopeId(2), 3),
            &[b"X", &[0, 0, 0, 0, 0, 0, 0, 1], b"W", &[0; 7], &[2, 0, 0, 0, 3]],
        );
        check(legacy(7, b"ab"), &[b"G", &[7], b"ab"]);
        check(expiry_of_legacy(258, 7, b"ab"), &[b"X", &[0, 0, 0, 0, 0, 0, 1, 2], b"G", &[7], b"ab"]);
        check(notice(258), &[b"D", &[0, 0, 0, 0, 0, 0, 1, 2]]);
        let identity = Identity::from_bytes([7; 32]);
        check(message(identity), &[b"m", &[7; 32], b"M"]);
        check(body(identity, 258), &[b"m", &[7; 32], b"B", &[0, 0, 1, 2]]);
        check(hold_of_envelope(identity, EnvelopeId(3)), &[b"m", &[7; 32], b"HE", &[0; 7], &[3]]);
        check(hold_of_mail(identity, "ann"), &[b"m", &[7; 32], b"HUann\0"]);
        check(envelope_for(identity, EnvelopeId(3)), &[b"m", &[7; 32], b"e", &[0; 7], &[3]]);
        check(once("p.test", identity, "a@b.test"), &[b"m", &[7; 32], b"Op.test\0a@b.test\0"]);
        assert!(
            lane_due(&lane, 255, LegId(9)) < lane_due(&lane, 256, LegId(0)),
            "keys have the order of times"
        );
    }

    #[test]
    fn the_end_of_a_prefix_is_after_all_its_keys() {
        let check = |prefix: &[u8], expected: &[u8]| assert_eq!(after_prefix(prefix), expected);
        check(b"ab", b"ac");
        check(&[b'a', 255], b"b");
        check(&[1, 255, 255], &[2]);
    }
}
