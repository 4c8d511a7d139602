//! Hydra's shape.

use serde_json::json;

use super::{done, listed, plain, refused, token};
use crate::gate::address;
use crate::support::upstream::Upstream;

#[test]
fn a_rotation_is_finished_when_the_secrets_before_are_quiet_all_of_them_or_none() {
    let upstream = Upstream::start();
    let sidecar = listed().upstream(&upstream).start();
    let at = address(&sidecar);
    let rotate = "/admin/clients/one/secrets/rotate";
    let made = done(at, "POST", rotate, "", 200);
    let new = plain(&made);
    assert_eq!((&made["client_id"], &made["client_secret_expires_at"]), (&json!("one"), &json!(0)));
    assert_eq!(plain(&done(at, "POST", rotate, "", 200)), new, "asked again");
    let both = |what: &str, wanted: [u16; 2]| {
        let found = ["first-s3cr3t-of-one", &*new].map(|secret| token(&sidecar, "one", secret));
        assert_eq!(found, wanted, "{what}");
    };
    both("after the rotation", [200, 200]);
    let told = refused(at, "DELETE", rotate, "");
    assert!(told.contains("one_1 was used just now") && told.contains("othing was changed"), "{told}");
    both("while the old one is used", [200, 200]);
    for what in ["first", "again"] {
        let left = done(at, "DELETE", &format!("{rotate}?quiet_for=0s"), "", 200);
        assert!(left["client_id"] == "one" && left.get("client_secret").is_none(), "{what}: {left}");
    }
    both("when it is finished", [401, 200]);
    assert!(done(at, "GET", "/admin/clients/one", "", 200).get("client_secret").is_none());
    sidecar.finish(&upstream);
}

#[test]
fn one_that_cannot_go_keeps_the_others_and_one_whose_time_comes_stays() {
    let upstream = Upstream::start();
    let secret =
        |id: &str, rest: &str| format!("[[client.secret]]\nid = \"{id}\"\nhash = \"@SHA256(s3cr3t-{id})@\"\n{rest}\n");
    let list = "[[client]]\nid = \"many\"\nmax_active_secrets = 4\n".to_owned()
        + &secret("old", "")
        + &secret("off", "status = \"disabled\"")
        + &secret("used", "")
        + &secret("new", "created = 2026-01-01T00:00:00Z")
        + &secret("later", "not_before = 2090-01-01T00:00:00Z\ncreated = 2026-02-01T00:00:00Z");
    let sidecar = listed().clients_text(&list).upstream(&upstream).start();
    let at = address(&sidecar);
    assert_eq!(token(&sidecar, "many", "s3cr3t-used"), 200);
    let finish = "/admin/clients/many/secrets/rotate";
    refused(at, "DELETE", finish, "");
    let before = ["old", "used", "off", "new"].map(|id| token(&sidecar, "many", &format!("s3cr3t-{id}")));
    assert_eq!(before, [200, 200, 401, 200]);
    done(at, "DELETE", &format!("{finish}?force=true"), "", 200);
    let after = ["old", "used", "off", "new"].map(|id| token(&sidecar, "many", &format!("s3cr3t-{id}")));
    assert_eq!(after, [401, 401, 401, 200]);
    let secrets = done(at, "GET", "/api/v1/clients/many/secrets", "", 200);
    let status = |id: &str| {
        let found = secrets.as_array().unwrap().iter().find(|secret| secret["id"] == id).unwrap();
        found["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        ["old", "used", "off", "new", "later"].map(status),
        ["revoked", "revoked", "revoked", "active", "pending"]
    );
    sidecar.finish(&upstream);
}
