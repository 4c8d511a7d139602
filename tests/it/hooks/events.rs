//! What is told.

use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::receiver::{Receiver, certified};
use super::{KEY, NEW, OLD, hooked, next, rotating, token, two_days_later, with_hook};
use crate::support::PATIENCE;
use crate::support::admin::Admin;
use crate::support::leak::spills;
use crate::support::upstream::Upstream;

#[test]
fn a_secret_that_is_made_and_revoked_is_told_whoever_did_it() {
    let (upstream, receiver) = (Upstream::start(), Receiver::start());
    let sidecar = hooked(&receiver).upstream(&upstream).start();
    let admin = Admin::of(sidecar.dir());
    let made = admin.must("POST", "/api/v1/clients/c1/rotate", &json!({}));
    let (event, heard) = next(&receiver, "secret.added");
    assert!(heard.head.starts_with("POST /relatch?team=a HTTP/1.1\r\n"), "{}", heard.head);
    assert_eq!(heard.header("content-type"), "application/json");
    assert!(heard.header("user-agent").starts_with("relatch/"), "{}", heard.head);
    assert!(heard.is_signed_with(KEY), "{}", heard.head);
    assert_eq!(heard.header("webhook-id"), event["id"]);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let signed_at: u64 = heard.header("webhook-timestamp").parse().unwrap();
    assert!(now.abs_diff(signed_at) < 120, "{signed_at}");
    assert_eq!((&event["client_id"], &event["secret_id"]), (&"c1".into(), &made["id"]));
    assert!(event["at"].is_string() && event["instance"].as_str().is_some_and(|name| !name.is_empty()), "{event}");
    let mut told = heard.body;

    admin.must("POST", "/api/v1/clients/c1/secrets/c1_1/lifecycle/revoke", &json!({"compromised": true}));
    let (event, heard) = next(&receiver, "secret.revoked");
    assert_eq!(
        (&event["secret_id"], &event["status"], &event["reason"]),
        (&"c1_1".into(), &"revoked".into(), &"compromised".into())
    );
    told.extend(heard.body);

    // By an editor: two come, and one goes without a word.
    let record = |id: &str| format!("[[client.secret]]\nid = \"{id}\"\nhash = \"@SHA256({id}-s3cr3t-7Hq2)@\"\n");
    let text = std::fs::read_to_string(sidecar.dir().join("clients.toml")).unwrap();
    let with = |more: &str| format!("{text}\n[[client]]\nid = \"c2\"\n{more}");
    sidecar.write_clients(&with(&(record("first") + &record("second"))));
    assert_eq!(next(&receiver, "secret.added").0["secret_id"], "first");
    assert_eq!(next(&receiver, "secret.added").0["secret_id"], "second");
    sidecar.write_clients(&with(&record("second")));
    let (event, _) = next(&receiver, "secret.revoked");
    assert_eq!((&event["secret_id"], &event["status"]), (&"first".into(), &"removed".into()));

    // Dead, and still in somebody's configuration.
    assert_eq!((token(&sidecar, OLD), token(&sidecar, OLD)), (401, 401));
    let (event, heard) = next(&receiver, "secret.dead_presented");
    assert_eq!(
        [&event["client_id"], &event["secret_id"], &event["status"], &event["address"], &event["user_agent"]],
        [&Value::from("c1"), &"c1_1".into(), &"revoked".into(), &"127.0.0.1".into(), &"".into()]
    );
    told.extend(heard.body);
    assert!(!receiver.hears(Duration::from_millis(300)), "once a minute");
    let canaries = [sidecar.canaries(), &[made["client_secret"].as_str().unwrap().to_owned()]].concat();
    assert!(spills("the web hooks", &told, &canaries).is_empty());
    let text = String::from_utf8(told).unwrap();
    assert!(!text.contains("$sha256$") && !text.contains("hint"), "{text}");
    sidecar.wait_metric("relatch_webhook_deliveries_total", &[("result", "delivered")], |count| count == 6.0);
    sidecar.finish(&upstream);
}

