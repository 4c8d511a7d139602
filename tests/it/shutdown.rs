//! Stopping: nothing in flight is lost, nothing new is let in, and it ends when
//! the last answer is out, or when it must.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::caller::{Caller, NoAnswer};
use crate::support::http::{Method, Outcome, Wire, get, token_post, token_request};
use crate::support::names::Silent;
use crate::support::quick::Quick;
use crate::support::sidecar::Sidecar;
use crate::support::upstream::{Answer, Upstream};
use crate::support::{PATIENCE, poll};

const SECRET: &str = "right-s3cr3t";

fn guard() -> crate::support::setup::Setup {
    Sidecar::guard().client("c1", &[SECRET])
}

fn request(id: &str) -> Vec<u8> {
    token_request(Method::Basic, "c1", SECRET, id)
}

/// How often it is told to stop under load, and by how many callers.
const ROUNDS: u64 = 20;
const CALLERS: usize = 8;

#[test]
fn told_to_stop_under_load_it_loses_no_request() {
    for round in 0..ROUNDS {
        // Long enough that most callers wait for an answer at any moment.
        let upstream = Quick::with_pause(Duration::from_millis(round % 5));
        let mut sidecar = guard().upstream_url(&upstream.url()).config("log.access = false").start();
        let (done, proxy) = (AtomicBool::new(false), sidecar.proxy());
        let (asked, signalled) = std::thread::scope(|scope| {
            let done = &done;
            let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(move || ask_until_refused(proxy, done))).collect();
            std::thread::sleep(Duration::from_millis(100 + 7 * round));
            let signalled = Instant::now();
            sidecar.signal(if round.is_multiple_of(2) { Signal::TERM } else { Signal::INT });
            let status = sidecar.wait_exit(PATIENCE);
            done.store(true, Ordering::Relaxed);
            let asked: Vec<_> = callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect();
            assert!(status.is_some_and(|status| status.success()), "{status:?}\n{}", sidecar.log());
            (asked, signalled)
        });
        let (before, after): (Vec<_>, Vec<_>) = asked.into_iter().partition(|(sent, _)| *sent < signalled);
        let lost: Vec<_> = before.iter().filter(|(_, answer)| !matches!(answer, Ok((200, _)))).collect();
        assert!(lost.is_empty(), "round {round}: {} of {} sent before were lost: {lost:?}", lost.len(), before.len());
        let whole = |answer: &Answered| matches!(answer, Ok((200, _)) | Err(NoAnswer::Closed));
        let broken: Vec<_> = after.iter().filter(|(_, answer)| !whole(answer)).collect();
        assert!(broken.is_empty(), "round {round}: of {} sent after: {broken:?}", after.len());
        assert!(before.len() > CALLERS * 2, "round {round}: only {} requests", before.len());
    }
}

/// Connections that are made in one go, right before the signal.
const BURST: usize = 200;

#[test]
fn whoever_had_connected_when_it_was_told_to_stop_is_still_served() {
    for round in 0..5 {
        let upstream = Quick::start();
        let mut sidecar = guard().upstream_url(&upstream.url()).config("log.access = false").start();
        let mut wires: Vec<_> = (0..BURST)
            .map(|_| {
                let mut wire = Wire::connect(sidecar.proxy());
                wire.send(&request(""));
                wire
            })
            .collect();
        sidecar.signal(Signal::TERM);
        for (number, wire) in wires.iter_mut().enumerate() {
            match wire.read_reply(false, PATIENCE) {
                Outcome::Reply(reply) if reply.status == 200 => {}
                other => panic!("round {round}: connection {number} of {BURST} got {other:?}"),
            }
        }
        assert!(sidecar.wait_exit(PATIENCE).is_some_and(|status| status.success()), "{}", sidecar.log());
    }
}

#[test]
fn a_name_server_that_does_not_answer_keeps_nobody_from_the_end() {
    let Some(silent) = Silent::at("127.0.53.1") else { return };
    let mut sidecar = guard()
        .under(&silent.wrapper())
        .upstream_url("http://upstream.example:8080")
        .config("upstream.connect_timeout = \"200ms\"")
        .start();
    assert!((502..=504).contains(&token_post(sidecar.proxy(), Method::Basic, "c1", SECRET).status));
    silent.is_asked();
    sidecar.signal(Signal::TERM);
    let status = sidecar.wait_exit(PATIENCE);
    assert!(status.is_some_and(|status| status.success()), "{status:?}\n{}", sidecar.log());
}

type Answered = Result<(u16, bool), NoAnswer>;

