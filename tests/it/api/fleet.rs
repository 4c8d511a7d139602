//! With many instances, uses are what Prometheus says: how often it is asked, and by whom anew.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::gate::{ADMIN, READER, address, ask, gated};
use crate::support::PATIENCE;
use crate::support::upstream::Upstream;

/// Questions that are asked together for one answer.
const ROUND: usize = 5;
/// As long as an answer serves.
const FRESH: u64 = 5;

#[test]
fn who_turns_pages_has_prometheus_asked_now_and_then_and_a_rule_asks_anew() {
    let (upstream, prometheus) = (Upstream::start(), Prometheus::start());
    let fleet = format!("fleet = {{ instances = \"many\", prometheus = \"http://{}\" }}", prometheus.address);
    let sidecar = gated().client("c2", &["first-s3cr3t-of-c2", "second-s3cr3t-of-c2"]).config(&fleet);
    let sidecar = sidecar.upstream(&upstream).start();
    let at = address(&sidecar);
    let began = Instant::now();
    for _ in 0..10 {
        let list = ask(at, READER, "GET", "/api/v1/clients", "").json();
        assert_eq!(list[1]["secrets"][0]["use_count"], 0, "{list}");
    }
    let rounds = usize::try_from(1 + began.elapsed().as_secs() / FRESH).unwrap();
    assert!((1..=rounds * ROUND).contains(&prometheus.asked()), "{} in {:?}", prometheus.asked(), began.elapsed());

    // Used elsewhere a moment ago: no page need know it yet, and the rule does.
    prometheus.say_used("c2", "c2_1");
    let revoke = "/api/v1/clients/c2/secrets/c2_1/lifecycle/revoke";
    let refused = ask(at, ADMIN, "POST", revoke, "{\"quiet_for\":\"1h\"}").json();
    assert!(refused["message"].as_str().unwrap().contains("c2_1 was used"), "{refused}");
    let shown = ask(at, READER, "GET", "/api/v1/clients/c2", "").json();
    assert!(shown.to_string().contains("\"use_count\":7"), "{shown}");
    sidecar.finish(&upstream);
}

/// Answers as Prometheus does, of two instances that are there.
struct Prometheus {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    asked: usize,
    used: Option<(String, String)>,
    ended: bool,
}

impl Prometheus {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state: Arc<Mutex<State>> = Arc::default();
        let known = state.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if known.lock().unwrap().ended {
                    break;
                }
                answer(stream, &known);
            }
        });
        Self { address, state, thread: Some(thread) }
    }

    fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }

    fn say_used(&self, client: &str, secret: &str) {
        self.state.lock().unwrap().used = Some((client.to_owned(), secret.to_owned()));
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.state.lock().unwrap().ended = true;
        drop(TcpStream::connect(self.address));
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut head, mut chunk) = (Vec::new(), [0; 4096]);
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut chunk) {
            Ok(count @ 1..) => head.extend_from_slice(&chunk[..count]),
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let mut state = state.lock().unwrap();
    state.asked += 1;
    let now = std::time::UNIX_EPOCH.elapsed().unwrap();
    let of = |client: &str, secret: &str, value: u64| {
        let labels = format!("{{\"client_id\":\"{client}\",\"secret_id\":\"{secret}\"}}");
        format!("{{\"metric\":{labels},\"value\":[1,\"{value}\"]}}")
    };
    let used = |value: u64| state.used.as_ref().map(|(client, secret)| of(client, secret, value)).unwrap_or_default();
    let result = if head.contains("last_used") {
        used(now.as_secs())
    } else if head.contains("uses_total") {
        used(7)
    } else if head.contains("tracking_since") {
        let since = (now - Duration::from_secs(7 * 24 * 3600)).as_secs();
        let all = [("c1", "c1_1"), ("c2", "c2_1"), ("c2", "c2_2")];
        all.map(|(client, secret)| of(client, secret, since)).join(",")
    } else if head.contains("count") {
        "{\"metric\":{},\"value\":[1,\"2\"]}".to_owned()
    } else {
        String::new()
    };
    let body = format!("{{\"status\":\"success\",\"data\":{{\"resultType\":\"vector\",\"result\":[{result}]}}}}");
    let _may_be_gone =
        stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
}
