//! Ears on the link between relatch and a server: passes every byte on, both ways, and keeps the requests.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::upstream::Seen;

/// A running tap; stops accepting when dropped.
pub(super) struct Tap {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    seen: Mutex<Vec<Seen>>,
    stopped: AtomicBool,
}

impl Tap {
    /// Listens on a free port, for this server.
    pub(super) fn on(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { server, seen: Mutex::default(), stopped: AtomicBool::new(false) });
        let ours = Arc::clone(&shared);
        std::thread::spawn(move || {
            for front in listener.incoming().map_while(Result::ok) {
                if ours.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&ours);
                std::thread::spawn(move || shared.join(front));
            }
        });
        Self { address, shared }
    }

    /// Its URL, for `[upstream] url`.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request that went by, each whole. One stands here before the server has its last byte.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }
}

impl Shared {
    /// Passes both directions on until both have ended, each end as it comes.
    fn join(&self, mut front: TcpStream) {
        let Ok(mut back) = TcpStream::connect(self.server) else { return };
        for stream in [&front, &back] {
            _ = stream.set_nodelay(true);
        }
        let (mut answers, mut asker) = (back.try_clone().unwrap(), front.try_clone().unwrap());
        std::thread::spawn(move || {
            _ = std::io::copy(&mut answers, &mut asker);
            _ = asker.shutdown(Shutdown::Write);
        });
        let (mut chunk, mut pending) = ([0; 16 * 1024], Vec::new());
        while let Ok(count @ 1..) = front.read(&mut chunk) {
            pending.extend_from_slice(&chunk[..count]);
            while let Some(seen) = Seen::cut(&mut pending) {
                self.seen.lock().unwrap().push(seen);
            }
            if back.write_all(&chunk[..count]).is_err() {
                break;
            }
        }
        _ = back.shutdown(Shutdown::Write);
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the acceptor, so that it notices.
        _ = TcpStream::connect(self.address);
    }
}
