//! Which hosts are tried, in which order.

use std::net::{IpAddr, Ipv4Addr};

use dns::{Failure, FixedZones, Mx, Record};

use super::*;
use crate::mav::Network;
use crate::out::script::serve;
use crate::out::{Step, route};

const TAKES: &str = "
    S 220 mx
    C EHLO north.test
    S 250 mx
    C MAIL FROM:<wx-tag@north.test>
    S 250 ok
    C RCPT TO:<bob@south.test>
    S 250 ok
    C DATA
    S 354 go on
    DATA
    S 250 2.0.0 mine
    C QUIT";

fn mx(preference: u16, host: Option<&str>) -> Record {
    Record::Mx(Mx { preference, exchange: host.map(str::to_owned) })
}

async fn routed(records: &[Record], random: Vec<u32>) -> Result<Vec<String>, String> {
    let zones = FixedZones::new();
    for record in records {
        zones.add("south.test", record.clone()).unwrap();
    }
    let mut settings = settings(&[]);
    settings.own_hosts = vec!["mx2.north.test".to_owned()];
    let drawn = std::sync::Mutex::new(random.into_iter());
    settings.random = Arc::new(move |_| drawn.lock().unwrap().next().unwrap_or(0));
    let route = route::route(&zones, "south.test", &settings).await;
    route.map(|route| route.hosts).map_err(|trouble| trouble.code.to_string())
}

/// Whoever has a domain can write any address into it.
///
/// proves: GW-67
#[tokio::test]
async fn an_address_that_is_not_public_is_not_called() {
    let server = serve(&[TAKES], None).await;
    let zones = || {
        let zones = zones("south.test", &["mx.south.test"]);
        zones.add("mx.south.test", Record::Address(server.address.ip())).unwrap();
        zones
    };
    let mut own = settings(&[]);
    own.port = server.address.port();
    let report =
        send(&sender(own.clone(), zones()), &shipment("south.test", &["bob@south.test"], "x\r\n")).await;
    let said = all(&report);
    assert!(said[0].contains("no public address"), "{said:?}");
    assert!(!own.may_call("::ffff:10.0.0.1".parse().unwrap()) && own.may_call("192.0.1.1".parse().unwrap()));
    // Where the operator has said so, it is.
    own.private_networks = vec![Network::parse("127.0.0.0/8").unwrap()];
    let report = send(&sender(own, zones()), &shipment("south.test", &["bob@south.test"], "x\r\n")).await;
    assert!(all(&report)[0].starts_with("taken by mx.south.test"), "{report:?}");
}

/// proves: GW-40, GW-41, GW-42
#[tokio::test]
async fn hosts_are_ordered_and_loops_and_null_mx_refused() {
    let address = Record::Address(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let check = async |records: &[Record], random: &[u32], expected: Result<&[&str], &str>| {
        let expected = expected.map(|hosts| hosts.iter().map(|&host| host.to_owned()).collect::<Vec<_>>());
        assert_eq!(routed(records, random.to_vec()).await, expected.map_err(str::to_owned), "{records:?}");
    };
    let (a, b, c) = (mx(10, Some("a.test")), mx(10, Some("b.test")), mx(5, Some("c.test")));
    check(&[a.clone(), b.clone(), c.clone()], &[1, 2, 3], Ok(&["c.test", "a.test", "b.test"])).await;
    check(&[a.clone(), b.clone(), c.clone()], &[2, 1, 3], Ok(&["c.test", "b.test", "a.test"])).await;
    check(std::slice::from_ref(&address), &[], Ok(&["south.test"])).await;
    check(&[], &[], Err("5.1.2")).await;
    check(&[mx(0, None)], &[], Err("5.1.10")).await;
    check(&[mx(0, None), address], &[], Err("5.1.10")).await;
    check(&[mx(0, None), a.clone()], &[], Ok(&["a.test"])).await;
    check(&[mx(1, Some("NORTH.test"))], &[], Err("5.4.6")).await;
    check(&[mx(10, Some("mx2.north.test")), a.clone()], &[], Err("5.4.6")).await;
    check(&[mx(7, Some("mx2.north.test")), a, c], &[], Ok(&["c.test"])).await;
}

/// proves: GW-43
#[tokio::test]
async fn the_next_host_is_tried_and_the_first_is_told_of() {
    let down = serve(&["S 421 4.3.2 too busy"], None).await;
    let up = serve(&[TAKES], None).await;
    let hosts = [("mx1.south.test", down.address), ("mx2.south.test", up.address)];
    let sender = sender(settings(&hosts), zones("south.test", &["mx1.south.test", "mx2.south.test"]));
    let report = send(&sender, &letter(&["bob@south.test"])).await;
    assert_eq!(all(&report), ["taken by mx2.south.test: 250 2.0.0 mine"]);
    let tried: Vec<_> = report.tried.iter().map(|one| (one.step, one.text.as_str())).collect();
    assert_eq!(tried, [(Step::Greeting, "421 4.3.2 too busy")]);
    sender.close().await;
    assert_eq!(up.heard().await, ["Subject: hello\n\n..dots\n"]);
}

/// proves: GW-40, GW-43
#[tokio::test]
async fn who_has_no_host_is_refused_and_who_may_have_one_waits() {
    let no_address = sender(settings(&[]), zones("south.test", &["mx.south.test"]));
    let report = send(&no_address, &letter(&["bob@south.test"])).await;
    assert_eq!(all(&report), ["refused 5.4.4: the host mx.south.test has no address"]);

    let nowhere = zones("south.test", &["mx.south.test"]);
    for address in ["0.0.0.0", "224.0.0.1", "::", "ff02::1"] {
        nowhere.add("mx.south.test", Record::Address(address.parse().unwrap())).unwrap();
    }
    let report = send(&sender(settings(&[]), nowhere), &letter(&["bob@south.test"])).await;
    assert_eq!(all(&report), ["refused 5.4.4: the host mx.south.test has no address"]);

    let failing = zones("south.test", &["mx.south.test", "mx2.south.test"]);
    failing.fail("mx.south.test", Some(Failure::ServerFailure)).unwrap();
    let report = send(&sender(settings(&[]), failing), &letter(&["bob@south.test"])).await;
    assert_eq!(report.tried.len(), 2);
    assert!(matches!(&report.recipients[0], Outcome::Deferred { code, .. } if code.class == 4), "{report:?}");

    let gone = send(&sender(settings(&[]), FixedZones::new()), &letter(&["bob@south.test"])).await;
    assert_eq!(all(&gone), ["refused 5.1.2: the domain south.test does not exist"]);
}

/// proves: GW-42
#[tokio::test]
async fn a_host_that_has_our_name_is_a_loop() {
    let server =
        serve(&["S 220 x\n C EHLO north.test\n S 250 NORTH.test at your service\n SILENT"], None).await;
    let report = send(&sender_to(&server), &letter(&["bob@south.test"])).await;
    assert!(matches!(&report.recipients[0], Outcome::Refused { code, .. } if code.to_string() == "5.4.6"));
}
