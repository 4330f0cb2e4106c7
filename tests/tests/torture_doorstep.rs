//! A doorstep across machines: the sender's node, the recipient's node and the user's own machine are processes of the real
//! program in network namespaces of their own, with public addresses. The link of the doorstep goes down, and another
//! user gets its address; the mail arrives each time.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use cli::client::{Outgoing, Session};
use daemon::Layout;
use message::{Disposition, Identity};
use protocol::SubmissionOptions;
use waxwing_tests::letter;
use waxwing_tests::torture::{
    Doorstep, Machine, Network, Node, Trouble, User, World, dispositions, mailbox, until,
};

const HUB: Ipv4Addr = Ipv4Addr::new(203, 0, 114, 1);
const NORTH: Ipv4Addr = Ipv4Addr::new(203, 0, 114, 2);
const SOUTH: Ipv4Addr = Ipv4Addr::new(203, 0, 114, 3);
/// The address of Dan's doorstep, and of whoever gets it after him.
const DOORSTEP: Ipv4Addr = Ipv4Addr::new(203, 0, 114, 4);
const NODE_PORT: u16 = 7625;
const DOORSTEP_PORT: u16 = 7626;
const MACHINES: [&str; 4] = ["north", "south", "home", "stranger"];
/// How long one message may take: a handshake with nobody is given up after 10 seconds, a connection whose other end has
/// gone after 30.
const MESSAGE_TIME: Duration = Duration::from_secs(60);
/// The folder of the world, for [`zones`].
const FOLDER_ENVIRONMENT: &str = "WAXWING_TORTURE_FOLDER";
/// What [`zones`] prints when it answers.
const ANSWERING: &str = "the zones are answered for";

/// proves: DOOR-2, DOOR-9, EXC-19
#[test]
fn mail_goes_to_the_machine_of_its_user_and_else_to_the_node() -> Result<(), Trouble> {
    match Network::make(&MACHINES) {
        Some(network) => network.run_at_hub("between_machines"),
        None => Ok(()),
    }
}

#[tokio::test]
#[ignore = "run by the test above in its network"]
async fn between_machines() -> Result<(), Trouble> {
    let Some((hub, [north, south, home, stranger])) = Machine::of_network(MACHINES) else { return Ok(()) };
    for (machine, address) in [(&hub, HUB), (&north, NORTH), (&south, SOUTH), (&home, DOORSTEP)] {
        machine.take_address(address)?;
    }
    let mut world = World::lay_out(|_| {}).await?;
    for (node, machine, address) in [(&mut world.north, &north, NORTH), (&mut world.south, &south, SOUTH)] {
        node.machine = Some(machine.clone());
        node.configure(|config| config.listen.address = (address, NODE_PORT).into())?;
    }
    let _answering = [Zones::answer(&north, world.folder())?, Zones::answer(&south, world.folder())?];
    let alice = User::open_accounts(&world.north, &["alice".to_owned()]).await?.remove(0);
    let [dan, eve] = User::open_accounts(&world.south, &["dan".to_owned(), "eve".to_owned()])
        .await?
        .try_into()
        .map_err(|_| "not two users")?;
    world.start()?;
    let mut sender = alice.session().await?;
    let (at, folder) = (SocketAddr::from((DOORSTEP, DOORSTEP_PORT)), world.folder().to_owned());

    let of_dan = Doorstep::open(&dan, &home, at, &folder.join("dan")).await?;
    let straight = send(&mut sender, &dan, "To your own machine.").await?;
    assert_eq!(of_dan.mail()?, [straight.to_string()], "it is at the doorstep");
    assert_eq!(at_the_node(&dan).await?, [], "and the node has no copy");
    assert_eq!(failures(&world.north, straight)?, [""; 0], "at the first attempt");

    home.unplug()?;
    let unplugged = send(&mut sender, &dan, "Is anybody there?").await?;
    assert_eq!(at_the_node(&dan).await?, [unplugged], "the node takes what a doorstep does not");
    let why = failures(&world.north, unplugged)?;
    println!("the link is down: {why:?}");
    assert_eq!(why.len(), 1, "it was tried at the doorstep once: {why:?}");

    stranger.take_address(DOORSTEP)?;
    for machine in [&hub, &north, &south] {
        machine.forget_neighbours()?;
    }
    let of_eve = Doorstep::open(&eve, &stranger, at, &folder.join("eve")).await?;
    let guarded = send(&mut sender, &dan, "For your eyes only.").await?;
    assert_eq!(
        at_the_node(&dan).await?,
        [unplugged, guarded],
        "the node takes what is not for that doorstep"
    );
    assert_eq!(of_eve.mail()?, [""; 0], "who has got the address gets nothing");
    let why = failures(&world.north, guarded)?;
    println!("another user has the address: {why:?}");
    assert!(
        matches!(&why[..], [one] if one.contains("not who it should be")),
        "it is the key that is wrong: {why:?}"
    );

    // The address is not the trouble: what is for Eve goes there.
    let welcome = send(&mut sender, &eve, "To the new machine.").await?;
    assert_eq!(of_eve.mail()?, [welcome.to_string()]);
    assert_eq!(at_the_node(&eve).await?, []);
    sender.close().await;
    world.north.kill()?;
    world.south.kill()
}

