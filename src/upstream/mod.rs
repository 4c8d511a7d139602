//! The real token endpoint: connections of this thread's own, and one exchange at a time on each.
//!
//! The pool is local to its data-plane thread and an exchange is driven by the task of the request itself, so that a
//! request costs no lock, no other task and no wake-up of another thread.

pub mod connection;
pub mod exchange;
pub mod pool;

use hyper::StatusCode;

use crate::metrics::UpstreamErrors;

/// Why there is no (whole) answer. `sent` says whether any byte of the request may have been acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// No connection: nothing was sent.
    #[error("cannot connect to the upstream")]
    Connect,
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
            | Self::Closed
            | Self::Protocol
            | Self::CredentialsRejected(_)
            | Self::CredentialsResting(_) => StatusCode::BAD_GATEWAY,
        }
    }

    /// Counts it.
    pub fn count(self, counters: &UpstreamErrors) {
        match self {
            Self::Connect => &counters.connect,
            Self::ConnectTimeout | Self::Timeout => &counters.timeout,
            Self::Closed => &counters.closed,
            Self::Protocol => &counters.protocol,
            Self::CredentialsRejected(_) | Self::CredentialsResting(_) => &counters.credentials_rejected,
        }
        .inc();
    }
}
