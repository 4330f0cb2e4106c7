//! Frames to octets: a length as a QUIC varint (RFC 9000 section 16), then a CBOR map with integer keys.

use bytes::{BufMut, Bytes, BytesMut};
use ciborium::Value;
use message::cbor::{bytes, encode as encode_cbor, map, text, uint};
use message::{Disposition, Redirect, Selection};

use crate::frame::*;
use crate::held;
use crate::keys;
use crate::limits::FRAME_OCTETS_MAX;
use crate::registry::{answer, disposition, eager, frame, piece, selection};

/// The octets of a frame with its length before it.
///
/// Where a frame would be longer than [`FRAME_OCTETS_MAX`], the texts for people in it are cut, then left out. What is
/// too long even so is written as it is, and the peer will refuse it: [`fits`] tells before.
///
/// keeps: FRM-1, FRM-2, FRM-8
pub fn encode(frame: &Frame) -> Bytes {
    let mut body = encode_cbor(&frame_value(frame));
    for text_octets in [64, 0] {
        if body.len() as u64 > FRAME_OCTETS_MAX {
            body = encode_cbor(&frame_value(&with_texts_cut(frame, text_octets)));
        }
    }
    let mut octets = BytesMut::with_capacity(body.len() + 4);
    put_varint(&mut octets, body.len() as u64);
    octets.put_slice(&body);
    octets.freeze()
}

/// Whether the frame keeps the bound on frames, its texts cut where that is needed. A list that does not is to be cut
/// into several.
pub fn fits(frame: &Frame) -> bool {
    // The length before the frame takes 4 octets from 16,384 octets on.
    encode(frame).len() as u64 <= FRAME_OCTETS_MAX + 4
}

/// The frame with the texts for people cut to so many octets; codes stay.
fn with_texts_cut(frame: &Frame, octets_max: usize) -> Frame {
    let mut frame = frame.clone();
    match &mut frame {
        Frame::Outcome(outcome) => outcome.dispositions.iter_mut().for_each(|what| cut(what, octets_max)),
        Frame::Answers(answers) => {
            for answer in answers {
                if let CookieAnswer::Final(what) = answer {
                    cut(what, octets_max);
                }
            }
        }
        Frame::StatusList(records) => {
            for record in records {
                record.recipients.iter_mut().for_each(|one| cut(&mut one.disposition, octets_max));
                record.attempts.iter_mut().for_each(|one| cut_text(&mut one.text, octets_max));
            }
        }
        _ => {}
    }
    frame
}

fn cut(what: &mut Disposition, octets_max: usize) {
    if let Disposition::Refused { text, .. } = what {
        cut_text(text, octets_max);
    }
}

fn cut_text(text: &mut String, octets_max: usize) {
    text.truncate(text.floor_char_boundary(octets_max));
}

fn put_varint(octets: &mut BytesMut, number: u64) {
    match number {
        0..=0x3f => octets.put_u8(number as u8),
        0x40..=0x3fff => octets.put_u16(0x4000 | number as u16),
        _ => octets.put_u32(0x8000_0000 | number as u32),
    }
}

