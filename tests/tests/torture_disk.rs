//! Disks that are full, read-only or damaged: a clear temporary refusal or a report, nothing lost, and no node that ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use cli::client::{Composition, Session};
use daemon::Config;
use message::{Code, Disposition, Identity};
use protocol::{StatusQuery, SubmissionOptions};
use storage::{Batch, Engine};
use storage_redb::Redb;
use waxwing_tests::torture::{
    Node, Random, Trouble, User, World, dispositions, mailbox, program, read_all, until,
};

/// A floor that no disk reaches; the most that TOML can say.
const NO_ROOM: u64 = i64::MAX as u64;
/// How long a letter may take once there is room again: some attempts of two seconds.
const SETTLE_TIME: Duration = Duration::from_secs(30);

/// Alice in the north and Bob in the south.
struct Scene {
    world: World,
    alice: User,
    bob: User,
}

impl Scene {
    async fn set(change: impl Fn(&mut Config)) -> Result<Scene, Trouble> {
        Scene::of(World::lay_out(change).await?).await
    }

    async fn of(world: World) -> Result<Scene, Trouble> {
        let alice = User::open_accounts(&world.north, &["alice".to_owned()]).await?.remove(0);
        let bob = User::open_accounts(&world.south, &["bob".to_owned()]).await?.remove(0);
        Ok(Scene { world, alice, bob })
    }

    /// Alice hands a letter with an attachment of so many octets to her node.
    async fn write(&self, session: &mut Session, number: u64, octets: usize) -> Result<Identity, cli::Error> {
        let file = self.world.folder().join(format!("{number}.bin"));
        std::fs::write(&file, Random::new(number).octets(octets))?;
        let composition = Composition {
            from: self.alice.address.clone(),
            to: vec![self.bob.address.clone()],
            subject: Some(format!("letter {number}")),
            text: "Good morning\n".to_owned(),
            attachments: if octets > 0 { vec![file] } else { Vec::new() },
        };
        let to = [self.bob.address.clone()];
        let submitted =
            session.submit(&composition.compose()?, &to, SubmissionOptions::default(), &|_| {}).await?;
        Ok(submitted.identity)
    }

    /// The letter is with Bob, whole.
    async fn arrives(&self, session: &mut Session, identity: Identity) -> Result<(), Trouble> {
        until(SETTLE_TIME, "the letter is accepted", async || {
            let found = dispositions(session, identity).await?;
            Ok(found.values().all(|one| *one == Disposition::Accepted).then_some(()))
        })
        .await?;
        let mut bob = self.bob.session().await?;
        let entries = mailbox(&mut bob).await?;
        assert_eq!(entries.iter().filter(|entry| entry.identity == identity).count(), 1);
        read_all(&mut bob, identity).await?;
        bob.close().await;
        Ok(())
    }

    /// What the journal says about the attempts so far: texts, each once.
    async fn attempts(&self, session: &mut Session, identity: Identity) -> Result<Vec<String>, Trouble> {
        let records = session.status(StatusQuery::Of(identity)).await?;
        let mut texts: Vec<String> =
            records.into_iter().flat_map(|record| record.attempts).map(|attempt| attempt.text).collect();
        texts.sort();
        texts.dedup();
        Ok(texts)
    }
}

#[tokio::test]
async fn without_room_nothing_new_is_taken_and_nothing_is_lost() -> Result<(), Trouble> {
    let mut scene = Scene::set(|_| {}).await?;
    scene.world.start()?;
    let mut alice = scene.alice.session().await?;
    let first = scene.write(&mut alice, 1, 100_000).await?;
    scene.arrives(&mut alice, first).await?;

    // The recipient's node has no room: the letter waits, and the journal says why.
    scene.world.south.kill()?;
    scene.world.south.configure(|config| config.store.free_octets = NO_ROOM)?;
    scene.world.south.start()?;
    let second = scene.write(&mut alice, 2, 100_000).await?;
    until(SETTLE_TIME, "an attempt that failed for want of room", async || {
        let texts = scene.attempts(&mut alice, second).await?;
        Ok(texts.iter().any(|text| text.contains("no room")).then_some(()))
    })
    .await?;
    assert!(dispositions(&mut alice, second).await?.values().all(|one| !one.is_final()));
    // What is there can be read all the same.
    scene.arrives(&mut alice, first).await?;

    // Alice's node has none: she is told so at once, and that it is for now.
    scene.world.north.kill()?;
    scene.world.north.configure(|config| config.store.free_octets = NO_ROOM)?;
    scene.world.north.start()?;
    match scene.write(&mut alice, 3, 100_000).await {
        Err(cli::Error::Refused(failure)) => {
            assert_eq!((failure.code.class, failure.code), (4, Code::SYSTEM_FULL), "{}", failure.text)
        }
        other => return Err(format!("{other:?} where a temporary refusal is due").into()),
    }
    for node in [&mut scene.world.north, &mut scene.world.south] {
        node.kill()?;
        node.configure(|config| config.store.free_octets = 0)?;
        node.start()?;
    }
    let third = scene.write(&mut alice, 3, 100_000).await?;
    scene.arrives(&mut alice, second).await?;
    scene.arrives(&mut alice, third).await
}

