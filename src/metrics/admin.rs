//! Requests to the admin API: how many were let in, and why the others were not.

use http::StatusCode;
use prometheus::{IntCounter, Registry};

/// Requests by what became of them.
pub struct AdminMetrics {
    accepted: IntCounter,
    unauthorized: IntCounter,
    forbidden: IntCounter,
    throttled: IntCounter,
    misdirected: IntCounter,
}

impl AdminMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let help = "Requests to the admin API by result: accepted, or why they were not let in.";
        let requests = super::counters(registry, "relatch_admin_requests_total", help, "result")?;
        Ok(Self {
            accepted: requests.with_label_values(&["accepted"]),
            unauthorized: requests.with_label_values(&["unauthorized"]),
            forbidden: requests.with_label_values(&["forbidden"]),
            throttled: requests.with_label_values(&["throttled"]),
            misdirected: requests.with_label_values(&["misdirected"]),
        })
    }

    /// Counts a request by its answer. One that was let in is accepted, whatever came of it.
    pub fn count(&self, status: StatusCode) {
        match status {
            StatusCode::UNAUTHORIZED => self.unauthorized.inc(),
            StatusCode::FORBIDDEN => self.forbidden.inc(),
            StatusCode::TOO_MANY_REQUESTS => self.throttled.inc(),
            StatusCode::MISDIRECTED_REQUEST => self.misdirected.inc(),
            _ => self.accepted.inc(),
        }
    }
}