fn frame_value(frame: &Frame) -> Value {
    let typed = |number: u64, entries: Vec<(i64, Option<Value>)>| {
        map([(0, Some(uint(number)))].into_iter().chain(entries))
    };
    match frame {
        Frame::Settings(settings) => typed(
            frame::SETTINGS,
            vec![
                (1, Some(uint(settings.eager_octets))),
                (2, Some(uint(settings.part_octets_max))),
                (3, Some(uint(settings.recipients_max))),
            ],
        ),
        Frame::Offer(offer) => typed(frame::OFFER, offer_entries(offer)),
        Frame::Content(head) => typed(frame::CONTENT, content_entries(head)),
        Frame::Want(wanted) => typed(frame::WANT, vec![(1, Some(selection_value(wanted)))]),
        Frame::Outcome(outcome) => typed(
            frame::OUTCOME,
            vec![
                (1, Some(Value::Array(outcome.dispositions.iter().map(disposition_value).collect()))),
                (2, outcome.sealed.as_ref().map(sealed_value)),
            ],
        ),
        Frame::Poll(cookies) => typed(frame::POLL, vec![(1, Some(cookies_value(cookies)))]),
        Frame::Answers(answers) => {
            typed(frame::ANSWERS, vec![(1, Some(Value::Array(answers.iter().map(answer_value).collect())))])
        }
        Frame::Settled(cookies) => typed(frame::SETTLED, vec![(1, Some(cookies_value(cookies)))]),
        Frame::GiveUp(cookies) => typed(frame::GIVE_UP, vec![(1, Some(cookies_value(cookies)))]),
        Frame::Done => typed(frame::DONE, vec![]),
        Frame::Failure(failure) => typed(
            frame::FAILURE,
            vec![(1, Some(text(&failure.code.to_string()))), (2, Some(text(&failure.text)))],
        ),
        Frame::Enrol(enrol) => typed(
            frame::ENROL,
            vec![
                (1, Some(text(&enrol.account))),
                (2, Some(text(&enrol.password))),
                (3, Some(text(&enrol.device))),
            ],
        ),
        Frame::Status(query) => typed(
            frame::STATUS,
            match query {
                StatusQuery::Latest { before, limit } => {
                    vec![(1, Some(uint(*before))), (2, Some(uint(*limit)))]
                }
                StatusQuery::Of(identity) => vec![(3, Some(bytes(identity.as_bytes())))],
            },
        ),
        Frame::StatusList(records) => typed(
            frame::STATUS_LIST,
            vec![(1, Some(Value::Array(records.iter().map(status_value).collect())))],
        ),
        Frame::Mailbox { after, limit } => {
            typed(frame::MAILBOX, vec![(1, Some(uint(*after))), (2, Some(uint(*limit)))])
        }
        Frame::MailboxList(entries) => typed(
            frame::MAILBOX_LIST,
            vec![(1, Some(Value::Array(entries.iter().map(entry_value).collect())))],
        ),
        Frame::Fetch { identity, selection } => typed(
            frame::FETCH,
            vec![(1, Some(bytes(identity.as_bytes()))), (2, Some(selection_value(selection)))],
        ),
        Frame::Devices => typed(frame::DEVICES, Vec::new()),
        Frame::DeviceList(devices) => typed(
            frame::DEVICE_LIST,
            vec![(1, Some(Value::Array(devices.iter().map(device_value).collect())))],
        ),
        Frame::Held { after, limit } => typed(frame::HELD, held::held_entries(*after, *limit)),
        Frame::HeldList(entries) => typed(
            frame::HELD_LIST,
            vec![(1, Some(Value::Array(entries.iter().map(held::entry_value).collect())))],
        ),
        Frame::Decide(decide) => typed(frame::DECIDE, held::decide_entries(decide)),
        Frame::RemoveDevice(key) => typed(frame::REMOVE_DEVICE, vec![(1, Some(bytes(key)))]),
        Frame::Doorstep { port } => typed(frame::DOORSTEP, vec![(1, Some(uint((*port).into())))]),
        Frame::DoorstepLease(lease) => typed(
            frame::DOORSTEP_LEASE,
            vec![
                (1, Some(uint(lease.seconds.into()))),
                (2, Some(text(&lease.address))),
                (3, Some(bytes(&lease.ticket_key))),
            ],
        ),
        Frame::DoorstepTook(taken) => typed(
            frame::DOORSTEP_TOOK,
            vec![(1, Some(Value::Array(taken.iter().map(taken_value).collect())))],
        ),
        Frame::DoorstepEnd => typed(frame::DOORSTEP_END, Vec::new()),
        Frame::Key(query) => typed(frame::KEY, keys::query_entries(query)),
        Frame::KeyAnswer(reply) => typed(frame::KEY_ANSWER, keys::reply_entries(reply)),
        Frame::KeyPublish(publish) => typed(frame::KEY_PUBLISH, keys::publish_entries(publish)),
        Frame::KeyPinned { address, forget } => typed(
            frame::KEY_PINNED,
            vec![(1, Some(text(&address.to_string()))), (2, forget.then_some(Value::Bool(true)))],
        ),
        Frame::KeyPins(pins) => typed(frame::KEY_PINS, keys::pins_entries(pins)),
    }
}

