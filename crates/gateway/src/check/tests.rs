//! Signatures, authors and what follows, on published messages and on zones in memory.

use std::sync::Arc;

use dns::{Failure, FixedZones, Record, Srv};

use super::spf::vectors;
use super::*;

const CLIENT: &str = "192.0.2.1";

fn text(zones: &FixedZones, name: &str, text: &str) {
    zones.add(name, Record::Txt(text.as_bytes().to_vec())).unwrap();
}

fn checker(zones: FixedZones, on_failure: OnFailure) -> Checker {
    let settings =
        CheckSettings { host: "mx.here.test".into(), spf: on_failure, dmarc: on_failure, csa: on_failure };
    Checker::new(settings, Arc::new(zones), Arc::new(|| 0)).unwrap()
}

async fn examined(checker: &Checker, return_path: &str, octets: &[u8]) -> Checked {
    let return_path: ReturnPath = (!return_path.is_empty()).then(|| return_path.parse().unwrap());
    let input = CheckInput {
        address: CLIENT.parse().unwrap(),
        helo: "mail.sender.test",
        return_path: &return_path,
        octets,
        arranged: false,
        cookie: None,
        now_ms: 0,
    };
    checker.examine(input).await
}

/// The messages that dkimpy's tests sign, signed by us with its key, and found good with the record that it publishes for
/// that key.
///
/// proves: GW-71
#[tokio::test]
async fn the_messages_of_dkimpy_are_signed_with_its_key() {
    let Some(folder) = vectors("dkim") else { return };
    // The seed of its key for Ed25519 (tests/data/ed25519test.key), in the frame of PKCS#8.
    let seed = data_encoding::BASE64.decode(b"fL+5V9EquCZAovKik3pA6Lk9zwCzoEtjIuIqK9ZXHHA=").unwrap();
    let frame =
        [&data_encoding::HEXLOWER.decode(b"302e020100300506032b657004220420").unwrap()[..], &seed].concat();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        data_encoding::BASE64.encode(&frame)
    );
    let record = std::fs::read_to_string(folder.join("dkimpy/ed25519test.dns")).unwrap();
    let domain = |name: &str| message::address::Domain::parse(name).unwrap();
    for (name, author) in [
        ("ed25519test.msg", "example.com"),
        ("test_extra.message", "example.com"),
        ("test.message", "example.com"),
        ("rfc6376.msg", "football.example.com"),
        // Its author and its text are in another character set, without saying so.
        ("rfc6376.w1258.msg", "football.example.com"),
    ] {
        let mut signer = crate::dkim_sign::DkimSigner::default();
        signer.add(&domain(author), "test", &pem).unwrap();
        let octets = message(&format!("dkimpy/{name}")).unwrap();
        let signed = [signer.sign(&octets, &domain(author)).unwrap().as_bytes(), &octets].concat();
        let zones = FixedZones::new();
        text(&zones, &format!("test._domainkey.{author}"), record.trim());
        let checked = examined(&checker(zones, OnFailure::Note), "a@sender.test", &signed).await;
        let found: Vec<Verdict> = checked.signatures.iter().map(|one| one.verdict).collect();
        assert_eq!(found, [Verdict::Pass], "{name}: {:?}", checked.signatures);
    }
}

/// A published file with its lines ended as they are on the wire.
fn message(path: &str) -> Option<Vec<u8>> {
    let text = std::fs::read(vectors("dkim")?.join(path)).unwrap();
    let mut wire = Vec::new();
    for octet in text.into_iter().filter(|octet| *octet != b'\r') {
        wire.extend_from_slice(if octet == b'\n' { b"\r\n" } else { std::slice::from_ref(&octet) });
    }
    Some(wire)
}

fn football() -> FixedZones {
    let zones = FixedZones::new();
    let records = std::fs::read_to_string(vectors("dkim").unwrap().join("rfc8463-appendix-a.dns")).unwrap();
    for line in records.lines() {
        let (name, value) = line.split_once(". IN TXT ").unwrap();
        text(&zones, name, value.trim_matches('"'));
    }
    zones
}

