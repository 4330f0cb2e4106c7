//! What users type.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use message::PublicKey;
use message::address::Address;

use super::value::{self, Moment, NodeAddress};

/// `enrol`.
#[derive(Debug, Clone, Args)]
pub struct EnrolArgs {
    /// Your address
    #[arg(value_parser = value::address)]
    pub address: Address,
    /// Your node, as HOST:PORT
    #[arg(long, value_name = "HOST:PORT")]
    pub node: NodeAddress,
    /// The digest of the node's key (SHA-256 of its SubjectPublicKeyInfo), 64 hexadecimal digits; without it the
    /// node's certificate must be vouched for by a public authority
    #[arg(long, value_name = "HEX", value_parser = value::pin)]
    pub pin: Option<[u8; 32]>,
    /// The name of your account [default: your address]
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Read the password from the first line of this file; otherwise it is asked for
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// What this device is called at your node
    #[arg(long, value_name = "NAME", default_value = "waxwing command line")]
    pub device: String,
}

/// What a message is composed of.
#[derive(Debug, Clone, Args)]
pub struct Compose {
    /// A message file (.eml or .wax) instead of composing one
    #[arg(value_name = "FILE", conflicts_with_all = ["subject", "text", "attach"])]
    pub file: Option<PathBuf>,
    /// The subject
    #[arg(long, value_name = "TEXT")]
    pub subject: Option<String>,
    /// The text; without it the text is read from standard input
    #[arg(long, value_name = "TEXT")]
    pub text: Option<String>,
    /// Attach a file; may be given several times
    #[arg(long, value_name = "FILE")]
    pub attach: Vec<PathBuf>,
}

/// `send`.
#[derive(Debug, Clone, Args)]
pub struct SendArgs {
    /// A recipient; may be given several times. For a message file: instead of those in its header
    #[arg(long = "to", value_name = "ADDRESS", value_parser = value::address, num_args = 1..)]
    #[arg(required_unless_present = "file")]
    pub to: Vec<Address>,
    /// Another of your addresses than that of your profile
    #[arg(long, value_name = "ADDRESS", value_parser = value::address, conflicts_with = "file")]
    pub from: Option<Address>,
    /// The message.
    #[command(flatten)]
    pub compose: Compose,
    /// Send it at this time, within 30 days, such as 2027-01-01T09:00 or 2027-01-01T09:00:00+01:00
    #[arg(long, value_name = "TIME", conflicts_with_all = ["delay_seconds", "undo"])]
    pub at: Option<Moment>,
    /// Send it in so many seconds, 2592000 (30 days) at the most
    #[arg(long = "in", value_name = "SECONDS", conflicts_with = "undo")]
    pub delay_seconds: Option<u64>,
    /// Keep it back for so many seconds, in which `give-up` calls it back unseen; 2592000 (30 days) at the most
    #[arg(long, value_name = "SECONDS")]
    pub undo: Option<u64>,
    /// Wait until every recipient has a final answer
    #[arg(long)]
    pub wait: bool,
    /// Do not seal with your own key, where your profile has one
    #[arg(long)]
    pub no_seal: bool,
}

/// `sign`.
#[derive(Debug, Clone, Args)]
pub struct SignArgs {
    /// The message (.eml or .wax)
    pub file: PathBuf,
    /// Where to write the sealed message
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

/// `status`.
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// The identity of a message, or its first digits as `send` printed them
    #[arg(value_name = "ID")]
    pub identity: Option<String>,
    /// Wait until every recipient has a final answer
    #[arg(long, requires = "identity")]
    pub wait: bool,
    /// How many messages to list at the most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub limit: u64,
}

/// `give-up`.
#[derive(Debug, Clone, Args)]
pub struct GiveUpArgs {
    /// The identity of the message, or its first digits
    #[arg(value_name = "ID")]
    pub identity: String,
}

