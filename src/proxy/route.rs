//! Which endpoint a request is for: exact bytes of the path, and the method, query and Host that go with it.

use std::borrow::Cow;

use http::Method;

use super::report::Notes;
use crate::config::settings::kinds::{EndpointAuth, QueryPolicy};
use crate::config::settings::path::PathTemplate;
use crate::config::settings::{Endpoint, Settings};
use crate::domain::oauth::Refusal;
use crate::extract::form::{Form, FormCredentials};
use crate::message::request::Request;

/// The paths we serve.
pub struct Routes {
    routes: Vec<Route>,
    metadata: Vec<Route>,
}

/// One endpoint.
pub struct Route {
    /// What is configured for it.
    pub endpoint: Endpoint,
    allowed_hosts: Vec<String>,
}

/// The route of a request, and the tenant that its path names; empty where it names none.
pub type Found<'r> = (&'r Route, &'r str);

impl Routes {
    /// The routes of a configuration, whose paths were checked when it was read.
    pub fn of(settings: &Settings) -> Self {
        let route = |endpoint: &Endpoint| Route {
            allowed_hosts: settings
                .all_upstreams()
                .nth(endpoint.upstream)
                .map_or_else(Vec::new, |upstream| upstream.allowed_hosts.clone()),
            endpoint: endpoint.clone(),
        };
        let document = |path: &PathTemplate| {
            route(&Endpoint { upstream: settings.metadata.upstream, ..Endpoint::at(path.clone()) })
        };
        let metadata = settings.metadata.paths.iter().map(document).collect();
        Self { routes: settings.endpoints.iter().map(route).collect(), metadata }
    }

    /// The document of the authorization server that a request asks for, where it does.
    pub fn metadata<'r>(&'r self, request: &'r Request, notes: &mut Notes) -> Option<Found<'r>> {
        let asks = matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS);
        if !asks || request.target.query().is_some() {
            return None;
        }
        let (at, tenant) = position(&self.metadata, request.target.path())?;
        notes.endpoint = Some(self.routes.len() + at);
        Some((self.metadata.get(at)?, tenant))
    }

    /// The route of a path, compared byte for byte: nothing is decoded, folded or trimmed.
    pub fn find<'r>(&'r self, request: &'r Request, notes: &mut Notes) -> Result<Found<'r>, Refusal> {
        let path = request.target.path();
        let at = position(&self.routes, path);
        notes.endpoint = at.map(|(at, _)| at);
        match at.and_then(|(at, tenant)| Some((self.routes.get(at)?, tenant))) {
            Some(found) => Ok(found),
            // `OPTIONS *` and CONNECT ask for no path.
            None if request.method != Method::POST && matches!(path, "*" | "") => Err(Refusal::MethodNotAllowed),
            None => Err(Refusal::NotFound),
        }
    }

    /// The path at an index, for labels and logs.
    pub fn name(&self, at: Option<usize>) -> &str {
        let route = at.and_then(|at| self.routes.iter().chain(&self.metadata).nth(at));
        route.map_or("other", |route| route.endpoint.path.as_str())
    }
}

/// Where the route of a path stands, and the tenant it names. An exact path wins over one with a variable.
fn position<'p>(routes: &[Route], path: &'p str) -> Option<(usize, &'p str)> {
    let of = |exact: bool| {
        let routes = routes.iter().map(|route| &route.endpoint.path).enumerate();
        let mut routes = routes.filter(move |(_, template)| template.has_tenant() != exact);
        routes.find_map(|(at, template)| Some((at, template.tenant_in(path)?)))
    };
    of(true).or_else(|| of(false))
}

impl Route {
    /// Refuses a Host that we do not answer for. A port in the header is overlooked where the list has none.
    pub fn check_host(&self, host: Option<&[u8]>) -> Result<(), Refusal> {
        if self.allowed_hosts.is_empty() {
            return Ok(());
        }
        let host = host.and_then(|host| std::str::from_utf8(host).ok()).unwrap_or_default();
        let name = host
            .rsplit_once(':')
            .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
            .map_or(host, |(name, _)| name);
        let allowed = |known: &String| known.eq_ignore_ascii_case(host) || known.eq_ignore_ascii_case(name);
        if self.allowed_hosts.iter().any(allowed) { Ok(()) } else { Err(Refusal::Misdirected) }
    }

