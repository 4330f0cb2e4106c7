//! A server that is killed and started again.

use crate::common::{NAME, client, host_key, loopback, pin, services};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use waxwing_transport::{Alpn, Error, HostKey, Limits, Pace, Server, Socket};

/// A server in a runtime of its own: when that goes, the server says no goodbye.
fn serve(address: SocketAddr, key: &HostKey) -> Option<(Runtime, SocketAddr)> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let bound = runtime.block_on(async {
        let socket = Socket::bind(address).ok()?;
        Some(Server::bind(socket, &key.clone().into(), services(), &Limits::default()).unwrap())
    });
    let Some(server) = bound else {
        runtime.shutdown_background();
        return None;
    };
    let address = server.local_address().unwrap();
    runtime.spawn(async move {
        while let Some(accepted) = server.accept().await {
            tokio::spawn(async move {
                if let Ok(link) = accepted.authenticated().await {
                    link.closed().await;
                }
            });
        }
    });
    Some((runtime, address))
}

/// The client's idle time is a minute, and a stream may stand still for half of that: it hears far sooner.
///
/// proves: TRA-21
#[tokio::test]
async fn a_client_hears_at_its_next_packet_that_a_server_was_killed() {
    let key = host_key();
    let start = |address: SocketAddr, key: &HostKey| {
        let key = key.clone();
        tokio::task::spawn_blocking(move || serve(address, &key))
    };
    let (first, address) = start(loopback(), &key).await.unwrap().unwrap();
    let limits = Limits::default();
    let connected = client(None, &limits).connect(address, NAME, Alpn::Exchange, &pin(&key)).await.unwrap();
    connected.settings().await.unwrap();
    first.shutdown_background();
    let second = loop {
        // The port is free as soon as the first runtime is gone.
        if let Some((second, _)) = start(address, &key).await.unwrap() {
            break second;
        }
    };
    // Fails only where the connection has ended already.
    if let Ok((mut send, _receive)) = connected.open_bi().await {
        let _ = Pace::start(&limits).write(&mut send, "is anybody there?".into()).await;
    }
    let ended = tokio::time::timeout(Duration::from_secs(20), connected.closed()).await;
    assert_eq!(ended.unwrap(), Error::Lost);
    second.shutdown_background();
}
