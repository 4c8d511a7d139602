//! The hands tested without the sidecar: a harness that cannot see a fault finds none.

use std::time::Duration;

use crate::support::http::{Method, Outcome, Wire, token_request};
use crate::support::upstream::seen::Seen;
use crate::support::upstream::{Answer, Upstream};
use crate::support::{bytes, form, leak, metrics, toml_text};

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(5);

#[test]
fn the_upstream_keeps_every_byte_and_answers_in_order() {
    let upstream = Upstream::start();
    let mut wire = Wire::connect(upstream.address());
    let one = token_request(Method::Basic, "a b", "s:%", "first");
    let two = token_request(Method::Post, "c1", "x&y", "second");
    wire.send(&[one.clone(), two.clone()].concat());
    for id in ["first", "second"] {
        let reply = wire.read_reply(false, LONG).reply();
        assert_eq!((reply.status, reply.header("X-Answer-To")), (200, Some(id)));
        assert_eq!(upstream.next(LONG).request_id(), Some(id));
    }
    let seen = upstream.seen();
    assert_eq!([&seen[0].raw, &seen[1].raw], [&one, &two]);
    assert_eq!(seen[0].basic_decoded(), Some(("a b".to_owned(), "s:%".to_owned())));
    assert_eq!(seen[1].param("client_secret").as_deref(), Some("x&y"));
    assert_eq!((upstream.count_of("first"), upstream.connections()), (1, 1));
    assert!(upstream.try_next(SHORT).is_none());
}

