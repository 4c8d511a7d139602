//! One request and its answer on one connection, driven by the task that wants it. At most one delivery.
//!
//! A request goes to a second connection only when hyper hands it back untouched, because the first had closed before a
//! byte of it was written. Anything later is the caller's to decide: a code or a refresh token may have been spent.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{HeaderName, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;

use super::UpstreamError;
use super::connection::Live;
use super::pool::Pool;
use crate::net::conn::Conn;
use crate::rewrite::Outbound;

/// An answer: its head, and its body as far as it is here.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The fields, without those that belong to the connection.
    pub headers: HeaderMap,
    /// The body.
    pub body: AnswerBody,
}

/// A body that is here already, or comes over a connection that this holds and drives.
pub enum AnswerBody {
    /// All of it.
    Whole(Bytes),
    /// The rest of it is on its way.
    Coming(Box<Coming>),
}

/// A body on its way.
pub struct Coming {
    first: Option<Bytes>,
    incoming: Incoming,
    live: Option<Box<Live>>,
    pool: Rc<Pool>,
    conn: Rc<Conn>,
}

/// Sends a request and waits for the head of the answer; of the body, takes what came with it.
pub async fn exchange(pool: &Rc<Pool>, conn: &Rc<Conn>, outbound: Outbound) -> Result<Answer, UpstreamError> {
    let _active = Active::on(pool);
    let mut request = outbound.into_request(Full::new);
    loop {
        let idle = poll_fn(|cx| Poll::Ready(pool.take(cx))).await;
        let fresh = idle.is_none();
        let mut live = match idle {
            Some(live) => live,
            None => pool.connect().await?,
        };
        let mut response = pin!(live.sender.try_send_request(request));
        let answered = poll_fn(|cx| {
            if conn.is_late() {
                return Poll::Ready(Err(UpstreamError::Timeout));
            }
            answer(response.as_mut(), |cx| drive(&mut live, cx), cx).map(Ok)
        });
        match answered.await? {
            Ok(response) => return Ok(begin(response, live, pool, conn).await),
            Err(mut error) => match error.take_message() {
                // Not a byte of it was written: another connection may have it.
                Some(untouched) if !fresh => request = untouched,
                Some(_) => return Err(UpstreamError::Closed),
                None => return Err(kind(error.error())),
            },
        }
    }
}

/// Polls for the head of the answer, moving the connection on in between.
fn answer<F: Future>(
    mut response: Pin<&mut F>,
    mut drive: impl FnMut(&mut Context<'_>),
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    if let Poll::Ready(output) = response.as_mut().poll(cx) {
        return Poll::Ready(output);
    }
    drive(cx);
    response.poll(cx)
}

/// A connection's end is told by the answer that does not come.
fn drive(live: &mut Live, cx: &mut Context<'_>) {
    let _told_by_the_answer = live.drive(cx);
}

/// Takes what of the body came with the head; mostly that is all of it, and the connection is free again at once.
async fn begin(response: Response<Incoming>, live: Box<Live>, pool: &Rc<Pool>, conn: &Rc<Conn>) -> Answer {
    let (mut parts, incoming) = response.into_parts();
    if let Some(announced) = parts.headers.get(HeaderName::from_static("keep-alive")) {
        pool.heard(announced);
    }
    drop_hop_by_hop(&mut parts.headers);
    let mut coming = Coming { first: None, incoming, live: Some(live), pool: pool.clone(), conn: conn.clone() };
    let first = poll_fn(|cx| Poll::Ready(coming.poll_data(cx))).await;
    let body = match first {
        Poll::Ready(None) => AnswerBody::Whole(Bytes::new()),
        Poll::Ready(Some(Ok(data))) if coming.incoming.is_end_stream() => {
            coming.free().await;
            AnswerBody::Whole(data)
        }
        Poll::Ready(Some(Ok(data))) => {
            coming.first = Some(data);
            AnswerBody::Coming(Box::new(coming))
        }
        // An error shows itself again when the rest is asked for.
        Poll::Ready(Some(Err(_))) | Poll::Pending => AnswerBody::Coming(Box::new(coming)),
    };
    Answer { status: parts.status, headers: parts.headers, body }
}

/// Removes what belongs to the connection and not to the answer (RFC 9110 section 7.6.1).
fn drop_hop_by_hop(headers: &mut HeaderMap) {
    if let Some(listed) = headers.remove(header::CONNECTION) {
        for name in listed.to_str().unwrap_or_default().split(',') {
            if let Ok(name) = HeaderName::try_from(name.trim()) {
                headers.remove(name);
            }
        }
        headers.remove("keep-alive");
    }
    for name in [header::TRANSFER_ENCODING, header::TE, header::TRAILER, header::UPGRADE] {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authentication-info"] {
        headers.remove(name);
    }
}

fn kind(error: &hyper::Error) -> UpstreamError {
    if error.is_parse() || error.is_parse_too_large() { UpstreamError::Protocol } else { UpstreamError::Closed }
}

impl Coming {
    /// The next piece, moving the connection on when there is none yet. At the end, gives the connection back.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if self.conn.is_late() {
            return Poll::Ready(Some(Err(UpstreamError::Timeout)));
        }
        let mut polled = Pin::new(&mut self.incoming).poll_frame(cx);
        if polled.is_pending()
            && let Some(live) = &mut self.live
        {
            drive(live, cx);
            polled = Pin::new(&mut self.incoming).poll_frame(cx);
        }
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => Poll::Ready(Some(Ok(data))),
                // Trailers end here: nothing in them is ours to pass on.
                Err(_trailers) => self.poll_data(cx),
            },
            Poll::Ready(Some(Err(error))) => {
                self.live = None;
                Poll::Ready(Some(Err(kind(&error))))
            }
            Poll::Ready(None) => {
                self.give_back(cx);
                Poll::Ready(None)
            }
        }
    }

    async fn free(&mut self) {
        poll_fn(|cx| {
            self.give_back(cx);
            Poll::Ready(())
        })
        .await;
    }

    /// The connection may serve others once it has noticed the end itself, unless more came than was announced.
    fn give_back(&mut self, cx: &mut Context<'_>) {
        if let Some(mut live) = self.live.take()
            && live.is_usable(cx)
        {
            self.pool.give_back(live);
        }
    }

    /// The whole body, up to a limit; nothing when there is more.
    pub async fn collect(mut self: Box<Self>, most: usize) -> Result<Option<Bytes>, UpstreamError> {
        let mut whole = Vec::new();
        while let Some(data) = poll_fn(|cx| self.poll_data(cx)).await {
            whole.extend_from_slice(&data?);
            if whole.len() > most {
                return Ok(None);
            }
        }
        Ok(Some(Bytes::from(whole)))
    }
}

impl Body for Coming {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        self.poll_data(cx).map_ok(Frame::data)
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.live.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let here = self.first.as_ref().map_or(0, |first| first.len() as u64);
        match self.incoming.size_hint().exact() {
            Some(rest) => SizeHint::with_exact(rest + here),
            None => SizeHint::default(),
        }
    }
}

/// Counts an exchange for as long as it lasts.
struct Active<'p>(&'p Pool);

impl<'p> Active<'p> {
    fn on(pool: &'p Pool) -> Self {
        pool.metrics().upstream_active.inc();
        Self(pool)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.metrics().upstream_active.dec();
    }
}
