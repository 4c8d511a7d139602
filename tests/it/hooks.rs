//! Web hooks: what a receiver is told, how it can be sure of it, and how little it can do to us.

mod events;
mod fleet;
mod peer;
mod receiver;
mod trouble;

use std::path::Path;

use serde_json::Value;

use crate::support::http::{Method, token_post};
use crate::support::setup::Setup;
use crate::support::sidecar::Sidecar;
use receiver::{Heard, Receiver};

const OLD: &str = "old-s3cr3t-of-c1-7Hq2";
const NEW: &str = "new-s3cr3t-of-c1-7Hq2";
/// 32 bytes of base64: a key of the tests.
const KEY: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// A sidecar with a client, that tells this receiver of everything.
fn hooked(receiver: &Receiver) -> Setup {
    with_hook(&format!("url = \"{}/relatch?team=a\"\nsecret_file = \"hook.key\"", receiver.url()))
}

/// ... with a hook of these keys.
fn with_hook(hook: &str) -> Setup {
    let hook = hook.lines().collect::<Vec<_>>().join(", ");
    Sidecar::guard()
        .client("c1", &[OLD])
        .file("hook.key", &format!("{KEY}\n"))
        .canary(KEY.trim_start_matches("whsec_"))
        .config(&format!("hooks = [{{ {hook} }}]"))
}

/// A list with a rotation under way; `rest` stands in the new secret.
fn rotating(rest: &str) -> String {
    format!(
        "[[client]]\nid = \"c1\"\n\
         [[client.secret]]\nid = \"old\"\nhash = \"@SHA256({OLD})@\"\ncreated = 2026-01-01T00:00:00Z\n\n\
         [[client.secret]]\nid = \"new\"\nhash = \"@SHA256({NEW})@\"\ncreated = 2026-01-02T00:00:00Z\n{rest}\n"
    )
}

/// As if what is written down of uses had been so two days before.
fn two_days_later(state: &Path) {
    let text = std::fs::read_to_string(state).unwrap();
    let aged = text.lines().map(|line| {
        let Some((_, json)) = line.split_once(" {") else { return line.to_owned() };
        let mut entry: Value = serde_json::from_str(&format!("{{{json}")).unwrap();
        for key in ["since", "used"] {
            if let Some(at) = entry[key].as_u64() {
                entry[key] = (at - 2 * 86_400_000).into();
            }
        }
        entry.as_object_mut().unwrap().remove("from");
        let entry = entry.to_string();
        format!("{:08x} {entry}", crc32fast::hash(entry.as_bytes()))
    });
    std::fs::write(state, aged.map(|line| line + "\n").collect::<String>()).unwrap();
}

#[track_caller]
fn token(sidecar: &Sidecar, secret: &str) -> u16 {
    token_post(sidecar.proxy(), Method::Basic, "c1", secret).status
}

fn delivered(sidecar: &Sidecar, result: &str) -> f64 {
    sidecar.metric("relatch_webhook_deliveries_total", &[("result", result)]).unwrap()
}

/// The next event of this kind; others are passed over.
#[track_caller]
fn next(receiver: &Receiver, kind: &str) -> (Value, Heard) {
    loop {
        let heard = receiver.next();
        let event = heard.event();
        if event["type"] == kind {
            return (event, heard);
        }
    }
}
