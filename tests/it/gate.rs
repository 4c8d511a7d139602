//! The admin API at an address: what gets in, what it may do there, and the commands that use it.

mod commands;
mod requests;
mod scopes;
mod tokens;

use std::net::SocketAddr;

use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::http::{Reply, Wire};
use crate::support::setup::Setup;
use crate::support::sidecar::Sidecar;

/// May do everything.
pub(crate) const ADMIN: &str = "rlt_admin-of-the-test-0123456789";
/// May look only.
pub(crate) const READER: &str = "rlt_reader-of-the-test-0123456789";

/// A token as its file keeps it.
pub(crate) fn entry(name: &str, token: &str, scopes: &str, rest: &str) -> String {
    format!("[[token]]\nname = \"{name}\"\nhash = \"@SHA256({token})@\"\nscopes = {scopes}\n{rest}\n")
}

/// A sidecar that takes commands by TCP, with a token for everything and one for looking.
pub(crate) fn gated() -> Setup {
    let tokens = entry("admin", ADMIN, "[\"admin\"]", "") + &entry("reader", READER, "[\"read:clients\"]", "");
    gated_with(&tokens).canary(ADMIN).canary(READER)
}

pub(crate) fn gated_with(tokens: &str) -> Setup {
    Sidecar::guard()
        .client("c1", &["first-s3cr3t-of-c1"])
        .file("admin-tokens.toml", tokens)
        .config("admin.listen = [\"unix:relatch.sock\", \"127.0.0.1:0\"]")
}

/// Where its admin API is.
#[track_caller]
pub(crate) fn address(sidecar: &Sidecar) -> SocketAddr {
    let of =
        |line: &Value| line["listener"] == "admin" && line["address"].as_str().is_some_and(|at| !at.contains("unix"));
    sidecar.wait_log(of)["address"].as_str().unwrap().parse().unwrap()
}

/// Sends a request as it stands, and holds the answer to what every answer must carry.
#[track_caller]
pub(crate) fn send(address: SocketAddr, request: &str) -> Reply {
    send_from(1, address, request)
}

#[track_caller]
fn send_from(source: u8, address: SocketAddr, request: &str) -> Reply {
    let mut wire = Wire::connect_from(source, address);
    wire.send(request.as_bytes());
    let reply = wire.read_reply(request.starts_with("HEAD"), PATIENCE).reply();
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert_eq!(reply.all(name), [value], "{request}");
    }
    let policy = reply.header("content-security-policy").unwrap_or_default();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    let cors = reply.headers.iter().find(|(name, _)| name.starts_with("access-control"));
    assert_eq!(cors, None, "{request}");
    reply
}

/// A request with a token, and a JSON body where there is one.
fn request(address: SocketAddr, token: &str, method: &str, path: &str, body: &str) -> String {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n");
    let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    format!("{head}{kind}Content-Length: {}\r\n\r\n{body}", body.len())
}

#[track_caller]
pub(crate) fn ask(address: SocketAddr, token: &str, method: &str, path: &str, body: &str) -> Reply {
    send(address, &request(address, token, method, path, body))
}
