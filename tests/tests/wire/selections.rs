//! Every selection, asked for by a receiver of the test's own of a real sending node.

use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use message::slice::verify_slice;
use message::{Code, Disposition, Identity, Message, Selection};
use protocol::{AnsweringEvent, Failure, Frame, Outcome, Settings, encode};
use transport::{
    Alpn, Handler, Later, Limits, Link, OfferSession, Reply, Server, ServerIdentity, Service, Session,
    Socket, Step,
};
use waxwing_tests::{Site, World, letter_with};

/// What was wanted, and what came of it.
type Gathered = Arc<Mutex<Vec<(Option<Selection>, Vec<AnsweringEvent>)>>>;

/// Asks for one selection after the other, and then takes the message.
#[derive(Clone)]
struct Asker {
    settings: Settings,
    wants: Vec<Selection>,
    gathered: Gathered,
}

impl Handler for Asker {
    fn settings(&self) -> Settings {
        self.settings
    }

    fn meet<'a>(&'a self, _: &'a Link) -> Later<'a, Result<Arc<dyn Session>, Failure>> {
        Box::pin(async { Ok(Arc::new(self.clone()) as Arc<dyn Session>) })
    }
}

impl Session for Asker {
    fn offer(&self) -> Box<dyn OfferSession> {
        let mut asker = self.clone();
        asker.wants.reverse();
        Box::new(asker)
    }

    fn ask(&self, _: Frame) -> Later<'_, Reply> {
        let failure = Failure { code: Code::INVALID_COMMAND, text: "nothing is asked here".to_owned() };
        Box::pin(async { Reply::Frame(Frame::Failure(failure)) })
    }
}

impl OfferSession for Asker {
    fn handle(&mut self, event: AnsweringEvent) -> Later<'_, Result<Step, Failure>> {
        Box::pin(async move {
            let mut gathered = self.gathered.lock().unwrap();
            if !matches!(event, AnsweringEvent::Supplied) {
                if gathered.is_empty() {
                    gathered.push((None, Vec::new()));
                }
                gathered.last_mut().unwrap().1.push(event);
                return Ok(Step::Continue);
            }
            match self.wants.pop() {
                Some(wanted) => {
                    gathered.push((Some(wanted.clone()), Vec::new()));
                    Ok(Step::Want(wanted))
                }
                None => Ok(Step::Answer(Outcome { dispositions: vec![Disposition::Accepted], sealed: None })),
            }
        })
    }
}

/// Has a real node send a message to a receiver that asks for these selections.
async fn ask_for(message: &Message, wants: &[Selection], eager_octets: u64) -> (Gathered, Identity) {
    let mut world = World::new(&[Site::new("north.test"), Site::new("hand.test")]).await;
    let settings = Settings { eager_octets, ..Settings::default() };
    let server = Server::bind(
        Socket::bind(world.address("hand.test")).unwrap(),
        &ServerIdentity::from(world.host_key("hand.test")),
        vec![Service { alpn: Alpn::Exchange, settings: encode(&Frame::Settings(settings)) }],
        &Limits::default(),
    )
    .unwrap();
    let asker = Asker { settings, wants: wants.to_vec(), gathered: Gathered::default() };
    tokio::spawn(transport::serve(server, Limits::default(), Arc::new(asker.clone())));
    world.start("north.test").await;
    let mut alice = world.user("alice@north.test").await;
    let identity = alice.send(message, &["x@hand.test"]).await;
    let settled = world.events("north.test").settled(identity, "x@hand.test").await;
    assert_eq!(settled, Disposition::Accepted);
    (asker.gathered, identity)
}

/// A text, its HTML, and a picture of a hundred thousand octets.
fn message() -> Message {
    let picture: Vec<u8> = (0..100_000_u32).map(|octet| (octet * 31 % 251) as u8).collect();
    letter_with(
        &[
            ("From", "alice@north.test"),
            ("Subject", "All of it"),
            ("Date", "Thu, 1 Jan 2026 12:00:00 +0000"),
            ("Message-Id", "<1@letter.test>"),
        ],
        &[("text/plain", b"The text"), ("text/html", b"<p>The text"), ("image/png", &picture)],
    )
}