    /// Refuses a Host that does not stand in the list as it is: it goes into an answer, and there the port counts.
    pub fn check_exact_host(&self, host: Option<&str>) -> Result<(), Refusal> {
        let allowed = |known: &String| host.is_some_and(|host| known.eq_ignore_ascii_case(host));
        if self.allowed_hosts.iter().any(allowed) { Ok(()) } else { Err(Refusal::Misdirected) }
    }

    /// Refuses a query where none is expected, and any method but POST; endpoints that browsers call take a preflight.
    /// Gives the query, where there is one that may pass.
    pub fn check<'p>(&self, request: &'p Request) -> Result<Option<Form<'p>>, Refusal> {
        let query = match (request.target.query(), self.endpoint.query) {
            (None, _) => None,
            (Some(_), QueryPolicy::Refuse) => return Err(Refusal::NotFound),
            // Credentials must not stand in the URI (RFC 6749 section 2.3.1), nor anything that a server might take for them.
            (Some(query), QueryPolicy::Pass) => match Form::parse(query.as_bytes()) {
                Ok(form) if !form.says_who() => Some(form),
                _ => return Err(Refusal::InvalidRequest),
            },
        };
        let preflight = request.method == Method::OPTIONS && self.endpoint.auth == EndpointAuth::Optional;
        if request.method == Method::POST || preflight { Ok(query) } else { Err(Refusal::MethodNotAllowed) }
    }

    /// The target that the upstream sees, of the tenant that the caller's path names, its query written anew.
    pub fn upstream_target<'r>(&'r self, tenant: &str, query: Option<&Form<'_>>) -> Cow<'r, str> {
        let path = self.endpoint.upstream_path.of(tenant);
        let Some(query) = query else { return path };
        let mut written = Vec::new();
        query.write(FormCredentials::None, &mut written);
        // It is written in ASCII.
        [&*path, "?", std::str::from_utf8(&written).unwrap_or_default()].concat().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_path_wins_and_the_upstream_sees_the_same_tenant() {
        let text = "[upstream]\nurl = \"http://a:1\"\n[clients]\npath = \"c\"\n\
                    [[endpoint]]\npath = \"/realms/{tenant}/token\"\n\
                    [[endpoint]]\npath = \"/realms/master/token\"\nupstream_path = \"/m\"\n\
                    [[endpoint]]\npath = \"/{tenant}/t\"\nupstream_path = \"/x/{tenant}\"\n";
        let settings = Settings::parse("f", text, &[], std::path::Path::new("")).0.unwrap();
        let routes = Routes::of(&settings);
        for (path, expected) in [
            ("/realms/shop/token", Some((0, "shop", "/realms/shop/token"))),
            ("/realms/master/token", Some((1, "", "/m"))),
            ("/a~b/t", Some((2, "a~b", "/x/a~b"))),
            ("/realms/%6daster/token", None),
            ("/realms//token", None),
            ("/realms/../token", None),
        ] {
            let found = position(&routes.routes, path)
                .map(|(at, tenant)| (at, tenant, routes.routes[at].upstream_target(tenant, None).into_owned()));
            assert_eq!(found, expected.map(|(at, tenant, uri)| (at, tenant, uri.to_owned())), "{path}");
        }
        let query = Form::parse(b"a=b+c").unwrap();
        assert_eq!(routes.routes[2].upstream_target("z", Some(&query)), "/x/z?a=b+c");
    }

    #[test]
    fn a_host_is_allowed_with_or_without_its_port() {
        let route = |hosts: &[&str]| Route {
            endpoint: Endpoint::at(PathTemplate::default()),
            allowed_hosts: hosts.iter().map(|h| (*h).to_owned()).collect(),
        };
        for (allowed, host, ok) in [
            (&[][..], "anything", true),
            (&["as.test"][..], "AS.test", true),
            (&["as.test"], "as.test:8080", true),
            (&["as.test:8080"], "as.test:8080", true),
            (&["as.test:8080"], "as.test", false),
            (&["as.test"], "as.test.evil", false),
            (&["[::1]"], "[::1]:80", true),
        ] {
            assert_eq!(route(allowed).check_host(Some(host.as_bytes())).is_ok(), ok, "{allowed:?} {host}");
        }
    }
}
