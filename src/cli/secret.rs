//! `relatch secret ...`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use http::Method;

use super::called::{Called, OfTenant};
use super::door::{Door, NOTHING};
use super::show::Times;
use super::shown_once::{self, Format, Given, OutFile};
use super::taking_away::{self, Guard};
use super::{Globals, Output, identify, say, show, talk};
use crate::admin::object::{ClientObject, SecretObject};
use crate::admin::wish::{LifecycleWish, SecretWish};

/// What to do.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Give a client one more secret, shown once
    Add(Add),
    /// List the secrets of a client, or of all
    List {
        /// The client's id
        client: Option<String>,
        #[command(flatten)]
        tenant: OfTenant,
    },
    /// Refuse a secret until it is enabled again: the undoable step before revoke
    Disable {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        guard: Guard,
    },
    /// Accept a disabled secret again
    Enable {
        #[command(flatten)]
        which: Which,
    },
    /// Give a secret an end
    Expire {
        #[command(flatten)]
        which: Which,
        /// In how long, such as 24h; default: now
        #[arg(long = "in", value_name = "DURATION")]
        in_: Option<String>,
        #[command(flatten)]
        guard: Guard,
    },
    /// Refuse a secret for good
    ///
    /// Refused (exit 3) while the secret was used within --quiet-for, or is the client's last usable one.
    Revoke(taking_away::Revoke),
    /// Tell of a string on stdin whether it is a secret of ours, whose, and whether it still works
    Identify,
}

/// A secret of a client.
#[derive(clap::Args)]
pub(super) struct Which {
    /// The client's id
    client: String,
    /// The secret's id, not the secret
    pub(super) secret_id: String,
    #[command(flatten)]
    pub(super) tenant: OfTenant,
}

impl Which {
    /// That secret of that client.
    pub(super) fn new(client: Called, secret_id: String) -> Self {
        Self { tenant: OfTenant::of(&client), client: client.id, secret_id }
    }

    /// The client whose it is.
    pub(super) fn client(&self) -> Called {
        self.tenant.client(&self.client)
    }
}

/// A secret to be.
#[derive(clap::Args)]
pub(super) struct Add {
    /// The client's id
    client: String,
    #[command(flatten)]
    tenant: OfTenant,
    /// A name for people; default: the month
    #[arg(long)]
    name: Option<String>,
    /// How long it lives, such as 90d
    #[arg(long, value_name = "DURATION")]
    expires_in: Option<String>,
    /// When its time comes, such as 2026-12-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    not_before: Option<String>,
    #[command(flatten)]
    given: Given,
    /// Write it to a new file of mode 0600 and show nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["secret_stdin", "hash_stdin"])]
    out: Option<PathBuf>,
    /// How the file holds it
    #[arg(long, default_value = "plain", requires = "out")]
    format: Format,
}

/// Runs the command.
pub(super) fn run(globals: &Globals, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Add(arguments) => add(globals, &arguments)?,
        Command::List { client, tenant } => list(globals, client.as_deref(), &tenant)?,
        Command::Disable { which, guard } => step(globals, &which, "deactivate", &guard.wish(), "Disabled")?,
        Command::Enable { which } => step(globals, &which, "activate", &LifecycleWish::default(), "Enabled")?,
        Command::Expire { which, in_, guard } => {
            step(globals, &which, "expire", &LifecycleWish { in_, ..guard.wish() }, "Expiry set for")?;
        }
        Command::Revoke(arguments) => return taking_away::revoke(globals, &arguments),
        Command::Identify => return identify::run(globals),
    }
    Ok(ExitCode::SUCCESS)
}

fn add(globals: &Globals, arguments: &Add) -> anyhow::Result<()> {
    let mut wish = SecretWish {
        name: arguments.name.clone(),
        expires_in: arguments.expires_in.clone(),
        not_before: arguments.not_before.clone(),
        ..SecretWish::default()
    };
    arguments.given.fill(&mut wish)?;
    if arguments.out.is_none() && !arguments.given.is_given() {
        shown_once::stdout_is_there()?;
    }
    let door = Door::open(globals)?;
    let out = arguments.out.as_deref().map(OutFile::create).transpose()?;
    let client = arguments.tenant.client(&arguments.client);
    let mut secret: SecretObject = door.ask(Method::POST, &client.path(&["secrets"]), Some(&wish))?;
    let written = out.map(|out| out.write(&secret, arguments.format)).transpose()?;
    if written.is_some() {
        secret.client_secret = None;
    }
    if globals.output == Output::Json {
        return shown_once::put(&format!("{}\n", serde_json::to_string_pretty(&secret)?), &[&secret]);
    }
    // The secret is made: whatever happens now, it is shown.
    let places = if globals.quiet { String::new() } else { places(&door, &client).unwrap_or_default() };
    match (&written, arguments.given.is_given()) {
        (Some(file), _) if !globals.quiet => {
            talk(&format!("Secret {} ({}): written to {}. {places}\n", secret.id, secret.name, file.display()));
        }
        (None, true) if !globals.quiet => talk(&format!("Secret {} ({}) added. {places}\n", secret.id, secret.name)),
        (None, false) => shown_once::show(globals.quiet, &secret, &places)?,
        _ => {}
    }
    if !globals.quiet {
        talk(&format!("Next: deploy it, then watch `relatch secret list {}`.\n", client.typed()));
    }
    Ok(())
}

/// `2 of 2 active.`
fn places(door: &Door, client: &Called) -> anyhow::Result<String> {
    let client: ClientObject = door.ask(Method::GET, &client.path(&[]), NOTHING)?;
    Ok(format!("{} of {} active.", client.active_secrets, client.max_active_secrets))
}

fn list(globals: &Globals, client: Option<&str>, tenant: &OfTenant) -> anyhow::Result<()> {
    let door = Door::open(globals)?;
    let secrets: Vec<SecretObject> = match client {
        Some(client) => door.ask(Method::GET, &tenant.client(client).path(&["secrets"]), NOTHING)?,
        None => {
            let clients = door.clients()?.into_iter().filter(|client| tenant.means(client));
            clients.flat_map(|client| client.secrets).collect()
        }
    };
    if globals.output == Output::Json {
        return Ok(say(&format!("{}\n", serde_json::to_string_pretty(&secrets)?))?);
    }
    door.tell_if_offline(globals);
    Ok(say(&show::secrets(&secrets, client.is_none(), &Times::for_stdout()))?)
}

/// One step of a secret's life that is a single request.
fn step(globals: &Globals, which: &Which, verb: &str, wish: &LifecycleWish, done: &str) -> anyhow::Result<()> {
    let route = which.client().path(&["secrets", &which.secret_id, "lifecycle", verb]);
    let secret: SecretObject = Door::open(globals)?.ask(Method::POST, &route, Some(wish))?;
    if globals.output == Output::Json {
        return Ok(say(&format!("{}\n", serde_json::to_string_pretty(&secret)?))?);
    }
    if !globals.quiet {
        talk(&format!("{done} {}: it is {} now.\n", secret.id, secret.status));
    }
    Ok(())
}
