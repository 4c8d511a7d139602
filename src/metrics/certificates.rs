//! The certificates that links are secured with.

use std::sync::Arc;

use prometheus::{GaugeVec, IntGaugeVec, Opts, Registry};

use super::register;

/// By link: the name of its section.
pub struct CertificateMetrics {
    /// When the certificate in use ends.
    pub expires: GaugeVec,
    /// Whether the files, as they are now, are in use.
    pub last_successful: IntGaugeVec,
}

impl CertificateMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Arc<Self>> {
        let expires = Opts::new(
            "relatch_tls_certificate_expiration_timestamp_seconds",
            "When the certificate that a link shows expires.",
        );
        let last_successful =
            Opts::new("relatch_tls_last_reload_successful", "Whether what the files of a link hold now is in use.");
        Ok(Arc::new(Self {
            expires: register(registry, GaugeVec::new(expires, &["link"])?)?,
            last_successful: register(registry, IntGaugeVec::new(last_successful, &["link"])?)?,
        }))
    }
}
