//! The certificate of SMTP is replaced while the node runs, by real TLS.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use control::{Request, Response};
use transport::{HostKey, KeyKind};
use waxwing_tests::smtp::{Session, Smtp, body};
use waxwing_tests::world::free_address;
use waxwing_tests::{Site, World};

/// Writes a pair, or two halves of different ones; each file is replaced at once, as programs for certificates do.
fn put(folder: &Path, certificate: &HostKey, key: &HostKey) {
    let write = |name: &str, text: &str| {
        let fresh = folder.join(format!("{name}.new"));
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh);
        file.unwrap().write_all(text.as_bytes()).unwrap();
        fs::rename(fresh, folder.join(name)).unwrap();
    };
    write("smtp.crt", &certificate.chain_pem());
    write("smtp.key", &key.key_pem());
}

fn fresh() -> HostKey {
    HostKey::generate(KeyKind::EcdsaP256, &["mx.north.test"]).unwrap()
}

async fn ask(world: &World, request: Request) -> Response {
    let mut client = control::Client::connect(&world.data("north.test").join("control.sock")).await.unwrap();
    client.call(&request).await.unwrap()
}

async fn open(address: SocketAddr) -> Session {
    let smtp = Smtp { address, tls: true, to: "bob@north.test" };
    tokio::task::spawn_blocking(move || Session::open(&smtp).unwrap()).await.unwrap()
}

async fn send(mut session: Session, name: &'static str) -> Session {
    let sending = move || {
        session.send(name, "bob@north.test", &body(100)).unwrap();
        session
    };
    tokio::task::spawn_blocking(sending).await.unwrap()
}

/// proves: GW-15
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_shown_to_new_sessions_and_a_bad_one_changes_nothing() {
    let address = free_address();
    let lines = format!(
        "[policy]\nfirst-contact = \"accept\"\n[gateway]\ntransfer = \"{address}\"\n\
         certificate = \"smtp.crt\"\nkey = \"smtp.key\"\n[gateway.out]\nenabled = false"
    );
    let mut world = World::new(&[Site::new("north.test").lines(&lines)]).await;
    let folder = world.data("north.test").parent().unwrap().to_owned();
    let (first, second, third) = (fresh(), fresh(), fresh());
    let shows = |session: &Session, pair: &HostKey| {
        let shown = session.certificate().unwrap();
        assert!(pair.chain_pem().replace('\n', "").contains(&data_encoding::BASE64.encode(&shown)));
    };
    put(&folder, &first, &first);
    world.start("north.test").await;
    let bob = world.user("bob@north.test").await;
    let old = open(address).await;
    shows(&old, &first);

    put(&folder, &second, &second);
    assert_eq!(ask(&world, Request::Reload).await, Response::Done);
    shows(&open(address).await, &second);
    // Who had a session goes on in it.
    let old = send(old, "over-the-old-one").await;
    shows(&old, &first);

    // Two halves that do not belong together, and what is no certificate at all.
    put(&folder, &third, &second);
    let Response::Failure(failure) = ask(&world, Request::Reload).await else { panic!("it is not good") };
    assert!(failure.text.contains("the old one stays"), "{failure:?}");
    let Response::Alerts { alerts } = ask(&world, Request::Alerts).await else { panic!("no alerts") };
    assert!(alerts.iter().any(|alert| alert.kind == "certificate"), "{alerts:?}");
    shows(&open(address).await, &second);
    fs::write(folder.join("smtp.crt"), "no certificate").unwrap();
    assert!(matches!(ask(&world, Request::Reload).await, Response::Failure(_)));
    fs::remove_file(folder.join("smtp.key")).unwrap();
    assert!(matches!(ask(&world, Request::Reload).await, Response::Failure(_)));
    send(open(address).await, "while-it-is-bad").await;

    put(&folder, &third, &third);
    assert_eq!(ask(&world, Request::Reload).await, Response::Done);
    shows(&open(address).await, &third);
    send(old, "and-once-more").await;
    let Response::Alerts { alerts } = ask(&world, Request::Alerts).await else { panic!("no alerts") };
    assert!(alerts.iter().all(|alert| alert.kind != "certificate"), "{alerts:?}");
    assert_eq!(world.node("north.test").store().mailbox(&bob.account, None, 9).unwrap().len(), 3);
}
