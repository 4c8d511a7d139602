//! `relatch secret identify`: a string was found somewhere. Is it one of ours, whose, and does it still work?

use std::io::{IsTerminal, Read};
use std::process::ExitCode;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::{Failure, Globals, Output, say, setup, talk};
use crate::admin::answer::{FAILED, NOT_FOUND};
use crate::domain::clock::Clock;
use crate::domain::mint;
use crate::domain::secret::Digest;
use crate::domain::spoken::named;
use crate::hash;
use crate::registry::slow::Held;
use crate::registry::{Client, Record};

/// Longer than any secret.
const MOST: u64 = 64 << 10;

/// Slow hashes that are computed: some ten seconds of work.
const MOST_SLOW: usize = 100;

/// Whether a record keeps the string; `left` slow ones may still be tried.
fn keeps(record: &Record, digest: &Digest, found: &[u8], left: &mut usize) -> bool {
    match &record.held {
        Held::Fast(known) => known == digest,
        Held::Slow(slow, _) if *left > 0 => {
            *left -= 1;
            slow.verify(found)
        }
        Held::Slow(..) | Held::Unusable(_) => false,
    }
}

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
    let mut left = MOST_SLOW;
    let holders: Vec<(&Client, &Record)> = list
        .iter()
        .flat_map(|ready| &ready.loaded.snapshot.clients)
        .flat_map(|client| client.records().iter().map(move |record| (client, record)))
        .filter(|(_, record)| keeps(record, &digest, found, &mut left))
        .collect();
    let now = clock.now();
    if globals.output == Output::Json {
        let holder = |(client, record): &(&Client, &Record)| {
            let mut object = serde_json::json!({
                "client_id": client.key.id.as_str(),
                "secret_id": record.id.as_str(),
                "name": record.name(),
                "status": record.state(now).as_str(),
                "accepted": client.enabled && record.state(now) == crate::registry::SecretState::Active,
            });
            let tenant = client.key.tenant.as_str();
            if let Some(object) = object.as_object_mut().filter(|_| !tenant.is_empty()) {
                object.insert("tenant".to_owned(), tenant.into());
            }
            object
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
            let (id, secret, state) = (&client.key, &record.id, record.state(now).as_str());
            say(&format!("It is {secret} ({}) of client {id}, {state}.\n", record.name()))?;
            if state == "active" {
                say(&format!("  If it leaked: relatch secret revoke {} {secret} --compromised\n", named(id)))?;
            }
        }
        if left == 0 {
            say(&format!("Only {MOST_SLOW} records with slow hashes were tried; others may keep it.\n"))?;
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
