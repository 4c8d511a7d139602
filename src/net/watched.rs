//! The bytes of a connection on their way to and from the protocol: the first one after an idle phase begins a head, the
//! first ones of all tell which protocol it is, and the frames of HTTP/2 are counted.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use prometheus::IntCounter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::conn::Conn;
use super::stream::Stream;
use crate::frames::{Meter, PREFACE};

/// A connection's bytes, watched.
pub(super) struct Watched {
    stream: Stream,
    conn: Rc<Conn>,
    /// Bytes that may yet become the preface of HTTP/2, until that is settled.
    opening: Option<Vec<u8>>,
    /// Bytes that were read before, by who found them to be HTTP/2.
    ahead: Bytes,
    frames: Option<Frames>,
    /// Whether the last write took all it was given: between two frames, one of ours can be put.
    between_frames: bool,
}

/// What comes in over HTTP/2.
struct Frames {
    meter: Meter,
    floods: IntCounter,
}

/// GOAWAY of a connection that must go, for ENHANCE_YOUR_CALM. All its streams may have been acted on: what stands above
/// the last one the caller may send again elsewhere (RFC 9113 sections 6.8 and 7).
fn go_away(last_stream: u32) -> [u8; 17] {
    let [a, b, c, d] = last_stream.to_be_bytes();
    [0, 0, 8, 7, 0, 0, 0, 0, 0, a, b, c, d, 0, 0, 0, 11]
}

impl Watched {
    /// Watches a stream of HTTP/1.1, which may turn out to begin with HTTP/2's preface.
    pub(super) const fn new(stream: Stream, conn: Rc<Conn>) -> Self {
        Self { stream, conn, opening: Some(Vec::new()), ahead: Bytes::new(), frames: None, between_frames: true }
    }

    /// Watches a stream of HTTP/2, of which some bytes may have been read. Floods of frames are counted.
    pub(super) fn of_frames(stream: Stream, conn: Rc<Conn>, ahead: Bytes, floods: IntCounter) -> Self {
        let frames = Some(Frames { meter: Meter::new(conn.tick()), floods });
        Self { stream, conn, opening: None, ahead, frames, between_frames: true }
    }

    /// The stream itself.
    pub(super) fn into_inner(self) -> Stream {
        self.stream
    }

    /// Reads on while what is here may yet become the preface: who reads it in halves takes it for a broken request.
    fn poll_opening(&mut self, mut held: Vec<u8>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        buf.put_slice(&held);
        loop {
            let known = buf.filled().len();
            let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
            let so_far = buf.filled().get(before..).unwrap_or_default();
            if polled.is_pending() {
                held.clear();
                held.extend_from_slice(so_far);
                self.opening = Some(held);
                buf.set_filled(before);
                return Poll::Pending;
            }
            let ended = buf.filled().len() == known;
            if ended || so_far.len() >= PREFACE.len() || !PREFACE.starts_with(so_far) {
                return polled;
            }
        }
    }

    /// Takes note of a write.
    fn wrote(&mut self, polled: &Poll<io::Result<usize>>, given: usize) {
        let Some(Frames { meter, .. }) = &mut self.frames else { return };
        let written = if let Poll::Ready(Ok(written)) = polled { *written } else { 0 };
        meter.sent(written);
        self.between_frames = written == given;
    }

    /// Counts frames; where there are too many, says so between two of ours and ends the connection.
    fn count(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        let Some(Frames { meter, floods }) = &mut self.frames else { return Ok(()) };
        meter.answered(self.conn.answered());
        if meter.takes(bytes, self.conn.tick()) {
            return Ok(());
        }
        floods.inc();
        // Whoever is leaving was told a last stream, and it may not be taken back.
        if self.between_frames && !self.conn.is_leaving() {
            let _as_far_as_it_goes = Pin::new(&mut self.stream).poll_write(cx, &go_away(meter.last_stream()));
            let _as_far_as_it_goes = Pin::new(&mut self.stream).poll_flush(cx);
        }
        Err(io::Error::other("frames that ask for nothing"))
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = match self.opening.take() {
            _ if self.ahead.has_remaining() => {
                let taken = self.ahead.len().min(buf.remaining());
                buf.put_slice(&self.ahead.split_to(taken));
                Poll::Ready(Ok(()))
            }
            Some(held) => self.poll_opening(held, cx, buf),
            None => Pin::new(&mut self.stream).poll_read(cx, buf),
        };
        let read = buf.filled().get(before..).unwrap_or_default();
        if !read.is_empty() {
            self.count(cx, read)?;
            self.conn.bytes_came();
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
