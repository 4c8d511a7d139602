//! A connection to the upstream: a request out, an answer in, one after the other, driven by whoever waits on it.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::BytesMut;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWrite};

use crate::message::Malformed;
use crate::message::answer::{self, Head};
use crate::message::body::{End, Piece};
use crate::net::stream::Stream;

/// Bytes that are read at once: most answers whole.
const ROOM: usize = 8 << 10;
/// Room that is worth a read.
const LEAST_ROOM: usize = 1 << 10;

/// A connection of HTTP/1.1.
pub(super) struct Live {
    stream: Stream,
    /// The request, and how much of it went out.
    out: Vec<u8>,
    sent: usize,
    /// What came and was not taken yet, and how much of it was looked through.
    came: BytesMut,
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
        Box::new(Self { stream, out: Vec::new(), sent: 0, came: BytesMut::new(), seen: 0 })
    }

    /// Takes a request to send; it goes out as its answer is asked for.
    pub(super) fn ask(&mut self, text: Vec<u8>) {
        self.out = text;
        self.sent = 0;
    }

    /// Sends what is still to be sent, and looks for the head of the answer, which may come before all is sent.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Broken>> {
        let sent = self.poll_send(cx);
        loop {
            match answer::read(&mut self.came, &mut self.seen)? {
                Some(head) if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS => {}
                Some(head) => return Poll::Ready(Ok(head)),
                None => match self.poll_fill(cx) {
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
            match end.take(&mut self.came)? {
                Piece::More => {}
                piece => return Poll::Ready(Ok(piece)),
            }
            match ready!(self.poll_fill(cx)) {
                Ok(0) if matches!(end, End::Close) => return Poll::Ready(Ok(Piece::Over)),
                Ok(0) => return Poll::Ready(Err(Broken::Closed)),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(Broken::Failed(error))),
            }
        }
    }

    /// Whether it can take a request now: done with the last one, and open and silent as far as this side has heard.
    pub(super) fn is_usable(&mut self) -> bool {
        let asleep = &mut Context::from_waker(Waker::noop());
        self.sent == self.out.len() && self.came.is_empty() && self.poll_fill(asleep).is_pending()
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.out.get(self.sent..) {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += written;
        }
        // Through TLS, written is not sent.
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.came.capacity() - self.came.len() < LEAST_ROOM {
            self.came.reserve(ROOM);
        }
        pin!(self.stream.read_buf(&mut self.came)).poll(cx)
    }
}
