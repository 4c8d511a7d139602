//! What stands between a connection and its first request: the PROXY protocol's header, where it is asked for, and the
//! TLS handshake, where we have a certificate.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncReadExt;

use super::deadline::Deadline;
use super::socket::Socket;
use super::stream::Stream;
use crate::domain::source::{Source, TrustedProxy};
use crate::forwarded::Link;
use crate::metrics::entry::EntryMetrics;
use crate::preamble::{self, Preamble};
use crate::tls::server::ServerSide;

/// What a connection must bring.
pub struct Entry {
    /// With the PROXY protocol: whose headers are taken. Nobody else is served then.
    pub proxy_protocol: Option<Vec<TrustedProxy>>,
    /// How long its header may take.
    pub header_timeout: Duration,
    /// Our certificate, where callers are to use TLS.
    pub tls: Option<Arc<ServerSide>>,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
}

/// What is peeked at once: more than any header without a certificate's names.
const PEEK: usize = 512;

impl Entry {
    /// Lets a connection in that brings what it must; gives it ready for requests, and what is known of it.
    pub(super) async fn admit(
        &self,
        mut socket: Socket,
        peer: Source,
        limits: &Patience<'_>,
        metrics: &EntryMetrics,
    ) -> Option<(Stream, Link)> {
        let peer = self.announced(&mut socket, peer, limits, metrics).await?;
        let Some(tls) = &self.tls else { return Some((Stream::Plain(socket), Link::plain(peer))) };
        match limits.within(self.handshake_timeout, Stream::secured(socket, Some(tls))).await {
            Ok(stream) => {
                metrics.handshakes.success.inc();
                let link = Link::secure(peer, stream.certificate());
                Some((stream, link))
            }
            Err(error) => {
                match error.kind() {
                    io::ErrorKind::TimedOut => &metrics.handshakes.timeout,
                    io::ErrorKind::InvalidData => &metrics.handshakes.refused,
                    _ => &metrics.handshakes.closed,
                }
                .inc();
                None
            }
        }
    }

    /// Where a connection comes from, as the proxy before us announces it.
    async fn announced(
        &self,
        socket: &mut Socket,
        peer: Source,
        limits: &Patience<'_>,
        metrics: &EntryMetrics,
    ) -> Option<Source> {
        let Some(trusted) = &self.proxy_protocol else { return Some(peer) };
        if !peer.is_trusted(trusted) {
            metrics.untrusted.inc();
            return None;
        }
        match limits.within(self.header_timeout, header(socket)).await {
            Ok(told) => Some(told.map_or(peer, |address| Source::Address(address.to_canonical()))),
            Err(error) => {
                match error.kind() {
                    io::ErrorKind::TimedOut => &metrics.timeout,
                    io::ErrorKind::InvalidData => &metrics.malformed,
                    _ => &metrics.closed,
                }
                .inc();
                None
            }
        }
    }
}

/// How long a connection is waited for that has no request yet.
pub(super) struct Patience<'d> {
    /// Of the connection.
    pub(super) deadline: &'d Deadline,
    /// Set while the server drains.
    pub(super) draining: &'d Cell<bool>,
    /// How long it may take then.
    pub(super) grace: Duration,
}

impl Patience<'_> {
    async fn within<T>(&self, time: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        self.deadline.set(time);
        let mut hurried = false;
        let mut work = pin!(work);
        poll_fn(|cx| {
            self.deadline.wakes(cx.waker());
            if self.draining.get() && !hurried {
                hurried = true;
                self.deadline.set(time.min(self.grace));
            }
            match work.as_mut().poll(cx) {
                Poll::Pending if self.deadline.passed() => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                polled => polled,
            }
        })
        .await
    }
}

/// Reads a header and not a byte more: what follows belongs to the connection.
async fn header(socket: &mut Socket) -> io::Result<Option<IpAddr>> {
    let mut bytes = Vec::with_capacity(PEEK);
    let mut next = [0u8; PEEK];
    loop {
        let peeked = socket.peek(&mut next).await?;
        if peeked == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let known = bytes.len();
        bytes.extend_from_slice(next.get(..peeked).unwrap_or_default());
        let (taken, whole) = match preamble::read(&bytes) {
            Preamble::Whole { length, source } => (length.saturating_sub(known), Some(source)),
            Preamble::Partial => (peeked, None),
            Preamble::Malformed => return Err(io::ErrorKind::InvalidData.into()),
        };
        // They are here: this does not wait.
        socket.read_exact(next.get_mut(..taken).unwrap_or_default()).await?;
        if let Some(source) = whole {
            return Ok(source);
        }
    }
}
