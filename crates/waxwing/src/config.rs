//! `waxwing config`: make, show and check the configuration of a node.

use std::path::Path;
use std::process::ExitCode;

use cli::{ConfigCommand, InitArgs};
use daemon::{Concern, Config, Error, Plan, Published};
use serde_json::json;

/// Does the command. A configuration that is not right ends with 2.
pub(crate) fn run(command: &ConfigCommand, json: bool) -> ExitCode {
    let done = match command {
        ConfigCommand::Init(arguments) => init(arguments, json).map(|()| ExitCode::SUCCESS),
        ConfigCommand::Show { config } => show(config, json).map(|()| ExitCode::SUCCESS),
        ConfigCommand::Check { config } => check(config, json),
    };
    done.unwrap_or_else(|error| crate::fail_to_start(&error))
}

fn init(arguments: &InitArgs, json: bool) -> Result<(), Error> {
    let InitArgs { domain, dir, host, listen, data, selector } = arguments;
    let host = match host {
        Some(host) => host.clone(),
        None => daemon::host_within(domain)?,
    };
    let plan = Plan {
        domain: domain.clone(),
        host,
        listen: *listen,
        selector: selector.clone(),
        data: data.clone(),
    };
    let file = daemon::init(dir, &plan)?;
    let config = Config::read(&file)?;
    let published = Published::of(&config)?;
    if json {
        let socket = config.socket();
        let object = json!({ "config": file, "socket": socket, "pin": published.pin, "host": published.host,
                             "records": published.records });
        println!("{object}");
        return Ok(());
    }
    println!("Written: {}, with domain.key, host.key and host.crt beside it.", file.display());
    println!("Keep a copy of the keys where nobody else gets at them.\n");
    println!("Publish in the DNS, with the address of this machine for {}:\n", published.host);
    for record in &published.records {
        println!("  {record}");
    }
    println!(
        "\nThe TLSA record needs a zone signed with DNSSEC. Peers without it write the pin into [peers]:\n"
    );
    println!("  {}\n", peer_line(&config, &published));
    for concern in daemon::concerns(&config) {
        println!("Note: {}.", concern.text);
    }
    let (file, socket) = (file.display(), config.socket());
    println!("\nNext:\n");
    println!("  waxwing config check --config {file}");
    println!("  waxwing serve --config {file}");
    println!("  waxwing account add NAME --address NAME@{domain} --socket {}", socket.display());
    println!(
        "  waxwing enrol NAME@{domain} --account NAME --node {} --pin {}",
        reached_at(&config, &published),
        published.pin
    );
    Ok(())
}

/// Every setting as it holds; what else is to be known stands in comments, so that the whole is a configuration.
fn show(path: &Path, json: bool) -> Result<(), Error> {
    let config = Config::read(path)?;
    let text = config.to_text()?;
    let published = Published::of(&config)?;
    if json {
        let object = json!({ "config": config, "socket": config.socket(), "pin": published.pin,
                             "host": published.host, "records": published.records });
        println!("{object}");
        return Ok(());
    }
    print!("{text}");
    println!("\n# The pin of this node; in the configuration of a peer:\n# [peers]");
    println!("# {}", peer_line(&config, &published));
    println!("#\n# The DNS records to publish:");
    for record in &published.records {
        println!("# {record}");
    }
    Ok(())
}

fn check(path: &Path, json: bool) -> Result<ExitCode, Error> {
    let config = Config::read(path)?;
    let concerns = daemon::concerns(&config);
    let good = !concerns.iter().any(|concern| concern.harmful);
    if json {
        let listed: Vec<_> = concerns
            .iter()
            .map(|Concern { harmful, text }| json!({ "harmful": harmful, "text": text }))
            .collect();
        println!("{}", json!({ "config": path, "good": good, "concerns": listed }));
    } else {
        for concern in &concerns {
            println!("{}: {}", if concern.harmful { "wrong" } else { "note" }, concern.text);
        }
        println!("{} {}", path.display(), if good { "is in order" } else { "is NOT in order" });
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

fn peer_line(config: &Config, published: &Published) -> String {
    let domain = config.domains.first().map(|domain| domain.name.as_str()).unwrap_or_default();
    format!("\"{domain}\" = \"{}\"", published.pin)
}

/// Where its users reach it: on loopback by its address, else by the name of the host.
fn reached_at(config: &Config, published: &Published) -> String {
    let address = config.listen.address;
    if address.ip().is_loopback() {
        address.to_string()
    } else {
        format!("{}:{}", published.host, address.port())
    }
}
