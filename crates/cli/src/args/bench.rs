//! What operators type to load a node.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use message::address::Address;

use super::value::{self, NodeAddress};

/// `bench`.
#[derive(Debug, Clone, Subcommand)]
pub enum BenchCommand {
    /// Hand messages to your node as fast as it takes them
    ///
    /// Each message is another one and is carried like any other: use an address that is made for this. A node that has rates takes
    /// no more than they allow (`[rates]` user-messages-per-hour and user-recipients-per-day; a new configuration has 500 and
    /// 2000): set them to 0 at the node that is measured.
    #[command(after_help = "Example:\n  waxwing bench submit --to bob@b.test --in-flight 20 --size 4KiB\n  \
        waxwing bench submit --to bob@b.test --rate 50 --duration 60 --watch ~/.config/waxwing-bob")]
    Submit(BenchSubmitArgs),
    /// Offer messages to a node as another node does
    ///
    /// The configuration is that of the node that offers: its domain, its key and its certificate are shown and its
    /// seal is set. It need not run. The domain of the seal must be found in the DNS by the node that is asked. That takes no more than its
    /// `[rates]` allow (peer-messages-per-minute and peer-recipients-per-minute; a new configuration has 600 and 3000).
    #[command(
        after_help = "Example:\n  waxwing bench exchange --config north.toml --node b.test:7625 \\\n    \
        --to bob@b.test --in-flight 100 --messages 20000"
    )]
    Exchange(BenchExchangeArgs),
    /// Ask a node about status cookies as another node does
    ///
    /// The cookies are random ones, which cost the node as much as its own.
    #[command(
        after_help = "Example:\n  waxwing bench poll --config north.toml --node b.test:7625 --cookies 500"
    )]
    Poll(BenchPollArgs),
}

/// `bench submit`.
#[derive(Debug, Clone, Args)]
pub struct BenchSubmitArgs {
    /// For whom and how large.
    #[command(flatten)]
    pub letters: BenchLetters,
    /// How much.
    #[command(flatten)]
    pub load: BenchLoad,
    /// The profile of a recipient: watch their mailbox until all messages are there
    #[arg(long, value_name = "DIR")]
    pub watch: Option<PathBuf>,
}

/// `bench exchange`.
#[derive(Debug, Clone, Args)]
pub struct BenchExchangeArgs {
    /// As whom, and where.
    #[command(flatten)]
    pub peer: BenchPeer,
    /// For whom and how large.
    #[command(flatten)]
    pub letters: BenchLetters,
    /// How much.
    #[command(flatten)]
    pub load: BenchLoad,
}

/// `bench poll`.
#[derive(Debug, Clone, Args)]
pub struct BenchPollArgs {
    /// As whom, and where.
    #[command(flatten)]
    pub peer: BenchPeer,
    /// Cookies in each poll
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub cookies: u64,
    /// How much.
    #[command(flatten)]
    pub load: BenchLoad,
}

/// As which node, and to which.
#[derive(Debug, Clone, Args)]
pub struct BenchPeer {
    /// The configuration of the node that offers
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// The node that is asked, as HOST:PORT
    #[arg(long, value_name = "HOST:PORT")]
    pub node: NodeAddress,
    /// The digest of its key [default: the one that the configuration has for its domain]
    #[arg(long, value_name = "HEX", value_parser = value::pin)]
    pub pin: Option<[u8; 32]>,
    /// Its domain, for the pin in the configuration [default: that of the first recipient]
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Option<String>,
}

/// Which messages.
#[derive(Debug, Clone, Args)]
pub struct BenchLetters {
    /// A recipient; may be given several times: each message is for all of them
    #[arg(long = "to", value_name = "ADDRESS", value_parser = value::address, num_args = 1.., required = true)]
    pub to: Vec<Address>,
    /// Octets of the text of a message, such as 4096, 4KiB or 10MiB
    #[arg(long, value_name = "SIZE", value_parser = value::octets, default_value = "4KiB")]
    pub size: u64,
}

/// How much at once, and for how long.
#[derive(Debug, Clone, Args)]
pub struct BenchLoad {
    /// Connections
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub connections: u32,
    /// Messages or polls under way at once, over all connections
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub in_flight: u32,
    /// At most so many in a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: Option<u32>,
    /// Seconds [default: 10, where no number of messages is given]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub duration: Option<u64>,
    /// End after so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub messages: Option<u64>,
}

impl BenchLoad {
    /// How long it goes on; `None` where only the number of messages ends it.
    pub fn time(&self) -> Option<Duration> {
        match (self.duration, self.messages) {
            (Some(seconds), _) => Some(Duration::from_secs(seconds)),
            (None, Some(_)) => None,
            (None, None) => Some(Duration::from_secs(10)),
        }
    }
}
