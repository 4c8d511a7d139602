//! The way to a running instance: its socket, or an address with a token and mostly TLS.

use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::{Failure, Globals};
use crate::admin::answer::{FAILED, USAGE};
use crate::config::settings::tls::ClientTls;
use crate::source::file;
use crate::tls::HTTP_11;
use crate::tls::client::{ClientSide, link};

/// The largest change of the longest list takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(120);
/// Somebody who is there answers at once.
const CONNECT: Duration = Duration::from_secs(10);

/// Where an instance is reached.
pub(super) enum Link {
    /// On this machine, as its own user.
    Unix(PathBuf),
    /// At an address.
    Tcp(Box<Remote>),
}

/// An instance at an address.
pub(super) struct Remote {
    host: String,
    port: u16,
    tls: Option<(ClientSide, ServerName<'static>)>,
    token: HeaderValue,
}

/// `unix:PATH`, `http://HOST:PORT` or `https://HOST:PORT`, as it is written.
#[derive(Debug, PartialEq, Eq)]
enum Server {
    Unix(PathBuf),
    Tcp { secure: bool, host: String, port: u16 },
}

impl Server {
    fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return (!path.is_empty()).then(|| Self::Unix(path.into()));
        }
        let url: http::Uri = text.parse().ok()?;
        let secure = match url.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let plain = matches!(url.path(), "" | "/") && url.query().is_none() && !text.contains('@');
        let host = url.host().filter(|host| !host.is_empty() && plain)?;
        let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
        // What is no port (99999, or nothing after the colon) is not left out in silence.
        let authority = url.authority()?.as_str();
        let said = authority == host || url.port_u16().is_some_and(|port| authority == format!("{host}:{port}"));
        said.then(|| Self::Tcp { secure, host: host.to_owned(), port })
    }
}

impl Link {
    /// To where `--server` says, or a configuration.
    pub(super) fn to(server: &str, globals: &Globals) -> anyhow::Result<Self> {
        let expected = "--server: expected https://HOST:PORT, http://127.0.0.1:PORT or unix:PATH";
        match Server::parse(server) {
            Some(Server::Unix(path)) => Ok(Self::Unix(path)),
            Some(Server::Tcp { secure, host, port }) => Remote::new(secure, host, port, globals).map(Self::Tcp),
            None => Err(Failure::new(USAGE, expected).into()),
        }
    }

    /// Whether somebody listens there.
    pub(super) fn answers(&self) -> std::io::Result<()> {
        match self {
            Self::Unix(path) => std::os::unix::net::UnixStream::connect(path).map(drop),
            Self::Tcp(remote) => remote.answers(),
        }
    }

    /// Whether it may be another machine, whose files are not ours.
    pub(super) const fn is_remote(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    /// Asks, and waits for the whole answer.
    pub(super) async fn ask(&self, request: Request<Body>) -> anyhow::Result<Response<Bytes>> {
        let answer = async {
            match self {
                Self::Unix(path) => {
                    let became = became(request.method());
                    let stream = tokio::net::UnixStream::connect(path).await;
                    exchange(stream.map_err(|error| gone(&error, became))?, request).await
                }
                Self::Tcp(remote) => remote.ask(request).await,
            }
        };
        tokio::time::timeout(PATIENCE, answer).await.map_err(|_| {
            let message = "the instance does not answer\n  What became of the request is not known: look at its log.";
            Failure::new(FAILED, message)
        })?
    }
}

impl Remote {
    fn new(secure: bool, host: String, port: u16, globals: &Globals) -> anyhow::Result<Box<Self>> {
        let usage = |message: String| Failure::new(USAGE, format!("{message}\n  Nothing was changed."));
        if !secure && !is_loopback(&host) {
            let why = "the token and new secrets would cross the network in the clear: use https://";
            return Err(usage(format!("--server: {host} is not this machine, and {why}")).into());
        }
        let Some(file) = &globals.token_file else {
            let why = "an instance that is reached by TCP wants a token: give a file that holds one with --token-file";
            return Err(usage(format!(
                "{why} (beside the instance, `relatch token add NAME --scope SCOPE` makes one)"
            ))
            .into());
        };
        let token = token(file)?;
        let tls = if secure {
            let settings = ClientTls { ca: globals.ca.clone(), ..ClientTls::default() };
            let side = link(&settings, &[HTTP_11]).map_err(|unusable| usage(format!("--ca: {unusable}")))?;
            let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
            Some((side, name.map_err(|_| usage("--server: the host is no name and no address".to_owned()))?))
        } else {
            None
        };
        Ok(Box::new(Self { host, port, tls, token }))
    }

