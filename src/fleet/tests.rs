//! Against a server that answers as Prometheus does, or as it should not.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use super::*;
use crate::domain::ids::{ClientId, Tenant};

type Answers = &'static [(&'static str, &'static str)];

/// Answers each question by the first of these words in it; gives the questions that were asked.
fn serve(status: &'static str, answers: Answers) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = asked.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let (mut head, mut chunk) = (Vec::new(), [0; 4096]);
            while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                match stream.read(&mut chunk) {
                    Ok(count @ 1..) => head.extend_from_slice(&chunk[..count]),
                    _ => break,
                }
            }
            let line = head.split(|b| *b == b' ').nth(1).unwrap_or_default();
            let mut question = Vec::new();
            crate::extract::percent::decode(line, &mut question).unwrap();
            let question = String::from_utf8(question).unwrap();
            let body = answers.iter().find(|(word, _)| question.contains(word)).map_or("[]", |(_, body)| body);
            let body = if body.starts_with('[') {
                format!(r#"{{"status":"success","data":{{"resultType":"vector","result":{body}}}}}"#)
            } else {
                body.to_owned()
            };
            kept.lock().unwrap().push(question);
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
            let _may_be_gone = stream.write_all((head + &body).as_bytes());
        }
    });
    (address, asked)
}

fn prometheus(address: SocketAddr) -> Prometheus {
    let (host, port, authority) = (address.ip().to_string(), address.port(), address.to_string());
    Prometheus { target: Target { https: false, host, port, authority }, window: WINDOW, tenants: false }
}

fn wait<T>(question: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(question)
}

const THERE: (&str, &str) = ("count(", r#"[{"metric":{},"value":[1,"2"]}]"#);
const GOOD: Answers = &[
    THERE,
    ("up == 0", "[]"),
    (
        "last_used",
        r#"[{"metric":{"client_id":"c1","secret_id":"old"},"value":[1,"1795224600.123"]},
                      {"metric":{"client_id":"c1","secret_id":"new"},"value":[1,"0"]},
                      {"metric":{"client_id":"c1","secret_id":"left_long_ago"},"value":[1,"5"]}]"#,
    ),
    ("uses_total", r#"[{"metric":{"client_id":"c1","secret_id":"old"},"value":[1,"7"]}]"#),
    (
        "since",
        r#"[{"metric":{"client_id":"c1","secret_id":"old"},"value":[1,"1795000000"]},
                  {"metric":{"client_id":"c1","secret_id":"new"},"value":[1,"1.795000001e+09"]},
                  {"metric":{"client_id":"c2","secret_id":"old"},"value":[1,"1"]}]"#,
    ),
];

#[test]
fn what_the_instances_saw_is_put_together() {
    let (address, asked) = serve("200 OK", GOOD);
    let client = ClientKey::from(ClientId::parse("c1").unwrap());
    let known = wait(prometheus(address).client(&client)).unwrap();
    let at = Timestamp::from_millis;
    let old = FleetUse { last_used: Some(at(1_795_224_600_123)), uses: 7, tracking_since: at(1_795_000_000_000) };
    let new = FleetUse { last_used: None, uses: 0, tracking_since: at(1_795_000_001_000) };
    let id = |id| SecretId::parse(id).unwrap();
    assert_eq!(known, HashMap::from([(id("old"), old), (id("new"), new)]));
    assert!(asked.lock().unwrap().iter().filter(|question| question.contains("client_id=\"c1\"")).count() == 3);
    assert_eq!(wait(prometheus(address).clients()).unwrap().len(), 2);
}

#[test]
fn the_same_id_in_two_tenants_is_two_clients() {
    const TWO: Answers = &[
        THERE,
        ("up == 0", "[]"),
        ("last_used", r#"[{"metric":{"tenant":"shop","client_id":"c1","secret_id":"old"},"value":[1,"7"]}]"#),
        (
            "since",
            r#"[{"metric":{"client_id":"c1","secret_id":"old"},"value":[1,"1"]},
                {"metric":{"tenant":"shop","client_id":"c1","secret_id":"old"},"value":[1,"2"]}]"#,
        ),
    ];
    let (address, asked) = serve("200 OK", TWO);
    let none = ClientKey::from(ClientId::parse("c1").unwrap());
    let shop = ClientKey { tenant: Tenant::parse("shop").unwrap(), ..none.clone() };
    let all = wait(prometheus(address).with_tenants(true).clients()).unwrap();
    let last_used = |client| all[client][&SecretId::parse("old").unwrap()].last_used;
    assert_eq!((last_used(&none), last_used(&shop)), (None, Some(Timestamp::from_millis(7000))));
    wait(prometheus(address).with_tenants(true).client(&shop)).unwrap();
    let asked = asked.lock().unwrap();
    assert_eq!(asked.iter().filter(|question| question.contains("by (tenant, client_id, secret_id)")).count(), 6);
    assert_eq!(asked.iter().filter(|question| question.contains("{tenant=\"shop\",client_id=\"c1\"}")).count(), 3);
}

#[test]
fn a_client_cannot_end_the_question_that_is_asked_about_it() {
    let (address, asked) = serve("200 OK", GOOD);
    let client = ClientKey::from(ClientId::parse("a\"} or up{x=\"\\\n&query=1").unwrap());
    assert!(wait(prometheus(address).client(&client)).unwrap().is_empty());
    let wanted = "{client_id=\"a\\\"} or up{x=\\\"\\\\\\n&query=1\"}";
    assert_eq!(asked.lock().unwrap().iter().filter(|question| question.contains(wanted)).count(), 3);
}

#[test]
fn what_cannot_be_known_is_a_reason_and_never_a_guess() {
    let unseen = r#"[{"metric":{"job":"relatch","instance":"10.0.0.3:9464"},"value":[1,"0"]}]"#;
    let cases: [(&str, Answers, &str); 7] = [
        ("200 OK", &[], "scrapes no relatch now"),
        ("200 OK", Box::leak(Box::new([THERE, ("up == 0", unseen)])), "instance 10.0.0.3:9464 (job relatch) cannot"),
        ("503 Service Unavailable", &[("", "starting")], "answered 503"),
        ("422 No", &[("", r#"{"status":"error","error":"too many samples"}"#)], "too many samples"),
        ("200 OK", &[("", r#"{"status":"success","warnings":["part of it"],"data":null}"#)], "part of it"),
        ("200 OK", &[("", r#"[{"metric":{},"value":[1,"NaN"]}]"#)], "no number"),
        ("200 OK", &[("", "<html>")], "not as Prometheus does"),
    ];
    for (status, answers, reason) in cases {
        let why = wait(prometheus(serve(status, answers).0).clients()).unwrap_err();
        assert!(why.contains(reason), "{why}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let why = wait(prometheus(nobody).clients()).unwrap_err();
    assert!(why.contains("cannot be asked"), "{why}");
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let began = crate::domain::clock::instant();
    let why = wait(prometheus(silent.local_addr().unwrap()).clients()).unwrap_err();
    assert!(why.contains("did not answer within 5 s"), "{why}");
    assert!(began.elapsed() < Duration::from_secs(8));
}
