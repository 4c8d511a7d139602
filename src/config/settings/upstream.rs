//! `[upstream]` and `[upstreams.NAME]`: where the real token endpoints are, and what they get to see.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::address::Address;
use super::kinds::CredentialMode;
use super::tls::ClientTls;
use crate::config::reader::Section;
use crate::config::values;
use crate::from_text;

/// `[upstream]`
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its name in `[upstreams.NAME]`; empty for `[upstream]`.
    pub name: String,
    /// Where it is.
    pub target: Address,
    /// How its certificate is checked, and which is ours; nothing where it is not asked over TLS.
    pub tls: Option<ClientTls>,
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
    /// Whether HTTP/2 is spoken: as ALPN agrees over TLS, else by prior knowledge.
    pub http2: bool,
    /// Headers that pass beside the ones that always do.
    pub pass_headers: Vec<HeaderName>,
}

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
from_text!(
    HostPolicy,
    "preserve, upstream, or a name with a dot such as \"as.example.com\"",
    |text| match text {
        "preserve" => Some(HostPolicy::Preserve),
        "upstream" => Some(HostPolicy::Upstream),
        name => (name.contains('.') && crate::domain::host::is_host(name.as_bytes()))
            .then(|| HeaderValue::from_str(name).ok().map(HostPolicy::Fixed))
            .flatten(),
    },
    shown
        | host
        | match host {
            HostPolicy::Preserve => "preserve".to_owned(),
            HostPolicy::Upstream => "upstream".to_owned(),
            HostPolicy::Fixed(name) => name.to_str().unwrap_or_default().to_owned(),
        }
);

/// `[upstream] idle_timeout`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdleTimeout {
    /// Below what the upstream announces; [`SILENT_IDLE`] where it announces nothing.
    Auto,
    /// Fixed.
    After(Duration),
}
from_text!(
    IdleTimeout,
    "auto or a duration with a unit, such as \"4s\"",
    |text| match text {
        "auto" => Some(IdleTimeout::Auto),
        text => values::duration(text).map(IdleTimeout::After),
    },
    shown
        | timeout
        | match timeout {
            IdleTimeout::Auto => "auto".to_owned(),
            IdleTimeout::After(length) => values::written(*length),
        }
);

/// The shortest idle time in the field is Node's 5 s: one less, so that it is we who close.
pub const SILENT_IDLE: Duration = Duration::from_secs(4);
/// Two retransmissions of a lost SYN.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// What callers' libraries wait by default.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A header's name, as `pass_headers` and `assert_header` have it.
#[derive(Clone, Debug)]
struct Header(HeaderName);
from_text!(
    Header,
    "a header name, such as \"x-correlation-id\"",
    |text| text.parse().ok().map(Header),
    shown | header | header.0.to_string()
);

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
    /// The name of its table.
    pub fn key(&self) -> String {
        if self.name.is_empty() { "upstream".to_owned() } else { format!("upstreams.{}", self.name) }
    }

    pub(super) fn read(section: &mut Section<'_, '_>, name: &str, base: &Path) -> Option<Self> {
        let mut target: Option<Address> = section.must("url", "Where the token endpoint is: http, https or unix:PATH");
        if let Some(Address::Unix(path)) = &mut target {
            *path = base.join(&*path);
            if let Some(problem) = values::too_long_for_a_socket(path) {
                section.error("url", problem);
            }
        }
        let tls = ClientTls::read_in(section, base);
        if tls.is_some() && target.as_ref().is_some_and(|target| !target.is_https()) {
            section.error("tls", "goes with an https url: as it stands, nothing of the link is encrypted");
        }
        let tls = target.as_ref().filter(|target| target.is_https()).map(|_| tls.unwrap_or_default());
        let host = section.or("host", "The Host it sees: preserve, upstream, or a name", HostPolicy::Preserve);
        let allowed: Vec<String> = section.or("allowed_hosts", "With preserve: other Hosts get 421", Vec::new());
        let credential = section.or("credential", "forward or assert", CredentialMode::Forward);
        let assert_header = section.or("assert_header", "The identity header of assert", default_identity()).0;
        let pass_headers: Vec<Header> = section.or("pass_headers", "Headers that pass beside the usual", Vec::new());
        if !allowed.is_empty() && host != HostPolicy::Preserve {
            section.error("allowed_hosts", "goes with host = \"preserve\" only");
        }
        // Where we show a certificate, the upstream can tell us from whoever else reaches it.
        let known = tls.as_ref().is_some_and(|tls| tls.identity.is_some());
        if credential == CredentialMode::Assert && target.as_ref().is_some_and(|target| !target.is_closed() && !known) {
            let why = "assert is refused on an open link: whoever reaches the upstream could write the header; use a \
                       loopback upstream, a unix socket, or https with [upstream.tls] cert and key";
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
            name: name.to_owned(),
            target: target.clone().unwrap_or_else(|| Address::Unix(PathBuf::new())),
            tls,
            host,
            allowed_hosts: allowed.iter().map(|host| host.to_ascii_lowercase()).collect(),
            credential,
            assert_header,
            connect_timeout: section.or("connect_timeout", "For a connection to be made", CONNECT_TIMEOUT),
            request_timeout: section.or("request_timeout", "For the whole answer", REQUEST_TIMEOUT),
            idle_timeout: section.or("idle_timeout", "For an idle connection; auto or a duration", IdleTimeout::Auto),
            http2: section.or("http2", "HTTP/2, by ALPN or prior knowledge", false),
            pass_headers: pass_headers.into_iter().map(|header| header.0).collect(),
        };
        target.map(|_| read)
    }
}

fn default_identity() -> Header {
    Header(HeaderName::from_static("x-relatch-client-id"))
}
