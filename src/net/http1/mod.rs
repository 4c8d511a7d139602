//! A connection of HTTP/1.1 from a caller: one request after the other, driven by the connection's own task.

mod answer;
mod body;
mod conversation;
mod date;

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub use self::answer::{Asked, Sending};
pub(super) use self::body::Own;
use self::conversation::{End, converse};
pub use self::date::Date;
use super::conn::Conn;
use super::deadline::Deadline;
use super::service::Service;
use super::stream::Stream;
use super::wire::Wire;
use super::worker::{DRAIN_GRACE, Ground};

/// How much of an unread request is read before the close, so that the answer is not destroyed by a reset.
const LINGER_BYTES: usize = 256 << 10;
/// ... and for how long.
const LINGER_TIME: Duration = Duration::from_millis(500);

/// Serves a connection to its end. Where it begins as HTTP/2 it is given back, with what was read of it.
pub(super) async fn serve<S: Service>(stream: Stream, conn: Rc<Conn>, ground: &Ground<S>) -> Option<(Stream, Bytes)> {
    let wire = RefCell::new(Wire::over(stream));
    let mut told_to_drain = false;
    let end = {
        let mut conversation = pin!(converse(&wire, &conn, ground));
        poll_fn(|cx| {
            conn.deadline().wakes(cx.waker());
            if ground.draining.get() && !told_to_drain {
                told_to_drain = true;
                conn.drain(DRAIN_GRACE);
            }
            match conversation.as_mut().poll(cx) {
                Poll::Ready(end) => Poll::Ready(end),
                // A late body or upstream is answered by the request itself, which ends the phase. Nobody answers a head
                // that does not come; and where an answer is not read, the request that waits behind it is not asked.
                Poll::Pending if conn.is_late() && conn.has_no_request() => Poll::Ready(End::Lost),
                Poll::Pending if conn.deadline().is_overdue() => Poll::Ready(End::Lost),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    };
    let (stream, came) = wire.into_inner().into_parts();
    match end {
        End::Http2 => return Some((stream, came.freeze())),
        End::Over if conn.lingers() || !came.is_empty() => linger(stream, &ground.deadlines.deadline()).await,
        End::Over | End::Lost => {}
    }
    None
}

/// Reads on for a moment after the answer: a close with unread bytes would reset the connection, and the caller would
/// never see why it was refused.
async fn linger(mut stream: Stream, deadline: &Deadline) {
    let mut unread = Vec::with_capacity(4096);
    let mut left = LINGER_BYTES;
    let reading = async {
        // Over TLS this writes, and whoever reads nothing would hold it up.
        let _may_be_closed = stream.shutdown().await;
        while let Ok(read @ 1..) = stream.read_buf(&mut unread).await {
            left = left.saturating_sub(read);
            if left == 0 {
                break;
            }
            unread.clear();
        }
    };
    let _given_up = deadline.within(LINGER_TIME, reading).await;
}
