//! Two nodes of ours, as processes of the real program, and the program's own load against them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use cli::profile::{Profile, Trust};
use message::address::Address;
use serde_json::Value;
use storage::{AccountRecord, DeviceRecord};
use tests::smtp::Smtp;
use tests::torture::{Node, World, program};

use crate::Trouble;

/// How long a node may take to come up.
const START_TIME: Duration = Duration::from_secs(60);

/// How long a node that runs may take to let in who asks.
const ANSWER_TIME: Duration = Duration::from_millis(200);

/// The nodes of north.test and south.test, Alice at the one and Bob at the other.
pub(crate) struct Ours {
    world: World,
    alice: PathBuf,
    bob: PathBuf,
}

impl Ours {
    /// Lays out both, without Maildirs beside the mailboxes, and starts them.
    ///
    /// # Errors
    /// Where they do not come up.
    pub(crate) async fn start() -> Result<Ours, Trouble> {
        let mut ours = Ours::lay_out().await?;
        ours.world.start()?;
        // The first message finds the keys in the DNS and opens the connection between the nodes.
        ours.ready().await?;
        ours.submit(1, 10, 4096).await?;
        Ok(ours)
    }

    /// Lays out both, and starts neither.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub(crate) async fn lay_out() -> Result<Ours, Trouble> {
        let world = World::lay_out(|config| {
            config.mailbox.maildir = false;
            // Everything is for Bob, and he wants it; that the load's domain has no records is looked up all the same.
            config.rules.clear();
            config.accept_first_contact();
        })
        .await?;
        let alice = account(&world, &world.north, "alice").await?;
        let bob = account(&world, &world.south, "bob").await?;
        Ok(Ours { world, alice, bob })
    }

    /// Messages in a second that the node of south.test accepts from that of north.test into a mailbox.
    ///
    /// # Errors
    /// Where one is not accepted.
    pub(crate) async fn exchange(
        &self,
        in_flight: usize,
        messages: u64,
        octets: u64,
    ) -> Result<Value, Trouble> {
        let south = self.world.south.config()?.listen.address.to_string();
        let to = "bob@south.test";
        let mut arguments = self.as_north("exchange", &south);
        arguments.extend(["--to", to].map(Into::into));
        self.bench(arguments, in_flight, messages, Some(octets)).await
    }

    /// Polls in a second that the node of south.test answers that of north.test.
    ///
    /// # Errors
    /// Where one is not answered.
    pub(crate) async fn poll(&self, in_flight: usize, polls: u64, cookies: u64) -> Result<Value, Trouble> {
        let south = self.world.south.config()?.listen.address.to_string();
        let mut arguments = self.as_north("poll", &south);
        arguments.extend(["--domain", "south.test", "--cookies", &cookies.to_string()].map(Into::into));
        self.bench(arguments, in_flight, polls, None).await
    }

    /// Messages in a second from Alice's program to her node, and on to Bob's mailbox at the other.
    ///
    /// # Errors
    /// Where one does not arrive.
    pub(crate) async fn submit(
        &self,
        in_flight: usize,
        messages: u64,
        octets: u64,
    ) -> Result<Value, Trouble> {
        let mut arguments: Vec<OsString> =
            ["bench", "submit", "--to", "bob@south.test"].map(Into::into).into();
        arguments.extend(["--profile".into(), self.alice.clone().into_os_string()]);
        arguments.extend(["--watch".into(), self.bob.clone().into_os_string()]);
        self.bench(arguments, in_flight, messages, Some(octets)).await
    }

    /// The configuration of north.test.
    ///
    /// # Errors
    /// Those of the file.
    pub(crate) fn north(&self) -> Result<daemon::Config, Trouble> {
        self.world.north.config()
    }

    /// The configuration of south.test.
    ///
    /// # Errors
    /// Those of the file.
    pub(crate) fn south(&self) -> Result<daemon::Config, Trouble> {
        self.world.south.config()
    }

    /// How the gateway of south.test is loaded.
    ///
    /// # Errors
    /// Where it has none.
    pub(crate) fn gateway(&self) -> Result<Smtp, Trouble> {
        let config = self.world.south.config()?;
        let address = config.gateway.and_then(|gateway| gateway.transfer).ok_or("no gateway")?;
        Ok(Smtp { address, tls: true, to: "bob@south.test" })
    }

    /// The process of south.test.
    pub(crate) fn receiver(&self) -> Option<u32> {
        self.world.south.id()
    }

    /// The process of north.test.
    pub(crate) fn sender(&self) -> Option<u32> {
        self.world.north.id()
    }

    /// Octets resident of south.test.
    pub(crate) fn resident(&self) -> u64 {
        crate::compare::resident(self.receiver())
    }

    /// The most octets that south.test has had resident.
    pub(crate) fn most_resident(&self) -> u64 {
        self.world.south.most_resident_kib().unwrap_or(0) * 1024
    }

    /// Forgets how many octets south.test has had resident so far.
    ///
    /// # Errors
    /// Where the kernel does not.
    pub(crate) fn forget_most_resident(&self) -> Result<(), Trouble> {
        let id = self.receiver().ok_or("the node does not run")?;
        Ok(std::fs::write(format!("/proc/{id}/clear_refs"), "5")?)
    }

    /// Has south.test take so many octets of a message unasked, from its next start on, which is now.
    ///
    /// # Errors
    /// Where it does not come up.
    pub(crate) fn widen(&mut self, eager_octets: u64) -> Result<(), Trouble> {
        self.world.south.kill()?;
        self.world.south.configure(|config| config.limits.eager_octets = eager_octets)?;
        self.world.south.start()
    }

    /// Starts north.test alone.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub(crate) fn start_north(&mut self) -> Result<(), Trouble> {
        self.world.north.start()
    }

    /// Waits until north.test lets Alice in.
    ///
    /// # Errors
    /// Where it does not in time.
    pub(crate) async fn north_ready(&self) -> Result<(), Trouble> {
        ready(&self.alice).await
    }

    /// Waits until both nodes let their users in.
    ///
    /// # Errors
    /// Where they do not in time.
    pub(crate) async fn ready(&self) -> Result<(), Trouble> {
        ready(&self.alice).await?;
        ready(&self.bob).await
    }

    fn as_north(&self, load: &str, node: &str) -> Vec<OsString> {
        let config = self.world.north.site.config_file.clone().into_os_string();
        vec!["bench".into(), load.into(), "--config".into(), config, "--node".into(), node.into()]
    }

    async fn bench(
        &self,
        arguments: Vec<OsString>,
        in_flight: usize,
        messages: u64,
        octets: Option<u64>,
    ) -> Result<Value, Trouble> {
        let mut command = tokio::process::Command::new(program()?);
        command.arg("--json").args(arguments);
        command.args(["--in-flight", &in_flight.to_string(), "--messages", &messages.to_string()]);
        if let Some(octets) = octets {
            command.args(["--size", &octets.to_string()]);
        }
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            return Err(
                format!("{} {said} {}", output.status, String::from_utf8_lossy(&output.stderr)).into()
            );
        }
        Ok(serde_json::from_str(&said)?)
    }
}

