//! Octets to frames. Everything is checked here: what comes out keeps the bounds and needs no second look.

use ciborium::Value;
use message::address::{Address, Domain};
use message::cbor::{as_bytes, as_uint, decode as decode_cbor, find, keys_once};
use message::limits as bounds;
use message::{Code, Cookie, Disposition, Envelope, Hop, Identity, Redirect, Selection};

use crate::Error;
use crate::frame::*;
use crate::held::{read_decide, read_held, read_held_entry};
use crate::keys;
use crate::limits::{
    COOKIES_MAX, DEVICES_MAX, LIST_MAX, NAME_OCTETS_MAX, PASSWORD_OCTETS_MAX, RANGE_OCTETS_MAX,
    TICKET_OCTETS_MAX,
};
use crate::registry::{answer, disposition, eager, frame, piece, selection};

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Reads the body of one frame, its length not included.
///
/// keeps: FRM-2, FRM-3, FRM-4, FRM-5
pub(crate) fn decode(octets: &[u8]) -> Result<Frame> {
    let value = decode_cbor(octets).map_err(|_| Error::Malformed("not one well-formed CBOR item"))?;
    // Also where nobody looks: two readers could otherwise see two frames.
    if !keys_once(&value) {
        return Err(Error::Malformed("a key stands twice"));
    }
    let fields = Fields::of(&value)?;
    Ok(match fields.uint(0)? {
        frame::SETTINGS => Frame::Settings(Settings {
            eager_octets: fields.uint(1)?,
            part_octets_max: fields.uint(2)?,
            recipients_max: fields.uint(3)?,
        }),
        frame::OFFER => Frame::Offer(Box::new(read_offer(&fields)?)),
        frame::CONTENT => Frame::Content(read_content(&fields)?),
        frame::WANT => Frame::Want(read_selection(fields.required(1)?)?),
        frame::OUTCOME => Frame::Outcome(Outcome {
            dispositions: list(fields.required(1)?, bounds::RECIPIENTS_MAX, read_disposition)?,
            sealed: fields.optional(2).map(read_sealed).transpose()?,
        }),
        frame::POLL => Frame::Poll(list(fields.required(1)?, COOKIES_MAX, read_cookie)?),
        frame::ANSWERS => Frame::Answers(list(fields.required(1)?, COOKIES_MAX, read_answer)?),
        frame::SETTLED => Frame::Settled(list(fields.required(1)?, COOKIES_MAX, read_cookie)?),
        frame::GIVE_UP => Frame::GiveUp(list(fields.required(1)?, COOKIES_MAX, read_cookie)?),
        frame::DONE => Frame::Done,
        frame::FAILURE => Frame::Failure(Failure {
            code: read_code(fields.required(1)?)?,
            text: read_text(fields.required(2)?, bounds::REFUSAL_TEXT_OCTETS_MAX)?,
        }),
        frame::ENROL => Frame::Enrol(Enrol {
            account: read_text(fields.required(1)?, NAME_OCTETS_MAX)?,
            password: read_text(fields.required(2)?, PASSWORD_OCTETS_MAX)?,
            device: read_text(fields.required(3)?, NAME_OCTETS_MAX)?,
        }),
        frame::STATUS => Frame::Status(match fields.optional(3) {
            Some(identity) => StatusQuery::Of(read_identity(identity)?),
            None => {
                StatusQuery::Latest { before: fields.uint(1)?, limit: fields.uint(2)?.min(LIST_MAX as u64) }
            }
        }),
        frame::STATUS_LIST => Frame::StatusList(list(fields.required(1)?, LIST_MAX, read_status)?),
        frame::MAILBOX => {
            Frame::Mailbox { after: fields.uint(1)?, limit: fields.uint(2)?.min(LIST_MAX as u64) }
        }
        frame::MAILBOX_LIST => Frame::MailboxList(list(fields.required(1)?, LIST_MAX, read_entry)?),
        frame::FETCH => Frame::Fetch {
            identity: read_identity(fields.required(1)?)?,
            selection: read_selection(fields.required(2)?)?,
        },
        frame::DEVICES => Frame::Devices,
        frame::DEVICE_LIST => Frame::DeviceList(list(fields.required(1)?, DEVICES_MAX, read_device)?),
        frame::HELD => {
            let (after, limit) = read_held(&fields)?;
            Frame::Held { after, limit }
        }
        frame::HELD_LIST => Frame::HeldList(list(fields.required(1)?, LIST_MAX, read_held_entry)?),
        frame::DECIDE => Frame::Decide(read_decide(&fields)?),
        frame::REMOVE_DEVICE => Frame::RemoveDevice(read_32(fields.required(1)?)?),
        frame::DOORSTEP => Frame::Doorstep { port: read_port(fields.required(1)?)? },
        frame::DOORSTEP_LEASE => Frame::DoorstepLease(DoorstepLease {
            seconds: read_u32(fields.required(1)?)?,
            address: read_host_address(fields.required(2)?)?,
            ticket_key: read_32(fields.required(3)?)?,
        }),
        frame::DOORSTEP_TOOK => {
            let taken = list(fields.required(1)?, LIST_MAX, read_taken)?;
            if taken.is_empty() {
                return Err(Error::Malformed("a report of nothing"));
            }
            Frame::DoorstepTook(taken)
        }
        frame::DOORSTEP_END => Frame::DoorstepEnd,
        frame::KEY => Frame::Key(keys::read_query(&fields)?),
        frame::KEY_ANSWER => Frame::KeyAnswer(Box::new(keys::read_reply(&fields)?)),
        frame::KEY_PUBLISH => Frame::KeyPublish(keys::read_publish(&fields)?),
        frame::KEY_PINNED => {
            Frame::KeyPinned { address: read_address(fields.required(1)?)?, forget: fields.flag(2)? }
        }
        frame::KEY_PINS => Frame::KeyPins(keys::read_pins(&fields)?),
        _ => return Err(Error::Malformed("its type is not known")),
    })
}

