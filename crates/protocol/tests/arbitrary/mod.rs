//! Any frame that keeps the bounds.

use message::address::{Address, Domain};
use message::keys::AuthorKey;
use message::limits::LENGTH_MAX;
use message::{Code, Cookie, Disposition, Envelope, Hop, Identity, Redirect, Selection};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use waxwing_protocol::*;

fn text(octets: usize) -> impl Strategy<Value = String> {
    "[^\\p{Cc}]{0,40}".prop_map(move |mut text| {
        text.truncate(text.floor_char_boundary(octets));
        text
    })
}

fn identity() -> impl Strategy<Value = Identity> {
    any::<[u8; 32]>().prop_map(Identity::from_bytes)
}

fn cookie() -> impl Strategy<Value = Cookie> {
    any::<[u8; 32]>().prop_map(Cookie::from_bytes)
}

fn address() -> impl Strategy<Value = Address> {
    "[a-z0-9]{1,10}@[a-z]{1,10}\\.test".prop_map(|text| Address::from_wire(&text).expect("an address"))
}

fn code() -> impl Strategy<Value = Code> {
    (prop::sample::select(vec![2_u8, 4, 5]), 0_u16..1_000, 0_u16..1_000)
        .prop_map(|(class, subject, detail)| Code::new(class, subject, detail))
}

fn selection() -> impl Strategy<Value = Selection> {
    prop_oneof![
        Just(Selection::All),
        Just(Selection::Headers),
        Just(Selection::Digest),
        Just(Selection::Signers),
        Just(Selection::Text),
        proptest::collection::btree_map(0_usize..256, any::<u64>(), 1..257)
            .prop_map(|parts| Selection::Parts(parts.into_iter().collect())),
        (0_usize..256, any::<u64>(), 1_u64..=1 << 20).prop_map(|(part, offset, octets)| Selection::Range {
            part,
            offset,
            octets
        }),
    ]
}

fn last_disposition() -> impl Strategy<Value = Disposition> {
    prop_oneof![
        Just(Disposition::Accepted),
        (code(), text(512)).prop_map(|(code, text)| Disposition::Refused { code, text }),
        Just(Disposition::Withdrawn),
        Just(Disposition::Expired),
        Just(Disposition::Relayed),
    ]
}

fn disposition() -> impl Strategy<Value = Disposition> {
    let host = prop_oneof![
        any::<std::net::Ipv4Addr>().prop_map(|address| address.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|address| address.to_string()),
    ];
    let redirect = (host, any::<u16>(), any::<[u8; 32]>(), vec(any::<u8>(), 0..257), any::<u64>()).prop_map(
        |(address, port, key_digest, ticket, not_after)| {
            Disposition::Redirected(Redirect { address, port, key_digest, ticket, not_after })
        },
    );
    let pending = (cookie(), any::<u32>(), any::<u32>(), any::<u64>()).prop_map(
        |(cookie, min_seconds, max_seconds, until)| Disposition::Pending {
            cookie,
            min_seconds,
            max_seconds,
            until,
        },
    );
    let deferred = (code(), any::<u32>())
        .prop_map(|(code, after_seconds)| Disposition::Deferred { code, after_seconds });
    prop_oneof![last_disposition(), pending, deferred, redirect]
}

fn cookie_answer() -> impl Strategy<Value = CookieAnswer> {
    prop_oneof![
        Just(CookieAnswer::Unknown),
        last_disposition().prop_map(CookieAnswer::Final),
        (any::<u32>(), any::<u32>(), any::<u64>()).prop_map(|(min_seconds, max_seconds, until)| {
            CookieAnswer::Pending { min_seconds, max_seconds, until }
        }),
        selection().prop_map(CookieAnswer::Want),
    ]
}

fn offer() -> impl Strategy<Value = Offer> {
    let trace = vec(("[a-z]{1,10}\\.test", any::<u64>()), 0..33).prop_map(|hops| {
        hops.into_iter().map(|(by, at)| Hop { by: Domain::from_wire(&by).expect("a domain"), at }).collect()
    });
    let envelope = (identity(), any::<u64>(), vec(text(320), 0..17), btree_set(address(), 1..101), trace)
        .prop_map(|(identity, octets, issuers, recipients, trace)| Envelope {
            identity,
            octets,
            issuers,
            recipients: recipients.into_iter().collect(),
            trace,
        });
    let options = (any::<bool>(), any::<u64>(), any::<Option<[u8; 16]>>()).prop_map(
        |(sign_only, release_after_seconds, token)| SubmissionOptions {
            sign_only,
            release_after_seconds,
            token,
        },
    );
    let eager = prop::sample::select(vec![Eager::Nothing, Eager::Headers, Eager::All]);
    let way = prop_oneof![
        Just(Way::Plain),
        Just(Way::RedirectFailed),
        vec(any::<u8>(), 0..257).prop_map(Way::Ticket),
    ];
    (envelope, eager, option::of(options), way).prop_map(|(envelope, eager, submission, way)| Offer {
        envelope,
        eager,
        submission,
        way,
    })
}

