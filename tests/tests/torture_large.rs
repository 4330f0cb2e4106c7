//! One large part, from a file of the sender to a mailbox at another node, while each of the three programs on its way is
//! killed in the middle. It goes on where it was, and no program holds much of it in memory.
//!
//! `WAXWING_TORTURE_OCTETS` sets the size (64 MiB where it is not set).

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cli::client::{Composition, Incoming};
use message::address::Address;
use message::{Disposition, Selection};
use protocol::SubmissionOptions;
use waxwing_tests::torture::{
    Node, Random, Trouble, User, World, dispositions, lines_of, mailbox, read_headers, setting, until,
};

const MIB: u64 = 1 << 20;
/// What is sent again at the most where a program was killed.
const AGAIN_OCTETS_MAX: u64 = MIB;
/// The most memory that a program may have resident at any time.
const RESIDENT_KIB_MAX: u64 = 150 * 1024;
/// How long one step may take.
const STEP_TIME: Duration = Duration::from_secs(120);
/// The environment of the user's program: folder of the world, and the file.
const USER_ENVIRONMENT: [&str; 2] = ["WAXWING_TORTURE_WORLD", "WAXWING_TORTURE_FILE"];

#[tokio::test]
async fn a_large_part_goes_on_where_it_was_whoever_is_killed() -> Result<(), Trouble> {
    let octets = setting("WAXWING_TORTURE_OCTETS", 64 * MIB);
    let mut world = World::lay_out(|_| {}).await?;
    User::open_accounts(&world.north, &["alice".to_owned()]).await?;
    let bob = User::open_accounts(&world.south, &["bob".to_owned()]).await?.remove(0);
    let file = world.folder().join("large.bin");
    generate(&file, octets)?;
    let mut peak = Peak::default();
    let result = carry(&mut world, &bob, &file, octets, &mut peak).await;
    println!("{peak:?}");
    if result.is_err() {
        println!("{}\n{}", world.north.last_words(), world.south.last_words());
        println!("kept: {}", world.keep().display());
    } else {
        assert!(peak.most() < RESIDENT_KIB_MAX, "{peak:?}");
    }
    result
}

/// The largest message that also becomes a file in RFC 5322 form is translated in memory, and that is bounded too.
#[tokio::test]
async fn the_largest_message_in_a_maildir_takes_no_more_memory() -> Result<(), Trouble> {
    let mut world = World::lay_out(|_| {}).await?;
    User::open_accounts(&world.north, &["alice".to_owned()]).await?;
    User::open_accounts(&world.south, &["bob".to_owned()]).await?;
    let file = world.folder().join("large.bin");
    // Room for the text and the headers.
    generate(&file, node::limits::MAILDIR_OCTETS_MAX - MIB)?;
    world.start()?;
    let mut user = UserProgram::start(world.folder(), &file)?;
    user.ended().await?;
    let mails = world.south.config()?.data().join("maildir/bob/new");
    until(STEP_TIME, "the message in the Maildir", async || {
        let found = std::fs::read_dir(&mails).ok().and_then(|mut files| files.next());
        Ok(found.map(|_| ()))
    })
    .await?;
    let mut peak = Peak::default();
    peak.look(&world, &user)?;
    println!("{peak:?}");
    assert!(peak.most() < RESIDENT_KIB_MAX, "{peak:?}");
    Ok(())
}

/// The most KiB that each program has had resident, over all its lives.
#[derive(Debug, Default)]
struct Peak {
    north: u64,
    south: u64,
    user: u64,
}

impl Peak {
    fn look(&mut self, world: &World, user: &UserProgram) -> Result<(), Trouble> {
        self.north = self.north.max(world.north.most_resident_kib()?);
        self.south = self.south.max(world.south.most_resident_kib()?);
        self.user = self.user.max(user.most_resident_kib());
        Ok(())
    }

    fn most(&self) -> u64 {
        self.north.max(self.south).max(self.user)
    }
}

async fn carry(
    world: &mut World,
    bob: &User,
    file: &Path,
    octets: u64,
    peak: &mut Peak,
) -> Result<(), Trouble> {
    world.start()?;
    let mut user = UserProgram::start(world.folder(), file)?;

    staged(&world.north, octets / 4).await?;
    peak.look(world, &user)?;
    user.kill()?;
    let before = Before::of(&world.north)?;
    user = UserProgram::start(world.folder(), file)?;
    before.goes_on(&world.north, "the user's program").await?;

    staged(&world.north, octets / 2).await?;
    peak.look(world, &user)?;
    world.north.kill()?;
    let before = Before::of(&world.north)?;
    world.north.start()?;
    before.goes_on(&world.north, "the node of the sender, receiving").await?;

    // What the user's program has handed over is on its way to the other node.
    staged(&world.south, octets / 4).await?;
    peak.look(world, &user)?;
    world.south.kill()?;
    let before = Before::of(&world.south)?;
    world.south.start()?;
    before.goes_on(&world.south, "the node of the recipient").await?;

    staged(&world.south, octets / 2).await?;
    peak.look(world, &user)?;
    world.north.kill()?;
    let before = Before::of(&world.south)?;
    world.north.start()?;
    before.goes_on(&world.south, "the node of the sender, sending").await?;

    let mut alice = User::of(&world.north, "alice")?.session().await?;
    user.ended().await?;
    let records = waxwing_tests::torture::statuses(&mut alice).await?;
    assert_eq!(records.len(), 1, "an offer that was made again is the same submission");
    let identity = records[0].identity;
    until(STEP_TIME, "the last disposition", async || {
        let found = dispositions(&mut alice, identity).await?;
        Ok(found.values().all(|one| *one == Disposition::Accepted).then_some(()))
    })
    .await?;
    alice.close().await;
    read_back(bob, octets).await?;
    peak.look(world, &user)
}

