//! Where an API is: a URL without query, under which its paths hang.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

/// Where an API is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// How it is reached.
    pub door: Door,
    /// Host and port as a Host header has them.
    pub authority: String,
    /// What stands before each path; without a slash at its end.
    pub prefix: String,
}

/// How a server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    /// Over TCP.
    Tcp {
        /// A name or an address, without the brackets of IPv6.
        host: String,
        /// The port.
        port: u16,
        /// Whether TLS is spoken.
        tls: bool,
    },
    /// A unix socket.
    Unix(PathBuf),
}

impl Base {
    /// `https://host[:port][/path]`, `http://...` or `unix:PATH`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Some(Self {
                door: Door::Unix(path.into()),
                authority: "localhost".to_owned(),
                prefix: String::new(),
            });
        }
        let uri: http::Uri = text.parse().ok()?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
        let tls = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() || uri.query().is_some() || text.contains('#') {
            return None;
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let door = Door::Tcp { host, port, tls };
        Some(Self {
            door,
            authority: authority.as_str().to_owned(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Whether what is sent there cannot be read on the way: over TLS, or on this machine.
    pub fn is_closed(&self) -> bool {
        match &self.door {
            Door::Tcp { tls: true, .. } | Door::Unix(_) => true,
            Door::Tcp { host, .. } => {
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            }
        }
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.door {
            Door::Tcp { tls, .. } => {
                write!(f, "{}://{}{}", if *tls { "https" } else { "http" }, self.authority, self.prefix)
            }
            Door::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_read_as_it_is_written() {
        for (text, closed) in [
            ("https://t.eu.auth0.com", true),
            ("https://as.test:4445/hydra", true),
            ("http://127.0.0.1:4445", true),
            ("http://[::1]:4445", true),
            ("http://localhost:4445", true),
            ("http://hydra-admin:4445", false),
            ("http://10.0.0.1", false),
            ("unix:/run/as.sock", true),
        ] {
            let base = Base::parse(text).unwrap();
            assert_eq!((base.to_string().as_str(), base.is_closed()), (text, closed));
        }
        assert_eq!(Base::parse("https://as.test/").unwrap().prefix, "");
        for bad in ["", "as.test", "ftp://as.test", "https://", "https://u:p@as.test", "https://as.test/?a", "unix:"] {
            assert_eq!(Base::parse(bad), None, "{bad}");
        }
    }
}