/// Asks over kept-alive connections, new ones where one has ended, until nobody listens.
fn ask_until_refused(proxy: SocketAddr, done: &AtomicBool) -> Vec<(Instant, Answered)> {
    let request = request("");
    let mut asked = Vec::new();
    while let Ok(mut caller) = Caller::connect(proxy) {
        loop {
            let sent = Instant::now();
            let answer = caller.ask(&request);
            asked.push((sent, answer));
            if done.load(Ordering::Relaxed) || !matches!(answer, Ok((_, false))) {
                break;
            }
        }
        if done.load(Ordering::Relaxed) {
            break;
        }
    }
    asked
}

#[test]
fn while_it_drains_it_is_not_ready_and_serves_until_the_delay_is_over() {
    let upstream = Upstream::start();
    let mut sidecar =
        guard().upstream(&upstream).config("shutdown = { drain_delay = \"1500ms\", drain_timeout = \"10s\" }").start();
    let (proxy, telemetry) = (sidecar.proxy(), sidecar.telemetry());
    let ready = || get(telemetry, "/readyz").status;
    assert_eq!(ready(), 200);
    let told = Instant::now();
    sidecar.signal(Signal::TERM);
    assert!(poll(Duration::from_secs(1), || (ready() == 503).then_some(())).is_some(), "still ready");
    // The load balancer has not noticed yet: new callers and old ones are served.
    sidecar.signal(Signal::HUP);
    while told.elapsed() < Duration::from_millis(1000) {
        assert_eq!(token_post(proxy, Method::Post, "c1", SECRET).status, 200);
        assert_eq!((ready(), get(telemetry, "/livez").status, get(telemetry, "/metrics").status), (503, 200, 200));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(get(telemetry, "/readyz?verbose").body.starts_with(b"draining"));
    let refused = || TcpStream::connect(proxy).is_err().then_some(());
    assert!(poll(PATIENCE, refused).is_some(), "still listening");
    let status = sidecar.wait_exit(PATIENCE).expect("it stops");
    assert!(status.success() && told.elapsed() >= Duration::from_millis(1500), "{status:?} {:?}", told.elapsed());
    assert!(sidecar.log_lines().iter().any(|line| line["msg"] == "stopped"), "{}", sidecar.log());
}

#[test]
fn a_request_that_is_still_being_sent_is_answered() {
    let upstream = Upstream::start();
    let mut sidecar = guard().upstream(&upstream).start();
    let whole = request("half-sent");
    let (first, rest) = whole.split_at(whole.len() - 10);
    let mut body = Wire::connect(sidecar.proxy());
    body.send(first);
    let mut head = Wire::connect(sidecar.proxy());
    head.send(&whole[..40]);
    std::thread::sleep(Duration::from_millis(100));
    sidecar.signal(Signal::TERM);
    std::thread::sleep(Duration::from_millis(300));
    body.send(rest);
    head.send(&whole[40..]);
    for wire in [&mut body, &mut head] {
        let reply = wire.read_reply(false, PATIENCE).reply();
        assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
        assert!(wire.closed_within(PATIENCE));
    }
    assert!(sidecar.wait_exit(PATIENCE).is_some_and(|status| status.success()), "{}", sidecar.log());
}

#[test]
fn an_answer_that_is_under_way_is_finished_and_holds_nothing_up_afterwards() {
    let upstream = Upstream::start();
    let mut sidecar = guard().upstream(&upstream).start();
    let body = r#"{"access_token":"drop by drop","token_type":"Bearer"}"#;
    let whole = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    upstream.answer(Answer::Drip(whole.into_bytes(), Duration::from_millis(15)));
    let mut wire = Wire::connect(sidecar.proxy());
    wire.send(&request("dripped"));
    // Its head has gone out without a word of closing.
    assert!(wire.stirs(PATIENCE));
    sidecar.signal(Signal::TERM);
    let reply = wire.read_reply(false, PATIENCE).reply();
    assert_eq!((reply.status, reply.body.as_slice()), (200, body.as_bytes()));
    // The caller keeps its connection, as pools do. It waits for nothing, and neither should we.
    let status = sidecar.wait_exit(PATIENCE);
    assert!(status.is_some_and(|status| status.success()), "{status:?}\n{}", sidecar.log());
    let took = stopped_within(&sidecar, "stopped");
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[test]
fn idle_connections_do_not_hold_it_up() {
    let upstream = Upstream::start();
    let mut sidecar = guard().upstream(&upstream).start();
    let silent: Vec<_> = (0..20).map(|_| Wire::connect(sidecar.proxy())).collect();
    let mut used: Vec<_> = (0..20).map(|_| Wire::connect(sidecar.proxy())).collect();
    for wire in &mut used {
        wire.send(&request(""));
        assert_eq!(wire.read_reply(false, PATIENCE).reply().status, 200);
    }
    sidecar.signal(Signal::TERM);
    assert!(sidecar.wait_exit(PATIENCE).is_some_and(|status| status.success()), "{}", sidecar.log());
    let took = stopped_within(&sidecar, "stopped");
    assert!(took < Duration::from_secs(5), "{took:?}");
    drop((silent, used));
}

#[test]
fn a_connection_is_idle_after_an_answer_of_unannounced_length_too() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n7\r\n{{\"a\":1}}\r\n0\r\n\r\n");
    let until_close = format!("{head}\r\n{{\"a\":1}}");
    for answer in [Answer::Raw(chunked.into()), Answer::RawThenClose(until_close.into())] {
        let upstream = Upstream::start();
        upstream.answer(answer.clone());
        let limits = "limits.keep_alive = \"500ms\"\nshutdown.drain_timeout = \"8s\"\n";
        let mut sidecar = guard().upstream(&upstream).config(limits).start();
        let mut left = Wire::connect(sidecar.proxy());
        left.send(&request("left"));
        assert_eq!(left.read_reply(false, PATIENCE).reply().body, b"{\"a\":1}");
        assert!(left.closed_within(Duration::from_secs(5)), "lies idle for longer than it may after {answer:?}");
        let mut wire = Wire::connect(sidecar.proxy());
        wire.send(&request("last"));
        assert_eq!(wire.read_reply(false, PATIENCE).reply().status, 200);
        sidecar.signal(Signal::TERM);
        let status = sidecar.wait_exit(PATIENCE);
        assert!(status.is_some_and(|status| status.success()), "{status:?}\n{}", sidecar.log());
        let took = stopped_within(&sidecar, "stopped");
        assert!(took < Duration::from_secs(5), "{took:?}");
        drop(wire);
    }
}

/// How long it took from the signal to the last word, by its own log: the end of a process waits for a busy disk to bring
/// the code of it.
fn stopped_within(sidecar: &Sidecar, last: &str) -> Duration {
    let at = |msg: &str| -> jiff::Timestamp {
        let line = sidecar.log_lines().into_iter().find(|line| line["msg"] == msg).expect(msg);
        line["ts"].as_str().unwrap().parse().unwrap()
    };
    at(last).duration_since(at("draining")).try_into().unwrap()
}

#[test]
fn a_slow_request_has_the_drain_timeout_and_no_more() {
    let upstream = Upstream::start();
    let start = || guard().upstream(&upstream).config("shutdown.drain_timeout = \"2s\"").start();
    let stalled = |sidecar: &Sidecar, id: &str| {
        let mut wire = Wire::connect(sidecar.proxy());
        wire.send(&request(id));
        assert_eq!(upstream.next(PATIENCE).request_id(), Some(id));
        wire
    };

    let gate = upstream.stall();
    let mut sidecar = start();
    let mut wire = stalled(&sidecar, "slow");
    sidecar.signal(Signal::TERM);
    std::thread::sleep(Duration::from_millis(1200));
    gate.open();
    assert_eq!(wire.read_reply(false, PATIENCE).reply().status, 200);
    assert!(sidecar.wait_exit(PATIENCE).is_some_and(|status| status.success()), "{}", sidecar.log());

    let gate = upstream.stall();
    let mut sidecar = start();
    let wire = stalled(&sidecar, "too-slow");
    sidecar.signal(Signal::TERM);
    let status = sidecar.wait_exit(PATIENCE).expect("it stops all the same");
    let took = stopped_within(&sidecar, "stopped with connections open");
    assert!(!status.success() && status.code().is_some(), "{status:?}");
    assert!((Duration::from_millis(1900)..Duration::from_secs(5)).contains(&took), "{took:?}");
    let said = sidecar.log();
    assert!(said.contains("did not finish in time") && said.contains(r#""in_flight":"1""#), "{said}");
    gate.open();
    drop(wire);
}

#[test]
fn a_second_signal_stops_it_at_once() {
    let upstream = Upstream::start();
    for (first, second) in [(Signal::TERM, Signal::TERM), (Signal::INT, Signal::INT), (Signal::TERM, Signal::INT)] {
        let gate = upstream.stall();
        let mut sidecar = guard().upstream(&upstream).start();
        let mut wire = Wire::connect(sidecar.proxy());
        wire.send(&request("stalled"));
        upstream.next(PATIENCE);
        sidecar.signal(first);
        sidecar.wait_log(|line| line["msg"] == "draining");
        assert!(sidecar.wait_exit(Duration::from_millis(200)).is_none(), "one signal waits for the request");
        let told = Instant::now();
        sidecar.signal(second);
        // It says so and waits for nothing more; what the kernel still has to tidy up is not ours to time.
        sidecar.wait_log(|line| line["msg"] == "stopped with connections open" && line["reason"] == "a second signal");
        assert!(told.elapsed() < Duration::from_secs(1), "{:?}", told.elapsed());
        let status = sidecar.wait_exit(PATIENCE).expect("two signals do not");
        assert!(!status.success() && status.code().is_some(), "{status:?}");
        gate.open();
        drop(wire);
    }
}
