//! What the buttons do, each proved by a token request before and after; and every rule that stands against one.

use serde_json::json;

use crate::support::admin::Admin;
use crate::support::http::{Method, token_post};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;

use super::{Browser, borrowed, paged, shown, text};

const OLD: &str = "old-s3cr3t-of-c1";
const NEW: &str = "new-s3cr3t-of-c1";

#[track_caller]
fn ask(sidecar: &Sidecar, client: &str, secret: &str) -> u16 {
    token_post(sidecar.proxy(), Method::Basic, client, secret).status
}

impl Browser {
    #[track_caller]
    fn change(&self, verb: &str, client: &str, secret: &str, more: &[(&str, &str)]) -> (u16, String) {
        let csrf = self.csrf();
        let mut fields = vec![("id", client), ("secret", secret), ("csrf", &*csrf)];
        fields.extend(more);
        let reply = self.post(&format!("/client/{verb}"), &fields);
        (reply.status, text(&reply))
    }
}

#[test]
fn a_whole_rotation_goes_by_the_page() {
    let upstream = Upstream::start();
    let sidecar = paged().upstream(&upstream).start();
    let browser = Browser::of(&sidecar);
    assert_eq!(ask(&sidecar, "c2", "only-s3cr3t-of-c2"), 200);
    let secret = shown(&text(&browser.post("/client/generate", &borrowed(&browser.generate_form("c2")))));
    let page = text(&browser.get("/client?id=c2"));
    assert!(page.contains("not seen") && page.contains("Deploy sec_") && page.contains("2 of 2"), "{page}");
    assert_eq!((ask(&sidecar, "c2", &secret), ask(&sidecar, "c2", "only-s3cr3t-of-c2")), (200, 200));
    let page = text(&browser.get("/client?id=c2"));
    assert!(page.contains("Wait until c2_1 is quiet") && !page.contains("Deploy sec_"), "{page}");

    let (status, page) = browser.change("revoke", "c2", "c2_1", &[]);
    assert_eq!(status, 409);
    assert!(
        page.contains("c2_1 was used") && page.contains("127.0.0.1") && page.contains("Nothing was changed"),
        "{page}"
    );
    assert_eq!(ask(&sidecar, "c2", "only-s3cr3t-of-c2"), 200);
    // Quiet enough for who says so.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(browser.change("revoke", "c2", "c2_1", &[("quiet_for", "1s")]).0, 303);
    assert_eq!((ask(&sidecar, "c2", &secret), ask(&sidecar, "c2", "only-s3cr3t-of-c2")), (200, 401));
    let page = text(&browser.get("/client?id=c2"));
    assert!(page.contains("revoked") && page.contains("presented and refused 1 time, last by 127.0.0.1"), "{page}");
    assert!(text(&browser.get("/?attention=1")).contains("id=c2"), "somebody still has it");
    sidecar.finish(&upstream);
}

#[test]
fn every_rule_stands_on_the_page_too() {
    let upstream = Upstream::start();
    let sidecar = paged().upstream(&upstream).start();
    let browser = Browser::of(&sidecar);
    assert_eq!(ask(&sidecar, "c1", OLD), 200);
    // The limit.
    let page = text(&browser.get("/client?id=c1"));
    assert!(page.contains("At the limit") && !page.contains(">Generate new secret<"), "{page}");
    let (once, csrf) = (super::hidden(&text(&browser.get("/client/generate?id=c2")), "once"), browser.csrf());
    let full = browser.post("/client/generate", &[("id", "c1"), ("once", &once), ("csrf", &csrf)]);
    assert_eq!(full.status, 409);
    assert!(text(&full).contains("has 2 of 2 secrets"), "{}", text(&full));
    // In use; not observed for long enough; the last one.
    for (secret, word) in [("c1_1", "was used"), ("c1_2", "observed only since")] {
        for verb in ["revoke", "disable"] {
            let (status, page) = browser.change(verb, "c1", secret, &[]);
            assert!(status == 409 && page.contains(word), "{verb} {secret}: {status} {page}");
        }
    }
    let (status, page) = browser.change("revoke", "c2", "c2_1", &[("quiet_for", "0s")]);
    assert!(status == 409 && page.contains("last usable secret of c2") && page.contains("locked out"), "{page}");
    // What is typed must be the client's id, and to call a secret compromised too.
    for (typed, compromised) in [("c2", ""), ("C1", ""), ("c1_1", ""), ("", "1"), ("c2", "1")] {
        let (status, page) = browser.change("revoke", "c1", "c1_1", &[("typed", typed), ("compromised", compromised)]);
        assert!(status == 409 && page.contains("Nothing was changed"), "{typed}: {status}");
    }
    assert_eq!(browser.change("revoke", "c1", "c1_1", &[("quiet_for", "5!h")]).0, 400);
    assert_eq!((ask(&sidecar, "c1", OLD), ask(&sidecar, "c1", NEW)), (200, 200), "nothing was changed");

    assert_eq!(browser.change("disable", "c1", "c1_1", &[("typed", "c1")]).0, 303);
    assert_eq!(ask(&sidecar, "c1", OLD), 401);
    assert_eq!(browser.change("enable", "c1", "c1_1", &[]).0, 303);
    assert_eq!(ask(&sidecar, "c1", OLD), 200);
    assert_eq!(browser.change("revoke", "c1", "c1_1", &[("typed", "c1"), ("compromised", "1")]).0, 303);
    assert_eq!((ask(&sidecar, "c1", OLD), ask(&sidecar, "c1", NEW)), (401, 200));
    let (status, page) = browser.change("enable", "c1", "c1_1", &[]);
    assert!(status == 409 && page.contains("never comes back"), "{status} {page}");
    let shown = Admin::of(sidecar.dir()).must("GET", "/api/v1/clients/c1/secrets/c1_1", &json!(null));
    assert_eq!((&shown["status"], &shown["revoked_reason"]), (&json!("revoked"), &json!("compromised")));
    sidecar.finish(&upstream);
}

#[test]
fn a_list_that_cannot_be_written_is_said_and_left_alone() {
    let upstream = Upstream::start();
    let sidecar = paged().upstream(&upstream).start();
    let browser = Browser::of(&sidecar);
    std::fs::write(sidecar.dir().join("clients.toml"), "[[client]]\nid = 7\n").unwrap();
    let (status, page) = browser.change("revoke", "c1", "c1_1", &[("typed", "c1")]);
    assert!(status == 409 && page.contains("not in force"), "{status} {page}");
    let page = text(&browser.get("/"));
    assert!(page.contains("The list on disk is not in force") && page.contains("clients.toml"), "{page}");
    assert_eq!(ask(&sidecar, "c1", OLD), 200, "the one before goes on working");
    drop(sidecar);
}