/// The message of RFC 8463 appendix A, with both signatures, as it is and after a change of one octet in each place.
///
/// proves: CHK-3
#[tokio::test]
async fn the_message_of_rfc_8463_is_signed_twice() {
    let Some(whole) = message("rfc8463-appendix-a.eml") else { return };
    let checker = checker(football(), OnFailure::Note);
    let verdicts = async |octets: &[u8]| -> Vec<Verdict> {
        let checked = examined(&checker, "joe@football.example.com", octets).await;
        checked.signatures.iter().map(|one| one.verdict).collect()
    };
    assert_eq!(verdicts(&whole).await, [Verdict::Pass, Verdict::Pass]);
    let changed = |from: &str, to: &str| String::from_utf8(whole.clone()).unwrap().replace(from, to);
    assert_eq!(verdicts(changed("lost the", "won the").as_bytes()).await, [Verdict::Neutral; 2]);
    assert_eq!(verdicts(changed("Is dinner", "Was dinner").as_bytes()).await, [Verdict::Fail; 2]);
    let checked = examined(&checker, "joe@football.example.com", &whole).await;
    let domains: Vec<&str> = checked.signatures.iter().map(|one| one.domain.as_str()).collect();
    assert_eq!(domains, ["football.example.com"; 2]);
    // No DMARC record: its own signature is what stands for the author.
    assert_eq!((checked.author.verdict, checked.author.verified), (Verdict::None, true));
}

/// The signed messages of dkimpy's tests, with what those tests expect of them.
///
/// proves: CHK-3
#[tokio::test]
async fn the_messages_of_dkimpy_are_as_its_tests_say() {
    if vectors("dkim").is_none() {
        return;
    }
    let key = |name: &str| {
        std::fs::read_to_string(vectors("dkim").unwrap().join("dkimpy").join(name)).unwrap().trim().to_owned()
    };
    let check = async |name: &str, zones: FixedZones, expected: &[bool]| {
        let octets = message(&format!("dkimpy/{name}")).unwrap();
        let checked = examined(&checker(zones, OnFailure::Note), "a@sender.test", &octets).await;
        let pass: Vec<bool> = checked.signatures.iter().map(|one| one.verdict == Verdict::Pass).collect();
        assert_eq!(pass, expected, "{name}: {:?}", checked.signatures);
    };
    check("rfc6376.signed.msg", football(), &[true, true]).await;
    check("rfc6376.signed.rsa.msg", football(), &[true]).await;
    // The signature of this one was made with another header.
    check("rfc6376.signed.no_t.msg", football(), &[false]).await;
    check("rfc6376.msg", football(), &[]).await;
    check("test.message", football(), &[]).await;
    check("test_nofrom.message", football(), &[]).await;
    // Not signed: their tests sign these (as ours do), the last with an author in another character set.
    for unsigned in ["ed25519test.msg", "test_extra.message", "rfc6376.w1258.msg"] {
        check(unsigned, football(), &[]).await;
    }
    // Folded before every tag, as few programs do.
    let gmail = FixedZones::new();
    text(&gmail, "20120113._domainkey.gmail.com", GMAIL_2012);
    check("test2.message", gmail, &[true]).await;
    let exim = FixedZones::new();
    text(&exim, "sed._domainkey.test.ex", &key("eximtest.dns"));
    check("ed25519test2.msg", exim, &[true]).await;
    // A domain that is none must not be believed, even where somebody answers for it (CVE-2020-12272).
    let attacker = FixedZones::new();
    text(&attacker, "test._domainkey.legitimate.com(.attacker.com", &key("test.txt"));
    check("test.message.baddomain", attacker, &[false]).await;
    // Keys that cannot be used: another version, another algorithm, broken base64, and one that is for something else.
    for (name, expected) in
        [("badversion.txt", false), ("badk.txt", false), ("test_bad.txt", false), ("test2.txt", true)]
    {
        let zones = FixedZones::new();
        text(&zones, "test._domainkey.football.example.com", &key(name));
        check("rfc6376.signed.rsa.msg", zones, &[expected]).await;
    }
    let lists = FixedZones::new();
    check("message.mbox", lists, &[false]).await;
}

