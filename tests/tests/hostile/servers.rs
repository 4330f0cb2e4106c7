//! Servers that break rules, and a node that sends to them: what it makes of their answers is what `spec/06` and `08`
//! say, nothing is lost, and mail for others goes on.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use message::{Disposition, Identity};
use node::Event;
use protocol::{Frame, Item, Reader, Settings, encode};
use transport::{Alpn, Code as Ended, Limits, Link, Pace, RecvStream, SendStream, Server, Service, Socket};
use waxwing_tests::{Site, User, World, letter};

use crate::octets::{array, bytes, fields, frame, uint, varint};
use crate::scene::{Held, Peak, alone};
use crate::server_cases::{Act, Case, Fate, accepted, answers, cases, cookie, outcome, pending, redirect};

/// How long a case is watched in which something must not happen again and again.
const WATCHED: Duration = Duration::from_secs(4);
const FILES_MAX: usize = 16;
const GROWN_KIB_MAX: u64 = 64 * 1024;
/// Cases that there are at the least.
const CASES_MIN: usize = 60;

/// What was seen of one case.
#[derive(Debug, Clone, Default)]
struct Seen {
    offers: usize,
    polls: usize,
    /// How the client ended the stream of its first offer: with this number, or in order.
    ended: Option<Option<u64>>,
}

type Scripts = Arc<Vec<(Case, Mutex<Seen>)>>;

/// A server in the place of a domain's node, which does as it is told in the local part of the first recipient.
fn serve(world: &World, domain: &str, settings: Vec<u8>, scripts: Scripts) -> tokio::task::JoinHandle<()> {
    let socket = Socket::bind(world.address(domain)).unwrap();
    let services = vec![Service { alpn: Alpn::Exchange, settings: settings.into() }];
    let limits = Limits { stall_time: Duration::from_secs(60), ..Limits::default() };
    let server = Server::bind(socket, &world.host_key(domain).into(), services, &limits).unwrap();
    tokio::spawn(async move {
        while let Some(arriving) = server.accept().await {
            let (scripts, limits) = (scripts.clone(), limits.clone());
            tokio::spawn(async move {
                let Ok(link) = arriving.authenticated().await else { return };
                while let Ok((send, receive)) = link.accept_bi().await {
                    tokio::spawn(answer(scripts.clone(), Pace::start(&limits), link.clone(), send, receive));
                }
            });
        }
    })
}

async fn answer(scripts: Scripts, pace: Pace, link: Link, mut send: SendStream, mut receive: RecvStream) {
    let mut reader = Reader::new();
    let first = loop {
        match reader.next_item() {
            Ok(Some(Item::Frame(frame))) => break frame,
            Ok(_) => {}
            Err(error) => panic!("our own client: {error}"),
        }
        let Ok(Some(octets)) = pace.read(&mut receive, 1 << 16).await else { return };
        reader.push(&octets);
    };
    let (number, acts) = match &first {
        Frame::Offer(offer) => {
            let number: usize = offer.envelope.recipients[0].local().as_str()[1..].parse().unwrap();
            let (case, seen) = &scripts[number];
            let mut seen = seen.lock().unwrap();
            seen.offers += 1;
            let behaves = seen.offers > 1 && case.fate == Fate::Again;
            let good = vec![Act::Say(outcome(&[accepted()]))];
            (number, if behaves { good } else { case.offered.clone() })
        }
        // What a case says is about one cookie. Who asks about several at once is told to come again: they do not stay together.
        Frame::Poll(cookies) if cookies.len() > 1 => {
            let later = array(&[uint(2), uint(1), uint(3), uint(4_000_000_000)]);
            (0, vec![Act::Say(answers(&vec![later; cookies.len()]))])
        }
        Frame::Poll(cookies) => {
            let of = |(case, _): &(Case, Mutex<Seen>)| cookie(&case.what) == *cookies[0].as_bytes();
            let number = scripts.iter().position(of).unwrap();
            scripts[number].1.lock().unwrap().polls += 1;
            (number, scripts[number].0.polled.clone())
        }
        _ => return,
    };
    for act in acts {
        match act {
            Act::Say(octets) => drop(pace.write(&mut send, Bytes::from(octets)).await),
            Act::Finish => send.finish(),
            Act::Reset => send.reset(Ended::Internal),
            Act::Nothing => {}
        }
    }
    // Everything else that comes is read and forgotten.
    let ended = loop {
        match pace.read(&mut receive, 1 << 16).await {
            Ok(Some(_)) => {}
            Ok(None) => break None,
            Err(transport::Error::StreamAborted { number }) => break Some(number),
            Err(_) => return,
        }
    };
    if matches!(first, Frame::Offer(_)) {
        scripts[number].1.lock().unwrap().ended.get_or_insert(ended);
    }
    // What was said stays said; after a reset this does nothing.
    send.finish();
    drop(link);
}

