//! A client's list of upstream secrets: the next one where the server refuses one, never for another reason, and no
//! hammering where it refuses them all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::caller::Caller;
use crate::support::http::{Method, token_post, token_request};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::{Answer, Seen, Upstream};
use crate::support::{PATIENCE, poll};

const LOCAL: &str = "local-s3cr3t";
const FIRST: &str = "remote-first-s3cr3t";
const SECOND: &str = "remote-second-s3cr3t";
const IN_USE: &str = "relatch_upstream_secret_in_use";
const FALLBACKS: &str = "relatch_upstream_secret_fallbacks_total";

fn start(upstream: &Upstream, secrets: &[&str]) -> Sidecar {
    Sidecar::guard().client("c1", &[LOCAL]).replaced_by(secrets).upstream(upstream).start()
}

fn refusal() -> Answer {
    Answer::json(401, r#"{"error":"invalid_client"}"#)
}

fn holds(seen: &Seen, secret: &str) -> bool {
    seen.basic_decoded().is_some_and(|(_, presented)| presented == secret)
}

#[test]
fn no_request_fails_while_the_far_end_goes_from_one_secret_of_the_list_to_the_other() {
    let upstream = Upstream::start();
    let sidecar = start(&upstream, &[FIRST, SECOND]);
    let second_counts = Arc::new(AtomicBool::new(false));
    let known = Arc::clone(&second_counts);
    upstream.answer_by(move |seen| {
        let right = if known.load(Ordering::SeqCst) { SECOND } else { FIRST };
        if holds(seen, right) { Answer::token(seen) } else { refusal() }
    });
    let (over, granted) = (AtomicBool::new(false), [const { AtomicUsize::new(0) }; 3]);
    std::thread::scope(|scope| {
        for (number, granted) in granted.iter().enumerate() {
            let (proxy, over) = (sidecar.proxy(), &over);
            scope.spawn(move || {
                let mut caller = Caller::connect(proxy).unwrap();
                let request = token_request(Method::Basic, "c1", LOCAL, &format!("caller-{number}"));
                while !over.load(Ordering::Relaxed) {
                    let answer = caller.ask(&request);
                    if !matches!(answer, Ok((200, _))) {
                        over.store(true, Ordering::Relaxed);
                        panic!("{answer:?}");
                    }
                    granted.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 0..4 {
            // Each caller has seen a change before the next one: a request that lives through two may meet a wrong secret
            // twice.
            let marks = granted.each_ref().map(|granted| granted.load(Ordering::Relaxed) + 20);
            let gone_on = || granted.iter().zip(marks).all(|(granted, mark)| granted.load(Ordering::Relaxed) >= mark);
            poll(PATIENCE, || (gone_on() || over.load(Ordering::Relaxed)).then_some(()));
            second_counts.store(round % 2 == 0, Ordering::SeqCst);
        }
        std::thread::sleep(Duration::from_millis(50));
        over.store(true, Ordering::Relaxed);
    });
    sidecar.wait_metric(FALLBACKS, &[("client_id", "c1")], |moves| (3.0..=4.0).contains(&moves));
    assert_eq!(sidecar.metric("relatch_upstream_errors_total", &[("kind", "credentials_rejected")]), Some(0.0));
    let told = sidecar.wait_log(|line| line["msg"].as_str().is_some_and(|msg| msg.contains("only one left")));
    assert_eq!((&told["level"], &told["client_id"], &told["works"]), (&"warn".into(), &"c1".into(), &"2".into()));
    sidecar.finish(&upstream);
}

#[test]
fn a_list_that_is_refused_in_full_is_not_hammered_and_is_found_again() {
    let upstream = Upstream::start();
    let sidecar = start(&upstream, &[FIRST, SECOND]);
    let in_use = |index: &str| sidecar.metric(IN_USE, &[("client_id", "c1"), ("index", index)]);
    assert_eq!((in_use("1"), in_use("2")), (Some(1.0), Some(0.0)));
    upstream.answer(refusal());
    for _ in 0..60 {
        let reply = token_post(sidecar.proxy(), Method::Basic, "c1", LOCAL);
        assert_eq!((reply.status, &reply.json()["error"]), (502, &"server_error".into()));
        let seconds: u32 = reply.header("retry-after").expect("a Retry-After").parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
    }
    // Two at once, and two more for each second that the others took.
    assert!((2..=20).contains(&upstream.count()), "{} deliveries for 60 requests", upstream.count());
    assert_eq!((in_use("1"), in_use("2")), (Some(0.0), Some(0.0)));
    sidecar.wait_metric("relatch_upstream_errors_total", &[("kind", "credentials_rejected")], |n| n == 60.0);
    sidecar.wait_log(|line| line["level"] == "warn" && line["msg"].as_str().unwrap().contains("refused every"));

    upstream.answer_by(|seen| if holds(seen, SECOND) { Answer::token(seen) } else { refusal() });
    let granted = || (token_post(sidecar.proxy(), Method::Basic, "c1", LOCAL).status == 200).then_some(());
    assert!(poll(PATIENCE * 3, granted).is_some(), "asked again\n{}", sidecar.log());
    assert_eq!((in_use("1"), in_use("2")), (Some(0.0), Some(1.0)));
    sidecar.finish(&upstream);
}

#[test]
fn each_way_that_a_server_refuses_a_client_moves_on_and_nothing_else_does() {
    let upstream = Upstream::start();
    let github = r#"{"error":"incorrect_client_credentials","error_description":"d"}"#;
    let drip = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{github}", github.len()).into_bytes();
    let invalid_client = r#"{"error":"invalid_client"}"#;
    for (answer, moves) in [
        (refusal(), true),
        (Answer::json(401, r#"{"error":"unauthorized_client"}"#), true),
        (Answer::json(401, r#"{"error":"access_denied","error_description":"Unauthorized"}"#), true),
        (Answer::json(400, invalid_client), true),
        (Answer::json(200, github), true),
        (Answer::Drip(drip, Duration::from_millis(1)), true),
        (Answer::json(401, r#"{"error":"invalid_grant"}"#), false),
        (Answer::json(400, r#"{"error":"invalid_grant"}"#), false),
        (Answer::json(429, invalid_client), false),
        (Answer::json(500, invalid_client), false),
        (Answer::json(503, invalid_client), false),
        (Answer::json(200, &format!(r#"{{"access_token":"error{}"}}"#, "x".repeat(3000))), false),
    ] {
        let sidecar = start(&upstream, &[FIRST, SECOND]);
        let told = format!("{answer:?}");
        upstream.answer_by(move |seen| if holds(seen, SECOND) { Answer::token(seen) } else { answer.clone() });
        let mark = upstream.count();
        let reply = token_post(sidecar.proxy(), Method::Basic, "c1", LOCAL);
        assert_eq!(upstream.count() - mark, if moves { 2 } else { 1 }, "{told}: {}", reply.status);
        assert!(!moves || reply.status == 200 && reply.json()["access_token"].is_string(), "{told}");
        sidecar.finish(&upstream);
    }
}
