//! Answers that come in pieces: passed on as they come, and when the last piece
//! is out, both connections are as free as after any other answer.

use std::time::{Duration, Instant};

use crate::support::PATIENCE;
use crate::support::http::{Method, Wire, token_request};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::{Answer, Upstream};

const BODY: &str = r#"{"access_token":"in many pieces","token_type":"Bearer","expires_in":3600}"#;

/// The answer under each framing, byte by byte.
fn framings() -> [(&'static str, Answer); 2] {
    let (one, rest) = BODY.split_at(20);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    [
        ("by its length", format!("{head}Content-Length: {}\r\n\r\n{BODY}", BODY.len())),
        (
            "in chunks",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n14\r\n{one}\r\n{:x}\r\n{rest}\r\n0\r\n\r\n", rest.len()),
        ),
    ]
    .map(|(name, bytes)| (name, Answer::Drip(bytes.into_bytes(), Duration::from_millis(2))))
}

fn guard(upstream: &Upstream, config: &str) -> Sidecar {
    // One data-plane thread has one pool.
    let config = format!("proxy.workers = 1\n{config}");
    Sidecar::guard().client("c1", &["right-s3cr3t"]).upstream(upstream).config(&config).start()
}

fn ask(wire: &mut Wire, name: &str) {
    wire.send(&token_request(Method::Basic, "c1", "right-s3cr3t", ""));
    let reply = wire.read_reply(false, PATIENCE).reply();
    assert_eq!((reply.status, reply.body.as_slice()), (200, BODY.as_bytes()), "{name}");
}

#[test]
fn the_upstream_connection_serves_the_next_request() {
    for (name, answer) in framings() {
        let upstream = Upstream::start();
        let sidecar = guard(&upstream, "");
        upstream.answer(answer);
        let mut wire = Wire::connect(sidecar.proxy());
        for _ in 0..5 {
            ask(&mut wire, name);
        }
        assert_eq!(upstream.connections(), 1, "five answers {name}, one after the other");
        sidecar.finish(&upstream);
    }
}

#[test]
fn the_callers_connection_is_idle_and_ends_when_it_was_so_for_too_long() {
    for (name, answer) in framings() {
        let upstream = Upstream::start();
        let sidecar = guard(&upstream, "limits.keep_alive = \"1s\"\nupstream.request_timeout = \"3s\"");
        upstream.answer(answer);
        let mut wire = Wire::connect(sidecar.proxy());
        ask(&mut wire, name);
        let answered = Instant::now();
        assert!(wire.closed_within(Duration::from_secs(6)), "an answer {name}: the connection stays for ever");
        assert!(answered.elapsed() >= Duration::from_millis(900), "an answer {name}: {:?}", answered.elapsed());
        sidecar.finish(&upstream);
    }
}

#[test]
fn a_connection_lives_on_from_answer_to_answer() {
    for (name, answer) in framings() {
        let upstream = Upstream::start();
        // Each pause is within the limit, all of them together are not.
        let sidecar = guard(&upstream, "limits.keep_alive = \"1s\"\nupstream.request_timeout = \"1s\"");
        upstream.answer(answer);
        let mut wire = Wire::connect(sidecar.proxy());
        for _ in 0..4 {
            ask(&mut wire, name);
            std::thread::sleep(Duration::from_millis(600));
        }
        sidecar.finish(&upstream);
    }
}
