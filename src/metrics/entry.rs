//! Connections that were closed before their first request.

use prometheus::{IntCounter, Registry};

use super::counters;

/// Connections that did not bring the PROXY protocol's header as they must.
pub struct EntryMetrics {
    /// From somebody whose headers are not taken.
    pub untrusted: IntCounter,
    /// What came is no header.
    pub malformed: IntCounter,
    /// None came in time.
    pub timeout: IntCounter,
    /// The other end left before.
    pub closed: IntCounter,
}

impl EntryMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let refused = counters(
            registry,
            "relatch_proxy_protocol_refused_total",
            "Connections closed because they did not begin with the PROXY protocol as they must, by reason.",
            "reason",
        )?;
        let of = |reason: &str| refused.with_label_values(&[reason]);
        Ok(Self {
            untrusted: of("untrusted"),
            malformed: of("malformed"),
            timeout: of("timeout"),
            closed: of("closed"),
        })
    }
}
