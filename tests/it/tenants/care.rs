//! Looking after the clients of one realm leaves those of the others as they are: commands, reloads, restarts.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{BANK, LIST, SHOP, SPARE, ask, field, guard};
use crate::support::PATIENCE;
use crate::support::admin::Admin;
use crate::support::process::{Ran, relatch};
use crate::support::setup::Expansion;
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;

#[track_caller]
fn run(sidecar: &Sidecar, arguments: &[&str]) -> Ran {
    relatch(sidecar.dir(), arguments)
}

fn list(sidecar: &Sidecar) -> String {
    std::fs::read_to_string(sidecar.dir().join("clients.toml")).unwrap()
}

/// Last use and uses of a secret of `billing`, as the scrape has them.
#[track_caller]
fn told(sidecar: &Sidecar, tenant: &str, secret: &str) -> (f64, f64) {
    let labels = [("client_id", "billing"), ("tenant", tenant), ("secret_id", secret)];
    let value = |family: &str| sidecar.metric(&format!("relatch_client_secret_{family}"), &labels).unwrap();
    (value("last_used_timestamp_seconds"), value("uses_total"))
}

#[track_caller]
fn stop(mut sidecar: Sidecar) {
    sidecar.signal(Signal::TERM);
    assert!(sidecar.wait_exit(PATIENCE).is_some_and(|status| status.success()));
}

#[test]
fn a_rotation_in_one_realm_changes_not_a_byte_of_the_other() {
    let upstream = Upstream::start();
    let sidecar = guard(LIST, &upstream).start();
    assert_eq!(run(&sidecar, &["secret", "revoke", "billing", "two", "--tenant", "shop", "--force"]).code, Some(0));
    let before = list(&sidecar);
    let unnamed = run(&sidecar, &["rotate", "billing"]);
    assert_eq!(
        (unnamed.code, unnamed.err.contains("there is no client billing\n")),
        (Some(4), true),
        "{}",
        unnamed.err
    );
    let elsewhere = run(&sidecar, &["rotate", "billing", "--tenant", "mall"]);
    assert!(elsewhere.err.contains("there is no client billing of tenant mall\n"), "{}", elsewhere.err);
    assert_eq!(list(&sidecar), before);

    let made = run(&sidecar, &["rotate", "billing", "--tenant", "shop", "-q"]);
    let new = made.out.trim();
    assert_eq!((made.code, new.starts_with("rls_")), (Some(0), true), "{}", made.err);
    let after = list(&sidecar);
    let (shop, bank) = (before.split_once("# of the bank").unwrap(), after.split_once("# of the bank").unwrap());
    assert_eq!(bank.1, shop.1, "the other realm's");
    assert!(bank.0.starts_with(shop.0.trim_end()), "what was there stays:\n{after}");
    assert_eq!(after.matches("[[client.secret]]").count(), 4);
    assert_eq!((ask(&sidecar, "shop", new), ask(&sidecar, "shop", SHOP)), (200, 200));
    assert_eq!((ask(&sidecar, "bank.1", new), ask(&sidecar, "bank.1", BANK)), (401, 200));

    // All of a realm, and all there are.
    let all = run(&sidecar, &["rotate", "--all", "--tenant", "bank.1", "-q"]);
    assert_eq!((all.code, all.out.lines().count()), (Some(0), 1), "{}", all.err);
    assert_eq!((ask(&sidecar, "bank.1", all.out.trim()), ask(&sidecar, "shop", all.out.trim())), (200, 401));
    let both = run(&sidecar, &["rotate", "--all", "-q"]);
    assert_eq!(both.code, Some(3), "each has two by now: {}", both.err);
    for tenant in ["shop", "bank.1"] {
        assert!(
            both.err.contains(&format!("billing of tenant {tenant}: client billing of tenant {tenant} has 2 of 2")),
            "{}",
            both.err
        );
    }
    drop(sidecar);
}

