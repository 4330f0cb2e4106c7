//! What operators type.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use message::address::Domain;

/// `quickstart`.
#[derive(Debug, Clone, Args)]
pub struct QuickstartArgs {
    /// Send this message (.eml or .wax) instead of a greeting
    #[arg(long, value_name = "FILE")]
    pub message: Option<PathBuf>,
    /// End once the message has arrived; otherwise the nodes run on until Ctrl-C
    #[arg(long)]
    pub once: bool,
    /// The folder for both nodes [default: a temporary one, removed at the end]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// The configuration of the node
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// `console`.
#[derive(Debug, Clone, Subcommand)]
pub enum ConsoleCommand {
    /// Print a link by which an operator enters, good once and for five minutes
    Link,
}

/// The configuration of a node that does not run, to work on its store.
#[derive(Debug, Clone, Default, Args)]
pub struct NodeConfig {
    /// Work on the store of the node with this configuration, which must not run
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `account`.
#[derive(Debug, Clone, Subcommand)]
pub enum AccountCommand {
    /// Add an account; the password is asked for, or read from a file
    #[command(after_help = "Example:\n  waxwing account add ann --address ann@a.test --address info@a.test")]
    Add {
        /// The name of the account
        name: String,
        /// An address of the account, its own first; may be given several times
        #[arg(long = "address", value_name = "ADDRESS", required = true)]
        addresses: Vec<String>,
        /// Read the password from the first line of this file
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// Without a password: only enrolled devices come in
        #[arg(long, conflicts_with = "password_file")]
        no_password: bool,
        /// Whose store.
        #[command(flatten)]
        node: NodeConfig,
    },
    /// List the accounts
    #[command(after_help = "Example:\n  waxwing account list --json")]
    List {
        /// Whose store.
        #[command(flatten)]
        node: NodeConfig,
    },
    /// Remove an account; its mail stays in the store
    #[command(after_help = "Example:\n  waxwing account remove ann")]
    Remove {
        /// The name of the account
        name: String,
        /// Whose store.
        #[command(flatten)]
        node: NodeConfig,
    },
    /// Set another password
    #[command(after_help = "Example:\n  waxwing account password ann")]
    Password {
        /// The name of the account
        name: String,
        /// Read the password from the first line of this file
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// Whose store.
        #[command(flatten)]
        node: NodeConfig,
    },
    /// Tell an account of later failures in its own mailbox, too
    ///
    /// For users whose mail program submits by SMTP and cannot ask what became of a message. Such a notice is put into that
    /// mailbox and is sent nowhere.
    #[command(after_help = "Example:\n  waxwing account notices ann\n  waxwing account notices ann --off")]
    Notices {
        /// The name of the account
        name: String,
        /// No more
        #[arg(long)]
        off: bool,
        /// Whose store.
        #[command(flatten)]
        node: NodeConfig,
    },
    /// Report a message in the mailbox of an account as abuse
    ///
    /// It counts as a complaint about who has brought it; a forwarder that wants to hear of it is told. Users can do it
    /// themselves in the console.
    #[command(after_help = "Example:\n  waxwing account report ann 17")]
    Report {
        /// The name of the account
        name: String,
        /// The number of the message in its mailbox
        number: u64,
    },
    /// List the enrolled devices of an account
    #[command(after_help = "Example:\n  waxwing account devices ann")]
    Devices {
        /// The name of the account
        name: String,
        /// Whose store.
        #[command(flatten)]
        node: NodeConfig,
    },
    /// Remove a device: it is refused from then on, also where it is connected
    #[command(after_help = "Example:\n  waxwing account remove-device ann 3f9c2a7e")]
    RemoveDevice {
        /// The name of the account
        name: String,
        /// The key of the device, or its first digits, six or more, as `account devices` prints them
        #[arg(value_name = "KEY")]
        device: String,
        /// Whose store.
        #[command(flatten)]
        node: NodeConfig,
    },
    /// Add or remove an address of an account
    #[command(subcommand, after_help = "Example:\n  waxwing account address add ann sales@a.test")]
    Address(AccountAddressCommand),
}

/// `account address`.
#[derive(Debug, Clone, Subcommand)]
pub enum AccountAddressCommand {
    /// Add an address to an account
    Add {
        /// The name of the account
        name: String,
        /// The address
        address: String,
        /// Whose store.
        #[command(flatten)]
        node: NodeConfig,
    },
    /// Take an address from an account
    Remove {
        /// The name of the account
        name: String,
        /// The address
        address: String,
        /// Whose store.
        #[command(flatten)]
        node: NodeConfig,
    },
}

impl AccountCommand {
    /// The configuration that was given, where the command works on a store itself.
    pub fn config(&self) -> Option<&Path> {
        let node = match self {
            AccountCommand::Add { node, .. }
            | AccountCommand::List { node }
            | AccountCommand::Remove { node, .. }
            | AccountCommand::Password { node, .. }
            | AccountCommand::Notices { node, .. }
            | AccountCommand::Devices { node, .. }
            | AccountCommand::RemoveDevice { node, .. }
            | AccountCommand::Address(
                AccountAddressCommand::Add { node, .. } | AccountAddressCommand::Remove { node, .. },
            ) => node,
            // Only a node that runs can tell anybody of it.
            AccountCommand::Report { .. } => return None,
        };
        node.config.as_deref()
    }
}

/// `queue`.
#[derive(Debug, Clone, Subcommand)]
pub enum QueueCommand {
    /// List what waits, or only how much for each lane
    #[command(
        after_help = "Example:\n  waxwing queue list --lanes\n  waxwing queue list --lane exchange:b.test"
    )]
    List {
        /// Sum up by lane
        #[arg(long, conflicts_with_all = ["lane", "after", "message"])]
        lanes: bool,
        /// Only what waits of this message: its identity, or its first digits, six or more
        #[arg(long, value_name = "ID", conflicts_with_all = ["lane", "after"])]
        message: Option<String>,
        /// Only what waits for this lane
        #[arg(long, value_name = "LANE")]
        lane: Option<String>,
        /// Go on after this leg
        #[arg(long, value_name = "LEG")]
        after: Option<u64>,
        /// How many at the most
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u32,
    },
    /// Show one leg: its recipients and every attempt
    #[command(after_help = "Example:\n  waxwing queue show 41")]
    Show {
        /// The number of the leg
        leg: u64,
    },
    /// Try legs now
    #[command(
        after_help = "Example:\n  waxwing queue retry 41 42\n  waxwing queue retry --lane exchange:b.test"
    )]
    Retry(LegChoice),
    /// Do not try legs until they are released
    #[command(after_help = "Example:\n  waxwing queue hold 41")]
    Hold(LegChoice),
    /// Let held legs go on
    #[command(after_help = "Example:\n  waxwing queue release --lane exchange:b.test")]
    Release(LegChoice),
    /// Give legs up: their recipients become withdrawn, which their senders see
    #[command(after_help = "Example:\n  waxwing queue remove 41")]
    Remove(LegChoice),
}