/// `device`.
#[derive(Debug, Clone, Subcommand)]
pub enum DeviceCommand {
    /// List them
    #[command(after_help = "Example:\n  waxwing device list")]
    List,
    /// Remove one
    #[command(after_help = "Example:\n  waxwing device remove 3f9c2a7e")]
    Remove {
        /// The first digits of its key, as `device list` shows it
        device: String,
    },
}

/// `held`.
#[derive(Debug, Clone, Args)]
pub struct HeldArgs {
    /// Ask as the operator of a node, over its control socket, for all accounts
    #[arg(long, global = true)]
    pub operator: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: HeldCommand,
}

/// What is done about held mail.
#[derive(Debug, Clone, Subcommand)]
pub enum HeldCommand {
    /// List what is held, with the reason and the octets that were not fetched
    #[command(after_help = "Example:\n  waxwing held list\n  waxwing held list --operator --account bob")]
    List(HeldListArgs),
    /// Show the headers, the text and the tree of parts, as far as they are here
    #[command(after_help = "Example:\n  waxwing held show 3f9c2a7e41d0")]
    Show(HeldName),
    /// Take a message: what is missing is fetched, then it is in your mailbox
    #[command(after_help = "Example:\n  waxwing held accept 3f9c2a7e41d0 --trust")]
    Accept {
        /// Which.
        #[command(flatten)]
        name: HeldName,
        /// Its author becomes a correspondent: more mail from there is not held
        #[arg(long)]
        trust: bool,
    },
    /// Refuse a message, which its sender sees
    #[command(after_help = "Example:\n  waxwing held refuse 3f9c2a7e41d0 --code 5.7.1")]
    Refuse {
        /// Which.
        #[command(flatten)]
        name: HeldName,
        /// The status code that the sender sees, of class 5 [default: 5.7.1]
        #[arg(long, value_name = "CODE")]
        code: Option<String>,
    },
    /// Refuse a message, and what else its author sends from now on
    #[command(after_help = "Example:\n  waxwing held block 3f9c2a7e41d0")]
    Block(HeldName),
}

/// `held list`.
#[derive(Debug, Clone, Args)]
pub struct HeldListArgs {
    /// Only what is held for this account (with --operator)
    #[arg(long, value_name = "NAME", requires = "operator")]
    pub account: Option<String>,
    /// Go on after this place, as the end of a long list names it (with --operator)
    #[arg(long, value_name = "ENVELOPE.RECIPIENT", requires = "operator", value_parser = value::held_place)]
    pub after: Option<control::HeldPlace>,
}

/// One held message.
#[derive(Debug, Clone, Args)]
pub struct HeldName {
    /// The identity of the message, or its first digits as `held list` prints them
    #[arg(value_name = "ID")]
    pub identity: String,
    /// The recipient, where it is held for several
    #[arg(long, value_name = "ADDRESS", value_parser = value::address)]
    pub to: Option<Address>,
}

/// `mail`.
#[derive(Debug, Clone, Subcommand)]
pub enum MailCommand {
    /// List what came for you
    #[command(after_help = "Example:\n  waxwing mail list --after 12")]
    List(MailListArgs),
    /// Show a message
    #[command(after_help = "Example:\n  waxwing mail read 7\n  waxwing mail read 7 --part 2 > picture.png")]
    Read(MailReadArgs),
    /// Write a message into a file
    #[command(after_help = "Example:\n  waxwing mail export 7 -o letter.wax")]
    Export(MailExportArgs),
}

impl MailCommand {
    /// The folder of the doorstep that is asked in place of the node.
    pub fn doorstep(&self) -> Option<&Path> {
        match self {
            MailCommand::List(arguments) => arguments.doorstep.as_deref(),
            MailCommand::Read(arguments) => arguments.doorstep.as_deref(),
            MailCommand::Export(arguments) => arguments.doorstep.as_deref(),
        }
    }
}

