//! Time and ends: slow readers, silent callers, the shutdown.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::http::{Method, token_post};
use crate::support::raw_frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Fate, GOAWAY, HEADERS, PING, RST_STREAM, Raw, block, frame, good,
};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;
use crate::support::{PATIENCE, bytes};

const SHORT: &str = "[limits]\nheader_timeout = \"1s\"\nbody_timeout = \"1s\"\nkeep_alive = \"1s\"\n\
                     [upstream]\nrequest_timeout = \"1s\"\n";
/// SETTINGS_INITIAL_WINDOW_SIZE
const WINDOW: u16 = 4;

fn guard(upstream: &Upstream, config: &str) -> Sidecar {
    Sidecar::guard().client("c1", &["good-secret"]).config(config).upstream(upstream).start()
}

#[test]
fn answers_that_nobody_takes_are_given_up() {
    let upstream = Upstream::start();
    let sidecar = guard(&upstream, SHORT);
    let mut raw = Raw::begin(sidecar.proxy(), &[(WINDOW, 0)]);
    for stream in (1..200).step_by(2) {
        assert!(raw.ask(stream, "c1", "good-secret"));
    }
    // The head comes, the body cannot.
    let fate = raw.fate(199, PATIENCE);
    assert!(matches!(fate, Fate::Reset(_) | Fate::GoAway(_) | Fate::Closed | Fate::Silence), "{fate:?}");
    sidecar.wait_metric("relatch_http_connections_open", &[], |open| open == 0.0);
    assert_eq!(sidecar.metric("relatch_http_requests_in_flight", &[]), Some(0.0));
    sidecar.finish(&upstream);
}

#[test]
fn answers_that_nobody_takes_are_as_many_as_requests_may_be() {
    let upstream = Upstream::start();
    let sidecar = guard(&upstream, "[limits]\nmax_connections = 20\n[proxy]\nworkers = 1\n");
    let mut raws: Vec<Raw> = (0..3).map(|_| Raw::begin(sidecar.proxy(), &[(WINDOW, 0)])).collect();
    let mut reset = 0;
    for raw in &mut raws {
        let head = [(":method", "GET"), (":scheme", "http"), (":path", "/x"), (":authority", "proxy.test")];
        for stream in (1..60).step_by(2) {
            raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&head)));
        }
    }
    for raw in &mut raws {
        while let Some(frame) = raw.next(Duration::from_secs(1)) {
            reset += u32::from(frame.kind == RST_STREAM);
        }
    }
    assert!(reset >= 60, "{reset} of 90 streams were reset");
    sidecar.finish(&upstream);
}

#[test]
fn a_body_that_does_not_come_is_answered_and_its_neighbours_are_served() {
    let upstream = Upstream::start();
    let sidecar = guard(&upstream, SHORT);
    let mut raw = Raw::begin(sidecar.proxy(), &[]);
    let basic = bytes::basic("c1", "good-secret");
    raw.send(&frame(HEADERS, END_HEADERS, 1, &block(&good(&basic))));
    raw.send(&frame(DATA, 0, 1, b"grant_"));
    assert!(raw.ask(3, "c1", "good-secret"));
    assert_eq!(raw.fate(3, PATIENCE), Fate::Answered(200));
    let fate = raw.fate(1, PATIENCE);
    assert!(matches!(fate, Fate::Answered(408) | Fate::Reset(_)), "{fate:?}");
    assert_eq!(upstream.since(0).len(), 1);
    sidecar.finish(&upstream);
}

#[test]
fn who_says_nothing_is_closed_whether_or_not_it_pings() {
    let upstream = Upstream::start();
    let sidecar = guard(&upstream, SHORT);
    let mut silent = Raw::begin(sidecar.proxy(), &[]);
    let mut half = Raw::begin(sidecar.proxy(), &[]);
    half.send(&frame(HEADERS, 0, 1, &block(&good("Basic x"))));
    half.send(&frame(CONTINUATION, 0, 1, &block(&[("x-a", "b")])));
    let mut served = Raw::begin(sidecar.proxy(), &[]);
    assert!(served.ask(1, "c1", "good-secret"));
    assert_eq!(served.fate(1, PATIENCE), Fate::Answered(200));
    for _ in 0..30 {
        served.send(&frame(PING, 0, 0, &[1; 8]));
        std::thread::sleep(Duration::from_millis(100));
    }
    for (who, raw) in [("silent", &mut silent), ("half a head", &mut half), ("served", &mut served)] {
        let end = raw.end(PATIENCE);
        assert!(matches!(end, Fate::Closed | Fate::GoAway(0)), "{who}: {end:?}");
    }
    sidecar.finish(&upstream);
}

