//! `relatch man`: the manual, a page a command, made from the same words as `--help`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;

/// Where to.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The folder that gets the pages; made where it is missing
    dir: PathBuf,
}

/// Writes relatch.1, relatch-run.1 and so on. Pages that are there already are written anew.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let dir = &arguments.dir;
    let written = std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(super::Cli::command(), dir));
    written.with_context(|| format!("cannot write the pages to {}", dir.display()))?;
    Ok(ExitCode::SUCCESS)
}
