//! Dead secrets that are still presented: refused like any other, and told afterwards.

use serde_json::Value;

use super::{Home, ask_with, list, stop};
use crate::support::http::{Method, token_post};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;

const LIVING: (&str, &str, &str) = ("living", "living-s3cr3t-7Hq2", "");
const DEAD: [(&str, &str, &str, &str); 4] = [
    ("revoked", "revoked-s3cr3t-7Hq2", "status = \"revoked\"", "a revoked secret was presented"),
    ("disabled", "disabled-s3cr3t-7Hq2", "status = \"disabled\"", "a disabled secret was presented"),
    ("expired", "expired-s3cr3t-7Hq2", "expires = 2020-01-01T00:00:00Z", "an expired secret was presented"),
    ("pending", "pending-s3cr3t-7Hq2", "not_before = 2100-01-01T00:00:00Z", "a secret was presented before its time"),
];

fn records() -> Vec<(&'static str, &'static str, &'static str)> {
    DEAD.iter().map(|&(id, secret, rest, _)| (id, secret, rest)).chain([LIVING]).collect()
}

fn counted(sidecar: &Sidecar, result: &str, wanted: f64) {
    let labels = [("client_id", "c1"), ("result", result)];
    sidecar.wait_metric("relatch_client_authentications_total", &labels, |count| count == wanted);
}

#[test]
fn a_dead_secret_is_refused_like_a_wrong_one_and_told_once_a_minute() {
    let (home, upstream) = (Home::new(), Upstream::start());
    let guard = home.guard(&list(&records())).canary("wrong-s3cr3t-7Hq2").upstream(&upstream);
    let guard = DEAD.iter().fold(guard.canary(LIVING.1), |guard, (_, secret, ..)| guard.canary(secret));
    let sidecar = guard.start();
    let agent = b"User-Agent: old-cron/1.0\r\n";
    let wrong = token_post(sidecar.proxy(), Method::Basic, "c1", "wrong-s3cr3t-7Hq2").without_date();
    for (id, secret, _, message) in DEAD {
        let refused = token_post(sidecar.proxy(), Method::Basic, "c1", secret).without_date();
        assert_eq!(refused, wrong, "{id}");
        assert_eq!(ask_with(&sidecar, secret, agent), 401, "{id}");
        let told = sidecar.wait_log(|line| line["msg"] == message);
        assert_eq!(
            (&told["level"], &told["client_id"], &told["secret_id"]),
            (&"warn".into(), &"c1".into(), &id.into())
        );
        assert_eq!((&told["address"], &told["user_agent"]), (&"127.0.0.1".into(), &"".into()));
    }
    for result in ["revoked_secret", "disabled_secret", "expired_secret", "not_yet_valid_secret"] {
        counted(&sidecar, result, 2.0);
    }
    counted(&sidecar, "invalid_secret", 1.0);
    let told = |line: &&Value| line["msg"].as_str().is_some_and(|msg| msg.contains("was presented"));
    assert_eq!(sidecar.log_lines().iter().filter(told).count(), DEAD.len(), "once a minute each");
    assert_eq!(upstream.count(), 0);
    let canaries = sidecar.canaries().to_vec();
    stop(sidecar);
    for (id, ..) in DEAD {
        let kept = home.kept().of(id);
        assert_eq!((kept["refused"].as_u64(), kept["uses"].as_u64()), (Some(2), None), "{kept}");
        let agents: Vec<_> = kept["refused_from"].as_array().unwrap().iter().map(|from| &from["user_agent"]).collect();
        assert_eq!(agents, [&Value::from("old-cron/1.0"), &Value::Null], "{kept}");
    }
    let state = std::fs::read(home.path()).unwrap();
    assert_eq!(crate::support::leak::spills("the state", &state, &canaries), Vec::<String>::new());
}

#[test]
fn a_revoked_secret_that_left_the_list_is_still_told() {
    let (home, upstream) = (Home::new(), Upstream::start());
    let guard = home.guard(&list(&records())).config("clients.max_shrink = 1.0");
    let sidecar = guard.upstream(&upstream).start();
    sidecar.write_clients(&list(&[LIVING]));
    sidecar.wait_metric("relatch_config_generation", &[], |generation| generation == 2.0);
    assert_eq!(ask_with(&sidecar, DEAD[0].1, b"User-Agent: old-cron/1.0\r\n"), 401);
    let told = sidecar.wait_log(|line| line["msg"] == DEAD[0].3);
    assert_eq!((&told["secret_id"], &told["user_agent"]), (&"revoked".into(), &"old-cron/1.0".into()));
    counted(&sidecar, "revoked_secret", 1.0);
    assert_eq!(ask_with(&sidecar, DEAD[1].1, b""), 401);
    counted(&sidecar, "invalid_secret", 1.0);
    sidecar.finish(&upstream);
}