/// A small disk at a folder, for as long as this value lives; there is none where we may not mount.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path, size: &str) -> Option<SmallDisk> {
        std::fs::create_dir_all(folder).ok()?;
        let options = format!("size={size},mode=0700");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "waxwing"]).arg(folder).output();
        match mounted {
            Ok(output) if output.status.success() => Some(SmallDisk(folder.to_owned())),
            _ => {
                println!("left out: no file system can be mounted here (this takes root)");
                None
            }
        }
    }

    fn remount(&self, how: &str) -> Result<(), Trouble> {
        let output = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(&self.0).output()?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into()) }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a node that is being killed may have files open for a moment more.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
        // The folder of the world could not be removed while a disk was in it: data is in the folder of a node there.
        if let Some(world) = self.0.ancestors().nth(2) {
            let _ = std::fs::remove_dir_all(world);
        }
    }
}

#[tokio::test]
async fn a_disk_that_fills_up_under_a_node_costs_nobody_a_letter() -> Result<(), Trouble> {
    for engine in ["sled", "redb"] {
        let world = World::lay_out(|config| {
            config.store.free_octets = 0;
            config.store.engine = engine_of(engine);
        })
        .await?;
        let data = world.south.config()?.data();
        let Some(disk) = SmallDisk::mount(&data, "64m") else { return Ok(()) };
        let mut scene = Scene::of(world).await?;
        scene.world.start()?;
        let mut alice = scene.alice.session().await?;
        let mut letters = vec![scene.write(&mut alice, 1, 100_000).await?];
        scene.arrives(&mut alice, letters[0]).await?;

        let filler = disk.0.join("filler");
        fill(&filler)?;
        for number in 2..10 {
            let octets = if number % 2 == 0 { 2_000_000 } else { 10_000 };
            letters.push(scene.write(&mut alice, number, octets).await?);
        }
        let last = letters[letters.len() - 1];
        until(SETTLE_TIME, "an attempt that failed", async || {
            Ok((!scene.attempts(&mut alice, last).await?.is_empty()).then_some(()))
        })
        .await?;
        println!("{engine}: {:?}", scene.attempts(&mut alice, letters[1]).await?);
        println!("{engine}: {:?}", scene.attempts(&mut alice, last).await?);
        scene.world.south.check_alive()?;
        scene.arrives(&mut alice, letters[0]).await?;

        // Room again; a store that was turned read-only by the trouble writes again from the next start on.
        std::fs::remove_file(&filler)?;
        scene.world.south.kill()?;
        scene.world.south.start()?;
        for letter in &letters {
            scene.arrives(&mut alice, *letter).await?;
        }
        let mut bob = scene.bob.session().await?;
        assert_eq!(mailbox(&mut bob).await?.len(), letters.len());
        bob.close().await;
        scene.world.south.kill()?;
        let findings = World::check_store(&scene.world.south)?;
        assert!(findings.is_empty(), "{engine}: {findings:?}");
    }
    Ok(())
}

