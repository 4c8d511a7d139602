//! Frames that ask for nothing: each kind has an end, the process stays small, and nobody else notices.

use std::time::Duration;

use crate::support::http::{Method, token_post};
use crate::support::raw_frames::{
    CALM, CONTINUATION, DATA, END_HEADERS, END_STREAM, FORM, Fate, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, Raw,
    SETTINGS, WINDOW_UPDATE, block, frame, good,
};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;
use crate::support::{PATIENCE, bytes};

/// More than any limit lets through.
const MANY: usize = 20_000;
/// What a flood may add to the process.
const MOST_KIB: u64 = 4 << 10;

/// Sends frame after frame until the other end has had enough; how many it took, and how it ended.
fn flood(raw: &mut Raw, mut next: impl FnMut(usize) -> Vec<u8>) -> (usize, Fate) {
    let mut sent = 0;
    while sent < MANY && raw.send(&next(sent)) {
        sent += 1;
        // The end may come before our buffers are full.
        if sent % 64 == 0 {
            while raw.next(Duration::from_millis(1)).is_some() {}
            if raw.has_ended() {
                break;
            }
        }
    }
    (sent, raw.end(PATIENCE))
}

fn guarded() -> (Upstream, Sidecar) {
    let upstream = Upstream::start();
    let sidecar = Sidecar::guard().client("c1", &["good-secret"]).upstream(&upstream).start();
    token_post(sidecar.proxy(), Method::Basic, "c1", "good-secret");
    (upstream, sidecar)
}

/// Floods, and looks at what the others saw of it.
#[track_caller]
fn ends(what: &str, begin: impl FnOnce(&mut Raw), next: impl FnMut(usize) -> Vec<u8>) {
    let (upstream, sidecar) = guarded();
    let before = sidecar.resident_kib();
    let mut raw = Raw::begin(sidecar.proxy(), &[]);
    begin(&mut raw);
    let (sent, fate) = flood(&mut raw, next);
    assert!(sent < MANY, "{what}: {sent} frames were taken, then {fate:?}");
    assert_ne!(fate, Fate::Silence, "{what}: the connection stays open after {sent} frames");
    let grown = sidecar.resident_kib().saturating_sub(before);
    assert!(grown < MOST_KIB, "{what}: the process grew by {grown} KiB");
    assert_eq!(token_post(sidecar.proxy(), Method::Basic, "c1", "good-secret").status, 200, "{what}");
    sidecar.finish(&upstream);
}

#[test]
fn pings() {
    ends("PING", |_| {}, |_| frame(PING, 0, 0, &[7; 8]));
}

#[test]
fn settings() {
    ends("SETTINGS", |_| {}, |_| frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]));
}

#[test]
fn priorities() {
    ends("PRIORITY", |_| {}, |at| frame(PRIORITY, 0, u32::try_from(at * 2 + 1).unwrap(), &[0, 0, 0, 0, 1]));
}

#[test]
fn window_updates() {
    ends("WINDOW_UPDATE", |_| {}, |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]));
}

/// Opens stream 1 with a request whose body is to come.
fn open(raw: &mut Raw) {
    let basic = bytes::basic("c1", "good-secret");
    raw.send(&frame(HEADERS, END_HEADERS, 1, &block(&good(&basic))));
}

#[test]
fn empty_data() {
    ends("empty DATA", open, |_| frame(DATA, 0, 1, &[]));
}

#[test]
fn data_of_one_byte() {
    ends("DATA of one byte", open, |_| frame(DATA, 0, 1, b"a"));
}

#[test]
fn header_blocks_without_an_end() {
    let begin = |raw: &mut Raw| _ = raw.send(&frame(HEADERS, 0, 1, &block(&good("Basic x"))));
    ends("CONTINUATION", begin, |at| frame(CONTINUATION, 0, 1, &block(&[(&format!("x-{at}"), "a")])));
}

#[test]
fn empty_parts_of_a_header_block() {
    let begin = |raw: &mut Raw| _ = raw.send(&frame(HEADERS, 0, 1, &block(&good("Basic x"))));
    ends("empty CONTINUATION", begin, |_| frame(CONTINUATION, 0, 1, &[]));
}

#[test]
fn a_small_block_that_unfolds_into_a_large_one() {
    // One large field into the table, then thousands of references to it: a few KiB that stand for megabytes.
    let mut bomb = block(&good("Basic x"));
    bomb.extend([0x40, 3, b'x', b'-', b'a', 127, 0x81, 0x1e]);
    bomb.extend([b'a'; 4000]);
    bomb.extend([0xbe; 4000]);
    let (upstream, sidecar) = guarded();
    let before = sidecar.resident_kib();
    for _ in 0..50 {
        let mut raw = Raw::begin(sidecar.proxy(), &[]);
        raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb));
        let fate = raw.fate(1, PATIENCE);
        assert!(matches!(fate, Fate::Answered(431) | Fate::Reset(_) | Fate::GoAway(_) | Fate::Closed), "{fate:?}");
    }
    let grown = sidecar.resident_kib().saturating_sub(before);
    assert!(grown < MOST_KIB, "the process grew by {grown} KiB");
    assert_eq!(upstream.since(1).len(), 0);
    sidecar.finish(&upstream);
}

