//! When TLS is required, and whose certificate is believed.

use dns::{Security, Tlsa};
use sha2::{Digest, Sha256};

use super::*;
use crate::out::script::{Identity, serve};
use crate::out::{Login, SmartHost, tls_report_json};
use crate::{Kind, Records};

const ENVELOPE: &str = "C MAIL FROM:<wx-tag@north.test>
    S 250 ok
    C RCPT TO:<a@south.test>
    S 250 ok
    C DATA
    S 354 go on
    DATA
    S 250 mine\n";
const STARTTLS: &str =
    "S 220 mx\n C EHLO north.test\n S 250-mx\n S 250 STARTTLS\n C STARTTLS\n S 220 go on\n TLS\n";
const PLAIN: &str = "S 220 mx\n C EHLO north.test\n S 250 mx\n";
const HELLO: &str = "C EHLO north.test\n S 250 mx\n";

const TAKEN: &str = "taken by mx.south.test: 250 mine";

fn tlsa(usage: u8, selector: u8, matching: u8, data: &[u8]) -> Record {
    let data = match matching {
        1 => Sha256::digest(data).to_vec(),
        2 => sha2::Sha512::digest(data).to_vec(),
        _ => data.to_vec(),
    };
    Record::Tlsa(Tlsa { usage, selector, matching, data })
}

/// proves: GW-45
#[tokio::test]
async fn tls_is_used_where_it_is_offered() {
    let identity = Identity::new("somebody.else.test");
    let check = async |scripts: &[&str], expected: &str| {
        let server = serve(scripts, Some(&identity)).await;
        let sender = sender_to(&server);
        assert_eq!(all(&send(&sender, &letter(&["a@south.test"])).await), [expected]);
        sender.close().await;
        server.heard().await;
    };
    check(&[&format!("{STARTTLS}{HELLO}{ENVELOPE}C QUIT")], TAKEN).await;
    check(&[&format!("{PLAIN}{ENVELOPE}C QUIT")], TAKEN).await;
    // A handshake that fails: the host is called once more, and spoken to in clear.
    let refuses = STARTTLS.replace("S 220 go on\n TLS", "S 220 go on\n S not TLS");
    let offers = "S 220 mx\n C EHLO north.test\n S 250-mx\n S 250 STARTTLS\n";
    check(&[&refuses, &format!("{offers}{ENVELOPE}C QUIT")], TAKEN).await;
    let later = STARTTLS.replace("S 220 go on\n TLS", "S 454 4.7.0 not now");
    check(&[&format!("{later}{ENVELOPE}C QUIT")], TAKEN).await;
}

/// proves: GW-45, GW-46, GW-47
#[tokio::test]
async fn dane_requires_tls_with_a_named_certificate() {
    let identity = Identity::new("mx.south.test");
    let check = async |records: Vec<Record>, secure: bool, script: &str, expected: &str| {
        let server = serve(&[script], Some(&identity)).await;
        let zones = zones("south.test", &["mx.south.test"]);
        for record in &records {
            zones.add("_25._tcp.mx.south.test", record.clone()).unwrap();
        }
        if secure {
            zones.set_security("south.test", Security::Secure).unwrap();
        }
        let sender = sender(settings(&[("mx.south.test", server.address)]), zones);
        let report = send(&sender, &letter(&["a@south.test"])).await;
        assert!(all(&report)[0].starts_with(expected), "{records:?} {report:?}");
        sender.close().await;
        server.heard().await;
    };
    let good = format!("{STARTTLS}{HELLO}{ENVELOPE}C QUIT");
    let (key, certificate, authority) = (&identity.key_info, &identity.certificate, &identity.authority);
    check(vec![tlsa(3, 1, 1, key)], true, &good, TAKEN).await;
    check(vec![tlsa(3, 1, 2, key)], true, &good, TAKEN).await;
    check(vec![tlsa(3, 0, 1, certificate)], true, &good, TAKEN).await;
    check(vec![tlsa(2, 0, 1, authority)], true, &good, TAKEN).await;
    check(vec![tlsa(2, 0, 0, authority)], true, &good, TAKEN).await;
    check(vec![tlsa(3, 1, 1, b"another"), tlsa(3, 1, 1, key)], true, &good, TAKEN).await;
    // Usages of the web, and digests of a wrong length, are of no use: TLS all the same.
    check(vec![tlsa(1, 1, 1, b"another"), tlsa(3, 1, 0, b"")], true, &good, TAKEN).await;
    let shut = format!("{STARTTLS} SILENT");
    check(vec![tlsa(3, 1, 1, b"another")], true, &shut, "deferred 4.7.5: TLS with mx.south.test").await;
    check(vec![tlsa(2, 0, 1, b"another")], true, &shut, "deferred 4.7.5: TLS with mx.south.test").await;
    check(vec![tlsa(2, 0, 1, certificate)], true, &shut, "deferred 4.7.5: TLS with mx.south.test").await;
    check(vec![tlsa(3, 1, 1, key)], true, &format!("{PLAIN} SILENT"), "deferred 4.7.4").await;
    check(vec![tlsa(1, 1, 1, key)], true, &format!("{PLAIN} SILENT"), "deferred 4.7.4").await;
    // What is said in clear behind the reply to STARTTLS is never taken for what comes over TLS.
    let injected = STARTTLS.replace("S 220 go on\n TLS", "S 220 go on\\r\\n250 mx\n SILENT");
    check(vec![tlsa(3, 1, 1, key)], true, &injected, "deferred 4.7.5").await;
    // Without DNSSEC the records say nothing.
    check(vec![tlsa(3, 1, 1, b"another")], false, &good, TAKEN).await;
}

