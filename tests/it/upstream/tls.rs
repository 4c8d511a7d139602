//! An upstream over TLS: it is asked once it has proved who it is, and never before.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::Raises;
use crate::support::caller::Caller;
use crate::support::http::{Method, token_post, token_request};
use crate::support::setup::Setup;
use crate::support::sidecar::Sidecar;
use crate::support::tls::{Ca, Pair, server};
use crate::support::upstream::Upstream;

const SECRET: &str = "right-s3cr3t";

/// Trusts `ca`, and calls the upstream `localhost`.
fn guard(upstream: &Upstream, ca: &Ca) -> Setup {
    Sidecar::guard()
        .client("c1", &[SECRET])
        .file("ca.pem", ca.pem())
        .config("upstream.tls.ca = \"ca.pem\"\nproxy.workers = 1")
        .upstream_url(&upstream.https())
}

/// Shows this certificate of its own too.
fn known_as(setup: Setup, pair: &Pair) -> Setup {
    let config = "upstream.tls.cert = \"client.pem\"\nupstream.tls.key = \"client.key\"";
    setup.file("client.pem", &pair.cert).file("client.key", &pair.key).config(config)
}

fn ask(sidecar: &Sidecar) -> u16 {
    token_post(sidecar.proxy(), Method::Basic, "c1", SECRET).status
}

#[test]
fn tokens_come_over_tls_and_the_connection_is_kept() {
    let (ca, upstream) = (Ca::new(), Upstream::start());
    upstream.secure(server(&ca.issue(&["localhost"]), &[], &["http/1.1"]));
    let sidecar = guard(&upstream, &ca).start();
    for _ in 0..5 {
        assert_eq!(ask(&sidecar), 200);
    }
    assert_eq!((upstream.count(), upstream.connections()), (5, 1));
    sidecar.finish(&upstream);
}

/// What the certificate's fault is called in the log.
#[track_caller]
fn refused(upstream: &Upstream, setup: Setup, why: &[&str]) {
    let sidecar = setup.start();
    for asked in 1..=3 {
        let reply = token_post(sidecar.proxy(), Method::Basic, "c1", SECRET);
        assert_eq!((reply.status, reply.json()["error"].as_str()), (502, Some("temporarily_unavailable")), "{why:?}");
        sidecar.wait_metric("relatch_upstream_errors_total", &[("kind", "tls")], |count| count == f64::from(asked));
    }
    let line = sidecar.wait_log(|line| line["msg"] == "the upstream cannot be reached");
    let said = line["why"].as_str().unwrap();
    assert!(why.iter().all(|word| said.contains(word)), "{why:?}: {said}");
    let told = sidecar.log().matches("the upstream cannot be reached").count();
    assert_eq!(told, 1, "once for all of them");
    assert_eq!((upstream.count(), upstream.fragments()), (0, Vec::new()), "{why:?}: not a byte of a request");
    sidecar.finish(upstream);
}

#[test]
fn f07_an_upstream_that_cannot_prove_who_it_is_gets_no_byte_of_a_request() {
    let (ca, stranger) = (Ca::new(), Ca::new());
    for (pair, why) in [
        (ca.issue_until(&["localhost"], 2021), &["expired at 2021-01-01T00:00:00", "renew"][..]),
        (ca.issue(&["other.test"]), &["other.test", "not for localhost", "server_name"]),
        (ca.issue(&[]), &["not for localhost"]),
        (stranger.issue(&["localhost"]), &["nobody we trust", "[upstream.tls] ca"]),
    ] {
        let upstream = Upstream::start();
        upstream.secure(server(&pair, &[], &["http/1.1"]));
        refused(&upstream, guard(&upstream, &ca), why);
    }
    // One that every system knows is not asked for, so ours is not known.
    let upstream = Upstream::start();
    upstream.secure(server(&ca.issue(&["localhost"]), &[], &[]));
    let setup = Sidecar::guard().client("c1", &[SECRET]).upstream_url(&upstream.https());
    refused(&upstream, setup, &["nobody we trust"]);
}

#[test]
fn an_upstream_that_speaks_no_tls_gets_no_byte_of_a_request() {
    let upstream = Upstream::start();
    // It answers whatever comes first, as servers do that get bytes they cannot read.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut hello = [0; 4096];
            let count = stream.read(&mut hello).unwrap();
            assert!(!hello[..count].windows(5).any(|five| five == b"token"));
            _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    refused(&upstream, guard(&upstream, &Ca::new()).upstream_url(&url), &["does not speak TLS", "http"]);
}