/// The names of what came, in their order, and the bodies put together.
fn summary(events: &[AnsweringEvent]) -> (Vec<String>, Vec<Bytes>) {
    let (mut names, mut bodies) = (Vec::new(), Vec::<BytesMut>::new());
    for event in events {
        match event {
            AnsweringEvent::Offered(_) => names.push("offer".to_owned()),
            AnsweringEvent::Manifest(_) => names.push("manifest".to_owned()),
            AnsweringEvent::Seals(_) => names.push("seals".to_owned()),
            AnsweringEvent::Headers(_) => names.push("headers".to_owned()),
            AnsweringEvent::BodyStart { part, from } => {
                names.push(format!("body {part} from {from}"));
                bodies.push(BytesMut::new());
            }
            AnsweringEvent::Body(octets) => bodies.last_mut().unwrap().extend_from_slice(octets),
            AnsweringEvent::Slice { part, from, .. } => names.push(format!("slice {part} from {from}")),
            _ => {}
        }
    }
    (names, bodies.into_iter().map(BytesMut::freeze).collect())
}

/// proves: EXC-2, EXC-4, EXC-10, ADDR-22
#[tokio::test]
async fn every_selection_brings_what_it_says() {
    let message = message();
    let range = Selection::Range { part: 3, offset: 40_000, octets: 20_001 };
    let headers = ["manifest", "seals", "headers"];
    let cases: Vec<(Selection, Vec<&str>)> = vec![
        (Selection::Digest, vec![]),
        (Selection::Signers, vec!["seals"]),
        (Selection::Headers, headers.to_vec()),
        (Selection::Text, [&headers[..], &["body 1 from 0"]].concat()),
        (Selection::Parts(vec![(3, 50_000), (1, 0)]), vec!["body 3 from 50000", "body 1 from 0"]),
        (Selection::Parts(vec![(2, 0)]), vec!["body 2 from 0"]),
        (range.clone(), vec!["slice 3 from 40000"]),
        (Selection::All, [&headers[..], &["body 1 from 0", "body 2 from 0", "body 3 from 0"]].concat()),
    ];
    let wants: Vec<Selection> = cases.iter().map(|(selection, _)| selection.clone()).collect();
    let (gathered, identity) = ask_for(&message, &wants, 0).await;
    assert_eq!(identity, message.identity());
    let gathered = gathered.lock().unwrap().clone();
    let [(None, offered), gathered @ ..] = &gathered[..] else { panic!("an offer comes first") };
    assert_eq!(summary(offered).0, ["offer"], "with a window of 0 nothing comes unasked");
    assert_eq!(gathered.len(), cases.len());
    let whole = message.bodies();
    let bodies: Vec<Vec<Bytes>> = vec![
        vec![],
        vec![],
        vec![],
        vec![whole[0].clone()],
        vec![whole[2].slice(50_000..), whole[0].clone()],
        vec![whole[1].clone()],
        vec![],
        whole.to_vec(),
    ];
    for (((selection, names), bodies), (wanted, events)) in cases.iter().zip(bodies).zip(gathered) {
        assert_eq!(wanted.as_ref(), Some(selection));
        assert_eq!(summary(events), (names.iter().map(|name| (*name).to_owned()).collect(), bodies));
        for event in events {
            check_event(event, &message);
        }
    }
}

/// Each piece against the message: the range by its proof alone.
fn check_event(event: &AnsweringEvent, message: &Message) {
    match event {
        AnsweringEvent::Manifest(manifest) => assert_eq!(manifest.identity(), message.identity()),
        AnsweringEvent::Headers(headers) => assert_eq!(**headers, *message.headers()),
        AnsweringEvent::Seals(seals) => {
            let issuers: Vec<&str> = seals.iter().map(|seal| seal.claims().issuer.as_str()).collect();
            assert_eq!(issuers, ["north.test"]);
        }
        AnsweringEvent::Slice { slice, .. } => {
            let digest = message.manifest().part(3).unwrap().leaf().unwrap();
            let found = verify_slice(digest.as_bytes(), 100_000, 40_000, 20_001, slice).unwrap();
            assert_eq!(found, message.bodies()[2][40_000..60_001]);
            let mut damaged = slice.to_vec();
            damaged[0] ^= 1;
            assert!(verify_slice(digest.as_bytes(), 100_000, 40_000, 20_001, &damaged).is_err());
        }
        _ => {}
    }
}

/// What comes unasked follows from the window alone.
///
/// proves: EXC-3
#[tokio::test]
async fn the_eager_window_decides_what_comes_unasked() {
    let message = message();
    // More than manifest, seals and headers, and less than the whole.
    let (gathered, _) = ask_for(&message, &[], 50_000).await;
    assert_eq!(summary(&gathered.lock().unwrap()[0].1).0, ["offer", "manifest", "seals", "headers"]);
    let (gathered, _) = ask_for(&message, &[], 200_000).await;
    let (names, bodies) = summary(&gathered.lock().unwrap()[0].1);
    assert_eq!(names[1..4], ["manifest", "seals", "headers"]);
    assert_eq!(bodies, message.bodies());
}
