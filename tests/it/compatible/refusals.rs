//! Every refusal of `tests/corpus/compatible.toml`, in the provider's own shape.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::listed;
use crate::gate::{ADMIN, READER, address, send};
use crate::support::upstream::Upstream;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    title: String,
    request: String,
    #[serde(default)]
    body: String,
    /// `admin`, `reader`, `wrong` or `none`.
    #[serde(default)]
    token: String,
    host: Option<String>,
    #[serde(default)]
    headers: String,
    status: u16,
    #[serde(default)]
    says: BTreeMap<String, Value>,
    #[serde(default)]
    words: Vec<String>,
}

/// The members of a refusal, as each provider has them.
fn members(path: &str) -> &'static [&'static str] {
    match path {
        "/oauth/token" => &["error", "error_description"],
        _ if path.starts_with("/api/v2/") => &["error", "errorCode", "message", "statusCode"],
        _ if path.starts_with("/admin/") => &["error", "error_description", "error_hint", "request_id", "status_code"],
        _ => &["errorCauses", "errorCode", "errorId", "errorLink", "errorSummary"],
    }
}

#[test]
fn each_refusal_has_the_shape_of_its_provider_and_our_message_and_changes_nothing() {
    let upstream = Upstream::start();
    let sidecar = listed().upstream(&upstream).start();
    let (at, list) = (address(&sidecar), sidecar.dir().join("clients.toml"));
    let before = std::fs::read_to_string(&list).unwrap();
    let cases: Cases = toml::from_str(include_str!("../../corpus/compatible.toml")).unwrap();
    assert!(cases.case.len() > 50);
    for case in cases.case {
        let token = match &*case.token {
            "none" => String::new(),
            "wrong" => "Authorization: Bearer rlt_wrong\r\n".to_owned(),
            "reader" => format!("Authorization: Bearer {READER}\r\n"),
            _ => format!("Authorization: Bearer {ADMIN}\r\n"),
        };
        let kind = if case.body.is_empty() || case.headers.contains("Content-Type") {
            ""
        } else {
            "Content-Type: application/json\r\n"
        };
        let body = case.body.replace("@ADMIN@", ADMIN).replace("@LONG@", &"a=b&".repeat(4 << 10));
        let host = case.host.unwrap_or_else(|| at.to_string());
        let length = body.len();
        let head = format!("{} HTTP/1.1\r\nHost: {host}\r\n{token}{kind}{}", case.request, case.headers);
        let reply = send(at, &format!("{head}Content-Length: {length}\r\n\r\n{body}"));
        let said = String::from_utf8_lossy(&reply.body).into_owned();
        let title = &case.title;
        assert_eq!(reply.status, case.status, "{title}: {said}");
        assert_eq!(reply.header("content-type"), Some("application/json"), "{title}");
        let Value::Object(object) = reply.json() else { panic!("{title}: {said}") };
        let path = case.request.split([' ', '?']).nth(1).unwrap();
        let mut shown: Vec<&str> = object.keys().map(String::as_str).collect();
        shown.sort_unstable();
        assert_eq!(shown, members(path), "{title}: {said}");
        for (key, value) in &case.says {
            assert_eq!(object.get(key), Some(value), "{title}: {key}: {said}");
        }
        for word in &case.words {
            assert!(said.contains(&**word), "{title}: no {word:?} in {said}");
        }
        for hidden in ["s3cr3t", "canary", "$sha256$", ADMIN, READER, "rlt_wrong"] {
            assert!(!said.contains(hidden), "{title}: shows {hidden}: {said}");
        }
        if case.status == 405 {
            assert!(reply.header("allow").is_some(), "{title}");
        }
        if case.status == 401 {
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"), "{title}");
        }
    }
    assert_eq!(std::fs::read_to_string(&list).unwrap(), before, "nothing was changed");
    sidecar.finish(&upstream);
}