/// The fields of a map with integer keys. Unknown keys are passed over, but a negative one is critical.
pub(crate) struct Fields<'a>(&'a [(Value, Value)]);

impl<'a> Fields<'a> {
    pub(crate) fn of(value: &'a Value) -> Result<Fields<'a>> {
        let entries = value.as_map().ok_or(Error::Malformed("not a map"))?;
        for (key, _) in entries {
            let key = key.as_integer().ok_or(Error::Malformed("a key is not an integer"))?;
            let key = i128::from(key);
            if key < 0 {
                return Err(Error::Critical(i64::try_from(key).unwrap_or(i64::MIN)));
            }
        }
        Ok(Fields(entries))
    }

    pub(crate) fn optional(&self, key: i64) -> Option<&'a Value> {
        find(self.0, key)
    }

    pub(crate) fn required(&self, key: i64) -> Result<&'a Value> {
        self.optional(key).ok_or(Error::Malformed("a field is missing"))
    }

    pub(crate) fn uint(&self, key: i64) -> Result<u64> {
        read_uint(self.required(key)?)
    }

    /// A boolean that is false where it is left out.
    pub(crate) fn flag(&self, key: i64) -> Result<bool> {
        self.optional(key).map_or(Ok(false), read_bool)
    }
}

fn read_offer(fields: &Fields<'_>) -> Result<Offer> {
    let envelope = Envelope {
        identity: read_identity(fields.required(1)?)?,
        octets: fields.uint(2)?,
        issuers: list(fields.required(3)?, bounds::SEALS_MAX, |value| read_text(value, 320))?,
        recipients: list(fields.required(4)?, bounds::RECIPIENTS_MAX, read_address)?,
        trace: list(fields.required(5)?, bounds::HOPS_MAX, read_hop)?,
    };
    envelope.check()?;
    let eager = match fields.uint(6)? {
        eager::NOTHING => Eager::Nothing,
        eager::HEADERS => Eager::Headers,
        eager::ALL => Eager::All,
        _ => return Err(Error::Malformed("what comes eagerly is not known")),
    };
    let submission = match fields.optional(7) {
        None => None,
        Some(value) => {
            let options = Fields::of(value)?;
            Some(SubmissionOptions {
                sign_only: options.flag(1)?,
                release_after_seconds: options.uint(2)?,
                token: options.optional(3).map(read_token).transpose()?,
            })
        }
    };
    let way = match (fields.optional(8), fields.flag(9)?) {
        (None, false) => Way::Plain,
        (None, true) => Way::RedirectFailed,
        (Some(ticket), false) => Way::Ticket(octets(ticket, TICKET_OCTETS_MAX)?.to_vec()),
        (Some(_), true) => return Err(Error::Malformed("a ticket where the redirect has failed")),
    };
    Ok(Offer { envelope, eager, submission, way })
}

