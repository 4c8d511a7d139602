//! A connection to the upstream: hyper's two halves held together, driven by whoever waits on it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::UpstreamError;
use crate::config::settings::upstream::Target;

/// A connection and its two halves.
pub struct Live {
    /// Takes requests.
    pub sender: http1::SendRequest<Full<Bytes>>,
    connection: Option<http1::Connection<TokioIo<TcpStream>, Full<Bytes>>>,
}

/// The largest head of an answer.
const MOST_HEAD: usize = 64 << 10;

impl Live {
    /// Connects. Names are resolved anew for each connection; every address is tried in turn.
    pub async fn connect(target: &Target) -> Result<Box<Self>, UpstreamError> {
        let stream = dial(target).await.map_err(|_| UpstreamError::Connect)?;
        stream.set_nodelay(true).map_err(|_| UpstreamError::Connect)?;
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

async fn dial(target: &Target) -> std::io::Result<TcpStream> {
    if let Ok(address) = target.host.parse() {
        return TcpStream::connect(SocketAddr::new(address, target.port)).await;
    }
    TcpStream::connect((target.host.as_str(), target.port)).await
}
