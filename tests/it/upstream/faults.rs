//! Faults of the upstream are data: `tests/corpus/p-faults.toml`. Each is done to a request over HTTP/1.1 and HTTP/2, with
//! and without TLS, on a new connection and on one that was used before.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::frames::Frame;
use super::scripted::{Protocol, Scripted, Step, well};
use super::{request, scripted};
use crate::support::http::{Method, Outcome, Wire, token_post};
use crate::support::sidecar::Sidecar;
use crate::support::{PATIENCE, poll};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Case>,
}

/// See the head of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    title: String,
    h1: Option<Vec<String>>,
    h2: Option<Vec<String>>,
    status: u16,
    h2_status: Option<Vec<u16>>,
    body: Option<String>,
    #[serde(default = "once")]
    deliveries: usize,
    #[serde(default)]
    headers: Vec<(String, String)>,
    rss_kib: Option<u64>,
}

fn once() -> usize {
    1
}

#[test]
fn p_whatever_the_upstream_does_the_caller_is_safe_and_it_is_asked_once() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/p-faults.toml");
    let cases: Cases = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let only = std::env::var("CORPUS_ONLY").unwrap_or_default();
    let mut faults = Vec::new();
    std::thread::scope(|scope| {
        let runs: Vec<_> = Protocol::ALL
            .map(|protocol| {
                let (cases, only) = (&cases.case, &only);
                scope.spawn(move || {
                    let (upstream, setup) = scripted(protocol);
                    let config = "upstream.request_timeout = \"1s\"\nlog.access = false";
                    let mut sidecar = setup.config(config).start();
                    let chosen = |case: &&Case| only.is_empty() || only.split(',').any(|id| case.id.starts_with(id));
                    let faults: Vec<_> =
                        cases.iter().filter(chosen).flat_map(|case| run(case, protocol, &upstream, &sidecar)).collect();
                    assert!(sidecar.is_alive(), "{}", sidecar.log());
                    faults
                })
            })
            .into_iter()
            .collect();
        for run in runs {
            faults.extend(run.join().unwrap());
        }
    });
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// What is wrong with what came of it.
fn run(case: &Case, protocol: Protocol, upstream: &Scripted, sidecar: &Sidecar) -> Vec<String> {
    let Some(steps) = (if protocol.is_h2() { &case.h2 } else { &case.h1 }) else { return Vec::new() };
    let steps: Vec<Step> = steps.iter().flat_map(|step| parse(step, protocol)).collect();
    upstream.script(move |id, _, _| if id.starts_with('P') { steps.clone() } else { well(protocol) });
    let mut faults = Vec::new();
    let mut wrong = |why: String| faults.push(format!("{} ({protocol:?}, {}): {why}", case.id, case.title));
    for (round, warm) in [false, true].into_iter().enumerate() {
        if warm {
            ask(sidecar, &format!("warm-{}", case.id));
        }
        let id = format!("{}-{protocol:?}-{round}", case.id);
        let before = sidecar.resident_kib();
        let outcome = ask(sidecar, &id);
        let statuses =
            case.h2_status.as_ref().filter(|_| protocol.is_h2()).cloned().unwrap_or_else(|| vec![case.status]);
        match &outcome {
            Outcome::Aborted(_) | Outcome::Closed if statuses.contains(&0) => {}
            Outcome::Reply(reply) if statuses.contains(&reply.status) => {
                if [502, 504].contains(&reply.status) && reply.json()["error"] != "temporarily_unavailable" {
                    wrong(format!("its body is {:?}", String::from_utf8_lossy(&reply.body)));
                }
                if reply.status == 200 && case.body.is_none() && reply.json()["access_token"] != id.as_str() {
                    wrong(format!("an answer to another: {:?}", String::from_utf8_lossy(&reply.body)));
                }
                if case.body.as_ref().is_some_and(|body| body.as_bytes() != reply.body) {
                    wrong(format!("its body is {:?}", String::from_utf8_lossy(&reply.body)));
                }
                for (name, value) in &case.headers {
                    if reply.header(name).unwrap_or_default() != value {
                        wrong(format!("{name} is {:?}", reply.header(name)));
                    }
                }
            }
            other => wrong(format!("the caller got {other:?}, not {statuses:?}")),
        }
        if upstream.deliveries_of(&id) != case.deliveries {
            wrong(format!("it was delivered {} times", upstream.deliveries_of(&id)));
        }
        let grown = sidecar.resident_kib().saturating_sub(before);
        // The first time takes pages that stay, such as those of the code that is run.
        if warm && case.rss_kib.is_some_and(|most| grown > most) {
            wrong(format!("memory grew by {grown} KiB"));
        }
        // What comes behind an answer must be there before the next request is sent: nobody could know else.
        std::thread::sleep(Duration::from_millis(20));
        let after = format!("after-{id}");
        match ask(sidecar, &after) {
            Outcome::Reply(reply) if reply.json()["access_token"] == after.as_str() => {}
            other => wrong(format!("the next caller got {other:?}")),
        }
    }
    faults
}

fn ask(sidecar: &Sidecar, id: &str) -> Outcome {
    let mut wire = Wire::connect(sidecar.proxy());
    wire.send(&request(id));
    wire.read_reply(false, PATIENCE)
}

