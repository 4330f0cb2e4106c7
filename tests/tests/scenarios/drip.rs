//! A peer that lets little through, on simulated time over real QUIC.

use std::time::Duration;

use message::Code;
use protocol::{Failure, Frame, encode};
use testkit::datagrams::{Datagrams, Treatment};
use tokio::time::Instant;
use transport::{Alpn, AskError, Client, Error, Expectation, HostKey, Limits, Pace, Server, Service};

/// An answer that comes by one octet in twenty seconds never stands still for thirty. Whoever waits for it does not do so
/// for the hour that a stream may take at most.
///
/// proves: TRA-17
#[tokio::test(start_paused = true)]
async fn an_answer_in_drops_is_given_up() {
    let treatment = Treatment { delay_ms: 10, jitter_ms: 0, lost_percent: 0, doubled_percent: 0 };
    let network = Datagrams::new(treatment, 1);
    let (here, there) = ("10.0.0.1:7625".parse().unwrap(), "10.0.0.2:9000".parse().unwrap());
    let host = HostKey::from_ed25519_seed(&[3; 32], &["south.test"]).unwrap();
    let expectation = Expectation::Pinned { digests: vec![host.key_digest()] };
    let settings = encode(&Frame::Settings(protocol::Settings::default()));
    let services = vec![Service { alpn: Alpn::Exchange, settings }];
    let server = Server::bind(network.socket(here), &host.into(), services, &Limits::default()).unwrap();
    tokio::spawn(async move {
        let link = server.accept().await.unwrap().authenticated().await.unwrap();
        let (mut send, _receive) = link.accept_bi().await.unwrap();
        let answer = encode(&Frame::Failure(Failure { code: Code::NO_ROUTE, text: "slow. ".repeat(100) }));
        for at in 0..answer.len() {
            // A clock for each drop: this side has all the time it wants.
            let pace = Pace::start(&Limits::default());
            if pace.write(&mut send, answer.slice(at..=at)).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(20)).await;
        }
    });
    let client = Client::bind(network.socket(there), None, &Limits::default()).unwrap();
    let connected = client.connect(here, "south.test", Alpn::Exchange, &expectation).await.unwrap();
    let began = Instant::now();
    let question = Frame::Poll(vec![message::Cookie::from_bytes([7; 32])]);
    let answer = transport::ask(&connected, Pace::start(&Limits::default()), &question).await;
    assert!(matches!(answer, Err(AskError::Transport(Error::TimeLimit))), "{answer:?}");
    // Two minutes, and nothing that was moved is worth a second more: a few octets have come, and the question is below 256.
    assert_eq!(began.elapsed().as_secs(), 120);
}
