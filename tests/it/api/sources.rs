//! Every write goes to the list's file and is answered when it is in force; a list that cannot be written says where to.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::gate::{ADMIN, READER, address, ask, gated};
use crate::support::http::{Method, token_post};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;

const WRITES: [(&str, &str, &str); 8] = [
    ("POST", "/api/v1/clients", "{\"id\":\"c2\"}"),
    ("PATCH", "/api/v1/clients/c1", "{\"name\":\"x\"}"),
    ("DELETE", "/api/v1/clients/c1?force=true", ""),
    ("POST", "/api/v1/clients/c1/secrets", "{}"),
    ("POST", "/api/v1/clients/c1/secrets/c1_1/lifecycle/deactivate", "{\"force\":true}"),
    ("POST", "/api/v1/clients/c1/secrets/c1_1/lifecycle/revoke", "{\"force\":true}"),
    ("POST", "/api/v1/clients/c1/rotate", "{}"),
    ("POST", "/api/v1/rotate", "{\"clients\":[\"c1\"]}"),
];

#[track_caller]
fn all_are_refused(sidecar: &Sidecar, at: SocketAddr, words: &[&str]) {
    for (method, path, body) in WRITES {
        let reply = ask(at, ADMIN, method, path, body);
        let told = reply.json();
        assert_eq!((reply.status, &told["error"]), (409, &"read_only".into()), "{method} {path}: {told}");
        let message = told["message"].as_str().unwrap();
        for word in words.iter().chain(&["othing was changed"]) {
            assert!(message.contains(word), "{method} {path}: no {word:?} in {message}");
        }
        assert!(told["client_secret"].is_null(), "a secret that nobody has is not shown");
    }
    assert_eq!(token_post(sidecar.proxy(), Method::Basic, "c1", "first-s3cr3t-of-c1").status, 200);
    let shown = ask(at, ADMIN, "GET", "/api/v1/clients/c1", "").json();
    assert_eq!((shown["name"].as_str(), shown["secrets"].as_array().map(Vec::len)), (Some(""), Some(1)), "{shown}");
}

#[test]
fn a_mounted_secret_is_not_written_and_the_answer_says_where_to_edit() {
    let upstream = Upstream::start();
    let sidecar = gated().upstream(&upstream).start();
    let at = address(&sidecar);
    let (list, mount) = (sidecar.dir().join("clients.toml"), sidecar.dir().join("mount"));
    fs::create_dir_all(mount.join("..2026_11_21")).unwrap();
    fs::rename(&list, mount.join("..2026_11_21/clients.toml")).unwrap();
    symlink("..2026_11_21", mount.join("..data")).unwrap();
    symlink("..data/clients.toml", mount.join("clients.toml")).unwrap();
    symlink("mount/clients.toml", &list).unwrap();
    let before = fs::read(&list).unwrap();
    all_are_refused(
        &sidecar,
        at,
        &["is mounted by Kubernetes", "kubectl edit secret", "taken up from there by itself"],
    );
    assert_eq!(fs::read(&list).unwrap(), before);
    fs::remove_file(&list).unwrap();
    fs::copy(mount.join("clients.toml"), &list).unwrap();
    fs::remove_dir_all(&mount).unwrap();
    sidecar.finish(&upstream);
}

#[test]
fn a_read_only_file_system_is_not_written_and_the_answer_says_so() {
    let works = Command::new("unshare").args(["-rm", "true"]).status().is_ok_and(|status| status.success());
    if !works {
        return eprintln!("skipped: no mount namespace can be made here");
    }
    let upstream = Upstream::start();
    let script = "mkdir ro && cp clients.toml ro && mount --bind ro ro && mount -o remount,ro,bind ro && exec \"$@\"";
    let sidecar = gated()
        .under(&["unshare", "-rm", "sh", "-c", script, "sh"])
        .config("clients.path = \"@DIR@/ro/clients.toml\"")
        .upstream(&upstream)
        .start();
    let at = address(&sidecar);
    all_are_refused(&sidecar, at, &["read-only file system", "edit it where it comes from"]);
    drop(sidecar);
}

