//! HTTP/2 towards the upstream: a connection of this thread that carries many requests at once and has a task to drive it.
//!
//! A request goes out a second time only when nothing of it can have been acted on, and the other end says so (RFC 9113
//! section 8.7): its stream was refused, or lies above the last one that a GOAWAY names; or hyper hands it back untouched.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{Request, Uri, Version, header};
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::IntGauge;
use tokio::sync::Semaphore;

use super::UpstreamError;
use super::connection::Live;
use super::exchange::{Begun, Rest, kind, send, unless_late};
use super::pool::Pool;
use super::turns::InTurns;
use crate::message::answer::MOST_HEAD;
use crate::message::fields::Fields;
use crate::net::conn::Conn;
use crate::net::deadline::Deadlines;
use crate::net::stream::Stream;
use crate::rewrite::Outbound;
use crate::tls::H2;

/// Connections of one thread to one upstream that takes few streams on each; more requests wait for a stream.
const MOST_TRUNKS: usize = 8;
/// What a stream may bring before it is read: a whole answer of the usual size, so that none waits for a window.
const STREAM_WINDOW: u32 = 128 << 10;
/// ... for as many streams as servers allow by default: no caller that reads slowly holds up the others.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * 100;
/// A connection that was lost without a word is found out within the two.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_ANSWERED: Duration = Duration::from_secs(5);
/// A server that ends an idle connection says which requests it took: the race that HTTP/1.1 has is none here, and servers
/// wait longer than this.
pub(super) const IDLE: Duration = Duration::from_secs(60);

/// The connections of one thread to one upstream.
#[derive(Default)]
pub(super) struct Trunks {
    all: RefCell<Vec<Rc<Trunk>>>,
    connecting: Connecting,
}

/// One connection.
struct Trunk {
    sender: http2::SendRequest<Full<Bytes>>,
    /// Requests on it.
    streams: Cell<usize>,
    /// How many the upstream takes at once.
    most: Rc<Cell<usize>>,
    /// Who is woken by the first answer, to look how many that is.
    asks: Rc<Cell<Option<Waker>>>,
    idle_since: Cell<u64>,
    deadlines: Rc<Deadlines>,
    idle: IntGauge,
}

/// A stream of a connection, for one request.
pub(super) struct Lease(Rc<Trunk>);

/// One connection is made at a time; those who waited for one that failed are told so, and do not try in a row.
struct Connecting {
    turn: Semaphore,
    failed: Cell<(u64, Option<UpstreamError>)>,
}

impl Default for Connecting {
    fn default() -> Self {
        Self { turn: Semaphore::new(1), failed: Cell::default() }
    }
}

/// Sends a request over HTTP/2, or over HTTP/1.1 where the upstream chooses that.
pub(super) async fn multiplex(pool: &Rc<Pool>, conn: &Rc<Conn>, outbound: Outbound) -> Result<Begun, UpstreamError> {
    let mut is_first = true;
    loop {
        let lease = match unless_late(conn, pool.trunks.carrier(pool)).await? {
            Carrier::Shared(lease) => lease,
            Carrier::Own(live) => return send(pool, conn, outbound, Some(live)).await,
        };
        let request = outbound.to_request(Full::new);
        let anew = request.and_then(|request| anew(request, pool.rules().target.is_https()));
        let anew = anew.ok_or(UpstreamError::Protocol)?;
        let mut answer = pin!(lease.0.sender.clone().try_send_request(anew));
        match unless_late(conn, poll_fn(|cx| answer.as_mut().poll(cx).map(Ok))).await? {
            Ok(response) => {
                lease.0.ask();
                let (parts, incoming) = response.into_parts();
                let rest = Rest::Shared { incoming, lease: Some(lease) };
                return Ok(Begun { status: parts.status, fields: Fields::of_map(&parts.headers), rest });
            }
            Err(mut error) => {
                let untouched = error.take_message().is_some() || is_unprocessed(error.error());
                if !untouched || !std::mem::take(&mut is_first) {
                    return Err(kind(error.error(), pool));
                }
            }
        }
    }
}

/// Whether the upstream says that it did not act on the request, and will not.
fn is_unprocessed(error: &hyper::Error) -> bool {
    let fault = std::error::Error::source(error).and_then(|source| source.downcast_ref::<h2::Error>());
    fault.is_some_and(|fault| {
        // Streams up to the last one of a GOAWAY are not ended by it, so that one which is lay above.
        let refused = fault.is_reset() && fault.reason() == Some(h2::Reason::REFUSED_STREAM);
        fault.is_remote() && (refused || fault.is_go_away())
    })
}