/// proves: GW-47
#[tokio::test]
async fn a_host_whose_records_cannot_be_known_is_not_used() {
    let server = serve(&[], None).await;
    let zones = zones("south.test", &["mx.south.test"]);
    zones.set_security("south.test", Security::Secure).unwrap();
    zones.fail("_25._tcp.mx.south.test", Some(dns::Failure::Bogus)).unwrap();
    let sender = sender(settings(&[("mx.south.test", server.address)]), zones);
    let report = send(&sender, &letter(&["a@south.test"])).await;
    assert!(all(&report)[0].starts_with("deferred 4.4.3: _25._tcp.mx.south.test"), "{report:?}");
}

/// A domain with an MTA-STS policy of this mode, served over HTTPS once.
struct StsWorld {
    records: Arc<FakeRecords>,
    zones: Arc<FixedZones>,
    policy_server: Scripted,
}

impl StsWorld {
    async fn new(web: &Identity, mode: &str, host: &str) -> StsWorld {
        let policy = format!("version: STSv1\\r\\nmode: {mode}\\r\\nmx: {host}\\r\\nmax_age: 86400");
        let head = format!(
            "Content-Type: text/plain\\r\\nContent-Length: {}",
            policy.replace("\\r\\n", "\r\n").len() + 2
        );
        let script = format!(
            "TLS\n C GET /.well-known/mta-sts.txt HTTP/1.1\n C host: mta-sts.south.test\n C accept: text/plain\n \
             C connection: close\n C user-agent: waxwing\n C \n
             S HTTP/1.1 200 OK\\r\\n{head}\\r\\n\\r\\n{policy}"
        );
        let policy_server = serve(&[&script], Some(web)).await;
        let zones = zones("south.test", &["mx.south.test"]);
        zones.add("_mta-sts.south.test", Record::Txt(b"v=STSv1; id=20261123;".to_vec())).unwrap();
        StsWorld { records: Arc::new(FakeRecords::default()), zones: Arc::new(zones), policy_server }
    }

    fn sender(&self, server: &Scripted, roots: Arc<RootCertStore>) -> Sender {
        let hosts = [("mx.south.test", server.address), ("mta-sts.south.test", self.policy_server.address)];
        let mut settings = settings(&hosts);
        settings.roots = roots;
        let (zones, records) = (Arc::clone(&self.zones), Arc::clone(&self.records));
        Sender::new(settings, zones, records)
    }
}

/// proves: GW-44, GW-59
#[tokio::test]
async fn mta_sts_requires_a_certificate_for_the_name() {
    let (web, host, other) =
        (Identity::new("mta-sts.south.test"), Identity::new("mx.south.test"), Identity::new("mx.west.test"));
    let roots = |identities: &[&Identity]| {
        let mut store = RootCertStore::empty();
        for identity in identities {
            store.add(identity.authority.clone()).unwrap();
        }
        Arc::new(store)
    };
    let good = format!("{STARTTLS}{HELLO}{ENVELOPE}C QUIT");
    let shut = format!("{STARTTLS} SILENT");
    let check = async |mode: &str,
                       pattern: &str,
                       identity: &Identity,
                       scripts: &[&str],
                       expected: &str,
                       failed: u64| {
        let world = StsWorld::new(&web, mode, pattern).await;
        let server = serve(scripts, Some(identity)).await;
        let sender = world.sender(&server, roots(&[&web, &host, &other]));
        let report = send(&sender, &letter(&["a@south.test"])).await;
        assert!(all(&report)[0].starts_with(expected), "{mode} {pattern} {report:?}");
        sender.close().await;
        server.heard().await;
        let kept = world.records.record(Kind::StsPolicy, b"south.test", NOW_MS).unwrap().unwrap();
        assert_eq!(kept.expires_at_ms, NOW_MS + 86_400_000);
        let reports = world.records.records(Kind::TlsReport, b"", None, 10, NOW_MS).unwrap();
        let text = tls_report_json(&reports[0], "north.test", "postmaster@north.test").unwrap();
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["date-range"]["start-datetime"], "2026-11-23T00:00:00Z");
        assert_eq!(read["policies"][0]["policy"]["policy-type"], "sts");
        assert_eq!(read["policies"][0]["policy"]["policy-domain"], "south.test");
        assert_eq!(read["policies"][0]["summary"]["total-failure-session-count"], failed, "{text}");
    };
    check("enforce", "mx.south.test", &host, &[&good], TAKEN, 0).await;
    check("enforce", "*.south.test", &host, &[&good], TAKEN, 0).await;
    check("enforce", "mx.south.test", &other, &[&shut], "deferred 4.7.5: TLS with mx.south.test", 1).await;
    check("enforce", "mx.south.test", &host, &[&format!("{PLAIN} SILENT")], "deferred 4.7.4", 1).await;
    check("enforce", "mx.west.test", &host, &[], "deferred 4.7.5: mx.south.test is not a host", 1).await;
    check("testing", "mx.south.test", &other, &[&shut, &good], TAKEN, 1).await;
    check("testing", "mx.west.test", &host, &[&good], TAKEN, 1).await;
}

