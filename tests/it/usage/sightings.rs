//! Where a secret is used from: the latest callers, and never more than a few.

use serde_json::Value;

use super::{Home, ask_with, list, stop};
use crate::support::leak::spills;
use crate::support::upstream::Upstream;

const SECRET: &str = "right-s3cr3t-7Hq2";

fn from(home: &Home) -> Vec<Value> {
    home.kept().of("s1")["from"].as_array().cloned().unwrap_or_default()
}

#[test]
fn the_latest_callers_are_kept_and_no_more_of_them_than_a_few() {
    let (home, upstream) = (Home::new(), Upstream::start());
    let guard = home.guard(&list(&[("s1", SECRET, "")])).config("proxy.trusted_proxies = [\"127.0.0.0/8\"]");
    let sidecar = guard.upstream(&upstream).start();
    for host in 1..=40 {
        let headers = format!("X-Forwarded-For: 10.0.0.{host}\r\nUser-Agent: job-{host}/1\r\n");
        assert_eq!(ask_with(&sidecar, SECRET, headers.as_bytes()), 200);
    }
    stop(sidecar);
    let from = from(&home);
    let told: Vec<_> = from.iter().map(|from| (from["address"].as_str(), from["user_agent"].as_str())).collect();
    let expected: Vec<_> = (33..=40).rev().map(|host| (format!("10.0.0.{host}"), format!("job-{host}/1"))).collect();
    let expected: Vec<_> = expected.iter().map(|(a, b)| (Some(a.as_str()), Some(b.as_str()))).collect();
    assert_eq!(told, expected);
    assert!(from.iter().all(|from| from["method"] == "basic"), "{from:?}");
}

#[test]
fn one_caller_is_one_sighting_and_its_words_are_made_harmless() {
    let (home, upstream) = (Home::new(), Upstream::start());
    let sidecar = home.guard(&list(&[("s1", SECRET, "")])).upstream(&upstream).start();
    for _ in 0..50 {
        assert_eq!(ask_with(&sidecar, SECRET, b"User-Agent: curl/8\xff\xc3\xa9\r\n"), 200);
    }
    let long = [b"User-Agent: ".as_slice(), &[b'x'; 5000], b"\r\n"].concat();
    assert_eq!(ask_with(&sidecar, SECRET, &long), 200);
    let leaky = format!("User-Agent: cron/1 (key={SECRET})\r\n");
    assert_eq!(ask_with(&sidecar, SECRET, leaky.as_bytes()), 200);
    stop(sidecar);
    let from = from(&home);
    let agents: Vec<_> = from.iter().map(|from| from["user_agent"].as_str().unwrap()).collect();
    assert_eq!(agents, ["(withheld: it holds a secret)", &"x".repeat(120), "curl/8???"]);
    let state = std::fs::read(home.path()).unwrap();
    assert_eq!(spills("the state", &state, &[SECRET.to_owned()]), Vec::<String>::new());
}