#[test]
fn a_write_is_in_the_file_and_in_force_when_it_is_answered() {
    let upstream = Upstream::start();
    let sidecar = gated().upstream(&upstream).start();
    let at = address(&sidecar);
    let list = || fs::read_to_string(sidecar.dir().join("clients.toml")).unwrap();
    let works = |id: &str, secret: &str| token_post(sidecar.proxy(), Method::Basic, id, secret).status;
    let made = ask(at, ADMIN, "POST", "/api/v1/clients", "{\"id\":\"c2\",\"name\":\"Two\"}");
    let secret = made.json()["secrets"][0]["client_secret"].as_str().unwrap().to_owned();
    assert_eq!((made.status, works("c2", &secret)), (201, 200), "in force");
    assert!(list().contains("\"c2\"") && list().contains("Two") && !list().contains(&secret));
    let (first, id) =
        (ask(at, ADMIN, "POST", "/api/v1/clients/c2/rotate", "{}"), made.json()["secrets"][0]["id"].clone());
    let new = first.json()["client_secret"].as_str().unwrap().to_owned();
    assert_eq!((works("c2", &secret), works("c2", &new)), (200, 200));
    let path = format!("/api/v1/clients/c2/secrets/{}/lifecycle/revoke", id.as_str().unwrap());
    let guarded = ask(at, ADMIN, "POST", &path, "{}");
    assert_eq!((guarded.status, works("c2", &secret)), (409, 200), "used just now: {}", guarded.json());
    let revoked = ask(at, ADMIN, "POST", &path, "{\"force\":true}");
    assert_eq!((revoked.status, &revoked.json()["status"], works("c2", &secret)), (200, &"revoked".into(), 401));
    assert!(list().contains("revoked"));
    let hurry = ask(at, ADMIN, "DELETE", "/api/v1/clients/c2?force=true", "");
    assert_eq!((hurry.status, works("c2", &new)), (204, 401));
    assert!(!list().contains("\"c2\""));
    let shown = ask(at, ADMIN, "GET", "/api/v1/clients", "");
    assert!(!String::from_utf8_lossy(&shown.body).contains(&secret));
    sidecar.finish(&upstream);
}

#[test]
fn a_change_that_takes_its_time_holds_up_nobody_who_looks() {
    let upstream = Upstream::start();
    let sidecar = gated().upstream(&upstream).start();
    let at = address(&sidecar);
    // A file that is just being written is read again and again until it rests; the last one is not there at all, so that
    // the change ends with the reading.
    let files: Vec<String> = (0..16).map(|number| format!("upstream-{number}.secret")).collect();
    let write = |name: &String| {
        let file = fs::File::options().write(true).create(true).truncate(false).open(sidecar.dir().join(name));
        file.unwrap().write_all(b"an-upstream-s3cr3t").unwrap();
    };
    let named: Vec<&str> = files.iter().map(String::as_str).chain(["none.secret"]).collect();
    let body = serde_json::json!({"id": "c2", "upstream_secret_files": named}).to_string();
    let at_rest = AtomicBool::new(false);
    let (looked, under_way, made) = std::thread::scope(|scope| {
        files.iter().for_each(write);
        scope.spawn(|| {
            while !at_rest.load(Ordering::Relaxed) {
                files.iter().for_each(write);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let made = scope.spawn(|| ask(at, ADMIN, "POST", "/api/v1/clients", &body));
        // It has come as far as the files: else nothing is lost but the point of the test.
        std::thread::sleep(Duration::from_millis(300));
        let looked = ask(at, READER, "GET", "/api/v1/clients", "");
        let under_way = !made.is_finished();
        at_rest.store(true, Ordering::Relaxed);
        (looked, under_way, made.join().unwrap())
    });
    assert_eq!((looked.status, made.status), (200, 409), "{}", made.json());
    assert!(under_way, "who looked had to wait until the files were read");
    sidecar.finish(&upstream);
}
