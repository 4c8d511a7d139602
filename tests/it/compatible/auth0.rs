//! Auth0's shape.

use serde_json::json;

use super::{done, listed, plain, refused, token};
use crate::gate::{ADMIN, READER, address, ask, entry, gated_with, send};
use crate::support::upstream::Upstream;

#[test]
fn a_rotation_makes_one_more_secret_and_the_one_before_goes_on_working() {
    let upstream = Upstream::start();
    let sidecar = listed().upstream(&upstream).start();
    let at = address(&sidecar);
    let rotate = "/api/v2/clients/one/rotate-secret";
    let answer = done(at, "POST", rotate, "", 200);
    let new = plain(&answer);
    assert_eq!((&answer["client_id"], &answer["name"]), (&json!("one"), &json!("One")));
    assert_eq!(plain(&done(at, "POST", rotate, "", 200)), new, "asked again");
    for secret in [&*new, "first-s3cr3t-of-one"] {
        assert_eq!(token(&sidecar, "one", secret), 200);
    }
    assert!(refused(at, "POST", rotate, "").contains("at_limit"), "it was used: this is no retry");
    assert!(done(at, "GET", "/api/v2/clients/one", "", 200).get("client_secret").is_none());
    sidecar.finish(&upstream);
}

#[test]
fn a_setting_ends_the_secret_before_at_once_where_the_rules_let_it_go() {
    let upstream = Upstream::start();
    let sidecar = listed().config("admin.auth0_rotate = \"end\"").upstream(&upstream).start();
    let at = address(&sidecar);
    assert_eq!(token(&sidecar, "one", "first-s3cr3t-of-one"), 200);
    let told = refused(at, "POST", "/api/v2/clients/one/rotate-secret", "");
    assert!(told.contains("recently_used") && told.contains("one_1 was used just now"), "{told}");
    assert_eq!(token(&sidecar, "one", "first-s3cr3t-of-one"), 200);
    let new = plain(&done(at, "POST", "/api/v2/clients/one/rotate-secret?force=true", "", 200));
    assert_eq!((token(&sidecar, "one", "first-s3cr3t-of-one"), token(&sidecar, "one", &new)), (401, 200));
    // Unused for as long as is asked for: nobody misses it.
    let patch = json!({"client_secret": "made-elsewhere-s3cr3t-0123456789"}).to_string();
    done(at, "PATCH", "/api/v2/clients/off?quiet_for=0s", &patch, 200);
    let after = ["first-s3cr3t-of-off", "made-elsewhere-s3cr3t-0123456789"].map(|s| token(&sidecar, "off", s));
    assert_eq!(after, [401, 200]);
    sidecar.finish(&upstream);
}

#[test]
fn a_secret_that_the_caller_made_becomes_the_newest_and_is_not_told_back() {
    let upstream = Upstream::start();
    let given = "made-elsewhere-s3cr3t-0123456789";
    let sidecar = listed().canary(given).upstream(&upstream).start();
    let at = address(&sidecar);
    assert_eq!(token(&sidecar, "one", given), 401);
    let patch = json!({"client_secret": given, "name": "One"}).to_string();
    for what in ["first", "again, at the limit"] {
        let answer = done(at, "PATCH", "/api/v2/clients/one", &patch, 200);
        assert_eq!(answer["client_id"], "one", "{what}");
        assert!(answer.get("client_secret").is_none(), "{what}: {answer}");
    }
    let after = [given, "first-s3cr3t-of-one"].map(|secret| token(&sidecar, "one", secret));
    assert_eq!(after, [200, 200]);
    assert_eq!(done(at, "GET", "/api/v1/clients/one/secrets", "", 200).as_array().unwrap().len(), 2);
    sidecar.finish(&upstream);
}

