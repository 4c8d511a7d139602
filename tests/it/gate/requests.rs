//! What gets in, and what does not.

use crate::support::PATIENCE;
use crate::support::http::{Wire, get};
use crate::support::upstream::Upstream;

use super::{ADMIN, READER, address, ask, entry, gated, gated_with, send, send_from};

#[test]
fn who_has_no_good_token_is_told_the_same_whatever_is_asked() {
    let upstream = Upstream::start();
    let tokens = entry("admin", ADMIN, "\"admin\"", "")
        + &entry("old", "rlt_expired-token-of-the-test", "\"admin\"", "expires = 2020-01-01T00:00:00Z");
    let sidecar = gated_with(&tokens).canary(ADMIN).config("throttle.failures = 1000").upstream(&upstream).start();
    let at = address(&sidecar);
    let mut answers = Vec::new();
    for authorization in [
        "",
        "Authorization:\r\n",
        "Authorization: Bearer\r\n",
        "Authorization: Bearer rlt_wrong-token-of-the-test\r\n",
        "Authorization: Bearer rlt_expired-token-of-the-test\r\n",
        &format!("Authorization: Bearer {}\r\n", &ADMIN[..ADMIN.len() - 1]),
        &format!("Authorization: Bearer {ADMIN}x\r\n"),
        &format!("Authorization: Basic {ADMIN}\r\n"),
        &format!("Authorization: {ADMIN}\r\n"),
        &format!("Authorization: Bearer {ADMIN}\r\nAuthorization: Bearer {ADMIN}\r\n"),
        &format!("X-Authorization: Bearer {ADMIN}\r\n"),
        &format!("Cookie: token={ADMIN}\r\n"),
    ] {
        for line in
            ["GET /api/v1/clients", "GET /nowhere", "POST /api/v1/status", "DELETE /api/v1/clients/c1", "GET /../x"]
        {
            let query = if authorization.is_empty() { format!("?access_token={ADMIN}") } else { String::new() };
            let reply = send(at, &format!("{line}{query} HTTP/1.1\r\nHost: {at}\r\n{authorization}\r\n"));
            assert_eq!((reply.status, reply.all("www-authenticate")), (401, vec!["Bearer"]), "{line} {authorization}");
            answers.push(reply.without_date());
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "one answer for every reason why");
    assert_eq!(ask(at, ADMIN, "GET", "/api/v1/clients/c1", "").status, 200);
    let scheme = format!("GET /api/v1/status HTTP/1.1\r\nHost: {at}\r\nauthorization: bEARER {ADMIN}\r\n\r\n");
    assert_eq!(send(at, &scheme).status, 200);
    // Neither port serves what the other has.
    assert_eq!(ask(at, ADMIN, "POST", "/token", "{}").status, 404);
    assert_eq!(get(sidecar.proxy(), "/api/v1/clients").status, 404);
    assert_eq!(get(sidecar.telemetry(), "/api/v1/clients").status, 404);
    sidecar.finish(&upstream);
}

#[test]
fn guessing_is_slowed_by_address_and_a_right_token_is_never_refused() {
    let upstream = Upstream::start();
    let sidecar = gated().config("throttle.failures = 3\nthrottle.per = \"24h\"").upstream(&upstream).start();
    let at = address(&sidecar);
    let guess =
        |source| send_from(source, at, &format!("GET / HTTP/1.1\r\nHost: {at}\r\nAuthorization: Bearer x\r\n\r\n"));
    let statuses: Vec<u16> = (0..5).map(|_| guess(7).status).collect();
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    assert!(guess(7).header("retry-after").and_then(|seconds| seconds.parse::<u32>().ok()).is_some_and(|s| s > 0));
    assert_eq!(guess(8).status, 401, "another address");
    let right = format!("GET /api/v1/status HTTP/1.1\r\nHost: {at}\r\nAuthorization: Bearer {READER}\r\n\r\n");
    assert_eq!(send_from(7, at, &right).status, 200);
    let refused = sidecar.log_lines().into_iter().filter(|line| line["msg"] == "an admin token was refused").count();
    assert_eq!(refused, 4, "a guesser does not fill the log");
    sidecar.finish(&upstream);
}

#[test]
fn a_page_in_a_browser_can_do_nothing_even_with_a_token() {
    let upstream = Upstream::start();
    let sidecar =
        gated().config("admin.allowed_hosts = [\"Admin.Internal\", \"a.test:9465\"]").upstream(&upstream).start();
    let at = address(&sidecar);
    let port = at.port();
    let status = |line: &str, host: &str, headers: &str| {
        let request = format!("{line} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {ADMIN}\r\n{headers}\r\n");
        send(at, &request).status
    };
    for (host, expected) in [
        (format!("127.0.0.1:{port}"), 200),
        (format!("LOCALHOST:{port}"), 200),
        (format!("[::1]:{port}"), 200),
        ("admin.internal".to_owned(), 200),
        (format!("admin.internal:{port}"), 200),
        ("a.test:9465".to_owned(), 200),
        ("a.test".to_owned(), 421),
        (format!("evil.example:{port}"), 421),
        (format!("127.0.0.1.evil.example:{port}"), 421),
        (format!("evil.example@127.0.0.1:{port}"), 421),
        ("127.0.0.1".to_owned(), 421),
        ("127.0.0.1:1".to_owned(), 421),
        (String::new(), 421),
        (format!("127.0.0.1:{port}\r\nHost: evil.example"), 421),
    ] {
        assert_eq!(status("GET /api/v1/status", &host, ""), expected, "{host}");
    }
    assert_eq!(status("GET http://evil.example/api/v1/status", &at.to_string(), ""), 421);

    let (host, rotate) = (at.to_string(), "POST /api/v1/clients/c1/rotate");
    for (line, headers, expected) in [
        (rotate, "Origin: https://evil.example\r\n", 403),
        (rotate, "Origin: null\r\n", 403),
        (rotate, &*format!("Origin: http://{at}\r\n"), 403),
        (rotate, "Sec-Fetch-Site: cross-site\r\n", 403),
        (rotate, "sec-fetch-site: same-site\r\n", 403),
        ("GET /api/v1/status", "Sec-Fetch-Site: cross-site\r\n", 403),
        ("GET /api/v1/status", "Sec-Fetch-Site: none\r\n", 200),
        ("OPTIONS /api/v1/clients", "Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n", 403),
        (rotate, "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", 415),
        (rotate, "Content-Type: application/x-www-form-urlencoded\r\n", 415),
        (rotate, "Content-Length: 2\r\n\r\n{}", 415),
    ] {
        assert_eq!(status(line, &host, headers), expected, "{line} {headers}");
    }
    for line in ["GET /api/v1/clients/c1/rotate", "HEAD /api/v1/rotate", "GET /-/reload", "PUT /api/v1/clients"] {
        let reply = send(at, &format!("{line} HTTP/1.1\r\nHost: {at}\r\nAuthorization: Bearer {ADMIN}\r\n\r\n"));
        let allow = reply.header("allow").unwrap_or_default().to_owned();
        assert!(reply.status == 405 && allow.contains("POST"), "{line}: {} {allow:?}", reply.status);
    }
    let secrets = ask(at, ADMIN, "GET", "/api/v1/clients/c1/secrets", "").json();
    assert_eq!(secrets.as_array().unwrap().len(), 1, "nothing was changed");
    sidecar.finish(&upstream);
}

#[test]
fn requests_are_bounded_and_say_one_thing() {
    let upstream = Upstream::start();
    let sidecar = gated().upstream(&upstream).start();
    let at = address(&sidecar);
    let deep = |depth: usize| format!("{{\"name\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(64 << 10));
    for (body, expected, word) in [
        (deep(40), 400, "too deep"),
        (deep(10_000), 400, "too deep"),
        ("{\"force\":false,\"force\":true}".to_owned(), 400, "twice"),
        ("{\"force\":\"canary-in-a-body\"}".to_owned(), 400, "wrong kind"),
        ("{\"name\":\"canary".to_owned(), 400, "not valid JSON"),
        (large, 413, "larger"),
    ] {
        let reply = ask(at, ADMIN, "POST", "/api/v1/clients/c1/rotate", &body);
        let text = String::from_utf8(reply.body.clone()).unwrap();
        assert!(reply.status == expected && text.contains(word) && !text.contains("canary"), "{} {text}", reply.status);
    }
    // Told before it is sent.
    let head = |token: &str| {
        format!(
            "POST /api/v1/rotate HTTP/1.1\r\nHost: {at}\r\nAuthorization: Bearer {token}\r\nContent-Type: \
             application/json\r\nContent-Length: 10485760\r\n\r\n"
        )
    };
    assert_eq!(send(at, &head("nobody")).status, 401);
    assert_eq!(send(at, &head(ADMIN)).status, 413);
    for path in [
        "/ui/..%2f..%2fetc/passwd",
        "/..%2f..%2fetc/passwd",
        "/../../etc/passwd",
        "/api/v1/../../etc/passwd",
        "/api/v1/clients/..%2f..%2fetc%2fpasswd",
        "/api/v1/clients/",
        "//api/v1/clients",
        "/API/V1/CLIENTS",
        "/api/v1/clients%2fc1",
        "/",
    ] {
        let reply = ask(at, ADMIN, "GET", path, "");
        assert_eq!(
            (reply.status, &reply.json()["error"] == "not_found" || path.contains("%2f")),
            (404, true),
            "{path}"
        );
    }
    sidecar.finish(&upstream);
}

#[test]
fn who_sits_on_connections_keeps_nobody_out() {
    let upstream = Upstream::start();
    let sidecar = gated().upstream(&upstream).start();
    let at = address(&sidecar);
    let mut idle: Vec<Wire> = (0..40).map(|_| Wire::connect(at)).collect();
    idle.iter_mut().for_each(|wire| wire.send(b"GET /api/v1/status HTTP/1.1\r\n"));
    assert_eq!(ask(at, READER, "GET", "/api/v1/status", "").status, 200);
    assert!(idle[0].closed_within(PATIENCE), "the oldest made room");
    sidecar.finish(&upstream);
}

#[test]
fn what_is_shown_holds_no_secret_but_one_that_was_just_made() {
    let upstream = Upstream::start();
    let sidecar = gated().upstream(&upstream).start();
    let at = address(&sidecar);
    let made = ask(at, ADMIN, "POST", "/api/v1/clients/c1/secrets", "{}");
    assert_eq!(made.status, 201);
    let secret = made.json()["client_secret"].as_str().unwrap().to_owned();
    let id = made.json()["id"].as_str().unwrap().to_owned();
    for path in [
        "/api/v1/clients",
        "/api/v1/clients/c1",
        "/api/v1/clients/c1/secrets",
        &format!("/api/v1/clients/c1/secrets/{id}"),
        "/api/v1/status",
        "/openapi.json",
    ] {
        let reply = ask(at, ADMIN, "GET", path, "");
        let shown = String::from_utf8(reply.raw).unwrap();
        for hidden in ["$sha256$", "hash\":\"$", &*secret, "first-s3cr3t-of-c1", ADMIN] {
            assert!(!shown.contains(hidden), "{path} shows {hidden}: {shown}");
        }
    }
    sidecar.finish(&upstream);
}
