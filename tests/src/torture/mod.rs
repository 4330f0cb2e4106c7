//! What the torture tests stand on: two nodes as processes of the real program, which can be killed and started again
//! one by one; users who speak submission with them; and numbers that only look random.

mod doorstep;
mod load;
mod network;
mod power;
mod process;
mod user;
mod world;

use std::time::Duration;

pub use doorstep::Doorstep;
pub use load::{Ledger, Load, Sent};
pub use network::{Machine, Network};
pub use power::{
    DISK_MEBIOCTETS, Disk, MEDIUM_DISK_MEBIOCTETS, SMALL_DISK_MEBIOCTETS, Volume, keeps_by_page, write_out,
};
pub use process::{Node, lines_of, program, stop};
pub use testkit::Random;
pub use user::{User, dispositions, mailbox, read_all, read_headers, statuses};
pub use world::World;

/// What goes wrong in a test.
pub type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// Asks until there is an answer, every 50 milliseconds.
///
/// # Errors
/// What `ask` says; where there is no answer in time, a text that names what was waited for.
pub async fn until<T>(
    limit: Duration,
    what: &str,
    mut ask: impl AsyncFnMut() -> Result<Option<T>, Trouble>,
) -> Result<T, Trouble> {
    let end = tokio::time::Instant::now() + limit;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if tokio::time::Instant::now() >= end {
            return Err(format!("not within {} s: {what}", limit.as_secs()).into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A number from the environment, for the long forms.
pub fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}
