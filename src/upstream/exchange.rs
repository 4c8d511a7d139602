//! One request and its answer on one connection, driven by the task that wants it. At most one delivery.
//!
//! A connection is looked at right before a request goes out on it. Once a byte of it may have gone, what becomes of it is the
//! caller's to decide: a code or a refresh token may have been spent.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::{Broken, Live};
use super::multiplex::{Lease, multiplex};
use super::pool::Pool;
use super::{Unreached, UpstreamError};
use crate::domain::clock::instant;
use crate::message::body::{End, Piece};
use crate::message::fields::{Fields, Value};
use crate::message::name::Name;
use crate::net::conn::Conn;
use crate::rewrite::Outbound;
use crate::tls::fault;

/// An answer: its head, and its body as far as it is here.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The fields, without those that belong to the connection.
    pub fields: Fields,
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
    rest: Rest,
    pool: Rc<Pool>,
    conn: Rc<Conn>,
}

/// What brings the rest of an answer here.
pub(super) enum Rest {
    /// A connection of its own, which is driven by who waits for it; nothing where it is over.
    Own { live: Option<Box<Live>>, end: End, lives_on: bool },
    /// A stream of one that many share and that drives itself.
    Shared { incoming: Incoming, lease: Option<Lease> },
}

/// The head of an answer, and what brings the rest.
pub(super) struct Begun {
    pub(super) status: StatusCode,
    pub(super) fields: Fields,
    pub(super) rest: Rest,
}

/// Sends a request and waits for the head of the answer; of the body, takes what came with it.
pub async fn exchange(pool: &Rc<Pool>, conn: &Rc<Conn>, outbound: Outbound) -> Result<Answer, UpstreamError> {
    let active = Active::on(pool);
    let begun = if pool.rules().http2 {
        Box::pin(multiplex(pool, conn, outbound)).await?
    } else {
        send(pool, conn, outbound, None).await?
    };
    // Nobody asked for another protocol, and what follows such an answer is no body.
    if begun.status.is_informational() {
        return Err(UpstreamError::Protocol);
    }
    active.answered();
    begin(begun, pool, conn)
}

/// Sends it over a connection of its own: `opened`, where there is one already.
pub(super) async fn send(
    pool: &Rc<Pool>,
    conn: &Rc<Conn>,
    outbound: Outbound,
    opened: Option<Box<Live>>,
) -> Result<Begun, UpstreamError> {
    let mut live = match opened.or_else(|| pool.take()) {
        Some(live) => live,
        None => unless_late(conn, pool.connect()).await?,
    };
    live.ask(outbound.into_text());
    let head = poll_fn(|cx| live.poll_head(cx).map_err(|broken| kind_of(broken, pool)));
    let head = unless_late(conn, head).await?;
    let rest = Rest::Own { live: Some(live), end: head.end, lives_on: head.lives_on };
    Ok(Begun { status: head.status, fields: head.fields, rest })
}

/// Waits until the deadline of the connection's phase at the longest.
pub(super) async fn unless_late<T>(
    conn: &Conn,
    future: impl Future<Output = Result<T, UpstreamError>>,
) -> Result<T, UpstreamError> {
    let mut future = pin!(future);
    poll_fn(|cx| if conn.is_late() { Poll::Ready(Err(UpstreamError::Timeout)) } else { future.as_mut().poll(cx) }).await
}

/// A context that wakes nobody.
fn asleep() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Takes what of the body came with the head; mostly that is all of it, and the connection is free again at once.
fn begin(begun: Begun, pool: &Rc<Pool>, conn: &Rc<Conn>) -> Result<Answer, UpstreamError> {
    let Begun { status, mut fields, rest } = begun;
    drop_hop_by_hop(&mut fields, pool);
    let mut coming = Coming { first: None, rest, pool: pool.clone(), conn: conn.clone() };
    let body = match coming.poll_data(&mut asleep()) {
        Poll::Ready(None) => AnswerBody::Whole(Bytes::new()),
        Poll::Ready(Some(Ok(data))) if coming.rest.is_over() => AnswerBody::Whole(data),
        Poll::Ready(Some(Ok(data))) => {
            coming.first = Some(data);
            AnswerBody::Coming(Box::new(coming))
        }
        // Nothing has gone out yet: the caller may as well be told in plain words.
        Poll::Ready(Some(Err(error))) => return Err(error),
        Poll::Pending => AnswerBody::Coming(Box::new(coming)),
    };
    Ok(Answer { status, fields, body })
}