/// `doorstep`.
#[derive(Debug, Clone, Args)]
pub struct DoorstepArgs {
    /// Where the mail is kept [default: doorstep in your profile]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Where to listen: port 443 or from 1024 on
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:7626")]
    pub listen: SocketAddr,
    /// The port at which it is reached from outside, where that is another one
    #[arg(long, value_name = "PORT")]
    pub outside_port: Option<u16>,
    /// Leave mail to your node where less of the disk than this is free
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = value::octets)]
    pub keep_free: u64,
    /// Also write what comes into a Maildir, below the folder
    #[arg(long)]
    pub maildir: bool,
    /// Ask this DNS server for the keys of those who sealed, and not those of the system
    #[arg(long, value_name = "ADDRESS")]
    pub dns: Option<SocketAddr>,
}

/// `mail list`.
#[derive(Debug, Clone, Args)]
pub struct MailListArgs {
    /// Only what came after this number, the oldest first [default: the newest; with --json all from the beginning]
    #[arg(long, value_name = "N")]
    pub after: Option<u64>,
    /// How many at the most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub limit: u64,
    /// Read at the doorstep that runs on this machine in that folder, and not at your node
    #[arg(long, value_name = "DIR")]
    pub doorstep: Option<PathBuf>,
}

/// `mail read`.
#[derive(Debug, Clone, Args)]
pub struct MailReadArgs {
    /// The number of the message in `mail list`
    pub number: u64,
    /// Write the octets of this part to standard output
    #[arg(long, value_name = "PART", conflicts_with = "selection")]
    pub part: Option<usize>,
    /// What of it to fetch
    #[arg(long, value_enum, default_value_t)]
    pub selection: MailSelection,
    /// Read at the doorstep that runs on this machine in that folder, and not at your node
    #[arg(long, value_name = "DIR")]
    pub doorstep: Option<PathBuf>,
}

/// What of a message is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum MailSelection {
    /// Headers and the first text.
    #[default]
    Text,
    /// Headers and the tree of parts.
    Headers,
    /// Who sealed it.
    Signers,
    /// Everything, checked against the identity; every text is shown.
    All,
}

/// `mail export`.
#[derive(Debug, Clone, Args)]
pub struct MailExportArgs {
    /// The number of the message in `mail list`
    pub number: u64,
    /// Where to write it: .wax keeps the seals, .eml is the legacy form
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Read at the doorstep that runs on this machine in that folder, and not at your node
    #[arg(long, value_name = "DIR")]
    pub doorstep: Option<PathBuf>,
}

/// `message`.
#[derive(Debug, Clone, Subcommand)]
pub enum MessageCommand {
    /// Show the tree of parts, sizes, digests, the identity and the seals
    #[command(after_help = "Example:\n  waxwing message show letter.wax")]
    Show {
        /// The message (.wax or .eml)
        file: PathBuf,
    },
    /// Check a message file: every digest, and the seals against keys
    ///
    /// The code is 0 only where a seal was verified and none has failed. Without keys only digests are checked, and
    /// the seals are listed as not checked.
    #[command(after_help = "Example:\n  waxwing message verify letter.wax --key 9f86d0...\n  \
        waxwing message verify letter.wax --dns")]
    Verify {
        /// The message
        file: PathBuf,
        /// A public key to check seals with, 64 hexadecimal digits; may be given several times
        #[arg(long, value_name = "HEX", value_parser = value::public_key)]
        key: Vec<PublicKey>,
        /// Ask the DNS for the keys of the domains that have sealed it
        #[arg(long)]
        dns: bool,
    },
    /// Translate from the legacy form
    #[command(after_help = "Example:\n  waxwing message import letter.eml -o letter.wax")]
    Import {
        /// The message in the legacy form
        file: PathBuf,
        /// Where to write the native form
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Translate into the legacy form
    #[command(after_help = "Example:\n  waxwing message export letter.wax -o letter.eml")]
    Export {
        /// The message in the native form
        file: PathBuf,
        /// Where to write the legacy form
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        /// Allow UTF-8 in headers (RFC 6532), which older programs do not read
        #[arg(long)]
        utf8: bool,
    },
}
