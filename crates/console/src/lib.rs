//! Web pages for users and operators: everything that they see and do goes through what [`control`] can be asked.
//!
//! What it is: a program of pages that a server renders, over an [`Operator`] in this process or behind the control
//! socket. What it is not: it knows nothing of how a node works, holds nothing but who is logged in, and decides only who
//! may ask what. Every page works without JavaScript; with it, what changes is pushed and keys do things.
//!
//! Nothing on a page comes from elsewhere, no script stands in a page, and what others wrote is escaped, or, where it is
//! HTML, made harmless and shown in a frame that may do nothing.

mod app;
mod assets;
mod error;
mod guard;
mod harmless;
pub mod limits;
mod live;
mod operator;
mod outside;
mod page;
mod session;
mod user;
mod words;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use control::Operator;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use app::router;
pub use outside::Outside;
pub use session::Links;

/// The port where nobody says another.
pub const DEFAULT_PORT: u16 = 7680;

/// What the operator has set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens, as others name it: what a request has to say in `Host`.
    pub listen: SocketAddr,
    /// Names under which something that does TLS shows it, each with its port where that is not 443.
    pub hosts: Vec<String>,
    /// Accounts whose users are operators, too.
    pub operators: Vec<String>,
}

/// Serves the console until the future is dropped.
///
/// # Errors
/// Those of the operating system.
pub async fn serve(
    listener: TcpListener,
    settings: Settings,
    links: Arc<Links>,
    asked: Arc<dyn Operator>,
    outside: Arc<dyn Outside>,
) -> std::io::Result<()> {
    let router = router(settings, links, asked, outside);
    let bounded = Bounded { listener, room: Arc::new(Semaphore::new(limits::CONNECTIONS_MAX)) };
    axum::serve(bounded, router.into_make_service_with_connect_info::<Caller>()).await
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller(pub(crate) SocketAddr);

impl Connected<IncomingStream<'_, Bounded>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Caller {
        Caller(*stream.remote_addr())
    }
}

/// A listener that takes no more connections than it has room for.
struct Bounded {
    listener: TcpListener,
    room: Arc<Semaphore>,
}

/// A connection that gives its place back when it ends.
struct Placed {
    stream: TcpStream,
    _place: Option<OwnedSemaphorePermit>,
}

impl Listener for Bounded {
    type Io = Placed;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Placed, SocketAddr) {
        // The semaphore is never closed.
        let place = self.room.clone().acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (Placed { stream, _place: place }, address)
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl AsyncRead for Placed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