    /// As it is looked up: an IPv6 address without its brackets.
    fn name(&self) -> (&str, u16) {
        (self.host.trim_matches(['[', ']']), self.port)
    }

    fn answers(&self) -> std::io::Result<()> {
        let mut last = Err(std::io::ErrorKind::NotFound.into());
        for address in self.name().to_socket_addrs()? {
            last = TcpStream::connect_timeout(&address, CONNECT).map(drop);
            if last.is_ok() {
                break;
            }
        }
        last
    }

    async fn ask(&self, mut request: Request<Body>) -> anyhow::Result<Response<Bytes>> {
        let became = became(request.method());
        let host = HeaderValue::from_str(&format!("{}:{}", self.host, self.port))?;
        request.headers_mut().insert(header::HOST, host);
        request.headers_mut().insert(header::AUTHORIZATION, self.token.clone());
        let stream = tokio::net::TcpStream::connect(self.name()).await.map_err(|error| gone(&error, became))?;
        let Some((side, name)) = &self.tls else { return exchange(stream, request).await };
        let secured = TlsConnector::from(side.config()).connect(name.clone(), stream).await.map_err(|error| {
            let next = "Nothing was changed. --ca names the file of who signed its certificate; the host of --server \
                        must be a name in it.";
            Failure::new(FAILED, format!("no TLS with {}:{}: {error}\n  {next}", self.host, self.port))
        })?;
        exchange(secured, request).await
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// The header with the token that a file holds.
fn token(file: &Path) -> anyhow::Result<HeaderValue> {
    let unusable =
        |why: &str| Failure::new(USAGE, format!("--token-file: {} {why}\n  Nothing was changed.", file.display()));
    let token = file::read_secret(file).map_err(|why| unusable(&why))?;
    let header = Zeroizing::new([b"Bearer ", token.expose()].concat());
    let plain = token.expose().iter().all(u8::is_ascii_graphic);
    let mut value =
        HeaderValue::from_bytes(&header).ok().filter(|_| plain).ok_or_else(|| unusable("holds no token"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// What became of a request whose answer did not come.
fn became(method: &Method) -> &'static str {
    if method == Method::GET {
        "Nothing was changed."
    } else {
        "What became of the request is not known: look with `relatch secret list`."
    }
}

fn gone(error: &dyn std::fmt::Display, became: &str) -> Failure {
    Failure::new(FAILED, format!("the instance went away: {error}\n  {became}"))
}

async fn exchange<S>(stream: S, request: Request<Body>) -> anyhow::Result<Response<Bytes>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let became = became(request.method());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| gone(&error, became))?;
    let mut answer = std::pin::pin!(sender.send_request(request));
    let mut connection = std::pin::pin!(connection);
    // Driven side by side: the answer needs the connection, and nothing else does.
    let answer = tokio::select! {
        answer = &mut answer => answer,
        _ended = &mut connection => answer.await,
    };
    let (head, body) = answer.map_err(|error| gone(&error, became))?.into_parts();
    let mut body = std::pin::pin!(body.collect());
    let body = tokio::select! {
        body = &mut body => body,
        _ended = &mut connection => body.await,
    };
    Ok(Response::from_parts(head, body.map_err(|error| gone(&error, became))?.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_socket_or_an_address() {
        let tcp = |secure, host: &str, port| Some(Server::Tcp { secure, host: host.to_owned(), port });
        for (text, server) in [
            ("unix:/run/a.sock", Some(Server::Unix("/run/a.sock".into()))),
            ("https://admin.internal:9465", tcp(true, "admin.internal", 9465)),
            ("https://admin.internal/", tcp(true, "admin.internal", 443)),
            ("http://127.0.0.1:9465", tcp(false, "127.0.0.1", 9465)),
            ("https://[::1]:9465", tcp(true, "[::1]", 9465)),
        ] {
            assert_eq!(Server::parse(text), server, "{text}");
        }
        for bad in [
            "",
            "unix:",
            "127.0.0.1:9465",
            "localhost",
            "ftp://a:1",
            "https://",
            "https://:9465",
            "https://a:1/x",
            "https://a:1/?x",
            "https://user@a:1",
            "https://a:99999",
            "https://a:",
        ] {
            assert_eq!(Server::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_this_machine_is_spoken_to_in_the_clear() {
        for host in ["127.0.0.1", "127.8.0.1", "[::1]", "localhost", "LocalHost"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["10.0.0.1", "[::]", "0.0.0.0", "localhost.evil.example", "relatch"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
