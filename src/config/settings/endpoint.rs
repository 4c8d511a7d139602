//! `[[endpoint]]`: what is served, and whether a secret must be presented there.

use super::Proxy;
use super::kinds::{CredentialMode, EndpointAuth, QueryPolicy};
use super::path::PathTemplate;
use super::upstream::{HostPolicy, Upstream};
use crate::config::reader::{Section, Size, nearest};
use crate::domain::ids::{ClientId, ClientKey};

/// One `[[endpoint]]`: an exact path, or that of every tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The path that callers use, byte for byte.
    pub path: PathTemplate,
    /// The path that the upstream sees, with the tenant of the caller's.
    pub upstream_path: PathTemplate,
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

    /// Whether a client is looked for at this path: one of a tenant where the path names a tenant, else one of none.
    pub fn reaches(&self, client: &ClientKey) -> bool {
        self.path.has_tenant() != client.tenant.is_empty()
    }

    /// Whether its requests may go out with the client's upstream secret though they present none.
    pub fn entrusts(&self, client: &ClientKey) -> bool {
        self.is_egress() && self.reaches(client) && self.client.as_ref().is_none_or(|id| *id == client.id)
    }

    /// The tenant whose requests come out, by this endpoint, at the upstream path of another one that is for clients of none.
    fn shares_with<'o>(&self, other: &'o Self, all: &[Self]) -> Option<&'o str> {
        let fixed = Some(other.upstream_path.as_str()).filter(|_| !other.upstream_path.has_tenant())?;
        let tenant = self.upstream_path.tenant_in(fixed).filter(|_| self.upstream_path.has_tenant())?;
        let own = self.path.of(tenant);
        // Where an exact path takes that tenant's requests, none comes this way.
        (!all.iter().any(|exact| !exact.path.has_tenant() && exact.path.as_str() == own)).then_some(tenant)
    }

    pub(super) fn read_all(
        root: &mut Section<'_, '_>,
        proxy: &Proxy,
        upstream: &Option<Upstream>,
        named: &[Option<Upstream>],
    ) -> Vec<Self> {
        let names: Vec<_> = named.iter().map(|one| one.as_ref().map_or("", |one| &one.name)).collect();
        let mut endpoints = root.sections("endpoint", |section| Self::read(section, &names));
        for (index, endpoint) in endpoints.iter().enumerate() {
            for earlier in endpoints.iter().take(index).filter(|earlier| earlier.path.rivals(&endpoint.path)) {
                let why = if earlier.path == endpoint.path {
                    format!("two endpoints have the path {}: keep one", endpoint.path)
                } else {
                    format!("one request could be for {} and for {}: keep one", earlier.path, endpoint.path)
                };
                root.error("endpoint", why);
            }
        }
        let told_apart = |endpoint: &Self| endpoint.path.has_tenant() == endpoint.upstream_path.has_tenant();
        let of = |endpoint: &Self| std::iter::once(upstream).chain(named).nth(endpoint.upstream)?.as_ref();
        let asserts = |endpoint: &Self| of(endpoint).is_some_and(|its| its.credential == CredentialMode::Assert);
        if let Some(endpoint) = endpoints.iter().find(|endpoint| asserts(endpoint) && !told_apart(endpoint)) {
            let why = "has no {tenant}, and with credential = \"assert\" the upstream is told of the client's id alone: it could \
                       not tell two tenants' clients apart";
            root.error("endpoint", format!("upstream_path {} {why}", endpoint.upstream_path));
        }
        let pairs = endpoints.iter().flat_map(|one| endpoints.iter().map(move |other| (one, other)));
        for (one, of_tenants) in pairs.filter(|(one, other)| asserts(one) && one.upstream == other.upstream) {
            if let Some(tenant) = of_tenants.shares_with(one, &endpoints) {
                let why = format!(
                    "is also where {} leads for tenant {tenant:?}, and with credential = \"assert\" the upstream is told of \
                     the client's id alone: it could not tell that tenant's clients from those of none; give it another",
                    of_tenants.path
                );
                root.error("endpoint", format!("upstream_path {} {why}", one.upstream_path));
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
            let preserves = |endpoint: &&Self| of(endpoint).is_some_and(|its| its.host == HostPolicy::Preserve);
            if let Some(endpoint) = endpoints.iter().filter(|endpoint| endpoint.is_egress()).find(preserves) {
                let why = "host = \"preserve\" sends on the Host by which an application calls relatch, and with auth = \
                           \"none\" a token server elsewhere expects its own: write host = \"upstream\"";
                root.warn(if endpoint.upstream == 0 { "upstream" } else { "upstreams" }, why);
            }
        }
        if endpoints.is_empty() {
            root.show("endpoint", || serde_json::json!([{"path": ENDPOINT_PATH}]));
            endpoints.extend(PathTemplate::parse(ENDPOINT_PATH).map(Self::at));
        }
        endpoints
    }

    /// One of that path, everything else default.
    pub(crate) fn at(path: PathTemplate) -> Self {
        Self {
            upstream_path: path.clone(),
            path,
            upstream: 0,
            auth: EndpointAuth::Required,
            client: None,
            query: QueryPolicy::Refuse,
            max_body: MAX_BODY,
            json: false,
        }
    }

    fn read(section: &mut Section<'_, '_>, upstreams: &[&str]) -> Self {
        let written: Option<String> =
            section.must("path", "The path that callers use, byte for byte; may have {tenant}");
        let path = template(section, "path", written.as_deref());
        let written: Option<String> =
            section.take("upstream_path", "The path that the upstream sees; default: the same, of the same tenant");
        let upstream_path = template(section, "upstream_path", written.as_deref());
        let upstream_path = upstream_path.unwrap_or_else(|| path.clone().unwrap_or_default());
        let path = path.unwrap_or_default();
        if upstream_path.has_tenant() && !path.has_tenant() {
            section.error("upstream_path", "has {tenant}, and path does not: nothing says whose");
        }
        let upstream = section.take("upstream", "Which [upstreams.NAME]; default: [upstream]");
        let upstream = upstream.map_or(0, |name: String| find(&name, upstreams, section));
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
}

/// The number of the upstream of that name.
pub(super) fn find(name: &str, upstreams: &[&str], section: &Section<'_, '_>) -> usize {
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

/// A path that stands in the file; what is wrong with it is told.
fn template(section: &Section<'_, '_>, key: &str, written: Option<&str>) -> Option<PathTemplate> {
    PathTemplate::parse(written?).map_err(|why| section.error(key, why)).ok()
}
