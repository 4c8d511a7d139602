//! At most once: whatever the upstream does, and whenever it does it, no request
//! reaches it twice. A code or a refresh token may have been spent by the first.
//!
//! An upstream of its own, that can end a connection at every moment of a
//! request and counts a delivery as soon as one byte of it has arrived.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::http::{Method, Outcome, Wire, token_request};
use crate::support::sidecar::Sidecar;
use crate::support::{PATIENCE, bytes};

/// When the upstream does what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// As soon as the first byte has arrived, which is left unread.
    Arrived,
    /// With the head read and the body not.
    HeadRead,
    /// With all of the request read.
    AllRead,
    /// In the middle of the answer's status line.
    InStatusLine,
    /// In the middle of the answer's head.
    InHead,
    /// With the answer's head sent and its body not.
    AfterHead,
    /// In the middle of the answer's body.
    InBody,
    /// After the whole answer.
    Answered,
}

const MOMENTS: [Moment; 8] = [
    Moment::Arrived,
    Moment::HeadRead,
    Moment::AllRead,
    Moment::InStatusLine,
    Moment::InHead,
    Moment::AfterHead,
    Moment::InBody,
    Moment::Answered,
];

/// What it does then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// FIN.
    Close,
    /// RST.
    Reset,
    /// Nothing, ever.
    Stall,
    /// Bytes that are no part of an answer, then FIN.
    Junk,
}

const ENDS: [End; 4] = [End::Close, End::Reset, End::Stall, End::Junk];

const ANSWER_HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n";
const ANSWER_BODY: &str = r#"{"access_token":"once","token_type":"Bearer","expires_in":60}"#;

/// What the upstream does with the next requests: one entry each, then all is well.
type Plan = Arc<Mutex<Vec<(Moment, End)>>>;

/// A running one. Its threads end with the test.
struct Breaking {
    address: SocketAddr,
    plan: Plan,
    deliveries: Arc<Mutex<HashMap<String, usize>>>,
}

impl Breaking {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let breaking = Self { address, plan: Plan::default(), deliveries: Arc::default() };
        let (plan, deliveries) = (Arc::clone(&breaking.plan), Arc::clone(&breaking.deliveries));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (plan, deliveries) = (Arc::clone(&plan), Arc::clone(&deliveries));
                std::thread::spawn(move || while serve(&stream, &plan, &deliveries).is_some() {});
            }
        });
        breaking
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next request meets this.
    fn next(&self, moment: Moment, end: End) {
        self.plan.lock().unwrap().push((moment, end));
    }

    fn deliveries_of(&self, id: &str) -> usize {
        self.deliveries.lock().unwrap().get(id).copied().unwrap_or(0)
    }
}

/// One request. `None` when the connection is over.
fn serve(stream: &TcpStream, plan: &Plan, deliveries: &Mutex<HashMap<String, usize>>) -> Option<()> {
    // A look at what has arrived leaves it unread.
    let mut arrived = [0; 4096];
    let count = stream.peek(&mut arrived).ok().filter(|count| *count > 0)?;
    let first = String::from_utf8_lossy(&arrived[..count]).into_owned();
    let id = first.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap_or("-").to_owned();
    *deliveries.lock().unwrap().entry(id).or_default() += 1;
    let Some((moment, end)) = plan.lock().unwrap().pop() else { return converse(stream, Moment::Answered) };
    converse(stream, moment)?;
    match end {
        End::Close => {}
        End::Reset => _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)),
        End::Stall => {
            // Until the proxy gives up: what it still sends is no answer to anything.
            let mut stream = stream;
            while stream.read(&mut arrived).is_ok_and(|count| count > 0) {}
        }
        End::Junk => _ = (&*stream).write_all(b"\0junk\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    }
    // The stream belongs to the thread, which ends now; the reset or the close is its end.
    None
}

/// Reads and answers as far as `until`.
fn converse(mut stream: &TcpStream, until: Moment) -> Option<()> {
    if until == Moment::Arrived {
        return Some(());
    }
    let mut request = Vec::new();
    let mut byte = [0; 1];
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        request.push(byte[0]);
    }
    if until == Moment::HeadRead {
        return Some(());
    }
    let head = String::from_utf8_lossy(&request).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let answer = format!("{ANSWER_HEAD}Content-Length: {}\r\n\r\n{ANSWER_BODY}", ANSWER_BODY.len());
    let whole_head = answer.len() - ANSWER_BODY.len();
    let sent = match until {
        Moment::Arrived | Moment::HeadRead | Moment::AllRead => 0,
        Moment::InStatusLine => 11,
        Moment::InHead => ANSWER_HEAD.len() - 20,
        Moment::AfterHead => whole_head,
        Moment::InBody => whole_head + ANSWER_BODY.len() / 2,
        Moment::Answered => answer.len(),
    };
    stream.write_all(&answer.as_bytes()[..sent]).ok()
}

fn guard(upstream: &Breaking) -> Sidecar {
    // One data-plane thread has one pool, so that a test knows which connection is used.
    Sidecar::guard()
        .client("c1", &["right-s3cr3t"])
        .upstream_url(&upstream.url())
        .config("proxy.workers = 1\nupstream.request_timeout = \"700ms\"\nlog.access = false")
        .start()
}

fn ask(sidecar: &Sidecar, id: &str) -> Outcome {
    let mut wire = Wire::connect(sidecar.proxy());
    wire.send(&token_request(Method::Basic, "c1", "right-s3cr3t", id));
    wire.read_reply(false, PATIENCE)
}