#[test]
fn a_shutdown_finishes_what_is_under_way_and_says_that_no_more_is_taken() {
    let upstream = Upstream::start();
    let mut sidecar = guard(&upstream, "");
    let mut raw = Raw::begin(sidecar.proxy(), &[]);
    assert!(raw.ask(1, "c1", "good-secret"));
    assert_eq!(raw.fate(1, PATIENCE), Fate::Answered(200));
    let basic = bytes::basic("c1", "good-secret");
    raw.send(&frame(HEADERS, END_HEADERS, 3, &block(&good(&basic))));
    // A request is under way: its body comes after the signal.
    sidecar.wait_metric("relatch_http_requests_in_flight", &[], |in_flight| in_flight == 1.0);
    sidecar.signal(Signal::TERM);
    let mut told = false;
    while let Some(frame) = raw.next(PATIENCE) {
        // As the protocol wants it, the ping behind the first GOAWAY is answered.
        if frame.kind == PING && frame.flags == 0 {
            raw.send(&crate::support::raw_frames::frame(PING, 1, 0, &frame.payload));
        }
        if frame.kind == GOAWAY {
            told = true;
            break;
        }
    }
    assert!(told, "nothing was said");
    raw.send(&frame(DATA, END_STREAM, 3, crate::support::raw_frames::FORM));
    assert_eq!(raw.fate(3, PATIENCE), Fate::Answered(200));
    assert!(sidecar.wait_exit(PATIENCE).is_some_and(|status| status.success()), "it did not end");
    assert_eq!(upstream.since(0).len(), 2);
}

#[test]
fn a_caller_that_was_idle_for_long_has_a_moment_to_take_its_leave() {
    let upstream = Upstream::start();
    let mut sidecar = guard(&upstream, "");
    let mut raw = Raw::begin(sidecar.proxy(), &[]);
    assert!(raw.ask(1, "c1", "good-secret"));
    assert_eq!(raw.fate(1, PATIENCE), Fate::Answered(200));
    // Longer than the moment itself: it begins with the signal, and not with the last answer.
    std::thread::sleep(Duration::from_millis(1500));
    sidecar.signal(Signal::TERM);
    while raw.next(PATIENCE).is_some_and(|frame| frame.kind != GOAWAY) {}
    // Sent before it knew.
    std::thread::sleep(Duration::from_millis(300));
    assert!(raw.ask(3, "c1", "good-secret"));
    assert_eq!(raw.fate(3, PATIENCE), Fate::Answered(200));
    assert!(sidecar.wait_exit(PATIENCE).is_some_and(|status| status.success()), "it did not end");
    assert_eq!(upstream.since(0).len(), 2);
}

#[test]
fn new_requests_do_not_hold_a_shutdown_up() {
    let upstream = Upstream::start();
    let mut sidecar = guard(&upstream, "");
    let mut raw = Raw::begin(sidecar.proxy(), &[]);
    assert!(raw.ask(1, "c1", "good-secret"));
    assert_eq!(raw.fate(1, PATIENCE), Fate::Answered(200));
    sidecar.signal(Signal::TERM);
    let head = [(":method", "GET"), (":scheme", "http"), (":path", "/x"), (":authority", "proxy.test")];
    let ended = (1..60).any(|at| {
        raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, at * 2 + 1, &block(&head)));
        sidecar.wait_exit(Duration::from_millis(200)).is_some()
    });
    assert!(ended, "it goes on as long as somebody asks");
}

#[test]
fn connections_that_answer_no_ping_hold_a_shutdown_up_for_a_moment_only() {
    let upstream = Upstream::start();
    let mut sidecar = guard(&upstream, "");
    let mut raw = Raw::begin(sidecar.proxy(), &[]);
    assert!(raw.ask(1, "c1", "good-secret"));
    assert_eq!(raw.fate(1, PATIENCE), Fate::Answered(200));
    token_post(sidecar.proxy(), Method::Basic, "c1", "good-secret");
    sidecar.signal(Signal::TERM);
    assert!(sidecar.wait_exit(PATIENCE).is_some_and(|status| status.success()), "it did not end");
}
