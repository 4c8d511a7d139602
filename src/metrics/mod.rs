//! What is counted: values handed to their owners, gathered for a scrape off the data plane.
//!
//! Families of fixed size live in the library's registry. The per-secret families are written as text straight from the
//! live snapshot (`secrets`), because at 100,000 secrets the library's way of gathering is too slow.

pub mod admin;
pub mod audit;
pub mod certificates;
pub mod entry;
pub mod exposition;
pub mod requests;
mod secrets;
pub mod text;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::Collector;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use self::admin::AdminMetrics;
use self::audit::{AuditMetrics, HookMetrics};
use self::certificates::CertificateMetrics;
use self::entry::EntryMetrics;
use self::requests::Requests;
use crate::domain::clock::Timestamp;
use crate::domain::oauth::AuthResult;

/// Every metric that is not per secret.
pub struct Metrics {
    registry: Registry,
    /// Requests and their durations.
    pub requests: Requests,
    /// Requests being handled.
    pub in_flight: IntGauge,
    /// Open connections.
    pub connections: IntGauge,
    /// Connections turned away at the limit.
    pub connections_refused: IntCounter,
    /// Connections closed before their first request.
    pub entry: EntryMetrics,
    /// Requests to the admin API.
    pub admin: AdminMetrics,
    /// Certificates of links.
    pub certificates: Arc<CertificateMetrics>,
    /// Lines of the audit log.
    pub audit: Arc<AuditMetrics>,
    /// Deliveries of web hooks.
    pub hooks: Arc<HookMetrics>,
    /// From the end of a request to the decision.
    pub authentication_duration: Histogram,
    /// To the head of the upstream's answer.
    pub upstream_duration: Histogram,
    /// What went wrong with the upstream.
    pub upstream_errors: UpstreamErrors,
    /// Connections to the upstream that wait for an answer.
    pub upstream_active: IntGauge,
    /// Connections to the upstream that lie idle.
    pub upstream_idle: IntGauge,
    /// Reloads.
    pub reload: ReloadMetrics,
    /// Pairs that the throttle tracks.
    pub throttle_entries: IntGauge,
    /// Log lines that were dropped because nobody took them.
    pub log_dropped: IntCounter,
    nobody: [AtomicU64; AuthResult::OF_NOBODY.len()],
}

/// Failed calls of the upstream by kind.
pub struct UpstreamErrors {
    /// No connection.
    pub connect: IntCounter,
    /// A connection, and no secure link.
    pub tls: IntCounter,
    /// No whole answer in time.
    pub timeout: IntCounter,
    /// The connection broke before the answer was whole.
    pub closed: IntCounter,
    /// The answer is not HTTP.
    pub protocol: IntCounter,
    /// The upstream refused every upstream secret of the client.
    pub credentials_rejected: IntCounter,
}

/// How reloads went.
pub struct ReloadMetrics {
    /// A new list is in force.
    pub success: IntCounter,
    /// A list was refused.
    pub failure: IntCounter,
    /// The content was the one in force.
    pub unchanged: IntCounter,
    /// A list lost too much and waits for a person.
    pub held: IntCounter,
    /// 1 while the last attempt went well.
    pub last_successful: IntGauge,
    /// When one last did.
    pub last_success: Gauge,
    /// Why the last attempt did not.
    why: Mutex<Option<String>>,
}

impl ReloadMetrics {
    /// The list in force is the one that was asked for.
    pub fn succeeded(&self, now: Timestamp) {
        self.last_successful.set(1);
        self.last_success.set(now.seconds());
        self.say(None);
    }

    /// The list in force is not the one that stands in the files.
    pub fn failed(&self, why: String) {
        self.last_successful.set(0);
        self.say(Some(why));
    }

