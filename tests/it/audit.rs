//! The audit log: who changed what, whatever door they came by and whatever becomes of the disk.

mod changes;
mod disk;
mod rotation;

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::admin::Admin;
use crate::support::http::{Method, token_post};
use crate::support::setup::Setup;
use crate::support::sidecar::Sidecar;
use crate::support::{PATIENCE, poll};

const OLD: &str = "old-s3cr3t-of-c1-7Hq2";

/// A sidecar with a client, its admin socket, and an audit log.
fn audited() -> Setup {
    Sidecar::guard().client("c1", &[OLD]).config("log.audit = \"audit.jsonl\"")
}

fn lines_of(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"))).collect()
}

fn lines(sidecar: &Sidecar) -> Vec<Value> {
    lines_of(&sidecar.dir().join("audit.jsonl"))
}

/// Waits for a line.
#[track_caller]
fn wait(path: &Path, wanted: impl Fn(&Value) -> bool) -> Value {
    poll(PATIENCE, || lines_of(path).into_iter().find(|line| wanted(line)))
        .unwrap_or_else(|| panic!("no such line in {:#?}", lines_of(path)))
}

/// The members of a line that are named, in order; null where one is missing.
fn part(line: &Value, keys: &[&str]) -> Value {
    keys.iter().map(|key| line[key].clone()).collect()
}

#[track_caller]
fn token(sidecar: &Sidecar, secret: &str) -> u16 {
    token_post(sidecar.proxy(), Method::Basic, "c1", secret).status
}

/// Where its admin API is.
#[track_caller]
fn address(sidecar: &Sidecar) -> SocketAddr {
    let of =
        |line: &Value| line["listener"] == "admin" && line["address"].as_str().is_some_and(|at| !at.contains("unix"));
    sidecar.wait_log(of)["address"].as_str().unwrap().parse().unwrap()
}

/// A change that is refused, and changes nothing.
fn refused(admin: &Admin) -> u16 {
    admin.ask("DELETE", "/api/v1/clients/nobody", &Value::Null).0
}

/// One that adds a client.
#[track_caller]
fn add_client(admin: &Admin, id: &str) -> Value {
    admin.must("POST", "/api/v1/clients", &json!({"id": id}))
}
