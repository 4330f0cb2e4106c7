//! Two nodes and the DNS for their zones. The zones are served by the test, so that both nodes can die.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use daemon::{Config, Layout};
use dns::zones;
use storage::{Finding, FindingKind};

use super::{Node, Trouble};
use crate::world::free_address;

/// Two nodes in a folder.
pub struct World {
    /// The node of north.test.
    pub north: Node,
    /// The node of south.test.
    pub south: Node,
    folder: tempfile::TempDir,
    _zones: zones::Running,
}

/// Ports that nobody else takes while a node is down: a layout takes those that the system gives.
fn choose_ports(folder: &Path) -> Result<(), Trouble> {
    for file in ["north.test/address", "south.test/address", "dns.address", "legacy.address"] {
        let file = folder.join(file);
        let above = file.parent().ok_or("a file without a folder")?;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(above)?;
        std::fs::write(&file, format!("{}\n", free_address()))?;
    }
    Ok(())
}

impl World {
    /// Lays out both nodes and starts neither. They try again after one or two seconds, so that tests end soon.
    ///
    /// # Errors
    /// Where a file cannot be written or a port not be had.
    pub async fn lay_out(change: impl Fn(&mut Config)) -> Result<World, Trouble> {
        let folder = tempfile::Builder::new().prefix("waxwing-torture-").tempdir()?;
        choose_ports(folder.path())?;
        let layout = Layout::at(folder.path())?;
        let zones = layout.serve_zones().await?;
        let (north, south) = (Node::new(layout.north), Node::new(layout.south));
        for node in [&north, &south] {
            node.configure(|config| {
                config.queue.retry_first_seconds = 1;
                config.queue.retry_longest_seconds = 2;
                config.console.listen = free_address();
                if let Some(gateway) = &mut config.gateway {
                    gateway.transfer = gateway.transfer.map(|_| free_address());
                }
                change(config);
            })?;
        }
        Ok(World { north, south, folder, _zones: zones })
    }

    /// A node of a world that was laid out before, as another process sees it: not running.
    ///
    /// # Errors
    /// Where its files cannot be read.
    pub fn node_of(folder: &Path, domain: &str) -> Result<Node, Trouble> {
        let layout = Layout::at(folder)?;
        let found = [layout.north, layout.south].into_iter().find(|site| site.domain == domain);
        Ok(Node::new(found.ok_or("there is no such node")?))
    }

    /// Starts both nodes.
    ///
    /// # Errors
    /// Where one cannot be started.
    pub fn start(&mut self) -> Result<(), Trouble> {
        self.north.start()?;
        self.south.start()
    }

    /// The folder of everything; it goes with this value.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Keeps the folder, for a look at what went wrong.
    pub fn keep(self) -> PathBuf {
        self.folder.keep()
    }

    /// What a check finds in the store of a node that does not run, partial transfers left out.
    ///
    /// # Errors
    /// Where the store cannot be opened.
    pub fn check_store(node: &Node) -> Result<Vec<Finding>, Trouble> {
        let store = daemon::open_store(&node.config()?)?;
        let mut findings = Vec::new();
        store.check(&mut |finding| findings.push(finding))?;
        findings.retain(|finding| finding.kind != FindingKind::Staging);
        Ok(findings)
    }
}