/// The request as HTTP/2 has it: the Host is the authority.
fn anew(mut request: Request<Full<Bytes>>, https: bool) -> Option<Request<Full<Bytes>>> {
    let authority: Authority = request.headers_mut().remove(header::HOST)?.to_str().ok()?.parse().ok()?;
    let mut parts = request.uri().clone().into_parts();
    parts.scheme = Some(if https { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(authority);
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    *request.version_mut() = Version::HTTP_2;
    Some(request)
}

/// What a request goes out on.
enum Carrier {
    /// A stream of a connection that many share.
    Shared(Lease),
    /// A connection of its own: the upstream speaks HTTP/1.1.
    Own(Box<Live>),
}

impl Trunks {
    /// A stream; or a connection, where the upstream speaks HTTP/1.1.
    async fn carrier(&self, pool: &Pool) -> Result<Carrier, UpstreamError> {
        let known = || self.find().map(Carrier::Shared).or_else(|| pool.take().map(Carrier::Own));
        if let Some(carrier) = known() {
            return Ok(carrier);
        }
        let (before, _) = self.connecting.failed.get();
        let _turn = self.connecting.turn.acquire().await.map_err(|_| UpstreamError::Connect)?;
        if let Some(carrier) = known() {
            return Ok(carrier);
        }
        match self.connecting.failed.get() {
            (after, Some(error)) if after != before => return Err(error),
            _ => {}
        }
        self.open(pool).await.inspect_err(|error| self.connecting.failed.set((before + 1, Some(*error))))
    }

    /// A stream of a connection that has one left, or of the one with the fewest when there may be no more connections.
    fn find(&self) -> Option<Lease> {
        let mut all = self.all.borrow_mut();
        all.retain(|trunk| !trunk.sender.is_closed());
        let free = all.iter().find(|trunk| trunk.streams.get() < trunk.most.get());
        let least = || all.iter().min_by_key(|trunk| trunk.streams.get()).filter(|_| all.len() >= MOST_TRUNKS);
        free.or_else(least).map(Lease::of)
    }

    async fn open(&self, pool: &Pool) -> Result<Carrier, UpstreamError> {
        let link = pool.link().await?;
        if link.is_secured() && link.protocol() != Some(H2) {
            return Ok(Carrier::Own(Live::over(link)));
        }
        let trunk = Rc::new(Trunk::over(link, pool).await?);
        let lease = Lease::of(&trunk);
        self.all.borrow_mut().push(trunk);
        Ok(Carrier::Shared(lease))
    }

    /// Closes what has lain idle too long. What still carries an answer ends with it.
    pub(super) fn sweep(&self, is_cold: impl Fn(u64) -> bool) {
        self.all.borrow_mut().retain(|trunk| {
            let cold = trunk.streams.get() == 0 && is_cold(trunk.idle_since.get());
            !cold && !trunk.sender.is_closed()
        });
    }
}

impl Trunk {
    async fn over(link: Stream, pool: &Pool) -> Result<Self, UpstreamError> {
        let (sender, mut connection) = http2::Builder::new(Here)
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MOST_HEAD.try_into().unwrap_or(u32::MAX))
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_ANSWERED)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(InTurns::over(link)))
            .await
            .map_err(|error| kind(&error, pool))?;
        let most = Rc::new(Cell::new(connection.current_max_send_streams()));
        let (told, asks) = (most.clone(), Rc::new(Cell::new(None)));
        let (asked, mut is_known) = (asks.clone(), false);
        tokio::task::spawn_local(async move {
            // Its end is told by the answers that do not come.
            let _told = poll_fn(|cx| {
                let polled = Pin::new(&mut connection).poll(cx);
                told.set(connection.current_max_send_streams());
                if !std::mem::replace(&mut is_known, true) {
                    asked.set(Some(cx.waker().clone()));
                }
                polled
            })
            .await;
        });
        let idle = pool.metrics().upstream_idle.clone();
        idle.inc();
        let deadlines = pool.deadlines().clone();
        Ok(Self { sender, streams: Cell::new(0), most, asks, idle_since: Cell::new(deadlines.now()), deadlines, idle })
    }
}

impl Trunk {
    /// With the first answer the upstream's settings are here. The connection looks at them when it next runs, which by
    /// itself it does with the next request: too late for those that come with it.
    fn ask(&self) {
        if let Some(connection) = self.asks.take() {
            connection.wake();
        }
    }
}

impl Drop for Trunk {
    fn drop(&mut self) {
        // Every lease holds it: there is none left.
        self.idle.dec();
    }
}

impl Lease {
    fn of(trunk: &Rc<Trunk>) -> Self {
        if trunk.streams.replace(trunk.streams.get() + 1) == 0 {
            trunk.idle.dec();
        }
        Self(trunk.clone())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let left = self.0.streams.get().saturating_sub(1);
        self.0.streams.set(left);
        if left == 0 {
            self.0.idle_since.set(self.0.deadlines.now());
            self.0.idle.inc();
        }
    }
}

/// Runs a connection's tasks on the thread that they belong to.
#[derive(Clone, Copy)]
struct Here;

impl<F: Future<Output = ()> + 'static> Executor<F> for Here {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}
