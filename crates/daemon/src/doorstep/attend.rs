//! Keeps the node informed: that the doorstep is there, and what it has taken.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use message::Code;
use node::{TakenAtDoorstep, Tickets};
use protocol::{DoorstepLease, Frame, Taken};
use storage::{MailUid, Origin, Store};
use tokio::sync::{Notify, watch};
use transport::{Alpn, AskError, Client, Connected, Pace};

use super::session::DOORSTEP_ACCOUNT;
use super::{DoorstepNews, NodeLocation, OnNews};
use crate::clock::now_ms;
use crate::{Error, files};

/// The first wait after the node was not reached; it doubles up to the longest.
const AGAIN_FIRST: Duration = Duration::from_millis(250);
/// The longest: a node that is back is found within a minute.
const AGAIN_LONGEST: Duration = Duration::from_secs(60);
/// Entries of the mailbox that are told of at a time: as many as one frame takes, where each has two addresses.
const TOLD_AT_A_TIME: usize = 50;

/// Deliveries that wait to be told, beside those that follow from the mailbox.
const FRESH_MAX: usize = 1_000;

/// Registers, renews, and reports.
pub(super) struct Attendant {
    pub(super) store: Arc<dyn Store>,
    /// The file that says how far the node was told.
    pub(super) told: PathBuf,
    pub(super) tickets: Arc<Tickets>,
    pub(super) client: Client,
    pub(super) location: NodeLocation,
    pub(super) port: u16,
    pub(super) on_news: OnNews,
    pub(super) fresh: Arc<Fresh>,
}

/// What was taken since the node was told last.
#[derive(Default)]
pub(super) struct Fresh {
    taken: Mutex<Vec<Taken>>,
    bell: Notify,
}

