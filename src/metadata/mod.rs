//! What an authorization server says of itself (RFC 8414, OpenID Connect Discovery): where its document may be, which of its
//! endpoints we stand before, and the document with our address in the place of its own.

pub mod discovery;
pub mod published;

use http::Uri;

use crate::config::settings::Endpoint;
use crate::config::settings::address::Address;

/// The member with the endpoints for callers that show a certificate (RFC 8705 section 5).
const ALIASES: &str = "mtls_endpoint_aliases";

/// A server as URLs name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    https: bool,
    host: String,
    port: u16,
}

/// A URL of an endpoint, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whose it is.
    pub origin: Origin,
    /// The path, byte for byte.
    pub path: String,
    /// The query, where there is one.
    pub query: Option<String>,
}

impl Url {
    /// An absolute http or https URL without fragment.
    pub fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
        let (https, port) = match uri.scheme_str()? {
            "https" => (true, 443),
            "http" => (false, 80),
            _ => return None,
        };
        let origin =
            Origin { https, host: authority.host().to_ascii_lowercase(), port: authority.port_u16().unwrap_or(port) };
        let query = uri.query().map(str::to_owned);
        (!text.contains('#')).then(|| Self { origin, path: uri.path().to_owned(), query })
    }
}

impl Origin {
    /// As we call it.
    pub fn of(address: &Address) -> Option<Self> {
        let scheme = if address.is_https() { "https" } else { "http" };
        Url::parse(&format!("{scheme}://{}", address.authority())).map(|url| url.origin)
    }

    /// As a server may call itself that was asked by this Host: with either scheme, for not every one learns which it was.
    pub fn called(host: &str) -> impl Iterator<Item = Self> {
        let urls = ["http", "https"].map(|scheme| Url::parse(&format!("{scheme}://{host}")));
        urls.into_iter().flatten().map(|url| url.origin)
    }
}

/// The endpoint that leads to this path of the upstream, and the tenant in it. An exact path wins over one with a variable.
fn routed<'e, 'p>(endpoints: &[&'e Endpoint], path: &'p str) -> Option<(&'e Endpoint, &'p str)> {
    let of = |exact: bool| {
        let mut endpoints = endpoints.iter().filter(move |endpoint| endpoint.upstream_path.has_tenant() != exact);
        endpoints.find_map(|endpoint| Some((*endpoint, endpoint.upstream_path.tenant_in(path)?)))
    };
    of(true).or_else(|| of(false))
}
