//! Idle connections of one thread. The one used last is used next, so that a burst's surplus goes cold and is closed,
//! by us and before the upstream would.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::UpstreamError;
use super::connection::Live;
use crate::config::settings::upstream::{IdleTimeout, SILENT_IDLE, Upstream};
use crate::metrics::Metrics;
use crate::net::deadline::{Deadlines, TICK};
use crate::net::worker::RESOLVERS;

/// The pool of one thread.
pub struct Pool {
    settings: Arc<Upstream>,
    metrics: Arc<Metrics>,
    deadlines: Rc<Deadlines>,
    idle: RefCell<Vec<Idle>>,
    /// How long a connection may lie idle: as configured, or as the upstream announces.
    idle_time: Cell<Duration>,
    /// Names that are being looked up, at most.
    lookups: Arc<Semaphore>,
}

struct Idle {
    live: Box<Live>,
    since: u64,
}

impl Pool {
    /// An empty pool.
    pub fn new(settings: Arc<Upstream>, metrics: Arc<Metrics>, deadlines: Rc<Deadlines>) -> Rc<Self> {
        let idle_time = match settings.idle_timeout {
            IdleTimeout::Auto => SILENT_IDLE,
            IdleTimeout::After(time) => time,
        };
        let (idle, idle_time) = (RefCell::default(), Cell::new(idle_time));
        let lookups = Arc::new(Semaphore::new(RESOLVERS));
        Rc::new(Self { settings, metrics, deadlines, idle, idle_time, lookups })
    }

    /// Takes an idle connection that is still open.
    pub(super) fn take(&self) -> Option<Box<Live>> {
        let cx = &mut Context::from_waker(Waker::noop());
        loop {
            let Idle { mut live, since } = self.idle.borrow_mut().pop()?;
            self.metrics.upstream_idle.dec();
            if !self.is_cold(since) && live.is_usable(cx) {
                return Some(live);
            }
        }
    }

    /// Makes a connection, in time or not at all.
    pub(super) async fn connect(&self) -> Result<Box<Live>, UpstreamError> {
        tokio::time::timeout(self.settings.connect_timeout, Live::connect(&self.settings.target, &self.lookups))
            .await
            .unwrap_or(Err(UpstreamError::ConnectTimeout))
    }

    /// Gives a connection back after its answer was read to the end.
    pub(super) fn give_back(&self, live: Box<Live>) {
        self.metrics.upstream_idle.inc();
        self.idle.borrow_mut().push(Idle { live, since: self.deadlines.now() });
    }

    /// Takes note of the upstream's `Keep-Alive: timeout=N`: we close a second before it does.
    pub(super) fn heard(&self, keep_alive: &http::HeaderValue) {
        if self.settings.idle_timeout != IdleTimeout::Auto {
            return;
        }
        let text = keep_alive.to_str().unwrap_or_default();
        let pairs = text.split(',').filter_map(|pair| pair.trim().split_once('='));
        let seconds = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("timeout")).find_map(|(_, n)| n.parse().ok());
        if let Some(seconds) = seconds {
            let announced = Duration::from_secs(seconds);
            self.idle_time.set(announced.saturating_sub(Duration::from_secs(1)).max(announced / 2));
        }
    }

    /// Closes what has lain idle too long; to be called at each tick.
    pub fn sweep(&self) {
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        // The oldest stand first.
        let cold = idle.iter().take_while(|idle| self.is_cold(idle.since)).count();
        idle.drain(..cold);
        self.metrics.upstream_idle.sub(i64::try_from(before - idle.len()).unwrap_or(0));
    }

    fn is_cold(&self, since: u64) -> bool {
        let age = TICK * u32::try_from(self.deadlines.now().saturating_sub(since)).unwrap_or(u32::MAX);
        age >= self.idle_time.get()
    }

    /// Where failures and connections are counted.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}