/// Waits until a node lets in who this profile is of.
async fn ready(profile: &Path) -> Result<(), Trouble> {
    let device = cli::profile::device_key(profile)?;
    let profile = Profile::load(profile)?;
    let session = tests::torture::until(START_TIME, "a node that answers", async || {
        // A first datagram to nobody is sent again after a second: whoever measures a start asks anew instead.
        let session = cli::client::Session::connect(&profile.node, &profile.trust, &device);
        Ok(tokio::time::timeout(ANSWER_TIME, session).await.ok().and_then(Result::ok))
    });
    session.await?.close().await;
    Ok(())
}

/// Opens an account at a node that does not run, with a device; returns the folder of the profile.
async fn account(world: &World, node: &Node, name: &str) -> Result<PathBuf, Trouble> {
    let folder = world.folder().join(name);
    let key = cli::profile::device_key(&folder)?;
    let (config, address) = (node.config()?, Address::parse(&format!("{name}@{}", node.site.domain))?);
    save(&folder, &address, name, &config.listen.address.to_string(), node.site.pin)?;
    let device =
        DeviceRecord { public_key: *key.public().as_bytes(), name: "bench".to_owned(), enrolled_at_ms: 1 };
    let account = AccountRecord {
        name: name.to_owned(),
        addresses: vec![address],
        password_hash: None,
        scram: None,
        devices: vec![device],
        disabled: false,
        notices: false,
    };
    daemon::open_store(&config)?.put_account(account).await?;
    Ok(folder)
}

fn save(folder: &Path, address: &Address, name: &str, node: &str, pin: [u8; 32]) -> Result<(), Trouble> {
    let profile = Profile {
        address: address.clone(),
        account: name.to_owned(),
        node: node.parse()?,
        trust: Trust::Pinned(pin),
        device: "bench".to_owned(),
    };
    Ok(profile.save(folder)?)
}