/// Sends a letter, and waits until the sender's node says that it was accepted.
async fn send(sender: &mut Session, to: &User, text: &str) -> Result<Identity, Trouble> {
    let outgoing = Outgoing::from_message(&letter("alice@north.test", text), Vec::new());
    let recipients = [to.address.clone()];
    let submitted = sender.submit(&outgoing, &recipients, SubmissionOptions::default(), &|_| {}).await?;
    until(MESSAGE_TIME, "a final answer", async || {
        let told = dispositions(sender, submitted.identity).await?;
        match told.get(&to.address.to_string()) {
            Some(Disposition::Accepted) => Ok(Some(())),
            Some(other) if other.is_final() => Err(format!("{text} {other:?}").into()),
            _ => Ok(None),
        }
    })
    .await?;
    Ok(submitted.identity)
}

/// What stands in the mailbox of a user at the node.
async fn at_the_node(user: &User) -> Result<Vec<Identity>, Trouble> {
    let mut session = user.session().await?;
    let entries = mailbox(&mut session).await?;
    session.close().await;
    Ok(entries.into_iter().map(|entry| entry.identity).collect())
}

/// Why a message has come back from a doorstep to the node, each time, as the sender's node has printed it.
fn failures(sender: &Node, identity: Identity) -> Result<Vec<String>, Trouble> {
    let identity = identity.to_string();
    let steps = sender
        .events()?
        .into_iter()
        .filter(|event| event["event"] == "doorstep" && event["identity"] == identity.as_str());
    let details = steps.filter_map(|event| event["detail"].as_str().map(str::to_owned));
    Ok(details.filter(|detail| detail.ends_with("back to the node")).collect())
}

/// A DNS server at a machine, on its loopback: this test again, doing [`zones`].
///
/// Its output stays open: a test that lasts says so, and would end where it cannot.
struct Zones(Child, BufReader<ChildStdout>);

impl Zones {
    /// Returns when it answers.
    fn answer(machine: &Machine, folder: &Path) -> Result<Zones, Trouble> {
        let mut command = machine.test("zones")?;
        let command = command.env(FOLDER_ENVIRONMENT, folder).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let said = child.stdout.take().ok_or("its output is not here")?;
        let mut zones = Zones(child, BufReader::new(said));
        let mut line = String::new();
        while zones.1.read_line(&mut line)? > 0 {
            if line.contains(ANSWERING) {
                return Ok(zones);
            }
        }
        Err("the zones are not answered for".into())
    }
}

impl Drop for Zones {
    fn drop(&mut self) {
        // It may have ended; nobody is left to hear that it could not be killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Answers for the zones of a world until it is killed.
#[tokio::test]
#[ignore = "run by the test above at each machine that asks the DNS"]
async fn zones() -> Result<(), Trouble> {
    let Some(folder) = std::env::var_os(FOLDER_ENVIRONMENT) else { return Ok(()) };
    let _zones = Layout::at(Path::new(&folder))?.serve_zones().await?;
    println!("{ANSWERING}");
    std::future::pending().await
}
