//! The bytes of a connection to the upstream: dialled, and secured where the URL says https.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio_rustls::{TlsConnector, TlsStream};

use super::remote::Remote;
use super::{Unreached, UpstreamError};
use crate::config::settings::address::Address;
use crate::net::socket::Socket;
use crate::net::stream::Stream;

/// Connects, and agrees on keys where that is wanted. Not a byte of a request is sent before the other end has proved
/// who it is.
pub(super) async fn open(remote: &Remote, lookups: &Arc<Semaphore>) -> Result<Stream, Unreached> {
    let socket = dial(&remote.settings.target, lookups)
        .await
        .map_err(|error| Unreached { error: UpstreamError::Connect, why: error.to_string() })?;
    let Some((config, name)) = remote.tls() else { return Ok(Stream::Plain(socket)) };
    let secured = TlsConnector::from(config).connect(name, socket).await;
    let secured = secured.map_err(|error| Unreached::tls(&error))?;
    Ok(Stream::Tls(Box::new(TlsStream::Client(secured))))
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