fn content_head() -> impl Strategy<Value = ContentHead> {
    let piece = prop_oneof![
        Just(Piece::Manifest),
        Just(Piece::Seals),
        Just(Piece::Headers),
        (0_usize..256, any::<u64>()).prop_map(|(part, from)| Piece::Body { part, from }),
        (0_usize..256, any::<u64>()).prop_map(|(part, from)| Piece::Slice { part, from }),
    ];
    (piece, 0..=LENGTH_MAX, any::<bool>()).prop_map(|(piece, octets, last)| ContentHead {
        piece,
        octets,
        last,
    })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let sealed = (identity(), vec(any::<u8>(), 0..300), vec(vec(any::<u8>(), 0..300), 0..17))
        .prop_map(|(identity, header, seals)| Sealed { identity, header, seals });
    (vec(disposition(), 0..101), option::of(sealed))
        .prop_map(|(dispositions, sealed)| Outcome { dispositions, sealed })
}

fn status_record() -> impl Strategy<Value = StatusRecord> {
    let recipient = (address(), disposition())
        .prop_map(|(address, disposition)| StatusRecipient { address, disposition });
    let attempt = (any::<u64>(), text(300), text(100), option::of(code()), text(512))
        .prop_map(|(at_ms, host, step, code, text)| StatusAttempt { at_ms, host, step, code, text });
    (any::<u64>(), identity(), any::<u64>(), any::<u64>(), vec(recipient, 0..5), vec(attempt, 0..5)).prop_map(
        |(number, identity, at_ms, release_at_ms, recipients, attempts)| StatusRecord {
            number,
            identity,
            at_ms,
            release_at_ms,
            recipients,
            attempts,
        },
    )
}

fn mailbox_entry() -> impl Strategy<Value = MailboxEntry> {
    let words = (text(512), text(32), any::<bool>()).prop_map(|(issuer, role, verified)| SealWords {
        issuer,
        role,
        verified,
    });
    (any::<u64>(), identity(), address(), any::<u64>(), text(320), any::<bool>(), vec(words, 0..17)).prop_map(
        |(number, identity, recipient, at_ms, origin, seen, seals)| MailboxEntry {
            number,
            identity,
            recipient,
            at_ms,
            origin,
            seen,
            seals,
            author_key: AuthorKey::from_number(number % 9),
        },
    )
}

fn choice() -> impl Strategy<Value = Choice> {
    let fatal = (0_u16..1_000, 0_u16..1_000).prop_map(|(subject, detail)| Code::new(5, subject, detail));
    prop_oneof![
        any::<bool>().prop_map(|trust| Choice::Accept { trust }),
        option::of(fatal).prop_map(|code| Choice::Refuse { code }),
        Just(Choice::Block),
    ]
}

fn held_entry() -> impl Strategy<Value = HeldEntry> {
    let told = (option::of(text(512)), option::of(text(512)), option::of(text(512)));
    let numbers = any::<[u64; 6]>();
    (identity(), address(), numbers, text(320), text(512), any::<bool>(), told).prop_map(
        |(identity, recipient, numbers, origin, reason, accepted, (from, subject, date))| HeldEntry {
            place: (numbers[0], numbers[1]),
            identity,
            recipient,
            since_ms: numbers[2],
            until_ms: numbers[3],
            origin,
            reason,
            octets: numbers[4],
            octets_missing: numbers[5],
            accepted,
            seals: Vec::new(),
            from,
            subject,
            date,
            author_key: AuthorKey::from_number(numbers[0] % 9),
        },
    )
}

