//! The main promises, each at the wire and in a test of its name.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::http::{Method, Outcome, Wire, get, token_post, token_request};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::{Answer, Upstream, nobody};
use crate::support::{PATIENCE, poll};

#[test]
fn every_active_secret_works_and_its_use_is_counted() {
    let upstream = Upstream::start();
    let sidecar = Sidecar::guard().client("c1", &["first-s3cr3t", "second-s3cr3t"]).upstream(&upstream).start();
    for (secret, method) in
        [("first-s3cr3t", Method::Basic), ("second-s3cr3t", Method::Basic), ("second-s3cr3t", Method::Post)]
    {
        assert_eq!(token_post(sidecar.proxy(), method, "c1", secret).status, 200);
    }
    assert_eq!(upstream.count(), 3);
    let uses = "relatch_client_secret_uses_total";
    sidecar.wait_metric(uses, &[("client_id", "c1"), ("secret_id", "c1_1")], |uses| uses == 1.0);
    sidecar.wait_metric(uses, &[("client_id", "c1"), ("secret_id", "c1_2")], |uses| uses == 2.0);
    let success = [("client_id", "c1"), ("result", "success")];
    sidecar.wait_metric("relatch_client_authentications_total", &success, |count| count == 3.0);
    sidecar.finish(&upstream);
}

#[test]
fn a_wrong_secret_reaches_nobody_and_is_counted() {
    let upstream = Upstream::start();
    let sidecar = Sidecar::guard().client("c1", &["right-s3cr3t"]).canary("wrong-s3cr3t").upstream(&upstream).start();
    for (id, method) in [("c1", Method::Basic), ("guessed-client-name", Method::Post)] {
        let reply = token_post(sidecar.proxy(), method, id, "wrong-s3cr3t");
        assert_eq!((reply.status, reply.json()["error"].as_str()), (401, Some("invalid_client")));
    }
    let unknown = [("client_id", ""), ("result", "unknown_client")];
    sidecar.wait_metric("relatch_client_authentications_total", &unknown, |count| count == 1.0);
    let invalid = [("client_id", "c1"), ("result", "invalid_secret")];
    sidecar.wait_metric("relatch_client_authentications_total", &invalid, |count| count == 1.0);
    assert!(!sidecar.metrics().contains("guessed-client-name"), "strangers choose no labels");
    assert_eq!(upstream.count(), 0);
    sidecar.finish(&upstream);
}

#[test]
fn plain_and_hashed_records_decide_alike() {
    let upstream = Upstream::start();
    let setup = || Sidecar::guard().client("c1", &["right-s3cr3t+%"]).upstream(&upstream);
    for sidecar in [setup().plain().start(), setup().start()] {
        for method in [Method::Basic, Method::Post] {
            assert_eq!(token_post(sidecar.proxy(), method, "c1", "right-s3cr3t+%").status, 200);
            assert_eq!(token_post(sidecar.proxy(), method, "c1", "right-s3cr3t").status, 401);
        }
        sidecar.finish(&upstream);
    }
}

#[test]
fn a_new_list_is_taken_up_while_the_old_one_serves() {
    let upstream = Upstream::start();
    let list = |records: &str| format!("[[client]]\nid = \"c1\"\n{records}");
    let record = |id: &str, secret: &str, status: &str| {
        format!("[[client.secret]]\nid = \"{id}\"\nhash = \"@SHA256({secret})@\"\nstatus = \"{status}\"\n")
    };
    let old = record("old", "old-s3cr3t", "active");
    let sidecar = Sidecar::guard()
        .clients_text(&list(&old))
        .canary("old-s3cr3t")
        .canary("new-s3cr3t")
        // Asking for what does not work yet must not turn its 401 into a 429.
        .config("throttle.failures = 100000")
        .upstream(&upstream)
        .start();
    let ask = |secret: &str| token_post(sidecar.proxy(), Method::Basic, "c1", secret).status;
    assert_eq!((ask("old-s3cr3t"), ask("new-s3cr3t")), (200, 401));

    sidecar.write_clients(&list(&(old + &record("new", "new-s3cr3t", "active"))));
    sidecar.signal(Signal::HUP);
    let taken_up = poll(PATIENCE, || {
        assert_eq!(ask("old-s3cr3t"), 200, "the old secret works all the time");
        (ask("new-s3cr3t") == 200).then_some(())
    });
    assert!(taken_up.is_some(), "the new secret never worked");

    let revoked = record("old", "old-s3cr3t", "revoked") + &record("new", "new-s3cr3t", "active");
    sidecar.write_clients(&list(&revoked));
    sidecar.signal(Signal::HUP);
    let gone = poll(PATIENCE, || {
        assert_eq!(ask("new-s3cr3t"), 200, "the new secret works all the time");
        (ask("old-s3cr3t") == 401).then_some(())
    });
    assert!(gone.is_some(), "the revoked secret went on working");
    sidecar.finish(&upstream);
}