struct Scene {
    world: World,
    alice: User,
    letters: usize,
    _alone: tokio::sync::MutexGuard<'static, ()>,
}

impl Scene {
    async fn set(others: &[&'static str]) -> Scene {
        let _alone = alone().await;
        let mut sites = vec![Site::new("south.test"), Site::new("good.test")];
        sites.extend(others.iter().map(|domain| Site::new(domain)));
        let mut world = World::new(&sites).await;
        for domain in ["south.test", "good.test"] {
            world.start(domain).await;
        }
        let _gail = world.user("gail@good.test").await;
        let alice = world.user("alice@south.test").await;
        Scene { world, alice, letters: 0, _alone }
    }

    async fn send(&mut self, to: &str) -> Identity {
        self.letters += 1;
        let message = letter("alice@south.test", &format!("letter {}", self.letters));
        self.alice.send(&message, &[to]).await
    }

    /// A letter for somebody with an honest node is there at once: sooner than a silent server is given up.
    async fn others_are_served(&mut self) {
        let identity = self.send("gail@good.test").await;
        let settled = self.world.events("south.test").settled(identity, "gail@good.test");
        let settled = tokio::time::timeout(Duration::from_secs(20), settled).await.unwrap();
        assert_eq!(settled, Disposition::Accepted);
    }
}

/// All cases at once: none waits for another, neither of the same domain nor of others.
///
/// proves: EXC-2, EXC-4, EXC-5, EXC-9, EXC-18, EXC-19, EXC-26, EXC-27, FRM-9, FRM-10, STA-4, STA-6, TRA-17, SEC-7
#[tokio::test]
async fn every_rule_broken_by_a_server_costs_its_own_message_a_retry() {
    let mut scene = Scene::set(&["hand.test"]).await;
    let scripts: Scripts = Arc::new(cases().into_iter().map(|case| (case, Mutex::default())).collect());
    let settings = encode(&Frame::Settings(Settings::default())).to_vec();
    let server = serve(&scene.world, "hand.test", settings, scripts.clone());
    scene.others_are_served().await;
    let (before, mut peak) = (Held::now(), Peak::begin());
    let began = tokio::time::Instant::now();
    let mut sent = Vec::new();
    for number in 0..scripts.len() {
        sent.push(scene.send(&format!("c{number}@hand.test")).await);
        peak.sample();
    }
    scene.others_are_served().await;
    let mut broken = Vec::new();
    for (number, identity) in sent.iter().enumerate() {
        let (case, seen) = &scripts[number];
        let to = format!("c{number}@hand.test");
        let expected = match &case.fate {
            Fate::Again => Disposition::Accepted,
            Fate::Settled(disposition) => disposition.clone(),
            Fate::Waits { .. } => continue,
        };
        let found = scene.world.events("south.test").settled(*identity, &to).await;
        peak.sample();
        let seen = seen.lock().unwrap().clone();
        let offers = if case.fate == Fate::Again { 2 } else { 1 };
        let ended = match (case.ended, seen.ended) {
            (None, _) => true,
            (Some(code), Some(Some(number))) => number == u64::from(code.number()),
            _ => false,
        };
        if found != expected || seen.offers != offers || !ended {
            broken.push(format!("{}, {}: {found:?}, {seen:?}", case.rule, case.what));
        }
    }
    assert!(broken.is_empty(), "{} of {}:\n{}", broken.len(), scripts.len(), broken.join("\n"));

    // Those that wait are watched: none of them has an end, and none is asked about without pause.
    tokio::time::sleep(WATCHED).await;
    // On a busy machine more time has passed, and more may have been asked in it.
    let times = began.elapsed().as_secs_f64() / WATCHED.as_secs_f64();
    for (number, identity) in sent.iter().enumerate() {
        let (case, seen) = &scripts[number];
        let Fate::Waits { requests_max } = case.fate else { continue };
        let found = scene.alice.dispositions(*identity).await;
        let seen = seen.lock().unwrap().clone();
        let pending = matches!(found[..], [Disposition::Pending { .. }]);
        let allowed = (requests_max as f64 * times.max(1.0)).ceil() as usize;
        if !pending || seen.offers + seen.polls > allowed || seen.offers == 0 {
            broken.push(format!("{}, {}: {found:?}, {seen:?}", case.rule, case.what));
        }
    }
    assert!(broken.is_empty(), "{} of {}:\n{}", broken.len(), scripts.len(), broken.join("\n"));
    scene.others_are_served().await;
    let mut by_rule: BTreeMap<&str, usize> = BTreeMap::new();
    for (case, _) in scripts.iter() {
        *by_rule.entry(case.rule).or_default() += 1;
    }
    println!("{} cases of hostile servers: {by_rule:?}", scripts.len());
    assert!(scripts.len() >= CASES_MIN);
    peak.check("all cases of hostile servers", FILES_MAX, GROWN_KIB_MAX);
    before.check_after("all cases of hostile servers", FILES_MAX, GROWN_KIB_MAX).await;
    server.abort();
}

/// A server that sends us elsewhere: to this machine, to ports that are not its own, to nobody. Where redirection is not
/// built nothing may be sent there.
///
/// proves: EXC-19
#[tokio::test]
async fn a_redirection_leads_nowhere_that_it_must_not() {
    let mut scene = Scene::set(&["hand.test"]).await;
    let trap = UdpSocket::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let port = u64::from(trap.local_addr().unwrap().port());
    let targets = [
        // Alice's node listens on loopback and so may be sent there, but to no port of a service of the system.
        ("127.0.0.1", 22),
        ("::ffff:127.0.0.1", 25),
        ("0.0.0.0", port),
        ("255.255.255.255", 7),
        ("::1", 22),
    ];
    let cases: Vec<Case> = targets
        .iter()
        .map(|(address, port)| {
            let case = Case::again("EXC-19", *address, outcome(&[redirect(address, *port)]), Ended::NoError);
            Case { fate: Fate::Waits { requests_max: 2 }, ended: None, ..case }
        })
        .collect();
    let scripts: Scripts = Arc::new(cases.into_iter().map(|case| (case, Mutex::default())).collect());
    let settings = encode(&Frame::Settings(Settings::default())).to_vec();
    let server = serve(&scene.world, "hand.test", settings, scripts.clone());
    let mut sent = Vec::new();
    for number in 0..targets.len() {
        sent.push(scene.send(&format!("c{number}@hand.test")).await);
    }
    let asked = || scripts.iter().all(|(_, seen)| seen.lock().unwrap().offers > 0);
    assert!(waxwing_tests::world::until(asked).await);
    scene.others_are_served().await;
    for identity in sent {
        let found = scene.alice.dispositions(identity).await;
        assert!(matches!(found[..], [Disposition::Pending { .. }]), "{found:?}");
    }
    assert!(trap.recv(&mut [0; 2000]).is_err(), "something was sent to where we were sent");
    server.abort();
}

/// Settings that are none, or that nobody can mean, and servers that are somebody else or nobody.
///
/// proves: TRA-7, TRA-10, EXC-3, FRM-7
#[tokio::test]
async fn settings_of_every_kind_hold_up_nobody() {
    let domains =
        ["none.test", "noise.test", "long.test", "zero.test", "huge.test", "other.test", "silent.test"];
    let mut scene = Scene::set(&domains).await;
    let all = |number: u64| fields(&[(0, uint(1)), (1, uint(number)), (2, uint(number)), (3, uint(number))]);
    let mut servers = Vec::new();
    let mut scripts = BTreeMap::new();
    for (domain, settings) in [
        ("none.test", Vec::new()),
        ("noise.test", vec![0xff; 4096]),
        ("long.test", [frame(&all(1)), vec![0; 4000]].concat()),
        ("zero.test", frame(&all(0))),
        ("huge.test", frame(&all(u64::MAX))),
    ] {
        let good = Case::settled("EXC-5", domain, outcome(&[accepted()]), Disposition::Accepted);
        let script: Scripts = Arc::new(vec![(good, Mutex::default())]);
        scripts.insert(domain, script.clone());
        servers.push(serve(&scene.world, domain, settings, script));
    }
    // Somebody who holds another key than the pinned one.
    let socket = Socket::bind(scene.world.address("other.test")).unwrap();
    let services = vec![Service { alpn: Alpn::Exchange, settings: frame(&all(1)).into() }];
    let key = scene.world.host_key("silent.test");
    let impostor = Server::bind(socket, &key.into(), services, &Limits::default()).unwrap();
    let met = tokio::spawn(async move { impostor.accept().await?.authenticated().await.ok() });
    let mut sent = BTreeMap::new();
    for domain in domains {
        sent.insert(domain, scene.send(&format!("c0@{domain}")).await);
    }
    scene.others_are_served().await;
    for domain in ["zero.test", "huge.test", "long.test"] {
        let settled = scene.world.events("south.test").settled(sent[domain], &format!("c0@{domain}")).await;
        assert_eq!(settled, Disposition::Accepted, "{domain}");
    }
    for domain in ["none.test", "noise.test", "other.test"] {
        let identity = sent[domain];
        scene
            .world
            .events("south.test")
            .find(domain, |event| match event {
                Event::Retrying { identity: of, .. } if *of == identity => Some(()),
                _ => None,
            })
            .await;
        let found = scene.alice.dispositions(identity).await;
        assert!(matches!(found[..], [Disposition::Pending { .. }]), "{domain}: {found:?}");
        assert_eq!(scripts.get(domain).map_or(0, |script| script[0].1.lock().unwrap().offers), 0, "{domain}");
    }
    assert!(met.await.unwrap().is_none(), "who is somebody else hears nothing");
    scene.others_are_served().await;
    for server in servers {
        server.abort();
    }
}

/// A server that says without end that cookies have settled makes nobody ask more than once for it.
///
/// proves: STA-9
#[tokio::test]
async fn hints_without_end_cost_one_question() {
    let mut scene = Scene::set(&["hand.test"]).await;
    let what = "a day";
    let mut case = Case::again("STA-9", what, outcome(&[pending(what, 86_400, 86_400)]), Ended::NoError);
    case.polled =
        vec![Act::Say(answers(&[array(&[uint(2), uint(86_400), uint(86_400), uint(4_000_000_000)])]))];
    case.fate = Fate::Waits { requests_max: 2 };
    let scripts: Scripts = Arc::new(vec![(case, Mutex::default())]);
    let socket = Socket::bind(scene.world.address("hand.test")).unwrap();
    let settings = encode(&Frame::Settings(Settings::default()));
    let services = vec![Service { alpn: Alpn::Exchange, settings }];
    let limits = Limits::default();
    let server = Server::bind(socket, &scene.world.host_key("hand.test").into(), services, &limits).unwrap();
    let identity = scene.send("c0@hand.test").await;
    let link = server.accept().await.unwrap().authenticated().await.unwrap();
    let (before, mut peak) = (Held::now(), Peak::begin());
    let serving = {
        let (link, scripts, limits) = (link.clone(), scripts.clone(), limits.clone());
        tokio::spawn(async move {
            while let Ok((send, receive)) = link.accept_bi().await {
                tokio::spawn(answer(scripts.clone(), Pace::start(&limits), link.clone(), send, receive));
            }
        })
    };
    let offered = || scripts[0].1.lock().unwrap().offers == 1;
    assert!(waxwing_tests::world::until(offered).await);
    // A hint that comes before the node has written that it waits may be passed over.
    let waits = |event: &Event| match event {
        Event::Settled { disposition: Disposition::Pending { .. }, identity: of, .. } if *of == identity => {
            Some(())
        }
        _ => None,
    };
    scene.world.events("south.test").find("waits for the next hop", waits).await;
    // The right cookie among 999 others, 500 times; half a frame, too long a frame, and no frame, 100 times.
    let cookies: Vec<Vec<u8>> =
        (0..999_u64).map(|n| bytes(message::Digest::of(&n.to_be_bytes()).as_bytes())).collect();
    let hint = frame(&fields(&[(0, uint(8)), (1, array(&[cookies, vec![bytes(&cookie(what))]].concat()))]));
    let nonsense =
        [hint[..100].to_vec(), varint(1 << 20, 4), vec![0xff; 300], frame(&fields(&[(0, uint(6))]))];
    for round in 0..500 {
        let octets = if round % 5 == 4 { nonsense[round / 5 % 4].clone() } else { hint.clone() };
        let mut stream = link.open_uni().await.unwrap();
        let _ = Pace::start(&limits).write(&mut stream, octets.into()).await;
        stream.finish();
        peak.sample();
    }
    scene.others_are_served().await;
    let asked = || scripts[0].1.lock().unwrap().polls > 0;
    assert!(waxwing_tests::world::until(asked).await, "so that this can fail: one hint is a reason to ask");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let seen = scripts[0].1.lock().unwrap().clone();
    assert_eq!((seen.offers, seen.polls), (1, 1));
    let found = scene.alice.dispositions(identity).await;
    assert!(matches!(found[..], [Disposition::Pending { .. }]), "{found:?}");
    peak.check("500 hints of 1,000 cookies", FILES_MAX, GROWN_KIB_MAX);
    before.check_after("500 hints of 1,000 cookies", FILES_MAX, GROWN_KIB_MAX).await;
    serving.abort();
}