/// What Google published for this selector from 2012 to 2016; the tests of dkimpy have it in their code.
const GMAIL_2012: &str = "k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA1Kd87/UeJjenpabgbFwh+eBCsSTrqmwIYYvywlbhbqoo2Dym\
    ndFkbjOVIPIldNs/m40KF+yzMn1skyoxcTUGCQs8g3FgD2Ap3ZB5DekAo5wMmk4wimDO+U8QzI3SD07y2+07wlNWwIt8svnxgdxGkVbbhzY8i+RQ9DpSVp\
    PbF7ykQxtKXkv/ahW3KjViiAH+ghvvIhkx4xYSIc9oSwVmAl5OctMEeWUwg8Istjqz8BZeTWbf41fbNhte7Y+YqZOwq1Sd0DbvYAD9NOZK9vlfuac0598H\
    Y+vtSBczUiKERHv1yRbcaQtZFh5wtiRrN04BLUTD21MycBX5jYchHjPY/wIDAQAB";

const PLAIN: &str = "From: a@sender.test\r\nSubject: hello\r\n\r\nhello\r\n";

/// SPF that passes stands for the author where the domains are one organisation's, and policies are those of the
/// domain, of its parent, or of its parent for what does not exist.
///
/// proves: CHK-4
#[tokio::test]
async fn authors_are_aligned_with_who_sent() {
    let check =
        async |records: &[(&str, &str)], path: &str, message: &str, verdict: Verdict, rejects: bool| {
            let zones = FixedZones::new();
            for path in ["sender.test", "news.sender.test", "other.test"] {
                text(&zones, path, "v=spf1 ip4:192.0.2.0/24 -all");
            }
            records.iter().for_each(|(name, record)| text(&zones, name, record));
            let checked = examined(&checker(zones, OnFailure::Note), path, message.as_bytes()).await;
            let author = checked.author;
            assert_eq!(
                (author.verdict, author.rejects),
                (verdict, rejects),
                "{records:?} {path}: {}",
                author.why
            );
            assert_eq!(author.verified, verdict == Verdict::Pass, "{records:?} {path}");
        };
    let reject = ("_dmarc.sender.test", "v=DMARC1; p=reject");
    let strict = ("_dmarc.sender.test", "v=DMARC1; p=reject; aspf=s");
    let none = ("_dmarc.sender.test", "v=DMARC1; p=none");
    let absent = ("_dmarc.sender.test", "v=DMARC1; p=none; sp=none; np=reject");
    check(&[], "a@sender.test", PLAIN, Verdict::None, false).await;
    check(&[reject], "a@sender.test", PLAIN, Verdict::Pass, true).await;
    check(&[reject], "a@news.sender.test", PLAIN, Verdict::Pass, true).await;
    check(&[strict], "a@news.sender.test", PLAIN, Verdict::Fail, true).await;
    check(&[reject], "a@other.test", PLAIN, Verdict::Fail, true).await;
    check(&[none], "a@other.test", PLAIN, Verdict::Fail, false).await;
    check(&[reject, none], "a@other.test", PLAIN, Verdict::None, false).await;
    check(&[("_dmarc.sender.test", "v=DMARC1; p=")], "a@other.test", PLAIN, Verdict::None, false).await;
    let below = PLAIN.replace("a@sender", "a@deep.news.sender");
    check(&[absent], "a@other.test", &below, Verdict::Fail, true).await;
    let existing = PLAIN.replace("a@sender", "a@news.sender");
    check(&[absent], "a@other.test", &existing, Verdict::Fail, false).await;
    let twice = PLAIN.replace("Subject", "From: a@sender.test\r\nSubject");
    check(&[reject], "a@sender.test", &twice, Verdict::PermError, false).await;
    let authors = PLAIN.replace("a@sender.test", "a@sender.test, b@other.test");
    check(&[reject], "a@sender.test", &authors, Verdict::PermError, false).await;
    check(&[reject], "a@sender.test", "Subject: a\r\n\r\n", Verdict::PermError, false).await;
    check(&[reject], "a@sender.test", "", Verdict::PermError, false).await;
}

