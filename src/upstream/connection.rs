//! A connection to the upstream: hyper's two halves held together, driven by whoever waits on it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::{Unreached, UpstreamError};
use crate::net::stream::Stream;

/// A connection and its two halves.
pub struct Live {
    /// Takes requests.
    pub sender: http1::SendRequest<Full<Bytes>>,
    connection: Option<http1::Connection<TokioIo<Stream>, Full<Bytes>>>,
}

/// The largest head of an answer.
pub(super) const MOST_HEAD: usize = 64 << 10;

impl Live {
    /// Over a fresh link.
    pub(super) async fn over(link: Stream) -> Result<Box<Self>, Unreached> {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MOST_HEAD)
            // One small copy costs less than the kernel's walk over a list of buffers.
            .writev(false)
            .max_header_size(MOST_HEAD)
            .handshake(TokioIo::new(link))
            .await
            .map_err(|error| Unreached { error: UpstreamError::Connect, why: error.to_string() })?;
        Ok(Box::new(Self { sender, connection: Some(connection) }))
    }

    /// Moves the connection's reading and writing on. Ready when the connection is over, with what ended it.
    pub fn drive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(Ok(())) };
        let polled = Pin::new(connection).poll(cx);
        if polled.is_ready() {
            self.connection = None;
        }
        polled
    }

    /// Whether it can take a request now: still open as far as this side has heard, and done with the last one.
    pub fn is_usable(&mut self, cx: &mut Context<'_>) -> bool {
        self.drive(cx).is_pending() && self.sender.is_ready()
    }
}
