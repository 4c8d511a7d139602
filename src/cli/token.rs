//! `relatch token ...`: who may use the admin API at an address. Edits the file that `[admin] tokens` names; a running
//! instance reads it again by itself.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use http::Method;
use zeroize::Zeroizing;

use super::door::{Door, NOTHING, path, read_settings};
use super::show::Times;
use super::{Failure, Globals, Output, say, shown_once, table, talk};
use crate::admin::answer::{FAILED, NOT_FOUND, REFUSED, USAGE};
use crate::admin::tokens::TokenObject;
use crate::config::edit::tokens::{self as edit, NewToken, NotHere};
use crate::config::problem::Problems;
use crate::config::settings::Settings;
use crate::config::tokens::{Scope, Token, TokenName, parse};
use crate::config::tree::Doc;
use crate::config::values;
use crate::domain::clock::Clock;
use crate::domain::mint;
use crate::domain::secret::Secret;
use crate::hash;
use crate::source::tokens::{MOST, read};
use crate::source::write::WriteFailure;
use crate::source::write::single::rewrite_file;

/// What to do.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Make a token, shown once
    Add {
        /// Whose it is: 1 to 64 of A-Z a-z 0-9 . _ -
        #[arg(value_parser = name)]
        name: TokenName,
        /// What it may be used for; may be given several times. A command that changes looks first: give it read:clients too
        #[arg(long = "scope", value_name = "SCOPE", required = true, value_delimiter = ',')]
        #[arg(value_parser = PossibleValuesParser::new(Scope::ALL.map(Scope::as_str)))]
        scopes: Vec<String>,
        /// How long it lives, such as 90d; default: until it is revoked
        #[arg(long, value_name = "DURATION")]
        expires_in: Option<String>,
    },
    /// List the tokens
    List,
    /// Refuse a token from now on
    Revoke {
        /// Its name, not the token
        #[arg(value_parser = name)]
        name: TokenName,
    },
}

fn name(text: &str) -> Result<TokenName, &'static str> {
    TokenName::parse(text).ok_or("a token's name is 1 to 64 of A-Z a-z 0-9 . _ -")
}

