//! Machines with addresses of their own: network namespaces, each with one end of a cable in the same bridge.
//!
//! The addresses are public ones that were never given out to anybody here: what is said to them stays on the bridge.

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::process::Command;

use super::Trouble;

/// Names the network for a test that runs at one of its machines.
const NETWORK_ENVIRONMENT: &str = "WAXWING_TORTURE_NAMESPACES";
/// The machine that has the bridge.
const HUB: &str = "hub";
const BRIDGE: &str = "bridge";
/// The end of the cable at a machine.
const CABLE: &str = "cable";

/// The namespaces; they go with this value.
pub struct Network {
    machines: Vec<Machine>,
}

/// One of the machines: its namespace.
#[derive(Debug, Clone)]
pub struct Machine {
    namespace: String,
    device: &'static str,
}

impl Network {
    /// Makes a hub and machines that are plugged in there, without addresses. `None`, with a line that says so, where
    /// that takes rights that this process has not, or programs that are not there.
    pub fn make(names: &[&str]) -> Option<Network> {
        let prefix = format!("waxwing-{}", std::process::id());
        let mut network = Network { machines: Vec::new() };
        match network.plug_together(&prefix, names) {
            Ok(()) => Some(network),
            Err(error) => {
                println!(
                    "left out: no network namespaces can be made here (this takes root and `ip`): {error}"
                );
                None
            }
        }
    }

    fn plug_together(&mut self, prefix: &str, names: &[&str]) -> Result<(), Trouble> {
        let hub = self.add(prefix, HUB)?;
        ip(["-n", &hub.namespace, "link", "add", BRIDGE, "type", "bridge"])?;
        ip(["-n", &hub.namespace, "link", "set", BRIDGE, "up"])?;
        for name in names {
            let machine = self.add(prefix, name)?;
            let (hub, there) = (&hub.namespace, &machine.namespace);
            ip(["-n", hub, "link", "add", name, "type", "veth", "peer", "name", CABLE, "netns", there])?;
            ip(["-n", hub, "link", "set", name, "master", BRIDGE, "up"])?;
            ip(["-n", there, "link", "set", CABLE, "up"])?;
        }
        Ok(())
    }

    fn add(&mut self, prefix: &str, name: &str) -> Result<Machine, Trouble> {
        let machine = Machine::named(prefix, name);
        ip(["netns", "add", &machine.namespace])?;
        self.machines.push(machine.clone());
        ip(["-n", &machine.namespace, "link", "set", "lo", "up"])?;
        Ok(machine)
    }

    /// Runs an ignored test of this program at the hub, from where all machines can be reached.
    ///
    /// # Errors
    /// Where it fails.
    pub fn run_at_hub(&self, test: &str) -> Result<(), Trouble> {
        let hub = self.machines.first().ok_or("there is no hub")?;
        let prefix = hub.namespace.strip_suffix(&format!("-{HUB}")).ok_or("the hub has another name")?;
        let status = hub.test(test)?.env(NETWORK_ENVIRONMENT, prefix).status()?;
        if status.success() { Ok(()) } else { Err(format!("{test}: {status}").into()) }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for machine in &self.machines {
            // Nobody is left to hear that it could not be taken away.
            let _ = ip(["netns", "delete", &machine.namespace]);
        }
    }
}

impl Machine {
    fn named(prefix: &str, name: &str) -> Machine {
        let device = if name == HUB { BRIDGE } else { CABLE };
        Machine { namespace: format!("{prefix}-{name}"), device }
    }

    /// The hub and these machines, for a test that [`Network::run_at_hub`] runs; `None` for one that it does not.
    pub fn of_network<const N: usize>(names: [&str; N]) -> Option<(Machine, [Machine; N])> {
        let prefix = std::env::var(NETWORK_ENVIRONMENT).ok()?;
        Some((Machine::named(&prefix, HUB), names.map(|name| Machine::named(&prefix, name))))
    }

    /// A program that runs at this machine, in the process that is started.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).arg(program);
        command
    }

    /// An ignored test of this program, at this machine.
    ///
    /// # Errors
    /// Where the system does not say which program this is.
    pub fn test(&self, test: &str) -> Result<Command, Trouble> {
        let mut command = self.command(std::env::current_exe()?);
        command.args(["--exact", test, "--ignored", "--nocapture"]);
        Ok(command)
    }

    /// Gives it an address, with 24 bits for the network.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn take_address(&self, address: Ipv4Addr) -> Result<(), Trouble> {
        ip(["-n", &self.namespace, "address", "add", &format!("{address}/24"), "dev", self.device])
    }

    /// Takes its link down.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn unplug(&self) -> Result<(), Trouble> {
        ip(["-n", &self.namespace, "link", "set", self.device, "down"])
    }

    /// Forgets which machine has which address, as it would some seconds after one was moved.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn forget_neighbours(&self) -> Result<(), Trouble> {
        ip(["-n", &self.namespace, "neighbour", "flush", "dev", self.device])
    }
}

/// Runs `ip`.
fn ip<const N: usize>(arguments: [&str; N]) -> Result<(), Trouble> {
    let said = Command::new("ip").args(arguments).output()?;
    if said.status.success() {
        return Ok(());
    }
    Err(format!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&said.stderr).trim()).into())
}
