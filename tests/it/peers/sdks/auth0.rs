//! npm auth0 and PyPI auth0-python.

use serde_json::{Value, json};

use super::{Bench, LOOKER, Loss, Lossy, TOKEN, done, plain};
use crate::gate::address;
use crate::peers::process::Peer;

/// The script of each, and how it calls an answer of 400.
const NODE: &str = "clients/auth0.mjs";
const PYTHON: &str = "clients/auth0_client.py";

#[test]
#[ignore = "needs node and faketime: make test"]
fn npm_auth0_drives_a_rotation_and_is_told_every_rule() {
    drives(NODE);
}

#[test]
#[ignore = "needs python and faketime: make test"]
fn auth0_python_drives_a_rotation_and_is_told_every_rule() {
    drives(PYTHON);
}

/// A question to the SDK, logged in by client credentials.
fn ask(domain: &str, action: &str, id: &str, body: &Value, query: &Value) -> Value {
    let login = json!({"domain": domain, "client_id": "ci", "client_secret": TOKEN});
    let mut ask = json!({"action": action, "id": id, "body": body, "query": query});
    ask.as_object_mut().unwrap().extend(login.as_object().unwrap().clone());
    ask
}

#[track_caller]
fn drives(script: &str) {
    let bench = Bench::start(|setup| setup);
    let (mut sdk, domain) = (bench.sdk(script), bench.domain());
    let sdk = &mut sdk;
    let plainly = |action: &str, id: &str| ask(&domain, action, id, &json!({}), &json!({}));

    // In.
    assert_eq!(done(sdk, &plainly("list", ""), 200)["ids"], json!(["busy", "calm", "full", "spare"]));
    for (wrong, status) in [("rlt_wrong", 401), (LOOKER, 401)] {
        let told = sdk.ask(&json!({"domain": domain, "client_id": "ci", "client_secret": wrong, "action": "list"}));
        assert_eq!((&told["status"], &told["body"]["error"]), (&json!(status), &json!("access_denied")), "{told}");
    }
    let looks = json!({"domain": domain, "token": LOOKER, "action": "show", "id": "busy", "query": {}});
    let shown = done(sdk, &looks, 200);
    assert!(shown["body"]["name"] == "Busy" && shown["body"].get("client_secret").is_none(), "{shown}");
    let may_not = json!({"domain": domain, "token": LOOKER, "action": "rotate", "id": "busy", "query": {}});
    let told = sdk.ask(&may_not);
    assert_eq!((&told["status"], &told["error"]), (&json!(403), &json!("ForbiddenError")), "{told}");
    assert_eq!(told["body"]["errorCode"], "insufficient_scope", "{told}");
    let told = sdk.ask(&plainly("rotate", "nobody"));
    assert_eq!((&told["status"], &told["error"]), (&json!(404), &json!("NotFoundError")), "{told}");

    // A rotation, and the limit.
    let old = "first-s3cr3t-of-busy";
    assert_eq!(bench.token("busy", old), 200);
    let given = json!({"client_secret": "made-elsewhere-s3cr3t-0123456789"});
    bench.stale(sdk, plainly("rotate", "busy"));
    bench.stale(sdk, ask(&domain, "set", "busy", &given, &json!({})));
    bench.stale(sdk, ask(&domain, "remove", "busy", &json!({}), &json!({"force": "true"})));
    assert_eq!(bench.both("busy", old, "made-elsewhere-s3cr3t-0123456789"), [200, 401]);
    let new = plain(&done(sdk, &plainly("rotate", "busy"), 200));
    assert_eq!(plain(&done(sdk, &plainly("rotate", "busy"), 200)), new, "asked again");
    assert_eq!(bench.both("busy", old, &new), [200, 200]);
    bench.refused(sdk, &plainly("rotate", "busy"), "client busy has 2 of 2 secrets");
    bench.refused(sdk, &plainly("rotate", "full"), "at_limit");
    assert!(done(sdk, &plainly("show", "busy"), 200)["body"].get("client_secret").is_none());
    assert_eq!(bench.both("busy", old, &new), [200, 200]);

    // A secret of the caller's own.
    let patch = ask(&domain, "set", "calm", &given, &json!({}));
    let given = "made-elsewhere-s3cr3t-0123456789";
    assert_eq!(bench.token("calm", given), 401);
    for what in ["first", "again"] {
        assert_eq!(done(sdk, &patch, 200)["body"]["client_id"], "calm", "{what}");
    }
    assert_eq!(bench.both("calm", "first-s3cr3t-of-calm", given), [200, 200]);
    let back = json!({"client_secret": "first-s3cr3t-of-calm"});
    bench.refused(sdk, &ask(&domain, "set", "calm", &back, &json!({})), "same_secret");

    // A client of its own, from the first to the last.
    let machine = json!({
        "name": "Billing", "client_id": "billing", "app_type": "non_interactive", "grant_types": ["client_credentials"],
    });
    let made = plain(&done(sdk, &ask(&domain, "create", "", &machine, &json!({})), 201));
    assert_eq!(bench.token("billing", &made), 200);
    bench.refused(sdk, &plainly("remove", "billing"), "the last usable secret of billing");
    assert_eq!(bench.token("billing", &made), 200);
    done(sdk, &ask(&domain, "remove", "billing", &json!({}), &json!({"force": "true"})), 204);
    assert_eq!(bench.token("billing", &made), 401);

    let asks = [
        ask(&domain, "create", "", &json!({"name": "One more"}), &json!({})),
        ask(&domain, "set", "spare", &json!({"client_secret": given}), &json!({})),
        plainly("rotate", "spare"),
        ask(&domain, "remove", "busy", &json!({}), &json!({"force": "true"})),
    ];
    let good =
        [("busy", old), ("busy", &*new), ("spare", "first-s3cr3t-of-spare"), ("spare", "second-s3cr3t-of-spare")];
    bench.refused_by_the_state_of_the_list(sdk, &asks, &good);
    assert_eq!(bench.token("spare", given), 401);
    bench.finish();
}

