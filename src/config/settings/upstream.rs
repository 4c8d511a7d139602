//! `[upstream]`: where the real token endpoint is, and what it gets to see.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::kinds::CredentialMode;
use super::later;
use crate::config::reader::Section;
use crate::config::values;
use crate::from_text;

/// `[upstream]`
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Where it is.
    pub target: Address,
    /// The Host that it sees.
    pub host: HostPolicy,
    /// With [`HostPolicy::Preserve`]: other Hosts get 421; empty means any. Lower case.
    pub allowed_hosts: Vec<String>,
    /// What becomes of a verified secret.
    pub credential: CredentialMode,
    /// The identity header of [`CredentialMode::Assert`].
    pub assert_header: HeaderName,
    /// For a connection to be made.
    pub connect_timeout: Duration,
    /// For the whole answer.
    pub request_timeout: Duration,
    /// For an idle connection.
    pub idle_timeout: IdleTimeout,
    /// Headers that pass beside the ones that always do.
    pub pass_headers: Vec<HeaderName>,
}

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
    fn is_closed(&self) -> bool {
        match self {
            Self::Tcp(target) => target.is_loopback(),
            Self::Unix(_) => true,
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
    "an http URL of a host and a port, such as \"http://127.0.0.1:9000\", or \"unix:PATH\"; paths belong to \
    [[endpoint]], and https is not in this version",
    Address::parse
);

/// A server that is asked over HTTP: `http://host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
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
        let bare = matches!(uri.path(), "" | "/") && uri.query().is_none() && !authority.as_str().contains('@');
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        (bare && uri.scheme_str() == Some("http") && !host.is_empty()).then(|| Self {
            host,
            port: authority.port_u16().unwrap_or(80),
            authority: authority.as_str().to_owned(),
        })
    }

    /// Whether what is sent there stays on this machine.
    fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}
from_text!(
    Target,
    "an http URL of a host and a port, such as \"http://127.0.0.1:9090\"; https is not in this version",
    Target::parse
);

/// `[upstream] host`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPolicy {
    /// What the caller sent: servers build issuer and audience from it.
    Preserve,
    /// The upstream's own name.
    Upstream,
    /// A fixed name.
    Fixed(HeaderValue),
}
from_text!(HostPolicy, "preserve, upstream, or a name with a dot such as \"as.example.com\"", |text| match text {
    "preserve" => Some(HostPolicy::Preserve),
    "upstream" => Some(HostPolicy::Upstream),
    name => (name.contains('.') && crate::domain::host::is_host(name.as_bytes()))
        .then(|| HeaderValue::from_str(name).ok().map(HostPolicy::Fixed))
        .flatten(),
});

/// `[upstream] idle_timeout`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdleTimeout {
    /// Below what the upstream announces; [`SILENT_IDLE`] where it announces nothing.
    Auto,
    /// Fixed.
    After(Duration),
}
from_text!(IdleTimeout, "auto or a duration with a unit, such as \"4s\"", |text| match text {
    "auto" => Some(IdleTimeout::Auto),
    text => values::duration(text).map(IdleTimeout::After),
});

/// The shortest idle time in the field is Node's 5 s: one less, so that it is we who close.
pub const SILENT_IDLE: Duration = Duration::from_secs(4);
/// Two retransmissions of a lost SYN.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// What callers' libraries wait by default.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A header's name, as `pass_headers` and `assert_header` have it.
#[derive(Clone, Debug)]
struct Header(HeaderName);
from_text!(Header, "a header name, such as \"x-correlation-id\"", |text| text.parse().ok().map(Header));

/// Headers that are made by us or end at us: none of them can be passed by a setting.
const NOT_TO_PASS: [&str; 17] = [
    "host",
    "authorization",
    "content-type",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "cookie",
    "accept-encoding",
    "forwarded",
    "client-cert",
    "client-cert-chain",
];

impl Upstream {
    pub(super) fn read(section: &mut Section<'_, '_>, base: &Path) -> Option<Self> {
        later::tls(section);
        later::http2(section);
        let mut target: Option<Address> = section.must("url", "Where the real token endpoint is: http or unix:PATH");
        if let Some(Address::Unix(path)) = &mut target {
            *path = base.join(&*path);
            if let Some(problem) = values::too_long_for_a_socket(path) {
                section.error("url", problem);
            }
        }
        let host = section.or("host", "The Host it sees: preserve, upstream, or a name", HostPolicy::Preserve);
        let allowed: Vec<String> = section.or("allowed_hosts", "With preserve: other Hosts get 421", Vec::new());
        let credential = section.or("credential", "forward or assert", CredentialMode::Forward);
        let assert_header = section.or("assert_header", "The identity header of assert", default_identity()).0;
        let pass_headers: Vec<Header> = section.or("pass_headers", "Headers that pass beside the usual", Vec::new());
        if !allowed.is_empty() && host != HostPolicy::Preserve {
            section.error("allowed_hosts", "goes with host = \"preserve\" only");
        }
        if let (CredentialMode::Assert, Some(false)) = (credential, target.as_ref().map(Address::is_closed)) {
            let why = "assert is refused on an open link: whoever reaches the upstream could write the header; \
                       use a loopback upstream or a unix socket";
            section.error("credential", why);
        }
        for (key, header) in
            pass_headers.iter().map(|header| ("pass_headers", &header.0)).chain([("assert_header", &assert_header)])
        {
            // Servers that turn `_` into `-`, or either into `_`, would take the one for the other.
            let folded = header.as_str().replace('_', "-");
            let made = NOT_TO_PASS.contains(&folded.as_str())
                || folded.starts_with("proxy-")
                || folded.starts_with("x-forwarded-");
            let identity = key == "pass_headers" && folded == assert_header.as_str().replace('_', "-");
            if made || identity {
                section.error(key, format!("{header} is made by relatch or ends at it: it cannot be passed or used"));
            }
        }
        let read = Self {
            target: target.clone().unwrap_or_else(|| Address::Unix(PathBuf::new())),
            host,
            allowed_hosts: allowed.iter().map(|host| host.to_ascii_lowercase()).collect(),
            credential,
            assert_header,
            connect_timeout: section.or("connect_timeout", "For a connection to be made", CONNECT_TIMEOUT),
            request_timeout: section.or("request_timeout", "For the whole answer", REQUEST_TIMEOUT),
            idle_timeout: section.or("idle_timeout", "For an idle connection; auto or a duration", IdleTimeout::Auto),
            pass_headers: pass_headers.into_iter().map(|header| header.0).collect(),
        };
        target.map(|_| read)
    }
}

fn default_identity() -> Header {
    Header(HeaderName::from_static("x-relatch-client-id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_a_host_and_a_port() {
        let target = Target::parse("http://[::1]:9000").unwrap();
        assert_eq!((target.host.as_str(), target.port, target.authority.as_str()), ("::1", 9000, "[::1]:9000"));
        assert_eq!(Target::parse("http://as.internal/").unwrap().port, 80);
        for bad in
            ["", "as.internal", "https://a", "file:///etc", "http://a/token", "http://a?x", "http://u:p@a", "unix:/x"]
        {
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
