//! Where a server is that we call: over HTTP or HTTPS, or a unix socket.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use rustls_pki_types::ServerName;

use crate::config::values;
use crate::from_text;

/// Where the upstream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Over TCP.
    Tcp(Target),
    /// A unix socket.
    Unix(PathBuf),
}

/// What a unix socket is called in a Host header where the caller's is not taken: the name that curl and Docker use.
const UNIX_AUTHORITY: &str = "localhost";

impl Address {
    fn parse(text: &str) -> Option<Self> {
        values::unix_path(text).map(Self::Unix).or_else(|| Target::parse(text).map(Self::Tcp))
    }

    /// What the Host header calls it.
    pub fn authority(&self) -> &str {
        match self {
            Self::Tcp(target) => &target.authority,
            Self::Unix(_) => UNIX_AUTHORITY,
        }
    }

    /// Whether what is sent there stays on this machine.
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Tcp(target) => target.is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// Whether it is asked over TLS.
    pub const fn is_https(&self) -> bool {
        matches!(self, Self::Tcp(target) if target.https)
    }

    /// The name that its certificate has, where the settings say no other. Nothing where there is none.
    pub fn server_name(&self) -> Option<ServerName<'static>> {
        match self {
            Self::Tcp(target) => target.server_name(),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(target) => target.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
from_text!(
    Address,
    "an http or https URL of a host and a port, such as \"http://127.0.0.1:9000\", or \"unix:PATH\"; paths belong to \
    [[endpoint]]",
    Address::parse
);

/// A server that is asked over HTTP: `http://host[:port]` or `https://host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whether over TLS.
    pub https: bool,
    /// A name or an address, without the brackets of IPv6.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Host and port as a Host header has them.
    pub authority: String,
}

impl Target {
    fn parse(text: &str) -> Option<Self> {
        let uri: http::Uri = text.parse().ok()?;
        let authority = uri.authority()?;
        let (https, port) = match uri.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            _ => return None,
        };
        let bare = matches!(uri.path(), "" | "/") && uri.query().is_none() && !authority.as_str().contains('@');
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        // A certificate cannot be for what is no name.
        let nameable = !https || ServerName::try_from(host.as_str()).is_ok();
        (bare && nameable && !host.is_empty()).then(|| Self {
            https,
            host,
            port: authority.port_u16().unwrap_or(port),
            authority: authority.as_str().to_owned(),
        })
    }

    /// The name that its certificate has; nothing where it shows none.
    pub fn server_name(&self) -> Option<ServerName<'static>> {
        self.https.then(|| ServerName::try_from(self.host.clone()).ok()).flatten()
    }

    /// Whether what is sent there stays on this machine.
    fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http{}://{}", if self.https { "s" } else { "" }, self.authority)
    }
}
from_text!(Target, "an http or https URL of a host and a port, such as \"http://127.0.0.1:9090\"", Target::parse);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_a_host_and_a_port() {
        let target = Target::parse("http://[::1]:9000").unwrap();
        assert_eq!((target.host.as_str(), target.port, target.authority.as_str()), ("::1", 9000, "[::1]:9000"));
        for (url, port) in [("http://as.internal/", 80), ("https://as.internal", 443), ("https://10.0.0.1:8443", 8443)]
        {
            let target = Target::parse(url).unwrap();
            assert_eq!((target.port, target.to_string().as_str()), (port, url.trim_end_matches('/')));
        }
        for bad in [
            "",
            "as.internal",
            "ftp://a",
            "https://a_b..c",
            "file:///etc",
            "http://a/token",
            "http://a?x",
            "http://u:p@a",
            "unix:/x",
        ] {
            assert_eq!(Target::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn assert_wants_a_link_that_nobody_else_can_write_to() {
        for (host, closed) in
            [("127.0.0.1", true), ("127.8.8.8", true), ("[::1]", true), ("localhost", true), ("10.0.0.1", false)]
        {
            assert_eq!(Target::parse(&format!("http://{host}:1")).unwrap().is_loopback(), closed, "{host}");
        }
    }
}