#[test]
fn last_use_is_told_apart_over_a_restart() {
    let (home, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let state = format!("state.path = {:?}", home.path().join("relatch.state").to_str().unwrap());
    // The same secret in both realms: the same record but for the realm.
    let list = LIST.replace(BANK, SHOP);
    let first = guard(&list, &upstream).config(&state).start();
    assert_eq!((ask(&first, "shop", SHOP), ask(&first, "shop", SHOP), ask(&first, "bank.1", SHOP)), (200, 200, 200));
    let known = ["shop", "bank.1"].map(|tenant| told(&first, tenant, "one"));
    assert_eq!((known[0].1, known[1].1), (2.0, 1.0));
    assert_eq!(told(&first, "shop", "two"), (0.0, 0.0));
    stop(first);
    let second = guard(&list, &upstream).config(&state).start();
    assert_eq!(["shop", "bank.1"].map(|tenant| told(&second, tenant, "one")), known);
    stop(second);
    let text = std::fs::read_to_string(home.path().join("relatch.state")).unwrap();
    assert!(text.contains(r#""client":"billing","tenant":"shop""#), "{text}");
    // A client that is moved to another realm is not the one that was used.
    let third = guard(&list.replace("\"bank.1\"", "\"bank.2\""), &upstream).config(&state).start();
    assert_eq!((told(&third, "bank.2", "one"), told(&third, "shop", "one")), ((0.0, 0.0), known[0]));
    third.finish(&upstream);
}

#[test]
fn a_revoked_secret_stays_so_in_its_realm_and_its_like_elsewhere_lives() {
    let upstream = Upstream::start();
    let text = |list: &str| Expansion::of(std::path::Path::new("."), "").apply(list);
    let sidecar = guard(LIST, &upstream).start();
    let generation = |at: f64| sidecar.wait_metric("relatch_config_generation", &[], |number| number == at);
    // `one` of the shop, by hand: `one` of the bank stays.
    let revoked = LIST.replacen("id = \"one\"", "id = \"one\"\nstatus = \"revoked\"", 1);
    sidecar.write_clients(&text(&revoked));
    generation(2.0);
    assert_eq!(
        (ask(&sidecar, "shop", SHOP), ask(&sidecar, "shop", SPARE), ask(&sidecar, "bank.1", BANK)),
        (401, 200, 200)
    );
    let dead = sidecar.wait_log(|line| line["msg"] == "a revoked secret was presented");
    assert_eq!(
        (field(&dead, "client_id"), field(&dead, "tenant"), field(&dead, "secret_id")),
        ("billing", "shop", "one")
    );
    let changes = sidecar.wait_log(|line| line["changes"] == "1 secrets revoked: shop/billing/one");
    assert_eq!(field(&changes, "generation"), "2");

    let status = run(&sidecar, &["status"]).out;
    let row = status.lines().find(|line| line.starts_with("shop ")).unwrap_or_else(|| panic!("{status}"));
    assert!(status.contains("\nTENANT  CLIENT ") && row.contains("a dead secret (revoked) was presented"), "{status}");

    sidecar.write_clients(&text(LIST));
    let refused = sidecar.wait_log(|line| line["msg"] == "client list refused, the one in force stays");
    let why = "secret one of client \"billing\" of tenant \"shop\" was revoked";
    assert!(field(&refused, "error").contains(why), "{refused}");
    assert_eq!((ask(&sidecar, "shop", SHOP), ask(&sidecar, "bank.1", BANK)), (401, 200));
    // The same value in another realm is somebody else's business.
    sidecar.write_clients(&text(&revoked.replace(BANK, SHOP)));
    generation(3.0);
    assert_eq!((ask(&sidecar, "shop", SHOP), ask(&sidecar, "bank.1", SHOP)), (401, 200));
    sidecar.finish(&upstream);
}

#[test]
fn commands_show_whose_each_is_and_take_the_realm_beside_the_id() {
    let upstream = Upstream::start();
    let sidecar = guard(LIST, &upstream).start();
    let out = |arguments: &[&str]| {
        let ran = run(&sidecar, arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.err);
        ran.out
    };
    let columns = |text: &str| -> Vec<Vec<String>> {
        text.lines().map(|line| line.split_whitespace().take(3).map(str::to_owned).collect()).collect()
    };
    assert_eq!(columns(&out(&["client", "list"]))[..2], [["TENANT", "ID", "NAME"], ["bank.1", "billing", "-"]]);
    let all = columns(&out(&["secret", "list"]));
    assert_eq!(all[0], ["TENANT", "CLIENT", "ID"]);
    assert_eq!(all.len(), 4);
    assert_eq!(columns(&out(&["secret", "list", "--tenant", "bank.1"]))[1..], [["bank.1", "billing", "one"]]);
    assert_eq!(columns(&out(&["secret", "list", "billing", "--tenant", "bank.1"])).len(), 2);
    assert!(out(&["client", "show", "billing", "--tenant", "shop"]).contains("  tenant    shop\n"));
    assert_eq!(run(&sidecar, &["client", "show", "billing"]).code, Some(4));
    assert_eq!(run(&sidecar, &["client", "show", "billing", "--tenant", "a/b"]).code, Some(2));

    let added = run(&sidecar, &["client", "add", "billing", "--tenant", "mall", "-q"]);
    assert!(
        list(&sidecar).ends_with("\"\n") && list(&sidecar).contains("id = \"billing\"\ntenant = \"mall\"\n"),
        "{}",
        added.err
    );
    assert_eq!(run(&sidecar, &["client", "add", "billing", "--tenant", "mall"]).code, Some(3));
    let next = run(&sidecar, &["secret", "add", "billing", "--tenant", "mall"]);
    assert!(next.err.contains("watch `relatch secret list billing --tenant mall`"), "{}", next.err);
    let gone = run(&sidecar, &["client", "remove", "billing", "--tenant", "mall", "--force"]);
    assert_eq!((gone.code, &*gone.err), (Some(0), "Client billing of tenant mall removed.\n"));
    assert_eq!(list(&sidecar), Expansion::of(sidecar.dir(), "").apply(LIST), "as before it came");
    drop(sidecar);
}

#[test]
fn the_secrets_of_several_are_told_apart_where_they_are_written() {
    let upstream = Upstream::start();
    // The same id in both realms: what is written of the one must not be written over by the other.
    let list = LIST.replace("id = \"two\"", "id = \"two\"\nstatus = \"revoked\"");
    let sidecar = guard(&list, &upstream).start();
    let files = run(&sidecar, &["rotate", "--all", "--out-dir", "made"]);
    assert_eq!(files.code, Some(0), "{}", files.err);
    let written = |tenant: &str| {
        let path = sidecar.dir().join(format!("made/billing@{tenant}.secret"));
        std::fs::read_to_string(path).unwrap().trim().to_owned()
    };
    for tenant in ["shop", "bank.1"] {
        assert_eq!(ask(&sidecar, tenant, &written(tenant)), 200);
        assert_eq!(run(&sidecar, &["secret", "revoke", "billing", "one", "--tenant", tenant, "--force"]).code, Some(0));
    }
    assert_eq!(ask(&sidecar, "shop", &written("bank.1")), 401);
    let shown = run(&sidecar, &["rotate", "--all", "-q"]).out;
    let rows: Vec<Vec<&str>> = shown.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.len(), 2);
    for (row, tenant) in rows.iter().zip(["bank.1", "shop"]) {
        assert_eq!((row[0], row[3], ask(&sidecar, tenant, row[2])), ("billing", tenant, 200));
    }
    drop(sidecar);
}

#[test]
fn the_end_of_a_secret_is_told_ahead_for_each_realm() {
    let upstream = Upstream::start();
    let end = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(5 * 24);
    let list = LIST.replace("id = \"one\"", &format!("id = \"one\"\nexpires = {end}"));
    let sidecar = guard(&list, &upstream).start();
    for tenant in ["shop", "bank.1"] {
        let told = |line: &Value| line["msg"] == "a secret expires soon" && line["tenant"] == tenant;
        assert_eq!(field(&sidecar.wait_log(told), "client_id"), "billing");
    }
    let labels = [("client_id", "billing"), ("tenant", "bank.1"), ("secret_id", "one")];
    assert_eq!(sidecar.metric("relatch_client_secret_expiry_notice_days", &labels), Some(7.0));
    sidecar.finish(&upstream);
}

#[test]
fn an_import_takes_the_realms_name_or_the_tenant_that_is_given() {
    let dir = tempfile::tempdir().unwrap();
    let realm =
        r#"{"realm": "shop", "clients": [{"clientId": "billing", "secret": "exported-s3cr3t-7Hq2-abcdefghij"}]}"#;
    std::fs::write(dir.path().join("realm.json"), realm).unwrap();
    for (arguments, expected) in [
        (&[][..], "id = \"billing\"\ntenant = \"shop\"\n"),
        (&["--tenant", "mall"], "id = \"billing\"\ntenant = \"mall\"\n"),
        (&["--tenant", ""], "id = \"billing\"\n\n"),
    ] {
        let ran = relatch(dir.path(), &[&["import", "--from", "keycloak", "realm.json"], arguments].concat());
        assert!(ran.code == Some(0) && ran.out.contains(expected), "{arguments:?}: {}{}", ran.out, ran.err);
    }
}

#[test]
fn the_admin_socket_takes_the_tenant_in_the_query_and_shows_it_in_its_objects() {
    let upstream = Upstream::start();
    let list = format!("{LIST}[[client]]\nid = \"billing\"\nenabled = false\n");
    let sidecar = guard(&list, &upstream).start();
    let admin = Admin::of(sidecar.dir());
    let get = |path: &str| admin.must("GET", path, &Value::Null);
    let tenants = |clients: &Value| -> Vec<Value> {
        clients.as_array().unwrap().iter().map(|client| client["tenant"].clone()).collect()
    };
    assert_eq!(tenants(&get("/api/v1/clients")), [Value::Null, json!("bank.1"), json!("shop")]);
    assert_eq!(tenants(&get("/api/v1/clients?tenant=")), [Value::Null]);
    assert_eq!(tenants(&get("/api/v1/clients?limit=1&after=billing&after_tenant=")), [json!("bank.1")]);
    // A page begins behind one client, or not at all.
    for (query, told) in [
        ("after=billing", "several tenants"),
        ("limit=1&after=billing", "several tenants"),
        ("after=nobody", "several tenants"),
    ] {
        let (status, fault) = admin.ask("GET", &format!("/api/v1/clients?{query}"), &Value::Null);
        assert!(status == 400 && fault["message"].as_str().unwrap().contains(told), "{query}: {fault}");
    }
    assert_eq!(tenants(&get("/api/v1/clients?after=billing&after_tenant=bank.1")), [json!("shop")]);
    assert_eq!(tenants(&get("/api/v1/clients?tenant=shop&after=billing&after_tenant=bank.1")), [json!("shop")]);
    assert_eq!(tenants(&get("/api/v1/clients?after=billing&after_tenant=mall")), [json!("shop")]);
    assert_eq!(tenants(&get("/api/v1/clients?after=billing&after_tenant=shop")), [Value::Null; 0]);
    assert_eq!(tenants(&get("/api/v1/clients?tenant=shop&after=billing")), [Value::Null; 0]);
    assert_eq!(get("/api/v1/clients/billing")["enabled"], false, "the one of no tenant");
    let secret = get("/api/v1/clients/billing/secrets/one?tenant=bank.1");
    assert_eq!((&secret["tenant"], &secret["client_id"]), (&json!("bank.1"), &json!("billing")));
    assert_eq!(admin.ask("GET", "/api/v1/clients/billing/secrets/two?tenant=bank.1", &Value::Null).0, 404);
    assert_eq!(admin.ask("GET", "/api/v1/clients/billing?tenant=a%2Fb", &Value::Null).0, 400);
    let off = admin.must(
        "POST",
        "/api/v1/clients/billing/secrets/one/lifecycle/deactivate?tenant=shop",
        &json!({"force": true}),
    );
    assert_eq!((&off["tenant"], &off["status"]), (&json!("shop"), &json!("disabled")));
    assert_eq!((ask(&sidecar, "shop", SHOP), ask(&sidecar, "bank.1", BANK)), (401, 200));
    let wish = json!({"clients": [{"id": "billing", "tenant": "bank.1"}, "billing"]});
    let rotated = admin.must("POST", "/api/v1/rotate", &wish);
    assert_eq!(tenants(&rotated["results"]), [json!("bank.1"), Value::Null]);
    let rotated = admin.must("POST", "/api/v1/rotate?tenant=bank.1", &json!({"clients": ["billing"]}));
    assert_eq!(tenants(&rotated["results"]), [json!("bank.1")]);
    let (status, fault) = admin.ask("POST", "/api/v1/clients?tenant=shop", &json!({"id": "x", "tenant": "mall"}));
    assert_eq!(status, 400, "{fault}");
    assert_eq!(admin.must("POST", "/api/v1/clients?tenant=mall", &json!({"id": "x"}))["tenant"], "mall");
    assert_eq!(admin.ask("DELETE", "/api/v1/clients/x?tenant=mall&force=true", &Value::Null).0, 204);
    drop(sidecar);
}

#[test]
fn a_misspelt_or_contradicting_tenant_changes_no_client() {
    let upstream = Upstream::start();
    let sidecar = guard(&format!("{LIST}[[client]]\nid = \"billing\"\n"), &upstream).start();
    let admin = Admin::of(sidecar.dir());
    let before = list(&sidecar);
    let both = json!({"id": "billing", "tenant": "bank.1"});
    for (method, path, body, told) in [
        (
            "POST",
            "/clients/billing/rotate?tennant=shop",
            Value::Null,
            "query has a key that is not known here: tennant",
        ),
        ("POST", "/clients/billing/rotate?tenant=shop&tenant=bank.1", Value::Null, "a key twice: tenant"),
        ("POST", "/clients/billing/rotate", json!({"clients": [both]}), "a key that is not known here: clients"),
        ("POST", "/rotate?tennant=shop", json!({"clients": ["billing"]}), "tennant"),
        ("POST", "/rotate?tenant=shop", json!({"clients": [both]}), "another tenant than the body"),
        ("POST", "/rotate?tenant=shop", json!({"clients": [{"id": "billing", "tenant": ""}]}), "another tenant"),
        ("POST", "/rotate", json!({"clients": [{"id": "billing", "tenant": "shop", "name": "x"}]}), "wrong kind"),
        ("POST", "/clients?tennant=shop", json!({"id": "new"}), "tennant"),
        ("POST", "/clients/billing/secrets?Tenant=shop", Value::Null, "Tenant"),
        ("POST", "/clients/billing/secrets/one/lifecycle/revoke?tennant=shop", json!({"force": true}), "tennant"),
        ("PATCH", "/clients/billing?tennant=shop", json!({"enabled": false, "force": true}), "tennant"),
        ("DELETE", "/clients/billing?force=true&tennant=shop", Value::Null, "tennant"),
        ("GET", "/clients/billing?tennant=shop", Value::Null, "tennant"),
        ("GET", "/clients/billing/secrets/one?tennant=shop", Value::Null, "tennant"),
        ("GET", "/clients?tennant=shop", Value::Null, "tennant"),
        ("GET", "/clients?limit=all", Value::Null, "wrong kind"),
        ("GET", "/status?tenant=shop", Value::Null, "tenant"),
    ] {
        let (status, fault) = admin.ask(method, &format!("/api/v1{path}"), &body);
        let message = fault["message"].as_str().unwrap_or_default();
        assert!(status == 400 && message.contains(told), "{method} {path} {body}: {status} {fault}");
        assert!(message.ends_with("Nothing was changed."), "{message}");
    }
    let (status, fault) = admin.ask("POST", "/-/reload?allow_shrink=true", &Value::Null);
    assert!(status == 400 && fault.to_string().contains("allow_shrink"), "{status} {fault}");
    assert_eq!(list(&sidecar), before);
    drop(sidecar);
}

#[test]
fn a_secret_that_was_found_is_told_with_its_realm() {
    use std::io::Write as _;
    let upstream = Upstream::start();
    let sidecar = guard(LIST, &upstream).start();
    let identify = |output: &str| {
        let mut command = std::process::Command::new(crate::support::process::binary());
        crate::support::process::isolate(&mut command, sidecar.dir(), &[]);
        let piped = std::process::Stdio::piped;
        command.args(["secret", "identify", "-o", output]).stdin(piped()).stdout(piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(BANK.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    let text = identify("table");
    assert!(text.contains("of client billing of tenant bank.1, active."), "{text}");
    assert!(text.contains("relatch secret revoke billing --tenant bank.1 one --compromised"), "{text}");
    let json: Value = serde_json::from_str(&identify("json")).unwrap();
    assert_eq!(json["secrets"][0]["tenant"], "bank.1");
    sidecar.finish(&upstream);
}

#[test]
fn a_list_that_does_not_fit_its_endpoints_is_told_before_the_start() {
    let upstream = Upstream::start();
    let fixed = r#"endpoint = [{ path = "/token" }]"#;
    let sidecar = guard(LIST, &upstream).config(fixed).start();
    let check = run(&sidecar, &["config", "check"]);
    let why =
        "2 of the clients, such as \"billing\" of tenant \"shop\", have a tenant, and no endpoint's path has {tenant}";
    assert_eq!((check.code, check.err.contains(why)), (Some(0), true), "{}", check.err);
    drop(sidecar);
    let sidecar =
        guard("", &upstream).client("c1", &["a-s3cr3t-7Hq2-abcdef"]).clients_text("[[client]]\nid = \"c1\"\n").start();
    let check = run(&sidecar, &["config", "check"]);
    assert!(check.err.contains("have no tenant, and every endpoint's path has {tenant}"), "{}", check.err);
    drop(sidecar);
}