/// Which legs an order is for.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct LegChoice {
    /// The numbers of legs
    #[arg(value_name = "LEG")]
    pub legs: Vec<u64>,
    /// All that wait for this lane
    #[arg(long, value_name = "LANE")]
    pub lane: Option<String>,
    /// All of this message: its identity, or its first digits, six or more
    #[arg(long, value_name = "ID")]
    pub message: Option<String>,
}

/// `trace`.
#[derive(Debug, Clone, Args)]
pub struct TraceArgs {
    /// The identity of the message, or its first digits, six or more, as `waxwing status` prints them
    #[arg(value_name = "ID")]
    pub identity: String,
}

/// `peer`.
#[derive(Debug, Clone, Subcommand)]
pub enum PeerCommand {
    /// List the peers that are remembered, with their counts
    #[command(after_help = "Example:\n  waxwing peer list --json")]
    List {
        /// Go on after this domain, the last of the page before
        #[arg(long, value_name = "DOMAIN")]
        after: Option<String>,
    },
    /// Show the standing of a peer and why: what the DNS says, what is remembered, what it uses of its limits
    #[command(after_help = "Example:\n  waxwing peer show south.test")]
    Show {
        /// The domain of the peer
        #[arg(value_parser = Domain::parse)]
        domain: Domain,
    },
    /// Forget what is remembered of a peer, as if it had never been met
    #[command(after_help = "Example:\n  waxwing peer forget south.test")]
    Forget {
        /// The domain of the peer
        #[arg(value_parser = Domain::parse)]
        domain: Domain,
    },
}

/// `store`.
#[derive(Debug, Clone, Subcommand)]
pub enum StoreCommand {
    /// Read the whole store and compare; nothing is changed
    #[command(after_help = "Example:\n  waxwing store check")]
    Check {
        /// Whose store.
        #[command(flatten)]
        node: NodeConfig,
    },
    /// Give back room on the disk
    #[command(after_help = "Example:\n  waxwing store compact")]
    Compact {
        /// Whose store.
        #[command(flatten)]
        node: NodeConfig,
    },
    /// Write all that can still be read into a folder; damaged records are skipped and told
    #[command(
        after_help = "Example:\n  waxwing store export --config /etc/waxwing/waxwing.toml --dir rescue"
    )]
    Export {
        /// The configuration of the node, which must not run
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The folder to write; it must not exist
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
    },
}

impl StoreCommand {
    /// Whether the command works on a store itself.
    pub fn needs_daemon(&self) -> bool {
        match self {
            StoreCommand::Check { node } | StoreCommand::Compact { node } => node.config.is_some(),
            StoreCommand::Export { .. } => true,
        }
    }
}

/// `config init`.
#[derive(Debug, Clone, Args)]
pub struct InitArgs {
    /// The domain whose mail the node keeps
    #[arg(long, value_parser = super::value::domain)]
    pub domain: Domain,
    /// The folder for the files; it is made where it is missing
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// The name of the host, as it stands in the DNS [default: mx.DOMAIN]
    #[arg(long, value_name = "NAME", value_parser = super::value::domain)]
    pub host: Option<Domain>,
    /// Where the node listens, UDP; without it on this machine alone
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = loopback())]
    pub listen: SocketAddr,
    /// The folder for the store and the control socket; relative to the folder of the files
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub data: PathBuf,
    /// The selector under which the domain's key is published
    #[arg(long, value_name = "NAME", default_value = "key1")]
    pub selector: String,
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], transport::DEFAULT_PORT))
}

/// `config`.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Make all that a new node needs: configuration, keys, certificate
    ///
    /// Writes waxwing.toml, domain.key, host.key and host.crt into a folder, for their owner alone, and prints the DNS
    /// records to publish and the commands that come next. It overwrites nothing. The certificate is signed by itself,
    /// which is enough for peers that know the node by a pin or by a TLSA record.
    #[command(after_help = "Example:\n  waxwing config init --domain north.test --dir /etc/waxwing \\\n    \
        --data /var/lib/waxwing --listen '[::]:7625'")]
    Init(InitArgs),
    /// Print every setting as it holds, the pin, and the DNS records to publish
    #[command(after_help = "Example:\n  waxwing config show --config waxwing.toml")]
    Show {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Say what is wrong with a configuration, and what is missing
    #[command(after_help = "Example:\n  waxwing config check --config waxwing.toml")]
    Check {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}
