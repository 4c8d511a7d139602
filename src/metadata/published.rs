//! The document as callers get it: each endpoint that we stand before at our address, everything else as it was written.
//! The issuer too: tokens carry it.

use serde_json::{Map, Value};

use super::{ALIASES, Origin, Url, routed};
use crate::config::settings::Endpoint;
use crate::config::settings::kinds::QueryPolicy;

/// Ours, as a document is to name it.
pub struct Ours<'s> {
    /// The endpoints that lead to the server whose document it is.
    pub endpoints: Vec<&'s Endpoint>,
    /// That server, as we call it and as it was called for this; beside its issuer.
    pub known: Vec<Origin>,
    /// Where callers reach us.
    pub base: &'s str,
    /// The tenant whose document was asked for; often none.
    pub tenant: &'s str,
}

/// The document is none: not a JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoDocument;

impl Ours<'_> {
    /// The document with our address; nothing where there is none of our endpoints in it.
    pub fn publish(&self, document: &[u8]) -> Result<Option<Vec<u8>>, NoDocument> {
        let mut members: Map<String, Value> = serde_json::from_slice(document).map_err(|_| NoDocument)?;
        let issuer = members.get("issuer").and_then(Value::as_str).and_then(Url::parse).map(|url| url.origin);
        let theirs: Vec<Origin> = issuer.into_iter().chain(self.known.iter().cloned()).collect();
        let mut changed = self.replace(&mut members, &theirs);
        if let Some(Value::Object(aliases)) = members.get_mut(ALIASES) {
            changed |= self.replace(aliases, &theirs);
        }
        if !changed {
            return Ok(None);
        }
        serde_json::to_vec(&members).map(Some).map_err(|_| NoDocument)
    }

    fn replace(&self, members: &mut Map<String, Value>, theirs: &[Origin]) -> bool {
        let mut changed = false;
        for (_, value) in members.iter_mut().filter(|(name, _)| name.ends_with("_endpoint")) {
            if let Some(ours) = value.as_str().and_then(|url| self.ours(url, theirs)) {
                *value = Value::String(ours);
                changed = true;
            }
        }
        changed
    }

    /// What leads to this URL.
    fn ours(&self, url: &str, theirs: &[Origin]) -> Option<String> {
        let url = Url::parse(url).filter(|url| theirs.contains(&url.origin))?;
        let (endpoint, tenant) = routed(&self.endpoints, &url.path)?;
        // Where the upstream's path is the same for all of them, it is the tenant whose document this is.
        let tenant = if tenant.is_empty() { self.tenant } else { tenant };
        if endpoint.path.has_tenant() && tenant.is_empty() {
            return None;
        }
        let path = endpoint.path.of(tenant);
        match (url.query, endpoint.query) {
            (None, _) => Some(format!("{}{path}", self.base)),
            (Some(query), QueryPolicy::Pass) => Some(format!("{}{path}?{query}", self.base)),
            (Some(_), QueryPolicy::Refuse) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::path::PathTemplate;

    fn endpoint(path: &str, upstream_path: &str) -> Endpoint {
        let template = |text: &str| PathTemplate::parse(text).unwrap();
        Endpoint { upstream_path: template(upstream_path), ..Endpoint::at(template(path)) }
    }

    fn published(document: &str, tenant: &str) -> Result<Option<String>, NoDocument> {
        let queried = Endpoint { query: QueryPolicy::Pass, ..endpoint("/b2c", "/b2c") };
        let endpoints = [
            endpoint("/oauth/token", "/token"),
            endpoint("/revoke", "/revoke"),
            endpoint("/realms/{tenant}/token", "/realms/{tenant}/token"),
            endpoint("/{tenant}/par", "/par"),
            endpoint("/exact", "/realms/master/token"),
            queried,
        ];
        let upstream = Url::parse("http://10.0.0.1:9000").map(|url| url.origin);
        let known = upstream.into_iter().chain(Origin::called("us.test:81")).collect();
        let ours = Ours { endpoints: endpoints.iter().collect(), known, base: "https://us.test/x", tenant };
        Ok(ours.publish(document.as_bytes())?.map(|bytes| String::from_utf8(bytes).unwrap()))
    }

    #[test]
    fn an_endpoint_that_we_stand_before_is_ours_and_everything_else_stays() {
        for (theirs, ours) in [
            (r#""token_endpoint":"https://as.test/token""#, r#""token_endpoint":"https://us.test/x/oauth/token""#),
            (r#""token_endpoint":"https://AS.test:443/token""#, r#""token_endpoint":"https://us.test/x/oauth/token""#),
            (r#""token_endpoint":"http://10.0.0.1:9000/token""#, r#""token_endpoint":"https://us.test/x/oauth/token""#),
            (r#""token_endpoint":"http://us.test:81/token""#, r#""token_endpoint":"https://us.test/x/oauth/token""#),
            (r#""token_endpoint":"https://us.test:81/token""#, r#""token_endpoint":"https://us.test/x/oauth/token""#),
            (
                r#""z":[1,null],"revocation_endpoint":"https://as.test/revoke","a":{"token_endpoint":"https://as.test/token"}"#,
                r#""z":[1,null],"revocation_endpoint":"https://us.test/x/revoke","a":{"token_endpoint":"https://as.test/token"}"#,
            ),
            (
                r#""mtls_endpoint_aliases":{"token_endpoint":"https://as.test/token","x":"https://as.test/token"}"#,
                r#""mtls_endpoint_aliases":{"token_endpoint":"https://us.test/x/oauth/token","x":"https://as.test/token"}"#,
            ),
            (
                r#""token_endpoint":"https://as.test/realms/shop/token""#,
                r#""token_endpoint":"https://us.test/x/realms/shop/token""#,
            ),
            (
                r#""token_endpoint":"https://as.test/realms/master/token""#,
                r#""token_endpoint":"https://us.test/x/exact""#,
            ),
            (
                r#""pushed_authorization_request_endpoint":"https://as.test/par""#,
                r#""pushed_authorization_request_endpoint":"https://us.test/x/bank/par""#,
            ),
            (r#""token_endpoint":"https://as.test/b2c?p=1""#, r#""token_endpoint":"https://us.test/x/b2c?p=1""#),
        ] {
            let issuer = r#"{"issuer":"https://as.test/realms/shop","#;
            let expected = Ok(Some(format!("{issuer}{ours}}}")));
            assert_eq!(published(&format!("{issuer}{theirs}}}"), "bank"), expected, "{theirs}");
        }
    }

    #[test]
    fn what_is_not_ours_is_left_alone_byte_for_byte() {
        for member in [
            r#""token_endpoint":"https://elsewhere.test/token""#,
            r#""token_endpoint":"http://as.test/token""#,
            r#""token_endpoint":"https://as.test:8443/token""#,
            r#""token_endpoint":"https://as.test.evil/token""#,
            r#""token_endpoint":"https://u@as.test/token""#,
            r#""token_endpoint":"https://as.test/token/""#,
            r#""token_endpoint":"https://as.test/token?a=b""#,
            r#""token_endpoint":"https://as.test/token#a""#,
            r#""token_endpoint":"https://as.test/Token""#,
            r#""token_endpoint":"https://as.test/realms/a%2fb/token""#,
            r#""token_endpoint":"/token""#,
            r#""token_endpoint":["https://as.test/token"]"#,
            r#""pushed_authorization_request_endpoint":"https://as.test/par""#,
            r#""jwks_uri":"https://as.test/token""#,
            r#""mtls_endpoint_aliases":"https://as.test/token""#,
        ] {
            assert_eq!(published(&format!(r#"{{ "issuer": "https://as.test", {member} }}"#), ""), Ok(None), "{member}");
        }
    }

    #[test]
    fn what_is_no_object_is_no_document() {
        for bad in ["", "[]", "null", "\"a\"", "{", "{}{}", "{\"a\":1,}", "<html>", "{\"a\":\"\u{1}\"}"] {
            assert_eq!(published(bad, ""), Err(NoDocument), "{bad}");
        }
        assert_eq!(published("{}", ""), Ok(None));
    }
}
