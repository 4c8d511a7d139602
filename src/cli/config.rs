//! `relatch config check` and `relatch config schema`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use http::Uri;

use super::{discover, setup};
use crate::config::schema;
use crate::domain::clock::Clock;
use crate::domain::spoken::plural;
use crate::registry::SecretState;

/// What to look at.
#[derive(Subcommand)]
pub enum Command {
    /// Read everything as a start would, and tell every error at once
    Check {
        /// The configuration file; default: the one of --config
        file: Option<PathBuf>,
        /// Ask each token server for its metadata, and name the endpoints in it that none of ours leads to
        #[arg(long)]
        discover: bool,
        /// With --discover: the issuer whose metadata to ask for; default: by the paths of the endpoints
        #[arg(long, value_name = "URL", requires = "discover", value_parser = discover::issuer)]
        issuer: Option<Uri>,
    },
    /// Print the JSON Schema of a file, for editors
    Schema {
        /// Which file
        #[arg(default_value = "relatch")]
        of: Schema,
    },
}

/// The files that have a schema.
#[derive(Clone, Copy, ValueEnum)]
pub enum Schema {
    /// relatch.toml
    Relatch,
    /// clients.toml
    Clients,
    /// admin-tokens.toml
    Tokens,
}

/// Runs the command.
pub fn run(path: &Path, command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Check { file, discover, issuer } => {
            check(file.as_deref().unwrap_or(path), discover.then_some(issuer.as_ref()))
        }
        Command::Schema { of } => {
            let schema = match of {
                Schema::Relatch => schema::settings(),
                Schema::Clients => schema::clients(),
                Schema::Tokens => schema::tokens(),
            };
            super::say(&format!("{}\n", serde_json::to_string_pretty(&schema)?))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The same code as a start, without the start; then perhaps a look at the servers, at an issuer that may be named.
fn check(path: &Path, discover: Option<Option<&Uri>>) -> anyhow::Result<ExitCode> {
    let clock = Clock::start();
    match setup::ready(path, &[], &clock) {
        Err((errors, warnings)) => {
            setup::warn(&warnings);
            Ok(setup::refuse(&errors))
        }
        Ok(ready) => {
            setup::warn(&ready.warnings);
            setup::warn(&ready.loaded.warnings);
            let list = &ready.loaded.snapshot;
            let records = list.clients.iter().flat_map(|client| client.records());
            let active = records.filter(|record| record.state(clock.now()) == SecretState::Active).count();
            let hash = format!("{:012x}", list.hash);
            super::say(&format!(
                "config ok: {}, {} (sha256 {})\n",
                plural(list.clients.len(), "client"),
                plural(active, "active secret"),
                hash.get(..8).unwrap_or(&hash)
            ))?;
            if let Some(issuer) = discover {
                discover::run(&ready, issuer)?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}
