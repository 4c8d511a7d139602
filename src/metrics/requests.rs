//! Requests by endpoint, status code and method, in cells that are found by index: no map, no lock, no label on the
//! data plane. Only combinations that have happened are shown.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::{Method, StatusCode};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts};

/// Counts answered requests. Cloning shares the cells.
#[derive(Clone)]
pub struct Requests(Arc<Cells>);

struct Cells {
    endpoints: Vec<String>,
    /// By endpoint (the last is "other"), method and code.
    counts: Vec<AtomicU64>,
    durations: HistogramVec,
    ok: prometheus::Histogram,
    unauthorized: prometheus::Histogram,
    name: Opts,
}

/// The closed set of `method`; anything else is "other".
const METHODS: [(Method, &str); 7] = [
    (Method::POST, "POST"),
    (Method::GET, "GET"),
    (Method::OPTIONS, "OPTIONS"),
    (Method::HEAD, "HEAD"),
    (Method::PUT, "PUT"),
    (Method::DELETE, "DELETE"),
    (Method::PATCH, "PATCH"),
];
const CODES: usize = 500;
const FIRST_CODE: usize = 100;

impl Requests {
    pub(super) fn new(endpoints: &[String], buckets: &[f64]) -> prometheus::Result<Self> {
        let name = Opts::new(
            "relatch_http_requests_total",
            "Requests answered on the proxy listener; code 499 stands for a caller that left before.",
        );
        let durations = HistogramVec::new(
            HistogramOpts::new(
                "relatch_http_request_duration_seconds",
                "Time from the end of a request's head to the head of its response on the proxy listener.",
            )
            .buckets(buckets.to_vec()),
            &["code"],
        )?;
        let cells = (endpoints.len() + 1) * (METHODS.len() + 1) * CODES;
        Ok(Self(Arc::new(Cells {
            endpoints: endpoints.to_vec(),
            counts: (0..cells).map(|_| AtomicU64::new(0)).collect(),
            ok: durations.with_label_values(&["200"]),
            unauthorized: durations.with_label_values(&["401"]),
            durations,
            name,
        })))
    }

    /// Counts an answer. `endpoint` is the index of the path; `None` where no path of ours was asked for.
    pub fn count(&self, endpoint: Option<usize>, method: &Method, code: StatusCode, took: Duration) {
        let cells = &*self.0;
        let endpoint = endpoint.unwrap_or(cells.endpoints.len());
        let method = METHODS.iter().position(|(known, _)| known == method).unwrap_or(METHODS.len());
        let code_at = usize::from(code.as_u16()).saturating_sub(FIRST_CODE).min(CODES - 1);
        let at = (endpoint * (METHODS.len() + 1) + method) * CODES + code_at;
        if let Some(cell) = cells.counts.get(at) {
            cell.fetch_add(1, Relaxed);
        }
        let seconds = took.as_secs_f64();
        match code {
            StatusCode::OK => cells.ok.observe(seconds),
            StatusCode::UNAUTHORIZED => cells.unauthorized.observe(seconds),
            other => cells.durations.with_label_values(&[other.as_str()]).observe(seconds),
        }
    }
}

impl Collector for Requests {
    fn desc(&self) -> Vec<&Desc> {
        self.0.durations.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let cells = &*self.0;
        let Ok(counts) = IntCounterVec::new(cells.name.clone(), &["endpoint", "code", "method"]) else {
            return Vec::new();
        };
        let methods = METHODS.len() + 1;
        for (at, count) in
            cells.counts.iter().map(|cell| cell.load(Relaxed)).enumerate().filter(|(_, count)| *count > 0)
        {
            let endpoint = cells.endpoints.get(at / CODES / methods).map_or("other", String::as_str);
            let method = METHODS.get(at / CODES % methods).map_or("other", |(_, name)| name);
            let code = (at % CODES + FIRST_CODE).to_string();
            counts.with_label_values(&[endpoint, &code, method]).inc_by(count);
        }
        let mut families = counts.collect();
        families.extend(cells.durations.collect());
        families
    }
}
