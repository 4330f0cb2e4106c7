//! What is made from the grammar: completions and manual pages.

use std::path::Path;

use clap::CommandFactory;

use super::{End, files};
use crate::output::Output;
use crate::{Error, Invocation};

pub(super) fn completions(shell: clap_complete::Shell, output: &mut Output) -> Result<End, Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Invocation::command(), "waxwing", &mut script);
    output.raw().write_all(&script)?;
    Ok(End::Good)
}

/// One page for the program and one for each of its commands, as `waxwing-queue-list.1`.
pub(super) fn manual(dir: &Path) -> Result<End, Error> {
    let mut command = Invocation::command();
    command.build();
    write_pages(dir, &command, "waxwing")?;
    Ok(End::Good)
}

fn write_pages(dir: &Path, command: &clap::Command, name: &str) -> Result<(), Error> {
    let page = clap_mangen::Man::new(command.clone().display_name(name.to_owned()));
    let mut text = Vec::new();
    page.render(&mut text)?;
    files::write(&dir.join(format!("{name}.1")), &text)?;
    for child in command.get_subcommands().filter(|child| child.get_name() != "help") {
        write_pages(dir, child, &format!("{name}-{}", child.get_name()))?;
    }
    Ok(())
}
