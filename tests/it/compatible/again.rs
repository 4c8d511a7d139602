//! What is asked for again: nothing more is done by it, whatever state of the client it was decided on, and it is written
//! down as what it is.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{done, listed, plain, token};
use crate::gate::{ADMIN, READER, address, ask, entry, send};
use crate::support::http::Reply;
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;
use crate::support::{PATIENCE, poll};

const GIVEN: &str = "made-elsewhere-s3cr3t-0123456789";

/// A request that is meant for one state of the client.
#[track_caller]
fn meant_for(at: SocketAddr, tag: &str, method: &str, path: &str, body: &str) -> Reply {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {at}\r\nAuthorization: Bearer {ADMIN}\r\n");
    send(at, &format!("{head}If-Match: {tag}\r\n{kind}Content-Length: {}\r\n\r\n{body}", body.len()))
}

#[track_caller]
fn tag(at: SocketAddr, path: &str) -> String {
    ask(at, ADMIN, "GET", path, "").header("etag").expect("an ETag").to_owned()
}

/// What the audit log tells of rotations: how each ended, and of which secret.
#[track_caller]
fn rotations(sidecar: &Sidecar, how_many: usize) -> Vec<[Value; 3]> {
    let lines = || {
        let text = std::fs::read_to_string(sidecar.dir().join("audit.jsonl")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let lines = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let rotation = lines.filter(|line| line["what"] == "secret.rotate");
        rotation.map(|line| ["outcome", "code", "secret_id"].map(|key| line[key].clone())).collect::<Vec<_>>()
    };
    poll(PATIENCE, || Some(lines()).filter(|lines| lines.len() >= how_many)).unwrap_or_else(lines)
}

#[test]
fn a_secret_that_the_caller_made_is_asked_for_again_with_the_answer_that_it_had() {
    for (method, path, of) in [
        ("PATCH", "/api/v2/clients/one", "/api/v2/clients/one"),
        ("POST", "/api/v1/apps/one/credentials/secrets", "/api/v1/apps/one/credentials/secrets"),
    ] {
        let upstream = Upstream::start();
        let sidecar = listed().canary(GIVEN).config("log.audit = \"audit.jsonl\"").upstream(&upstream).start();
        let (at, list) = (address(&sidecar), sidecar.dir().join("clients.toml"));
        let body = json!({"client_secret": GIVEN}).to_string();
        let tag = tag(at, of);
        assert_eq!(token(&sidecar, "one", GIVEN), 401);
        let first = meant_for(at, &tag, method, path, &body);
        assert!((200..300).contains(&first.status), "{path}: {}", String::from_utf8_lossy(&first.body));
        assert_eq!(token(&sidecar, "one", GIVEN), 200);
        let after = std::fs::read(&list).unwrap();
        for what in ["again", "and again"] {
            let again = meant_for(at, &tag, method, path, &body);
            assert_eq!((again.status, again.json()), (first.status, first.json()), "{path}: {what}");
        }
        // Another one is no retry: it was decided on what is no more.
        let other = json!({"client_secret": "another-one-that-was-made-elsewhere"}).to_string();
        assert_eq!(meant_for(at, &tag, method, path, &other).status, 412, "{path}");
        // Nor is one that is not the newest any more.
        let back = json!({"client_secret": "first-s3cr3t-of-one"}).to_string();
        assert_eq!(meant_for(at, "*", method, path, &back).status, 400, "{path}");
        assert!(std::fs::read(&list).unwrap() == after, "{path}");
        for secret in [GIVEN, "first-s3cr3t-of-one"] {
            assert_eq!(token(&sidecar, "one", secret), 200, "{path}");
        }
        let secrets = done(at, "GET", "/api/v1/clients/one/secrets", "", 200);
        let id = secrets.as_array().unwrap().iter().find(|secret| secret["id"] != "one_1").unwrap()["id"].clone();
        let told = rotations(&sidecar, 4);
        let unchanged = [json!("unchanged"), Value::Null, id.clone()];
        assert_eq!(told[..3], [[json!("done"), Value::Null, id], unchanged.clone(), unchanged], "{path}: {told:?}");
        assert!(told.contains(&[json!("refused"), json!("same_secret"), Value::Null]), "{path}: {told:?}");
        sidecar.finish(&upstream);
    }
}

#[test]
fn a_step_that_was_taken_is_asked_for_again_though_its_state_is_gone() {
    let upstream = Upstream::start();
    let sidecar = listed().upstream(&upstream).start();
    let at = address(&sidecar);
    let of_two = "/api/v1/apps/two/credentials/secrets";
    let finish = "/admin/clients/two/secrets/rotate?quiet_for=0s";
    for (method, path, statuses) in [
        ("POST", &*format!("{of_two}/two_1/lifecycle/deactivate?quiet_for=0s"), [401, 200]),
        ("POST", &*format!("{of_two}/two_1/lifecycle/activate"), [200, 200]),
        ("DELETE", finish, [401, 200]),
    ] {
        let tag = tag(at, of_two);
        assert_eq!(meant_for(at, "\"of-another-state\"", method, path, "").status, 412, "{path}");
        for what in ["first", "again"] {
            let reply = meant_for(at, &tag, method, path, "");
            assert_eq!(reply.status, 200, "{path}: {what}: {}", String::from_utf8_lossy(&reply.body));
            let found = ["first-s3cr3t-of-two", "second-s3cr3t-of-two"].map(|secret| token(&sidecar, "two", secret));
            assert_eq!(found, statuses, "{path}: {what}");
        }
    }
    sidecar.finish(&upstream);
}

#[test]
fn who_asks_again_has_the_own_answer_though_another_rotated_meanwhile() {
    let upstream = Upstream::start();
    let tokens = entry("admin", ADMIN, "[\"admin\"]", "") + &entry("reader", READER, "[\"update:client_keys\"]", "");
    let list = "[[client]]\nid = \"one\"\nmax_active_secrets = 8\n[[client.secret]]\nid = \"a\"\n\
                hash = \"@SHA256(first-s3cr3t-of-one)@\"\n";
    let sidecar = listed().clients_text(list).file("admin-tokens.toml", &tokens).upstream(&upstream).start();
    let at = address(&sidecar);
    let rotate = |token: &str, path: &str| {
        let reply = ask(at, token, "POST", path, "");
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        plain(&reply.json())
    };
    let (auth0, hydra) = ("/api/v2/clients/one/rotate-secret", "/admin/clients/one/secrets/rotate");
    let (first, other) = (rotate(ADMIN, auth0), rotate(READER, hydra));
    assert_ne!(first, other);
    for _ in 0..2 {
        assert_eq!((rotate(ADMIN, auth0), rotate(READER, hydra)), (first.clone(), other.clone()));
    }
    let listed = ask(at, ADMIN, "GET", "/api/v1/clients/one/secrets", "").json();
    assert_eq!(listed.as_array().unwrap().len(), 3, "{listed}");
    for secret in ["first-s3cr3t-of-one", &first, &other] {
        assert_eq!(token(&sidecar, "one", secret), 200);
    }
    // What is used has arrived: to ask once more is to want one more.
    assert!(![first, other].contains(&rotate(ADMIN, auth0)));
    sidecar.finish(&upstream);
}