fn key() -> impl Strategy<Value = Frame> {
    let way = || vec(any::<[u8; 32]>(), 0..35);
    let record = (vec(any::<u8>(), 0..100), any::<u64>(), way());
    let reply = (vec(any::<u8>(), 0..100), vec(record, 0..25), way())
        .prop_map(|(head, records, consistency)| KeyReply { head, records, consistency });
    let pin = (any::<[u8; 32]>(), any::<u64>(), any::<u64>(), any::<bool>())
        .prop_map(|(key, not_before, not_after, revoked)| PinWords { key, not_before, not_after, revoked });
    let signed = || vec(any::<u8>(), 0..1_025);
    prop_oneof![
        (address(), any::<Option<u64>>())
            .prop_map(|(address, seen_size)| Frame::Key(KeyQuery { address, seen_size })),
        reply.prop_map(|reply| Frame::KeyAnswer(Box::new(reply))),
        (signed(), option::of(signed()))
            .prop_map(|(statement, succession)| Frame::KeyPublish(KeyPublish { statement, succession })),
        (address(), any::<bool>()).prop_map(|(address, forget)| Frame::KeyPinned { address, forget }),
        (vec(pin, 0..5), any::<Option<[u8; 32]>>())
            .prop_map(|(keys, broken_by)| Frame::KeyPins(KeyPins { keys, broken_by })),
    ]
}

fn doorstep() -> impl Strategy<Value = Frame> {
    let lease = (any::<u32>(), any::<std::net::IpAddr>(), any::<[u8; 32]>()).prop_map(
        |(seconds, address, ticket_key)| {
            Frame::DoorstepLease(DoorstepLease { seconds, address: address.to_string(), ticket_key })
        },
    );
    let taken = (identity(), address(), "[a-z]{1,10}\\.test").prop_map(|(identity, recipient, by)| Taken {
        identity,
        recipient,
        by: Domain::from_wire(&by).expect("a domain"),
    });
    prop_oneof![
        any::<u16>().prop_map(|port| Frame::Doorstep { port }),
        lease,
        vec(taken, 1..101).prop_map(Frame::DoorstepTook),
        Just(Frame::DoorstepEnd),
    ]
}

/// Any frame.
pub(crate) fn any_frame() -> impl Strategy<Value = Frame> {
    let settings = (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(
        |(eager_octets, part_octets_max, recipients_max)| {
            Frame::Settings(Settings { eager_octets, part_octets_max, recipients_max })
        },
    );
    let enrol = (text(254), text(1_024), text(254))
        .prop_map(|(account, password, device)| Frame::Enrol(Enrol { account, password, device }));
    let requests =
        prop_oneof![
            vec(cookie(), 0..1_001).prop_map(Frame::Poll),
            vec(cookie(), 0..1_001).prop_map(Frame::Settled),
            vec(cookie(), 0..1_001).prop_map(Frame::GiveUp),
            enrol,
            (any::<u64>(), 0_u64..=100)
                .prop_map(|(before, limit)| Frame::Status(StatusQuery::Latest { before, limit })),
            identity().prop_map(|identity| Frame::Status(StatusQuery::Of(identity))),
            (any::<u64>(), 0_u64..=100).prop_map(|(after, limit)| Frame::Mailbox { after, limit }),
            (identity(), selection()).prop_map(|(identity, selection)| Frame::Fetch { identity, selection }),
            (option::of((any::<u64>(), any::<u64>())), 0_u64..=100)
                .prop_map(|(after, limit)| Frame::Held { after, limit }),
            vec(held_entry(), 0..4).prop_map(Frame::HeldList),
            (identity(), address(), choice()).prop_map(|(identity, recipient, choice)| Frame::Decide(
                Decide { identity, recipient, choice }
            )),
            Just(Frame::Devices),
            vec((any::<[u8; 32]>(), text(254), any::<u64>()), 0..33).prop_map(|devices| {
                let device = |(public_key, name, enrolled_at_ms)| Device { public_key, name, enrolled_at_ms };
                Frame::DeviceList(devices.into_iter().map(device).collect())
            }),
            any::<[u8; 32]>().prop_map(Frame::RemoveDevice),
        ];
    prop_oneof![
        settings,
        requests,
        doorstep(),
        key(),
        offer().prop_map(|offer| Frame::Offer(Box::new(offer))),
        content_head().prop_map(Frame::Content),
        selection().prop_map(Frame::Want),
        outcome().prop_map(Frame::Outcome),
        vec(cookie_answer(), 0..40).prop_map(Frame::Answers),
        Just(Frame::Done),
        (code(), text(512)).prop_map(|(code, text)| Frame::Failure(Failure { code, text })),
        vec(status_record(), 0..6).prop_map(Frame::StatusList),
        vec(mailbox_entry(), 0..6).prop_map(Frame::MailboxList),
    ]
}
