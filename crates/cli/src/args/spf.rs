//! What operators type about SPF.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `spf`.
#[derive(Debug, Clone, Subcommand)]
pub enum SpfCommand {
    /// Say what SPF and its properties find for a client and a sender, step by step
    ///
    /// Asks the DNS as a gateway would, and shows each record, each term and what it means. Ends with 1 where the result
    /// is a failure.
    #[command(
        after_help = "Examples:\n  waxwing spf explain --ip 192.0.2.1 --helo mail.a.test --from ann@a.test\n  \
        waxwing spf explain --ip 192.0.2.1 --helo mx.f.test --from ann@a.test --message letter.eml --arranged"
    )]
    Explain(SpfExplainArgs),
}

/// `spf explain`.
#[derive(Debug, Clone, Args)]
pub struct SpfExplainArgs {
    /// The address of the client
    #[arg(long, value_name = "IP")]
    pub ip: IpAddr,
    /// The name that the client says in EHLO
    #[arg(long, value_name = "NAME")]
    pub helo: String,
    /// The address in MAIL FROM [default: none, as of a bounce]
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<String>,
    /// A message, for the properties that look at its header
    #[arg(long, value_name = "FILE")]
    pub message: Option<PathBuf>,
    /// As if every recipient had authorized the client to forward to it
    #[arg(long)]
    pub arranged: bool,
    /// Ask this name server [default: those of the system]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub dns: Option<SocketAddr>,
}