fn offer_entries(offer: &Offer) -> Vec<(i64, Option<Value>)> {
    let envelope = &offer.envelope;
    let trace =
        envelope.trace.iter().map(|hop| Value::Array(vec![text(hop.by.as_str()), uint(hop.at)])).collect();
    let submission = offer.submission.as_ref().map(|options| {
        map([
            (1, options.sign_only.then_some(Value::Bool(true))),
            (2, Some(uint(options.release_after_seconds))),
            (3, options.token.as_ref().map(|token| bytes(token))),
        ])
    });
    vec![
        (1, Some(bytes(envelope.identity.as_bytes()))),
        (2, Some(uint(envelope.octets))),
        (3, Some(Value::Array(envelope.issuers.iter().map(|issuer| text(issuer)).collect()))),
        (
            4,
            Some(Value::Array(
                envelope.recipients.iter().map(|address| text(&address.to_string())).collect(),
            )),
        ),
        (5, Some(Value::Array(trace))),
        (
            6,
            Some(uint(match offer.eager {
                Eager::Nothing => eager::NOTHING,
                Eager::Headers => eager::HEADERS,
                Eager::All => eager::ALL,
            })),
        ),
        (7, submission),
        (
            8,
            match &offer.way {
                Way::Ticket(ticket) => Some(bytes(ticket)),
                _ => None,
            },
        ),
        (9, matches!(offer.way, Way::RedirectFailed).then_some(Value::Bool(true))),
    ]
}

fn content_entries(head: &ContentHead) -> Vec<(i64, Option<Value>)> {
    let (number, place) = match head.piece {
        Piece::Manifest => (piece::MANIFEST, None),
        Piece::Seals => (piece::SEALS, None),
        Piece::Headers => (piece::HEADERS, None),
        Piece::Body { part, from } => (piece::BODY, Some((part, from))),
        Piece::Slice { part, from } => (piece::SLICE, Some((part, from))),
    };
    vec![
        (1, Some(uint(number))),
        (2, Some(uint(head.octets))),
        (3, place.map(|(part, _)| uint(part as u64))),
        (4, place.map(|(_, from)| uint(from))),
        (5, head.last.then_some(Value::Bool(true))),
    ]
}

fn selection_value(wanted: &Selection) -> Value {
    let mut items = Vec::new();
    match wanted {
        Selection::All => items.push(uint(selection::ALL)),
        Selection::Headers => items.push(uint(selection::HEADERS)),
        Selection::Digest => items.push(uint(selection::DIGEST)),
        Selection::Signers => items.push(uint(selection::SIGNERS)),
        Selection::Text => items.push(uint(selection::TEXT)),
        Selection::Parts(parts) => {
            items.push(uint(selection::PARTS));
            items
                .extend(parts.iter().map(|(part, from)| Value::Array(vec![uint(*part as u64), uint(*from)])));
        }
        Selection::Range { part, offset, octets } => {
            items.extend([uint(selection::RANGE), uint(*part as u64), uint(*offset), uint(*octets)]);
        }
    }
    Value::Array(items)
}