/// One step of a case.
fn parse(step: &str, protocol: Protocol) -> Vec<Step> {
    let step = step.replace("@KIB@", &"x".repeat(1 << 10)).replace("@MIB@", &"x".repeat(1 << 20));
    let (word, rest) = step.split_once(' ').unwrap_or((&step, ""));
    let one = |frame| vec![Step::Frames(vec![frame])];
    let fields = || rest.split('|').filter_map(|field| field.split_once('=')).collect::<Vec<_>>();
    match word {
        "well" => well(protocol),
        "send" => vec![Step::Send(rest.as_bytes().to_vec())],
        "pause" => vec![Step::Pause(Duration::from_millis(rest.parse().unwrap()))],
        "close" => vec![Step::Close],
        "reset" => vec![Step::Reset],
        "stall" => vec![Step::Stall],
        "headers" => one(Frame::headers(&fields(), false)),
        "headers!" => one(Frame::headers(&fields(), true)),
        "data" => one(Frame::data(rest.as_bytes(), false)),
        "data!" => one(Frame::data(rest.as_bytes(), true)),
        "rst" => one(Frame::reset(rest.parse().unwrap())),
        "push" => one(Frame::new(super::frames::PUSH_PROMISE, 0, vec![0, 0, 0, 2])),
        "goaway" => {
            let (offset, code) = rest.split_once(' ').unwrap();
            one(Frame::goaway(offset.parse().unwrap(), code.parse().unwrap()))
        }
        "repeat" => {
            let (times, what) = rest.split_once(' ').unwrap();
            let times = times.parse().unwrap();
            match &parse(if protocol.is_h2() { what.to_owned() } else { format!("send {what}") }.as_str(), protocol)[..]
            {
                [Step::Send(text)] => vec![Step::Repeat(times, text.clone())],
                [Step::Frames(frames)] => vec![Step::Frames(frames.iter().cycle().take(times).cloned().collect())],
                other => panic!("{other:?} cannot be repeated"),
            }
        }
        other => panic!("no such step: {other}"),
    }
}

#[test]
fn p01_an_upstream_that_cannot_be_reached_is_a_502_or_a_504_in_time() {
    // A backlog of one that is full swallows what comes, as a dropped packet does.
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    full.listen(0).unwrap();
    let blackhole = full.local_addr().unwrap().as_socket().unwrap();
    let _fill: Vec<_> = (0..3)
        .map(|_| {
            let one = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            one.set_nonblocking(true).unwrap();
            _ = one.connect(&blackhole.into());
            one
        })
        .collect();
    let nobody = crate::support::upstream::nobody();
    for (url, status, kind) in [
        (format!("http://{nobody}"), 502, "connect"),
        (format!("https://{nobody}"), 502, "connect"),
        ("http://no-such-host.invalid:9".to_owned(), 502, "connect"),
        (format!("http://{blackhole}"), 504, "timeout"),
        (format!("https://{blackhole}"), 504, "timeout"),
    ] {
        for http2 in [false, true] {
            let config = format!("upstream.connect_timeout = \"1s\"\nupstream.http2 = {http2}");
            let setup = Sidecar::guard().client("c1", &[super::SECRET]).config(&config);
            let sidecar = setup.upstream_url(&url).start();
            let asked = Instant::now();
            let reply = token_post(sidecar.proxy(), Method::Basic, "c1", super::SECRET);
            // A name server that is not there takes what it takes, and the deadline is the same.
            let allowed = [status, if url.contains("invalid") { 504 } else { status }];
            assert!(allowed.contains(&reply.status), "{url}: {}", reply.status);
            assert_eq!(reply.json()["error"], "temporarily_unavailable");
            assert!(asked.elapsed() < Duration::from_secs(8), "{url}");
            if reply.status == status {
                sidecar.wait_metric("relatch_upstream_errors_total", &[("kind", kind)], |count| count == 1.0);
            }
            sidecar.wait_log(|line| line["msg"] == "the upstream cannot be reached" && line["why"].is_string());
        }
    }
}

#[test]
fn p13_callers_that_leave_leave_nothing_open() {
    let rounds = std::env::var("LEAVERS").ok().and_then(|count| count.parse().ok()).unwrap_or(200);
    for protocol in Protocol::ALL {
        let (upstream, setup) = scripted(protocol);
        upstream.script(move |id, _, _| if id.starts_with("left") { vec![Step::Stall] } else { well(protocol) });
        let sidecar = setup.config("log.access = false").start();
        assert!(matches!(ask(&sidecar, "first"), Outcome::Reply(reply) if reply.status == 200));
        let open = || std::fs::read_dir(format!("/proc/{}/fd", sidecar.pid())).unwrap().count();
        let before = open();
        for round in 0..rounds {
            let id = format!("left-{round}");
            let mut wire = Wire::connect(sidecar.proxy());
            wire.send(&request(&id));
            // By turns before the request arrives there, and after.
            if round % 2 == 0 {
                let arrived = || (upstream.deliveries_of(&id) > 0).then_some(());
                assert!(poll(PATIENCE, arrived).is_some(), "{id}");
            }
            drop(wire);
        }
        let settled = poll(PATIENCE, || (open() <= before + 2).then_some(()));
        assert!(settled.is_some(), "{protocol:?}: {before} files were open, {} are", open());
        assert!(upstream.deliveries().values().all(|count| *count == 1));
        assert!(matches!(ask(&sidecar, "last"), Outcome::Reply(reply) if reply.status == 200));
        sidecar.wait_metric("relatch_http_requests_in_flight", &[], |count| count == 0.0);
        sidecar.wait_metric("relatch_upstream_connections", &[("state", "active")], |count| count == 0.0);
    }
}
