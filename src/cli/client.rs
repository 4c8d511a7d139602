//! `relatch client ...`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use http::Method;

use super::called::{Called, OfTenant};
use super::door::{Door, NOTHING, encoded, path};
use super::show::Times;
use super::shown_once::{self, Given};
use super::{Failure, Globals, Output, confirm, harmless, say, show, table, talk};
use crate::admin::answer::FAILED;
use crate::admin::object::ClientObject;
use crate::admin::wish::{ClientWish, SecretWish};

/// What to do.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Add a client, with a first secret that is shown once
    Add(Add),
    /// List the clients
    List {
        #[command(flatten)]
        tenant: OfTenant,
    },
    /// Show a client and its secrets
    Show {
        /// The client's id
        id: String,
        #[command(flatten)]
        tenant: OfTenant,
    },
    /// Remove a client and all its secrets
    Remove {
        /// The client's id
        id: String,
        #[command(flatten)]
        tenant: OfTenant,
        /// Remove it even if it can still be used
        #[arg(long)]
        force: bool,
        /// How long its secrets must have been quiet
        #[arg(long, value_name = "DURATION")]
        quiet_for: Option<String>,
    },
}

/// A client to be.
#[derive(clap::Args)]
pub(super) struct Add {
    /// The client's id, exact
    id: String,
    #[command(flatten)]
    tenant: OfTenant,
    /// A name for people
    #[arg(long, default_value = "")]
    name: String,
    /// A file with the one secret that the token server knows; may be given several times, tried in order
    #[arg(long, value_name = "FILE")]
    upstream_secret_file: Vec<PathBuf>,
    #[command(flatten)]
    given: Given,
}

/// Runs the command.
pub(super) fn run(globals: &Globals, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Add(arguments) => add(globals, &arguments)?,
        Command::List { tenant } => list(globals, &tenant)?,
        Command::Show { id, tenant } => show_one(globals, &tenant.client(&id))?,
        Command::Remove { id, tenant, force, quiet_for } => {
            remove(globals, &tenant.client(&id), force, quiet_for.as_deref())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn add(globals: &Globals, arguments: &Add) -> anyhow::Result<()> {
    let mut secret = SecretWish::default();
    arguments.given.fill(&mut secret)?;
    if !arguments.given.is_given() {
        shown_once::stdout_is_there()?;
    }
    let door = Door::open(globals)?;
    let named = |file| as_the_list_names_it(globals, file, door.is_remote());
    let files = arguments.upstream_secret_file.iter().map(|file| named(file));
    let upstream_secret_files = files.collect::<anyhow::Result<Vec<_>>>()?;
    let Called { tenant, id } = arguments.tenant.client(&arguments.id);
    let wish = ClientWish { id, tenant, name: arguments.name.clone(), upstream_secret_files, secret };
    let client: ClientObject = door.ask(Method::POST, &path(&["clients"]), Some(&wish))?;
    if globals.output == Output::Json {
        let secrets: Vec<_> = client.secrets.iter().collect();
        return shown_once::put(&format!("{}\n", serde_json::to_string_pretty(&client)?), &secrets);
    }
    if !globals.quiet {
        talk(&format!("Client {} added.\n", Called::from(&client)));
    }
    match client.secrets.iter().find(|secret| secret.client_secret.is_some()) {
        Some(secret) => shown_once::show(globals.quiet, secret, "Store it now.")?,
        None if !globals.quiet => {
            client.secrets.iter().for_each(|secret| talk(&format!("Secret {} ({}).\n", secret.id, secret.name)));
        }
        None => {}
    }
    Ok(())
}

/// Paths in the list start from its own folder: one that is meant from here is written as that, or in full. What is meant
/// on another machine is not known here.
fn as_the_list_names_it(globals: &Globals, file: &Path, elsewhere: bool) -> anyhow::Result<String> {
    let base = globals.config.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let same = |a: &Path, b: &Path| a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b));
    let full = if elsewhere || file.is_absolute() || same(&base.join(file), file) || !file.exists() {
        file.to_owned()
    } else {
        std::path::absolute(file)?
    };
    let text = full.to_str().map(str::to_owned);
    text.ok_or_else(|| Failure::new(FAILED, "the file's name is not UTF-8\n  Nothing was changed.").into())
}

fn list(globals: &Globals, tenant: &OfTenant) -> anyhow::Result<()> {
    let mut clients = Door::open(globals)?.clients()?;
    clients.retain(|client| tenant.means(client));
    if globals.output == Output::Json {
        return Ok(say(&format!("{}\n", serde_json::to_string_pretty(&clients)?))?);
    }
    let times = Times::for_stdout();
    let row = |client: &ClientObject| {
        let last = client.secrets.iter().filter_map(|secret| secret.last_used_at.as_deref()).max();
        vec![
            client.id.clone(),
            if client.name.is_empty() { "-".to_owned() } else { client.name.clone() },
            if client.enabled { "yes" } else { "no" }.to_owned(),
            format!("{}/{}", client.active_secrets, client.max_active_secrets),
            client.rotation.clone(),
            times.of(last, "-"),
        ]
    };
    let rows = clients.iter().map(|client| (&*client.tenant, row(client)));
    let head = ["ID", "NAME", "ENABLED", "SECRETS", "ROTATION", "LAST-USED"];
    Ok(say(&table::of_tenants(&head, rows.collect()))?)
}

fn show_one(globals: &Globals, client: &Called) -> anyhow::Result<()> {
    let door = Door::open(globals)?;
    let client: ClientObject = door.ask(Method::GET, &client.path(&[]), NOTHING)?;
    if globals.output == Output::Json {
        return Ok(say(&format!("{}\n", serde_json::to_string_pretty(&client)?))?);
    }
    door.tell_if_offline(globals);
    let times = Times::for_stdout();
    let mut text = format!(
        "{}{}\n",
        harmless(&client.id),
        if client.enabled { "" } else { "  (disabled: every secret is refused)" }
    );
    if !client.tenant.is_empty() {
        text.push_str(&format!("  tenant    {}\n", harmless(&client.tenant)));
    }
    if !client.name.is_empty() {
        text.push_str(&format!("  name      {}\n", harmless(&client.name)));
    }
    text.push_str(&format!("  secrets   {} of {} active\n", client.active_secrets, client.max_active_secrets));
    text.push_str(&format!("  rotation  {}\n", client.rotation));
    let upstream = if client.replace { "sees its own secret" } else { "sees what was presented" };
    text.push_str(&format!("  upstream  {upstream}\n\n"));
    text.push_str(&show::secrets(&client.secrets, false, &times));
    for secret in client.secrets.iter().filter(|secret| secret.refused_count > 0 && secret.status != "active") {
        text.push_str(&format!("\n{} ({}) is still presented, and refused, by:\n", secret.id, secret.status));
        text.push_str(&show::callers(&secret.refused_from, &times));
    }
    Ok(say(&text)?)
}

fn remove(globals: &Globals, client: &Called, force: bool, quiet_for: Option<&str>) -> anyhow::Result<()> {
    let door = Door::open(globals)?;
    confirm(globals, &format!("Remove client {client} and all its secrets?"))?;
    let mut query = client.path(&[]);
    query.push_str(&format!("{}force={force}", if query.contains('?') { '&' } else { '?' }));
    if let Some(quiet_for) = quiet_for {
        query.push_str(&format!("&quiet_for={}", encoded(quiet_for)));
    }
    door.ask::<()>(Method::DELETE, &query, NOTHING)?;
    if !globals.quiet {
        talk(&format!("Client {client} removed.\n"));
    }
    Ok(())
}