/// Signatures of many deep names, none of which need verify, keep nothing else from being asked.
///
/// proves: CHK-12
#[tokio::test]
async fn no_number_of_signatures_hides_a_policy() {
    let message = |signatures: &str| format!("{signatures}From: x@bank.co.test\r\nSubject: s\r\n\r\nx\r\n");
    let signature = |at: usize| {
        format!(
            "DKIM-Signature: v=1; a=ed25519-sha256; d=0.1.2.3.4.5.6.a{at}.co.test; s=0s; h=from; bh=AAAA; b=AAAA\r\n"
        )
    };
    let signatures: String = (0..12).map(signature).collect();
    for signatures in ["", &signatures] {
        let zones = FixedZones::new();
        text(&zones, "_dmarc.bank.co.test", "v=DMARC1; p=reject");
        let checker = checker(zones, OnFailure::Note);
        let octets = message(signatures);
        let author = examined(&checker, "a@0.1.2.3.4.5.6.b.co.test", octets.as_bytes()).await.author;
        assert_eq!((author.verdict, author.rejects), (Verdict::Fail, true), "{}", author.why);
    }
}

/// What is refused, and what never is.
///
/// proves: CHK-5, CHK-6, CHK-7, CHK-8
#[tokio::test]
async fn only_failures_refuse_and_only_where_it_is_set() {
    let spf = |domain: &'static str, record: &'static str| (domain, Record::Txt(record.as_bytes().to_vec()));
    let csa = |weight| {
        let target = Some("other.test".to_owned());
        ("_client._smtp.mail.sender.test", Record::Srv(Srv { priority: 1, weight, port: 0, target }))
    };
    let check = async |records: &[(&str, Record)], failing: &[&str], code: Option<Code>, verified: bool| {
        for on_failure in [OnFailure::Refuse, OnFailure::Note] {
            let zones = FixedZones::new();
            records.iter().for_each(|(name, record)| zones.add(name, record.clone()).unwrap());
            failing.iter().for_each(|name| zones.fail(name, Some(Failure::Timeout)).unwrap());
            let checker = checker(zones, on_failure);
            let findings = checker.findings(&examined(&checker, "a@sender.test", PLAIN.as_bytes()).await);
            let refused = findings.refuse.as_ref().map(|(code, _)| *code);
            let expected = code.filter(|_| on_failure == OnFailure::Refuse);
            assert_eq!(refused, expected, "{records:?} {failing:?}: {:?}", findings.refuse);
            assert_eq!(findings.return_path_verified, verified, "{records:?} {failing:?}");
        }
    };
    let dmarc = spf("_dmarc.sender.test", "v=DMARC1; p=reject");
    let passes = spf("sender.test", "v=spf1 ip4:192.0.2.1 -all");
    check(&[], &[], None, false).await;
    check(std::slice::from_ref(&passes), &[], None, true).await;
    check(&[spf("sender.test", "v=spf1 -all")], &[], Some(Code::SPF_FAILED), false).await;
    check(&[spf("sender.test", "v=spf1 ~all")], &[], None, false).await;
    check(&[spf("sender.test", "v=spf1 nonsense")], &[], None, false).await;
    check(&[spf("mail.sender.test", "v=spf1 -all")], &[], Some(Code::SPF_FAILED), false).await;
    check(std::slice::from_ref(&dmarc), &[], Some(Code::CHECKS_FAILED), false).await;
    check(&[dmarc.clone(), passes.clone()], &[], None, true).await;
    check(&[csa(1)], &[], Some(Code::NOT_AUTHORIZED), false).await;
    check(&[csa(2)], &[], Some(Code::NOT_AUTHORIZED), false).await;
    check(&[csa(3)], &[], None, false).await;
    // What does not answer refuses nothing.
    check(&[csa(2)], &["other.test"], None, false).await;
    check(&[passes], &["sender.test"], None, false).await;
    check(std::slice::from_ref(&dmarc), &["_dmarc.sender.test"], None, false).await;
    check(&[dmarc], &["sender.test"], None, false).await;
}

