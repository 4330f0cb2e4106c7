//! `waxwing quickstart`: two nodes, one letter, four recipients, one doorstep and a gateway to the old world, everything
//! on this machine.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes_of_letter::LETTER;
use cli::client::{Incoming, Outgoing, Session};
use cli::profile::{Profile, Trust};
use cli::{Global, QuickstartArgs};
use daemon::{Demo, DemoNode, Doorstep, DoorstepNews, DoorstepPlan, NodeLocation, OnNews};
use message::address::Address;
use message::{Disposition, HeaderBuilder, Identity, Limits, Message, Selection};
use protocol::{Enrol, StatusQuery, SubmissionOptions};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::show::{Look, Printer, code, reason};

/// The letter that is sent where none is given.
mod bytes_of_letter {
    pub(super) const LETTER: &[u8] = include_bytes!("../../../examples/letter.eml");
}

/// How long the whole may take: loopback and one poll interval of a second, on a machine that is busy with other things.
const TIME_MAX: Duration = Duration::from_secs(100);
/// Octets of the letter that is read back into memory.
const READ_BACK_OCTETS_MAX: u64 = 64 * 1024 * 1024;

/// Where the password of a user's account is, beside the profile.
const PASSWORD_FILE: &str = "password";

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A user of the quickstart: an account at a node, and a device that is enrolled there.
pub(crate) struct User {
    pub(crate) address: Address,
    pub(crate) session: Session,
}

