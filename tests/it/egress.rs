//! Egress: an application that knows no secret has its tokens, and a rotation at the far end needs nothing of it. Which
//! requests are let through is data: `tests/corpus/n-egress.toml`.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::caller::Caller;
use crate::support::http::{Wire, form_post};
use crate::support::setup::Setup;
use crate::support::sidecar::Sidecar;
use crate::support::upstream::{Answer, Upstream};
use crate::support::{PATIENCE, poll};

const OLD: &str = "remote-old-s3cr3t";
const NEW: &str = "remote-new-s3cr3t";
const LATER: &str = "remote-later-s3cr3t";

fn egress(upstream: &Upstream) -> Setup {
    let config = r#"
        upstream.host = "upstream"
        endpoint = [{ path = "/token", auth = "none", client = "billing" }]
    "#;
    Sidecar::guard().client("billing", &[]).replaced_by(&[OLD, NEW]).canary(LATER).config(config).upstream(upstream)
}

#[test]
fn a_secret_is_changed_at_the_far_end_and_in_the_list_and_no_request_of_the_application_fails() {
    let upstream = Upstream::start();
    let sidecar = egress(&upstream).start();
    let right = Arc::new(Mutex::new(OLD));
    let known = Arc::clone(&right);
    upstream.answer_by(move |seen| {
        let secret = *known.lock().unwrap();
        let holds = seen.basic_decoded() == Some(("billing".to_owned(), secret.to_owned()));
        if holds { Answer::token(seen) } else { Answer::json(401, r#"{"error":"invalid_client"}"#) }
    });
    let request = form_post("/token", "app-1", "grant_type=client_credentials");
    let (over, granted) = (AtomicBool::new(false), [const { AtomicUsize::new(0) }; 2]);
    let went_on = || {
        let marks = granted.each_ref().map(|granted| granted.load(Ordering::Relaxed) + 20);
        let all = || granted.iter().zip(marks).all(|(granted, mark)| granted.load(Ordering::Relaxed) >= mark);
        poll(PATIENCE, || (all() || over.load(Ordering::Relaxed)).then_some(()));
    };
    std::thread::scope(|scope| {
        for granted in &granted {
            let (proxy, over, request) = (sidecar.proxy(), &over, &request);
            scope.spawn(move || {
                let mut application = Caller::connect(proxy).unwrap();
                while !over.load(Ordering::Relaxed) {
                    let answer = application.ask(request);
                    if !matches!(answer, Ok((200, _))) {
                        over.store(true, Ordering::Relaxed);
                        panic!("{answer:?}");
                    }
                    granted.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        went_on();
        *right.lock().unwrap() = NEW;
        went_on();
        // The place of the retired one is given to the next, while the other one is in use.
        let (fresh, file) = (sidecar.dir().join("fresh"), sidecar.dir().join("billing-1.secret"));
        std::fs::write(&fresh, LATER).unwrap();
        std::fs::rename(&fresh, &file).unwrap();
        poll(PATIENCE * 2, || sidecar.metric("relatch_config_generation", &[]).filter(|number| *number == 2.0));
        went_on();
        *right.lock().unwrap() = LATER;
        went_on();
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(sidecar.metric("relatch_config_generation", &[]), Some(2.0), "the new file was taken up");
    let in_use = [("client_id", "billing"), ("index", "1")];
    assert_eq!(sidecar.metric("relatch_upstream_secret_in_use", &in_use), Some(1.0));
    let success = [("client_id", "billing"), ("result", "success")];
    sidecar.wait_metric("relatch_client_authentications_total", &success, |count| count >= 80.0);
    sidecar.finish(&upstream);
}

#[test]
fn the_token_server_sees_its_own_host_and_the_log_whose_secret_went_out() {
    let upstream = Upstream::start();
    let sidecar = egress(&upstream).start();
    let mut wire = Wire::connect(sidecar.proxy());
    wire.send(&form_post("/token", "app-2", "grant_type=client_credentials"));
    assert_eq!(wire.read_reply(false, PATIENCE).reply().status, 200);
    let seen = upstream.next(PATIENCE);
    assert_eq!(seen.header("host"), Some(upstream.address().to_string().as_str()));
    let line = sidecar.access_line("app-2");
    assert_eq!((&line["client_id"], &line["result"]), (&"billing".into(), &"success".into()), "{line}");
    sidecar.finish(&upstream);
}
