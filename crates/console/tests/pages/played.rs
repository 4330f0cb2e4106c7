//! A node that is played, whose texts are all hostile.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use control::{
    Answer, AuthorView, EnvelopeView, Failure, FailureKind, FlowView, HeldDetailView, HeldPlace, HeldState,
    HeldView, LaneAgesView, LegView, MailDetailView, MailView, Operator, PartView, RecipientView, Request,
    Response, SealView, SentView,
};
use data_encoding::BASE64;

use crate::EVIL;

/// A node that knows ann and bob, whose texts are all hostile, and which remembers what it was asked.
#[derive(Default)]
pub(crate) struct Played {
    pub(crate) asked: Mutex<Vec<Request>>,
    /// How the accounts stand; changed when a password is.
    pub(crate) generation: AtomicU64,
    /// An account that was removed.
    pub(crate) removed: Mutex<Option<String>>,
    /// The HTML of each message, where it is another than usual.
    pub(crate) html: Mutex<Option<String>>,
    /// What is held, where it is another than usual.
    pub(crate) held: Mutex<Option<HeldView>>,
}

impl Played {
    fn standing(&self, name: &str) -> Option<String> {
        let removed = self.removed.lock().unwrap().as_deref() == Some(name);
        (!removed).then(|| format!("{name} {}", self.generation.load(Ordering::SeqCst)))
    }
}

impl Operator for Played {
    fn handle(&self, request: Request) -> Answer<'_> {
        if let Request::AccountStanding { name } = &request {
            let standing = self.standing(name);
            return Box::pin(async move { Response::Standing { standing } });
        }
        self.asked.lock().unwrap().push(request.clone());
        let mut answer = answer(request);
        if let Response::LoggedIn { account, standing, .. } = &mut answer {
            *standing = self.standing(account);
        }
        if let (Response::Mail(detail), Some(html)) = (&mut answer, &*self.html.lock().unwrap()) {
            detail.html = Some(html.clone());
        }
        if let (Response::HeldList { held }, Some(one)) = (&mut answer, &*self.held.lock().unwrap()) {
            *held = vec![one.clone()];
        }
        Box::pin(async move { answer })
    }
}

fn seal() -> SealView {
    let evil = EVIL.to_owned();
    SealView {
        issuer: evil.clone(),
        role: evil.clone(),
        verified: true,
        key_name: evil.clone(),
        key: Some(evil.clone()),
        author_key: Some(evil.clone()),
        said: Some(evil),
    }
}

fn author() -> AuthorView {
    AuthorView {
        regard: Some("known".to_owned()),
        regard_of: Some(EVIL.to_owned()),
        since_ms: Some(1),
        warnings: vec![EVIL.to_owned()],
        ..AuthorView::default()
    }
}

fn mail(number: u64) -> MailView {
    MailView {
        number,
        identity: "ab".repeat(32),
        recipient: "ann@north.test".to_owned(),
        received_at_ms: 1,
        origin: EVIL.to_owned(),
        octets: 5_000,
        from: Some(format!("{EVIL} <bob@south.test>")),
        subject: Some(EVIL.to_owned()),
        attachments: 1,
        seals: vec![seal()],
        author: Some(author()),
        ..MailView::default()
    }
}

fn envelope() -> EnvelopeView {
    EnvelopeView {
        number: 7,
        identity: "ab".repeat(32),
        octets: 1,
        origin: EVIL.to_owned(),
        accepted_at_ms: 1,
        closed_at_ms: None,
        trace: vec![format!("{EVIL} 5")],
        recipients: vec![RecipientView {
            address: EVIL.to_owned(),
            disposition: "refused".to_owned(),
            code: Some("5.7.1".to_owned()),
            text: Some(EVIL.to_owned()),
            why: Some(EVIL.to_owned()),
            waits: Some(EVIL.to_owned()),
        }],
        attempts: vec![control::AttemptView {
            at_ms: 1,
            host: EVIL.to_owned(),
            recipient: Some(EVIL.to_owned()),
            step: EVIL.to_owned(),
            code: None,
            text: EVIL.to_owned(),
            took_ms: 1,
        }],
    }
}

fn leg() -> LegView {
    LegView {
        number: 3,
        lane: EVIL.to_owned(),
        envelope: 7,
        identity: "ab".repeat(32),
        octets: 1,
        origin: EVIL.to_owned(),
        state: "waiting".to_owned(),
        due_at_ms: 1,
        accepted_at_ms: 1,
        expires_at_ms: 1,
        tries: 1,
        recipients: envelope().recipients,
        attempts: envelope().attempts,
    }
}

