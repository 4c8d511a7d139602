//! One request and its answer: a connection for each, closed afterwards.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::base::{Base, Door};
use crate::config::settings::tls::ClientTls;
use crate::tls::HTTP_11;
use crate::tls::client::link;
use crate::tls::material::Unusable;

/// The way to a server.
pub struct Link {
    base: Base,
    /// How, and the name that the certificate must have.
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// What its name stands for, where that was looked up before.
    addresses: Vec<SocketAddr>,
    /// How long a connection may take.
    connect: Duration,
}

/// An answer, whole.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// How long the server wants us to wait.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Zeroizing<Vec<u8>>,
}

/// Why there is no answer, and whether the request may have arrived.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Undelivered {
    /// It never left.
    #[error("no connection: {0}")]
    Unsent(String),
    /// It did, and no whole answer came.
    #[error("no answer: {0}")]
    Lost(String),
}

/// For a connection, its TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// For the whole answer.
const ANSWER: Duration = Duration::from_secs(30);
/// An object with all of a client's settings is some 10 KiB.
const MOST_BODY: usize = 1 << 20;
/// The largest head.
const MOST_HEAD: usize = 64 << 10;

impl Link {
    /// Reads what TLS needs, where it is spoken. `ca` signs the server's certificate; default: whom the system trusts.
    pub fn to(base: Base, ca: Option<&Path>) -> Result<Self, Unusable> {
        Self::secured(base, &ClientTls { ca: ca.map(Path::to_owned), ..ClientTls::default() }, CONNECT)
    }

    /// The same, secured as these settings say where TLS is spoken; a connection takes no longer than `connect`.
    pub fn secured(base: Base, settings: &ClientTls, connect: Duration) -> Result<Self, Unusable> {
        let tls = match &base.door {
            Door::Tcp { host, tls: true, .. } => {
                let connector = TlsConnector::from(link(settings, &[HTTP_11])?.config());
                let named = settings.server_name.clone().or_else(|| ServerName::try_from(host.clone()).ok());
                let name = named.ok_or_else(|| Unusable {
                    file: host.into(),
                    why: "is no name that a certificate can have".into(),
                })?;
                Some((connector, name))
            }
            Door::Tcp { .. } | Door::Unix(_) => None,
        };
        Ok(Self { base, tls, addresses: Vec::new(), connect })
    }

    /// Looks its name up, which may take as long as it likes: for those who have a thread of their own to wait on.
    pub fn resolved(mut self) -> io::Result<Self> {
        if let Door::Tcp { host, port, .. } = &self.base.door {
            self.addresses = (host.as_str(), *port).to_socket_addrs()?.collect();
        }
        Ok(self)
    }

    /// Where it leads.
    pub const fn base(&self) -> &Base {
        &self.base
    }

    /// Sends a request to a path below the base. Its Host is the base's, unless it has one.
    pub async fn send(&self, path: &str, mut request: Request<Bytes>) -> Result<Answer, Undelivered> {
        let unsent = |why: &dyn std::fmt::Display| Undelivered::Unsent(why.to_string());
        let path = format!("{}{path}", self.base.prefix);
        *request.uri_mut() = Uri::try_from(path).map_err(|error| unsent(&error))?;
        let host = HeaderValue::from_str(&self.base.authority).map_err(|error| unsent(&error))?;
        let headers = request.headers_mut();
        headers.entry(header::HOST).or_insert(host);
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("relatch/", env!("CARGO_PKG_VERSION"))));
        let limit = self.connect;
        let late = |_| Undelivered::Unsent(format!("not within {} s", limit.as_secs()));
        match &self.base.door {
            Door::Unix(path) => {
                let stream = timeout(limit, UnixStream::connect(path)).await.map_err(late)?;
                exchange(stream.map_err(|error| unsent(&error))?, request).await
            }
            Door::Tcp { host, port, .. } => {
                let connected = async {
                    match &*self.addresses {
                        [] => TcpStream::connect((host.as_str(), *port)).await,
                        known => TcpStream::connect(known).await,
                    }
                };
                let stream = timeout(limit, connected).await.map_err(late)?;
                let stream = stream.map_err(|error| unsent(&error))?;
                let Some((connector, name)) = &self.tls else { return exchange(stream, request).await };
                let stream = timeout(limit, connector.connect(name.clone(), stream)).await.map_err(late)?;
                exchange(stream.map_err(|error| unsent(&error))?, request).await
            }
        }
    }
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    request: Request<Bytes>,
) -> Result<Answer, Undelivered> {
    let late = |_| Undelivered::Lost(format!("not within {} s", ANSWER.as_secs()));
    timeout(ANSWER, Box::pin(unbounded(stream, request))).await.map_err(late)?
}

async fn unbounded<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    request: Request<Bytes>,
) -> Result<Answer, Undelivered> {
    let lost = |error: hyper::Error| Undelivered::Lost(error.to_string());
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(MOST_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Undelivered::Unsent(error.to_string()))?;
    let mut connection = pin!(connection);
    let mut answer = pin!(async {
        let (head, body) = sender.send_request(request.map(Full::new)).await.map_err(lost)?.into_parts();
        let seconds = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let body = whole(body).await?;
        Ok(Answer { status: head.status, retry_after: seconds.map(Duration::from_secs), body })
    });
    // Driven side by side: the answer needs the connection, and nothing else does.
    tokio::select! {
        answer = &mut answer => answer,
        _ended = &mut connection => answer.await,
    }
}

async fn whole(mut body: Incoming) -> Result<Zeroizing<Vec<u8>>, Undelivered> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(16 << 10));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Undelivered::Lost(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > MOST_BODY {
            return Err(Undelivered::Lost(format!("larger than {MOST_BODY} bytes")));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}
