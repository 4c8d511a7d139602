//! Many tenants: the same id in two realms is two clients, for whoever presents a secret and for whoever looks after one.
//! A server with realms stands behind, which knows one secret of each realm's client.

mod care;

use serde_json::Value;

use crate::support::http::{Reply, Wire};
use crate::support::setup::Setup;
use crate::support::sidecar::Sidecar;
use crate::support::upstream::{Answer, Upstream};
use crate::support::{PATIENCE, bytes};

const SHOP: &str = "shop-s3cr3t-7Hq2-abcdefghijklmnop";
const SPARE: &str = "shop-spare-7Hq2-abcdefghijklmnopq";
const BANK: &str = "bank-s3cr3t-7Hq2-abcdefghijklmnop";

const REALMS: &str = r#"endpoint = [{ path = "/realms/{tenant}/protocol/openid-connect/token" }]"#;

/// `billing` of two realms, with secrets of the same ids.
const LIST: &str = r#"# the realms
[[client]]
id = "billing"
tenant = "shop"
[client.upstream]
secret_file = "shop.secret"
[[client.secret]]
id = "one"
hash = "@SHA256(shop-s3cr3t-7Hq2-abcdefghijklmnop)@"
[[client.secret]]
id = "two"
hash = "@SHA256(shop-spare-7Hq2-abcdefghijklmnopq)@"

# of the bank
[[client]]
id = "billing"
tenant = "bank.1"   # (kept)
[client.upstream]
secret_file = "bank.1.secret"
[[client.secret]]
id = "one"
hash = "@SHA256(bank-s3cr3t-7Hq2-abcdefghijklmnop)@"
"#;

/// A guard of both realms.
fn guard(list: &str, upstream: &Upstream) -> Setup {
    let known = |seen: &crate::support::upstream::Seen| {
        let realm = seen.target.strip_prefix("/realms/")?.strip_suffix("/protocol/openid-connect/token")?;
        (seen.basic_decoded()? == ("billing".to_owned(), format!("the-servers-own-of-{realm}"))).then_some(())
    };
    upstream.answer_by(move |seen| match known(seen) {
        Some(()) => Answer::token(seen),
        None => Answer::json(401, r#"{"error":"invalid_client"}"#),
    });
    let setup = Sidecar::guard().clients_text(list).config(REALMS).upstream(upstream);
    let setup = [SHOP, SPARE, BANK].into_iter().fold(setup, Setup::canary);
    ["shop", "bank.1"]
        .into_iter()
        .fold(setup, |setup, realm| setup.file(&format!("{realm}.secret"), &format!("the-servers-own-of-{realm}")))
}

fn realm(realm: &str) -> String {
    format!("/realms/{realm}/protocol/openid-connect/token")
}

/// Asks for a token at a path.
#[track_caller]
fn ask_at(sidecar: &Sidecar, path: &str, id: &str, secret: &str) -> Reply {
    let body = "grant_type=client_credentials";
    let kind = "Content-Type: application/x-www-form-urlencoded";
    let basic = bytes::basic(id, secret);
    let head = format!("POST {path} HTTP/1.1\r\nHost: proxy.test\r\nAuthorization: {basic}\r\n{kind}\r\n");
    let mut wire = Wire::connect(sidecar.proxy());
    wire.send(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    wire.read_reply(false, PATIENCE).reply()
}

/// The status for `billing` of a realm.
#[track_caller]
fn ask(sidecar: &Sidecar, of: &str, secret: &str) -> u16 {
    ask_at(sidecar, &realm(of), "billing", secret).status
}

fn field<'v>(line: &'v Value, key: &str) -> &'v str {
    line[key].as_str().unwrap_or_default()
}