#[test]
fn the_name_in_the_certificate_may_be_said() {
    let (ca, upstream) = (Ca::new(), Upstream::start());
    upstream.secure(server(&ca.issue(&["as.internal"]), &[], &["http/1.1"]));
    let sidecar = guard(&upstream, &ca).config("upstream.tls.server_name = \"as.internal\"").start();
    assert_eq!(ask(&sidecar), 200);
    // The Host is a matter of its own.
    assert_eq!(upstream.seen()[0].header("host"), Some("proxy.test"));
    sidecar.finish(&upstream);
}

#[test]
fn an_upstream_may_want_to_know_us() {
    let (ca, callers, upstream) = (Ca::new(), Ca::new(), Upstream::start());
    upstream.secure(server(&ca.issue(&["localhost"]), &[&callers], &["http/1.1"]));
    let config = "upstream.credential = \"assert\"";
    let sidecar = known_as(guard(&upstream, &ca), &callers.issue(&["relatch"])).config(config).start();
    assert_eq!(ask(&sidecar), 200);
    let seen = upstream.seen();
    assert_eq!((seen[0].header("x-relatch-client-id"), seen[0].header("authorization")), (Some("c1"), None));
    sidecar.finish(&upstream);
    // Nobody, and somebody else.
    for (setup, why) in [
        (guard(&upstream, &ca), "wants a certificate of ours"),
        (known_as(guard(&upstream, &ca), &ca.issue(&["relatch"])), "refused our certificate"),
    ] {
        let before = upstream.count();
        let sidecar = setup.start();
        assert_eq!(ask(&sidecar), 502, "{why}");
        sidecar.wait_metric("relatch_upstream_errors_total", &[("kind", "tls")], |count| count == 1.0);
        sidecar.wait_log(|line| line["why"].as_str().is_some_and(|said| said.contains(why)));
        assert_eq!(upstream.count(), before);
        sidecar.finish(&upstream);
    }
}

#[test]
fn our_certificate_is_replaced_under_load_and_no_request_fails() {
    let (ca, old, new, upstream) = (Ca::new(), Ca::new(), Ca::new(), Upstream::start());
    let theirs = ca.issue(&["localhost"]);
    let (before, after) = (old.issue(&["relatch"]), new.issue(&["relatch"]));
    upstream.secure(server(&theirs, &[&old, &new], &["http/1.1"]));
    // Each request has a connection of its own, and so a handshake.
    let config = "clients.poll_interval = \"100ms\"\nupstream.idle_timeout = \"0s\"";
    let sidecar = known_as(guard(&upstream, &ca), &before).config(config).start();
    let replace = |name: &str, text: &str| {
        let (path, fresh) = (sidecar.dir().join(name), sidecar.dir().join("fresh"));
        std::fs::write(&fresh, text).unwrap();
        std::fs::rename(fresh, path).unwrap();
    };
    let told = |what: &str| sidecar.wait_log(|line| line["msg"] == what && line["link"] == "upstream");
    let over = AtomicBool::new(false);
    let answers = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let request = token_request(Method::Basic, "c1", SECRET, "load");
            let mut caller = Caller::connect(sidecar.proxy()).unwrap();
            let mut answers = Vec::new();
            while !over.load(Ordering::Relaxed) {
                answers.push(caller.ask(&request).map(|(status, _)| status));
            }
            answers
        });
        // Also where a look below fails: the load must not outlive it.
        let ended = Raises(&over);
        std::thread::sleep(Duration::from_millis(200));
        replace("client.pem", &after.cert);
        told("a certificate cannot be used");
        replace("client.key", &after.key);
        told("a new certificate is in use");
        upstream.secure(server(&theirs, &[&new], &["http/1.1"]));
        std::thread::sleep(Duration::from_millis(300));
        drop(ended);
        load.join().unwrap()
    });
    let failed: Vec<_> = answers.iter().filter(|answer| **answer != Ok(200)).collect();
    assert!(failed.is_empty() && answers.len() > 20, "{failed:?} of {}", answers.len());
    assert_eq!(sidecar.log().matches("a certificate cannot be used").count(), 1, "told once");
    sidecar.finish(&upstream);
}
