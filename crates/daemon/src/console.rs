//! The console beside a node: it asks what the control socket would be asked, in this process.

use std::sync::Arc;

use console::{Links, Outside, Settings};
use control::Operator;
use node::Clock;
use tokio::net::TcpListener;

use crate::clock::{SystemClock, now_ms};
use crate::config::Config;

impl Outside for SystemClock {
    fn now_ms(&self) -> u64 {
        now_ms()
    }

    fn random(&self, octets: &mut [u8]) {
        Clock::random(self, octets);
    }
}

/// The console of a node, about to be served.
pub(crate) struct Door {
    listener: TcpListener,
    settings: Settings,
    links: Arc<Links>,
}

impl Door {
    /// Opens the door, where it is on. A port that is taken is no reason for a node not to carry mail: it is told, and the
    /// node goes on without pages.
    pub(crate) async fn open(config: &Config) -> Option<Door> {
        let wanted = &config.console;
        if !wanted.enabled {
            return None;
        }
        let opened = match TcpListener::bind(wanted.listen).await {
            Ok(listener) => listener.local_addr().map(|listen| (listener, listen)),
            Err(error) => Err(error),
        };
        match opened {
            Ok((listener, listen)) => Some(Door {
                listener,
                settings: Settings {
                    listen,
                    hosts: wanted.hosts.clone(),
                    operators: wanted.operators.clone(),
                },
                links: Arc::default(),
            }),
            Err(error) => {
                tracing::warn!(%error, address = %wanted.listen, "the console cannot listen there; the node goes on without it");
                None
            }
        }
    }

    /// The links into it, and its address.
    pub(crate) fn links(&self) -> (Arc<Links>, String) {
        (self.links.clone(), self.settings.listen.to_string())
    }

    /// Serves it until the future is dropped.
    pub(crate) async fn serve(self, operator: Arc<dyn Operator>) {
        let served =
            console::serve(self.listener, self.settings, self.links, operator, Arc::new(SystemClock));
        if let Err(error) = served.await {
            tracing::warn!(%error, "the console has ended");
        }
    }
}
