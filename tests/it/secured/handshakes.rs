//! Handshakes that go well, that cannot, and that never end.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::{ask, connect, guard};
use crate::support::http::{Method, Outcome, Wire, get, token_request};
use crate::support::tls::Ca;
use crate::support::tunnel::{self, Tunnel, caller};
use crate::support::upstream::Upstream;
use crate::support::{PATIENCE, poll};

/// A first message of a handshake, byte by byte (RFC 5246 section 7.4.1.2).
fn client_hello(version: [u8; 2], suites: &[[u8; 2]], name: &str) -> Vec<u8> {
    let sized = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let server_name = sized(&[&[0][..], &sized(name.as_bytes())].concat());
    let groups = sized(&[0, 0x17]);
    let schemes = sized(&[4, 3, 8, 4]);
    let extension = |kind: u8, body: &[u8]| [&[0, kind][..], &sized(body)].concat();
    let extensions = [extension(0, &server_name), extension(10, &groups), extension(13, &schemes)].concat();
    let suites = sized(&suites.concat());
    let body = [&version[..], &[7; 32], &[0], &suites, &[1, 0], &sized(&extensions)].concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[1][..], &length[1..], &body].concat();
    [&[22, 3, 1][..], &sized(&message)].concat()
}

/// What comes back for these first bytes, until the end or a whole record.
fn answer(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut record = [0; 7];
    let read = stream.read(&mut record).unwrap_or(0);
    record[..read].to_vec()
}

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
/// ECDHE-ECDSA with AES-128-GCM and with AES-128-CBC, RSA with 3DES.
const GCM: [u8; 2] = [0xc0, 0x2b];
const CBC: [u8; 2] = [0xc0, 0x09];
const TRIPLE_DES: [u8; 2] = [0, 0x0a];

#[test]
fn f_old_versions_weak_suites_and_odd_names_end_in_an_alert() {
    let (upstream, ca) = (Upstream::start(), Ca::new());
    let sidecar = guard(&ca).upstream(&upstream).start();
    let long = "x".repeat(300);
    for (what, hello, kinds) in [
        ("TLS 1.2 as it should be", client_hello([3, 3], &[GCM], "proxy.test"), &[HANDSHAKE][..]),
        ("another name", client_hello([3, 3], &[GCM], "elsewhere.test"), &[HANDSHAKE, ALERT]),
        ("an address for a name", client_hello([3, 3], &[GCM], "127.0.0.1"), &[HANDSHAKE, ALERT]),
        ("a name of 300 characters", client_hello([3, 3], &[GCM], &long), &[HANDSHAKE, ALERT]),
        ("a name that is none", client_hello([3, 3], &[GCM], "a b\0c"), &[HANDSHAKE, ALERT]),
        ("TLS 1.1", client_hello([3, 2], &[GCM, CBC], "proxy.test"), &[ALERT]),
        ("TLS 1.0", client_hello([3, 1], &[GCM, CBC], "proxy.test"), &[ALERT]),
        ("SSL 3", client_hello([3, 0], &[GCM, CBC], "proxy.test"), &[ALERT]),
        ("CBC alone", client_hello([3, 3], &[CBC], "proxy.test"), &[ALERT]),
        ("3DES alone", client_hello([3, 3], &[TRIPLE_DES], "proxy.test"), &[ALERT]),
        ("no suites", client_hello([3, 3], &[], "proxy.test"), &[ALERT]),
        ("garbage", vec![0xff; 64], &[ALERT]),
        ("a record that is too long", vec![22, 3, 3, 0xff, 0xff, 1, 0], &[ALERT]),
    ] {
        let answer = answer(sidecar.proxy(), &hello);
        assert!(answer.first().is_some_and(|kind| kinds.contains(kind)), "{what}: {answer:?}");
    }
    let mut good = connect(sidecar.proxy(), caller(&ca, None, &["http/1.1"]));
    assert_eq!(ask(&mut good), Ok(200));
    assert_eq!(upstream.since(0).len(), 1);
    sidecar.wait_metric("relatch_tls_handshakes_total", &[("result", "refused")], |refused| refused >= 8.0);
    sidecar.finish(&upstream);
}

