//! The house holds: floors import downwards, sideways only along the map, and no file outgrows a head.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const FLOORS: [&[&str]; 5] = [
    &["domain"],
    &[
        "admission",
        "attempt",
        "config",
        "event",
        "extract",
        "forwarded",
        "frames",
        "hash",
        "head",
        "lifecycle",
        "message",
        "metadata",
        "preamble",
        "provider",
        "registry",
        "rewrite",
        "throttle",
        "verify",
    ],
    &[
        "audit",
        "fleet",
        "hooks",
        "log",
        "management",
        "metrics",
        "net",
        "priority",
        "reload",
        "source",
        "tls",
        "upstream",
        "usage",
        "work",
    ],
    &["admin", "cli", "demo", "proxy", "telemetry"],
    &["app", "main", "lib"],
];

/// What lib.rs's map says.
const SIDEWAYS: [(&str, &[&str]); 23] = [
    ("config", &["hash"]),
    ("extract", &["config"]),
    ("registry", &["attempt", "config", "extract", "hash"]),
    ("verify", &["config", "extract", "hash", "registry"]),
    ("admission", &["throttle"]),
    ("lifecycle", &["config", "registry"]),
    ("rewrite", &["config", "extract", "forwarded", "head", "message", "registry", "verify"]),
    ("head", &["message"]),
    ("forwarded", &["message"]),
    ("provider", &["attempt", "hash"]),
    ("metadata", &["config"]),
    ("event", &["config", "registry"]),
    ("net", &["metrics", "tls"]),
    ("upstream", &["log", "metrics", "net", "tls"]),
    ("reload", &["source", "log", "metrics"]),
    ("usage", &["log"]),
    ("fleet", &["metrics", "tls"]),
    ("management", &["tls"]),
    ("audit", &["log", "metrics"]),
    ("hooks", &["log", "management", "metrics", "source"]),
    ("work", &["priority"]),
    ("telemetry", &["proxy"]),
    ("cli", &["admin", "demo"]),
];

/// Crates that floors 0 and 1 may not know.
const NOT_PURE: [&str; 9] =
    ["tokio", "hyper", "hyper_util", "prometheus", "notify", "socket2", "rustix", "std::fs", "std::net::Tcp"];

#[test]
fn floors_import_downwards_and_sideways_along_the_map() {
    let mut wrong = Vec::new();
    for (room, file, code) in sources() {
        let floor = floor(&room);
        for (other, _) in rooms().into_iter().filter(|(other, _)| *other != room) {
            let uses = code.contains(&format!("crate::{other}::")) || code.contains(&format!("crate::{other};"));
            let sideways = SIDEWAYS.iter().any(|(from, to)| *from == room && to.contains(&other.as_str()));
            if uses && (self::floor(&other) > floor || (self::floor(&other) == floor && !sideways)) {
                wrong.push(format!("{}: {room} imports {other}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_two_lower_floors_are_pure() {
    let mut wrong = Vec::new();
    for (room, file, code) in sources().into_iter().filter(|(room, ..)| floor(room) <= 1) {
        let seen = NOT_PURE.iter().filter(|name| {
            code.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(&format!("{name}::")))
        });
        wrong.extend(seen.map(|name| format!("{}: {room} knows {name}", file.display())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_fits_one_head() {
    let lines = |code: &str| {
        code.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with("//")).count()
    };
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|(.., code)| lines(code) > 350)
        .map(|(_, file, code)| (file, lines(&code)))
        .collect();
    assert!(long.is_empty(), "more than 350 lines of code: {long:?}");
}

fn floor(room: &str) -> usize {
    FLOORS
        .iter()
        .position(|rooms| rooms.contains(&room))
        .unwrap_or_else(|| panic!("{room} stands on no floor: add it to lib.rs and here"))
}

fn rooms() -> BTreeMap<String, ()> {
    sources().into_iter().map(|(room, ..)| (room, ())).collect()
}

/// Every source file: its room, its path, and its code without the tests in it.
fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.file_name().is_some_and(|name| name == "tests.rs") {
                continue;
            }
            let inside = path.strip_prefix(&root).unwrap();
            let room =
                inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
            found.push((room, path, code));
        }
    }
    found
}
