//! The only wiring: settings -> load, bind, start -> serve until told to stop -> drain.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow};
use arc_swap::ArcSwap;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::problem::Problem;
use crate::config::settings::Settings;
use crate::domain::clock::{Clock, WallClock};
use crate::log::Log;
use crate::log::access::SecondCache;
use crate::metrics::Metrics;
use crate::net::accept::{self, Lane, Load};
use crate::net::conn::PhaseLimits;
use crate::net::worker::{self, Order, Start};
use crate::proxy::report::{Denial, Reporter, settle_denials};
use crate::proxy::route::Routes;
use crate::proxy::{Proxy, Shared};
use crate::reload::watch::Triggers;
use crate::reload::{self, Loaded, Reloader, Trigger};
use crate::telemetry::{self, Readiness, Telemetry};
use crate::throttle::Throttle;
use crate::upstream::pool::Pool;

/// Where the settings came from, to notice when a key changed that needs a restart.
pub struct Origin {
    /// The file.
    pub path: PathBuf,
    /// Its keys and their values, as they were at the start.
    pub keys: Vec<(String, String)>,
}

/// What is about to run: settings, and the list they name.
pub struct App {
    /// What is fixed.
    pub settings: Settings,
    /// The first list.
    pub loaded: Loaded,
    /// The time of windows.
    pub clock: Arc<Clock>,
    /// What the operator should know about the settings.
    pub warnings: Vec<Problem>,
    /// Where the settings came from; nothing for the demo, whose list is fixed too.
    pub origin: Option<Origin>,
}

/// Where an instance can be reached.
pub struct Bound {
    /// The proxy's listeners.
    pub proxy: Vec<SocketAddr>,
    /// The telemetry listener.
    pub telemetry: SocketAddr,
}

/// Batches of refusals that may wait for the control thread.
const DENIALS: usize = 256;
/// How often our clock is compared with the wall's.
const CLOCK_CHECK: Duration = Duration::from_secs(5);

/// Refused credentials on their way to the control thread, or a question whether all before it were settled.
enum Settle {
    Batch(Vec<Denial>),
    Barrier(oneshot::Sender<()>),
}

/// The data-plane threads.
#[derive(Clone)]
struct Planes {
    lanes: Vec<Lane>,
    orders: Vec<mpsc::UnboundedSender<Order>>,
    settle: mpsc::Sender<Settle>,
}

impl App {
    /// Runs until SIGTERM or SIGINT, then drains. `bound` is told where we listen, once we do.
    pub fn run(self, bound: impl FnOnce(&Bound)) -> anyhow::Result<()> {
        raise_limits();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(4)
            .build_local(tokio::runtime::LocalOptions::default())
            .context("cannot start the control thread")?;
        let metrics = Metrics::new(&self.settings.endpoints.iter().map(|e| e.path.clone()).collect::<Vec<_>>())?;
        let (log, writer) = Log::start(&self.settings.log, self.clock.clone(), metrics.log_dropped.clone())?;
        let result = runtime.block_on(self.serve(metrics, log.clone(), bound));
        if let Err(error) = &result {
            log.error("stopped", &[("error", &format!("{error:#}"))]);
        }
        writer.finish();
        result
    }

