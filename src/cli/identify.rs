//! `relatch secret identify`: a string was found somewhere. Is it one of ours, whose, and does it still work?

use std::io::{IsTerminal, Read};
use std::process::ExitCode;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::{Failure, Globals, Output, say, setup, talk};
use crate::admin::answer::{FAILED, NOT_FOUND};
use crate::domain::clock::Clock;
use crate::domain::mint;
use crate::hash;
use crate::registry::{Client, Record};

/// Longer than any secret.
const MOST: u64 = 64 << 10;

/// Runs the command. Works offline: the string is compared here, and goes nowhere.
pub(super) fn run(globals: &Globals) -> anyhow::Result<ExitCode> {
    if std::io::stdin().is_terminal() {
        talk("Paste the string, then press Ctrl-D:\n");
    }
    let mut bytes = Zeroizing::new(Vec::new());
    std::io::stdin().take(MOST).read_to_end(&mut bytes)?;
    let found = bytes.trim_ascii();
    if found.is_empty() {
        return Err(Failure::new(FAILED, "nothing stands on stdin").into());
    }
    let ours = mint::is_ours(found);
    let clock = Arc::new(Clock::start());
    let list = setup::ready(&globals.config, &[], &clock).ok();
    let digest = hash::sha256(found);
    let holders: Vec<(&Client, &Record)> = list
        .iter()
        .flat_map(|ready| &ready.loaded.snapshot.clients)
        .flat_map(|client| client.records.iter().map(move |record| (&**client, record)))
        .filter(|(_, record)| record.identity() == digest)
        .collect();
    let now = clock.now();
    if globals.output == Output::Json {
        let holder = |(client, record): &(&Client, &Record)| {
            serde_json::json!({
                "client_id": client.id.as_str(),
                "secret_id": record.id.as_str(),
                "name": &*record.name,
                "status": record.state(now).as_str(),
                "accepted": client.enabled && record.state(now) == crate::registry::SecretState::Active,
            })
        };
        let object = serde_json::json!({
            "generated_by_relatch": ours,
            "list_read": list.is_some(),
            "secrets": holders.iter().map(holder).collect::<Vec<_>>(),
        });
        say(&format!("{}\n", serde_json::to_string_pretty(&object)?))?;
    } else {
        let made = if ours {
            "It is a secret that relatch made: prefix and checksum are right.\n"
        } else if found.starts_with(mint::PREFIX.as_bytes()) {
            "It looks like a secret of relatch, but its checksum is wrong: it is cut, or mistyped.\n"
        } else {
            "It is not a secret that relatch made.\n"
        };
        say(made)?;
        for (client, record) in &holders {
            let (id, secret, state) = (&client.id, &record.id, record.state(now).as_str());
            say(&format!("It is {secret} ({}) of client {id}, {state}.\n", record.name))?;
            if state == "active" {
                say(&format!("  If it leaked: relatch secret revoke {id} {secret} --compromised\n"))?;
            }
        }
        match (&list, holders.is_empty()) {
            (None, _) => say(&format!(
                "The list of {} could not be read: whose it is is not known.\n",
                globals.config.display()
            ))?,
            (Some(_), true) => say("No client of the list has it.\n")?,
            (Some(_), false) => {}
        }
    }
    Ok(if ours || !holders.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(NOT_FOUND) })
}
