//! A data-plane thread: its own runtime, its own timers, its own upstream connections; it serves what it is handed.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::LocalOptions;
use tokio::sync::{mpsc, oneshot};

use super::accept::Load;
use super::conn::{Conn, PhaseLimits, Watched};
use super::deadline::{Deadlines, TICK};
use super::entry::{Entry, Patience};
use super::listener::Arrived;
use super::socket::Socket;
use crate::domain::clock::instant;
use crate::metrics::Metrics;

/// What a thread serves its connections with.
pub trait Service: 'static {
    /// The body of an answer.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + 'static;

    /// Answers a request.
    fn call(self: Rc<Self>, conn: Rc<Conn>, request: Request<Incoming>) -> impl Future<Output = Response<Self::Body>>;

    /// Called at each tick, for what may wait a little.
    fn tick(&self);

    /// Called before somebody looks at the counters.
    fn flush(&self);

    /// From now on each answer is its connection's last.
    fn drain(&self);
}

/// What a thread is told.
pub enum Order {
    /// Hand over what waits, then answer.
    Flush(oneshot::Sender<()>),
    /// Finish: idle connections soon, the others after their answer.
    Drain,
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
    /// Where open connections are counted.
    pub metrics: Arc<Metrics>,
}

/// Threads that wait for names to be resolved, for each data-plane thread at most.
pub const RESOLVERS: usize = 4;
/// A caller that was just served may have its next request on the way while we drain.
const DRAIN_GRACE: Duration = Duration::from_secs(1);
/// How much of an unread request is read before the close, so that the answer is not destroyed by a reset.
const LINGER_BYTES: usize = 256 << 10;
/// ... and for how long.
const LINGER_TIME: Duration = Duration::from_millis(500);

/// Runs a thread until every connection has ended after [`Order::Drain`].
pub fn run<S: Service>(start: Start, make: impl FnOnce(&Rc<Deadlines>) -> Rc<S>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(RESOLVERS)
        .build_local(LocalOptions::default())?;
    runtime.block_on(async move {
        let deadlines = Rc::new(Deadlines::default());
        let service = make(&deadlines);
        serve(start, &service, &deadlines).await;
        service.flush();
    });
    Ok(())
}

async fn serve<S: Service>(mut start: Start, service: &Rc<S>, deadlines: &Rc<Deadlines>) {
    let mut http = http1::Builder::new();
    http.max_header_size(start.max_header)
        .max_buf_size(start.max_header.max(16 << 10))
        // Head and body are small: one copy costs less than the kernel's walk over a list of buffers.
        .writev(false);
    let draining = Rc::new(Cell::new(false));
    let began = instant();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            taken = start.connections.recv(), if !start.connections.is_closed() || !start.connections.is_empty() => {
                let Some(arrived) = taken else { continue };
                let open = Open::count(&start);
                let Ok((mut socket, peer)) = arrived.open() else { continue };
                let (deadline, limits, entry) = (deadlines.deadline(), start.limits, start.entry.clone());
                let (http, service, draining) = (http.clone(), service.clone(), draining.clone());
                tokio::task::spawn_local(async move {
                    let patience = Patience { deadline: &deadline, draining: &draining, grace: DRAIN_GRACE };
                    if let Some(peer) = entry.admit(&mut socket, peer, &patience, &open.metrics.entry).await {
                        connection(socket, Conn::new(peer, deadline, limits), http, service, draining).await;
                    }
                    drop(open);
                });
            }
            Some(order) = start.orders.recv() => match order {
                Order::Flush(done) => {
                    service.flush();
                    let _nobody_waits = done.send(());
                }
                Order::Drain => {
                    start.connections.close();
                    draining.set(true);
                    service.drain();
                    deadlines.wake_all();
                }
            },
            _ = tick.tick() => {
                let since = instant().saturating_duration_since(began);
                deadlines.tick(u64::try_from(since.as_millis() / TICK.as_millis()).unwrap_or(u64::MAX));
                service.tick();
            }
        }
        if draining.get() && start.load.connections.load(Relaxed) == 0 {
            return;
        }
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

async fn connection<S: Service>(
    socket: Socket,
    conn: Rc<Conn>,
    http: http1::Builder,
    service: Rc<S>,
    draining: Rc<Cell<bool>>,
) {
    let shared = conn.clone();
    let answer = service_fn(move |request| {
        let (service, conn) = (service.clone(), shared.clone());
        async move { Ok::<_, Infallible>(service.call(conn, request).await) }
    });
    let io = TokioIo::new(Watched::new(socket, conn.clone()));
    let mut connection = http.serve_connection(io, answer);
    let mut told_to_drain = false;
    let ended = poll_fn(|cx| {
        conn.deadline().wakes(cx.waker());
        if draining.get() && !told_to_drain {
            told_to_drain = true;
            conn.drain(DRAIN_GRACE);
        }
        match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(_) => Poll::Ready(true),
            // A late body or upstream is answered by the request itself, which ends the phase. Nobody answers a head that
            // does not come; and where an answer is not read, the request that waits behind it is not asked.
            Poll::Pending if conn.is_late() && conn.has_no_request() => Poll::Ready(false),
            Poll::Pending if conn.deadline().is_overdue() => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    if ended && conn.lingers() {
        linger(connection.into_parts().io.into_inner().into_inner()).await;
    }
}

/// Reads on for a moment after the answer: a close with unread bytes would reset the connection, and the caller would
/// never see why it was refused.
async fn linger(mut stream: Socket) {
    let _may_be_closed = stream.shutdown().await;
    let mut unread = [0u8; 4096];
    let mut left = LINGER_BYTES;
    let reading = async {
        while let Ok(read @ 1..) = stream.read(&mut unread).await {
            left = left.saturating_sub(read);
            if left == 0 {
                break;
            }
        }
    };
    let _given_up = tokio::time::timeout(LINGER_TIME, reading).await;
}
