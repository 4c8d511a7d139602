//! Connections of one thread: one pool for each upstream.
//!
//! Idle ones wait for the next request. The one used last is used next, so that a burst's surplus goes cold and is closed,
//! by us and before the upstream would.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::connection::Live;
use super::link;
use super::multiplex::{self, Trunks};
use super::remote::{Remote, Remotes};
use super::{Unreached, UpstreamError};
use crate::config::settings::upstream::{IdleTimeout, SILENT_IDLE, Upstream};
use crate::log::Log;
use crate::message::fields::Value;
use crate::metrics::Metrics;
use crate::net::conn::{Conn, Phase};
use crate::net::deadline::{Deadlines, TICK};
use crate::net::stream::Stream;
use crate::net::worker::RESOLVERS;

/// The pools of one thread, one for each upstream.
pub struct Pools {
    default: Rc<Pool>,
    named: Vec<Rc<Pool>>,
}

impl Pools {
    /// Empty ones. `make` makes one.
    pub fn new(remotes: &Remotes, make: impl Fn(&Arc<Remote>) -> Rc<Pool>) -> Self {
        Self { default: make(&remotes.default), named: remotes.named.iter().map(make).collect() }
    }

    /// The pool of the upstream with this number.
    pub fn of(&self, upstream: usize) -> &Rc<Pool> {
        upstream.checked_sub(1).and_then(|at| self.named.get(at)).unwrap_or(&self.default)
    }

    /// Closes what has lain idle too long; to be called at each tick.
    pub fn sweep(&self) {
        std::iter::once(&self.default).chain(&self.named).for_each(|pool| pool.sweep());
    }
}

/// The pool of one thread for one upstream.
pub struct Pool {
    remote: Arc<Remote>,
    metrics: Arc<Metrics>,
    log: Log,
    deadlines: Rc<Deadlines>,
    idle: RefCell<Vec<Idle>>,
    /// With HTTP/2: the connections that carry many requests.
    pub(super) trunks: Trunks,
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
    pub fn new(remote: Arc<Remote>, metrics: Arc<Metrics>, log: Log, deadlines: Rc<Deadlines>) -> Rc<Self> {
        let idle_time = match remote.settings.idle_timeout {
            IdleTimeout::Auto => SILENT_IDLE,
            IdleTimeout::After(time) => time,
        };
        let (idle, idle_time) = (RefCell::default(), Cell::new(idle_time));
        let lookups = Arc::new(Semaphore::new(RESOLVERS));
        Rc::new(Self { remote, metrics, log, deadlines, idle, trunks: Trunks::default(), idle_time, lookups })
    }

    /// Takes an idle connection that is still open.
    pub(super) fn take(&self) -> Option<Box<Live>> {
        loop {
            let Idle { mut live, since } = self.idle.borrow_mut().pop()?;
            self.metrics.upstream_idle.dec();
            if !self.is_cold(since) && live.is_usable() {
                return Some(live);
            }
        }
    }

    /// Makes a connection for one request at a time.
    pub(super) async fn connect(&self) -> Result<Box<Live>, UpstreamError> {
        Ok(Live::over(self.link().await?))
    }

    /// Makes a link, in time or not at all, and tells why not.
    pub(super) async fn link(&self) -> Result<Stream, UpstreamError> {
        // On the heap: every request would carry the room that a handshake takes.
        let connecting = Box::pin(link::open(&self.remote, &self.lookups));
        let limit = self.remote.settings.connect_timeout;
        let deadline = self.deadlines.deadline();
        let connected = deadline.within(limit, connecting).await.unwrap_or_else(|| {
            let why = format!("nothing came of it within connect_timeout ({} ms)", limit.as_millis());
            Err(Unreached { error: UpstreamError::ConnectTimeout, why })
        });
        connected.map_err(|unreached| self.refused(unreached))
    }

    /// Tells why there is no connection, unless that was told a moment ago, and gives the kind of it.
    #[expect(clippy::needless_pass_by_value, reason = "this is where it ends")]
    pub(super) fn refused(&self, unreached: Unreached) -> UpstreamError {
        self.remote.tell(&unreached, &self.log);
        unreached.error
    }

    /// Gives a connection back after its answer was read to the end.
    pub(super) fn give_back(&self, live: Box<Live>) {
        self.metrics.upstream_idle.inc();
        self.idle.borrow_mut().push(Idle { live, since: self.deadlines.now() });
    }

    /// Takes note of the upstream's `Keep-Alive: timeout=N`: we close a second before it does.
    pub(super) fn heard(&self, keep_alive: Value<'_>) {
        if self.remote.settings.idle_timeout != IdleTimeout::Auto {
            return;
        }
        let text = keep_alive.text().unwrap_or_default();
        let pairs = text.split(',').filter_map(|pair| pair.trim().split_once('='));
        let seconds = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("timeout")).find_map(|(_, n)| n.parse().ok());
        if let Some(seconds) = seconds {
            let announced = Duration::from_secs(seconds);
            self.idle_time.set(announced.saturating_sub(Duration::from_secs(1)).max(announced / 2));
        }
    }

    fn sweep(&self) {
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        // The oldest stand first.
        let cold = idle.iter().take_while(|idle| self.is_cold(idle.since)).count();
        idle.drain(..cold);
        self.metrics.upstream_idle.sub(i64::try_from(before - idle.len()).unwrap_or(0));
        let limit = match self.rules().idle_timeout {
            IdleTimeout::Auto => multiplex::IDLE,
            IdleTimeout::After(time) => time,
        };
        self.trunks.sweep(|since| self.age(since) >= limit);
    }

    fn is_cold(&self, since: u64) -> bool {
        self.age(since) >= self.idle_time.get()
    }

    fn age(&self, since: u64) -> Duration {
        TICK * u32::try_from(self.deadlines.now().saturating_sub(since)).unwrap_or(u32::MAX)
    }

    /// What ticks on this thread.
    pub(super) const fn deadlines(&self) -> &Rc<Deadlines> {
        &self.deadlines
    }

    /// What the upstream gets to see, and how long it may take.
    pub fn rules(&self) -> &Upstream {
        &self.remote.settings
    }

    /// From now on its answer is waited for.
    pub fn begin(&self, conn: &Conn) {
        conn.enter(Phase::Upstream);
        if !self.rules().name.is_empty() {
            conn.deadline().set(self.rules().request_timeout);
        }
    }

    /// Where failures and connections are counted.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}
