//! `[proxy]`: where callers connect, and whose word is taken for who they are.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::tls::ServerTls;
use crate::config::reader::Section;
use crate::config::values;
use crate::domain::source::TrustedProxy;
use crate::from_text;

/// `[proxy]`
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Where callers connect.
    pub listen: Vec<Listen>,
    /// Data-plane threads; 0 means the cores that we may use.
    pub workers: usize,
    /// Whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// Whether each connection begins with a header of the PROXY protocol, from one of them.
    pub proxy_protocol: bool,
    /// Whether HTTP/2 is spoken beside HTTP/1.1.
    pub http2: bool,
    /// The certificate that callers see.
    pub tls: Option<ServerTls>,
    /// For how long browsers keep to TLS once they were here; not at all if zero.
    pub hsts: Duration,
}

/// One of `[proxy] listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

impl Listen {
    /// Whether others than this machine's own can come in.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Tcp(address) if !address.ip().is_loopback())
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

from_text!(Listen, "an address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\", or \"unix:PATH\"", |text| {
    let path = values::unix_path(text).map(Self::Unix);
    path.or_else(|| values::address(text).map(Self::Tcp))
}, shown ToString::to_string);

from_text!(
    TrustedProxy,
    "a network such as \"10.0.0.0/8\", an address, or \"unix\" for whoever opens our unix socket",
    TrustedProxy::parse
);

/// A port that nobody else has by habit, on loopback: a sidecar is reached from beside.
pub(super) const LISTEN: Listen =
    Listen::Tcp(SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080));

impl Proxy {
    pub(super) fn read(section: &mut Section<'_, '_>, base: &Path) -> Self {
        let mut listen: Vec<Listen> =
            section.or("listen", "Where callers connect: an address or unix:PATH; several as a list", vec![LISTEN]);
        if listen.is_empty() {
            section.error("listen", "expected at least one address");
        }
        for path in listen.iter_mut().filter_map(Listen::path) {
            *path = base.join(&*path);
            if let Some(problem) = values::too_long_for_a_socket(path) {
                section.error("listen", problem);
            }
        }
        let read = Self {
            listen,
            proxy_protocol: section.or(
                "proxy_protocol",
                "Each connection begins with a PROXY header (v1 or v2) of a trusted proxy; others are closed",
                false,
            ),
            http2: section.or("http2", "HTTP/2 too, by ALPN or prior knowledge", true),
            tls: ServerTls::read_in(section, base),
            hsts: section.or(
                "hsts",
                "With tls: Strict-Transport-Security for this long, such as \"365d\"",
                Duration::ZERO,
            ),
            workers: section.or("workers", "Data-plane threads; 0 = the cores we may use", 0),
            trusted_proxies: section.or(
                "trusted_proxies",
                "Networks whose X-Forwarded-For is believed; unix = our unix sockets",
                Vec::new(),
            ),
        };
        if !read.hsts.is_zero() && read.tls.is_none() {
            section.error("hsts", "goes with [proxy.tls]: it is for connections that are secured");
        }
        if read.proxy_protocol && read.trusted_proxies.is_empty() {
            section.error("proxy_protocol", "goes with trusted_proxies: name the load balancers whose word is taken");
        }
        read
    }
}

impl Listen {
    const fn path(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(path) => Some(path),
        }
    }
}
