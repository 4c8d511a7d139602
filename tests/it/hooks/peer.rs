//! The published library of the specification verifies what we sign.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::receiver::{Heard, Receiver};
use super::{KEY, hooked};
use crate::support::admin::Admin;
use crate::support::upstream::Upstream;

fn verified(deliveries: &[Value]) -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/peers/venv/bin/python");
    let mut child = Command::new(&python)
        .arg(root.join("tests/peers/clients/standard_webhooks.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|why| panic!("{}: {why}: run tests/peers/install.sh", python.display()));
    let lines: String = deliveries.iter().map(|delivery| format!("{delivery}\n")).collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn delivery(heard: &Heard, secret: &str) -> Value {
    let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| (name, heard.header(name)));
    let headers: serde_json::Map<String, Value> =
        headers.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    json!({"secret": secret, "headers": headers, "body": std::str::from_utf8(&heard.body).unwrap()})
}

#[test]
#[ignore = "needs node, python and prometheus: make test"]
fn the_published_library_takes_what_we_sign_and_nothing_else() {
    let (upstream, receiver) = (Upstream::start(), Receiver::start());
    let sidecar = hooked(&receiver).upstream(&upstream).start();
    let other = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";
    let admin = Admin::of(sidecar.dir());
    let made = admin.must("POST", "/api/v1/clients/c1/rotate", &json!({}));
    let first = receiver.next();
    std::fs::write(sidecar.dir().join("hook.key"), format!("{other}\n{KEY}\n")).unwrap();
    admin.must("POST", "/api/v1/clients/c1/secrets/c1_1/lifecycle/revoke", &json!({"force": true}));
    let second = receiver.next();
    let with = |key: &str, value: Value| {
        let mut changed = delivery(&first, KEY);
        let place = if key == "body" { &mut changed["body"] } else { &mut changed["headers"][key] };
        *place = value;
        changed
    };
    let answers = verified(&[
        delivery(&first, KEY),
        delivery(&second, KEY),
        delivery(&second, other),
        delivery(&first, other),
        with("body", String::from_utf8(first.body.clone()).unwrap().replace("c1", "c2").into()),
        with("webhook-id", "msg_another".into()),
        with("webhook-timestamp", "1614265330".into()),
    ]);
    let taken: Vec<&Value> = answers.iter().map(|answer| &answer["ok"]).collect();
    assert_eq!(json!(taken), json!([true, true, true, false, false, false, false]), "{answers:#?}");
    assert_eq!(answers[0]["event"]["secret_id"], made["id"]);
    assert_eq!(answers[1]["event"]["type"], "secret.revoked");
    sidecar.finish(&upstream);
}
