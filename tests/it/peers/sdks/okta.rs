//! PyPI okta.

use serde_json::{Value, json};

use super::{Bench, LOOKER, Loss, Lossy, TOKEN, done, plain};
use crate::gate::address;

const SCRIPT: &str = "clients/okta_client.py";

fn ask(domain: &str, action: &str, id: &str, secret: &str) -> Value {
    json!({"url": format!("https://{domain}"), "token": TOKEN, "action": action, "id": id, "secret": secret})
}

fn with(mut ask: Value, key: &str, value: Value) -> Value {
    ask[key] = value;
    ask
}

#[test]
#[ignore = "needs python and faketime: make test"]
fn okta_drives_a_rotation_and_is_told_every_rule() {
    let bench = Bench::start(|setup| setup);
    let (mut sdk, domain) = (bench.sdk(SCRIPT), bench.domain());
    let sdk = &mut sdk;
    let plainly = |action: &str, id: &str, secret: &str| ask(&domain, action, id, secret);

    let listed = done(sdk, &plainly("list", "full", ""), 200);
    let ids: Vec<&Value> = listed["body"].as_array().unwrap().iter().map(|secret| &secret["id"]).collect();
    assert_eq!(ids, ["full_2", "full_1"], "{listed}");
    let told = sdk.ask(&with(plainly("list", "full", ""), "token", json!("rlt_wrong")));
    assert_eq!((&told["status"], &told["code"]), (&json!(401), &json!("E0000011")), "{told}");
    let told = sdk.ask(&with(plainly("create", "busy", ""), "token", json!(LOOKER)));
    assert_eq!((&told["status"], &told["code"]), (&json!(403), &json!("E0000006")), "{told}");
    let told = sdk.ask(&plainly("show", "full", "nothere"));
    assert_eq!((&told["status"], &told["code"]), (&json!(404), &json!("E0000007")), "{told}");

    // One more, and the limit.
    let old = "first-s3cr3t-of-calm";
    let made = done(sdk, &plainly("create", "calm", ""), 201);
    let (id, new) = (made["body"]["id"].as_str().unwrap().to_owned(), plain(&made));
    assert_eq!(bench.token("calm", &new), 200);
    bench.refused(sdk, &plainly("create", "calm", ""), "client calm has 2 of 2 secrets");
    assert!(done(sdk, &plainly("show", "calm", &id), 200)["body"].get("client_secret").is_none());

    // In use, and the last one.
    bench.refused(sdk, &plainly("deactivate", "calm", &id), "was used ");
    bench.refused(sdk, &plainly("deactivate", "busy", "busy_1"), "busy_1 is the last usable secret of busy");
    bench.refused(sdk, &plainly("remove", "calm", "calm_1"), "calm_1 is ACTIVE");
    assert_eq!(bench.token("calm", &new), 200);

    // Used a day and an hour ago: it may go, and come back, and go for good.
    bench.stale(sdk, plainly("deactivate", "calm", "calm_1"));
    assert_eq!(bench.token("busy", "first-s3cr3t-of-busy"), 200);
    bench.stale(sdk, plainly("create", "busy", ""));
    bench.stale(sdk, plainly("activate", "spare", "spare_3"));
    bench.stale(sdk, plainly("remove", "spare", "spare_3"));
    assert_eq!(bench.token("busy", "first-s3cr3t-of-busy"), 200);
    assert_eq!(done(sdk, &plainly("deactivate", "calm", "calm_1"), 200)["body"]["status"], "INACTIVE");
    assert_eq!(bench.both("calm", old, &new), [401, 200]);
    assert_eq!(done(sdk, &plainly("activate", "calm", "calm_1"), 200)["body"]["status"], "ACTIVE");
    assert_eq!(bench.both("calm", old, &new), [200, 200]);
    bench.refused(sdk, &plainly("deactivate", "calm", "calm_1"), "was used ");
    done(sdk, &plainly("deactivate", "full", "full_1"), 200);
    done(sdk, &plainly("remove", "full", "full_1"), 204);
    assert_eq!(bench.both("full", "first-s3cr3t-of-full", "second-s3cr3t-of-full"), [401, 200]);
    assert_eq!(sdk.ask(&plainly("activate", "full", "full_1"))["status"], 404, "deleted is deleted");

    // A secret of the caller's own.
    let given =
        with(plainly("create", "full", ""), "body", json!({"client_secret": "made-elsewhere-s3cr3t-0123456789"}));
    let made = done(sdk, &given, 201);
    assert!(made["body"].get("client_secret").is_none(), "{made}");
    assert_eq!(bench.token("full", "made-elsewhere-s3cr3t-0123456789"), 200);

    let asks = [
        plainly("create", "busy", ""),
        plainly("deactivate", "spare", "spare_1"),
        plainly("activate", "spare", "spare_3"),
        plainly("remove", "spare", "spare_3"),
    ];
    let good = [("spare", "first-s3cr3t-of-spare"), ("spare", "second-s3cr3t-of-spare"), ("calm", old)];
    bench.refused_by_the_state_of_the_list(sdk, &asks, &good);
    assert_eq!(bench.token("spare", "third-s3cr3t-of-spare"), 401);
    bench.finish();
}

