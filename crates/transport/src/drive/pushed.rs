//! What a server tells unasked: that cookies have settled. Both sides of it; nothing depends on either.

use std::sync::Arc;

use message::Cookie;
use protocol::{Frame, Item, Reader, encode};
use tokio::sync::mpsc;

use crate::limits::PUSHED_OCTETS_MAX;
use crate::{Code, Connected, Error, Limits, Link, Pace};

/// Who hears that cookies have settled. Called from the task that reads: must not block.
pub type Listener = Arc<dyn Fn(Vec<Cookie>) + Send + Sync>;

/// Tells the client what comes out of `news`, for as long as the connection lives. Cookies that wait for the client to
/// allow another stream leave together.
///
/// keeps: STA-9
pub(super) async fn tell(link: Link, limits: Arc<Limits>, mut news: mpsc::Receiver<Cookie>) {
    let mut cookies = Vec::new();
    loop {
        tokio::select! {
            taken = news.recv_many(&mut cookies, protocol::limits::COOKIES_MAX) => if taken == 0 { return },
            _ = link.closed() => return,
        }
        if tell_once(&link, &limits, std::mem::take(&mut cookies)).await.is_err() && link.ended().is_some() {
            return;
        }
    }
}

async fn tell_once(link: &Link, limits: &Limits, cookies: Vec<Cookie>) -> Result<(), Error> {
    let mut stream = link.open_uni().await?;
    Pace::start(limits).write(&mut stream, encode(&Frame::Settled(cookies))).await?;
    stream.finish();
    Ok(())
}

/// Hears what the server tells, until the connection ends. A stream that holds anything else is passed over.
///
/// keeps: STA-9
pub(crate) async fn hear(connected: Connected, limits: Limits, listener: Listener) {
    // The settings are on the first pushed stream, and read by whoever made the connection.
    if connected.settings().await.is_err() {
        return;
    }
    while let Ok(mut stream) = connected.accept_uni().await {
        let Ok(octets) = Pace::start(&limits).read_to_end(&mut stream, PUSHED_OCTETS_MAX).await else {
            continue;
        };
        let mut reader = Reader::new();
        reader.push(&octets);
        match reader.next_item() {
            Ok(Some(Item::Frame(Frame::Settled(cookies)))) => listener(cookies),
            _ => {
                let _ = stream.stop(Code::NotWanted.into());
            }
        }
    }
}
