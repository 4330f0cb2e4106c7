//! The standing of peers, from zones that answer, fail, lie and never answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dns::{Failure, FixedZones, Lookup, Mx, Record, Resolver, Srv, Tlsa};
use node::{Accreditors, Counts};
use policy::Grade;

use super::scene::{Scene, domain};

fn accreditors() -> Accreditors {
    Accreditors {
        vouchers: vec![domain("certifier.test")],
        good_lists: vec![domain("good.lists.test")],
        bad_lists: vec![domain("bad.lists.test")],
    }
}

/// A scene whose lists work.
async fn scene() -> Scene {
    let scene = Scene::new(|settings| settings.accreditors = accreditors()).await;
    for list in ["good.lists.test", "bad.lists.test"] {
        enter(&scene.zones, "test", list);
    }
    scene
}

fn enter(zones: &FixedZones, name: &str, list: &str) {
    zones.add(&format!("{name}.{list}"), Record::Address(IpAddr::from([127, 0, 0, 2]))).unwrap();
}

fn say(zones: &FixedZones, name: &str, weight: u16, port: u16) {
    let record = Srv { priority: 1, weight, port, target: Some("mx.test".to_owned()) };
    zones.add(&format!("_client._waxwing.{name}"), Record::Srv(record)).unwrap();
}

async fn grade(scene: &Scene, peer: &str) -> Grade {
    scene.node.standing(&domain(peer)).await.grade
}

/// proves: REP-1, REP-11
#[tokio::test(start_paused = true)]
async fn what_the_dns_says_is_the_standing() {
    let scene = scene().await;
    let zones = &scene.zones;
    assert_eq!(grade(&scene, "nobody.test").await, Grade::Unknown);
    say(zones, "north.test", 2, 1);
    assert_eq!(grade(&scene, "north.test").await, Grade::Neutral);
    assert_eq!(grade(&scene, "mx.north.test").await, Grade::Bad, "its parent wants records for each name");
    zones.add("good.test._vouch.certifier.test", Record::Txt(b"all".to_vec())).unwrap();
    assert_eq!(grade(&scene, "good.test").await, Grade::Good);
    // A service that the operator has not named is never asked, whatever it says.
    zones.add("self.test._vouch.self.test", Record::Txt(b"all".to_vec())).unwrap();
    assert_eq!(grade(&scene, "self.test").await, Grade::Unknown);
    enter(zones, "bad.test", "bad.lists.test");
    zones.add("bad.test.bad.lists.test", Record::Txt(b"phish\x1b[2J".to_vec())).unwrap();
    let standing = scene.node.standing(&domain("bad.test")).await;
    assert_eq!(standing.grade, Grade::Bad);
    assert_eq!(standing.reasons, ["bad.lists.test has it (127.0.0.2): phish [2J"]);
}

/// proves: REP-20
#[tokio::test(start_paused = true)]
async fn the_hosts_of_a_peer_are_asked_about_too() {
    let scene = scene().await;
    let zones = &scene.zones;
    let serves = |peer: &str, host: &str| {
        let record = Srv { priority: 0, weight: 0, port: 7625, target: Some(host.to_owned()) };
        zones.add(&format!("_waxwing._udp.{peer}"), Record::Srv(record)).unwrap();
    };
    let check = async |peer: &str, hosts: &[(&str, u16)], expected: Grade| {
        for (host, weight) in hosts {
            serves(peer, host);
            if *weight < 4 {
                say(zones, host, *weight, 0);
            }
        }
        assert_eq!(grade(&scene, peer).await, expected, "{peer}");
    };
    check("none.test", &[("none.test", 4)], Grade::Unknown).await;
    check("own.test", &[("mx.own.test", 2)], Grade::Neutral).await;
    check("forbidden.test", &[("mx.forbidden.test", 1)], Grade::Bad).await;
    check("both.test", &[("a.both.test", 1), ("b.both.test", 4)], Grade::Unknown).await;
    // Its parent speaks for the host.
    say(zones, "hoster.test", 2, 1);
    check("hosted.test", &[("h7.hoster.test", 4)], Grade::Bad).await;
    // Anybody can name a host of somebody else.
    check("thief.test", &[("mx.own.test", 4)], Grade::Unknown).await;
    // A host that cannot be asked about says nothing.
    zones.fail("_client._waxwing.mx.mute.test", Some(Failure::Timeout)).unwrap();
    check("mute.test", &[("mx.mute.test", 4)], Grade::Unknown).await;
}

