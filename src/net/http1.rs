//! A connection of HTTP/1.1: one request after the other.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::conn::Conn;
use super::service::Service;
use super::stream::Stream;
use super::watched::Watched;
use super::worker::{DRAIN_GRACE, Ground};
use crate::frames::PREFACE;

/// How much of an unread request is read before the close, so that the answer is not destroyed by a reset.
const LINGER_BYTES: usize = 256 << 10;
/// ... and for how long.
const LINGER_TIME: Duration = Duration::from_millis(500);

/// How its heads are read.
pub(super) fn builder(max_header: usize) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.max_header_size(max_header)
        .max_buf_size(max_header.max(16 << 10))
        // Head and body are small: one copy costs less than the kernel's walk over a list of buffers.
        .writev(false);
    http
}

/// Serves a connection to its end. Where it begins as HTTP/2 it is given back, with what was read of it.
pub(super) async fn serve<S: Service>(stream: Stream, conn: Rc<Conn>, ground: &Ground<S>) -> Option<(Stream, Bytes)> {
    let (service, shared) = (ground.service.clone(), conn.clone());
    let answer = service_fn(move |request| {
        let (service, conn) = (service.clone(), shared.clone());
        async move { Ok::<_, Infallible>(super::http2::answer(service, conn, request).await) }
    });
    let io = TokioIo::new(Watched::new(stream, conn.clone()));
    let mut connection = ground.http1.serve_connection(io, answer);
    let mut told_to_drain = false;
    let ended = poll_fn(|cx| {
        conn.deadline().wakes(cx.waker());
        if ground.draining.get() && !told_to_drain {
            told_to_drain = true;
            conn.drain(DRAIN_GRACE);
        }
        match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            // A late body or upstream is answered by the request itself, which ends the phase. Nobody answers a head that
            // does not come; and where an answer is not read, the request that waits behind it is not asked.
            Poll::Pending if conn.is_late() && conn.has_no_request() => Poll::Ready(None),
            Poll::Pending if conn.deadline().is_overdue() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    let parts = connection.into_parts();
    let stream = parts.io.into_inner().into_inner();
    match ended {
        // Only a connection may begin so: behind a request these bytes may be anybody's.
        Some(Err(_)) if ground.http2.is_some() && !conn.was_asked() && parts.read_buf.starts_with(PREFACE) => {
            return Some((stream, parts.read_buf));
        }
        Some(_) if conn.lingers() => linger(stream).await,
        _ => {}
    }
    None
}

/// Reads on for a moment after the answer: a close with unread bytes would reset the connection, and the caller would
/// never see why it was refused.
async fn linger(mut stream: Stream) {
    let mut unread = [0u8; 4096];
    let mut left = LINGER_BYTES;
    let reading = async {
        // Over TLS this writes, and whoever reads nothing would hold it up.
        let _may_be_closed = stream.shutdown().await;
        while let Ok(read @ 1..) = stream.read(&mut unread).await {
            left = left.saturating_sub(read);
            if left == 0 {
                break;
            }
        }
    };
    let _given_up = tokio::time::timeout(LINGER_TIME, reading).await;
}