    async fn serve(self, metrics: Arc<Metrics>, log: Log, bound: impl FnOnce(&Bound)) -> anyhow::Result<()> {
        let Self { settings, loaded, clock, warnings, origin } = self;
        for warning in &warnings {
            log.warn("configuration", &[("warning", warning)]);
        }
        reload::warn(&log, &loaded.warnings);
        let mut signals = Signals::catch()?;
        let (proxies, door, addresses) = bind(&settings)?;

        let Loaded { snapshot, secrets, fingerprint, .. } = loaded;
        let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
        let shared = Arc::new(Shared {
            routes: Routes::of(&settings),
            throttle: Throttle::new(settings.throttle.failures, settings.throttle.per, settings.throttle.table_size),
            snapshot: snapshot.clone(),
            metrics: metrics.clone(),
            clock: clock.clone(),
            settings: settings.clone(),
        });
        let (settle, denials) = mpsc::channel(DENIALS);
        let (planes, threads) = start_planes(&shared, &log, settle)?;
        tokio::task::spawn_local(settle_all(denials, shared.clone(), log.clone()));

        let triggers = match &origin {
            Some(_) => {
                let reloader = Reloader::new(
                    Arc::new(settings.clone()),
                    secrets,
                    fingerprint,
                    snapshot,
                    metrics.clone(),
                    clock.clone(),
                    log.clone(),
                );
                Some(reload::watch::start(reloader, settings.clients.poll_interval, log.clone())?)
            }
            None => {
                metrics.reload.succeeded(clock.now());
                None
            }
        };
        let (stop_accepting, accepting) = watch::channel(false);
        let acceptors: Vec<_> = proxies
            .into_iter()
            .map(|listener| {
                let lanes = planes.lanes.clone();
                tokio::task::spawn_local(accept::accept(
                    listener,
                    lanes,
                    settings.limits.max_connections,
                    metrics.clone(),
                    accepting.clone(),
                ))
            })
            .collect();
        let readiness = Arc::new(Readiness::default());
        let (stop_telemetry, telemetry_runs) = watch::channel(false);
        let flushed = planes.clone();
        let shown =
            Telemetry { shared: shared.clone(), readiness: readiness.clone(), flush: move || flushed.clone().flush() };
        tokio::task::spawn_local(telemetry::serve(door, Arc::new(shown), telemetry_runs));
        tokio::task::spawn_local(follow_clock(clock, log.clone()));

        for address in &addresses.proxy {
            log.info("listening", &[("listener", &"proxy"), ("address", address)]);
        }
        log.info("listening", &[("listener", &"telemetry"), ("address", &addresses.telemetry)]);
        readiness.ready();
        let list = shared.snapshot.load_full();
        log.info(
            "ready",
            &[
                ("version", &env!("CARGO_PKG_VERSION")),
                ("upstream", &settings.upstream.target),
                ("clients", &list.clients.len()),
                ("secrets", &list.secrets()),
            ],
        );
        drop(list);
        bound(&addresses);

        signals.until_stop(triggers.as_ref(), origin.as_ref(), &log).await;
        readiness.draining();
        log.info("draining", &[("in_flight", &metrics.in_flight.get()), ("connections", &metrics.connections.get())]);
        let drained = async {
            tokio::time::sleep(settings.shutdown.drain_delay).await;
            let _all_stop = stop_accepting.send(true);
            for acceptor in acceptors {
                let _ended = acceptor.await;
            }
            planes.drain();
            wait_for(threads).await;
        };
        let limit = settings.shutdown.drain_delay + settings.shutdown.drain_timeout;
        let outcome = tokio::select! {
            drained = tokio::time::timeout(limit, drained) => drained.map_err(|_| "some requests did not finish in time"),
            () = signals.stop() => Err("a second signal"),
        };
        let _all_stop = stop_telemetry.send(true);
        match outcome {
            Ok(()) => log.info("stopped", &[]),
            Err(reason) => {
                log.error(
                    "stopped with connections open",
                    &[
                        ("reason", &reason),
                        ("in_flight", &metrics.in_flight.get()),
                        ("connections", &metrics.connections.get()),
                    ],
                );
                return Err(anyhow!("stopped with connections open: {reason}"));
            }
        }
        Ok(())
    }
}

/// As many file descriptors as the system gives; no core files, which would hold secrets.
fn raise_limits() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let files = getrlimit(Resource::Nofile);
    let _best_effort = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum });
    let none = Rlimit { current: Some(0), maximum: getrlimit(Resource::Core).maximum };
    let _best_effort = setrlimit(Resource::Core, none);
}

type Listeners = (Vec<std::net::TcpListener>, tokio::net::TcpListener, Bound);

fn bind(settings: &Settings) -> anyhow::Result<Listeners> {
    let bind = |name: &str, address: SocketAddr| {
        accept::bind(address).with_context(|| {
            format!("cannot listen on {address} ({name}): is another instance running? Nothing was started")
        })
    };
    let proxies = settings.proxy.listen.iter().map(|a| bind("proxy.listen", *a)).collect::<anyhow::Result<Vec<_>>>()?;
    let telemetry = bind("telemetry.listen", settings.telemetry)?;
    let bound = Bound {
        proxy: proxies.iter().map(std::net::TcpListener::local_addr).collect::<Result<_, _>>()?,
        telemetry: telemetry.local_addr()?,
    };
    Ok((proxies, tokio::net::TcpListener::from_std(telemetry)?, bound))
}

