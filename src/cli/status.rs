//! `relatch status`: what is in force, and what wants something done.

use std::process::ExitCode;

use http::Method;

use super::door::{Door, NOTHING, path};
use super::show::Times;
use super::{Globals, Output, say, table, talk};
use crate::admin::answer::FAILED;
use crate::admin::object::StatusObject;
use crate::domain::spoken::plural;

/// Runs the command. Without an instance it tells what the files say, and fails.
pub(super) fn run(globals: &Globals) -> anyhow::Result<ExitCode> {
    let door = Door::open(globals)?;
    let status: StatusObject = door.ask(Method::GET, &path(&["status"]), NOTHING)?;
    let exit = if door.is_instance() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) };
    if globals.output == Output::Json {
        say(&format!("{}\n", serde_json::to_string_pretty(&status)?))?;
        return Ok(exit);
    }
    let times = Times::for_stdout();
    let list = &status.list;
    let mut text = match &status.started_at {
        Some(at) => format!("relatch {}  running, started {}\n", status.version, times.of(Some(at), "-")),
        None => format!("relatch {}  no instance answers; this is what the files say\n", status.version),
    };
    text.push_str(&format!(
        "  list      {}  {}, {}, {} active (sha256 {})\n",
        list.path,
        plural(list.clients, "client"),
        plural(list.secrets, "secret"),
        list.active_secrets,
        list.hash.get(..8).unwrap_or(&list.hash)
    ));
    if status.started_at.is_some() {
        let reload = times.of(list.last_reload_at.as_deref(), "-");
        let state = if list.in_force {
            format!("in force since {reload}")
        } else {
            format!(
                "the list on disk is NOT in force (refused or held); last good reload {reload}: see `relatch reload`"
            )
        };
        text.push_str(&format!("  reload    generation {}, {state}\n", list.generation));
    }
    if status.attention.is_empty() {
        text.push_str("  nothing wants attention\n");
    } else {
        let row = |item: &crate::admin::object::AttentionObject| {
            let secret = item.secret_id.clone().unwrap_or_else(|| "-".to_owned());
            vec![item.client_id.clone(), secret, item.what.clone(), item.next.clone()]
        };
        let rows = status.attention.iter().map(|item| (&*item.tenant, row(item))).collect();
        text.push('\n');
        text.push_str(&table::of_tenants(&["CLIENT", "SECRET", "WHAT", "NEXT"], rows));
    }
    say(&text)?;
    if !door.is_instance() && !globals.quiet {
        talk("error: no instance answers\n");
    }
    Ok(exit)
}
