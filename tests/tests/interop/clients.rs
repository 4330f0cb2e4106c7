//! swaks and Python's smtplib as clients of users.

use waxwing_tests::World;

use crate::postfix::{NORTH, north, only_mail, runtime};
use crate::street::{Names, command};

/// Starts nsd and unbound. A user submits with swaks over STARTTLS and AUTH PLAIN, and with smtplib over TLS from the start
/// (by SCRAM logs in a client of our own, in `tests/wire/scram.rs`: neither of these speaks it); without TLS nobody can log in; without login nobody gets out.
#[test]
#[ignore = "scripts/interop runs it"]
fn users_submit_with_swaks_and_smtplib() {
    runtime().block_on(async {
        let mut world = World::new(&[north("")]).await;
        let _names = Names::start(&[], &[("north.test", world.zones("north.test"))]);
        world.start("north.test").await;
        let _alice = world.user("alice@north.test").await;
        let bob = world.user("bob@north.test").await;
        let port = format!("{NORTH}:587");
        let common = ["--server", &port, "--from", "alice@north.test", "--to", "bob@north.test"];
        let with = |more: &[&str]| command("swaks", &[&common[..], more].concat(), b"");

        let login = ["--auth-user", "alice@north.test", "--auth-password", "password of alice"];
        let (good, said) = with(&[&["--tls", "--auth", "PLAIN"][..], &login].concat());
        assert!(good, "{said}");
        only_mail(&world, &bob, || said.clone()).await;
        let (good, said) = with(&[&["--auth", "PLAIN"][..], &login].concat());
        assert!(!good && !said.contains("AUTH PLAIN"), "no login without TLS: {said}");
        let (good, said) = with(&["--tls"]);
        assert!(!good && said.contains("530"), "no mail without login: {said}");
        let (good, said) = with(&["--tls", "--auth", "PLAIN", "--auth-user", "alice", "--auth-password", "wrong"]);
        assert!(!good && said.contains("535"), "{said}");

        let program = format!(
            "import smtplib, ssl, sys\n\
             context = ssl.create_default_context(); context.check_hostname = False; context.verify_mode = ssl.CERT_NONE\n\
             with smtplib.SMTP_SSL('{NORTH}', 465, context=context) as smtp:\n\
             \x20   smtp.login('alice', 'password of alice')\n\
             \x20   smtp.sendmail('alice@north.test', ['bob@north.test'], \
             'From: alice@north.test\\r\\nSubject: by smtplib\\r\\n\\r\\nGrüße\\r\\n'.encode(), ['BODY=8BITMIME'])\n"
        );
        let (good, said) = command("/usr/bin/python3", &["-c", &program], b"");
        assert!(good, "{said}");
        let entries = world.node("north.test").store().mailbox("bob", None, 5).unwrap();
        assert_eq!(entries.len(), 2, "one by swaks, one by smtplib");
    });
}