fn disposition_value(what: &Disposition) -> Value {
    Value::Array(match what {
        Disposition::Accepted => vec![uint(disposition::ACCEPTED)],
        Disposition::Refused { code, text: reason } => {
            vec![uint(disposition::REFUSED), text(&code.to_string()), text(reason)]
        }
        Disposition::Pending { cookie, min_seconds, max_seconds, until } => vec![
            uint(disposition::PENDING),
            bytes(cookie.as_bytes()),
            uint((*min_seconds).into()),
            uint((*max_seconds).into()),
            uint(*until),
        ],
        Disposition::Deferred { code, after_seconds } => {
            vec![uint(disposition::DEFERRED), text(&code.to_string()), uint((*after_seconds).into())]
        }
        Disposition::Redirected(Redirect { address, port, key_digest, ticket, not_after }) => vec![
            uint(disposition::REDIRECTED),
            text(address),
            uint((*port).into()),
            bytes(key_digest),
            bytes(ticket),
            uint(*not_after),
        ],
        Disposition::Withdrawn => vec![uint(disposition::WITHDRAWN)],
        Disposition::Expired => vec![uint(disposition::EXPIRED)],
        Disposition::Relayed => vec![uint(disposition::RELAYED)],
    })
}

fn answer_value(answer: &CookieAnswer) -> Value {
    Value::Array(match answer {
        CookieAnswer::Unknown => vec![uint(answer::UNKNOWN)],
        CookieAnswer::Final(what) => vec![uint(answer::FINAL), disposition_value(what)],
        CookieAnswer::Pending { min_seconds, max_seconds, until } => {
            vec![
                uint(answer::PENDING),
                uint((*min_seconds).into()),
                uint((*max_seconds).into()),
                uint(*until),
            ]
        }
        CookieAnswer::Want(wanted) => vec![uint(answer::WANT), selection_value(wanted)],
    })
}

fn sealed_value(sealed: &Sealed) -> Value {
    Value::Array(vec![
        bytes(sealed.identity.as_bytes()),
        bytes(&sealed.header),
        Value::Array(sealed.seals.iter().map(|seal| bytes(seal)).collect()),
    ])
}

fn cookies_value(cookies: &[message::Cookie]) -> Value {
    Value::Array(cookies.iter().map(|cookie| bytes(cookie.as_bytes())).collect())
}

fn taken_value(taken: &Taken) -> Value {
    Value::Array(vec![
        bytes(taken.identity.as_bytes()),
        text(&taken.recipient.to_string()),
        text(taken.by.as_str()),
    ])
}

fn device_value(device: &Device) -> Value {
    Value::Array(vec![bytes(&device.public_key), text(&device.name), uint(device.enrolled_at_ms)])
}

fn status_value(record: &StatusRecord) -> Value {
    let recipients = record
        .recipients
        .iter()
        .map(|one| Value::Array(vec![text(&one.address.to_string()), disposition_value(&one.disposition)]))
        .collect();
    let attempts = record
        .attempts
        .iter()
        .map(|one| {
            let code = one.code.map_or(Value::Null, |code| text(&code.to_string()));
            Value::Array(vec![uint(one.at_ms), text(&one.host), text(&one.step), code, text(&one.text)])
        })
        .collect();
    map([
        (1, Some(uint(record.number))),
        (2, Some(bytes(record.identity.as_bytes()))),
        (3, Some(uint(record.at_ms))),
        (4, Some(uint(record.release_at_ms))),
        (5, Some(Value::Array(recipients))),
        (6, Some(Value::Array(attempts))),
    ])
}

fn entry_value(entry: &MailboxEntry) -> Value {
    let seals = entry.seals.iter().map(seal_words_value).collect();
    map([
        (1, Some(uint(entry.number))),
        (2, Some(bytes(entry.identity.as_bytes()))),
        (3, Some(text(&entry.recipient.to_string()))),
        (4, Some(uint(entry.at_ms))),
        (5, Some(text(&entry.origin))),
        (6, Some(Value::Bool(entry.seen))),
        (7, Some(Value::Array(seals))),
        (8, entry.author_key.map(|found| uint(found.number()))),
    ])
}

pub(crate) fn seal_words_value(seal: &SealWords) -> Value {
    Value::Array(vec![text(&seal.issuer), text(&seal.role), Value::Bool(seal.verified)])
}