#[test]
fn requests_that_are_taken_back_at_once() {
    let (upstream, sidecar) = guarded();
    let mut raw = Raw::begin(sidecar.proxy(), &[]);
    let basic = bytes::basic("c1", "good-secret");
    let (sent, fate) = flood(&mut raw, |at| {
        let stream = u32::try_from(at * 2 + 1).unwrap();
        let head = frame(HEADERS, END_HEADERS, stream, &block(&good(&basic)));
        let body = frame(DATA, END_STREAM, stream, FORM);
        [head, body, frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())].concat()
    });
    assert!(sent < MANY && fate != Fate::Silence, "{sent} were taken, then {fate:?}");
    let reached = upstream.since(1).len() + upstream.fragments().len();
    assert!(reached <= 100, "{reached} of {sent} reached the upstream");
    assert_eq!(token_post(sidecar.proxy(), Method::Basic, "c1", "good-secret").status, 200);
    sidecar.wait_metric("relatch_http_requests_in_flight", &[], |in_flight| in_flight == 0.0);
}

#[test]
fn a_flood_is_told_and_counted() {
    let (upstream, sidecar) = guarded();
    let mut raw = Raw::begin(sidecar.proxy(), &[]);
    assert!(raw.ask(1, "c1", "good-secret"));
    assert_eq!(raw.fate(1, PATIENCE), Fate::Answered(200));
    raw.send(&frame(HEADERS, END_HEADERS, 3, &block(&good("Basic x"))));
    // In one write: the answer is not destroyed by what comes behind it.
    raw.send(&frame(PING, 0, 0, &[7; 8]).repeat(400));
    let told = std::iter::from_fn(|| raw.next(PATIENCE)).find(|frame| frame.kind == GOAWAY).unwrap();
    let number = |at: usize| u32::from_be_bytes(told.payload[at..at + 4].try_into().unwrap());
    assert_eq!((number(0), number(4)), (3, CALM), "what was begun may not be sent again");
    sidecar.wait_metric("relatch_http2_floods_total", &[], |floods| floods == 1.0);
    sidecar.finish(&upstream);
}

#[test]
fn acknowledgements_of_what_was_never_asked() {
    ends("PING, acknowledged", |_| {}, |_| frame(PING, 1, 0, &[7; 8]));
}

#[test]
fn requests_that_are_answered_at_once_and_taken_back_all_the_same() {
    ends(
        "HEADERS and RST_STREAM",
        |_| {},
        |at| {
            let stream = u32::try_from(at * 2 + 1).unwrap();
            let head = frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                stream,
                &block(&[(":method", "GET"), (":scheme", "http"), (":path", "/x"), (":authority", "proxy.test")]),
            );
            [head, frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())].concat()
        },
    );
}

#[test]
fn callers_that_lose_their_patience_are_no_flood() {
    let upstream = Upstream::start();
    let _gate = upstream.stall();
    let sidecar = Sidecar::guard().client("c1", &["good-secret"]).upstream(&upstream).start();
    let mut raw = Raw::begin(sidecar.proxy(), &[]);
    for round in 0..3u32 {
        let streams: Vec<u32> = (0..90).map(|at| (round * 90 + at) * 2 + 1).collect();
        for stream in &streams {
            assert!(raw.ask(*stream, "c1", "good-secret"));
        }
        std::thread::sleep(Duration::from_millis(1500));
        for stream in &streams {
            assert!(raw.send(&frame(RST_STREAM, 0, *stream, &8u32.to_be_bytes())));
        }
    }
    raw.send(&frame(PING, 0, 0, &[5; 8]));
    let answered = std::iter::from_fn(|| raw.next(PATIENCE)).find(|frame| matches!(frame.kind, PING | GOAWAY));
    assert!(answered.is_some_and(|frame| frame.kind == PING), "the connection was ended");
}

#[test]
fn a_busy_and_honest_caller_is_no_flood() {
    let (upstream, sidecar) = guarded();
    let mut raw = Raw::begin(sidecar.proxy(), &[]);
    for at in 0..1000u32 {
        let stream = at * 2 + 1;
        assert!(raw.ask(stream, "c1", "good-secret"));
        assert_eq!(raw.fate(stream, PATIENCE), Fate::Answered(200), "request {at}");
        // What libraries send beside it: room for more, and now and then a sign of life.
        raw.send(&frame(WINDOW_UPDATE, 0, 0, &64u32.to_be_bytes()));
        if at % 4 == 0 {
            raw.send(&frame(PING, 0, 0, &[1; 8]));
        }
    }
    sidecar.finish(&upstream);
}
