//! Receivers that fail, hang, or answer what they should not: each event is tried again, and nobody else notices.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use super::receiver::{Receiver, Reply, certified};
use super::{KEY, OLD, delivered, hooked, next, token, with_hook};
use crate::support::admin::Admin;
use crate::support::http::{Method, token_post};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;
use crate::support::{PATIENCE, poll};

/// For a token request and a change of the list, on a machine that does much else. Whoever waits for a receiver that hangs waits
/// for half a minute.
const QUICK: Duration = Duration::from_secs(5);

fn retried(sidecar: &Sidecar, at_least: f64) {
    sidecar.wait_metric("relatch_webhook_deliveries_total", &[("result", "retried")], |count| count >= at_least);
}

#[test]
fn what_fails_is_tried_again_as_the_same_delivery_and_no_redirect_is_followed() {
    let (upstream, receiver, elsewhere) = (Upstream::start(), Receiver::start(), Receiver::start());
    let sidecar = hooked(&receiver).upstream(&upstream).start();
    let to_elsewhere = format!("Location: {}/", elsewhere.url());
    let endless = "HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned() + &"fff\r\n".repeat(4);
    receiver.answer(&[
        Reply::status("500 Internal Server Error"),
        Reply::with("307 Temporary Redirect", &to_elsewhere),
        Reply::Close,
        Reply::Raw(endless),
    ]);
    Admin::of(sidecar.dir()).must("POST", "/api/v1/clients/c1/rotate", &json!({}));
    let tries: Vec<_> = (0..5).map(|_| receiver.next()).collect();
    for heard in &tries {
        assert!(heard.is_signed_with(KEY), "each try has its own time and is signed anew");
        assert_eq!((heard.header("webhook-id"), &heard.body), (tries[0].header("webhook-id"), &tries[0].body));
    }
    sidecar.wait_metric("relatch_webhook_deliveries_total", &[("result", "delivered")], |count| count == 1.0);
    assert_eq!(delivered(&sidecar, "retried"), 4.0);
    let told = sidecar.wait_log(|line| line["msg"] == "a web hook was not delivered");
    assert_eq!((&told["level"], &told["event"]), (&"warn".into(), &"secret.added".into()));
    assert!(told["reason"].as_str().unwrap().contains("500") && !told.to_string().contains("team=a"), "{told}");
    sidecar.wait_log(|line| line["msg"] == "web hooks are delivered again");
    let warned = sidecar.log_lines().iter().filter(|line| line["msg"] == "a web hook was not delivered").count();
    assert_eq!(warned, 1, "once until it goes well");
    assert!(!elsewhere.hears(Duration::from_millis(1)));
    sidecar.finish(&upstream);
}

#[test]
fn a_receiver_may_ask_for_time_and_may_say_that_it_wants_no_more() {
    let (upstream, receiver) = (Upstream::start(), Receiver::start());
    let sidecar = hooked(&receiver).upstream(&upstream).start();
    receiver.answer(&[Reply::with("429 Too Many Requests", "Retry-After: 3")]);
    let admin = Admin::of(sidecar.dir());
    admin.must("POST", "/api/v1/clients/c1/rotate", &json!({}));
    receiver.next();
    let asked = Instant::now();
    admin.must("POST", "/api/v1/clients", &json!({"id": "c2"}));
    receiver.next();
    assert!(asked.elapsed() >= Duration::from_millis(2500), "whatever it is that waits: after {:?}", asked.elapsed());
    receiver.next();
    receiver.answer(&[Reply::status("410 Gone")]);
    admin.must("POST", "/api/v1/clients/c1/secrets/c1_1/lifecycle/revoke", &json!({"force": true}));
    receiver.next();
    sidecar.wait_metric("relatch_webhook_deliveries_total", &[("result", "given_up")], |count| count == 1.0);
    assert!(!receiver.hears(Duration::from_millis(1500)), "not again");
    sidecar.wait_log(|line| line["msg"] == "a web hook is given up");
    sidecar.finish(&upstream);
}

#[test]
fn a_receiver_that_hangs_keeps_up_nobody() {
    let (upstream, hangs, quick) = (Upstream::start(), Receiver::start(), Receiver::start());
    hangs.answer(&vec![Reply::Hang; 64]);
    let hooks = format!(
        "log.audit = \"/dev/full\"\nhooks = [\n{{ url = \"{}\", secret_file = \"hook.key\" }},\n\
         {{ url = \"{}\", secret_file = \"hook.key\" }},\n]",
        hangs.url(),
        quick.url()
    );
    let mut sidecar = hooked(&hangs).config(&hooks).upstream(&upstream).start();
    let admin = Admin::of(sidecar.dir());
    // More than wait for it: the oldest make room. Of one list they would be told in a word.
    let clients = |from: usize| -> String {
        let client = |number: usize| {
            format!(
                "[[client]]\nid = \"n{number}\"\n[[client.secret]]\nid = \"s{number}\"\n\
                 hash = \"@SHA256(s3cr3t-of-number-{number})@\"\n"
            )
        };
        (from..from + 100).map(client).collect()
    };
    let mut list = std::fs::read_to_string(sidecar.dir().join("clients.toml")).unwrap();
    for reload in 0..12 {
        list += &clients(reload * 100);
        sidecar.write_clients(&list);
        sidecar.wait_metric("relatch_config_generation", &[], |now| now == reload as f64 + 2.0);
        assert_eq!(token(&sidecar, OLD), 200);
    }
    hangs.next();
    sidecar.wait_metric("relatch_webhook_deliveries_total", &[("result", "dropped")], |count| count >= 100.0);
    for number in 0..20 {
        let began = Instant::now();
        assert_eq!(token(&sidecar, OLD), 200);
        admin.must("POST", "/api/v1/clients", &json!({"id": format!("beside-{number}")}));
        assert!(began.elapsed() < QUICK, "{:?}", began.elapsed());
    }
    let (last, _) = loop {
        let (event, heard) = next(&quick, "secret.added");
        if event["client_id"] == "beside-19" {
            break (event, heard);
        }
    };
    assert_eq!(last["type"], "secret.added", "the other receiver is told meanwhile");
    sidecar.signal(Signal::TERM);
    assert!(sidecar.wait_exit(PATIENCE).is_some(), "and it can be stopped");
    let left = sidecar.wait_log(|line| line["msg"] == "web hooks were not delivered before the end");
    assert!(left["events"].as_str().unwrap().parse::<u64>().unwrap() >= 1000, "{left}");
}

