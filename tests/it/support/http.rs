//! The client side of the wire, byte by byte: it sends what no library would
//! send, and tells apart an answer, a closed connection and silence.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::{PATIENCE, bytes, form};

/// One complete answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    /// The final status.
    pub(crate) status: u16,
    /// Statuses of the interim (1xx) answers before it.
    pub(crate) interim: Vec<u16>,
    /// Header lines in order, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body with the transfer coding taken off.
    pub(crate) body: Vec<u8>,
    /// Status line, headers and body as they came.
    pub(crate) raw: Vec<u8>,
}

/// What a wait for an answer ended with.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A complete answer.
    Reply(Reply),
    /// The peer closed (or reset) before a byte of an answer came.
    Closed,
    /// The peer closed in the middle of an answer: it said so by an early end.
    Aborted(Vec<u8>),
    /// Nothing complete before the deadline; what came so far.
    Silence(Vec<u8>),
    /// Bytes that are no HTTP answer.
    Garbage(Vec<u8>),
}

impl Outcome {
    /// The answer; stops the test where there is none.
    #[track_caller]
    pub(crate) fn reply(self) -> Reply {
        match self {
            Self::Reply(reply) => reply,
            other => panic!("no answer, but {other:?}"),
        }
    }
}

impl Reply {
    /// The values of every header line of this name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let wanted = |line: &&(String, String)| line.0.eq_ignore_ascii_case(name);
        self.headers.iter().filter(wanted).map(|(_, value)| value.as_str()).collect()
    }

    /// The value of the first header line of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// The body as JSON, null where it is none.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The answer without its `Date` line, for comparing refusals byte by byte.
    pub(crate) fn without_date(&self) -> Vec<u8> {
        let head_end = bytes::find(&self.raw, b"\r\n\r\n").unwrap_or(self.raw.len());
        let (head, rest) = self.raw.split_at(head_end);
        let is_date = |line: &&[u8]| line.len() > 5 && line[..5].eq_ignore_ascii_case(b"date:");
        let lines: Vec<&[u8]> = head.split(|b| *b == b'\n').filter(|l| !is_date(l)).collect();
        [&lines.join(&b'\n'), rest].concat()
    }
}

/// One connection to the proxy.
pub(crate) struct Wire {
    stream: TcpStream,
    pending: Vec<u8>,
    ended: bool,
}

impl Wire {
    /// Connects; nothing is sent yet.
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).expect("connect to the proxy"))
    }

    /// Connects from 127.0.0.`source`: another caller on this machine.
    #[track_caller]
    pub(crate) fn connect_from(source: u8, address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, source], 0)).into()).expect("an address of this machine");
        socket.connect(&address.into()).expect("connect to the proxy");
        Self::over(socket.into())
    }

    /// Over a unix socket: the two kinds differ in nothing that is done with them here.
    pub(crate) fn unix(stream: UnixStream) -> Self {
        Self::over(OwnedFd::from(stream).into())
    }

    fn over(stream: TcpStream) -> Self {
        // A unix socket has none.
        _ = stream.set_nodelay(true);
        // Whoever stops reading must not hang the test.
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, pending: Vec::new(), ended: false }
    }

    /// A second handle on the socket, for a thread that sends meanwhile.
    pub(crate) fn sender(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }

    /// Sends; a peer that has already closed is not an error here, its answer tells.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        _ = self.stream.write_all(bytes);
    }

    /// Ends our side and keeps listening.
    pub(crate) fn half_close(&self) {
        _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends both sides: a thread that still writes gives up.
    pub(crate) fn shut(&self) {
        _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Waits for the next answer. `bodyless` for an answer to HEAD.
    pub(crate) fn read_reply(&mut self, bodyless: bool, within: Duration) -> Outcome {
        let deadline = Instant::now() + within;
        let mut interim = Vec::new();
        loop {
            match split_reply(&self.pending, bodyless, self.ended) {
                Split::Whole(mut reply, used) => {
                    self.pending.drain(..used);
                    if (100..200).contains(&reply.status) && reply.status != 101 {
                        interim.push(reply.status);
                        continue;
                    }
                    reply.interim = interim;
                    return Outcome::Reply(reply);
                }
                Split::Never => return Outcome::Garbage(std::mem::take(&mut self.pending)),
                Split::More if self.ended && self.pending.is_empty() => return Outcome::Closed,
                Split::More if self.ended => {
                    return Outcome::Aborted(std::mem::take(&mut self.pending));
                }
                Split::More => {}
            }
            if !self.fill(deadline) {
                return Outcome::Silence(self.pending.clone());
            }
        }
    }

    /// True once any byte or the end has come; false at the deadline.
    pub(crate) fn stirs(&mut self, within: Duration) -> bool {
        !self.pending.is_empty() || self.ended || self.fill(Instant::now() + within)
    }

    /// True if the peer closes, with no further byte, before the deadline.
    pub(crate) fn closed_within(&mut self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        while self.pending.is_empty() && !self.ended && self.fill(deadline) {}
        self.ended && self.pending.is_empty()
    }

    /// Reads once. False if the deadline passed first.
    fn fill(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        self.stream.set_read_timeout(Some(left)).unwrap();
        // An answer is looked at again with every read: a scrape comes in megabytes.
        let mut chunk = [0; 256 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => self.ended = true,
            Ok(count) => self.pending.extend_from_slice(&chunk[..count]),
            Err(why) => match why.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => return false,
                ErrorKind::Interrupted => {}
                // A reset is an end like another: the peer closed with bytes of ours unread.
                _ => self.ended = true,
            },
        }
        true
    }
}

