//! Of many instances each asks who knows them all, and what they tell is known for the same.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use super::receiver::Receiver;
use super::{NEW, OLD, hooked, next, rotating, token, two_days_later};
use crate::support::PATIENCE;
use crate::support::names::Silent;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;

/// An instance with a rotation under way that keeps its state there: one of many, where a Prometheus knows them.
fn guard(receiver: &Receiver, upstream: &Upstream, state: &Path, prometheus: Option<&str>) -> Setup {
    let fleet = |address| format!("fleet = {{ instances = \"many\", prometheus = \"http://{address}\" }}");
    let own = format!("state.path = {state:?}\n{}", prometheus.map(fleet).unwrap_or_default());
    hooked(receiver).clients_text(&rotating("")).canary(NEW).config(&own).upstream(upstream)
}

/// What an instance has kept by which both secrets were used two days ago.
fn observed(receiver: &Receiver, upstream: &Upstream, home: &Path) -> PathBuf {
    let state = home.join("relatch.state");
    let mut sidecar = guard(receiver, upstream, &state, None).start();
    assert_eq!((token(&sidecar, OLD), token(&sidecar, NEW)), (200, 200));
    sidecar.signal(Signal::TERM);
    assert!(sidecar.wait_exit(PATIENCE).is_some());
    two_days_later(&state);
    state
}

#[test]
fn many_instances_tell_a_rotation_that_is_ready_by_one_id_and_none_where_it_is_not_known() {
    let (upstream, receiver) = (Upstream::start(), Receiver::start());
    let home = tempfile::tempdir().unwrap();
    let state = observed(&receiver, &upstream, home.path());
    let of_many = |name: &str, prometheus: SocketAddr| {
        let copy = home.path().join(name);
        std::fs::copy(&state, &copy).unwrap();
        guard(&receiver, &upstream, &copy, Some(&prometheus.to_string())).start()
    };

    // Somewhere else the old one was used an hour ago; and nobody knows.
    let in_use = of_many("in-use", prometheus(Some(3600)));
    let unknown = of_many("unknown", prometheus(None));
    let told = unknown.wait_log(|line| line["msg"] == "rotations that can be finished are not known");
    assert!(told["reason"].as_str().unwrap().contains("503"), "{told}");
    assert_eq!(token(&unknown, NEW), 200);
    assert!(!receiver.hears(Duration::from_millis(1500)), "nobody said that it is ready");

    let quiet = prometheus(Some(30 * 3600));
    let one = of_many("one", quiet);
    let (first, _) = next(&receiver, "rotation.ready");
    let other = of_many("other", quiet);
    let (second, heard) = next(&receiver, "rotation.ready");
    assert_eq!((&first["client_id"], &first["secret_id"]), (&"c1".into(), &"old".into()));
    assert_eq!((&first["id"], heard.header("webhook-id")), (&second["id"], second["id"].as_str().unwrap()));
    for sidecar in [in_use, unknown, one, other] {
        sidecar.finish(&upstream);
    }
}

#[test]
fn a_prometheus_whose_name_nobody_tells_keeps_nobody_from_the_end() {
    let Some(silent) = Silent::at("127.0.53.2") else { return };
    let (upstream, receiver) = (Upstream::start(), Receiver::start());
    let home = tempfile::tempdir().unwrap();
    let state = observed(&receiver, &upstream, home.path());
    let named = guard(&receiver, &upstream, &state, Some("prometheus.example:9090"));
    let mut sidecar = named.under(&silent.wrapper()).start();
    silent.is_asked();
    sidecar.signal(Signal::TERM);
    let status = sidecar.wait_exit(PATIENCE);
    assert!(status.is_some_and(|status| status.success()), "{status:?}\n{}", sidecar.log());
}

/// What a Prometheus says of which the old secret was used so many seconds ago; one that is out of order where that is
/// nothing.
fn prometheus(old_used: Option<u64>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut asked = String::new();
            _ = BufReader::new(&stream).read_line(&mut asked);
            let sample = |secret: &str, value: u64| {
                format!(r#"{{"metric":{{"client_id":"c1","secret_id":"{secret}"}},"value":[0,"{value}"]}}"#)
            };
            let both = |old: u64, new: u64| [sample("old", old), sample("new", new)].join(",");
            let result = match old_used {
                Some(ago) if asked.contains("last_used_timestamp") => both(now - ago, now),
                _ if asked.contains("uses_total") => both(1, 1),
                _ if asked.contains("tracking_since") => both(now - 90 * 86_400, now - 90 * 86_400),
                _ if asked.contains("max_over_time") => String::new(),
                _ => r#"{"metric":{},"value":[0,"2"]}"#.to_owned(),
            };
            let body = format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{result}]}}}}"#);
            let status = if old_used.is_some() { "200 OK" } else { "503 Service Unavailable" };
            let length = body.len();
            _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        }
    });
    address
}
