//! The body of a request as it comes.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Body as _;
use hyper::body::Incoming;

/// It ended before it was whole, or could be read in two ways.
#[derive(Clone, Copy, Debug)]
pub struct Broken;

/// A body on its way.
pub struct Body(pub(super) Incoming);

impl Body {
    /// How long it is at least, as far as the caller says.
    pub fn announced(&self) -> u64 {
        self.0.size_hint().lower()
    }

    /// Whether all of it was taken.
    pub fn is_over(&self) -> bool {
        self.0.is_end_stream()
    }

    /// The next piece. Trailers are read and dropped.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        loop {
            let frame = std::task::ready!(Pin::new(&mut self.0).poll_frame(cx));
            return Poll::Ready(match frame.transpose() {
                Err(_) => Some(Err(Broken)),
                Ok(None) => None,
                Ok(Some(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => continue,
                    Ok(data) => Some(Ok(data)),
                    Err(_trailers) => continue,
                },
            });
        }
    }
}