pub(crate) fn held(account: &str) -> HeldView {
    HeldView {
        place: HeldPlace { envelope: 7, recipient: 0 },
        identity: "ab".repeat(32),
        recipient: format!("{account}@north.test"),
        account: Some(account.to_owned()),
        origin: EVIL.to_owned(),
        from: Some(EVIL.to_owned()),
        subject: Some(EVIL.to_owned()),
        date: None,
        reason: EVIL.to_owned(),
        seals: vec![seal()],
        author: Some(author()),
        octets_here: 1,
        octets: 4_000,
        octets_missing: 3_999,
        since_ms: 1,
        until_ms: 2,
        state: HeldState::Undecided,
    }
}

fn record() -> control::PeerRecordView {
    control::PeerRecordView {
        domain: EVIL.to_owned(),
        first_seen_ms: 1,
        last_seen_ms: 2,
        accepted: 3,
        refused: 4,
        held: 5,
        declined: 6,
        complaints: 7,
    }
}

fn answer(request: Request) -> Response {
    match request {
        Request::Login { account, password, .. } if password.reveal() == "right" => {
            let addresses = vec!["ann@north.test".to_owned()];
            Response::LoggedIn { account, addresses, standing: None }
        }
        Request::Login { .. } => Response::Failure(Failure::new(FailureKind::Invalid, EVIL)),
        Request::MailList { before, limit, .. } => {
            let first = before.unwrap_or(1_000_001) - 1;
            Response::Mails { mails: (0..u64::from(limit)).map(|back| mail(first - back)).collect() }
        }
        Request::MailShow { number, .. } => Response::Mail(Box::new(MailDetailView {
            mail: mail(number),
            fields: vec![(EVIL.to_owned(), EVIL.to_owned())],
            text: Some(EVIL.to_owned()),
            html: Some(format!("<p>hello</p>{EVIL}")),
            cut: false,
            parts: vec![PartView {
                number: 2,
                media_type: "text/html".to_owned(),
                octets: 600_000,
                name: Some("../a\u{202e}lmth.\"exe".to_owned()),
                here: true,
                shown: false,
            }],
        })),
        Request::MailPart { offset, .. } => {
            let octets = 600_000_u64;
            let piece = (octets - offset).min(u64::from(control::limits::PIECE_OCTETS_MAX));
            Response::Piece { octets, base64: BASE64.encode(&vec![b'x'; piece as usize]) }
        }
        Request::Sent { .. } | Request::SentShow { .. } => Response::Sent {
            sent: vec![SentView {
                envelope: envelope(),
                subject: Some(EVIL.to_owned()),
                release_at_ms: None,
            }],
        },
        Request::HeldList { account, .. } => Response::HeldList { held: vec![held(&account.unwrap())] },
        Request::HeldShow { recipient, .. } => {
            let account = recipient.unwrap().split('@').next().unwrap().to_owned();
            Response::Held(Box::new(HeldDetailView {
                held: held(&account),
                checked: EVIL.to_owned(),
                sealed: false,
                headers: vec![(EVIL.to_owned(), EVIL.to_owned())],
                text: Some(EVIL.to_owned()),
                text_is_cut: true,
                parts: Vec::new(),
            }))
        }
        Request::HeldDecide { .. } => {
            Response::HeldDecided { disposition: "accepted".to_owned(), octets_missing: 0 }
        }
        Request::Status => Response::Status(Box::default()),
        Request::QueueAges { .. } => Response::Ages {
            lanes: vec![LaneAgesView {
                lane: EVIL.to_owned(),
                count: 3,
                ages: [1, 0, 0, 0, 1, 1],
                held: 1,
                next_due_ms: None,
                last_error: Some(EVIL.to_owned()),
            }],
            lanes_more: 2,
        },
        Request::QueueList { .. } => Response::Legs { legs: vec![leg()] },
        Request::QueueShow { .. } => Response::Leg(Box::new(leg())),
        Request::Trace { .. } => Response::Envelopes {
            envelopes: vec![envelope()],
            refusals: vec![control::RefusalView {
                at_ms: 1,
                identity: "ab".repeat(32),
                origin: EVIL.to_owned(),
                recipient: EVIL.to_owned(),
                code: EVIL.to_owned(),
                text: EVIL.to_owned(),
                why: EVIL.to_owned(),
            }],
        },
        Request::Watch { .. } => Response::Flow {
            events: vec![FlowView {
                number: 1,
                at_ms: 1,
                kind: EVIL.to_owned(),
                identity: Some("ab".repeat(32)),
                recipient: Some(EVIL.to_owned()),
                by: None,
                text: EVIL.to_owned(),
            }],
            last: 1,
        },
        Request::Peers => Response::Peers { peers: Vec::new() },
        Request::PeerRecords { .. } => Response::PeerRecords { peers: vec![record()] },
        Request::PeerRecord { .. } => Response::PeerRecord(Box::new(control::PeerDetailView {
            domain: EVIL.to_owned(),
            grade: EVIL.to_owned(),
            reasons: vec![EVIL.to_owned()],
            questions: vec![control::PeerQuestionView {
                question: EVIL.to_owned(),
                name: EVIL.to_owned(),
                answer: EVIL.to_owned(),
                counts: EVIL.to_owned(),
            }],
            until_ms: None,
            record: Some(record()),
            limits: vec![control::LimitView { limit: EVIL.to_owned(), used: 1, of: 2 }],
        })),
        Request::PolicyShow => Response::Policy(Box::new(control::PolicyView {
            octets_max: 1,
            rules: vec![control::RuleView {
                name: EVIL.to_owned(),
                conditions: vec![EVIL.to_owned()],
                action: EVIL.to_owned(),
            }],
            default: EVIL.to_owned(),
        })),
        Request::PolicyExplain { .. } => Response::Explanation(Box::new(control::ExplanationView {
            identity: "ab".repeat(32),
            recipient: EVIL.to_owned(),
            origin: EVIL.to_owned(),
            verdict: EVIL.to_owned(),
            rule: EVIL.to_owned(),
            evidence: EVIL.to_owned(),
            steps: vec![control::StepView {
                rule: EVIL.to_owned(),
                tried: EVIL.to_owned(),
                conditions: vec![control::ConditionView {
                    condition: EVIL.to_owned(),
                    holds: None,
                    evidence: EVIL.to_owned(),
                }],
            }],
        })),
        Request::Correspondents { .. } => Response::Correspondents {
            correspondents: vec![control::CorrespondentView {
                who: EVIL.to_owned(),
                regard: "known".to_owned(),
                since_ms: 1,
                note: EVIL.to_owned(),
                seal: Some(seal()),
                keys: vec![EVIL.to_owned()],
                broken_by: Some(EVIL.to_owned()),
                sealed_at_ms: Some(1),
            }],
        },
        Request::Forward { order: control::ForwardOrder::List { .. } } => Response::Forwards {
            forwards: vec![control::ForwardView {
                alias: EVIL.to_owned(),
                target: EVIL.to_owned(),
                state: EVIL.to_owned(),
                since_ms: 1,
                conceal: true,
                keep_sender: false,
                authorization: Some(EVIL.to_owned()),
                ask_again_at_ms: None,
                note: EVIL.to_owned(),
                complaints: 1,
                page: EVIL.to_owned(),
            }],
        },
        Request::Forward { order: control::ForwardOrder::Grants { .. } } => Response::Grants {
            grants: vec![control::GrantView {
                number: 1,
                recipient: EVIL.to_owned(),
                forwarder: EVIL.to_owned(),
                state: EVIL.to_owned(),
                since_ms: 1,
                automatic: false,
                by: EVIL.to_owned(),
                alias: Some(EVIL.to_owned()),
                page: Some(EVIL.to_owned()),
                complain: false,
            }],
        },
        Request::Forward { order: control::ForwardOrder::Walk { .. } } => Response::Chain {
            hops: vec![control::ChainHopView {
                page: EVIL.to_owned(),
                alias: Some(EVIL.to_owned()),
                target: Some(EVIL.to_owned()),
                state: None,
                trouble: Some(EVIL.to_owned()),
            }],
        },
        Request::Accounts { .. } => Response::Accounts { accounts: Vec::new() },
        Request::Alerts => Response::Alerts { alerts: Vec::new() },
        Request::Domains => Response::Domains {
            domains: Vec::new(),
            host: EVIL.to_owned(),
            pin: EVIL.to_owned(),
            records: vec![EVIL.to_owned()],
        },
        _ => Response::Done,
    }
}
