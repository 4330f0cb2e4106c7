//! What operators type about the policy.

use clap::Subcommand;

/// `policy`.
#[derive(Debug, Clone, Subcommand)]
pub enum PolicyCommand {
    /// Print the rules in the order in which they are asked
    #[command(after_help = "Example:\n  waxwing policy show")]
    Show,
    /// Say which rule decides about a message, and on what evidence
    #[command(
        after_help = "Examples:\n  waxwing policy explain 3f9c2a7e41d0 --to carol@b.test --peer a.test\n  waxwing policy explain ./letter.wax --to carol@b.test\n  waxwing policy explain - --to carol@b.test < letter.eml"
    )]
    Explain {
        /// The identity of a message that is here, or the first digits of it; or a message file, `-` for the standard input
        message: String,
        /// For which recipient
        #[arg(long, value_name = "ADDRESS")]
        to: String,
        /// As if this domain brought it [default: who did, or the domain of the author of a file]
        #[arg(long, value_name = "DOMAIN")]
        peer: Option<String>,
    },
}

/// `correspondent`.
#[derive(Debug, Clone, Subcommand)]
pub enum CorrespondentCommand {
    /// List whom an account knows, trusts and has blocked
    #[command(after_help = "Example:\n  waxwing correspondent list ann")]
    List {
        /// The name of the account
        account: String,
    },
    /// Trust an address, or everybody at a domain
    #[command(after_help = "Example:\n  waxwing correspondent trust ann bob@b.test")]
    Trust {
        /// The name of the account
        account: String,
        /// An address or a domain
        who: String,
        /// Why [default: nothing]
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Refuse whatever comes from an address, or from anybody at a domain
    #[command(after_help = "Example:\n  waxwing correspondent block ann spam.test")]
    Block {
        /// The name of the account
        account: String,
        /// An address or a domain
        who: String,
        /// Why [default: nothing]
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Forget an address or a domain
    #[command(after_help = "Example:\n  waxwing correspondent remove ann bob@b.test")]
    Remove {
        /// The name of the account
        account: String,
        /// An address or a domain
        who: String,
    },
}
