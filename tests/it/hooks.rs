//! Web hooks: what a receiver is told, how it can be sure of it, and how little it can do to us.

mod events;
mod peer;
mod receiver;
mod trouble;

use serde_json::Value;

use crate::support::http::{Method, token_post};
use crate::support::setup::Setup;
use crate::support::sidecar::Sidecar;
use receiver::{Heard, Receiver};

const OLD: &str = "old-s3cr3t-of-c1-7Hq2";
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
