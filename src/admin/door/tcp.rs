//! An address: with TLS where others reach it, and always through the [`Gate`], since whoever shares our network reaches
//! loopback too.

use std::cell::Cell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::{BACK_OFF, MOST, PATIENCE};
use crate::admin::gate::{Between, Gate};
use crate::net::socket::Socket;
use crate::net::stream::Stream;
use crate::tls::server::ServerSide;

/// Bytes of a request's head.
const MOST_HEAD: usize = 16 << 10;

/// A connection, and whether a request of somebody who may ask is being done on it.
struct Open {
    connection: AbortHandle,
    busy: Rc<Cell<bool>>,
}

/// Serves until told to stop.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerSide>>,
    gate: Arc<Gate>,
    mut stop: watch::Receiver<bool>,
) {
    let mut open: VecDeque<Open> = VecDeque::with_capacity(MOST);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(BACK_OFF).await;
            continue;
        };
        open.retain(|open| !open.connection.is_finished());
        if open.len() >= MOST {
            // Whoever sits on connections keeps nobody out; a change that is being made is not broken off.
            let Some(idle) = open.iter().position(|open| !open.busy.get()) else { continue };
            open.remove(idle).inspect(|open| open.connection.abort());
        }
        let busy = Rc::new(Cell::new(false));
        let task = tokio::task::spawn_local(converse(stream, peer, tls.clone(), gate.clone(), busy.clone()));
        open.push_back(Open { connection: task.abort_handle(), busy });
    }
}

async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<ServerSide>>,
    gate: Arc<Gate>,
    busy: Rc<Cell<bool>>,
) {
    let Ok(local) = stream.local_addr() else { return };
    let _cosmetic = stream.set_nodelay(true);
    let between = Between { peer: peer.ip().to_canonical(), local, secure: tls.is_some() };
    let secured = tokio::time::timeout(PATIENCE, Stream::secured(Socket::Tcp(stream), tls.as_deref()));
    let Ok(Ok(stream)) = secured.await else { return };
    let service = service_fn(move |request| {
        let (gate, busy) = (gate.clone(), busy.clone());
        async move { Ok::<_, Infallible>(gate.answer(request, between, &busy).await) }
    });
    let mut http = http1::Builder::new();
    let connection = http
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(MOST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let _a_command_went_away = connection.await;
}
