//! Unix sockets in front and behind.

use std::net::TcpStream;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use super::{ask_unix, last, relay, with_lines};
use crate::support::PATIENCE;
use crate::support::http::{Method, token_post, token_request};
use crate::support::setup::Setup;
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;

const SECRET: &str = "right-s3cr3t";
const BOTH: &str = "proxy.listen = [\"127.0.0.1:0\", \"unix:proxy.sock\"]";

fn guard() -> Setup {
    Sidecar::guard().client("c1", &[SECRET]).config(BOTH)
}

fn socket(sidecar: &Sidecar) -> PathBuf {
    sidecar.dir().join("proxy.sock")
}

/// How this process is called as a caller over a unix socket.
fn us() -> String {
    format!("unix:{}", rustix::process::geteuid().as_raw())
}

#[test]
fn a_caller_over_a_unix_socket_is_told_by_its_user_and_never_by_an_address() {
    let upstream = Upstream::start();
    let mut sidecar = guard().upstream(&upstream).start();
    let lines =
        "X-Request-Id: by-socket\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Forwarded-Proto: https\r\n";
    assert_eq!(ask_unix(&socket(&sidecar), &with_lines(SECRET, lines)).status, 200);
    assert_eq!(sidecar.access_line("by-socket")["peer"], us());
    let seen = last(&upstream);
    assert_eq!(seen.all("x-forwarded-for"), Vec::<&str>::new(), "no address is made up");
    assert_eq!(seen.header("forwarded"), Some("for=unknown;proto=http;host=\"proxy.test\""));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    let state = sidecar.dir().join("relatch.state");
    sidecar.signal(Signal::TERM);
    assert!(sidecar.wait_exit(PATIENCE).expect("an end").success());
    let kept = std::fs::read_to_string(state).unwrap();
    assert!(kept.contains(&format!("\"address\":\"{}\"", us())), "{kept}");
}

#[test]
fn failures_over_a_unix_socket_are_counted_by_user_and_apart_from_loopback() {
    let upstream = Upstream::start();
    let sidecar =
        guard().config("throttle = { failures = 2, per = \"24h\" }").canary("wrong-s3cr3t").upstream(&upstream).start();
    let wrong = token_request(Method::Post, "c1", "wrong-s3cr3t", "");
    let answers: Vec<_> = (0..4).map(|_| ask_unix(&socket(&sidecar), &wrong).status).collect();
    assert_eq!(answers, [401, 401, 429, 429]);
    assert_eq!(token_post(sidecar.proxy(), Method::Post, "c1", "wrong-s3cr3t").status, 401, "another source");
    assert_eq!(ask_unix(&socket(&sidecar), &with_lines(SECRET, "")).status, 200, "a right secret is never refused");
    sidecar.finish(&upstream);
}

#[test]
fn what_a_proxy_says_over_a_unix_socket_is_believed_where_it_is_trusted_by_name() {
    let upstream = Upstream::start();
    let lines = "X-Request-Id: told\r\nX-Forwarded-For: 6.6.6.6, 192.0.2.7\r\nX-Forwarded-Proto: https\r\n";
    for (trusted, peer, forwarded) in
        [("[\"unix\"]", "192.0.2.7", Some("192.0.2.7")), ("[\"0.0.0.0/0\", \"::/0\"]", &*us(), None)]
    {
        let sidecar = guard().config(&format!("proxy.trusted_proxies = {trusted}")).upstream(&upstream).start();
        assert_eq!(ask_unix(&socket(&sidecar), &with_lines(SECRET, lines)).status, 200);
        assert_eq!(sidecar.access_line("told")["peer"], peer, "{trusted}");
        assert_eq!(last(&upstream).header("x-forwarded-for"), forwarded, "{trusted}");
        sidecar.finish(&upstream);
    }
}

#[test]
fn the_socket_is_for_user_and_group_and_goes_with_its_instance() {
    let upstream = Upstream::start();
    let mut sidecar = guard().upstream(&upstream).start();
    let found = std::fs::metadata(socket(&sidecar)).unwrap();
    assert_eq!((found.permissions().mode() & 0o777, found.file_type().is_socket()), (0o660, true));
    sidecar.signal(Signal::TERM);
    assert!(sidecar.wait_exit(PATIENCE).expect("an end").success());
    assert!(!socket(&sidecar).exists());
}

