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
mod serving;
mod session;
mod simple;
mod user;
mod words;

use std::net::SocketAddr;
use std::sync::Arc;

use control::Operator;
use tokio::net::TcpListener;

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
    serving::serve(listener, router(settings, links, asked, outside)).await
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller(pub(crate) SocketAddr);
