//! `relatch reload`: puts into force what stands in the list, and tells what came of it.

use std::process::ExitCode;

use http::Method;

use super::door::Door;
use super::{Failure, Globals, Output, say, talk};
use crate::admin::answer::FAILED;
use crate::domain::spoken::plural;

/// What is allowed.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Take a list that drops more clients or secrets than [clients] max_shrink lets one reload drop
    #[arg(long)]
    allow_shrink: bool,
}

/// Runs the command.
pub(super) fn run(globals: &Globals, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let door = Door::open(globals)?;
    if !door.is_instance() {
        let message = "no instance answers\n  Nothing was reloaded. The list is read at the next start.";
        return Err(Failure::new(FAILED, message).into());
    }
    let wish = serde_json::json!({"allow_shrink": arguments.allow_shrink});
    let done: serde_json::Value = door.ask(Method::POST, "/-/reload", Some(&wish))?;
    if globals.output == Output::Json {
        say(&format!("{}\n", serde_json::to_string_pretty(&done)?))?;
    } else if !globals.quiet {
        let number = |key: &str| done.get(key).and_then(serde_json::Value::as_u64).unwrap_or_default();
        let size = |key: &str, what| plural(usize::try_from(number(key)).unwrap_or(usize::MAX), what);
        let result = done.get("result").and_then(|result| result.as_str()).unwrap_or_default();
        let what = if result == "unchanged" { "is what is in force" } else { "is in force" };
        let (clients, secrets) = (size("clients", "client"), size("secrets", "secret"));
        talk(&format!("The list {what}: {clients}, {secrets}, generation {}.\n", number("generation")));
    }
    Ok(ExitCode::SUCCESS)
}
