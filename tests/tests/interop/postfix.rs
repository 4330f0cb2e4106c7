//! Postfix as the far server, in both directions.

use std::time::Duration;

use message::Disposition;
use waxwing_tests::{Site, User, World};

use crate::mail::{FILE_NAME, SUBJECT, TEXT, letter, read_by_python};
use crate::street::{Names, Postfix, RESOLVER, command};

/// The node of north.test, whose gateway is mx.north.test.
pub(crate) const NORTH: &str = "127.0.0.10";

/// A node with a gateway at port 25, as everybody else sees it, and which asks the same DNS as everybody.
pub(crate) fn north(more: &str) -> Site {
    Site::new("north.test")
        .asks(RESOLVER.parse().unwrap())
        .records("@ MX 10 mx\nmx A 127.0.0.10\n@ TXT \"v=spf1 mx -all\"\nmx TXT \"v=spf1 a -all\"")
        .lines(&format!(
            "[policy]\nfirst-contact = \"accept\"\n[gateway]\ntransfer = \"{NORTH}:25\"\nsubmission = \"{NORTH}:587\"\n\
             submissions = \"{NORTH}:465\"\n{more}\n[gateway.out]\nfrom-address = \"{NORTH}\"\nnotice-seconds = 4\n"
        ))
}

/// A zone of the old world with one server.
pub(crate) fn zone(address: &str) -> String {
    format!("@ MX 10 mx\nmx A {address}\n@ TXT \"v=spf1 ip4:{address} -all\"\nmx TXT \"v=spf1 a -all\"\n")
}

/// A runtime for a test.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Waits until something is there, and gives it; `what` and what `or` says stand in the failure.
pub(crate) async fn arrives<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
    or: impl Fn() -> String,
) -> T {
    for _ in 0..600 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what} did not come about: {}", or())
}

/// The identity of the only message in a mailbox, once it is there.
pub(crate) async fn only_mail(world: &World, user: &User, or: impl Fn() -> String) -> message::Identity {
    let look = async || {
        let store = world.node(user.address.domain().as_str()).store().clone();
        store.mailbox(&user.account, None, 2).unwrap().first().map(|entry| entry.identity)
    };
    arrives("mail", look, or).await
}

/// What became of a message for each recipient, once all of it is final.
pub(crate) async fn settled(
    user: &mut User,
    sent: message::Identity,
    or: impl Fn() -> String,
) -> Vec<Disposition> {
    let look = async || {
        let all = user.dispositions(sent).await;
        all.iter().all(Disposition::is_final).then_some(all)
    };
    arrives("the dispositions", look, or).await
}

/// Starts nsd, unbound and two Postfixes; sends the letter by swaks into the first, which finds our gateway by its MX
/// record and brings it by SMTP; reads it natively; and sends it on to somebody at the second, which our gateway finds
/// by its MX record. Text, names and the octets of the file are the same at every place.
#[test]
#[ignore = "scripts/interop runs it"]
fn twenty_megabytes_from_postfix_to_a_native_user_and_on_to_another_postfix() {
    runtime().block_on(async {
        let mut world = World::new(&[north("")]).await;
        let _names = Names::start(
            &[("legacy.test", &zone("127.0.0.25")), ("old.test", &zone("127.0.0.26"))],
            &[("north.test", world.zones("north.test"))],
        );
        let far = Postfix::start("legacy.test", "127.0.0.25", "");
        let other = Postfix::start("old.test", "127.0.0.26", "");
        world.start("north.test").await;
        let mut alice = world.user("alice@north.test").await;

        let (mail, file) = letter("zoe@legacy.test", "alice@north.test", 20 * 1024 * 1024);
        let arguments = [
            "--server",
            "127.0.0.25",
            "--from",
            "zoe@legacy.test",
            "--to",
            "alice@north.test",
            "--data",
            "-",
            "--hide-all",
        ];
        let (good, said) = command("swaks", &arguments, &mail);
        assert!(good, "{said}");
        let identity = only_mail(&world, &alice, || far.log()).await;
        let fetched = alice.fetch(identity).await.unwrap();
        let headers = fetched.headers.as_ref().unwrap();
        assert_eq!(headers.message().only("Subject").as_deref(), Some(SUBJECT));
        assert!(fetched.bodies.values().any(|body| body == TEXT.as_bytes()), "the text, as it was written");
        assert!(fetched.bodies.values().any(|body| body == &file), "the file, octet for octet");
        let names = headers
            .parts()
            .iter()
            .any(|part| part.only("Content-Disposition").is_some_and(|value| value.contains(FILE_NAME)));
        assert!(names, "the name of the file: {headers:?}");

        // Alice sends it on: as her own, with the same parts.
        let mut imported = mail.clone();
        let from = b"From: =?UTF-8?Q?Zo=C3=AB?= <zoe@legacy.test>";
        imported.splice(..from.len(), b"From: Alice <alice@north.test>".iter().copied());
        let own = translate::import(&imported, &translate::ImportOptions::default()).unwrap().message;
        let sent = alice.send(&own, &["carl@old.test"]).await;
        let arrived = arrives(
            "mail at the other Postfix",
            async || other.mail("carl@old.test").pop(),
            || format!("{:?}\n{}", world.events("north.test"), other.log()),
        )
        .await;
        let (subject, text, name, octets) = read_by_python(&arrived);
        assert_eq!((subject.as_str(), name.as_str()), (SUBJECT, FILE_NAME));
        assert_eq!(text.trim_end(), TEXT.replace("\r\n", "\n").trim_end());
        assert!(octets == file, "the file, octet for octet");
        // Nobody has said that it failed: it is relayed, and no more is known.
        let settled = settled(&mut alice, sent, String::new).await;
        assert_eq!(settled[0], Disposition::Relayed);
    });
}

/// Starts nsd, unbound and a Postfix that knows no `nobody`: our message is refused in the session, and one that Postfix
/// takes first and cannot deliver comes back as a notice, settles the recipient as refused, and is nobody's mail.
#[test]
#[ignore = "scripts/interop runs it"]
fn what_postfix_refuses_at_once_or_later_is_what_the_author_is_told() {
    runtime().block_on(async {
        let mut world = World::new(&[north("")]).await;
        let _names = Names::start(
            &[("legacy.test", &zone("127.0.0.25"))],
            &[("north.test", world.zones("north.test"))],
        );
        let more = "virtual_alias_domains = \nvirtual_mailbox_maps = inline:{ zoe@legacy.test=ALL/, late@legacy.test=ALL/ }\n\
             transport_maps = inline:{ late@legacy.test=error:5.2.1:this-mailbox-is-gone }\n";
        let far = Postfix::start("legacy.test", "127.0.0.25", more);
        world.start("north.test").await;
        let mut alice = world.user("alice@north.test").await;
        let mail = waxwing_tests::letter("alice@north.test", "Hello\r\n");
        let sent = alice.send(&mail, &["zoe@legacy.test", "late@legacy.test", "nobody@legacy.test"]).await;
        let settled = settled(&mut alice, sent, || far.log()).await;
        let said: Vec<String> = settled.iter().map(|one| format!("{one:?}")).collect();
        assert_eq!(settled[0], Disposition::Relayed, "{}", said[0]);
        assert!(said[1].contains("this-mailbox-is-gone"), "{}", said[1]);
        assert!(said[2].contains("nobody@legacy.test"), "{}", said[2]);
        assert!(world.node("north.test").store().mailbox("alice", None, 5).unwrap().is_empty(), "no notice is mail");
    });
}
