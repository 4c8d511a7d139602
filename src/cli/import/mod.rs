//! `relatch import`: client lists of other systems, as entries to be appended to clients.toml.
//!
//! One file a format, each a function from the file's text to [`Draft`]s. What may stand in a list, and what is refused,
//! is decided once, by [`intake`]; [`write`] makes the TOML. Nothing that is said quotes a secret or a hash: parsers
//! give their place, never their text.

mod authelia;
mod csv;
mod dex;
mod django;
mod duende;
mod hydra;
mod intake;
mod keycloak;
mod object;
mod spring;
mod write;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::ValueEnum;
use zeroize::Zeroizing;

use self::intake::{Draft, DraftSecret, Intake, Refused, Stored};
use super::called::tenant;
use crate::domain::clock::Clock;
use crate::domain::ids::Tenant;

/// The largest file that is read. A hundred thousand clients are some fifty megabytes; beyond this it is another file.
const LARGEST: u64 = 512 << 20;

/// What to read.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The system that the file came from
    #[arg(long, value_name = "FORMAT")]
    from: Format,
    /// The tenant of all clients; default: the realm that a Keycloak export names, the tenant that a table names, or none
    ///
    /// An empty one ("") leaves the realm's name out.
    #[arg(long, value_name = "TENANT", value_parser = tenant)]
    tenant: Option<Tenant>,
    /// The file; - for standard input
    file: PathBuf,
}

/// The systems whose lists can be read.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    /// Ory Hydra: client objects with their hashes, as JSON or JSON lines
    Hydra,
    /// Django OAuth Toolkit: manage.py dumpdata oauth2_provider.application
    Django,
    /// Duende IdentityServer: clients with their ClientSecrets, as JSON
    Duende,
    /// Spring Authorization Server: rows of oauth2_registered_client, as JSON
    Spring,
    /// Keycloak: a realm export
    Keycloak,
    /// Dex: its configuration, with staticClients
    Dex,
    /// Authelia: its configuration, with identity_providers.oidc.clients
    Authelia,
    /// A table with a line of names: client_id,tenant,name,secret_id,secret_name,hash|secret,created,not_before,expires
    Csv,
}

/// Prints the entries of what could be read, and says what could not.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let text = load(&arguments.file)?;
    let mut intake = Intake::at(Clock::start().now(), arguments.tenant.clone());
    read(arguments.from, &text, &mut intake).with_context(|| arguments.file.display().to_string())?;
    // A list that was cut would go unnoticed otherwise: by then it may be appended.
    let written = std::io::stdout().lock().write_all(write::clients(&intake.clients).as_bytes());
    written.and_then(|()| std::io::stdout().flush()).context("cannot write the entries: what is there is not whole")?;
    super::talk(&intake.told());
    Ok(if intake.refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(from: Format, text: &str, intake: &mut Intake) -> anyhow::Result<()> {
    match from {
        Format::Hydra => hydra::read(text, intake),
        Format::Django => django::read(text, intake),
        Format::Duende => duende::read(text, intake),
        Format::Spring => spring::read(text, intake),
        Format::Keycloak => keycloak::read(text, intake),
        Format::Dex => dex::read(text, intake),
        Format::Authelia => authelia::read(text, intake),
        Format::Csv => csv::read(text, intake),
    }
}

/// The whole text, wiped when it is dropped; a byte order mark, which .NET and spreadsheets write, is no part of it.
fn load(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = if path.as_os_str() == "-" {
        std::io::stdin().take(LARGEST + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
    };
    let read = read.with_context(|| format!("cannot read {}", path.display()))?;
    if read as u64 > LARGEST {
        bail!("{} is larger than 512 MiB: import it in parts", path.display());
    }
    let Ok(text) = std::str::from_utf8(&bytes) else {
        bail!("{} is not UTF-8 text: save it as UTF-8", path.display());
    };
    Ok(Zeroizing::new(text.trim_start_matches('\u{feff}').to_owned()))
}

#[cfg(test)]
mod tests;
