//! Reading in turns: a connection that always has more to read lets the others of its thread run in between.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::stream::Stream;

/// Bytes that are read before others have their turn. The library of HTTP/2 keeps what it reads until the request that
/// waits for it runs, and a frame of ten bytes (an interim answer) takes hundreds there.
const TURN: usize = 32 * 1024;

/// A stream that is read in turns.
pub(super) struct InTurns {
    stream: Stream,
    /// Bytes that were read in this turn.
    read: usize,
}

impl InTurns {
    /// Of a stream of which nothing was read yet.
    pub(super) fn over(stream: Stream) -> Self {
        Self { stream, read: 0 }
    }
}

impl AsyncRead for InTurns {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read >= TURN {
            self.read = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.read = if polled.is_pending() { 0 } else { self.read + buf.filled().len() - before };
        polled
    }
}

impl AsyncWrite for InTurns {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