#[test]
fn the_upstream_breaks_as_told() {
    let upstream = Upstream::start();
    let ask = |answer: Answer| {
        upstream.answer(answer);
        let mut wire = Wire::connect(upstream.address());
        wire.send(&token_request(Method::Basic, "a", "b", ""));
        wire.read_reply(false, Duration::from_millis(600))
    };
    assert!(matches!(ask(Answer::Close), Outcome::Closed));
    assert!(matches!(ask(Answer::Reset), Outcome::Closed));
    assert!(matches!(ask(Answer::Silence), Outcome::Silence(_)));
    assert!(matches!(ask(Answer::Raw(b"220 smtp ready\r\n".to_vec())), Outcome::Garbage(_)));
    let half = Answer::HalfThenClose(Box::new(Answer::json(200, r#"{"a":1}"#)));
    assert!(matches!(ask(half), Outcome::Aborted(_)));
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
    let drip = Answer::Drip(chunked.to_vec(), Duration::from_millis(1));
    assert_eq!(ask(drip).reply().body, b"ab");
}

#[test]
fn the_gate_holds_answers_back() {
    let upstream = Upstream::start();
    let gate = upstream.stall();
    let mut wire = Wire::connect(upstream.address());
    wire.send(&token_request(Method::Basic, "a", "b", ""));
    upstream.next(LONG);
    assert!(matches!(wire.read_reply(false, SHORT), Outcome::Silence(_)));
    gate.open();
    assert_eq!(wire.read_reply(false, LONG).reply().status, 200);
}

#[test]
fn the_promises_notice_what_a_careful_sender_does_not_write() {
    let faults = |request: &str| {
        let upstream = Upstream::start();
        let mut wire = Wire::connect(upstream.address());
        wire.send(request.as_bytes());
        leak::sender(&upstream.next(LONG), &[])
    };
    let clean = "POST /token HTTP/1.1\r\nhost: a\r\n\
                 content-type: application/x-www-form-urlencoded\r\ncontent-length: 7\r\n\r\na=b+%2F";
    assert_eq!(faults(clean), Vec::<String>::new());
    for (from, to) in [
        ("host: a\r\n", "host: a\r\nhost: b\r\n"),
        ("host: a\r\n", ""),
        ("host: a\r\n", "host: a\r\ncookie: c\r\n"),
        ("host: a\r\n", "host: a\r\nx_request_id: c\r\n"),
        ("host: a\r\n", "host: a\n"),
        ("host: a\r\n", "host: a\r\ntransfer-encoding: chunked\r\n"),
        ("content-length: 7\r\n", "content-length: 7\r\ncontent-length: 7\r\n"),
        ("x-www-form-urlencoded", "json"),
        ("%2F", "%2f"),
        ("%2F", "%zz"),
        ("a=b+%2F", "a=b/&&c"),
        ("HTTP/1.1", "HTTP/1.0"),
    ] {
        let broken = clean.replace(from, to);
        assert_ne!(broken, clean);
        assert!(!faults(&broken).is_empty(), "not noticed: {to:?}");
    }
}

#[test]
fn the_upstream_remembers_requests_that_were_cut_off() {
    let upstream = Upstream::start();
    let mut wire = Wire::connect(upstream.address());
    wire.send(b"POST /token HTTP/1.1\r\nHo");
    drop(wire);
    let fragments = crate::support::poll(LONG, || upstream.fragments().pop());
    assert_eq!(fragments.as_deref(), Some(&b"POST /token HTTP/1.1\r\nHo"[..]));
    assert!(upstream.seen().is_empty());
}

#[test]
fn a_secret_is_found_in_every_disguise() {
    let secret = "tr0ub4dor&3".to_owned();
    let basic = bytes::basic("some-id", &secret);
    let hidden = [
        format!("secret={secret}"),
        format!("header: {basic}"),
        format!("header: {}", bytes::basic("other-id-", &secret)),
        format!("header: {}", bytes::basic("x", &secret)),
        format!("hex {}", bytes::hex(secret.as_bytes())),
        format!("form {}", form::encode(&secret)),
        format!("hash {}", bytes::sha256_record(secret.as_bytes())),
    ];
    for text in hidden {
        let found = leak::spills("here", text.as_bytes(), std::slice::from_ref(&secret));
        assert!(!found.is_empty(), "not found: {text}");
    }
    assert!(leak::spills("here", b"nothing to see", &[secret]).is_empty());
}

#[test]
fn log_lines_that_are_none_are_noticed() {
    assert!(leak::log_faults("{\"msg\":\"ready\"}\n").is_empty());
    assert_eq!(leak::log_faults("thread 'main' panicked at src/x.rs\n").len(), 2);
    assert_eq!(leak::log_faults("{\"a\":1}\nhalf a line\n[1]\n").len(), 2);
}

#[test]
fn forms_are_read_strictly() {
    let read = |text: &str| form::pairs(text.as_bytes());
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(read("a=1+2&&b&=%C3%A4"), Some(vec![pair("a", "1 2"), pair("b", ""), pair("", "ä")]));
    for broken in ["a=%", "a=%2", "a=%zz", "a=%+1", "a=%ff", "%=a"] {
        assert_eq!(read(broken), None, "{broken}");
    }
    assert_eq!(form::encode("a b*~é"), "a+b*%7E%C3%A9");
}

#[test]
fn scrapes_are_read_with_their_escapes() {
    let text = "# HELP a b\na{x=\"1\",y=\"q\\\"\\\\\\n\"} 2.5\na{x=\"2\"} 3e2 123\nb 0\n";
    assert_eq!(metrics::value(text, "a", &[("y", "q\"\\\n")]), Some(2.5));
    assert_eq!(metrics::value(text, "a", &[("x", "2")]), Some(300.0));
    assert_eq!(metrics::value(text, "b", &[]), Some(0.0));
    assert_eq!(metrics::value(text, "c", &[]), None);
}

#[test]
fn overlays_merge_and_come_back_as_they_went() {
    let mut base = "a.b = 1\na.c = \"x\\\"\\u0000\"\nd = [{ e = 1 }]\n".parse().unwrap();
    toml_text::merge(&mut base, "a.b = 2\n[[d]]\ne = 2\n[[d]]\ne = 3\nf.g = [1, 2]\n".parse().unwrap());
    let again: toml::Table = toml_text::write(&base).parse().unwrap();
    assert_eq!(again, base);
    assert_eq!(again["a"]["b"].as_integer(), Some(2));
    assert_eq!(again["d"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_request_that_was_not_read_whole_is_not_a_request() {
    let mut buffer = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab".to_vec();
    assert!(Seen::cut(&mut buffer).is_none());
    buffer.extend(b"cPOST");
    let seen = Seen::cut(&mut buffer).unwrap();
    assert_eq!((seen.body.as_slice(), buffer.as_slice()), (&b"abc"[..], &b"POST"[..]));
    assert!(seen.violations.is_empty());
}