#[test]
fn clients_are_listed_by_pages_of_one_tenant_and_with_the_fields_that_are_asked_for() {
    let upstream = Upstream::start();
    let sidecar = listed().upstream(&upstream).start();
    let at = address(&sidecar);
    let list = |query: &str| done(at, "GET", &format!("/api/v2/clients{query}"), "", 200);
    let one = json!({"client_id": "one", "name": "One", "global": false});
    let [two, off] = ["two", "off"].map(|id| json!({"client_id": id, "name": id, "global": false}));
    assert_eq!(list(""), json!([off, one, two]));
    let page =
        |start: u32, limit: u32, clients| json!({"start": start, "limit": limit, "total": 3, "clients": clients});
    assert_eq!(list("?include_totals=true"), page(0, 50, json!([off, one, two])));
    assert_eq!(list("?include_totals=true&per_page=2&page=1"), page(2, 2, json!([two])));
    assert_eq!(list("?include_totals=true&per_page=2&page=7"), page(14, 2, json!([])));
    assert_eq!(list("?is_global=true"), json!([]));
    assert_eq!(list("?is_global=false&per_page=1"), json!([off]));
    assert_eq!(list("?fields=client_id,global&per_page=1"), json!([{"client_id": "off", "global": false}]));
    assert_eq!(list("?fields=name,global&include_fields=false&per_page=1"), json!([{"client_id": "off"}]));
    assert_eq!(list("?tenant=t&fields=client_id,tenant"), json!([{"tenant": "t", "client_id": "one"}]));
    // As the SDKs say that they want all of them.
    assert_eq!(list("?fields=&include_fields=true&per_page=1"), json!([off]));
    assert_eq!(done(at, "GET", "/api/v2/clients/one?fields=name", "", 200), json!({"name": "One"}));
    assert_eq!(done(at, "GET", "/api/v2/clients/one?fields=", "", 200), one);

    // Each behind the one before.
    let behind = |clients, next: Option<&str>| match next {
        Some(next) => json!({"clients": clients, "next": next}),
        None => json!({"clients": clients}),
    };
    assert_eq!(list("?take=2"), behind(json!([off, one]), Some("one")));
    assert_eq!(list("?take=2&from=one"), behind(json!([two]), None));
    assert_eq!(list("?take=3"), behind(json!([off, one, two]), None));
    assert_eq!(list("?from=off&per_page=50&include_totals=true"), behind(json!([one, two]), None));
    assert_eq!(list("?from=oh&take=1"), behind(json!([one]), Some("one")), "one that is not there");
    assert_eq!(list("?tenant=t&take=1&fields=client_id"), behind(json!([{"client_id": "one"}]), None));
    for wrong in ["?take=0", "?take=101", "?take=2&page=1", "?per_page=0", "?q=x", "?external_client_id=x"] {
        refused(at, "GET", &format!("/api/v2/clients{wrong}"), "");
    }
    refused(at, "GET", "/api/v2/clients/one?take=1", "");

    // Every client here is one's own, and of a type that has a secret.
    for (filter, any) in [
        ("is_first_party=true", true),
        ("is_first_party=false", false),
        ("app_type=non_interactive", true),
        ("app_type=native,regular_web", true),
        ("app_type=native,spa", false),
    ] {
        let (found, totals) = (list(&format!("?{filter}")), list(&format!("?{filter}&include_totals=true&per_page=1")));
        assert_eq!(!found.as_array().unwrap().is_empty(), any, "{filter}: {found}");
        assert_eq!(totals["total"], if any { 3 } else { 0 }, "{filter}: {totals}");
        assert_eq!(list(&format!("?take=1&{filter}"))["next"].is_string(), any, "{filter}");
    }
    sidecar.finish(&upstream);
}

