//! What the buttons do, each proved by a token request before and after; and every rule that stands against one.

use serde_json::json;

use crate::support::admin::Admin;
use crate::support::http::{Method, token_post};
use crate::support::mounted::mount;
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;

use super::{Browser, borrowed, hidden, paged, shown, text};

const OLD: &str = "old-s3cr3t-of-c1";
const NEW: &str = "new-s3cr3t-of-c1";

#[track_caller]
pub(super) fn ask(sidecar: &Sidecar, client: &str, secret: &str) -> u16 {
    token_post(sidecar.proxy(), Method::Basic, client, secret).status
}

/// What the form of a change carries, as the page shows it.
pub(super) type Shown = Vec<(&'static str, String)>;

impl Browser {
    #[track_caller]
    pub(super) fn question(&self, verb: &str, client: &str, secret: &str) -> Shown {
        let page = text(&self.get(&format!("/client/{verb}?id={client}&secret={secret}")));
        let field =
            |name: &'static str| page.contains(&format!("name=\"{name}\" value=")).then(|| (name, hidden(&page, name)));
        let whom = [("id", client.to_owned()), ("secret", secret.to_owned())];
        whom.into_iter().chain(["csrf", "tag", "shown"].into_iter().filter_map(field)).collect()
    }

    #[track_caller]
    pub(super) fn answer(&self, verb: &str, shown: &Shown, more: &[(&str, &str)]) -> (u16, String) {
        let reply = self.post(&format!("/client/{verb}"), &[borrowed(shown), more.to_vec()].concat());
        (reply.status, text(&reply))
    }

    #[track_caller]
    pub(super) fn change(&self, verb: &str, client: &str, secret: &str, more: &[(&str, &str)]) -> (u16, String) {
        self.answer(verb, &self.question(verb, client, secret), more)
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
    // Quiet enough for who says so, and says whose it is.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    for quiet_for in ["0s", "1s", "23h"] {
        let (status, page) = browser.change("revoke", "c2", "c2_1", &[("quiet_for", quiet_for)]);
        assert!(status == 409 && page.contains("c2_1 was used"), "{quiet_for}: {status} {page}");
    }
    let (status, page) = browser.change("revoke", "c2", "c2_1", &[("quiet_for", "1h"), ("typed", "c2")]);
    assert!(status == 409 && page.contains("c2_1 was used"), "not as quiet as that: {status} {page}");
    assert_eq!(ask(&sidecar, "c2", "only-s3cr3t-of-c2"), 200);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(browser.change("revoke", "c2", "c2_1", &[("quiet_for", "1s"), ("typed", "c2")]).0, 303);
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
    let (once, csrf) = (hidden(&text(&browser.get("/client/generate?id=c2")), "once"), browser.csrf());
    let full = browser.post("/client/generate", &[("id", "c1"), ("once", &once), ("csrf", &csrf)]);
    assert_eq!(full.status, 409);
    let full = text(&full);
    assert!(full.contains("has 2 of 2 secrets") && full.contains("relatch secret revoke c1 c1_"), "what next: {full}");
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
    let made = browser.post("/client/generate", &borrowed(&browser.generate_form("c2")));
    assert_eq!(made.status, 409);
    // No form is wrong about that, and none helps.
    let page = text(&made);
    assert!(page.contains("<h1>The list on disk is not in force") && page.contains("relatch reload"), "{page}");
    assert!(!page.contains("Refused") && !page.contains("<form method=\"post\" action=\"/client"), "{page}");
    let page = text(&browser.get("/"));
    assert!(page.contains("The list on disk is not in force") && page.contains("clients.toml"), "{page}");
    assert_eq!(ask(&sidecar, "c1", OLD), 200, "the one before goes on working");
    drop(sidecar);
}

#[test]
fn a_list_that_is_mounted_is_left_alone_and_the_page_says_where_it_is_changed() {
    let upstream = Upstream::start();
    let sidecar = paged().upstream(&upstream).start();
    let (browser, list) = (Browser::of(&sidecar), sidecar.dir().join("clients.toml"));
    assert_eq!(browser.change("disable", "c1", "c1_2", &[("typed", "c1")]).0, 303);
    mount(&list);
    let before = std::fs::read(&list).unwrap();
    let mut told = vec![browser.change("revoke", "c1", "c1_1", &[("typed", "c1")])];
    told.push(browser.change("revoke", "c1", "c1_1", &[("typed", "c1"), ("compromised", "1")]));
    told.push(browser.change("disable", "c1", "c1_1", &[("typed", "c1")]));
    told.push(browser.change("enable", "c1", "c1_2", &[]));
    let made = browser.post("/client/generate", &borrowed(&browser.generate_form("c2")));
    told.push((made.status, text(&made)));
    for (status, page) in told {
        assert_eq!(status, 409, "{page}");
        for words in ["<h1>The list may not be changed here</h1>", "edit the Secret", "<p>Nothing was changed.</p>"] {
            assert!(page.contains(words), "{words}: {page}");
        }
        // No form is wrong about that, and none helps.
        assert!(!page.contains("<form") && page.contains("href=\"/\"") && !page.contains("rls_"), "{page}");
    }
    assert!(std::fs::read(&list).unwrap() == before && list.is_symlink());
    assert_eq!((ask(&sidecar, "c1", OLD), ask(&sidecar, "c1", NEW)), (200, 401));
    assert_eq!(ask(&sidecar, "c2", "only-s3cr3t-of-c2"), 200);
    sidecar.finish(&upstream);
}

#[test]
fn who_decided_on_what_is_no_more_is_asked_again() {
    let upstream = Upstream::start();
    let sidecar = paged().upstream(&upstream).start();
    let (browser, admin) = (Browser::of(&sidecar), Admin::of(sidecar.dir()));
    let lifecycle = |secret: &str, verb: &str| {
        let path = format!("/api/v1/clients/c1/secrets/{secret}/lifecycle/{verb}");
        admin.must("POST", &path, &json!({"force": true}));
    };
    // The other one went meanwhile: what was to be revoked is the last.
    let shown = browser.question("revoke", "c1", "c1_1");
    lifecycle("c1_2", "deactivate");
    for more in [&[("typed", "c1")][..], &[], &[("typed", "c1"), ("compromised", "1")]] {
        let (status, page) = browser.answer("revoke", &shown, more);
        assert!(status == 409 && page.contains("things changed meanwhile"), "{page}");
        assert!(page.contains("Nothing was changed") && page.contains("last usable secret of c1"), "{page}");
    }
    for bare in [vec![], vec![("tag", String::new())], vec![("tag", "\"x\"".to_owned())]] {
        let mut fields: Shown = shown.iter().filter(|(name, _)| *name != "tag").cloned().collect();
        fields.extend(bare);
        assert_eq!(browser.answer("disable", &fields, &[("typed", "c1")]).0, 409);
    }
    assert_eq!(ask(&sidecar, "c1", OLD), 200);
    // To enable is a decision too.
    let shown = browser.question("enable", "c1", "c1_2");
    lifecycle("c1_2", "activate");
    lifecycle("c1_2", "deactivate");
    lifecycle("c1_1", "deactivate");
    assert_eq!(browser.answer("enable", &shown, &[]).0, 409);
    assert_eq!(browser.change("enable", "c1", "c1_1", &[]).0, 303);
    assert_eq!((ask(&sidecar, "c1", OLD), ask(&sidecar, "c1", NEW)), (200, 401));
    sidecar.finish(&upstream);
}

#[test]
fn the_typed_word_overrules_the_guard_that_was_shown_and_no_other() {
    let upstream = Upstream::start();
    let sidecar = paged().upstream(&upstream).start();
    let (browser, admin) = (Browser::of(&sidecar), Admin::of(sidecar.dir()));
    let shown = browser.question("revoke", "c1", "c1_1");
    assert!(shown.contains(&("shown", "not_observed".to_owned())), "{shown:?}");
    // Somebody uses it: that is counted, and changes no ETag.
    assert_eq!(ask(&sidecar, "c1", OLD), 200);
    let (status, page) = browser.answer("revoke", &shown, &[("typed", "c1")]);
    assert!(status == 409 && page.contains("things changed meanwhile") && page.contains("c1_1 was used"), "{page}");
    assert_eq!(ask(&sidecar, "c1", OLD), 200);

    // By its name, where it has one.
    assert_eq!(browser.change("revoke", "c1", "c1_1", &[("typed", "Billing")]).0, 409);
    admin.must("PATCH", "/api/v1/clients/c1", &json!({"name": "Billing"}));
    assert!(text(&browser.get("/client/revoke?id=c1&secret=c1_1")).contains("or its name: <code>Billing</code>"));
    assert_eq!(browser.change("revoke", "c1", "c1_1", &[("typed", "Billing")]).0, 303);
    assert_eq!((ask(&sidecar, "c1", OLD), ask(&sidecar, "c1", NEW)), (401, 200));
    sidecar.finish(&upstream);
}