/// proves: REP-2, REP-6
#[tokio::test(start_paused = true)]
async fn failures_and_broken_lists_count_nothing() {
    let scene = scene().await;
    let zones = &scene.zones;
    // A domain that forbids, a list that has it: and the name servers of both fail.
    say(zones, "north.test", 1, 1);
    enter(zones, "north.test", "bad.lists.test");
    for failure in [Failure::Timeout, Failure::ServerFailure, Failure::Bogus] {
        for name in ["_client._waxwing.north.test", "north.test.bad.lists.test"] {
            zones.fail(name, Some(failure)).unwrap();
        }
        assert_eq!(grade(&scene, "north.test").await, Grade::Unknown, "{failure:?}");
        scene.pass_seconds(61).await;
    }
    for name in ["_client._waxwing.north.test", "north.test.bad.lists.test"] {
        zones.fail(name, None).unwrap();
    }
    assert_eq!(grade(&scene, "north.test").await, Grade::Bad, "a minute later it can be asked");
    // The list is taken over by somebody whose wildcard lists everybody; it is tested again within a day.
    enter(zones, "invalid", "bad.lists.test");
    enter(zones, "south.test", "bad.lists.test");
    scene.pass_seconds(24 * 3600).await;
    assert_eq!(grade(&scene, "south.test").await, Grade::Unknown);
    let findings = scene.node.findings(&domain("south.test")).await.unwrap();
    let list = findings.asked.iter().find(|asked| asked.name == "south.test.bad.lists.test").unwrap();
    assert_eq!(list.counts, Counts::Failed);
}

/// Never answers, and counts who asks.
#[derive(Default)]
struct Silent(AtomicUsize);

impl Silent {
    fn never<T: Send + 'static>(&self) -> Lookup<'_, T> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::pending())
    }
}

impl Resolver for Silent {
    fn srv<'a>(&'a self, _: &'a str) -> Lookup<'a, Srv> {
        self.never()
    }

    fn txt<'a>(&'a self, _: &'a str) -> Lookup<'a, Vec<u8>> {
        self.never()
    }

    fn tlsa<'a>(&'a self, _: &'a str) -> Lookup<'a, Tlsa> {
        self.never()
    }

    fn addresses<'a>(&'a self, _: &'a str) -> Lookup<'a, IpAddr> {
        self.never()
    }

    fn mx<'a>(&'a self, _: &'a str) -> Lookup<'a, Mx> {
        self.never()
    }

    fn names<'a>(&'a self, _: IpAddr) -> Lookup<'a, String> {
        self.never()
    }
}

/// proves: REP-2, REP-7
#[tokio::test(start_paused = true)]
async fn a_dns_that_never_answers_costs_three_seconds_once() {
    let silent = Arc::new(Silent::default());
    let scene = Scene::asking(silent.clone(), |settings| settings.accreditors = accreditors()).await;
    let began_ms = scene.timeline.elapsed_ms();
    let north = domain("north.test");
    // Many who want to know at the same time wait for one question.
    let ask = || scene.node.standing(&north);
    let (a, b, c) = tokio::join!(ask(), ask(), ask());
    for standing in [a, b, c] {
        assert_eq!(standing.grade, Grade::Unknown);
    }
    assert_eq!(scene.timeline.elapsed_ms() - began_ms, 3_000);
    let asked = silent.0.load(Ordering::SeqCst);
    assert_eq!(asked, 5, "a record of the peer, its hosts, a voucher, and two lists that are tested first");
    assert_eq!(grade(&scene, "north.test").await, Grade::Unknown);
    assert_eq!(silent.0.load(Ordering::SeqCst), asked, "what failed is not asked again at once");
}

/// proves: REP-7
#[tokio::test(start_paused = true)]
async fn a_thousand_names_are_not_asked_about_at_once() {
    let silent = Arc::new(Silent::default());
    let scene = Scene::asking(silent.clone(), |_| {}).await;
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..1_000 {
        let (node, peer) = (scene.node.clone(), domain(&format!("h{number}.evil.test")));
        asking.spawn(async move { node.standing(&peer).await.grade });
    }
    assert!(asking.join_all().await.iter().all(|grade| *grade == Grade::Unknown));
    // Each is asked for a record of its own and for its hosts.
    assert_eq!(silent.0.load(Ordering::SeqCst), 2 * node::limits::STANDINGS_ASKED_MAX);
}

/// proves: REP-7
#[tokio::test(start_paused = true)]
async fn answers_last_as_long_as_they_say() {
    let scene = scene().await;
    assert_eq!(grade(&scene, "north.test").await, Grade::Unknown);
    say(&scene.zones, "north.test", 3, 0);
    // The zones here give 300 seconds.
    scene.pass_seconds(299).await;
    assert_eq!(grade(&scene, "north.test").await, Grade::Unknown);
    scene.pass_seconds(2).await;
    assert_eq!(grade(&scene, "north.test").await, Grade::Neutral);
}