#[test]
fn an_end_that_comes_near_and_a_rotation_that_can_be_finished_are_told_once() {
    let (upstream, receiver) = (Upstream::start(), Receiver::start());
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("relatch.state");
    let end = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 6);
    let list = rotating(&format!("expires = {end}"));
    let guard = || {
        let config = format!("state.path = {state:?}");
        hooked(&receiver).clients_text(&list).canary(NEW).config(&config).upstream(&upstream)
    };
    let mut first = guard().start();
    let (event, _) = next(&receiver, "secret.expiring");
    assert_eq!(
        [&event["secret_id"], &event["notice_days"], &event["days_left"]],
        [&Value::from("new"), &7.into(), &5.into()]
    );
    assert!(event["expires"].is_string(), "{event}");
    assert_eq!((token(&first, OLD), token(&first, NEW)), (200, 200));
    assert!(!receiver.hears(Duration::from_millis(300)), "old and new are both in use");
    first.signal(Signal::TERM);
    assert!(first.wait_exit(PATIENCE).is_some());

    // The old one was not used again.
    two_days_later(&state);
    let second = guard().start();
    let (event, _) = next(&receiver, "rotation.ready");
    assert_eq!((&event["client_id"], &event["secret_id"]), (&"c1".into(), &"old".into()));
    // A new list is looked at anew, and has nothing new to tell of.
    second.write_clients(&(list.clone() + "# a remark\n"));
    second.wait_metric("relatch_config_generation", &[], |generation| generation == 2.0);
    std::thread::sleep(Duration::from_millis(1500));
    let ready = std::iter::from_fn(|| receiver.hears(Duration::from_millis(10)).then_some(())).count();
    assert_eq!(ready, 0);
    second.finish(&upstream);
}

#[test]
fn a_list_that_brings_many_secrets_is_one_event() {
    let (upstream, receiver) = (Upstream::start(), Receiver::start());
    let sidecar = hooked(&receiver).upstream(&upstream).start();
    let own = std::fs::read_to_string(sidecar.dir().join("clients.toml")).unwrap();
    let client = |number: usize| {
        format!(
            "[[client]]\nid = \"n{number}\"\n[[client.secret]]\nid = \"s\"\nhash = \"@SHA256(s3cr3t-of-n{number})@\"\n"
        )
    };
    sidecar.write_clients(&(own.clone() + &(0..1500).map(client).collect::<String>()));
    let event = receiver.next().event();
    assert_eq!(
        [&event["type"], &event["count"], &event["generation"], &event["next"], &event["client_id"]],
        [&Value::from("secrets.added"), &1500.into(), &2.into(), &"relatch secret list".into(), &Value::Null]
    );
    let admin = Admin::of(sidecar.dir());
    admin.must("POST", "/api/v1/clients", &json!({"id": "one-more"}));
    assert_eq!(receiver.next().event()["client_id"], "one-more", "and none of them alone");
    sidecar.finish(&upstream);
}

#[test]
fn a_receiver_is_told_what_it_asked_for_over_tls_with_every_key_of_the_file() {
    let (upstream, everything) = (Upstream::start(), Receiver::start());
    let (config, ca) = certified();
    let some = Receiver::secure(config);
    let other = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";
    let hooks = format!(
        "hooks = [\n\
         {{ url = \"{}/a\", secret_file = \"hook.key\" }},\n\
         {{ url = \"{}\", secret_file = \"other.key\", events = [\"secret.revoked\"], ca = \"ca.pem\" }},\n]",
        everything.url(),
        some.url()
    );
    let guard = with_hook(&format!("url = \"{}\"\nsecret_file = \"hook.key\"", everything.url()));
    let sidecar = guard.config(&hooks).file("other.key", other).file("ca.pem", &ca).upstream(&upstream).start();
    let admin = Admin::of(sidecar.dir());
    admin.must("POST", "/api/v1/clients/c1/rotate", &json!({}));
    admin.must("POST", "/api/v1/clients/c1/secrets/c1_1/lifecycle/revoke", &json!({"force": true}));
    let heard = some.next();
    assert_eq!(heard.event()["type"], "secret.revoked");
    assert!(heard.head.starts_with("POST / HTTP/1.1\r\n"), "{}", heard.head);
    assert!(heard.is_signed_with(other) && !heard.is_signed_with(KEY));
    assert_eq!([everything.next(), everything.next()].map(|heard| heard.is_signed_with(KEY)), [true, true]);
    // The key is changed: both sign for a while, and then the new one alone.
    let file = sidecar.dir().join("other.key");
    std::fs::write(&file, format!("{KEY}\n{other}\n")).unwrap();
    admin.must("POST", "/api/v1/clients", &json!({"id": "c2"}));
    admin.must("DELETE", "/api/v1/clients/c2?force=true", &Value::Null);
    let heard = some.next();
    assert!(heard.is_signed_with(other) && heard.is_signed_with(KEY), "{}", heard.head);
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    admin.must("POST", "/api/v1/clients", &json!({"id": "c3"}));
    admin.must("DELETE", "/api/v1/clients/c3?force=true", &Value::Null);
    let heard = some.next();
    assert!(!heard.is_signed_with(other) && heard.is_signed_with(KEY), "{}", heard.head);
    sidecar.finish(&upstream);
}
