//! The storm: requests over every protocol at once, and a fault at each phase of the upstream's answer, by chance. None
//! arrives twice, none has another's answer.
//!
//! `FAULTS` sets how many requests, `FAULTS_SEED` other dice.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::frames::Frame;
use super::scripted::{BODY, Protocol, Scripted, Step, well};
use super::{request, scripted};
use crate::support::http::{Outcome, Wire};
use crate::support::sidecar::Sidecar;
use crate::support::{PATIENCE, bytes};

/// Requests without `FAULTS`; a debug build has a twentieth.
const COUNT: usize = 100_000;
/// Connections that ask at once, for each protocol.
const CALLERS: usize = 16;

/// How far the upstream's answer comes before its fault.
const PHASES: [&str; 6] = ["read", "line", "head", "body", "half", "answered"];
/// What happens then. A stall takes as long as the deadline, so that there are fewer.
const ENDS: [&str; 6] = ["close", "reset", "close", "reset", "close", "stall"];
/// Over HTTP/2 alone: the stream is given back, before or after it was acted on.
const BACK: [&str; 5] = ["refused", "below", "above", "broken", "leaving"];

/// What becomes of a request: said in its id, so that the upstream needs to remember nothing.
fn fate(dice: u64, protocol: Protocol) -> String {
    let pick = |of: &[&'static str], salt: u32| of[(dice >> salt) as usize % of.len()];
    // The end of a connection is that of every answer on it.
    let (mostly, rarely) = if protocol.is_h2() { (26, 29) } else { (16, 16) };
    match dice % 32 {
        chance if chance < mostly => "well".to_owned(),
        chance if chance < rarely => pick(&BACK, 8).to_owned(),
        _ => {
            format!("{}-{}", pick(&PHASES, 8), if dice >> 32 & 3 == 0 { pick(&ENDS, 16) } else { pick(&ENDS[..5], 16) })
        }
    }
}

/// What the upstream does to a request with this id.
fn script(id: &str, protocol: Protocol, count: usize) -> Vec<Step> {
    let fate = id.split_once('.').map_or("well", |(_, fate)| fate);
    let frames = |frames: Vec<Frame>| vec![Step::Frames(frames)];
    match fate {
        "refused" if count == 1 => return frames(vec![Frame::reset(7)]),
        "below" if count == 1 => return [frames(vec![Frame::goaway(-2, 0)]), vec![Step::Close]].concat(),
        "above" => return [frames(vec![Frame::goaway(0, 2)]), vec![Step::Close]].concat(),
        "broken" => return frames(vec![Frame::reset(2)]),
        "leaving" => return [frames(vec![Frame::goaway(0, 0)]), well(protocol)].concat(),
        _ => {}
    }
    let Some((phase, end)) = fate.split_once('-') else { return well(protocol) };
    let mut steps = if protocol.is_h2() { begun_h2(phase) } else { begun(phase) };
    steps.push(match end {
        "close" => Step::Close,
        "reset" => Step::Reset,
        _ => Step::Stall,
    });
    steps
}

fn begun(phase: &str) -> Vec<Step> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: @LENGTH@\r\n\r\n";
    let text = match phase {
        "read" => String::new(),
        "line" => head[..11].to_owned(),
        "head" => head[..40].to_owned(),
        "body" => head.to_owned(),
        "half" => format!("{head}{}", &BODY[..BODY.len() / 2]),
        _ => format!("{head}{BODY}"),
    };
    vec![Step::Send(text.into_bytes())]
}

fn begun_h2(phase: &str) -> Vec<Step> {
    let head = Frame::headers(&[(":status", "200"), ("content-type", "application/json")], false);
    let frames = match phase {
        "read" | "line" | "head" => Vec::new(),
        "body" => vec![head],
        "half" => vec![head, Frame::data(&BODY.as_bytes()[..BODY.len() / 2], false)],
        _ => vec![head, Frame::data(BODY.as_bytes(), true)],
    };
    vec![Step::Frames(frames)]
}

#[derive(Default)]
struct Tally {
    well: usize,
    refused: usize,
    broken: usize,
    wrong: Vec<String>,
}