/// The words of the domain are said as its words, and the field holds one result for each check.
///
/// proves: CHK-7, CHK-9, CHK-10
#[tokio::test]
async fn findings_say_what_was_found() {
    let zones = FixedZones::new();
    text(&zones, "sender.test", "v=spf1 -all exp=why.sender.test");
    text(&zones, "why.sender.test", "%{i} is not ours");
    let checker = checker(zones, OnFailure::Refuse);
    let octets = format!("Authentication-Results: mx.here.test; spf=pass\r\n{PLAIN}");
    let findings = checker.findings(&examined(&checker, "a@sender.test", octets.as_bytes()).await);
    let (_, said) = findings.refuse.clone().unwrap();
    assert!(said.ends_with("; sender.test explains: 192.0.2.1 is not ours"), "{said}");
    assert_eq!(
        findings.authentication_results,
        "mx.here.test 1;\r\n\tspf=none smtp.helo=mail.sender.test;\r\n\tspf=fail smtp.mailfrom=a@sender.test;\r\n\t\
         dkim=none;\r\n\tdmarc=none header.from=sender.test;\r\n\tx-csa=none smtp.helo=mail.sender.test"
    );
    assert_eq!(findings.forged_results, [0]);
    let claims: Vec<String> =
        findings.claims.iter().map(|(method, result)| format!("{method}={result}")).collect();
    assert_eq!(
        claims,
        ["spf-helo=none", "spf=fail", "dkim=none", "dmarc=none", "csa=none", "forged-results=0"]
    );
    let bounce = checker.findings(&examined(&checker, "", PLAIN.as_bytes()).await);
    assert!(!bounce.return_path_verified);
    assert!(!bounce.authentication_results.contains("mailfrom"), "{}", bounce.authentication_results);
}

/// A DNS that never answers costs half a minute, and nothing follows from it.
///
/// proves: CHK-2, CHK-6
#[tokio::test(start_paused = true)]
async fn a_dns_that_never_answers_is_given_up() {
    struct Silent;
    impl dns::Resolver for Silent {
        fn srv<'a>(&'a self, _: &'a str) -> dns::Lookup<'a, dns::Srv> {
            Box::pin(std::future::pending())
        }
        fn txt<'a>(&'a self, _: &'a str) -> dns::Lookup<'a, Vec<u8>> {
            Box::pin(std::future::pending())
        }
        fn tlsa<'a>(&'a self, _: &'a str) -> dns::Lookup<'a, dns::Tlsa> {
            Box::pin(std::future::pending())
        }
        fn addresses<'a>(&'a self, _: &'a str) -> dns::Lookup<'a, IpAddr> {
            Box::pin(std::future::pending())
        }
        fn mx<'a>(&'a self, _: &'a str) -> dns::Lookup<'a, dns::Mx> {
            Box::pin(std::future::pending())
        }
        fn names<'a>(&'a self, _: IpAddr) -> dns::Lookup<'a, String> {
            Box::pin(std::future::pending())
        }
    }
    let settings = CheckSettings {
        host: "mx.here.test".into(),
        spf: OnFailure::Refuse,
        dmarc: OnFailure::Refuse,
        csa: OnFailure::Refuse,
    };
    let checker = Checker::new(settings, Arc::new(Silent), Arc::new(|| 0)).unwrap();
    let began = tokio::time::Instant::now();
    let checked = examined(&checker, "a@sender.test", PLAIN.as_bytes()).await;
    assert!(began.elapsed() <= CHECK_TIME_MAX, "{:?}", began.elapsed());
    let verdicts = [checked.spf.verdict, checked.spf_helo.verdict, checked.author.verdict];
    assert_eq!(verdicts, [Verdict::TempError; 3]);
    assert_eq!(checked.client, Some(Verdict::TempError));
    assert_eq!(checker.findings(&checked).refuse, None);
}

