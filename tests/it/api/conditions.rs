//! ETag and If-Match: a change that was decided on another state than the one there is is not made.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use crate::gate::{ADMIN, READER, address, ask, gated, send};
use crate::support::http::{Method, Reply, token_post};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;

const C1: &str = "/api/v1/clients/c1";

/// With `If-Match`.
#[track_caller]
fn change(at: SocketAddr, tag: &str, method: &str, path: &str, body: &str) -> Reply {
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: {at}\r\nAuthorization: Bearer {ADMIN}\r\nIf-Match: {tag}\r\n");
    let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    send(at, &format!("{head}{kind}Content-Length: {}\r\n\r\n{body}", body.len()))
}

#[track_caller]
fn tag(at: SocketAddr, path: &str) -> String {
    let reply = ask(at, READER, "GET", path, "");
    assert_eq!(reply.status, 200, "{path}");
    reply.header("etag").unwrap_or_else(|| panic!("{path} has no ETag")).to_owned()
}

#[test]
fn a_tag_stands_for_what_is_configured_and_not_for_uses() {
    let upstream = Upstream::start();
    let sidecar = gated().client("c2", &["first-s3cr3t-of-c2"]).upstream(&upstream).start();
    let at = address(&sidecar);
    let before = tag(at, C1);
    for path in ["/secrets", "/secrets/c1_1"] {
        assert_eq!(tag(at, &format!("{C1}{path}")), before, "one tag a client");
    }
    assert_eq!(ask(at, READER, "HEAD", C1, "").header("etag"), Some(&*before));
    assert_ne!(tag(at, "/api/v1/clients/c2"), before);
    let (list, other) = (tag(at, "/api/v1/clients"), tag(at, "/api/v1/clients/c2"));

    assert_eq!(token_post(sidecar.proxy(), Method::Basic, "c1", "first-s3cr3t-of-c1").status, 200);
    let shown = ask(at, READER, "GET", C1, "");
    assert_eq!(shown.json()["secrets"][0]["use_count"], 1);
    assert_eq!((shown.header("etag"), tag(at, "/api/v1/clients")), (Some(&*before), list.clone()), "it was only used");
    let known =
        format!("GET {C1} HTTP/1.1\r\nHost: {at}\r\nAuthorization: Bearer {READER}\r\nIf-None-Match: {before}\r\n\r\n");
    assert_eq!(send(at, &known).status, 200, "what moves with uses is not kept from whoever asks");

    let named = ask(at, ADMIN, "PATCH", C1, "{\"name\":\"One\"}");
    let after = tag(at, C1);
    assert_eq!((named.status, named.header("etag")), (200, Some(&*after)), "an answer carries the new one");
    assert_ne!(after, before);
    assert_ne!(tag(at, "/api/v1/clients"), list);
    assert_eq!(tag(at, "/api/v1/clients/c2"), other, "nothing was changed of the other");

    // Another secret under the same name is another state.
    let file = sidecar.dir().join("clients.toml");
    let digest = |secret: &str| crate::support::bytes::sha256_record(secret.as_bytes());
    let text = fs::read_to_string(&file).unwrap();
    sidecar.write_clients(&text.replace(&digest("first-s3cr3t-of-c1"), &digest("another-s3cr3t-of-c1")));
    assert_eq!(ask(at, ADMIN, "POST", "/-/reload", "{}").status, 200);
    assert_ne!(tag(at, C1), after);
    sidecar.finish(&upstream);
}

