//! The addresses of this machine at which a node listens: how they are opened, and what to do where one cannot be.

use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use transport::Socket;

use crate::Error;

/// Opens a UDP address. `setting` is what names it, such as `[listen] address`.
pub(crate) fn udp(setting: &str, address: SocketAddr) -> Result<Socket, Error> {
    Socket::bind(address).map_err(|error| match error {
        transport::Error::Address { kind, text, .. } => cannot(setting, "UDP", address, kind, &text),
        other => other.into(),
    })
}

/// Opens a TCP address.
pub(crate) async fn tcp(setting: &str, address: SocketAddr) -> Result<TcpListener, Error> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| cannot(setting, "TCP", address, error.kind(), &error.to_string()))
}

fn cannot(setting: &str, network: &str, address: SocketAddr, kind: ErrorKind, text: &str) -> Error {
    Error::Listen(format!(
        "{setting}: cannot listen on {address} ({network}): {text}{}",
        advice(kind, address)
    ))
}

/// What to do about it.
fn advice(kind: ErrorKind, address: SocketAddr) -> String {
    match kind {
        ErrorKind::AddrInUse => format!(
            "; another program has it, or this node runs already: end that, or name another port (`ss -lnput` shows who has {})",
            address.port()
        ),
        ErrorKind::PermissionDenied if address.port() < 1024 => {
            "; ports below 1024 need CAP_NET_BIND_SERVICE: in the unit of systemd AmbientCapabilities=CAP_NET_BIND_SERVICE \
             (docs/running.md), or name another port"
                .to_owned()
        }
        ErrorKind::AddrNotAvailable => {
            "; this machine has no such address: name one that it has, 0.0.0.0 or [::]".to_owned()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_can_listen_it_is_said_what_to_do() {
        let check = |kind, address: &str, advised: &str| {
            let told = cannot("[gateway] transfer", "TCP", address.parse().unwrap(), kind, "why").to_string();
            assert!(told.starts_with(&format!("[gateway] transfer: cannot listen on {address} (TCP): why")));
            assert!(told.contains(advised) && (!advised.is_empty() || told.ends_with("why")), "{told}");
        };
        check(ErrorKind::AddrInUse, "127.0.0.1:7625", "another program has it");
        check(ErrorKind::PermissionDenied, "0.0.0.0:25", "AmbientCapabilities=CAP_NET_BIND_SERVICE");
        check(ErrorKind::PermissionDenied, "0.0.0.0:2525", "");
        check(ErrorKind::AddrNotAvailable, "192.0.2.1:25", "no such address");
        check(ErrorKind::Other, "127.0.0.1:7625", "");
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_named() {
        let tcp_taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let udp_taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let (at_tcp, at_udp) = (tcp_taken.local_addr().unwrap(), udp_taken.local_addr().unwrap());
        let told = [tcp("one", at_tcp).await.err().unwrap(), udp("two", at_udp).err().unwrap()];
        for (told, at) in told.iter().zip([at_tcp, at_udp]) {
            let told = told.to_string();
            assert!(told.contains(&at.to_string()) && told.contains("another program has it"), "{told}");
        }
    }
}