/// proves: STO-31
#[tokio::test]
async fn a_store_of_another_version_is_moved_or_left_alone_and_says_so() -> Result<(), Trouble> {
    let world = World::lay_out(|config| config.store.engine = engine_of("redb")).await?;
    let file = world.south.config()?.data().join("store").join("store.redb");
    let write = |key: &[u8], value: &[u8]| -> Result<(), Trouble> {
        let mut batch = Batch::default();
        batch.put(key.to_vec(), value.to_vec());
        Ok(Redb::open(&file)?.apply(&batch)?)
    };
    // An envelope for a message that is not there: what it is does not matter, only where.
    write(&[&b"i"[..], &[7; 32], &[0; 7], &[9]].concat(), b"")?;
    let moved = store_command(&world.south, &["check"])?;
    let (out, told) = (String::from_utf8_lossy(&moved.stdout), String::from_utf8_lossy(&moved.stderr));
    assert!(told.contains("its records are moved") && told.contains("has been moved"), "{told}");
    assert!(!told.contains('\x1b'), "colours, and no terminal: {told:?}");
    assert!(out.contains("refers to"), "{out}");
    assert_eq!(moved.status.code(), Some(1));
    let again = store_command(&world.south, &["check"])?;
    assert_eq!(String::from_utf8_lossy(&again.stderr), "");

    write(b"Zformat\0", &99_u64.to_be_bytes())?;
    let newer = store_command(&world.south, &["check"])?;
    let told = String::from_utf8_lossy(&newer.stderr);
    assert!(told.contains("format 99") && told.contains("newer program"), "{told}");
    assert_ne!(newer.status.code(), Some(0));
    Ok(())
}