#[test]
fn a_write_on_a_stale_state_is_refused_and_changes_nothing() {
    let upstream = Upstream::start();
    let sidecar = gated().client("c2", &["first-s3cr3t-of-c2"]).upstream(&upstream).start();
    let at = address(&sidecar);
    let file = sidecar.dir().join("clients.toml");
    let stale = (tag(at, C1), tag(at, "/api/v1/clients"));
    assert_eq!(ask(at, ADMIN, "PATCH", C1, "{\"name\":\"changed\"}").status, 200);
    let list = fs::read(&file).unwrap();
    let step = |verb: &str| format!("{C1}/secrets/c1_1/lifecycle/{verb}");
    for (method, path, body) in [
        ("POST", "/api/v1/clients".to_owned(), "{\"id\":\"c3\"}"),
        ("PATCH", C1.to_owned(), "{\"enabled\":false,\"force\":true}"),
        ("DELETE", format!("{C1}?force=true"), ""),
        ("POST", format!("{C1}/secrets"), "{}"),
        ("POST", step("deactivate"), "{\"force\":true}"),
        ("POST", step("expire"), "{\"force\":true}"),
        ("POST", step("revoke"), "{\"force\":true}"),
        ("POST", format!("{C1}/rotate"), "{}"),
        ("POST", "/api/v1/rotate".to_owned(), "{\"clients\":[\"c1\"]}"),
    ] {
        for tag in [&*stale.0, &stale.1, "\"none\"", "none", ""] {
            let reply = change(at, tag, method, &path, body);
            let told = reply.json();
            assert_eq!(
                (reply.status, &told["error"], &told["exit"]),
                (412, &"stale".into(), &3.into()),
                "{method} {path}"
            );
            assert!(told["message"].as_str().unwrap().contains("Nothing was changed"), "{told}");
        }
        let weak = format!("W/{}", tag(at, C1));
        assert_eq!(change(at, &weak, method, &path, body).status, 412, "a weak tag: {method} {path}");
    }
    assert_eq!(fs::read(&file).unwrap(), list);
    assert_eq!(token_post(sidecar.proxy(), Method::Basic, "c1", "first-s3cr3t-of-c1").status, 200);
    let missing = change(at, &stale.0, "DELETE", "/api/v1/clients/nobody", "");
    assert_eq!(missing.status, 404, "what is not there has no state");

    // The tag of each answer is good for the next change; so is * and none at all.
    let named = change(at, &tag(at, C1), "PATCH", C1, "{\"max_active_secrets\":4}");
    assert_eq!((named.status, &named.json()["max_active_secrets"]), (200, &4.into()));
    let added = change(at, named.header("etag").unwrap(), "POST", &format!("{C1}/secrets"), "{}");
    assert_eq!(added.status, 201);
    let place = added.header("location").unwrap().to_owned();
    assert_eq!(ask(at, READER, "GET", &place, "").json()["id"], added.json()["id"]);
    let both = format!("\"x\", {}", added.header("etag").unwrap());
    let off = change(at, &both, "POST", &format!("{place}/lifecycle/deactivate"), "{\"force\":true}");
    assert_eq!((off.status, &off.json()["status"]), (200, &"disabled".into()));
    assert_eq!(change(at, "*", "POST", &format!("{place}/lifecycle/activate"), "").status, 200);
    let made = change(at, &tag(at, "/api/v1/clients"), "POST", "/api/v1/clients", "{\"id\":\"c/3\"}");
    assert_eq!((made.status, made.header("location")), (201, Some("/api/v1/clients/c%2F3")));
    assert_eq!(made.header("etag"), Some(&*tag(at, "/api/v1/clients/c%2F3")));
    assert_eq!(
        change(at, made.header("etag").unwrap(), "DELETE", "/api/v1/clients/c%2F3", "").status,
        409,
        "last usable"
    );
    assert_eq!(change(at, made.header("etag").unwrap(), "DELETE", "/api/v1/clients/c%2F3?force=true", "").status, 204);
    sidecar.finish(&upstream);
}

#[test]
fn a_retried_rotation_has_its_answer_though_its_state_is_gone() {
    let upstream = Upstream::start();
    let sidecar = gated().upstream(&upstream).start();
    let at = address(&sidecar);
    for (path, body, of) in
        [(format!("{C1}/rotate"), "{}", C1), ("/api/v1/rotate".to_owned(), "{\"clients\":[\"c1\"]}", "/api/v1/clients")]
    {
        let tag = tag(at, of);
        let plain = |reply: &Reply| {
            let answer = reply.json();
            let object = if answer["results"].is_array() { &answer["results"][0]["secret"] } else { &answer };
            object["client_secret"].as_str().map(str::to_owned)
        };
        let first = change(at, &tag, "POST", &path, body);
        let again = change(at, &tag, "POST", &path, body);
        assert_eq!((first.status, again.status), (200, 200), "{path}");
        assert!(plain(&first).is_some() && plain(&first) == plain(&again), "{path}");
    }
    sidecar.finish(&upstream);
}

#[test]
fn a_client_is_described_anew_without_its_secrets() {
    let upstream = Upstream::start();
    let sidecar = gated().upstream(&upstream).start();
    let at = address(&sidecar);
    let patch = |body: &str| ask(at, ADMIN, "PATCH", C1, body);
    let all = patch("{\"name\":\"Café \\\"one\\\"\",\"max_active_secrets\":5,\"enabled\":false,\"force\":true}").json();
    assert_eq!((&all["name"], &all["max_active_secrets"]), (&"Café \"one\"".into(), &5.into()), "{all}");
    assert_eq!(all["enabled"], false);
    assert_eq!(token_post(sidecar.proxy(), Method::Basic, "c1", "first-s3cr3t-of-c1").status, 401);
    let back = patch("{\"name\":\"\",\"enabled\":true}").json();
    assert_eq!((&back["name"], &back["max_active_secrets"], &back["enabled"]), (&"".into(), &5.into(), &true.into()));
    assert_eq!(token_post(sidecar.proxy(), Method::Basic, "c1", "first-s3cr3t-of-c1").status, 200);
    let off = patch("{\"name\":\"never\",\"enabled\":false}");
    assert_eq!((off.status, patch("{}").json()["name"].as_str()), (409, Some("")), "all of it or nothing");
    for bad in
        ["{\"max_active_secrets\":0}", "{\"max_active_secrets\":9}", "{\"max_active_secrets\":-1}", "{\"id\":\"x\"}"]
    {
        assert_eq!(patch(bad).status, 400, "{bad}");
    }
    sidecar.finish(&upstream);
}

