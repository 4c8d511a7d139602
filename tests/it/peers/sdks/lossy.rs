//! A gateway that ends TLS and loses answers, whole or in part: what was asked for is done, and who asked does not hear of
//! it. Or it loses the end of what was asked: then nothing is done, and that is not heard of either.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::PATIENCE;
use crate::support::http::{Reply, Wire};
use crate::support::tls::{Ca, Security, server};
use crate::support::upstream::Seen;

/// How an answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// The connection ends.
    Connection,
    /// The gateway gives up waiting, and says so as those of the providers do.
    Gateway,
    /// The connection ends in the middle of the answer's head,
    Head,
    /// ... or of its body.
    Body,
    /// The connection ends, both ways, with the last byte of the request on it.
    Request,
}

/// Stops accepting when dropped.
pub(super) struct Lossy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    admin: SocketAddr,
    security: Security,
    /// What is lost next.
    next: Mutex<Option<Loss>>,
    requests: AtomicUsize,
    stopped: AtomicBool,
}

impl Lossy {
    /// Before this admin address, which is in the clear.
    pub(super) fn before(admin: SocketAddr, ca: &Ca) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let security = Security::default();
        security.set(server(&ca.issue(&["localhost"]), &[], &["http/1.1"]));
        let shared = Arc::new(Shared {
            admin,
            security,
            next: Mutex::default(),
            requests: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let ours = Arc::clone(&shared);
        std::thread::spawn(move || {
            for front in listener.incoming().map_while(Result::ok) {
                if ours.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&ours);
                std::thread::spawn(move || shared.carry(front));
            }
        });
        Self { address, shared }
    }

    /// Host and port, as an SDK is told.
    pub(super) fn domain(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    /// The answer to the next request is lost so.
    pub(super) fn lose(&self, loss: Loss) {
        *self.shared.next.lock().unwrap() = Some(loss);
        self.shared.requests.store(0, Ordering::Relaxed);
    }

    /// How many requests came since.
    pub(super) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn carry(&self, front: TcpStream) {
        _ = front.set_nodelay(true);
        let mut front = self.security.secure(front);
        let (mut chunk, mut pending) = ([0; 16 * 1024], Vec::new());
        while let Ok(count @ 1..) = front.read(&mut chunk) {
            pending.extend_from_slice(&chunk[..count]);
            while let Some(seen) = Seen::cut(&mut pending) {
                self.requests.fetch_add(1, Ordering::Relaxed);
                let next = self.next.lock().unwrap().take();
                let mut back = Wire::connect(self.admin);
                if next == Some(Loss::Request) {
                    return back.send(&seen.raw[..seen.raw.len() - 1]);
                }
                back.send(&seen.raw);
                let Reply { raw, body, .. } = back.read_reply(seen.method == "HEAD", PATIENCE).reply();
                let head = raw.len() - body.len();
                let answer = match next {
                    None => raw,
                    Some(Loss::Connection | Loss::Request) => return,
                    Some(part @ (Loss::Head | Loss::Body)) => {
                        let end = if part == Loss::Head { head / 2 } else { head + body.len() / 2 };
                        _ = front.write_all(&raw[..end]).and_then(|()| front.flush());
                        return;
                    }
                    Some(Loss::Gateway) => {
                        let now = jiff::Timestamp::now();
                        let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT");
                        let reset = now.as_second();
                        format!(
                            "HTTP/1.1 504 Gateway Timeout\r\nDate: {date}\r\nX-Rate-Limit-Limit: 9\r\n\
                             X-Rate-Limit-Remaining: 9\r\nX-Rate-Limit-Reset: {reset}\r\nContent-Length: 0\r\n\r\n"
                        )
                        .into_bytes()
                    }
                };
                if front.write_all(&answer).and_then(|()| front.flush()).is_err() {
                    return;
                }
            }
        }
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the acceptor, so that it notices.
        _ = TcpStream::connect(self.address);
    }
}