#[test]
fn in_a_storm_of_faults_nothing_arrives_twice_and_no_answer_is_anothers() {
    let number = |key: &str| std::env::var(key).ok().and_then(|value| value.parse::<usize>().ok());
    let count = number("FAULTS").unwrap_or(if cfg!(debug_assertions) { COUNT / 20 } else { COUNT });
    let seed = number("FAULTS_SEED").unwrap_or(1) as u64;
    let began = Instant::now();
    let lines: Vec<_> = std::thread::scope(|scope| {
        Protocol::ALL
            .map(|protocol| scope.spawn(move || blow(protocol, count / Protocol::ALL.len(), seed)))
            .map(|blown| blown.join().unwrap())
            .into_iter()
            .collect()
    });
    eprintln!("{} in {:?}", lines.join("; "), began.elapsed());
}

fn blow(protocol: Protocol, count: usize, seed: u64) -> String {
    let (upstream, setup) = scripted(protocol);
    upstream.script(move |id, count, _| script(id, protocol, count));
    let mut sidecar =
        setup.config("proxy.workers = 2\nupstream.request_timeout = \"300ms\"\nlog.access = false").start();
    let next = AtomicUsize::new(0);
    let mut all = Tally::default();
    std::thread::scope(|scope| {
        let callers: Vec<_> =
            (0..CALLERS).map(|_| scope.spawn(|| call(&sidecar, protocol, &next, count, seed))).collect();
        for caller in callers {
            let Tally { well, refused, broken, wrong } = caller.join().unwrap();
            all.well += well;
            all.refused += refused;
            all.broken += broken;
            all.wrong.extend(wrong);
        }
    });
    assert!(sidecar.is_alive(), "{}", sidecar.log());
    assert!(
        all.wrong.is_empty(),
        "{protocol:?}: {} wrong:\n{}",
        all.wrong.len(),
        all.wrong[..all.wrong.len().min(10)].join("\n")
    );
    hold_deliveries(&upstream, protocol);
    // A storm in which nothing was at stake proves nothing. Few are broken off where the answer and its end came together:
    // then nothing of it has gone out, and the caller is told 502.
    assert!(
        all.well > count / 4 && all.refused > count / 20 && all.broken > count / 400,
        "{protocol:?}: {} {} {}",
        all.well,
        all.refused,
        all.broken
    );
    assert!(!sidecar.log().contains("panicked"));
    sidecar.wait_metric("relatch_http_requests_in_flight", &[], |count| count == 0.0);
    format!("{protocol:?}: {} answered, {} refused, {} broken off", all.well, all.refused, all.broken)
}

fn call(sidecar: &Sidecar, protocol: Protocol, next: &AtomicUsize, count: usize, seed: u64) -> Tally {
    let mut tally = Tally::default();
    let mut wire = Wire::connect(sidecar.proxy());
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            return tally;
        }
        let dice = (number as u64 + 1 + (seed << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let id = format!("{number}.{}", fate(dice.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 5, protocol));
        wire.send(&request(&id));
        let outcome = wire.read_reply(false, PATIENCE);
        match &outcome {
            Outcome::Reply(reply) if reply.status == 200 => {
                tally.well += 1;
                if reply.json()["access_token"] != id.as_str() {
                    tally.wrong.push(format!("{id} got {:?}", bytes::escape(&reply.body)));
                }
            }
            Outcome::Reply(reply) if [502, 504].contains(&reply.status) => tally.refused += 1,
            Outcome::Aborted(begun) => {
                tally.broken += 1;
                // As much of the answer as is there is its own.
                let own = format!("\"access_token\":\"{id}");
                let named = bytes::find(begun, b"\"access_token\":\"").map(|at| &begun[at..]);
                if named.is_some_and(|rest| !own.as_bytes().starts_with(&rest[..rest.len().min(own.len())])) {
                    tally.wrong.push(format!("{id} got {:?}", bytes::escape(begun)));
                }
            }
            // The head had not gone out yet: an answer that breaks off before its first byte.
            Outcome::Closed if id.contains(".body-") || id.contains(".half-") => tally.broken += 1,
            other => tally.wrong.push(format!("{id} got {other:?}")),
        }
        if !matches!(outcome, Outcome::Reply(_)) {
            wire = Wire::connect(sidecar.proxy());
        }
    }
}

#[track_caller]
fn hold_deliveries(upstream: &Scripted, protocol: Protocol) {
    let most = |id: &str| if id.ends_with(".refused") || id.ends_with(".below") { 2 } else { 1 };
    let mut twice = upstream.deliveries();
    twice.retain(|id, times| *times > most(id));
    assert!(twice.is_empty(), "{protocol:?}: {} were delivered more often than they may: {twice:?}", twice.len());
}
