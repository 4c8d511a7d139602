//! A token server that keeps nothing: it answers every request with the same
//! token and counts them, so that a load is the proxy's and not the test's.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::bytes;

const BODY: &str = r#"{"access_token":"quick","token_type":"Bearer","expires_in":60}"#;

/// A running one; stops accepting when dropped.
pub(crate) struct Quick {
    address: SocketAddr,
    answered: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
}

impl Quick {
    /// Listens on a free port, and answers at once.
    pub(crate) fn start() -> Self {
        Self::with_pause(Duration::ZERO)
    }

    /// ... or after a pause, so that there is always something in flight.
    pub(crate) fn with_pause(pause: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (answered, stopped) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (count, stop) = (Arc::clone(&answered), Arc::clone(&stopped));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let count = Arc::clone(&count);
                std::thread::spawn(move || serve(stream, &count, pause));
            }
        });
        Self { address, answered, stopped }
    }

    /// Its URL, for `[upstream] url`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests it answered.
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }
}

impl Drop for Quick {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the acceptor, so that it sees the flag.
        drop(TcpStream::connect(self.address));
    }
}

fn serve(mut stream: TcpStream, answered: &AtomicUsize, pause: Duration) {
    _ = stream.set_nodelay(true);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store";
    let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{BODY}", BODY.len());
    let mut buffer = Vec::with_capacity(4096);
    let mut chunk = [0; 4096];
    loop {
        while let Some(length) = request(&buffer) {
            buffer.drain(..length);
            answered.fetch_add(1, Ordering::Relaxed);
            if !pause.is_zero() {
                std::thread::sleep(pause);
            }
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
        match stream.read(&mut chunk) {
            Ok(count @ 1..) => buffer.extend_from_slice(&chunk[..count]),
            _ => return,
        }
    }
}

/// The length of the first request, once it is here whole.
fn request(buffer: &[u8]) -> Option<usize> {
    let head_end = bytes::find(buffer, b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&buffer[..head_end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"))?.trim().parse::<usize>().ok()?;
    (buffer.len() >= head_end + length).then_some(head_end + length)
}
