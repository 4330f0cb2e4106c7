//! The words within records: dispositions, selections, origins, addresses.

use ciborium::Value;
use message::address::{Address, Domain};
use message::cbor::{as_bytes, as_uint, bytes, text, uint};
use message::keys::AuthorKey;
use message::{Code, Cookie, Disposition, Hop, Identity, KeyId, Redirect, Role, Selection};

use super::{flag, list, read_list};
use crate::{LegacyOrigin, Origin, Passage, PassedCookie, SealNote, Wish};

fn array<const N: usize>(items: [Value; N]) -> Value {
    Value::Array(items.into())
}

fn as_small<T: TryFrom<u64>>(value: &Value) -> Option<T> {
    as_uint(value).and_then(|number| T::try_from(number).ok())
}

fn as_octets<const N: usize>(value: &Value) -> Option<[u8; N]> {
    as_bytes(value).and_then(|octets| octets.try_into().ok())
}

pub(super) fn address(address: &Address) -> Value {
    text(&address.to_string())
}

pub(super) fn read_address(value: &Value) -> Option<Address> {
    value.as_text().and_then(|text| Address::from_wire(text).ok())
}

pub(super) fn read_text(value: &Value) -> Option<String> {
    value.as_text().map(str::to_owned)
}

pub(super) fn identity(identity: Identity) -> Value {
    bytes(identity.as_bytes())
}

pub(super) fn read_identity(value: &Value) -> Option<Identity> {
    as_octets(value).map(Identity::from_bytes)
}

pub(super) fn code(code: Code) -> Value {
    text(&code.to_string())
}

pub(super) fn read_code(value: &Value) -> Option<Code> {
    value.as_text().and_then(|text| Code::parse(text).ok())
}

pub(super) fn disposition(disposition: &Disposition) -> Value {
    match disposition {
        Disposition::Accepted => array([uint(1)]),
        Disposition::Refused { code: why, text: words } => array([uint(2), code(*why), text(words)]),
        Disposition::Pending { cookie, min_seconds, max_seconds, until } => array([
            uint(3),
            bytes(cookie.as_bytes()),
            uint((*min_seconds).into()),
            uint((*max_seconds).into()),
            uint(*until),
        ]),
        Disposition::Deferred { code: why, after_seconds } => {
            array([uint(4), code(*why), uint((*after_seconds).into())])
        }
        Disposition::Redirected(to) => array([
            uint(5),
            text(&to.address),
            uint(to.port.into()),
            bytes(&to.key_digest),
            bytes(&to.ticket),
            uint(to.not_after),
        ]),
        Disposition::Withdrawn => array([uint(6)]),
        Disposition::Expired => array([uint(7)]),
        Disposition::Relayed => array([uint(8)]),
    }
}

pub(super) fn read_disposition(value: &Value) -> Option<Disposition> {
    let items = value.as_array()?;
    Some(match (as_uint(items.first()?)?, &items[1..]) {
        (1, []) => Disposition::Accepted,
        (2, [why, words]) => Disposition::Refused { code: read_code(why)?, text: read_text(words)? },
        (3, [cookie, min, max, until]) => Disposition::Pending {
            cookie: Cookie::from_bytes(as_octets(cookie)?),
            min_seconds: as_small(min)?,
            max_seconds: as_small(max)?,
            until: as_uint(until)?,
        },
        (4, [why, after]) => Disposition::Deferred { code: read_code(why)?, after_seconds: as_small(after)? },
        (5, [address, port, key_digest, ticket, not_after]) => Disposition::Redirected(Redirect {
            address: read_text(address)?,
            port: as_small(port)?,
            key_digest: as_octets(key_digest)?,
            ticket: as_bytes(ticket)?.to_vec(),
            not_after: as_uint(not_after)?,
        }),
        (6, []) => Disposition::Withdrawn,
        (7, []) => Disposition::Expired,
        (8, []) => Disposition::Relayed,
        _ => return None,
    })
}

pub(super) fn selection(selection: &Selection) -> Value {
    match selection {
        Selection::All => array([uint(1)]),
        Selection::Headers => array([uint(2)]),
        Selection::Digest => array([uint(3)]),
        Selection::Signers => array([uint(4)]),
        Selection::Text => array([uint(5)]),
        Selection::Parts(parts) => {
            array([uint(6), list(parts, |(part, offset)| array([uint(*part as u64), uint(*offset)]))])
        }
        Selection::Range { part, offset, octets } => {
            array([uint(7), uint(*part as u64), uint(*offset), uint(*octets)])
        }
    }
}

pub(super) fn read_selection(value: &Value) -> Option<Selection> {
    let items = value.as_array()?;
    Some(match (as_uint(items.first()?)?, &items[1..]) {
        (1, []) => Selection::All,
        (2, []) => Selection::Headers,
        (3, []) => Selection::Digest,
        (4, []) => Selection::Signers,
        (5, []) => Selection::Text,
        (6, [parts]) => {
            Selection::Parts(read_list(parts.as_array()?, |part| match part.as_array()?.as_slice() {
                [part, offset] => Some((as_small(part)?, as_uint(offset)?)),
                _ => None,
            })?)
        }
        (7, [part, offset, octets]) => {
            Selection::Range { part: as_small(part)?, offset: as_uint(offset)?, octets: as_uint(octets)? }
        }
        _ => return None,
    })
}

