//! The words that settings choose from.

use crate::from_words;

/// `[[endpoint]] auth`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointAuth {
    /// A client secret must be presented and right.
    Required,
    /// One that is presented must be right; a request without one passes with what it carries.
    Optional,
    /// Egress: the application presents none, and relatch puts in the client's upstream secret.
    None,
}
from_words!(EndpointAuth, "required, optional or none",
    {"required" => Self::Required, "optional" => Self::Optional, "none" => Self::None});

/// `[[endpoint]] query`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryPolicy {
    /// 404: credentials must not stand in a URI (RFC 6749 section 2.3.1).
    Refuse,
    /// Written anew, as the form is. 400 where a name stands in both.
    Pass,
}
from_words!(QueryPolicy, "refuse or pass", {"refuse" => Self::Refuse, "pass" => Self::Pass});

/// `[clients] unknown`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownClients {
    /// 401.
    Refuse,
    /// They go through as they are, for moving in step by step.
    Pass,
}
from_words!(UnknownClients, "refuse or pass", {"refuse" => Self::Refuse, "pass" => Self::Pass});

/// `[credentials] basic_decoding`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BasicDecoding {
    /// Form-decoded only; what does not decode is malformed.
    Rfc6749,
    /// As it is only.
    Raw,
    /// Either.
    Both,
}
from_words!(BasicDecoding, "rfc6749, raw or both",
    {"rfc6749" => Self::Rfc6749, "raw" => Self::Raw, "both" => Self::Both});

/// `[upstream] credential`: what becomes of a verified secret of a client that has no upstream secret of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialMode {
    /// Sent on.
    Forward,
    /// Taken out; the client's id goes in a header instead.
    Assert,
}
from_words!(CredentialMode, "forward or assert", {"forward" => Self::Forward, "assert" => Self::Assert});

/// `[proxy.tls] client_cert`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCert {
    /// Who has none does not come in.
    Required,
    /// Who has one shows it; a bad one does not come in.
    Optional,
}
from_words!(ClientCert, "required or optional", {"required" => Self::Required, "optional" => Self::Optional});

/// `[log] format`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}
from_words!(LogFormat, "auto, json or text", {"auto" => Self::Auto, "json" => Self::Json, "text" => Self::Text});

/// `[log] level`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What a developer asks for.
    Debug,
    /// What happened.
    Info,
    /// What should be looked at.
    Warn,
    /// What failed.
    Error,
}
from_words!(LogLevel, "debug, info, warn or error",
    {"debug" => Self::Debug, "info" => Self::Info, "warn" => Self::Warn, "error" => Self::Error});

impl LogLevel {
    /// All of them, the least first.
    pub const ALL: [Self; 4] = [Self::Debug, Self::Info, Self::Warn, Self::Error];

    /// The word in a log line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}
