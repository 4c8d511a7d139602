//! HTTP/2 towards the upstream: many requests on one connection, each delivered at most once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::frames::Frame;
use super::scripted::{Protocol, Step, well};
use super::{request, scripted};
use crate::support::http::{Outcome, Reply, Wire};
use crate::support::sidecar::Sidecar;
use crate::support::{PATIENCE, poll};

const H2: Protocol = Protocol::H2;

fn ask(sidecar: &Sidecar, id: &str) -> Reply {
    let mut wire = Wire::connect(sidecar.proxy());
    wire.send(&request(id));
    wire.read_reply(false, PATIENCE).reply()
}

fn token(reply: &Reply) -> String {
    reply.json()["access_token"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn many_requests_share_one_connection_and_each_has_its_own_answer() {
    for protocol in [H2, Protocol::H2Tls] {
        let (upstream, setup) = scripted(protocol);
        let sidecar = setup.start();
        std::thread::scope(|scope| {
            for caller in 0..20 {
                let sidecar = &sidecar;
                scope.spawn(move || {
                    for number in 0..10 {
                        let id = format!("{caller}-{number}");
                        let reply = ask(sidecar, &id);
                        assert_eq!((reply.status, token(&reply)), (200, id));
                    }
                });
            }
        });
        assert_eq!(upstream.connections(), 1, "{protocol:?}");
        assert!(upstream.deliveries().values().all(|count| *count == 1));
        assert_eq!(sidecar.metric("relatch_upstream_connections", &[("state", "idle")]), Some(1.0));
    }
}

#[test]
fn a_server_that_chooses_http_1_1_is_spoken_to_so() {
    let (upstream, setup) = scripted(Protocol::H1Tls);
    let sidecar = setup.config("upstream.http2 = true").start();
    for number in 0..3 {
        let id = format!("r{number}");
        assert_eq!(token(&ask(&sidecar, &id)), id);
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn one_that_is_full_gets_no_more_and_the_others_wait() {
    let (upstream, setup) = scripted(H2);
    upstream.allow_streams(2);
    upstream.script(|_, _, _| [vec![Step::Pause(Duration::from_millis(50))], well(H2)].concat());
    let sidecar = setup.start();
    // The first tells how many there may be.
    assert_eq!(ask(&sidecar, "first").status, 200);
    std::thread::scope(|scope| {
        for caller in 0..40 {
            let sidecar = &sidecar;
            scope.spawn(move || {
                let id = format!("c{caller}");
                assert_eq!(token(&ask(sidecar, &id)), id);
            });
        }
    });
    let connections = upstream.connections();
    assert!((2..=8).contains(&connections), "{connections} connections");
    assert!(upstream.deliveries().values().all(|count| *count == 1));
}

/// What the upstream does to a request when it comes the first time, and how often it may come then.
#[track_caller]
fn once_more_or_not(first: &[Step], deliveries: usize, status: u16) {
    for warm in [false, true] {
        let (upstream, setup) = scripted(H2);
        let steps = first.to_vec();
        upstream.script(move |id, count, _| if id == "x" && count == 1 { steps.clone() } else { well(H2) });
        let sidecar = setup.config("upstream.request_timeout = \"2s\"").start();
        if warm {
            assert_eq!(ask(&sidecar, "warm").status, 200);
        }
        let reply = ask(&sidecar, "x");
        assert_eq!((upstream.deliveries_of("x"), reply.status), (deliveries, status), "{first:?}");
        // Whatever it was, the next caller is well.
        assert_eq!(token(&ask(&sidecar, "after")), "after");
    }
}

#[test]
fn what_was_refused_unprocessed_goes_out_once_more() {
    // REFUSED_STREAM, and GOAWAY below the request's stream: for reasons good and bad.
    once_more_or_not(&[Step::Frames(vec![Frame::reset(7)])], 2, 200);
    for code in [0, 1, 2, 11] {
        once_more_or_not(&[Step::Frames(vec![Frame::goaway(-2, code)]), Step::Close], 2, 200);
        once_more_or_not(&[Step::Frames(vec![Frame::goaway(-2, code)])], 2, 200);
    }
}

#[test]
fn what_may_have_been_processed_never_goes_out_again() {
    for step in [Step::Close, Step::Reset] {
        once_more_or_not(std::slice::from_ref(&step), 1, 502);
        for (last, code) in [(0, 0), (0, 2), (2, 0), (100, 1)] {
            once_more_or_not(&[Step::Frames(vec![Frame::goaway(last, code)]), step.clone()], 1, 502);
        }
        // Half an answer, and then the word that nothing was done: too late.
        let head = Frame::headers(&[(":status", "200"), ("content-length", "9")], false);
        let begun = [Step::Frames(vec![head]), Step::Pause(Duration::from_millis(50)), step];
        let (upstream, setup) = scripted(H2);
        upstream.script(move |id, _, _| if id == "x" { begun.to_vec() } else { well(H2) });
        let sidecar = setup.start();
        let mut wire = Wire::connect(sidecar.proxy());
        wire.send(&request("x"));
        assert!(matches!(wire.read_reply(false, PATIENCE), Outcome::Aborted(_)));
        assert_eq!(upstream.deliveries_of("x"), 1);
    }
    // NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, CANCEL, ENHANCE_YOUR_CALM, HTTP_1_1_REQUIRED
    for code in [0, 1, 2, 8, 11, 13] {
        once_more_or_not(&[Step::Frames(vec![Frame::reset(code)])], 1, 502);
    }
}

#[test]
fn one_that_goes_away_politely_finishes_what_it_has_begun() {
    let (upstream, setup) = scripted(H2);
    upstream.script(|id, _, _| {
        let mut steps = Vec::new();
        if id == "x" {
            steps = vec![Step::Frames(vec![Frame::goaway(0, 0)]), Step::Pause(Duration::from_millis(100))];
        }
        steps.extend(well(H2));
        steps
    });
    let sidecar = setup.start();
    assert_eq!(token(&ask(&sidecar, "x")), "x");
    assert_eq!(token(&ask(&sidecar, "y")), "y");
    assert_eq!((upstream.connections(), upstream.deliveries_of("x")), (2, 1));
}

#[test]
fn a_request_is_refused_at_most_twice() {
    for refusal in [Frame::reset(7), Frame::goaway(-2, 0)] {
        let (upstream, setup) = scripted(H2);
        upstream.script(move |id, _, _| if id == "x" { vec![Step::Frames(vec![refusal.clone()])] } else { well(H2) });
        let sidecar = setup.start();
        let reply = ask(&sidecar, "x");
        assert_eq!((reply.status, upstream.deliveries_of("x")), (502, 2));
        assert_eq!(token(&ask(&sidecar, "after")), "after");
    }
}

#[test]
fn a_caller_that_leaves_gives_its_stream_back_and_the_others_go_on() {
    let (upstream, setup) = scripted(H2);
    upstream.script(|id, _, _| if id.starts_with("left") { vec![Step::Stall] } else { well(H2) });
    let sidecar = setup.start();
    for number in 0..20 {
        let id = format!("left-{number}");
        let mut wire = Wire::connect(sidecar.proxy());
        wire.send(&request(&id));
        assert!(poll(PATIENCE, || (upstream.deliveries_of(&id) == 1).then_some(())).is_some());
        wire.shut();
        drop(wire);
        assert!(poll(PATIENCE, || (upstream.resets() == number + 1).then_some(())).is_some(), "{id} was given up");
    }
    assert_eq!(token(&ask(&sidecar, "after")), "after");
    assert_eq!(upstream.connections(), 1);
    assert!(upstream.deliveries().values().all(|count| *count == 1));
}

#[test]
fn an_answer_that_does_not_come_is_given_up_in_time() {
    let (upstream, setup) = scripted(H2);
    upstream.script(|id, _, _| if id == "x" { vec![Step::Stall] } else { well(H2) });
    let sidecar = setup.config("upstream.request_timeout = \"500ms\"").start();
    assert_eq!(ask(&sidecar, "x").status, 504);
    assert!(poll(PATIENCE, || (upstream.resets() == 1).then_some(())).is_some());
    assert_eq!(token(&ask(&sidecar, "after")), "after");
    assert_eq!((upstream.connections(), upstream.deliveries_of("x")), (1, 1));
}

#[test]
fn a_body_of_64_kib_waits_for_no_window_and_a_large_one_comes_whole() {
    let (upstream, setup) = scripted(H2);
    let body = "x".repeat(100 << 10);
    let length = body.len().to_string();
    upstream.script(move |_, _, _| {
        let head = Frame::headers(&[(":status", "200"), ("content-length", &length)], false);
        vec![Step::Frames(vec![head, Frame::data(body.as_bytes(), true)])]
    });
    let sidecar = setup.start();
    let callers: Vec<_> = (0..10)
        .map(|number| {
            // None of them reads before all have asked.
            let mut wire = Wire::connect(sidecar.proxy());
            wire.send(&request(&format!("r{number}")));
            wire
        })
        .collect();
    for mut wire in callers {
        assert_eq!(wire.read_reply(false, PATIENCE).reply().body.len(), 100 << 10);
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn what_cannot_be_reached_is_told_to_all_who_wait_for_it() {
    let (_, setup) = scripted(H2);
    let nobody = format!("http://{}", crate::support::upstream::nobody());
    let sidecar = setup.upstream_url(&nobody).start();
    let all_are_told = AtomicBool::new(true);
    std::thread::scope(|scope| {
        for caller in 0..20 {
            let (sidecar, all) = (&sidecar, &all_are_told);
            scope.spawn(move || {
                let reply = ask(sidecar, &format!("c{caller}"));
                all.fetch_and(reply.status == 502, Ordering::Relaxed);
            });
        }
    });
    assert!(all_are_told.into_inner());
}

/// A server that reads what it is asked with a library's eyes, answers 204, and reports.
fn reader() -> (String, std::sync::mpsc::Receiver<http::Request<()>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, seen) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            listener.set_nonblocking(true).unwrap();
            let (stream, _) = tokio::net::TcpListener::from_std(listener).unwrap().accept().await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                _ = sender.send(request.map(drop));
                let answer = http::Response::builder().status(204).body(()).unwrap();
                _ = respond.send_response(answer, true);
            }
        });
    });
    (url, seen)
}