#[test]
fn a_revoked_secret_is_refused_on_a_connection_that_it_opened() {
    let upstream = Upstream::start();
    let list = |status: &str| {
        format!(
            "[[client]]\nid = \"c1\"\n\
             [[client.secret]]\nid = \"a\"\nhash = \"@SHA256(first-s3cr3t)@\"\nstatus = \"{status}\"\n\
             [[client.secret]]\nid = \"b\"\nhash = \"@SHA256(second-s3cr3t)@\"\n"
        )
    };
    let sidecar = Sidecar::guard().clients_text(&list("active")).upstream(&upstream).start();
    let mut wire = Wire::connect(sidecar.proxy());
    let mut ask = || {
        wire.send(&token_request(Method::Basic, "c1", "first-s3cr3t", ""));
        wire.read_reply(false, PATIENCE).reply().status
    };
    assert_eq!(ask(), 200);
    sidecar.write_clients(&list("revoked"));
    sidecar.signal(Signal::HUP);
    assert!(poll(PATIENCE, || (ask() == 401).then_some(())).is_some());
    sidecar.finish(&upstream);
}

#[test]
fn a_broken_list_leaves_the_last_good_one_serving() {
    let upstream = Upstream::start();
    let sidecar = Sidecar::guard().client("c1", &["right-s3cr3t"]).upstream(&upstream).start();
    sidecar.write_clients("[[client]]\nid = \"c1\"\n[[client.secret]]\nid = \"half");
    sidecar.signal(Signal::HUP);
    sidecar.wait_metric("relatch_config_last_reload_successful", &[], |value| value == 0.0);
    assert_eq!(token_post(sidecar.proxy(), Method::Basic, "c1", "right-s3cr3t").status, 200);
    sidecar.finish(&upstream);
}

#[test]
fn the_callers_secret_is_replaced_on_the_way() {
    let upstream = Upstream::start();
    let sidecar =
        Sidecar::guard().client("c1", &["local-s3cr3t"]).replaced_by(&["remote-s3cr3t"]).upstream(&upstream).start();
    for method in [Method::Basic, Method::Post] {
        assert_eq!(token_post(sidecar.proxy(), method, "c1", "local-s3cr3t").status, 200);
    }
    let pair = ("c1".to_owned(), "remote-s3cr3t".to_owned());
    let seen = upstream.seen();
    assert_eq!(seen[0].basic_decoded(), Some(pair.clone()));
    assert_eq!(seen[1].param("client_id").zip(seen[1].param("client_secret")), Some(pair));
    sidecar.finish(&upstream);
}

