//! `relatch rotate`: a new secret for one client, for several, or for all of them.

use std::collections::HashSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use http::Method;

use super::called::{Called, OfTenant};
use super::door::{Door, NOTHING, encoded, path};
use super::secret::Which;
use super::shown_once::{self, Format, OutFile};
use super::{Failure, Globals, Output, confirm, draw, harmless, say, taking_away, talk};
use crate::admin::answer::{FAILED, REFUSED, USAGE};
use crate::admin::object::SecretObject;
use crate::admin::rotate::{RotationObject, RotationsObject};
use crate::admin::wish::RotateWish;
use crate::domain::spoken::plural;

/// What to rotate.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The clients' ids
    #[arg(required_unless_present = "all")]
    clients: Vec<String>,
    /// Every client of the list, or of the tenant
    #[arg(long, conflicts_with = "clients")]
    all: bool,
    #[command(flatten)]
    tenant: OfTenant,
    /// A name for the new secrets; default: the month
    #[arg(long)]
    name: Option<String>,
    /// A hard end for the old secrets: in how long; 0 ends them now
    #[arg(long, value_name = "DURATION")]
    grace: Option<String>,
    /// Give the old ones their end even if they are in use
    #[arg(long, requires = "grace")]
    force: bool,
    /// Wait until the old ones have been quiet for long enough, then revoke them
    #[arg(long)]
    wait: bool,
    /// How long they must have been quiet; default 24h
    #[arg(long, value_name = "DURATION")]
    quiet_for: Option<String>,
    /// Write each secret to a new file of its own, of mode 0600, in this folder
    #[arg(long, value_name = "DIR")]
    out_dir: Option<PathBuf>,
}

/// Clients in one request: each is one write of the list.
const AT_ONCE: usize = 50;

/// Runs the command.
pub(super) fn run(globals: &Globals, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let door = Door::open(globals)?;
    if arguments.wait && !door.is_instance() {
        let why = "--wait: no instance answers, so nobody sees who uses the old secrets\n  Nothing was changed.";
        return Err(Failure::new(FAILED, why).into());
    }
    let clients = clients(globals, &door, arguments)?;
    let folder = arguments.out_dir.as_deref();
    if let Some(folder) = folder {
        prepare(folder)?;
    }
    let several = clients.len() > 1;
    if let Some(taken) = folder.and_then(|f| clients.iter().map(|client| file(f, client)).find(|path| path.exists())) {
        let message = format!("{} is there already: move it away\n  Nothing was changed.", taken.display());
        return Err(Failure::new(FAILED, message).into());
    }
    if folder.is_none() {
        shown_once::stdout_is_there()?;
    }
    let mut bar = Bar::new(clients.len(), globals);
    let mut results: Vec<RotationObject> = Vec::new();
    // Whatever fails: what was made by then is shown, and what is not is told, before the command ends.
    let mut failed: Option<anyhow::Error> = None;
    for some in clients.chunks(AT_ONCE) {
        let (rotated, files) = match rotate(&door, some, arguments) {
            Ok(done) => done,
            Err(error) if results.is_empty() => return Err(error),
            Err(error) => {
                let done = results.len();
                failed = Some(error.context(format!("after {}, which are done", plural(done, "client"))));
                break;
            }
        };
        for (mut result, file) in rotated.into_iter().zip(files) {
            bar.clear();
            if let Err(error) = tell(globals, &mut result, file, several) {
                talk_of(&mut failed, error);
            }
            bar.step();
            results.push(result);
        }
        if failed.is_some() {
            break;
        }
    }
    bar.clear();
    if globals.output == Output::Json {
        let secrets: Vec<_> = results.iter().filter_map(|result| result.secret.as_ref()).collect();
        let json = match &*results {
            [RotationObject { secret: Some(secret), .. }] if !several => serde_json::to_string_pretty(secret)?,
            _ => serde_json::to_string_pretty(&results)?,
        };
        let shown = shown_once::put(&format!("{json}\n"), &secrets);
        shown.unwrap_or_else(|error| talk_of(&mut failed, error));
    }
    if let Some(error) = failed {
        return Err(error);
    }
    let exit = summary(globals, &results, several);
    if arguments.wait {
        results.iter().filter(|r| r.secret.is_some()).try_for_each(|r| end_the_old(globals, &door, r, arguments))?;
    }
    Ok(exit)
}

/// One request, its files made before it.
fn rotate(
    door: &Door,
    clients: &[Called],
    arguments: &Arguments,
) -> anyhow::Result<(Vec<RotationObject>, Vec<Option<OutFile>>)> {
    let folder = arguments.out_dir.as_deref();
    let files = clients.iter().map(|client| folder.map(|folder| OutFile::create(&file(folder, client))).transpose());
    let files = files.collect::<anyhow::Result<Vec<_>>>()?;
    let wish = RotateWish {
        clients: clients.iter().map(Called::whose).collect(),
        grace: arguments.grace.clone(),
        name: arguments.name.clone(),
        force: arguments.force,
        quiet_for: arguments.quiet_for.clone(),
        anew: false,
    };
    let rotated: RotationsObject = door.ask(Method::POST, &path(&["rotate"]), Some(&wish))?;
    Ok((rotated.results, files))
}

/// The command ends with one error; those before it are said at once.
fn talk_of(failed: &mut Option<anyhow::Error>, error: anyhow::Error) {
    if let Some(before) = failed.replace(error) {
        talk(&format!("error: {before:#}\n"));
    }
}

