//! The grammar of the command line: what can be typed, and the help that teaches it.

mod bench;
mod forward;
mod key;
mod lmtp;
mod operator;
mod policy;
mod spf;
mod user;
mod value;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

pub use bench::{
    BenchCommand, BenchExchangeArgs, BenchLetters, BenchLoad, BenchPeer, BenchPollArgs, BenchSubmitArgs,
};
pub use forward::ForwardCommand;
pub use key::{KeyCommand, KeyTerm};
pub use lmtp::{LmtpCommand, LmtpName};
pub use operator::{
    AccountAddressCommand, AccountCommand, ConfigCommand, ConsoleCommand, InitArgs, LegChoice, NodeConfig,
    PeerCommand, QueueCommand, QuickstartArgs, ServeArgs, StoreCommand, TraceArgs,
};
pub use policy::{CorrespondentCommand, PolicyCommand};
pub use spf::{SpfCommand, SpfExplainArgs};
pub use user::{
    Compose, DeviceCommand, DoorstepArgs, EnrolArgs, GiveUpArgs, HeldArgs, HeldCommand, HeldListArgs,
    HeldName, MailCommand, MailExportArgs, MailListArgs, MailReadArgs, MailSelection, MessageCommand,
    SendArgs, SignArgs, StatusArgs,
};
pub(crate) use value::pin as read_pin;
pub use value::{Moment, NodeAddress};

const ABOUT: &str = "Waxwing carries mail: your program hands a message to your node, your node offers it to the \
    recipient's node, and every recipient gets an answer of its own. Nothing ever bounces: ask `waxwing status` what \
    became of a message.";

const EXAMPLES: &str = "\
Begin here:
  waxwing quickstart                          two nodes on this machine, one message between them
  waxwing enrol ann@a.test --node a.test:7625 this device may now send and read Ann's mail
  waxwing send --to bob@b.test --subject Hello --text 'Good morning'
  waxwing status                              what became of what you sent
  waxwing mail list                           what came for you

Exit codes: 0 done; 1 refused, or something is wrong with what was asked about; 2 the command is not right;
3 the node cannot be reached; 4 not authorised; 5 a fault on this machine.";

/// The whole command line.
#[derive(Debug, Clone, Parser)]
#[command(name = "waxwing", version, about = "A mail transport", long_about = ABOUT, after_help = EXAMPLES)]
#[command(propagate_version = true, subcommand_required = true, arg_required_else_help = true)]
pub struct Invocation {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, Default, Args)]
pub struct Global {
    /// Your profile: the folder with your address, node and device key [default: ~/.config/waxwing]
    #[arg(long, global = true, value_name = "DIR", env = "WAXWING_PROFILE", help_heading = "Global options")]
    pub profile: Option<PathBuf>,
    /// The control socket of a running node, for operators [default: /var/lib/waxwing/control.sock]
    #[arg(long, global = true, value_name = "PATH", env = "WAXWING_SOCKET", help_heading = "Global options")]
    pub socket: Option<PathBuf>,
    /// Print one JSON object per line, with names that stay the same
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Colours and progress bars
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        help_heading = "Global options"
    )]
    pub color: Color,
}

/// Reads a command line. Where it is not right, or asks for help, this prints what there is to say and ends the process.
pub(crate) fn read(line: impl Iterator<Item = OsString>) -> Invocation {
    let line: Vec<OsString> = line.collect();
    let mut command = Invocation::command().color(help_colours(&line));
    let read = command.clone().try_get_matches_from(line);
    let invocation = read.and_then(|matches| Invocation::from_arg_matches(&matches));
    invocation.unwrap_or_else(|error| error.format(&mut command).exit())
}

/// Whether there are colours in help and in what is said of a line that is not right: `--color` holds for that, too, and has
/// to be known before the line is read.
fn help_colours(line: &[OsString]) -> ColorChoice {
    let words = line.iter().filter_map(|word| word.to_str()).take_while(|word| *word != "--");
    let mut asked = words.skip_while(|word| !word.starts_with("--color"));
    let value = match asked.next() {
        Some("--color") => asked.next(),
        Some(word) => word.strip_prefix("--color="),
        None => None,
    };
    match value.and_then(|value| Color::from_str(value, false).ok()) {
        Some(Color::Always) => ColorChoice::Always,
        Some(Color::Never) => ColorChoice::Never,
        Some(Color::Auto) | None => ColorChoice::Auto,
    }
}