fn read_content(fields: &Fields<'_>) -> Result<ContentHead> {
    let place = || -> Result<(usize, u64)> { Ok((read_part(fields.required(3)?)?, fields.uint(4)?)) };
    let piece = match fields.uint(1)? {
        piece::MANIFEST => Piece::Manifest,
        piece::SEALS => Piece::Seals,
        piece::HEADERS => Piece::Headers,
        piece::BODY => place().map(|(part, from)| Piece::Body { part, from })?,
        piece::SLICE => place().map(|(part, from)| Piece::Slice { part, from })?,
        _ => return Err(Error::Malformed("a piece of content is not known")),
    };
    let octets = fields.uint(2)?;
    if octets > bounds::LENGTH_MAX {
        return Err(Error::Bound { what: "octets of content", bound: bounds::LENGTH_MAX });
    }
    Ok(ContentHead { piece, octets, last: fields.flag(5)? })
}

/// keeps: EXC-27
fn read_selection(value: &Value) -> Result<Selection> {
    let items = array(value)?;
    let (kind, rest) = items.split_first().ok_or(Error::Malformed("an empty selection"))?;
    Ok(match (read_uint(kind)?, rest) {
        (selection::ALL, []) => Selection::All,
        (selection::HEADERS, []) => Selection::Headers,
        (selection::DIGEST, []) => Selection::Digest,
        (selection::SIGNERS, []) => Selection::Signers,
        (selection::TEXT, []) => Selection::Text,
        (selection::PARTS, parts) if !parts.is_empty() && parts.len() <= bounds::PARTS_MAX => {
            let parts = parts
                .iter()
                .map(|part| match array(part)? {
                    [part, from] => Ok((read_part(part)?, read_uint(from)?)),
                    _ => Err(Error::Malformed("a part in a selection is a number and an octet")),
                })
                .collect::<Result<Vec<(usize, u64)>>>()?;
            // Else one small frame could ask for the same gigabyte 256 times.
            let named: std::collections::BTreeSet<usize> = parts.iter().map(|(part, _)| *part).collect();
            if named.len() < parts.len() {
                return Err(Error::Malformed("a part stands twice in a selection"));
            }
            Selection::Parts(parts)
        }
        (selection::RANGE, [part, offset, octets]) => {
            let octets = read_uint(octets)?;
            if octets == 0 || octets > RANGE_OCTETS_MAX {
                return Err(Error::Bound { what: "octets of a range", bound: RANGE_OCTETS_MAX });
            }
            Selection::Range { part: read_part(part)?, offset: read_uint(offset)?, octets }
        }
        _ => return Err(Error::Malformed("a selection is not known")),
    })
}

fn read_disposition(value: &Value) -> Result<Disposition> {
    let items = array(value)?;
    let (kind, rest) = items.split_first().ok_or(Error::Malformed("an empty disposition"))?;
    Ok(match (read_uint(kind)?, rest) {
        (disposition::ACCEPTED, []) => Disposition::Accepted,
        (disposition::REFUSED, [code, text]) => Disposition::Refused {
            code: read_code(code)?,
            text: read_text(text, bounds::REFUSAL_TEXT_OCTETS_MAX)?,
        },
        (disposition::PENDING, [cookie, min, max, until]) => Disposition::Pending {
            cookie: read_cookie(cookie)?,
            min_seconds: read_u32(min)?,
            max_seconds: read_u32(max)?,
            until: read_uint(until)?,
        },
        (disposition::DEFERRED, [code, after]) => {
            Disposition::Deferred { code: read_code(code)?, after_seconds: read_u32(after)? }
        }
        (disposition::REDIRECTED, [address, port, key, ticket, not_after]) => {
            Disposition::Redirected(Redirect {
                address: read_host_address(address)?,
                port: read_port(port)?,
                key_digest: read_32(key)?,
                ticket: octets(ticket, TICKET_OCTETS_MAX)?.to_vec(),
                not_after: read_uint(not_after)?,
            })
        }
        (disposition::WITHDRAWN, []) => Disposition::Withdrawn,
        (disposition::EXPIRED, []) => Disposition::Expired,
        (disposition::RELAYED, []) => Disposition::Relayed,
        _ => return Err(Error::Malformed("a disposition is not known")),
    })
}