fn clients(globals: &Globals, door: &Door, arguments: &Arguments) -> anyhow::Result<Vec<Called>> {
    let mut seen = HashSet::new();
    if let Some(twice) = arguments.clients.iter().find(|client| !seen.insert(*client)) {
        return Err(Failure::new(USAGE, format!("client {twice} is named twice\n  Nothing was changed.")).into());
    }
    if !arguments.all {
        return Ok(arguments.clients.iter().map(|id| arguments.tenant.client(id)).collect());
    }
    let mut all = door.clients()?;
    all.retain(|client| arguments.tenant.means(client));
    confirm(globals, &format!("Rotate {}?", plural(all.len(), "client")))?;
    Ok(all.iter().map(Called::from).collect())
}

/// One line a client, as soon as its secret is made.
fn tell(globals: &Globals, result: &mut RotationObject, file: Option<OutFile>, several: bool) -> anyhow::Result<()> {
    let Some(secret) = &mut result.secret else {
        let why = result.fault.as_ref().map_or("", |fault| &fault.message);
        let whose = if several { format!("{}: ", Called::from(&*result)) } else { String::new() };
        talk(&format!("error: {whose}{why}\n"));
        return Ok(());
    };
    if let Some(file) = file {
        let path = file.write(secret, Format::Plain)?;
        secret.client_secret = None;
        if globals.output == Output::Table {
            let (client, path) = (Called::from(&*secret), path.display());
            let line = format!("{client}: secret {} ({}) written to {path}\n", secret.id, secret.name);
            return if globals.quiet { Ok(()) } else { Ok(say(&harmless(&line))?) };
        }
    }
    if globals.output == Output::Json {
        return Ok(());
    }
    show(globals, secret, several)
}

fn show(globals: &Globals, secret: &SecretObject, several: bool) -> anyhow::Result<()> {
    match (globals.quiet, several) {
        (_, false) => shown_once::show(globals.quiet, secret, "The old ones go on working until they are revoked."),
        (true, true) => shown_once::put(&shown_once::columns(secret), &[secret]),
        (false, true) => {
            say(&format!("{}: ", harmless(&Called::from(secret).to_string())))?;
            shown_once::show(false, secret, "")
        }
    }
}

/// How it went, and the exit code: that of a refusal where rules alone stood against it.
fn summary(globals: &Globals, results: &[RotationObject], several: bool) -> ExitCode {
    let faults: Vec<u8> = results.iter().filter_map(|result| Some(result.fault.as_ref()?.exit)).collect();
    let rotated = results.len() - faults.len();
    if several && !globals.quiet {
        talk(&format!("{} rotated, {} refused.\n", plural(rotated, "client"), faults.len()));
    }
    if !several && rotated == 1 && !globals.quiet {
        let client = results.first().map(|result| Called::from(result).typed()).unwrap_or_default();
        talk(&format!("Next: deploy it, then watch `relatch secret list {client}`.\n"));
    }
    match faults.first() {
        None => ExitCode::SUCCESS,
        Some(first) if faults.iter().all(|exit| exit == first) => ExitCode::from(*first),
        Some(_) if faults.iter().all(|exit| *exit >= REFUSED) => ExitCode::from(REFUSED),
        Some(_) => ExitCode::from(FAILED),
    }
}

/// Waits for each old secret of a client to fall silent, and revokes it.
fn end_the_old(globals: &Globals, door: &Door, result: &RotationObject, arguments: &Arguments) -> anyhow::Result<()> {
    let new = result.secret.as_ref().map_or("", |secret| &secret.id);
    let all: Vec<SecretObject> = door.ask(Method::GET, &Called::from(result).path(&["secrets"]), NOTHING)?;
    for old in all.into_iter().filter(|secret| secret.id != new && secret.status == "active") {
        let which = Which::new(Called::from(result), old.id);
        taking_away::finish(globals, door, &which, arguments.quiet_for.as_deref())?;
    }
    Ok(())
}

fn prepare(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
        Failure::new(FAILED, format!("{}: cannot be made: {error}\n  Nothing was changed.", folder.display())).into()
    })
}

/// `DIR/billing.secret`, or `DIR/billing@master.secret`; letters that a name may not have are percent-encoded, so that each
/// client has its own.
fn file(folder: &Path, client: &Called) -> PathBuf {
    let name = encoded(&client.id);
    let name = name.strip_prefix('.').map_or_else(|| name.clone(), |rest| format!("%2E{rest}"));
    let name = if client.tenant.is_empty() { name } else { format!("{name}@{}", client.tenant) };
    folder.join(format!("{name}.secret"))
}

/// How far it is, on a terminal.
struct Bar {
    of: usize,
    done: usize,
    shown: bool,
}

impl Bar {
    fn new(of: usize, globals: &Globals) -> Self {
        Self { of, done: 0, shown: of > 1 && !globals.quiet && std::io::stderr().is_terminal() }
    }

    fn step(&mut self) {
        self.done += 1;
        if self.shown {
            let filled = self.done * 30 / self.of.max(1);
            draw(&format!("[{}{}] {}/{}", "#".repeat(filled), ".".repeat(30 - filled), self.done, self.of));
        }
    }

    fn clear(&self) {
        if self.shown {
            draw("\r\x1b[K");
        }
    }
}
