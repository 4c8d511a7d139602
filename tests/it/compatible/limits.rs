//! What holds for all of them: scopes, the throttle, lists that may not be written, and secrets that are shown once.

use super::{done, listed, plain, refused, token};
use crate::gate::{ADMIN, READER, address, ask, entry, gated_with, send, send_from};
use crate::support::mounted::mount;
use crate::support::upstream::Upstream;

/// Every route, with the scope that it needs; what is asked is refused for another reason where it would change something.
const ROUTES: [(&str, &str, &str, &str); 15] = [
    ("GET", "/api/v2/clients", "", "read:clients"),
    ("GET", "/api/v2/clients/c1", "", "read:clients"),
    ("HEAD", "/api/v2/clients/c1", "", "read:clients"),
    ("POST", "/api/v2/clients", "{}", "update:clients"),
    ("PATCH", "/api/v2/clients/c1", "{}", "update:clients"),
    ("DELETE", "/api/v2/clients/nobody", "", "update:clients"),
    ("POST", "/api/v2/clients/nobody/rotate-secret", "", "update:client_keys"),
    ("GET", "/api/v1/apps/c1/credentials/secrets", "", "read:clients"),
    ("GET", "/api/v1/apps/c1/credentials/secrets/c1_1", "", "read:clients"),
    ("POST", "/api/v1/apps/nobody/credentials/secrets", "", "update:client_keys"),
    ("DELETE", "/api/v1/apps/nobody/credentials/secrets/c1_1", "", "update:client_keys"),
    ("POST", "/api/v1/apps/nobody/credentials/secrets/c1_1/lifecycle/deactivate", "", "update:client_keys"),
    ("GET", "/admin/clients/c1", "", "read:clients"),
    ("POST", "/admin/clients/nobody/secrets/rotate", "", "update:client_keys"),
    ("DELETE", "/admin/clients/nobody/secrets/rotate", "", "update:client_keys"),
];

#[test]
fn every_route_is_open_to_its_own_scope_and_to_admin_alone() {
    const SCOPES: [&str; 4] = ["read:clients", "update:clients", "update:client_keys", "admin"];
    let upstream = Upstream::start();
    let of = |scope: &str| format!("rlt_token-of-the-scope-{scope}");
    let entry = |scope: &&str| entry(&scope.replace(':', "-"), &of(scope), &format!("[\"{scope}\"]"), "");
    let sidecar = gated_with(&SCOPES.iter().map(entry).collect::<String>()).upstream(&upstream).start();
    let at = address(&sidecar);
    for (method, path, body, needed) in ROUTES {
        for scope in SCOPES {
            let reply = ask(at, &of(scope), method, path, body);
            let open = scope == needed || scope == "admin";
            assert_eq!(reply.status != 403, open, "{scope}: {method} {path}: {}", reply.status);
        }
    }
    // A secret is a key, whatever else the request changes.
    let secret = "{\"client_secret\":\"made-elsewhere-s3cr3t-0123456789\"}";
    let reply = ask(at, &of("update:clients"), "PATCH", "/api/v2/clients/c1", secret);
    assert!(reply.status == 403 && reply.json()["message"].as_str().unwrap().contains("update:client_keys"));
    sidecar.finish(&upstream);
}

#[test]
fn whoever_goes_on_guessing_is_told_to_wait_in_the_words_of_each_and_a_login_is_a_guess() {
    let upstream = Upstream::start();
    let tokens = entry("admin", ADMIN, "[\"admin\"]", "");
    let sidecar = gated_with(&tokens)
        .config("throttle = { failures = 4, per = \"24h\" }")
        .canary(ADMIN)
        .upstream(&upstream)
        .start();
    let at = address(&sidecar);
    let log_in = |source: u8, secret: &str| {
        let form = format!("grant_type=client_credentials&client_id=admin&client_secret={secret}");
        let head =
            format!("POST /oauth/token HTTP/1.1\r\nHost: {at}\r\nContent-Type: application/x-www-form-urlencoded\r\n");
        send_from(source, at, &format!("{head}Content-Length: {}\r\n\r\n{form}", form.len()))
    };
    let wait = |reply: &crate::support::http::Reply| reply.header("retry-after").and_then(|s| s.parse::<u64>().ok());
    for guess in 0..4 {
        assert_eq!(log_in(5, &format!("rlt_guess-{guess}")).status, 401);
    }
    let reply = log_in(5, "rlt_guess-5");
    assert_eq!((reply.status, reply.json()["error"].as_str()), (429, Some("too_many_attempts")));
    assert!(wait(&reply).is_some_and(|seconds| seconds > 0));
    let asked = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\nAuthorization: Bearer rlt_guess\r\n\r\n");
        let reply = send_from(5, at, &request);
        assert!(reply.status == 429 && wait(&reply).is_some(), "{path}: {}", reply.status);
        reply
    };
    let auth0 = asked("/api/v2/clients").json();
    assert!(auth0["errorCode"] == "too_many_requests" && auth0["statusCode"] == 429, "{auth0}");
    assert_eq!(asked("/admin/clients/c1").json()["status_code"], 429);
    let okta = asked("/api/v1/apps/c1/credentials/secrets");
    assert_eq!(okta.json()["errorCode"], "E0000047");
    // Okta's SDKs wait from the answer's date to this time, and give up where either is missing.
    let reset: u64 = okta.header("x-rate-limit-reset").unwrap().parse().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(okta.header("date").is_some() && (now..=now + 24 * 3600).contains(&reset), "{reset} at {now}");
    assert_eq!(log_in(5, ADMIN).status, 200, "who has the token is let in all the same");
    sidecar.finish(&upstream);
}

