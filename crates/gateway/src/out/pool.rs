//! Connections that wait for the next message to the same host.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::{
    CONNECTIONS_PER_HOST_MAX, IDLE_MAX, IDLE_PER_HOST_MAX, IDLE_TIME_MAX, TRANSACTIONS_PER_CONNECTION_MAX,
};
use super::session::{Peer, Session};
use super::tls::Protection;

/// What a session must be the same in, to be used again: who it is with, and how that was checked. keeps: GW-48
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    host: String,
    address: SocketAddr,
    protection: String,
}

impl Key {
    fn of(peer: &Peer) -> Key {
        let protection = match &peer.protection {
            Protection::Dane(associations, names) => {
                let texts: Vec<String> = associations.iter().map(super::dane::Association::text).collect();
                format!("{texts:?} {names:?}")
            }
            other => format!("{other:?}"),
        };
        Key { host: peer.host.clone(), address: peer.address, protection }
    }
}

struct Idle {
    key: Key,
    number: u64,
    session: Session,
}

#[derive(Default)]
struct State {
    idle: Vec<Idle>,
    given: u64,
    gates: HashMap<SocketAddr, Arc<Semaphore>>,
    closed: bool,
}

/// The idle connections, and how many there may be to one host. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Pool {
    state: Arc<Mutex<State>>,
}

/// The right to have one connection to a host.
pub(super) struct Permit {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Pool {
    /// Waits until one more connection to this address may be used.
    pub(super) async fn permit(&self, address: SocketAddr) -> Permit {
        let gate = {
            let mut state = self.state();
            state.gates.retain(|_, gate| {
                Arc::strong_count(gate) > 1 || gate.available_permits() < CONNECTIONS_PER_HOST_MAX
            });
            let gate = state.gates.entry(address);
            Arc::clone(gate.or_insert_with(|| Arc::new(Semaphore::new(CONNECTIONS_PER_HOST_MAX))))
        };
        // It is never closed.
        Permit { _permit: gate.acquire_owned().await.ok() }
    }

    /// An idle session with this peer, the one that was used last.
    pub(super) fn take(&self, peer: &Peer) -> Option<Session> {
        let key = Key::of(peer);
        let mut state = self.state();
        let place = state.idle.iter().rposition(|idle| idle.key == key)?;
        Some(state.idle.remove(place).session)
    }

    /// Keeps a session for the next message, for a while. keeps: GW-48
    pub(super) fn keep(&self, peer: &Peer, session: Session) {
        let key = Key::of(peer);
        let number = {
            let mut state = self.state();
            let same = state.idle.iter().filter(|idle| idle.key == key).count();
            let full = same >= IDLE_PER_HOST_MAX || state.idle.len() >= IDLE_MAX || state.closed;
            if full || session.served >= TRANSACTIONS_PER_CONNECTION_MAX {
                drop(state);
                tokio::spawn(session.quit());
                return;
            }
            state.given += 1;
            let number = state.given;
            state.idle.push(Idle { key, number, session });
            number
        };
        let pool = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(IDLE_TIME_MAX).await;
            pool.expire(number).await;
        });
    }

    async fn expire(&self, number: u64) {
        let session = {
            let mut state = self.state();
            let place = state.idle.iter().position(|idle| idle.number == number);
            place.map(|place| state.idle.remove(place).session)
        };
        if let Some(session) = session {
            session.quit().await;
        }
    }

    /// Says goodbye to all, and keeps none any more.
    pub(super) async fn close(&self) {
        let idle = {
            let mut state = self.state();
            state.closed = true;
            std::mem::take(&mut state.idle)
        };
        for one in idle {
            one.session.quit().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