fn start_planes(
    shared: &Arc<Shared>,
    log: &Log,
    settle: mpsc::Sender<Settle>,
) -> anyhow::Result<(Planes, Vec<JoinHandle<()>>)> {
    let settings = &shared.settings;
    let upstream = Arc::new(settings.upstream.clone());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = if settings.proxy.workers == 0 { cores } else { settings.proxy.workers };
    let mut planes = Planes { lanes: Vec::new(), orders: Vec::new(), settle };
    let mut threads = Vec::new();
    for number in 0..workers {
        let (connections, taken) = mpsc::unbounded_channel();
        let (orders, ordered) = mpsc::unbounded_channel();
        let load = Arc::new(Load::default());
        let start = Start {
            connections: taken,
            orders: ordered,
            load: load.clone(),
            limits: PhaseLimits {
                idle: settings.limits.keep_alive,
                head: settings.limits.header_timeout,
                body: settings.limits.body_timeout,
                upstream: settings.upstream.request_timeout,
            },
            max_header: settings.limits.max_header,
            metrics: shared.metrics.clone(),
        };
        planes.lanes.push(Lane { connections, load: load.clone() });
        planes.orders.push(orders);
        let (shared, log, upstream, settle) = (shared.clone(), log.clone(), upstream.clone(), planes.settle.clone());
        let run = move || {
            let denials = move |batch| {
                settle.try_send(Settle::Batch(batch)).map_err(|error| match error.into_inner() {
                    Settle::Batch(batch) => batch,
                    Settle::Barrier(_) => Vec::new(),
                })
            };
            let failed = worker::run(start, |deadlines| {
                let pool = Pool::new(upstream, shared.metrics.clone(), Rc::clone(deadlines));
                let reporter = Reporter::new(shared.clone(), log.clone(), Box::new(denials));
                Proxy::new(shared, pool, reporter, load)
            });
            if let Err(error) = failed {
                log.error("a data-plane thread could not start", &[("error", &error)]);
            }
        };
        threads.push(std::thread::Builder::new().name(format!("relatch-{number}")).spawn(run)?);
    }
    Ok((planes, threads))
}

impl Planes {
    /// Brings the counters up to date: what the threads have buffered is handed over, and refusals are settled.
    async fn flush(self) {
        for orders in &self.orders {
            let (done, flushed) = oneshot::channel();
            if orders.send(Order::Flush(done)).is_ok() {
                let _gone = flushed.await;
            }
        }
        let (done, settled) = oneshot::channel();
        if self.settle.send(Settle::Barrier(done)).await.is_ok() {
            let _gone = settled.await;
        }
    }

    fn drain(&self) {
        for orders in &self.orders {
            let _already_ended = orders.send(Order::Drain);
        }
    }
}

async fn settle_all(mut denials: mpsc::Receiver<Settle>, shared: Arc<Shared>, log: Log) {
    let mut cache = SecondCache::default();
    while let Some(next) = denials.recv().await {
        match next {
            Settle::Batch(batch) => settle_denials(batch, &shared, &log, &mut cache),
            Settle::Barrier(done) => {
                let _nobody_waits = done.send(());
            }
        }
    }
}

/// Tells when the wall clock and ours part, and when they agree again.
async fn follow_clock(clock: Arc<Clock>, log: Log) {
    let mut told = WallClock::InStep;
    loop {
        let found = clock.follow_wall();
        if std::mem::discriminant(&found) != std::mem::discriminant(&told) {
            let next = "windows of secrets keep to the time since the start; restart to take the wall clock's";
            match found {
                WallClock::InStep => log.info("the wall clock agrees again", &[]),
                WallClock::Behind(by) => {
                    log.error("the wall clock was set back", &[("seconds", &by.as_secs()), ("next", &next)])
                }
                WallClock::Ahead(by) => {
                    log.error("the wall clock was set ahead", &[("seconds", &by.as_secs()), ("next", &next)])
                }
            }
            told = found;
        }
        tokio::time::sleep(CLOCK_CHECK).await;
    }
}

async fn wait_for(threads: Vec<JoinHandle<()>>) {
    while threads.iter().any(|thread| !thread.is_finished()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The signals we listen to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn catch() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// SIGTERM or SIGINT.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Reloads at each SIGHUP until told to stop.
    async fn until_stop(&mut self, triggers: Option<&Triggers>, origin: Option<&Origin>, log: &Log) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    if let Some(triggers) = triggers {
                        triggers.pull(Trigger::Signal);
                    }
                    if let Some(origin) = origin {
                        origin.compare(log);
                    }
                }
            }
        }
    }
}

impl Origin {
    /// Names the keys that were changed in the file and need a restart.
    fn compare(&self, log: &Log) {
        let name = self.path.display();
        let keys = match std::fs::read_to_string(&self.path) {
            Ok(text) => Settings::keys(&text),
            Err(error) => {
                return log.warn("the configuration file cannot be read", &[("file", &name), ("error", &error)]);
            }
        };
        let Some(keys) = keys else {
            return log.warn("the configuration file is not valid TOML now", &[("file", &name)]);
        };
        let changed = keys
            .iter()
            .filter(|pair| !self.keys.contains(pair))
            .chain(self.keys.iter().filter(|pair| !keys.contains(pair)));
        let mut names: Vec<&str> = changed.map(|(key, _)| key.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        if !names.is_empty() {
            log.warn(
                "needs restart: keys were changed that are read at the start only",
                &[("file", &name), ("keys", &names.join(" "))],
            );
        }
    }
}