/// keeps: STA-6
fn read_answer(value: &Value) -> Result<CookieAnswer> {
    let items = array(value)?;
    let (kind, rest) = items.split_first().ok_or(Error::Malformed("an empty answer"))?;
    Ok(match (read_uint(kind)?, rest) {
        (answer::UNKNOWN, []) => CookieAnswer::Unknown,
        (answer::FINAL, [what]) => match read_disposition(what)? {
            what if what.is_final() => CookieAnswer::Final(what),
            _ => return Err(Error::Malformed("a final answer that is not final")),
        },
        (answer::PENDING, [min, max, until]) => CookieAnswer::Pending {
            min_seconds: read_u32(min)?,
            max_seconds: read_u32(max)?,
            until: read_uint(until)?,
        },
        (answer::WANT, [wanted]) => CookieAnswer::Want(read_selection(wanted)?),
        _ => return Err(Error::Malformed("an answer is not known")),
    })
}

fn read_sealed(value: &Value) -> Result<Sealed> {
    match array(value)? {
        [identity, header, seals] => {
            Ok(Sealed {
                identity: read_identity(identity)?,
                header: octets(header, bounds::HEADERS_OCTETS_MAX as usize)?.to_vec(),
                seals: list(seals, bounds::SEALS_MAX, |seal| {
                    Ok(octets(seal, bounds::SEAL_OCTETS_MAX)?.to_vec())
                })?,
            })
        }
        _ => Err(Error::Malformed("a sealed message is an identity, a header and seals")),
    }
}

fn read_status(value: &Value) -> Result<StatusRecord> {
    let fields = Fields::of(value)?;
    Ok(StatusRecord {
        number: fields.uint(1)?,
        identity: read_identity(fields.required(2)?)?,
        at_ms: fields.uint(3)?,
        release_at_ms: fields.uint(4)?,
        recipients: list(fields.required(5)?, bounds::RECIPIENTS_MAX, |one| match array(one)? {
            [address, what] => {
                Ok(StatusRecipient { address: read_address(address)?, disposition: read_disposition(what)? })
            }
            _ => Err(Error::Malformed("a recipient's status is an address and a disposition")),
        })?,
        attempts: list(fields.required(6)?, LIST_MAX, |one| match array(one)? {
            [at, host, step, code, text] => Ok(StatusAttempt {
                at_ms: read_uint(at)?,
                host: read_text(host, 300)?,
                step: read_text(step, 100)?,
                code: if code.is_null() { None } else { Some(read_code(code)?) },
                text: read_text(text, bounds::REFUSAL_TEXT_OCTETS_MAX)?,
            }),
            _ => Err(Error::Malformed("an attempt has five fields")),
        })?,
    })
}

fn read_taken(value: &Value) -> Result<Taken> {
    match array(value)? {
        [identity, recipient, by] => Ok(Taken {
            identity: read_identity(identity)?,
            recipient: read_address(recipient)?,
            by: read_domain(by)?,
        }),
        _ => Err(Error::Malformed("what was taken has three members")),
    }
}

fn read_device(value: &Value) -> Result<Device> {
    match array(value)? {
        [key, name, enrolled_at] => Ok(Device {
            public_key: read_32(key)?,
            name: read_text(name, NAME_OCTETS_MAX)?,
            enrolled_at_ms: read_uint(enrolled_at)?,
        }),
        _ => Err(Error::Malformed("a device has three members")),
    }
}

fn read_entry(value: &Value) -> Result<MailboxEntry> {
    let fields = Fields::of(value)?;
    Ok(MailboxEntry {
        number: fields.uint(1)?,
        identity: read_identity(fields.required(2)?)?,
        recipient: read_address(fields.required(3)?)?,
        at_ms: fields.uint(4)?,
        origin: read_text(fields.required(5)?, 320)?,
        seen: read_bool(fields.required(6)?)?,
        seals: list(fields.required(7)?, bounds::SEALS_MAX, read_seal_words)?,
        author_key: fields.optional(8).map(keys::read_author_key).transpose()?,
    })
}

