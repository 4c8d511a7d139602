//! The PROXY protocol at real sockets: who may speak it, what it tells, and every way to get it wrong.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::{last, with_lines};
use crate::support::PATIENCE;
use crate::support::http::{Outcome, Wire};
use crate::support::setup::Setup;
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;

const SECRET: &str = "right-s3cr3t";
const V1: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n";
const REFUSED: &str = "relatch_proxy_protocol_refused_total";

fn guard() -> Setup {
    let config = "proxy.proxy_protocol = true\nproxy.trusted_proxies = [\"127.0.0.1\"]\nlimits.header_timeout = \"1s\"";
    Sidecar::guard().client("c1", &[SECRET]).config(config)
}

/// A header of the second version.
fn second(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, body].concat()
}

fn v2() -> Vec<u8> {
    let tlvs = [&[0x04, 0, 3, 0, 0, 0][..], &[0xea, 0, 2], b"hi"].concat();
    second(0x21, 0x11, &[&[192, 0, 2, 7, 10, 0, 0, 1, 0, 1, 0, 2][..], &tlvs].concat())
}

#[track_caller]
fn ask(proxy: SocketAddr, header: &[u8], request: &[u8]) -> u16 {
    let mut wire = Wire::connect(proxy);
    wire.send(&[header, request].concat());
    wire.read_reply(false, PATIENCE).reply().status
}

#[track_caller]
fn refused(sidecar: &Sidecar, reason: &str, count: f64) {
    sidecar.wait_metric(REFUSED, &[("reason", reason)], |found| found == count);
}

