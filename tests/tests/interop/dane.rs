//! DANE: an unbound that validates, a zone that nsd serves and ldns has signed, and Postfixes with TLS.

use message::Disposition;
use waxwing_tests::{World, letter};

use crate::postfix::{arrives, north, runtime, settled};
use crate::street::{Names, Postfix, Signed, command};

/// The TLSA record (RFC 6698) for a certificate: the digest of its public key, as OpenSSL makes it.
fn tlsa(postfix: &Postfix) -> String {
    let script =
        "openssl x509 -in \"$0\" -pubkey -noout | openssl pkey -pubin -outform DER | openssl dgst -sha256 -r";
    let certificate = postfix.certificate();
    let (good, said) = command("sh", &["-c", script, &certificate.to_string_lossy()], b"");
    assert!(good, "{said}");
    format!("TLSA 3 1 1 {}", said.split_whitespace().next().unwrap())
}

/// Starts nsd with one signed zone, unbound that validates it, and two Postfixes. The TLSA record of the first names its
/// certificate: mail is delivered there, although no authority has signed it. That of the second names the certificate of
/// the first: mail waits, and nothing is said in the clear.
#[test]
#[ignore = "scripts/interop runs it"]
fn dane_is_followed_by_a_node_that_validates() {
    runtime().block_on(async {
        let right = Postfix::start("right.dane.test", "127.0.0.25", "");
        let wrong = Postfix::start("wrong.dane.test", "127.0.0.26", "");
        let named = tlsa(&right);
        assert_ne!(named, tlsa(&wrong));
        let zone = Signed::zone(
            "dane.test",
            &format!(
                "right MX 10 mx.right\nmx.right A 127.0.0.25\n_25._tcp.mx.right {named}\n\
                 wrong MX 10 mx.wrong\nmx.wrong A 127.0.0.26\n_25._tcp.mx.wrong {named}\n"
            ),
        );
        let mut world = World::new(&[north("").validates(&zone.key)]).await;
        let _names = Names::with_signed(&[&zone], &[], &[("north.test", world.zones("north.test"))]);
        let look_up = ["-c", VALIDATED, "_25._tcp.mx.wrong.dane.test"];
        let (good, said) = command("/usr/bin/python3", &look_up, b"");
        assert!(good, "unbound says that it has validated the record: {said}");
        world.start("north.test").await;
        let mut alice = world.user("alice@north.test").await;

        let mail = letter("alice@north.test", "To the right one\r\n");
        let sent = alice.send(&mail, &["bob@right.dane.test"]).await;
        let said = || format!("{:?}\n{}", world.events("north.test"), right.log());
        arrives("mail", async || right.mail("bob@right.dane.test").pop(), said).await;
        assert_eq!(settled(&mut alice, sent, said).await, [Disposition::Relayed]);

        let mail = letter("alice@north.test", "To the wrong one\r\n");
        let sent = alice.send(&mail, &["bob@wrong.dane.test"]).await;
        let store = world.node("north.test").store().clone();
        let waits = async || {
            let legs = store.legs(None, None, 9).unwrap();
            legs.into_iter().find_map(|leg| leg.last_error.filter(|_| leg.attempts > 0))
        };
        let why = arrives("an attempt", waits, || format!("{:?}", world.events("north.test"))).await;
        let envelope = store.envelopes_for(sent, 1).unwrap().remove(0);
        let attempts = store.attempts(envelope.id).unwrap();
        assert!(
            attempts.iter().any(|one| one.step == "tls" && one.host == "mx.wrong.dane.test"),
            "{attempts:?}"
        );
        assert!(!envelope.recipients[0].current().is_final(), "it waits: {why}");
        assert!(wrong.mail("bob@wrong.dane.test").is_empty(), "nothing was delivered");
    });
}

/// Asks unbound for a TLSA record, and fails where it does not say that it has validated the answer (AD).
const VALIDATED: &str = "import sys, dns.message, dns.query, dns.flags, dns.rdatatype\n\
    question = dns.message.make_query(sys.argv[1], 'TLSA', want_dnssec=True)\n\
    answer = dns.query.udp(question, '127.0.0.53', timeout=10)\n\
    print(answer)\n\
    sys.exit(0 if answer.flags & dns.flags.AD and answer.answer else 1)\n";
