//! One connection for many callers.

use crate::common::{Echo, NAME, SETTINGS, ask, client, pin};
use std::net::SocketAddr;
use std::time::Duration;
use waxwing_transport::{Alpn, Code, Error, Expectation, Limits, Pool, Route};

fn route(echo: &Echo, host: &str) -> Route {
    Route {
        host: host.to_owned(),
        port: echo.address.port(),
        addresses: vec![echo.address],
        alpn: Alpn::Exchange,
        expectation: pin(&echo.key),
    }
}

/// proves: TRA-18
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_requests_share_one_handshake() {
    let echo = Echo::start(&Limits::default());
    let pool = Pool::new(client(None, &Limits::default()));
    let route = route(&echo, NAME);
    let mut requests = tokio::task::JoinSet::new();
    for number in 0..100_u32 {
        let (pool, route) = (pool.clone(), route.clone());
        requests.spawn(async move {
            let lease = pool.lease(&route).await.unwrap();
            assert_eq!(lease.settings().await.unwrap(), SETTINGS);
            let request = number.to_be_bytes();
            assert_eq!(ask(&lease, &request).await.unwrap(), request[..]);
        });
    }
    while let Some(done) = requests.join_next().await {
        done.unwrap();
    }
    assert_eq!((echo.server.counts().authenticated, pool.len()), (1, 1));
}

/// proves: TRA-18
#[tokio::test]
async fn a_dead_connection_is_replaced_and_an_unused_one_closed() {
    let mut echo = Echo::start(&Limits::default());
    let limits = Limits { pool_idle_time: Duration::from_millis(300), ..Limits::default() };
    let pool = Pool::new(client(None, &limits));
    let route = route(&echo, NAME);
    let first = pool.lease(&route).await.unwrap();
    echo.next().await.unwrap().close(Code::GoingAway, "");
    first.closed().await;
    let second = pool.lease(&route).await.unwrap();
    assert_eq!(ask(&second, b"hello").await.unwrap(), "hello");
    let held = echo.next().await.unwrap();
    let still = tokio::time::timeout(Duration::from_millis(900), held.closed()).await;
    assert!(still.is_err(), "a connection in use stays");
    drop(second);
    let number = u64::from(Code::Idle.number());
    let closed = tokio::time::timeout(Duration::from_secs(10), held.closed()).await.unwrap();
    assert_eq!(closed, Error::ClosedByPeer { number, reason: "unused".to_owned() });
    assert!(pool.is_empty());
}

/// Who uses a connection that was retired goes on; whoever comes next gets another.
///
/// proves: TRA-22
#[tokio::test]
async fn a_retired_connection_is_for_nobody_new_and_closed_when_it_is_done_with() {
    let mut echo = Echo::start(&Limits::default());
    let pool = Pool::new(client(None, &Limits::default()));
    let route = route(&echo, NAME);
    let (stalled, other) = (pool.lease(&route).await.unwrap(), pool.lease(&route).await.unwrap());
    let old = echo.next().await.unwrap();
    stalled.retire();
    drop(stalled);
    let fresh = pool.lease(&route).await.unwrap();
    assert_eq!(ask(&fresh, b"fresh").await.unwrap(), "fresh");
    assert_eq!(ask(&other, b"goes on").await.unwrap(), "goes on");
    assert_eq!(echo.server.counts().authenticated, 2);
    drop(other);
    let number = u64::from(Code::Idle.number());
    let closed = tokio::time::timeout(Duration::from_secs(10), old.closed()).await.unwrap();
    assert_eq!(closed, Error::ClosedByPeer { number, reason: "retired".to_owned() });
    assert_eq!(ask(&fresh, b"still").await.unwrap(), "still");
    assert_eq!(pool.len(), 1);
}

/// proves: TRA-18
#[tokio::test]
async fn a_full_pool_gives_up_what_is_unused_first() {
    let echo = Echo::start(&Limits::default());
    let limits = Limits { pool_connections: 2, ..Limits::default() };
    let pool = Pool::new(client(None, &limits));
    let one = pool.lease(&route(&echo, "one.example")).await.unwrap();
    let _two = pool.lease(&route(&echo, "two.example")).await.unwrap();
    let three = route(&echo, "three.example");
    assert_eq!(pool.lease(&three).await.unwrap_err(), Error::PoolFull);
    drop(one);
    let _three = pool.lease(&three).await.unwrap();
    assert_eq!(pool.len(), 2);
}

#[tokio::test]
async fn all_who_wait_learn_of_the_failure_and_the_next_starts_anew() {
    let echo = Echo::start(&Limits::default());
    let pool = Pool::new(client(None, &Limits::default()));
    let good = route(&echo, NAME);
    let wrong = Route { expectation: Expectation::Pinned { digests: vec![[0; 32]] }, ..good.clone() };
    let (one, two) = tokio::join!(pool.lease(&wrong), pool.lease(&wrong));
    assert!(matches!(one.unwrap_err(), Error::NotAsExpected(_)));
    assert!(matches!(two.unwrap_err(), Error::NotAsExpected(_)));
    assert!(pool.is_empty());
    assert_eq!(echo.server.counts().admitted, 1);
    assert!(pool.lease(&good).await.is_ok());
    let nowhere = Route { addresses: vec![], host: "nowhere.example".to_owned(), ..good };
    assert_eq!(pool.lease(&nowhere).await.unwrap_err(), Error::NoAddress);
}

/// The first address belongs to a socket that never answers.
///
/// proves: TRA-19
#[tokio::test]
async fn a_silent_address_does_not_hold_up_the_next() {
    let echo = Echo::start(&Limits::default());
    let silent = std::net::UdpSocket::bind(crate::common::loopback()).unwrap();
    let addresses: Vec<SocketAddr> = vec![silent.local_addr().unwrap(), echo.address];
    let client = client(None, &Limits::default());
    let expectation = pin(&echo.key);
    let connecting = client.connect_any(&addresses, NAME, Alpn::Exchange, &expectation);
    let connected = tokio::time::timeout(Duration::from_secs(5), connecting).await.unwrap().unwrap();
    assert_eq!(connected.remote_address(), echo.address);
}
