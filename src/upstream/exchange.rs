//! One request and its answer on one connection, driven by the task that wants it. At most one delivery.
//!
//! A request goes to a second connection only when hyper hands it back untouched, because the first had closed before a
//! byte of it was written. Anything later is the caller's to decide: a code or a refresh token may have been spent.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{HeaderName, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;

use super::connection::Live;
use super::multiplex::{Lease, multiplex};
use super::pool::Pool;
use super::{Unreached, UpstreamError};
use crate::domain::clock::instant;
use crate::net::conn::Conn;
use crate::rewrite::Outbound;
use crate::tls::fault;

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
    carrier: Option<Carrier>,
    pool: Rc<Pool>,
    conn: Rc<Conn>,
}

/// What brings an answer here.
pub(super) enum Carrier {
    /// A connection of its own, which is driven by who waits for it.
    Own(Box<Live>),
    /// A stream of one that many share and that drives itself.
    Shared(Lease),
}

/// Sends a request and waits for the head of the answer; of the body, takes what came with it.
pub async fn exchange(pool: &Rc<Pool>, conn: &Rc<Conn>, outbound: Outbound) -> Result<Answer, UpstreamError> {
    let active = Active::on(pool);
    let request = outbound.into_request(Full::new);
    let (response, carrier) = if pool.rules().http2 {
        Box::pin(multiplex(pool, conn, request)).await?
    } else {
        send(pool, conn, request, None).await?
    };
    // Nobody asked for another protocol, and what follows such an answer is no body.
    if response.status().is_informational() {
        return Err(UpstreamError::Protocol);
    }
    active.answered();
    begin(response, carrier, pool, conn)
}

/// Sends it over a connection of its own: `opened`, where there is one already.
pub(super) async fn send(
    pool: &Rc<Pool>,
    conn: &Rc<Conn>,
    mut request: Request<Full<Bytes>>,
    mut opened: Option<Box<Live>>,
) -> Result<(Response<Incoming>, Carrier), UpstreamError> {
    loop {
        let idle = opened.take().or_else(|| pool.take());
        let fresh = idle.is_none();
        let mut live = match idle {
            Some(live) => live,
            None => unless_late(conn, pool.connect()).await?,
        };
        let mut response = pin!(live.sender.try_send_request(request));
        let answered = poll_fn(|cx| answer(response.as_mut(), |cx| drive(&mut live, cx), cx).map(Ok));
        match unless_late(conn, answered).await? {
            Ok(response) => return Ok((response, Carrier::Own(live))),
            Err(mut error) => match error.take_message() {
                // Not a byte of it was written: another connection may have it.
                Some(untouched) if !fresh => request = untouched,
                _ => return Err(kind(error.error(), pool)),
            },
        }
    }
}

/// Waits until the deadline of the connection's phase at the longest.
pub(super) async fn unless_late<T>(
    conn: &Conn,
    future: impl Future<Output = Result<T, UpstreamError>>,
) -> Result<T, UpstreamError> {
    let mut future = pin!(future);
    poll_fn(|cx| if conn.is_late() { Poll::Ready(Err(UpstreamError::Timeout)) } else { future.as_mut().poll(cx) }).await
}

/// Moves the connection on, then looks for the head of the answer. Only the moving can bring the answer here, so the
/// answer itself need not wake anybody: a channel within one task would only make it run once more for nothing.
fn answer<F: Future>(
    response: Pin<&mut F>,
    mut drive: impl FnMut(&mut Context<'_>),
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    drive(cx);
    response.poll(&mut asleep())
}

/// A context that wakes nobody.
fn asleep() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// A connection's end is told by the answer that does not come.
fn drive(live: &mut Live, cx: &mut Context<'_>) {
    let _told_by_the_answer = live.drive(cx);
}

/// Takes what of the body came with the head; mostly that is all of it, and the connection is free again at once.
fn begin(
    response: Response<Incoming>,
    carrier: Carrier,
    pool: &Rc<Pool>,
    conn: &Rc<Conn>,
) -> Result<Answer, UpstreamError> {
    let (mut parts, incoming) = response.into_parts();
    drop_hop_by_hop(&mut parts.headers, pool)?;
    let mut coming = Coming { first: None, incoming, carrier: Some(carrier), pool: pool.clone(), conn: conn.clone() };
    let first = coming.poll_data(&mut asleep());
    let body = match first {
        Poll::Ready(None) => AnswerBody::Whole(Bytes::new()),
        Poll::Ready(Some(Ok(data))) if coming.incoming.is_end_stream() => {
            coming.give_back();
            AnswerBody::Whole(data)
        }
        Poll::Ready(Some(Ok(data))) => {
            coming.first = Some(data);
            AnswerBody::Coming(Box::new(coming))
        }
        // An error shows itself again when the rest is asked for.
        Poll::Ready(Some(Err(_))) | Poll::Pending => AnswerBody::Coming(Box::new(coming)),
    };
    Ok(Answer { status: parts.status, headers: parts.headers, body })
}

/// Removes what belongs to the connection and not to the answer (RFC 9110 section 7.6.1). Mostly there is nothing.
fn drop_hop_by_hop(headers: &mut HeaderMap, pool: &Pool) -> Result<(), UpstreamError> {
    let of_connection = |name: &HeaderName| HOP_BY_HOP.contains(name);
    if !headers.keys().any(of_connection) {
        return Ok(());
    }
    check_coding(headers)?;
    if let Some(announced) = headers.get(&KEEP_ALIVE) {
        pool.heard(announced);
    }
    let listed: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .collect();
    for name in listed.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    Ok(())
}

/// Refuses an answer whose end stands in two places, or whose body is coded in a way that is not ours to undo: hyper reads
/// it by its transfer coding and leaves a Content-Length that would be passed on wrong (RFC 9112 section 6.3).
fn check_coding(headers: &HeaderMap) -> Result<(), UpstreamError> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(()) };
    let plain = coding.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
    if plain && !headers.contains_key(header::CONTENT_LENGTH) { Ok(()) } else { Err(UpstreamError::Protocol) }
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    KEEP_ALIVE,
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-authentication-info"),
];

