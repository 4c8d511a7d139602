//! `relatch completions`: what a shell needs to complete our commands.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

/// Which shell.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The shell that will read it
    shell: Shell,
}

/// Prints the script.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::Cli::command(), "relatch", &mut script);
    super::say(&String::from_utf8(script)?)?;
    Ok(ExitCode::SUCCESS)
}
