//! A connection's bytes, whichever kind of socket carries them. An enum, so that a read costs a branch and no more.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connected socket.
pub enum Socket {
    /// Over a network, or loopback.
    Tcp(TcpStream),
    /// Within this machine.
    Unix(UnixStream),
}

/// Hands a call on to whichever socket it is.
macro_rules! on_either {
    ($socket:expr, $stream:ident => $call:expr) => {
        match $socket {
            Socket::Tcp($stream) => $call,
            Socket::Unix($stream) => $call,
        }
    };
}

impl Socket {
    /// Waits for bytes and copies them without taking them; none at the end.
    pub(super) async fn peek(&self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            on_either!(self, stream => stream.readable().await?);
            let mut look = || {
                let (count, _) = rustix::net::recv(self.as_fd(), &mut *bytes, RecvFlags::PEEK)?;
                Ok(count)
            };
            match on_either!(self, stream => stream.try_io(Interest::READABLE, &mut look)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                looked => return looked,
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        on_either!(self, stream => stream.as_fd())
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on_either!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        // There is nearly always room, and to ask for a wake-up takes longer than to see that.
        match on_either!(&socket, stream => stream.try_write(buf)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                on_either!(socket, stream => Pin::new(stream).poll_write(cx, buf))
            }
            written => Poll::Ready(written),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_either!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_either!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_either!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        on_either!(self, stream => stream.is_write_vectored())
    }
}
