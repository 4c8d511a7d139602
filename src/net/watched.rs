//! The bytes of a connection of HTTP/2 on their way to and from the protocol: its frames are counted.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use prometheus::IntCounter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::conn::Conn;
use super::stream::Stream;
use crate::frames::Meter;

/// A connection's bytes, watched.
pub(super) struct Watched {
    stream: Stream,
    conn: Rc<Conn>,
    /// Bytes that were read before, by who found them to be HTTP/2.
    ahead: Bytes,
    meter: Meter,
    floods: IntCounter,
    /// Whether the last write took all it was given: between two frames, one of ours can be put.
    between_frames: bool,
}

/// GOAWAY of a connection that must go, for ENHANCE_YOUR_CALM. All its streams may have been acted on: what stands above
/// the last one the caller may send again elsewhere (RFC 9113 sections 6.8 and 7).
fn go_away(last_stream: u32) -> [u8; 17] {
    let [a, b, c, d] = last_stream.to_be_bytes();
    [0, 0, 8, 7, 0, 0, 0, 0, 0, a, b, c, d, 0, 0, 0, 11]
}

impl Watched {
    /// Watches a stream, of which some bytes may have been read. Floods of frames are counted.
    pub(super) fn new(stream: Stream, conn: Rc<Conn>, ahead: Bytes, floods: IntCounter) -> Self {
        let meter = Meter::new(conn.tick());
        Self { stream, conn, ahead, meter, floods, between_frames: true }
    }

    /// Takes note of a write.
    fn wrote(&mut self, polled: &Poll<io::Result<usize>>, given: usize) {
        let written = if let Poll::Ready(Ok(written)) = polled { *written } else { 0 };
        self.meter.sent(written);
        self.between_frames = written == given;
    }

    /// Counts frames; where there are too many, says so between two of ours and ends the connection.
    fn count(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        self.meter.answered(self.conn.answered());
        if self.meter.takes(bytes, self.conn.tick()) {
            return Ok(());
        }
        self.floods.inc();
        // Whoever is leaving was told a last stream, and it may not be taken back.
        if self.between_frames && !self.conn.is_leaving() {
            let _as_far_as_it_goes = Pin::new(&mut self.stream).poll_write(cx, &go_away(self.meter.last_stream()));
            let _as_far_as_it_goes = Pin::new(&mut self.stream).poll_flush(cx);
        }
        Err(io::Error::other("frames that ask for nothing"))
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = if self.ahead.has_remaining() {
            let taken = self.ahead.len().min(buf.remaining());
            buf.put_slice(&self.ahead.split_to(taken));
            Poll::Ready(Ok(()))
        } else {
            Pin::new(&mut self.stream).poll_read(cx, buf)
        };
        let read = buf.filled().get(before..).unwrap_or_default();
        if !read.is_empty() {
            self.count(cx, read)?;
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(&polled, buf.len());
        polled
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
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(&polled, bufs.iter().map(|buf| buf.len()).sum());
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