    /// Why the last attempt did not go well; nothing where it did.
    pub fn why(&self) -> Option<String> {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn say(&self, why: Option<String>) {
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }
}

/// From ten microseconds to a second.
const FAST: [f64; 12] = [1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.5, 1.0];
/// From a quarter of a millisecond to the longest answer.
const SLOW: [f64; 14] = [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

impl Metrics {
    /// Registers everything, each outcome at zero. `endpoints` are the paths that may be labels.
    pub fn new(endpoints: &[String]) -> prometheus::Result<Arc<Self>> {
        let registry = Registry::new();
        let upstream_errors = counters(
            &registry,
            "relatch_upstream_errors_total",
            "Upstream requests that got no usable response, by kind.",
            "kind",
        )?;
        let reloads =
            counters(&registry, "relatch_config_reloads_total", "Client list reload attempts by result.", "result")?;
        let info = IntGaugeVec::new(
            Opts::new("relatch_build_info", "A metric with a constant '1' value labelled by version."),
            &["version"],
        )?;
        info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        register(&registry, info)?;
        let requests = Requests::new(endpoints, &SLOW)?;
        registry.register(Box::new(requests.clone()))?;
        let upstream_connections = register(
            &registry,
            IntGaugeVec::new(
                Opts::new("relatch_upstream_connections", "Connections to the upstream by state."),
                &["state"],
            )?,
        )?;
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let gauge = |name: &str, help: &str| register(&registry, IntGauge::new(name, help)?);
        let counter = |name: &str, help: &str| counter(&registry, name, help);
        Ok(Arc::new(Self {
            requests,
            in_flight: gauge("relatch_http_requests_in_flight", "Requests being handled on the proxy listener.")?,
            connections: gauge("relatch_http_connections_open", "Open connections on the proxy listener.")?,
            connections_refused: counter(
                "relatch_http_connections_refused_total",
                "Connections turned away because the limit was reached.",
            )?,
            entry: EntryMetrics::new(&registry)?,
            admin: AdminMetrics::new(&registry)?,
            certificates: CertificateMetrics::new(&registry)?,
            audit: AuditMetrics::new(&registry)?,
            hooks: HookMetrics::new(&registry)?,
            authentication_duration: register(
                &registry,
                Histogram::with_opts(
                    HistogramOpts::new(
                        "relatch_client_authentication_duration_seconds",
                        "Time from the end of the request to the authentication decision.",
                    )
                    .buckets(FAST.to_vec()),
                )?,
            )?,
            upstream_duration: register(
                &registry,
                Histogram::with_opts(
                    HistogramOpts::new(
                        "relatch_upstream_request_duration_seconds",
                        "Time to the head of the upstream response.",
                    )
                    .buckets(SLOW.to_vec()),
                )?,
            )?,
            upstream_errors: UpstreamErrors {
                connect: upstream_errors.with_label_values(&["connect"]),
                tls: upstream_errors.with_label_values(&["tls"]),
                timeout: upstream_errors.with_label_values(&["timeout"]),
                closed: upstream_errors.with_label_values(&["closed"]),
                protocol: upstream_errors.with_label_values(&["protocol"]),
                credentials_rejected: upstream_errors.with_label_values(&["credentials_rejected"]),
            },
            upstream_active: upstream_connections.with_label_values(&["active"]),
            upstream_idle: upstream_connections.with_label_values(&["idle"]),
            reload: ReloadMetrics {
                success: reloads.with_label_values(&["success"]),
                failure: reloads.with_label_values(&["failure"]),
                unchanged: reloads.with_label_values(&["unchanged"]),
                held: reloads.with_label_values(&["held"]),
                last_successful: gauge(
                    "relatch_config_last_reload_successful",
                    "Whether the last configuration reload attempt was successful.",
                )?,
                last_success: register(
                    &registry,
                    Gauge::new(
                        "relatch_config_last_reload_success_timestamp_seconds",
                        "Timestamp of the last successful configuration reload.",
                    )?,
                )?,
                why: Mutex::default(),
            },
            throttle_entries: gauge(
                "relatch_throttle_entries",
                "Pairs of client id and source that the throttle tracks.",
            )?,
            log_dropped: counter(
                "relatch_log_lines_dropped_total",
                "Log lines dropped because the reader was too slow.",
            )?,
            nobody: Default::default(),
            registry,
        }))
    }

    /// Counts a result that belongs to no configured client.
    pub fn count_nobody(&self, result: AuthResult) {
        let of = AuthResult::OF_NOBODY.iter().zip(&self.nobody).find(|(of, _)| **of == result);
        if let Some((_, cell)) = of {
            cell.fetch_add(1, Relaxed);
        }
    }

    /// How often each result was counted that belongs to no configured client.
    fn of_nobody(&self) -> [(AuthResult, u64); AuthResult::OF_NOBODY.len()] {
        let mut counted = AuthResult::OF_NOBODY.map(|of| (of, 0));
        counted.iter_mut().zip(&self.nobody).for_each(|((_, count), cell)| *count = cell.load(Relaxed));
        counted
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> prometheus::Result<C> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn counter(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntCounter> {
    register(registry, IntCounter::new(name, help)?)
}

fn counters(registry: &Registry, name: &str, help: &str, label: &str) -> prometheus::Result<IntCounterVec> {
    register(registry, IntCounterVec::new(Opts::new(name, help), &[label])?)
}
