//! Connections that were closed before their first request.

use prometheus::{IntCounter, Registry};

use super::{counter, counters};

/// Connections that did not bring what they must.
pub struct EntryMetrics {
    /// TLS handshakes.
    pub handshakes: Handshakes,
    /// Connections of HTTP/2 that sent too many frames that ask for nothing.
    pub floods: IntCounter,
    /// From somebody whose headers are not taken.
    pub untrusted: IntCounter,
    /// What came is no header.
    pub malformed: IntCounter,
    /// None came in time.
    pub timeout: IntCounter,
    /// The other end left before.
    pub closed: IntCounter,
}

/// How handshakes ended.
pub struct Handshakes {
    /// The connection is secured.
    pub success: IntCounter,
    /// The two ends do not agree: on a version, a suite, a certificate.
    pub refused: IntCounter,
    /// It took too long.
    pub timeout: IntCounter,
    /// The other end left.
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
        let handshakes =
            counters(registry, "relatch_tls_handshakes_total", "TLS handshakes with callers by result.", "result")?;
        let shaken = |result: &str| handshakes.with_label_values(&[result]);
        Ok(Self {
            handshakes: Handshakes {
                success: shaken("success"),
                refused: shaken("refused"),
                timeout: shaken("timeout"),
                closed: shaken("closed"),
            },
            floods: counter(
                registry,
                "relatch_http2_floods_total",
                "Connections ended because they sent too many HTTP/2 frames that ask for nothing.",
            )?,
            untrusted: of("untrusted"),
            malformed: of("malformed"),
            timeout: of("timeout"),
            closed: of("closed"),
        })
    }
}
