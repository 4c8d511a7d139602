//! `[metadata]`: the document goes through, and names us where we stand before an endpoint.

use serde_json::{Value, json};

use super::{OPENID, RFC_8414, document};
use crate::support::PATIENCE;
use crate::support::http::{Method, Reply, Wire, token_post};
use crate::support::process::relatch;
use crate::support::setup::Setup;
use crate::support::sidecar::Sidecar;
use crate::support::upstream::{Answer, Upstream};

const SECRET: &str = "right-s3cr3t";

fn guard(upstream: &Upstream, more: &str) -> Setup {
    let config = format!(
        r#"
        metadata.paths = ["{RFC_8414}", "{OPENID}", "/realms/{{tenant}}{OPENID}"]
        endpoint = [
            {{ path = "/token" }},
            {{ path = "/oauth/revoke", upstream_path = "/revoke" }},
            {{ path = "/realms/{{tenant}}/token" }},
        ]
        {more}
        "#
    );
    Sidecar::guard().client("c1", &[SECRET]).config(&config).upstream(upstream)
}

/// Asks by a method for a path at a Host, with headers.
#[track_caller]
fn ask(sidecar: &Sidecar, method: &str, path: &str, host: &str, headers: &str) -> Reply {
    let mut wire = Wire::connect(sidecar.proxy());
    wire.send(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n").as_bytes());
    wire.read_reply(method == "HEAD", PATIENCE).reply()
}

const BASE: &str = "metadata.base = \"https://login.test/auth/\"";

#[test]
fn the_endpoints_that_we_stand_before_are_ours_and_the_rest_is_as_it_was_written() {
    let upstream = Upstream::start();
    let theirs =
        document("https://as.test", &json!({"mtls_endpoint_aliases": {"token_endpoint": "https://as.test/token"}}));
    let answer = Answer::json(200, &theirs).with("ETag", "\"1\"").with("Access-Control-Allow-Origin", "*");
    upstream.answer(answer);
    let sidecar = guard(&upstream, BASE).start();
    let headers = "Accept: application/json\r\nAccept-Encoding: gzip, br\r\nAuthorization: Basic YTpi\r\nCookie: a=b\r\n\
                   Origin: https://page.test\r\nDPoP: x\r\nIf-None-Match: \"1\"\r\nX-Request-Id: doc-1\r\n";
    let reply = ask(&sidecar, "GET", RFC_8414, "anything.test", headers);
    assert_eq!(reply.status, 200);
    let ours = reply.json();
    for (member, url) in [
        ("issuer", "https://as.test"),
        ("authorization_endpoint", "https://as.test/authorize"),
        ("token_endpoint", "https://login.test/auth/token"),
        ("revocation_endpoint", "https://login.test/auth/oauth/revoke"),
        ("introspection_endpoint", "https://as.test/introspect"),
        ("jwks_uri", "https://as.test/jwks"),
    ] {
        assert_eq!(ours[member], url);
    }
    assert_eq!(ours["mtls_endpoint_aliases"]["token_endpoint"], "https://login.test/auth/token");
    let order = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(order(&ours), order(&serde_json::from_str(&theirs).unwrap()));
    assert_eq!(reply.all("content-length"), [reply.body.len().to_string()]);
    assert_eq!((reply.header("etag"), reply.header("cache-control")), (None, Some("no-store")));
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));

    let seen = &upstream.seen()[0];
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", RFC_8414));
    for name in ["accept-encoding", "authorization", "cookie", "dpop", "if-none-match", "content-length"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_eq!((seen.header("accept"), seen.header("origin")), (Some("application/json"), Some("https://page.test")));

    // It has a label of its own, and a line like any other.
    let labels = [("endpoint", RFC_8414), ("code", "200"), ("method", "GET")];
    sidecar.wait_metric("relatch_http_requests_total", &labels, |count| count == 1.0);
    assert_eq!(sidecar.access_line("doc-1")["endpoint"], RFC_8414);
    assert_eq!(token_post(sidecar.proxy(), Method::Basic, "c1", SECRET).status, 200);
    sidecar.finish(&upstream);
}