#[test]
fn a_secret_opens_its_own_realm_and_is_refused_in_every_other_like_any_wrong_one() {
    let upstream = Upstream::start();
    let sidecar = guard(LIST, &upstream).start();
    assert_eq!(
        (ask(&sidecar, "shop", SHOP), ask(&sidecar, "shop", SPARE), ask(&sidecar, "bank.1", BANK)),
        (200, 200, 200)
    );
    let targets: Vec<_> = upstream.seen().iter().map(|seen| seen.target.clone()).collect();
    assert_eq!(targets, [realm("shop"), realm("shop"), realm("bank.1")], "the very same bytes");

    let wrong = ask_at(&sidecar, &realm("shop"), "billing", "wrong").without_date();
    assert!(wrong.starts_with(b"HTTP/1.1 401 "));
    for (at, id, secret) in [
        ("shop", "billing", BANK),
        ("bank.1", "billing", SHOP),
        ("bank.1", "nobody", BANK),
        ("Shop", "billing", SHOP),
        ("closed", "billing", SHOP),
        ("closed", "nobody", "wrong"),
    ] {
        let refused = ask_at(&sidecar, &realm(at), id, secret).without_date();
        assert_eq!(bytes::escape(&refused), bytes::escape(&wrong), "{id} at {at}");
    }
    assert_eq!(upstream.count(), 3);
    let other = |result| [("client_id", "billing"), ("tenant", "bank.1"), ("result", result)];
    let name = "relatch_client_authentications_total";
    sidecar.wait_metric(name, &other("invalid_secret"), |count| count == 1.0);
    assert_eq!(sidecar.metric(name, &other("success")), Some(1.0));
    let nobody = [("client_id", ""), ("tenant", ""), ("result", "unknown_client")];
    sidecar.wait_metric(name, &nobody, |count| count == 4.0);
    sidecar.finish(&upstream);
}

#[test]
fn a_path_that_names_no_realm_as_it_stands_is_not_found() {
    let upstream = Upstream::start();
    let sidecar = guard(LIST, &upstream).start();
    let long = realm(&"a".repeat(129));
    for path in [
        "/realms//protocol/openid-connect/token",
        "/realms/protocol/openid-connect/token",
        "/realms/./protocol/openid-connect/token",
        "/realms/../protocol/openid-connect/token",
        "/realms/%73hop/protocol/openid-connect/token",
        "/realms/%2e%2e/protocol/openid-connect/token",
        "/realms/shop%2Fx/protocol/openid-connect/token",
        "/realms/shop/x/protocol/openid-connect/token",
        "/realms/x/../shop/protocol/openid-connect/token",
        "/realms/shop;x/protocol/openid-connect/token",
        "/realms/{tenant}/protocol/openid-connect/token",
        "/realms/shop/protocol/openid-connect/token/",
        "/realms/shop/protocol/openid-connect/token?realm=shop",
        "/Realms/shop/protocol/openid-connect/token",
        "//realms/shop/protocol/openid-connect/token",
        &long,
    ] {
        assert_eq!(ask_at(&sidecar, path, "billing", SHOP).status, 404, "{path}");
    }
    assert_eq!(ask(&sidecar, &"a".repeat(128), SHOP), 401, "as long as a realm's name may be");
    assert_eq!(upstream.count(), 0);
    sidecar.finish(&upstream);
}

#[test]
fn what_is_counted_and_logged_names_the_realm_and_no_realm_that_nobody_configured() {
    let upstream = Upstream::start();
    let sidecar = guard(LIST, &upstream).start();
    assert_eq!((ask(&sidecar, "bank.1", BANK), ask(&sidecar, "stranger", BANK)), (200, 401));
    let line = sidecar.wait_log(|line| line["msg"] == "request" && line["status"] == 200);
    assert_eq!(
        (field(&line, "client_id"), field(&line, "tenant"), field(&line, "secret_id")),
        ("billing", "bank.1", "one")
    );
    assert_eq!(field(&line, "endpoint"), realm("{tenant}"));
    let line = sidecar.wait_log(|line| line["msg"] == "request" && line["status"] == 401);
    assert_eq!(
        (field(&line, "client_id"), &line["tenant"], field(&line, "endpoint")),
        ("", &Value::Null, &*realm("{tenant}"))
    );
    let scrape = sidecar.metrics();
    assert!(!scrape.contains("stranger") && !sidecar.log().contains("stranger"));
    let requests = [("endpoint", &*realm("{tenant}")), ("code", "200")];
    assert_eq!(sidecar.metric("relatch_http_requests_total", &requests), Some(1.0));
    // Within a family the names of the labels are the same throughout.
    for line in scrape.lines().filter(|line| line.contains("client_id=")) {
        assert!(line.contains(",tenant=\""), "{line}");
    }
    sidecar.finish(&upstream);
}

