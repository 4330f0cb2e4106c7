//! What users type about their keys.

use clap::{Args, Subcommand};
use message::address::Address;

use super::value;

/// `key`.
#[derive(Debug, Clone, Subcommand)]
pub enum KeyCommand {
    /// Make a key of your own and publish it
    ///
    /// Makes a key in your profile, in a file that only you can read, and has your node countersign it and enter it into the
    /// log of your domain. From then on `waxwing send` seals as you. Where another key of yours was published before, the
    /// device that has it can `rotate`; where that key is lost, --lost publishes a new one, and everybody who knows the old one
    /// is warned.
    #[command(after_help = "Example:\n  waxwing key publish\n  waxwing key publish --lost --days 365")]
    Publish {
        /// The key that was published before is lost: nothing will sign that this one takes its place
        #[arg(long)]
        lost: bool,
        /// How long it is good.
        #[command(flatten)]
        term: KeyTerm,
    },
    /// What you have published, as anybody sees it
    #[command(after_help = "Example:\n  waxwing key show")]
    Show,
    /// Put a new key in the place of the one you have
    ///
    /// The old key signs that the new one takes its place, so your correspondents go on trusting you. The old one is removed
    /// from your profile.
    #[command(after_help = "Example:\n  waxwing key rotate")]
    Rotate(KeyTerm),
    /// Say that your key must not be trusted any more
    ///
    /// For a key that somebody else may have. What was sealed with it is not trusted from then on, and neither is a new key
    /// without a word of yours: tell your correspondents in another way. The key is removed from your profile.
    #[command(after_help = "Example:\n  waxwing key revoke && waxwing key publish")]
    Revoke,
    /// What your node has seen of the keys of somebody who writes to you
    ///
    /// The keys by which you know somebody were pinned when the first letter sealed with them came. Where a newer one is not
    /// signed by those, ask its owner in another way; if all is well, --forget has your node take the next key for the first.
    #[command(after_help = "Example:\n  waxwing key of bob@b.test\n  waxwing key of bob@b.test --forget")]
    Of {
        /// Of whom
        #[arg(value_parser = value::address)]
        address: Address,
        /// Forget what is pinned: you know by other ways that there is another key
        #[arg(long)]
        forget: bool,
    },
}

/// For how long a key is good.
#[derive(Debug, Clone, Args)]
pub struct KeyTerm {
    /// For how many days it is good
    #[arg(long, value_name = "N", default_value_t = 730, value_parser = clap::value_parser!(u64).range(1..=3660))]
    pub days: u64,
}