#[test]
fn head_says_the_length_of_ours_and_a_preflight_is_the_upstreams_to_answer() {
    let upstream = Upstream::start();
    upstream.answer(Answer::json(200, &document("https://as.test", &json!({}))));
    let sidecar = guard(&upstream, BASE).start();
    let (head, get) = (ask(&sidecar, "HEAD", OPENID, "a", ""), ask(&sidecar, "GET", OPENID, "a", ""));
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.all("content-length"), get.all("content-length"));
    assert_ne!(get.all("content-length"), [document("https://as.test", &json!({})).len().to_string()]);

    upstream.answer(Answer::RawThenClose(
        b"HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: https://page.test\r\n\r\n".to_vec(),
    ));
    let headers = "Origin: https://page.test\r\nAccess-Control-Request-Method: GET\r\n";
    let preflight = ask(&sidecar, "OPTIONS", OPENID, "a", headers);
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (204, Some("https://page.test")));
    let seen = upstream.seen();
    let asked: Vec<_> = seen.iter().map(|seen| (seen.method.as_str(), seen.target.as_str())).collect();
    assert_eq!(asked, [("GET", OPENID), ("GET", OPENID), ("OPTIONS", OPENID)]);
    assert_eq!(seen[2].header("access-control-request-method"), Some("GET"));
    sidecar.finish(&upstream);
}

#[test]
fn a_tenants_document_names_the_tenants_endpoint() {
    let upstream = Upstream::start();
    upstream.answer_by(|seen| {
        let realm = seen.target.strip_suffix(OPENID).unwrap();
        Answer::json(200, &document(&format!("https://as.test{realm}"), &json!({})))
    });
    let sidecar = guard(&upstream, BASE).start();
    for tenant in ["shop", "bank"] {
        let ours = ask(&sidecar, "GET", &format!("/realms/{tenant}{OPENID}"), "a", "").json();
        assert_eq!(ours["token_endpoint"], format!("https://login.test/auth/realms/{tenant}/token"));
        assert_eq!(ours["revocation_endpoint"], format!("https://as.test/realms/{tenant}/revoke"));
    }
    for path in ["/realms/%73hop/.well-known/openid-configuration", "/.well-known/openid-configuration/", "/jwks"] {
        assert_eq!(ask(&sidecar, "GET", path, "a", "").status, 404, "{path}");
    }
    for (method, path) in [("GET", "/.well-known/openid-configuration?a=b"), ("DELETE", OPENID)] {
        assert_eq!(ask(&sidecar, method, path, "a", "").status, 404, "{method} {path}");
    }
    assert_eq!(ask(&sidecar, "GET", "/token", "a", "").status, 405);
    assert_eq!(upstream.count(), 2);
    sidecar.finish(&upstream);
}

#[test]
fn without_a_base_the_callers_host_is_ours_and_a_forged_one_is_421() {
    let upstream = Upstream::start();
    upstream.answer(Answer::json(200, &document("https://as.test", &json!({}))));
    let config =
        "upstream.allowed_hosts = [\"login.test\", \"login.test:8443\"]\nproxy.trusted_proxies = [\"127.0.0.2\"]";
    let sidecar = guard(&upstream, config).start();
    for (host, base) in [("login.test", "http://login.test"), ("LOGIN.test:8443", "http://LOGIN.test:8443")] {
        let ours = ask(&sidecar, "GET", OPENID, host, "X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.test\r\n");
        assert_eq!(ours.json()["token_endpoint"], format!("{base}/token"), "{host}");
    }
    for host in ["evil.test", "login.test.evil", "login.test:666", "login.test@evil.test"] {
        let reply = ask(&sidecar, "GET", OPENID, host, "");
        assert_eq!(reply.status, if host.contains('@') { 400 } else { 421 }, "{host}");
    }
    let behind = |said: &str| {
        let mut wire = Wire::connect_from(2, sidecar.proxy());
        let head = format!(
            "GET {OPENID} HTTP/1.1\r\nHost: login.test\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: {said}"
        );
        wire.send(format!("{head}\r\n\r\n").as_bytes());
        wire.read_reply(false, PATIENCE).reply()
    };
    assert_eq!(behind("login.test").json()["token_endpoint"], "https://login.test/token");
    assert_eq!(behind("evil.test").status, 421);
    assert_eq!(behind("login.test:666").status, 421);
    assert_eq!(upstream.count(), 3);
    sidecar.finish(&upstream);
}

