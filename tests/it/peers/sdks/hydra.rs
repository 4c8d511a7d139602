//! npm @ory/client.

use serde_json::{Value, json};

use super::{Bench, LOOKER, Loss, Lossy, TOKEN, done, plain};
use crate::gate::address;

const SCRIPT: &str = "clients/ory.mjs";

fn ask(domain: &str, action: &str, id: &str) -> Value {
    json!({"url": format!("https://{domain}"), "token": TOKEN, "action": action, "id": id, "query": {}})
}

#[test]
#[ignore = "needs node and faketime: make test"]
fn ory_client_drives_a_rotation_and_is_told_every_rule() {
    let bench = Bench::start(|setup| setup);
    let (mut sdk, domain) = (bench.sdk(SCRIPT), bench.domain());
    let sdk = &mut sdk;
    let plainly = |action: &str, id: &str| ask(&domain, action, id);
    for (token, action, id, status, error) in [
        ("rlt_wrong", "show", "calm", 401, "request_unauthorized"),
        (LOOKER, "rotate", "calm", 403, "request_forbidden"),
        (TOKEN, "rotate", "nobody", 404, "not_found"),
    ] {
        let mut asked = plainly(action, id);
        asked["token"] = token.into();
        let told = sdk.ask(&asked);
        assert_eq!((&told["status"], &told["body"]["error"]), (&json!(status), &json!(error)), "{told}");
    }
    assert!(done(sdk, &plainly("show", "calm"), 200)["body"].get("client_secret").is_none());

    let old = "first-s3cr3t-of-calm";
    let busy_1 = "first-s3cr3t-of-busy";
    assert_eq!(bench.token("busy", busy_1), 200);
    bench.stale(sdk, plainly("rotate", "busy"));
    bench.stale(sdk, plainly("finish", "full"));
    assert_eq!(bench.token("busy", busy_1), 200);
    // The only one is the newest: it stays.
    done(sdk, &plainly("finish", "busy"), 200);
    assert_eq!(bench.token("busy", busy_1), 200);
    let new = plain(&done(sdk, &plainly("rotate", "calm"), 200));
    assert_eq!(plain(&done(sdk, &plainly("rotate", "calm"), 200)), new, "asked again");
    assert_eq!(bench.token("calm", &new), 200);
    bench.refused(sdk, &plainly("rotate", "calm"), "client calm has 2 of 2 secrets");
    bench.refused(sdk, &plainly("rotate", "full"), "client full has 2 of 2 secrets");

    // The old one of one client was used a day and an hour ago, that of the other now.
    let busy = plain(&done(sdk, &plainly("rotate", "busy"), 200));
    assert_eq!(bench.both("busy", busy_1, &busy), [200, 200]);
    bench.refused(sdk, &plainly("finish", "busy"), "busy_1 was used ");
    assert_eq!(bench.both("busy", busy_1, &busy), [200, 200]);
    for what in ["first", "again"] {
        assert!(done(sdk, &plainly("finish", "calm"), 200)["body"].get("client_secret").is_none(), "{what}");
    }
    assert_eq!(bench.both("calm", old, &new), [401, 200]);

    let asks = [plainly("rotate", "spare"), plainly("finish", "full")];
    let good =
        [("full", "first-s3cr3t-of-full"), ("full", "second-s3cr3t-of-full"), ("busy", busy_1), ("busy", &*busy)];
    bench.refused_by_the_state_of_the_list(sdk, &asks, &good);
    bench.finish();
}

#[test]
#[ignore = "needs node and faketime: make test"]
fn who_lost_an_answer_and_asks_ory_client_again_is_given_the_same_secret() {
    let bench = Bench::behind_a_gateway();
    let lossy = Lossy::before(address(&bench.sidecar), &bench.ca);
    let mut sdk = bench.sdk(SCRIPT);
    let rotate = ask(&lossy.domain(), "rotate", "calm");
    // The SDK itself does not ask again.
    for loss in [Loss::Request, Loss::Connection, Loss::Gateway, Loss::Head, Loss::Body] {
        lossy.lose(loss);
        let told = sdk.ask(&rotate);
        let status = match loss {
            Loss::Gateway => json!(504),
            // Of a head that came whole.
            Loss::Body => json!(200),
            _ => Value::Null,
        };
        assert_eq!((&told["ok"], &told["status"]), (&json!(false), &status), "{loss:?}: {told}");
        assert_eq!(lossy.requests(), 1, "{loss:?}");
    }
    let new = plain(&done(&mut sdk, &rotate, 200));
    assert_eq!(bench.both("calm", "first-s3cr3t-of-calm", &new), [200, 200]);
    bench.refused(&mut sdk, &rotate, "client calm has 2 of 2 secrets");
    bench.finish();
}
