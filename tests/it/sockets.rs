//! Where callers connect and what lies between: unix sockets on either side, the PROXY protocol.

mod proxied;
mod unix;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use crate::support::PATIENCE;
use crate::support::http::{Method, Reply, Wire, token_request};
use crate::support::upstream::{Seen, Upstream};

/// One request and its answer over a unix socket.
#[track_caller]
fn ask_unix(socket: &Path, request: &[u8]) -> Reply {
    let mut wire = Wire::unix(UnixStream::connect(socket).expect("connect to the socket"));
    wire.send(request);
    wire.read_reply(false, PATIENCE).reply()
}

/// A token request with more header lines.
fn with_lines(secret: &str, lines: &str) -> Vec<u8> {
    let request = String::from_utf8(token_request(Method::Post, "c1", secret, "")).unwrap();
    request.replacen("\r\n", &format!("\r\n{lines}"), 1).into_bytes()
}

/// Copies bytes both ways until both ends are done.
fn relay<A, B>(near: (A, A), far: (B, B))
where
    A: Read + Write + Send + 'static,
    B: Read + Write + Send + 'static,
{
    let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near, far);
    std::thread::spawn(move || std::io::copy(&mut near_in, &mut far_out));
    std::thread::spawn(move || std::io::copy(&mut far_in, &mut near_out));
}

/// The request that reached the upstream last.
#[track_caller]
fn last(upstream: &Upstream) -> Arc<Seen> {
    upstream.seen().pop().expect("a request at the upstream")
}