#[test]
fn a_client_comes_with_its_secret_and_goes_when_nobody_uses_it() {
    let upstream = Upstream::start();
    let sidecar = listed().upstream(&upstream).start();
    let at = address(&sidecar);
    let machine = r#"{"name":"Billing","app_type":"non_interactive","grant_types":["client_credentials"]}"#;
    let made = done(at, "POST", "/api/v2/clients", machine, 201);
    let (id, secret) = (made["client_id"].as_str().unwrap(), plain(&made));
    assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_alphanumeric()), "{id}");
    assert_eq!(token(&sidecar, id, &secret), 200);
    let named = r#"{"name":"x","client_id":"named","client_secret":"made-elsewhere-s3cr3t-0123456789"}"#;
    let made = done(at, "POST", "/api/v2/clients", named, 201);
    assert!(made["client_id"] == "named" && made.get("client_secret").is_none(), "{made}");
    assert_eq!(token(&sidecar, "named", "made-elsewhere-s3cr3t-0123456789"), 200);
    let path = format!("/api/v2/clients/{id}");
    assert!(refused(at, "DELETE", &path, "").contains("last usable secret"));
    assert_eq!(token(&sidecar, id, &secret), 200);
    done(at, "DELETE", &format!("{path}?force=true"), "", 204);
    assert_eq!(token(&sidecar, id, &secret), 401);
    done(at, "GET", &path, "", 404);
    sidecar.finish(&upstream);
}

#[test]
fn a_login_gives_the_token_again_for_no_longer_than_it_lives() {
    let upstream = Upstream::start();
    let tokens = entry("admin", ADMIN, "[\"admin\"]", "")
        + &entry("reader", READER, "[\"read:clients\", \"update:client_keys\"]", "expires = 2090-01-01T00:00:00Z");
    let sidecar = gated_with(&tokens).canary(ADMIN).canary(READER).upstream(&upstream).start();
    let at = address(&sidecar);
    let log_in = |kind: &str, body: &str| {
        let head = format!("POST /oauth/token HTTP/1.1\r\nHost: {at}\r\nContent-Type: {kind}\r\n");
        let reply = send(at, &format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()));
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        reply.json()
    };
    let form = format!("grant_type=client_credentials&client_id=admin&client_secret={ADMIN}&audience=x");
    let admin = json!({"access_token": ADMIN, "token_type": "Bearer", "expires_in": 86400, "scope": "admin"});
    assert_eq!(log_in("application/x-www-form-urlencoded;charset=UTF-8", &form), admin);
    let body =
        json!({"grant_type": "client_credentials", "client_id": "reader", "client_secret": READER, "audience": "x"});
    let reader = log_in("application/json", &body.to_string());
    assert_eq!(
        (&reader["access_token"], &reader["scope"]),
        (&json!(READER), &json!("read:clients update:client_keys"))
    );
    // One that ends within the day is given for what is left of it.
    let soon = entry("admin", ADMIN, "[\"admin\"]", "expires = @SOON@");
    let digest = crate::support::bytes::sha256_record(ADMIN.as_bytes());
    let end = time_in_an_hour();
    let soon = soon.replace(&format!("@SHA256({ADMIN})@"), &digest).replace("@SOON@", &end);
    std::fs::write(sidecar.dir().join("admin-tokens.toml"), soon).unwrap();
    let left = log_in("application/x-www-form-urlencoded", &form)["expires_in"].as_u64().unwrap();
    assert!((3000..=3600).contains(&left), "{left}");
    assert_eq!(ask(at, ADMIN, "GET", "/api/v2/clients", "").status, 200);
    sidecar.finish(&upstream);
}

#[test]
fn a_login_that_is_refused_is_no_use_of_the_token() {
    let upstream = Upstream::start();
    let sidecar = listed().upstream(&upstream).start();
    let at = address(&sidecar);
    let log_in = |name: &str| {
        let form = format!("grant_type=client_credentials&client_id={name}&client_secret={READER}");
        let kind = "Content-Type: application/x-www-form-urlencoded";
        let head = format!("POST /oauth/token HTTP/1.1\r\nHost: {at}\r\n{kind}\r\n");
        send(at, &format!("{head}Content-Length: {}\r\n\r\n{form}", form.len())).status
    };
    let last_use = || {
        let tokens = ask(at, ADMIN, "GET", "/api/v1/tokens", "").json();
        tokens.as_array().unwrap().iter().find(|token| token["name"] == "reader").unwrap()["last_used_at"].clone()
    };
    assert_eq!((log_in("admin"), log_in("nobody"), last_use()), (401, 401, json!(null)));
    assert_eq!((log_in("reader"), last_use().is_string()), (200, true));
    sidecar.finish(&upstream);
}

fn time_in_an_hour() -> String {
    (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)).to_string()
}