#[test]
fn without_tenants_the_metrics_and_the_log_are_as_they_were() {
    let upstream = Upstream::start();
    let list = LIST.split("# of the bank").next().unwrap().replace("tenant = \"shop\"\n", "");
    let sidecar = guard(&list, &upstream)
        .config(r#"endpoint = [{ path = "/realms/shop/protocol/openid-connect/token" }]"#)
        .start();
    assert_eq!(ask(&sidecar, "shop", SHOP), 200);
    let line = sidecar.wait_log(|line| line["msg"] == "request");
    assert!(line.get("tenant").is_none() && !sidecar.metrics().contains("tenant="), "{line}");
    sidecar.finish(&upstream);
}

#[test]
fn an_exact_path_wins_and_has_the_clients_of_no_tenant() {
    let upstream = Upstream::start();
    let list = format!(
        "{LIST}[[client]]\nid = \"billing\"\nupstream.secret_file = \"shop.secret\"\n[[client.secret]]\nid = \"x\"\nhash = \"@SHA256(nobodys-s3cr3t-7Hq2)@\"\n"
    );
    let both = r#"endpoint = [
        { path = "/realms/{tenant}/protocol/openid-connect/token" },
        { path = "/realms/shop/protocol/openid-connect/token" },
    ]"#;
    let sidecar = guard(&list, &upstream).config(both).canary("nobodys-s3cr3t-7Hq2").start();
    let fixed = |secret| ask(&sidecar, "shop", secret);
    assert_eq!((fixed("nobodys-s3cr3t-7Hq2"), fixed(SHOP)), (200, 401));
    assert_eq!((ask(&sidecar, "bank.1", BANK), ask(&sidecar, "bank.1", "nobodys-s3cr3t-7Hq2")), (200, 401));
    sidecar.finish(&upstream);
}

#[test]
fn who_is_not_listed_in_this_realm_is_passed_on_where_that_is_wanted() {
    let upstream = Upstream::start();
    let sidecar = guard(LIST, &upstream).config("clients.unknown = \"pass\"").start();
    upstream.answer_by(Answer::token);
    // Listed here: its secret is checked. Listed elsewhere only: a stranger here.
    assert_eq!((ask(&sidecar, "shop", BANK), ask(&sidecar, "new", BANK)), (401, 200));
    // Listed here under another spelling: a server may not tell them apart, and would take a secret that was revoked.
    assert_eq!((ask(&sidecar, "Shop", BANK), ask(&sidecar, "BANK.1", BANK)), (401, 401));
    assert_eq!(upstream.count(), 1);
    let passed = upstream.seen().pop().unwrap();
    assert_eq!((&passed.target, passed.basic()), (&realm("new"), Some(("billing".to_owned(), BANK.to_owned()))));
    drop(sidecar);
}

#[test]
fn an_application_is_entrusted_with_the_secret_of_the_realm_in_its_path() {
    let upstream = Upstream::start();
    let egress = r#"
        upstream.host = "upstream"
        endpoint = [{ path = "/r/{tenant}", upstream_path = "/realms/{tenant}/protocol/openid-connect/token", auth = "none", client = "billing" }]
    "#;
    let sidecar = guard(LIST, &upstream).config(egress).start();
    let ask = |path: &str| {
        let mut wire = Wire::connect(sidecar.proxy());
        wire.send(&crate::support::http::form_post(path, "app", "grant_type=client_credentials"));
        wire.read_reply(false, PATIENCE).reply().status
    };
    assert_eq!((ask("/r/shop"), ask("/r/bank.1"), ask("/r/closed")), (200, 200, 401));
    let targets: Vec<_> = upstream.seen().iter().map(|seen| seen.target.clone()).collect();
    assert_eq!(targets, [realm("shop"), realm("bank.1")]);
    sidecar.finish(&upstream);
}
