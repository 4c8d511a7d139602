//! What stands in it.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{OLD, add_client, address, audited, lines, lines_of, part, token, wait};
use crate::support::admin::Admin;
use crate::support::http::{Method, Wire, token_post};
use crate::support::leak::spills;
use crate::support::process::relatch;
use crate::support::upstream::Upstream;
use crate::support::{PATIENCE, poll};

const READER: &str = "rlt_reader-of-the-test-0123456789";

fn user() -> String {
    format!("unix:{}", rustix::process::geteuid().as_raw())
}

#[test]
fn each_change_is_a_line_with_who_what_on_which_and_how_it_ended() {
    let upstream = Upstream::start();
    let mut sidecar = audited().upstream(&upstream).start();
    let path = sidecar.dir().join("audit.jsonl");
    let admin = Admin::of(sidecar.dir());
    assert_eq!(token(&sidecar, OLD), 200);
    let rotated = admin.must("POST", "/api/v1/clients/c1/rotate", &json!({}));
    let new = rotated["id"].as_str().unwrap();
    admin.must("POST", "/api/v1/clients/c1/rotate", &json!({}));
    let secret = |id: &str, verb: &str| format!("/api/v1/clients/c1/secrets/{id}/lifecycle/{verb}");
    assert_eq!(admin.ask("POST", &secret("c1_1", "revoke"), &json!({})).0, 409);
    assert_eq!(admin.ask("POST", "/api/v1/clients/c1/secrets", &json!({})).0, 409);
    admin.must("POST", &secret("c1_1", "deactivate"), &json!({"force": true}));
    admin.must("POST", &secret("c1_1", "deactivate"), &json!({"force": true}));
    admin.must("POST", &secret("c1_1", "activate"), &json!({}));
    admin.must("POST", &secret("c1_1", "rehearse"), &json!({"force": true, "for": "1s"}));
    admin.must("POST", &secret("c1_1", "end-rehearsal"), &json!({}));
    admin.must("POST", &secret("c1_1", "expire"), &json!({"force": true, "in": "24h"}));
    admin.must("POST", &secret("c1_1", "revoke"), &json!({"compromised": true}));
    let made = add_client(&admin, "c2");
    let made = made["secrets"][0]["id"].as_str().unwrap();
    admin.must("PATCH", "/api/v1/clients/c2", &json!({"enabled": false, "force": true}));
    admin.must("PATCH", "/api/v1/clients/c2", &json!({"enabled": true}));
    admin.must("DELETE", "/api/v1/clients/c2?force=true", &Value::Null);
    assert_eq!(admin.ask("DELETE", "/api/v1/clients/c2", &Value::Null).0, 404);
    assert_eq!(admin.ask("POST", "/api/v1/clients/c1/rotate", &json!({"gracee": "1d"})).0, 400);
    admin.must("POST", "/-/reload", &json!({}));
    admin.must("GET", "/api/v1/clients", &Value::Null);
    sidecar.signal(Signal::TERM);
    assert!(sidecar.wait_exit(PATIENCE).is_some());

    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let all = lines(&sidecar);
    let by_a_person: Vec<&Value> = all.iter().filter(|line| line["who"] == user()).collect();
    let told: Vec<Value> =
        by_a_person.iter().map(|line| part(line, &["what", "outcome", "code", "client_id", "secret_id"])).collect();
    let none = Value::Null;
    assert_eq!(
        json!(told),
        json!([
            ["secret.rotate", "done", none, "c1", new],
            ["secret.rotate", "unchanged", none, "c1", new],
            ["secret.revoke", "refused", "recently_used", "c1", "c1_1"],
            ["secret.add", "refused", "at_limit", "c1", none],
            ["secret.disable", "done", none, "c1", "c1_1"],
            ["secret.disable", "unchanged", none, "c1", "c1_1"],
            ["secret.enable", "done", none, "c1", "c1_1"],
            ["secret.rehearse", "done", none, "c1", "c1_1"],
            ["secret.end_rehearsal", "done", none, "c1", "c1_1"],
            ["secret.expire", "done", none, "c1", "c1_1"],
            ["secret.revoke", "done", none, "c1", "c1_1"],
            ["client.add", "done", none, "c2", made],
            ["client.disable", "done", none, "c2", none],
            ["client.enable", "done", none, "c2", none],
            ["client.remove", "done", none, "c2", none],
            ["client.remove", "refused", "no_such_client", none, none],
            ["secret.rotate", "refused", "invalid", "c1", none],
            ["reload", "done", none, none, none],
        ])
    );
    assert_eq!(part(by_a_person[1], &["repeated"]), json!([true]));
    assert_eq!(part(by_a_person[4], &["forced", "generation"]), json!([true, 3]));
    assert_eq!(part(by_a_person[10], &["compromised", "forced"]), json!([true, none]));
    assert!(by_a_person[9]["until"].is_string() && by_a_person[7]["until"].is_string());
    assert_eq!(by_a_person[0]["request"], "POST /api/v1/clients/{id}/rotate");
    // The list's own lines stand beside: what each change made of it.
    let first = all.iter().find(|line| line["what"] == "reload").unwrap();
    assert_eq!(part(first, &["who", "trigger", "generation"]), json!(["instance", "command", 2]));
    assert_eq!(first["changes"], json!([{"client_id": "c1", "added": [new]}]));
    assert_eq!(part(&all[0], &["what", "outcome", "generation"]), json!(["start", "done", 1]));
    let last = all.last().unwrap();
    assert_eq!(part(last, &["what", "outcome", "who"]), json!(["stop", "done", "instance"]));
    for line in &all {
        let at: jiff::Timestamp = line["at"].as_str().unwrap().parse().unwrap();
        assert!(line["at"].as_str().unwrap().len() == 24 && at.as_second() > 1_700_000_000, "{line}");
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let plain = rotated["client_secret"].as_str().unwrap();
    for never in ["rls_", "$sha256$", "client_secret", "hint", plain, rotated["hint"].as_str().unwrap()] {
        assert!(!text.contains(never), "{never}: {text}");
    }
    assert!(spills("the audit log", text.as_bytes(), sidecar.canaries()).is_empty());
}

#[test]
fn what_is_refused_at_the_door_is_a_line_and_a_flood_of_strangers_a_few() {
    let upstream = Upstream::start();
    let entry = format!("[[token]]\nname = \"reader\"\nhash = \"@SHA256({READER})@\"\nscopes = [\"read:clients\"]\n");
    let sidecar = audited()
        .config("admin.listen = [\"unix:relatch.sock\", \"127.0.0.1:0\"]\nthrottle.failures = 1000")
        .file("admin-tokens.toml", &entry)
        .canary(READER)
        .upstream(&upstream)
        .start();
    let path = sidecar.dir().join("audit.jsonl");
    let at = address(&sidecar);
    let ask = |source: u8, token: &str, method: &str, path: &str, id: &str| {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {at}\r\nAuthorization: Bearer {token}\r\n");
        let mut wire = Wire::connect_from(source, at);
        wire.send(format!("{head}X-Request-Id: {id}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes());
        wire.read_reply(false, PATIENCE).reply().status
    };
    assert_eq!(ask(1, READER, "GET", "/api/v1/clients", "a-1"), 200);
    assert_eq!(ask(1, READER, "POST", "/api/v1/clients/c1/rotate", "a-2"), 403);
    let secret = "/api/v1/clients/c1/secrets/old_s3cr3t_that_was_pasted/lifecycle/revoke";
    assert_eq!(ask(1, READER, "POST", secret, "a-3"), 403);
    let line = wait(&path, |line| line["request_id"] == "a-2");
    assert_eq!(
        part(&line, &["what", "outcome", "code", "who", "address", "client_id"]),
        json!(["secret.rotate", "refused", "forbidden", "token:reader", "127.0.0.1", "c1"])
    );
    let line = wait(&path, |line| line["request_id"] == "a-3");
    assert_eq!(part(&line, &["what", "secret_id"]), json!(["secret.revoke", null]), "not one of the client's");
    for _ in 0..30 {
        assert_eq!(ask(2, "rlt_nobody", "POST", "/api/v1/clients/c1/rotate", "b"), 401);
    }
    // By an editor: whoever may ask now is written down.
    let file = sidecar.dir().join("admin-tokens.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"reader\"", "\"renamed\"")).unwrap();
    assert_eq!(ask(1, READER, "POST", "/-/reload", "a-4"), 403);
    assert_eq!(wait(&path, |line| line["request_id"] == "a-4")["who"], "token:renamed");
    let line = wait(&path, |line| line["what"] == "token.reload");
    assert_eq!(part(&line, &["who", "tokens_added", "tokens_removed"]), json!(["instance", ["renamed"], ["reader"]]));
    let stranger = wait(&path, |line| line["what"] == "access");
    assert_eq!(
        part(&stranger, &["outcome", "code", "who", "address", "count"]),
        json!(["refused", "unauthorized", "nobody", "127.0.0.2", 1])
    );
    let strangers = |all: &[Value]| all.iter().filter(|line| line["what"] == "access").count();
    assert_eq!(strangers(&lines(&sidecar)), 1, "the others are counted");
    let mut sidecar = sidecar;
    sidecar.signal(Signal::TERM);
    assert!(sidecar.wait_exit(PATIENCE).is_some());
    let all = lines(&sidecar);
    let counted: u64 = all.iter().filter(|l| l["what"] == "access").filter_map(|l| l["count"].as_u64()).sum();
    assert_eq!((strangers(&all), counted), (2, 30));
    assert!(!std::fs::read_to_string(&path).unwrap().contains("pasted"));
}

#[test]
fn what_is_too_large_and_tokens_that_cannot_be_used_are_lines_too() {
    let upstream = Upstream::start();
    let entry = format!("[[token]]\nname = \"ops\"\nhash = \"@SHA256({READER})@\"\nscopes = [\"admin\"]\n");
    let sidecar = audited()
        .config("admin.listen = [\"unix:relatch.sock\", \"127.0.0.1:0\"]")
        .file("admin-tokens.toml", &entry)
        .canary(READER)
        .upstream(&upstream)
        .start();
    let path = sidecar.dir().join("audit.jsonl");
    let at = address(&sidecar);
    let mut wire = Wire::connect(at);
    let head = format!("POST /api/v1/clients/c1/rotate HTTP/1.1\r\nHost: {at}\r\nAuthorization: Bearer {READER}\r\n");
    let rest = "Content-Type: application/json\r\nX-Request-Id: large\r\nContent-Length: 100000\r\n\r\n";
    wire.send((head + rest).as_bytes());
    assert_eq!(wire.read_reply(false, PATIENCE).reply().status, 413);
    let line = wait(&path, |line| line["request_id"] == "large");
    assert_eq!(
        part(&line, &["what", "outcome", "code", "who", "client_id"]),
        json!(["secret.rotate", "refused", "too_large", "token:ops", "c1"])
    );

    let file = sidecar.dir().join("admin-tokens.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("[[token]]", "[[token]")).unwrap();
    let line = wait(&path, |line| line["what"] == "token.reload");
    assert_eq!(
        part(&line, &["outcome", "code", "who", "tokens_removed"]),
        json!(["failed", "tokens_refused", "instance", null])
    );
    assert!(line["why"].as_str().unwrap().contains("admin-tokens.toml:1"), "{line}");
    std::fs::write(&file, text.replace("\"ops\"", "\"others\"")).unwrap();
    let line = wait(&path, |line| line["what"] == "token.reload" && line["outcome"] == "done");
    assert_eq!(part(&line, &["tokens_added"]), json!([["others"]]));
    let refused = |line: &&Value| line["code"] == "tokens_refused";
    assert_eq!(lines(&sidecar).iter().filter(refused).count(), 1, "once, however often it is read");
    sidecar.finish(&upstream);
}

#[test]
fn what_an_editor_sets_of_a_client_is_told() {
    let upstream = Upstream::start();
    let record = "[[client.secret]]\nid = \"a\"\nhash = \"@SHA256(a-s3cr3t-7Hq2)@\"\n";
    let client = |rest: &str| format!("[[client]]\nid = \"c1\"\n{rest}\n{record}");
    let sidecar = audited().clients_text(&client("name = \"Billing\"")).upstream(&upstream).start();
    let path = sidecar.dir().join("audit.jsonl");
    sidecar.write_clients(&client("name = \"Payments\"\nmax_active_secrets = 3"));
    let line = wait(&path, |line| line["what"] == "reload" && line["generation"] == 2);
    assert_eq!(line["changes"], json!([{"client_id": "c1", "set": ["name", "max_active_secrets"]}]));
    assert_eq!(line["counts"]["clients_changed"], 1);
    assert!(!std::fs::read_to_string(&path).unwrap().contains("Payments"));
    sidecar.finish(&upstream);
}

#[test]
fn a_list_that_somebody_edited_is_told_by_what_it_changed() {
    let upstream = Upstream::start();
    let record = |id: &str, rest: &str| {
        format!("[[client.secret]]\nid = \"{id}\"\nhash = \"@SHA256({id}-s3cr3t-7Hq2)@\"\n{rest}\n")
    };
    let client = |id: &str, records: &str| format!("[[client]]\nid = \"{id}\"\nmax_active_secrets = 8\n{records}");
    let first = client("c1", &(record("a", "") + &record("b", "") + &record("c", ""))) + &client("c2", "");
    let sidecar = audited().clients_text(&first).upstream(&upstream).start();
    let path = sidecar.dir().join("audit.jsonl");
    let second =
        client("c1", &(record("a", "status = \"revoked\"") + &record("c", "") + &record("d", "") + &record("e", "")));
    sidecar.write_clients(&second);
    let line = wait(&path, |line| line["what"] == "reload" && line["generation"] == 2);
    assert_eq!(
        part(&line, &["outcome", "who", "changes"]),
        json!(["done", "instance", [
            {"client_id": "c2", "client": "removed"},
            {"client_id": "c1", "added": ["d", "e"], "removed": ["b"], "revoked": ["a"]},
        ]])
    );
    assert!(["file event", "poll"].iter().any(|by| line["trigger"] == *by), "{line}");
    sidecar.write_clients("[[client]\n");
    let line = wait(&path, |line| line["outcome"] == "failed");
    assert_eq!(part(&line, &["what", "code", "generation"]), json!(["reload", "list_refused", 2]));
    assert!(line["why"].as_str().unwrap().contains("clients.toml:1"), "{line}");
    // Most of it gone: held, and what it revokes is revoked.
    sidecar.write_clients(&client("c1", &record("c", "status = \"revoked\"")));
    let line = wait(&path, |line| line["code"] == "list_held");
    assert_eq!(part(&line, &["what", "outcome"]), json!(["reload", "failed"]));
    let line = wait(&path, |line| line["generation"] == 3);
    assert_eq!(line["changes"], json!([{"client_id": "c1", "revoked": ["c"]}]));
    sidecar.write_clients(&second.replace("id = \"c\"", "id = \"c\"\nstatus = \"revoked\""));
    wait(&path, |line| line["generation"] == 4);
    sidecar.signal(Signal::HUP);
    let line = wait(&path, |line| line["outcome"] == "unchanged");
    assert_eq!(part(&line, &["what", "trigger"]), json!(["reload", "signal"]));
    sidecar.finish(&upstream);
}

#[test]
fn commands_without_an_instance_write_it_themselves_and_beside_one_leave_it_to_that() {
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let ran = relatch(dir.path(), arguments);
        assert!(!ran.err.contains("panicked"), "{ran:?}");
        ran
    };
    assert_eq!(run(&["init", "--upstream", "http://127.0.0.1:9"]).code, Some(0));
    let config = dir.path().join("relatch.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}\n[log]\naudit = \"audit.jsonl\"\n")).unwrap();
    assert_eq!(run(&["client", "add", "billing"]).code, Some(0));
    assert_eq!(run(&["secret", "revoke", "billing", "nothing"]).code, Some(4));
    assert_eq!(run(&["client", "remove", "billing"]).code, Some(3));
    assert_eq!(run(&["token", "add", "ci", "--scope", "read:clients"]).code, Some(0));
    assert_eq!(run(&["token", "add", "ci", "--scope", "read:clients"]).code, Some(3));
    assert_eq!(run(&["token", "revoke", "ci"]).code, Some(0));
    assert_eq!(run(&["token", "revoke", "ci"]).code, Some(4));
    assert_eq!(run(&["client", "list"]).code, Some(0));
    let path = dir.path().join("audit.jsonl");
    let all = lines_of(&path);
    let told: Vec<Value> =
        all.iter().map(|line| part(line, &["what", "outcome", "code", "client_id", "token"])).collect();
    let none = Value::Null;
    assert_eq!(
        json!(told),
        json!([
            ["client.add", "done", none, "billing", none],
            ["secret.revoke", "refused", "no_such_secret", "billing", none],
            ["client.remove", "refused", "last_usable_secret", "billing", none],
            ["token.add", "done", none, none, "ci"],
            ["token.add", "refused", "refused", none, "ci"],
            ["token.revoke", "done", none, none, "ci"],
            ["token.revoke", "refused", "not_found", none, "ci"],
        ])
    );
    assert!(all.iter().all(|line| line["who"] == user() && line.get("generation").is_none()), "{all:#?}");
    assert_eq!(all[3]["scopes"], json!(["read:clients"]));
    assert!(!std::fs::read_to_string(&path).unwrap().contains("rlt_"));
    // A log that cannot be written is said, and stops no command.
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let ran = run(&["client", "add", "second"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("note: the audit log") && ran.err.contains("was not written"), "{ran:?}");

    let upstream = Upstream::start();
    let sidecar = audited().upstream(&upstream).start();
    let ran = relatch(sidecar.dir(), &["secret", "add", "c1", "-q"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let adds = |all: &[Value]| all.iter().filter(|line| line["what"] == "secret.add").cloned().collect::<Vec<_>>();
    let added = adds(&lines(&sidecar));
    assert_eq!(added.len(), 1, "once: {added:?}");
    assert_eq!(part(&added[0], &["who", "generation"]), json!([user(), 2]));
    sidecar.finish(&upstream);
}

#[test]
fn whoever_hangs_up_is_written_down_too() {
    let upstream = Upstream::start();
    let sidecar = audited().upstream(&upstream).start();
    let path = sidecar.dir().join("audit.jsonl");
    let body = "{}";
    let request = format!(
        "POST /api/v1/clients/c1/rotate HTTP/1.1\r\nHost: relatch\r\nX-Request-Id: gone\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    // Where the end is seen before the request was begun, nothing was done and nothing is written down: then again.
    let hang_up = || {
        let mut stream = std::os::unix::net::UnixStream::connect(sidecar.dir().join("relatch.sock")).unwrap();
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        drop(stream);
        poll(Duration::from_secs(2), || lines_of(&path).into_iter().find(|line| line["request_id"] == "gone"))
    };
    let line = poll(PATIENCE, hang_up).expect("a line of who hung up");
    assert_eq!(line["outcome"], "done", "{line}");
    // Who asks again is given what was made for it, and not a third one.
    let again = Admin::of(sidecar.dir()).must("POST", "/api/v1/clients/c1/rotate", &json!({}));
    assert_eq!(again["id"], line["secret_id"]);
    assert_eq!(token_post(sidecar.proxy(), Method::Post, "c1", again["client_secret"].as_str().unwrap()).status, 200);
    let secrets = Admin::of(sidecar.dir()).must("GET", "/api/v1/clients/c1/secrets", &Value::Null);
    assert_eq!(secrets.as_array().map(Vec::len), Some(2), "{secrets}");
    assert_eq!(token_post(sidecar.proxy(), Method::Post, "c1", OLD).status, 200);
    sidecar.finish(&upstream);
}