#[test]
fn a_list_that_may_not_be_written_is_told_with_where_it_is_changed_and_never_with_a_5xx() {
    let upstream = Upstream::start();
    let sidecar = listed().upstream(&upstream).start();
    let at = address(&sidecar);
    mount(&sidecar.dir().join("clients.toml"));
    let given = "{\"client_secret\":\"made-elsewhere-s3cr3t-0123456789\"}";
    for (method, path, body) in [
        ("POST", "/api/v2/clients", "{\"name\":\"x\"}"),
        ("PATCH", "/api/v2/clients/one", given),
        ("DELETE", "/api/v2/clients/one?force=true", ""),
        ("POST", "/api/v2/clients/one/rotate-secret", ""),
        ("POST", "/api/v1/apps/one/credentials/secrets", ""),
        ("POST", "/api/v1/apps/one/credentials/secrets/one_1/lifecycle/deactivate?force=true", ""),
        ("POST", "/api/v1/apps/off/credentials/secrets/off_2/lifecycle/activate", ""),
        ("DELETE", "/api/v1/apps/off/credentials/secrets/off_2", ""),
        ("POST", "/admin/clients/one/secrets/rotate", ""),
        ("DELETE", "/admin/clients/two/secrets/rotate?force=true", ""),
    ] {
        let told = refused(at, method, path, body);
        assert!(told.contains("is mounted by Kubernetes: edit the Secret"), "{method} {path}: {told}");
    }
    let made = ("one", "made-elsewhere-s3cr3t-0123456789", 401);
    let off = ("off", "second-s3cr3t-of-off", 401);
    let good = [("one", "first-s3cr3t-of-one", 200), ("two", "first-s3cr3t-of-two", 200)];
    for (client, secret, status) in good.into_iter().chain([made, off]) {
        assert_eq!(token(&sidecar, client, secret), status, "{client}");
    }
    // What stands so already needs no writing.
    done(at, "PATCH", "/api/v2/clients/one", "{\"client_secret\":\"first-s3cr3t-of-one\"}", 200);
    done(at, "POST", "/api/v1/apps/off/credentials/secrets/off_2/lifecycle/deactivate", "", 200);
    sidecar.finish(&upstream);
}

#[test]
fn what_was_changed_by_hand_and_is_not_in_force_is_not_changed_further() {
    let upstream = Upstream::start();
    let sidecar = listed().upstream(&upstream).start();
    let at = address(&sidecar);
    sidecar.write_clients(&format!("{}\n[[client]]\nid = \"one\"\n", super::LIST));
    for (method, path) in [
        ("POST", "/api/v2/clients/one/rotate-secret"),
        ("POST", "/api/v1/apps/one/credentials/secrets"),
        ("POST", "/admin/clients/one/secrets/rotate"),
        ("DELETE", "/admin/clients/two/secrets/rotate?force=true"),
    ] {
        let told = refused(at, method, path, "");
        assert!(told.contains("the list on disk is not in force"), "{method} {path}: {told}");
    }
    sidecar.write_clients(super::LIST);
    done(at, "POST", "/api/v2/clients/one/rotate-secret", "", 200);
    sidecar.finish(&upstream);
}