/// A connection whose certificate was only reported is not used as one whose certificate was good. proves: GW-48
#[tokio::test]
async fn a_connection_is_kept_as_what_it_is() {
    let (web, other) = (Identity::new("mta-sts.south.test"), Identity::new("mx.west.test"));
    let world = StsWorld::new(&web, "testing", "mx.south.test").await;
    let good = format!("{STARTTLS}{HELLO}{ENVELOPE}C QUIT");
    let shut = format!("{STARTTLS} SILENT");
    let server = serve(&[&shut, &good, &shut, &good], Some(&other)).await;
    let sender = world.sender(&server, web.roots());
    for _ in 0..2 {
        assert_eq!(all(&send(&sender, &letter(&["a@south.test"])).await), [TAKEN]);
    }
    sender.close().await;
    assert_eq!(server.heard().await.len(), 2);
}

/// proves: GW-44
#[tokio::test]
async fn a_policy_is_fetched_once_and_outlives_its_server() {
    let (web, host) = (Identity::new("mta-sts.south.test"), Identity::new("mx.south.test"));
    let world = StsWorld::new(&web, "enforce", "mx.south.test").await;
    let good = format!("{STARTTLS}{HELLO}{ENVELOPE}C QUIT");
    let shut = format!("{PLAIN} SILENT");
    let server = serve(&[&good, &good, &shut], Some(&host)).await;
    let mut store = RootCertStore::empty();
    store.add(web.authority.clone()).unwrap();
    store.add(host.authority.clone()).unwrap();
    let roots = Arc::new(store);
    for round in 0..3 {
        // The server of the policy answers once; afterwards what is kept counts, with the record, with another that
        // leads to nothing, and without one.
        if round == 1 {
            world.zones.remove("_mta-sts.south.test").unwrap();
            world.zones.add("_mta-sts.south.test", Record::Txt(b"v=STSv1; id=new".to_vec())).unwrap();
        }
        if round == 2 {
            world.zones.remove("_mta-sts.south.test").unwrap();
        }
        let sender = world.sender(&server, Arc::clone(&roots));
        let report = send(&sender, &letter(&["a@south.test"])).await;
        let expected = if round == 2 { "deferred 4.7.4" } else { TAKEN };
        assert!(all(&report)[0].starts_with(expected), "{round} {report:?}");
        sender.close().await;
    }
    server.heard().await;
}

/// proves: GW-57
#[tokio::test]
async fn a_smart_host_is_logged_in_to_under_tls_only() {
    let identity = Identity::new("smart.test");
    let hello = "C EHLO north.test\n S 250-smart\n S 250 AUTH LOGIN PLAIN\n";
    // RFC 4616: an empty identity, the name and the password, each behind a NUL; base64 of "\0bob\0secret".
    let login = "C AUTH PLAIN AGJvYgBzZWNyZXQ=\n";
    let taken = "taken by smart.test: 250 mine";
    let check = async |implicit_tls: bool, roots: Arc<RootCertStore>, script: String, expected: &str| {
        let server = serve(&[&script], Some(&identity)).await;
        let mut settings = settings(&[("smart.test", server.address)]);
        settings.roots = roots;
        let login = Some(Login { name: "bob".to_owned(), password: "secret".to_owned() });
        settings.smart_host =
            Some(SmartHost { host: "smart.test".to_owned(), port: 465, implicit_tls, login });
        let sender = sender(settings, FixedZones::new());
        let report = send(&sender, &letter(&["a@south.test"])).await;
        assert!(all(&report)[0].starts_with(expected), "{report:?}");
        sender.close().await;
        server.heard().await;
    };
    let ok = format!("{login} S 235 2.7.0 welcome\n {ENVELOPE} C QUIT");
    let roots = identity.roots();
    check(true, Arc::clone(&roots), format!("TLS\n S 220 smart\n {hello}{ok}"), taken).await;
    check(false, Arc::clone(&roots), format!("{STARTTLS}{hello}{ok}"), taken).await;
    let wrong = format!("{STARTTLS}{hello}{login} S 535 5.7.8 wrong\n SILENT");
    check(false, Arc::clone(&roots), wrong, "deferred 4.7.8: 535 5.7.8 wrong").await;
    check(false, roots, format!("S 220 smart\n {hello} SILENT"), "deferred 4.7.4").await;
    check(true, Arc::new(RootCertStore::empty()), "TLS\n SILENT".to_owned(), "deferred 4.7.5").await;
}