#[test]
fn a_receiver_that_is_not_there_or_not_who_it_says_is_tried_until_it_is() {
    let upstream = Upstream::start();
    let (config, ca) = certified();
    let receiver = Receiver::secure(config);
    let (_, other) = certified();
    let hook = format!("url = \"{}\"\nsecret_file = \"hook.key\"\nca = \"ca.pem\"", receiver.url());
    let sidecar = with_hook(&hook).file("ca.pem", &other).upstream(&upstream).start();
    Admin::of(sidecar.dir()).must("POST", "/api/v1/clients/c1/rotate", &json!({}));
    retried(&sidecar, 1.0);
    assert!(!receiver.hears(Duration::from_millis(1)), "nothing is told to whoever answers there");
    let file = sidecar.dir().join("hook.key");
    std::fs::write(sidecar.dir().join("ca.pem"), ca).unwrap();
    std::fs::write(&file, "not-a-key-canary").unwrap();
    let before = delivered(&sidecar, "retried");
    retried(&sidecar, before + 1.0);
    std::fs::write(&file, KEY).unwrap();
    assert!(receiver.next().is_signed_with(KEY));
    assert!(!sidecar.log().contains("canary"), "{}", sidecar.log());
    sidecar.finish(&upstream);
}

#[test]
fn the_end_waits_for_what_was_never_tried_and_not_for_long() {
    let (upstream, receiver) = (Upstream::start(), Receiver::start());
    let mut sidecar = hooked(&receiver).upstream(&upstream).start();
    receiver.answer(&[Reply::Slow]);
    let admin = Admin::of(sidecar.dir());
    for id in ["a", "b", "c"] {
        admin.must("POST", "/api/v1/clients", &json!({"id": id}));
    }
    // The first is under way, and the others were never tried.
    assert_eq!(receiver.next().event()["client_id"], "a");
    sidecar.signal(Signal::TERM);
    assert!(sidecar.wait_exit(PATIENCE).is_some());
    assert_eq!([receiver.next(), receiver.next()].map(|heard| heard.event()["client_id"].clone()), ["b", "c"]);
    assert!(!sidecar.log().contains("web hooks were not delivered"), "{}", sidecar.log());
}

#[test]
fn a_request_that_outlives_the_end_does_not_take_the_web_hooks_with_it() {
    let (upstream, receiver) = (Upstream::start(), Receiver::start());
    let mut sidecar = hooked(&receiver).config("shutdown.drain_timeout = \"100ms\"").upstream(&upstream).start();
    let gate = upstream.stall();
    let proxy = sidecar.proxy();
    let stalled =
        std::thread::spawn(move || _ = std::panic::catch_unwind(|| token_post(proxy, Method::Basic, "c1", OLD)));
    upstream.next(PATIENCE);
    receiver.answer(&[Reply::Slow]);
    let admin = Admin::of(sidecar.dir());
    for id in ["a", "b"] {
        admin.must("POST", "/api/v1/clients", &json!({"id": id}));
    }
    assert_eq!(receiver.next().event()["client_id"], "a");
    sidecar.signal(Signal::TERM);
    assert!(sidecar.wait_exit(PATIENCE).is_some_and(|status| !status.success()));
    assert_eq!(receiver.next().event()["client_id"], "b");
    gate.open();
    stalled.join().unwrap();
}

#[test]
fn a_start_and_a_check_tell_what_is_wrong_with_a_hook() {
    for (hook, key, expected) in [
        ("url = \"http://10.0.0.1/\"\nsecret_file = \"hook.key\"", KEY, "use https; insecure = true"),
        ("url = \"https://h.test/\"\nsecret_file = \"missing.key\"", KEY, "missing.key"),
        ("url = \"https://h.test/\"\nsecret_file = \"hook.key\"", "canary", "whsec_ and base64"),
        ("url = \"https://h.test/\"\nsecret_file = \"hook.key\"\nca = \"no.pem\"", KEY, "no.pem"),
    ] {
        let log = with_hook(hook).file("hook.key", key).try_start().err().expect("no instance").log;
        assert!(log.contains(expected) && !log.contains("canary"), "{hook}: {log}");
    }
    let receiver = Receiver::start();
    let upstream = Upstream::start();
    let hook = format!("url = \"http://{}\"\nsecret_file = \"hook.key\"", receiver.address());
    let sidecar = with_hook(&hook).upstream(&upstream).start();
    let open = poll(PATIENCE, || sidecar.log().contains("can be read by everybody").then_some(()));
    assert!(open.is_some(), "an open key file is told");
    sidecar.finish(&upstream);
}
