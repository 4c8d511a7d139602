//! A connection to the upstream: hyper's two halves held together, driven by whoever waits on it.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;

use super::UpstreamError;
use crate::config::settings::upstream::Address;
use crate::net::socket::Socket;

/// A connection and its two halves.
pub struct Live {
    /// Takes requests.
    pub sender: http1::SendRequest<Full<Bytes>>,
    connection: Option<http1::Connection<TokioIo<Socket>, Full<Bytes>>>,
}

/// The largest head of an answer.
const MOST_HEAD: usize = 64 << 10;

impl Live {
    /// Connects. Names are resolved anew for each connection; every address is tried in turn.
    pub async fn connect(target: &Address, lookups: &Arc<Semaphore>) -> Result<Box<Self>, UpstreamError> {
        let stream = dial(target, lookups).await.map_err(|_| UpstreamError::Connect)?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MOST_HEAD)
            // One small copy costs less than the kernel's walk over a list of buffers.
            .writev(false)
            .max_header_size(MOST_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|_| UpstreamError::Connect)?;
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

async fn dial(target: &Address, lookups: &Arc<Semaphore>) -> io::Result<Socket> {
    let target = match target {
        Address::Tcp(target) => target,
        Address::Unix(path) => return UnixStream::connect(path).await.map(Socket::Unix),
    };
    let stream = if let Ok(address) = target.host.parse() {
        TcpStream::connect(SocketAddr::new(address, target.port)).await?
    } else {
        let name = (target.host.clone(), target.port);
        let look_up = move || name.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        let addresses = in_turn(lookups, look_up).await??;
        TcpStream::connect(&*addresses).await?
    };
    stream.set_nodelay(true)?;
    Ok(Socket::Tcp(stream))
}

/// Runs what blocks on another thread when it is its turn. Whoever stops waiting before that leaves nothing behind: a
/// job that was handed over is never taken back, and with a name server that does not answer they would pile up.
async fn in_turn<T: Send + 'static>(turns: &Arc<Semaphore>, job: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let turn = turns.clone().acquire_owned().await.map_err(io::Error::other)?;
    let done = tokio::task::spawn_blocking(move || {
        let result = job();
        drop(turn);
        result
    });
    done.await.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[test]
    fn look_ups_that_nobody_waits_for_do_not_pile_up() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(2).build().unwrap();
        runtime.block_on(async {
            let turns = Arc::new(Semaphore::new(2));
            let (release, held) = channel::<()>();
            let (held, ran) = (Arc::new(Mutex::new(held)), Arc::new(Mutex::new(0)));
            for _ in 0..20 {
                let (held, ran) = (held.clone(), ran.clone());
                let job = move || {
                    *ran.lock().unwrap() += 1;
                    held.lock().unwrap().recv()
                };
                let waited = tokio::time::timeout(Duration::from_millis(5), in_turn(&turns, job)).await;
                assert!(waited.is_err());
            }
            drop(release);
            assert_eq!(in_turn(&turns, || 7).await.unwrap(), 7);
            assert_eq!(*ran.lock().unwrap(), 2, "only the threads that there are were asked");
        });
    }
}