/// What becomes of a request when somebody else, who holds the lock of the list's folder as a command does, changes the
/// list after the request was looked at and before it is its turn to write.
fn overtaken(sidecar: &Sidecar, edit: impl Fn(&str) -> String, request: impl Fn() -> Reply + Send + Sync) -> Reply {
    let file = sidecar.dir().join("clients.toml");
    let folder = fs::File::open(sidecar.dir()).unwrap();
    folder.lock().unwrap();
    std::thread::scope(|scope| {
        let asked = scope.spawn(&request);
        // Time for it to come to the lock. Where it comes later nothing is lost but the point of the test.
        std::thread::sleep(Duration::from_millis(300));
        let temporary = sidecar.dir().join(".editor");
        fs::write(&temporary, edit(&fs::read_to_string(&file).unwrap())).unwrap();
        fs::rename(&temporary, &file).unwrap();
        folder.unlock().unwrap();
        asked.join().unwrap()
    })
}

#[test]
fn what_somebody_else_writes_before_it_is_our_turn_is_put_in_force_first_with_its_guards() {
    let upstream = Upstream::start();
    let clients = ["c2", "c3", "c4"];
    let gated = clients.iter().fold(gated(), |gated, id| gated.client(id, &[&format!("first-s3cr3t-of-{id}")]));
    let sidecar = gated.upstream(&upstream).start();
    let at = address(&sidecar);
    let list = || fs::read_to_string(sidecar.dir().join("clients.toml")).unwrap();
    let named = |name: &'static str| {
        move |text: &str| text.replacen("id = \"c1\"", &format!("id = \"c1\"\nname = \"{name}\""), 1)
    };

    // Of another client: both stand.
    let before = tag(at, C1);
    let other = |text: &str| text.replacen("id = \"c2\"", "id = \"c2\"\nname = \"by hand\"", 1);
    let reply = overtaken(&sidecar, other, || change(at, &before, "PATCH", C1, "{\"max_active_secrets\":3}"));
    assert_eq!((reply.status, &reply.json()["max_active_secrets"]), (200, &3.into()), "{}", reply.json());
    assert_eq!(ask(at, READER, "GET", "/api/v1/clients/c2", "").json()["name"], "by hand");

    // Of this one: it is not in the state that was decided on.
    let before = tag(at, C1);
    let reply = overtaken(&sidecar, named("one"), || change(at, &before, "PATCH", C1, "{\"max_active_secrets\":4}"));
    assert_eq!((reply.status, &reply.json()["error"]), (412, &"stale".into()), "{}", reply.json());
    let shown = ask(at, READER, "GET", C1, "").json();
    assert_eq!((&shown["name"], &shown["max_active_secrets"]), (&"one".into(), &3.into()), "{shown}");

    // A list that a reload would refuse or hold is not published under the cover of our change.
    for (edit, word) in [
        ((|text: &str| text.split("[[client]]\nid = \"c2\"").next().unwrap().to_owned()) as fn(&str) -> String, "held"),
        (|text: &str| text.replacen("id = \"c3\"", "id = \"c2\"", 1), "refused"),
    ] {
        let good = list();
        let reply = overtaken(&sidecar, edit, || ask(at, ADMIN, "POST", &format!("{C1}/secrets"), "{}"));
        let told = reply.json();
        assert_eq!((reply.status, &told["error"]), (409, &"list_not_in_force".into()), "{told}");
        assert!(told["message"].as_str().unwrap().contains(word), "{told}");
        assert_eq!(list(), edit(&good), "and nothing was written over it");
        assert_eq!(token_post(sidecar.proxy(), Method::Basic, "c4", "first-s3cr3t-of-c4").status, 200);
        sidecar.write_clients(&good);
        assert_eq!(ask(at, ADMIN, "POST", "/-/reload", "{}").status, 200);
    }
    sidecar.finish(&upstream);
}