#[test]
fn the_upstream_secret_that_works_is_known_from_an_answer_about_the_grant_too() {
    let upstream = Upstream::start();
    let sidecar = Sidecar::guard()
        .client("c1", &["local-s3cr3t"])
        .replaced_by(&["retired-s3cr3t", "remote-s3cr3t"])
        .upstream(&upstream)
        .start();
    for (status, round) in [(400, 1), (401, 2), (400, 3)] {
        // The server takes one secret and then the other, and has no grant for either.
        let works = if round % 2 == 1 { "remote-s3cr3t" } else { "retired-s3cr3t" };
        upstream.answer_by(move |seen| {
            let right = seen.basic_decoded().is_some_and(|(_, secret)| secret == works);
            if right {
                Answer::json(status, r#"{"error":"invalid_grant"}"#)
            } else {
                Answer::json(401, r#"{"error":"invalid_client"}"#)
            }
        });
        let mark = upstream.count();
        for deliveries in [2, 3] {
            assert_eq!(token_post(sidecar.proxy(), Method::Basic, "c1", "local-s3cr3t").status, status);
            assert_eq!(upstream.count() - mark, deliveries, "round {round}");
        }
    }
    sidecar.finish(&upstream);
}

#[test]
fn a_request_that_may_have_been_acted_on_is_never_sent_again() {
    let upstream = Upstream::start();
    let sidecar = Sidecar::guard().client("c1", &["right-s3cr3t"]).upstream(&upstream).start();
    for (number, fault) in [Answer::Reset, Answer::Close, Answer::Raw(b"junk\r\n\r\n".to_vec())].into_iter().enumerate()
    {
        upstream.answer(fault.clone());
        let id = format!("once-{number}");
        let mut wire = Wire::connect(sidecar.proxy());
        wire.send(&token_request(Method::Basic, "c1", "right-s3cr3t", &id));
        let reply = wire.read_reply(false, PATIENCE).reply();
        assert_eq!((reply.status, upstream.count_of(&id)), (502, 1), "{fault:?}");
        upstream.answer_by(Answer::token);
        assert_eq!(token_post(sidecar.proxy(), Method::Basic, "c1", "right-s3cr3t").status, 200);
    }
    sidecar.finish(&upstream);
}

#[test]
fn an_upstream_that_is_not_there_is_a_502_and_says_no_secret() {
    let upstream = Upstream::start();
    let url = format!("http://{}", nobody());
    let sidecar = Sidecar::guard().client("c1", &["right-s3cr3t"]).upstream_url(&url).start();
    let reply = token_post(sidecar.proxy(), Method::Basic, "c1", "right-s3cr3t");
    assert_eq!((reply.status, reply.header("cache-control")), (502, Some("no-store")));
    assert!(reply.json()["error"].is_string());
    sidecar.finish(&upstream);
}

#[test]
fn an_upstream_may_be_named() {
    let upstream = Upstream::start();
    let url = format!("http://localhost:{}", upstream.address().port());
    let sidecar = Sidecar::guard().client("c1", &["right-s3cr3t"]).upstream_url(&url).start();
    assert_eq!(token_post(sidecar.proxy(), Method::Basic, "c1", "right-s3cr3t").status, 200);
    sidecar.finish(&upstream);
}

#[test]
fn what_the_upstream_says_is_passed_on_byte_for_byte() {
    let upstream = Upstream::start();
    let sidecar = Sidecar::guard().client("c1", &["right-s3cr3t"]).upstream(&upstream).start();
    for status in [200, 302, 400, 401, 403, 429, 503] {
        let body = format!("{{ \"error\" :\t\"x{status}\" }}\r\n");
        let answer = Answer::json(status, &body)
            .with("Retry-After", "7")
            .with("Location", "http://elsewhere.test/")
            .with("Keep-Alive", "timeout=5")
            .with("X-Own", "a");
        upstream.answer(answer);
        let reply = token_post(sidecar.proxy(), Method::Basic, "c1", "right-s3cr3t");
        assert_eq!((reply.status, reply.body.as_slice()), (status, body.as_bytes()));
        assert_eq!((reply.header("x-own"), reply.header("retry-after")), (Some("a"), Some("7")));
        assert_eq!((reply.header("cache-control"), reply.header("keep-alive")), (Some("no-store"), None));
    }
    assert_eq!(upstream.count(), 7);
    sidecar.finish(&upstream);
}

#[test]
fn an_answer_that_breaks_off_does_not_end_cleanly() {
    let upstream = Upstream::start();
    let sidecar = Sidecar::guard().client("c1", &["right-s3cr3t"]).upstream(&upstream).start();
    upstream.answer(Answer::HalfThenClose(Box::new(Answer::json(200, r#"{"access_token":"half of it"}"#))));
    let mut wire = Wire::connect(sidecar.proxy());
    wire.send(&token_request(Method::Basic, "c1", "right-s3cr3t", "half"));
    match wire.read_reply(false, PATIENCE) {
        Outcome::Aborted(_) | Outcome::Closed => {}
        Outcome::Reply(reply) if reply.status == 502 => {}
        other => panic!("half an answer became {other:?}"),
    }
    assert_eq!(upstream.count_of("half"), 1);
    let closed = [("kind", "closed")];
    sidecar.wait_metric("relatch_upstream_errors_total", &closed, |errors| errors == 1.0);
    sidecar.finish(&upstream);
}

#[test]
fn a_caller_that_leaves_is_counted_and_logged() {
    let upstream = Upstream::start();
    let sidecar = Sidecar::guard().client("c1", &["right-s3cr3t"]).upstream(&upstream).start();
    let gate = upstream.stall();
    let mut wire = Wire::connect(sidecar.proxy());
    wire.send(&token_request(Method::Basic, "c1", "right-s3cr3t", "left"));
    upstream.next(PATIENCE);
    wire.shut();
    drop(wire);
    let line = sidecar.access_line("left");
    assert_eq!((&line["status"], &line["client_id"], &line["secret_id"]), (&499.into(), &"c1".into(), &"c1_1".into()));
    let left = [("code", "499"), ("endpoint", "/token"), ("method", "POST")];
    sidecar.wait_metric("relatch_http_requests_total", &left, |count| count == 1.0);
    sidecar.wait_metric("relatch_http_requests_in_flight", &[], |count| count == 0.0);
    gate.open();
    sidecar.finish(&upstream);
}

#[test]
fn an_answer_that_may_end_in_two_places_is_no_answer() {
    let upstream = Upstream::start();
    let sidecar = Sidecar::guard().client("c1", &["right-s3cr3t"]).upstream(&upstream).start();
    let chunks = "2\r\n{}\r\n0\r\n\r\n";
    for (number, framing) in [
        "Transfer-Encoding: chunked\r\nContent-Length: 1",
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip",
    ]
    .into_iter()
    .enumerate()
    {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{framing}\r\n\r\n{chunks}");
        upstream.answer(Answer::Raw(answer.into_bytes()));
        let id = format!("twice-{number}");
        let mut wire = Wire::connect(sidecar.proxy());
        wire.send(&token_request(Method::Basic, "c1", "right-s3cr3t", &id));
        let reply = wire.read_reply(false, PATIENCE).reply();
        assert_eq!((reply.status, upstream.count_of(&id)), (502, 1), "{framing}");
        // The caller's connection is in step, and the upstream's is not used again.
        let connections = upstream.connections();
        upstream.answer_by(Answer::token);
        wire.send(&token_request(Method::Basic, "c1", "right-s3cr3t", ""));
        assert_eq!(wire.read_reply(false, PATIENCE).reply().status, 200, "{framing}");
        assert_eq!(upstream.connections(), connections + 1, "{framing}");
    }
    let protocol = [("kind", "protocol")];
    sidecar.wait_metric("relatch_upstream_errors_total", &protocol, |errors| errors == 5.0);
    sidecar.finish(&upstream);
}

#[test]
fn requests_in_flight_are_finished_before_it_stops() {
    let upstream = Upstream::start();
    let mut sidecar = Sidecar::guard().client("c1", &["right-s3cr3t"]).upstream(&upstream).start();
    let gate = upstream.stall();
    let mut wire = Wire::connect(sidecar.proxy());
    wire.send(&token_request(Method::Basic, "c1", "right-s3cr3t", "in-flight"));
    upstream.next(PATIENCE);
    sidecar.signal(Signal::TERM);
    assert!(sidecar.wait_exit(Duration::from_millis(300)).is_none(), "stopped with a request in flight");
    gate.open();
    assert_eq!(wire.read_reply(false, PATIENCE).reply().status, 200);
    let status = sidecar.wait_exit(PATIENCE).expect("it stops when the last request is answered");
    assert!(status.success(), "{status:?}");
}

#[test]
fn telemetry_answers_its_four_paths_and_the_proxy_none_of_them() {
    let upstream = Upstream::start();
    let sidecar = Sidecar::guard().client("c1", &["right-s3cr3t"]).upstream(&upstream).start();
    for path in ["/metrics", "/livez", "/readyz", "/version"] {
        assert_eq!(get(sidecar.telemetry(), path).status, 200, "{path}");
        assert_eq!(get(sidecar.proxy(), path).status, 404, "{path} on the proxy");
    }
    for path in ["/", "/token", "/clients", "/metrics/"] {
        assert_eq!(get(sidecar.telemetry(), path).status, 404, "{path}");
    }
    let scrape = get(sidecar.telemetry(), "/metrics");
    assert!(scrape.header("content-type").is_some_and(|kind| kind.starts_with("text/plain; version=0.0.4")));
    sidecar.finish(&upstream);
}

/// More connections than the door for Prometheus has places.
const SQUATTERS: usize = 200;

#[test]
fn whoever_sits_on_the_telemetry_door_keeps_no_probe_out() {
    let upstream = Upstream::start();
    let sidecar = Sidecar::guard().client("c1", &["right-s3cr3t"]).upstream(&upstream).start();
    let unfinished = ["", "GET /metrics HTTP/1.1\r\nHost: a", "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\nGET "];
    let squatters: Vec<_> = (0..SQUATTERS)
        .map(|number| {
            let mut wire = Wire::connect(sidecar.telemetry());
            wire.send(unfinished[number % unfinished.len()].as_bytes());
            wire
        })
        .collect();
    for path in ["/livez", "/readyz", "/metrics"] {
        let asked = Instant::now();
        assert_eq!(get(sidecar.telemetry(), path).status, 200, "{path}");
        assert!(asked.elapsed() < Duration::from_secs(3), "{path} after {:?}", asked.elapsed());
    }
    drop(squatters);
    sidecar.finish(&upstream);
}