/// Fetches the part from the mailbox; its digest is checked on the way, and nothing of it is kept.
async fn read_back(bob: &User, octets: u64) -> Result<(), Trouble> {
    let mut session = bob.session().await?;
    let entries = mailbox(&mut session).await?;
    assert_eq!(entries.len(), 1);
    let manifest = read_headers(&mut session, entries[0].identity).await?.manifest.ok_or("no manifest")?;
    let (number, part, _) = manifest.leaves().last().ok_or("no parts")?;
    assert_eq!(part.octets, octets);
    let selection = Selection::Parts(vec![(number, 0)]);
    let mut incoming = Incoming::raw(manifest.clone(), Box::new(std::io::sink()));
    session.fetch(manifest.identity(), selection, &mut incoming).await?;
    incoming.finish()?;
    session.close().await;
    println!("read back: {octets} octets with the right digest");
    Ok(())
}

/// Waits until a node has staged so many octets, looking often: they come fast.
async fn staged(node: &Node, octets: u64) -> Result<(), Trouble> {
    let end = tokio::time::Instant::now() + STEP_TIME;
    while node.staged_octets()? < octets {
        if tokio::time::Instant::now() > end {
            return Err(format!("{} has not staged {octets} octets", node.site.domain).into());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

/// How things were at a node when somebody was killed.
struct Before {
    staged: u64,
    asked: usize,
}

impl Before {
    fn of(node: &Node) -> Result<Before, Trouble> {
        Ok(Before { staged: node.staged_octets()?, asked: asked_from(node)?.len() })
    }

    /// Waits until the node asks for the rest, and looks from which octet on.
    async fn goes_on(&self, node: &Node, killed: &str) -> Result<(), Trouble> {
        let begun = tokio::time::Instant::now();
        let from = until(STEP_TIME, "the node asks for the rest", async || {
            Ok(asked_from(node)?.get(self.asked).copied())
        })
        .await?;
        let again = self.staged.saturating_sub(from);
        println!(
            "{killed} was killed: {} octets were staged, asked for from {from} on after {} ms",
            self.staged,
            begun.elapsed().as_millis()
        );
        assert!(from > 0 && again < AGAIN_OCTETS_MAX, "{again} octets are sent again");
        Ok(())
    }
}

/// The octets from which on a node has asked for the large part (number 2: container, text, attachment), in order.
fn asked_from(node: &Node) -> Result<Vec<u64>, Trouble> {
    let asked = node.events()?.into_iter().filter(|event| event["event"] == "asked for");
    let offset = |event: serde_json::Value| -> Option<u64> {
        let words = event["selection"].as_str()?;
        let piece = words.trim_start_matches("parts ").split(", ").find(|piece| piece.starts_with('2'))?;
        Some(piece.strip_prefix("2 from octet ").map_or(0, |from| from.parse().unwrap_or(0)))
    };
    Ok(asked.filter_map(offset).collect())
}

fn generate(path: &Path, octets: u64) -> Result<(), Trouble> {
    let mut random = Random::new(7);
    let mut out = std::io::BufWriter::new(std::fs::File::create(path)?);
    for _ in 0..octets / MIB {
        out.write_all(&random.octets(MIB as usize))?;
    }
    Ok(out.flush()?)
}

/// The user's program, as a process that can be killed: this test again, doing [`user_program`].
struct UserProgram(Child);

impl UserProgram {
    fn start(world: &Path, file: &Path) -> Result<UserProgram, Trouble> {
        let out = std::fs::File::create(world.join("user.log"))?;
        let child = Command::new(std::env::current_exe()?)
            .args(["--exact", "user_program", "--ignored", "--nocapture"])
            .env(USER_ENVIRONMENT[0], world)
            .env(USER_ENVIRONMENT[1], file)
            .stdin(Stdio::null())
            .stderr(out.try_clone()?)
            .stdout(out)
            .spawn()?;
        Ok(UserProgram(child))
    }

    fn kill(&mut self) -> Result<(), Trouble> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    async fn ended(&mut self) -> Result<(), Trouble> {
        let status = until(STEP_TIME, "the user's program", async || Ok(self.0.try_wait()?)).await?;
        if status.success() { Ok(()) } else { Err(format!("the user's program: {status}").into()) }
    }

    fn most_resident_kib(&self) -> u64 {
        let lines = lines_of(Path::new(&format!("/proc/{}/status", self.0.id()))).unwrap_or_default();
        let line = lines.iter().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
    }
}

impl Drop for UserProgram {
    fn drop(&mut self) {
        // It may have ended; nobody is left to hear that it could not be killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the user's program does: it composes the message from the file and hands it over, again where it is told to.
#[tokio::test]
#[ignore = "run by the test above as a process of its own"]
async fn user_program() -> Result<(), Trouble> {
    let [world, file] = USER_ENVIRONMENT.map(|name| std::env::var_os(name).map(PathBuf::from));
    let (Some(world), Some(file)) = (world, file) else { return Ok(()) };
    let alice = User::of(&World::node_of(&world, "north.test")?, "alice")?;
    let bob = Address::from_wire("bob@south.test")?;
    let composition = Composition {
        from: alice.address.clone(),
        to: vec![bob.clone()],
        subject: Some("something large".to_owned()),
        text: "It is attached.\n".to_owned(),
        attachments: vec![file],
    };
    let outgoing = composition.compose()?;
    // Two runs of a program that means the same submission say so by the token.
    let options = SubmissionOptions { token: Some([7; 16]), ..SubmissionOptions::default() };
    let mut session = alice.session().await?;
    let submitted = session.submit(&outgoing, &[bob], options, &|_| {}).await?;
    println!("submitted {}", submitted.identity);
    session.close().await;
    Ok(())
}
