//! `waxwing config`: make, show and check the configuration of a node.

use std::path::Path;
use std::process::ExitCode;

use cli::{ConfigCommand, Global, InitArgs};
use daemon::{Concern, Config, Error, Plan, Published};
use serde_json::{Value, json};

/// What a command has to say: for people, for programs, and with which code it ends.
struct Said {
    text: String,
    object: Value,
    code: u8,
}

/// Does the command. A configuration that is not right ends with 2.
pub(crate) fn run(command: &ConfigCommand, global: &Global) -> ExitCode {
    let said = match command {
        ConfigCommand::Init(arguments) => init(arguments),
        ConfigCommand::Show { config } => show(config),
        ConfigCommand::Check { config } => check(config),
    };
    let Said { text, object, code } = match said {
        Ok(said) => said,
        Err(error) => return crate::fail_to_start(&error),
    };
    let printed = if global.json { cli::print_object(global, &object) } else { cli::print(global, &text) };
    printed.map_or_else(|code| code, |()| ExitCode::from(code))
}

fn init(arguments: &InitArgs) -> Result<Said, Error> {
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
    let socket = config.socket();
    let object = json!({ "config": file, "socket": socket, "pin": published.pin, "host": published.host,
                         "records": published.records });
    let (shown, socket) = (file.display(), socket.display());
    let mut lines = vec![
        format!("Written: {shown}, with domain.key, host.key and host.crt beside it."),
        "Keep a copy of the keys where nobody else gets at them.\n".to_owned(),
        format!("Publish in the DNS, with the address of this machine for {}:\n", published.host),
    ];
    lines.extend(published.records.iter().map(|record| format!("  {record}")));
    lines.push(
        "\nThe TLSA record needs a zone signed with DNSSEC. Peers without it write the pin into [peers]:\n"
            .to_owned(),
    );
    lines.push(format!("  {}\n", peer_line(&config, &published)));
    lines.extend(daemon::concerns(&config).iter().map(|concern| format!("Note: {}.", concern.text)));
    lines.extend([
        "\nNext:\n".to_owned(),
        format!("  waxwing config check --config {shown}"),
        format!("  waxwing serve --config {shown}"),
        format!("  waxwing account add NAME --address NAME@{domain} --socket {socket}"),
        format!(
            "  waxwing enrol NAME@{domain} --account NAME --node {} --pin {}",
            reached_at(&config, &published),
            published.pin
        ),
    ]);
    Ok(Said { text: lines.join("\n"), object, code: 0 })
}

/// Every setting as it holds; what else is to be known stands in comments, so that the whole is a configuration.
fn show(path: &Path) -> Result<Said, Error> {
    let config = Config::read(path)?;
    let published = Published::of(&config)?;
    let mut lines = vec![
        config.to_text()?,
        "# What is not here is not set; the file that `waxwing config init` writes explains every setting.\n#".to_owned(),
        "# The pin of this node; in the configuration of a peer:\n# [peers]".to_owned(),
        format!("# {}", peer_line(&config, &published)),
        "#\n# The DNS records to publish:".to_owned(),
    ];
    lines.extend(published.records.iter().map(|record| format!("# {record}")));
    let object = json!({ "config": config, "socket": config.socket(), "pin": published.pin,
                         "host": published.host, "records": published.records });
    Ok(Said { text: lines.join("\n"), object, code: 0 })
}

fn check(path: &Path) -> Result<Said, Error> {
    let config = Config::read(path)?;
    let concerns = daemon::concerns(&config);
    let good = !concerns.iter().any(|concern| concern.harmful);
    let listed: Vec<_> = concerns
        .iter()
        .map(|Concern { harmful, text }| json!({ "harmful": harmful, "text": text }))
        .collect();
    let object = json!({ "config": path, "good": good, "concerns": listed });
    let mut lines: Vec<_> = concerns
        .iter()
        .map(|concern| format!("{}: {}", if concern.harmful { "wrong" } else { "note" }, concern.text))
        .collect();
    lines.push(format!("{} {}", path.display(), if good { "is in order" } else { "is NOT in order" }));
    Ok(Said { text: lines.join("\n"), object, code: if good { 0 } else { 2 } })
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
