//! The caller's side of HTTP/2 by a library, for requests as they should be; frame by frame it is in `raw_frames`.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::http::Reply;

/// A request with its body.
pub(crate) type Request = http::Request<Full<Bytes>>;

/// A connection that carries requests beside each other.
pub(crate) struct Streams {
    runtime: Runtime,
    sender: SendRequest<Full<Bytes>>,
}

impl Streams {
    /// Connects with prior knowledge.
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sender = runtime.block_on(async {
            let stream = TcpStream::connect(address).await.expect("connect to the proxy");
            stream.set_nodelay(true).unwrap();
            let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            sender
        });
        Self { runtime, sender }
    }

    /// The answer to one request; why there is none, in words.
    pub(crate) fn ask(&mut self, request: Request, within: Duration) -> Result<Reply, String> {
        let answer = self.sender.send_request(request);
        self.runtime.block_on(async {
            let whole = async {
                let response = answer.await.map_err(|why| format!("{why:?}"))?;
                let (parts, body) = response.into_parts();
                let body = body.collect().await.map_err(|why| format!("{why:?}"))?.to_bytes().to_vec();
                Ok::<_, String>((parts, body))
            };
            let (parts, body) =
                tokio::time::timeout(within, whole).await.map_err(|_| "no answer in time".to_owned())??;
            let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
            let headers: Vec<_> =
                parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
            let status = parts.status.as_u16();
            let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let raw: Vec<u8> = [format!("HTTP/2 {status}\r\n{lines}\r\n").into_bytes(), body.clone()].concat();
            Ok(Reply { status, interim: Vec::new(), headers, body, raw })
        })
    }
}

/// What belongs to a connection of HTTP/1.1 has no place in HTTP/2 (RFC 9113 section 8.2.2).
const OF_CONNECTION: [&str; 9] = [
    "connection",
    "transfer-encoding",
    "upgrade",
    "te",
    "keep-alive",
    "proxy-connection",
    "http2-settings",
    "expect",
    "trailer",
];

/// The same request over HTTP/2, where there is such a thing: `None` for what is about HTTP/1.1 itself.
pub(crate) fn translated(bytes: &[u8]) -> Option<Request> {
    let mut lines = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut lines);
    let Ok(httparse::Status::Complete(head)) = parsed.parse(bytes) else { return None };
    let body = &bytes[head..];
    let mut request = http::Request::builder().method(parsed.method?);
    let mut host = None;
    for line in parsed.headers.iter() {
        match line.name.to_ascii_lowercase().as_str() {
            "host" if host.is_some() => return None,
            "host" => host = Some(std::str::from_utf8(line.value).ok()?),
            "content-length" if line.value != body.len().to_string().as_bytes() => return None,
            "content-length" => {}
            name if OF_CONNECTION.contains(&name) => return None,
            name => {
                let name: HeaderName = name.parse().ok()?;
                request = request.header(name, HeaderValue::from_bytes(line.value).ok()?);
            }
        }
    }
    let target = parsed.path?;
    // A Host that is none would move into the path.
    let host = host.filter(|host| !host.contains(['/', '?', '#', '@', '\\']))?;
    (parsed.version == Some(1) && target.starts_with('/')).then_some(())?;
    request = request.uri(format!("http://{host}{target}"));
    request.body(Full::new(Bytes::copy_from_slice(body))).ok()
}
