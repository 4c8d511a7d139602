//! A data-plane thread: its own runtime, its own timers, its own upstream connections; it serves what it is handed.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::LocalOptions;
use tokio::sync::{mpsc, oneshot};

use super::accept::Load;
use super::conn::{Conn, PhaseLimits};
use super::deadline::{Deadlines, TICK};
use super::entry::{Entry, Patience};
use super::http1::Date;
use super::listener::Arrived;
use super::service::Service;
use super::wire::Spare;
use super::{http1, http2};
use crate::domain::clock::{instant, wall};
use crate::metrics::Metrics;

/// What a thread is told.
pub enum Order {
    /// Hand over what waits, then answer.
    Flush(oneshot::Sender<()>),
    /// Finish: idle connections soon, the others after their answer.
    Drain,
    /// A [`TICK`] has passed.
    Tick,
}

/// What a thread is started with.
pub struct Start {
    /// Connections to serve.
    pub connections: mpsc::UnboundedReceiver<Arrived>,
    /// What they must bring.
    pub entry: Arc<Entry>,
    /// Orders to follow.
    pub orders: mpsc::UnboundedReceiver<Order>,
    /// Where it tells how busy it is.
    pub load: Arc<Load>,
    /// How long each phase of a request may last.
    pub limits: PhaseLimits,
    /// The largest head.
    pub max_header: usize,
    /// The most requests at once.
    pub most: usize,
    /// Whether HTTP/2 is spoken too.
    pub http2: bool,
    /// Whether anything on the thread sleeps by the runtime, which then reads a clock each time there is nothing to do.
    pub timers: bool,
    /// Where open connections are counted.
    pub metrics: Arc<Metrics>,
}

/// Threads that wait for names to be resolved, for each data-plane thread at most.
pub const RESOLVERS: usize = 4;
/// A caller that was just served may have its next request on the way while we drain.
pub(super) const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// Tells threads the time until all of them have ended.
pub fn tell_time(threads: Vec<mpsc::UnboundedSender<Order>>) -> std::io::Result<()> {
    let tell = move || {
        while threads.iter().filter(|orders| orders.send(Order::Tick).is_ok()).count() > 0 {
            std::thread::sleep(TICK);
        }
    };
    std::thread::Builder::new().name("relatch-ticks".to_owned()).spawn(tell).map(drop)
}

/// Runs a thread until every connection has ended after [`Order::Drain`].
pub fn run<S: Service>(start: Start, make: impl FnOnce(&Rc<Deadlines>) -> Rc<S>) -> std::io::Result<()> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    if start.timers {
        runtime.enable_time();
    }
    let runtime = runtime.enable_io().max_blocking_threads(RESOLVERS).build_local(LocalOptions::default())?;
    runtime.block_on(async move {
        let deadlines = Rc::new(Deadlines::default());
        let service = make(&deadlines);
        serve(start, &service, &deadlines).await;
        service.flush();
    });
    // A name server that does not answer has nobody left who waits for it.
    runtime.shutdown_background();
    Ok(())
}

/// What the connections of a thread share.
pub(super) struct Ground<S> {
    /// The largest head.
    pub(super) max_header: usize,
    /// What every answer is dated.
    pub(super) date: Date,
    /// Room that no connection needs now.
    pub(super) spare: Spare,
    /// Unless it is not spoken here.
    pub(super) http2: Option<hyper::server::conn::http2::Builder<http2::Streams>>,
    pub(super) service: Rc<S>,
    pub(super) deadlines: Rc<Deadlines>,
    pub(super) limits: PhaseLimits,
    pub(super) entry: Arc<Entry>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) draining: Cell<bool>,
}

async fn serve<S: Service>(mut start: Start, service: &Rc<S>, deadlines: &Rc<Deadlines>) {
    let ground = Rc::new(Ground {
        max_header: start.max_header,
        date: Date::default(),
        spare: Spare::default(),
        http2: start.http2.then(|| http2::builder(start.max_header, start.most, deadlines, start.limits)),
        service: service.clone(),
        deadlines: deadlines.clone(),
        limits: start.limits,
        entry: start.entry.clone(),
        metrics: start.metrics.clone(),
        draining: Cell::new(false),
    });
    ground.date.tick(wall());
    let began = instant();
    let tick = || {
        let since = instant().saturating_duration_since(began);
        deadlines.tick(u64::try_from(since.as_millis() / TICK.as_millis()).unwrap_or(u64::MAX));
        ground.date.tick(wall());
        service.tick();
    };
    loop {
        tokio::select! {
            taken = start.connections.recv(), if !start.connections.is_closed() || !start.connections.is_empty() => {
                if let Some(arrived) = taken {
                    tokio::task::spawn_local(connection(arrived, Open::count(&start), ground.clone()));
                }
            }
            Some(order) = start.orders.recv() => match order {
                Order::Flush(done) => {
                    // After a pause of the whole process, whoever asks first must not be held to the time before it.
                    tick();
                    service.flush();
                    let _nobody_waits = done.send(());
                }
                Order::Drain => {
                    start.connections.close();
                    ground.draining.set(true);
                    service.drain();
                    deadlines.wake_all();
                }
                Order::Tick => tick(),
            },
        }
        if ground.draining.get() && start.load.connections.load(Relaxed) == 0 {
            return;
        }
    }
}

/// A connection from its entry to its end.
async fn connection<S: Service>(arrived: Arrived, _open: Open, ground: Rc<Ground<S>>) {
    let Ok((socket, peer)) = arrived.open() else { return };
    let deadline = ground.deadlines.deadline();
    let patience = Patience { deadline: &deadline, draining: &ground.draining, grace: DRAIN_GRACE };
    let entered = ground.entry.admit(socket, peer, &patience, &ground.metrics.entry).await;
    let Some((stream, link)) = entered else { return };
    if stream.protocol() == Some(crate::tls::H2) {
        return http2::serve(stream, Bytes::new(), Conn::carrier(link, deadline, ground.limits), &ground).await;
    }
    let conn = Conn::new(link.clone(), deadline, ground.limits);
    if let Some((stream, ahead)) = http1::serve(stream, conn, &ground).await {
        let carrier = Conn::carrier(link, ground.deadlines.deadline(), ground.limits);
        http2::serve(stream, ahead, carrier, &ground).await;
    }
}

/// An open connection, counted.
struct Open {
    load: Arc<Load>,
    metrics: Arc<Metrics>,
}

impl Open {
    fn count(start: &Start) -> Self {
        start.metrics.connections.inc();
        Self { load: start.load.clone(), metrics: start.metrics.clone() }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.load.connections.fetch_sub(1, Relaxed);
        self.metrics.connections.dec();
    }
}