enum Split {
    Whole(Reply, usize),
    More,
    Never,
}

/// Cuts the first complete answer off `bytes`.
fn split_reply(bytes: &[u8], bodyless: bool, ended: bool) -> Split {
    if !bytes.is_empty() && !bytes.starts_with(&b"HTTP/1."[..bytes.len().min(7)]) {
        return Split::Never;
    }
    let Some(head_len) = bytes::find(bytes, b"\r\n\r\n").map(|at| at + 4) else {
        return Split::More;
    };
    let Ok(head) = std::str::from_utf8(&bytes[..head_len]) else {
        return Split::Never;
    };
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.get(9..12)).and_then(|s| s.parse().ok());
    let Some(status) = status else {
        return Split::Never;
    };
    let split = |line: &str| line.split_once(':').map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()));
    let headers = lines.filter_map(split).collect();
    let mut reply = Reply { status, headers, ..Reply::default() };
    let rest = &bytes[head_len..];
    let empty = bodyless || status < 200 || status == 204 || status == 304;
    let used = if empty {
        0
    } else if reply.header("transfer-encoding").is_some_and(|v| v.ends_with("chunked")) {
        match dechunk(rest) {
            Some((body, used)) => {
                reply.body = body;
                used
            }
            None => return Split::More,
        }
    } else if let Some(length) = reply.header("content-length") {
        let Ok(length) = length.parse::<usize>() else {
            return Split::Never;
        };
        let Some(body) = rest.get(..length) else {
            return Split::More;
        };
        reply.body = body.to_vec();
        length
    } else if ended {
        reply.body = rest.to_vec();
        rest.len()
    } else {
        return Split::More;
    };
    reply.raw = bytes[..head_len + used].to_vec();
    Split::Whole(reply, head_len + used)
}

/// Takes the chunked coding off. `None` while it is incomplete.
fn dechunk(mut rest: &[u8]) -> Option<(Vec<u8>, usize)> {
    let whole = rest.len();
    let mut body = Vec::new();
    loop {
        let line = bytes::find(rest, b"\r\n")?;
        let size = std::str::from_utf8(&rest[..line]).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        rest = &rest[line + 2..];
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?;
        if size == 0 {
            let end = if rest.starts_with(b"\r\n") { 2 } else { bytes::find(rest, b"\r\n\r\n")? + 4 };
            return Some((body, whole - rest.len() + end));
        }
        rest = rest.strip_prefix(b"\r\n")?;
    }
}

/// How a client presents its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// In the `Authorization` header, form-encoded as RFC 6749 wants it.
    Basic,
    /// In the body.
    Post,
}

/// A whole token request to `/token`, tagged with `request_id` unless that is empty.
pub(crate) fn token_request(method: Method, id: &str, secret: &str, request_id: &str) -> Vec<u8> {
    let (id, secret) = (form::encode(id), form::encode(secret));
    let mut head = String::from("POST /token HTTP/1.1\r\nHost: proxy.test\r\n");
    let mut body = String::from("grant_type=client_credentials");
    match method {
        Method::Basic => head += &format!("Authorization: {}\r\n", bytes::basic(&id, &secret)),
        Method::Post => body += &format!("&client_id={id}&client_secret={secret}"),
    }
    if !request_id.is_empty() {
        head += &format!("X-Request-Id: {request_id}\r\n");
    }
    let length = body.len();
    head += "Content-Type: application/x-www-form-urlencoded\r\n";
    format!("{head}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// A whole request with this form to a path, without credentials, tagged with `request_id`.
pub(crate) fn form_post(path: &str, request_id: &str, form: &str) -> Vec<u8> {
    let length = form.len();
    let kind = "Content-Type: application/x-www-form-urlencoded";
    let head = format!("POST {path} HTTP/1.1\r\nHost: proxy.test\r\nX-Request-Id: {request_id}\r\n{kind}\r\n");
    format!("{head}Content-Length: {length}\r\n\r\n{form}").into_bytes()
}

/// Asks for a token on a connection of its own.
#[track_caller]
pub(crate) fn token_post(address: SocketAddr, method: Method, id: &str, secret: &str) -> Reply {
    let mut wire = Wire::connect(address);
    wire.send(&token_request(method, id, secret, ""));
    wire.read_reply(false, PATIENCE).reply()
}

/// GETs a path on a connection of its own.
#[track_caller]
pub(crate) fn get(address: SocketAddr, path: &str) -> Reply {
    let mut wire = Wire::connect(address);
    wire.send(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes());
    wire.read_reply(false, PATIENCE).reply()
}
