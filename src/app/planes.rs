//! The data-plane threads: started, kept up to date with the counters, drained.

use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::hooks::Hooks;
use crate::log::Log;
use crate::net::accept::{Lane, Load};
use crate::net::conn::PhaseLimits;
use crate::net::entry::Entry;
use crate::net::worker::{self, Order, Start};
use crate::proxy::report::Reporter;
use crate::proxy::settle::{Batch, Settler};
use crate::proxy::{Proxy, Shared};
use crate::tls::server::ServerSide;
use crate::upstream::pool::{Pool, Pools};
use crate::upstream::remote::Remotes;

/// Batches that may wait for the control thread.
const BATCHES: usize = 256;
/// Refusals and uses on their way to the control thread, or a question whether all before it were settled.
pub(super) enum Settle {
    Batch(Batch),
    Barrier(oneshot::Sender<()>),
}

/// The data-plane threads.
#[derive(Clone)]
pub(super) struct Planes {
    /// Where connections are handed over.
    pub(super) lanes: Vec<Lane>,
    orders: Vec<mpsc::UnboundedSender<Order>>,
    settle: mpsc::Sender<Settle>,
}

/// Starts the threads, and the task that finds out why credentials were refused.
pub(super) fn start(
    shared: &Arc<Shared>,
    remotes: Remotes,
    tls: Option<&Arc<ServerSide>>,
    hooks: &Hooks,
    log: &Log,
) -> anyhow::Result<(Planes, Vec<JoinHandle<()>>)> {
    let (settle, batches) = mpsc::channel(BATCHES);
    tokio::task::spawn_local(settle_all(batches, shared.clone(), Settler::telling(hooks.clone()), log.clone()));
    let (settings, remotes) = (&shared.settings, Arc::new(remotes));
    let proxy = &settings.proxy;
    let entry = Arc::new(Entry {
        proxy_protocol: proxy.proxy_protocol.then(|| proxy.trusted_proxies.clone()),
        header_timeout: settings.limits.header_timeout,
        tls: tls.cloned(),
        handshake_timeout: settings.limits.handshake_timeout,
    });
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
            entry: entry.clone(),
            orders: ordered,
            load: load.clone(),
            limits: PhaseLimits {
                idle: settings.limits.keep_alive,
                head: settings.limits.header_timeout,
                body: settings.limits.body_timeout,
                upstream: settings.upstream.request_timeout,
            },
            max_header: settings.limits.max_header,
            most: settings.limits.max_connections,
            http2: proxy.http2,
            // The library's pings over HTTP/2.
            timers: remotes.may_speak_http2(),
            metrics: shared.metrics.clone(),
        };
        planes.lanes.push(Lane { connections, load: load.clone() });
        planes.orders.push(orders);
        let (shared, log, remotes, settle) = (shared.clone(), log.clone(), remotes.clone(), planes.settle.clone());
        let run = move || {
            let aftermath = move |batch| {
                settle.try_send(Settle::Batch(batch)).map_err(|error| match error.into_inner() {
                    Settle::Batch(batch) => batch,
                    Settle::Barrier(_) => Batch::default(),
                })
            };
            let failed = worker::run(start, |deadlines| {
                let pool = |remote: &_| {
                    Pool::new(Arc::clone(remote), shared.metrics.clone(), log.clone(), Rc::clone(deadlines))
                };
                let pools = Pools::new(&remotes, pool);
                let reporter = Reporter::new(shared.clone(), log.clone(), Box::new(aftermath));
                Proxy::new(shared, pools, reporter, load)
            });
            if let Err(error) = failed {
                log.error("a data-plane thread could not start", &[("error", &error)]);
            }
        };
        threads.push(std::thread::Builder::new().name(format!("relatch-{number}")).spawn(run)?);
    }
    worker::tell_time(planes.orders.clone())?;
    Ok((planes, threads))
}

impl Planes {
    /// Brings the counters up to date: what the threads have buffered is handed over, and refusals are settled.
    pub(super) async fn flush(self) {
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

    /// Lets every connection end.
    pub(super) fn drain(&self) {
        for orders in &self.orders {
            let _already_ended = orders.send(Order::Drain);
        }
    }
}

async fn settle_all(mut batches: mpsc::Receiver<Settle>, shared: Arc<Shared>, mut settler: Settler, log: Log) {
    while let Some(next) = batches.recv().await {
        match next {
            Settle::Batch(batch) => settler.settle(batch, &shared, &log),
            Settle::Barrier(done) => {
                let _nobody_waits = done.send(());
            }
        }
    }
}

/// Waits until every thread has ended.
pub(super) async fn wait_for(threads: Vec<JoinHandle<()>>) {
    while threads.iter().any(|thread| !thread.is_finished()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
