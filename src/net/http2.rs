//! A connection of HTTP/2: many requests at once, each a stream with its own phases and its own end.
//!
//! What a caller may cost is bounded here and in [`crate::frames`]: streams at once, bytes on their way, the size of
//! heads, how long a stream may live, frames that ask for nothing.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::request::Parts;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::conn::{Conn, PhaseLimits};
use super::deadline::Deadlines;
use super::stream::Stream;
use super::watched::Watched;
use super::worker::{DRAIN_GRACE, Ground, Service};

/// Streams at once on a connection: what most servers announce.
const MOST_STREAMS: u32 = 128;
/// Bytes of one request that may be on their way unread: most token requests whole.
const STREAM_WINDOW: u32 = 64 << 10;
/// ... and of all of a connection.
const CONNECTION_WINDOW: u32 = 256 << 10;
/// Bytes of one answer that wait to be taken.
const MOST_UNSENT: usize = 64 << 10;
/// Streams that end by a caller's error, or before we saw them, until the connection does.
const MOST_BROKEN: usize = 100;

/// How its heads are read, and what is allowed.
pub(super) fn builder(max_header: usize, deadlines: &Rc<Deadlines>, limits: PhaseLimits) -> http2::Builder<Streams> {
    // To take the answer a caller has as long as to send its request.
    let life = limits.body + limits.upstream + limits.body;
    let mut http = http2::Builder::new(Streams { deadlines: deadlines.clone(), life });
    http.max_concurrent_streams(MOST_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(max_header).unwrap_or(u32::MAX))
        .max_send_buf_size(MOST_UNSENT)
        .max_pending_accept_reset_streams(MOST_BROKEN)
        .max_local_error_reset_streams(MOST_BROKEN);
    http
}

/// Runs streams beside each other on this thread; one that outlives its time is reset, whatever holds it up.
#[derive(Clone)]
pub(super) struct Streams {
    deadlines: Rc<Deadlines>,
    life: Duration,
}

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let deadline = self.deadlines.deadline();
        deadline.set(self.life);
        tokio::task::spawn_local(async move {
            let mut stream = pin!(stream);
            poll_fn(|cx| {
                deadline.wakes(cx.waker());
                if deadline.passed() { Poll::Ready(()) } else { stream.as_mut().poll(cx) }
            })
            .await;
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
            let (mut parts, body) = request.into_parts();
            one_host(&mut parts);
            let mut call = pin!(service.call(conn.clone(), Request::from_parts(parts, body)));
            let response = poll_fn(|cx| {
                conn.deadline().wakes(cx.waker());
                call.as_mut().poll(cx)
            });
            Ok::<_, Infallible>(response.await)
        }
    });
    let floods = ground.metrics.entry.floods.clone();
    let io = TokioIo::new(Watched::of_frames(stream, carrier.clone(), ahead, floods));
    let mut connection = pin!(http.serve_connection(io, answer));
    let mut leaving = false;
    poll_fn(|cx| {
        carrier.deadline().wakes(cx.waker());
        if ground.draining.get() && !leaving {
            leaving = true;
            connection.as_mut().graceful_shutdown();
            carrier.drain(DRAIN_GRACE);
        }
        match connection.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending if !(carrier.is_late() && carrier.has_no_request()) => Poll::Pending,
            Poll::Pending if leaving => Poll::Ready(()),
            // The other end is told why, and has a moment to take it.
            Poll::Pending => {
                leaving = true;
                connection.as_mut().graceful_shutdown();
                carrier.drain(DRAIN_GRACE);
                carrier.enter(super::conn::Phase::Idle);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    })
    .await;
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