/// A letter is checked as it came in, and a forwarder is trusted only where all its recipients have said so.
///
/// proves: SPP-2, SPP-4
#[tokio::test]
async fn a_forwarder_is_trusted_where_everybody_has_arranged_it() {
    struct Arranged;
    impl Arrangements for Arranged {
        fn arranged<'a>(
            &'a self,
            forwarder: &'a str,
            recipient: &'a message::address::Address,
        ) -> Later<'a, bool> {
            Box::pin(
                async move { forwarder == "mx.forwarder.test" && recipient.to_string() == "ann@here.test" },
            )
        }
    }
    let check = async |recipients: &[&str], arrangements: bool, refused: bool| {
        let zones = FixedZones::new();
        text(&zones, "sender.test", "v=spf1 -all");
        text(&zones, "_dmarc.sender.test", "v=DMARC1; p=reject");
        text(&zones, "mx.forwarder.test", "v=spf1 ip4:192.0.2.1 p=meng -all");
        let mut checker = checker(zones, OnFailure::Refuse);
        if arrangements {
            checker = checker.with_arrangements(Arc::new(Arranged));
        }
        let recipient = |address: &&str| crate::Recipient {
            address: address.parse().unwrap(),
            notify: None,
            original: None,
        };
        let letter = Letter {
            client: Arc::new(crate::Client {
                address: CLIENT.parse().unwrap(),
                came_to: std::net::IpAddr::from([127, 0, 0, 1]),
                helo: "mx.forwarder.test".into(),
                extended: true,
                service: crate::Service::Transfer,
                tls: None,
                certificate_digest: None,
                account: None,
            }),
            return_path: Some("a@sender.test".parse().unwrap()),
            recipients: recipients.iter().map(recipient).collect(),
            octets: PLAIN.as_bytes().to_vec().into(),
            left: Vec::new(),
            received: String::new(),
            mav: None,
            findings: Findings::default(),
            authenticity: crate::Authenticity::Unverified,
            earlier_mav: None,
            individual: false,
            utf8: false,
            envelope_id: None,
            headers_only: None,
            cookie: None,
        };
        let findings = checker.check(&letter).await;
        assert_eq!(findings.refuse.is_some(), refused, "{recipients:?} {arrangements}");
        assert!(!findings.return_path_verified);
        assert_eq!(findings.forwarder.as_deref(), Some("mx.forwarder.test"));
        // What failed is not kept, but for what a trusted forwarder has brought.
        assert_eq!(findings.may_keep_path, !refused);
        // What SPF itself found stays written.
        assert!(findings.authentication_results.contains("spf=fail smtp.mailfrom=a@sender.test"));
        let neutral = findings.authentication_results.contains("x-spf-properties=neutral reason=\"meng\"");
        assert_eq!(neutral, !refused, "{}", findings.authentication_results);
    };
    check(&["ann@here.test"], true, false).await;
    check(&["ann@here.test"], false, true).await;
    check(&["ann@here.test", "bob@here.test"], true, true).await;
    check(&[], true, true).await;
}

mod any_message {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever comes as a message is checked to an end, and what is written of it is one field.
        #[test]
        fn is_checked_to_an_end(
            octets in proptest::collection::vec(any::<u8>(), 0..400),
            almost in "((From|Sender|Resent-From|DKIM-Signature|Authentication-Results):[ -~]{0,40}(\r\n|\n|\r)){0,8}",
            helo in "[ -~]{0,30}",
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            for octets in [octets.as_slice(), almost.as_bytes()] {
                let checker = checker(FixedZones::new(), OnFailure::Refuse);
                let input = CheckInput {
                    address: CLIENT.parse().unwrap(),
                    helo: &helo,
                    return_path: &None,
                    octets,
                    arranged: true,
                    cookie: None,
                    now_ms: 0,
                };
                let findings = runtime.block_on(async { checker.findings(&checker.examine(input).await) });
                for line in findings.authentication_results.split("\r\n").skip(1) {
                    prop_assert!(line.starts_with('\t'), "{line:?}");
                }
                prop_assert!(!findings.authentication_results.replace("\r\n\t", " ").contains(char::is_control));
                let _ = properties::responsible(octets);
            }
        }
    }
}