/// When there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Also into files and pipes.
    Always,
    /// Nowhere.
    Never,
}

/// One command. Which ones need the node's own code, and so are not answered by [`crate::run`], is told by
/// [`Command::needs_daemon`].
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// See it work: two nodes on this machine and a message between them
    ///
    /// Makes two domains, north.test and south.test, each with a node, and a DNS server for both, under one folder,
    /// starts them on loopback, sends a letter from Alice to Bob, to somebody who does not exist to Carol, who
    /// decides later, and to Dan, whose own machine takes it, and shows every step of its way. Nothing leaves this machine.
    #[command(after_help = "Example:\n  waxwing quickstart --message letter.eml --once")]
    Quickstart(QuickstartArgs),
    /// Run a node
    ///
    /// Reads the configuration, opens the store, listens, and carries mail until it is told to end (SIGTERM, Ctrl-C
    /// or `waxwing shutdown`). Its console, web pages for users and operators, is at http://127.0.0.1:7680 unless the
    /// configuration says otherwise.
    #[command(after_help = "Example:\n  waxwing config check --config /etc/waxwing/waxwing.toml\n  \
        waxwing serve --config /etc/waxwing/waxwing.toml")]
    Serve(ServeArgs),
    /// The console: web pages for users and operators, served by the node
    ///
    /// The node shows it on loopback, at http://127.0.0.1:7680 unless its configuration says otherwise. Users log in with
    /// their account; operators with an account that the configuration names, or with a link.
    #[command(subcommand, after_help = "Example:\n  waxwing console link")]
    Console(ConsoleCommand),
    /// Enrol this device with your node
    ///
    /// Makes a device key if there is none, and asks your node once, with your password, to know it. From then on the
    /// key is all that is needed. A node whose certificate no authority vouches for is pinned: give the digest of its
    /// key, which its operator reads with `waxwing config show`.
    #[command(after_help = "Example:\n  waxwing enrol ann@a.test --node a.test:7625\n  \
        waxwing enrol ann@a.test --node 127.0.0.1:7625 --pin 6d1f... --password-file ann.password")]
    Enrol(EnrolArgs),
    /// Send a message
    ///
    /// Hands a message to your node and prints what became of it for each recipient. Attachments are streamed from
    /// the disk; a lost connection is opened again and goes on where it stopped. Date and Message-ID are added by
    /// your node, which also seals the message.
    #[command(
        after_help = "Example:\n  waxwing send --to bob@b.test --subject Hello --text 'Good morning'\n  \
        waxwing send --to bob@b.test --subject Film --attach film.mkv < letter.txt\n  \
        waxwing send letter.eml --undo 30 --wait"
    )]
    Send(SendArgs),
    /// Have a message sealed by your node, and send nothing
    ///
    /// Your node completes and seals the message as if it were sent, and gives it back: a file that anybody can
    /// check, without your node and for as long as the key is known.
    #[command(after_help = "Example:\n  waxwing sign contract.eml -o contract.wax")]
    Sign(SignArgs),
    /// What became of what you sent
    ///
    /// Lists your latest messages, or shows one in full: each recipient, what became of it, and every attempt.
    #[command(after_help = "Example:\n  waxwing status\n  waxwing status 3f9c2a7e41d0 --wait")]
    Status(StatusArgs),
    /// Stop trying to deliver a message
    ///
    /// For every recipient that has no answer yet your node stops trying. Within the undo time of a message nobody
    /// has seen it; later it may have been delivered a moment before.
    #[command(after_help = "Example:\n  waxwing give-up 3f9c2a7e41d0")]
    GiveUp(GiveUpArgs),
    /// Read your mail
    ///
    /// Lists what came for you, shows a message, or writes it into a file.
    #[command(
        subcommand,
        after_help = "Example:\n  waxwing mail list\n  waxwing mail read 7\n  waxwing mail export 7 -o letter.eml"
    )]
    Mail(MailCommand),
    /// Mail that waits until you have decided
    ///
    /// What comes from strangers is held: only headers and text were fetched. Look at it, then accept it, refuse it, or
    /// block who has sent it; the sender sees `pending`, and then what you have decided. The rest of what you accept is
    /// fetched by itself. With --operator, what a node holds for all its accounts.
    #[command(
        after_help = "Example:\n  waxwing held list\n  waxwing held show 3f9c2a7e41d0\n  waxwing held accept 3f9c2a7e41d0 --trust"
    )]
    Held(HeldArgs),
    /// Take your mail on this machine
    ///
    /// Runs a small daemon that your node redirects senders to: your mail comes straight from the sender's node to this
    /// machine, which must be reachable from outside at an address of its own. Whenever it is not there, or cannot take
    /// a message, your node takes it as before. Needs an enrolled device.
    #[command(after_help = "Example:\n  waxwing doorstep --listen [::]:7626 --maildir\n  \
        waxwing mail list --doorstep ~/.config/waxwing/doorstep")]
    Doorstep(DoorstepArgs),
    /// The devices that may act for you
    ///
    /// Each program that you have enrolled has a key of its own. One that is lost or stolen is removed here, and is
    /// refused from then on.
    #[command(subcommand, after_help = "Example:\n  waxwing device list\n  waxwing device remove 3f9c2a7e")]
    Device(DeviceCommand),
    /// A key of your own, by which you seal what you send
    ///
    /// Your domain says which user handed a message in; your own key says that it was you. Its private half never leaves this
    /// device. Whoever gets your mail reads "sealed by you herself", and is warned where somebody else's key takes its place.
    #[command(
        subcommand,
        after_help = "Example:\n  waxwing key publish\n  waxwing key rotate\n  waxwing key of bob@b.test"
    )]
    Key(KeyCommand),
    /// Look into message files
    ///
    /// Works on files alone and needs no node. A `.wax` file is a message in its native form with its seals, an
    /// `.eml` file one in the legacy form (RFC 5322).
    #[command(
        subcommand,
        after_help = "Example:\n  waxwing message import letter.eml -o letter.wax\n  waxwing message show letter.wax"
    )]
    Message(MessageCommand),
    /// Accounts of a node (operator)
    ///
    /// Asks the running node over its control socket; with --config it works on the store of a node that does not
    /// run.
    #[command(subcommand, after_help = "Example:\n  waxwing account add ann --address ann@a.test")]
    Account(AccountCommand),
    /// What waits in a node (operator)
    ///
    /// A leg is what waits: some recipients of one message that go the same way. A lane is where legs go.
    #[command(
        subcommand,
        after_help = "Example:\n  waxwing queue list\n  waxwing queue retry --lane exchange:b.test"
    )]
    Queue(QueueCommand),
    /// Peers: what a node knows and remembers of them (operator)
    ///
    /// A standing comes from the DNS (may it send, who vouches for it, which lists have it) and from what is remembered:
    /// how much of its mail was taken, refused and complained about. `waxwing node --peers` shows who is connected.
    #[command(subcommand, after_help = "Example:\n  waxwing peer list\n  waxwing peer show south.test")]
    Peer(PeerCommand),
    /// The way of a message through a node (operator)
    ///
    /// Shows every envelope of a message that this node has seen: where it came from, each recipient, each attempt.
    #[command(after_help = "Example:\n  waxwing trace 3f9c2a7e41d0")]
    Trace(TraceArgs),
    /// What a node decides about offers, and why (operator)
    #[command(subcommand, after_help = "Example:\n  waxwing policy show")]
    Policy(PolicyCommand),
    /// Whom an account knows, trusts and has blocked (operator)
    ///
    /// Whom the account writes to becomes known by itself. Who is not known is a first contact, which the policy may
    /// treat otherwise.
    #[command(subcommand, after_help = "Example:\n  waxwing correspondent list ann")]
    Correspondent(CorrespondentCommand),
    /// What SPF says of a client and a sender (operator)
    ///
    /// Asks the DNS and needs no node.
    #[command(
        subcommand,
        after_help = "Example:\n  waxwing spf explain --ip 192.0.2.1 --helo mail.a.test --from ann@a.test"
    )]
    Spf(SpfCommand),
    /// Forwarding: addresses that lead elsewhere, and who forwards to users here (operator)
    ///
    /// An address that no account has can lead to one or more others. The server of each is asked before anything goes
    /// there, and can be asked to stop by whoever the mail is for. The other way round, a domain that forwards to users of
    /// this node asks, and is granted by the policy, by the user or here.
    #[command(
        subcommand,
        after_help = "Example:\n  waxwing forward add ann@old.test ann@new.test\n  waxwing forward grants"
    )]
    Forward(ForwardCommand),
    /// What a mailbox server has not taken (operator)
    ///
    /// A node can hand all mail to a mailbox server over LMTP. What that puts off is tried again, each message for itself and
    /// for five days; what it does not take stays in the native mailbox, and is listed for a month. So is mail of more than 16 MiB, which it is
    /// not handed.
    #[command(subcommand, after_help = "Example:\n  waxwing lmtp list\n  waxwing lmtp retry ann 41")]
    Lmtp(LmtpCommand),
    /// Read the certificates for SMTP again (operator)
    ///
    /// A node looks for new ones by itself from time to time, and when it gets SIGHUP. Sessions that are open go on; where a
    /// new pair is not good, the old one stays, and this command says why.
    #[command(after_help = "Example:\n  waxwing reload")]
    Reload,
    /// How a node is (operator)
    ///
    /// Its version, where it listens, what waits and what it keeps; with --peers also who is connected.
    #[command(after_help = "Example:\n  waxwing node --peers")]
    Node {
        /// Also list the open connections
        #[arg(long)]
        peers: bool,
    },
    /// End a running node in good order (operator)
    ///
    /// The node takes nothing new, ends what is under way, and closes its store.
    #[command(after_help = "Example:\n  waxwing shutdown")]
    Shutdown,
    /// The store of a node (operator)
    ///
    /// Asks the running node where there is one; with --config it works on the store itself.
    #[command(subcommand, after_help = "Example:\n  waxwing store check --config /etc/waxwing/waxwing.toml")]
    Store(StoreCommand),
    /// The configuration of a node (operator)
    ///
    /// `init` makes a new one with its keys; `show` prints every setting as it holds, the defaults included, the pin
    /// and the DNS records; `check` only says what is wrong or missing.
    #[command(
        subcommand,
        after_help = "Example:\n  waxwing config init --domain north.test --dir node\n  \
        waxwing config check --config /etc/waxwing/waxwing.toml"
    )]
    Config(ConfigCommand),
    /// Load a node and measure it (operator)
    ///
    /// Counts what is answered in a second, and how long an answer takes. The messages are real ones, are kept, and
    /// are made before the clock starts.
    #[command(
        subcommand,
        after_help = "Example:\n  waxwing bench submit --to bob@b.test --in-flight 20 --size 4KiB --duration 10"
    )]
    Bench(BenchCommand),
    /// Print completions for a shell
    #[command(
        after_help = "Example:\n  waxwing completions bash > ~/.local/share/bash-completion/completions/waxwing"
    )]
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write the manual pages
    #[command(after_help = "Example:\n  waxwing man --dir /usr/local/share/man/man1")]
    Man {
        /// The folder for the pages; it must exist
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
    },
}