#[test]
fn no_fault_at_any_moment_makes_a_request_arrive_twice() {
    let upstream = Breaking::start();
    let sidecar = guard(&upstream);
    let mut faults = Vec::new();
    for pooled in [false, true] {
        for moment in MOMENTS {
            for end in ENDS {
                let name = format!("{moment:?}-{end:?}-{}", if pooled { "pooled" } else { "fresh" });
                if pooled {
                    // Leaves a connection that is in good order.
                    assert!(matches!(ask(&sidecar, &format!("before-{name}")), Outcome::Reply(r) if r.status == 200));
                } else {
                    forget_idle(&sidecar, &upstream);
                }
                upstream.next(moment, end);
                let outcome = ask(&sidecar, &name);
                let deliveries = upstream.deliveries_of(&name);
                if deliveries != 1 {
                    faults.push(format!("{name}: delivered {deliveries} times"));
                }
                if let Some(fault) = misjudged(moment, end, &outcome) {
                    faults.push(format!("{name}: {fault}"));
                }
                if (moment, end) == (Moment::Answered, End::Stall) {
                    // A connection in good order, to an upstream that has fallen silent: spend it.
                    ask(&sidecar, &format!("into-silence-{name}"));
                }
                if moment == Moment::Answered {
                    // What comes after the answer must be there before the next request is sent: nobody could know else.
                    std::thread::sleep(Duration::from_millis(100));
                }
                // Whatever it was, the next caller is well.
                let after = ask(&sidecar, &format!("after-{name}"));
                if !matches!(&after, Outcome::Reply(reply) if reply.status == 200) {
                    faults.push(format!("the request after {name}: {after:?}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}\n{}", faults.join("\n"), sidecar.log());
    let most = *upstream.deliveries.lock().unwrap().values().max().unwrap();
    assert_eq!(most, 1);
}

/// Spends the idle connection: the upstream closes it after an answer, in its own time.
fn forget_idle(sidecar: &Sidecar, upstream: &Breaking) {
    upstream.next(Moment::Answered, End::Close);
    ask(sidecar, &format!("spent-{:?}", std::time::Instant::now()));
    sidecar.wait_metric("relatch_upstream_connections", &[("state", "active")], |count| count == 0.0);
    std::thread::sleep(Duration::from_millis(20));
}

/// What is wrong with the answer that the caller got.
fn misjudged(moment: Moment, end: End, outcome: &Outcome) -> Option<String> {
    let fine = match (moment, outcome) {
        // The answer was whole; what came behind it is nobody's.
        (Moment::Answered, Outcome::Reply(reply)) => reply.status == 200 && reply.body == ANSWER_BODY.as_bytes(),
        // The head had gone out: no clean end may follow; a proxy that waited may still tell.
        (Moment::AfterHead | Moment::InBody, Outcome::Aborted(_) | Outcome::Closed) => true,
        // Junk in place of the body's bytes is a body, as far as anyone can see.
        (Moment::AfterHead | Moment::InBody, Outcome::Reply(reply)) if end == End::Junk => {
            matches!(reply.status, 200 | 502)
        }
        (_, Outcome::Reply(reply)) if end == End::Stall => reply.status == 504,
        (_, Outcome::Reply(reply)) => reply.status == 502 && reply.json()["error"].is_string(),
        _ => false,
    };
    (!fine).then(|| format!("the caller got {outcome:?}"))
}

/// How often the race for an idle connection is run.
const RACES: u32 = 300;

#[test]
fn an_idle_connection_that_ends_while_it_is_wanted_spends_nothing_twice() {
    let upstream = Breaking::start();
    let sidecar = guard(&upstream);
    let mut statuses = HashMap::<u16, usize>::new();
    for race in 0..RACES {
        // The answer, and right behind it the end of the connection; the next request comes
        // before, while or after that is noticed.
        upstream.next(Moment::Answered, if race.is_multiple_of(2) { End::Close } else { End::Reset });
        for (step, id) in [format!("ends-{race}"), format!("next-{race}")].iter().enumerate() {
            match ask(&sidecar, id) {
                Outcome::Reply(reply) => *statuses.entry(reply.status).or_default() += 1,
                other => panic!("{id}: {other:?}"),
            }
            assert!(upstream.deliveries_of(id) <= 1, "{id} was delivered {} times", upstream.deliveries_of(id));
            if step == 0 {
                std::thread::sleep(Duration::from_micros(u64::from(race % 30) * 20));
            }
        }
    }
    let other: Vec<_> = statuses.keys().filter(|status| !matches!(status, 200 | 502)).collect();
    assert!(other.is_empty(), "{statuses:?}");
    // What was never written may go to another connection: most of them make it.
    let well = statuses.get(&200).copied().unwrap_or(0);
    assert!(well * 10 >= RACES as usize * 2 * 9, "{statuses:?}");
}

#[test]
fn a_caller_that_leaves_is_not_a_reason_to_ask_again() {
    let upstream = Breaking::start();
    let sidecar = guard(&upstream);
    for round in 0..50 {
        let id = format!("left-{round}");
        upstream.next(Moment::AllRead, End::Stall);
        let mut wire = Wire::connect(sidecar.proxy());
        wire.send(&token_request(Method::Basic, "c1", "right-s3cr3t", &id));
        let arrived = || (upstream.deliveries_of(&id) > 0).then_some(());
        assert!(crate::support::poll(PATIENCE, arrived).is_some());
        wire.shut();
        drop(wire);
        assert_eq!(upstream.deliveries_of(&id), 1);
    }
    let after = ask(&sidecar, "after").reply();
    assert_eq!(after.status, 200);
    std::thread::sleep(Duration::from_millis(900));
    let deliveries = upstream.deliveries.lock().unwrap();
    assert!(deliveries.values().all(|count| *count == 1), "{deliveries:?}");
    assert!(
        bytes::contains(sidecar.metrics().as_bytes(), b"relatch_http_requests_in_flight 0"),
        "{}",
        sidecar.metrics()
    );
}