impl Fresh {
    /// Something was taken.
    pub(super) fn push(&self, one: TakenAtDoorstep) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.len() < FRESH_MAX {
            taken.push(Taken { identity: one.identity, recipient: one.recipient, by: one.by });
        }
        drop(taken);
        self.bell.notify_one();
    }

    fn drain(&self) -> Vec<Taken> {
        std::mem::take(&mut *self.taken.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Attendant {
    /// Until it is told to stop; then it tells the node.
    ///
    /// keeps: DOOR-4, DOOR-5
    pub(super) async fn attend(self, mut stopped: watch::Receiver<bool>) {
        let mut connected = None;
        tokio::select! {
            // Whoever lets go of the doorstep without stopping it does not say this: it is gone as if it had been killed.
            Ok(_) = stopped.wait_for(|stop| *stop) => {}
            () = self.keep_registered(&mut connected) => {}
        }
        if let Some(connected) = connected {
            // A node that does not hear it finds out by the end of the lease.
            let _ = self.ask(&connected, &Frame::DoorstepEnd).await;
            connected.close(transport::Code::NoError, "");
        }
        self.client.close("").await;
    }

    async fn keep_registered(&self, connected: &mut Option<Connected>) {
        let (mut wait, mut said) = (AGAIN_FIRST, None);
        loop {
            let registered = self.register(connected).await;
            let lease = match registered {
                Ok(lease) => lease,
                Err(reason) => {
                    *connected = None;
                    let news = DoorstepNews::Unregistered { reason };
                    self.say(news, &mut said);
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(AGAIN_LONGEST);
                    continue;
                }
            };
            wait = AGAIN_FIRST;
            self.tickets.keep(lease.ticket_key, lease.seconds, now_ms());
            let at = match lease.address.parse() {
                Ok(address) => SocketAddr::new(address, self.port).to_string(),
                Err(_) => lease.address,
            };
            self.say(DoorstepNews::Registered { at, seconds: lease.seconds }, &mut said);
            self.tell_until(connected, Duration::from_secs(u64::from(lease.seconds.max(3)) / 3)).await;
            if connected.is_none() {
                said = None;
            }
        }
    }

    /// Tells the node what is taken, until it is time to renew the lease or the connection is lost.
    async fn tell_until(&self, connected: &mut Option<Connected>, renew_after: Duration) {
        let Some(link) = connected.as_ref() else { return };
        let renew = tokio::time::sleep(renew_after);
        tokio::pin!(renew);
        loop {
            if self.tell(link).await.is_err() {
                *connected = None;
                return;
            }
            tokio::select! {
                () = &mut renew => return,
                // The node is gone, perhaps to come back without our lease.
                _ = link.closed() => break,
                () = self.fresh.bell.notified() => {}
            }
        }
        *connected = None;
    }

    /// Says what has changed.
    fn say(&self, news: DoorstepNews, said: &mut Option<DoorstepNews>) {
        if said.as_ref() != Some(&news) {
            (self.on_news)(&news);
            *said = Some(news);
        }
    }

    async fn register(&self, connected: &mut Option<Connected>) -> Result<DoorstepLease, String> {
        let link = match connected {
            Some(link) => link,
            None => connected.insert(self.connect().await?),
        };
        match self.ask(link, &Frame::Doorstep { port: self.port }).await {
            Ok(Frame::DoorstepLease(lease)) => Ok(lease),
            Ok(_) => Err("the node's answer does not belong to the question".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn connect(&self) -> Result<Connected, String> {
        let NodeLocation { host, port, expectation } = &self.location;
        let found =
            tokio::net::lookup_host((host.as_str(), *port)).await.map_err(|error| error.to_string())?;
        let own = self.client.local_address().map_err(|error| error.to_string())?;
        let addresses: Vec<SocketAddr> = found.filter(|address| own.is_ipv6() || address.is_ipv4()).collect();
        self.client
            .connect_any(&addresses, host, Alpn::Submission, expectation)
            .await
            .map_err(|error| error.to_string())
    }

    async fn ask(&self, link: &Connected, request: &Frame) -> Result<Frame, AskError> {
        transport::ask(link, Pace::start(self.client.limits()), request).await
    }

    /// Tells the node what is here and it was not told of. How far that has come outlives a restart.
    ///
    /// keeps: DOOR-11
    async fn tell(&self, link: &Connected) -> Result<(), AskError> {
        // A message that was here for another address of the user is no new entry of the mailbox.
        let mut fresh = self.fresh.drain();
        loop {
            let (last, taken) = self.untold().map_err(|error| AskError::Local(error.to_string()))?;
            fresh.retain(|one| !taken.contains(one));
            let Some(last) = last else { return self.tell_of(link, &fresh).await };
            self.tell_of(link, &taken).await?;
            files::write_secret(&self.told, &format!("{}\n", last.0))
                .map_err(|error| AskError::Local(error.to_string()))?;
        }
    }

    async fn tell_of(&self, link: &Connected, taken: &[Taken]) -> Result<(), AskError> {
        for some in taken.chunks(protocol::limits::LIST_MAX) {
            match self.ask(link, &Frame::DoorstepTook(some.to_vec())).await? {
                Frame::Done => (self.on_news)(&DoorstepNews::Told(some.len())),
                _ => {
                    return Err(AskError::Failed(protocol::Failure {
                        code: Code::INVALID_COMMAND,
                        text: "the node's answer does not belong to the question".to_owned(),
                    }));
                }
            }
        }
        Ok(())
    }

    /// What came after the last of which the node was told: for each message every address it was taken for.
    fn untold(&self) -> Result<(Option<MailUid>, Vec<Taken>), Error> {
        let after = match self.told.exists() {
            true => files::read(&self.told)?.trim().parse().ok().map(MailUid),
            false => None,
        };
        let entries = self.store.mailbox(DOORSTEP_ACCOUNT, after, TOLD_AT_A_TIME)?;
        let mut taken = Vec::new();
        for entry in &entries {
            for envelope in self.store.envelopes_for(entry.identity, protocol::limits::LIST_MAX)? {
                let Origin::Peer { domain } = &envelope.origin else { continue };
                taken.extend(envelope.recipients.iter().map(|one| Taken {
                    identity: entry.identity,
                    recipient: one.address.clone(),
                    by: domain.clone(),
                }));
            }
        }
        Ok((entries.last().map(|entry| entry.uid), taken))
    }
}