impl Command {
    /// Whether the command needs the node's own code: [`crate::run`] does not do it.
    ///
    /// Accounts and `store check` and `store compact` do so only with `--config`: without it they are asked of the
    /// running node over its socket.
    pub fn needs_daemon(&self) -> bool {
        match self {
            Command::Quickstart(_)
            | Command::Serve(_)
            | Command::Config(_)
            | Command::Doorstep(_)
            | Command::Spf(_) => true,
            Command::Bench(command) => !matches!(command, BenchCommand::Submit(_)),
            Command::Account(command) => command.config().is_some(),
            Command::Store(command) => command.needs_daemon(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Invocation::try_parse_from(line.split(' ')).map(|invocation| invocation.command)
    }

    #[test]
    fn the_grammar_is_sound() {
        Invocation::command().debug_assert();
    }

    /// proves: CLI-11
    #[test]
    fn a_new_node_is_for_this_machine_alone_unless_it_is_told_otherwise() {
        let listen = |line: &str| match parse(line) {
            Ok(Command::Config(ConfigCommand::Init(arguments))) => arguments.listen.ip().is_loopback(),
            other => panic!("{other:?}"),
        };
        assert!(listen("waxwing config init --domain a.test"));
        assert!(!listen("waxwing config init --domain a.test --listen [::]:7625"));
    }

    /// Help that teaches: each command says what it does, and those at the top show an example.
    #[test]
    fn every_command_explains_itself() {
        fn check(command: &clap::Command, top: bool) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            assert!(!top || command.get_after_help().is_some(), "{} has no example", command.get_name());
            command.get_subcommands().for_each(|child| check(child, false));
        }
        Invocation::command().get_subcommands().for_each(|command| check(command, true));
    }

    /// A password is in a file or typed; no argument takes one.
    ///
    /// proves: CLI-8
    #[test]
    fn no_argument_is_a_password() {
        fn check(command: &clap::Command) {
            for argument in command.get_arguments().filter(|one| one.get_action().takes_values()) {
                let name = argument.get_id().as_str();
                assert!(!name.contains("password") || name == "password_file", "{}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Invocation::command());
        assert!(parse("waxwing account add ann --address a@a.test --password x").is_err());
        assert!(parse("waxwing enrol ann@a.test --node a.test:1 --password x").is_err());
    }

    /// `--color` holds for what is printed instead of a command, too.
    #[test]
    fn help_has_colours_where_they_are_wanted() {
        let check = |line: &str, expected: ColorChoice| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(help_colours(&words), expected, "{line}");
        };
        check("waxwing --color never --help", ColorChoice::Never);
        check("waxwing send --help --color=never", ColorChoice::Never);
        check("waxwing --color always nonsense", ColorChoice::Always);
        check("waxwing --color", ColorChoice::Auto);
        check("waxwing --color purple", ColorChoice::Auto);
        check("waxwing send -- --color never", ColorChoice::Auto);
        check("waxwing", ColorChoice::Auto);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let good = |line: &str| assert!(parse(line).is_ok(), "{line}: {:?}", parse(line));
        let bad = |line: &str| assert!(parse(line).is_err(), "{line}");
        good("waxwing send --to a@a.test b@b.test --text x");
        good("waxwing send letter.eml");
        good("waxwing send letter.eml --to a@a.test --undo 30 --wait");
        good("waxwing send --to a@a.test --at 2027-01-01T09:00:00Z");
        bad("waxwing send");
        bad("waxwing send --text x");
        bad("waxwing send --to nobody --text x");
        bad("waxwing send letter.eml --text x");
        bad("waxwing send --to a@a.test --at tomorrow");
        bad("waxwing send --to a@a.test --at 2027-01-01T09:00 --undo 3");
        good("waxwing enrol ann@a.test --node [::1]:7625");
        bad("waxwing enrol ann@a.test --node a.test");
        bad("waxwing enrol ann@a.test --node a.test:0");
        bad("waxwing enrol ann@a.test --node a.test:1 --pin abcd");
        bad("waxwing queue retry");
        bad("waxwing queue retry 1 --lane x");
        bad("waxwing status --wait");
        bad("waxwing mail read one");
        bad("waxwing bench submit");
        bad("waxwing bench submit --to a@a.test --size 4XB");
        bad("waxwing bench submit --to a@a.test --in-flight 0");
        bad("waxwing bench poll --config x --node a.test:1 --cookies 1001");
    }

    #[test]
    fn commands_for_the_node_itself_are_told() {
        let check = |line: &str, needs: bool| {
            assert_eq!(parse(line).unwrap().needs_daemon(), needs, "{line}");
        };
        check("waxwing serve --config x", true);
        check("waxwing quickstart --once", true);
        check("waxwing doorstep", true);
        check("waxwing config show --config x", true);
        check("waxwing account list", false);
        check("waxwing account address add ann a@a.test --config x", true);
        check("waxwing store check", false);
        check("waxwing store compact --config x", true);
        check("waxwing store export --config x --dir y", true);
        check("waxwing bench submit --to a@a.test --size 4KiB", false);
        check("waxwing bench exchange --config x --node a.test:1 --to a@a.test", true);
        check("waxwing queue list", false);
        check("waxwing send x.eml", false);
    }
}
