//! `relatch init`: two files, ready to run, and never over what is there.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use crate::support::http::get;
use crate::support::process::{Process, relatch};
use crate::support::{PATIENCE, http, poll};

const INIT: [&str; 3] = ["init", "--upstream", "http://127.0.0.1:9"];

#[test]
fn what_it_writes_is_private_passes_the_check_and_runs_with_no_client() {
    let dir = tempfile::tempdir().unwrap();
    let ran = relatch(dir.path(), &INIT);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), ""), "{ran:?}");
    assert!(ran.err.contains("relatch config check") && ran.err.contains("relatch run"), "{}", ran.err);
    for file in ["relatch.toml", "clients.toml"] {
        let mode = std::fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let checked = relatch(dir.path(), &["config", "check"]);
    assert_eq!((checked.code, checked.err.as_str()), (Some(0), ""), "{checked:?}");
    assert!(checked.out.contains("0 clients, 0 active secrets"), "{}", checked.out);

    let environment = [
        ("RELATCH__PROXY__LISTEN", "127.0.0.1:0"),
        ("RELATCH__TELEMETRY__LISTEN", "127.0.0.1:0"),
        ("RELATCH__LOG__FORMAT", "json"),
    ];
    let running = Process::start(dir.path(), &["run"], &environment);
    let address = |listener: &str| {
        let says = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            (line["listener"] == listener).then(|| line["address"].as_str()?.parse().ok())?
        };
        let found = poll(PATIENCE, || running.err().lines().find_map(says));
        found.unwrap_or_else(|| panic!("no {listener}: {}", running.err()))
    };
    let (proxy, telemetry) = (address("proxy"), address("telemetry"));
    assert!(poll(PATIENCE, || (get(telemetry, "/readyz").status == 200).then_some(())).is_some());
    let mut wire = http::Wire::connect(proxy);
    let request = http::token_request(http::Method::Basic, "nobody", "nothing", "");
    wire.send(&String::from_utf8(request).unwrap().replace("POST /token", "POST /oauth/token").into_bytes());
    assert_eq!(wire.read_reply(false, PATIENCE).reply().status, 401);
}

#[test]
fn it_never_writes_over_what_is_there_and_changes_nothing() {
    for there in ["relatch.toml", "clients.toml"] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(there), "mine").unwrap();
        refused(dir.path(), there);
        assert_eq!(std::fs::read_to_string(dir.path().join(there)).unwrap(), "mine");

        // A symlink to nowhere is something, too: what it points to would be written.
        let dir = tempfile::tempdir().unwrap();
        symlink("elsewhere", dir.path().join(there)).unwrap();
        refused(dir.path(), there);
        assert!(!dir.path().join("elsewhere").exists());
    }
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(relatch(dir.path(), &INIT).code, Some(0));
    let before = std::fs::read(dir.path().join("clients.toml")).unwrap();
    let ran = relatch(dir.path(), &["init", "--upstream", "http://127.0.0.1:10"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(std::fs::read(dir.path().join("clients.toml")).unwrap(), before);
}

#[track_caller]
fn refused(dir: &Path, there: &str) {
    let ran = relatch(dir, &INIT);
    assert_eq!((ran.code, ran.out.as_str()), (Some(3), ""), "{ran:?}");
    assert!(ran.err.contains(there) && ran.err.contains("Nothing was written"), "{}", ran.err);
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 1, "nothing beside {there}");
}

#[test]
fn an_upstream_that_is_none_writes_nothing_and_is_not_repeated() {
    for url in ["as.test", "ftp://as.test", "http://", "http://user:canary-7Hq2@as.test", "http://a b", ""] {
        let dir = tempfile::tempdir().unwrap();
        let ran = relatch(dir.path(), &["init", "--upstream", url]);
        assert_eq!(ran.code, Some(1), "{url}: {ran:?}");
        assert!(ran.err.contains("upstream"), "{url}: {}", ran.err);
        assert!(!ran.err.contains("canary"), "{}", ran.err);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{url}");
    }
}

#[test]
fn the_place_and_the_token_endpoint_can_be_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("etc")).unwrap();
    let arguments = ["init", "--upstream", "http://as.test:9000/realms/x/token", "--config", "etc/sidecar.toml"];
    let ran = relatch(dir.path(), &arguments);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let text = std::fs::read_to_string(dir.path().join("etc/sidecar.toml")).unwrap();
    let written: toml::Table = text.parse().unwrap();
    assert_eq!(written["upstream"]["url"].as_str(), Some("http://as.test:9000"));
    assert_eq!(written["endpoint"][0]["path"].as_str(), Some("/realms/x/token"));
    assert!(dir.path().join("etc/clients.toml").exists());
    assert_eq!(relatch(dir.path(), &["--config", "etc/sidecar.toml", "config", "check"]).code, Some(0));

    let ran = relatch(dir.path(), &["init", "--upstream", "http://as.test", "--config", "nowhere/relatch.toml"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("nowhere/relatch.toml"), "{}", ran.err);
}
