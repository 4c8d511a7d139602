//! The real token endpoint: connections of this thread's own, and one exchange at a time on each; with HTTP/2, many.
//!
//! The pool is local to its data-plane thread and an exchange is driven by the task of the request itself, so that a
//! request costs no lock, no other task and no wake-up of another thread.

mod connection;
pub mod exchange;
pub mod link;
mod multiplex;
pub mod pool;
pub mod remote;
mod turns;

use hyper::StatusCode;

use crate::message::Malformed;
use crate::metrics::UpstreamErrors;
use crate::tls::fault;

/// Why there is no (whole) answer. `sent` says whether any byte of the request may have been acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// No connection: nothing was sent.
    #[error("cannot connect to the upstream")]
    Connect,
    /// No secure link, or the upstream refused ours.
    #[error("no TLS with the upstream")]
    Tls,
    /// No connection in time: nothing was sent.
    #[error("no connection to the upstream in time")]
    ConnectTimeout,
    /// No whole answer in time.
    #[error("no whole answer from the upstream in time")]
    Timeout,
    /// The connection ended before the answer did.
    #[error("the upstream closed the connection before its answer was whole")]
    Closed,
    /// What came is not an HTTP answer, or too large.
    #[error("the upstream's answer is not usable HTTP")]
    Protocol,
    /// What came is no document of an authorization server, or too large.
    #[error("the upstream's answer is no metadata: no JSON object, or larger than 256 KiB")]
    NoMetadata,
    /// Every upstream secret of the client was refused: the caller's own was right. Carries the seconds after which the
    /// upstream is asked again.
    #[error("the upstream refused the client's upstream credentials")]
    CredentialsRejected(u32),
    /// ... and lately so: the upstream was not asked.
    #[error("the upstream refused the client's upstream credentials a moment ago and was not asked again")]
    CredentialsResting(u32),
}

impl UpstreamError {
    /// What the caller is told.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::ConnectTimeout | Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Connect
            | Self::Tls
            | Self::Closed
            | Self::Protocol
            | Self::NoMetadata
            | Self::CredentialsRejected(_)
            | Self::CredentialsResting(_) => StatusCode::BAD_GATEWAY,
        }
    }

    /// Counts it.
    pub fn count(self, counters: &UpstreamErrors) {
        match self {
            Self::Connect => &counters.connect,
            Self::Tls => &counters.tls,
            Self::ConnectTimeout | Self::Timeout => &counters.timeout,
            Self::Closed => &counters.closed,
            Self::Protocol | Self::NoMetadata => &counters.protocol,
            Self::CredentialsRejected(_) | Self::CredentialsResting(_) => &counters.credentials_rejected,
        }
        .inc();
    }
}

impl From<Malformed> for UpstreamError {
    fn from(_: Malformed) -> Self {
        Self::Protocol
    }
}

/// Why a connection was not made: the kind of it, and what a person needs to know.
pub(crate) struct Unreached {
    error: UpstreamError,
    why: String,
}

impl Unreached {
    /// For want of TLS.
    fn tls(error: &std::io::Error) -> Self {
        Self { error: UpstreamError::Tls, why: fault::told(error) }
    }
}