pub(super) fn origin(origin: &Origin) -> Value {
    match origin {
        Origin::Submission { account } => array([uint(1), text(account)]),
        Origin::Peer { domain } => array([uint(2), text(domain.as_str())]),
        Origin::Legacy(legacy) => array([
            uint(3),
            text(&legacy.client.to_string()),
            flag(legacy.verified),
            legacy.return_path.as_ref().map_or(Value::Null, address),
            legacy.author.as_ref().map_or(Value::Null, |domain| text(domain.as_str())),
            text(&legacy.received),
            text(&legacy.authentication_results),
            passage(&legacy.passage),
        ]),
    }
}

pub(super) fn read_origin(value: &Value) -> Option<Origin> {
    match value.as_array()?.as_slice() {
        [kind, name] if as_uint(kind) == Some(1) => Some(Origin::Submission { account: read_text(name)? }),
        [kind, name] if as_uint(kind) == Some(2) => {
            Some(Origin::Peer { domain: Domain::from_wire(name.as_text()?).ok()? })
        }
        [kind, client, verified, return_path, author, received, results, more @ ..]
            if as_uint(kind) == Some(3) =>
        {
            Some(Origin::Legacy(Box::new(LegacyOrigin {
                client: client.as_text()?.parse().ok()?,
                verified: verified.as_bool()?,
                return_path: or_null(return_path, read_address)?,
                author: or_null(author, |value| Domain::from_wire(value.as_text()?).ok())?,
                received: read_text(received)?,
                authentication_results: read_text(results)?,
                // As it was before anything of that went on.
                passage: more.first().map_or_else(|| Some(Passage::default()), read_passage)?,
            })))
        }
        _ => None,
    }
}

fn passage(passage: &Passage) -> Value {
    let optional = |text_of: &Option<String>| text_of.as_deref().map_or(Value::Null, text);
    let cookie = passage.cookie.as_ref().map_or(Value::Null, |cookie| {
        let came_to = cookie.came_to.map_or(Value::Null, |address| text(&address.to_string()));
        array([text(&cookie.id), text(&cookie.host), came_to])
    });
    array([
        flag(passage.may_keep),
        cookie,
        passage.forwarder.as_ref().map_or(Value::Null, |domain| text(domain.as_str())),
        optional(&passage.envelope_id),
        passage.headers_only.map_or(Value::Null, flag),
        list(&passage.wishes, |wish| {
            let notify = wish.notify.map_or(Value::Null, |notify| uint(notify.into()));
            array([address(&wish.recipient), notify, optional(&wish.original)])
        }),
    ])
}

fn read_passage(value: &Value) -> Option<Passage> {
    let [may_keep, cookie, forwarder, envelope_id, headers_only, wishes] = value.as_array()?.as_slice()
    else {
        return None;
    };
    let read_cookie = |value: &Value| {
        let [id, host, came_to] = value.as_array()?.as_slice() else { return None };
        let came_to = or_null(came_to, |value| value.as_text()?.parse().ok())?;
        Some(PassedCookie { id: read_text(id)?, host: read_text(host)?, came_to })
    };
    let read_wish = |value: &Value| {
        let [recipient, notify, original] = value.as_array()?.as_slice() else { return None };
        Some(Wish {
            recipient: read_address(recipient)?,
            notify: or_null(notify, as_small)?,
            original: or_null(original, read_text)?,
        })
    };
    Some(Passage {
        may_keep: may_keep.as_bool()?,
        cookie: or_null(cookie, read_cookie)?,
        forwarder: or_null(forwarder, |value| Domain::from_wire(value.as_text()?).ok())?,
        envelope_id: or_null(envelope_id, read_text)?,
        headers_only: or_null(headers_only, Value::as_bool)?,
        wishes: read_list(wishes.as_array()?, read_wish)?,
    })
}

/// What may be null: `Some(None)` where it is, `None` where it is neither that nor what it must be.
fn or_null<T>(value: &Value, read: impl FnOnce(&Value) -> Option<T>) -> Option<Option<T>> {
    if value.is_null() { Some(None) } else { read(value).map(Some) }
}

pub(super) fn hop(hop: &Hop) -> Value {
    array([text(hop.by.as_str()), uint(hop.at)])
}

pub(super) fn read_hop(value: &Value) -> Option<Hop> {
    match value.as_array()?.as_slice() {
        [by, at] => Some(Hop { by: Domain::from_wire(by.as_text()?).ok()?, at: as_uint(at)? }),
        _ => None,
    }
}

pub(super) fn seal_note(note: &SealNote) -> Value {
    let key = note.key.map_or(Vec::new(), |key| key.0.to_vec());
    let mut items = vec![
        text(&note.issuer),
        uint(note.role.number()),
        flag(note.verified),
        text(&note.key_name),
        bytes(&key),
    ];
    items.extend(note.author_key.map(|found| uint(found.number())));
    Value::Array(items)
}

pub(super) fn read_seal_note(value: &Value) -> Option<SealNote> {
    let (first, keys) = value.as_array()?.split_at_checked(3)?;
    let [issuer, role, verified] = first else { return None };
    let (key_name, key, author_key) = match keys {
        // As it was before the names of keys were kept.
        [] => (String::new(), None, None),
        [name, key] => (read_text(name)?, as_octets(key).map(KeyId), None),
        [name, key, found] => {
            (read_text(name)?, as_octets(key).map(KeyId), Some(AuthorKey::from_number(as_uint(found)?)?))
        }
        _ => return None,
    };
    Some(SealNote {
        issuer: read_text(issuer)?,
        role: Role::from_number(as_uint(role)?),
        verified: verified.as_bool()?,
        key_name,
        key,
        author_key,
    })
}