/// What an error of a connection is, as an error of the upstream.
pub(super) fn kind(error: &hyper::Error, pool: &Pool) -> UpstreamError {
    if error.is_parse() || error.is_parse_too_large() {
        return UpstreamError::Protocol;
    }
    // No answer to a ping.
    if error.is_timeout() {
        return UpstreamError::Timeout;
    }
    let Some(source) = std::error::Error::source(error) else { return UpstreamError::Closed };
    if let Some(fault) = source.downcast_ref::<h2::Error>() {
        return if fault.is_library() { UpstreamError::Protocol } else { UpstreamError::Closed };
    }
    // With TLS 1.3 a server says only after the handshake that it does not take our certificate.
    match source.downcast_ref() {
        Some(alert) if fault::of(alert).is_some() => pool.refused(Unreached::tls(alert)),
        _ => UpstreamError::Closed,
    }
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
        let mut polled = match self.carrier {
            Some(Carrier::Shared(_)) => Pin::new(&mut self.incoming).poll_frame(cx),
            _ => Pin::new(&mut self.incoming).poll_frame(&mut asleep()),
        };
        if polled.is_pending()
            && let Some(Carrier::Own(live)) = &mut self.carrier
        {
            drive(live, cx);
            polled = Pin::new(&mut self.incoming).poll_frame(&mut asleep());
        }
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => {
                    // Who knows the length asks no further: the last piece is the end.
                    if self.incoming.is_end_stream() {
                        self.give_back();
                    }
                    Poll::Ready(Some(Ok(data)))
                }
                // Trailers end here: nothing in them is ours to pass on.
                Err(_trailers) => self.poll_data(cx),
            },
            Poll::Ready(Some(Err(error))) => {
                self.carrier = None;
                Poll::Ready(Some(Err(kind(&error, &self.pool))))
            }
            Poll::Ready(None) => {
                self.give_back();
                Poll::Ready(None)
            }
        }
    }

    /// The connection may serve others once it has noticed the end itself, unless more came than was announced. It must
    /// be driven here: one that notices the end only when it is taken again is not done with it then.
    fn give_back(&mut self) {
        if let Some(Carrier::Own(mut live)) = self.carrier.take()
            && live.is_usable(&mut asleep())
        {
            self.pool.give_back(live);
        }
    }

    /// The whole body, up to a limit; where there is more, the body as it was before.
    pub async fn collect(mut self: Box<Self>, most: usize) -> Result<AnswerBody, UpstreamError> {
        let mut whole = Vec::new();
        while let Some(data) = poll_fn(|cx| self.poll_data(cx)).await {
            whole.extend_from_slice(&data?);
            if whole.len() > most {
                self.first = Some(Bytes::from(whole));
                return Ok(AnswerBody::Coming(self));
            }
        }
        Ok(AnswerBody::Whole(Bytes::from(whole)))
    }
}

impl Body for Coming {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let polled = self.poll_data(cx);
        // The answer's head has gone out: nobody else can tell.
        if let Poll::Ready(Some(Err(error))) = &polled {
            error.count(&self.pool.metrics().upstream_errors);
        }
        polled.map_ok(Frame::data)
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.carrier.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let here = self.first.as_ref().map_or(0, |first| first.len() as u64);
        match self.incoming.size_hint().exact() {
            Some(rest) => SizeHint::with_exact(rest + here),
            None => SizeHint::default(),
        }
    }
}

/// Counts and times an exchange for as long as it waits for the head of its answer.
struct Active<'p> {
    pool: &'p Pool,
    began: Instant,
}

impl<'p> Active<'p> {
    fn on(pool: &'p Pool) -> Self {
        pool.metrics().upstream_active.inc();
        Self { pool, began: instant() }
    }

    fn answered(&self) {
        let took = instant().saturating_duration_since(self.began);
        self.pool.metrics().upstream_duration.observe(took.as_secs_f64());
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.pool.metrics().upstream_active.dec();
    }
}