#[test]
fn what_was_decided_on_another_state_of_the_client_is_refused_as_stale() {
    let upstream = Upstream::start();
    let sidecar = listed().upstream(&upstream).start();
    let at = address(&sidecar);
    let given = "{\"client_secret\":\"made-elsewhere-s3cr3t-0123456789\"}";
    for (read, method, path, body, key, code) in [
        ("/api/v2/clients/one", "PATCH", "/api/v2/clients/one", given, "errorCode", "stale"),
        (
            "/api/v1/apps/off/credentials/secrets",
            "POST",
            "/api/v1/apps/off/credentials/secrets",
            "",
            "errorCode",
            "E0000001",
        ),
        (
            "/admin/clients/one?tenant=t",
            "POST",
            "/admin/clients/one/secrets/rotate?tenant=t",
            "",
            "error",
            "invalid_request",
        ),
        (
            "/admin/clients/two",
            "DELETE",
            "/admin/clients/two/secrets/rotate?force=true",
            "",
            "error",
            "invalid_request",
        ),
        ("/api/v2/clients/two", "POST", "/api/v2/clients/two/rotate-secret", "", "errorCode", "stale"),
        ("/api/v2/clients/one", "DELETE", "/api/v2/clients/one?force=true", "", "errorCode", "stale"),
    ] {
        let tag = ask(at, ADMIN, "GET", read, "").header("etag").expect("an ETag").to_owned();
        let with = |tag: &str| {
            let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
            let head = format!("{method} {path} HTTP/1.1\r\nHost: {at}\r\nAuthorization: Bearer {ADMIN}\r\n");
            let length = body.len();
            send(at, &format!("{head}If-Match: {tag}\r\n{kind}Content-Length: {length}\r\n\r\n{body}"))
        };
        let before = std::fs::read(sidecar.dir().join("clients.toml")).unwrap();
        let stale = with("\"of-another-state\"");
        let told = String::from_utf8_lossy(&stale.body).into_owned();
        assert_eq!((stale.status, stale.json()[key].as_str()), (412, Some(code)), "{method} {path}: {told}");
        assert!(told.contains("it is not as If-Match says"), "{told}");
        assert!(std::fs::read(sidecar.dir().join("clients.toml")).unwrap() == before, "{method} {path}");
        let done = with(&tag);
        assert!((200..300).contains(&done.status), "{method} {path}: {}", String::from_utf8_lossy(&done.body));
    }
    sidecar.finish(&upstream);
}

#[test]
fn a_secret_is_shown_by_the_answer_that_made_it_and_by_no_read() {
    let upstream = Upstream::start();
    let sidecar = listed().upstream(&upstream).start();
    let at = address(&sidecar);
    let mut shown: Vec<String> = [
        ("POST", "/api/v2/clients/one/rotate-secret", ""),
        ("POST", "/api/v1/apps/off/credentials/secrets", ""),
        ("POST", "/admin/clients/one/secrets/rotate?tenant=t", ""),
    ]
    .map(|(method, path, body)| {
        let reply = ask(at, ADMIN, method, path, body);
        assert!((200..300).contains(&reply.status), "{path}: {}", reply.status);
        plain(&reply.json())
    })
    .to_vec();
    shown.push(plain(&done(at, "POST", "/api/v2/clients", "{\"name\":\"n\",\"client_id\":\"n\"}", 201)));
    for path in [
        "/api/v2/clients",
        "/api/v2/clients/one",
        "/api/v2/clients?tenant=t&include_totals=true",
        "/api/v1/apps/one/credentials/secrets",
        "/api/v1/apps/off/credentials/secrets",
        "/api/v1/apps/off/credentials/secrets/off_1",
        "/api/v1/apps/one/credentials/secrets?tenant=t",
        "/admin/clients/one",
        "/admin/clients/one?tenant=t",
        "/api/v1/clients",
    ] {
        let reply = ask(at, ADMIN, "GET", path, "");
        assert_eq!(reply.status, 200, "{path}");
        let text = String::from_utf8(reply.raw).unwrap();
        let hidden = ["$sha256$", "s3cr3t", ADMIN, READER].into_iter().chain(shown.iter().map(String::as_str));
        hidden.for_each(|hidden| assert!(!text.contains(hidden), "{path} shows {hidden}: {text}"));
    }
    assert!(!send(at, &format!("GET /oauth/token HTTP/1.1\r\nHost: {at}\r\n\r\n")).raw.is_empty());
    for secret in &shown {
        assert!(!sidecar.log().contains(&**secret));
    }
    sidecar.finish(&upstream);
}
