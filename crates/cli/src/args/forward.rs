//! What operators type about forwarding.

use clap::Subcommand;

/// `forward`.
#[derive(Debug, Clone, Subcommand)]
pub enum ForwardCommand {
    /// Let an address that no account has lead to another one, and ask that one's server
    #[command(after_help = "Example:\n  waxwing forward add ann@old.test ann@new.test")]
    Add {
        /// The address of this node
        alias: String,
        /// Where its mail goes
        target: String,
        /// Keep the target's address from senders
        #[arg(long)]
        conceal: bool,
        /// Where the target cannot be asked, forward with a rewritten sender
        #[arg(long)]
        rewrite: bool,
        /// Over SMTP, forward under the sender that the message came with, once the target has granted it
        #[arg(long, conflicts_with = "conceal")]
        keep_sender: bool,
        /// The target has agreed in another way: do not ask it
        #[arg(long)]
        granted: bool,
    },
    /// List what leads where, and how it stands
    #[command(after_help = "Example:\n  waxwing forward list --json")]
    List,
    /// Ask the target again now
    #[command(after_help = "Example:\n  waxwing forward ask ann@old.test ann@new.test")]
    Ask {
        /// The address of this node
        alias: String,
        /// Where its mail goes
        target: String,
    },
    /// Forward no more: what comes for the address is refused
    #[command(after_help = "Example:\n  waxwing forward remove ann@old.test ann@new.test")]
    Remove {
        /// The address of this node
        alias: String,
        /// Where its mail went
        target: String,
        /// Forget it altogether, as if it had never been
        #[arg(long)]
        forget: bool,
    },
    /// List who forwards to users of this node, or wants to
    #[command(after_help = "Example:\n  waxwing forward grants --account ann")]
    Grants {
        /// Only to the addresses of this account
        #[arg(long, value_name = "NAME")]
        account: Option<String>,
    },
    /// Let a domain forward to an address of this node
    #[command(after_help = "Example:\n  waxwing forward grant ann@new.test old.test")]
    Grant {
        /// The address of this node
        recipient: String,
        /// Who forwards
        forwarder: String,
    },
    /// Do not let a domain forward to an address of this node
    #[command(after_help = "Example:\n  waxwing forward revoke ann@new.test old.test")]
    Revoke {
        /// The address of this node
        recipient: String,
        /// Who forwards
        forwarder: String,
        /// Forget the decision: it may ask anew
        #[arg(long)]
        forget: bool,
    },
    /// Follow a chain of forwarders back to the address that people write to
    #[command(after_help = "Example:\n  waxwing forward walk ann@new.test old.test")]
    Walk {
        /// The address of this node
        recipient: String,
        /// The last forwarder
        forwarder: String,
    },
}