#[test]
#[ignore = "needs python and faketime: make test"]
fn okta_asks_again_for_an_answer_that_is_lost_and_makes_no_third_secret() {
    let bench = Bench::behind_a_gateway();
    let lossy = Lossy::before(address(&bench.sidecar), &bench.ca);
    let mut sdk = bench.sdk(SCRIPT);
    // By itself after a 5xx alone. What it never asked in full was never done.
    lossy.lose(Loss::Request);
    let create = ask(&lossy.domain(), "create", "calm", "");
    assert_eq!(sdk.ask(&create)["ok"], false);
    assert_eq!(lossy.requests(), 1);
    assert_eq!(done(&mut sdk, &ask(&lossy.domain(), "list", "calm", ""), 200)["body"].as_array().unwrap().len(), 1);
    lossy.lose(Loss::Gateway);
    let new = plain(&done(&mut sdk, &create, 201));
    assert_eq!(lossy.requests(), 2);
    assert_eq!(bench.both("calm", "first-s3cr3t-of-calm", &new), [200, 200]);
    bench.refused(&mut sdk, &create, "client calm has 2 of 2 secrets");
    assert_eq!(lossy.requests(), 3, "a rule is told at once");
    bench.finish();
}

#[test]
#[ignore = "needs python and faketime: make test"]
fn okta_tells_of_an_answer_that_broke_off_and_the_secret_of_it_is_in_its_list() {
    for loss in [Loss::Connection, Loss::Head, Loss::Body] {
        let bench = Bench::behind_a_gateway();
        let lossy = Lossy::before(address(&bench.sidecar), &bench.ca);
        let mut sdk = bench.sdk(SCRIPT);
        let way = |action: &str, secret: &str| ask(&lossy.domain(), action, "spare", secret);
        lossy.lose(loss);
        let told = sdk.ask(&way("create", ""));
        assert_eq!(told["ok"], false, "{loss:?}: {told}");
        assert_eq!(lossy.requests(), 1, "{loss:?}: not by itself");
        // Two that are asked for are two: nothing is dropped for the one that nobody has.
        bench.refused(&mut sdk, &way("create", ""), "client spare has 3 of 3 secrets");
        let listed = done(&mut sdk, &way("list", ""), 200);
        let secrets = listed["body"].as_array().unwrap();
        let lost = secrets.iter().find(|secret| !secret["id"].as_str().unwrap().starts_with("spare_")).unwrap();
        assert_eq!((secrets.len(), &lost["status"]), (4, &json!("ACTIVE")), "{loss:?}: {listed}");
        for secret in ["first-s3cr3t-of-spare", "second-s3cr3t-of-spare"] {
            assert_eq!(bench.token("spare", secret), 200, "{loss:?}");
        }
        bench.finish();
    }
}
