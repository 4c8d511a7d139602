//! Discovery: where a server's document may be, and which of the endpoints in it no `[[endpoint]]` leads to. Who
//! authenticates at one of those needs the server's own secret, which then cannot be rotated.

use serde::Deserialize;

use super::{Origin, Url, routed};
use crate::config::settings::Endpoint;
use crate::config::settings::kinds::EndpointAuth;
use crate::config::settings::path::PathTemplate;

/// What a document says of the endpoints where clients authenticate.
#[derive(Debug, PartialEq, Eq)]
pub struct Described {
    /// Who it is.
    pub issuer: String,
    /// How clients may authenticate at the token endpoint.
    pub methods: Vec<String>,
    /// Members and their URLs.
    endpoints: Vec<(String, String)>,
}

/// An endpoint that we do not stand before.
#[derive(Debug, PartialEq, Eq)]
pub struct Unrouted {
    /// The member that names it.
    pub member: String,
    /// Where it is.
    pub url: String,
    /// The lines that route it; nothing where it is at another server, or at a path that no `[[endpoint]]` can have.
    pub lines: Option<String>,
}

/// A server as the configuration has it.
pub struct Surveyed<'s> {
    /// Every endpoint, of whichever server.
    pub endpoints: &'s [Endpoint],
    /// Every server as we call it, by its number.
    pub origins: Vec<Option<Origin>>,
    /// This one, as it was called to ask it.
    pub called: Vec<Origin>,
    /// This one's number.
    pub upstream: usize,
    /// ... and its name; often none.
    pub name: &'s str,
    /// The tenant whose document this is; often none.
    pub tenant: &'s str,
}

/// More of them are rather guesses.
const MOST_PLACES: usize = 12;
/// Methods by which a client presents no secret to be checked, but signs.
const SIGNED: [&str; 2] = ["client_secret_jwt", "private_key_jwt"];

/// Paths of the document of an issuer with this path: by RFC 8414 section 3.1, then by OpenID Connect Discovery section 4.
pub fn places_of(issuer: &str) -> [String; 2] {
    let issuer = issuer.trim_end_matches('/');
    [format!("/.well-known/oauth-authorization-server{issuer}"), format!("{issuer}/.well-known/openid-configuration")]
}