/// Runs the command.
pub(super) fn run(globals: &Globals, command: Command) -> anyhow::Result<ExitCode> {
    if globals.server.is_some() {
        let why = "tokens stand in a file beside the instance, and are not changed over the network";
        return Err(Failure::new(USAGE, format!("--server: {why}\n  Nothing was changed. Run it there.")).into());
    }
    let settings = read_settings(&globals.config)?;
    let file = settings.admin.tokens.clone();
    match command {
        Command::Add { name, scopes, expires_in } => {
            let expires_in = expires_in.map(|text| {
                let wrong = "--expires-in: expected a duration with a unit, such as 90d\n  Nothing was changed.";
                values::duration(&text).filter(|length| !length.is_zero()).ok_or_else(|| Failure::new(USAGE, wrong))
            });
            shown_once::stdout_is_there()?;
            add(globals, &file, name, &scopes, expires_in.transpose()?)?;
            if settings.admin.addresses.is_empty() && !globals.quiet {
                talk("note: [admin] listen names no address, and the unix socket asks for no token\n");
            }
        }
        Command::List => list(globals, &file, last_uses(&settings, globals)?.as_deref())?,
        Command::Revoke { name } => revoke(globals, &file, &name)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn add(
    globals: &Globals,
    file: &Path,
    name: TokenName,
    scopes: &[String],
    expires_in: Option<std::time::Duration>,
) -> anyhow::Result<()> {
    let mut failed = false;
    let token = mint::token(|bytes| failed |= getrandom::fill(bytes).is_err());
    if failed {
        return Err(Failure::new(FAILED, "the system's random source failed\n  Nothing was changed.").into());
    }
    let now = Clock::start().now();
    let new = NewToken {
        name,
        hash: hash::write(&hash::of(&token)),
        scopes: Scope::ALL.into_iter().filter(|scope| scopes.iter().any(|text| text == scope.as_str())).collect(),
        created: now.rfc3339(),
        expires: expires_in.map(|length| now.plus(length).rfc3339()),
    };
    change(file, |text, known| {
        if known.iter().any(|token| token.name == new.name) {
            let next = "choose another name, or `relatch token revoke` that one first";
            let why = format!("there is a token of the name {} already\n  Nothing was changed: {next}.", new.name);
            return Err(Failure::new(REFUSED, why));
        }
        edit::add(text, &new).map_err(not_here)
    })?;
    show(globals, &new, &token)
}

fn revoke(globals: &Globals, file: &Path, name: &TokenName) -> anyhow::Result<()> {
    change(file, |text, _| edit::remove(text, name).map_err(not_here))?;
    if !globals.quiet {
        talk(&format!("Token {name} revoked: a running instance refuses it from its next request.\n"));
    }
    Ok(())
}

/// Reads, changes and writes the file under its lock; what could not be read back is not written.
fn change(file: &Path, mut edit: impl FnMut(&str, &[Token]) -> Result<String, Failure>) -> anyhow::Result<()> {
    let shown = file.display().to_string();
    let checked = |text: &str| {
        let (tokens, Problems { errors, .. }) = parse(Doc { name: &shown, text });
        match errors.first() {
            None => Ok(tokens),
            Some(first) => Err(Failure::new(FAILED, format!("{first}\n  Nothing was changed. Mend the file first."))),
        }
    };
    let written: Result<(), WriteFailure<Failure>> = rewrite_file(file, MOST, |text| {
        let new = edit(text, &checked(text)?)?;
        checked(&new)?;
        Ok((new, ()))
    });
    written.map_err(|failure| match failure {
        WriteFailure::Change(failure) => failure.into(),
        other => Failure::new(FAILED, other.to_string()).into(),
    })
}

fn not_here(why: NotHere) -> Failure {
    let exit = if why == NotHere::Unknown { NOT_FOUND } else { FAILED };
    Failure::new(exit, format!("{why}\n  Nothing was changed."))
}

/// Shows what was made, once. Here a reader that went away is an error: nobody else will ever have it.
fn show(globals: &Globals, new: &NewToken, token: &Secret) -> anyhow::Result<()> {
    let plain = std::str::from_utf8(token.expose())?;
    let text = Zeroizing::new(match (globals.output, globals.quiet) {
        (Output::Json, _) => {
            let mut object = object(&new.name, &new.scopes, Some(&new.created), new.expires.as_deref());
            object.insert("token".to_owned(), plain.into());
            format!("{}\n", serde_json::to_string_pretty(&object)?)
        }
        (Output::Table, true) => format!("{plain}\n"),
        (Output::Table, false) => format!("Token {}: {plain}   This is shown once.\n", new.name),
    });
    use std::io::Write;
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| {
        let next = format!("It is in the file, and nobody has it: `relatch token revoke {}`.", new.name);
        Failure::new(FAILED, format!("the token could not be shown: {error}\n  {next}")).into()
    })
}

/// What a running instance knows of its tokens; nothing where none answers, or not to us.
fn last_uses(settings: &Settings, globals: &Globals) -> anyhow::Result<Option<Vec<TokenObject>>> {
    let Some(door) = Door::to_running(settings, globals)? else { return Ok(None) };
    Ok(door.ask(Method::GET, &path(&["tokens"]), NOTHING).ok())
}

/// `uses` is what a running instance knows.
fn list(globals: &Globals, file: &Path, uses: Option<&[TokenObject]>) -> anyhow::Result<()> {
    let (tokens, problems) = read(file);
    if !problems.errors.is_empty() {
        let lines: Vec<String> = problems.errors.iter().map(ToString::to_string).collect();
        return Err(Failure::new(FAILED, lines.join("\nerror: ")).into());
    }
    problems.warnings.iter().for_each(|warning| talk(&format!("warning: {warning}\n")));
    let tokens = tokens.unwrap_or_default();
    let times = |token: &Token| (token.created.map(|at| at.rfc3339()), token.expires.map(|at| at.rfc3339()));
    let known = |token: &Token| uses?.iter().find(|known| known.name == token.name.as_str());
    let last = |token: &Token| known(token).and_then(|known| known.last_used_at.as_deref());
    if globals.output == Output::Json {
        let objects = tokens.iter().map(|token| {
            let (created, expires) = times(token);
            let mut object = object(&token.name, &token.scopes, created.as_deref(), expires.as_deref());
            object.insert("last_used_at".to_owned(), last(token).into());
            object
        });
        return Ok(say(&format!("{}\n", serde_json::to_string_pretty(&objects.collect::<Vec<_>>())?))?);
    }
    let shown = Times::for_stdout();
    let now = Clock::start().now();
    let row = |token: &Token| {
        let (created, expires) = times(token);
        let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
        let end = shown.of(expires.as_deref(), "never");
        vec![
            token.name.to_string(),
            scopes.join(" "),
            shown.of(created.as_deref(), "-"),
            if token.has_expired(now) { format!("{end} (expired)") } else { end },
            shown.of(last(token), if known(token).is_some() { "not since the start" } else { "-" }),
        ]
    };
    let rows: Vec<_> = tokens.iter().map(row).collect();
    Ok(say(&table::lines(&["NAME", "SCOPES", "CREATED", "EXPIRES", "LAST-USED"], &rows))?)
}

fn object(
    name: &TokenName,
    scopes: &[Scope],
    created: Option<&str>,
    expires: Option<&str>,
) -> serde_json::Map<String, serde_json::Value> {
    let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    let fields = [
        ("name", name.as_str().into()),
        ("scopes", scopes.into()),
        ("created", created.into()),
        ("expires", expires.into()),
    ];
    fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
