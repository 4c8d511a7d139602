//! Which endpoint a request is for: exact bytes of the path, and the method, query and Host that go with it.

use http::header::HeaderValue;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Uri};

use super::report::Notes;
use crate::config::settings::kinds::{EndpointAuth, QueryPolicy};
use crate::config::settings::{Endpoint, Settings};
use crate::domain::oauth::Refusal;
use crate::extract::form::{Form, FormCredentials};

/// The paths we serve.
pub struct Routes {
    routes: Vec<Route>,
}

/// One endpoint.
pub struct Route {
    /// What is configured for it.
    pub endpoint: Endpoint,
    upstream: Uri,
    allowed_hosts: Vec<String>,
}

impl Routes {
    /// The routes of a configuration, whose paths were checked when it was read.
    pub fn of(settings: &Settings) -> Self {
        let route = |endpoint: &Endpoint| Route {
            upstream: endpoint.upstream_path.parse().unwrap_or_default(),
            allowed_hosts: settings
                .all_upstreams()
                .nth(endpoint.upstream)
                .map_or_else(Vec::new, |upstream| upstream.allowed_hosts.clone()),
            endpoint: endpoint.clone(),
        };
        Self { routes: settings.endpoints.iter().map(route).collect() }
    }

    /// The route of a path, compared byte for byte: nothing is decoded, folded or trimmed.
    pub fn find(&self, method: &Method, uri: &Uri, notes: &mut Notes) -> Result<&Route, Refusal> {
        let at = self.routes.iter().position(|route| route.endpoint.path == uri.path());
        notes.endpoint = at;
        match at.and_then(|at| self.routes.get(at)) {
            Some(route) => Ok(route),
            // `OPTIONS *` and CONNECT ask for no path.
            None if method != Method::POST && matches!(uri.path(), "*" | "") => Err(Refusal::MethodNotAllowed),
            None => Err(Refusal::NotFound),
        }
    }

    /// The path at an index, for labels and logs.
    pub fn name(&self, at: Option<usize>) -> &str {
        at.and_then(|at| self.routes.get(at)).map_or("other", |route| &route.endpoint.path)
    }
}

impl Route {
    /// Refuses a Host that we do not answer for. A port in the header is overlooked where the list has none.
    pub fn check_host(&self, host: Option<&HeaderValue>) -> Result<(), Refusal> {
        if self.allowed_hosts.is_empty() {
            return Ok(());
        }
        let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
        let name = host
            .rsplit_once(':')
            .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
            .map_or(host, |(name, _)| name);
        let allowed = |known: &String| known.eq_ignore_ascii_case(host) || known.eq_ignore_ascii_case(name);
        if self.allowed_hosts.iter().any(allowed) { Ok(()) } else { Err(Refusal::Misdirected) }
    }

    /// Refuses a query where none is expected, and any method but POST; endpoints that browsers call take a preflight.
    /// Gives the query, where there is one that may pass.
    pub fn check<'p>(&self, parts: &'p Parts) -> Result<Option<Form<'p>>, Refusal> {
        let query = match (parts.uri.query(), self.endpoint.query) {
            (None, _) => None,
            (Some(_), QueryPolicy::Refuse) => return Err(Refusal::NotFound),
            // Credentials must not stand in the URI (RFC 6749 section 2.3.1), nor anything that a server might take for them.
            (Some(query), QueryPolicy::Pass) => match Form::parse(query.as_bytes()) {
                Ok(form) if !form.says_who() => Some(form),
                _ => return Err(Refusal::InvalidRequest),
            },
        };
        let preflight = parts.method == Method::OPTIONS && self.endpoint.auth == EndpointAuth::Optional;
        if parts.method == Method::POST || preflight { Ok(query) } else { Err(Refusal::MethodNotAllowed) }
    }

    /// The target that the upstream sees, its query written anew.
    pub fn upstream_uri(&self, query: Option<&Form<'_>>) -> Result<Uri, Refusal> {
        let Some(query) = query else { return Ok(self.upstream.clone()) };
        let mut written = Vec::new();
        query.write(FormCredentials::None, &mut written);
        let target = [self.endpoint.upstream_path.as_bytes(), b"?", &written].concat();
        PathAndQuery::try_from(target).map(Uri::from).map_err(|_| Refusal::InvalidRequest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_allowed_with_or_without_its_port() {
        let route = |hosts: &[&str]| Route {
            endpoint: Endpoint::at("/token"),
            upstream: Uri::default(),
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
            assert_eq!(
                route(allowed).check_host(Some(&HeaderValue::from_static(host))).is_ok(),
                ok,
                "{allowed:?} {host}"
            );
        }
    }
}