/// Runs it; 0 only where every recipient's disposition is as expected and the letter was read back whole.
pub(crate) async fn run(args: &QuickstartArgs, global: &Global) -> ExitCode {
    let look = Look::of(global);
    #[expect(clippy::disallowed_methods, reason = "shown to people only")]
    let since = Instant::now();
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => return crate::fail(&error),
    };
    let temporary = match folder(args) {
        Ok(folder) => folder,
        Err(error) => return crate::fail(&error),
    };
    let folder = temporary.path();
    let demo = match start(&folder, look, since).await {
        Ok(demo) => demo,
        Err(error) => return crate::fail(&error),
    };
    let good = Cell::new(false);
    let story = async {
        good.set(told(&demo, args, &folder, look, since).await);
        if !args.once {
            invite(&demo, &folder, global);
            std::future::pending::<()>().await;
        }
    };
    // However it ends, the nodes end in good order, and a folder that was made for it goes.
    tokio::select! {
        () = story => {}
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    demo.stop().await;
    if good.get() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

/// Whether the story went as it must, within its time; what did not is printed.
async fn told(demo: &Demo, args: &QuickstartArgs, folder: &Path, look: Look, since: Instant) -> bool {
    let printer = Printer::new("quickstart", look, since);
    match tokio::time::timeout(TIME_MAX, tell(demo, args, folder, look, since)).await {
        Ok(Ok(good)) => good,
        Ok(Err(error)) => {
            printer.line("trouble", &error.to_string(), json!({ "what": error.to_string() }));
            false
        }
        Err(_) => {
            printer.line("trouble", "not everything was settled in time", json!({ "what": "time" }));
            false
        }
    }
}

/// Where the data lies: as asked, or in a folder that goes with the program.
enum Place {
    Asked(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Place {
    fn path(&self) -> PathBuf {
        match self {
            Place::Asked(path) => path.clone(),
            Place::Temporary(folder) => folder.path().to_owned(),
        }
    }
}

fn folder(args: &QuickstartArgs) -> Result<Place, String> {
    let wrong = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    match &args.dir {
        Some(dir) => std::fs::create_dir_all(dir)
            .and_then(|()| dir.canonicalize())
            .map(Place::Asked)
            .map_err(|error| wrong(dir, error)),
        None => tempfile::Builder::new()
            .prefix("waxwing-quickstart-")
            .tempdir()
            .map(Place::Temporary)
            .map_err(|error| wrong(&std::env::temp_dir(), error)),
    }
}

async fn start(folder: &Path, look: Look, since: Instant) -> Result<Demo, daemon::Error> {
    let printer = Printer::new("quickstart", look, since);
    let observer = |domain: &str| Arc::new(Printer::new(domain, look, since)) as Arc<dyn node::Observer>;
    let demo = Demo::start(folder, &observer).await?;
    for node in [&demo.north, &demo.south] {
        let address = node.config.listen.address.to_string();
        let domain = &node.config.domains[0].name;
        printer.line(
            "started",
            &format!("{domain} on {address}, configured by {}", node.config_file.display()),
            json!({ "domain": domain, "address": address, "config": node.config_file }),
        );
    }
    let dns = demo.dns_address().to_string();
    printer.line("started", &format!("a DNS server for both zones on {dns}"), json!({ "dns": dns }));
    Ok(demo)
}

/// The story: Alice's letter to Bob, to somebody who is not there, to Carol, who decides later, and to Dan, whose own
/// machine takes it.
async fn tell(
    demo: &Demo,
    args: &QuickstartArgs,
    folder: &Path,
    look: Look,
    since: Instant,
) -> Result<bool, Failure> {
    let mut alice = user(&demo.north, "alice@north.test", folder).await?;
    let mut bob = user(&demo.south, "bob@south.test", folder).await?;
    let carol = user(&demo.south, "carol@south.test", folder).await?;
    let nobody = Address::from_wire("nobody@south.test")?;
    let (dan, doorstep) = open_doorstep(demo, folder, look, since).await?;
    let printer = Printer::new("alice", look, since);

    let letter = letter(args.message.as_deref(), &alice.address)?;
    let recipients = [bob.address.clone(), nobody.clone(), carol.address.clone(), dan.address.clone()];
    let outgoing = Outgoing::from_message(&letter, Vec::new());
    printer.line(
        "submits",
        &format!("{} octets to {}", letter.manifest().message_octets(), words(&recipients)),
        json!({ "octets": letter.manifest().message_octets(),
                "recipients": recipients.iter().map(ToString::to_string).collect::<Vec<_>>() }),
    );
    let submitted =
        alice.session.submit(&outgoing, &recipients, SubmissionOptions::default(), &|_| {}).await?;
    let identity = submitted.identity;
    printer.line(
        "submitted",
        &format!("as {}, sealed by north.test", identity.short()),
        json!({ "identity": identity.to_string() }),
    );

    // Carol's node holds what comes for her, by a rule of its configuration; as soon as it is there she accepts it. In a
    // folder of before she may have decided about this letter already.
    let dispositions = {
        let held = decide_for_carol(demo, identity, &carol.address);
        let mut settled = pin!(settled(&mut alice, identity, &recipients));
        tokio::select! {
            decided = held => {
                decided?;
                settled.await?
            }
            dispositions = &mut settled => dispositions?,
        }
    };
    let printer = Printer::new("alice", look, since);
    for (recipient, disposition) in recipients.iter().zip(&dispositions) {
        printer.line(
            disposition.word(),
            &format!("{recipient}{}: final", reason(disposition)),
            json!({ "recipient": recipient.to_string(), "disposition": disposition.word(),
                    "code": code(disposition), "final": true }),
        );
    }
    let expected = dispositions[0] == Disposition::Accepted
        && matches!(&dispositions[1], Disposition::Refused { code, .. } if *code == message::Code::NO_SUCH_ADDRESS)
        && dispositions[2] == Disposition::Accepted
        && dispositions[3] == Disposition::Accepted;
    let at_home = doorstep.store().message(identity).map_err(|error| error.to_string())?.is_some();
    let same = read_back(&mut bob, identity).await?;
    let printer = Printer::new("bob", look, since);
    printer.line(
        "reads",
        &format!(
            "{}: {}",
            identity.short(),
            if same { "the identity is the same" } else { "NOT the same message" }
        ),
        json!({ "identity": identity.to_string(), "same": same }),
    );
    doorstep.stop().await;
    let mut walter = user(&demo.north, "walter@north.test", folder).await?;
    let of_walter = Printer::new("walter", look, since);
    let held = crate::stranger::tell(&mut walter, &mut bob, [&of_walter, &printer]).await?;
    let of_zoe = Printer::new("zoe", look, since);
    let crossed = crate::old_world::tell(demo, &mut bob, [&of_zoe, &printer]).await?;
    for user in [alice, bob, carol, dan, walter] {
        user.session.close().await;
    }
    Ok(expected && same && at_home && held && crossed)
}

/// Dan, whose own machine takes his mail: a doorstep that shows the key of his device.
async fn open_doorstep(
    demo: &Demo,
    folder: &Path,
    look: Look,
    since: Instant,
) -> Result<(User, Doorstep), Failure> {
    let dan = user(&demo.south, "dan@south.test", folder).await?;
    let profile = folder.join("profiles").join("dan");
    let at = demo.south.config.listen.address;
    let trust = Trust::Pinned(demo.south.pin);
    let plan = DoorstepPlan {
        folder: profile.join("doorstep"),
        device: cli::profile::device_key(&profile)?,
        domain: dan.address.domain().clone(),
        listen: (at.ip(), 0).into(),
        outside_port: None,
        node: NodeLocation {
            host: at.ip().to_string(),
            port: at.port(),
            expectation: cli::client::expectation(&at.to_string().parse()?, &trust)?,
        },
        free_octets: 0,
        maildir: false,
        resolver: daemon::system_resolver(Some(demo.dns_address()))?,
    };
    let printer = crate::doorstep::news(Printer::new("dan's door", look, since));
    let registered = Arc::new(tokio::sync::Notify::new());
    let told = registered.clone();
    let news: OnNews = Arc::new(move |one| {
        printer(one);
        if matches!(one, DoorstepNews::Registered { .. }) {
            told.notify_one();
        }
    });
    let doorstep = Doorstep::start(plan, Arc::new(node::Quiet), news).await?;
    registered.notified().await;
    Ok((dan, doorstep))
}

/// An account at a node, and a device enrolled for it as any user's would be.
async fn user(node: &DemoNode, address: &str, folder: &Path) -> Result<User, Failure> {
    let address = Address::from_wire(address)?;
    let account = address.local().as_str().to_owned();
    let folder = folder.join("profiles").join(&account);
    let profile = Profile {
        address: address.clone(),
        account: account.clone(),
        node: node.config.listen.address.to_string().parse()?,
        trust: Trust::Pinned(node.pin),
        device: "quickstart".to_owned(),
    };
    let password = password()?;
    keep_secret(&folder, PASSWORD_FILE, &password)?;
    node.running
        .node()
        .put_account(&account, std::slice::from_ref(&address), Some(password.clone()))
        .await
        .map_err(|(_, text)| text)?;
    profile.save(&folder)?;
    let key = cli::profile::device_key(&folder)?;
    let mut session = Session::connect(&profile.node, &profile.trust, &key).await?;
    session.enrol(Enrol { account, password, device: profile.device.clone() }).await?;
    Ok(User { address, session })
}

/// Writes a file that only its owner may read.
fn keep_secret(folder: &Path, name: &str, text: &str) -> Result<(), String> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let path = folder.join(name);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    std::fs::create_dir_all(folder)
        .and_then(|()| options.open(&path)?.write_all(text.as_bytes()))
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn password() -> Result<String, Failure> {
    let mut octets = [0; 16];
    #[expect(clippy::disallowed_methods, reason = "the passwords of the quickstart's users are drawn here")]
    getrandom::fill(&mut octets).map_err(|error| error.to_string())?;
    Ok(data_encoding::HEXLOWER.encode(&octets))
}

/// The letter in native form. What somebody else wrote is sent on by Alice: she stands in From, who wrote it in
/// Original-From.
fn letter(file: Option<&Path>, from: &Address) -> Result<Message, Failure> {
    let octets = match file {
        Some(file) => std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?,
        None => LETTER.to_vec(),
    };
    let message = translate::import(&octets, &translate::ImportOptions::default())?.message;
    let written_by_her =
        message.headers().message().only("From").is_some_and(|value| value.contains(&from.to_string()));
    if written_by_her {
        return Ok(message);
    }
    let mut header = HeaderBuilder::new();
    header.push("From", &format!("Alice <{from}>"))?;
    for field in message.headers().message().fields() {
        let name = if field.is("From") { "Original-From" } else { field.name };
        header.push(name, field.raw_value)?;
    }
    let mut changed = header.finish()?.octets().to_vec();
    changed.extend_from_slice(&message.to_octets()[message.headers().message().octets().len()..]);
    Ok(Message::parse(&changed, Limits::default())?)
}

/// Waits until the letter is held for Carol, and accepts it for her.
async fn decide_for_carol(demo: &Demo, identity: Identity, carol: &Address) -> Result<(), Failure> {
    let node = demo.south.running.node();
    loop {
        let held = node.store().held(None, None, 10).map_err(|error| error.to_string())?;
        if held.iter().any(|held| held.identity == identity && held.address == *carol) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Long enough to see it pending.
    tokio::time::sleep(Duration::from_millis(500)).await;
    node.decide_held(None, identity, carol, node::Choice::ACCEPT).await.map_err(|(_, text)| text)?;
    Ok(())
}

/// Asks for the status until every recipient's disposition is final.
pub(crate) async fn settled(
    alice: &mut User,
    identity: Identity,
    recipients: &[Address],
) -> Result<Vec<Disposition>, Failure> {
    loop {
        let records = alice.session.status(StatusQuery::Of(identity)).await?;
        let dispositions: Vec<Disposition> = recipients
            .iter()
            .filter_map(|address| {
                let mut all = records.iter().flat_map(|record| &record.recipients);
                all.find(|one| one.address == *address).map(|one| one.disposition.clone())
            })
            .collect();
        if dispositions.len() == recipients.len() && dispositions.iter().all(Disposition::is_final) {
            return Ok(dispositions);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Fetches the letter from Bob's mailbox; every octet is checked against the identity on the way.
pub(crate) async fn read_back(bob: &mut User, identity: Identity) -> Result<bool, Failure> {
    let entries = bob.session.mailbox(0, 100).await?;
    if !entries.iter().any(|entry| entry.identity == identity) {
        return Ok(false);
    }
    let mut incoming = Incoming::into_memory(identity, READ_BACK_OCTETS_MAX);
    bob.session.fetch(identity, Selection::All, &mut incoming).await?;
    let fetched = incoming.finish()?;
    let leaves = fetched.manifest.as_ref().map_or(0, |manifest| manifest.leaves().count());
    Ok(fetched.manifest.is_some_and(|manifest| manifest.identity() == identity)
        && fetched.bodies.len() == leaves)
}

fn words(recipients: &[Address]) -> String {
    recipients.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What to try next.
fn invite(demo: &Demo, folder: &Path, global: &Global) {
    let profile = |name: &str| folder.join("profiles").join(name).display().to_string();
    let commands = [
        format!(
            "waxwing --profile {} send --to bob@south.test --subject Hello --text 'Good morning'",
            profile("alice")
        ),
        format!("waxwing --profile {} status", profile("alice")),
        format!("waxwing --profile {} mail list", profile("bob")),
        format!(
            "waxwing --profile {} send --to bob@south.test --subject Again --text 'Held, unless Bob trusts me'",
            profile("walter")
        ),
        format!("waxwing --profile {} held list", profile("bob")),
        format!("waxwing --socket {} node --peers", folder.join("north.test/data/control.sock").display()),
    ];
    let logins = logins(demo, folder);
    let smtp = demo.south.running.gateway_addresses().transfer.map(|address| address.to_string());
    let swaks = smtp.as_ref().map(|smtp| {
        format!("swaks --server {smtp} --helo mx.legacy.test --from zoe@legacy.test --to bob@south.test")
    });
    // The nodes stay up, also where nobody reads this.
    let _ = if global.json {
        let object = json!({ "event": "ready", "commands": commands, "consoles": logins, "smtp": smtp,
                             "swaks": swaks });
        cli::print_object(global, &object)
    } else {
        let mut lines = vec!["\nThe consoles, for a browser on this machine:\n".to_owned()];
        lines.extend(logins.iter().map(|(address, account, password)| {
            format!("  http://{address}  account {account}, password {password}")
        }));
        if let (Some(smtp), Some(swaks)) = (&smtp, &swaks) {
            lines.push(format!("\nMail of the old world reaches Bob by SMTP at {smtp}:\n\n  {swaks}"));
        }
        lines.push("\nBoth nodes stay up until you press Ctrl-C. In another terminal, try:\n".to_owned());
        lines.extend(commands.iter().map(|command| format!("  {command}")));
        cli::print(global, &lines.join("\n"))
    };
}

/// Where the consoles are, with an account and its password for each.
fn logins(demo: &Demo, folder: &Path) -> Vec<(String, &'static str, String)> {
    [(&demo.north, "alice"), (&demo.south, "bob"), (&demo.south, "carol")]
        .into_iter()
        .filter_map(|(node, account)| {
            let address = node.running.console_address()?.to_owned();
            let password = std::fs::read_to_string(folder.join("profiles").join(account).join(PASSWORD_FILE));
            Some((address, account, password.ok()?))
        })
        .collect()
}
