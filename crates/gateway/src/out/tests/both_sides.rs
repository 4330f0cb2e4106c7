//! Our client against our server, over real sockets and real TLS.

use message::{Code, Disposition};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::*;
use crate::Service;
use crate::fake::FakeHandler;
use crate::mav::Rules;
use crate::out::tls::provider;
use crate::smtp::{Environment, Limits, NoChecks, Parts, Server, tls_settings};

struct OtherSide {
    address: SocketAddr,
    handler: Arc<FakeHandler>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

async fn other_side() -> OtherSide {
    let made = rcgen::generate_simple_self_signed(vec!["mx.south.test".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let key = provider().key_provider.load_private_key(key).unwrap();
    let certified = CertifiedKey::new(vec![made.cert.der().clone()], key);
    let handler = Arc::new(FakeHandler::of(&["south.test"]));
    let parts = Parts {
        settings: crate::smtp::Settings {
            host: "mx.south.test".to_owned(),
            domain: Domain::parse("south.test").unwrap(),
            limits: Limits { message_octets_max: 12 << 20, ..Limits::default() },
        },
        handler: Arc::clone(&handler) as Arc<dyn crate::Handler>,
        checks: Arc::new(NoChecks),
        cookies: None,
        rules: Arc::new(Rules::default()),
        host_names: None,
        tls: Some(tls_settings(Arc::new(SingleCertAndKey::from(certified)), false).unwrap()),
        environment: Environment { now_ms: Arc::new(|| NOW_MS), seed: Arc::new(|| [7; 32]) },
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(Server::new(parts).serve(listener, Service::Transfer, stopped));
    OtherSide { address, handler, stop, task }
}

/// Everything that is said to the other side arrives there as it was, over TLS, in chunks, and on one connection; and what it
/// refuses is heard with its code. proves: GW-48, GW-49, GW-50, GW-52
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_is_what_arrives() {
    let other = other_side().await;
    let sender =
        sender(settings(&[("mx.south.test", other.address)]), zones("south.test", &["mx.south.test"]));
    other.handler.answer(
        "full@south.test",
        Disposition::Refused { code: Code::new(5, 2, 2), text: "the mailbox is full".to_owned() },
    );
    let large = format!("Subject: large\r\n\r\n{}", ".a line with a dot before it\r\n".repeat(300_000));
    let texts = [
        "Subject: short\r\n\r\n.\r\n..\r\n.two\r\n",
        "Subject: grüße\r\n\r\nschön\r\n",
        "Subject: eight\r\n\r\nschön\r\n",
        &large,
    ];
    for text in texts {
        let recipients = ["bob@south.test", "nobody@south.test", "zoë@south.test"];
        let report = send(&sender, &shipment("south.test", &recipients, text)).await;
        let found = all(&report);
        assert!(found[0].starts_with("taken by mx.south.test: 250 2."), "{found:?}");
        assert!(found[1].starts_with("refused 5.1.1: 550 5.1.1"), "{found:?}");
        assert!(found[2].starts_with("taken by mx.south.test: 250 2."), "{found:?}");
        let letter = other.handler.taken().pop().unwrap();
        assert!(letter.octets == text.as_bytes(), "{} octets came of {}", letter.octets.len(), text.len());
        assert!(letter.client.tls.is_some());
        assert_eq!(letter.recipients.len(), 2);
    }
    let report = send(&sender, &shipment("south.test", &["full@south.test"], texts[0])).await;
    assert_eq!(all(&report), ["refused 5.2.2: 550 5.2.2 the mailbox is full"]);
    let report = send(&sender, &shipment("south.test", &["bob@south.test"], &large.repeat(2))).await;
    assert!(all(&report)[0].starts_with("refused 5.3.4"), "{report:?}");
    sender.close().await;
    other.stop.send(true).unwrap();
    other.task.await.unwrap();
}
