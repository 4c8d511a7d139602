//! Scrapes of long lists: whole, beside probes on the same connection, for scrapers that leave, and on a machine where nothing
//! is left over.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::http::{Outcome, Reply, Wire, get};
use crate::support::setup::Setup;
use crate::support::sidecar::Sidecar;
use crate::support::upstream::{Upstream, nobody};
use crate::support::{PATIENCE, poll};

/// Prometheus gives up after ten, where nobody says otherwise; here others may want the same CPU.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(30);

/// The policy that takes only what is left over, as the kernel numbers it.
const SCHED_IDLE: &str = "5";

/// A guard of so many clients, of which each is a kilobyte and more in a scrape.
fn guard(clients: usize) -> Setup {
    let list = (0..clients).fold(String::new(), |mut list, n| {
        let _ = write!(list, "[[client]]\nid = \"client-{n}\"\n");
        list
    });
    Sidecar::guard().clients_text(&list)
}

/// Whether a sample of each client is in it, and a whole line the last.
fn is_whole(scrape: &[u8], clients: usize) -> bool {
    let text = std::str::from_utf8(scrape).unwrap();
    let samples = text.matches("\nrelatch_basic_encoding_total{client_id=\"client-").count();
    text.ends_with('\n') && samples == 2 * clients && text.contains("# TYPE relatch_client_secret_uses_total counter\n")
}

/// The scheduling policies of the threads that write a scrape: field 41 of their `stat`, whose second one may hold spaces.
fn policies(sidecar: &Sidecar) -> Vec<String> {
    let tasks = std::fs::read_dir(Path::new("/proc").join(sidecar.pid().to_string()).join("task")).unwrap();
    let stats = tasks.flatten().map(|task| std::fs::read_to_string(task.path().join("stat")).unwrap_or_default());
    let policy = |stat: String| {
        let (name, rest) = stat.split_once(") ")?;
        let policy = rest.split_whitespace().nth(41 - 3)?;
        name.ends_with("(relatch-scrape").then(|| policy.to_owned())
    };
    stats.filter_map(policy).collect()
}

/// How many threads write a scrape.
fn writers(sidecar: &Sidecar) -> usize {
    policies(sidecar).len()
}

fn ask(wire: &mut Wire, path: &str) -> Reply {
    wire.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    match wire.read_reply(false, PATIENCE) {
        Outcome::Reply(reply) => reply,
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn a_long_scrape_is_whole_and_its_connection_goes_on() {
    const CLIENTS: usize = 2000;
    let upstream = Upstream::start();
    let sidecar = guard(CLIENTS).upstream(&upstream).start();
    let mut wires = [Wire::connect(sidecar.telemetry()), Wire::connect(sidecar.telemetry())];
    for round in 0..5 {
        for wire in &mut wires {
            let scrape = ask(wire, "/metrics");
            assert!(scrape.status == 200 && is_whole(&scrape.body, CLIENTS), "round {round}");
            assert_eq!(ask(wire, "/livez").status, 200);
        }
        wires[0].send(b"HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(matches!(wires[0].read_reply(true, PATIENCE), Outcome::Reply(reply) if reply.status == 200));
    }
    // Each came back to the thread that answers probes, with its connection open.
    poll(PATIENCE, || (writers(&sidecar) == 0).then_some(())).expect("no thread is left");
    assert_eq!(ask(&mut wires[1], "/readyz").status, 200);
    sidecar.finish(&upstream);
}

#[test]
fn scrapers_that_leave_or_do_not_read_keep_nobody_from_anything() {
    const CLIENTS: usize = 10_000;
    let mut sidecar = guard(CLIENTS).upstream_url(&format!("http://{}", nobody())).start();
    let begin = || {
        let mut stream = TcpStream::connect(sidecar.telemetry()).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.read_exact(&mut [0; 1000]).unwrap();
        stream
    };
    // More than may be written at once.
    for _ in 0..20 {
        drop(begin());
    }
    poll(PATIENCE, || (writers(&sidecar) == 0).then_some(())).expect("who left is written nothing");
    let gives_way = || {
        let _reads_no_more = begin();
        policies(&sidecar).iter().any(|policy| policy == SCHED_IDLE).then_some(())
    };
    poll(PATIENCE, gives_way).expect("a scrape gives way to everybody at first");
    poll(PATIENCE, || (writers(&sidecar) == 0).then_some(())).expect("they left too");
    let silent: Vec<_> = (0..4).map(|_| begin()).collect();
    poll(PATIENCE, || (writers(&sidecar) == silent.len()).then_some(())).expect("who does not read keeps a thread");
    assert_eq!(get(sidecar.telemetry(), "/livez").status, 200);
    assert!(is_whole(&get(sidecar.telemetry(), "/metrics").body, CLIENTS));
    sidecar.signal(Signal::TERM);
    let status = sidecar.wait_exit(PATIENCE).expect("it stops though they do not read");
    assert!(status.success() && !sidecar.log().contains("panic"), "{status:?}\n{}", sidecar.log());
    drop(silent);
}

/// Loops that want all of one CPU, for as long as they are kept.
struct Busy(Vec<Child>);

impl Busy {
    fn on(cpu: &str, count: usize) -> Self {
        let one = || {
            Command::new("taskset").args(["-c", cpu, "sh", "-c", "while :; do :; done"]).stdin(Stdio::null()).spawn()
        };
        Self((0..count).map(|_| one().expect("taskset, of util-linux")).collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            _ = child.kill();
            _ = child.wait();
        }
    }
}

#[test]
fn a_scrape_comes_to_its_end_where_all_of_the_machine_is_wanted() {
    // So many that it would take minutes with what is left over. A debug build writes them a tenth as fast.
    const CLIENTS: usize = if cfg!(debug_assertions) { 4000 } else { 50_000 };
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    let cpu: String = allowed.chars().take_while(char::is_ascii_digit).collect();
    let upstream = Upstream::start();
    let sidecar = guard(CLIENTS).upstream(&upstream).under(&["taskset", "-c", &cpu]).start();
    let busy = Busy::on(&cpu, 2);
    let asked = Instant::now();
    let mut stream = TcpStream::connect(sidecar.telemetry()).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.set_read_timeout(Some(SCRAPE_TIMEOUT)).unwrap();
    stream.read_to_end(&mut answer).unwrap();
    let took = asked.elapsed();
    drop(busy);
    assert!(is_whole(&answer, CLIENTS) && took < SCRAPE_TIMEOUT, "{} bytes after {took:?}", answer.len());
}
