//! The instance: its settings without a secret, its log level, its tokens, its description of itself.

use serde_json::json;

use crate::gate::{ADMIN, READER, address, ask, gated, send};
use crate::support::http::get;
use crate::support::process::relatch;
use crate::support::upstream::Upstream;

#[test]
fn the_settings_in_force_are_shown_without_a_secret() {
    let upstream = Upstream::start();
    let sidecar = gated()
        .client("c2", &["s3cr3t-of-c2"])
        .replaced_by(&["upstream-s3cr3t-of-c2"])
        .config("fleet.redis = \"redis://me:canary-of-redis@127.0.0.1/0\"\nthrottle.failures = 77")
        .env("RELATCH__LIMITS__MAX_CONNECTIONS", "123")
        .canary("canary-of-redis")
        .upstream(&upstream)
        .start();
    let at = address(&sidecar);
    let reply = ask(at, ADMIN, "GET", "/api/v1/config", "");
    let shown = reply.json();
    let one = |pointer: &str| shown.pointer(pointer).cloned().unwrap_or_default();
    for (pointer, value) in [
        ("/throttle/failures", json!(77)),
        ("/limits/max_connections", json!(123)),
        ("/limits/max_header", json!("16KiB")),
        ("/limits/keep_alive", json!("75s")),
        ("/throttle/per", json!("1m")),
        ("/proxy/listen", json!("127.0.0.1:0")),
        ("/upstream/host", json!("preserve")),
        ("/upstream/idle_timeout", json!("auto")),
        ("/clients/max_shrink", json!(0.5)),
        ("/endpoint/0/path", json!("/token")),
        ("/endpoint/0/auth", json!("required")),
        ("/log/level", json!("info")),
        ("/admin/tokens", json!("admin-tokens.toml")),
        ("/fleet/redis", json!("redis://...@127.0.0.1/0")),
    ] {
        assert_eq!(one(pointer), value, "{pointer} of {shown}");
    }
    let text = String::from_utf8(reply.body.clone()).unwrap();
    for canary in sidecar.canaries() {
        assert!(!text.contains(canary), "{text}");
    }
    let known = format!(
        "GET /api/v1/config HTTP/1.1\r\nHost: {at}\r\nAuthorization: Bearer {ADMIN}\r\nIf-None-Match: {}\r\n\r\n",
        reply.header("etag").unwrap()
    );
    assert_eq!(send(at, &known).status, 304);
    assert_eq!(ask(at, READER, "GET", "/api/v1/config", "").status, 403);
    sidecar.finish(&upstream);
}

#[test]
fn the_log_level_changes_at_once_and_for_this_run() {
    let upstream = Upstream::start();
    let sidecar = gated().upstream(&upstream).start();
    let at = address(&sidecar);
    let set = |level: &str| ask(at, ADMIN, "PUT", "/api/v1/log-level", &format!("{{\"level\":\"{level}\"}}"));
    let in_force = || ask(at, ADMIN, "GET", "/api/v1/log-level", "").json();
    assert_eq!(in_force(), json!({"level": "info", "at_start": "info"}));
    let ask_token = |id: &str| {
        let form = "grant_type=client_credentials&client_id=c1&client_secret=first-s3cr3t-of-c1";
        let head = format!("POST /token HTTP/1.1\r\nHost: h\r\nX-Request-Id: {id}\r\nConnection: close\r\n");
        let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
        let mut wire = crate::support::http::Wire::connect(sidecar.proxy());
        wire.send(format!("{head}{kind}Content-Length: {}\r\n\r\n{form}", form.len()).as_bytes());
        assert_eq!(wire.read_reply(false, crate::support::PATIENCE).reply().status, 200);
    };
    ask_token("at-info");
    sidecar.access_line("at-info");
    assert_eq!(set("error").json(), json!({"level": "error", "at_start": "info"}));
    ask_token("at-error");
    assert_eq!(in_force()["level"], "error");
    assert_eq!(set("debug").status, 200);
    ask_token("at-debug");
    sidecar.access_line("at-debug");
    sidecar.wait_log(|line| line["msg"] == "log level" && line["least"] == "debug");
    let told: Vec<_> = sidecar.log_lines().into_iter().filter(|line| line["msg"] == "log level").collect();
    assert_eq!((told.len(), &told[0]["level"], &told[0]["until"]), (2, &"info".into(), &"the next start".into()));
    assert!(!sidecar.log().contains("at-error"), "what is below the level is not written");
    for bad in ["{\"level\":\"loud\"}", "{}", "", "{\"level\":\"info\",\"for\":\"1h\"}", "null"] {
        let reply = ask(at, ADMIN, "PUT", "/api/v1/log-level", bad);
        assert_eq!((reply.status, &reply.json()["error"]), (400, &"invalid".into()), "{bad}");
    }
    assert_eq!(in_force()["level"], "debug");
    sidecar.finish(&upstream);
}

