//! Okta's shape.

use serde_json::{Value, json};

use super::{done, listed, plain, refused, token};
use crate::gate::{ADMIN, address, send};
use crate::support::upstream::Upstream;

const OF_ONE: &str = "/api/v1/apps/one/credentials/secrets";

#[test]
fn a_secret_goes_round_created_deactivated_activated_deleted() {
    let upstream = Upstream::start();
    let sidecar = listed().upstream(&upstream).start();
    let at = address(&sidecar);
    let made = done(at, "POST", OF_ONE, "", 201);
    let (id, new) = (made["id"].as_str().unwrap(), plain(&made));
    assert_eq!(made["status"], "ACTIVE");
    let href = format!("{OF_ONE}/{id}");
    let link = |step: &str, method: &str| json!({"href": format!("{href}{step}"), "hints": {"allow": [method]}});
    assert_eq!(made["_links"], json!({"deactivate": link("/lifecycle/deactivate", "POST")}));
    assert!(made["created"].as_str().is_some_and(|at| at.ends_with('Z')) && made["lastUpdated"] == made["created"]);
    assert_eq!(token(&sidecar, "one", &new), 200);

    let deactivate = format!("{OF_ONE}/one_1/lifecycle/deactivate");
    assert_eq!(token(&sidecar, "one", "first-s3cr3t-of-one"), 200);
    assert!(refused(at, "POST", &deactivate, "").contains("one_1 was used just now"));
    assert_eq!(token(&sidecar, "one", "first-s3cr3t-of-one"), 200);
    let quiet = format!("{deactivate}?quiet_for=0s");
    for what in ["first", "again"] {
        let changed = done(at, "POST", &quiet, "", 200);
        assert_eq!((&changed["id"], &changed["status"]), (&json!("one_1"), &json!("INACTIVE")), "{what}");
        let links: Vec<&String> = changed["_links"].as_object().unwrap().keys().collect();
        assert_eq!(links, ["activate", "delete"], "{what}");
    }
    assert_eq!(token(&sidecar, "one", "first-s3cr3t-of-one"), 401);
    done(at, "POST", &format!("{OF_ONE}/one_1/lifecycle/activate"), "", 200);
    assert_eq!(token(&sidecar, "one", "first-s3cr3t-of-one"), 200);
    done(at, "POST", &quiet, "", 200);
    done(at, "DELETE", &format!("{OF_ONE}/one_1"), "", 204);
    done(at, "GET", &format!("{OF_ONE}/one_1"), "", 404);
    assert_eq!((token(&sidecar, "one", "first-s3cr3t-of-one"), token(&sidecar, "one", &new)), (401, 200));
    let left: Vec<Value> = serde_json::from_value(done(at, "GET", OF_ONE, "", 200)).unwrap();
    assert!(left.len() == 1 && left[0]["id"] == id && left[0].get("client_secret").is_none(), "{left:?}");
    assert!(done(at, "GET", &href, "", 200).get("client_secret").is_none());
    let of_tenant = done(at, "GET", &format!("{OF_ONE}?tenant=t"), "", 200);
    assert_eq!(of_tenant[0]["_links"]["deactivate"]["href"], format!("{OF_ONE}/ten_1/lifecycle/deactivate?tenant=t"));
    sidecar.finish(&upstream);
}

#[test]
fn two_that_are_asked_for_are_two_and_one_that_is_asked_for_again_is_one() {
    let upstream = Upstream::start();
    let list = "[[client]]\nid = \"one\"\nmax_active_secrets = 8\n[[client.secret]]\nid = \"a\"\n\
                hash = \"@SHA256(first-s3cr3t-of-one)@\"\n";
    let sidecar = listed().clients_text(list).upstream(&upstream).start();
    let at = address(&sidecar);
    let create = |retry: &str| {
        let head = format!("POST {OF_ONE} HTTP/1.1\r\nHost: {at}\r\nAuthorization: SSWS {ADMIN}\r\n{retry}");
        // As the SDKs send it.
        let reply = send(at, &format!("{head}Content-Type: application/json\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(reply.status, 201, "{}", String::from_utf8_lossy(&reply.body));
        plain(&reply.json())
    };
    let retry = "X-Okta-Retry-For: x\r\nX-Okta-Retry-Count: 1\r\n";
    let (first, second) = (create(""), create(""));
    let (again, third) = (create(retry), create(""));
    assert!(first != second && again == second && third != second);
    for secret in [&first, &second, &third] {
        assert_eq!(token(&sidecar, "one", secret), 200);
    }
    let given = json!({"client_secret": "made-elsewhere-s3cr3t-0123456789"}).to_string();
    let ids = ["first", "again"].map(|what| {
        let made = done(at, "POST", OF_ONE, &given, 201);
        assert!(made.get("client_secret").is_none(), "{what}: {made}");
        made["id"].as_str().unwrap().to_owned()
    });
    assert_eq!(ids[0], ids[1]);
    assert_eq!(token(&sidecar, "one", "made-elsewhere-s3cr3t-0123456789"), 200);
    assert_eq!(done(at, "GET", OF_ONE, "", 200).as_array().unwrap().len(), 5);
    sidecar.finish(&upstream);
}
