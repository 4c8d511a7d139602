//! The body of a request as it comes, over whichever version of HTTP.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Body as _;
use hyper::body::Incoming;

use super::http1::Own;

/// It ended before it was whole, or could be read in two ways.
#[derive(Clone, Copy, Debug)]
pub struct Broken;

/// A body on its way.
pub struct Body<'c>(pub(super) Way<'c>);

/// Which way it comes.
pub(super) enum Way<'c> {
    /// Over a connection of its own.
    Own(Own<'c>),
    /// On a stream of a connection of HTTP/2.
    Stream(Incoming),
}

impl Body<'_> {
    /// How long it is at least, as far as the caller says.
    pub fn announced(&self) -> u64 {
        match &self.0 {
            Way::Own(own) => own.announced(),
            Way::Stream(incoming) => incoming.size_hint().lower(),
        }
    }

    /// Whether all of it was taken.
    pub fn is_over(&self) -> bool {
        match &self.0 {
            Way::Own(own) => own.is_over(),
            Way::Stream(incoming) => incoming.is_end_stream(),
        }
    }

    /// The next piece. Trailers are read and dropped.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        let incoming = match &mut self.0 {
            Way::Own(own) => return own.poll_piece(cx),
            Way::Stream(incoming) => incoming,
        };
        loop {
            let frame = ready!(Pin::new(&mut *incoming).poll_frame(cx)).transpose();
            match frame.map(|frame| frame.map(http_body::Frame::into_data)) {
                Err(_) => return Poll::Ready(Some(Err(Broken))),
                Ok(None) => return Poll::Ready(None),
                Ok(Some(Ok(data))) if !data.is_empty() => return Poll::Ready(Some(Ok(data))),
                Ok(Some(_)) => {}
            }
        }
    }
}