#[test]
#[ignore = "needs node, python and faketime: make test"]
fn the_old_secret_ends_at_once_where_that_is_set_and_nobody_uses_it() {
    for script in [NODE, PYTHON] {
        let bench = Bench::start(|setup| setup.config("admin.auth0_rotate = \"end\""));
        let (mut sdk, domain) = (bench.sdk(script), bench.domain());
        let rotate = |id: &str| ask(&domain, "rotate", id, &json!({}), &json!({}));
        assert_eq!(bench.token("busy", "first-s3cr3t-of-busy"), 200);
        bench.refused(&mut sdk, &rotate("busy"), "busy_1 was used ");
        assert_eq!(bench.token("busy", "first-s3cr3t-of-busy"), 200);
        // Used a day and an hour ago.
        let new = plain(&done(&mut sdk, &rotate("calm"), 200));
        assert_eq!(bench.both("calm", "first-s3cr3t-of-calm", &new), [401, 200], "{script}");
        bench.finish();
    }
}

#[test]
#[ignore = "needs node, python and faketime: make test"]
fn an_answer_that_is_lost_whole_or_in_part_makes_no_third_secret() {
    // npm auth0 asks again by itself after a 5xx; auth0-python after a connection that broke, too.
    for (script, loss, by_itself) in [
        (NODE, Loss::Gateway, true),
        (NODE, Loss::Connection, false),
        (NODE, Loss::Head, false),
        (NODE, Loss::Body, false),
        (NODE, Loss::Request, false),
        (PYTHON, Loss::Gateway, true),
        (PYTHON, Loss::Connection, true),
        (PYTHON, Loss::Head, true),
        (PYTHON, Loss::Body, true),
        (PYTHON, Loss::Request, true),
    ] {
        let bench = Bench::behind_a_gateway();
        let lossy = Lossy::before(address(&bench.sidecar), &bench.ca);
        let mut sdk: Peer = bench.sdk(script);
        let way = |action: &str| {
            let domain = lossy.domain();
            json!({"domain": domain, "token": TOKEN, "action": action, "id": "calm", "query": {}})
        };
        done(&mut sdk, &way("show"), 200);
        lossy.lose(loss);
        let mut told = sdk.ask(&way("rotate"));
        assert_eq!(told["ok"], by_itself, "{script}: {loss:?}: {told}");
        if !by_itself {
            told = done(&mut sdk, &way("rotate"), 200);
        }
        assert_eq!(lossy.requests(), 2, "{script}: {loss:?}");
        assert_eq!(bench.both("calm", "first-s3cr3t-of-calm", &plain(&told)), [200, 200], "{script}: {loss:?}");
        // A rule is no trouble that passes: it is told at once, and not asked for again.
        bench.refused(&mut sdk, &way("rotate"), "client calm has 2 of 2 secrets");
        assert_eq!(lossy.requests(), 3, "{script}: {loss:?}");
        bench.finish();
    }
}
