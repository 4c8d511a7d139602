//! `relatch demo`: what it prints can be typed, and Ctrl-C ends it.

use std::net::SocketAddr;

use rustix::process::Signal;

use crate::support::http::{Outcome, Reply, Wire, get};
use crate::support::process::Process;
use crate::support::{PATIENCE, bytes, metrics, poll};

#[test]
fn every_line_that_the_demo_prints_works_and_ctrl_c_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let environment = [
        ("RELATCH__PROXY__LISTEN", "127.0.0.1:0"),
        ("RELATCH__TELEMETRY__LISTEN", "127.0.0.1:0"),
        ("RELATCH__ADMIN__LISTEN", "127.0.0.1:0"),
        ("TMPDIR", scratch.path().to_str().unwrap()),
    ];
    let demo = Process::start(dir.path(), &["demo"], &environment);
    // The line for the metrics comes last.
    let banner = poll(PATIENCE, || Some(demo.out()).filter(|out| out.contains("grep") && out.ends_with('\n')));
    let banner = banner.unwrap_or_else(|| panic!("{}{}", demo.out(), demo.err()));
    let lines: Vec<Vec<&str>> = banner
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.first() == Some(&"curl"))
        .collect();

    let mut secrets = Vec::new();
    let mut scrapes = Vec::new();
    for words in &lines {
        match words[..] {
            ["curl", "-u", pair, "-d", form, url] => {
                let (id, secret) = pair.split_once(':').unwrap();
                secrets.push(secret.to_owned());
                let reply = post(url, &bytes::basic(id, secret), form);
                assert_eq!(reply.status, 200, "{words:?}");
                assert!(reply.json()["access_token"].is_string(), "{words:?}");
                let wrong = post(url, &bytes::basic(id, &format!("{secret}x")), form);
                assert_eq!((wrong.status, wrong.json()["error"].as_str()), (401, Some("invalid_client")));
            }
            ["curl", "-s", url, "|", "grep", word] => {
                let (address, path) = target(url);
                let scrape = String::from_utf8(get(address, path).body).unwrap();
                assert!(scrape.contains(word), "{words:?}");
                scrapes.push(scrape);
            }
            _ => panic!("who can type that? {words:?}"),
        }
    }
    assert_eq!((secrets.len(), scrapes.len()), (2, 1), "{banner}");
    assert_ne!(secrets[0], secrets[1]);
    for secret in &secrets {
        let generated = secret
            .strip_prefix("rls_")
            .is_some_and(|rest| rest.len() == 49 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert!(generated, "{secret}");
        assert!(!scrapes[0].contains(secret) && !demo.err().contains(secret), "shown beyond its line");
    }
    let used = metrics::samples(&scrapes[0])
        .into_iter()
        .filter(|sample| sample.name == "relatch_client_secret_last_used_timestamp_seconds" && sample.value > 0.0);
    assert_eq!(used.count(), 2, "each secret is told apart");

    let link = banner.lines().find_map(|line| line.trim().strip_prefix("dashboard")).unwrap();
    let (address, path) = target(link.split_whitespace().next().unwrap());
    let page = String::from_utf8(get(address, path).body).unwrap();
    assert!(page.contains("Log in to relatch"), "{page}");

    demo.signal(Signal::INT);
    let ended = demo.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "its list is gone");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is saved");
}

/// What `curl -u .. -d ..` sends.
fn post(url: &str, authorization: &str, form: &str) -> Reply {
    let (address, path) = target(url);
    let mut wire = Wire::connect(address);
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: {authorization}\r\nUser-Agent: curl/8.14.1\r\n\
         Accept: */*\r\nContent-Length: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n{form}",
        form.len()
    );
    wire.send(request.as_bytes());
    match wire.read_reply(false, PATIENCE) {
        Outcome::Reply(reply) => reply,
        other => panic!("{url}: {other:?}"),
    }
}

fn target(url: &str) -> (SocketAddr, &str) {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("{url}"));
    let path = rest.find('/').unwrap_or(rest.len());
    (rest[..path].parse().unwrap(), &rest[path..])
}
