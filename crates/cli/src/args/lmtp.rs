//! What operators type about the mailbox server.

use clap::{Args, Subcommand};

/// `lmtp`.
#[derive(Debug, Clone, Subcommand)]
pub enum LmtpCommand {
    /// List what the mailbox server has put off or not taken
    #[command(after_help = "Example:\n  waxwing lmtp list --json")]
    List {
        /// Go on after this place, that of the last one before
        #[arg(long, value_name = "PLACE")]
        after: Option<String>,
    },
    /// Hand a message to the mailbox server again now
    #[command(after_help = "Example:\n  waxwing lmtp retry ann 41")]
    Retry(LmtpName),
    /// Do not hand a message to the mailbox server any more; it stays in the native mailbox
    #[command(after_help = "Example:\n  waxwing lmtp forget ann 41")]
    Forget(LmtpName),
}

/// Which message.
#[derive(Debug, Clone, Args)]
pub struct LmtpName {
    /// Whose mailbox
    pub account: String,
    /// The number of the message there, as `lmtp list` prints it
    pub number: u64,
}
