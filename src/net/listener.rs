//! The sockets that callers connect to.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};

use socket2::{Domain, Protocol, Type};

use super::socket::Socket;
use super::unix::{self, Name};
use crate::config::settings::proxy::Listen;
use crate::domain::source::Source;

/// Connections that wait to be accepted, under a burst.
pub(super) const BACKLOG: i32 = 4096;
/// Who may call over a unix socket: our user and our group, which is how a neighbour under another user is let in.
const MODE: u32 = 0o660;

/// A listening socket.
pub enum Listener {
    /// On an address.
    Tcp(TcpListener),
    /// On a name in the file system, which goes with it.
    Unix(UnixListener, Name),
}

/// A connection that was accepted, on its way to the thread that serves it.
pub enum Arrived {
    /// From an address.
    Tcp(TcpStream, SocketAddr),
    /// From this machine.
    Unix(UnixStream),
}

/// Binds an address; the port may be 0.
pub fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

impl Listener {
    /// Binds one of `[proxy] listen`.
    pub fn bind(listen: &Listen) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => tcp(*address).map(Self::Tcp),
            Listen::Unix(path) => unix::bind(path, MODE).map(|(listener, name)| Self::Unix(listener, name)),
        }
    }

    /// Where it listens: the port that was found, where any would do.
    pub fn address(&self, asked: &Listen) -> io::Result<Listen> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Listen::Tcp),
            Self::Unix(..) => Ok(asked.clone()),
        }
    }

    /// Watched by the runtime of the current thread.
    pub(super) fn watch(self) -> io::Result<Watched> {
        match self {
            Self::Tcp(listener) => tokio::net::TcpListener::from_std(listener).map(Watched::Tcp),
            Self::Unix(listener, name) => {
                tokio::net::UnixListener::from_std(listener).map(|listener| Watched::Unix(listener, name))
            }
        }
    }

    /// Takes what has already connected, without waiting.
    pub(super) fn accept(&self) -> io::Result<Arrived> {
        match self {
            Self::Tcp(listener) => listener.accept().map(|(stream, peer)| Arrived::Tcp(stream, peer)),
            Self::Unix(listener, _) => listener.accept().map(|(stream, _)| Arrived::Unix(stream)),
        }
    }
}

/// A listener that the runtime watches.
pub(super) enum Watched {
    /// On an address.
    Tcp(tokio::net::TcpListener),
    /// On a name in the file system.
    Unix(tokio::net::UnixListener, Name),
}

impl Watched {
    /// Waits for a connection.
    pub(super) async fn accept(&self) -> io::Result<Arrived> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok(Arrived::Tcp(stream.into_std()?, peer))
            }
            Self::Unix(listener, _) => listener.accept().await?.0.into_std().map(Arrived::Unix),
        }
    }

    /// No longer watched.
    pub(super) fn into_std(self) -> io::Result<Listener> {
        match self {
            Self::Tcp(listener) => listener.into_std().map(Listener::Tcp),
            Self::Unix(listener, name) => listener.into_std().map(|listener| Listener::Unix(listener, name)),
        }
    }
}

impl Arrived {
    /// Ready for the runtime of the current thread, and where it came from.
    pub(super) fn open(self) -> io::Result<(Socket, Source)> {
        match self {
            Self::Tcp(stream, peer) => {
                stream.set_nonblocking(true)?;
                let stream = tokio::net::TcpStream::from_std(stream)?;
                let _cosmetic = stream.set_nodelay(true);
                Ok((Socket::Tcp(stream), Source::Address(peer.ip().to_canonical())))
            }
            Self::Unix(stream) => {
                stream.set_nonblocking(true)?;
                let stream = tokio::net::UnixStream::from_std(stream)?;
                let user = stream.peer_cred()?.uid();
                Ok((Socket::Unix(stream), Source::Unix(user)))
            }
        }
    }
}
