//! What an authorization server says of itself: passed through with our address in it, and held against the configuration.

mod discovered;
mod passed;

use serde_json::{Value, json};

const RFC_8414: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

/// A document of the server at `base`, with members after it.
fn document(base: &str, more: &Value) -> String {
    let mut members = json!({
        "issuer": base,
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "revocation_endpoint": format!("{base}/revoke"),
        "introspection_endpoint": format!("{base}/introspect"),
        "jwks_uri": format!("{base}/jwks"),
        "response_types_supported": ["code"],
    });
    members.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::to_string_pretty(&members).unwrap()
}