/// Removes what belongs to the connection and not to the answer (RFC 9110 section 7.6.1). Mostly there is nothing.
fn drop_hop_by_hop(fields: &mut Fields, pool: &Pool) {
    if !fields.iter().any(|field| field.name.is_hop_by_hop()) {
        return;
    }
    if let Some(announced) = fields.get(Name::KeepAlive) {
        pool.heard(announced);
    }
    let options = fields.all(Name::Connection).flat_map(Value::words);
    let named: Vec<Vec<u8>> = options.filter(|word| Name::of(word) != Name::KeepAlive).map(<[u8]>::to_vec).collect();
    fields.retain(|field| {
        !field.name.is_hop_by_hop() && !named.iter().any(|name| name.eq_ignore_ascii_case(field.written))
    });
}

/// What became of a connection, as an error of the upstream.
fn kind_of(broken: Broken, pool: &Pool) -> UpstreamError {
    match broken {
        Broken::Closed => UpstreamError::Closed,
        Broken::Protocol => UpstreamError::Protocol,
        // With TLS 1.3 a server says only after the handshake that it does not take our certificate.
        Broken::Failed(error) if fault::of(&error).is_some() => pool.refused(Unreached::tls(&error)),
        Broken::Failed(_) => UpstreamError::Closed,
    }
}

/// ... of one that many share.
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

impl Rest {
    /// Whether all of it was taken.
    fn is_over(&self) -> bool {
        match self {
            Self::Own { live, end, .. } => live.is_none() || end.is_over(),
            Self::Shared { incoming, .. } => incoming.is_end_stream(),
        }
    }

    /// How much is to come, where that is known.
    fn left(&self) -> Option<u64> {
        match self {
            Self::Own { end, .. } => end.left(),
            Self::Shared { incoming, .. } => incoming.size_hint().exact(),
        }
    }
}

impl Coming {
    /// The next piece. At the end, gives the connection back.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if self.conn.is_late() {
            return Poll::Ready(Some(Err(UpstreamError::Timeout)));
        }
        let polled = match &mut self.rest {
            Rest::Own { live: None, .. } => Poll::Ready(None),
            Rest::Own { live: Some(live), end, .. } => live.poll_piece(end, cx).map(|polled| match polled {
                Ok(Piece::Data(data)) => Some(Ok(data)),
                Ok(Piece::Over | Piece::More) => None,
                Err(broken) => Some(Err(kind_of(broken, &self.pool))),
            }),
            Rest::Shared { incoming, .. } => Pin::new(incoming).poll_frame(cx).map(|polled| match polled {
                // Trailers end here: nothing in them is ours to pass on.
                Some(Ok(frame)) => frame.into_data().ok().map(Ok),
                Some(Err(error)) => Some(Err(kind(&error, &self.pool))),
                None => None,
            }),
        };
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Err(_))) => self.drop_carrier(),
            // Who knows the length asks no further: the last piece is the end.
            Poll::Ready(Some(Ok(_))) if !self.rest.is_over() => {}
            Poll::Ready(_) => self.give_back(),
        }
        polled
    }

    fn drop_carrier(&mut self) {
        match &mut self.rest {
            Rest::Own { live, .. } => drop(live.take()),
            Rest::Shared { lease, .. } => drop(lease.take()),
        }
    }

    /// The connection may serve others where both sides keep it, unless more came than was announced.
    fn give_back(&mut self) {
        match &mut self.rest {
            Rest::Own { live, lives_on, .. } => {
                // Whether it is still open is looked at when it is wanted.
                if let Some(live) = live.take().filter(|live| *lives_on && live.is_done()) {
                    self.pool.give_back(live);
                }
            }
            Rest::Shared { lease, .. } => drop(lease.take()),
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
        self.first.is_none() && self.rest.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        let here = self.first.as_ref().map_or(0, |first| first.len() as u64);
        match self.rest.left() {
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