/// Writes until there is no room left.
fn fill(path: &Path) -> Result<(), Trouble> {
    use std::io::Write;
    let mut file = std::fs::File::create(path)?;
    let block = vec![0x55; 4096];
    loop {
        match file.write_all(&block) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

#[tokio::test]
async fn a_node_says_that_its_disk_is_read_only_and_ends() -> Result<(), Trouble> {
    for engine in ["sled", "redb"] {
        let world = World::lay_out(|config| config.store.engine = engine_of(engine)).await?;
        let Some(disk) = SmallDisk::mount(&world.south.config()?.data(), "256m") else { return Ok(()) };
        let mut scene = Scene::of(world).await?;
        scene.world.start()?;
        let mut alice = scene.alice.session().await?;
        let letter = scene.write(&mut alice, 1, 100_000).await?;
        scene.arrives(&mut alice, letter).await?;
        scene.world.south.kill()?;
        disk.remount("ro")?;
        scene.world.south.start()?;
        let code = scene.world.south.ended(Duration::from_secs(60)).await?;
        let words = scene.world.south.last_words();
        println!("{engine}: ended with {code:?}: {words}");
        assert_eq!(code, Some(5));
        assert!(words.contains("ead-only file system"), "{words}");
        let second = scene.write(&mut alice, 2, 100_000).await?;
        disk.remount("rw")?;
        scene.world.south.start()?;
        scene.arrives(&mut alice, second).await?;
        scene.arrives(&mut alice, letter).await?;
    }
    Ok(())
}

/// How many letters are in the store that is damaged.
const LETTERS: u64 = 12;

#[tokio::test]
async fn a_flipped_byte_in_a_part_is_named_and_harms_one_message_only() -> Result<(), Trouble> {
    let mut scene = Scene::set(|_| {}).await?;
    let letters = delivered(&mut scene).await?;
    let parts = files_below(&scene.world.south.config()?.data().join("store/parts"))?;
    assert_eq!(parts.len(), LETTERS as usize);
    flip(&parts[0], 50_000)?;
    let name = parts[0].file_name().unwrap_or_default().to_string_lossy().into_owned();
    let checked = store_command(&scene.world.south, &["check"])?;
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(said.contains(&name), "{said}{}", String::from_utf8_lossy(&checked.stderr));
    assert_eq!(checked.status.code(), Some(1));

    scene.world.south.start()?;
    let mut bob = scene.bob.session().await?;
    let mut damaged = 0;
    for letter in &letters {
        match read_all(&mut bob, *letter).await {
            Ok(_) => {}
            Err(error) => {
                damaged += 1;
                println!("the damaged one: {error}");
            }
        }
    }
    assert_eq!(damaged, 1, "the reader finds out about one message and reads the others");
    bob.close().await;
    let mut alice = scene.alice.session().await?;
    let next = scene.write(&mut alice, 100, 100_000).await?;
    scene.arrives(&mut alice, next).await
}

/// A byte is flipped in the file of the engine, once here and once there. The commands on the store end in good order,
/// and where a message is missing then, the check says that there is damage.
#[tokio::test]
async fn a_flipped_byte_in_the_records_is_noticed() -> Result<(), Trouble> {
    for (engine, file) in [("sled", "sled/db"), ("redb", "store.redb")] {
        let mut scene = Scene::set(|config| config.store.engine = engine_of(engine)).await?;
        delivered(&mut scene).await?;
        let whole = messages_of(&scene.world.south, "whole")?;
        assert_eq!(whole, LETTERS as usize);
        let data = scene.world.south.config()?.data();
        let kept = scene.world.folder().join("kept");
        copy(&data, &kept)?;
        let octets = std::fs::read(data.join("store").join(file))?;
        // Where the file has room for more, nothing is to be noticed.
        let used: Vec<u64> =
            octets.iter().enumerate().filter(|(_, octet)| **octet != 0).map(|(at, _)| at as u64).collect();
        let mut random = Random::new(17);
        let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
        for round in 0..flips() {
            copy(&kept, &data)?;
            let at = used[random.between(0, used.len() as u64 - 1) as usize];
            flip(&data.join("store").join(file), at)?;
            let word = after_damage(&scene.world.south, whole, round)?;
            if !matches!(word, "unharmed" | "named" | "not opened" | "not exported") {
                println!("{engine}: octet {at} of {}: {word}", octets.len());
            }
            *seen.entry(word).or_default() += 1;
        }
        println!("{engine}: {seen:?}");
        assert!(
            !seen.contains_key("crashed") && !seen.contains_key("lost without a word"),
            "{engine}: {seen:?}"
        );
    }
    Ok(())
}

fn flips() -> u64 {
    waxwing_tests::torture::setting("WAXWING_TORTURE_FLIPS", 12)
}

fn after_damage(node: &Node, whole: usize, round: u64) -> Result<&'static str, Trouble> {
    let checked = store_command(node, &["check"])?;
    match checked.status.code() {
        // 1: findings; 3 and 5: the store cannot be opened, and the reason was said.
        Some(code @ (1 | 3 | 5)) => {
            let said = [checked.stdout, checked.stderr].concat();
            let said = String::from_utf8_lossy(&said).into_owned();
            println!("{code}: {}", said.lines().next().unwrap_or_default());
            assert!(!said.trim().is_empty(), "an exit code without a word");
            Ok(if code == 1 { "named" } else { "not opened" })
        }
        Some(0) => match messages_of(node, &format!("round-{round}")) {
            Ok(count) if count == whole => Ok("unharmed"),
            Ok(_) => Ok("lost without a word"),
            Err(_) => Ok("not exported"),
        },
        code => {
            println!("{code:?}: {}", String::from_utf8_lossy(&checked.stderr));
            Ok("crashed")
        }
    }
}

/// Letters in Bob's mailbox, all with a part in a file; both nodes are killed then.
async fn delivered(scene: &mut Scene) -> Result<Vec<Identity>, Trouble> {
    scene.world.start()?;
    let mut alice = scene.alice.session().await?;
    let mut letters = Vec::new();
    for number in 0..LETTERS {
        letters.push(scene.write(&mut alice, number, 100_000).await?);
    }
    for letter in &letters {
        scene.arrives(&mut alice, *letter).await?;
    }
    scene.world.south.kill()?;
    Ok(letters)
}

/// How many messages an export finds.
fn messages_of(node: &Node, name: &str) -> Result<usize, Trouble> {
    let folder = node.site.folder.join("exports").join(name);
    let place = folder.to_str().ok_or("a path that is not text")?;
    let exported = store_command(node, &["export", "--dir", place])?;
    let said = String::from_utf8_lossy(&exported.stdout).into_owned();
    let count = said.split_whitespace().next().and_then(|word| word.parse().ok());
    count.ok_or_else(|| format!("{said}{}", String::from_utf8_lossy(&exported.stderr)).into())
}

fn store_command(node: &Node, words: &[&str]) -> Result<Output, Trouble> {
    let mut command = Command::new(program()?);
    command.arg("store").args(words).arg("--config").arg(&node.site.config_file);
    Ok(command.output()?)
}

fn engine_of(name: &str) -> daemon::EngineConfig {
    match name {
        "redb" => daemon::EngineConfig::Redb,
        _ => daemon::EngineConfig::Sled,
    }
}

fn flip(path: &Path, at: u64) -> Result<(), Trouble> {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path)?;
    let mut octet = [0];
    file.read_exact_at(&mut octet, at)?;
    Ok(file.write_all_at(&[octet[0] ^ 0x10], at)?)
}

/// Puts a copy of a folder in the place of another.
fn copy(from: &Path, to: &Path) -> Result<(), Trouble> {
    if to.exists() {
        std::fs::remove_dir_all(to)?;
    }
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status()?;
    if copied.success() { Ok(()) } else { Err("a folder could not be copied".into()) }
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}
