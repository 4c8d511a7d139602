//! A connection of HTTP/2: many requests at once, each a stream with its own phases and its own end.
//!
//! What a caller may cost is bounded here and in [`crate::frames`]: streams at once, bytes on their way, the size of
//! heads, how long a stream may live, frames that ask for nothing.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::request::Parts;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use super::body::{Body, Way};
use super::conn::{Conn, PhaseLimits};
use super::deadline::Deadlines;
use super::service::Service;
use super::stream::Stream;
use super::watched::Watched;
use super::worker::{DRAIN_GRACE, Ground};
use crate::message::fields::Fields;
use crate::message::request as message;
use crate::message::target::Target;

/// Streams at once on a connection: fewer are not recommended (RFC 9113 section 6.5.2).
const MOST_STREAMS: u32 = 100;
/// Bytes of one request that may be on their way unread: most token requests whole.
const STREAM_WINDOW: u32 = 64 << 10;
/// ... and of all of a connection.
const CONNECTION_WINDOW: u32 = 256 << 10;
/// Bytes of one answer that wait to be taken.
const MOST_UNSENT: usize = 64 << 10;
/// Streams that are taken back before we saw them, until the connection ends.
const MOST_UNSEEN: usize = 100;
/// Ticks after which a connection is asked to make room for a new one: an hour, as proxies do.
const OLD: u64 = 36_000;

/// How its heads are read, and what is allowed.
pub(super) fn builder(
    max_header: usize,
    most: usize,
    deadlines: &Rc<Deadlines>,
    limits: PhaseLimits,
) -> http2::Builder<Streams> {
    // A slow hash may be waited for as long as the upstream; and to take the answer a caller has as long as to send its
    // request.
    let life = 2 * (limits.body + limits.upstream);
    let mut http = http2::Builder::new(Streams { deadlines: deadlines.clone(), life, live: Rc::default(), most });
    http.max_concurrent_streams(MOST_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(max_header).unwrap_or(u32::MAX))
        .max_send_buf_size(MOST_UNSENT)
        .max_pending_accept_reset_streams(MOST_UNSEEN);
    http
}

/// Runs streams beside each other on this thread; one that outlives its time is reset, whatever holds it up.
#[derive(Clone)]
pub(super) struct Streams {
    deadlines: Rc<Deadlines>,
    life: Duration,
    live: Rc<Cell<usize>>,
    /// Of all connections of this thread: answers that nobody takes are streams too.
    most: usize,
}

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        if self.live.get() >= self.most {
            // Dropped, it is reset.
            return;
        }
        self.live.set(self.live.get() + 1);
        let (deadline, live) = (self.deadlines.deadline(), self.live.clone());
        deadline.set(self.life);
        tokio::task::spawn_local(async move {
            let mut stream = pin!(stream);
            poll_fn(|cx| {
                deadline.wakes(cx.waker());
                if deadline.passed() { Poll::Ready(()) } else { stream.as_mut().poll(cx) }
            })
            .await;
            live.set(live.get() - 1);
        });
    }
}

/// Serves a connection to its end. `ahead` was read of it before.
pub(super) async fn serve<S: Service>(stream: Stream, ahead: Bytes, carrier: Rc<Conn>, ground: &Ground<S>) {
    let Some(http) = &ground.http2 else { return };
    let (service, deadlines, shared) = (ground.service.clone(), ground.deadlines.clone(), carrier.clone());
    let answer = service_fn(move |request: Request<Incoming>| {
        let (service, conn) = (service.clone(), Conn::stream(&shared, deadlines.deadline()));
        async move {
            let mut call = pin!(answer(service, conn.clone(), request));
            let response = poll_fn(|cx| {
                conn.deadline().wakes(cx.waker());
                call.as_mut().poll(cx)
            });
            Ok::<_, Infallible>(response.await)
        }
    });
    let floods = ground.metrics.entry.floods.clone();
    let io = TokioIo::new(Watched::new(stream, carrier.clone(), ahead, floods));
    let mut connection = pin!(http.serve_connection(io, answer));
    poll_fn(|cx| {
        carrier.deadline().wakes(cx.waker());
        let is_late = carrier.is_late() && carrier.has_no_request();
        if is_late && carrier.is_leaving() {
            return Poll::Ready(());
        }
        // The other end is told, and has a moment to take it.
        if !carrier.is_leaving() && (is_late || ground.draining.get() || carrier.age() >= OLD) {
            connection.as_mut().graceful_shutdown();
            carrier.leave(DRAIN_GRACE);
        }
        connection.as_mut().poll(cx).map(drop)
    })
    .await;
}

/// Answers a request in the terms of the library that carries it.
async fn answer<S: Service>(service: Rc<S>, conn: Rc<Conn>, request: Request<Incoming>) -> Response<S::Body> {
    let (mut parts, body) = request.into_parts();
    one_host(&mut parts);
    let (method, version) = (parts.method, parts.version);
    let (target, fields) = (Target::of_uri(&parts.uri), Fields::of_map(&parts.headers));
    let answer =
        service.call(conn, message::Request { method, target, version, fields }, Body(Way::Stream(body))).await;
    let mut response = Response::new(answer.body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.fields.to_map();
    response
}

/// The authority is HTTP/2's Host (RFC 9113 section 8.3.1). Where both are there they must agree: two readings are none,
/// and are refused as two Hosts are.
fn one_host(parts: &mut Parts) {
    let Some(authority) = parts.uri.authority() else { return };
    let host = parts.headers.get(HOST);
    if host.is_some_and(|host| host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes())) {
        return;
    }
    if let Ok(authority) = HeaderValue::from_str(authority.as_str()) {
        parts.headers.append(HOST, authority);
    }
}