#[test]
fn who_is_refused_before_all_was_said_reads_why() {
    let (upstream, ca) = (Upstream::start(), Ca::new());
    let sidecar = guard(&ca).upstream(&upstream).start();
    let head = "POST /token HTTP/1.1\r\nHost: proxy.test\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                Content-Length: 200000\r\n\r\n";
    let reads_why = || {
        let mut caller = connect(sidecar.proxy(), caller(&ca, None, &["http/1.1"]));
        let pieces = std::iter::once(head.as_bytes()).chain([&[b'a'; 1000][..]; 5]);
        // The head alone is enough to be refused, and more comes after it.
        for piece in pieces {
            caller.write_all(piece).ok()?;
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut status = [0; 12];
        caller.read_exact(&mut status).ok()?;
        (&status == b"HTTP/1.1 413").then_some(())
    };
    // A machine that stands still for longer than it lingers may cost one its answer, and not every one.
    assert!((0..10).filter_map(|_| reads_why()).count() >= 5);
    sidecar.finish(&upstream);
}

#[test]
fn f_plain_http_on_the_tls_port_is_never_answered_with_a_way_on() {
    let (upstream, ca) = (Upstream::start(), Ca::new());
    let sidecar = guard(&ca).upstream(&upstream).start();
    for request in [
        token_request(Method::Basic, "c1", "good-secret", ""),
        b"GET / HTTP/1.1\r\nHost: proxy.test\r\n\r\n".to_vec(),
        crate::support::raw_frames::PREFACE.to_vec(),
    ] {
        let mut wire = Wire::connect(sidecar.proxy());
        wire.send(&request);
        match wire.read_reply(false, PATIENCE) {
            Outcome::Closed => {}
            // An alert.
            Outcome::Garbage(bytes) if bytes.first() == Some(&ALERT) => {}
            Outcome::Reply(reply) if reply.status == 400 => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(upstream.since(0).len(), 0);
    sidecar.finish(&upstream);
}

#[test]
fn f_handshakes_that_never_end_are_given_up_and_hold_nobody_up() {
    let (upstream, ca) = (Upstream::start(), Ca::new());
    let sidecar = guard(&ca).config("[limits]\ntls_handshake_timeout = \"2s\"\n").upstream(&upstream).start();
    let hello = client_hello([3, 3], &[GCM], "proxy.test");
    let many: usize = std::env::var("HANDSHAKES").ok().and_then(|n| n.parse().ok()).unwrap_or(400);
    let stopped: Vec<TcpStream> = (0..many)
        .map(|at| {
            let mut stream = TcpStream::connect(sidecar.proxy()).unwrap();
            // Nothing, half of it, all of it: and then no more.
            stream.write_all(&hello[..[0, hello.len() / 2, hello.len()][at % 3]]).unwrap();
            stream
        })
        .collect();
    for _ in 0..20 {
        let mut good = connect(sidecar.proxy(), caller(&ca, None, &["http/1.1"]));
        assert_eq!(ask(&mut good), Ok(200));
    }
    sidecar.wait_metric("relatch_http_connections_open", &[], |open| open == 0.0);
    let counted = sidecar.metric("relatch_tls_handshakes_total", &[("result", "timeout")]);
    assert_eq!(counted, Some(f64::from(u32::try_from(many).unwrap())));
    drop(stopped);
    sidecar.finish(&upstream);
}

#[test]
fn f_no_early_data_is_taken_from_who_comes_back() {
    let (upstream, ca) = (Upstream::start(), Ca::new());
    let sidecar = guard(&ca).upstream(&upstream).start();
    let mut config = caller(&ca, None, &["http/1.1"]);
    config.enable_early_data = true;
    let mut resumed = false;
    for _ in 0..3 {
        let mut stream = connect(sidecar.proxy(), config.clone());
        assert!(stream.conn.early_data().is_none(), "early data is offered");
        assert_eq!(ask(&mut stream), Ok(200));
        resumed |= stream.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
    }
    assert!(resumed, "nobody could come back: the test shows nothing");
    sidecar.finish(&upstream);
}

#[test]
fn the_protocol_is_agreed_on_by_alpn() {
    let (upstream, ca) = (Upstream::start(), Ca::new());
    let sidecar = guard(&ca).upstream(&upstream).start();
    let plain = guard(&ca).config("[proxy]\nhttp2 = false\n").upstream(&upstream).start();
    for (offered, agreed, without_http2) in [
        (&["h2", "http/1.1"][..], Some("h2"), Some("http/1.1")),
        (&["http/1.1", "h2"], Some("h2"), Some("http/1.1")),
        (&["http/1.1"], Some("http/1.1"), Some("http/1.1")),
        (&[], None, None),
    ] {
        for (sidecar, agreed) in [(&sidecar, agreed), (&plain, without_http2)] {
            let mut stream = connect(sidecar.proxy(), caller(&ca, None, offered));
            stream.conn.complete_io(&mut stream.sock).unwrap();
            let found = stream.conn.alpn_protocol().map(|name| String::from_utf8(name.to_vec()).unwrap());
            assert_eq!(found.as_deref(), agreed, "{offered:?}");
        }
    }
    for (sidecar, offered) in [(&sidecar, "spdy/3"), (&plain, "h2")] {
        let mut stream = connect(sidecar.proxy(), caller(&ca, None, &[offered]));
        let refused = stream.conn.complete_io(&mut stream.sock).unwrap_err();
        assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
    }
    sidecar.finish(&upstream);
}

#[test]
fn telemetry_speaks_tls_by_the_same_files() {
    let (upstream, ca) = (Upstream::start(), Ca::new());
    let tls = "[telemetry.tls]\ncert = \"tls.crt\"\nkey = \"tls.key\"\n";
    let sidecar = guard(&ca).config(tls).upstream(&upstream).start();
    let tunnel = Tunnel::to(sidecar.telemetry(), caller(&ca, None, &["http/1.1"]));
    let scrape = String::from_utf8(get(tunnel.entrance(), "/metrics").body).unwrap();
    for link in ["proxy", "telemetry"] {
        let line = format!("relatch_tls_certificate_expiration_timestamp_seconds{{link=\"{link}\"}} 3786912000");
        assert!(scrape.contains(&line), "{scrape}");
    }
    let mut wire = Wire::connect(sidecar.telemetry());
    wire.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(!matches!(wire.read_reply(false, PATIENCE), Outcome::Reply(_)));
    // A scraper that never finishes its handshake keeps nobody out.
    let _silent: Vec<_> = (0..80).map(|_| TcpStream::connect(sidecar.telemetry()).unwrap()).collect();
    let alive = poll(PATIENCE, || (get(tunnel.entrance(), "/livez").status == 200).then_some(()));
    assert!(alive.is_some());
    std::thread::sleep(Duration::from_millis(10));
    assert_eq!(tunnel::NAME, "proxy.test");
}
