//! The shapes of other providers, by raw requests: what they answer, what it does to the tokens that clients get, and how
//! each refusal is told. With the providers' SDKs: `peers::sdks`.

mod again;
mod auth0;
mod chained;
mod hydra;
mod limits;
mod okta;
mod refusals;

use std::net::SocketAddr;

use serde_json::Value;

use crate::gate::{ADMIN, ask, gated};
use crate::support::http::{Method, token_post};
use crate::support::setup::Setup;
use crate::support::sidecar::Sidecar;

/// A list with a client of each kind.
const LIST: &str = r#"
[[client]]
id = "one"
name = "One"
[[client.secret]]
id = "one_1"
hash = "@SHA256(first-s3cr3t-of-one)@"
created = "2026-01-01T00:00:00Z"

[[client]]
id = "two"
[[client.secret]]
id = "two_1"
hash = "@SHA256(first-s3cr3t-of-two)@"
created = "2026-01-01T00:00:00Z"
[[client.secret]]
id = "two_2"
hash = "@SHA256(second-s3cr3t-of-two)@"
created = "2026-02-01T00:00:00Z"

[[client]]
id = "off"
[[client.secret]]
id = "off_1"
hash = "@SHA256(first-s3cr3t-of-off)@"
created = "2026-02-01T00:00:00Z"
[[client.secret]]
id = "off_2"
status = "disabled"
hash = "@SHA256(second-s3cr3t-of-off)@"
created = "2026-01-01T00:00:00Z"
[[client.secret]]
id = "off_3"
status = "revoked"
hash = "@SHA256(gone-s3cr3t-of-off)@"
created = "2026-01-01T00:00:00Z"
revoked_at = "2026-11-20T00:00:00Z"

[[client]]
tenant = "t"
id = "one"
[[client.secret]]
id = "ten_1"
hash = "@SHA256(first-s3cr3t-of-one-of-t)@"
"#;

/// A sidecar with that list.
fn listed() -> Setup {
    let endpoints = "endpoint = [{ path = \"/token\" }, { path = \"/t/{tenant}/token\" }]";
    let setup = gated().clients_text(LIST).config(endpoints).config("throttle.failures = 10000");
    let secrets = ["first-s3cr3t-of-one", "first-s3cr3t-of-two", "second-s3cr3t-of-two", "first-s3cr3t-of-off"];
    secrets.into_iter().fold(setup, Setup::canary)
}

/// Asks for what must be done; gives the answer's JSON.
#[track_caller]
fn done(at: SocketAddr, method: &str, path: &str, body: &str, status: u16) -> Value {
    let reply = ask(at, ADMIN, method, path, body);
    let said = String::from_utf8_lossy(&reply.body).into_owned();
    assert_eq!(reply.status, status, "{method} {path}: {said}");
    reply.json()
}

/// Asks for what is refused with a 400; gives the whole body as text.
#[track_caller]
fn refused(at: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let reply = ask(at, ADMIN, method, path, body);
    let said = String::from_utf8_lossy(&reply.body).into_owned();
    assert_eq!(reply.status, 400, "{method} {path}: {said}");
    said
}

/// The status that a client gets at the proxy.
#[track_caller]
fn token(sidecar: &Sidecar, client: &str, secret: &str) -> u16 {
    token_post(sidecar.proxy(), Method::Basic, client, secret).status
}

/// The secret that an answer made.
#[track_caller]
fn plain(answer: &Value) -> String {
    answer["client_secret"].as_str().unwrap_or_else(|| panic!("no client_secret in {answer}")).to_owned()
}
