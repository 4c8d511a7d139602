//! `[[endpoint]]`: what is served, and whether a secret must be presented there.

use super::Proxy;
use super::kinds::{EndpointAuth, QueryPolicy};
use super::upstream::{HostPolicy, Upstream};
use crate::config::reader::{Section, Size, nearest};
use crate::domain::ids::ClientId;

/// One `[[endpoint]]`: an exact path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The path that callers use, byte for byte.
    pub path: String,
    /// The path that the upstream sees.
    pub upstream_path: String,
    /// Which upstream: 0 is `[upstream]`, the others follow in the order of their tables.
    pub upstream: usize,
    /// Whether a client secret must be presented.
    pub auth: EndpointAuth,
    /// With [`EndpointAuth::None`]: the one client that is served; else the form's `client_id` says it.
    pub client: Option<ClientId>,
    /// What to do with a query.
    pub query: QueryPolicy,
    /// The largest body, in bytes.
    pub max_body: usize,
    /// Whether a JSON body of string members is taken too, and sent on as a form.
    pub json: bool,
}

/// The path of RFC 6749's examples, prefixed as most servers have it.
const ENDPOINT_PATH: &str = "/oauth/token";
/// Token requests are under 10 KiB, assertions included; 64 KiB leaves room and bounds memory.
const MAX_BODY: usize = 64 << 10;

impl Endpoint {
    /// Whether it is of the egress direction.
    pub fn is_egress(&self) -> bool {
        self.auth == EndpointAuth::None
    }

    pub(super) fn read_all(
        root: &mut Section<'_, '_>,
        proxy: &Proxy,
        upstream: &Option<Upstream>,
        named: &[Option<Upstream>],
    ) -> Vec<Self> {
        let names: Vec<_> = named.iter().map(|one| one.as_ref().map_or("", |one| &one.name)).collect();
        let mut endpoints = root.sections("endpoint", |section| Self::read(section, &names));
        for (at, name) in names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            if !endpoints.iter().any(|endpoint| endpoint.upstream == at + 1) {
                let why = format!("[upstreams.{name}] is used by no [[endpoint]]: write upstream = \"{name}\" there");
                root.warn("upstreams", why);
            }
        }
        for (index, endpoint) in endpoints.iter().enumerate() {
            if endpoints.iter().take(index).any(|earlier| earlier.path == endpoint.path) {
                root.error("endpoint", format!("two endpoints have the path {}: keep one", endpoint.path));
            }
        }
        if endpoints.iter().any(Self::is_egress) {
            if let Some(open) = proxy.listen.iter().find(|listen| listen.is_open()) {
                let why = format!(
                    "auth = \"none\" gives tokens to whoever connects, and [proxy] listen has {open}: listen on loopback \
                     addresses only, such as 127.0.0.1:8080"
                );
                root.error("endpoint", why);
            }
            let preserves = |endpoint: &&Self| {
                let its = std::iter::once(upstream).chain(named).nth(endpoint.upstream);
                its.and_then(Option::as_ref).is_some_and(|upstream| upstream.host == HostPolicy::Preserve)
            };
            if let Some(endpoint) = endpoints.iter().filter(|endpoint| endpoint.is_egress()).find(preserves) {
                let why = "host = \"preserve\" sends on the Host by which an application calls relatch, and with auth = \
                           \"none\" a token server elsewhere expects its own: write host = \"upstream\"";
                root.warn(if endpoint.upstream == 0 { "upstream" } else { "upstreams" }, why);
            }
        }
        if endpoints.is_empty() {
            endpoints.push(Self::at(ENDPOINT_PATH));
        }
        endpoints
    }

    /// One of that path, everything else default.
    pub(crate) fn at(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            upstream_path: path.to_owned(),
            upstream: 0,
            auth: EndpointAuth::Required,
            client: None,
            query: QueryPolicy::Refuse,
            max_body: MAX_BODY,
            json: false,
        }
    }

    fn read(section: &mut Section<'_, '_>, upstreams: &[&str]) -> Self {
        let path: String = section.must("path", "The path that callers use, byte for byte").unwrap_or_default();
        let upstream_path = section.take("upstream_path", "The path that the upstream sees; default: the same");
        let upstream_path: String = upstream_path.unwrap_or_else(|| path.clone());
        for (key, value) in [("path", &path), ("upstream_path", &upstream_path)] {
            if section.has(key) && !is_path(value) {
                section
                    .error(key, "expected an absolute path without query, fragment or variables, such as /oauth/token");
            }
        }
        let upstream = section.take("upstream", "Which [upstreams.NAME]; default: [upstream]");
        let upstream = upstream.map_or(0, |name: String| Self::find(&name, upstreams, section));
        let auth_doc = "required: a client secret; optional: passes without; none: relatch puts one in";
        let read = Self {
            auth: section.or("auth", auth_doc, EndpointAuth::Required),
            client: section.take("client", "With auth = \"none\": the one client; default: as client_id says"),
            query: section.or("query", "refuse (404) or pass", QueryPolicy::Refuse),
            max_body: section.or("max_body", "The largest body", Size(MAX_BODY)).0,
            json: section.or("json", "true: JSON is taken too, and sent on as a form", false),
            path,
            upstream_path,
            upstream,
        };
        if read.client.is_some() && !read.is_egress() {
            section.error("client", "goes with auth = \"none\" only: elsewhere the caller proves who it is");
        }
        read
    }

    /// The number of the upstream of that name.
    fn find(name: &str, upstreams: &[&str], section: &Section<'_, '_>) -> usize {
        if let Some(at) = upstreams.iter().position(|known| *known == name) {
            return at + 1;
        }
        let why = match nearest(name, upstreams.iter().copied()) {
            Some(known) => format!("there is no [upstreams.{name}]: did you mean {known}?"),
            None => format!("there is no [upstreams.{name}]: add one, with its url"),
        };
        section.error("upstream", why);
        0
    }
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && !b"?#{}\\\"<>".contains(&b))
}