#[test]
fn a_stale_socket_is_replaced_and_one_that_answers_or_is_a_file_is_not() {
    let upstream = Upstream::start();
    let folder = tempfile::Builder::new().prefix("relatch-it-").tempdir().unwrap();
    let path = folder.path().join("proxy.sock");
    let named = |path: &Path| {
        let listen = format!("proxy.listen = [\"127.0.0.1:0\", \"unix:{}\"]", path.display());
        Sidecar::guard().client("c1", &[SECRET]).config(&listen).upstream(&upstream)
    };
    drop(UnixListener::bind(&path).unwrap());
    let sidecar = named(&path).start();
    assert_eq!(ask_unix(&path, &with_lines(SECRET, "")).status, 200);

    let refused = named(&path).try_start().err().expect("the second one must not start");
    assert!(refused.log.contains("proxy.sock") && refused.log.contains("Nothing was started"), "{}", refused.log);
    assert_eq!(ask_unix(&path, &with_lines(SECRET, "")).status, 200, "the first one still serves");

    let file = folder.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    let refused = named(&file).try_start().err().expect("a file must not be replaced");
    assert!(refused.log.contains("no socket"), "{}", refused.log);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    sidecar.finish(&upstream);
}

/// A unix socket in front of the recording upstream.
fn behind(upstream: &Upstream, path: &Path) {
    let (listener, address) = (UnixListener::bind(path).unwrap(), upstream.address());
    std::thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let Ok(far) = TcpStream::connect(address) else { return };
            let pair = |near: UnixStream| (near.try_clone().unwrap(), near);
            relay(pair(near), (far.try_clone().unwrap(), far));
        }
    });
}

#[test]
fn an_upstream_on_a_unix_socket_sees_the_callers_host_or_the_one_that_is_set() {
    let upstream = Upstream::start();
    let folder = tempfile::Builder::new().prefix("relatch-it-").tempdir().unwrap();
    let path = folder.path().join("as.sock");
    behind(&upstream, &path);
    for (rule, host) in [("preserve", "proxy.test"), ("upstream", "localhost"), ("as.example.com", "as.example.com")] {
        let config = format!("proxy.workers = 1\nupstream.host = \"{rule}\"");
        let url = format!("unix:{}", path.display());
        let sidecar = Sidecar::guard().client("c1", &[SECRET]).config(&config).upstream_url(&url).start();
        for _ in 0..3 {
            assert_eq!(token_post(sidecar.proxy(), Method::Post, "c1", SECRET).status, 200);
            assert_eq!(last(&upstream).header("host"), Some(host));
        }
        let connections: std::collections::BTreeSet<_> =
            upstream.seen().iter().rev().take(3).map(|seen| seen.connection).collect();
        assert_eq!(connections.len(), 1, "the connection is kept");
        sidecar.finish(&upstream);
    }
}

#[test]
fn an_upstream_socket_may_come_and_go() {
    let upstream = Upstream::start();
    let folder = tempfile::Builder::new().prefix("relatch-it-").tempdir().unwrap();
    let path = folder.path().join("as.sock");
    let url = format!("unix:{}", path.display());
    let sidecar = Sidecar::guard().client("c1", &[SECRET]).upstream_url(&url).start();
    assert_eq!(token_post(sidecar.proxy(), Method::Post, "c1", SECRET).status, 502);
    sidecar.wait_metric("relatch_upstream_errors_total", &[("kind", "connect")], |count| count == 1.0);
    behind(&upstream, &path);
    assert_eq!(token_post(sidecar.proxy(), Method::Post, "c1", SECRET).status, 200);
    sidecar.finish(&upstream);
}

#[test]
fn an_identity_header_may_go_to_a_unix_socket() {
    let upstream = Upstream::start();
    let folder = tempfile::Builder::new().prefix("relatch-it-").tempdir().unwrap();
    let path = folder.path().join("as.sock");
    behind(&upstream, &path);
    let url = format!("unix:{}", path.display());
    let setup = Sidecar::guard().client("c1", &[SECRET]).config("upstream.credential = \"assert\"");
    let sidecar = setup.upstream_url(&url).start();
    assert_eq!(token_post(sidecar.proxy(), Method::Basic, "c1", SECRET).status, 200);
    let seen = last(&upstream);
    assert_eq!((seen.header("x-relatch-client-id"), seen.header("authorization")), (Some("c1"), None));
    sidecar.finish(&upstream);
}