/// Paths where the document of a server with these endpoints may be, the likeliest first.
pub fn places(endpoints: &[String]) -> Vec<String> {
    let known = endpoints.iter().filter_map(|path| known_issuer(path));
    let above = endpoints.iter().flat_map(|path| path.match_indices('/').skip(1).filter_map(|(at, _)| path.get(..at)));
    let above = above.map(str::to_owned);
    let mut places: Vec<String> = Vec::new();
    for place in known.chain([String::new()]).chain(above).flat_map(|issuer| places_of(&issuer)) {
        if places.len() < MOST_PLACES && !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

/// The issuer's path, of servers that are known by the paths of their endpoints: Keycloak, Entra ID.
fn known_issuer(path: &str) -> Option<String> {
    let keycloak = path.split_once("/protocol/openid-connect/").map(|(realm, _)| realm.to_owned());
    keycloak.or_else(|| path.split_once("/oauth2/v2.0/").map(|(tenant, _)| format!("{tenant}/v2.0")))
}

impl Described {
    /// Reads a document. A member of a wrong type, or one that stands twice, makes it none.
    pub fn read(document: &[u8]) -> Option<Self> {
        let head: Head = serde_json::from_slice(document).ok()?;
        let own: Endpoints = serde_json::from_slice(document).ok()?;
        let aliases = head.mtls_endpoint_aliases.unwrap_or_default();
        let aliases = aliases.urls().map(|(member, url)| (format!("{}.{member}", super::ALIASES), url));
        let endpoints = own.urls().map(|(member, url)| (member.to_owned(), url)).chain(aliases).collect();
        // What is not said means this (RFC 8414 section 2).
        let methods =
            head.token_endpoint_auth_methods_supported.unwrap_or_else(|| vec!["client_secret_basic".to_owned()]);
        Some(Self { issuer: head.issuer, methods, endpoints })
    }
}

#[derive(Deserialize)]
struct Head {
    issuer: String,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    mtls_endpoint_aliases: Option<Endpoints>,
}

/// The endpoints where clients authenticate.
#[derive(Default, Deserialize)]
struct Endpoints {
    token_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    introspection_endpoint: Option<String>,
    pushed_authorization_request_endpoint: Option<String>,
    device_authorization_endpoint: Option<String>,
    backchannel_authentication_endpoint: Option<String>,
}

impl Endpoints {
    fn urls(self) -> impl Iterator<Item = (&'static str, String)> {
        let members = [
            ("token_endpoint", self.token_endpoint),
            ("revocation_endpoint", self.revocation_endpoint),
            ("introspection_endpoint", self.introspection_endpoint),
            ("pushed_authorization_request_endpoint", self.pushed_authorization_request_endpoint),
            ("device_authorization_endpoint", self.device_authorization_endpoint),
            ("backchannel_authentication_endpoint", self.backchannel_authentication_endpoint),
        ];
        members.into_iter().filter_map(|(member, url)| Some((member, url?)))
    }
}

impl Surveyed<'_> {
    /// The endpoints that no `[[endpoint]]` leads to.
    pub fn unrouted(&self, described: &Described) -> Vec<Unrouted> {
        let missed = described.endpoints.iter().filter(|(_, url)| self.route(described, url).is_none());
        let unrouted = |(member, url): &(String, String)| Unrouted {
            member: member.clone(),
            url: url.clone(),
            lines: self.lines(described, url),
        };
        missed.map(unrouted).collect()
    }

    /// The path of the token endpoint, and the methods at it by which a client presents no secret, where one must be
    /// presented.
    pub fn signed<'d>(&self, described: &'d Described) -> Option<(&PathTemplate, Vec<&'d str>)> {
        let (_, url) = described.endpoints.iter().find(|(member, _)| member == "token_endpoint")?;
        let endpoint = self.route(described, url).filter(|endpoint| endpoint.auth == EndpointAuth::Required)?;
        let signed: Vec<_> =
            described.methods.iter().map(String::as_str).filter(|method| SIGNED.contains(method)).collect();
        (!signed.is_empty()).then_some((&endpoint.path, signed))
    }

    /// What leads to this URL.
    fn route(&self, described: &Described, url: &str) -> Option<&Endpoint> {
        let url = Url::parse(url)?;
        let own = self.is_own(described, &url);
        let leads = |endpoint: &&Endpoint| match own {
            true => endpoint.upstream == self.upstream,
            false => self.origins.get(endpoint.upstream).is_some_and(|other| other.as_ref() == Some(&url.origin)),
        };
        let endpoints: Vec<_> = self.endpoints.iter().filter(leads).collect();
        routed(&endpoints, &url.path).map(|(endpoint, _)| endpoint)
    }

    /// Whether it is at this server, as the server calls itself or as we do.
    fn is_own(&self, described: &Described, url: &Url) -> bool {
        let ours = self.origins.get(self.upstream).and_then(Option::as_ref);
        ours == Some(&url.origin)
            || self.called.contains(&url.origin)
            || Url::parse(&described.issuer).is_some_and(|issuer| issuer.origin == url.origin)
    }

    fn lines(&self, described: &Described, url: &str) -> Option<String> {
        let url = Url::parse(url).filter(|url| self.is_own(described, url))?;
        PathTemplate::parse(&url.path).ok().filter(|path| !path.has_tenant())?;
        let mut lines = format!("[[endpoint]]\npath = \"{}\"\n", self.templated(&url.path));
        if !self.name.is_empty() {
            lines.push_str(&format!("upstream = \"{}\"\n", self.name));
        }
        if url.query.is_some() {
            lines.push_str("query = \"pass\"\n");
        }
        Some(lines)
    }

    /// The path of every tenant, where this is one tenant's.
    fn templated(&self, path: &str) -> String {
        let is_theirs = |segment: &&str| !self.tenant.is_empty() && *segment == self.tenant;
        match path.split('/').position(|segment| is_theirs(&segment)) {
            None => path.to_owned(),
            Some(at) => {
                let segments = path.split('/').enumerate();
                segments
                    .map(|(index, segment)| if index == at { "{tenant}" } else { segment })
                    .collect::<Vec<_>>()
                    .join("/")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::kinds::QueryPolicy;

    #[test]
    fn the_likeliest_places_come_first() {
        const OAUTH: &str = "/.well-known/oauth-authorization-server";
        const OPENID: &str = "/.well-known/openid-configuration";
        for (endpoints, issuers) in [
            (&["/token"][..], &[""][..]),
            (&["/oauth/token", "/oauth/revoke"], &["", "/oauth"]),
            (&["/oauth2/default/v1/token"], &["", "/oauth2", "/oauth2/default", "/oauth2/default/v1"]),
            (
                &["/realms/shop/protocol/openid-connect/token"],
                &["/realms/shop", "", "/realms", "/realms/shop/protocol", "/realms/shop/protocol/openid-connect"],
            ),
            (
                &["/auth/realms/a/protocol/openid-connect/token"],
                &[
                    "/auth/realms/a",
                    "",
                    "/auth",
                    "/auth/realms",
                    "/auth/realms/a/protocol",
                    "/auth/realms/a/protocol/openid-connect",
                ],
            ),
            (&["/t/oauth2/v2.0/token"], &["/t/v2.0", "", "/t", "/t/oauth2", "/t/oauth2/v2.0"]),
            (&[], &[""]),
        ] {
            let endpoints: Vec<_> = endpoints.iter().map(|path| (*path).to_owned()).collect();
            let expected: Vec<_> =
                issuers.iter().flat_map(|issuer| [format!("{OAUTH}{issuer}"), format!("{issuer}{OPENID}")]).collect();
            let found = places(&endpoints);
            assert_eq!(found, expected.into_iter().take(MOST_PLACES).collect::<Vec<_>>(), "{endpoints:?}");
        }
        assert_eq!(places_of("/realms/a/"), [format!("{OAUTH}/realms/a"), format!("/realms/a{OPENID}")]);
        assert_eq!(places_of("/"), [OAUTH, OPENID]);
    }

    #[test]
    fn a_document_has_an_issuer_and_each_member_once() {
        let read = Described::read(br#"{"issuer":"https://a","token_endpoint":"https://a/t","x":1,"x":2}"#).unwrap();
        assert_eq!(read.endpoints, [("token_endpoint".to_owned(), "https://a/t".to_owned())]);
        assert_eq!(read.methods, ["client_secret_basic"]);
        for bad in [
            "",
            "<html>",
            "[]",
            "{}",
            r#"{"issuer":null}"#,
            r#"{"issuer":"a","issuer":"b"}"#,
            r#"{"issuer":"a","token_endpoint":"b","token_endpoint":"c"}"#,
            r#"{"issuer":"a","token_endpoint":7}"#,
            r#"{"issuer":"a","mtls_endpoint_aliases":[7]}"#,
            r#"{"issuer":"a"} x"#,
        ] {
            assert_eq!(Described::read(bad.as_bytes()), None, "{bad}");
        }
    }

    fn endpoint(path: &str, upstream: usize) -> Endpoint {
        Endpoint { upstream, ..Endpoint::at(PathTemplate::parse(path).unwrap()) }
    }

    /// What one member with this URL gives, at upstream 1 of two.
    fn lines(url: &str) -> Option<Option<String>> {
        let mut endpoints = vec![endpoint("/token", 1), endpoint("/other", 0), endpoint("/realms/{tenant}/token", 1)];
        endpoints.push(Endpoint { query: QueryPolicy::Pass, ..endpoint("/q", 1) });
        let origin = |url: &str| Url::parse(url).map(|url| url.origin);
        let origins = vec![origin("https://mtls.test"), origin("http://10.0.0.1:9000")];
        let surveyed = Surveyed {
            endpoints: &endpoints,
            origins,
            called: Origin::called("us.test").collect(),
            upstream: 1,
            name: "as",
            tenant: "shop",
        };
        let document = serde_json::json!({"issuer": "https://as.test/realms/shop", "revocation_endpoint": url});
        let described = Described::read(document.to_string().as_bytes()).unwrap();
        surveyed.unrouted(&described).pop().map(|unrouted| unrouted.lines)
    }

    #[test]
    fn an_endpoint_that_nothing_leads_to_is_told_with_the_lines_that_do() {
        for routed in [
            "https://as.test/token",
            "http://10.0.0.1:9000/token",
            "https://as.test/realms/bank/token",
            "https://mtls.test/other",
            "https://us.test/token",
            "https://as.test/q?p=1",
        ] {
            assert_eq!(lines(routed), None, "{routed}");
        }
        let written = |path: &str| Some(Some(format!("[[endpoint]]\npath = \"{path}\"\nupstream = \"as\"\n")));
        assert_eq!(lines("https://as.test/revoke"), written("/revoke"));
        assert_eq!(lines("https://as.test/realms/shop/revoke"), written("/realms/{tenant}/revoke"));
        assert_eq!(lines("https://as.test/shop/shop"), written("/{tenant}/shop"));
        assert_eq!(lines("https://as.test/other"), written("/other"), "of another server");
        let queried = "[[endpoint]]\npath = \"/r\"\nupstream = \"as\"\nquery = \"pass\"\n";
        assert_eq!(lines("https://as.test/r?p=1"), Some(Some(queried.to_owned())));
        for not_writable in ["https://mtls.test/token", "https://as.test/a\"b", "/revoke", "https://as.test/{tenant}"] {
            assert_eq!(lines(not_writable), Some(None), "{not_writable}");
        }
    }

    #[test]
    fn who_signs_presents_no_secret_where_one_is_required() {
        let optional = Endpoint { auth: EndpointAuth::Optional, ..endpoint("/optional", 0) };
        let endpoints = [endpoint("/token", 0), optional];
        let surveyed = Surveyed {
            endpoints: &endpoints,
            origins: vec![None],
            called: Vec::new(),
            upstream: 0,
            name: "",
            tenant: "",
        };
        for (path, methods, signed) in [
            ("/token", &["client_secret_post", "private_key_jwt"][..], Some(vec!["private_key_jwt"])),
            ("/token", &["client_secret_jwt", "private_key_jwt"], Some(SIGNED.to_vec())),
            ("/token", &["client_secret_basic", "none"], None),
            ("/optional", &["private_key_jwt"], None),
            ("/elsewhere", &["private_key_jwt"], None),
        ] {
            let document = serde_json::json!({"issuer": "https://a", "token_endpoint": format!("https://a{path}"),
                "token_endpoint_auth_methods_supported": methods});
            let described = Described::read(document.to_string().as_bytes()).unwrap();
            assert_eq!(surveyed.signed(&described).map(|(_, signed)| signed), signed, "{path} {methods:?}");
        }
    }
}
