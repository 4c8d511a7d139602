//! Every route asks for its scope, whoever asks.

use crate::support::upstream::Upstream;

use super::{address, ask, entry, gated_with};

const SCOPES: [&str; 4] = ["read:clients", "update:clients", "update:client_keys", "admin"];

#[test]
fn every_route_is_open_to_its_own_scope_and_to_admin_alone() {
    let upstream = Upstream::start();
    let token = |scope: &str| format!("rlt_token-of-the-scope-{scope}");
    let name = |scope: &str| scope.replace(':', "-");
    let tokens: String =
        SCOPES.iter().map(|scope| entry(&name(scope), &token(scope), &format!("[\"{scope}\"]"), "")).collect();
    let sidecar = gated_with(&tokens).upstream(&upstream).start();
    let at = address(&sidecar);
    let secret = "/api/v1/clients/c1/secrets/c1_1";
    let mut routes = vec![
        ("GET", "/api/v1/status".to_owned(), "", "read:clients"),
        ("GET", "/api/v1/clients".to_owned(), "", "read:clients"),
        ("HEAD", "/api/v1/clients".to_owned(), "", "read:clients"),
        ("GET", "/api/v1/clients/c1".to_owned(), "", "read:clients"),
        ("GET", "/api/v1/clients/c1/secrets".to_owned(), "", "read:clients"),
        ("GET", secret.to_owned(), "", "read:clients"),
        // What would be done is refused for another reason, so that each may be asked by everybody.
        ("POST", "/api/v1/clients".to_owned(), "{\"id\":\"c1\"}", "update:clients"),
        ("PATCH", "/api/v1/clients/c1".to_owned(), "{}", "update:clients"),
        ("DELETE", "/api/v1/clients/nobody".to_owned(), "", "update:clients"),
        ("POST", "/api/v1/clients/nobody/secrets".to_owned(), "{}", "update:client_keys"),
        ("POST", "/api/v1/clients/nobody/rotate".to_owned(), "{}", "update:client_keys"),
        ("POST", "/api/v1/rotate".to_owned(), "{}", "update:client_keys"),
        ("GET", "/openapi.json".to_owned(), "", "read:clients"),
        ("GET", "/api/v1/config".to_owned(), "", "admin"),
        ("GET", "/api/v1/log-level".to_owned(), "", "admin"),
        ("PUT", "/api/v1/log-level".to_owned(), "{}", "admin"),
        ("GET", "/api/v1/tokens".to_owned(), "", "admin"),
        ("POST", "/-/reload".to_owned(), "{}", "admin"),
        ("POST", "/api/v1/clients".to_owned(), "{\"id\":\"c2\",\"upstream_secret_files\":[\"/nowhere\"]}", "admin"),
    ];
    for verb in ["activate", "deactivate", "expire", "revoke", "rehearse", "end-rehearsal", "unknown"] {
        let path = format!("/api/v1/clients/nobody/secrets/c1_1/lifecycle/{verb}");
        routes.push(("POST", path, "{}", "update:client_keys"));
    }
    for (method, path, body, needed) in routes {
        for scope in SCOPES {
            let reply = ask(at, &token(scope), method, &path, body);
            let open = scope == needed || scope == "admin";
            assert_eq!(reply.status != 403, open, "{scope}: {method} {path}: {}", reply.status);
            if !open && method != "HEAD" {
                let answer = reply.json();
                let message = answer["message"].as_str().unwrap();
                assert!(answer["error"] == "forbidden" && message.contains("lacks the scope"), "{answer}");
            }
        }
    }
    sidecar.finish(&upstream);
}
