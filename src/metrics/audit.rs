//! Lines of the audit log, and deliveries of web hooks.

use std::sync::Arc;

use prometheus::{IntCounter, Registry};

use super::counters;

/// Lines of the audit log.
pub struct AuditMetrics {
    /// In the file.
    pub written: IntCounter,
    /// The file did not take it.
    pub failed: IntCounter,
    /// Too many waited for a disk that does not answer.
    pub dropped: IntCounter,
}

/// Deliveries of web hooks.
pub struct HookMetrics {
    /// Taken by the receiver.
    pub delivered: IntCounter,
    /// A try that failed, and is made again.
    pub retried: IntCounter,
    /// Not delivered: the receiver refused it for good, or a day was over.
    pub given_up: IntCounter,
    /// Not delivered: newer ones took its place, or the instance ended.
    pub dropped: IntCounter,
}

impl AuditMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Arc<Self>> {
        let lines = counters(registry, "relatch_audit_lines_total", "Lines of the audit log by result.", "result")?;
        let of = |result: &str| lines.with_label_values(&[result]);
        Ok(Arc::new(Self { written: of("written"), failed: of("failed"), dropped: of("dropped") }))
    }
}

impl HookMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Arc<Self>> {
        let help = "Deliveries of web hooks by result; a retried one counts again when it is tried again.";
        let deliveries = counters(registry, "relatch_webhook_deliveries_total", help, "result")?;
        let of = |result: &str| deliveries.with_label_values(&[result]);
        Ok(Arc::new(Self {
            delivered: of("delivered"),
            retried: of("retried"),
            given_up: of("given_up"),
            dropped: of("dropped"),
        }))
    }
}