#[test]
fn every_token_shows_its_last_use_and_every_request_is_counted() {
    let upstream = Upstream::start();
    let sidecar = gated().config("throttle.failures = 2\nthrottle.per = \"24h\"").upstream(&upstream).start();
    let at = address(&sidecar);
    let listed = || -> serde_json::Value {
        let ran = relatch(sidecar.dir(), &["token", "list", "-o", "json"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        serde_json::from_str(&ran.out).unwrap()
    };
    assert_eq!((&listed()[0]["name"], &listed()[0]["last_used_at"]), (&"admin".into(), &serde_json::Value::Null));
    assert!(relatch(sidecar.dir(), &["token", "list"]).out.contains("not since the start"));
    assert_eq!(ask(at, READER, "GET", "/api/v1/clients", "").status, 200);
    let after = listed();
    assert!(after[0]["last_used_at"].is_null() && after[1]["last_used_at"].is_string(), "{after}");
    let objects = ask(at, ADMIN, "GET", "/api/v1/tokens", "").json();
    assert_eq!((&objects[0]["name"], &objects[1]["scopes"][0]), (&"admin".into(), &"read:clients".into()), "{objects}");
    assert!(objects[0]["last_used_at"].is_string() && !objects.to_string().contains("sha256"), "{objects}");

    let count = |result: &str| sidecar.metric("relatch_admin_requests_total", &[("result", result)]).unwrap();
    assert_eq!((count("unauthorized"), count("throttled"), count("misdirected")), (0.0, 0.0, 0.0));
    let accepted = count("accepted");
    assert!(accepted >= 2.0, "{accepted}");
    assert_eq!(ask(at, ADMIN, "GET", "/api/v1/clients/nobody", "").status, 404);
    assert_eq!(ask(at, READER, "GET", "/api/v1/config", "").status, 403);
    let statuses: Vec<u16> = (0..3).map(|_| ask(at, "rlt_wrong", "GET", "/api/v1/status", "").status).collect();
    assert_eq!(statuses, [401, 401, 429]);
    assert_eq!(
        send(at, &format!("GET / HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer {ADMIN}\r\n\r\n")).status,
        421
    );
    let told = ["accepted", "forbidden", "unauthorized", "throttled", "misdirected"].map(count);
    assert_eq!(told, [accepted + 1.0, 1.0, 2.0, 1.0, 1.0]);
    sidecar.finish(&upstream);
}

#[test]
fn the_api_describes_itself_as_it_is() {
    let upstream = Upstream::start();
    let sidecar = gated().config("throttle.failures = 1000").upstream(&upstream).start();
    let at = address(&sidecar);
    let reply = ask(at, READER, "GET", "/openapi.json", "");
    let document = reply.json();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{document}");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let head = ask(at, READER, "HEAD", "/openapi.json", "");
    assert_eq!((head.status, head.body.len(), head.header("etag")), (200, 0, reply.header("etag")));
    assert_eq!(head.header("content-type"), Some("application/json"));
    let known = format!(
        "GET /openapi.json HTTP/1.1\r\nHost: {at}\r\nAuthorization: Bearer {READER}\r\nIf-None-Match: {}\r\n\r\n",
        reply.header("etag").unwrap()
    );
    let known = send(at, &known);
    assert_eq!((known.status, known.body.len()), (304, 0));
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.push(operation["operationId"].as_str().unwrap().to_owned());
            let there = path.replace("{id}", "c1").replace("{secret}", "c1_1").replace("{verb}", "activate");
            let reply = ask(at, "rlt_nobody", &method.to_uppercase(), &there, "");
            assert_eq!(reply.status, 401, "{method} {path}");
            if method == "get" {
                assert_eq!(ask(at, ADMIN, "GET", &there, "").status, 200, "{path}");
            }
        }
    }
    let count = operations.len();
    operations.sort();
    operations.dedup();
    assert_eq!(operations.len(), count, "each operation has a name of its own");
    // Nobody else has it.
    assert_eq!(get(sidecar.proxy(), "/openapi.json").status, 404);
    sidecar.finish(&upstream);
}