#[test]
fn the_head_of_a_request_is_that_of_http_2() {
    for (host, authority) in
        [("preserve", Some("proxy.test")), ("as.example.com", Some("as.example.com")), ("upstream", None)]
    {
        let (url, seen) = reader();
        let (_, setup) = scripted(H2);
        let sidecar = setup.config(&format!("upstream.host = \"{host}\"")).upstream_url(&url).start();
        for _ in 0..2 {
            assert_eq!(ask(&sidecar, "x").status, 204);
            let request = seen.recv_timeout(PATIENCE).unwrap();
            let own = url.strip_prefix("http://");
            assert_eq!(request.uri().authority().map(http::uri::Authority::as_str), authority.or(own));
            let (scheme, path) = (request.uri().scheme_str(), request.uri().path());
            assert_eq!((scheme, path, request.method().as_str()), (Some("http"), "/token", "POST"));
            let names: Vec<_> = request.headers().keys().map(http::HeaderName::as_str).collect();
            for name in ["host", "connection", "transfer-encoding", "keep-alive", "te", "upgrade"] {
                assert!(!names.contains(&name), "{name} in {names:?}");
            }
            assert!(
                ["content-type", "content-length", "x-request-id", "x-forwarded-for"].iter().all(|n| names.contains(n))
            );
        }
    }
}