#[test]
fn what_is_no_document_is_a_502_and_another_status_passes_byte_for_byte() {
    let upstream = Upstream::start();
    let sidecar = guard(&upstream, BASE).start();
    let large = document("https://as.test", &json!({"x": "y".repeat(256 << 10)}));
    let gzip = Answer::json(200, "\u{1f}gzipped").with("Content-Encoding", "gzip");
    let bad =
        [Answer::json(200, "<html>"), Answer::json(200, "[]"), Answer::json(200, ""), Answer::json(200, &large), gzip];
    for (number, answer) in (1..).zip(bad) {
        upstream.answer(answer);
        let reply = ask(&sidecar, "GET", OPENID, "a", "");
        assert_eq!((reply.status, reply.json()["error"].as_str()), (502, Some("server_error")), "{number}");
        let protocol = [("kind", "protocol")];
        sidecar.wait_metric("relatch_upstream_errors_total", &protocol, |count| count == f64::from(number));
    }
    let body = "{ \"token_endpoint\" : \"https://as.test/token\",\n }";
    for status in [404, 500, 301] {
        upstream.answer(Answer::json(status, body).with("ETag", "\"1\"").with("Location", "https://as.test/token"));
        let reply = ask(&sidecar, "GET", OPENID, "a", "");
        assert_eq!((reply.status, reply.body.as_slice()), (status, body.as_bytes()));
        assert_eq!((reply.header("etag"), reply.header("location")), (Some("\"1\""), Some("https://as.test/token")));
    }
    // To HEAD the same without it, and the connection goes on.
    let mut wire = Wire::connect(sidecar.proxy());
    for _ in 0..2 {
        wire.send(format!("HEAD {OPENID} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        let reply = wire.read_reply(true, PATIENCE).reply();
        assert_eq!((reply.status, reply.header("content-length")), (301, Some(body.len().to_string().as_str())));
    }
    // One that writes the Host by which it was asked, whatever its issuer.
    upstream.answer_by(|seen| {
        let host = seen.header("host").unwrap();
        Answer::json(200, &format!(r#"{{"issuer":"https://as.test","token_endpoint":"https://{host}/token"}}"#))
    });
    assert_eq!(ask(&sidecar, "GET", OPENID, "a:81", "").json()["token_endpoint"], "https://login.test/auth/token");
    // A document in which nothing is ours: not a byte of it changes.
    let theirs = "{ \"issuer\":\"https://as.test\" ,\t\"n\" : 1.0 }";
    upstream.answer(Answer::json(200, theirs).with("ETag", "\"1\""));
    let reply = ask(&sidecar, "GET", OPENID, "a", "");
    assert_eq!((reply.status, reply.body.as_slice(), reply.header("etag")), (200, theirs.as_bytes(), Some("\"1\"")));
    sidecar.finish(&upstream);
}

#[test]
fn an_address_that_anybody_could_forge_is_refused_before_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let least = "[upstream]\nurl = \"http://127.0.0.1:9\"\n[clients]\npath = \"clients.toml\"\n";
    std::fs::write(dir.path().join("clients.toml"), "").unwrap();
    let settings = format!("{least}[metadata]\npaths = [\"{OPENID}\"]\n");
    std::fs::write(dir.path().join("relatch.toml"), settings).unwrap();
    let ran = relatch(dir.path(), &["config", "check"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{}", ran.err);
    assert!(ran.err.contains("metadata.base: is missing") && ran.err.contains("allowed_hosts"), "{}", ran.err);
}
