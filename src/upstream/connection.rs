//! A connection to the upstream: a request out, an answer in, one after the other, driven by whoever waits on it.

use std::io;
use std::task::{Context, Poll, Waker, ready};

use http::StatusCode;

use crate::message::Malformed;
use crate::message::answer::{self, Head};
use crate::message::body::{End, Piece};
use crate::net::stream::Stream;
use crate::net::wire::Wire;

/// A connection of HTTP/1.1.
pub(super) struct Live {
    wire: Wire,
    /// How much of what came was looked through.
    seen: usize,
}

/// Why a connection carries no more.
pub(super) enum Broken {
    /// It ended.
    Closed,
    /// What came cannot be read.
    Protocol,
    /// It failed.
    Failed(io::Error),
}

impl From<Malformed> for Broken {
    fn from(_: Malformed) -> Self {
        Self::Protocol
    }
}

impl Live {
    /// Over a fresh link.
    pub(super) fn over(stream: Stream) -> Box<Self> {
        Box::new(Self { wire: Wire::over(stream), seen: 0 })
    }

    /// Takes a request to send; it goes out as its answer is asked for.
    pub(super) fn ask(&mut self, text: Vec<u8>) {
        self.wire.put(text);
    }

    /// Sends what is still to be sent, and looks for the head of the answer, which may come before all is sent.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Broken>> {
        let sent = self.wire.poll_send(cx);
        loop {
            match answer::read(&mut self.wire.came, &mut self.seen)? {
                Some(head) if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS => {}
                Some(head) => return Poll::Ready(Ok(head)),
                None => match self.wire.poll_fill(cx) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(Broken::Closed)),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Broken::Failed(error))),
                    // Where sending failed there may be an answer that says why; here is none.
                    Poll::Pending => {
                        return match sent {
                            Poll::Ready(Err(error)) => Poll::Ready(Err(Broken::Failed(error))),
                            _ => Poll::Pending,
                        };
                    }
                },
            }
        }
    }

    /// The next piece of the body, up to where it ends.
    pub(super) fn poll_piece(&mut self, end: &mut End, cx: &mut Context<'_>) -> Poll<Result<Piece, Broken>> {
        loop {
            match end.take(&mut self.wire.came)? {
                Piece::More => {}
                piece => return Poll::Ready(Ok(piece)),
            }
            match ready!(self.wire.poll_fill(cx)) {
                Ok(0) if matches!(end, End::Close) => return Poll::Ready(Ok(Piece::Over)),
                Ok(0) => return Poll::Ready(Err(Broken::Closed)),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(Broken::Failed(error))),
            }
        }
    }

    /// Whether nothing of the last exchange is left.
    pub(super) fn is_done(&self) -> bool {
        self.wire.is_sent() && self.wire.came.is_empty()
    }

    /// Whether it can take a request now: done with the last one, and open and silent as far as this side has heard.
    pub(super) fn is_usable(&mut self) -> bool {
        let asleep = &mut Context::from_waker(Waker::noop());
        self.is_done() && self.wire.poll_fill(asleep).is_pending()
    }
}