#[test]
fn the_caller_is_who_the_trusted_proxy_names() {
    let upstream = Upstream::start();
    let sidecar = guard().upstream(&upstream).start();
    let v6: Vec<u8> = [&"2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets()[..], &[0; 20]].concat();
    for (number, (header, peer)) in [
        (V1.to_vec(), "192.0.2.7"),
        (v2(), "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n".to_vec(), "2001:db8::7"),
        (second(0x21, 0x21, &v6), "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (second(0x20, 0x00, b""), "127.0.0.1"),
        (second(0x21, 0x00, b""), "127.0.0.1"),
        (second(0x21, 0x11, &[&[192, 0, 2, 7, 10, 0, 0, 1, 0, 1, 0, 2][..], &[0; 4000]].concat()), "192.0.2.7"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("told-{number}");
        assert_eq!(ask(sidecar.proxy(), &header, &with_lines(SECRET, &format!("X-Request-Id: {id}\r\n"))), 200);
        assert_eq!(sidecar.access_line(&id)["peer"], peer, "{}", header.escape_ascii());
        assert_eq!(last(&upstream).header("x-forwarded-for"), Some(peer));
    }
    sidecar.finish(&upstream);
}

#[test]
fn who_is_named_by_a_proxy_is_not_believed_about_anybody_else() {
    let upstream = Upstream::start();
    let sidecar = guard().upstream(&upstream).start();
    let request = with_lines(SECRET, "X-Request-Id: tale\r\nX-Forwarded-For: 6.6.6.6\r\n");
    assert_eq!(ask(sidecar.proxy(), V1, &request), 200);
    assert_eq!(sidecar.access_line("tale")["peer"], "192.0.2.7");
    assert_eq!(last(&upstream).header("x-forwarded-for"), Some("192.0.2.7"));
    sidecar.finish(&upstream);
}

#[test]
fn a_header_torn_at_every_byte_is_the_same_header() {
    let upstream = Upstream::start();
    let sidecar = guard().upstream(&upstream).start();
    let request = with_lines(SECRET, "");
    for header in [V1.to_vec(), v2()] {
        for cut in 1..=header.len() {
            let mut wire = Wire::connect(sidecar.proxy());
            wire.send(&header[..cut]);
            std::thread::sleep(Duration::from_millis(2));
            wire.send(&[&header[cut..], &request].concat());
            assert_eq!(wire.read_reply(false, PATIENCE).reply().status, 200, "cut at {cut}");
            wire.send(&request);
            assert_eq!(wire.read_reply(false, PATIENCE).reply().status, 200, "the header is said once");
        }
        let mut wire = Wire::connect(sidecar.proxy());
        for byte in [&header, &request].into_iter().flatten() {
            wire.send(&[*byte]);
        }
        assert_eq!(wire.read_reply(false, PATIENCE).reply().status, 200, "byte by byte");
    }
    sidecar.finish(&upstream);
}

#[test]
fn a_connection_without_a_header_or_from_a_stranger_is_closed_unanswered() {
    let upstream = Upstream::start();
    let sidecar = guard().upstream(&upstream).start();
    let request = with_lines(SECRET, "");
    let malformed = [
        request.clone(),
        [b"PROXY TCP4 192.0.2.7 10.0.0.1 1\r\n", &request[..]].concat(),
        [b"PROXY UNKNOWN ", &[b'x'; 200][..]].concat(),
        second(0x21, 0x11, &[0; 5000]),
        b"\x16\x03\x01\x02\x00".to_vec(),
    ];
    for bytes in &malformed {
        let mut wire = Wire::connect(sidecar.proxy());
        wire.send(bytes);
        assert!(matches!(wire.read_reply(false, PATIENCE), Outcome::Closed), "{}", bytes.escape_ascii());
    }
    refused(&sidecar, "malformed", 5.0);

    let mut stranger = Wire::connect_from(2, sidecar.proxy());
    stranger.send(&[V1, &request].concat());
    assert!(matches!(stranger.read_reply(false, PATIENCE), Outcome::Closed));
    refused(&sidecar, "untrusted", 1.0);

    let mut leaver = Wire::connect(sidecar.proxy());
    leaver.send(&V1[..10]);
    leaver.half_close();
    assert!(matches!(leaver.read_reply(false, PATIENCE), Outcome::Closed));
    refused(&sidecar, "closed", 1.0);
    assert_eq!(upstream.count(), 0);
    sidecar.finish(&upstream);
}

#[test]
fn a_header_that_does_not_come_is_not_waited_for() {
    let upstream = Upstream::start();
    let sidecar = guard().upstream(&upstream).start();
    let began = Instant::now();
    let mut silent = Wire::connect(sidecar.proxy());
    let mut slow = Wire::connect(sidecar.proxy());
    let mut sender = slow.sender();
    std::thread::spawn(move || {
        for byte in V1.iter().take(V1.len() - 1) {
            std::thread::sleep(Duration::from_millis(100));
            if sender.write_all(&[*byte]).is_err() {
                return;
            }
        }
    });
    assert!(silent.closed_within(PATIENCE) && slow.closed_within(PATIENCE));
    assert!(began.elapsed() >= Duration::from_millis(900));
    refused(&sidecar, "timeout", 2.0);
    sidecar.finish(&upstream);
}

#[test]
fn a_proxy_may_speak_it_over_a_unix_socket_where_that_is_trusted() {
    let upstream = Upstream::start();
    for (trusted, taken) in [("\"127.0.0.1\", \"unix\"", true), ("\"0.0.0.0/0\"", false)] {
        let config = format!("proxy.listen = [\"127.0.0.1:0\", \"unix:p.sock\"]\nproxy.trusted_proxies = [{trusted}]");
        let sidecar = guard().config(&config).upstream(&upstream).start();
        let mut wire = Wire::unix(UnixStream::connect(sidecar.dir().join("p.sock")).unwrap());
        wire.send(&[V1, &with_lines(SECRET, "X-Request-Id: balanced\r\n")].concat());
        match wire.read_reply(false, PATIENCE) {
            Outcome::Reply(reply) if taken => {
                assert_eq!((reply.status, &sidecar.access_line("balanced")["peer"]), (200, &"192.0.2.7".into()));
            }
            Outcome::Closed if !taken => refused(&sidecar, "untrusted", 1.0),
            other => panic!("{trusted}: {other:?}"),
        }
        sidecar.finish(&upstream);
    }
}

#[test]
fn a_stop_does_not_wait_for_headers() {
    let upstream = Upstream::start();
    let mut sidecar = guard().config("limits.header_timeout = \"60s\"").upstream(&upstream).start();
    let mut wire = Wire::connect(sidecar.proxy());
    wire.send(&V1[..5]);
    assert_eq!(ask(sidecar.proxy(), V1, &with_lines(SECRET, "Connection: close\r\n")), 200);
    sidecar.signal(rustix::process::Signal::TERM);
    assert!(sidecar.wait_exit(PATIENCE).expect("an end").success());
    assert!(wire.closed_within(PATIENCE));
}
