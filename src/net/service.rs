//! What a thread serves its connections with, whichever version of HTTP they speak.

use std::future::Future;
use std::rc::Rc;

use bytes::Bytes;
use http::StatusCode;

use super::body::Body;
use super::conn::Conn;
use crate::message::fields::Fields;
use crate::message::request::Request;

/// What a thread serves its connections with.
pub trait Service: 'static {
    /// The body of an answer.
    type Body: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin + 'static;

    /// Answers a request.
    fn call(
        self: Rc<Self>,
        conn: Rc<Conn>,
        request: Request,
        body: Body<'_>,
    ) -> impl Future<Output = Answer<Self::Body>>;

    /// Called at each tick, for what may wait a little.
    fn tick(&self);

    /// Called before somebody looks at the counters.
    fn flush(&self);

    /// From now on each answer is its connection's last.
    fn drain(&self);
}

/// An answer, for whoever puts it on the wire to frame.
pub struct Answer<B> {
    /// The status.
    pub status: StatusCode,
    /// The fields; how long the body is and what becomes of the connection is not among them.
    pub fields: Fields,
    /// The body.
    pub body: B,
    /// Whether it is its connection's last.
    pub closes: bool,
}