pub(crate) fn read_seal_words(seal: &Value) -> Result<SealWords> {
    match array(seal)? {
        [issuer, role, verified] => Ok(SealWords {
            issuer: read_text(issuer, 512)?,
            role: read_text(role, 32)?,
            verified: read_bool(verified)?,
        }),
        _ => Err(Error::Malformed("the words of a seal are three")),
    }
}

pub(crate) fn array(value: &Value) -> Result<&[Value]> {
    value.as_array().map(Vec::as_slice).ok_or(Error::Malformed("not a list"))
}

pub(crate) fn list<T>(value: &Value, most: usize, read: impl Fn(&Value) -> Result<T>) -> Result<Vec<T>> {
    let items = array(value)?;
    if items.len() > most {
        return Err(Error::Bound { what: "items in a list", bound: most as u64 });
    }
    items.iter().map(read).collect()
}

pub(crate) fn octets(value: &Value, most: usize) -> Result<&[u8]> {
    match as_bytes(value) {
        Some(octets) if octets.len() <= most => Ok(octets),
        Some(_) => Err(Error::Bound { what: "octets of a field", bound: most as u64 }),
        None => Err(Error::Malformed("not a byte string")),
    }
}

pub(crate) fn read_bool(value: &Value) -> Result<bool> {
    value.as_bool().ok_or(Error::Malformed("not a boolean"))
}

pub(crate) fn read_uint(value: &Value) -> Result<u64> {
    as_uint(value).ok_or(Error::Malformed("not an unsigned integer"))
}

fn read_u32(value: &Value) -> Result<u32> {
    u32::try_from(read_uint(value)?).map_err(|_| Error::Malformed("a number is too large"))
}

fn read_part(value: &Value) -> Result<usize> {
    match usize::try_from(read_uint(value)?) {
        Ok(part) if part < bounds::PARTS_MAX => Ok(part),
        _ => Err(Error::Malformed("no part can have this number")),
    }
}

pub(crate) fn read_32(value: &Value) -> Result<[u8; 32]> {
    as_bytes(value)
        .and_then(|octets| octets.try_into().ok())
        .ok_or(Error::Malformed("not a byte string of 32 octets"))
}

fn read_token(value: &Value) -> Result<[u8; 16]> {
    as_bytes(value).and_then(|octets| octets.try_into().ok()).ok_or(Error::Malformed("a token has 16 octets"))
}

pub(crate) fn read_identity(value: &Value) -> Result<Identity> {
    read_32(value).map(Identity::from_bytes)
}

fn read_cookie(value: &Value) -> Result<Cookie> {
    read_32(value).map(Cookie::from_bytes)
}

pub(crate) fn read_text(value: &Value, most: usize) -> Result<String> {
    match value.as_text() {
        Some(text) if text.len() > most => Err(Error::Bound { what: "octets of text", bound: most as u64 }),
        Some(text) if text.chars().any(char::is_control) => {
            Err(Error::Malformed("a control character in text"))
        }
        Some(text) => Ok(text.to_owned()),
        None => Err(Error::Malformed("not text")),
    }
}

pub(crate) fn read_code(value: &Value) -> Result<Code> {
    value
        .as_text()
        .and_then(|text| Code::parse(text).ok())
        .ok_or(Error::Malformed("not an enhanced status code"))
}

pub(crate) fn read_address(value: &Value) -> Result<Address> {
    value.as_text().and_then(|text| Address::from_wire(text).ok()).ok_or(Error::Malformed("not an address"))
}

fn read_domain(value: &Value) -> Result<Domain> {
    value.as_text().and_then(|text| Domain::from_wire(text).ok()).ok_or(Error::Malformed("not a domain"))
}

fn read_port(value: &Value) -> Result<u16> {
    u16::try_from(read_uint(value)?).map_err(|_| Error::Malformed("not a port"))
}

/// An IPv4 or IPv6 address in text form, kept as it was written.
fn read_host_address(value: &Value) -> Result<String> {
    let text = read_text(value, 64)?;
    match text.parse::<std::net::IpAddr>() {
        Ok(_) => Ok(text),
        Err(_) => Err(Error::Malformed("not the address of a host")),
    }
}

fn read_hop(value: &Value) -> Result<Hop> {
    match array(value)? {
        [by, at] => Ok(Hop { by: read_domain(by)?, at: read_uint(at)? }),
        _ => Err(Error::Malformed("a hop is a domain and a time")),
    }
}
