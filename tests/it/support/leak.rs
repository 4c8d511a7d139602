//! The standing promises: whatever a test was about, the upstream saw only clean
//! requests made of allowed parts, and no secret came out anywhere.

use std::fs;
use std::path::Path;

use super::sidecar::Sidecar;
use super::upstream::{Seen, Upstream};
use super::{bytes, form};

/// Every header that may reach the upstream unless the configuration adds one.
const ALLOWED: [&str; 20] = [
    "host",
    "content-type",
    "content-length",
    "authorization",
    "accept",
    "accept-language",
    "user-agent",
    "dpop",
    "traceparent",
    "tracestate",
    "x-request-id",
    "idempotency-key",
    "origin",
    "auth0-client",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "forwarded",
    "client-cert",
    "x-relatch-client-id",
];

/// A canary shorter than this occurs by itself; its longer disguises still count.
const SHORTEST: usize = 6;

/// Stops the test if a promise was broken during it.
#[track_caller]
pub(crate) fn promises(sidecar: &Sidecar, upstream: &Upstream) {
    let mut broken = Vec::new();
    for seen in upstream.seen() {
        for fault in sender(&seen, sidecar.extra_headers()) {
            broken.push(format!("{fault}, in upstream request {}", bytes::escape(&seen.raw)));
        }
    }
    broken.extend(silence(sidecar));
    assert!(broken.is_empty(), "broken promises:\n  {}", broken.join("\n  "));
}

/// What is wrong with one request at the upstream, as the work of a sender that
/// writes every request anew.
pub(crate) fn sender(seen: &Seen, extra_headers: &[String]) -> Vec<String> {
    let mut broken = seen.violations.clone();
    for (name, _) in &seen.headers {
        let name = name.to_ascii_lowercase();
        if !listed(&seen.method, &name, extra_headers) {
            broken.push(format!("header {name} is on no list"));
        }
    }
    let mut exactly_one = vec!["host"];
    if seen.method == "POST" {
        exactly_one.extend(["content-length", "content-type"]);
    }
    if seen.method == "POST" && seen.body.is_empty() {
        // Nothing to give a type to.
        exactly_one.pop();
    }
    for name in exactly_one {
        let count = seen.all(name).len();
        if count != 1 {
            broken.push(format!("{count} {name} headers"));
        }
    }
    for name in ["authorization", "content-type", "x-relatch-client-id", "x-request-id"] {
        if seen.all(name).len() > 1 {
            broken.push(format!("more than one {name}"));
        }
    }
    if let Some(other) = seen.header("content-type")
        && other != "application/x-www-form-urlencoded"
    {
        broken.push(format!("content-type {other:?}"));
    }
    if let Some(why) = form::not_canonical(&seen.body) {
        broken.push(format!("body not canonical: {why}"));
    }
    broken
}

/// Whether a header of this name, which is in lower case, may reach the upstream.
pub(crate) fn listed(method: &str, name: &str, extra_headers: &[String]) -> bool {
    // A preflight that passes is nothing without the two headers that ask its question.
    let preflight = method == "OPTIONS" && name.starts_with("access-control-request-");
    ALLOWED.contains(&name) || extra_headers.iter().any(|extra| extra == name) || preflight
}

/// Where a secret shows, or the log is not what a log reader can read.
pub(crate) fn silence(sidecar: &Sidecar) -> Vec<String> {
    let log = sidecar.log();
    let mut broken = log_faults(&log);
    let canaries = sidecar.canaries();
    broken.extend(spills("the log", log.as_bytes(), canaries));
    broken.extend(spills("the metrics", sidecar.metrics().as_bytes(), canaries));
    for (name, content) in written_files(sidecar) {
        broken.extend(spills(&name, &content, canaries));
    }
    broken
}

/// What is wrong with a log as such: every line is one JSON object, none a panic.
pub(crate) fn log_faults(log: &str) -> Vec<String> {
    let mut broken = Vec::new();
    for line in log.lines() {
        let object = serde_json::from_str::<serde_json::Value>(line).is_ok_and(|v| v.is_object());
        if !object {
            broken.push(format!("log line is not JSON: {}", bytes::escape(line.as_bytes())));
        }
        if line.contains("panicked") {
            broken.push(format!("panic: {line}"));
        }
    }
    broken
}

/// Each canary that shows in `content`, under any disguise. The finding names
/// the disguise, not the secret: test output is a log too.
pub(crate) fn spills(place: &str, content: &[u8], canaries: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (number, canary) in canaries.iter().enumerate() {
        for disguise in bytes::disguises(canary) {
            if disguise.len() < SHORTEST {
                continue;
            }
            if let Some(at) = bytes::find(content, &disguise) {
                let from = at.saturating_sub(60);
                let before = bytes::escape(&content[from..at]);
                found.push(format!("canary {number} shows in {place} after \"{before}\""));
            }
        }
    }
    found
}

/// Files that the sidecar itself wrote into its directory: state, audit.
fn written_files(sidecar: &Sidecar) -> Vec<(String, Vec<u8>)> {
    fs::read_dir(sidecar.dir())
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path())
        .filter(|path| !sidecar.given_files().contains(path))
        .filter_map(|path| Some((name(&path), fs::read(&path).ok()?)))
        .collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
